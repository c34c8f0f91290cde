"""SQLite files that processes share."""

import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qc_assets.errors import QcError
from qc_assets.sqlite_files import existing_sqlite, open_sqlite, sqlite_transaction

ONE = "CREATE TABLE IF NOT EXISTS numbers (\n    n INTEGER PRIMARY KEY\n);\nINSERT OR IGNORE INTO numbers VALUES (0);\n"
TWO = "ALTER TABLE numbers ADD COLUMN word TEXT;"


def numbers(path: Path) -> list[int]:
    with existing_sqlite(path) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]


@pytest.mark.parametrize("name", ["plain", "it's", "100%20", "what?mode=ro", "a#b", "ein Würfel"])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / f"{name}.db"
    with sqlite_transaction(path, [ONE]) as connection:
        connection.execute("INSERT INTO numbers VALUES (1)")
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert numbers(path) == [0, 1]
    assert path.is_file() and [folder.name for folder in tmp_path.iterdir()] == [name]


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sqlite_transaction(tmp_path / "x.db", [ONE]) as connection:
        connection.execute("INSERT INTO numbers VALUES (1)")
        raise ZeroDivisionError
    assert numbers(tmp_path / "x.db") == [0]


def test_files_are_upgraded_once_and_newer_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as before_there_were_versions:
        before_there_were_versions.executescript(ONE)
    for schema in ([ONE], [ONE, TWO], [ONE, TWO]):
        with closing(open_sqlite(path, schema)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(schema),)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT n, word FROM numbers").fetchall() == [(0, None)]
    with pytest.raises(QcError, match="newer version"):
        open_sqlite(path, [ONE])


def test_a_script_that_fails_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        open_sqlite(tmp_path / "x.db", [ONE + "INSERT INTO missing VALUES (1);"])
    with existing_sqlite(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    with pytest.raises(ValueError, match="no semicolon"):
        open_sqlite(tmp_path / "x.db", ["CREATE TABLE t (n INTEGER)"])


def test_durable_or_fast(tmp_path: Path) -> None:
    for is_durable, level in ((True, 2), (False, 1)):
        with closing(open_sqlite(tmp_path / "x.db", [ONE], is_durable=is_durable)) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)


def test_reading_creates_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"), existing_sqlite(tmp_path / "none.db"):
        pass
    assert not (tmp_path / "none.db").exists()
    open_sqlite(tmp_path / "x.db", [ONE]).close()
    with (
        existing_sqlite(tmp_path / "x.db") as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM numbers")
    with existing_sqlite(tmp_path / "x.db", writable=True) as connection, connection:
        connection.execute("DELETE FROM numbers")
    assert numbers(tmp_path / "x.db") == []


def _add(folder: Path, process: int, begin: "multiprocessing.synchronize.Barrier") -> None:
    for file in range(20):
        begin.wait(60)
        with sqlite_transaction(folder / f"{file}.db", [ONE, TWO]) as connection:
            connection.execute("INSERT INTO numbers VALUES (?, 'x')", [process + 1])


def test_processes_that_create_a_file_at_once_all_get_it(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    begin = spawn.Barrier(4)
    processes = [spawn.Process(target=_add, args=(tmp_path, number, begin)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert all(numbers(tmp_path / f"{file}.db") == [0, 1, 2, 3, 4] for file in range(20))


def test_a_broken_cache_is_begun_anew_and_anything_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    for broken in (b"no database at all" * 1000, None):
        if broken:
            path.write_bytes(broken)
        else:
            path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000)
        with pytest.raises(sqlite3.DatabaseError, match=r"not a database|malformed"):
            open_sqlite(path, [ONE])
        with closing(open_sqlite(path, [ONE], is_cache=True)) as connection:
            assert connection.execute("SELECT n FROM numbers").fetchall() == [(0,)]
    assert len(list(tmp_path.glob("cache.db.broken-*"))) == 2
    path.unlink()
    path.touch()  # killed before its first transaction
    with closing(open_sqlite(path, [ONE])) as connection:
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(0,)]
