"""Where exported champions lie: a folder, or a bucket of S3."""

import posixpath
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.settings import Settings

LATEST = "latest_model.json"


class ExportError(QcError):
    """An exported model is missing, or is not what it says it is."""


class Place:
    """A folder or ``s3://bucket/prefix``, with a folder for each model.

    ``MODEL/latest_model.json`` names the version that counts and the checksums of its files, which lie in
    ``MODEL/history/NUMBER``, as do those of every version before it. The number is the version's, unless another
    registry exported another version of that number there: then it is the next one that is free.

    Args:
        url: a path, or a URL that fsspec knows.
        endpoint: of another S3 than Amazon's.
        signing_key: signs what is exported; with it, only what it signed is read.

    Raises:
        QcError: if the URL cannot be used.
    """

    def __init__(self, url: str, endpoint: str | None = None, signing_key: bytes | None = None) -> None:
        import fsspec

        self.signing_key = signing_key
        options: dict[str, Any] = {}
        if url.startswith("s3://"):
            # Listings are asked anew: another process may have written since.
            options = {"use_listings_cache": False} | ({"endpoint_url": endpoint} if endpoint else {})
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            raise QcError(f"{url} needs a package: pip install 'qc-assets[s3]' ({error})") from error
        except ValueError as error:
            raise QcError(f"QC_EXPORT_URL={url}: {error}") from error
        self.url = url
        self._is_local = "file" in (self._files.protocol or ())

    @classmethod
    def from_settings(cls, settings: Settings) -> "Place":
        return cls(settings.export_url or str(settings.home / "export"), settings.s3_endpoint, settings.signing_secret)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        target = posixpath.join(self._root, path)
        self._files.makedirs(posixpath.dirname(target), exist_ok=True)
        if self._is_local:  # an object of S3 appears whole anyway
            write_whole(Path(target), data)
            _share_like(Path(self._root), Path(target))
        else:
            self._files.pipe_file(target, data)

    def read(self, path: str) -> bytes:
        """The contents of a file.

        Raises:
            ExportError: if it is not there.
        """
        try:
            return self._files.cat_file(posixpath.join(self._root, path))
        except FileNotFoundError as error:
            raise ExportError(f"{self.url} has no {path}: run `qc publish`") from error
        except (IsADirectoryError, NotADirectoryError, ValueError) as error:  # a name that no file of ours has
            raise ExportError(f"{self.url} has no file {path!r} ({error}): export again") from error

    def versions(self, model: str) -> list[int]:
        """Numbers of what was exported of a model, newest first."""
        folder = posixpath.join(self._root, model, "history")
        if not self._files.exists(folder):
            return []
        names = [posixpath.basename(path.rstrip("/")) for path in self._files.ls(folder, detail=False)]
        return sorted((int(name) for name in names if name.isascii() and name.isdigit()), reverse=True)


def _share_like(root: Path, file: Path) -> None:
    """Let those read a file who may read the folder of exports: all else that `qc` writes is private."""
    mode = root.stat().st_mode
    for path, bits in ((file, 0o666), *((folder, 0o777) for folder in file.parents if root in folder.parents)):
        if path.stat().st_mode & 0o777 != mode & bits:
            path.chmod(mode & bits)
