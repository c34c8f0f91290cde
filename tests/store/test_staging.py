"""Staged files outlive no process for long, and none of a living one is touched."""

import os
import subprocess
import sys
import time
from pathlib import Path

from qc_assets.store.staging import remove_dead
from qc_assets.store.warehouse import Warehouse

STAGES = """
import sys, time
from pathlib import Path
from qc_assets.store.warehouse import Warehouse
with Warehouse(Path(sys.argv[1]) / "qc.duckdb", staging=Path(sys.argv[1])).staging() as folder:
    (folder / "rows.parquet").write_bytes(b"rows")
    print(folder, flush=True)
    time.sleep(300)
"""


def stage(root: Path) -> tuple["subprocess.Popen[str]", Path]:
    process = subprocess.Popen([sys.executable, "-c", STAGES, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_next_process_removes_what_a_killed_one_staged_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    root = tmp_path / "it's staged"
    dead, dead_folder = stage(root)
    dead.kill()
    dead.wait()
    assert (dead_folder / "rows.parquet").is_file(), "kill -9 leaves it"
    of_earlier_versions = [root / "old", root / "of today"]
    for folder in of_earlier_versions:
        folder.mkdir()
    os.utime(of_earlier_versions[0], (time.time() - 200_000,) * 2)
    living, living_folder = stage(root)
    assert (living_folder / "rows.parquet").is_file() and not dead_folder.exists()
    assert [folder.exists() for folder in of_earlier_versions] == [False, True]
    assert remove_dead(root) == []
    with Warehouse(root / "qc.duckdb", staging=root).staging() as mine:
        assert mine.is_dir() and living_folder.is_dir()
    assert not mine.exists()
    living.terminate()
    living.wait()
    assert remove_dead(root) == [living_folder.parent]
    assert sorted(path.suffix for path in root.iterdir()) == ["", "", ".lock"], "this process's, and that of today"
