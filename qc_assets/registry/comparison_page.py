"""A new version beside the champion as a page, which its run keeps."""

from qc_assets import pages
from qc_assets.learning.promotion import Decision
from qc_assets.learning.version_comparison import VersionComparison

COMPARISON = "comparison.html"
_ROWS_SHOWN = 50
_FEATURES_SHOWN = 25


def comparison_page(both: VersionComparison, version: int, champion: int, decision: Decision) -> str:
    """The page as HTML.

    Args:
        both: the two versions.
        version: number of the new one.
        champion: number of the one that it was compared with.
        decision: what was decided.
    """
    spec, reach = both.trained.spec, both.reach
    return pages.render(
        "comparison.html",
        title=f"{spec.name}: version {version} beside version {champion}",
        decision=f"{'Promoted' if decision.promote else 'Not promoted'}: {decision.reason}.",
        rows=f"{len(both.trained.split.test):,}",
        is_synthetic=both.version.is_synthetic,
        differences=pages.html_table(both.differences, digits=3),
        calibration=pages.base64_png(both.calibration()),
        moved_in_words=both.moved_in_words,
        moved=pages.html_table(both.moved, max_rows=_ROWS_SHOWN, digits=3),
        more=len(both.moved) > _ROWS_SHOWN,
        shown=_ROWS_SHOWN,
        reach=None if reach is None else pages.html_table(reach, max_rows=_FEATURES_SHOWN, digits=3),
    )
