"""A plain query in the words of Spark SQL, with what DuckDB's mean: sqlglot alone mistakes some, and says nothing.

Whatever is not in `COMPARED` is refused: tests/cluster/test_spark_features.py has seen that give the same on both.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlglot import ErrorLevel, errors, exp

from qc_assets.features.asof_joins import PlainSqlError
from qc_assets.features.plain_sql import PlainQuery, replace_nodes

_COMPARED = """
Add Alias Alias.alias And AnyValue ArgMax ArgMin Array ArrayAgg ArrayContains ArrayDistinct ArrayFilter ArraySize
ArraySort ArraySort.nulls_first ArrayToString Between Between.high Between.low Boolean Bracket Case Case.default
Case.ifs Cast Cast.to Chr Coalesce Column Column.db Column.table ConcatWs ConcatWs.coalesce ConcatWs.safe Contains
Count Count.big_int CountIf DPipe DPipe.safe DataType.ARRAY DataType.ARRAY.nested DataType.BIGINT DataType.BOOLEAN
DataType.DATE DataType.DOUBLE DataType.INT DataType.JSON DataType.TEXT DataType.TIMESTAMPNTZ DataType.VARCHAR DateDiff
DateDiff.date_part_boundary DateDiff.unit DayOfWeekIso Distinct Div EQ Explode Filter From GT GTE Group Group.all
Having Hour Identifier If If.true IgnoreNulls In In.query IntDiv Interval Interval.unit Is JSONExtract
JSONExtractScalar JSONPath JSONPathKey JSONPathRoot Join Join.kind Join.on Join.side Join.using LT LTE Lambda
LastValue Least Least.ignore_nulls Length Literal Literal.is_string Ln LogicalAnd LogicalOr Lower Max Min Mod Mul NEQ
Neg Not Null NullSafeEQ NullSafeNEQ Nullif Or Order Ordered Ordered.desc Paren PropertyEQ Qualify Rank RegexpExtract
RegexpExtract.group RegexpExtract.null_if_pos_overflow RegexpExtractAll RegexpExtractAll.group
RegexpExtractAll.parameters RegexpLike RegexpLike.flag RegexpReplace RegexpReplace.modifiers RegexpReplace.replacement
RegexpReplace.single_replace Replace Replace.replacement RowNumber Select Select.distinct Select.from_ Select.group
Select.having Select.joins Select.qualify Select.where Select.windows Slice Star Star.except_ Struct Sub Subquery
Subquery.alias Subquery.joins Sum Table Table.alias Table.db TableAlias TimestampTrunc TimestampTrunc.unit Transform
Trim Union Var Where Window Window.alias Window.order Window.over Window.partition_by Window.spec WindowSpec
WindowSpec.end WindowSpec.end_side WindowSpec.kind WindowSpec.start WindowSpec.start_side epoch_us json_array_length
list_extract list_intersect parse_filename strlen
"""
COMPARED = frozenset(_COMPARED.split())
"""Of sqlglot's trees the nodes and their parts; and functions that it does not know."""

_TOKEN = re.compile(
    r"(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x[0-9A-Fa-f]{2}|.))|\[(?P<negated>\^?)(?P<members>\]?(?:\\.|[^\]\\])*)\]"
    r"|(?P<flags>\(\?(?P<on>[ims]*)(?:-(?P<off>[ims]+))?(?P<end>[:)]))|(?P<unknown>\(\?)|(?P<other>.)",
    re.DOTALL,
)
# Case folding, where Java knows only ASCII's: what else is a k or an s.
_FOLDED = {"k": "\u212a", "s": "\u017f"}
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
        spark = replace_nodes(tree.copy(), _rules())
        try:
            yield name, spark.sql("spark", identify=True, unsupported_level=ErrorLevel.RAISE), reads[name] > 1
        except errors.UnsupportedError as error:
            raise PlainSqlError(f"Spark has no such SQL: {error}") from error


def sql_words(tree: Any) -> Iterator[tuple[str, Any]]:
    """The words of a tree, each with its node: types of nodes, what they have beside operands, unknown functions."""
    for node in tree.walk():
        name = node.name.lower() if isinstance(node, exp.Anonymous) else type(node).__name__
        name = f"{name}.{node.this.name}" if isinstance(node, exp.DataType) else name
        yield name, node
        for part, value in node.args.items():
            if value and part not in ("this", "expression", "expressions"):
                yield f"{name}.{part}", node


def _refuse_unknown(tree: Any) -> None:
    for word, node in sql_words(tree):
        if word not in COMPARED:
            raise PlainSqlError(
                f"nobody has compared what {word} means on DuckDB and on Spark: {node.sql('duckdb'):.100} (compare it, "
                "tests/cluster/test_spark_features.py, and name it in qc_assets/features/spark_sql.py)"
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
    scopes = [set(options)]  # flags, of each group around
    java = "(?d" + "".join(sorted(set(options) & set("is"))) + ")"
    for token in _TOKEN.finditer(pattern):
        text, flags = token[0], scopes[-1]
        if token["escape"]:
            java += _escape(text, pattern, {"s": r"[\t\n\f\r ]", "S": r"[^\t\n\f\r ]", "b": _WORD_END})
        elif token["members"] is not None:
            java += f"[{token['negated']}{_members(token['members'], pattern, folds='i' in flags)}]"
        elif token["unknown"]:
            raise PlainSqlError(f"{pattern!r:.100}: of groups with ?, only those with : or the flags i, m, s are known")
        elif token["flags"]:
            scopes += [flags] if token["end"] == ":" else []
            scopes[-1] = (flags | set(token["on"])) - set(token["off"] or "")
            java += re.sub(r"-(?=[:)])", "", text.replace("m", "")).replace("(?)", "")
        elif text in "()":
            scopes = [*scopes, flags] if text == "(" else scopes[:-1]
            java += text
        elif text in "^$":
            by_line = {"^": r"(?:\A|(?<=\n))", "$": r"(?=\n|\z)"}
            java += (by_line if "m" in flags else {"^": "^", "$": r"\z"})[text]
        else:
            other = _FOLDED.get(text.lower()) if "i" in flags else None
            java += f"[{text}{other}]" if other else text
    return java


def _escape(escape: str, pattern: str, others: dict[str, str]) -> str:
    if escape[1] in others:
        return others[escape[1]]
    if escape[1].isalnum() and escape[1] not in "dDwWAzntrfx":
        raise PlainSqlError(f"{pattern!r:.100} has {escape}, which Java may read otherwise")
    return escape


def _members(members: str, pattern: str, *, folds: bool) -> str:
    """What stands in a class: Java has classes in classes, and sets of both."""
    if "[:" in members:
        raise PlainSqlError(f"{pattern!r:.100} has a class by name, which Java may read otherwise")
    java, plain = "", ""
    for part in re.findall(r"\\x\{[0-9A-Fa-f]+\}|\\x..|\\.|.", members, re.DOTALL):
        plain += part if len(part) == 1 else " "
        escaped = _escape(part, pattern, {"s": r"\t\n\f\r "}) if len(part) > 1 else part
        java += "\\" + escaped if escaped in "[]&" else escaped
    ranges = [range(ord(first), ord(last) + 1) for first, last in re.findall(r"(\w)-(\w)", plain)]
    letters = {*plain, *(chr(code) for codes in ranges for code in codes)} if folds else set()
    return java + "".join(other for letter, other in _FOLDED.items() if letters & {letter, letter.upper()})


def _rules() -> dict[type, Any]:
    return {
        exp.Anonymous: _function,
        exp.ArgMax: lambda node: _best("max_by", node),
        exp.ArgMin: lambda node: _best("min_by", node),
        exp.ArrayContains: _contained,
        exp.ArrayDistinct: lambda node: _call("array_compact", _call("array_distinct", node.this)),
        exp.ArraySize: lambda node: _call("array_size", node.this),
        exp.ArraySort: lambda node: _call("array_sort", node.this),
        exp.Bracket: _element,
        exp.Cast: _cast,
        exp.Chr: lambda node: _text(chr(int(node.expressions[0].name))),  # Spark's knows only 256
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


def _contained(node: Any) -> Any:
    """In a list with NULL DuckDB sees that something is not there."""
    known = exp.and_(*(exp.paren(part.copy()).is_(exp.null()).not_() for part in (node.this, node.expression)))
    is_there = exp.func("coalesce", _call("array_contains", node.this, node.expression), exp.false())
    return exp.Case(ifs=[exp.If(this=known, true=is_there)])


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
    if node.to.is_type("INT"):  # DuckDB rounds
        node.set("this", _call("rint", exp.cast(node.this, "DOUBLE")))
    is_list = node.to.is_type("ARRAY") and value.meta.get("json")
    return _call("from_json", value, _text("array<string>")) if is_list else node


def _json_value(node: Any) -> Any:
    """A value as JSON, where null is a value, too."""
    path = ".".join(["$", *(key.name for key in node.expression.expressions[1:])])
    value = _call("variant_get", _call("parse_json", node.this), _text(path), _text("variant"))
    value = _call("to_json", value)
    value.meta["json"] = True
    return value


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
    if node.db:
        node.set("alias", exp.TableAlias(this=exp.to_identifier(node.alias_or_name)))
        node.set("this", exp.to_identifier(f"{node.db}_{node.name}"))
        node.set("db", None)
    return node


def _trimmed(node: Any) -> Any:
    """DuckDB trims what Unicode calls a space separator."""
    if node.expression is not None:
        return node
    return _call("regexp_replace", node.this, _text(r"^\p{Zs}+|\p{Zs}+\z"), _text(""))
