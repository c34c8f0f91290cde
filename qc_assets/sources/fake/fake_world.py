"""The contents of the fake GitHub: repositories, pull requests and issues in the shape of the public schema.

An object is a dict of the schema's fields; the list behind a connection is stored under ``_<connection>``.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Node = dict[str, Any]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(repr=False)  # all of it hangs together: a text of it would take gigabytes, as when a test shows it
class World:
    """What there is.

    Attributes:
        repos: repositories by lower-case name; a renamed one is found under both names.
        nodes: everything that has an id.
        commits: by their ids.
    """

    repos: dict[str, Node] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    commits: dict[str, Node] = field(default_factory=dict)
    _next: int = 1_000_000

    def number(self) -> int:
        self._next += 1
        return self._next

    def add_repo(self, name: str, number: int | None = None, **fields: Any) -> Node:
        repo = {
            "__typename": "Repository",
            "databaseId": number or self.number(),
            "nameWithOwner": name,
            "stargazerCount": 1000,
            "isFork": False,
            "isArchived": False,
            "isPrivate": False,
            "isEmpty": False,
            "isDisabled": False,
            "hasIssuesEnabled": True,
            "createdAt": "2020-01-01T00:00:00Z",
            "pushedAt": "2024-01-01T00:00:00Z",
            "primaryLanguage": {"__typename": "Language", "name": "Python"},
            "licenseInfo": {"__typename": "License", "spdxId": "MIT"},
            "_pullRequests": [],
            "_issues": [],
            "_main": {"__typename": "Commit", "_history": []},
        } | fields
        self.repos[name.lower()] = repo
        return repo

    def rename(self, old: str, new: str) -> None:
        repo = self.repos[old.lower()]
        repo["nameWithOwner"] = new
        self.repos[new.lower()] = repo

    def add(self, kind: str, **fields: Any) -> Node:
        """A node of any type, with an id of its own and a number behind it."""
        number = fields.pop("number_", None) or self.number()
        node = {"__typename": kind, "id": f"{kind}_{number}", "fullDatabaseId": str(number)} | fields
        self.nodes[node["id"]] = node
        return node

    def add_item(self, repo: Node, kind: str, number: int, opened: datetime, updated: datetime, **fields: Any) -> Node:
        """A pull request or an issue without anything on it."""
        is_pr = kind == "PullRequest"
        item = self.add(
            kind,
            **{
                "number": number,
                "repository": repo,
                "author": user(7),
                "authorAssociation": "CONTRIBUTOR",
                "title": f"Mend the {number}th thing",
                "body": "As discussed.",
                "state": "OPEN",
                "createdAt": stamp(opened),
                "updatedAt": stamp(updated),
                "closedAt": None,
                "lastEditedAt": None,
                "_userContentEdits": [],
                "_labels": [],
                "_comments": [],
                "_timelineItems": [],
            }
            | (
                _PR
                | {"baseRef": {"__typename": "Ref", "target": repo["_main"]}}
                | {"_commits": [], "_reviews": [], "_reviewThreads": []}
                if is_pr
                else {"_assignees": [], "stateReason": None}
            )
            | fields,
        )
        repo["_pullRequests" if is_pr else "_issues"].append(item)
        return item

    def add_commit(self, pr: Node, when: datetime, additions: int = 10, deletions: int = 2, **fields: Any) -> Node:
        below = pr["_commits"][-1]["commit"] if pr["_commits"] else self._commit(when, 0, 0)
        commit = self._commit(when, additions, deletions, **({"_parents": [below]} | fields))
        node = self.add("PullRequestCommit", commit=commit)
        pr["_commits"].append(node)
        return node

    def add_base_commit(self, repo: Node, when: datetime, **fields: Any) -> Node:
        """A commit of the main branch; in order of time."""
        commit = self._commit(when, 500, 100, **fields)
        repo["_main"]["_history"].insert(0, commit)
        return commit

    def force_push(self, pr: Node, when: datetime, *, squashed: bool = False, is_kept: bool = True) -> Node:
        """Replace the commits of a pull request, as a rebase does: dates of committing are new, those of writing stay.

        Args:
            squashed: into one commit, which has the sizes of all and the first one's date of writing.
            is_kept: whether GitHub still shows the commit that was replaced.
        """
        old = [node["commit"] for node in pr["_commits"]]
        begun = min(commit["committedDate"] for commit in old)
        base = [commit for commit in pr["repository"]["_main"]["_history"] if commit["committedDate"] < begun]
        before = {"__typename": "Commit", "_history": [*reversed(old), *base]} if is_kept else None
        pr["_commits"].clear()
        groups = [old] if squashed else [[commit] for commit in old]
        for commits in groups:
            sizes = (sum(commit[name] for commit in commits) for name in ("additions", "deletions"))
            files = sum(commit["changedFilesIfAvailable"] for commit in commits)
            kept = {name: commits[0][name] for name in ("authoredDate", "messageBody", "author")}
            kept["files"] = [file for commit in commits for file in commit["files"]]
            self.add_commit(pr, when, *sizes, changedFilesIfAvailable=files, **kept)
        return self.add_event(pr, "HeadRefForcePushedEvent", when, beforeCommit=before)

    def _commit(self, when: datetime, additions: int, deletions: int, **fields: Any) -> Node:
        commit: Node = {
            "__typename": "Commit",
            "oid": f"{self.number():040x}",
            "authoredDate": stamp(when),
            "committedDate": stamp(when),
            "additions": additions,
            "deletions": deletions,
            "changedFilesIfAvailable": 1,
            "messageHeadline": "Work",
            "messageBody": "",
            "author": {"__typename": "GitActor", "name": "Somebody", "email": "somebody@example.org"},
            "files": [],
            "_parents": [],
        } | fields
        self.commits[commit["oid"]] = commit
        return commit

    def compared(self, base: str, head: str) -> list[Node] | None:
        """The files of the commits above `base` up to `head`, as the REST API shows them; None if one is unknown."""
        files: dict[str, Node] = {}
        oid = head
        while oid != base:
            commit = self.commits.get(oid)
            if commit is None or not commit["_parents"]:
                return None
            files = {file["filename"]: file for file in commit["files"]} | files
            oid = commit["_parents"][0]["oid"]
        return list(files.values())

    def add_review(self, pr: Node, when: datetime, state: str = "APPROVED", **fields: Any) -> Node:
        review = self.add(
            "PullRequestReview", **(_written(when) | {"state": state, "submittedAt": stamp(when)} | fields)
        )
        pr["_reviews"].append(review)
        return review

    def add_review_comment(self, pr: Node, when: datetime, thread: Node | None = None, **fields: Any) -> Node:
        if thread is None:
            thread = self.add("PullRequestReviewThread", _comments=[])
            pr["_reviewThreads"].append(thread)
        first_comment = thread["_comments"][0] if thread["_comments"] else None
        comment = self.add(
            "PullRequestReviewComment",
            **(
                _written(when)
                | {"path": "src/a.py", "diffHunk": "@@ -1 +1 @@\n-a\n+b", "replyTo": first_comment}
                | {"pullRequestReview": pr["_reviews"][0] if pr["_reviews"] else None, "_thread": thread}
                | fields
            ),
        )
        thread["_comments"].append(comment)
        return comment

    def add_comment(self, item: Node, when: datetime, **fields: Any) -> Node:
        comment = self.add("IssueComment", **(_written(when) | fields))
        item["_comments"].append(comment)
        return comment

    def add_event(self, item: Node, kind: str, when: datetime, **fields: Any) -> Node:
        unsaid: Node = _UNSAID.get(kind, {})
        event = self.add(kind, createdAt=stamp(when), **(unsaid | fields))
        item["_timelineItems"].append(event)
        return event

    def items(self) -> Iterable[Node]:
        repos = {id(repo): repo for repo in self.repos.values()}
        return [item for repo in repos.values() for name in ("_pullRequests", "_issues") for item in repo[name]]


_PR: Node = {"isDraft": False, "mergedAt": None, "mergedBy": None, "additions": 10, "deletions": 2, "changedFiles": 1}
_PR |= {"baseRefName": "main", "headRefName": "work", "isCrossRepository": False}


_UNSAID: dict[str, Node] = {
    "ClosedEvent": {"actor": None, "closer": None, "stateReason": None},
    "ReviewRequestedEvent": {"actor": None, "requestedReviewer": None},
    "ReviewRequestRemovedEvent": {"actor": None, "requestedReviewer": None},
}


def user(number: int | None, login: str | None = None, kind: str = "User") -> Node | None:
    if number is None:
        return None
    return {"__typename": kind, "login": login or f"user{number}", "databaseId": number}


def _written(when: datetime) -> Node:
    return {
        "author": user(8),
        "authorAssociation": "MEMBER",
        "body": "Please look at this once more.",
        "createdAt": stamp(when),
        "updatedAt": stamp(when),
    }


def ordinary(world: World, repo: Node, count: int, first: datetime, span: timedelta, seed: int = 0) -> None:
    """Pull requests of ordinary shape: median 2 reviews, 3 review comments, 3 comments, 3 commits, with long tails."""
    rng = random.Random(seed)

    def some(median: float, sigma: float, most: int) -> int:
        return min(most, round(rng.lognormvariate(0, sigma) * median))

    for n in range(1, count + 1):
        opened = first + span * (n / (count + 1))
        pr = world.add_item(repo, "PullRequest", n, opened, opened + timedelta(minutes=5))
        for _ in range(max(1, some(3, 0.9, 120))):
            world.add_commit(pr, opened)
        for _ in range(some(2, 0.9, 60)):
            world.add_review(pr, opened, rng.choice(["APPROVED", "COMMENTED", "CHANGES_REQUESTED"]))
        thread = None
        for _ in range(some(3, 1.1, 400)):
            follows = thread is not None and rng.random() < 0.35
            thread = world.add_review_comment(pr, opened, thread if follows else None)["_thread"]
        for _ in range(some(3, 1.1, 400)):
            world.add_comment(pr, opened)
        for label in rng.sample(["bug", "docs", "ci", "api"], rng.randrange(3)):
            world.add_event(pr, "LabeledEvent", opened, label=world.add("Label", name=label))
