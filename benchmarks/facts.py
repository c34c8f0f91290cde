"""What each group of facts of a change gains: `python -m benchmarks facts [FOLDER...]`, and a part of `real`.

Folds are ordered by time: fitted on what was known, tested on the next tenth of the openings, five times, and their
rows compared in pairs. The estimator is the mean of the blend's kinds with the spec's parameters. `facts` also reads
each folder as if its texts, which are those of the dump, had been there at the opening: an upper bound, as texts are
edited later, and never a reason to put a group into a model.
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.measure import isolated

if TYPE_CHECKING:
    from qc_assets.learning.dataset import Dataset
    from qc_assets.learning.spec import ModelSpec

FACTS = {
    "the files": (
        *("touches_tests", "documentation_only", "machine_made_share", "path_depth", "extensions"),
        *("files_prior_changes", "files_failed_share", "files_known_share"),
    ),
    "who is asked": ("reviewers_asked", "asked_changes_rate"),
    "the linked issue": ("closes_issues", "linked_issue_age_hours", "linked_issue_is_own"),
    "form and checklist": ("checklist_ticked_share", "form_kept"),
    "the author's load": ("author_open_prs", "author_opened_in_hour", "author_opened_in_day"),
    "the branches": ("base_share", "is_from_fork"),
}
FOLDS = 5
RESAMPLES = 1000


def tell_gains(spec: "ModelSpec", frame: pl.DataFrame) -> None:
    """Print what each group gains on the rows of a model, which have every column of its feature table.

    Args:
        spec: of probabilities; what it has of a group already is taken out first.
        frame: labelled rows.
    """
    from qc_assets.learning.metrics.bootstrap import paired_differences
    from qc_assets.learning.task import dataset_of, task_of

    every = {name for names in FACTS.values() for name in names}
    plain = replace(spec, features=tuple(name for name in spec.features if name not in every))
    task = task_of(spec)
    tested, y, without = _rolled(plain, dataset_of(plain, frame))
    if not len(tested):
        print("  facts of the change: no fold has both labels")
        return
    # Whoever gains must gain more than columns of nothing do.
    noise = np.random.default_rng(0).normal(size=(len(frame), 3))
    noisy = frame.with_columns(pl.Series(f"noise_{n}", noise[:, n]) for n in range(3))
    groups = FACTS | {"nothing (three columns of noise)": ("noise_0", "noise_1", "noise_2")}
    for group, names in groups.items():
        known = [name for name in names if noisy[name].is_not_null().any()]
        if not known:
            print(f"  by {group}: unknown here", flush=True)
            continue
        more = replace(plain, features=(*plain.features, *known))
        _, _, with_them = _rolled(more, dataset_of(more, noisy))
        gains = paired_differences(
            task.statistics(y, with_them),
            task.statistics(y, without),
            np.ones(len(y)),
            task.needs,
            resamples=RESAMPLES,
            seed=0,
        )
        share = np.mean([noisy[name].is_not_null().mean() for name in known])
        print(
            f"  by {group}: log loss {gains['log_loss']:+.4f}, ROC AUC {gains['roc_auc']:+.3f} "
            f"on {len(y):,} rows; {len(known)} columns, known for {share:.0%}",
            flush=True,
        )


def _rolled(spec: "ModelSpec", data: "Dataset") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows that were tested, their labels and probabilities, all folds together."""
    from qc_assets.learning.estimators import fit_classifier
    from qc_assets.learning.splits import time_folds

    (blend,) = (candidate for candidate in spec.candidates if candidate.kind == "blend")
    rows, answers = [], []
    labelled = np.flatnonzero(np.isfinite(data.y))
    for fit, test, _ in time_folds(data, labelled, spec.maturity, FOLDS):
        if len(np.unique(data.y[fit])) < 2:
            continue
        told = [
            fit_classifier(kind, parameters, data.x[fit], data.y[fit], np.ones(len(fit)), seed=0, threads=1).score(
                data.x[test]
            )
            for kind, parameters in blend.defaults.items()
        ]
        rows.append(test)
        answers.append(np.mean(told, axis=0))
    if not rows:
        return np.empty(0, int), np.empty(0), np.empty(0)
    tested = np.concatenate(rows)
    return tested, data.y[tested], np.concatenate(answers)


def judge_facts(name: str, path: str) -> None:
    """Print the gains on rows that `benchmarks.real` has kept."""
    from benchmarks.real import SPECS
    from qc_assets.learning.task import labelled

    tell_gains(SPECS[name], labelled(SPECS[name], pl.read_parquet(path)))


def _as_if_opened(folder: Path, copy: Path) -> None:
    """A copy of a data set whose final texts stand for those of the opening."""
    shutil.copytree(folder, copy)
    table = copy / "pull_requests.parquet"
    dump = pl.read_parquet(table)
    dump.with_columns(opened_title="title", opened_body="body").write_parquet(table)


def main() -> None:
    from benchmarks.real import HISTORIES, load_folder

    folders = [Path(name) for name in sys.argv[2:]] or [HISTORIES / name for name in ("wfa", "aidev_pop", "mathlib4")]
    folders = [folder for folder in folders if folder.is_dir()]
    if not folders:
        print(f"skipped: {HISTORIES} is not there")
        return
    with tempfile.TemporaryDirectory() as name:
        pooled: dict[str, list[str]] = {}
        for folder in folders:
            as_if = Path(name) / "as-if" / folder.name
            as_if.parent.mkdir(exist_ok=True)
            _as_if_opened(folder, as_if)
            for place, how in ((folder, "as it is"), (as_if, "as if the dump's texts were the opening's")):
                state = Path(name) / "state" / folder.name / how.replace(" ", "-")
                state.mkdir(parents=True)
                print(f"\n== {folder.name}, {how}", flush=True)
                spec, _, _ = isolated(load_folder, str(place), str(state))
                if spec:
                    pooled.setdefault(how, []).append(str(state / "rows.parquet"))
                    isolated(judge_facts, spec, pooled[how][-1])
        for how, files in pooled.items():
            if len(files) > 1:
                together = Path(name) / "together.parquet"
                pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed").write_parquet(together)
                print(f"\n== together, {how}", flush=True)
                isolated(judge_facts, "p0", str(together))
