"""Small hand-made and hypothesis-made histories, put straight into the raw tables."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
from hypothesis import strategies as st

from qc_assets.settings import load_settings
from qc_assets.store.schema import RAW_TABLES, define_functions, sql_sections
from qc_assets.store.warehouse import Warehouse

START = datetime(2024, 3, 1)
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_CLOSING = {"closed_with", "closed_by_id", "closed_title"}
_EVERY_ROW = {"source": "github", "observed_at": START, "partition_date": date(2024, 3, 1)}


def make_features(store: Warehouse, *names: str, **knobs: Any) -> None:
    """Compute feature tables: those that payouts are joined with, if none is named."""
    for name in names or ("pull_requests", "issues"):
        store.rebuild(f"features/{name}", load_settings(**knobs).feature_parameters(name))


def hour(n: float) -> datetime:
    return START + timedelta(hours=n)


def pull_request(
    number: int, opened: float, *, repo: int = 1, author: int | None = 1, **changes: Any
) -> dict[str, Any]:
    """A raw row; `closed` and `merged` are hours from the start."""
    closed, merged = changes.pop("closed", None), changes.pop("merged", None)
    closed = merged if merged is not None else closed
    return {
        "repo_id": repo,
        "number": number,
        "author_id": author,
        "author_login": "ghost" if author is None else f"u{author}",
        "author_is_bot": False,
        "created_at": hour(opened),
        "closed_at": None if closed is None else hour(closed),
        "merged_at": None if merged is None else hour(merged),
        "state": "open" if closed is None else "closed",
        "opened_title": "feat: x",
        "opened_body": "- [x] done",
        "opened_is_draft": False,
        "opened_author_association": "NONE",
        "opened_additions": 30,
        "opened_deletions": 10,
        "opened_changed_files": 2,
        "opened_commits": 1,
        "opened_sizes_from": "opening",
    } | changes


def issue(number: int, opened: float, *, repo: int = 1, author: int | None = 1, **changes: Any) -> dict[str, Any]:
    closed = changes.pop("closed", None)
    return {
        "repo_id": repo,
        "number": number,
        "author_id": author,
        "author_login": "ghost" if author is None else f"u{author}",
        "author_is_bot": False,
        "created_at": hour(opened),
        "closed_at": None if closed is None else hour(closed),
        "state": "open" if closed is None else "closed",
        "opened_title": "bug: y",
        "opened_body": "",
        "opened_author_association": "NONE",
    } | changes


def review(
    review_id: int, number: int, at: float, state: str, *, repo: int = 1, author: int = 9, bot: bool = False
) -> dict[str, Any]:
    return {
        "review_id": review_id,
        "repo_id": repo,
        "number": number,
        "author_id": author,
        "author_login": f"u{author}",
        "author_is_bot": bot,
        "state": state,
        "submitted_state": state,
        "submitted_at": hour(at),
    }


def label(number: int, name: str, at: float, action: str = "labeled", *, repo: int = 1) -> dict[str, Any]:
    return {"repo_id": repo, "number": number, "label": name, "action": action, "created_at": hour(at)}


def request(number: int, who: int, at: float, action: str = "requested", *, repo: int = 1) -> dict[str, Any]:
    return {
        "repo_id": repo,
        "number": number,
        "reviewer_login": f"u{who}",
        "reviewer_id": who,
        "action": action,
        "created_at": hour(at),
    }


def changed_file(number: int, path: str, *, repo: int = 1) -> dict[str, Any]:
    return {"repo_id": repo, "number": number, "path": path, "additions": 1, "deletions": 0}


def landing_comment(number: int, at: float, *, repo: int = 1) -> dict[str, Any]:
    return {
        "comment_id": number,
        "repo_id": repo,
        "number": number,
        "author_association": "MEMBER",
        "body": "Landed in 0123abc",
        "created_at": hour(at),
    }


def comment(
    comment_id: int, number: int, at: float, *, repo: int = 1, author: int | None = 9, bot: bool = False
) -> dict[str, Any]:
    """What somebody says in an issue comment or a review comment."""
    return {
        "comment_id": comment_id,
        "repo_id": repo,
        "number": number,
        "author_id": author,
        "author_login": "ghost" if author is None else f"u{author}",
        "author_is_bot": bot,
        "body": "Looks good.",
        "created_at": hour(at),
    }


def put(connection: duckdb.DuckDBPyConnection, rows: Rows, *, beside: bool = False) -> None:
    """Replace the contents of the raw tables, or put rows `beside` what is there."""
    for table in RAW_TABLES:
        if not beside:
            connection.execute(f"DELETE FROM raw.{table}")
        found = [dict(row) | _EVERY_ROW for row in rows.get(table, ())]
        if found:
            types = {name: pl.Datetime("us") for name in ("closed_at", "merged_at")}
            known = {name: kind for name, kind in types.items() if name in found[0]}
            connection.register(
                "found", pl.DataFrame(found, schema_overrides=known, infer_schema_length=None).to_arrow()
            )
            connection.execute(f"INSERT INTO raw.{table} BY NAME SELECT * FROM found")
            connection.unregister("found")


def cover(connection: duckdb.DuckDBPyConnection, days: int = 400) -> None:
    """Say that both repositories were watched for the whole time."""
    connection.execute("DELETE FROM ops.coverage")
    connection.execute(
        "INSERT INTO ops.coverage SELECT 'github', unnest([1, 2]), $1, $2, 0, 0, NULL, true",
        [START - timedelta(days=1), START + timedelta(days=days)],
    )


def memory(warehouse: Warehouse) -> duckdb.DuckDBPyConnection:
    """The warehouse with every table, opened for writing; in the tests a new one is a copy (`empty_stores`)."""
    connection = warehouse.engine.open(read_only=False)
    define_functions(connection)
    cover(connection)
    return connection


def features(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """The rows of a feature table, by key."""
    parameters = load_settings().feature_parameters(name)
    query = sql_sections(f"features/{name}")["rows"]
    return connection.execute(query, parameters).pl().sort("repo_id", "number")


# Whole hours from a short range, so that many things happen at the same instant.
_hours = st.integers(0, 40)
_maybe_later = st.one_of(st.none(), st.integers(0, 40))
_repos, _authors = st.integers(1, 2), st.one_of(st.none(), st.integers(1, 3))
_told = st.sampled_from([None, None, "agent", "automation"])
_signers = st.sampled_from([None, [], ["Ann (aider) <ann@example.org>"]])
_paths = st.lists(st.sampled_from(["a.py", "docs/b.md", "tests/c.py", "x/y/poetry.lock"]), max_size=3, unique=True)
_bodies = st.sampled_from(
    ["- [x] done", "## Why\nFixes #101\n- [ ] a", "## Why\n### How\ncloses #102, closes #103", ""]
)
_labels = st.sampled_from(["bug", "enhancement", "docs", "cleanup", "p1", "Merged"])


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    """Pull requests, issues, reviews and labels of two repositories and three authors."""
    prs, issues, reviews, labels, comments, lines, files, requests = [], [], [], [], [], [], [], []
    # Forms are what the months before had, so some histories begin in one.
    early = draw(st.sampled_from([0, 6]))
    for number in range(1, draw(st.integers(2, 9)) + 1):
        repo, opened, wait = draw(_repos), draw(_hours) - 48 * (number <= early), draw(_maybe_later)
        ending = {} if wait is None else {draw(st.sampled_from(["closed", "merged"])): opened + wait}
        if "merged" in ending:
            ending["merged_by_id"] = draw(_authors)
        if draw(st.booleans()):
            ending |= {"opened_additions": None, "opened_sizes_from": None}
        closing = {"closed_with": draw(st.sampled_from(["nothing", "commit"])), "closed_by_id": draw(_authors)}
        closing["closed_title"] = draw(st.sampled_from(["x", "[Merged by Bors] - x"]))
        comments.append(landing_comment(number, opened + draw(_hours), repo=repo))
        shown = {"author_is_bot": draw(st.booleans()), "told_origin": draw(_told), "opened_coauthors": draw(_signers)}
        shown |= {"opened_body": draw(_bodies), "opened_base_ref": draw(st.sampled_from(["main", "next"]))}
        shown |= {"is_from_fork": draw(st.booleans()), "opened_reviewers": draw(st.integers(0, 2))}
        files += [changed_file(number, path, repo=repo) for path in draw(_paths)]
        asked = draw(st.lists(st.integers(1, 4), max_size=3, unique=True))
        requests += [request(number, who, opened + draw(st.integers(0, 1)), repo=repo) for who in asked]
        prs.append(pull_request(number, opened, repo=repo, author=draw(_authors), **shown, **ending, **closing))
        for _ in range(draw(st.integers(0, 3))):
            state = draw(st.sampled_from(["APPROVED", "CHANGES_REQUESTED", "COMMENTED"]))
            at, who = opened + draw(_hours), draw(st.integers(1, 4))
            reviews.append(review(len(reviews) + 1, number, at, state, repo=repo, author=who, bot=draw(st.booleans())))
        for _ in range(draw(st.integers(0, 2))):
            number_of_comment = 1000 + len(comments) + len(lines)
            spoken = comment(number_of_comment, number, opened + draw(_hours), repo=repo, author=draw(_authors))
            (lines if draw(st.booleans()) else comments).append(spoken)
        labels += _draw_labels(draw, number, repo, opened)
    for number in range(101, 101 + draw(st.integers(0, 6))):
        repo, opened, wait = draw(_repos), draw(_hours), draw(_maybe_later)
        ending = {} if wait is None else {"closed": opened + wait}
        issues.append(issue(number, opened, repo=repo, author=draw(_authors), **ending))
        labels += _draw_labels(draw, number, repo, opened)
    unique = {(row["number"], row["label"], row["action"], row["created_at"]): row for row in labels}
    items = {"pull_requests": prs, "issues": issues, "reviews": reviews, "issue_comments": comments}
    items |= {"review_comments": lines, "files": files, "review_requests": requests}
    return items | {"label_events": list(unique.values())}


def _draw_labels(draw: st.DrawFn, number: int, repo: int, opened: int) -> list[dict[str, Any]]:
    return [
        label(
            number,
            draw(_labels),
            opened + draw(st.integers(-1, 3)),
            draw(st.sampled_from(["labeled", "unlabeled"])),
            repo=repo,
        )
        for _ in range(draw(st.integers(0, 3)))
    ]


def as_of(rows: Rows, moment: datetime, repo: int, number: int) -> Rows:
    """What was in the warehouse at `moment`, when the one item (repo, number) was being opened.

    What came later, or at the same instant, is gone; and what may be edited later holds nonsense.
    """
    nonsense = {
        "title": "LATER",
        "body": "LATER " * 50,
        "author_association": "OWNER",
        "updated_at": datetime(2030, 1, 1),
    }
    sizes = {"additions": 10**6, "deletions": 10**6, "changed_files": 10**6, "commits": 10**6, "is_draft": True}

    def items(table: str, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
        kept = []
        for row in rows.get(table, ()):
            is_it = (row["repo_id"], row["number"]) == (repo, number)
            if not is_it and row["created_at"] >= moment:
                continue
            over = row["closed_at"] is not None and row["closed_at"] < moment
            ending = {} if over else {"closed_at": None, "state": "open"} | dict.fromkeys(_CLOSING & row.keys())
            if not over and "merged_at" in row:
                ending |= {"merged_at": None, "merged_by_id": None}
            kept.append(dict(row) | ending | nonsense | extra)
        return kept

    prs = items("pull_requests", sizes)
    there = {(row["repo_id"], row["number"]) for row in prs}
    comments = ("issue_comments", "review_comments")
    return {
        **{table: [row for row in rows.get(table, ()) if row["created_at"] < moment] for table in comments},
        "pull_requests": prs,
        "files": [row for row in rows.get("files", ()) if (row["repo_id"], row["number"]) in there],
        "review_requests": [row for row in rows.get("review_requests", ()) if row["created_at"] <= moment],
        "issues": items("issues", {"comments": 999}),
        "reviews": [row for row in rows.get("reviews", ()) if row["submitted_at"] < moment],
        "label_events": [row for row in rows.get("label_events", ()) if row["created_at"] <= moment],
    }
