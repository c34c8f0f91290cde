"""What monitoring says of each champion, as tables and as a page; the mathematics is in `measures.py`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qc_assets import pages
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.monitoring import champion_charts, expectations, measures, scoring
from qc_assets.monitoring.sound_versions import Answering, answering, bounding_bundle
from qc_assets.settings import Settings
from qc_assets.store.forge_records import reads_made_up
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry

_WEEKS = 26


@dataclass(frozen=True)
class Examined:
    """Monitoring of one champion.

    Attributes:
        version: who answered: the champion, or who stands in.
        holds, sentence: whether its predictions still hold, and the numbers.
        monitoring, drift, champion_challenger, expected_quality, live_reliability: rows of the tables of these names
            in `reports`.
        who: answers, and why it is not the champion, where that is broken.
    """

    model: str
    version: int
    holds: bool
    sentence: str
    monitoring: pl.DataFrame
    drift: pl.DataFrame
    champion_challenger: pl.DataFrame
    expected_quality: pl.DataFrame = field(default_factory=pl.DataFrame)
    live_reliability: pl.DataFrame = field(default_factory=pl.DataFrame)
    who: Answering = field(default_factory=lambda: Answering(None, None))


def examine_champion(settings: Settings, store: Warehouse, registry: "Registry", spec: ModelSpec) -> Examined | None:
    """Everything that monitoring says of one model, or None if it has no champion of the source's kind.

    Where the champion is broken, who stands in is examined, and that does not hold, whatever the numbers are.
    """
    made_up = reads_made_up(store, settings)
    who = answering(registry, spec, with_challenger=True)
    empty = pl.DataFrame()
    if who.champion is None:
        return None
    if who.version is None or who.version.bundle.is_synthetic != made_up:
        if not who.champions_trouble:
            return None
        return Examined(spec.name, who.champion, False, who.champions_trouble, empty, empty, empty, who=who)
    version, bundle = who.version.version, who.version.bundle
    challenger = who.challenger if who.challenger and who.challenger.bundle.is_synthetic == made_up else None
    names = {"model": pl.lit(spec.name), "version": pl.lit(version)}
    with store.at_one_time() as now:
        repositories = now.query("SELECT repo_id, name AS repo FROM raw.repositories")
        rows = model_rows(now, spec, is_synthetic=made_up, giver_share=settings.feedback_giver_share)
        first, last = _tested_on(now, spec, version)
        _, later = _tested_on(now, spec, challenger.version) if challenger is not None else (None, None)
    rows = rows.join(repositories, on="repo_id", how="left")
    bounding = bounding_bundle(registry, spec, is_synthetic=made_up)
    if first is None or last is None:
        untested = f"nothing says what version {version} was tested on: train it anew"
        return Examined(spec.name, version, False, "; ".join([*who.troubles, untested]), empty, empty, empty, who=who)
    live = _live(spec, bundle, rows, first, last, bounding)
    sampling = {"resamples": settings.bootstrap_resamples, "seed": settings.seed}
    holds, sentence = measures.verdict(spec, live, **sampling)
    holds, sentence = holds and not who.champions_trouble, "; ".join([*who.troubles, sentence])
    pairs = pl.DataFrame()
    if challenger is not None and later is not None:
        since = max(last, later) + timedelta(microseconds=1)
        ours, theirs = (_live(spec, either, rows, since, last, bounding) for either in (bundle, challenger.bundle))
        pairs = pl.DataFrame(
            measures.compare_live(spec, ours, theirs, **sampling), infer_schema_length=None
        ).with_columns(model=pl.lit(spec.name), champion=pl.lit(version), challenger=pl.lit(challenger.version))
    drift = champion_drift(spec, bundle, rows, first, last)
    # A frame without rows would be given one by the names.
    weeks, drift, quality, reliability = (
        frame.with_columns(**names) if len(frame) else frame
        for frame in (
            measures.by_week(spec, live),
            drift,
            expectations.expected_quality(spec, live, **sampling),
            expectations.live_reliability(spec, live, **sampling),
        )
    )
    return Examined(spec.name, version, holds, sentence, weeks, drift, pairs, quality, reliability, who=who)


def _tested_on(store: Warehouse, spec: ModelSpec, version: int) -> tuple[datetime | None, datetime | None]:
    """When the first and the last item was opened that a version was judged on; None if the warehouse does not know."""
    window = store.sql_file("ml/predictions", {"model": spec.name, "version": version}, section="tested_on")
    first, last = window.row(0)
    return first, last


def _live(
    spec: ModelSpec,
    bundle: "Bundle",
    rows: pl.DataFrame,
    since: datetime,
    tested_until: datetime,
    bounding: "Bundle | None",
) -> measures.Live:
    """What a version says of every item opened since some moment that it was not fitted to.

    Of every item, not only of those that were open when scoring ran: what stays open for long is met more often,
    and judging by it would make every champion look too hopeful. Features are those of the opening, so a version
    says now what it would have said then.
    """
    is_test = pl.col(spec.opened_at) <= tested_until
    items = rows.filter(pl.col(spec.opened_at) >= since)
    # What was judged answers for the window that it was judged on: what is served has learnt from it.
    judged = bundle.as_judged, bounding and bounding.as_judged
    parts = [(items.filter(is_test), *judged, True), (items.filter(~is_test), bundle, bounding, False)]
    chosen = pl.concat([part for part, *_ in parts])
    scored = pl.concat(
        [
            scoring.score_rows(spec, version, part, bound).with_columns(is_test=pl.lit(is_tested))
            for part, version, bound, is_tested in parts
        ]
    )
    return measures.beside_outcomes(spec, scored, chosen, bundle.context)


def champion_drift(
    spec: ModelSpec, bundle: "Bundle", rows: pl.DataFrame, first: datetime, last: datetime
) -> pl.DataFrame:
    """The last 28 days' inputs and answers against those of the test window, on which the champion proved itself.

    Histories grow for as long as they are watched, so the train window would differ always. What had seen neither
    answers for both: what is served has learnt from the one, and is another estimator, which would look like a move.
    """
    opened = pl.col(spec.opened_at)
    before = rows.filter(opened.is_between(first, last))
    now = rows.filter(opened > opened.max() - measures.RECENT)
    names, reference = task_of(spec).drift_inputs(spec, before)
    inputs = reference, task_of(spec).drift_inputs(spec, now)[1]
    answers = (scoring.score_rows(spec, bundle.as_judged, part)["prediction"].to_numpy() for part in (before, now))
    both = (np.column_stack([part, answer]) for part, answer in zip(inputs, answers, strict=True))
    return measures.drift([*names, measures.ANSWERS], *both)


def monitoring_page(examinations: Sequence[Examined], *, is_synthetic: bool) -> str:
    """One self-contained HTML page about all champions."""
    return pages.render(
        "monitoring.html",
        models=[
            {
                "examined": examination,
                "weeks": pages.html_table(examination.monitoring.drop("model", "version", strict=False).tail(_WEEKS)),
                "drift": pages.html_table(examination.drift.drop("model", "version", strict=False)),
                "quality": pages.html_table(examination.expected_quality.drop("model", "version", strict=False)),
                "reliability": pages.html_table(examination.live_reliability.drop("model", "version", strict=False)),
                "live": pages.html_table(examination.champion_challenger),
                "by_week": champion_charts.weeks_chart(examination.monitoring.to_dicts()),
                "parts": champion_charts.charts_of_parts(examination.live_reliability.to_dicts()),
                "moved": champion_charts.drift_chart(examination.drift.to_dicts()),
            }
            for examination in examinations
        ],
        is_synthetic=is_synthetic,
    )
