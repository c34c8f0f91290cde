"""What each column of a feature table belongs to, as the table's SQL declares it; training and serving both ask here.

In `warehouse/features/<table>.sql` every column of CREATE TABLE ends in a remark:

    author_prior_prs INTEGER, -- of: author
    hour INTEGER NOT NULL, -- of: item, 0 to 23
    log_lines DOUBLE, -- of: item = log_size(lines_changed)
    author_association VARCHAR, -- of: item, else as last shown

The kinds are those of `Owner`; ``a to b`` bounds what a caller may send; ``else as last shown`` lets the history of the
author stand in for what nobody says; ``= macro(columns)`` names the macro of `warehouse/macros.sql` by which the column
follows from others of its row, so that its formula is written once. ``forge id``: see `store.schema.id_columns`.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

import duckdb

from qc_assets.errors import QcError
from qc_assets.store.schema import columns, sql_sections

_REMARK = re.compile(
    r"of: (?P<owner>[a-z ]+?)(?:, (?P<least>[\d.]+) to (?P<most>[\d.]+))?(?P<shown>, else as last shown)?"
    r"(?: = (?P<macro>\w+)\((?P<inputs>[\w, ]+)\))?(?:, forge id)?"
)
_COLUMN = re.compile(r"^    (?P<name>[a-z]\w*) (?P<type>[^\n]*?)(?:-- (?P<remark>.*))?$", re.MULTILINE)
_FUNCTIONS: dict[str, Callable[..., float]] = {"ln": math.log, "sqrt": math.sqrt}
_SYNTAX = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Constant, ast.Load),
    *(ast.operator, ast.unaryop, ast.cmpop),
)


class Owner(StrEnum):
    """What a column belongs to."""

    IDENTITY = "identity"
    TIME = "time"
    ITEM = "item"
    AUTHOR = "author"
    AUTHOR_IN_REPOSITORY = "author here"
    REPOSITORY = "repository"
    LABEL = "label"
    REPORT = "report"


FEATURE_OWNERS = (Owner.ITEM, Owner.AUTHOR, Owner.AUTHOR_IN_REPOSITORY, Owner.REPOSITORY)
_HISTORY_OWNERS = (Owner.AUTHOR, Owner.AUTHOR_IN_REPOSITORY, Owner.REPOSITORY)


@dataclass(frozen=True)
class Formula:
    """How a column follows from others of its row.

    Attributes:
        inputs: names of those others.
    """

    inputs: tuple[str, ...]
    _function: Callable[..., Any]

    def __call__(self, row: Mapping[str, Any]) -> Any:
        """The column's value, or None where an input is unknown or the formula has no value."""
        try:
            return self._function(row.get)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None


@dataclass(frozen=True)
class Column:
    """One column of a feature table.

    Attributes:
        name, type, comment: as its SQL declares them.
        owner: what it belongs to.
        is_required: an item is nothing without it: it is NOT NULL.
        bounds: least and largest value that a caller may send, if they are declared.
        is_last_shown: where neither the item nor the caller says it, the author's last one stands in for it.
        formula: how it follows from other columns, if it does.
    """

    name: str
    type: str
    comment: str
    owner: Owner
    is_required: bool
    bounds: tuple[float, float] | None
    is_last_shown: bool
    formula: Formula | None


@dataclass(frozen=True)
class Contract:
    """The columns of a feature table by name, in the order of its SQL.

    Attributes:
        table: without the schema, such as ``pull_requests``.
    """

    table: str
    columns: Mapping[str, Column]

    def names(self, *owners: Owner) -> tuple[str, ...]:
        """Columns that belong to one of `owners`."""
        if owners not in self._named:
            self._named[owners] = tuple(name for name, column in self.columns.items() if column.owner in owners)
        return self._named[owners]

    @property
    def history(self) -> tuple[str, ...]:
        """What follows from who opens an item, where, and when: columns of the author and of the repository."""
        return self.names(*_HISTORY_OWNERS)

    @property
    def last_shown(self) -> tuple[str, ...]:
        """Columns of the item whose last value for the author in the repository stands in for what nobody says."""
        return tuple(name for name, column in self.columns.items() if column.is_last_shown)

    @property
    def askable(self) -> tuple[str, ...]:
        """What a caller may say of an item: its own columns that do not follow from others."""
        return tuple(name for name in self.names(Owner.ITEM) if self.columns[name].formula is None)

    def complete(self, row: dict[str, Any], owner: Owner) -> None:
        """Compute the columns of an owner that follow from others, in place; unknown inputs leave them as they are."""
        for name, formula in self._formulas.get(owner, ()):
            value = formula(row)
            if value is not None:
                row[name] = value

    @cached_property
    def _named(self) -> dict[tuple[Owner, ...], tuple[str, ...]]:
        """What `names` has answered: it is asked for every item."""
        return {}

    @cached_property
    def _formulas(self) -> Mapping[Owner, list[tuple[str, Formula]]]:
        formulas: dict[Owner, list[tuple[str, Formula]]] = {}
        for name, column in self.columns.items():
            if column.formula is not None:
                formulas.setdefault(column.owner, []).append((name, column.formula))
        return formulas


@cache
def contract_of(table: str) -> Contract:
    """The contract of ``pull_requests``, ``issues`` or ``comments``.

    Raises:
        QcError: if a column does not say what it belongs to, or its formula is none that serving can compute.
    """
    declared = {name: (kind, comment) for name, kind, comment in columns(f"features.{table}")}
    head = sql_sections(f"features/{table}")["table"].partition("\n);")[0]
    lines = {line["name"]: line for line in _COLUMN.finditer(head)}
    contract = Contract(table, {name: _column(table, name, *declared[name], lines[name]) for name in declared})
    for name, column in contract.columns.items():
        # A history is looked up before anything is known of the item.
        readable = contract.names(*FEATURE_OWNERS) if column.owner is Owner.ITEM else contract.history
        wrong = [each for each in column.formula.inputs if each not in readable] if column.formula else []
        if wrong:
            raise QcError(
                f"the formula of features.{table}.{name}, of {column.owner}, cannot read {', '.join(wrong)}: "
                f"there are {', '.join(readable)}"
            )
    return contract


def _column(table: str, name: str, kind: str, comment: str, line: re.Match[str]) -> Column:
    parts = _REMARK.fullmatch(line["remark"] or "")
    if parts is None or parts["owner"] not in set(Owner):
        raise QcError(
            f"warehouse/features/{table}.sql does not say what {name} belongs to: end its line in CREATE TABLE with "
            f"'-- of: ' and one of {', '.join(Owner)}, see qc_assets/features/contract.py"
        )
    formula = None
    if parts["macro"]:
        inputs = tuple(part.strip() for part in parts["inputs"].split(","))
        formula = Formula(inputs, _compiled(parts["macro"], inputs, f"features.{table}.{name}"))
    bounds = (float(parts["least"]), float(parts["most"])) if parts["least"] else None
    is_required = "NOT NULL" in line["type"]
    return Column(name, kind, comment, Owner(parts["owner"]), is_required, bounds, bool(parts["shown"]), formula)


def _compiled(macro: str, inputs: tuple[str, ...], column: str) -> Callable[..., Any]:
    """The body of a macro over columns, as Python: arithmetic, comparisons and a few functions are the same in both."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(sql_sections("macros")[""])
        declaration = connection.execute(
            "SELECT parameters, macro_definition FROM duckdb_functions() WHERE function_name = ?", [macro]
        ).fetchone()
    if declaration is None or len(declaration[0]) != len(inputs):
        raise QcError(f"the formula of {column}: warehouse/macros.sql has no macro {macro} of {len(inputs)} parameters")
    arguments = dict(zip(declaration[0], inputs, strict=True))
    try:
        tree = ast.parse(declaration[1], mode="eval")
    except SyntaxError:
        tree = None
    if tree is None or not all(_is_plain(node, arguments) for node in ast.walk(tree)):
        raise QcError(
            f"the formula of {column}: serving computes + - * / and comparisons, {' and '.join(_FUNCTIONS)}, "
            f"not {declaration[1]}"
        )
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = arguments.get(node.id, node.id)
    # NULL of NULL; written out, as a batch computes it ten thousand times.
    unknown = " or ".join(f"({name} := get({name!r})) is None" for name in inputs)
    function: Callable[..., Any] = eval(f"lambda get: None if {unknown} else {ast.unparse(tree)}", dict(_FUNCTIONS))
    return function


def _is_plain(node: ast.AST, arguments: Mapping[str, str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in arguments or node.id in _FUNCTIONS
    return isinstance(node, _SYNTAX)
