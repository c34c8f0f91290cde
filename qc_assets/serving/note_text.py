"""What is said of a pull request where people look at it: in our words and numbers, with nobody's texts or names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qc_assets.features.contract import Owner, contract_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.pages import markdown_text
from qc_assets.serving.champions import SPECS
from qc_assets.serving.details import details_of
from qc_assets.serving.predictions import Predictions, ask_champion
from qc_assets.serving.rows import Row
from qc_assets.serving.schemas import Details, Reason
from qc_assets.serving.service import Serving

FIRST_RESPONSE = "first_response"
"""The model that says how long until somebody looks; the line is left out while it has no champion."""
_MOST_UNKNOWN = 12
_DAY_H = 48.0


@dataclass(frozen=True)
class NoteText:
    """What is shown.

    Attributes:
        title: one line.
        text: Markdown.
    """

    title: str
    text: str


def note_of(serving: Serving, predictions: Predictions, link: str | None = None) -> NoteText:
    """What is said of the only item of `predictions`, which are p0's.

    Args:
        serving: who answered.
        predictions: of one pull request.
        link: where to disagree; None leaves it out.
    """
    details, row = details_of(serving, predictions), predictions.rows[0]
    p0 = float(predictions.table["prediction"][0])
    title = f"p0 = {p0:.2f}{_interval(details)}"
    paragraphs = [
        f"**{title}**: how likely this pull request is to pass its first review"
        + (", which nobody can tell this time: near even odds." if details.answer == "UNCERTAIN" else "."),
        "What moved it most, against other pull requests:\n\n" + "\n".join(_reasons(predictions.spec, row, details)),
        _unknown(details),
        _first_response(serving, row),
        f"You know better? [Say so]({link}); a key of this server is asked for." if link else "",
        _fine_print(predictions, details),
    ]
    return NoteText(title, "\n\n".join(filter(None, paragraphs)))


def _interval(details: Details) -> str:
    if details.lower is None or details.upper is None:
        return ""
    return f" ({details.lower:.2f} to {details.upper:.2f})"


def _reasons(spec: ModelSpec, row: Row, details: Details) -> list[str]:
    return [f"- {markdown_text(_reason(spec, row.features, reason))}" for reason in details.reasons]


def _reason(spec: ModelSpec, features: Mapping[str, Any], reason: Reason) -> str:
    """A reason without numbers about a person, which are nobody's business in public, and without foreign words."""
    column = contract_of(spec.table.removeprefix("features.")).columns.get(reason.feature)
    is_about_a_person = column is not None and column.owner in (Owner.AUTHOR, Owner.AUTHOR_IN_REPOSITORY)
    is_text = isinstance(features.get(reason.feature), str) and reason.feature not in spec.categories
    if column is not None and not is_about_a_person and not is_text:
        return reason.words
    direction = "lowers" if reason.contribution < 0 else "raises"
    name = reason.feature.removeprefix("opened_").replace("_", " ")
    if is_about_a_person:
        return f"what is known of the author ({name.removeprefix('author ')}) {direction} it"
    return f"{name} {direction} it"


def _unknown(details: Details) -> str:
    names = [name.replace("_", " ") for name in details.unknown_features]
    if not names:
        return "Everything that the model asks for is known."
    more = f" and {len(names) - _MOST_UNKNOWN} more" if len(names) > _MOST_UNKNOWN else ""
    return f"Not known, and assumed to be usual: {', '.join(names[:_MOST_UNKNOWN])}{more}."


def _first_response(serving: Serving, row: Row) -> str:
    champion = next((champion for champion in serving.champions.all() if champion.model == FIRST_RESPONSE), None)
    if champion is None or SPECS[FIRST_RESPONSE].table != SPECS["p0"].table:
        return ""
    hours, lower, upper, _ = ask_champion(champion, [row]).table.row(0)
    longest = champion.bundle.context.get("horizon_hours", math.inf)
    interval = "" if lower is None or upper is None else f" (80 %: {_time(lower)} to {_time(upper, longest)})"
    return f"A first response is expected after {_time(hours)}{interval}."


def _time(hours: float, longest: float = math.inf) -> str:
    if hours >= longest:
        return f"{_time(hours)} or longer"
    if hours >= _DAY_H:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _fine_print(predictions: Predictions, details: Details) -> str:
    champion = predictions.champion
    made_up = "Its model learnt from made-up data: this says nothing about any real project. "
    return (
        f"<sub>{made_up if champion.bundle.is_synthetic else ''}p0 version {champion.version}, with what was known of "
        f"authors and repositories on {details.history_as_of:%Y-%m-%d}. It describes the past and decides nothing: it "
        "is no review, and no judgement of anybody.</sub>"
    )
