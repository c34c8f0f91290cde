"""What a server's schema lacks of what is asked, as an older GitHub Enterprise does: left out, and unknown in answers.

Gaps are schema coordinates, as in ``PullRequestReview.fullDatabaseId``. They are learnt from a refusal: by comparing
the server's types with those that the queries use, once, and by what the refusal itself names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from graphql import (
    REMOVE,
    ArgumentNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    is_abstract_type,
    parse,
    print_ast,
    visit,
)

from qc_assets.sources.fake.github_schema import load_schema

TYPES = """query Types {
  __schema { types { name fields(includeDeprecated: true) { name args { name } }
    enumValues(includeDeprecated: true) { name } } }
}"""
_OLDER = {"fullDatabaseId": "databaseId"}  # what a field was called before
_ITEMS = ("PullRequest", "Issue")
_OTHERS = {
    kind: tuple(f"{other}{suffix}" for other in _ITEMS if other != kind for suffix in ("", "TimelineItemsItemType"))
    for kind in _ITEMS
}
_FIELD = re.compile(r"[Ff]ield ['\"](\w+)['\"].{0,40} on type ['\"](\w+)['\"]")
_TYPE = re.compile(r"(?:No such type|Unknown type) ['\"]?(\w+)")
_OTHER = re.compile(r"argument|invalid value|enum", re.IGNORECASE)


def named_gaps(errors: Iterator[Mapping[str, Any]] | tuple[Mapping[str, Any], ...]) -> set[str] | None:
    """Coordinates that a refusal names; None if it is about something else than the schema."""
    gaps, is_about_schema = set(), False
    for error in errors:
        message = str(error.get("message"))
        for field, owner in _FIELD.findall(message):
            gaps.add(f"{owner}.{field}")
        gaps |= set(_TYPE.findall(message))
        extensions = error.get("extensions")
        code = str(extensions.get("code")) if isinstance(extensions, Mapping) else ""
        is_about_schema |= bool(code.startswith(("undefined", "argument")) or _OTHER.search(message))
    return gaps if gaps or is_about_schema else None


def compared_gaps(answer: Mapping[str, Any]) -> set[str]:
    """Coordinates that the queries use and the answer to `TYPES` does not have; none if it makes no sense."""
    try:
        there = {kind["name"]: kind for kind in answer["__schema"]["types"]}
        return set(_missing(there)) if {"PullRequest", "Repository"} <= set(there) else set()
    except (KeyError, TypeError):
        return set()


def _missing(there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, kind in _own().type_map.items():
        if name.startswith("__") or not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLEnumType):
            continue
        if name not in there:
            yield name
        elif isinstance(kind, GraphQLEnumType):
            values = {value["name"] for value in there[name]["enumValues"] or ()}
            yield from (f"{name}.{value}" for value in kind.values if value not in values)
        else:
            fields = {field["name"]: {a["name"] for a in field["args"]} for field in there[name]["fields"] or ()}
            for field, declared in kind.fields.items():
                if field not in fields:
                    yield f"{name}.{field}"
                else:
                    yield from (f"{name}.{field}({a}:)" for a in declared.args if a not in fields[field])


def everywhere(gaps: Iterable[str]) -> set[str]:
    """The fields of these names on whatever type has them."""
    names = {name for gap in gaps if (name := gap.partition(".")[2]).isidentifier()}
    kinds = [kind for kind in _own().type_map.values() if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)]
    return {f"{kind.name}.{name}" for kind in kinds for name in names & set(kind.fields)}


@cache
def _own() -> GraphQLSchema:
    return load_schema()


def pruned(text: str, gaps: frozenset[str]) -> str:
    """A document without what `gaps` names, and without what is empty or unused then."""
    document, before = parse(text, no_location=True), ""
    types = TypeInfo(_own())
    while before != (before := print_ast(document)):
        document = visit(document, TypeInfoVisitor(types, _Prune(types, gaps)))
        document = _without_unused(document)
    return before


class _Prune(Visitor):
    def __init__(self, types: TypeInfo, gaps: frozenset[str]) -> None:
        super().__init__()
        self.types, self.gaps = types, gaps

    def enter_field(self, node: FieldNode, *_: Any) -> Any:
        parent, name = self.types.get_parent_type(), node.name.value
        coordinate = f"{parent.name if parent else ''}.{name}"
        if coordinate in self.gaps:
            older = _OLDER.get(name)
            if older is None or f"{coordinate.partition('.')[0]}.{older}" in self.gaps:
                return REMOVE
            return FieldNode(name=NameNode(value=older), arguments=(), directives=())
        kept = tuple(a for a in node.arguments if f"{coordinate}({a.name.value}:)" not in self.gaps)
        if len(kept) < len(node.arguments):
            node.arguments = kept
        return None

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> Any:
        kind = get_named_type(self.types.get_input_type())
        return REMOVE if kind is not None and f"{kind.name}.{node.value}" in self.gaps else None

    def enter_inline_fragment(self, node: InlineFragmentNode, *_: Any) -> Any:
        return REMOVE if node.type_condition and node.type_condition.name.value in self.gaps else None

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_: Any) -> Any:
        return REMOVE if node.type_condition.name.value in self.gaps else None

    def _leave(self, node: FieldNode | InlineFragmentNode | FragmentDefinitionNode, *_: Any) -> Any:
        return REMOVE if node.selection_set is not None and not node.selection_set.selections else None

    leave_field = leave_inline_fragment = leave_fragment_definition = _leave


def _without_unused(document: DocumentNode) -> DocumentNode:
    """Servers refuse fragments and variables that nothing uses, and spreads of fragments that are not there."""
    defined = {d.name.value for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    spread: set[str] = set()
    variables: set[str] = set()

    class Uses(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> Any:
            spread.add(node.name.value)
            return None if node.name.value in defined else REMOVE

        def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
            if isinstance(node.value, VariableNode):
                variables.add(node.value.name.value)

    document = visit(document, Uses())
    definitions = [
        d for d in document.definitions if not isinstance(d, FragmentDefinitionNode) or d.name.value in spread
    ]
    for definition in definitions:
        if isinstance(definition, OperationDefinitionNode):
            definition.variable_definitions = tuple(
                v for v in definition.variable_definitions if v.variable.name.value in variables
            )
    return DocumentNode(definitions=tuple(definitions))


def fill(text: str, data: Any, gaps: frozenset[str]) -> None:
    """Give an answer to the pruned form of a document None for each field that was left out.

    What facts of pull requests and issues might rest on is named in their ``lost``: None would say that an item was
    never edited, where nobody knows.
    """
    document = parse(text, no_location=True)
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            _fill(definition.selection_set, data, fragments, gaps)


def _fill(
    selections: SelectionSetNode, data: Any, fragments: Mapping[str, FragmentDefinitionNode], gaps: frozenset[str]
) -> None:
    if isinstance(data, list):
        for value in data:
            _fill(selections, value, fragments, gaps)
    if not isinstance(data, dict):
        return
    if data.get("__typename") in _ITEMS:
        data["lost"] = sorted(_lost(data["__typename"], gaps) | set(data.get("lost", ())))
    for node in selections.selections:
        if isinstance(node, FieldNode):
            key = (node.alias or node.name).value
            value = data.setdefault(key, data.get(_OLDER.get(key, "")))
            if node.selection_set is not None:
                _fill(node.selection_set, value, fragments, gaps)
            continue
        part: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if _applies(part, data.get("__typename")):
            _fill(part.selection_set, data, fragments, gaps)


def _applies(part: Any, typename: Any) -> bool:
    """Whether a fragment is about an object of that type; where the type is not known, unless it is one of several."""
    condition = part.type_condition.name.value if part.type_condition else typename
    kind = _own().get_type(condition)
    return typename in (None, condition) or is_abstract_type(kind)


@cache
def _lost(kind: str, gaps: frozenset[str]) -> frozenset[str]:
    """What an item lacks: its own fields by their names, kinds of events, and fields of what hangs on it."""
    lost = set()
    for gap in gaps:
        owner, _, name = gap.partition(".")
        if owner == f"{kind}TimelineItemsItemType":
            lost.add("".join(word.capitalize() for word in name.split("_")))
        elif owner not in (*_OTHERS[kind], "Repository") and not name.endswith(":)"):
            lost.add(name if owner == kind else gap)
    older = {name for name, before in _OLDER.items() if f"{kind}.{before}" not in gaps}
    return frozenset(lost - older)
