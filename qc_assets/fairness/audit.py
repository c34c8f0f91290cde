"""The bias report of one version of a model and one attribute."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qc_assets.fairness import figures, trade_offs
from qc_assets.fairness.analyzer import BiasAnalyzer
from qc_assets.fairness.findings import BiasAnalysis
from qc_assets.fairness.slicer import OVERLAPPING, DataSlicer
from qc_assets.fairness.subject import AFTERWARDS, Subject
from qc_assets.learning.dataset import matrix
from qc_assets.learning.task import task_of
from qc_assets.progress import Reporter, unheard
from qc_assets.store.inserts import put
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.settings import Settings

_AFTERWARDS_NOTE = (
    "These groups are made by how long the item took, which nobody knew when it was predicted: their errors differ "
    "by construction, so none is flagged."
)
# Facts about authors, whoever they are, and repositories; without them a model knows the change alone.
_NOT_OF_THE_CHANGE = ("author_", "repo_", "origin")
_SMALL = {
    "n_estimators": 150,
    "learning_rate": 0.05,
    "num_leaves": 5,
    "min_child_samples": 60,
    "reg_lambda": 10.0,
    "colsample_bytree": 0.6,
}


@dataclass(frozen=True)
class Audit:
    """What a bias report says.

    Attributes:
        analysis: are the model's predictions as right for each group as for everybody?
        alike: are like changes treated alike? Outcomes against what size, kind, text and time of the change alone
            would let one expect; None for categories, overlapping groups, and groups made by the outcome.
        mitigations: see `trade_offs.try_mitigations`; None where groups overlap or were not known at the opening, or
            the estimator takes minutes to fit.
        without_mitigation: why there are none; empty if there are.
    """

    model: str
    version: int
    attribute: str
    is_synthetic: bool
    analysis: BiasAnalysis
    alike: BiasAnalysis | None
    mitigations: pl.DataFrame | None
    without_mitigation: str = ""

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """``gaps``, ``like changes`` and ``trade-off`` as PNGs, as far as there is something to draw."""
        drawings = figures.of_analysis(self.analysis)
        if self.alike is not None:
            metric = self.alike.kind.leading
            drawn = figures.gaps(self.alike, metric, f"Like changes: {metric.replace('_', ' ')}")
            drawings |= {"like changes": drawn} if drawn else {}
        drawn = None if self.mitigations is None else figures.trade_off(self.mitigations)
        return drawings | ({"trade-off": drawn} if drawn else {})


def audit_groups(
    subject: Subject,
    attribute: str,
    settings: "Settings",
    *,
    with_mitigations: bool = True,
    progress: Reporter = unheard,
) -> Audit:
    """Compare the groups of an attribute on a version's test window.

    Args:
        subject: the version.
        attribute: one of `qc_assets.fairness.ATTRIBUTES`.
        settings: thresholds and seed.
        with_mitigations: also fit and judge the mitigations, which takes most of the time.
        progress: told how far it is.

    Raises:
        FairnessError: if the groups cannot be made, or there are no rows whose label is known.
    """
    analyzer = BiasAnalyzer(
        settings.bias_threshold,
        min_support=settings.bias_min_support,
        significance=settings.bias_significance,
        resamples=settings.bootstrap_resamples,
        seed=settings.seed,
    )
    late = attribute in AFTERWARDS
    task = task_of(subject.spec)

    def compare(frame: pl.DataFrame) -> BiasAnalysis:
        return analyzer.compare_slices(
            DataSlicer(frame).slice_by(attribute),
            "y_true",
            "y_pred",
            kind=task.groups_as,
            weights="weight" if task.unended_is_a_label else None,
            units="unit",
            attribute=attribute,
            judge=not late,
            note=_AFTERWARDS_NOTE if late else "",
        )

    title = f"bias of {subject.spec.name} by {attribute.replace('_', ' ')}"
    progress(f"{title}: comparing groups", 0, 0)
    analysis = compare(subject.tested())
    alike, tried, why_not = None, None, ""
    if attribute in OVERLAPPING or late:
        why_not = "items are in several groups at once" if attribute in OVERLAPPING else "the groups are not known yet"
    elif not subject.can_refit:
        why_not = "this version does not say how it was fitted: train anew"
    else:
        if not task.reads_texts:
            progress(f"{title}: are like changes treated alike?", 0, 0)
            expected = _of_the_change(subject, settings.seed)
            alike = None if expected is None else compare(subject.measured(expected))
        supported = analysis.counts.filter(pl.col("rows") >= settings.bias_min_support).height
        if supported < 2:
            why_not = f"fewer than two groups have {settings.bias_min_support} rows"
        elif _is_slow(subject):
            why_not = f"{subject.bundle.fitted['kind']} takes minutes to fit"
        elif with_mitigations:
            members = DataSlicer(subject.frame, include_bots=True).members(attribute)
            groups = np.empty(len(subject.frame), dtype=object)
            for name, rows in members.items():
                groups[rows] = name
            tried = trade_offs.try_mitigations(
                subject,
                groups.astype(str),
                min_support=settings.bias_min_support,
                seed=settings.seed,
                progress=lambda what, done, total: progress(f"{title}: {what}", done, total),
            )
    return Audit(subject.spec.name, subject.version, attribute, subject.is_synthetic, analysis, alike, tried, why_not)


def record_audits(store: Warehouse, audits: Sequence[Audit]) -> None:
    """Put audits into reports.bias and reports.bias_mitigation; earlier ones of the same version are replaced."""
    with store.write() as connection:
        for audit in audits:
            key = {"model": audit.model, "version": audit.version, "attribute": audit.attribute}
            weights = audit.analysis.counts.select("group", "weight")
            questions = {"predictions": audit.analysis, "like_changes": audit.alike}
            frames = {
                "reports.bias": pl.concat(
                    analysis.telling.join(weights, on="group", how="left").with_columns(question=pl.lit(name))
                    for name, analysis in questions.items()
                    if analysis is not None
                ),
                "reports.bias_mitigation": audit.mitigations,
            }
            for table, frame in frames.items():
                connection.execute(
                    f"DELETE FROM {table} WHERE model = $model AND version = $version AND attribute = $attribute", key
                )
                if frame is not None and len(frame):
                    put(connection, table, frame, key)


def _is_slow(subject: Subject) -> bool:
    slow = {candidate.kind for candidate in subject.spec.candidates if candidate.is_slow}
    return subject.bundle.fitted["kind"] in slow


def _of_the_change(subject: Subject, seed: int) -> np.ndarray | None:
    """Answers for the test window by a model that knows neither author nor repository, nor any history of theirs."""
    spec, task = subject.spec, task_of(subject.spec)
    names = [name for name in spec.features if not name.startswith(_NOT_OF_THE_CHANGE)]
    if not names:
        return None
    x, windows, known = matrix(subject.frame, names, spec.categories), subject.windows, subject.known
    estimator = task.fit("lightgbm", _SMALL, x[windows["train"]], known["train"], seed=seed, threads=None)
    scores = estimator.score(x)
    calibrator = task.calibrate(scores[windows["calibration"]], known["calibration"], subject.bundle.context)
    return calibrator(scores[windows["test"]])
