"""What `qc` writes nobody else may read, whatever the umask is; exports may be read by who may read their folder."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.runs import dagster_home, write_env_file
from qc_assets.files import keep_private, write_whole
from qc_assets.registry.export_place import Place
from qc_assets.serving.journal import Journal
from qc_assets.sqlite_files import open_sqlite
from tests.command_line import run_qc


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_databases_and_what_belongs_to_them_are_private(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.touch(mode=0o644)  # as an older version left it
    for file in (path, tmp_path / "new.db"):
        with closing(open_sqlite(file, ["CREATE TABLE IF NOT EXISTS t (x);"])) as connection, connection:
            connection.execute("INSERT INTO t VALUES (1)")
            assert [mode(each) for each in tmp_path.glob(f"{file.name}*")] == [0o600] * 3
    journal = Journal(tmp_path / "serving" / "journal.db")
    journal.close()
    assert mode(tmp_path / "serving" / "journal.db") == 0o600


def test_settings_are_private_and_dagster_has_a_folder_of_its_own(make_settings: Any, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QC_API_KEY=correct-horse\n")
    (tmp_path / ".env").chmod(0o644)
    settings = make_settings()
    assert mode(write_env_file(settings, tmp_path / ".env")) == 0o600
    assert "correct-horse" in (tmp_path / ".env").read_text()
    assert mode(dagster_home(settings)) == 0o700


def test_every_command_writes_for_its_user_alone_and_leaves_no_core(tmp_path: Path) -> None:
    import resource

    assert run_qc(tmp_path, {}, "settings").returncode == 0
    assert os.umask(0) == 0o077 and resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


@pytest.mark.parametrize("shared", [0o755, 0o700, 0o750])
def test_exports_are_read_by_who_may_read_their_folder(tmp_path: Path, shared: int) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    folder.chmod(shared)
    os.umask(0o077)
    Place(str(folder)).write("p0/history/1/model.json", b"{}")
    assert mode(folder / "p0/history/1/model.json") == shared & 0o666
    assert mode(folder / "p0/history") == shared


def test_a_private_file_of_another_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_private(tmp_path / "missing" / "x.db")
    write_whole(tmp_path / "secret", "x", is_private=True)
    assert mode(tmp_path / "secret") == 0o600
