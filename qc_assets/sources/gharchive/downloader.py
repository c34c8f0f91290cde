"""Fetching GH Archive's hours into a folder, and seeing whether the archive has replaced one since."""

from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from isal import igzip
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive.hours import DAMAGE

_CHUNK = 1 << 22


class _BrokenOffError(Exception):
    """The whole file has not come."""


class _DamagedError(Exception):
    """The whole file has come, and is no whole gzip."""


class NoSuchHourError(Exception):
    """An hour cannot be had now.

    Attributes:
        is_unreachable: nobody answered, so that others cannot be had either.
    """

    def __init__(self, reason: str, *, is_unreachable: bool = False) -> None:
        super().__init__(reason)
        self.is_unreachable = is_unreachable


class Downloader:
    """Fetches hourly files into a cache; a file in the cache is whole.

    Args:
        base_url: such as ``https://data.gharchive.org``.
        cache: folder of downloaded files.
        bounds: a file that is longer is not fetched.
        attempts: how often one file is tried before giving up.
    """

    def __init__(self, base_url: str, cache: Path, bounds: Bounds, *, attempts: int = 6) -> None:
        self.base_url = base_url.rstrip("/")
        self.cache = cache
        self.bounds = bounds
        self.attempts = attempts
        self.requests = 0
        self._answers = True

    def get(self, name: str, work: Path) -> Path:
        """The cached file, unless the archive has another by now; downloading it first.

        A download that breaks off goes on where it stopped (`Range`). What comes damaged every time is left in `work`,
        not in the cache, so that it is asked for again.

        Raises:
            NoSuchHourError: if it cannot be had.
        """
        path = self.cache / name
        if path.exists() and not self._is_replaced(name, path):
            return path
        self.cache.mkdir(parents=True, exist_ok=True)
        attempts = Retrying(
            retry=retry_if_exception_type((httpx.TransportError, _BrokenOffError, _DamagedError)),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.2, max=20),
        )
        try:
            return attempts(self._download, name, path, work / name)
        except RetryError as error:
            reason = error.last_attempt.exception()
            if isinstance(reason, _DamagedError):
                return work / name
            raise NoSuchHourError(
                f"{self.base_url}/{name}: {reason} ({self.attempts} attempts). Check the network and "
                "QC_GHARCHIVE_URL, or put the files in a folder and set QC_GHARCHIVE_DIR",
                is_unreachable=isinstance(reason, httpx.TransportError),
            ) from error

    def _is_replaced(self, name: str, path: Path) -> bool:
        """Whether the archive says that it has another file than this one; who cannot be asked says nothing."""
        if not self._answers:
            return False
        try:
            answer = httpx.head(f"{self.base_url}/{name}", timeout=20, follow_redirects=True)
        except httpx.TransportError:
            self._answers = False
            return False
        if answer.status_code != 200:
            return False
        size, changed = answer.headers.get("content-length"), answer.headers.get("last-modified")
        try:
            is_newer = changed is not None and parsedate_to_datetime(changed).timestamp() > path.stat().st_mtime
        except ValueError:
            is_newer = False
        return is_newer or (size is not None and size != str(path.stat().st_size))

    def _download(self, name: str, path: Path, damaged: Path) -> Path:
        part = path.with_suffix(".part")
        held = part.stat().st_size if part.exists() else 0
        self.requests += 1
        headers = {"Range": f"bytes={held}-"} if held else {}
        url = f"{self.base_url}/{name}"
        with httpx.stream("GET", url, headers=headers, timeout=60, follow_redirects=True) as answer:
            if answer.status_code == 416 or answer.status_code >= 500 or answer.status_code == 429:
                if answer.status_code == 416:  # what is held does not fit the file
                    part.unlink(missing_ok=True)
                raise _BrokenOffError(f"HTTP {answer.status_code}")
            if answer.status_code == 404:
                raise NoSuchHourError("no such file; the hour is a known gap")
            if answer.status_code not in (200, 206):
                raise NoSuchHourError(f"{url}: HTTP {answer.status_code}; check QC_GHARCHIVE_URL")
            size = held if answer.status_code == 206 else 0
            with part.open("ab" if size else "wb") as target:
                for chunk in answer.iter_raw():
                    size += len(chunk)
                    if size > self.bounds.download:
                        part.unlink()
                        raise NoSuchHourError(f"{url} has more than QC_MAX_DOWNLOAD_BYTES={self.bounds.download}")
                    target.write(chunk)
        try:
            with igzip.open(part, "rb") as stream:
                while stream.read(_CHUNK):
                    continue
        except DAMAGE as error:
            is_same = damaged.exists() and damaged.stat().st_size == part.stat().st_size
            part.replace(damaged)
            if is_same:  # the archive's own file is damaged
                return damaged
            raise _DamagedError(f"the file is damaged: {error}") from error
        part.replace(path)
        return path
