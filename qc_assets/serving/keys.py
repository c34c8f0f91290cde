"""Named keys of the API: each with rights, stored as hashes, made and revoked by `qc keys`."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock
from pydantic import SecretStr

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.files import changed_when, write_whole
from qc_assets.serving.callers import RIGHTS, Right
from qc_assets.serving.one_form import normalised

SHARED = "QC_API_KEY"
_PREFIX = "qck_"
_BEFORE_ALL = "2000-01-01T00:00:00"


@dataclass(frozen=True)
class ApiKey:
    """One key; the key itself is nowhere.

    Attributes:
        digest: SHA-256 of it: keys are random, so nothing slower is needed.
        made_at, revoked_at: instants (UTC); revoked_at is empty while it holds.
        distrusted_from, distrusted_until: feedback that it sent between these does not count; empty: all does.
    """

    name: str
    rights: tuple[Right, ...]
    digest: str
    made_at: str
    revoked_at: str = ""
    distrusted_from: str = ""
    distrusted_until: str = ""


class KeyRing:
    """The keys that a server takes, as of the last `refresh`.

    Args:
        path: their file, which need not exist.
        shared: the key of QC_API_KEY, which has all rights.

    Attributes:
        is_needed: whether requests must bring a key; once there were keys, they must, also if all are revoked.
    """

    def __init__(self, path: Path, shared: SecretStr | None) -> None:
        self._path = path
        self._shared = shared.get_secret_value().encode() if shared else None
        self._stamp: tuple[int, ...] = ()
        self._by_digest: dict[str, ApiKey] = {}
        self._was_needed = False

    @property
    def is_needed(self) -> bool:
        return self._shared is not None or self._was_needed

    def owner_of(self, key: bytes) -> tuple[str, frozenset[Right]] | None:
        """Name and rights of a key; None if there is no such key, or it was revoked."""
        if self._shared is not None and hmac.compare_digest(key, self._shared):
            return SHARED, frozenset(RIGHTS)
        owner = self._by_digest.get(_digest(key))
        return None if owner is None or owner.revoked_at else (owner.name, frozenset(owner.rights))

    def refresh(self) -> None:
        """Read the keys again if their file has changed: once a request, as to look costs a system call.

        Raises:
            QcError: if it cannot be read.
        """
        stamp = changed_when([self._path])
        if stamp == self._stamp:
            return
        keys = read_keys(self._path)
        self._was_needed = self._was_needed or bool(keys)
        self._by_digest, self._stamp = {key.digest: key for key in keys.values()}, stamp


def keys_file(journal: Path) -> Path:
    """Where the keys of a home lie: beside the journal."""
    return journal.with_name("keys.json")


def read_keys(path: Path) -> Mapping[str, ApiKey]:
    """All keys that were made, by name.

    Raises:
        QcError: if the file cannot be read: then nobody is let in.
    """
    if not path.exists():
        return {}
    try:
        entries = [ApiKey(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
        return {key.name: replace(key, rights=tuple(key.rights)) for key in entries}
    except (OSError, ValueError, TypeError) as error:
        raise QcError(f"the keys in {path} cannot be read ({error}): put the file back, or make new keys") from error


def make_key(path: Path, name: str, rights: Collection[str]) -> str:
    """Make a key; what is returned is shown once and kept nowhere.

    Raises:
        QcError: if the name is taken, also by a key that was revoked, or a right is none.
    """
    unknown = sorted(set(rights) - set(RIGHTS))
    if unknown or not rights:
        raise QcError(f"no right {', '.join(unknown) or 'was named'}; there are {', '.join(RIGHTS)}")
    try:
        name = normalised(name)
    except ValueError as error:
        raise QcError(f"the name of a key {error}") from error
    key = _PREFIX + secrets.token_urlsafe(32)
    with _changing(path):
        keys = dict(read_keys(path))
        if name.lower().startswith("qc_"):
            raise QcError(f"{name}: names with QC_ are of settings, which may be keys, too; take another")
        if name.lower() in {taken.lower() for taken in keys}:
            raise QcError(f"there is, or was, a key {name!r}: what it did is written down under its name; take another")
        chosen = tuple(right for right in RIGHTS if right in rights)
        keys[name] = ApiKey(name, chosen, _digest(key.encode()), now_utc().isoformat())
        _write(path, keys)
    return key


def revoke_key(path: Path, name: str) -> None:
    """Let a key open nothing any more, within a request of a running server.

    Raises:
        QcError: if there is no such key.
    """
    with _changing(path):
        keys = dict(read_keys(path))
        if not _known(keys, name).revoked_at:
            keys[name] = replace(keys[name], revoked_at=now_utc().isoformat())
            _write(path, keys)


def distrust_key(path: Path, name: str, since: datetime | None = None) -> ApiKey:
    """Let feedback that a key sent so far count for nothing any more; the next import of the journal does it.

    The history stays. QC_API_KEY, which is in no file, may be named: what it sends from now on, as a new one, counts.

    Args:
        since: only what came from then on (UTC); default: everything.

    Raises:
        QcError: if there is no such key, or the moment is in the future.
    """
    now = now_utc()
    if since is not None and since > now:
        raise QcError(f"{since.isoformat()} is in the future: nothing that the key sent came later")
    begin = since.isoformat() if since else _BEFORE_ALL
    with _changing(path):
        keys = dict(read_keys(path))
        if name == SHARED:
            # No key has this digest, so the entry opens nothing.
            keys.setdefault(SHARED, ApiKey(SHARED, (), "", now.isoformat()))
        keys[name] = replace(_known(keys, name), distrusted_from=begin, distrusted_until=now.isoformat())
        _write(path, keys)
    return keys[name]


def trust_key(path: Path, name: str) -> None:
    """Let all feedback of a key count again, also of one that is revoked and stays so.

    Raises:
        QcError: if there is no such key.
    """
    with _changing(path):
        keys = dict(read_keys(path))
        keys[name] = replace(_known(keys, name), distrusted_from="", distrusted_until="")
        _write(path, keys)


def _known(keys: Mapping[str, ApiKey], name: str) -> ApiKey:
    if name not in keys:
        raise QcError(f"there is no key {name!r}; there are {', '.join(keys) or 'none'}")
    return keys[name]


def _changing(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def _write(path: Path, keys: Mapping[str, ApiKey]) -> None:
    write_whole(path, json.dumps([asdict(key) for key in keys.values()], indent=1))
    path.chmod(0o600)


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
