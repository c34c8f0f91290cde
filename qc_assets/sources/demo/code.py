"""The code that the synthetic review comments are on: hunks, what their authors changed afterwards, and answers.

Everything here is drawn by a generator of its own, so that the rest of a world does not depend on it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.sources.demo.comments import NAMES

# How often an author changes the line that a comment of each category is on.
CHANGED = {
    "functional": 0.75,
    "refactoring": 0.6,
    "documentation": 0.65,
    "discussion": 0.2,
    "false_positive": 0.05,
}
_ANSWERED = 0.35
_ANSWERED_AGAIN = 0.2
_HOUR = 3600.0
_DONE = ("Done in the latest commit.", "Good point, changed.", "Fixed, thanks!", "You are right, I have changed it.")
_KEPT = (
    "I would rather keep it, two other modules rely on this.",
    "The caller checks that already, so it cannot happen here.",
    "Let us do that in a follow-up, this change is long enough.",
    "That is on purpose: the old clients still send it.",
)
_THANKS = ("Makes sense, thanks.", "Fine with me.", "I see, thank you.")
# One comment in thirty is on a file that nobody writes by hand.
_MACHINE_MADE = ("poetry.lock", "vendor/parser/lexer.py", "api/service_pb2.py", "web/app.min.js")
_HEAD = "@@ -{},3 +{},4 @@ def {}({}):\n     {} = load({})\n-    return {}({})\n+    with {}(limit={}) as {}:\n"


@dataclass(frozen=True)
class Reviewed:
    """Comments with their code.

    Attributes:
        comments: those that were given with path and diff_hunk; then the answers to them, with in_reply_to_id.
        diffs: item, diff: the last unified diff of each pull request with comments.
        changed: comment_id, changed: whether the author changed the line; not for answers.
    """

    comments: pl.DataFrame
    diffs: pl.DataFrame
    changed: pl.DataFrame


def review(seed: int, comments: pl.DataFrame, authors: np.ndarray, is_bot: np.ndarray) -> Reviewed:
    """Put code under comments, let authors change it or not, and answer.

    Args:
        seed: of the draws.
        comments: comment_id (from 1), review_id, item, user, time, body, category, path; by time.
        authors: user of each pull request, by item.
        is_bot: by user; bots do not answer.
    """
    rng = np.random.default_rng([seed, 7])
    n = comments.height
    changed = rng.random(n) < comments["category"].replace_strict(CHANGED, return_dtype=pl.Float64).to_numpy()
    machine = rng.choice(_MACHINE_MADE, n)
    path = np.where(rng.random(n) < 1 / 30, machine, comments["path"].to_numpy())
    names = {f"name_{k}": pl.Series(rng.choice(NAMES, n)) for k in range(4)}
    placed = comments.with_columns(
        path=pl.Series(path.tolist(), dtype=pl.String), changed=pl.Series(changed), **names
    ).with_columns(line=1 + 40 * pl.int_range(pl.len()).over("item", "path"))
    # The limit is the comment's number, so that no line is like another.
    head = pl.format(
        _HEAD,
        *("line", "line", "name_0", "name_1", "name_1", "name_2", "name_3", "name_1", "name_0", "comment_id", "name_2"),
    )
    commented = pl.format("+        {}.update({}, {})\n", "name_2", "name_1", "comment_id")
    better = pl.format("+        {}.replace({}, {}, check=True)\n", "name_2", "name_1", "comment_id")
    last = pl.format(" def after_{}():\n", "comment_id")
    placed = placed.with_columns(
        diff_hunk=pl.concat_str(head, commented).str.strip_chars_end("\n"),
        final=pl.concat_str(head, pl.when("changed").then(better).otherwise(commented), last),
    )
    header = pl.format("diff --git a/{} b/{}\n--- a/{}\n+++ b/{}\n", *["path"] * 4)
    files = placed.group_by("item", "path", maintain_order=True).agg(pl.col("final").str.join(""))
    diffs = files.with_columns(file=pl.concat_str(header, "final")).group_by("item", maintain_order=True)
    first_comments = placed.select(*comments.columns, "diff_hunk", in_reply_to_id=pl.lit(None, pl.Int64))
    return Reviewed(
        pl.concat([first_comments, _answers(rng, placed, authors, is_bot).select(first_comments.columns)]),
        diffs.agg(diff=pl.col("file").str.join("")),
        placed.select("comment_id", "changed"),
    )


def _answers(rng: np.random.Generator, placed: pl.DataFrame, authors: np.ndarray, is_bot: np.ndarray) -> pl.DataFrame:
    """Answers of the pull request's author, and now and then one more of the reviewer."""
    item, user = placed["item"].to_numpy(), placed["user"].to_numpy()
    answers = (rng.random(placed.height) < _ANSWERED) & (user != authors[item]) & ~is_bot[authors[item]]
    answered = np.flatnonzero(answers)
    changed = placed["changed"].to_numpy()[answered]
    answer = np.where(changed, rng.choice(_DONE, len(answered)), rng.choice(_KEPT, len(answered)))
    at = placed["time"].to_numpy()[answered] + rng.exponential(6 * _HOUR, len(answered))
    answered_again = np.flatnonzero(rng.random(len(answered)) < _ANSWERED_AGAIN)
    thanks = rng.choice(_THANKS, len(answered_again))
    rows = np.concatenate([answered, answered[answered_again]])
    return (
        placed[rows]
        .with_columns(
            in_reply_to_id=pl.col("comment_id").cast(pl.Int64),
            user=np.concatenate([authors[item[answered]], user[answered[answered_again]]]),
            body=pl.Series([*answer.tolist(), *thanks.tolist()], dtype=pl.String),
            time=np.concatenate([at, at[answered_again] + rng.exponential(3 * _HOUR, len(answered_again))]),
        )
        .sort("time", maintain_order=True)
        .with_columns(comment_id=(placed.height + 1 + pl.int_range(pl.len())).cast(placed.schema["comment_id"]))
    )
