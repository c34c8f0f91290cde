"""A plain query in the words of Spark SQL, with what DuckDB's mean: sqlglot alone mistakes some, and says nothing.

Whatever is not in `COMPARED` is refused: tests/cluster/test_spark_features.py has seen that give the same on both.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlglot import ErrorLevel, errors, exp

from qc_assets.features.asof_joins import PlainSqlError
from qc_assets.features.plain_sql import PlainQuery, rewritten

_COMPARED = """
Add Alias And AnyValue ArgMax ArgMin Array ArrayAgg ArrayContains ArrayDistinct ArrayFilter ArraySize ArraySort
ArrayToString Between Boolean Bracket Case Cast Chr Coalesce Column ConcatWs Contains Count CountIf DPipe DataType
DateDiff DayOfWeekIso Distinct Div EQ Explode Filter From GT GTE Group Having Hour Identifier If IgnoreNulls In IntDiv
Interval Is JSONExtract JSONExtractScalar JSONPath JSONPathKey JSONPathRoot Join LT LTE Lambda LastValue Least Length
Literal Ln LogicalAnd LogicalOr Lower Max Min Mod Mul NEQ Neg Not Null NullSafeEQ NullSafeNEQ Nullif Or Order Ordered
Paren PropertyEQ Qualify Rank RegexpExtract RegexpExtractAll RegexpLike RegexpReplace Replace RowNumber Select Slice
Star Struct Sub Subquery Sum Table TableAlias TimestampTrunc Transform Trim Union Var Where Window WindowSpec
epoch_us json_array_length list_extract list_intersect parse_filename strlen
"""
COMPARED = frozenset(_COMPARED.split())
"""Nodes of sqlglot's trees, and functions that it does not know."""
_TYPES = ("VARCHAR", "TEXT", "BIGINT", "INT", "DOUBLE", "BOOLEAN", "TIMESTAMPNTZ", "DATE", "JSON", "ARRAY")

_TOKEN = re.compile(
    r"(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|.))|\[(?P<negated>\^?)(?P<members>\]?(?:\\.|[^\]\\])*)\]"
    r"|(?P<flags>\(\?(?P<on>[ims]*)(?:-(?P<off>[ims]+))?(?P<end>[:)]))|(?P<unknown>\(\?)|(?P<other>.)",
    re.DOTALL,
)
_WORD_END = r"(?:(?<=\w)(?!\w)|(?<!\w)(?=\w))"


def spark_steps(query: PlainQuery) -> Iterator[tuple[str, str, bool]]:
    """Each step of a query, then its result under the name ``""``: name, Spark SQL, and whether several steps read it.

    Tables are named ``schema_table``.

    Raises:
        PlainSqlError: if it has SQL of which nobody has seen that it means the same on both, or a regular expression
            that Java reads otherwise than RE2.
    """
    trees = {**query.steps, "": query.result}
    reads = Counter(table.name for tree in trees.values() for table in tree.find_all(exp.Table) if not table.db)
    for name, tree in trees.items():
        _refuse_unknown(tree)
        spark = rewritten(tree.copy(), _rules())
        try:
            yield name, spark.sql("spark", identify=True, unsupported_level=ErrorLevel.RAISE), reads[name] > 1
        except errors.UnsupportedError as error:
            raise PlainSqlError(f"Spark has no such SQL: {error}") from error


def _refuse_unknown(tree: Any) -> None:
    for node in tree.walk():
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__
        is_known = name in COMPARED and (not isinstance(node, exp.DataType) or node.this.name in _TYPES)
        if not is_known:
            raise PlainSqlError(
                f"nobody has compared what {name} means on DuckDB and on Spark: {node.sql('duckdb'):.100}. Compute "
                "features with QC_FEATURES_ENGINE=duckdb, or compare it (tests/cluster/test_spark_features.py) and "
                "name it in qc_assets/features/spark_sql.py"
            )


def java_pattern(pattern: str, options: str = "") -> str:
    r"""A regular expression of RE2 for Java, where ``\s``, ``\b``, ``^``, ``$`` and classes mean a little else.

    Args:
        pattern: as DuckDB takes it.
        options: as DuckDB takes them.

    Raises:
        PlainSqlError: if it has what this does not know.
    """
    if set(options) - set("gims"):
        raise PlainSqlError(f"the options {options!r} of a regular expression are not known; i, m and s are")
    by_line = ["m" in options]  # of each group around
    java = "(?d" + "".join(sorted(set(options) & set("is"))) + ")"
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token["escape"]:
            java += _escape(text, pattern, {"s": r"[\t\n\f\r ]", "S": r"[^\t\n\f\r ]", "b": _WORD_END})
        elif token["members"] is not None:
            java += f"[{token['negated']}{_members(token['members'], pattern)}]"
        elif token["unknown"]:
            raise PlainSqlError(f"{pattern!r:.100}: of groups with ?, only those with : or the flags i, m, s are known")
        elif token["flags"]:
            by_line += by_line[-1:] if token["end"] == ":" else []
            by_line[-1] = "m" in token["on"] or (by_line[-1] and "m" not in (token["off"] or ""))
            on, off = (text and text.replace("m", "") for text in (token["on"], token["off"]))
            flags = f"{on}-{off}" if off else on
            java += f"(?{flags}{token['end']}" if flags or token["end"] == ":" else ""
        else:
            if text in "()":
                by_line = [*by_line, by_line[-1]] if text == "(" else by_line[:-1]
            java += {"^": r"(?:\A|(?<=\n))" if by_line[-1] else "^", "$": r"(?=\n|\z)" if by_line[-1] else r"\z"}.get(
                text, text
            )
    return java


def _escape(escape: str, pattern: str, others: dict[str, str]) -> str:
    if escape[1] in others:
        return others[escape[1]]
    if escape[1].isalnum() and escape[1] not in "dDwWAzntrfx":
        raise PlainSqlError(f"{pattern!r:.100} has {escape}, which Java may read otherwise")
    return escape


def _members(members: str, pattern: str) -> str:
    """What stands in a class: Java has classes in classes, and sets of both."""
    if "[:" in members:
        raise PlainSqlError(f"{pattern!r:.100} has a class by name, which Java may read otherwise")
    parts = re.findall(r"\\.[^\\]?(?<=\\x\{)[0-9A-Fa-f]+\}|\\.|.", members, re.DOTALL)
    escaped = (_escape(part, pattern, {"s": r"\t\n\f\r "}) if part[0] == "\\" else part for part in parts)
    return "".join("\\" + part if part in "[]&" else part for part in escaped)


def _rules() -> dict[type, Any]:
    return {
        exp.Anonymous: _function,
        exp.ArgMax: lambda node: _best("max_by", node),
        exp.ArgMin: lambda node: _best("min_by", node),
        exp.ArrayDistinct: lambda node: _call("array_distinct", node.this),
        exp.ArraySize: lambda node: _call("array_size", node.this),
        exp.ArraySort: lambda node: _call("array_sort", node.this),
        exp.Bracket: _element,
        exp.Cast: _cast,
        exp.DateDiff: lambda node: _call("timestampdiff", exp.var(node.unit.name), node.expression, node.this),
        # sqlglot's own is a day off.
        exp.DayOfWeekIso: lambda node: exp.paren(_call("weekday", node.this) + exp.Literal.number(1)),
        exp.Explode: _exploded,
        exp.JSONExtract: _json_value,
        exp.Lower: lambda node: exp.Lower(this=_call("translate", node.this, _text("İΣ"), _text("iσ"))),
        exp.RegexpExtract: lambda node: _call("regexp_extract", node.this, _pattern(node), _group(node)),
        exp.RegexpExtractAll: lambda node: _call("regexp_extract_all", node.this, _pattern(node), _group(node)),
        exp.RegexpLike: lambda node: _call("rlike", node.this, _pattern(node)),
        exp.RegexpReplace: _replaced,
        exp.Table: _table,
        exp.Trim: _trimmed,
    }


def _call(name: str, *arguments: Any) -> Any:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _text(value: str) -> Any:
    return exp.Literal.string(value)


def _function(node: Any) -> Any:
    name, arguments = node.name.lower(), node.expressions
    if name == "epoch_us":
        return _call("unix_micros", exp.cast(arguments[0], "TIMESTAMPLTZ"))
    if name == "list_extract":
        return _call("get", arguments[0], exp.paren(arguments[1]) - exp.Literal.number(1))
    if name == "json_array_length":  # of what is no array it is 0
        known = exp.If(this=arguments[0].is_(exp.null()).not_(), true=exp.func("coalesce", node, exp.Literal.number(0)))
        return exp.Case(ifs=[known])
    if name == "parse_filename":
        return _call("regexp_extract", *arguments, _text(r"[^/\\]*\z"), exp.Literal.number(0))
    others = {"list_intersect": "array_intersect", "strlen": "octet_length"}
    return _call(others.get(name, name), *arguments)


def _best(name: str, node: Any) -> Any:
    """DuckDB leaves out rows where either is NULL."""
    known = exp.If(this=exp.paren(node.this.copy()).is_(exp.null()).not_(), true=node.expression)
    return _call(name, node.this, exp.Case(ifs=[known]))


def _element(node: Any) -> Any:
    """An element of a list; those that are not there are NULL, not an error."""
    (index,) = node.expressions
    if isinstance(index, exp.Slice) and not index.this:
        return _call("slice", node.this, exp.Literal.number(1), index.expression)
    if not isinstance(index, exp.Literal) or index.is_string:
        raise PlainSqlError(f"{node.sql('duckdb'):.100}: an element is taken by a number that is written out")
    return _call("get", node.this, index)


def _cast(node: Any) -> Any:
    value = node.this.unnest()
    if node.to.is_type("JSON"):
        return node.this
    is_json = isinstance(value, exp.Case) and value.meta.get("json")
    return _call("from_json", value, _text("array<string>")) if is_json and node.to.is_type("ARRAY") else node


def _json_value(node: Any) -> Any:
    """A value as JSON, where null is a value, too."""
    keys = ["$", *(key.name for key in node.expression.expressions[1:])]
    value, holder = (_call("get_json_object", node.this, _text(".".join(path))) for path in (keys, keys[:-1]))
    is_there = _call("array_contains", _call("json_object_keys", holder), _text(keys[-1]))
    value = exp.func("coalesce", value, _text("null"))
    case = exp.Case(ifs=[exp.If(this=is_there, true=value)])
    case.meta["json"] = True
    return case


def _exploded(node: Any) -> Any:
    """A list is unnested under a name, a struct as its fields."""
    is_struct = isinstance(node.this, exp.Column) and isinstance(node.parent, exp.Select)
    return exp.Column(this=exp.Star(), table=node.this.this) if is_struct else node


def _pattern(node: Any) -> Any:
    """The pattern of a regular expression, for Java; those of rules have been made so before."""
    options = next((node.args[name].name for name in ("flag", "parameters") if node.args.get(name)), "")
    constant = _constant(node.expression)
    if constant is not None:
        return _text(java_pattern(constant, options))
    if isinstance(node.expression, exp.Expression) and node.expression.name == "expression" and not options:
        return node.expression
    raise PlainSqlError(f"{node.sql('duckdb'):.100}: a pattern is written out, or of a rule")


def _constant(node: Any) -> str | None:
    node = node.unnest()
    if isinstance(node, exp.DPipe):
        parts = [_constant(node.this), _constant(node.expression)]
        return None if None in parts else "".join(part for part in parts if part is not None)
    return node.name if isinstance(node, exp.Literal) and node.is_string else None


def _group(node: Any) -> Any:
    return node.args.get("group") or exp.Literal.number(0)


def _replaced(node: Any) -> Any:
    replacement, modifiers = node.args["replacement"].name, node.args["modifiers"]
    if set(replacement) & set("\\$") or modifiers is None or modifiers.name != "g":
        raise PlainSqlError(f"{node.sql('duckdb'):.100}: every match is replaced ('g'), by text without groups")
    return _call("regexp_replace", node.this, _pattern(node), _text(replacement))


def _table(node: Any) -> Any:
    return exp.to_table(f"{node.db}_{node.name}", alias=node.alias_or_name) if node.db else node


def _trimmed(node: Any) -> Any:
    """DuckDB trims what Unicode calls a space separator."""
    if node.expression is not None:
        return node
    return _call("regexp_replace", node.this, _text(r"^\p{Zs}+|\p{Zs}+\z"), _text(""))
