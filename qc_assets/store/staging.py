"""The folder of a process for staged files and for what DuckDB spills; whoever comes next removes those of the dead."""

import atexit
import os
import shutil
import threading
import time
import uuid
from pathlib import Path

from filelock import FileLock

from qc_assets.locks import acquire_lock

_OLD_S = 86_400.0
_folders: dict[tuple[Path, int], tuple[Path, FileLock]] = {}
_making = threading.Lock()


def process_folder(root: Path) -> Path:
    """The folder of this process under `root`; it is removed when the process ends, or by the next one after a kill.

    A lock beside the folder says that its process lives. It holds for all containers and hosts whose file system
    carries locks, without which they could not share a warehouse either.
    """
    key = (root.absolute(), os.getpid())  # a forked child must not take its parent's folder for its own
    with _making:
        if key not in _folders or not _folders[key][0].is_dir():
            name = uuid.uuid4().hex
            lock = acquire_lock(root / f"{name}.lock", timeout_s=10)
            assert lock is not None, "a new name has no other holder"
            folder = root / name
            folder.mkdir()
            _folders[key] = folder, lock
            atexit.register(_remove, folder, lock, os.getpid())
            remove_dead(root)
        return _folders[key][0]


def remove_dead(root: Path) -> list[Path]:
    """Remove what dead processes staged under `root`; returns their folders."""
    removed = []
    for path in root.glob("*.lock"):
        lock = acquire_lock(path)
        if lock is not None:
            removed.append(path.with_suffix(""))
            _remove(path.with_suffix(""), lock, os.getpid())
    # Earlier versions staged without locks.
    for folder in (path for path in root.iterdir() if path.is_dir() and not path.with_suffix(".lock").exists()):
        if time.time() - folder.stat().st_mtime > _OLD_S:
            removed.append(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return removed


def _remove(folder: Path, lock: FileLock, owner: int) -> None:
    if os.getpid() != owner:
        return
    shutil.rmtree(folder, ignore_errors=True)
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
