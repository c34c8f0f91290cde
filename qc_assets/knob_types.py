"""Types of settings that several parts have: lists written with commas, and folders made absolute."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from qc_assets.places import plain_folder


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _split_numbers(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _three_thresholds(value: tuple[int, ...]) -> tuple[int, ...]:
    if len(value) != 3 or list(value) != sorted(value) or value[0] < 0:
        raise ValueError("give three numbers that do not fall, for junior, mid and senior, such as 1,5,20")
    return value


def _owner_slash_name(value: tuple[str, ...]) -> tuple[str, ...]:
    bad = [name for name in value if name.count("/") != 1]
    if bad:
        raise ValueError(f"{', '.join(bad)}: write repositories as owner/name, separated by commas")
    return tuple(sorted(set(value)))


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Words, written with commas between them."""

RepositoryNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_owner_slash_name)]
"""Names of repositories (owner/name), written with commas between them; sorted."""

Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
"""Secrets, written with commas between them."""

ThreeThresholds = Annotated[
    tuple[int, ...], NoDecode, BeforeValidator(_split_numbers), AfterValidator(_three_thresholds)
]
"""Three whole numbers that do not fall, written with commas between them."""

AbsolutePath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A file or folder, absolute whatever the working directory becomes later."""


def _plain(path: Path) -> Path:
    try:
        return plain_folder(path)
    except OSError as error:
        raise ValueError(f"other programs cannot read this name, and a link to it cannot be made: {error}") from error


PlainFolder = Annotated[Path, AfterValidator(_plain)]
"""A folder, absolute, by a name that goes into URLs and patterns as it stands."""
