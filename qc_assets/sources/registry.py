"""Where activity comes from. Every source yields the same typed batches (`source.Source`)."""

from typing import assert_never

from qc_assets.settings import Settings
from qc_assets.sources.source import Batch, Source
from qc_assets.store.dead_letters import DeadLetter

__all__ = ["Batch", "DeadLetter", "Source", "open_source"]


def open_source(settings: Settings) -> Source:
    """The source that `QC_SOURCE` names.

    Raises:
        SourceError: if the source lacks something it needs.
    """
    # Imported here: each source pulls in libraries that the others do not need.
    if settings.source == "demo":
        from qc_assets.sources.demo.source import DemoSource

        return DemoSource.from_settings(settings)
    if settings.source == "gharchive":
        from qc_assets.sources.gharchive.source import GHArchiveSource

        return GHArchiveSource.from_settings(settings)
    if settings.source == "github":
        from qc_assets.sources.github.source import GitHubSource

        return GitHubSource.from_settings(settings)
    assert_never(settings.source)
