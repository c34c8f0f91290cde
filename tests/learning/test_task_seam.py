"""What differs between kinds of answers is a method of the task: nobody else asks which task a model has."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from qc_assets.learning.task import TASKS
from qc_assets.learning.task.interface import Task

PACKAGE = Path(__file__).resolve().parents[2] / "qc_assets"
TASK = PACKAGE / "learning" / "task"


def _is_task(node: ast.AST) -> bool:
    """`something.task`, the name of a model's task."""
    return isinstance(node, ast.Attribute) and node.attr == "task"


def _names(nodes: list[ast.expr | None]) -> int:
    """How many are the name of a task."""
    return sum(isinstance(node, ast.Constant) and node.value in TASKS for node in nodes)


def branches(source: str) -> Iterator[tuple[int, str]]:
    """Line and kind of each place that depends on a task's name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(map(_is_task, [node.left, *node.comparators])):
            yield node.lineno, "compares a task"
        elif isinstance(node, ast.Match) and _is_task(node.subject):
            yield node.lineno, "matches a task"
        elif isinstance(node, ast.Subscript) and _is_task(node.slice):
            yield node.lineno, "looks a task up"
        elif isinstance(node, ast.Dict) and _names(node.keys) > 1:
            yield node.lineno, "has a table by task"
        elif isinstance(node, ast.Call) and any(map(_is_task, node.args)) and getattr(node.func, "attr", "") == "get":
            yield node.lineno, "looks a task up"
        elif isinstance(node, ast.Name) and node.id == "TASKS":
            yield node.lineno, "uses the table of tasks"


@pytest.mark.parametrize(
    "source",
    [
        "if spec.task == 'probability': pass",
        "x = 1 if 'duration' != subject.spec.task else 2",
        "if bundle.task in ('category',): pass",
        "limit = _MOST[subject.spec.task]",
        "limit = _MOST.get(spec.task, 3)",
        "_MOST = {'probability': 1, 'duration': 2}",
        "match spec.task:\n    case 'duration': pass",
        "TASKS[name].gates",
    ],
)
def test_a_branch_is_seen(source: str) -> None:
    assert len(list(branches(source))) == 1


def test_nobody_outside_asks_which_task_it_is() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{line} {what}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if not file.is_relative_to(TASK)
        for line, what in branches(file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_task_promises_what_it_measures(task: Task) -> None:
    assert {task.selection, task.loss, task.quality, task.error} <= set(task.metrics)
    assert not task.metrics[task.loss].higher_is_better
