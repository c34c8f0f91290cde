"""The three steps of a batch: filter its comments, summarize their discussions, find their code."""

import functools
from collections import Counter

import polars as pl

from qc_assets.critique.batches import Done, Result, comments, step
from qc_assets.critique.filter import CommentFilter
from qc_assets.critique.final_diffs import FinalDiffError, FinalDiffs, Pull, unread
from qc_assets.critique.hunks import DiffError, FinalChange, hunk
from qc_assets.critique.summarize import Method, summaries
from qc_assets.critique.threads import threads
from qc_assets.settings import Settings
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.warehouse import Warehouse

_DIFFS_VERSION = 1  # raise it when other code would be shown


def filter_batch(
    store: Warehouse, batch: str, judge: CommentFilter, settings: Settings, *, again: bool = False
) -> Result:
    """Decide on every comment of a batch."""
    rows = comments(store, batch, settings.critique_prs)

    def work() -> Done:
        judged = judge.judge(rows)
        thread_ids = {
            remark.comment_id: discussion.thread_id for discussion in threads(rows) for remark in discussion.remarks
        }
        frame = rows.select("comment_id", "repo_id", "number").join(judged, on="comment_id", maintain_order="left")
        frame = frame.with_columns(
            thread_id=pl.Series([thread_ids[comment_id] for comment_id in frame["comment_id"]], dtype=pl.Int64),
            version=pl.lit(judge.version),
        )
        return Done(frame, Counter(reason or "kept" for reason in judged["reason"]))

    return step(store, batch, "filtered", rows, judge.version, work, again=again)


def summarize_batch(store: Warehouse, batch: str, method: Method, settings: Settings, *, again: bool = False) -> Result:
    """Summarize every discussion of a batch in which a comment is kept."""
    rows, kept_comments, version = _filtered(store, batch, settings)
    thread_ids = set(kept_comments["thread_id"])

    def work() -> Done:
        discussions = [discussion for discussion in threads(rows) if discussion.thread_id in thread_ids]
        names = dict(rows.select("repo_id", "repo").unique().iter_rows())
        return summaries(discussions, method, names)

    return step(store, batch, "summaries", rows, f"{version} {method.version}", work, again=again)


def diffs_batch(
    store: Warehouse, batch: str, final_diff: FinalDiffs, settings: Settings, *, again: bool = False
) -> Result:
    """Find the code of every comment that is kept, and whether its author changed it afterwards."""
    rows, kept_comments, version = _filtered(store, batch, settings)
    sizes = {"most_lines": settings.critique_lines, "most_characters": settings.critique_characters}

    def work() -> Done:
        failures: list[DeadLetter] = []

        @functools.cache
        def final(pull: Pull) -> FinalChange | None:
            try:
                text = final_diff(pull)
                return None if text is None else FinalChange(text)
            except FinalDiffError as error:
                failures.append(error.failure)
            except DiffError as error:
                failures.append(unread(pull, str(error), str(error.__cause__)))
            return None

        code_rows = []
        for row in rows.join(kept_comments.select("comment_id"), on="comment_id", how="semi").iter_rows(named=True):
            place = {name: row[name] for name in ("comment_id", "repo_id", "number", "path")}
            try:
                part = hunk(row["path"], row["diff_hunk"], **sizes)
            except DiffError as error:
                code_rows.append(place | {"reason": str(error)})
                continue
            change = final(Pull(row["repo_id"], row["repo"], row["number"], row["pr_updated_at"]))
            code_rows.append(
                place
                | {
                    "section": part.section,
                    "hunk": part.text,
                    "line": part.commented.number,
                    "changed_afterwards": None if change is None else change.lacks(part),
                }
            )
        numbers = dict.fromkeys(("comment_id", "repo_id", "number", "line"), pl.Int64)
        texts = dict.fromkeys(("path", "section", "hunk", "reason"), pl.String)
        frame = pl.DataFrame(code_rows, schema=numbers | texts | {"changed_afterwards": pl.Boolean})
        counts = Counter(str(row.get("reason") or "code") for row in code_rows)
        counts |= Counter(
            {
                "changed_afterwards": int(frame["changed_afterwards"].sum()),
                "unknown": frame["changed_afterwards"].null_count(),
            }
        )
        return Done(frame, counts, failures)

    return step(store, batch, "diffs", rows, f"{version} {_DIFFS_VERSION} {sizes}", work, again=again)


def _filtered(store: Warehouse, batch: str, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """Comments of a batch, those of them that are kept, and an identity of that decision."""
    rows = comments(store, batch, settings.critique_prs)
    kept_comments = store.sql_file("critique/filtered", {"batch": batch}, section="kept")
    versions = sorted(kept_comments["version"].unique().to_list())
    return rows, kept_comments, f"{len(kept_comments)} {versions}"
