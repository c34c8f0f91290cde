"""GitHub's API as a source."""

from datetime import date

from qc_assets.forges import forge_at
from qc_assets.source_traits import SourceTraits

TRAITS = SourceTraits(
    forge_from=lambda settings: forge_at(settings.github_url),
    states=True,
    priority=2,
    first_day=date(2007, 10, 1),  # the month of github.com's first repositories
    shows_diffs=True,
    needs_token=True,
)
