"""Champions for other systems: files in a folder or in S3 that a reader can verify."""

import hashlib
import json
import posixpath
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qc_assets.errors import QcError
from qc_assets.learning.manifest import Expected, ManifestError, refuse_unless_signed, signature
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task.terms import Others
from qc_assets.registry.export_place import LATEST, ExportError, Place
from qc_assets.settings import Settings

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle

_NEEDED = {"model", "version", "folder", "files", "sha256"}  # of a description


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


def export_version(
    place: Place,
    model: str,
    version: int,
    fetch: Callable[[], AbstractContextManager[Path]],
    facts: Mapping[str, Any],
) -> bool:
    """Export a version and make it the latest; doing it again changes nothing.

    Args:
        place: where to.
        model: its name.
        version: its number.
        fetch: gives the folder of its bundle, whose files are exported as they are; asked only for what is not there.
        facts: what else its document says, such as metrics, and the `run_id` by which the version is known.

    Returns:
        Whether anything was written.
    """
    number = _number_of(place, model, version, facts.get("run_id"))
    try:
        document = _document(place, model, number)
        _verified(place, document, model, number)
        is_new = False
    except ExportError:
        with fetch() as files:
            document = _write_version(place, model, version, number, files, facts)
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
    place: Place, model: str, version: int, number: int, folder: Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    history = f"{model}/history/{number}"
    for path, data in files.items():
        place.write(f"{history}/{path}", data)
    document = dict(facts) | {
        "model": model,
        "version": version,
        "folder": f"history/{number}",
        "files": {path: {"sha256": _digest(data), "bytes": len(data)} for path, data in sorted(files.items())},
    }
    document["sha256"] = _checksum(document["files"])
    document = json.loads(_json(document))  # as it will be read: the signature is of that
    if place.signing_key is not None:
        document["signature"] = signature(document, place.signing_key)
    place.write(f"{history}/model.json", _json(document))  # last: a version without it is not there yet
    return document


def read_version(place: Place, model: str, version: int | None = None) -> Exported:
    """Read and verify a version; default: the latest.

    Raises:
        ExportError: if it is missing, or a file is not what the document says.
    """
    if version is None:
        document = _latest(place, model)
        version = _number(document)
        if _json(document) != _json(_document(place, model, version)):
            raise ExportError(f"{model}/{LATEST} is not what {document['folder']} says: roll back, or export again")
    else:
        document = _document(place, model, version)
    return _load(document, _verified(place, document, model, version), place.signing_key)


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


def others_of(settings: Settings, spec: ModelSpec, *, is_synthetic: bool) -> Others | None:
    """What other projects know, as another home published it; None where QC_OTHERS_URL is not set, or for a spec that
    does not learn from others.

    Args:
        settings: where it lies.
        spec: the model.
        is_synthetic: whether it is to be learnt from by what is made up.

    Raises:
        ExportError: if it is missing or not sound, reads other features, or is made up and the project is not.
    """
    if not settings.others_url or not spec.learns_from_others:
        return None
    place = Place(settings.others_url, settings.s3_endpoint, settings.signing_secret)
    try:
        bundle = read_version(place, spec.name).bundle
    except ExportError as error:
        raise ExportError(f"QC_OTHERS_URL: {error}") from error
    if bundle.features != spec.features or dict(bundle.categories) != dict(spec.categories):
        raise ExportError(
            f"QC_OTHERS_URL: {spec.name} at {place.url} reads other features than this version of qc-assets: train and "
            "publish it there with this version"
        )
    if bundle.is_synthetic and not is_synthetic:
        raise ExportError(f"QC_OTHERS_URL: {spec.name} at {place.url} was trained on made-up data")
    if bundle.texts is not None:
        raise ExportError(f"QC_OTHERS_URL: {spec.name} at {place.url} reads texts: train it there with --quick")
    return Others(bundle.estimator, len(bundle.features))


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
            latest = _number(_latest(place, model))
        except ExportError:
            latest = 2**62  # whatever the latest was, it cannot be read
        for version in place.versions(model):
            if version < latest and _is_sound(place, model, version):
                to = version
                break
        else:
            raise ExportError(f"{place.url} has no sound version of {model} before the latest")
    document = _document(place, model, to)
    _verified(place, document, model, to)
    place.write(f"{model}/{LATEST}", _json(document))
    return to


def _is_sound(place: Place, model: str, version: int) -> bool:
    try:
        _verified(place, _document(place, model, version), model, version)
    except ExportError:
        return False
    return True


def _latest(place: Place, model: str) -> dict[str, Any]:
    return _parsed(place.read(f"{model}/{LATEST}"), f"{model}/{LATEST}")


def _number(document: Mapping[str, Any]) -> int:
    """The number of the folder that a description names."""
    head, _, number = str(document["folder"]).partition("/")
    if head != "history" or not (number.isascii() and number.isdigit()):
        raise ExportError(f"the folder {document['folder']!r} is no version of {document['model']}: roll back")
    return int(number)


def _document(place: Place, model: str, version: int) -> dict[str, Any]:
    path = f"{model}/history/{version}/model.json"
    return _parsed(place.read(path), path)


def _parsed(data: bytes, path: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
        if not isinstance(document, dict) or not set(document) >= _NEEDED:
            raise ValueError("fields are missing")
        if not isinstance(document["files"], dict) or not isinstance(document["version"], int):
            raise ValueError("fields are of another kind")
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path} is broken ({error}): roll back, or export again") from error
    return document


def _verified(place: Place, document: Mapping[str, Any], model: str, number: int) -> dict[str, bytes]:
    """The files of a version, each checked, once the description is the one that was asked for."""
    what = f"{document['model']} version {document['version']}"
    if document["model"] != model or document["folder"] != f"history/{number}":
        raise ExportError(f"{what} in {document['folder']} lies where number {number} of {model} should: roll back")
    try:
        refuse_unless_signed(document, place.signing_key, f"{model}/history/{number}/model.json")
    except ManifestError as error:
        raise ExportError(str(error)) from error
    parts = document["files"]
    if not all(isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in parts.values()):
        raise ExportError(f"the list of files of {what} is broken: roll back, or export again")
    if _checksum(parts) != document["sha256"]:
        raise ExportError(f"the checksum of {what} does not fit its list of files: roll back, or export again")
    contents = {}
    for path, expected in parts.items():
        if posixpath.normpath(path) != path or path.startswith(("/", "..")) or "\\" in path:
            raise ExportError(f"{what} names the file {path!r}, which lies outside of its folder")
        data = place.read(f"{model}/history/{number}/{path}")
        if _digest(data) != expected["sha256"]:
            raise ExportError(f"{path} of {what} has other contents than exported: roll back, or export again")
        contents[path] = data
    return contents


def _load(document: Mapping[str, Any], files: Mapping[str, bytes], key: bytes | None) -> Exported:
    from qc_assets.learning.bundle import Bundle

    expected = Expected(document["model"], str(document.get("run_id") or ""), key=key)

    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            target = Path(name) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        try:
            bundle = Bundle.load(Path(name), expected)
        except QcError as error:
            raise ExportError(f"{document['model']} version {document['version']}: {error}") from error
    if document.get("is_synthetic", bundle.is_synthetic) != bundle.is_synthetic:
        raise ExportError(
            f"model.json of {document['model']} says is_synthetic={document['is_synthetic']}, it is not so"
        )
    return Exported(document["version"], bundle, document)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checksum(files: Mapping[str, Any]) -> str:
    return _digest("".join(f"{path}:{entry['sha256']}\n" for path, entry in sorted(files.items())).encode())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, default=str).encode()
