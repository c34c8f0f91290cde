"""GH Archive's files, real and damaged."""

import gzip
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from qc_assets.errors import SourceError
from qc_assets.sources.gharchive import day_of_events
from qc_assets.sources.loading import LoadReport, load
from qc_assets.sources.registry import open_source
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse
from tests.fakes.archive import comment, event, issue, pull_request, trimmed, write_hour

DAY = date(2024, 5, 1)
PR, ISSUE = "PullRequestEvent", "IssuesEvent"


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    folder = tmp_path / "hours"
    folder.mkdir()
    return folder


@pytest.fixture
def ingest(make_settings: Any, hours: Path) -> Any:
    def run(day: date = DAY, **kwargs: Any) -> tuple[Warehouse, LoadReport]:
        settings = make_settings(source="gharchive", gharchive_dir=hours)
        warehouse = Warehouse.from_settings(settings)
        return warehouse, load(warehouse, open_source(settings), [day], **kwargs)

    return run


def letters(warehouse: Warehouse) -> list[tuple[str, int | None, str]]:
    return warehouse.query(
        "SELECT item, line, error_type FROM ops.dead_letters WHERE error_type <> 'missing_hour' ORDER BY ALL"
    ).rows()


def test_the_real_hour_gives_the_exact_counts(make_settings: Any, shared_hour: Path) -> None:
    settings = make_settings(source="gharchive", gharchive_dir=shared_hour)
    warehouse = Warehouse.from_settings(settings)
    report = load(warehouse, open_source(settings), [date(2015, 1, 1)])
    assert report.lines == 7_702
    assert report.bad_lines == 0
    counts = warehouse.query("SELECT count(*), count(merged_at), sum(additions)::BIGINT FROM raw.pull_requests").row(0)
    assert counts == (280, 126, 286_497)
    assert warehouse.query("SELECT count(*), count(closed_at) FROM raw.issues").row(0) == (588, 159)
    assert warehouse.query("SELECT count(*) FILTER (state = 'closed') FROM raw.issues").item() == 159
    assert warehouse.query("SELECT count(*) FROM raw.issue_comments").item() == 650
    assert warehouse.query("SELECT count(*) FROM raw.review_comments").item() == 85
    [problem] = report.problems
    assert problem.startswith(
        "2015-01-01: 23 of 24 hours are missing or damaged "
        "(2015-01-01-1.json.gz, 2015-01-01-2.json.gz, 2015-01-01-3.json.gz, …); ops.dead_letters says"
    )


@pytest.mark.slow
def test_the_real_hour_loaded_twice_is_the_same(make_settings: Any, shared_hour: Path) -> None:
    settings = make_settings(source="gharchive", gharchive_dir=shared_hour)
    warehouse = Warehouse.from_settings(settings)
    tables = ["raw.pull_requests", "raw.issues", "raw.issue_comments", "raw.users", "raw.repositories"]
    load(warehouse, open_source(settings), [date(2015, 1, 1)])
    first = warehouse.snapshot(tables)
    load(warehouse, open_source(settings), [date(2015, 1, 1)], refresh=True)
    assert warehouse.snapshot(tables) == first


@pytest.mark.slow
def test_cutting_a_large_day_into_slices_changes_nothing(
    make_settings: Any, shared_hour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(source="gharchive", gharchive_dir=shared_hour)
    warehouse = Warehouse.from_settings(settings)
    tables = [f"raw.{table}" for table in RAW_TABLES]
    load(warehouse, open_source(settings), [date(2015, 1, 1)])
    whole = warehouse.snapshot(tables)
    monkeypatch.setattr(day_of_events, "_BYTES_PER_SLICE", 4_000_000)
    load(warehouse, open_source(settings), [date(2015, 1, 1)], refresh=True)
    assert warehouse.snapshot(tables) == whole


def test_what_was_known_at_the_opening_is_kept_apart_from_what_came_later(ingest: Any, hours: Path) -> None:
    merged: dict[str, Any] = {
        "state": "closed",
        "closed_at": "2024-05-01T12:00:00Z",
        "merged_at": "2024-05-01T12:00:00Z",
    }
    merged["merged_by"] = {"id": 8, "login": "bob"}
    later = pull_request(title="[done] it", additions=90, labels=[], **merged)
    write_hour(
        hours,
        "2024-05-01-10",
        [event(PR, "2024-05-01T10:00:01Z", {"action": "opened", "pull_request": pull_request()})],
    )
    write_hour(
        hours,
        "2024-05-01-12",
        [event(PR, "2024-05-01T12:00:01Z", {"action": "closed", "pull_request": later}, number=2)],
    )
    warehouse, _ = ingest()
    row = warehouse.query("FROM raw.pull_requests").row(0, named=True)
    assert (row["opened_title"], row["title"]) == ("fix: it", "[done] it")
    assert (row["opened_additions"], row["additions"]) == (20, 90)
    assert (row["merged_at"], row["merged_by_id"]) == (datetime(2024, 5, 1, 12), 8)
    assert row["opened_sizes_from"] == "opening"
    assert row["head_ref"] == "codex/fix-it"
    label = warehouse.query("SELECT label, created_at FROM raw.label_events").row(0)
    assert label == ("bug", datetime(2024, 5, 1, 10)), "labels of the opening's payload were there at the opening"


def test_an_opening_shows_who_was_asked_and_where_it_goes(ingest: Any, hours: Path) -> None:
    base = {"ref": "main", "repo": {"id": 7, "full_name": "o/r"}}
    asked = {
        "requested_reviewers": [{"id": 8, "login": "bob"}, {"id": -4, "login": "eve"}],
        "requested_teams": [{"slug": "owners"}],
        "base": base,
        "head": {"repo": {"id": 9}},
    }
    later = {"requested_reviewers": [{"id": 11, "login": "late"}], "base": base | {"ref": "other"}}
    at = "2024-05-01T10:00:00Z"
    events = [
        event(PR, at, {"action": "opened", "pull_request": pull_request(1, **asked)}),
        event(PR, at, {"action": "closed", "pull_request": pull_request(1, **later)}, number=2),
        event(PR, at, {"action": "opened", "pull_request": pull_request(2)}, number=3),
    ]
    write_hour(hours, "2024-05-01-10", events)
    warehouse, _ = ingest()
    query = "SELECT opened_base_ref, is_from_fork, opened_reviewers FROM raw.pull_requests ORDER BY number"
    assert warehouse.query(query).rows() == [("main", True, 3), (None, None, None)]
    query = "SELECT number, reviewer_login, reviewer_id, is_team FROM raw.review_requests ORDER BY reviewer_login"
    told = [(1, "bob", 8, False), (1, "eve", None, False), (1, "o/owners", None, True)]
    assert warehouse.query(query).rows() == told


def test_trimmed_payloads_tell_what_they_can(ingest: Any, hours: Path) -> None:
    day = date(2025, 11, 3)
    write_hour(
        hours,
        "2025-11-03-4",
        [
            event(PR, "2025-11-03T04:00:00Z", {"action": "opened", "pull_request": trimmed(1)}, number=1),
            event(PR, "2025-11-03T04:05:00Z", {"action": "merged", "pull_request": trimmed(1)}, number=2),
            event(
                PR,
                "2025-11-03T04:06:00Z",
                {"action": "labeled", "label": {"name": "bug"}, "pull_request": trimmed(1)},
                number=3,
            ),
            event(PR, "2025-11-03T04:07:00Z", {"action": "closed", "pull_request": trimmed(9)}, number=4),
        ],
    )
    warehouse, report = ingest(day)
    assert report.bad_lines == 0
    rows = warehouse.query("FROM raw.pull_requests ORDER BY number").to_dicts()
    assert [
        (row["number"], row["state"], row["author_login"], row["additions"], row["opened_title"]) for row in rows
    ] == [
        (1, "closed", "ann", None, None),
        (9, "closed", None, None, None),
    ]
    assert rows[0]["created_at"] == datetime(2025, 11, 3, 4)
    assert rows[0]["merged_at"] == datetime(2025, 11, 3, 4, 5)
    assert (rows[1]["created_at"], rows[1]["merged_at"]) == (None, None)
    assert warehouse.query("SELECT label, action FROM raw.label_events").rows() == [("bug", "labeled")]


def test_whoever_opens_it_is_its_author_where_the_payload_does_not_say(ingest: Any, hours: Path) -> None:
    at = "2024-05-01T10:00:00Z"
    old = {"number": 1, "id": 99, "title": "as payloads were in 2011", "commits": 1}
    ghost = pull_request(2, user=None, created_at=at)
    lines = [
        event(PR, at, {"action": "opened", "number": 1, "pull_request": old}),
        event(PR, at, {"action": "labeled", "number": 2, "pull_request": ghost}, number=2),
        event(ISSUE, at, {"action": "opened", "issue": issue(3, user=None)}, number=3),
    ]
    write_hour(hours, f"{DAY}-10", lines)
    warehouse, _ = ingest()
    query = "SELECT number, author_id, author_login FROM {} ORDER BY number"
    assert warehouse.query(query.format("raw.pull_requests")).rows() == [(1, 1, "ann"), (2, None, "ghost")]
    assert warehouse.query(query.format("raw.issues")).rows() == [(3, 1, "ann")]


def test_reviews_and_comments_are_observations_and_a_comment_on_a_pull_request_makes_no_issue(
    ingest: Any, hours: Path
) -> None:
    reviewer = {"id": 5, "login": "eve", "type": "User"}
    without_sizes = {
        k: v for k, v in pull_request(3).items() if k not in ("additions", "deletions", "changed_files", "commits")
    }
    review = {
        "id": 11,
        "user": reviewer,
        "state": "changes_requested",
        "submitted_at": "2024-05-01T10:20:00Z",
        "body": None,
    }
    on_pr = issue(4, pull_request={"url": "https://api.github.com/repos/o/r/pulls/4"})
    write_hour(
        hours,
        "2024-05-01-10",
        [
            event(
                "PullRequestReviewEvent",
                "2024-05-01T10:20:00Z",
                {"action": "created", "review": review, "pull_request": without_sizes},
                number=1,
            ),
            event(
                "PullRequestReviewCommentEvent",
                "2024-05-01T10:21:00Z",
                {"comment": comment(21, path="a.py", diff_hunk="@@"), "pull_request": without_sizes},
                number=2,
            ),
            event("IssueCommentEvent", "2024-05-01T10:22:00Z", {"comment": comment(22), "issue": issue(2)}, number=3),
            event("IssueCommentEvent", "2024-05-01T10:23:00Z", {"comment": comment(23), "issue": on_pr}, number=4),
        ],
    )
    warehouse, _ = ingest()
    assert warehouse.query("SELECT number, additions FROM raw.pull_requests").rows() == [(3, None)]
    assert warehouse.query("SELECT state, submitted_state, author_login FROM raw.reviews").rows() == [
        ("CHANGES_REQUESTED", "CHANGES_REQUESTED", "eve")
    ]
    assert warehouse.query("SELECT comment_id, author_is_bot, path FROM raw.review_comments").rows() == [
        (21, True, "a.py")
    ]
    assert warehouse.query("SELECT number FROM raw.issues").rows() == [(2,)]
    assert warehouse.query("SELECT number, is_on_pull_request FROM raw.issue_comments ORDER BY ALL").rows() == [
        (2, False),
        (4, True),
    ]


def test_bad_lines_become_dead_letters_with_file_and_line_and_the_rest_lands(ingest: Any, hours: Path) -> None:
    good = event(ISSUE, "2024-05-01T10:00:00Z", {"action": "opened", "issue": issue(2)})
    strange = event(ISSUE, "2024-05-01T10:01:00Z", {"action": "opened", "issue": issue(5)}, number=3, actor="", repo={})
    neighbour = event(ISSUE, "2024-04-30T23:59:59Z", {"action": "opened", "issue": issue(6)}, number=4)
    write_hour(
        hours,
        "2024-05-01-0",
        [good, '{"id": "9", "type": "Iss', good, "<html>oops</html>", strange, "", neighbour, "[]"],
    )
    warehouse, report = ingest()
    assert report.bad_lines == 4
    name = "2024-05-01-0.json.gz"
    kinds = {2: "malformed_line", 4: "malformed_line", 5: "no_repository", 8: "malformed_line"}
    assert letters(warehouse) == [(name, line, kind) for line, kind in kinds.items()]
    excerpt = warehouse.query("SELECT excerpt FROM ops.dead_letters WHERE line = 2").item()
    assert excerpt == '{"id": "9", "type": "Iss'
    assert warehouse.query("SELECT number, partition_date FROM raw.issues ORDER BY ALL").rows() == [(2, DAY), (6, DAY)]
    assert warehouse.query("SELECT status FROM ops.ingest_log").item() == "partial"
    assert report.problems[0].startswith("2024-05-01: 23 of 24 hours are missing or damaged")
    assert "4 lines could not be read" in report.problems[0]


def test_damaged_files_lose_only_what_cannot_be_read(ingest: Any, hours: Path) -> None:
    events = [
        event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(n)}, number=n) for n in range(1, 400)
    ]
    whole = write_hour(hours, "2024-05-01-1", events).read_bytes()
    (hours / "2024-05-01-1.json.gz").write_bytes(whole[: len(whole) // 2])
    (hours / "2024-05-01-2.json.gz").write_bytes(b"")
    (hours / "2024-05-01-3.json.gz").write_text("<html>503</html>")
    (hours / "2024-05-01-4.json.gz").write_bytes(gzip.compress(b""))
    write_hour(hours, "2024-05-01-5", [event(ISSUE, "2024-05-01T05:00:00Z", {"action": "opened", "issue": issue(900)})])
    warehouse, report = ingest()
    damage = {
        item.removeprefix("2024-05-01-").removesuffix(".json.gz"): (kind, line)
        for item, line, kind in letters(warehouse)
    }
    saved = warehouse.query("SELECT count(*) FROM raw.issues WHERE number < 900").item()
    assert 0 < saved < 399
    assert damage["1"] == ("truncated_file", saved + 1)
    assert {hour: damage[hour][0] for hour in "234"} == {"2": "empty_file", "3": "not_gzip", "4": "empty_file"}
    assert warehouse.query("SELECT count(*) FROM raw.issues WHERE number = 900").item() == 1
    assert warehouse.query("SELECT status FROM ops.ingest_log").item() == "partial"
    assert report.bad_lines == 1


def test_a_gzipped_page_of_html_is_bounded_in_the_dead_letters(ingest: Any, hours: Path) -> None:
    write_hour(hours, "2024-05-01-1", ["<p>busy</p>"] * 500)
    warehouse, report = ingest()
    assert report.bad_lines == 500
    assert len(letters(warehouse)) == 101
    summary = warehouse.query(
        "SELECT reason FROM ops.dead_letters WHERE error_type = 'malformed_line' AND line IS NULL"
    ).item()
    assert summary == "and 400 more lines of this file"


def test_missing_hours_are_recorded_and_tried_again(ingest: Any, hours: Path) -> None:
    write_hour(hours, "2024-05-01-1", [event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(1)})])
    warehouse, _ = ingest()
    assert warehouse.query("SELECT count(*) FROM ops.dead_letters WHERE error_type = 'missing_hour'").item() == 23
    for hour in range(24):
        opened = event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(1 + hour)}, number=hour)
        write_hour(hours, f"2024-05-01-{hour}", [opened])
    warehouse, report = ingest()
    assert report.loaded == [DAY]
    assert warehouse.query("SELECT count(*) FROM ops.dead_letters").item() == 0
    assert warehouse.query("SELECT status, count(*) FROM ops.ingest_log GROUP BY ALL").rows() == [("done", 1)]
    assert ingest()[1].skipped == [DAY]


def test_a_day_is_read_again_when_a_file_of_it_was_replaced_and_only_then(ingest: Any, hours: Path) -> None:
    opened = event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(1)})
    other = event(ISSUE, "2024-05-01T02:00:00Z", {"action": "opened", "issue": issue(2)}, number=2)
    write_hour(hours, "2024-05-01-1", [opened, "{broken"])
    ingest()
    warehouse, report = ingest()
    assert report.skipped == [DAY], "the same bytes give the same"
    assert warehouse.query("SELECT status FROM ops.ingest_log").item() == "partial"
    write_hour(hours, "2024-05-01-1", [opened, other])
    assert ingest()[1].loaded == [DAY]
    assert warehouse.query("SELECT number FROM raw.issues ORDER BY ALL").rows() == [(1,), (2,)]
    (hours / "2024-05-01-1.json.gz").rename(hours / "gone")
    write_hour(hours, "2024-05-01-2", [other])
    assert ingest()[1].skipped == [DAY], "reading again would lose what the file that is gone had"


def test_a_day_of_which_nothing_is_there_is_failed(ingest: Any, hours: Path) -> None:
    warehouse, report = ingest()
    assert warehouse.query("SELECT status FROM ops.ingest_log").rows() == [("failed",)]
    assert report.problems[0].startswith("2024-05-01: 24 of 24 hours are missing")


def test_a_time_with_an_offset_is_one_instant(ingest: Any, hours: Path) -> None:
    at = "2024-05-01T00:30:00+02:00"
    opened = issue(1, created_at=at, updated_at=at)
    write_hour(hours, "2024-05-01-0", [event(ISSUE, at, {"action": "opened", "issue": opened})])
    warehouse, _ = ingest()
    assert (
        warehouse.query("SELECT created_at, observed_at FROM raw.issues").row(0) == (datetime(2024, 4, 30, 22, 30),) * 2
    )


def test_the_filter_keeps_one_repository(ingest: Any, hours: Path) -> None:
    unselected = event(
        ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(1)}, repo={"id": 8, "name": "x/y"}
    )
    selected = event(ISSUE, "2024-05-01T01:00:00Z", {"action": "opened", "issue": issue(2)}, number=2)
    write_hour(hours, "2024-05-01-1", [unselected, selected])
    warehouse, _ = ingest(repos=("O/R",))
    assert warehouse.query("SELECT repo_id, number FROM raw.issues").rows() == [(7, 2)]


def test_a_renamed_repository_is_found_under_its_earlier_name(make_settings: Any, hours: Path) -> None:
    for day, name in ((1, "old/name"), (2, "new/name")):
        at = f"2024-05-0{day}T01:00:00Z"
        opened = event(ISSUE, at, {"action": "opened", "issue": issue(day)}, repo={"id": 7, "name": name})
        stranger = event(ISSUE, at, {"action": "opened", "issue": issue(9)}, repo={"id": 8, "name": "x/y"}, number=2)
        write_hour(hours, f"2024-05-0{day}-1", [opened, stranger])
    settings = make_settings(source="gharchive", gharchive_dir=hours)
    warehouse = Warehouse.from_settings(settings)
    days = [date(2024, 5, 1), date(2024, 5, 2)]
    assert load(warehouse, open_source(settings), days, repos=["new/name"]).loaded == days
    assert warehouse.query("SELECT repo_id, number FROM raw.issues ORDER BY ALL").rows() == [(7, 1), (7, 2)]
    assert warehouse.query("SELECT name FROM raw.repositories").rows() == [("new/name",)]


def test_days_read_by_a_name_alone_are_read_again_once_its_id_is_known(make_settings: Any, hours: Path) -> None:
    """New names come to light day by day; on the day of the renaming both are used."""
    for day, names in ((1, ["old/name"]), (2, ["old/name", "new/name"])):
        lines = [
            event(
                ISSUE, f"2024-05-0{day}T0{hour}:00:00Z", {"action": "opened", "issue": issue(2 * day + hour)},
                number=hour, repo={"id": 7, "name": name},
            )
            for hour, name in enumerate(names)
        ]  # fmt: skip
        write_hour(hours, f"2024-05-0{day}-1", lines)
    settings = make_settings(source="gharchive", gharchive_dir=hours)
    warehouse, days = Warehouse.from_settings(settings), [date(2024, 5, 1), date(2024, 5, 2)]
    for day in days:
        load(warehouse, open_source(settings), [day], repos=["new/name"])
    read_for = "SELECT partition_date, repo_ids, rows FROM ops.ingest_log ORDER BY ALL"
    assert [ids for _, ids, _ in warehouse.query(read_for).rows()] == [[], [7]]
    assert warehouse.query("SELECT number FROM raw.issues ORDER BY ALL").rows() == [(4,), (5,)]
    report = load(warehouse, open_source(settings), days, repos=["new/name"])
    assert (report.loaded, report.skipped) == ([days[0]], [days[1]])
    assert warehouse.query("SELECT number FROM raw.issues ORDER BY ALL").rows() == [(2,), (4,), (5,)]
    assert [ids for _, ids, _ in warehouse.query(read_for).rows()] == [[7], [7]]


def test_reopening_clears_the_closing(ingest: Any, hours: Path) -> None:
    closed = issue(2, state="closed", closed_at="2024-05-01T10:00:00Z")
    write_hour(
        hours,
        "2024-05-01-10",
        [
            event(ISSUE, "2024-05-01T10:00:00Z", {"action": "closed", "issue": closed}, number=1),
            event(ISSUE, "2024-05-01T10:30:00Z", {"action": "reopened", "issue": issue(2)}, number=2),
        ],
    )
    warehouse, _ = ingest()
    assert warehouse.query("SELECT state, closed_at FROM raw.issues").rows() == [("open", None)]


def test_a_folder_that_is_not_there_is_an_error(make_settings: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        open_source(make_settings(source="gharchive", gharchive_dir=tmp_path / "nowhere"))


@pytest.mark.slow
def test_a_day_of_todays_size_fits_in_2_gib(tmp_path: Path, shared_hour: Path) -> None:
    """24 files that repeat the real hour until each has 10 MB compressed; the limit is scaled down with them."""
    hours = tmp_path / "hours"
    hours.mkdir()
    once = (shared_hour / "2015-01-01-0.json.gz").read_bytes()
    for hour in range(24):
        (hours / f"2015-01-01-{hour}.json.gz").write_bytes(once * 4)
    code = (
        "import re; from datetime import date; from pathlib import Path; from qc_assets.settings import load_settings;"
        "from qc_assets.sources.registry import open_source; from qc_assets.sources.loading import load;"
        "from qc_assets.store.warehouse import Warehouse; s = load_settings(source='gharchive', memory_limit='600MiB');"
        "r = load(Warehouse.from_settings(s), open_source(s), [date(2015, 1, 1)]);"
        # Not ru_maxrss: a child starts with its parent's.
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1];"
        "print(r.lines, int(peak) // 1024)"
    )
    places = {"QC_HOME": tmp_path / "home", "QC_WAREHOUSE": tmp_path / "qc.duckdb", "QC_GHARCHIVE_DIR": hours}
    environment = {name: str(path) for name, path in places.items()} | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    lines, rss_mib = map(int, done.stdout.split())
    assert lines == 7_702 * 4 * 24
    assert rss_mib < 1_300
