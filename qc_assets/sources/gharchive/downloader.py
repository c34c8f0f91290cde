"""Fetching GH Archive's hours into a folder, and seeing whether the archive has replaced one since."""

from collections.abc import Mapping
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

import httpx
from isal import igzip
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from qc_assets.bounded_http import AnswerTooLargeError, bounded_client
from qc_assets.errors import masked_urls
from qc_assets.sources.bounded import Bounds
from qc_assets.sources.gharchive.hours import DAMAGE

_CHUNK = 1 << 22
_AS_IT_IS = {"Accept-Encoding": "identity"}  # the files are gzip already, and their sizes are compared
_HEAD_DEADLINE_S, _MOST_OF_A_HEAD = 20.0, 1 << 16
_DEADLINE_S = 900.0  # of each try, however it drips; the next one goes on where it stopped


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
                f"{masked_urls(self.base_url)}/{name}: {reason} ({self.attempts} attempts). Check the network and "
                "QC_GHARCHIVE_URL, or put the files in a folder and set QC_GHARCHIVE_DIR",
                is_unreachable=isinstance(reason, httpx.TransportError),
            ) from error

    def _is_replaced(self, name: str, path: Path) -> bool:
        """Whether the archive says that it has another file than this one; who cannot be asked says nothing."""
        if not self._answers:
            return False
        try:
            client = httpx.AsyncClient(timeout=20, headers=_AS_IT_IS)
            with bounded_client(client, deadline_s=_HEAD_DEADLINE_S, max_bytes=_MOST_OF_A_HEAD) as http:
                answer = http.send("HEAD", f"{self.base_url}/{name}")
        except httpx.TransportError:
            self._answers = False
            return False
        except httpx.HTTPError:  # such as redirects in a circle: of this file nothing is said
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
        headers = _AS_IT_IS | ({"Range": f"bytes={held}-"} if held else {})
        url = f"{self.base_url}/{name}"
        status = self._fetch(url, headers, part, held)
        if status == 416:  # what is held does not fit the file
            part.unlink(missing_ok=True)
        if status == 416 or status >= 500 or status == 429:
            raise _BrokenOffError(f"HTTP {status}")
        if status == 404:
            raise NoSuchHourError("no such file; the hour is a known gap")
        if status not in (200, 206):
            raise NoSuchHourError(f"{masked_urls(url)}: HTTP {status}; check QC_GHARCHIVE_URL")
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

    def _fetch(self, url: str, headers: Mapping[str, str], part: Path, held: int) -> int:
        """Write what the server sends behind the `held` bytes of `part`, or anew; the answer's status."""
        with ExitStack() as opened:

            def target(answer: httpx.Response) -> BinaryIO | None:
                if answer.status_code not in (200, 206):
                    return None
                return opened.enter_context(part.open("ab" if answer.status_code == 206 else "wb"))

            def most(answer: httpx.Response) -> int:
                return self.bounds.download - (held if answer.status_code == 206 else 0)

            client = httpx.AsyncClient(timeout=60, headers=headers)
            try:
                with bounded_client(client, deadline_s=_DEADLINE_S, max_bytes=self.bounds.download) as http:
                    return http.send("GET", url, target=target, max_bytes=most).status_code
            except httpx.TooManyRedirects as error:
                raise NoSuchHourError(f"{masked_urls(url)}: {error}; check QC_GHARCHIVE_URL") from error
            except AnswerTooLargeError as error:
                part.unlink(missing_ok=True)
                raise NoSuchHourError(
                    f"{masked_urls(url)} has more than QC_MAX_DOWNLOAD_BYTES={self.bounds.download}"
                ) from error
