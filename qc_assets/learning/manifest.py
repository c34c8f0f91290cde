"""What a bundle's files are: their SHA-256 sums, whose they are, and a signature where there is a key."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qc_assets.errors import QcError

MANIFEST = "manifest.json"


class ManifestError(QcError):
    """Files are not what their manifest says, or not what was asked for."""


@dataclass(frozen=True)
class Expected:
    """What whoever loads a bundle knows of it already; empty or None: nothing.

    Attributes:
        model: name of the model.
        run_id: the MLflow run that made it.
        sha256: of the manifest, as the registry noted it beside the version and not beside the files.
        key: of QC_SIGNING_KEY; with it, only what it signed is loaded.
    """

    model: str = ""
    run_id: str = ""
    sha256: str = ""
    key: bytes | None = None


def signature(document: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 of a document without its own signature, in hexadecimal digits."""
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    text = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def refuse_unless_signed(document: Mapping[str, Any], key: bytes | None, what: str) -> None:
    """Refuse a document that does not have the signature of a key; without a key, none is asked for.

    Raises:
        ManifestError: if it is not signed, or by another key.
    """
    if key is None:
        return
    given = document.get("signature")
    if given is None:
        raise ManifestError(f"{what} is not signed, and QC_SIGNING_KEY is set: {_SIGN}")
    if not hmac.compare_digest(str(given).encode(), signature(document, key).encode()):
        raise ManifestError(f"{what} was changed after it was signed, or signed by another QC_SIGNING_KEY: {_SIGN}")


_SIGN = "if you trust who can write there, `qc migrate` signs the versions of a home and `qc publish` its exports"


def write_manifest(folder: Path, model: str, run_id: str = "", key: bytes | None = None) -> str:
    """Write the manifest of all files in a folder; returns the SHA-256 sum of the manifest itself."""
    document: dict[str, Any] = {"model": model, "run_id": run_id, "files": _sums(folder)}
    if key is not None:
        document["signature"] = signature(document, key)
    data = json.dumps(document, indent=1, sort_keys=True).encode()
    (folder / MANIFEST).write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def verify_manifest(folder: Path, expected: Expected) -> str:
    """Refuse files that their manifest does not name, that differ from it, or that are another's.

    Versions of before there were manifests have none. Without a key that is taken: who can write the files could write
    a manifest, too, so it tells damage and mix-ups, and only a signature or the registry's sum of it tells malice.

    Returns:
        The SHA-256 sum of the manifest, which stands for the contents of all files; empty if there is none.

    Raises:
        ManifestError: naming what does not fit.
    """
    for inside in sorted(folder.rglob("*")):  # a link may lead elsewhere by the time that it is read; a pipe has no end
        if inside.is_symlink() or not (inside.is_file() or inside.is_dir()):
            raise ManifestError(f"{inside.name} of a bundle is a link, or no file: restore it, or roll back")
    file = folder / MANIFEST
    what = f"the bundle of {expected.model or folder.name}"
    if not file.exists():
        if expected.sha256:
            raise ManifestError(f"{what} has lost its {MANIFEST}: restore it, or roll back")
        refuse_unless_signed({}, expected.key, what)
        return ""
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if expected.sha256 and not hmac.compare_digest(digest, expected.sha256):
        raise ManifestError(f"{what} has another {MANIFEST} than was registered: restore it, or roll back")
    try:
        document = json.loads(data)
        files, model, run_id = dict(document["files"]), document["model"], document["run_id"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ManifestError(f"{what} has a broken {MANIFEST}: restore it, or roll back") from error
    refuse_unless_signed(document, expected.key, what)
    for name, here, there in (("model", model, expected.model), ("run", run_id, expected.run_id)):
        if there and here and here != there:
            raise ManifestError(f"{what} is of the {name} {here}, not {there}: it is in the wrong place")
    sums = _sums(folder)
    for path in sorted(files.keys() | sums.keys()):
        if files.get(path) != sums.get(path):
            state = "has other contents than" if path in files and path in sums else "is missing or not named in"
            raise ManifestError(f"{path} of {what} {state} its {MANIFEST}: restore it, or roll back")
    return digest


def _sums(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
