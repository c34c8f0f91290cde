"""What is known of authors and repositories at an instant, computed by the very SQL that training rows come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from qc_assets.store.schema import sql_sections

# No account and no repository has this id; imagined openings have lower numbers than any real one.
UNKNOWN = -(2**62)
_FIRST_NUMBER = -(2**40)
_SHRINKAGE = 4  # of author_pass_rate towards repo_pass_rate, as in features/pull_requests.sql


@dataclass(frozen=True)
class HistoryColumns:
    """Which columns of a feature table are about an author anywhere, an author in a repository, and a repository."""

    of_author: tuple[str, ...]
    of_pair: tuple[str, ...]
    of_repo: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return self.of_author + self.of_pair + self.of_repo


PARTS = {
    "pull_requests": HistoryColumns(
        (
            *("author_prior_prs", "author_prior_merged", "author_prior_decided", "author_average_cycles"),
            *("author_days_since_last_pr", "author_tenure_days"),
        ),
        (
            *("author_prior_prs_in_repo", "author_prior_merged_in_repo", "author_is_newcomer"),
            *("author_tenure_in_repo_days", "author_pass_rate"),
        ),
        ("repo_pass_rate", "repo_decided_recently", "repo_open_prs", "repo_hours_to_first_review"),
    ),
    "issues": HistoryColumns(
        (
            *("author_prior_issues", "author_prior_closed", "author_average_hours"),
            *("author_days_since_last_issue", "author_tenure_days"),
        ),
        (
            *("author_prior_issues_in_repo", "author_prior_prs_in_repo", "author_prior_merged_in_repo"),
            *("author_tenure_in_repo_days", "author_is_newcomer"),
        ),
        ("repo_closed_recently", "repo_open_issues", "repo_median_hours", "repo_open_prs"),
    ),
}


@dataclass(frozen=True)
class History:
    """What an opening at one instant would know of its author and repository.

    Attributes:
        table: ``pull_requests`` or ``issues``.
    """

    table: str
    _rows: Mapping[tuple[int, int], dict[str, Any]]

    @classmethod
    def read(
        cls, connection: duckdb.DuckDBPyConnection, table: str, as_of: datetime, parameters: Mapping[str, object]
    ) -> "History":
        """Ask for every author and repository.

        Args:
            connection: prepared by `imagine`.
            table: ``pull_requests`` or ``issues``.
            as_of: the instant that was imagined.
            parameters: of the table's feature SQL.
        """
        query = sql_sections(f"features/{table}")["rows"].rstrip(";")
        wanted = ", ".join(("repo_id", "author_id", *PARTS[table].all))
        rows = connection.execute(
            f"SELECT {wanted} FROM ({query}) WHERE number < {_FIRST_NUMBER}", dict(parameters)
        ).pl()
        said = connection.execute(sql_sections("features/openings")[f"associations_in_{table}"], {"as_of": as_of}).pl()
        rows = rows.join(said, on=["repo_id", "author_id"], how="left")
        return cls(table, {(row.pop("repo_id"), row.pop("author_id")): row for row in rows.iter_rows(named=True)})

    def of(self, repo_id: int, author_id: int) -> dict[str, Any]:
        """Features of an opening; who or what is UNKNOWN has no history yet."""
        found = self._rows.get((repo_id, author_id))
        return dict(found) if found is not None else self._strangers(repo_id, author_id)

    def _strangers(self, repo_id: int, author_id: int) -> dict[str, Any]:
        """An author who has not been in this repository: their own history elsewhere, and the repository's."""
        nowhere = self._rows[UNKNOWN, UNKNOWN]
        author = self._rows.get((UNKNOWN, author_id), nowhere)
        repo = self._rows.get((repo_id, UNKNOWN), nowhere)
        row = author | {name: repo[name] for name in PARTS[self.table].of_repo}
        if self.table == "pull_requests":
            weight = author["author_prior_decided"] + _SHRINKAGE
            passed = round(author["author_pass_rate"] * weight - _SHRINKAGE * author["repo_pass_rate"])
            row["author_pass_rate"] = (passed + _SHRINKAGE * repo["repo_pass_rate"]) / weight
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
