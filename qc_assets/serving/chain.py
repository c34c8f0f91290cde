"""Entries about money form a chain: each holds the hash of the one before, so none changes or vanishes unseen.

Whoever can write the journal can make the whole chain anew. What the warehouse and backups have of it (ml.payouts,
ml.appeals) does not change with it, and `qc audit payouts` compares.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

KINDS = ("payout", "appeal", "settlement")
_CHOSEN = "SELECT number, kind, key, written_at, CAST(document AS TEXT) FROM entries WHERE"
# What no entry had before there were hashes.
_SEALED_WITH = "facts_from"
_ENTRIES = f"{_CHOSEN} kind IN {KINDS} ORDER BY number"
# By the index of kinds, whatever came after the last.
_LAST = " UNION ALL ".join(f"SELECT max(number) AS last FROM entries WHERE kind = '{kind}'" for kind in KINDS)
_HEAD = f"{_CHOSEN} number = (SELECT max(last) FROM ({_LAST}) AS of_each)"


def seal(
    document: Mapping[str, Any], previous: str, *, number: int, kind: str, key: str | None, written_at: str
) -> dict[str, Any]:
    """The document with the hash of the entry before it, and its own; its values are what JSON has."""
    return {**document, "previous": previous, "hash": _hash(number, kind, key, written_at, {**document}, previous)}


def head_of(connection: Any) -> str:
    """The hash that the next entry holds: of the last one, or of all that were written before there was a chain."""
    last = connection.execute(_HEAD).fetchone()
    if last is None:
        return ""
    return json.loads(last[4]).get("hash") or _hash_of_unsealed(connection.execute(_ENTRIES))


def unsound_links(connection: Any) -> list[str]:
    """Where the chain of a journal does not hold, in words; none if it does."""
    troubles: list[str] = []
    unsealed: list[tuple[Any, ...]] = []
    expected: str | None = None
    for number, kind, key, written_at, text in connection.execute(_ENTRIES):
        what = f"entry {number} ({kind})"
        try:
            document = sole_document(text)
        except ValueError as error:
            troubles.append(f"{what} is not as it was written: {error}")
            continue
        own, previous = document.pop("hash", None), document.pop("previous", None)
        if own is None:
            unsealed.append((number, kind, key, written_at, text))
            if expected is not None:
                troubles.append(f"{what} has no hash, and entries before it have")
            elif _SEALED_WITH in document:
                troubles.append(f"{what} has lost its hash, which every entry with {_SEALED_WITH} was written with")
            continue
        if previous != (_hash_of_unsealed(unsealed) if expected is None else expected):
            troubles.append(f"before {what} something was changed, removed or added")
        if own != _hash(number, kind, key, written_at, document, str(previous)):
            troubles.append(f"{what} is not as it was written")
        expected = own
    return troubles


def readable_links(connection: Any) -> list[tuple[Any, ...]]:
    """The entries of a chain that can be read, in their order: number, kind, key, time, document."""
    links = []
    for *place, text in connection.execute(_ENTRIES):
        with suppress(ValueError):  # `unsound_links` tells it
            links.append((*place, sole_document(text)))
    return links


def sole_document(text: str) -> dict[str, Any]:
    """The document of an entry, which says one thing to whoever reads it.

    Raises:
        ValueError: if it is none, or has a name twice: SQL takes the first value, and Python the last.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            raise ValueError("a name stands in it twice")
        return document

    try:
        document = json.loads(text, object_pairs_hook=once)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(document, dict):
        raise ValueError("it is no document")
    return document


def _hash(number: int, kind: str, key: str | None, written_at: str, document: dict[str, Any], previous: str) -> str:
    parts = [number, kind, key, written_at, document, previous]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _hash_of_unsealed(entries: Iterable[tuple[Any, ...]]) -> str:
    listed = [list(entry) for entry in entries]
    return hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest() if listed else ""
