"""ASOF joins as windows, which every engine has.

A join by the newest earlier row becomes a window over the rows of both sides in the order of time: each row takes the
last one of the other side that stands before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from qc_assets.errors import QcError


class PlainSqlError(QcError):
    """A query has SQL that only DuckDB runs."""


def without_asof(select: Any) -> Any:
    """A SELECT whose ASOF joins are windows: over its rows and those that are joined, in the order of time."""
    joins = [join for join in select.args.get("joins") or [] if join.method == "ASOF"]
    if not joins:
        return select
    if len(joins) < len(select.args["joins"]):
        raise PlainSqlError("a SELECT has ASOF joins and others")
    left = select.args["from_"].this
    used = _used_columns(select, [left.alias_or_name, *(join.alias_or_name for join in joins)])
    groups: dict[tuple[str, ...], list[_AsOf]] = {}
    for join in joins:
        asof = _AsOf.of(join, left.alias_or_name, used[join.alias_or_name])
        groups.setdefault(tuple(key.sql() for key in (*asof.keys, asof.time)), []).append(asof)
    seen: list[str] = []
    for group in groups.values():
        left = _looked_up(left, used[left.alias_or_name], seen, group)
        seen += [asof.name for asof in group]
    select.set("joins", None)
    select.set("from_", exp.From(this=left))
    for join in joins:
        if join.side != "LEFT":
            select.where(exp.column(join.alias_or_name).is_(exp.null()).not_(), copy=False)
    return select


def _used_columns(select: Any, sources: list[str]) -> dict[str, list[str]]:
    """The columns of each source that a SELECT names."""
    used: dict[str, set[str]] = {source: set() for source in sources}
    parts = [*select.expressions, *(select.args.get(name) for name in ("where", "group", "having", "qualify"))]
    parts += [join.args["on"] for join in select.args["joins"]]
    for column in (column for part in parts if part is not None for column in part.find_all(exp.Column)):
        if column.table not in used or isinstance(column.this, exp.Star):
            raise PlainSqlError(f"{column.sql('duckdb')}, beside an ASOF join, does not name a source and its column")
        used[column.table].add(column.name)
    return {source: sorted(names) for source, names in used.items()}


@dataclass(frozen=True)
class _AsOf:
    """One ASOF join: the newest row before `time` that has the same keys."""

    name: str
    source: Any
    columns: list[str]
    keys: tuple[Any, ...]
    time: Any
    own_keys: tuple[Any, ...]
    own_time: Any

    @classmethod
    def of(cls, join: Any, left: str, columns: list[str]) -> "_AsOf":
        conditions = list(join.args["on"].flatten())
        pairs = [(part.this, part.expression) for part in conditions if isinstance(part, exp.EQ)]
        times = [part for part in conditions if isinstance(part, exp.GT)]
        name = join.alias_or_name
        right = all(ours.table == left and theirs.table == name for ours, theirs in pairs)
        if len(times) != 1 or len(pairs) + 1 != len(conditions) or not right or times[0].this.table != left:
            raise PlainSqlError(f"an ASOF join is ON {left}.key = {name}.key AND {left}.time > {name}.time")
        keys, own_keys = zip(*pairs, strict=True)
        return cls(name, join.this, columns, keys, times[0].this, own_keys, times[0].expression)


def _looked_up(left: Any, columns: list[str], seen: list[str], group: list[_AsOf]) -> Any:
    """The rows of `left`, each with a struct of the row that each ASOF join of the group finds.

    Args:
        left: a source.
        columns: of it.
        seen: structs that it has from groups before.
        group: joins by the same keys and time.
    """
    name, names = left.alias_or_name, [asof.name for asof in group]
    keys, null = [f"asof_key_{place}" for place in range(len(group[0].keys))], "NULL"

    def side(number: int, asof: _AsOf, values: Mapping[str, str], source: str) -> str:
        told = asof.own_keys if number else asof.keys
        values = {
            **values, **{key: value.sql("duckdb") for key, value in zip(keys, told, strict=True)},
            "asof_time": (asof.own_time if number else asof.time).sql("duckdb"), "asof_side": str(number),
        }  # fmt: skip
        every = [*columns, *seen, *names, *keys, "asof_time", "asof_side"]
        return f"SELECT {', '.join(f'{values.get(each) or null} AS {each}' for each in every)} FROM {source}"

    own = {each: f"{name}.{each}" for each in columns} | {each: each for each in seen}
    sides = [side(0, group[0], own, left.sql("duckdb"))]
    for asof in group:
        struct = ", ".join(f"'{each}': {asof.name}.{each}" for each in asof.columns)
        known = " AND ".join(f"{value.sql('duckdb')} IS NOT NULL" for value in (*asof.own_keys, asof.own_time))
        sides.append(side(1, asof, {asof.name: f"{{{struct}}}"}, f"{asof.source.sql('duckdb')} WHERE {known}"))
    # What is found at the very same time comes after the row that asks, and is not seen by it.
    window = f"(PARTITION BY {', '.join(keys)} ORDER BY asof_time, asof_side ROWS UNBOUNDED PRECEDING)"
    newest = [
        f"CASE WHEN asof_time IS NOT NULL THEN last_value({each} IGNORE NULLS) OVER {window} END AS {each}"
        for each in names
    ]
    query = (
        f"SELECT {', '.join([*columns, *seen, *newest])} FROM ({' UNION ALL '.join(sides)}) AS asof_rows "
        "QUALIFY asof_side = 0"
    )
    return exp.Subquery(
        this=sqlglot.parse_one(query, read="duckdb"), alias=exp.TableAlias(this=exp.to_identifier(name))
    )
