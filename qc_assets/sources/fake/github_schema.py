"""Answers queries against the public schema over a `World`, and counts what they cost by GitHub's published formula."""

import base64
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    VariableNode,
    build_schema,
    execute_sync,
    parse,
    validate,
)

from qc_assets.sources.fake.fake_world import Node, World

SEARCH_LIMIT = 1000
NODE_LIMIT = 500_000


class ServerFault(Exception):
    """The whole answer is an HTTP error of this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


OWN_SCHEMA = Path(__file__).with_name("schema.graphql")
"""What the github source's queries use of GitHub's schema, and no more."""


def load_schema(path: Path = OWN_SCHEMA) -> GraphQLSchema:
    """The schema in a file of the schema definition language."""
    return build_schema(path.read_text(encoding="utf-8"), assume_valid=True)


@dataclass
class Engine:
    """Executes queries.

    Attributes:
        heaviest: whole pull requests that one search page may hold before GitHub gives up with a 502.
        poison: fields, by node id, whose resolution makes the server answer 502.
        broken: node ids that come back as null, with an error beside them.
        served: how often each pull request or issue was shown whole.
        viewer: login of whoever asks.
    """

    schema: GraphQLSchema
    world: World
    heaviest: int = 25
    poison: dict[str, set[str]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    served: dict[str, int] = field(default_factory=dict)
    budget: Callable[[], Mapping[str, Any]] = dict
    stuck: bool = False
    viewer: str = "qc-fake[bot]"
    _documents: dict[str, tuple[DocumentNode, list[GraphQLError]]] = field(default_factory=dict)

    def parse(self, query: str) -> tuple[DocumentNode, list[GraphQLError]]:
        if query not in self._documents:
            document = parse(query)
            self._documents[query] = (document, validate(self.schema, document))
        return self._documents[query]

    def execute(self, document: DocumentNode, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The response body.

        Raises:
            ServerFault: if something in the answer is poisonous or too heavy.
        """
        result = execute_sync(
            self.schema,
            document,
            root_value=self.world,
            variable_values=dict(variables),
            field_resolver=self._resolve,
            type_resolver=lambda value, *_: value["__typename"],
        )
        for error in result.errors or ():
            if isinstance(error.original_error, ServerFault):
                raise error.original_error
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [
                {"message": e.message, "path": e.path, "type": (e.extensions or {}).get("type", "INTERNAL")}
                for e in result.errors
            ]
        return body

    def _resolve(self, source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        name = info.field_name
        if isinstance(source, World):
            return getattr(self, f"_root_{name}")(info, **arguments)
        if name in self.poison.get(source.get("id", ""), ()):
            raise ServerFault(502)
        if name == "issueOrPullRequest":
            items = (item for kind in ("_pullRequests", "_issues") for item in source[kind])
            return next((item for item in items if item["number"] == arguments["number"]), None)
        if name == "object":
            return self.world.commits.get(arguments["oid"])
        if f"_{name}" in source:
            return self._connection(source, name, arguments)
        if name == "issueState":
            return source["state"]
        if name == "timelineItems" or name not in source:
            raise GraphQLError(f"the fake has no {source.get('__typename')}.{name}")
        if name == "title" and source["__typename"] in ("PullRequest", "Issue"):
            self.served[source["id"]] = self.served.get(source["id"], 0) + 1
        return source[name]

    def _connection(self, source: Node, name: str, arguments: Mapping[str, Any]) -> Node:
        nodes = source[f"_{name}"]
        if arguments.get("itemTypes"):
            typenames = {kind.replace("_", "").lower() for kind in arguments["itemTypes"]}
            nodes = [node for node in nodes if node["__typename"].lower() in typenames]
        if arguments.get("until"):
            nodes = [node for node in nodes if node["committedDate"] <= arguments["until"]]
        order = arguments.get("orderBy")
        if order:
            key = {"UPDATED_AT": "updatedAt", "CREATED_AT": "createdAt"}[order["field"]]
            nodes = sorted(nodes, key=lambda node: node.get(key, ""), reverse=order["direction"] == "DESC")
        return cut_page(nodes, arguments, len(nodes)) | {"totalCount": len(nodes), "filteredCount": len(nodes)}

    def _root_rateLimit(self, info: GraphQLResolveInfo, **_: Any) -> Any:
        return self.budget()

    def _root_viewer(self, info: GraphQLResolveInfo, **_: Any) -> Node:
        return {"__typename": "User", "login": self.viewer}

    def _root_repository(self, info: GraphQLResolveInfo, owner: str, name: str, **_: Any) -> Node | None:
        repo = self.world.repos.get(f"{owner}/{name}".lower())
        if repo is None or repo["isPrivate"]:
            raise GraphQLError(
                f"Could not resolve to a Repository with the name '{owner}/{name}'.", extensions={"type": "NOT_FOUND"}
            )
        return repo

    def _root_node(self, info: GraphQLResolveInfo, id: str) -> Node | None:
        if id not in self.world.nodes:
            raise GraphQLError(
                f"Could not resolve to a node with the global id of '{id}'", extensions={"type": "NOT_FOUND"}
            )
        return self.world.nodes[id]

    def _root_search(self, info: GraphQLResolveInfo, query: str, type: str, **arguments: Any) -> Node:
        qualifiers: dict[str, list[str]] = {}
        for word in shlex.split(query):
            key, _, value = word.partition(":")
            qualifiers.setdefault(key, []).append(value)
        if type == "REPOSITORY":
            return self._repositories(qualifiers, arguments)
        results = self._items(qualifiers)
        shown = cut_page(results[:SEARCH_LIMIT], arguments, min(len(results), SEARCH_LIMIT))
        if _asks(info, "reviewThreads") and len(shown["nodes"]) > self.heaviest:
            raise ServerFault(502)
        if self.stuck and arguments.get("after"):
            shown["pageInfo"] = {"hasNextPage": True, "endCursor": arguments["after"]}
        nodes = [None if node["id"] in self.broken and _asks(info, "title") else node for node in shown["nodes"]]
        return shown | {"issueCount": len(results), "nodes": nodes}

    def _items(self, qualifiers: Mapping[str, list[str]]) -> list[Node]:
        repos = [self.world.repos.get(name.lower()) for name in qualifiers.get("repo", ())]
        kind = "_pullRequests" if "pr" in qualifiers["is"] else "_issues"
        start, _, end = qualifiers.get("updated", ["..~"])[0].partition("..")
        merged = qualifiers.get("merged", [""])[0].removeprefix(">=")
        # A search knows a renamed repository under its new name only.
        items = [
            item
            for repo, name in zip(repos, qualifiers.get("repo", ()), strict=True)
            if repo is not None and repo["nameWithOwner"].lower() == name.lower() and not repo["isPrivate"]
            for item in repo[kind]
            if start <= item["updatedAt"] <= end
            and ("merged" not in qualifiers["is"] or (item.get("mergedAt") or "") >= max(merged, "0"))
        ]
        return sorted(items, key=lambda item: (item["createdAt"], item["id"]))

    def _repositories(self, qualifiers: Mapping[str, list[str]], arguments: Mapping[str, Any]) -> Node:
        low, _, high = qualifiers["stars"][0].partition("..")
        min_stars, max_stars = int(low.removeprefix(">=")), int(high) if high else 10**9
        repos = {id(repo): repo for repo in self.world.repos.values()}.values()
        matching = [
            repo
            for repo in repos
            if min_stars <= repo["stargazerCount"] <= max_stars
            and ((repo["primaryLanguage"] or {}).get("name", "").lower() in [v.lower() for v in qualifiers["language"]])
            and repo["pushedAt"] >= qualifiers["pushed"][0].removeprefix(">=")
            and not repo["isArchived"]
            and not repo["isFork"]
        ]
        matching.sort(key=lambda repo: (-repo["stargazerCount"], repo["databaseId"]))
        shown = cut_page(matching[:SEARCH_LIMIT], arguments, min(len(matching), SEARCH_LIMIT))
        return shown | {"repositoryCount": len(matching)}


def _asks(info: GraphQLResolveInfo, name: str) -> bool:
    """Whether the field's selection, fragments included, asks for a field of this name."""

    def within(node: Any) -> bool:
        for selection in node.selection_set.selections if node.selection_set else ():
            if isinstance(selection, FragmentSpreadNode):
                if within(info.fragments[selection.name.value]):
                    return True
            elif (isinstance(selection, FieldNode) and selection.name.value == name) or within(selection):
                return True
        return False

    return any(within(node) for node in info.field_nodes)


def cut_page(nodes: list[Node], arguments: Mapping[str, Any], total: int) -> Node:
    """A slice of a list as a connection, with opaque cursors."""
    if arguments.get("last"):
        shown = nodes[-arguments["last"] :]
        return {"nodes": shown, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    start = int(base64.b64decode(arguments["after"]).decode().removeprefix("cursor:")) if arguments.get("after") else 0
    end = start + arguments.get("first", 0)
    cursor = base64.b64encode(f"cursor:{min(end, total)}".encode()).decode() if nodes[start:end] else None
    return {"nodes": nodes[start:end], "pageInfo": {"hasNextPage": end < total, "endCursor": cursor}}


def cost(document: DocumentNode, variables: Mapping[str, Any]) -> tuple[int, int, int]:
    """Points, nodes, and the largest page that a query asks for.

    The formula: the requests needed to fulfil each unique connection, if every page were full, divided by 100 and
    rounded, but at least 1 (GitHub, "Rate limits and query limits for the GraphQL API").
    """
    fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
    requests = nodes = largest = 0

    def walk(node: Any, parents: int) -> None:
        nonlocal requests, nodes, largest
        for selection in node.selection_set.selections if node.selection_set else ():
            if isinstance(selection, FragmentSpreadNode):
                walk(fragments[selection.name.value], parents)
            elif isinstance(selection, InlineFragmentNode):
                walk(selection, parents)
            else:
                size = next((a.value for a in selection.arguments if a.name.value in ("first", "last")), None)
                if size is None:
                    walk(selection, parents)
                    continue
                count = variables[size.name.value] if isinstance(size, VariableNode) else int(size.value)  # type: ignore[attr-defined]
                assert isinstance(size, VariableNode | IntValueNode)
                requests += parents
                nodes += parents * count
                largest = max(largest, count)
                walk(selection, parents * count)

    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            walk(definition, 1)
    return max(1, round(requests / 100)), nodes, largest
