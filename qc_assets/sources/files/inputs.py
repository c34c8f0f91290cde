"""Tables of data sets read as they are, each column as what it should be, with the line that a row came from."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from qc_assets.errors import SourceError
from qc_assets.forges import LONGEST_FORGE_TEXT
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.files.data_sets import DataSet
from qc_assets.sources.files.lines import LINE, NAMES, columns_named, texts_of
from qc_assets.store.schema import RAW_TABLES, columns, id_columns, sql_sections

# What the data sets are known to call columns of ours; a column of the right name goes before them.
ALIASES = {
    "repo": ("repository", "repo_name", "project"),
    "number": ("key",),
    "author_login": ("author", "user", "login", "reporter"),
    "closed_at": ("resolved_at",),
    "name": ("repo", "repository", "repo_name", "full_name"),
    "action": ("event",),
    "label": ("detail",),
    "reviewer_login": ("reviewer", "requested_reviewer"),
    "requested_by_login": ("actor",),
}
_COMMITS = [("committed_at", "TIMESTAMP"), ("additions", "BIGINT"), ("deletions", "BIGINT")]
_LETTERS_PER_FILE = 100
# Words of a fixed set, in SQL by their text, as forges and libraries spell them.
_SPELLED = dict.fromkeys(("state_reason", "closed_with", "told_origin", "change"), "lower(replace({}, ' ', '_'))")
_SPELLED |= dict.fromkeys(("author_association", "opened_author_association"), "upper({})")


def columns_of(table: str) -> dict[str, str]:
    """The columns that are read, with their types; ids are texts until it is known whose they are."""
    raw = [] if table == "commits" else [column[:2] for column in columns(f"raw.{table}")]
    own = dict([*raw, *(_COMMITS if table == "commits" else [])])
    for name in ("source", "observed_at"):
        own.pop(name, None)
    ids = id_columns(f"raw.{table}") if table in RAW_TABLES else ()
    own = {name: "VARCHAR" if name in ids else kind for name, kind in own.items()}
    return {
        "repo": "VARCHAR",
        "repo_id": "VARCHAR",
        "pr_id": "VARCHAR",
        "number": "BIGINT",
        "partition_date": "DATE",
    } | own


def read_table(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    number: int,
    data_set: DataSet,
    path: Path,
    folder: Path,
    bounds: Bounds,
) -> int:
    """Read a file into the table's input.

    Returns:
        How many rows it had; 0 for one that another table is read from as well, which counts and reports them.
    """
    is_shared = table == "review_requests" and path.name.lower().startswith("events")
    expected = columns_of(table)
    bad: list[tuple[int, str, str]] = []
    spare = folder / f"{number}-{path.name}"
    spare.mkdir()
    names = sorted({*expected, *(alias for name in expected for alias in ALIASES.get(name, ()))})
    if path.suffix.lower() == ".parquet":
        parts, line, options = [path], "file_row_number + 1", ", file_row_number = true"
    else:
        parts, bad, _ = texts_of(path, names, spare, bounds)
        line, options = f'"{LINE}"', ""
    try:
        if not parts:  # a table without rows, whatever its columns
            return 0
        described = connection.execute(
            "DESCRIBE FROM read_parquet($paths, union_by_name = true)", {"paths": [str(part) for part in parts]}
        ).fetchall()
        there = [row[0] for row in described]
        places = columns_named(there, names)
        taken = {
            name: next((alias for alias in (name, *ALIASES.get(name, ())) if alias in places), "") for name in expected
        }
        given = [name for name, column in taken.items() if column]
        _need(table, given, data_set, path)
        texts, told, values, unreadable = [], [], [], []
        for name in given:
            column, kind = described[places[taken[name]]][:2]
            text, without, value = _cast('"' + column.replace('"', '""') + '"', kind, name, expected[name])
            texts.append(f'{text} AS "{name}"')
            told.append(f'{without} AS "text of {name}"')
            values.append(f"{value} AS {name}")
            unreadable.append(
                f'CASE WHEN "text of {name}" IS NOT NULL AND {name} IS NULL '
                f"THEN '{name} is no {_word(name, expected[name])}: ' "
                f'|| left("text of {name}"::VARCHAR, 40) END'
            )
        statement = sql_sections("sources/files")["read"].format(
            table=table,
            line=line,
            options=options,
            texts=", ".join(texts),
            told=", ".join(told),
            values=", ".join(values),
            unreadable=", ".join(unreadable),
            columns=", ".join(given),
        )
        parameters = {"data_set": number, "file": f"{data_set.name}/{path.name}", "given": _told(given, path)}
        rows = connection.execute(statement, parameters | {"paths": [str(part) for part in parts]}).fetchall()[0][0]
    except duckdb.Error as error:
        raise SourceError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        shutil.rmtree(spare)
    if is_shared:
        return 0
    file = f"{data_set.name}/{path.name}"
    letters: list[tuple[object, ...]] = [(number, None, file, "malformed_line", why, at, text) for at, why, text in bad]
    if len(letters) > _LETTERS_PER_FILE:
        more = f"and {len(letters) - _LETTERS_PER_FILE} more lines of this file"
        del letters[_LETTERS_PER_FILE:]
        letters.append((number, None, file, "malformed_line", more, None, None))
    if letters:
        connection.executemany("INSERT INTO letters VALUES (?, ?, ?, ?, ?, ?, ?)", letters)
    return int(rows) + len(bad)


def _told(given: Sequence[str], path: Path) -> list[str]:
    """Columns of the file, and whether it tells of events of any kind."""
    return [*given, *(["event"] if path.name.lower().startswith("events") else [])]


def _need(table: str, given: Sequence[str], data_set: DataSet, path: Path) -> None:
    needs: dict[str, tuple[tuple[str, ...], ...]] = {
        "pull_requests": (("repo", "repo_id"), ("number",), ("created_at",), ("author_login", "author_id")),
        "issues": (("repo", "repo_id"), ("number",), ("created_at",), ("author_login", "author_id")),
        "reviews": (("number", "pr_id"), ("author_login", "author_id"), ("state",), ("submitted_at",)),
        "label_events": (("number", "pr_id"), ("label",), ("action",), ("created_at",)),
        "review_requests": (("number", "pr_id"), ("action",), ("created_at",)),
        "files": (("number", "pr_id"), ("path",)),
        "review_comments": (("number", "pr_id"), ("created_at",)),
        "issue_comments": (("number", "pr_id"), ("created_at",)),
        "commits": (("number", "pr_id"), ("committed_at",)),
        "repositories": (("name",),),
        "users": (("login", "user_id"),),
    }
    for any_of in needs.get(table, ()):
        if not set(any_of) & set(given):
            raise SourceError(
                f"{data_set.name}/{path.name} has no column {' or '.join(any_of)}, which every row needs "
                "(docs/histories.md)"
            )


def _cast(column: str, kind: str, name: str, expected: str) -> tuple[str, str, str]:
    """A column as text, that without what says nothing, and what it should be, in SQL, each by the one before.

    What it should be is NULL if it is not.
    """
    field = _named_field(kind)
    if kind.endswith("[]"):
        text = f'list_transform({column}, lambda each: each."{field}")' if field else column
        return f"CAST({text} AS VARCHAR[])", f'"{name}"', f'TRY_CAST("text of {name}" AS {expected})'
    text = f'CAST(({column})."{field}" AS VARCHAR)' if field else f"CAST({column} AS VARCHAR)"
    if column == '"key"':  # such as QC-17
        text = rf"coalesce(nullif(regexp_extract({text}, '(\d+)$', 1), ''), {text})"
    before, told = f'"{name}"', f'"text of {name}"'
    if name.endswith("_id"):
        return text, f"whose_id({before})", f"plain_name({told})"
    if name in _SPELLED:  # of which NONE is one
        return text, f"nullif(trim({before}), '')", _SPELLED[name].format(told)
    if expected == "VARCHAR":
        if _is_name(name):
            return text, f"nullif(trim({before}), '')", f"plain_name({told})"
        return text, before, f"CASE WHEN length({told}) <= {LONGEST_FORGE_TEXT} THEN {told} END"
    values = {"TIMESTAMP": f"moment({told})", "BIGINT": f"whole({told})", "BOOLEAN": f"truth({told})"}
    return text, f"told({before})", values.get(expected, f"TRY_CAST({told} AS {expected})")


def _is_name(name: str) -> bool:
    return name in ("repo", "name", "login", "state", "action") or name.endswith(("_login", "_id"))


def _word(name: str, kind: str) -> str:
    """What a column should be, in a sentence about a value that is not."""
    if kind != "VARCHAR":
        return kind
    return "name" if _is_name(name) or name in _SPELLED else f"text of at most {LONGEST_FORGE_TEXT:,} characters"


def _named_field(kind: str) -> str:
    """The field of a structure that says what it is called; empty if it is none, or has none."""
    if not kind.startswith("STRUCT("):
        return ""
    fields = kind.removesuffix("[]")[len("STRUCT(") : -1]
    while "(" in fields:  # what lies deeper
        fields = re.sub(r"\([^()]*\)", "", fields)
    there = {field.strip().split(" ")[0].strip('"') for field in fields.split(",")}
    return next((name for name in NAMES if name in there), "")
