"""What is known of authors and repositories at an instant, computed by the very SQL that training rows come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from qc_assets.features.contract import Contract, Owner, contract_of
from qc_assets.store.schema import sql_sections

# No account and no repository has this id; imagined openings have lower numbers than any real one.
UNKNOWN = -(2**62)
_FIRST_NUMBER = -(2**40)


@dataclass(frozen=True)
class History:
    """What an opening at one instant would know of its author and repository.

    Attributes:
        contract: of ``pull_requests`` or ``issues``.
    """

    contract: Contract
    _rows: Mapping[tuple[int, int], dict[str, Any]]

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, table: str, parameters: Mapping[str, object]) -> "History":
        """Ask for every author and repository.

        Args:
            connection: prepared by `imagine`.
            table: ``pull_requests`` or ``issues``.
            parameters: of the table's feature SQL.
        """
        query = sql_sections(f"features/{table}")["rows"].rstrip(";")
        contract = contract_of(table)
        names = ", ".join(("repo_id", "author_id", *contract.history, *contract.last_shown))
        rows = connection.execute(
            f"SELECT {names} FROM ({query}) WHERE number < {_FIRST_NUMBER}", dict(parameters)
        ).pl()
        return cls(contract, {(row.pop("repo_id"), row.pop("author_id")): row for row in rows.iter_rows(named=True)})

    def of(self, repo_id: int, author_id: int) -> dict[str, Any]:
        """Features of an opening; who or what is UNKNOWN has no history yet."""
        row = self._rows.get((repo_id, author_id))
        return dict(row) if row is not None else self._stranger(repo_id, author_id)

    def _stranger(self, repo_id: int, author_id: int) -> dict[str, Any]:
        """An author who has not been in this repository: their own history elsewhere, and the repository's."""
        nowhere = self._rows[UNKNOWN, UNKNOWN]
        author = self._rows.get((UNKNOWN, author_id), nowhere)
        repo = self._rows.get((repo_id, UNKNOWN), nowhere)
        row = author | {name: repo[name] for name in self.contract.names(Owner.REPOSITORY)}
        self.contract.complete(row, Owner.AUTHOR_IN_REPOSITORY)
        return row


def imagine(connection: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Let every known author open a pull request and an issue in every repository they know, and in an unknown one.

    Args:
        connection: from `Warehouse.overlay`; afterwards its `raw` schema has the imagined openings, too.
        as_of: when.
    """
    sections = sql_sections("features/openings")
    parameters = {"as_of": as_of, "unknown": UNKNOWN, "first_number": _FIRST_NUMBER}
    connection.execute(sections["imagined"], parameters)
    connection.execute(sections["overlay"])
