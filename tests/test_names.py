"""One name for one thing, names that say what they hold, and files that fit a head."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import qc_assets

PACKAGE = Path(qc_assets.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
# In every package that has one, the same thing: what a source promises, and the settings of a part.
SAME_EVERYWHERE = {"__init__", "__main__", "source", "knobs"}
# A command or a route is named for what a person types; its work is done by a function of the same name elsewhere.
NAMED_FOR_PEOPLE = ("cli/", "serving/routes")
LITERARY = {"found", "said", "asked", "wanted", "made", "mine", "one"}
MAX_LINES = 310


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def several(names: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    """Names that stand in more than one module, with these."""
    modules: defaultdict[str, set[str]] = defaultdict(set)
    for name, path in names:
        modules[name].add(relative(path))
    return {name: sorted(paths) for name, paths in modules.items() if len(paths) > 1}


def classes() -> Iterator[tuple[str, Path]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, path


def public_functions() -> Iterator[tuple[str, Path]]:
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                yield node.name, path


def assigned(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that is assigned to, also by loops and comprehensions, and every parameter, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


def test_a_module_has_its_name_for_itself() -> None:
    assert several((path.stem, path) for path in MODULES if path.stem not in SAME_EVERYWHERE) == {}


def test_a_class_has_its_name_for_itself() -> None:
    assert several(classes()) == {}


def test_a_public_function_has_its_name_for_itself() -> None:
    names = ((name, path) for name, path in public_functions() if not relative(path).startswith(NAMED_FOR_PEOPLE))
    assert several(names) == {}


def test_names_say_what_they_hold() -> None:
    literary = [
        f"{relative(path)}:{line}: {name}"
        for path in MODULES
        for name, line in assigned(ast.parse(path.read_text()))
        if name in LITERARY
    ]
    assert literary == []


def test_a_file_can_be_read_at_one_go() -> None:
    lengths = {relative(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}
