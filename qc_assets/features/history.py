"""What is known of authors and repositories at an instant, computed by the very SQL that training rows come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from qc_assets.features.contract import Contract, Owner, contract_of
from qc_assets.origin_rules import ORIGINS
from qc_assets.store.schema import sql_sections

# No account and no repository has this id; imagined openings have lower numbers than any real one.
UNKNOWN = -(2**62)
_FIRST_NUMBER = -(2**40)
PERSON = ORIGINS[0]
_KEY = ("repo_id", "author_id", "origin")


@dataclass(frozen=True)
class History:
    """What an opening at one instant would know of its author and repository.

    Attributes:
        contract: of ``pull_requests`` or ``issues``.

    Rows are by repository and author, and by hand: who did the work under the account, see ORIGINS.
    """

    contract: Contract
    _names: tuple[str, ...]
    _rows: Mapping[tuple[int, int], Mapping[str, tuple[Any, ...]]]

    @classmethod
    def of_rows(cls, table: str, frame: pl.DataFrame) -> "History":
        """From what `history_rows` said of a table."""
        rows: dict[tuple[int, int], dict[str, tuple[Any, ...]]] = {}
        names = [name for name in frame.columns if name not in _KEY]
        keys = frame.select(pl.col(name) if name in frame.columns else pl.lit(PERSON).alias(name) for name in _KEY)
        for (repo_id, author_id, hand), row in zip(keys.iter_rows(), frame.select(names).iter_rows(), strict=True):
            rows.setdefault((repo_id, author_id), {})[hand] = row
        return cls(contract_of(table), tuple(names), rows)

    def of(self, repo_id: int, author_id: int, hand: str | None = None) -> dict[str, Any]:
        """Features of an opening; who or what is UNKNOWN has no history yet.

        Args:
            repo_id, author_id: where and under which account.
            hand: by whom: one of ORIGINS; None if nobody says. Then it is the person's own, unless nothing is known of
                the account but what agents or automations did, which the answer then has as its ``origin``.
        """
        told: dict[str, Any] = {}
        if hand is None:
            hands = self._rows.get((UNKNOWN, author_id), {})
            hand = PERSON if PERSON in hands or not hands else min(hands, key=ORIGINS.index)
            told = {"origin": hand} if hand not in (PERSON, "assisted") and "origin" in self.contract.columns else {}
        known = self._rows.get((repo_id, author_id), {}).get(hand)
        row = self._stranger(repo_id, author_id, hand) if known is None else self._by_name(known)
        row.update(told)
        return row

    def _by_name(self, row: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self._names, row, strict=True))

    def _stranger(self, repo_id: int, author_id: int, hand: str) -> dict[str, Any]:
        """A hand that has not been in this repository: its own history elsewhere, and the repository's."""
        nowhere = self._rows[UNKNOWN, UNKNOWN][PERSON]
        row = self._by_name(self._rows.get((UNKNOWN, author_id), {}).get(hand, nowhere))
        repo = self._by_name(self._rows.get((repo_id, UNKNOWN), {}).get(PERSON, nowhere))
        row.update({name: repo[name] for name in self.contract.names(Owner.REPOSITORY)})
        self.contract.complete(row, Owner.AUTHOR_IN_REPOSITORY)
        return row


def history_rows(connection: duckdb.DuckDBPyConnection, table: str, parameters: Mapping[str, object]) -> pl.DataFrame:
    """What every author and repository have behind them: a row a repository, author and hand.

    Args:
        connection: prepared by `imagine`.
        table: ``pull_requests`` or ``issues``.
        parameters: of the table's feature SQL.
    """
    query = sql_sections(f"features/{table}")["rows"].rstrip(";")
    contract = contract_of(table)
    names = ["repo_id", "author_id", *contract.history, *contract.last_shown]
    names += ["origin"] if "origin" in contract.columns else []
    return connection.execute(
        f"SELECT {', '.join(names)} FROM ({query}) WHERE number < {_FIRST_NUMBER}", dict(parameters)
    ).pl()


def imagine(connection: duckdb.DuckDBPyConnection, as_of: datetime, rules: Mapping[str, object]) -> None:
    """Let every known author open a pull request and an issue in every repository they know, and in an unknown one.

    Args:
        connection: from `Warehouse.overlay`; afterwards its `raw` schema has the imagined openings, too.
        as_of: when.
        rules: `Settings.origin_parameters`, for who did what.
    """
    sections = sql_sections("features/openings")
    parameters: dict[str, object] = {"as_of": as_of, "unknown": UNKNOWN, "first_number": _FIRST_NUMBER}
    parameters |= {name: rules[name] for name in ("origin_rules", "origin_marks")}
    connection.execute(sections["imagined"], parameters)
    connection.execute(sections["overlay"])
