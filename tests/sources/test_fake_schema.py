"""Our own schema, which the fake GitHub serves, says nothing but what GitHub's public schema says."""

from datetime import date, datetime
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    build_schema,
    parse,
    validate,
    validate_schema,
)

from qc_assets.sources.fake.demo_on_github import from_demo
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.github_schema import OWN_SCHEMA, load_schema
from qc_assets.sources.github.query import Part, join, operations
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import public_schema, run, source, span


def contradictions(own: GraphQLSchema, public: GraphQLSchema) -> list[str]:
    """Everything in `own` that is not in `public`, or not of the same type there."""
    wrong: list[str] = []
    for name, kind in own.type_map.items():
        if name.startswith("__"):
            continue
        other = public.type_map.get(name)
        if type(other) is not type(kind):
            wrong.append(name)
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            interfaces = {interface.name for interface in other.interfaces}
            wrong += [
                f"{name} is no {interface.name}" for interface in kind.interfaces if interface.name not in interfaces
            ]
            for field, definition in kind.fields.items():
                theirs = other.fields.get(field)
                if theirs is None or str(theirs.type) != str(definition.type):
                    wrong.append(f"{name}.{field}")
                    continue
                for argument, value in definition.args.items():
                    if argument not in theirs.args or str(theirs.args[argument].type) != str(value.type):
                        wrong.append(f"{name}.{field}({argument})")
        elif isinstance(kind, GraphQLInputObjectType):
            wrong += [
                f"{name}.{field}"
                for field, value in kind.fields.items()
                if field not in other.fields or str(other.fields[field].type) != str(value.type)
            ]
        elif isinstance(kind, GraphQLEnumType):
            wrong += [f"{name}.{value}" for value in kind.values if value not in other.values]
        elif isinstance(kind, GraphQLUnionType):
            members = {member.name for member in other.types}
            wrong += [f"{name} has no {member.name}" for member in kind.types if member.name not in members]
    return wrong


def test_every_query_is_valid_in_our_schema() -> None:
    assert validate_schema(load_schema(OWN_SCHEMA)) == []
    for operation in operations():
        part = Part(operation, {})
        assert validate(load_schema(OWN_SCHEMA), parse(join([part, part])[0])) == [], operation


def test_the_source_reads_a_world_through_our_schema(warehouse: Warehouse, tmp_path: Path) -> None:
    first = date(2024, 1, 1)
    world = from_demo(40, 20, first, seed=3)
    clock = VirtualClock(datetime(2024, 2, 3))
    with FakeGitHub(load_schema(OWN_SCHEMA), world, clock=clock) as fake:
        names = sorted({repo["nameWithOwner"] for repo in world.repos.values()})
        report = run(warehouse, source(fake.url, tmp_path / "home", clock), span(first, 31), names)
    assert (report.dead_letters, report.problems) == (0, [])
    pull_requests = sum(item["__typename"] == "PullRequest" for item in world.items())
    assert report.rows["pull_requests"] == pull_requests == 40
    assert report.rows["label_events"] > 0 and report.rows["review_comments"] > 0


def test_our_schema_says_nothing_that_the_public_one_does_not() -> None:
    assert contradictions(load_schema(OWN_SCHEMA), public_schema()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "wrong"),
    [
        ("  isFork: Boolean!", "  isFork: String!", "Repository.isFork"),
        ("  isFork: Boolean!", "  isSpoon: Boolean!", "Repository.isSpoon"),
        ("  UPDATED_AT", "  FORGOTTEN_AT", "IssueOrderField.FORGOTTEN_AT"),
        ("issueOrPullRequest(number: Int!)", "issueOrPullRequest(num: Int!)", "Repository.issueOrPullRequest(num)"),
    ],
)
def test_a_contradiction_is_found(ours: str, theirs: str, wrong: str) -> None:
    changed = OWN_SCHEMA.read_text(encoding="utf-8").replace(ours, theirs)
    assert wrong in contradictions(build_schema(changed), load_schema(OWN_SCHEMA))
