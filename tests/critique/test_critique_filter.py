"""Comments that teach nothing are told by their form, by their likeness, and by having been said before."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.critique.filter import REASONS, CommentFilter, near_duplicates
from qc_assets.critique.prose import parts
from qc_assets.critique.rules import rejected
from qc_assets.learning.text.embeddings import cached_encoder


@pytest.mark.parametrize(("body", "reason"), [
    ("", "empty"),
    (" \n", "empty"),
    (None, "empty"),
    ("LGTM", "polite"),
    ("LGTM! :+1:", "polite"),
    ("+1", "polite"),
    ("Thanks, looks good to me now.", "polite"),
    ("Great catch, thank you so much!", "polite"),
    ("> Could you rename this?\n\nDone.", "polite"),
    ("yep. thought the same thing.", "polite"),
    ("ditto", "polite"),
    (":sparkles: :pray:", "no_words"),
    ("🎉🎉", "no_words"),
    ("???", "no_words"),
    ("> Could you rename this?", "quote"),
    ("https://example.org/x", "link"),
    ("[this](https://example.org/x)", "link"),
    ("<https://example.org/x>", "link"),
    ("```py\nx = 1\n```", "code"),
    ("/retest", "command"),
    ("@dependabot rebase", "command"),
    ("cc @amy @bob", "command"),
    ("Coverage increased (+0.1%) to 91% when pulling 1a2b3c", "machine"),
    ("Build failed: see Jenkins for details", "machine"),
    ("error at 0x7ff1 0x8000 %% 12:33:01.12 #### 0000 9999 ||| 123 456 42 17 99", "not_prose"),
    ("```suggestion\nreturn x\n```", None),
    ("````suggestion\r\n```\r\nx\r\n```\r\n````", None),
    ("~~~ suggestion\nreturn x\n~~~", None),
    ("```suggestion:-0+2\n```", None),
    ("Thanks!\n```suggestion\n```\ncc @amy", None),
    ("The jenkins build failed.\n```suggestion\nreturn x\n```", None),
    ("> ```suggestion\n> return x\n> ```\n\nDone.", "polite"),
    ("> ```suggestion\n> return x\n> ```", "quote"),
    ("```suggestions\nx\n```", "code"),
    ("**[lint]** <sub>reported by [reviewdog](https://example.org) :dog:</sub><br>\n```suggestion\nx\n```", "machine"),
    ("Use a constant.\n\n<!-- This is an auto-generated comment by a service -->", "machine"),
    ("<!-- note to self -->This leaks the handle if `read` throws.", None),
    ("<!-- This leaks the handle. -->", "no_words"),
    ("<details>\n<summary>Why</summary>\nThe handle leaks here.\n</details>", None),
    ("`$3` -> `$3$`", None),
    ("This leaks the handle if `read` throws.", None),
    ("Needs Javadoc", None),
    ("Done, but the lock is still held while `flush` runs.", None),
    ("Thanks! Could you also handle the empty list?", None),
    ("nit: rename `x`", None),
    ("Why the empty line?", None),
])  # fmt: skip
def test_rules(body: str | None, reason: str | None) -> None:
    assert rejected(body) == reason
    assert reason is None or reason in REASONS


def test_what_a_bot_says_is_rejected_whatever_it_is() -> None:
    assert rejected("This leaks the handle if `read` throws.", is_bot=True) == "bot"
    assert rejected("This leaks the handle if `read` throws.", is_own=True) == "own"


def test_prose_is_what_its_author_wrote() -> None:
    body = "> quoted\n> text\n\nUse `x` **here**, see [docs](http://a.b/c).\n\n```py\ncode\n```\n\n    indented"
    comment = parts(body)
    assert comment.prose == "Use `x` here, see docs."
    assert comment.code == "code\n\nindented"
    assert comment.quoted > 0 and comment.links == 1 and comment.words == 4 and not comment.has_suggestion
    mail = "I will change it.\n\nOn Wed, Dec 31, 2014 Some Body <notifications@github.com>\nwrote:\n> old"
    assert "I will change it." in parts(mail).prose and "old" not in parts(mail).prose


def rows(*bodies: str, repos: tuple[int, ...] = ()) -> pl.DataFrame:
    start = datetime(2024, 1, 1)
    return pl.DataFrame(
        [
            {
                "comment_id": n,
                "repo_id": repos[n] if repos else 1,
                "body": body,
                "author_is_bot": False,
                "is_pr_author": False,
                "created_at": start + timedelta(hours=n),
            }
            for n, body in enumerate(bodies)
        ]
    )


@pytest.mark.slow
def test_comments_are_compared_with_exemplars_and_with_earlier_ones() -> None:
    leak = "The file handle leaks if parsing raises an exception; close it in a finally block."
    judge = CommentFilter(cached_encoder().encode).judge
    verdicts = judge(
        rows(
            leak,
            "Thank you all for the reviews, I will merge this tomorrow when I am back at my desk.",
            leak.replace("leaks", "leaks here"),
            leak,
            "LGTM",
            repos=(1, 1, 1, 2, 1),
        )
    )
    assert verdicts["reason"].to_list() == [None, "unlike_critique", "duplicate", None, "polite"]
    assert verdicts["duplicate_of"].to_list() == [None, None, 0, None, None], "another repository may say it again"
    assert verdicts["margin"].null_count() == 1
    lenient = CommentFilter(cached_encoder().encode, min_margin=-1.0, duplicate_cosine=1.1)
    assert lenient.judge(rows(leak, leak))["reason"].to_list() == [None, None]
    assert lenient.version != CommentFilter(cached_encoder().encode).version


@pytest.mark.parametrize("margin", [-1.0, 1.0])
def test_a_suggestion_is_criticism_and_its_code_decides_what_repeats(margin: float) -> None:
    def fence(code: str, words: str = "", marks: str = "```", newline: str = "\n") -> str:
        return newline.join((words, f"{marks}suggestion", *code.splitlines(), marks)).lstrip()

    bodies = [
        fence("a = 1", "Same here, thanks:"),
        fence("b = 2", "Same here, thanks:"),
        fence("    a = 1", "Another word on it.", "~~~~", "\r\n"),  # elsewhere in the file, by another client
        fence("", "Same here, thanks:"),
        fence("", "Not needed any more"),
        "Please write it so:\n```py\nb = 2\n```",
        "> " + fence("b = 2").replace("\n", "\n> ") + "\n\nWhy not `c`, as above?",
    ]

    def encode(texts: Sequence[str]) -> np.ndarray:  # all words that are not the same are at right angles
        return np.stack([np.eye(1_000)[zlib.crc32(text.encode()) % 1_000] for text in texts])

    verdicts = CommentFilter(encode, min_margin=margin).judge(rows(*bodies))
    reasons = verdicts["reason"].to_list()
    assert reasons[:5] == [None, None, "duplicate", None, None]
    assert reasons[5:] == (["duplicate", None] if margin < 0 else ["unlike_critique"] * 2)
    assert verdicts["duplicate_of"].to_list()[:6] == [None, None, 0, None, None, 1 if margin < 0 else None]
    everything = CommentFilter(encode, min_margin=-1, duplicate_cosine=1.01).judge(rows(bodies[0], bodies[0]))
    assert everything["reason"].null_count() == 2, "above 1, nothing repeats anything"


def test_a_duplicate_points_at_what_was_kept(monkeypatch: Any) -> None:
    from qc_assets.critique import filter as filtering

    monkeypatch.setattr(filtering, "_BLOCK", 2)  # so that blocks meet
    angles = np.array([0.0, 0.05, 1.0, 0.02, 1.02, 2.0, 0.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    groups = np.array([1, 1, 1, 1, 1, 1, 2])
    assert near_duplicates(vectors, groups, 0.99).tolist() == [-1, 0, -1, 0, 2, -1, -1]
    assert near_duplicates(vectors[:0], groups[:0], 0.99).tolist() == []
