"""A seeded world with known truth."""

from datetime import timedelta

from qc_assets.forges import DEMO
from qc_assets.source_traits import SourceTraits

TRAITS = SourceTraits(
    synthetic=True,
    forge=DEMO,
    shows_diffs=True,
    last_day=lambda settings: settings.first_date + timedelta(days=settings.demo_days - 1),
)
