"""A model is one file: it is found, shown in order, and says what the API and feedback need."""

import sys
from pathlib import Path

import pytest

from qc_assets.learning.task import task_of
from qc_assets.models.specs import SPECS, specs_of

_MODEL = """
from dataclasses import replace
from qc_assets.models.p0 import SPEC as P0
SPEC = replace(P0, name={name!r}, order={order})
"""


def test_models_are_shown_in_their_order() -> None:
    assert [spec.name for spec in SPECS] == [
        "p0",
        "resolution_time",
        "close_in_7_days",
        "comment_category",
        "first_response",
    ]


def test_a_model_is_found_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helpers.py").write_text("NOTHING = 1")
    for name, order in (("second", 2), ("first", 1), ("also_second", 2)):
        (folder / f"{name}.py").write_text(_MODEL.format(name=name, order=order))
    monkeypatch.syspath_prepend(str(tmp_path))
    import some_models

    assert [spec.name for spec in specs_of(some_models)] == ["first", "also_second", "second"]
    (folder / "third.py").write_text(_MODEL.format(name="fourth", order=4))
    with pytest.raises(ValueError, match="must have the same name"):
        specs_of(some_models)
    for module in [name for name in sys.modules if name.startswith("some_models")]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        ("p0", ["passed", "failed"], ["closed", "1"]),
        ("close_in_7_days", ["closed", "open"], ["passed"]),
        ("resolution_time", ["0", "12.5"], ["-1", "soon", "nan", "1e9"]),
        ("first_response", ["0", "31"], ["-1", "never"]),
        ("comment_category", ["functional", "discussion"], ["praise"]),
    ],
)
def test_feedback_says_a_label_of_the_model(model: str, good: list[str], bad: list[str]) -> None:
    spec = next(spec for spec in SPECS if spec.name == model)
    assert [task_of(spec).refused_label(spec, label) for label in good] == [None] * len(good)
    assert all(f"label {label!r} is" in str(task_of(spec).refused_label(spec, label)) for label in bad)


def test_endpoints_are_their_own() -> None:
    endpoints = [spec.endpoint for spec in SPECS if spec.endpoint]
    assert len(endpoints) == len(set(endpoints)) == 5


def test_a_bound_is_a_probability_of_the_same_items_from_the_same_features() -> None:
    """Each is asked on the rows of the other: what it lacked there would be unknown to it without a word."""
    by_name = {spec.name: spec for spec in SPECS}
    bounded = [spec for spec in SPECS if spec.bound]
    assert [spec.name for spec in bounded] == ["resolution_time"]
    for spec in bounded:
        assert spec.bound is not None
        other = by_name[spec.bound.model]
        assert (spec.task, other.task, other.table, other.key) == ("duration", "probability", spec.table, spec.key)
        assert {*other.features, *other.texts} <= {*spec.features, *spec.texts}
        assert other.maturity.total_seconds() == spec.bound.hours * 3600
