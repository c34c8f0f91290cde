"""From which columns of the warehouse each column of a feature table is computed, read out of its SQL.

A value comes from the columns that its expression names, through every CTE, subquery, window and macro of ours, down
to tables that an SQL file declares; and from what chooses the rows (WHERE, HAVING, QUALIFY, ON) of each query that it
comes out of. What counts rows, and a constant that stands for one (``1 AS merged``), comes from what they are grouped
by, too. Two things are not told, as every feature would come from nearly everything: equal ids in a join, and by what
the rows of a joined query were chosen, of columns that are not that query's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from qc_assets.features.sql_names import (
    NOTHING,
    Columns,
    LineageError,
    NamedColumns,
    NameScope,
    macros_of_ours,
    meaning,
    named_table,
)
from qc_assets.store.schema import declared_names, sql_sections


@cache
def column_lineage(name: str) -> dict[str, Columns]:
    """Where each column of ``schema/table`` comes from, by the section ``rows`` of its SQL file.

    Raises:
        LineageError: if the query cannot be followed; names what.
    """
    import sqlglot

    try:
        query = sqlglot.parse_one(sql_sections(name)["rows"].rstrip(";"), read="duckdb")
        return _whole(_outputs(query, NameScope({})).columns)
    except LineageError as error:
        raise LineageError(f"{name}: {error}") from error
    except (sqlglot.errors.SqlglotError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LineageError(
            f"{name} has SQL that cannot be followed ({type(error).__name__}: {error!s:.200})"
        ) from error


def sources_in_words(sources: Iterable[tuple[str, str]]) -> str:
    """Columns by table, such as ``raw.files (path), raw.issues (closed_at, created_at)``."""
    by_table: dict[str, list[str]] = {}
    for table, column in sorted(sources):
        by_table.setdefault(table, []).append(column)
    return ", ".join(f"{table} ({', '.join(columns)})" for table, columns in by_table.items()) or "no column"


def _outputs(query: Any, scope: NameScope) -> NamedColumns:
    """Columns of a query, in order, with where they come from; `scope` is the one around it."""
    from sqlglot import exp

    tables = dict(scope.tables)
    for cte in query.ctes if isinstance(query, exp.Query) else ():
        tables[cte.alias.lower()] = _outputs(cte.this, replace(scope, tables=tables))
    around = replace(scope, tables=tables)
    if isinstance(query, exp.Subquery):
        return _outputs(query.this, around)
    if isinstance(query, exp.SetOperation):
        left, right = _outputs(query.this, around), _outputs(query.expression, around)
        chosen_by = left.chosen_by | right.chosen_by
        if query.args.get("by_name"):
            names = {**left.columns, **right.columns}
            both = {name: left.columns.get(name, NOTHING) | right.columns.get(name, NOTHING) for name in names}
        else:
            pairs = zip(_whole(left.columns).items(), _whole(right.columns).values(), strict=True)
            both = {name: first | second for (name, first), second in pairs}
        return NamedColumns({name: columns | chosen_by for name, columns in both.items()}, chosen_by)
    if not isinstance(query, exp.Select):
        raise LineageError(f"no query that can be followed: {query.sql('duckdb'):.200}")
    return _Select(query, around).outputs()


def _whole(outputs: Mapping[str, Columns]) -> dict[str, Columns]:
    return {name: columns for name, columns in outputs.items() if "." not in name}


class _Select:
    """One SELECT and what its names mean."""

    def __init__(self, query: Any, around: NameScope) -> None:
        self.query = query
        self.scope = NameScope(around.tables, outer=around)
        self.conditions = [part for name in ("where", "having", "qualify") for part in _parts(query, name)]
        for source in [*_parts(query, "from_"), *_parts(query, "joins", "laterals")]:
            self._add(source)
        windows = {
            window.name.lower(): _columns_of(_parts(window, "partition_by", "order"), self.scope)
            for window in query.args.get("windows") or ()
        }
        self.scope = replace(self.scope, windows=windows)

    def _add(self, part: Any) -> None:
        """Take up a source; later ones may name it."""
        from sqlglot import exp

        item = part if isinstance(part, exp.Lateral) else part.this
        alias = (item.alias or item.name).lower() or f"_{len(self.scope.sources)}"
        source = _source_of(item, self.scope)
        self.scope = replace(self.scope, sources={**self.scope.sources, alias: source})
        conditions = [condition for on in _parts(part, "on") for condition in _without_equal_ids(on)]
        if part.args.get("side") != "LEFT":
            self.conditions += conditions
            return
        # Of a LEFT JOIN the other columns come whatever it finds.
        found_by = _columns_of(conditions, self.scope)
        columns = {name: columns | found_by for name, columns in source.columns.items()}
        self.scope = replace(self.scope, sources={**self.scope.sources, alias: replace(source, columns=columns)})

    def outputs(self) -> NamedColumns:
        self._projections()  # conditions may name aliases
        chosen_by = _columns_of(self.conditions, self.scope)
        rows = chosen_by | _columns_of(_parts(self.query, "group"), self.scope)
        sources = self.scope.sources.values()
        rows = rows or NOTHING.union(*(source.chosen_by for source in sources))
        rows = rows or NOTHING.union(*(columns for source in sources for columns in source.columns.values()))
        self.scope = replace(self.scope, rows=rows)
        return NamedColumns({name: columns | chosen_by for name, columns in self._projections().items()}, chosen_by)

    def _projections(self) -> dict[str, Columns]:
        outputs: dict[str, Columns] = {}
        for place, projection in enumerate(self.query.expressions):
            for name, columns in self._projected(projection).items():
                unique = name if name and name not in outputs else f"{name}_{place}"
                outputs[unique] = columns
            # Later projections may name earlier ones by alias.
            self.scope = replace(self.scope, names=outputs)
        return outputs

    def _projected(self, projection: Any) -> dict[str, Columns]:
        from sqlglot import exp

        if isinstance(projection, exp.Explode | exp.Unnest):
            return self._spread(projection)
        if not projection.is_star:
            name = projection.alias_or_name.lower()
            value = projection.unalias()
            columns = self.scope.rows if _stands_for_a_row(value) else _columns_of([value], self.scope)
            return {name: columns} | self._fields(name, value)
        star = projection if isinstance(projection, exp.Star) else projection.this
        table = projection.table.lower() if isinstance(projection, exp.Column) else ""
        dropped = {column.name.lower() for column in star.args.get("except_") or ()}
        changed = star.args.get("replace") or ()
        brought: dict[str, Columns] = {}
        for alias, source in self.scope.sources.items():
            if table in ("", alias):
                for name, columns in source.columns.items():
                    brought[name] = brought.get(name, NOTHING) | columns
        brought |= {other.alias.lower(): _columns_of([other.this], self.scope) for other in changed}
        return {name: columns for name, columns in brought.items() if name.partition(".")[0] not in dropped}

    def _fields(self, name: str, value: Any) -> dict[str, Columns]:
        """Fields of a struct that is written out, or that each branch of a CASE writes out, as ``name.field``."""
        from sqlglot import exp

        branches = [value]
        if isinstance(value, exp.Case):
            branches = [branch.args["true"] for branch in value.args["ifs"]] + _parts(value, "default")
        if not all(isinstance(branch, exp.Struct) for branch in branches):
            return {}
        conditions = _columns_of(
            _parts(value, "this") + [branch.this for branch in value.args.get("ifs") or ()], self.scope
        )
        fields: dict[str, Columns] = {}
        for struct in branches:
            for item in struct.expressions:
                field_name = f"{name}.{item.this.name.lower()}"
                fields[field_name] = fields.get(field_name, conditions) | _columns_of([item.expression], self.scope)
        return fields

    def _spread(self, projection: Any) -> dict[str, Columns]:
        """``unnest(struct)`` is a column for each field that was written out, and of a list one."""
        struct = f"{projection.this.name.lower()}."
        fields = {
            name.removeprefix(struct): columns
            for source in self.scope.sources.values()
            for name, columns in source.columns.items()
            if name.startswith(struct)
        }
        return fields or {projection.alias_or_name.lower(): _columns_of([projection], self.scope)}


def _without_equal_ids(condition: Any) -> list[Any]:
    """The parts of a condition, but for the ids by which nearly everything is joined."""
    from sqlglot import exp

    def is_id(side: Any) -> bool:
        return isinstance(side, exp.Column) and (side.name == "number" or side.name.endswith("_id"))

    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    return [part for part in parts if not (isinstance(part, exp.EQ) and is_id(part.this) and is_id(part.expression))]


def _stands_for_a_row(value: Any) -> bool:
    """Whether a constant says that there is a row: a number or true do, but not 0, NULL or a text."""
    from sqlglot import exp

    if isinstance(value, exp.Neg):
        value = value.this
    if isinstance(value, exp.Boolean):
        return bool(value.this)
    return isinstance(value, exp.Literal) and not value.is_string and value.name != "0"


def _counts_rows(node: Any) -> bool:
    """Whether an expression counts rows, whatever stands in them: count(*), rank() and their like."""
    from sqlglot import exp

    counts = node.find_all(exp.Count, exp.RowNumber, exp.Rank, exp.DenseRank)
    return any(not isinstance(count, exp.Count) or isinstance(count.this, exp.Star) for count in counts)


def _source_of(item: Any, scope: NameScope) -> NamedColumns:
    from sqlglot import exp

    if isinstance(item, exp.Lateral):
        item = item.this
    if isinstance(item, exp.Subquery):
        return _outputs(item.this, scope)
    if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
        return named_table(f"{item.db}.{item.name}".strip("."), scope)
    call = item.this if isinstance(item, exp.Table) else item
    if isinstance(call, exp.Anonymous) and call.name.lower() == "query_table":
        return named_table(call.expressions[0].name, scope)
    if isinstance(call, exp.Anonymous) and call.name.lower() in macros_of_ours():
        return _called(call, scope)
    return NamedColumns({}, rest=_columns_of(call.args.get("expressions") or [call], scope))


def _called(call: Any, scope: NameScope) -> NamedColumns:
    """Columns of a table macro of ours, or the only one of another, for these arguments."""
    from sqlglot import exp

    parameters, body = macros_of_ours()[call.name.lower()]
    tables, names = dict(scope.tables), {}
    for parameter, argument in zip(parameters, call.expressions, strict=False):
        value = argument.expression if isinstance(argument, exp.PropertyEQ) else argument
        if isinstance(value, exp.Literal) and value.name.lower() in scope.tables.keys() | declared_names():
            tables[parameter] = named_table(value.name, scope)
        names[parameter] = _columns_of([value], scope)
    return _outputs(body, NameScope(tables, names=names))


def _parts(node: Any, *names: str) -> list[Any]:
    values = [node.args.get(name) for name in names]
    return [part for value in values if value is not None for part in (value if isinstance(value, list) else [value])]


def _columns_of(expressions: Iterable[Any], scope: NameScope) -> Columns:
    """All that some expressions are computed from."""
    from sqlglot import exp

    columns: set[tuple[str, str]] = set()
    for node in expressions:
        if not isinstance(node, exp.Expression):
            continue
        if isinstance(node, exp.Query):
            outputs = _outputs(node, scope)
            columns |= outputs.chosen_by.union(*outputs.columns.values())
        elif isinstance(node, exp.Column):
            columns |= _column(node, scope)
        elif isinstance(node, exp.Lambda | exp.Comprehension):
            bound = node.expressions if isinstance(node, exp.Lambda) else [node.expression]
            inner = replace(scope, names={**scope.names, **{variable.name.lower(): NOTHING for variable in bound}})
            columns |= _columns_of(_parts(node, "this", "iterator", "condition"), inner)
        elif isinstance(node, exp.Anonymous) and node.name.lower() in macros_of_ours():
            columns |= NOTHING.union(*_called(node, scope).columns.values())
        elif isinstance(node, exp.PropertyEQ):
            columns |= _columns_of([node.expression], scope)
        else:
            if isinstance(node, exp.Count | exp.RowNumber | exp.Rank | exp.DenseRank) and _counts_rows(node):
                columns |= scope.rows
            if isinstance(node, exp.Window) and (named := node.alias.lower()):
                columns |= scope.windows.get(named, NOTHING)
            columns |= _columns_of(node.iter_expressions(), scope)
    return frozenset(columns)


def _column(node: Any, scope: NameScope | None) -> Columns:
    from sqlglot import exp

    if isinstance(node.this, exp.Star):
        return NOTHING
    parts = [part.name.lower() for part in node.parts]
    while scope is not None:
        columns = meaning(parts, scope)
        if columns is not None:
            return columns
        scope = scope.outer
    raise LineageError(f"{node.sql('duckdb')} is in none of the sources")
