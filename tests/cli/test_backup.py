"""A home is copied while it is used, lost, and brought back."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli import backup
from qc_assets.cli.backup import BackupError, make_backup, restore_backup
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.journal import Journal
from qc_assets.settings import Settings
from qc_assets.sqlite_files import existing_sqlite
from qc_assets.store.warehouse import Warehouse
from tests.old_homes import MODELS, settings_of_old_home

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(migrated_copy: Settings) -> Settings:
    return migrated_copy


def rows_of(settings: Settings) -> dict[str, int]:
    with Warehouse.from_settings(settings).at_one_time() as now:
        tables = now.query("SELECT schema_name || '.' || table_name AS name FROM duckdb_tables() ORDER BY ALL")
        return {name: now.query(f"SELECT count(*) FROM {name}").item() for name in tables["name"]}


def entries_of(path: Path) -> int:
    with existing_sqlite(path) as connection:
        return int(connection.execute("SELECT count(*) FROM entries").fetchone()[0])


def test_what_was_backed_up_while_a_server_wrote_comes_back(settings: Settings, tmp_path: Path) -> None:
    journal = Journal(settings.journal_file)
    before = entries_of(settings.journal_file)
    journal.record("prediction", [{"a": 1}] * 5, written_at="2026-01-01T00:00:00")
    time.sleep(0.5)
    rows = rows_of(settings)
    manifest = make_backup(settings, tmp_path / "backup")
    with pytest.raises(BackupError, match=r"another journal.* uses .*: stop it first"):
        restore_backup(settings, tmp_path / "backup", replace=True)
    journal.close()
    assert manifest["rows"] == rows and sum(rows.values()) > 0
    assert manifest["champions"] == dict.fromkeys(MODELS, 1)
    shutil.rmtree(settings.home)
    restored = settings_of_old_home(tmp_path / "it's another home, 100 %")
    restore_backup(restored, tmp_path / "backup")
    assert rows_of(restored) == rows
    registry = Registry(restored.tracking_uri, restored.artifact_root)
    assert all(registry.champion(model) is not None for model in MODELS)
    assert entries_of(restored.journal_file) == before + 5
    with pytest.raises(BackupError, match=r"there is a warehouse .* already.*--replace"):
        restore_backup(restored, tmp_path / "backup")
    aside = restore_backup(restored, tmp_path / "backup", replace=True)["moved_aside"]
    assert len(aside) >= 3 and all(Path(path).exists() for path in aside)
    assert rows_of(restored) == rows


def test_a_damaged_backup_is_refused_and_the_home_stays(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    make_backup(settings, folder)
    with pytest.raises(BackupError, match="exists: name a folder that does not"):
        make_backup(settings, folder)
    rows = rows_of(settings)
    for damage in ("change", "remove", "manifest"):
        copy = tmp_path / damage
        shutil.copytree(folder, copy)
        bundle = next(copy.rglob("bundle.json"))
        if damage == "change":
            bundle.write_text(bundle.read_text().replace("p0", "p1").replace("1", "2"))
        elif damage == "remove":
            bundle.unlink()
        else:
            (copy / "backup.json").write_text("{}")
        with pytest.raises(BackupError, match=r"is damaged|is no backup"):
            restore_backup(settings, copy, replace=True)
    assert rows_of(settings) == rows
    # What is broken is what a backup is for.
    settings.warehouse.write_bytes(b"not a database")
    restore_backup(settings, folder, replace=True)
    assert rows_of(settings) == rows


def test_a_broken_champion_costs_only_itself(settings: Settings, tmp_path: Path) -> None:
    version = Registry(settings.tracking_uri, settings.artifact_root).champion("p0")
    bundle = next(path for path in settings.artifact_root.rglob("bundle.json") if '"p0"' in path.read_text())
    bundle.write_text("{}")
    manifest = make_backup(settings, tmp_path / "backup")
    assert version is not None and set(manifest["broken_champions"]) == {"p0"}
    assert manifest["champions"] == dict.fromkeys(sorted(set(MODELS) - {"p0"}), 1)
    restored = settings_of_old_home(tmp_path / "other")
    restore_backup(restored, tmp_path / "backup")
    assert rows_of(restored) == rows_of(settings)
    assert entries_of(restored.journal_file) == entries_of(settings.journal_file)


def test_a_copy_that_is_worse_than_what_was_copied_is_no_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_badly(settings: Settings, part: Any, target: Path) -> None:
        copy(settings, part, target)
        for bundle in target.rglob("bundle.json") if target.is_dir() else ():
            bundle.unlink()

    copy = backup._copy
    monkeypatch.setattr(backup, "_copy", copy_badly)
    with pytest.raises(BackupError, match=r"the copy of the champion of .* is not whole"):
        make_backup(settings, tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("backup")] == []


def test_backup_and_restore_that_are_killed_can_be_done_again(settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(7)
    environment = os.environ | {"QC_HOME": str(settings.home), "QC_WAREHOUSE": str(settings.warehouse)}

    def killed(after_s: float, *arguments: str) -> bool:
        command = [sys.executable, "-m", "qc_assets.cli", *arguments]
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(after_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            return process.wait() != 0

    rows, folder = rows_of(settings), tmp_path / "backup"
    for longest in (4.0, 8.0, 600.0):  # the last has all the time it needs
        # What is there is whole, though the process was killed before it could say so: half a backup is none.
        if not killed(chance.uniform(longest / 2, longest), "backup", str(folder)) or folder.exists():
            break
    manifest = json.loads((folder / "backup.json").read_text())
    assert manifest["rows"] == rows
    for longest in (4.0, 8.0):
        killed(chance.uniform(longest / 2, longest), "restore", str(folder), "--replace")
    answer: Any = subprocess.run(
        [sys.executable, "-m", "qc_assets.cli", "--json", "restore", str(folder), "--replace"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(answer.stdout)["parts"] == ["warehouse", "registry", "models", "journal"]
    assert rows_of(settings) == rows
