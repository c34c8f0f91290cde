"""From requests to feature rows: what the warehouse knows, and the facts of the request over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from qc_assets.features.contract import Owner, contract_of
from qc_assets.features.model_rows import feature_types
from qc_assets.forges import number_of
from qc_assets.learning.spec import ModelSpec
from qc_assets.serving.deliveries import DeliveredItems
from qc_assets.serving.facts import Facts, TextFacts
from qc_assets.serving.knowledge import Knowledge
from qc_assets.serving.schemas import repository_and_number

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Row:
    """One item as a model is asked about it.

    Attributes:
        features: by name; those that nobody knows are missing or None, which models take as unknown.
        repo_id, number: 0 where the warehouse does not know the repository, or the task does not say.
        opened_at: of an item that the warehouse knows, else None.
        as_of: end of the data that it was looked up in, if it was.
        author_known_by: ``id``, or ``login``, which may have changed hands; None where no author matters.
    """

    features: dict[str, Any]
    repo_id: int
    number: int
    opened_at: datetime | None
    as_of: datetime | None
    author_known_by: Literal["id", "login"] | None = None


def item_row(facts: Facts, knowledge: Knowledge, now: datetime, delivered: DeliveredItems | None = None) -> Row:
    """The features of an item that a request is about.

    Args:
        facts: the request.
        knowledge: of items, authors and repositories.
        now: when it was asked (UTC), for the hour and weekday if nobody says them.
        delivered: pull requests that GitHub's webhook told of and the warehouse may not have yet.
    """
    repo, number = repository_and_number(facts.task_id)
    author_id = facts.worker_account_id or None
    if author_id is not None and number_of(author_id) == 0:
        author_id = knowledge.account(repo, author_id)
    given = facts.given()
    known = knowledge.task(facts.table, repo, number, facts.worker_id, author_id)
    place = knowledge.place(repo, number)
    opened_at = None if known is None else known["opened_at"]
    if known is not None:
        features = dict(known)
    else:
        item = delivered.of(*place) if delivered and facts.table == "pull_requests" else None
        told = {"author_id": item.author_id, "author": item.author} if item else {}
        is_delivered = item is not None and knowledge.is_author(repo, told, facts.worker_id, author_id)
        stated = {**item.features, **given} if item and is_delivered else given
        features = knowledge.history(
            facts.table, repo, facts.worker_id, author_id=author_id, origin=stated.get("origin")
        )
        if item and is_delivered:
            features |= item.features
            opened_at = item.opened_at
        else:
            features["hour"], features["weekday"] = now.hour, now.weekday()
            features.update(facts.assumed())
    features.update(given)
    contract_of(facts.table).complete(features, Owner.ITEM)
    return Row(features, *place, opened_at, knowledge.as_of, "login" if author_id is None else "id")


def text_row(facts: TextFacts, knowledge: Knowledge | None) -> Row:
    """The features of a text, which are all in the request; what is known says only where it stands."""
    repo, number = repository_and_number(facts.task_id or "")
    place = knowledge.place(repo, number) if knowledge else (0, 0)
    return Row(facts.model_dump(exclude={"task_id", "comment_id"}), *place, None, None)


def feature_frame(rows: Sequence[Row], spec: ModelSpec, bundle: "Bundle | None" = None) -> pl.DataFrame:
    """The columns that a bundle wants, or else features and texts of the spec, in that order, and repo_id."""
    types = feature_types(spec, bundle)
    columns = {name: [row.features.get(name) for row in rows] for name in types}
    columns["repo_id"] = [row.repo_id for row in rows]
    return pl.DataFrame(columns, schema=types | {"repo_id": pl.Int64}, strict=False)
