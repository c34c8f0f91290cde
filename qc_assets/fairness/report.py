"""BiasReport: text for a terminal, and one HTML page that can be printed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup

from qc_assets import pages
from qc_assets.errors import FairnessError
from qc_assets.fairness import figures
from qc_assets.fairness.audit import Audit
from qc_assets.fairness.findings import FLAGGED, NO_GAP, BiasAnalysis
from qc_assets.files import write_whole
from qc_assets.terminal_text import FORMULA

# What a gap in each judged metric means.
_MEANING = {
    "observed_rate": "{value:.1%} came true where {expected:.1%} was predicted",
    "brier": "Brier score {value:.3f} where {expected:.3f} was expected",
    "roc_auc": "ROC AUC {value:.3f} where {expected:.3f} was expected",
    "mae": "mean absolute error {value:.3f} where all rows have {expected:.3f}",
    "mean_error": "mean error {value:+.3f} where all rows have {expected:+.3f}",
}
_MOST_NAMED = 12


class BiasReport:
    """Bias analyses for people."""

    @staticmethod
    def generate_text_report(analysis: BiasAnalysis) -> str:
        """An analysis as lines of text: flags, what could hide, groups too small, sizes and weights."""
        return "\n".join([*_headline(analysis), *_verdict(analysis), *_groups(analysis)])

    @staticmethod
    def generate_audit_report(audit: Audit) -> str:
        """The report of a model and attribute as lines of text."""
        synthetic = ["Synthetic data: this says nothing about any real project."] if audit.is_synthetic else []
        lines = [f"{audit.model} version {audit.version} by {audit.attribute}", *synthetic]
        lines += ["", *_headline(audit.analysis), *_verdict(audit.analysis)]
        if audit.alike is not None:
            lines += ["", "Like changes (same size, kind, text and time; author and repository unknown):"]
            lines += _alike(audit)
        lines += ["", "What would help, on the test window:", *_mitigations(audit)]
        return "\n".join([*lines, "", *_groups(audit.analysis)])

    @staticmethod
    def save_report(analysis: BiasAnalysis | Audit | Sequence[Audit], path: str | Path) -> Path:
        """Write a report, whole or not at all: ``.html`` a page, ``.txt`` or ``.md`` text, ``.csv`` the findings.

        Raises:
            FairnessError: for any other ending, or if the folder does not exist.
        """
        target = Path(path)
        audits = [analysis] if isinstance(analysis, Audit) else analysis
        if target.suffix == ".html":
            content = _page_of(audits) if isinstance(audits, BiasAnalysis) else bias_page(audits)
        elif target.suffix in (".txt", ".md"):
            content = (
                BiasReport.generate_text_report(audits)
                if isinstance(audits, BiasAnalysis)
                else "\n\n\n".join(map(BiasReport.generate_audit_report, audits))
            )
        elif target.suffix == ".csv":
            parts = [audits] if isinstance(audits, BiasAnalysis) else [part.analysis for part in audits]
            findings = pl.concat(
                part.findings.select(pl.lit(part.attribute).alias("attribute"), pl.all()) for part in parts
            )
            # Names of groups are strangers' text.
            content = findings.with_columns(pl.col(pl.String).str.replace(f"({FORMULA})", "'${1}")).write_csv()
        else:
            raise FairnessError(f"{target}: a report is written as .html, .txt, .md or .csv")
        if not target.parent.is_dir():
            raise FairnessError(f"{target}: there is no folder {target.parent}")
        write_whole(target, content)
        return target


def bias_page(audits: Sequence[Audit]) -> str:
    """One self-contained HTML page about all attributes of a model."""
    return pages.render(
        "bias.html",
        title=f"Bias report: {audits[0].model} version {audits[0].version}" if audits else "Bias report",
        is_synthetic=any(audit.is_synthetic for audit in audits),
        parts=[
            _part(audit.analysis, audit.pictures)
            | {
                "summary": audit_summary(audit),
                "alike": None if audit.alike is None else _alike(audit),
                "mitigations": _mitigations(audit),
            }
            for audit in audits
        ],
    )


def _page_of(analysis: BiasAnalysis) -> str:
    part = _part(analysis, figures.of_analysis(analysis))
    return pages.render("bias.html", title=f"Bias report by {analysis.attribute}", is_synthetic=False, parts=[part])


def _part(analysis: BiasAnalysis, drawn: Mapping[str, bytes]) -> dict[str, Any]:
    is_judged = pl.col("detectable").is_not_null()
    shown = analysis.telling.filter(~is_judged).select("group", "metric", "value")
    if len(shown):
        shown = shown.pivot(on="metric", index="group", values="value", aggregate_function="first")
    return {
        "attribute": analysis.attribute,
        "verdict": _verdict(analysis),
        "flagged": len(analysis.flags),
        "summary": _summary(analysis),
        "pictures": {name: pages.base64_png(image) for name, image in drawn.items()},
        "imbalance": f"{analysis.imbalance_ratio:.1f}",
        "counts": _table(analysis.counts),
        "judged": _table(analysis.findings.filter(is_judged).drop("rows")),
        "shown": _table(shown),
    }


def _table(frame: pl.DataFrame) -> Markup:
    return pages.html_table(frame, max_rows=200, marked=FLAGGED, digits=3)


def audit_summary(audit: Audit) -> str:
    """A sentence or two: who is treated differently, by how much, how sure."""
    likely = [] if audit.alike is None else _differing(audit)
    return f"{_summary(audit.analysis).rstrip('.')}{_and_more('; outcomes of like changes differ for ', likely)}."


def _and_more(before: str, sentences: list[str]) -> str:
    if not sentences:
        return ""
    return f"{before}{sentences[0]}{f' (and {len(sentences) - 1} more)' if sentences[1:] else ''}"


def _summary(analysis: BiasAnalysis) -> str:
    flags = analysis.flags
    if flags.is_empty():
        return _verdict(analysis)[0]
    others = flags["group"].n_unique() - 1
    return f"{finding_in_words(flags.row(0, named=True))}{f' (and {others} more)' if others else ''}"


def finding_in_words(row: dict[str, Any], meaning: str | None = None) -> str:
    """A finding in words, with its interval and the chance of a false alarm."""
    known = meaning or _MEANING.get(row["metric"], row["metric"] + " {value:.3f} where {expected:.3f} was expected")
    odds = "q < 0.001" if row["q_value"] < 0.001 else f"q = {row['q_value']:.3f}"
    return (
        f"{row['group']}: {known.format(**row)}; {row['gap']:+.3f} ({row['lower']:+.3f} to {row['upper']:+.3f}), "
        f"{row['relative_gap']:+.0%}, {odds}, {row['rows']:,} rows"
    )


def _headline(analysis: BiasAnalysis) -> list[str]:
    rows = int(analysis.counts["rows"].sum())
    lines = [f"{len(analysis.counts)} groups by {analysis.attribute}, {rows:,} rows"]
    return [*lines, f"Note: {analysis.note}"] if analysis.note else lines


def _verdict(analysis: BiasAnalysis) -> list[str]:
    flags, lines = analysis.flags, []
    if len(flags):
        lines += [f"Flagged: {flags['group'].n_unique()} of {len(analysis.counts)} groups."]
        lines += [f"  {finding_in_words(row)}" for row in flags.to_dicts()]
    quiet = analysis.findings.filter((pl.col("status") == NO_GAP) & (pl.col("metric") == analysis.kind.leading))
    if len(quiet):
        low, high = np.nanmin(quiet["detectable"].to_numpy()), np.nanmax(quiet["detectable"].to_numpy())
        lines.append(
            f"No gap seen in {len(quiet)} groups; "
            f"gaps smaller than {low:.0%} (largest group) to {high:.0%} (smallest) could hide there."
        )
    small = analysis.too_small
    if small:
        named = ", ".join(small[:_MOST_NAMED]) + (
            f" and {len(small) - _MOST_NAMED} more" if small[_MOST_NAMED:] else ""
        )
        lines.append(f"Too small to say (fewer than {analysis.min_support} rows): {named}.")
    lines.append(
        f"A flag needs a relative gap over {analysis.threshold:.0%}, an interval without 0, at least "
        f"{analysis.min_support} rows, and q at most {analysis.significance:g} (Benjamini and Hochberg)."
    )
    return lines


def _groups(analysis: BiasAnalysis) -> list[str]:
    rows = [
        f"  {row['group']}: {row['rows']:,} rows, weight {row['weight']:.4f}"
        for row in analysis.counts.filter(pl.col("rows") > 0).head(30).to_dicts()
    ]
    more = len(analysis.counts) - len(rows)
    return [
        f"Groups (imbalance ratio {analysis.imbalance_ratio:.1f}):",
        *rows,
        *([f"  … and {more} more"] if more > 0 else []),
    ]


def _differing(audit: Audit) -> list[str]:
    """Sentences on the groups whose outcomes differ from those of like changes."""
    assert audit.alike is not None
    kind = audit.alike.kind
    flags = audit.alike.flags.filter(pl.col("metric") == kind.leading)
    return [finding_in_words(row, kind.alike) for row in flags.to_dicts()]


def _alike(audit: Audit) -> list[str]:
    sentences = _differing(audit)
    if not sentences:
        return ["No group's outcomes differ from those of like changes elsewhere, as far as the rows can tell."]
    return [
        "Outcomes differ for these groups. Whether that is unfair, the data cannot say: an author's skill or a "
        "repository's standards would look the same. The model has learnt what it could of it, so p0 and payouts "
        "carry it on.",
        *(f"  {sentence}" for sentence in sentences[:_MOST_NAMED]),
        *([f"  … and {len(sentences) - _MOST_NAMED} more"] if len(sentences) > _MOST_NAMED else []),
    ]


def _mitigations(audit: Audit) -> list[str]:
    if audit.mitigations is None:
        return [f"  Not tried: {audit.without_mitigation or 'not asked for'}."]
    if audit.mitigations.is_empty():
        return ["  Not tried: there is one group only."]
    lines = [] if len(audit.analysis.flags) else ["  Nothing was flagged: these differences may well be chance."]
    for row in audit.mitigations.to_dicts():
        if row["note"]:
            lines.append(f"  {row['method']}: not possible here: {row['note']}")
        elif row["gap_after"] is None:
            lines.append(f"  {row['method']}: too few groups of enough rows to compare")
        else:
            lines.append(
                f"  {row['method']}: largest gap {row['gap_before']:.0%} -> {row['gap_after']:.0%}, "
                f"{row['metric'].replace('_', ' ')} {row['accuracy_before']:.4f} -> {row['accuracy_after']:.4f}, "
                f"spread of mean predictions {row['spread_before']:.3f} -> {row['spread_after']:.3f}"
            )
    return lines
