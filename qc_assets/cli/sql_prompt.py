"""The prompt of `qc sql`: one query after the other, with completion and history."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer  # type: ignore[import-untyped]
from rich.markup import escape

from qc_assets.cli import console
from qc_assets.cli.trouble import explained
from qc_assets.errors import QcError
from qc_assets.store.asking import asked_rows
from qc_assets.store.browsing import tables_to_browse
from qc_assets.store.warehouse import Warehouse

_WORDS = (
    "SELECT", "FROM", "WHERE", "GROUP BY ALL", "ORDER BY", "LIMIT", "HAVING", "DISTINCT", "DESCRIBE", "SUMMARIZE",
    "SHOW TABLES", "SHOW ALL TABLES", "LEFT JOIN", "USING", "WITH", "CASE WHEN", "FILTER (WHERE", "count(*)", "avg(",
    "sum(", "median(", "quantile_cont(", "round(", "date_trunc(", "corr(",
)  # fmt: skip
_LEAVE = {"exit", "quit", "\\q", ".exit", ".quit"}


class SqlCompleter(Completer):
    """Completes names of tables, and of the columns of those that the text names; words of SQL.

    Args:
        store: the warehouse, which is read once.
    """

    def __init__(self, store: Warehouse) -> None:
        self._tables = {f"{row['schema']}.{row['name']}": row["about"] or "" for row in tables_to_browse(store)}
        with store.read() as connection:
            query = "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE NOT internal"
            rows = connection.execute(query).fetchall()
        self._columns: dict[str, list[str]] = {}
        for schema, table, column in rows:
            self._columns.setdefault(f"{schema}.{table}", []).append(column)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """What may stand where the cursor is."""
        begun = re.search(r"[\w.]*$", document.text_before_cursor)
        word = begun[0] if begun else ""
        for text, about in self._candidates(document.text):
            if text.lower().startswith(word.lower()) and text.lower() != word.lower():
                yield Completion(text, -len(word), display_meta=about[:60])

    def _candidates(self, text: str) -> Iterable[tuple[str, str]]:
        named = set(re.findall(r"[\w.]+", text))
        here = [table for table in self._tables if table in named or table.removeprefix("analysis.") in named]
        yield from dict.fromkeys((column, table) for table in here for column in self._columns.get(table, []))
        for table, about in self._tables.items():
            yield table, about
            if table.startswith("analysis."):  # is found without its schema
                yield table.removeprefix("analysis."), about
        yield from ((word, "") for word in _WORDS)


def is_whole(text: str) -> bool:
    """Whether Enter should run a text: it is a statement, ends with a semicolon, or is no SQL of several lines."""
    text = text.strip()
    if not text or text.endswith(";") or text.lower() in _LEAVE:
        return True
    try:
        return len(duckdb.extract_statements(text)) == 1
    except duckdb.Error as error:
        return "at end of input" not in str(error)


def ask_until_done(store: Warehouse, history: Path, limit: int, *, vertical: bool, unsafe: bool) -> None:
    """Read queries from the terminal and answer each, until Ctrl-D; the file is open only while one is answered.

    Args:
        store: the warehouse.
        history: file that queries are kept in.
        limit: rows to show at most.
        vertical: a line for each value, whatever the width.
        unsafe: run any statement.
    """
    completer = SqlCompleter(store)
    history.parent.mkdir(parents=True, exist_ok=True)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        completer=completer,
        complete_while_typing=True,
        auto_suggest=AutoSuggestFromHistory(),
        lexer=PygmentsLexer(SqlLexer),
        multiline=Condition(lambda: not is_whole(session.default_buffer.text)),
        prompt_continuation="  … ",
        key_bindings=_keys(),
    )
    console.out.print("Tab completes, ↑ goes back, Alt-Enter begins a line, Ctrl-D ends. Begin with: SHOW TABLES")
    while True:
        try:
            query = session.prompt("qc> ").strip().rstrip(";")
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if query.lower() in _LEAVE:
            return
        if query:
            _answer(store, query, limit, vertical=vertical, unsafe=unsafe)


def _answer(store: Warehouse, query: str, limit: int, *, vertical: bool, unsafe: bool) -> None:
    try:
        names, rows = asked_rows(store, query, limit + 1, unsafe=unsafe)
    except KeyboardInterrupt:
        console.err.print("stopped")
    except (QcError, duckdb.Error) as error:
        console.err.print(f"[red]error:[/red] {escape(explained(error))}", highlight=False)
    else:
        for part in console.shown_rows(names, rows, limit, vertical=vertical):
            console.out.print(part)


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("escape", "enter")
    def _begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings
