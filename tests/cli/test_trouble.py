"""What goes wrong below the command line reaches a person as one sentence, and the doctor outlives it."""

import errno
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from qc_assets.cli import console, doctor
from qc_assets.cli.doctor import examine
from qc_assets.cli.trouble import explained
from qc_assets.errors import QcError, SettingsError, masked_urls
from qc_assets.progress import Note, report
from qc_assets.settings import Settings, load_settings
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.command_line import run_qc


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: No space left on device – the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "set QC_HOME"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "make it writable"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "choose another port"),
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (sqlite3.DatabaseError("file is not a database"), "the file is damaged"),
        (
            OperationalError("SELECT 1", {}, sqlite3.OperationalError("attempt to write a readonly database")),
            "writable",
        ),
        (MlflowException("Detected out-of-date database schema (found version a, but expected b)"), "`qc migrate`"),
        (duckdb.IOException("IO Error: Could not write file: No space left on device"), "free some space"),
        (duckdb.SerializationException("Failed to load metadata pointer"), "the file is damaged"),
        (caused(RuntimeError("a step failed"), OSError(errno.ENOSPC, "No space left on device", "/z")), "/z: No space"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "save it as UTF-8"),
        (MemoryError(), "free some memory"),
        (KeyError("x"), "KeyError: 'x' – nobody thought of this: run the command again with --debug"),
        (QcError("as it is"), "as it is"),
        (
            duckdb.BinderException('Binder Error: "pased" not found!\nCandidate bindings: "passed"\n\nLINE 1: …'),
            'Binder Error: "pased" not found! Candidate bindings: "passed"',
        ),
    ],
)
def test_an_error_is_one_sentence_that_says_how_to_mend(error: Exception, says: str) -> None:
    sentence = explained(error)
    assert says in sentence and "\n" not in sentence


def test_a_folder_of_files_that_is_broken_is_one_finding_and_nothing_else_minds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pull_requests.xlsx").touch()
    (tmp_path / "dataset.toml").write_text('forge = "gitlab.example.org"')
    places = {"QC_HOME": tmp_path / "home", "QC_WAREHOUSE": tmp_path / "q.duckdb", "QC_FILES_DIR": tmp_path}
    for name, value in {"QC_SOURCE": "files", **places}.items():
        monkeypatch.setenv(name, str(value))
    findings = {finding.what: finding for finding in examine()}
    assert "no format that is read" in findings["source"].detail and not findings["source"].ok
    assert findings["settings"].ok and findings["warehouse"].ok
    assert load_settings().forge == "gitlab.example.org", "whose ids they are does not depend on the rest"


def test_the_doctor_names_what_is_broken_and_looks_at_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qc.duckdb").write_bytes(b"\xff" * 9000)
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("QC_WAREHOUSE", str(tmp_path / "qc.duckdb"))
    monkeypatch.setenv("QC_HOME", str(tmp_path / "home"))
    findings = {finding.what: finding for finding in examine()}
    assert not findings["warehouse"].ok and str(tmp_path / "qc.duckdb") in findings["warehouse"].detail
    assert not findings["DAGSTER_HOME"].ok and findings["DAGSTER_HOME"].mend
    assert findings["token"].ok and findings["API port"].detail


@pytest.mark.parametrize(("knobs", "says"), [({}, True), ({"SHARDS": "2"}, False), ({"ENGINE": "spark"}, False)])
def test_the_doctor_says_what_to_turn_on_where_features_are_too_many(
    knobs: dict[str, str], says: bool, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"QC_WAREHOUSE": warehouse.path, "QC_HOME": tmp_path / "home"}
    for name, value in {**places, **{f"QC_FEATURES_{name}": value for name, value in knobs.items()}}.items():
        monkeypatch.setenv(name, str(value))
    with histories.memory(warehouse) as connection:
        histories.put(connection, {"pull_requests": [histories.pull_request(number, 0) for number in (1, 2)]})
    assert "features" not in {finding.what for finding in examine()}
    monkeypatch.setattr(doctor, "_MANY_PULL_REQUESTS", 2)
    told = {finding.what: finding for finding in examine()}.get("features")
    assert (told is not None) == says
    if told:
        assert told.ok and "QC_FEATURES_SHARDS=4" in told.detail and "QC_FEATURES_ENGINE=spark" in told.detail
        monkeypatch.setattr(doctor, "_SPILLED_GIB_A_MILLION", 1e12)
        full = {finding.what: finding for finding in examine()}["features"]
        assert not full.ok and "QC_FEATURES_SHARDS=4" in full.mend


def test_a_broken_warehouse_or_a_full_device_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.duckdb"
    broken.write_bytes(b"\xff" * 9000)
    places = {"QC_HOME": str(tmp_path / "home"), "QC_WAREHOUSE": str(broken)}
    done = run_qc(tmp_path, places, "sql", "SELECT 1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "`qc restore` brings a backup back" in " ".join(done.stderr.split())
    assert "Traceback" in run_qc(tmp_path, places, "--debug", "sql", "SELECT 1").stderr


def test_a_settings_file_that_is_no_text_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(b"QC_SOURCE=d\xe9mo\n")
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    with pytest.raises(SettingsError, match="Make the file readable, as UTF-8"):
        load_settings()


def test_a_log_without_a_terminal_sees_waits(capsys: Any) -> None:
    with console.bar("backfill"):
        report("3 of 8", 3, 8)
        report(Note("GitHub's limit is reached [/x]"), 3, 8)
    assert capsys.readouterr().err.rstrip().endswith(" UTC backfill: GitHub's limit is reached [/x]")


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pa55word@host/x", "postgresql://m:pa55word@127.0.0.1:9/x", "http://u:a@pa55word@host",
        "//x:pa55word@h", "https://host/f?sig=pa55word&x=1", "https://host/f?x=1&api_key=pa55word", "s3://AK:pa55word@b/x",
        "https://host/f?access_token=pa55word",
    ],
)  # fmt: skip
def test_no_message_shows_the_password_of_a_url(url: str) -> None:
    assert "pa55word" not in str(QcError(f"{url}: cannot be reached")) + masked_urls(f"see '{url}' and {url}")
    assert "pa55word" not in repr(load_settings(gharchive_url=url, llm_url=url))
    assert masked_urls("https://host:8080/a?b=1 and a@b.org") == "https://host:8080/a?b=1 and a@b.org"
