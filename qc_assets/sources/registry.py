"""The sources, found by their folders. Every source yields the same typed batches (`source.Source`)."""

import importlib

from qc_assets.errors import SourceError
from qc_assets.settings import Settings
from qc_assets.sources.source import BuiltSource, KeptUp, Source


def open_source(settings: Settings) -> Source:
    """The source that `QC_SOURCE` names: that of `SOURCE` in `qc_assets/sources/<name>/source.py`.

    Raises:
        SourceError: if the source lacks something it needs.
    """
    # Imported here: each source pulls in libraries that the others do not need.
    module = importlib.import_module(f"qc_assets.sources.{settings.source}.source")
    built: type[BuiltSource] = module.SOURCE
    return built.from_settings(settings)


def open_kept_up(settings: Settings) -> KeptUp:
    """The source that `QC_SOURCE` names, to choose what it reads and to read again.

    Raises:
        SourceError: if the source lacks something it needs, or cannot be kept up.
    """
    source = open_source(settings)
    if not isinstance(source, KeptUp):
        raise SourceError(f"the {settings.source} source has nothing to choose and nothing to read again")
    return source
