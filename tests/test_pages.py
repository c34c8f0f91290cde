"""Tables and pictures of pages, in HTML and in Markdown."""

import polars as pl
from markdown_it import MarkdownIt

from qc_assets.pages import base64_png, html_table, markdown_table


def test_a_markdown_table_is_one_whatever_its_cells_say():
    text = markdown_table(["name", "value"], [["a|b", 1], ["two\nlines", None]])
    assert text == "| name | value |\n|---|---|\n| a\\|b | 1 |\n| two lines |  |"
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
