"""Locks that the operating system takes from a process when it ends, however it ends: a number can come again."""

import json
import os
import platform
from pathlib import Path

from filelock import FileLock, Timeout

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.files import write_whole


def acquire_lock(path: Path, *, timeout_s: float = 0.0) -> FileLock | None:
    """Hold a lock until it is released, or until this process ends.

    Args:
        path: the lock's file; made with its folder, and left where it is.
        timeout_s: how long to wait for another holder.

    Returns:
        The lock, which must be kept; None if another process, or another lock of this one, has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)  # who closes a server need not be the thread that opened it
    try:
        lock.acquire(timeout=timeout_s, poll_interval=0.02)
    except Timeout:
        return None
    return lock


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock of a file; the file is not made."""
    if not path.exists():
        return False
    lock = acquire_lock(path)
    if lock is None:
        return True
    lock.release()
    return False


def acquire_alone(path: Path, what: str, *, timeout_s: float = 0.0) -> FileLock:
    """Hold the lock of something that one process may use at a time, and note beside it who that is.

    Args:
        path: the lock's file.
        what: what it is for, such as ``qc serve on port 8000``; told to whoever comes second.
        timeout_s: how long to wait for another holder.

    Raises:
        QcError: naming the process that has it.
    """
    lock = acquire_lock(path, timeout_s=timeout_s)
    if lock is None:
        raise QcError(f"{holder_of(path)} uses {path.with_suffix('')}: stop it, or set another QC_HOME")
    holder = {"pid": os.getpid(), "host": platform.node(), "since": f"{now_utc():%Y-%m-%d %H:%M:%S}", "what": what}
    write_whole(_note(path), json.dumps(holder))
    return lock


def holder_of(path: Path) -> str:
    """Who holds a lock of `acquire_alone`, for people."""
    try:
        holder = json.loads(_note(path).read_text(encoding="utf-8"))
        return f"{holder['what']} (process {holder['pid']} on {holder['host']}, since {holder['since']} UTC)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _note(path: Path) -> Path:
    return path.with_suffix(".holder")
