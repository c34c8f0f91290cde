"""`qc backup` and `qc restore`: warehouse, registry and journal as one folder that can be checked, while all runs.

The order of the copies makes them fit: what the journal of the backup has more than its warehouse is imported later,
and what its registry has more is mirrored. Dagster's own history of runs, logs and caches are not part of it.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from qc_assets import __version__
from qc_assets.clock import now_utc
from qc_assets.errors import QcError, WarehouseBusyError
from qc_assets.files import keep_private, write_whole
from qc_assets.models.specs import SPECS
from qc_assets.serving.feedback_links import links_file
from qc_assets.serving.former_journals import server_of
from qc_assets.serving.keys import keys_file
from qc_assets.serving.last_payment import note_payment_doubt
from qc_assets.serving.outbox import outbox_file
from qc_assets.settings import Settings
from qc_assets.sqlite_files import copy_sqlite, existing_sqlite
from qc_assets.store.copies import copy_under_lock
from qc_assets.store.warehouse import Warehouse

if TYPE_CHECKING:
    from qc_assets.registry.model_registry import Registry

log = logging.getLogger(__name__)
_MANIFEST = "backup.json"


class BackupError(QcError):
    """A backup cannot be made, or is not what it says it is."""


@dataclass(frozen=True)
class _Part:
    """Where something lies in a home, and in a backup."""

    name: str
    home: Path
    place: str


def _parts(settings: Settings) -> list[_Part]:
    """In the order in which they are copied."""
    registry = [
        _Part("registry", settings.mlflow_database, "mlflow/mlflow.db"),
        _Part("models", settings.artifact_root, "mlflow/artifacts"),
    ]
    file = settings.warehouse if isinstance(settings.warehouse, Path) else None  # a lake is its servers' to back up
    return [
        *([_Part("warehouse", file, "warehouse/qc.duckdb")] if file else []),
        *([] if settings.mlflow_tracking_uri else registry),
        _Part("keys", keys_file(settings.journal_file), "serving/keys.json"),
        _Part("links", links_file(settings.journal_file), "serving/links.key"),
        _Part("notes", outbox_file(settings.journal_file), "serving/notes.db"),
        _Part("journal", settings.journal_file, "serving/journal.db"),
    ]


def _left_out(settings: Settings) -> list[str]:
    """What a home has elsewhere, where a backup does not reach."""
    lake, is_file = settings.warehouse, not settings.has_lake
    by = "copied to a file by `qc warehouse copy --to FILE`"
    return [
        *([] if is_file else [f"the warehouse {lake}: its catalogue and its files are to be copied together, or {by}"]),
        *([f"the journal in {settings.shared}, which pg_dump copies"] if settings.shared else []),
        *(["models, in the MLflow of QC_MLFLOW_TRACKING_URI"] if settings.mlflow_tracking_uri else []),
    ]


def make_backup(settings: Settings, folder: Path) -> dict[str, Any]:
    """Copy what cannot be made again into a new folder, and check the copy; servers and runs go on meanwhile.

    Args:
        settings: of the home.
        folder: appears when all is in it and was checked; must not exist.

    Returns:
        The manifest: version, instant, rows by table, champions, and the checksum of every file. A champion that is
        broken in the home is so in the copy, and named: it costs nothing else.

    Raises:
        BackupError: if the folder exists, there is nothing to copy, or the copy is not whole; nothing of it stays.
        WarehouseBusyError: if a writer keeps the warehouse.
    """
    if folder.exists():
        raise BackupError(f"{folder} exists: name a folder that does not")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f"{folder.name}.partial")
    with suppress(FileNotFoundError):
        shutil.rmtree(draft)  # of a backup that was killed
    try:
        parts = [part for part in _parts(settings) if part.home.exists()]
        if not parts:
            elsewhere = "".join(f"; not here: {what}" for what in _left_out(settings))
            raise BackupError(f"{settings.home} has no warehouse, no models and no journal yet{elsewhere}")
        draft.mkdir(mode=0o700)
        for part in parts:
            target = draft / part.place
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(settings, part, target)
        for path in _files(draft):
            keep_private(path)
        manifest = {
            "version": __version__,
            "made_at": now_utc().isoformat(),
            "parts": [part.name for part in parts],
            "left_out": _left_out(settings),
            **_checked(draft, settings),
            "files": {path.relative_to(draft).as_posix(): _digest(path) for path in _files(draft)},
        }
        write_whole(draft / _MANIFEST, json.dumps(manifest, indent=1), is_private=True)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return manifest


def restore_backup(settings: Settings, folder: Path, *, replace: bool = False) -> dict[str, Any]:
    """Put a backup into a home, after every file of it was checked.

    Args:
        settings: of the home.
        folder: made by `make_backup`.
        replace: move what the home has aside first, instead of refusing.

    Returns:
        The manifest, with the parts that were put back, why others were not, where what was there lies now, and why
        nobody is paid until somebody settles it, empty if somebody may be.

    Raises:
        BackupError: if a file is missing or is not what it was, the home has something already, or a server uses it.
        WarehouseBusyError: if somebody writes to the warehouse that is there.
    """
    manifest = read_manifest(folder)
    if server := server_of(settings):
        raise BackupError(f"{server} uses {settings.home}: stop it first")
    parts = [part for part in _parts(settings) if (folder / part.place).exists()]
    present = [part for part in parts if part.home.exists()]
    if present and not replace:
        names = " and ".join(f"a {part.name} ({part.home})" for part in present)
        raise BackupError(f"there is {names} already: set QC_HOME to a new folder, or move it aside with --replace")
    _refuse_if_written(settings)
    # First all is copied beside its place, then everything is moved within an instant.
    drafts = {part: part.home.with_name(f"{part.home.name}.restoring") for part in parts}
    suffix = f"before-restore-{now_utc():%Y%m%dT%H%M%S%f}"
    aside = []
    try:
        for part, draft in drafts.items():
            draft.parent.mkdir(parents=True, exist_ok=True)
            _remove(draft)
            source = folder / part.place
            shutil.copytree(source, draft) if source.is_dir() else shutil.copyfile(source, draft)
        for part, draft in drafts.items():
            for path in _with_companions(part.home):
                path.rename(path.with_name(f"{path.name}.{suffix}"))
                aside.append(str(path.with_name(f"{path.name}.{suffix}")))
            draft.rename(part.home)
    finally:
        for draft in drafts.values():
            _remove(draft)
    payments = ""
    if any(part.name == "journal" for part in parts) and not settings.payment_note.exists():
        copied = f"the journal was put back from {folder}, of {manifest['made_at'][:19]}"
        payments = f"{copied}: what was paid after that is not in it"
        note_payment_doubt(settings.payment_note, payments)
    manifest.pop("files")
    restored = [part.name for part in parts]
    elsewhere = {
        "warehouse": f"QC_WAREHOUSE is a lake: QC_WAREHOUSE={folder}/warehouse/qc.duckdb qc warehouse copy --to …",
        "registry": "QC_MLFLOW_TRACKING_URI names a server, which has models of its own",
    }
    missed = {name: elsewhere[name] for name in elsewhere if name in manifest["parts"] and name not in restored}
    return manifest | {"parts": restored, "not_restored": missed, "moved_aside": aside, "payments": payments}


def _refuse_if_written(settings: Settings) -> None:
    """Raise WarehouseBusyError if somebody writes; that the warehouse cannot be read is a reason to restore it."""
    try:
        store = Warehouse.from_settings(settings)
        if store.engine.exists():
            with store.opened_as_it_is():
                return
    except WarehouseBusyError:
        raise
    except (QcError, duckdb.Error) as error:
        log.warning("%s cannot be read: %s", settings.warehouse, error)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a backup whose every file is what it was.

    Raises:
        BackupError: naming the files that are not.
    """
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        expected = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{folder} is no backup, or {_MANIFEST} of it is broken: {error}") from error
    present = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    wrong = [name for name, digest in expected.items() if name not in present or _digest(present[name]) != digest]
    if wrong:
        raise BackupError(f"{folder} is damaged: {', '.join(sorted(wrong)[:5])} is missing or has other contents")
    return manifest


def _copy(settings: Settings, part: _Part, target: Path) -> None:
    if part.name == "warehouse":
        # A reader keeps writers out; its log beside it holds what is not in the file yet.
        with Warehouse.from_settings(settings).opened_as_it_is():
            for path in (part.home, part.home.with_name(f"{part.home.name}.wal")):
                if path.exists():
                    copy_under_lock(path, target.with_name(target.name + path.name.removeprefix(part.home.name)))
    elif part.name in ("keys", "links"):
        shutil.copy(part.home, target)
    elif part.home.is_dir():
        shutil.copytree(part.home, target)
    else:
        copy_sqlite(part.home, target)


def _checked(draft: Path, settings: Settings) -> dict[str, Any]:
    """Rows of every table and champions of a copy, which shows that it can be read as well as what was copied."""
    from qc_assets.registry.local_store import OlderStoreError
    from qc_assets.registry.model_registry import Registry

    facts: dict[str, Any] = {"rows": {}, "champions": {}}
    if (draft / "warehouse/qc.duckdb").exists():
        store = Warehouse(draft / "warehouse/qc.duckdb", staging=draft / "staging", lock_timeout_s=5)
        with store.opened_as_it_is() as warehouse:
            tables = warehouse.sql(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY ALL"
            ).fetchall()
            facts["rows"] = {name: len(warehouse.table(name)) for (name,) in tables}
    for database in sorted(draft.glob("*/*.db")):
        with existing_sqlite(database) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise BackupError(f"the copy of {database.name} is not sound: {verdict}")
    if (draft / "mlflow/mlflow.db").exists():
        copied = Registry(f"sqlite:///{draft / 'mlflow/mlflow.db'}", draft / "mlflow/artifacts")
        broken: dict[str, str] = {}
        for spec in SPECS:
            try:
                champion = copied.champion(spec.name)
            except OlderStoreError as error:  # to be copied all the more
                return facts | {"not_checked": str(error)}
            except Exception as error:  # files of any kind may be gone or broken
                if _is_whole(Registry(settings.tracking_uri, settings.artifact_root), spec.name):
                    raise BackupError(f"the copy of the champion of {spec.name} is not whole: {error}") from error
                broken[spec.name] = str(error)
            else:
                facts["champions"] |= {spec.name: champion[0]} if champion is not None else {}
        facts |= {"broken_champions": broken} if broken else {}
    return facts


def _is_whole(registry: "Registry", model: str) -> bool:
    try:
        registry.champion(model)
    except Exception as error:  # noqa: BLE001  # whatever a broken file does
        log.warning("the champion of %s is broken: %s", model, error)
        return False
    return True


def _files(folder: Path) -> Iterator[Path]:
    """Files of a backup; SQLite's own companions, which come and go, are none."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _MANIFEST and not path.name.endswith(("-shm", "-wal")):
            yield path


def _with_companions(path: Path) -> list[Path]:
    """A path and what its engine, or the journal, keeps beside it: those that are there."""
    paths = [path.with_name(path.name + suffix) for suffix in ("", ".wal", "-wal", "-shm", ".accepted")]
    return [path for path in paths if path.exists()]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
