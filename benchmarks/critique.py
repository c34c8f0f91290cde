"""Comment mining: 100,000 comments through filter, extractive summaries, diffs and export, as `qc critique` runs them.

Limits on 2 cores: 20 minutes with nothing embedded before, 2 minutes with all of it cached, 4 GiB.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.measure import verdict

SHARED = Path(__file__).resolve().parents[2] / "shared"
LABELLED = SHARED / "benchmarks" / "review_comments_esem23.csv"
VALID = SHARED / "histories" / "aacr_bench" / "labelled_comments.parquet"
N = 100_000
REPOS, PRS, PER_PR = 400, 50, 5
_SUBJECTS = ("The {a} of `{b}`", "This {a}", "Your {a} for `{b}`", "`{b}`, the {a},", "Each {a} in `{b}`")
_TROUBLES = (
    "leaks when {c} fails", "is read before {c} has written it", "should be named for the {c}", "repeats what {c} does",
    "is off by one for an empty {c}", "needs a test with a broken {c}", "blocks while the {c} is being flushed",
    "says nothing about the unit of {c}", "can be taken from the {c} instead", "swallows the error of {c}",
)  # fmt: skip
_ADVICE = (
    "Please move it up.", "Could you use the {d} helper?", "I would split it into two.", "See how `{d}` does that.",
    "An early return would do.", "What if `{d}` is None?", "A line in the docs on {d}, please.", "",
)  # fmt: skip


def fill(path: Path, staging: Path) -> None:
    """A warehouse with N comments, hardly any of them alike; a third are answers of the author."""
    import polars as pl

    from qc_assets.store.warehouse import Warehouse

    rng = np.random.default_rng(5)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, rng.integers(4, 10))) for _ in range(4_000)]

    def body(n: int) -> str:
        if n % 3 == 2:
            return ("Done, thanks!", "Good point, I changed the {a} in the last commit.", "I would rather keep {a}.")[
                int(rng.integers(3))
            ].format(a=words[int(rng.integers(4_000))])
        names = dict(zip("abcd", (words[k] for k in rng.integers(0, 4_000, 4)), strict=True))
        parts = (_SUBJECTS[int(rng.integers(5))], _TROUBLES[int(rng.integers(10))], _ADVICE[int(rng.integers(8))])
        return f"{parts[0]} {parts[1]}. {parts[2]}".format(**names).strip()

    index = np.arange(N)
    lines = "\n".join(f" line_{n} = {n}" for n in range(30))
    comments = pl.DataFrame(
        {
            "comment_id": index + 1,
            "repo_id": index // (PRS * PER_PR) + 1,
            "number": index // PER_PR % PRS + 1,
            "body": [body(int(n)) for n in index],
        }
    ).with_columns(
        in_reply_to_id=pl.when(index % 3 == 2).then(pl.col("comment_id") - 1),
        author_id=pl.when(index % 3 == 2).then(1).otherwise(2),
        author_is_bot=False,
        path=pl.format("src/module_{}.py", pl.col("comment_id") % 50),
        diff_hunk=pl.format("@@ -1,31 +1,31 @@ def read():\n" + lines + "\n+    done = {}", pl.col("comment_id")),
        created_at=pl.datetime(2024, 1, 1) + pl.duration(minutes=pl.col("comment_id")),
    )
    prs = comments.select("repo_id", "number").unique().with_columns(author_id=1, created_at=pl.datetime(2024, 1, 1))
    repos = comments.select("repo_id").unique().with_columns(name=pl.format("o/r{}", "repo_id"))
    seen = {"source": "gharchive", "observed_at": comments["created_at"].max()}
    seen |= {"partition_date": comments["created_at"].max().date()}  # type: ignore[union-attr]
    with Warehouse(path, staging=staging).write() as connection:
        for table, frame in (("review_comments", comments), ("pull_requests", prs), ("repositories", repos)):
            rows = frame.with_columns(**{name: pl.lit(value) for name, value in seen.items()})
            connection.register("comments", rows.to_arrow())
            connection.execute(f"INSERT INTO raw.{table} BY NAME FROM comments")


def mine_in_processes(environment: dict[str, str]) -> tuple[float, float, str]:
    """Seconds, peak memory of all processes together in MiB, and the last line of a run of `qc critique`."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "qc_assets.cli", "critique"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    peak = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        parent = psutil.Process(process.pid)
        while not done.wait(0.5):
            used = 0
            for child in [parent, *parent.children(recursive=True)]:
                try:
                    used += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, used / 2**20)

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(output)
    return time.perf_counter() - started, peak, output.strip().splitlines()[-1]


@dataclass(frozen=True)
class Judged:
    """Comments that people judged.

    Attributes:
        name: whose they are.
        texts: the comments.
        useful: what people said, (n,) bool.
        groups: what a classifier must not have seen of the tested ones: changes of one project, or repositories.
    """

    name: str
    texts: list[str]
    useful: np.ndarray
    groups: np.ndarray

    def filtered(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the rules let through, what the filter keeps, and its margin, -1 where a rule decided; (n,) each."""
        import polars as pl

        from qc_assets.critique import rules
        from qc_assets.critique.filter import CommentFilter
        from qc_assets.learning.text.embeddings import cached_encoder

        rows = pl.DataFrame({"body": self.texts}).with_row_index("comment_id")
        rows = rows.with_columns(repo_id=0, author_is_bot=False, is_pr_author=False)
        rows = rows.with_columns(created_at=pl.datetime(2024, 1, 1) + pl.duration(seconds="comment_id"))
        judged = CommentFilter(cached_encoder().encode, duplicate_cosine=1.01).judge(rows).sort("comment_id")
        passed = np.array([rules.rejected(text) is None for text in self.texts])
        return passed, judged["reason"].is_null().to_numpy(), judged["margin"].fill_null(-1.0).to_numpy()

    def told_by_text(self) -> np.ndarray:
        """Probability of being useful by a classifier of words and embeddings that saw other groups only, (n,)."""
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GroupKFold

        from qc_assets.learning.text.embeddings import cached_encoder

        embedded = sparse.csr_matrix(cached_encoder().encode(self.texts))
        p = np.empty(len(self.useful))
        for fit, test in GroupKFold(10, shuffle=True, random_state=0).split(p, groups=self.groups):
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
            words.fit([self.texts[row] for row in fit])
            x = sparse.hstack([embedded, words.transform(self.texts)], format="csr")
            p[test] = LogisticRegression(solver="liblinear").fit(x[fit], self.useful[fit]).predict_proba(x[test])[:, 1]
        return p


def judged_by_people() -> Iterator[Judged]:
    """The labelled comments that are there: of OpenStack (Turzo et al., 2023), and of aacr_bench's 50 repositories."""
    import polars as pl

    if LABELLED.is_file():
        frame = pl.read_csv(LABELLED).filter(pl.col("message").is_not_null())
        wrong, praise = frame["comment_group"] == "FALSE POSITIVE", frame["category"].str.contains("(?i)praise")
        for name, useless in (("no false positive, no praise", wrong | praise), ("no false positive", wrong)):
            groups = frame["change_id"].to_numpy()
            yield Judged(f"OpenStack, {name}", frame["message"].to_list(), (~useless).to_numpy(), groups)
    if VALID.is_file():
        frame = pl.read_parquet(VALID).with_columns(repo=pl.col("pr").str.extract("([^/]+/[^/]+)/pull"))
        for name, kind in (
            ("valid, by people", ~pl.col("is_ai_comment")),
            ("valid, by models", pl.col("is_ai_comment")),
        ):
            part = frame.filter(kind)
            groups = part["repo"].to_numpy()
            yield Judged(f"aacr_bench, {name}", part["comment"].to_list(), part["is_valid"].to_numpy(), groups)


def usefulness() -> dict[str, tuple[float, float]] | None:
    """How well the filter agrees with people on which comments of OpenStack are useful.

    Returns:
        Precision and recall of keeping all of them, what the rules let through, and what the filter keeps, if false
        positives and praise are not useful and all others are; None if the labelled comments are not there.
    """
    if not LABELLED.is_file():
        return None
    judged = next(judged_by_people())
    useful = judged.useful
    passed, kept, _ = judged.filtered()
    choices = {"all": np.ones_like(useful), "rules": passed, "filter": kept}
    return {name: (float(useful[k].mean()), float((k & useful).sum() / useful.sum())) for name, k in choices.items()}


def print_judgement(judged: Judged) -> None:
    """Precision, recall and AUC of the filter, and the AUC of what a classifier makes of the text, with intervals."""
    from qc_assets.learning.metrics.bootstrap import evaluate
    from qc_assets.learning.metrics.probability_metrics import WeightedMetrics

    _, kept, margin = judged.filtered()
    y, text = judged.useful.astype(float), judged.told_by_text()

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        both, keeps = weights @ (kept * y), weights @ kept.astype(float)
        return {
            "useful": weights @ y / weights.sum(axis=1),
            "precision": both / keeps,
            "recall": both / (weights @ y),
            "AUC of the filter": WeightedMetrics(y, margin)(weights)["roc_auc"],
            "AUC of a classifier": WeightedMetrics(y, text)(weights)["roc_auc"],
        }

    needs = dict.fromkeys(statistics(np.ones((1, len(y)))), "comments of both kinds")
    figures = evaluate(statistics, statistics, np.ones(len(y)), needs, resamples=500, seed=0)
    told = ", ".join(f"{name} {figure:.3f}" for name, figure in figures.items())
    print(f"{judged.name}: {len(y):,} comments, {told}", flush=True)


def main() -> None:
    from qc_assets.learning.text.embeddings import configure_embeddings
    from qc_assets.settings import load_settings

    settings = load_settings()
    configure_embeddings(settings.encoder, settings.embeddings_cache)
    for path in (LABELLED, VALID):
        if not path.is_file():
            print(f"skipped: {path} is not there")
    for judged in judged_by_people():
        print_judgement(judged)
    with tempfile.TemporaryDirectory() as state:
        folder = Path(state)
        fill(folder / "qc.duckdb", folder / "staging")
        environment: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
        environment |= {"QC_HOME": str(folder / "home"), "QC_WAREHOUSE": str(folder / "qc.duckdb")}
        environment |= {"QC_SOURCE": "gharchive", "QC_BATCH_SIZE": "40"}
        for name, limit in (("nothing cached", 1_200), ("embeddings cached", 120)):
            seconds, peak, last = mine_in_processes(environment)
            print(f"{N:,} comments, {name}: {seconds:.0f} s, peak {peak:.0f} MiB in all processes ({last})", flush=True)
            print(verdict(seconds / limit, 1.0, f"seconds / {limit} s"))
            print(verdict(peak / 4_096, 1.0, "peak / 4 GiB"), flush=True)
            forget(folder)


def forget(folder: Path) -> None:
    """Everything is to be done again, but for what is embedded."""
    import duckdb

    with duckdb.connect(str(folder / "qc.duckdb")) as connection:
        for table in ("log", "filtered", "summaries", "diffs"):
            connection.execute(f"DELETE FROM critique.{table}")
