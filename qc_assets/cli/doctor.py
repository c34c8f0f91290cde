"""`qc doctor`: is everything in place, and how to mend what is not."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb

from qc_assets.cli.aftermath import examine_aftermath
from qc_assets.cli.finding import Finding
from qc_assets.cli.runs import dagster_home
from qc_assets.cli.trouble import explained
from qc_assets.errors import QcError, SettingsError, WarehouseBusyError, WarehouseMissingError
from qc_assets.models.specs import SPECS
from qc_assets.places import settings_file
from qc_assets.settings import Settings, load_settings
from qc_assets.store.warehouse import Warehouse

_MIN_FREE_GIB = 2.0
# What one pass over a million pull requests spilled at the default limit (docs/deployment.md).
_MANY_PULL_REQUESTS, _SPILLED_GIB_A_MILLION = 3_000_000, 3.8


def examine() -> list[Finding]:
    """Look at Python, settings, disk, the warehouse, what kills may have left, Dagster's home, ports and the token."""
    findings = [_python()]
    try:
        settings = load_settings()
    except SettingsError as error:
        return [
            *findings,
            Finding("settings", False, str(error), "correct the variable, or the line in .env"),
        ]
    findings.append(Finding("settings", True, f"source {settings.source}"))
    looks: tuple[tuple[str, Callable[[Settings], Finding | Iterable[Finding]]], ...] = (
        ("source", _source),
        ("disk", _disk),
        ("warehouse", _warehouse),
        ("what kills left", examine_aftermath),
        ("DAGSTER_HOME", _home),
        ("models", examine_models),
        ("port", _port),
        ("token", _token),
    )
    for what, look in looks:
        try:
            seen = look(settings)
            findings += [seen] if isinstance(seen, Finding) else seen
        except Exception as error:  # noqa: BLE001  # whatever it is, that is the finding, and the rest is looked at
            findings.append(Finding(what, False, explained(error), "see the message"))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    mend = "install Python 3.11 or later; in a checkout remove .venv, and `make demo` makes it anew"
    return Finding("Python", ok, version, "" if ok else mend)


def _source(settings: Settings) -> Finding:
    from qc_assets.sources.registry import open_source

    source = open_source(settings)
    made_up = " (synthetic)" if source.traits.synthetic else ""
    return Finding("source", True, f"{source.name}{made_up}, {settings.first_date} to {settings.last_date}")


def _disk(settings: Settings) -> list[Finding]:
    places = {"disk": settings.home}
    if isinstance(settings.warehouse, Path):
        places["disk of the warehouse"] = settings.warehouse.parent
    return [_room(what, place) for what, place in places.items()]


def _room(what: str, place: Path) -> Finding:
    folder = place
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    writable = os.access(folder, os.W_OK)
    variable = "QC_HOME" if what == "disk" else "QC_WAREHOUSE"
    mend = f"free some space, or set {variable} to another disk"
    if not writable:
        mend = f"make {folder} writable, or set {variable}"
    ok = free >= _MIN_FREE_GIB and writable
    return Finding(what, ok, f"{free:.1f} GiB free for {place}", "" if ok else mend)


def _warehouse(settings: Settings) -> list[Finding]:
    """Whether the warehouse can be opened, and what a migration would do to it."""
    try:
        store = Warehouse.from_settings(settings, lock_timeout_s=2)
        changes = store.pending_changes()
    except WarehouseMissingError:
        return [Finding("warehouse", True, f"{settings.warehouse} is not there yet; `qc demo` makes it")]
    except WarehouseBusyError as error:
        return [Finding("warehouse", False, str(error), "close the program that holds it, or wait for the run to end")]
    except QcError as error:
        return [Finding("warehouse", False, str(error), "see the message")]
    except (duckdb.Error, OSError) as error:
        mend = "`qc restore FOLDER` brings a backup back; without one move the file away, and load and train anew"
        if settings.has_lake:
            mend = "look at QC_WAREHOUSE: docs/lake.md says what a lake needs"
        return [Finding("warehouse", False, f"{settings.warehouse}: {explained(error)}", mend)]
    schema = Finding("schema", True, "of this version")
    if changes:
        mend = "run `qc migrate`, or let the next run do it; a copy is put beside the file first"
        schema = Finding("schema", False, f"made by an older version; pending: {', '.join(changes)}", mend)
    reached = "can be read" if store.is_lake else "not locked"
    sizes = [] if changes else _size_of_features(settings, store)
    return [Finding("warehouse", True, f"{settings.warehouse}, {reached}"), schema, *sizes]


def _size_of_features(settings: Settings, store: Warehouse) -> list[Finding]:
    """What to turn on where one pass over all features is too much for this machine."""
    count = int(store.query("SELECT count(*) FROM raw.pull_requests").item())
    spilled = count / 1e6 * _SPILLED_GIB_A_MILLION
    fits = shutil.disk_usage(store.staging_root).free / 2**30 > spilled
    is_one_pass = settings.features_engine == "duckdb" and settings.features_shards == 1
    if not is_one_pass or (fits and count < _MANY_PULL_REQUESTS):
        return []
    mend = (
        "set QC_FEATURES_SHARDS=4, which takes half the memory and 1.7 times the CPU, or where there is a cluster "
        "QC_FEATURES_ENGINE=spark (docs/deployment.md)"
    )
    detail = f"one pass over {count:,} pull requests spills some {spilled:.0f} GiB to {store.staging_root}"
    return [Finding("features", fits, detail if not fits else f"{detail}; {mend}", "" if fits else mend)]


def _home(settings: Settings) -> Finding:
    expected = str(dagster_home(settings))
    env = settings_file()
    lines = env.read_text(encoding="utf-8").splitlines() if env.exists() else []
    written = next((line.partition("=")[2] for line in lines if line.startswith("DAGSTER_HOME=")), None)
    ok = written == expected
    return Finding("DAGSTER_HOME", ok, written or "not set in .env", "" if ok else "run `qc init`, which writes it")


def examine_models(settings: Settings) -> list[Finding]:
    """Whether MLflow and the warehouse agree on who is champion, and nobody removed one."""
    from qc_assets.registry.mirror import what_differs
    from qc_assets.registry.model_registry import Registry

    if not settings.mlflow_tracking_uri and not settings.mlflow_database.is_file():
        return [Finding("models", True, f"{settings.mlflow_database} is not there yet; `qc train` makes it")]
    try:
        store, registry = Warehouse.from_settings(settings, lock_timeout_s=2), Registry.from_settings(settings)
        differences = [differs for spec in SPECS if (differs := what_differs(store, registry, spec.name))]
    except Exception as error:  # noqa: BLE001  # whatever MLflow, its database or its server says is the finding
        trouble = str(error).splitlines()[0]
        return [Finding("models", False, trouble, "see the message; `qc migrate` upgrades a store")]
    mend = "see the message, or let `qc migrate` bring the warehouse after MLflow"
    findings = [Finding("models", False, difference, mend) for difference in differences]
    return findings or [Finding("models", True, "MLflow and the warehouse agree on the champions")]


def port_is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _port(settings: Settings) -> Finding:
    host, port = settings.host, settings.api_port
    if port_is_free(host, port):
        return Finding("API port", True, f"{host}:{port} is free")
    return Finding("API port", True, f"{host}:{port} is in use: `qc up` is running, or another program has it")


def _token(settings: Settings) -> Finding:
    if not settings.traits.needs_token:
        return Finding("token", True, f"the {settings.source} source needs none")
    from qc_assets.sources.registry import open_source
    from qc_assets.sources.source import Credentialed

    try:
        source = open_source(settings)
        sentence = source.test_token() if isinstance(source, Credentialed) else "there, and not tested"
    except QcError as error:
        return Finding("token", False, str(error), "mend the source's token and URL in .env; check the network")
    return Finding("token", True, sentence)


def tail(path: Path, lines: int) -> str:
    """The last lines of a log file, for an error message."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
