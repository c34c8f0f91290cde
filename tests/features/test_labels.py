"""Labels are people's work: corrections win, raters who disagree are heard, and one bad row costs only itself."""

import csv
import io
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.errors import QcError
from qc_assets.features.label_files import read_label_table
from qc_assets.features.labels import Report, import_file
from qc_assets.features.rater_agreement import agreement_of
from qc_assets.models.comment_category import CATEGORIES
from qc_assets.store.warehouse import Warehouse
from tests import histories

NOW = datetime(2026, 1, 1)


def put(store: Warehouse, folder: Path, name: str, text: str | bytes, now: datetime = NOW) -> Report:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return import_file(store, folder / name, now=now)


def trained_on(store: Warehouse) -> dict[str, str]:
    """The label of each text that a model would see."""
    store.rebuild("features/comments")
    rows = store.query("SELECT body, category FROM features.comments WHERE category IS NOT NULL AND exclusion IS NULL")
    assert rows["body"].is_unique().all()
    return dict(rows.iter_rows())


def test_a_correction_wins_whatever_its_file_is_called_and_whatever_the_clock_says(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    first = "body,category\nRename this,refactoring\nWhy?,discussion\n"
    assert put(warehouse, tmp_path, "z.csv", first).imported == 2
    report = put(warehouse, tmp_path, "a.csv", "body,category\nRename this,functional\nWhy?,discussion\n")
    assert (report.imported, report.known, report.superseded) == (1, 1, 1)
    assert trained_on(warehouse) == {"Rename this": "functional", "Why?": "discussion"}
    # Of a machine whose clock was set back, and under the name that sorts first or last.
    put(warehouse, tmp_path, "0.csv", "Body , CATEGORY\nRename this,documentation\n", NOW - timedelta(days=900))
    assert trained_on(warehouse)["Rename this"] == "documentation"
    again = put(warehouse, tmp_path, "copy of z.csv", first)
    assert (again.imported, again.known, again.superseded) == (0, 2, 0), "a file that comes again changes nothing"
    assert trained_on(warehouse)["Rename this"] == "documentation"
    kept = warehouse.query(
        "SELECT category, status FROM judged_labels('ml.imported_labels') WHERE body = 'Rename this'"
    )
    assert sorted(kept.rows()) == [
        ("documentation", "used"), ("functional", "superseded"), ("refactoring", "superseded")
    ]  # fmt: skip


def test_of_raters_who_disagree_the_majority_trains_or_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = ["amy,x,functional", "bob,x,functional", "cy,x,discussion", "amy,y,functional", "bob,y,discussion"]
    report = put(warehouse, tmp_path, "a.csv", "\n".join(["rater,text,label", *rows]) + "\n")
    assert (report.imported, report.outvoted, report.disputed) == (2, 1, 2)
    assert trained_on(warehouse) == {"x": "functional"}
    assert str(report.agreement[0]) == "amy and bob agree on 1 of 2 comments; Cohen's kappa: 0.00"
    report = put(warehouse, tmp_path, "b.csv", "rater,text,label\nbob,y,functional\n")
    assert report.superseded == 1 and trained_on(warehouse) == {"x": "functional", "y": "functional"}
    assert next(pair for pair in report.agreement if pair.raters == ("amy", "bob")).same == 2
    # Who is not named is a rater for each row.
    report = put(warehouse, tmp_path, "c.csv", "text,label\nz,refactoring\nz,discussion\nz,discussion\n")
    assert (report.imported, report.outvoted) == (2, 1) and trained_on(warehouse)["z"] == "discussion"
    same = agreement_of(pl.DataFrame({"about": ["x", "x"], "rater": ["a", "b"], "category": ["docs", "docs"]}))
    assert same[0].kappa is None and "one category" in str(same[0])


def test_imported_is_what_a_model_sees_and_what_is_not_loaded_waits_by_name(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    comment = {"repo_id": 1, "number": 1, "body": "Why?", "author_is_bot": False, "in_reply_to_id": None}
    rows = [comment | {"comment_id": n, "created_at": histories.hour(n), "author_is_bot": n == 2} for n in (1, 2)]
    with warehouse.write() as connection:
        histories.put(connection, {"review_comments": rows})
    report = put(
        warehouse,
        tmp_path,
        "a.csv",
        "body,category,comment_id\nWhy?,discussion,1\nWhy?,discussion,2\nNo,discussion,3\n",
    )
    assert (report.imported, report.left_out, report.waiting) == (1, 1, (3,))
    late = comment | {"comment_id": 3, "created_at": histories.hour(3), "body": "No"}
    with warehouse.write() as connection:
        histories.put(connection, {"review_comments": [*rows, late]})
    assert trained_on(warehouse) == {"Why?": "discussion", "No": "discussion"}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("hello, a comma,discussion,,", "it has 5 columns and the heading 4"),
        ('"open,discussion,,', "a quote is not closed"),
        ("m\xfc\udc81,discussion,,", "no text in the file's encoding"),
        ("a\0b,discussion,,", "no text"),
        ("a,discussion,99999999999999999999,", "no id of a comment"),
        ("a,discussion,1.09951E+12,", "rounded by a spreadsheet"),
        ("a,discussion,,2999-01-01", "in the future"),
        ("a,discussion,,0001-01-01T00:00:00+14:00", "not an ISO 8601 time"),
        ("a,praise,,", "none of functional"),
        (f"{'a' * 1_048_577},discussion,,", "a cell has 1,048,577 characters"),
    ],
    ids=lambda text: text[:20],
)
def test_a_bad_row_is_named_and_its_neighbours_land(warehouse: Warehouse, tmp_path: Path, row: str, why: str) -> None:
    lines = [
        "body,category,comment_id,created_at",
        '"one, two",discussion,,',
        row,
        "\u00fcber,functional,,",
        '"l\n2",functional,,',
    ]
    content = "\n".join(lines).encode("utf-8", "surrogateescape")
    report = put(warehouse, tmp_path, "a.csv", content)
    assert [number for number, _ in report.bad] == [2] and why in report.bad[0][1]
    assert trained_on(warehouse) == {"one, two": "discussion", "\u00fcber": "functional", "l\n2": "functional"}


@pytest.mark.parametrize(
    ("encoding", "separator", "start"),
    [
        ("cp1252", ";", ""),
        ("utf-16", "\t", ""),
        ("utf-16-le", "\t", ""),
        ("utf-8-sig", "|", ""),
        ("utf-8", ";", "sep=;\r\n"),
    ],
)
def test_files_of_people_s_tools_are_understood(tmp_path: Path, encoding: str, separator: str, start: str) -> None:
    text = f"{start}Body{separator} Category \r\nm\u00fcsste{separator}discussion\r\n\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    table = read_label_table(tmp_path / "a.csv")
    assert table.heading == ("Body", "Category") and table.rows == ((1, ("m\u00fcsste", "discussion")),)


def test_a_workbook_is_told_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(QcError, match="an Excel or OpenDocument workbook, not a CSV: open it, choose Save As"):
        read_label_table(tmp_path / "a.xlsx")


@settings(max_examples=150, deadline=None)
@given(
    good=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), min_size=1),
            st.sampled_from(CATEGORIES),
        ),
        max_size=4,
    ),
    bad=st.binary(max_size=40),
    place=st.integers(0, 4),
)
def test_any_bytes_between_rows_are_a_row_of_their_own(good: list, bad: bytes, place: int) -> None:
    """Bytes without the end of a line may spoil their own line only: never a traceback, never a lost neighbour."""
    lines = []
    for cells in good:
        stream = io.StringIO()
        csv.writer(stream).writerow([*cells, ""])
        lines.append(stream.getvalue().encode())
    stray = bad.replace(b"\n", b"").replace(b"\r", b"").replace(b'"', b"") + b"\n"
    lines.insert(place, stray)
    heading = "body,category,\u00fc\u00fc\u00fc\n".encode()  # says that it is UTF-8
    with_file = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path()
    file = with_file / "qc-any-bytes.csv"
    file.write_bytes(heading + b"".join(lines))
    try:
        rows = read_label_table(file).rows
    finally:
        file.unlink()
    read = [cells[:2] for _, cells in rows if not isinstance(cells, str)]
    assert [cells for cells in good if cells not in read] == [], rows


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=300), st.text('",;\t\nab\0\ufeff\u00fc', max_size=80).map(lambda text: text.encode("utf-16"))
    )
)
def test_any_bytes_are_a_table_or_say_what_to_do(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    for start in (b"", b"body,category\n"):
        file.write_bytes(start + content)
        try:
            assert read_label_table(file).heading
        except QcError as error:
            assert str(file) in str(error)
