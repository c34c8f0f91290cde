"""GraphQL documents from `queries/*.graphql`, and several of their operations put into one request.

Each operation selects one field, aliased ``item``. Joining gives every operation an alias and variables of its own,
so that one request asks for many repositories, counts or continuations, each with its own cursor; `nodes(ids:)`
takes many ids but only one cursor for all of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    parse,
    print_ast,
    visit,
)

_FOLDER = Path(__file__).parent / "queries"
_BUDGET = parse("{ rateLimit { cost limit remaining resetAt } }").definitions[0]


@dataclass(frozen=True)
class Part:
    """One operation of a request: the name of its file and its variables."""

    operation: str
    variables: Mapping[str, Any]


def join(parts: Sequence[Part]) -> tuple[str, dict[str, Any]]:
    """One document that holds the operations of all `parts`, and its variables.

    Returns:
        The text, whose response has a field ``item_<n>`` for part n and ``rateLimit``, and the variables by name.
    """
    variables = {f"{name}_{n}": value for n, part in enumerate(parts) for name, value in part.variables.items()}
    return _document(tuple(part.operation for part in parts)), variables


@cache
def operations() -> tuple[str, ...]:
    """Names of all operations."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.graphql") if path.stem != "fragments"))


@cache
def queries_fingerprint() -> str:
    """Tells apart what versions of this program ask for, so that answers to other queries are not taken up."""
    texts = [path.read_bytes() for path in sorted(_FOLDER.glob("*.graphql"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()


@cache
def _fragments() -> dict[str, FragmentDefinitionNode]:
    document = parse((_FOLDER / "fragments.graphql").read_text(encoding="utf-8"), no_location=True)
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


@cache
def _operation(name: str) -> OperationDefinitionNode:
    document = parse((_FOLDER / f"{name}.graphql").read_text(encoding="utf-8"), no_location=True)
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation


@cache
def _document(names: tuple[str, ...]) -> str:
    renamed = [_numbered(_operation(name), n) for n, name in enumerate(names)]
    assert isinstance(_BUDGET, OperationDefinitionNode)
    selections = [node for operation in renamed for node in operation.selection_set.selections]
    whole = OperationDefinitionNode(
        operation=renamed[0].operation,
        name=NameNode(value="QcAssets"),
        variable_definitions=tuple(node for operation in renamed for node in operation.variable_definitions),
        directives=(),
        selection_set=SelectionSetNode(selections=(*selections, *_BUDGET.selection_set.selections)),
    )
    used: dict[str, FragmentDefinitionNode] = {}
    for operation in renamed:
        _collect(operation, used)
    return print_ast(DocumentNode(definitions=(whole, *used.values())))


def _numbered(operation: OperationDefinitionNode, n: int) -> OperationDefinitionNode:
    class Rename(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> VariableNode:
            return VariableNode(name=NameNode(value=f"{node.name.value}_{n}"))

        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if node.alias is not None and node.alias.value == "item":
                node.alias = NameNode(value=f"item_{n}")

    # visit() copies what it changes, except for the alias, which is set on a copy of our own.
    return visit(parse(print_ast(operation), no_location=True).definitions[0], Rename())


def _collect(node: Any, used: dict[str, FragmentDefinitionNode]) -> None:
    class Spreads(Visitor):
        def enter_fragment_spread(self, spread: FragmentSpreadNode, *_: Any) -> None:
            name = spread.name.value
            if name not in used:
                used[name] = _fragments()[name]
                _collect(used[name], used)

    visit(node, Spreads())
