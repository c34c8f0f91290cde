"""Tables and pictures of pages, in HTML and in Markdown."""

import re

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qc_assets.pages import base64_png, fenced, html_table, markdown_table, markdown_text, render


def test_a_markdown_table_is_one_whatever_its_cells_say():
    text = markdown_table(["name", "value"], [["a|b", 1], ["two\nlines", None]])
    assert text == "| name | value |\n|---|---|\n| a&#124;b | 1 |\n| two lines |  |"
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert html.count("<tr>") == 3 and html.count("<td>") == 4 and "<td>a|b</td>" in html


def test_an_html_table_escapes_marks_and_cuts():
    frame = pl.DataFrame({"worker_id": ["<b>", "FLAGGED", "c"], "rate": [0.123456, None, 1.0]})
    html = html_table(frame, max_rows=2, marked="FLAGGED", digits=3)
    assert "&lt;b&gt;" in html and "<b>" not in html and "<th>worker id</th>" in html
    assert "<td>0.123</td>" in html and '<tr class="FLAGGED"><td>FLAGGED</td><td></td>' in html
    assert "<td>c</td>" not in html
    assert html_table(frame.clear()) == "<p>Nothing yet.</p>"


def test_a_picture_may_be_missing():
    assert base64_png(None) is None and base64_png(b"\x89PNG") == "iVBORw=="


MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
ALIVE = "|[]()!<>\\`&#;*_~ \n\r\x0b\x85\u2028\"'=/:.ahtpsimgrcx1240"


@given(st.lists(st.lists(st.text(ALIVE) | st.text(), min_size=2, max_size=2), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
@example([["![t](http://x/t.png)", "\\| y"], ["<img src=x>", "[a](javascript:alert(1))"], ["`|`", "&#124;\\"]])
@example([["\\![t](http://x/t.png)", "<!--"], ["x\n\n# y", "\\\\|"], ["a\u2028|b", "[t]: http://x"]])
def test_no_text_of_strangers_loads_or_opens_anything_and_tables_stay_whole(rows: list[list[str]]) -> None:
    html = MARKDOWN.render(markdown_table(["a", "b"], rows))
    assert html.count("<tr>") == len(rows) + 1 and html.count("<td>") == 2 * len(rows) and html.count("<table>") == 1
    assert set(re.findall(r"<(\w+)", html)) <= {"table", "thead", "tbody", "tr", "th", "td", "em", "strong", "s"}
    assert set(re.findall(r"<(\w+)", MARKDOWN.render(f"said {markdown_text(rows[0][0])}"))) <= {
        "p",
        "em",
        "strong",
        "s",
    }


@given(st.text("`~\n ab[](!", max_size=40))
def test_no_text_ends_its_fence(text: str) -> None:
    (block,) = MARKDOWN.parse(fenced(text, "diff"))
    assert block.type == "fence" and block.content == f"{text}\n" and block.info == "diff"


def test_a_text_does_not_look_like_another() -> None:
    evil = "\u202egpj.exe\x1b[2J"
    table = html_table(pl.DataFrame({"title": [evil]}))
    page = render("feedback.html", errors=[evil], is_synthetic=False)
    for text in (table, page):
        assert "\\u202egpj.exe\\x1b[2J" in text and not {"\u202e", "\x1b"} & set(text)
