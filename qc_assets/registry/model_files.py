"""Champions for other systems: files in a folder or in S3 that a reader can verify."""

import hashlib
import json
import posixpath
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.settings import Settings

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle

LATEST = "latest_model.json"

_NEEDED = {"model", "version", "folder", "files", "sha256"}  # of a description


class ExportError(QcError):
    """An exported model is missing, or is not what it says it is."""


@dataclass(frozen=True)
class Exported:
    """A version that was read and verified.

    Attributes:
        troubles: why newer versions were passed over.
    """

    version: int
    bundle: "Bundle"
    document: Mapping[str, Any]
    troubles: tuple[str, ...] = ()


class Place:
    """A folder or ``s3://bucket/prefix``, with a folder for each model.

    ``MODEL/latest_model.json`` names the version that counts and the checksums of its files, which lie in
    ``MODEL/history/NUMBER``, as do those of every version before it. The number is the version's, unless another
    registry exported another version of that number there: then it is the next one that is free.

    Args:
        url: a path, or a URL that fsspec knows.
        endpoint: of another S3 than Amazon's.

    Raises:
        QcError: if the URL cannot be used.
    """

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        import fsspec

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
        return cls(settings.export_url or str(settings.home / "export"), settings.s3_endpoint)

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all."""
        target = posixpath.join(self._root, path)
        self._files.makedirs(posixpath.dirname(target), exist_ok=True)
        if self._is_local:  # an object of S3 appears whole anyway
            write_whole(Path(target), data)
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

    def versions(self, model: str) -> list[int]:
        """Numbers of what was exported of a model, newest first."""
        folder = posixpath.join(self._root, model, "history")
        if not self._files.exists(folder):
            return []
        names = [posixpath.basename(path.rstrip("/")) for path in self._files.ls(folder, detail=False)]
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)


def export_version(place: Place, bundle: "Bundle", version: int, facts: Mapping[str, Any]) -> bool:
    """Export a version and make it the latest; doing it again changes nothing.

    Args:
        place: where to.
        bundle: the version.
        version: its number.
        facts: what else its document says, such as metrics, and the `run_id` by which the version is known.

    Returns:
        Whether anything was written.
    """
    model = bundle.model
    number = _number_of(place, model, version, facts.get("run_id"))
    try:
        document = _document(place, model, number)
        _verified(place, document)
        is_new = False
    except ExportError:
        document = _write_version(place, bundle, version, number, facts)
        is_new = True
    text = _json(document)
    try:
        is_latest = place.read(f"{model}/{LATEST}") == text
    except ExportError:
        is_latest = False
    if not is_latest:
        place.write(f"{model}/{LATEST}", text)
    return is_new or not is_latest


def _number_of(place: Place, model: str, version: int, run_id: str | None) -> int:
    """Under which number a version is, or is to be, exported."""
    runs = {}
    for number in place.versions(model):
        try:
            runs[number] = _document(place, model, number).get("run_id")
        except ExportError:
            continue  # broken: to be written again
    if run_id is None or runs.get(version) in (None, run_id):
        return version
    return next((number for number, run in runs.items() if run == run_id), max(place.versions(model)) + 1)


def _write_version(
    place: Place, bundle: "Bundle", version: int, number: int, facts: Mapping[str, Any]
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle.save(folder)
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    history = f"{bundle.model}/history/{number}"
    for path, data in files.items():
        place.write(f"{history}/{path}", data)
    document = dict(facts) | {
        "model": bundle.model,
        "version": version,
        "folder": f"history/{number}",
        "files": {path: {"sha256": _digest(data), "bytes": len(data)} for path, data in sorted(files.items())},
    }
    document["sha256"] = _checksum(document["files"])
    place.write(f"{history}/model.json", _json(document))  # last: a version without it is not there yet
    return document


def read_version(place: Place, model: str, version: int | None = None) -> Exported:
    """Read and verify a version; default: the latest.

    Raises:
        ExportError: if it is missing, or a file is not what the document says.
    """
    if version is None:
        document = _parsed(place.read(f"{model}/{LATEST}"), f"{model}/{LATEST}")
    else:
        document = _document(place, model, version)
    return _load(document, _verified(place, document))


def read_soundest_version(place: Place, model: str) -> Exported:
    """Read the latest version, or else the newest one before it that is sound.

    Raises:
        ExportError: if none is.
    """
    problems = []
    try:
        return read_version(place, model)
    except ExportError as error:
        problems.append(str(error))
    for version in place.versions(model):
        try:
            exported = read_version(place, model, version)
        except ExportError as error:
            problems.append(str(error))
        else:
            return Exported(exported.version, exported.bundle, exported.document, tuple(problems))
    raise ExportError(f"no version of {model} at {place.url} can be used: {'; '.join(problems)}")


def roll_back_export(place: Place, model: str, to: int | None = None) -> int:
    """Make an earlier version the latest; returns it. Rolling the registry back (`qc rollback`) lasts longer.

    Args:
        place: where.
        model: which model.
        to: the version; default: the newest sound one before the latest.

    Raises:
        ExportError: if there is none, or it is not sound.
    """
    if to is None:
        try:
            latest = int(_parsed(place.read(f"{model}/{LATEST}"), LATEST)["folder"].rpartition("/")[2])
        except ExportError:
            latest = 2**62  # whatever the latest was, it cannot be read
        for version in place.versions(model):
            if version < latest and _is_sound(place, model, version):
                to = version
                break
        else:
            raise ExportError(f"{place.url} has no sound version of {model} before the latest")
    document = _document(place, model, to)
    _verified(place, document)
    place.write(f"{model}/{LATEST}", _json(document))
    return to


def _is_sound(place: Place, model: str, version: int) -> bool:
    try:
        _verified(place, _document(place, model, version))
    except ExportError:
        return False
    return True


def _document(place: Place, model: str, version: int) -> dict[str, Any]:
    path = f"{model}/history/{version}/model.json"
    return _parsed(place.read(path), path)


def _parsed(data: bytes, path: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or not set(document) >= _NEEDED:
            raise ValueError("fields are missing")
    except ValueError as error:
        raise ExportError(f"{path} is broken ({error}): roll back, or export again") from error
    return document


def _verified(place: Place, document: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a version, each checked."""
    what = f"{document['model']} version {document['version']}"
    parts = document["files"]
    if _checksum(parts) != document["sha256"]:
        raise ExportError(f"the checksum of {what} does not fit its list of files: roll back, or export again")
    contents = {}
    for path, expected in parts.items():
        if posixpath.normpath(path) != path or path.startswith(("/", "..")):
            raise ExportError(f"{what} names the file {path!r}, which lies outside of its folder")
        data = place.read(f"{document['model']}/{document['folder']}/{path}")
        if _digest(data) != expected["sha256"]:
            raise ExportError(f"{path} of {what} has other contents than exported: roll back, or export again")
        contents[path] = data
    return contents


def _load(document: Mapping[str, Any], files: Mapping[str, bytes]) -> Exported:
    from qc_assets.learning.bundle import Bundle

    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            target = Path(name) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return Exported(int(document["version"]), Bundle.load(Path(name)), document)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checksum(files: Mapping[str, Any]) -> str:
    return _digest("".join(f"{path}:{entry['sha256']}\n" for path, entry in sorted(files.items())).encode())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, default=str).encode()
