"""Where a warehouse lies: a DuckDB file, or a DuckLake, which is a catalogue and a folder of Parquet files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from pydantic import PlainSerializer, PlainValidator

_FORMS = (
    "a path of a DuckDB file, ducklake:CATALOGUE.ducklake, ducklake:sqlite:CATALOGUE.sqlite or "
    "ducklake:postgres:dbname=NAME host=HOST user=USER, each with ?data=FOLDER or ?data=s3://BUCKET/PREFIX"
)
# Two letters at least, so that C:\ is a path.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[^\s?*\[\]'\"]*)?")


@dataclass(frozen=True)
class LakePlace:
    """A DuckLake.

    Attributes:
        catalogue: which database says what there is.
        where: its file (absolute), or the connection string of PostgreSQL, which holds no password.
        data: the folder of the Parquet files, ending in a slash: absolute, or of S3.
    """

    catalogue: Literal["duckdb", "sqlite", "postgres"]
    where: str
    data: str

    @classmethod
    def parse(cls, text: str) -> "LakePlace":
        """Read ``ducklake:…``.

        Raises:
            ValueError: saying what is wrong with it.
        """
        place, _, query = text.removeprefix("ducklake:").partition("?")
        parts = [part.partition("=") for part in query.split("&") if part]
        if len(parts) > 1 and {name for name, _, _ in parts} == {"data"}:
            raise ValueError("data stands there twice; an & in a folder's name is written %26")
        parameters = {name: unquote(value) for name, _, value in parts}  # a + is a +, as in any path
        if unknown := set(parameters) - {"data"}:
            raise ValueError(
                f"{', '.join(sorted(unknown))} is not known here; the one parameter is data. Write {_FORMS}"
            )
        kind, _, rest = place.partition(":")
        data = parameters.get("data", "")
        if kind == "postgres":
            if re.search(r"password", rest, re.IGNORECASE) or "://" in rest:
                raise ValueError(
                    "a connection string without password, such as dbname=qc host=db user=qc, is what stands here, "
                    "since settings are shown: the password belongs into PGPASSWORD or ~/.pgpass"
                )
            if not re.search(r"\b(dbname|service)\s*=", rest) or re.search(r"['\"\\]", rest):
                raise ValueError(
                    f"ducklake:postgres: needs dbname=NAME (or service=NAME), without quotes. Write {_FORMS}"
                )
            if not data:
                raise ValueError(
                    "a lake with its catalogue in PostgreSQL needs ?data=FOLDER or ?data=s3://BUCKET/PREFIX"
                )
            return cls("postgres", " ".join(rest.split()), _data_folder(data))
        path = Path(rest if kind == "sqlite" else place)
        if not str(path) or str(path) == "." or _SCHEME.match(str(path)) or "'" in str(path):
            raise ValueError(f"{place!r} names no catalogue. Write {_FORMS}")
        file = path.expanduser().absolute()
        return cls("sqlite" if kind == "sqlite" else "duckdb", str(file), _data_folder(data or f"{file}.files"))

    @property
    def file(self) -> Path | None:
        """The catalogue's file; None if a server has it."""
        return None if self.catalogue == "postgres" else Path(self.where)

    def __str__(self) -> str:
        kind = "" if self.catalogue == "duckdb" else f"{self.catalogue}:"
        return f"ducklake:{kind}{self.where}?data={quoted_data(self.data)}"


def quoted_data(folder: str) -> str:
    """A folder, as it stands behind ``?data=``; what needs no quotes stays readable."""
    return re.sub(r"[%&]", lambda sign: quote(sign[0]), folder)


WarehousePlace = Path | LakePlace
"""A DuckDB file or a lake."""


def parsed_place(value: object) -> WarehousePlace:
    """The place that QC_WAREHOUSE names; a path becomes absolute.

    Raises:
        ValueError: if it is a URL of a kind that is not known.
    """
    if isinstance(value, LakePlace):
        return value
    text = str(value)
    if text.startswith("ducklake:"):
        return LakePlace.parse(text)
    if _SCHEME.match(text):
        raise ValueError(f"a warehouse of this kind is not known: write {_FORMS}; a file of this name as ./{text}")
    return Path(text).expanduser().absolute()


def _data_folder(data: str) -> str:
    if "://" in data:
        if not _BUCKET.fullmatch(data):
            raise ValueError(f"data={data}: write s3://BUCKET/PREFIX; keys belong into AWS_ACCESS_KEY_ID and its like")
        return f"{data.rstrip('/')}/"
    if re.search(r"[?*\[\]'\"]", data):
        raise ValueError(f"data={data}: a folder without ? * [ ] and quotes is needed")
    return f"{Path(data).expanduser().absolute()}/"


PlaceOfWarehouse = Annotated[WarehousePlace, PlainValidator(parsed_place), PlainSerializer(str, return_type=str)]
"""A setting that names a warehouse."""
