"""The demo source's world in the fake GitHub, so that both ways to it can be compared."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from qc_assets.sources.fake.fake_world import Node, World, stamp, user


def from_demo(n_prs: int, days: int, first_day: date, seed: int) -> World:
    """The demo source's world as GitHub would show it after its last day; ids are made positive."""
    from qc_assets.sources.demo.generated import generate

    tables = generate(n_prs, days, first_day, seed)
    world, items = World(_next=10**9), {}
    for row in _last(tables["repositories"], "repo_id"):
        repo = world.add_repo(
            row["name"],
            -row["repo_id"],
            stargazerCount=row["stars"],
            createdAt=stamp(row["created_at"]),
            pushedAt=stamp(datetime.combine(first_day + timedelta(days=days - 1), datetime.min.time())),
            primaryLanguage={"__typename": "Language", "name": row["language"]},
            licenseInfo=row["licence"] and {"__typename": "License", "spdxId": row["licence"]},
        )
        for n in range(-30, days):
            world.add_base_commit(repo, datetime.combine(first_day, datetime.min.time()) + timedelta(days=n))
    openings = {(row["repo_id"], row["number"]): row for row in tables["openings"].iter_rows(named=True)}
    files: dict[tuple[int, int], list[Node]] = {}
    for row in tables["files"].sort("path").iter_rows(named=True):
        file = {"filename": row["path"], "status": row["change"]} | {n: row[n] for n in ("additions", "deletions")}
        files.setdefault((row["repo_id"], row["number"]), []).append(file)
    by_id = {repo["databaseId"]: repo for repo in world.repos.values()}
    for table, kind in (("pull_requests", "PullRequest"), ("issues", "Issue")):
        for row in _last(tables[table], "repo_id", "number"):
            key = (row["repo_id"], row["number"])
            items[key] = _item(world, by_id[-row["repo_id"]], kind, row)
            if kind == "PullRequest":
                _push(world, items[key], row, openings[key], files.get(key, []))
    for row in _last(tables["reviews"], "review_id"):
        pr = items[row["repo_id"], row["number"]]
        review = world.add_review(
            pr, row["submitted_at"], row["state"], number_=-row["review_id"], author=_author(row), body=""
        )
        if row["state"] == "DISMISSED":
            world.add_event(
                pr,
                "ReviewDismissedEvent",
                row["submitted_at"] + timedelta(days=1),
                previousReviewState=row["submitted_state"],
                review=review,
            )
    for repo_id, number, diff in tables["diffs"].iter_rows():
        if (repo_id, number) in items:
            items[repo_id, number]["_diff"] = diff
    threads: dict[int, Node] = {}
    for row in sorted(_last(tables["review_comments"], "comment_id"), key=lambda row: row["created_at"]):
        pr = items[row["repo_id"], row["number"]]
        thread = threads.get(row["in_reply_to_id"])
        comment = world.add_review_comment(
            pr,
            row["created_at"],
            thread,
            number_=10**7 - row["comment_id"],
            author=_author(row),
            body=row["body"],
            path=row["path"],
            diffHunk=row["diff_hunk"],
            pullRequestReview=world.nodes[f"PullRequestReview_{-row['review_id']}"],
        )
        threads[row["comment_id"]] = comment["_thread"]
    for row in _last(tables["issue_comments"], "comment_id"):
        item = items[row["repo_id"], row["number"]]
        world.add_comment(
            item, row["created_at"], number_=2 * 10**7 - row["comment_id"], author=_author(row), body=row["body"]
        )
    for row in tables["review_requests"].sort("created_at", "reviewer_login").iter_rows(named=True):
        people = [
            _author({"author_id": row[f"{role}_id"], "author_login": row[f"{role}_login"]})
            for role in ("requested_by", "reviewer")
        ]
        asking = {"actor": people[0], "requestedReviewer": people[1]}
        world.add_event(items[row["repo_id"], row["number"]], "ReviewRequestedEvent", row["created_at"], **asking)
    for row in tables["label_events"].sort("created_at", "label").iter_rows(named=True):
        item = items[row["repo_id"], row["number"]]
        label = world.add("Label", name=row["label"])
        item["_labels"].append(label)
        world.add_event(item, "LabeledEvent", row["created_at"], label=label)
    return world


def _last(frame: pl.DataFrame, *keys: str) -> Iterable[dict[str, Any]]:
    return frame.sort("partition_date", *keys).unique(keys, keep="last", maintain_order=True).iter_rows(named=True)


def _author(row: dict[str, Any]) -> Node | None:
    number = row["author_id"]
    login = row["author_login"]
    kind = "Bot" if login.endswith("[bot]") else "User"
    return user(None if number is None else -number, login.removesuffix("[bot]"), kind)


def _item(world: World, repo: Node, kind: str, row: dict[str, Any]) -> Node:
    closed = row["closed_at"]
    fields: Node = {
        "author": _author(row),
        "authorAssociation": row["author_association"],
        "title": row["title"],
        "body": row["body"] or "",
        "closedAt": closed and stamp(closed),
        "state": "OPEN" if closed is None else "CLOSED",
        "number_": -row["pr_id" if kind == "PullRequest" else "issue_id"],
    }
    if row["body"] != row["opened_body"]:
        fields |= {
            "lastEditedAt": stamp(row["updated_at"]),
            "_userContentEdits": [
                {"__typename": "UserContentEdit", "editedAt": stamp(row["updated_at"]), "diff": row["body"]},
                {"__typename": "UserContentEdit", "editedAt": stamp(row["created_at"]), "diff": row["opened_body"]},
            ],
        }
    if kind == "Issue":
        fields["stateReason"] = row["state_reason"] and row["state_reason"].upper()
    if kind == "PullRequest":
        fields |= {
            "state": "MERGED" if row["merged_at"] else fields["state"],
            "mergedAt": row["merged_at"] and stamp(row["merged_at"]),
            "mergedBy": row["merged_by_id"] and user(-row["merged_by_id"]),
            "headRefName": row["head_ref"],
            "isDraft": row["is_draft"],
            "additions": row["additions"],
            "deletions": row["deletions"],
            "changedFiles": row["changed_files"],
            "baseRefName": row["opened_base_ref"],
            "isCrossRepository": row["is_from_fork"],
        }
    item = world.add_item(repo, kind, row["number"], row["created_at"], row["updated_at"], **fields)
    if kind == "PullRequest":
        opened = row["created_at"]
        if row["opened_is_draft"] and not row["is_draft"]:
            world.add_event(item, "ReadyForReviewEvent", opened + timedelta(minutes=1))
    if closed is not None:
        title = row.get("closed_title") or row["title"]
        if title != row["opened_title"]:
            world.add_event(item, "RenamedTitleEvent", closed, previousTitle=row["opened_title"])
        closer = _author({"author_id": row["closed_by_id"], "author_login": row["closed_by_login"]})
        world.add_event(item, "ClosedEvent", closed, actor=closer, stateReason=fields.get("stateReason"))
        if row["title"] != title:
            world.add_event(item, "RenamedTitleEvent", closed, previousTitle=title)
    return item


def _push(world: World, pr: Node, row: dict[str, Any], then: dict[str, Any], changed: list[Node]) -> None:
    """The commits of the opening and those pushed later; and the force push that hid them, if one did."""
    before, opened = then["commits"], row["created_at"]
    for n in range(before):  # the first commit holds it all, so that sums are the demo's sizes
        sizes = (then["additions"], then["deletions"]) if n == 0 else (0, 0)
        files = then["files"] if n == 0 else 0
        trailers = "\n".join(f"Co-authored-by: {signer}" for signer in (row["opened_coauthors"] or ())[1:])
        shown: Node = {"messageBody": f"Why.\n\n{trailers}", "files": changed if n == 0 else []}
        at = opened - timedelta(minutes=before - n)
        world.add_commit(pr, at, *sizes, changedFilesIfAvailable=files, **shown)
    for _ in range(row["commits"] - before):
        world.add_commit(pr, opened + timedelta(hours=1), row["additions"] - then["additions"], 0)
    how = row["opened_sizes_from"]
    if how != "commits":
        at = opened + timedelta(hours=2)
        world.force_push(pr, at, is_kept=how == "force_push")
        if how is None:  # written anew, not only moved
            for node in pr["_commits"]:
                node["commit"]["authoredDate"] = stamp(at)
