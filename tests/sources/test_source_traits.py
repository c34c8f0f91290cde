"""A source says what it is, and nobody else compares its name."""

import ast
import re
import subprocess
import sys
from datetime import date

import pytest

from qc_assets.errors import SettingsError
from qc_assets.places import PACKAGE, sql_root
from qc_assets.settings import load_settings
from qc_assets.source_traits import all_traits, source_names, traits_of
from qc_assets.store.warehouse import Warehouse

SQL_ROOT = sql_root()


def compared_names(code: str) -> list[str]:
    """Sources that are named in a comparison, a `match`, or a type of allowed values."""
    names = set(source_names())
    places: list[ast.AST] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Compare):
            places += [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            places.append(node.value)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal":
            places.append(node.slice)
    constants = [inner.value for place in places for inner in ast.walk(place) if isinstance(inner, ast.Constant)]
    return [value for value in constants if value in names]


def named_in_sql(text: str) -> list[str]:
    return re.findall(rf"'({'|'.join(source_names())})'", re.sub(r"--.*", "", text))


def test_no_python_outside_of_the_sources_compares_the_name_of_a_source() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "sources" not in path.parents]
    assert len(files) > 100
    named = {str(path.relative_to(PACKAGE)): compared_names(path.read_text(encoding="utf-8")) for path in files}
    assert {path: names for path, names in named.items() if names} == {}


def test_no_sql_outside_of_the_sources_names_a_source() -> None:
    files = [path for path in SQL_ROOT.rglob("*.sql") if SQL_ROOT / "sources" not in path.parents]
    assert len(files) > 30
    named = {str(path.relative_to(SQL_ROOT)): named_in_sql(path.read_text(encoding="utf-8")) for path in files}
    # The demo is a forge, too, by that name.
    assert {path: names for path, names in named.items() if names} == {"ops/forges.sql": ["demo"]}


def test_the_search_for_names_finds_them() -> None:
    assert compared_names('if settings.source == "demo": pass') == ["demo"]
    assert compared_names('x in ("github", "else")') == ["github"]
    assert compared_names('S = Literal["gharchive"]') == ["gharchive"]
    assert compared_names('match source:\n    case "demo":\n        pass') == ["demo"]
    assert compared_names('load_settings(source="demo")') == []
    assert named_in_sql("-- it's 'demo'\nWHERE source = 'demo'") == ["demo"]


def test_an_unknown_source_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(SettingsError, match=r"QC_SOURCE='gitlab'.*demo, files, gharchive, github"):
        load_settings(source="gitlab")
    with pytest.raises(ValueError, match="no source 'gitlab'"):
        traits_of("gitlab")


def test_settings_that_derive_from_the_source_ask_it() -> None:
    demo = load_settings(source="demo", demo_days=30)
    assert (demo.first_date, demo.last_date) == (date(2024, 1, 1), date(2024, 1, 30))
    assert load_settings(source="gharchive").first_date == date(2015, 1, 1)
    assert load_settings(source="gharchive").fixed_last_date is None
    github = load_settings(source="github", start_date=date(2026, 1, 1))
    assert github.first_date == date(2026, 1, 1) and github.earliest_date < date(2008, 1, 1), "nothing is hidden by it"
    assert [name for name, traits in all_traits().items() if traits.synthetic] == ["demo"]


def test_sql_asks_the_sources_through_macros(warehouse: Warehouse) -> None:
    query = """
        SELECT source, is_synthetic(source), is_complete(source), shows_states(source), priority_of(source),
            last_whole_day(source) = DATE '2025-10-06'
        FROM (VALUES ('demo'), ('gharchive'), ('github'), ('discovery')) AS sources (source) ORDER BY source
    """
    with warehouse.scratch() as connection:
        rows = connection.execute(query).fetchall()
    assert rows == [
        ("demo", True, True, False, 0, False),
        ("discovery", False, False, False, 0, False),
        ("gharchive", False, False, False, 1, True),
        ("github", False, True, True, 2, False),
    ]


def test_asking_a_source_loads_no_library() -> None:
    code = (
        "import sys; from qc_assets.source_traits import all_traits; print(len(all_traits()), "
        "sorted({'polars', 'duckdb', 'numpy', 'httpx', 'graphql', 'pydantic'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert answer.stdout.split() == [str(len(source_names())), "[]"]
