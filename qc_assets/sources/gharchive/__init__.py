"""GH Archive's hourly files as a source."""

from datetime import date

from qc_assets.forges import GITHUB
from qc_assets.source_traits import SourceTraits

TRAITS = SourceTraits(
    complete=False,
    forge=GITHUB,
    priority=1,
    first_day=date(2015, 1, 1),  # events have had today's shape since then
    last_whole_day=date(2025, 10, 6),  # later hours miss most of what a pull request is
)
