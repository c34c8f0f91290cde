"""Whose a lake's folder is: DuckLake removes every file there that its own catalogue does not know."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb

from qc_assets.errors import QcError
from qc_assets.lake_place import LakePlace

_NOTE = "qc-lake.csv"
# schema/table/file, as DuckLake names what it writes.
_OF_A_LAKE = re.compile(r"[^/]+/[^/]+/ducklake-[0-9a-f-]+\.parquet")


def make_folder(place: LakePlace) -> None:
    """Make the folder, where it is none of a bucket's."""
    if not place.data.startswith("s3://"):
        Path(place.data).mkdir(parents=True, exist_ok=True)


def claim_folder(connection: duckdb.DuckDBPyConnection, place: LakePlace, newest: Callable[[], int]) -> None:
    """Note in the folder which catalogue it is of; a new lake wants an empty one, and only a new one has that.

    Args:
        connection: of DuckDB, which reaches the folder.
        place: the lake, which is about to be written.
        newest: asks for the lake's last snapshot: 0 if nothing was written yet, -1 if it is not there.

    Raises:
        QcError: if a new lake would lie among the files of something else, or all files of an old one are gone.
    """
    owner = owner_of(connection, place)
    if owner == _catalogue(place):
        return
    is_empty = not connection.execute("SELECT 1 FROM glob(?) LIMIT 1", [f"{place.data}**"]).fetchone()
    snapshot = newest()
    if is_empty and snapshot > 0:
        raise QcError(
            f"{place.data} is empty, and the lake's catalogue knows of files there: is the disk mounted, is it the "
            "right bucket? Nothing was written"
        )
    if not is_empty and snapshot < 0:
        whose = f"the files of the lake whose catalogue is {owner}" if owner else "files already"
        raise QcError(
            f"{place.data} holds {whose}, and tidying a lake removes what its own catalogue does not know: give this "
            "one a folder that is empty (?data=)"
        )
    if not owner:
        make_folder(place)
        name = _catalogue(place).replace("'", "''")
        connection.execute(f"COPY (SELECT '{name}') TO '{place.data}{_NOTE}' (FORMAT csv, HEADER false)")


def refuse_to_tidy(connection: duckdb.DuckDBPyConnection, place: LakePlace) -> None:
    """Refuse to remove files of a folder that is another catalogue's.

    Raises:
        QcError: saying whose it is.
    """
    owner = owner_of(connection, place)
    if owner not in ("", _catalogue(place)):
        raise QcError(
            f"{place.data} is the folder of the lake whose catalogue is {owner}, whose rows tidying this one would "
            f"remove; nothing was. Carry this lake into a folder of its own (`qc warehouse copy`), or, if its "
            f"catalogue has taken the other's place, remove {place.data}{_NOTE}"
        )


def refuse_foreign(place: LakePlace, strays: Iterable[str]) -> None:
    """Refuse to remove files that no lake has written here: those of a person, or of a lake in a folder within.

    Raises:
        QcError: with an example.
    """
    foreign = [path for path in strays if not _OF_A_LAKE.fullmatch(path.removeprefix(place.data))]
    if foreign:
        raise QcError(
            f"{len(foreign)} Parquet files in {place.data} are not this lake's, such as {foreign[0]}: move them "
            "elsewhere. Until then no stray file is removed; all else was tidied"
        )


def owner_of(connection: duckdb.DuckDBPyConnection, place: LakePlace) -> str:
    """The catalogue that a folder is of; empty if nobody has noted one."""
    pattern = f"{place.data}{_NOTE.replace('.', '.*')}"  # S3 lists what a pattern may mean, and nothing else
    if not connection.execute("SELECT 1 FROM glob(?)", [pattern]).fetchone():
        return ""
    row = connection.execute("SELECT * FROM read_csv(?, header = false, all_varchar = true)", [pattern]).fetchone()
    return str(row[0]) if row else ""


def _catalogue(place: LakePlace) -> str:
    """What is the same for whoever connects: a server and its database without the user, or the file."""
    if place.file is not None:
        return place.where
    return " ".join(sorted(word for word in place.where.split() if re.match(r"(host|port|dbname|service)=", word)))
