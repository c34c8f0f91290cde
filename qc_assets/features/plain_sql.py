"""The SQL of a feature table, made plain: macros and parameters put in, and nothing left that only DuckDB has.

On DuckDB the plain query gives the very same rows (tests/features/test_plain_sql.py); `spark_sql` says it in Spark's
words. Rewritten are ASOF joins, RANGE frames over times, medians over frames, seconds between times, FILTER and
DISTINCT over windows, and types that Spark lacks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlglot
from sqlglot import exp

from qc_assets.features.asof_joins import PlainSqlError, without_asof
from qc_assets.features.sql_names import macros_of_ours
from qc_assets.store.schema import source_variables

_MICROSECONDS = {"MICROSECOND": 1, "SECOND": 10**6, "MINUTE": 60 * 10**6, "HOUR": 3600 * 10**6, "DAY": 86400 * 10**6}
_LAST_INSTANT = "9999-12-31 23:59:59"
_MEDIAN = (
    "list_extract(list_transform([list_sort(list_filter(x, lambda value: value IS NOT NULL))], lambda sorted: "
    "0.5 * list_extract(sorted, (array_length(sorted) + 1) // 2) "
    "+ 0.5 * list_extract(sorted, array_length(sorted) // 2 + 1)), 1)"
)
# As DuckDB adds an interval's days to the seconds of its rest.
_SECONDS = "(x // 86400000000) * 86400 + (x % 86400000000) / 1000000"


@dataclass(frozen=True)
class PlainQuery:
    """A query as steps.

    Attributes:
        steps: by name, each may read those before it; in sqlglot's trees.
        result: the query that reads them.
    """

    steps: Mapping[str, Any]
    result: Any

    @property
    def tables(self) -> frozenset[str]:
        """Every ``schema.table`` that it reads."""
        trees = [*self.steps.values(), self.result]
        return frozenset(f"{table.db}.{table.name}" for tree in trees for table in tree.find_all(exp.Table) if table.db)

    def duckdb(self) -> str:
        """It as one query for DuckDB."""
        steps = ", ".join(f"{name} AS ({step.sql('duckdb')})" for name, step in self.steps.items())
        return f"{f'WITH {steps} ' if steps else ''}{self.result.sql('duckdb')}"


def plain_query(query: str, parameters: Mapping[str, object]) -> PlainQuery:
    """Make the query of a feature table plain.

    Args:
        query: section ``rows`` of its SQL.
        parameters: its named parameters.

    Raises:
        PlainSqlError: if it has SQL that cannot be made plain; says what.
    """
    inlining = _Inlining(parameters)
    tree: Any = sqlglot.parse_one(query.rstrip("; \n"), read="duckdb")
    for cte in tree.ctes:
        inlining.steps[cte.alias] = inlining.expanded(cte.this)
    tree.set("with_", None)
    result = inlining.expanded(tree)
    return PlainQuery({name: _plain(step) for name, step in inlining.steps.items()}, _plain(result))


def replace_nodes(tree: Any, rules: Mapping[Any, Callable[[Any], Any]]) -> Any:
    """A tree whose nodes have been replaced, from the leaves up, by what the rule of their type makes of them."""
    for child in list(tree.iter_expressions()):
        replacement = replace_nodes(child, rules)
        if replacement is not child:
            child.replace(replacement)
    return rules[type(tree)](tree) if type(tree) in rules else tree


@dataclass
class _Inlining:
    """Puts in macros, and their CTEs before the query that calls them."""

    parameters: Mapping[str, object]
    steps: dict[str, Any] = field(default_factory=dict)

    def expanded(self, tree: Any) -> Any:
        rules = {
            exp.Placeholder: self._parameter, exp.Anonymous: self._called, exp.Table: self._table,
            exp.Bracket: _constant_field,
        }  # fmt: skip
        return replace_nodes(tree, rules)

    def _parameter(self, node: Any) -> Any:
        if node.name not in self.parameters:
            raise PlainSqlError(f"nobody says what ${node.name} is")
        return _literal(self.parameters[node.name])

    def _called(self, node: Any) -> Any:
        """A function: one of ours is its body, of a variable its value."""
        name = node.name.lower()
        if name == "getvariable":
            return _literal(source_variables()[node.expressions[0].name][1])
        if name not in macros_of_ours() or isinstance(node.parent, exp.Table):
            return node
        return exp.paren(self.expanded(_body(node)).expressions[0], copy=False)

    def _table(self, node: Any) -> Any:
        """A table: one of ours that is called is a subquery."""
        if not isinstance(node.this, exp.Anonymous):
            return node
        call, alias = node.this, node.alias or node.this.name
        if call.name.lower() == "query_table":
            return _renamed(node, call.expressions[0].name)
        if call.name.lower() not in macros_of_ours():
            raise PlainSqlError(f"the table function {call.name} is none of ours")
        body = _body(call)
        names: dict[str, str] = {}
        for cte in body.ctes:
            step = self.expanded(_with_names(cte.this, names))
            names[cte.alias] = f"{call.name}_{cte.alias}_{len(self.steps)}"
            self.steps[names[cte.alias]] = step
        body.set("with_", None)
        query, joins = self.expanded(_with_names(body, names)), node.args.get("joins")
        return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(alias)), joins=joins)


def _body(call: Any) -> Any:
    """The body of one of our macros with the arguments of a call in the place of its parameters."""
    names, body = macros_of_ours()[call.name.lower()]
    if len(names) != len(call.expressions):
        raise PlainSqlError(f"{call.name} takes {len(names)} arguments, not {len(call.expressions)}")
    arguments = dict(zip(names, call.expressions, strict=True))
    body = body.copy()
    for column in list(body.find_all(exp.Column)):
        argument = arguments.get(column.name.lower()) if not column.table else None
        if argument is not None:
            column.replace(argument.copy() if isinstance(argument, exp.Literal) else exp.paren(argument))
    return body


def _with_names(query: Any, names: Mapping[str, str]) -> Any:
    """A query whose tables have other names, under which it calls them what it did."""
    for table in list(query.find_all(exp.Table)):
        if not table.db and isinstance(table.this, exp.Identifier) and table.name in names:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
            _renamed(table, names[table.name])
    return query


def _renamed(table: Any, name: str) -> Any:
    """A table by another name; what is joined to it stays."""
    schema, _, name = name.rpartition(".")
    table.set("this", exp.to_identifier(name))
    table.set("db", exp.to_identifier(schema or None))
    return table


def _literal(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = [exp.PropertyEQ(this=exp.to_identifier(name), expression=_literal(value[name])) for name in value]
        return exp.Struct(expressions=fields)
    if isinstance(value, list | tuple):
        return exp.Array(expressions=[_literal(item) for item in value])
    return exp.cast(exp.Literal.string(str(value)), "DATE") if isinstance(value, date) else exp.convert(value)


def _constant_field(node: Any) -> Any:
    """The field of a struct that is written out: ``{'a': 1}['a']``."""
    struct, key = node.this.unnest(), node.expressions[0]
    if not isinstance(struct, exp.Struct) or not key.is_string:
        return node
    return next(field.expression for field in struct.expressions if field.name == key.name)


def _plain(tree: Any) -> Any:
    rules = {
        exp.Window: _plain_window, exp.TimeToUnix: _seconds_between, exp.DateDiff: _whole_seconds_between,
        exp.Cast: _plain_cast, exp.Select: without_asof,
    }  # fmt: skip
    return replace_nodes(tree, rules)


def _of(text: str, **parts: Any) -> Any:
    """An expression of DuckDB with others in the place of names."""
    tree: Any = exp.paren(sqlglot.parse_one(text, read="duckdb"))
    for column in list(tree.find_all(exp.Column)):
        if column.name in parts:
            column.replace(parts[column.name].copy())
    return tree


def _plain_window(node: Any) -> Any:
    spec = node.args.get("spec")
    bounds = [spec.args.get(side) for side in ("start", "end")] if spec else []
    if any(isinstance(bound, exp.Interval) for bound in bounds):
        (ordered,) = node.args["order"].expressions
        ordered.set("this", exp.func("epoch_us", ordered.this))
        for bound in bounds:
            if isinstance(bound, exp.Interval):
                unit: Any = bound.unit
                if unit.name.upper() not in _MICROSECONDS:
                    raise PlainSqlError(f"{bound.sql('duckdb')}: a RANGE frame is of {', '.join(_MICROSECONDS)}")
                bound.replace(exp.Literal.number(int(bound.name) * _MICROSECONDS[unit.name.upper()]))
    function = node.this
    if isinstance(function, exp.Filter):
        condition, function = function.expression.this, function.this
        value = exp.Literal.number(1) if isinstance(function.this, exp.Star) else function.this
        function.set("this", exp.Case(ifs=[exp.If(this=condition, true=value)]))
        node.set("this", function)
    if isinstance(function, exp.Median):
        node.set("this", exp.ArrayAgg(this=function.this))
        return _of(_MEDIAN, x=node)
    if isinstance(function, exp.Count) and isinstance(function.this, exp.Distinct):
        node.set("this", exp.ArrayAgg(this=function.this.expressions[0]))
        return _of("array_length(list_distinct(x))", x=node)
    return node


def _seconds_between(node: Any) -> Any:
    if not isinstance(node.this, exp.Sub):
        raise PlainSqlError(f"epoch() is of a difference of two times, not of {node.this.sql('duckdb'):.100}")
    return _of(_SECONDS, x=_of("date_diff('microsecond', b, a)", a=node.this.this, b=node.this.expression))


def _whole_seconds_between(node: Any) -> Any:
    """DuckDB counts the seconds that begin between; Spark those that are over."""
    if node.unit.name == "MICROSECOND":
        return node
    if node.unit.name != "SECOND":
        raise PlainSqlError(f"{node.sql('duckdb'):.100}: date_diff() is of 'second' or 'microsecond'")
    whole = "date_diff('microsecond', date_trunc('second', b), date_trunc('second', a)) // 1000000"
    return _of(whole, a=node.this, b=node.expression)


def _plain_cast(node: Any) -> Any:
    if node.to.is_type(exp.DataType.Type.ENUM):
        node.set("to", exp.DataType.build("VARCHAR"))
    if isinstance(node.this, exp.Literal) and node.this.name == "infinity":
        node.this.replace(exp.Literal.string(_LAST_INSTANT))
    return node
