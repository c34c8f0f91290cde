"""What a timeline is asked for, what is read of each event, and what the rows are made of, are the same events."""

import re
from pathlib import Path

import pytest
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, ListValueNode, Visitor, parse, visit

from qc_assets.sources.github import opened_branch, opening, query, raw_rows
from qc_assets.sources.github.query import Part, join

_EVENT = re.compile(r'"(\w+Event)"')


class Timelines(Visitor):
    """Collects, for every `timelineItems`, the types that it asks for and the fragment that reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, set[str]]] = []

    def enter_field(self, node: FieldNode, *_: object) -> None:
        if node.name.value != "timelineItems":
            return
        (kinds,) = [argument.value for argument in node.arguments if argument.name.value == "itemTypes"]
        assert isinstance(kinds, ListValueNode) and node.selection_set is not None
        (spread,) = node.selection_set.selections
        assert isinstance(spread, FragmentSpreadNode)
        names = {"".join(word.title() for word in kind.value.split("_")) for kind in kinds.values}
        self.asked.append((spread.name.value, names))


def events_read(fragment: str) -> set[str]:
    """The types of events of which a fragment reads something."""
    text = (Path(query.__file__).parent / "queries" / "fragments.graphql").read_text(encoding="utf-8")
    (definition,) = [node for node in parse(text).definitions if node.name.value == fragment]
    (nodes,) = [
        field
        for field in definition.selection_set.selections
        if isinstance(field, FieldNode) and field.name.value == "nodes"
    ]
    inline = [part for part in nodes.selection_set.selections if isinstance(part, InlineFragmentNode)]
    return {part.type_condition.name.value for part in inline}


@pytest.mark.parametrize("operation", ["pull_requests", "issues", "timelineItems"])
def test_a_timeline_is_asked_for_the_events_that_are_read(operation: str) -> None:
    timelines = Timelines()
    visit(parse(join([Part(operation, {})])[0]), timelines)
    assert len(timelines.asked) == (2 if operation == "timelineItems" else 1)
    for fragment, asked in timelines.asked:
        assert asked == events_read(fragment), fragment


def test_rows_are_made_of_events_that_are_read() -> None:
    readers = (raw_rows, opening, opened_branch)
    used = {kind for part in readers for kind in _EVENT.findall(Path(part.__file__).read_text(encoding="utf-8"))}
    assert len(used) >= 5
    assert used <= events_read("PullRequestEvents")
