"""What strangers wrote is shown on a terminal, and never obeyed there."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from qc_assets.cli import console
from qc_assets.terminal_text import displayable, displayable_in_json

HOSTILE = [
    "\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07", "\x9b31m", "\u202egnp.exe", "[link=https://evil.example]x[/link]", "[/x]",
    ":bug:", "a\\", "\\[bold]", "\ud800", "\U000e0041", "\r$ sudo", "\u2028",
]  # fmt: skip


def printed(*parts: Table | Text | str, is_terminal: bool) -> str:
    drawn = console.SafeConsole(
        force_terminal=is_terminal,
        markup=False,
        emoji=False,
        width=200,
        color_system="truecolor" if is_terminal else None,
    )
    with drawn.capture() as capture:
        for part in parts:
            drawn.print(part)
    return capture.get()


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_strangers_is_shown_as_it_is_stored(text: str, is_terminal: bool) -> None:
    rows = [{text: text, "n": [text]}]
    output = printed(
        console.table(text, rows, as_named=True), text, console.marked("[red]{}[/red]", text), is_terminal=is_terminal
    )
    active = {character for character in output if displayable(character) != character}
    assert active <= ({"\x1b"} if is_terminal else set())
    assert "\x1b]" not in output, "colours only, no titles, links or clipboards"
    assert output.count(displayable(text)) >= 4


@given(st.text())
def test_json_says_the_same_with_every_character_escaped_that_a_terminal_obeys(text: str) -> None:
    document = displayable_in_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(document) == [text]
    assert displayable(document) == document
