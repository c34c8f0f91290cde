"""Pull requests and issues as GitHub answers them, turned into rows of the raw tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from qc_assets.clock import parse_instant
from qc_assets.sources.bounded import clean
from qc_assets.sources.github.closings import BY_MACHINE, closing, title_at_closing
from qc_assets.sources.github.item_parts import nodes_of, timeline_of
from qc_assets.sources.github.opening import opened_facts
from qc_assets.sources.github.requests import requests_of
from qc_assets.store.dead_letters import DeadLetter
from qc_assets.store.schema import columns, declared, define_functions, shown_by

Rows = dict[str, list[dict[str, Any]]]
_TYPES: dict[str, Any] = {
    "VARCHAR": pl.String,
    "VARCHAR[]": pl.List(pl.String),
    "BIGINT": pl.Int64,
    "BOOLEAN": pl.Boolean,
    "TIMESTAMP": pl.Datetime("us"),
    "DATE": pl.Date,
}
_VALUES: dict[str, type] = dict(zip(_TYPES, (str, list, int, bool, datetime, date), strict=True))


def rows(items: Iterable[tuple[Mapping[str, Any], datetime]]) -> tuple[Rows, list[DeadLetter]]:
    """Rows of pull requests and issues with all that hangs on them.

    Args:
        items: whole items, each with the instant (naive UTC) at which it was read.

    Returns:
        Rows by raw table, a row's day being that of its item's last update; and the items that make no sense.
    """
    rows_by_table: Rows = {}
    letters = []
    for item, observed_at in items:
        try:
            of_item, nameless = _rows(item, observed_at)
            for table, records in of_item.items():
                rows_by_table.setdefault(table, []).extend(records)
            if nameless:
                letters.append(_odd(item, "no_id", f"GitHub gives no ids to its {' and '.join(nameless)}"))
        except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
            reason = f"GitHub's answer makes no sense: {type(error).__name__} {error}"
            letters.append(_odd(item, "odd_answer", reason))
    return rows_by_table, letters


def _odd(item: Mapping[str, Any], error_type: str, reason: str) -> DeadLetter:
    repo = item["repository"]
    return DeadLetter(
        partition_date=parse_instant(item["updatedAt"]).date(),
        item=f"{repo['nameWithOwner']}#{item['number']}",
        error_type=error_type,
        reason=reason,
        excerpt=json.dumps(item)[:200],
        endpoint="graphql",
        status=200,
        repo_id=repo["databaseId"],
    )


def _rows(item: Mapping[str, Any], observed_at: datetime) -> tuple[Rows, list[str]]:
    """Rows of an item, and the tables whose rows have no id of their own: they cannot be told apart."""
    nameless = []
    day = parse_instant(item["updatedAt"]).date()
    seen = {"source": "github", "observed_at": observed_at, "partition_date": day}
    here = {"repo_id": item["repository"]["databaseId"], "number": item["number"]}
    is_pr = item["__typename"] == "PullRequest"
    own = here | (_pull_request(item) if is_pr else _issue(item)) | opened_facts(item, observed_at) | seen
    rows_by_table: Rows = {"pull_requests" if is_pr else "issues": [own]}
    people = [item["author"]]
    for table, children in _children(item, is_pr).items():
        records = [here | child | seen for child in children]
        keys = declared(f"raw.{table}").keys
        rows_by_table[table] = [record for record in records if all(record[key] is not None for key in keys)]
        if len(rows_by_table[table]) < len(records):
            nameless.append(table)
            own["unread_parts"] = sorted({*own["unread_parts"], *shown_by(table)})
    for name in ("reviews", "comments"):
        people += [node["author"] for node in nodes_of(item, name)]
    people += [node["author"] for thread in nodes_of(item, "reviewThreads") for node in nodes_of(thread, "comments")]
    rows_by_table["users"] = [user | seen for user in _users(people)]
    fitting = {table: [_fitting(table, record) for record in records] for table, records in rows_by_table.items()}
    return fitting, nameless


def _fitting(table: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record whose values are of the types that its table has, its texts such as every store takes.

    Raises:
        TypeError, ValueError: if one is not.
    """
    kinds = _kinds(table)
    for column, value in record.items():
        if value is None:
            continue
        kind = kinds.get(column, "VARCHAR")
        if not isinstance(value, _VALUES[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise TypeError(f"{column} is {value!r:.80}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(f"{column} is {value!r:.80}")
        if isinstance(value, str):
            record[column] = clean(value)
        elif isinstance(value, list):
            record[column] = [clean(text) for text in value]
    return record


@cache
def _kinds(table: str) -> dict[str, str]:
    return {column: kind for column, kind, _ in columns(f"raw.{table}")}


def repository_row(repo: Mapping[str, Any], observed_at: datetime, day: date) -> dict[str, Any]:
    """A row of raw.repositories."""
    row = {
        "repo_id": repo["databaseId"],
        "name": repo["nameWithOwner"],
        "language": (repo.get("primaryLanguage") or {}).get("name"),
        "licence": (repo.get("licenseInfo") or {}).get("spdxId"),
        "stars": repo["stargazerCount"],
        "is_fork": repo["isFork"],
        "is_archived": repo["isArchived"],
        "created_at": parse_instant(repo["createdAt"]),
        "source": "github",
        "observed_at": observed_at,
        "partition_date": day,
    }
    return _fitting("repositories", row)


def write(rows_by_table: Rows, folder: Path, name: str) -> dict[str, Path]:
    """Stage rows as one Parquet file a table, with the types that the tables declare; the newest of a key stays."""
    files = {}
    with duckdb.connect(":memory:") as connection:
        define_functions(connection, "is_bot")
        for table, records in rows_by_table.items():
            if not records:
                continue
            kinds = {column: _TYPES[kind] for column, kind in _kinds(table).items()}
            schema = {column: kinds.get(column, pl.String) for column in records[0]}
            frame = pl.DataFrame(records, schema=schema, orient="row")
            frame = frame.sort("observed_at").unique([*declared(f"raw.{table}").keys, "partition_date"], keep="last")
            if "author_type" in schema:
                # The same rule as for the archive: bots are told by account type and by login.
                connection.register("records", frame.to_arrow())
                left_out, told = "author_type", "is_bot(author_login, author_type) AS author_is_bot"
                if "closed_by_type" in schema:
                    left_out, told = f"{left_out}, closed_by_type", f"{told}, {BY_MACHINE} AS closed_by_is_bot"
                frame = connection.execute(f"SELECT * EXCLUDE ({left_out}), {told} FROM records").pl()
            elif table == "users":
                connection.register("records", frame.to_arrow())
                frame = connection.execute("SELECT *, is_bot(login, type) AS is_bot FROM records").pl()
            files[table] = folder / f"{table}-{name}.parquet"
            frame.write_parquet(files[table])
    return files


def _instant(text: str | None) -> datetime | None:
    return None if text is None else parse_instant(text)


def _account(actor: Mapping[str, Any] | None) -> dict[str, Any]:
    # GraphQL leaves out the suffix that the archive and the REST API give the login of an App.
    if actor is None:
        return {"author_id": None, "author_login": "ghost", "author_type": None}
    suffix = "[bot]" if actor["__typename"] == "Bot" and not actor["login"].endswith("[bot]") else ""
    login = actor["login"] + suffix
    return {"author_id": actor.get("databaseId"), "author_login": login, "author_type": actor["__typename"]}


def _users(people: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    known = {actor["databaseId"]: actor for actor in people if actor and actor.get("databaseId")}
    return [
        {"user_id": number, "login": _account(actor)["author_login"], "type": actor["__typename"]}
        for number, actor in known.items()
    ]


def _written(node: Mapping[str, Any]) -> dict[str, Any]:
    return _account(node["author"]) | {"author_association": node["authorAssociation"]}


def _common(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_written(item),
        "title": item["title"],
        "body": item["body"],
        "created_at": _instant(item["createdAt"]),
        "updated_at": _instant(item["updatedAt"]),
        "closed_at": _instant(item["closedAt"]),
        **closing(item, timeline_of(item), _account),
        "labels": [node["name"] for node in nodes_of(item, "labels")],
        "unread_parts": sorted(item.get("lost", ())),
    }


def _issue(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_common(item),
        "issue_id": _int(item["fullDatabaseId"]),
        "state": item["issueState"].lower(),
        "state_reason": (item["stateReason"] or "").lower() or None,
        "comments": (item.get("comments") or {}).get("totalCount"),
        "assignees": [node["login"] for node in nodes_of(item, "assignees")],
    }


def _pull_request(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_common(item),
        "pr_id": _int(item["fullDatabaseId"]),
        "state": "open" if item["state"] == "OPEN" else "closed",
        "is_draft": item["isDraft"],
        "merged_at": _instant(item["mergedAt"]),
        "head_ref": item["headRefName"],
        "closed_title": title_at_closing(item, timeline_of(item)),
        "additions": item["additions"],
        "deletions": item["deletions"],
        "changed_files": item["changedFiles"],
        "commits": (item.get("commits") or {}).get("totalCount"),
        "merged_by_id": (item["mergedBy"] or {}).get("databaseId"),
        "is_from_fork": item["isCrossRepository"],
    }


def _children(item: Mapping[str, Any], is_pr: bool) -> Rows:
    talk = [
        {
            "comment_id": _int(node["fullDatabaseId"]),
            "is_on_pull_request": is_pr,
            **_written(node),
            "body": node["body"],
            "created_at": _instant(node["createdAt"]),
            "updated_at": _instant(node["updatedAt"]),
        }
        for node in nodes_of(item, "comments")
    ]
    actions = {"LabeledEvent": "labeled", "UnlabeledEvent": "unlabeled"}
    labels = [
        {
            "label": (e["label"] or {}).get("name"),
            "action": actions[e["__typename"]],
            "created_at": _instant(e["createdAt"]),
        }
        for e in timeline_of(item)
        if e["__typename"] in actions
    ]
    children: Rows = {"issue_comments": talk, "label_events": labels}
    if is_pr:
        children["reviews"] = _reviews(item)
        children["files"] = list(item.get("openedFiles") or ())
        children["review_requests"] = requests_of(timeline_of(item), _account, item.get("lost", ()))
        children["review_comments"] = [
            {
                "comment_id": _int(node["fullDatabaseId"]),
                "review_id": _int((node["pullRequestReview"] or {}).get("fullDatabaseId")),
                "in_reply_to_id": _int((node["replyTo"] or {}).get("fullDatabaseId")),
                **_written(node),
                "path": node["path"],
                "diff_hunk": node["diffHunk"],
                "body": node["body"],
                "created_at": _instant(node["createdAt"]),
                "updated_at": _instant(node["updatedAt"]),
            }
            for thread in nodes_of(item, "reviewThreads")
            for node in nodes_of(thread, "comments")
        ]
    return children


def _reviews(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    verdicts = ("APPROVED", "CHANGES_REQUESTED", "COMMENTED")
    # What a dismissed review had said is told by the event of its dismissal.
    dismissed_states = {
        event["review"]["fullDatabaseId"]: event["previousReviewState"]
        for event in reversed(timeline_of(item))
        if event["__typename"] == "ReviewDismissedEvent" and event["review"]
    }
    reviews = []
    for node in nodes_of(item, "reviews"):
        if node["state"] == "PENDING":  # a draft that only its author sees
            continue
        submitted = node["state"] if node["state"] in verdicts else dismissed_states.get(node["fullDatabaseId"])
        reviews.append(
            {
                "review_id": _int(node["fullDatabaseId"]),
                **_written(node),
                "state": node["state"],
                "submitted_state": submitted if submitted in verdicts else None,
                "body": node["body"],
                "submitted_at": _instant(node["submittedAt"]),
            }
        )
    return reviews


def _int(number: Any) -> int | None:
    return None if number is None else int(number)
