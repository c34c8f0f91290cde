"""All settings for people: as `.env.example`, and as the tables of docs/settings.md."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from qc_assets.pages import markdown_table
from qc_assets.settings import PARTS

_INTRODUCTION = (
    "Every setting is an environment variable, or a line of `.env`: the checkout's, or for an installed package that "
    "of the working directory or of `QC_HOME`. Variables win over files."
)


@dataclass(frozen=True)
class Setting:
    """One variable as people meet it.

    Attributes:
        default: as one would write it into `.env`; empty if there is none, or if the meaning says what it is.
    """

    variable: str
    default: str
    meaning: str


def settings_by_part() -> Iterator[tuple[str, list[Setting]]]:
    """The heading of each part, with its settings."""
    for part in PARTS:
        heading = (part.__doc__ or part.__name__).strip().rstrip(".")
        yield heading, [_setting(name, field) for name, field in part.model_fields.items()]


def as_env() -> str:
    """The text of `.env.example`: every variable, commented out, with its meaning above it."""
    blocks = [textwrap.fill(_INTRODUCTION.replace("`", ""), 118, initial_indent="# ", subsequent_indent="# ")]
    for heading, settings in settings_by_part():
        blocks.append(f"\n\n# {heading}\n# {'-' * len(heading)}")
        blocks += [f"\n# {setting.meaning}\n#{setting.variable}={setting.default}" for setting in settings]
    return "\n".join(blocks) + "\n"


def as_markdown() -> str:
    """The text of docs/settings.md: one table for each part."""
    lines = ["# Settings", "", _INTRODUCTION + " This page is printed by `qc settings --format markdown`."]
    for heading, settings in settings_by_part():
        rows = (
            [f"`{setting.variable}`", f"`{setting.default}`" if setting.default else "", setting.meaning]
            for setting in settings
        )
        lines += ["", f"## {heading}", "", markdown_table(["variable", "default", "meaning"], rows, is_markdown=True)]
    return "\n".join(lines) + "\n"


def _setting(name: str, field: FieldInfo) -> Setting:
    alias = field.validation_alias
    variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"QC_{name.upper()}"
    default = "" if field.default_factory else _written(field.default)
    return Setting(variable, default, field.description or "")


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
