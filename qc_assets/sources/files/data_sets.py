"""Which data sets a folder holds: their tables, whose ids they have, and when they were extracted."""

import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qc_assets.errors import SourceError
from qc_assets.store.schema import RAW_TABLES

if TYPE_CHECKING:
    from qc_assets.settings import Settings

FORMATS = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
TABLES = (*RAW_TABLES, "events", "commits")
DESCRIPTION = "dataset.toml"
OWN_FORGE = "files"
"""The forge of data sets that do not say whose ids they have: their ids are made of names and are nobody else's."""


@dataclass(frozen=True)
class DataSet:
    """One exported history.

    Attributes:
        name: of its folder.
        tables: file by table, `TABLES` at most.
        forge: whose ids and names it has; empty if it does not say, and then its ids are not believed.
        extracted_at: when it was extracted (naive UTC); None if it does not say.
        is_synthetic: what it holds was made up.
    """

    name: str
    tables: dict[str, Path]
    forge: str
    extracted_at: datetime | None
    is_synthetic: bool

    @property
    def paths(self) -> list[Path]:
        return [path for _, path in sorted(self.tables.items())]


def data_sets_in(folder: Path, *, forge: str = "", extracted_at: datetime | None = None) -> list[DataSet]:
    """The data sets of a folder: those of its sub-folders that have a table, and its own if it has one itself.

    Args:
        folder: where they lie.
        forge: of those that do not say.
        extracted_at: of those that do not say.

    Raises:
        SourceError: if there is none, a table is there twice or in a format that is not read, or a description cannot
            be read.
    """
    candidates = [_data_set(place, forge, extracted_at) for place in _places(folder)]
    sets = [data_set for data_set in candidates if data_set.tables.keys() & {"pull_requests", "issues"}]
    lost = [data_set for data_set in candidates if data_set.tables and data_set not in sets]
    if sets and lost:
        raise SourceError(
            f"{lost[0].paths[0]} lies in a folder without pull_requests or issues, so nobody reads it: put it beside "
            "those that it belongs to"
        )
    if not sets:
        raise SourceError(
            f"{folder} holds no data set: put pull_requests or issues there, or into a sub-folder, as "
            f"{', '.join(FORMATS)} (docs/histories.md)"
        )
    return sets


def described(folder: Path) -> dict[str, Any]:
    """What dataset.toml beside the tables says; nothing if there is none.

    Raises:
        SourceError: if it is no TOML, or says what nobody asks for.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is no TOML: {error}") from error
    kinds = {"forge": str, "extracted_at": date, "synthetic": bool}  # a datetime is a date
    wrong = [name for name, value in values.items() if not isinstance(value, kinds.get(name, ()))]
    if wrong:
        raise SourceError(
            f'{path}: {wrong[0]} = {values[wrong[0]]!r}; it may say forge = "gitlab.example.org", '
            "extracted_at = 2025-06-30T00:00:00Z and synthetic = true"
        )
    return values


def forge_of_folder(settings: "Settings") -> str:
    """The one forge of the data sets in QC_FILES_DIR.

    Raises:
        SourceError: if they are of several.
    """
    folder = settings.files_dir
    if folder is None or not folder.is_dir():
        return settings.files_forge or OWN_FORGE
    # Whoever only asks whose the ids are, as every command does, is not told what is wrong with the files.
    with_tables = [place for place in _places(folder) if any(_table_of(path) for path in place.iterdir())]
    forges = {described(place).get("forge", settings.files_forge) or OWN_FORGE: place.name for place in with_tables}
    if len(forges) > 1:
        told = ", ".join(f"{name} of {forge}" for forge, name in sorted(forges.items()))
        raise SourceError(
            f"{folder} holds data sets of several forges: {told}. Load them one after the other, each with its own "
            "QC_FILES_DIR"
        )
    return next(iter(forges), settings.files_forge or OWN_FORGE)


def _places(folder: Path) -> list[Path]:
    return [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")]


def _data_set(folder: Path, forge: str, extracted_at: datetime | None) -> DataSet:
    tables: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        table = _table_of(path)
        if not table:
            continue
        if path.is_dir():
            # It may be a data set; of a table in parts nobody would read a row.
            if any(part.suffix.lower() in (".parquet", ".csv", ".json", ".jsonl") for part in path.iterdir()):
                _refuse_parts(path, table)
            continue
        if path.name.lower().removeprefix(table) not in FORMATS:
            raise SourceError(f"{path} is in no format that is read: make it one of {', '.join(FORMATS)}, or rename it")
        if table in tables:
            raise SourceError(f"{folder} has {tables[table].name} and {path.name}: leave one of them")
        tables[table] = path
    description = described(folder)
    return DataSet(
        folder.name,
        tables,
        description.get("forge", forge),
        _instant(description.get("extracted_at", extracted_at)),
        bool(description.get("synthetic", False)),
    )


def _table_of(path: Path) -> str:
    """The table that a file is called after; empty if none."""
    name = path.name.lower().partition(".")[0]
    return name if name in TABLES else ""


def _refuse_parts(folder: Path, table: str) -> None:
    if not {"pull_requests", "issues"}.intersection(map(_table_of, folder.iterdir())):
        raise SourceError(f"{folder} is a folder: put its parts together into one file {table}.parquet beside it")


def _instant(value: date | None) -> datetime | None:
    """Naive UTC; a date is its first instant."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        return datetime.combine(value, time.min)
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
