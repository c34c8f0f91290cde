"""Files that appear whole or not at all, and whether they have changed."""

import hashlib
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, contents: str | bytes, *, is_private: bool = False) -> None:
    """Write to a draft beside `path` and move it there; what was there stays if anything goes wrong.

    Args:
        path: where to.
        contents: bytes, or a text that is written as UTF-8.
        is_private: nobody but this user may read it, whatever the umask is.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if is_private:
            draft.touch(mode=0o600)
        draft.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def keep_private(path: Path) -> None:
    """Make an empty file, or take the one that is there, and let nobody but this user read it, whatever the umask is.

    What cannot be made, or is another's, is left to whoever opens it next, who says why.
    """
    with suppress(OSError):
        path.touch(mode=0o600)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def changed_when(paths: Iterable[Path]) -> tuple[int, ...]:
    """Times of change and sizes of those files that exist: another answer means that something has changed."""
    stats = [path.stat() for path in paths if path.exists()]
    return tuple(number for stat in stats for number in (stat.st_mtime_ns, stat.st_size))


def digest_of(folder: Path, suffixes: Collection[str] = ()) -> str:
    """SHA-256 over the names and contents of all files below a folder, or of those with these suffixes."""
    digest = hashlib.sha256()
    files = (path for path in folder.rglob("*") if not suffixes or path.suffix in suffixes)
    for path in sorted(path for path in files if path.is_file()):
        digest.update(
            f"{path.relative_to(folder).as_posix()}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()
