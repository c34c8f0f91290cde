"""Histories in files as a source: folders of tables that somebody exported. docs/histories.md says how."""

from datetime import date
from typing import TYPE_CHECKING

from qc_assets.source_traits import SourceTraits

if TYPE_CHECKING:
    from qc_assets.settings import Settings

# Imported in functions: whoever only asks what there is needs neither DuckDB nor the files.


def _forge(settings: "Settings") -> str:
    from qc_assets.sources.files.data_sets import forge_of_folder

    return forge_of_folder(settings)


def _first_day(settings: "Settings") -> date:
    from qc_assets.sources.files.source import range_of

    return range_of(settings)[0]


def _last_day(settings: "Settings") -> date:
    from qc_assets.sources.files.source import range_of

    return range_of(settings)[1]


TRAITS = SourceTraits(snapshot=True, forge_from=_forge, first_day_from=_first_day, last_day=_last_day)
