"""What each source says of itself, readable without building the source or importing its libraries.

A source is a folder of `qc_assets/sources/` with a `source.py`; the folder's name is the source's. Its `TRAITS` stand
in `source.py`, or in the package's `__init__.py` where `source.py` imports what is slow to load. They are looked up by
name, so that the settings and the warehouse can ask without knowing any source.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = "qc_assets.sources"
_FOLDER = Path(__file__).parent / "sources"


@dataclass(frozen=True)
class SourceTraits:
    """What the rest of the project needs to know of a source.

    Attributes:
        synthetic: whether the activity is made up. It says so wherever it shows, trains models of its own only, and
            other settings are another world: its days replace those of the world before.
        complete: whether a day that was loaded holds everything that was active on it. Days of an incomplete source
            count as covered only as far as `ops.coverage` can measure.
        forge: whose activity it reads, as of `qc_assets.forges`; empty: a forge of its own, named like the source.
            Ids and names are the forge's, so sources of one forge add to each other, and those of two never mix.
        forge_from: that by the settings, where they decide.
        states: whether it reads things as they are now, by repository, rather than what happened on a day. Then a day
            may be loaded again to add newer readings, items have to be looked at again (`source.KeptUp`), and
            coverage must reach up to when the days were read.
        priority: of two observations of the same instant, the one whose source has the higher priority counts as
            the newer one.
        snapshot: whether its rows are of an extraction that shows every item from its opening on; what it does not
            tell of the opening is unknown.
        first_day: its first daily partition, unless QC_START_DATE says another.
        first_day_from: that by the data, where they decide; then QC_START_DATE hides none of them.
        last_day: its last daily partition by the settings; None if activity goes on, so that it is yesterday.
        last_whole_day: the last day whose items are told whole; later days never count as covered. None: all are.
        shows_diffs: whether it has the final code change of a pull request (`source.Truthful`, or GitHub's API).
        needs_token: whether it needs an access token, which `qc doctor` then tests (`source.Credentialed`).
    """

    synthetic: bool = False
    complete: bool = True
    forge: str = ""
    forge_from: Callable[[Any], str] | None = None
    states: bool = False
    priority: int = 0
    snapshot: bool = False
    first_day: date = date(2024, 1, 1)
    first_day_from: Callable[[Any], date] | None = None
    last_day: Callable[[Any], date] | None = None
    last_whole_day: date | None = None
    shows_diffs: bool = False
    needs_token: bool = False


@cache
def source_names() -> tuple[str, ...]:
    """The names of all sources, sorted; nothing is imported."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/source.py")))


@cache
def traits_of(name: str) -> SourceTraits:
    """What a source says of itself.

    Raises:
        ValueError: if there is no such source, or it does not say.
    """
    if name not in source_names():
        raise ValueError(f"there is no source {name!r}; there are {', '.join(source_names())}")
    for module in (f"{_PACKAGE}.{name}", f"{_PACKAGE}.{name}.source"):
        traits = getattr(importlib.import_module(module), "TRAITS", None)
        if isinstance(traits, SourceTraits):
            return traits
    raise ValueError(f"{_PACKAGE}.{name}.source declares no TRAITS: write TRAITS = SourceTraits(…)")


def all_traits() -> dict[str, SourceTraits]:
    """What every source says of itself, by name."""
    return {name: traits_of(name) for name in source_names()}
