"""What a name may mean in a query: columns of its sources, aliases, parameters of our macros, declared tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from qc_assets.errors import QcError
from qc_assets.store.schema import declared, declared_names, sql_sections

Columns = frozenset[tuple[str, str]]
"""Pairs of ``schema.table`` and column."""

NOTHING: Columns = frozenset()
_MACRO = re.compile(r"CREATE OR REPLACE TEMP MACRO (\w+)\(([^)]*)\) AS( TABLE)?\s(.*?);\n", re.DOTALL)


class LineageError(QcError):
    """A query names something that is in none of its sources."""


@dataclass(frozen=True)
class NamedColumns:
    """What a FROM brings: columns with where they come from, and what its rows are chosen by.

    Attributes:
        rest: where columns of any other name come from; of what is no table, such as the elements of a list.
    """

    columns: Mapping[str, Columns]
    chosen_by: Columns = NOTHING
    rest: Columns | None = None

    def get(self, name: str) -> Columns | None:
        return self.columns.get(name.lower(), self.rest)


@dataclass(frozen=True)
class NameScope:
    """What a name may mean in an expression.

    Attributes:
        tables: CTEs, and tables that a macro has as parameters, by name.
        sources: of this SELECT, by alias.
        names: aliases of this SELECT, parameters of macros, variables of lambdas.
        windows: columns of its named windows.
        rows: what it takes its rows by.
        outer: the scope around it.
    """

    tables: Mapping[str, NamedColumns]
    sources: Mapping[str, NamedColumns] = field(default_factory=dict)
    names: Mapping[str, Columns] = field(default_factory=dict)
    windows: Mapping[str, Columns] = field(default_factory=dict)
    rows: Columns = NOTHING
    outer: "NameScope | None" = None


@cache
def macros_of_ours() -> dict[str, tuple[list[str], Any]]:
    """Parameters and body, as a query, of each macro of `macros.sql` and `changes.sql`, by name."""
    import sqlglot

    macros = {}
    for file in ("macros", "changes"):
        text = re.sub(r"--[^\n]*", "", "".join(sql_sections(file).values())) + "\n"
        for macro, parameters, is_table, body in _MACRO.findall(text):
            names = [parameter.strip().lower() for parameter in parameters.split(",")]
            # Of one that is defined for several numbers of parameters the first says what it takes.
            first = re.split(r",\n\([\w, ]+\) AS\s", body)[0]
            query = first if is_table else f"SELECT {first}"
            macros[macro.lower()] = names, sqlglot.parse_one(query, read="duckdb")
    return macros


def named_table(name: str, scope: NameScope) -> NamedColumns:
    """A CTE, a table that a macro was given, or one that an SQL file declares.

    Raises:
        LineageError: if there is none.
    """
    name = name.lower()
    if name in scope.tables:
        return scope.tables[name]
    if name in declared_names():
        return NamedColumns({column.lower(): frozenset([(name, column)]) for column, _, _ in declared(name).columns})
    raise LineageError(f"no table {name}")


def meaning(parts: Sequence[str], scope: NameScope) -> Columns | None:
    """What a name of one or more parts means in a scope itself; None if nothing."""
    first = parts[0]
    if len(parts) > 1 and first in scope.sources:
        source = scope.sources[first]
        return source.columns.get(".".join(parts[1:3]), source.get(parts[1]))
    known = [source.columns for source in scope.sources.values() if first in source.columns]
    if known:  # a column, or a struct and its field
        return NOTHING.union(*(columns.get(".".join(parts[:2]), columns[first]) for columns in known))
    if first in scope.names:
        return scope.names[first]
    rest = [source.rest for source in scope.sources.values() if source.rest is not None]
    if rest:
        return NOTHING.union(*rest)
    if first in scope.sources:  # a whole row
        return NOTHING.union(*scope.sources[first].columns.values())
    return None
