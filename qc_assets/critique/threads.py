"""Review comments as discussions: a first comment and its answers."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from qc_assets.critique.masks import masked
from qc_assets.critique.prose import parts

_MOST_CHARACTERS = 6_000


@dataclass(frozen=True)
class Remark:
    """One comment of a discussion.

    Attributes:
        comment_id: of the comment.
        role: ``author`` of the pull request, or ``reviewer``; others who speak are ``reviewer 2``, ``reviewer 3``.
        body: Markdown, as it was written.
    """

    comment_id: int
    role: str
    body: str


@dataclass(frozen=True)
class Thread:
    """A discussion on one place of the code.

    Attributes:
        thread_id: its first comment.
        repo_id, number: of the pull request.
        path: of the file.
        remarks: in order of time.
    """

    thread_id: int
    repo_id: int
    number: int
    path: str | None
    remarks: tuple[Remark, ...]

    def transcript(self) -> str:
        """Who said what, masked; without quotes of what was said before; cut off at some length.

        A suggestion is told in words, in one line.
        """
        lines = [f"{remark.role}: {masked(parts(remark.body).told() or remark.body)}" for remark in self.remarks]
        return "\n".join(lines)[:_MOST_CHARACTERS]

    def content_hash(self, *versions: str) -> str:
        """Identity of what is to be summarized, and of how."""
        return hashlib.sha256("\0".join((*versions, self.transcript())).encode("utf-8", "replace")).hexdigest()


def threads(comments: pl.DataFrame) -> Iterator[Thread]:
    """Discussions, in order of their first comments.

    Args:
        comments: comment_id, in_reply_to_id, repo_id, number, path, body, is_pr_author, created_at, and author_id,
            without which all reviewers are one. An answer whose first comment is not among them begins a discussion
            of its own.
    """
    comment_ids = set(comments["comment_id"].to_list())
    answers: dict[int, list[dict[str, Any]]] = {}
    for row in comments.sort("created_at", "comment_id").iter_rows(named=True):
        root = row["in_reply_to_id"] if row["in_reply_to_id"] in comment_ids else row["comment_id"]
        answers.setdefault(root, []).append(row)
    for root, rows in answers.items():
        reviewers: dict[int | None, str] = {}
        remarks = []
        for row in rows:
            role = "author"
            if not row["is_pr_author"]:
                nth = f"reviewer {len(reviewers) + 1}" if reviewers else "reviewer"
                role = reviewers.setdefault(row.get("author_id"), nth)
            remarks.append(Remark(row["comment_id"], role, row["body"] or ""))
        yield Thread(root, rows[0]["repo_id"], rows[0]["number"], rows[0]["path"], tuple(remarks))
