"""Histories in files: what is said lands, what is not said stays unknown, and what is wrong is named with its line."""

import gzip
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import run_job
from qc_assets.errors import QcError, SourceError
from qc_assets.settings import Settings
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.files.lines import texts_of
from qc_assets.sources.loading import LoadReport, load
from qc_assets.sources.registry import open_source
from qc_assets.store.export import export_history
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse
from tests.conftest import SHARED

Make = Callable[..., Settings]
PULL = {"repo": "a/b", "number": 1, "author": "ann", "created_at": "2024-03-01T10:00:00Z"}


def write(folder: Path, **tables: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        (folder / f"{table}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def loaded(settings: Settings, days: list[date] | None = None) -> tuple[Warehouse, LoadReport]:
    store = Warehouse.from_settings(settings)
    report = load(store, open_source(settings), days or days_between(settings.first_date, settings.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
    return store, report


def test_what_a_warehouse_exports_is_the_same_warehouse(make_settings: Make, tmp_path: Path) -> None:
    demo = make_settings(demo_prs=120, demo_days=30)
    before, _ = loaded(demo)
    counts = export_history(before, tmp_path / "history")
    settings = make_settings(source="files", files_dir=tmp_path / "history", warehouse=tmp_path / "again.duckdb")
    assert settings.forge == "demo" and settings.first_date <= demo.last_date
    after, _ = loaded(settings)
    for table in RAW_TABLES:
        # Who observed it and when is another; the rest is the same.
        query = f"SELECT * EXCLUDE (source, observed_at, partition_date) FROM raw.{table} ORDER BY ALL"
        if table == "repositories":
            query = query.replace("partition_date)", "partition_date, watched_from, watched_until)")
        rows = before.query(query)
        assert rows.equals(after.query(query)), table
        assert counts[f"demo {table}"] == len(rows)
    window = "SELECT repo_id, covered_until FROM ops.coverage WHERE is_covered ORDER BY ALL"
    assert before.query(window).equals(after.query(window))
    for store in (before, after):
        store.rebuild("features/pull_requests", demo.feature_parameters("pull_requests"))
    features = "SELECT * EXCLUDE (source) FROM features.pull_requests ORDER BY repo_id, number"
    assert before.query(features).equals(after.query(features)), "and says the same of every opening"
    with pytest.raises(QcError, match="exists already"):
        export_history(before, tmp_path / "history")


def test_each_bad_row_is_a_dead_letter_and_the_rest_lands(make_settings: Make, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "pull_requests.csv").write_text(
        "repo,number,author,state,created_at,closed_at,additions,labels,shoe_size\n"
        'a/b,1,ann,closed,2024-03-01T12:00:00+02:00,2024-03-03T00:00:00Z,5,"[""x, y"",""z""]",44\n'
        "a/b,2,ann,open,yesterday,,5,,\n"
        "a/b,3,ann,open,2024-03-01 10:00:00,,-5,,\n"
        "a/b,4,ann\n"
        "a/b,5,ann,closed,2024-03-02,2024-03-01,5,,\n"
        "A/B,6,Ann,merged,2024-03-04,,,,\n"
        ",7,ann,open,2024-03-04,,,,\n"
    )
    with gzip.open(folder / "reviews.jsonl.gz", "wt") as lines:
        lines.write(
            '{"repo": "a/b", "number": 1, "author": "bob", "state": "approved", "submitted_at": "2024-03-02"}\n'
        )
        lines.write("{broken\n")
        lines.write('{"repo": "a/b", "number": 1, "author": "bob", "state": "MAYBE", "submitted_at": "2024-03-02"}\n')
    settings = make_settings(source="files", files_dir=tmp_path)
    store, report = loaded(settings)
    assert store.query(
        "SELECT number, state, created_at, closed_at, labels FROM raw.pull_requests ORDER BY 1"
    ).rows() == [
        (1, "closed", datetime(2024, 3, 1, 10), datetime(2024, 3, 3), ["x, y", "z"]),
        (6, "closed", datetime(2024, 3, 4), None, None),
        (7, "open", datetime(2024, 3, 4), None, None),  # the data set has one repository
    ]
    assert store.query("SELECT state, submitted_state FROM raw.reviews").rows() == [("APPROVED", "APPROVED")]
    letters = store.query("SELECT item, line, error_type, reason FROM ops.dead_letters ORDER BY ALL").rows()
    assert [(item, line, kind) for item, line, kind, _ in letters] == [
        ("own/pull_requests.csv", 3, "bad_row"),
        ("own/pull_requests.csv", 4, "bad_row"),
        ("own/pull_requests.csv", 5, "malformed_line"),
        ("own/pull_requests.csv", 6, "bad_row"),
        ("own/reviews.jsonl.gz", 2, "malformed_line"),
        ("own/reviews.jsonl.gz", 3, "bad_row"),
    ]
    reasons = [reason for *_, reason in letters]
    assert "created_at is no TIMESTAMP" in reasons[0] and "additions >= 0" in reasons[1] and "state" in reasons[5]
    assert (report.bad_lines, report.lines) == (6, 10), "a row that is lost is lost, whatever was wrong with it"
    people = store.query("SELECT author_id, count(*), bool_and(author_id > 0) FROM raw.pull_requests GROUP BY 1").rows()
    assert [row[1:] for row in people] == [(3, True)], "ann and Ann are one account"


def test_what_the_dump_says_is_no_fact_of_the_opening(make_settings: Make, tmp_path: Path) -> None:
    dump = {"title": "fix: it", "body": "x", "is_draft": True, "author_association": "MEMBER", "additions": 500,
            "deletions": 1, "changed_files": 3, "commits": 9, "labels": ["bug"], "author_is_bot": False}  # fmt: skip
    told = {"opened_title": "feat: it", "opened_additions": 40, "opened_deletions": 2, "opened_is_draft": False}
    pulls = [PULL | dump, PULL | dump | {"number": 2} | told, PULL | {"number": 3, "created_at": "2024-03-09"}]
    settings = make_settings(source="files", files_dir=write(tmp_path / "own", pull_requests=pulls))
    store, _ = loaded(settings)
    store.rebuild("features/pull_requests", settings.feature_parameters("pull_requests"))
    unknown = ["title_length", "body_length", "is_bug_fix", "is_draft", "lines_changed", "files_changed", "commits",
               "additions_share", "author_association"]  # fmt: skip
    rows = store.query("FROM features.pull_requests ORDER BY number").to_dicts()
    assert {name: rows[0][name] for name in unknown} == dict.fromkeys(unknown)
    assert rows[0]["exclusion"] == "undecided", "its opening was seen: the data set says when and by whom"
    assert (rows[1]["lines_changed"], rows[1]["is_feature"], rows[1]["is_draft"]) == (42, True, False)


def test_who_was_asked_is_read_of_events_of_all_kinds_and_files_are_of_the_opening(
    make_settings: Make, tmp_path: Path
) -> None:
    folder = write(
        tmp_path / "own",
        pull_requests=[PULL, PULL | {"number": 2}, PULL | {"number": 3, "opened_reviewers": 9}],
        events=[
            {"number": 1, "event": "labeled", "label": "x", "created_at": "2024-03-01T11:00:00Z"},
            {"number": 1, "event": "review_requested", "reviewer": "bob", "created_at": "2024-03-01T10:00:02Z"},
            {"number": 1, "event": "ReviewRequestedEvent", "actor": "ann", "created_at": "2024-03-01T10:00:03Z"},
            {"number": 1, "event": "ReviewRequestedEvent", "actor": "ann", "created_at": "2024-03-01T10:00:03Z"},
            {"number": 1, "event": "review_requested", "reviewer": "eve", "created_at": "2024-03-02T10:00:00Z"},
            {"number": 1, "event": "review_request_removed", "reviewer": "bob", "created_at": "2024-03-02T10:00:00Z"},
            {"number": 3, "event": "closed", "created_at": "2024-03-02T10:00:00Z"},
        ],
        files=[{"number": 1, "path": "tests/a.py", "additions": 3}, {"number": 1, "path": "b.py", "change": "eaten"}],
        reviews=[{"number": 2, "author": "Bob", "state": "approved", "submitted_at": "2024-03-01T12:00:00Z"}],
    )
    store, report = loaded(make_settings(source="files", files_dir=folder))
    assert report.dead_letters == 1, "a change that nobody has heard of"
    query = "SELECT reviewer_login, action, requested_by_login FROM raw.review_requests ORDER BY created_at, action"
    assert store.query(query).rows() == [
        ("bob", "requested", None),
        ("", "requested", "ann"),
        ("bob", "removed", None),
        ("eve", "requested", None),
    ]
    asked = store.query("SELECT opened_reviewers FROM raw.pull_requests ORDER BY number")["opened_reviewers"].to_list()
    assert asked == [2, None, 9], "of a pull request without events nobody knows it, and what is given is believed"
    same = "SELECT count(DISTINCT id) FROM (SELECT reviewer_id AS id FROM raw.review_requests WHERE reviewer_login = "
    assert store.query(f"{same} 'bob' UNION ALL SELECT author_id FROM raw.reviews)").item() == 1
    files = "SELECT path, additions, partition_date FROM raw.files"
    assert store.query(files).rows() == [("tests/a.py", 3, date(2024, 3, 1))]


def test_a_day_shows_what_had_happened_by_then(make_settings: Make, tmp_path: Path) -> None:
    pulls = [PULL | {"closed_at": "2024-03-05", "merged_at": "2024-03-05"}, PULL | {"number": 2}]
    reviews = [{"pr_id": 77, "author": "bob", "state": "APPROVED", "submitted_at": "2024-03-04T01:00:00"}]
    commits = [
        {"number": 1, "committed_at": day, "additions": lines, "deletions": 0}
        for day, lines in (("2024-02-29", 3), ("2024-03-01T09:59:59Z", 4), ("2024-03-02", 100))
    ]
    pulls[0]["pr_id"] = 77
    folder = write(tmp_path / "own", pull_requests=pulls, reviews=reviews, commits=commits)
    settings = make_settings(source="files", files_dir=folder)
    assert (settings.first_date, settings.last_date) == (date(2024, 3, 1), date(2024, 3, 5)), "up to the extraction"
    store, _ = loaded(settings, [date(2024, 3, 1), date(2024, 3, 2)])
    state = "SELECT state, merged_at, opened_additions, opened_commits FROM raw.pull_requests WHERE number = 1"
    assert store.query(state).rows() == [("open", None, 7, 2)]
    assert store.query("SELECT count(*) FROM raw.reviews").item() == 0
    store, report = loaded(settings)
    assert len(report.skipped) == 2
    assert store.query("SELECT number, state FROM raw.reviews").rows() == [(1, "APPROVED")]


def test_nothing_is_covered_after_the_extraction(make_settings: Make, tmp_path: Path) -> None:
    issue = {"repo": "c/d", "number": 1, "author": "ann", "created_at": "2024-03-01", "closed_at": None}
    write(tmp_path / "all" / "old", issues=[issue])
    (tmp_path / "all" / "old" / "dataset.toml").write_text("extracted_at = 2024-03-04T12:00:00Z\n")
    write(tmp_path / "all" / "new", pull_requests=[PULL, PULL | {"number": 2, "created_at": "2024-03-20"}])
    store, _ = loaded(make_settings(source="files", files_dir=tmp_path / "all"))
    windows = store.query(
        "SELECT name, covered_until FROM ops.coverage JOIN raw.repositories USING (repo_id) ORDER BY 1"
    )
    assert windows.rows() == [("a/b", datetime(2024, 3, 20)), ("c/d", datetime(2024, 3, 4, 12))]


def test_of_two_data_sets_the_newer_extraction_counts(make_settings: Make, tmp_path: Path) -> None:
    write(tmp_path / "all" / "a", pull_requests=[PULL | {"state": "open", "closed_at": None, "title": "old"}])
    (tmp_path / "all" / "a" / "dataset.toml").write_text("extracted_at = 2024-03-08\n")
    write(tmp_path / "all" / "b", pull_requests=[PULL | {"closed_at": "2024-03-09", "merged_at": None, "title": "new"}])
    settings = make_settings(source="files", files_dir=tmp_path / "all")
    store, _ = loaded(settings)
    assert store.query("SELECT state, title FROM raw.pull_requests").rows() == [("closed", "new")]
    other = make_settings(source="files", files_dir=write(tmp_path / "c", pull_requests=[PULL | {"repo": "e/f"}]))
    with pytest.raises(SourceError, match=r"has files of a/b.* side by side"):
        loaded(other)
    assert store.query("SELECT count(*) FROM raw.pull_requests").item() == 1
    loaded(other.model_copy(update={"files_forge": "gitlab.example.org"}))
    assert store.query("SELECT count(*) FROM raw.pull_requests").item() == 2


def test_what_cannot_be_told_apart_is_refused(make_settings: Make, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    settings = make_settings(source="files", files_dir=folder)
    folder.mkdir()
    with pytest.raises(SourceError, match="holds no data set"):
        loaded(settings)
    write(folder / "a", pull_requests=[PULL | {"repo_id": 5}])
    write(folder / "b", pull_requests=[PULL | {"repo_id": 6}])
    for name in "ab":
        (folder / name / "dataset.toml").write_text('forge = "gitlab.example.org"\n')
    with pytest.raises(SourceError, match="a/b has two ids, in a, b"):
        loaded(settings)
    (folder / "b" / "dataset.toml").write_text('forge = "else.example.org"\n')
    with pytest.raises(SourceError, match="several forges"):
        loaded(settings)
    (folder / "b" / "dataset.toml").write_text('forges = "x"\n')
    with pytest.raises(SourceError, match=r"dataset.toml: forges = 'x'"):
        loaded(settings)
    (folder / "b" / "dataset.toml").unlink()
    (folder / "a" / "pull_requests.jsonl").write_text('{"repo": "a/b", "number": 1}\n')
    with pytest.raises(SourceError, match=r"a/pull_requests.jsonl has no column created_at"):
        loaded(make_settings(source="files", files_dir=folder / "a"))


def test_given_ids_are_believed_where_it_is_said_whose_they_are(make_settings: Make, tmp_path: Path) -> None:
    folder = write(tmp_path / "own", pull_requests=[PULL | {"repo_id": 5, "author_id": 7}])
    made = open_source(make_settings(source="files", files_dir=folder)).folder
    assert pl.read_parquet(made / "pull_requests.parquet").select("repo_id", "author_id").min_horizontal().min() > 2**39
    (folder / "dataset.toml").write_text('forge = "gitlab.example.org"\n')
    given = open_source(make_settings(source="files", files_dir=folder)).folder
    assert pl.read_parquet(given / "pull_requests.parquet").select("repo_id", "author_id").row(0) == (5, 7)


@pytest.mark.parametrize("name", ["wfa", "apache_jira_bugs"])
def test_real_folders_load_as_they_are(make_settings: Make, name: str) -> None:
    folder = SHARED / "histories" / name
    if not folder.is_dir():
        pytest.skip(f"the real histories are not there: {folder}")
    rows = open_source(make_settings(source="files", files_dir=folder)).folder
    for file in folder.glob("*.parquet"):
        keys = {"pull_requests": ["repo_id", "number"], "issues": ["repo_id", "number"], "reviews": ["review_id"]}
        landed = pl.read_parquet(rows / file.name).unique(keys[file.stem])
        assert len(landed) == len(pl.read_parquet(file)), file.stem


def test_a_home_and_a_folder_may_have_any_name(make_settings: Make, tmp_path: Path) -> None:
    folder = write(tmp_path / "o'brien's 100% [own]*", pull_requests=[PULL])
    store, report = loaded(make_settings(source="files", files_dir=folder, home=tmp_path / "it's a home, 50 %"))
    assert report.dead_letters == 0 and store.query("SELECT number FROM raw.pull_requests")["number"].to_list() == [1]


def test_lines_of_json_are_bounded_and_told_to_be_packed_by_their_bytes(tmp_path: Path) -> None:
    lines = [b'{"number": 1}', b'{"number": "' + b"2" * 2000 + b'"}', b'{"number": ' + b"[" * 900, b'{"number": 4}']
    path, folder = tmp_path / "issues.jsonl", tmp_path / "rows"
    path.write_bytes(gzip.compress(("\n".join(line.decode() for line in lines)).encode("utf-16")))
    folder.mkdir()
    parts, bad, count = texts_of(path, ["number"], folder, Bounds(line=1000))
    assert pl.read_parquet(parts)["number"].to_list() == ["1", "4"]
    assert [line for line, _, _ in bad] == [2, 3]
    assert "more than QC_MAX_LINE_BYTES=1000" in bad[0][1]
    assert count == 4


def test_a_folder_of_which_much_is_lost_is_red_and_one_row_in_a_thousand_is_not(
    make_settings: Make, tmp_path: Path
) -> None:
    pulls = [PULL | {"number": n, "created_at": f"2024-03-{1 + n // 50:02}"} for n in range(1, 1001)]
    for lost, is_red in ((1, False), (20, True)):
        rows = [row | {"created_at": "3rd of May"} if row["number"] <= lost else row for row in pulls]
        folder = write(tmp_path / f"lost {lost}", pull_requests=rows)
        settings = make_settings(
            source="files", files_dir=folder, home=tmp_path / f"home {lost}", warehouse=tmp_path / f"{lost}.duckdb"
        )
        result = run_job(settings, "ingest", days=days_between(settings.first_date, settings.last_date))
        assert result.checks["raw_pull_requests: few_bad_lines"][0] is not is_red
        assert result.metadata["raw_pull_requests"]["dead letters"] == lost
        store = Warehouse.from_settings(settings)
        store.rebuild("ops/coverage", {"min_archive_completeness": 0.95})
        seen = store.query("SELECT completeness FROM ops.coverage").item()
        assert seen == 1, "numbers decide; that nobody told the titles of openings is no gap"
