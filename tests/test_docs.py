"""What the documents name exists."""

import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.screens import PICTURES, TOUR

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Made by the programs, or carried by the wheel only.
ELSEWHERE = {"warehouse/qc.duckdb", "qc_assets/_warehouse"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    # A block of a recipe makes the file that its first line names.
    made = set(re.findall(r"^```\w*\n(?:#|--) (\S+)$", text, flags=re.MULTILINE))
    text = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`((?:qc_assets|warehouse|tests|docs|benchmarks|notebooks)/[\w./]*)`", text))
    assert {name for name in named - ELSEWHERE - made if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_or_a_heading_leads_somewhere(document: Path) -> None:
    for file, _, heading in re.findall(r"\]\(((?!https?:)[^)#]*)(#([^)]+))?\)", document.read_text()):
        target = (document.parent / file) if file else document
        assert target.is_file(), f"{document.name}: {file}"
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in headings}
            assert heading in anchors, f"{document.name}: {file}#{heading}"


def test_the_readme_names_every_command() -> None:
    import typer

    from qc_assets.cli.main import app

    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`qc ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert commands - named == set()


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    texts = [path.read_text() for path in [*DOCUMENTS, *sorted((ROOT / "qc_assets").rglob("*.py"))]]
    named = {target for text in texts for target in re.findall(r"`make ([a-z]+)`", text)}
    assert {"demo", "test"} <= named <= targets


def test_the_tour_shows_what_is_photographed_in_its_order() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(tour/(\w+)\.png\)", (ROOT / "docs" / "tour.md").read_text(encoding="utf-8"))
    assert shown == [take.__name__ for take in PICTURES]
    assert sorted(path.stem for path in TOUR.glob("*.png")) == sorted(shown)
