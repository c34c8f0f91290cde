"""What the GitHub source remembers: by threads and processes at once, and in a file that may be taken away."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qc_assets.sources.github import state as states
from qc_assets.sources.github.state import State


def test_many_threads_and_a_second_reader_see_one_file(tmp_path: Path) -> None:
    state, other = State(tmp_path / "state.db"), State(tmp_path / "state.db")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: state.add_step("plan", f"unit {n % 4}", n // 4, {"step": n}), range(80)))
    assert [step["step"] for step in other.steps("plan", "unit 3")] == list(range(3, 80, 4))
    other.save_page_size("o/r", "pull_requests", 5, 1)
    assert state.page_size("o/r", "pull_requests") == (5, 1)


def test_a_file_that_was_removed_or_replaced_is_begun_anew(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    state.add_step("plan", "unit", 0, {"step": 0})
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    assert state.steps("plan", "unit") == []
    state.add_step("plan", "unit", 0, {"step": 1})
    assert State(tmp_path / "state.db").steps("plan", "unit") == [{"step": 1}]


def test_what_fails_half_way_is_not_there(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    with pytest.raises(sqlite3.IntegrityError), state._open() as connection:
        connection.execute("INSERT INTO plans VALUES ('a', 'now', x'00')")
        connection.execute("INSERT INTO plans VALUES ('a', 'now', x'00')")
    assert state.plan("a") is None


def test_a_thread_opens_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, open_file = [], states.open_sqlite
    monkeypatch.setattr(
        states, "open_sqlite", lambda path, *more, **o: opened.append(path) or open_file(path, *more, **o)
    )
    state = State(tmp_path / "state.db")
    for step in range(20):
        state.add_step("plan", "unit", step, {})
    assert len(state.steps("plan", "unit")) == 20 and len(opened) == 1
