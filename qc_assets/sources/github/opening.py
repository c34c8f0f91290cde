"""What a pull request or issue was when it was opened, told from what GitHub shows of it later.

Only facts of the opening: what cannot be told is None, since what is known of an item must not depend on how it went.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from qc_assets.clock import parse_instant
from qc_assets.sources.github.item_parts import MERGES, nodes_of, timeline_of

_AT_THE_OPENING = timedelta(minutes=10)  # warehouse/macros.sql has the same limit, see is_early
_TRAILER = re.compile(r"^\s{0,8}co-authored-by:[ \t]{0,8}(\S[^\n]{0,200})$", re.IGNORECASE | re.MULTILINE)
_AS_WRITTEN = ("force_push", "commits")  # messages of rewritten commits may be of later
_MOST_SIGNERS, _LONGEST_SIGNER, _LONGEST_MESSAGE = 20, 200, 20_000
_WITH_THE_OPENING = timedelta(seconds=10)  # as is_with_opening in warehouse/changes.sql
LONGEST_REF = 255  # characters; what GitHub lets a branch's name have
_SIZES = ("opened_additions", "opened_deletions", "opened_changed_files", "opened_commits", "opened_sizes_from")


def opened_facts(item: Mapping[str, Any], observed_at: datetime) -> dict[str, Any]:
    """Title, text and standing of the author at the opening; of a pull request also whether it was a draft, and sizes.

    Args:
        item: of the fragments PullRequest or Issue, completed.
        observed_at: when it was read (naive UTC).
    """
    lost = item.get("lost", ())
    renames = timeline_of(item, "RenamedTitleEvent")
    edits = ((item.get("userContentEdits") or {}).get("nodes")) or []
    # The edit farthest back holds the text as it was first written.
    was_edited = item["lastEditedAt"] is not None or "lastEditedAt" in lost
    body = item["body"] if not was_edited else (edits[-1] or {}).get("diff") if edits else None
    # GitHub tells the present standing, and a merge changes it.
    early = observed_at <= parse_instant(item["createdAt"]) + _AT_THE_OPENING and item["closedAt"] is None
    facts = {
        "opened_title": None
        if {"timelineItems", "RenamedTitleEvent"} & set(lost)
        else (renames[0]["previousTitle"] if renames else item["title"]),
        "opened_body": body,
        "opened_author_association": item["authorAssociation"] if early else None,
    }
    if item["__typename"] == "PullRequest":
        commits, way = opened_commits(item)
        facts |= dict(zip(_SIZES, (*_sums(commits), way), strict=True)) if commits else dict.fromkeys(_SIZES)
        facts |= {
            "opened_is_draft": _opened_as_draft(item),
            "opened_coauthors": _signers(commits) if way in _AS_WRITTEN else None,
            "opened_base_ref": _opened_base(item),
            "opened_files_from": way if item.get("openedFiles") is not None else None,
            "opened_reviewers": _opened_reviewers(item),
        }
    return facts


def _opened_as_draft(item: Mapping[str, Any]) -> bool | None:
    if {"timelineItems", "ReadyForReviewEvent", "ConvertToDraftEvent"} & set(item.get("lost", ())):
        return None
    turns = timeline_of(item, "ReadyForReviewEvent", "ConvertToDraftEvent")
    return turns[0]["__typename"] == "ReadyForReviewEvent" if turns else item["isDraft"]


def _opened_base(item: Mapping[str, Any]) -> str | None:
    """The base branch of the opening: the one before its first change, whether by a person or by the forge."""
    kinds = {"BaseRefChangedEvent": "previousRefName", "AutomaticBaseChangeSucceededEvent": "oldBase"}
    if {"timelineItems", "baseRefName", *kinds} & set(item.get("lost", ())):
        return None
    changes = timeline_of(item, *kinds)
    base = changes[0][kinds[changes[0]["__typename"]]] if changes else item["baseRefName"]
    return None if base is None else str(base)[:LONGEST_REF]


def _opened_reviewers(item: Mapping[str, Any]) -> int | None:
    """How many were asked with the opening, by the form or as code owners."""
    if {"timelineItems", "ReviewRequestedEvent"} & set(item.get("lost", ())):
        return None
    until = parse_instant(item["createdAt"]) + _WITH_THE_OPENING
    return sum(parse_instant(event["createdAt"]) <= until for event in timeline_of(item, "ReviewRequestedEvent"))


def opened_commits(item: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], str | None]:
    """The commits that existed at the opening, oldest first, and where they were found; none and None if unknown.

    Sizes are always their sums, never the net size of the pull request: that is only known to be the opening's if
    nothing was pushed later, and using it just then would tell a model that nothing was.

    Pushes only append until the first force push, so the commits of the opening are in the branch as it was before
    that (`opened_branch`). Where that is not to be had, a commit that was rewritten still has the date of its first
    writing.
    """
    lost, opened = item.get("lost", ()), parse_instant(item["createdAt"])
    if {"commits", "timelineItems", "HeadRefForcePushedEvent"} & set(lost):
        return [], None
    commits = [node["commit"] for node in nodes_of(item, "commits")]
    branch, pushed = item.get("openedBranch"), timeline_of(item, "HeadRefForcePushedEvent")
    ways = (
        ("force_push", list(reversed(branch or ())), "committedDate"),
        ("commits", [] if pushed else commits, "committedDate"),
        ("authored_dates", commits, "authoredDate"),
    )
    for way, candidates, date in ways:
        then = [commit for commit in candidates if commit[date] and parse_instant(commit[date]) <= opened]
        if then:
            return then, way
    return [], None


def _signers(commits: Sequence[Mapping[str, Any]]) -> list[str]:
    """Who wrote and signed commits, NAME <MAIL>, each once; merges of the base branch bring other people's names."""
    signers: dict[str, None] = {}
    for commit in commits:
        if (commit["messageHeadline"] or "").startswith(MERGES):
            continue
        author = commit["author"] or {}
        written = [f"{author.get('name') or ''} <{author.get('email') or ''}>"] if author else []
        for signer in (*written, *_TRAILER.findall((commit["messageBody"] or "")[-_LONGEST_MESSAGE:])):
            signers.setdefault(signer.strip()[:_LONGEST_SIGNER])
    return list(signers)[:_MOST_SIGNERS]


def _sums(commits: Sequence[Mapping[str, Any]]) -> tuple[int | None, int | None, int | None, int]:
    """Lines added and deleted, files changed, commits; merges of the base branch bring other people's lines."""
    own = [commit for commit in commits if not (commit["messageHeadline"] or "").startswith(MERGES)]
    lines_and_files = [
        [commit[name] for commit in own] for name in ("additions", "deletions", "changedFilesIfAvailable")
    ]
    added, deleted, files = (None if None in numbers else sum(numbers) for numbers in lines_and_files)
    return added, deleted, files, len(commits)
