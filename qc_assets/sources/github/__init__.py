"""GitHub's API as a source."""

from qc_assets.source_traits import SourceTraits

TRAITS = SourceTraits(states=True, priority=2, shows_diffs=True, needs_token=True)
