import ast
from datetime import date
from pathlib import Path

import pytest

from qc_assets import places
from qc_assets.cli import settings_table
from qc_assets.errors import SettingsError
from qc_assets.settings import Settings, load_settings
from tests import ROOT


def test_a_bad_value_names_the_variable_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QC_SOURCE", "gitlab")
    with pytest.raises(SettingsError, match=r"QC_SOURCE='gitlab'.*demo, files, gharchive, github"):
        load_settings()


def test_repositories_are_split_at_commas_and_must_have_an_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QC_REPOS", "b/b, a/a,,")
    assert load_settings().repos == ("a/a", "b/b")
    monkeypatch.setenv("QC_REPOS", "pytest")
    with pytest.raises(SettingsError, match="owner/name"):
        load_settings()


def test_the_demo_ends_with_its_last_day_and_the_archive_begins_in_2015() -> None:
    demo = load_settings(source="demo", demo_days=30)
    assert (demo.first_date, demo.last_date) == (date(2024, 1, 1), date(2024, 1, 30))
    assert load_settings(source="gharchive").first_date == date(2015, 1, 1)


def test_state_lives_under_one_folder() -> None:
    settings = load_settings(home=Path("/tmp/x"))
    assert settings.tracking_uri == "sqlite:////tmp/x/mlflow/mlflow.db"
    assert all(path.is_relative_to("/tmp/x") for path in (settings.staging, settings.artifact_root))


def test_the_printed_settings_are_the_committed_ones() -> None:
    """If it fails: `qc settings > .env.example; qc settings --format markdown > docs/settings.md`."""
    assert (ROOT / ".env.example").read_text() == settings_table.as_env()
    assert (ROOT / "docs" / "settings.md").read_text() == settings_table.as_markdown()


def test_every_setting_says_what_it_means_and_belongs_to_one_part() -> None:
    printed = [setting for _, settings in settings_table.settings_by_part() for setting in settings]
    assert {setting.variable for setting in printed if not setting.meaning} == set()
    assert len({setting.variable for setting in printed}) == len(printed) == len(Settings.model_fields)


def test_every_printed_default_is_what_the_setting_is_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load_settings()
    for _, settings in settings_table.settings_by_part():
        for setting in settings:
            if setting.default:
                monkeypatch.setenv(setting.variable, setting.default)
    assert load_settings() == usual


def test_installed_state_lies_in_the_users_folder_and_never_beside_the_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(places, "checkout", lambda: None)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("QC_HOME")
    monkeypatch.chdir(tmp_path)
    assert load_settings().home == tmp_path / "data" / "qc-assets"
    assert load_settings().warehouse == tmp_path / "data" / "qc-assets" / "warehouse" / "qc.duckdb"
    assert load_settings(home=tmp_path / "mine").warehouse == tmp_path / "mine" / "warehouse" / "qc.duckdb"
    assert places.settings_file() == tmp_path / ".env"
    assert places.settings_files() == (tmp_path / "data" / "qc-assets" / ".env", Path(".env"))


def test_in_a_checkout_everything_stays_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QC_HOME")
    assert load_settings().home == ROOT / ".qc"
    assert load_settings(home=Path("/tmp/x")).warehouse == ROOT / "warehouse" / "qc.duckdb"
    assert places.settings_file() == ROOT / ".env"


def test_only_entries_read_the_settings_of_the_environment() -> None:
    """Everything else is given settings, so that a test, a job and a server can each have their own."""
    entries = {"settings.py", "definitions.py", "cli", "assets", "serving/server.py"}
    package = ROOT / "qc_assets"
    callers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and "load_settings" in ast.unparse(node.func)
    }
    assert "definitions.py" in callers, "the search finds what is there"
    assert {name for name in callers if not {name, name.split("/")[0]} & entries} == set()


def test_what_is_unusual_is_named_without_secrets_and_files(tmp_path: Path) -> None:
    assert Settings(_env_file=None).unusual == {}
    changed = Settings(
        min_pr_lines=3,
        seniority_days=(1, 2, 3),
        github_tokens="ghp_secret",
        github_app_private_key="pem",
        signing_key="0123456789abcdef",
        gharchive_dir=tmp_path,
        home=tmp_path,
        _env_file=None,
    )
    assert changed.unusual == {"QC_MIN_PR_LINES": "3", "QC_SENIORITY_DAYS": "1, 2, 3"}


def test_links_behind_the_gate_are_paths_and_follow_its_port_elsewhere() -> None:
    settings = Settings(api_port=8123, mlflow_url="https://mlflow.example.org", _env_file=None)
    assert settings.dagster_url == "/dagster"
    assert settings.beyond_the_gate(settings.dagster_url) == "http://127.0.0.1:8123/dagster"
    assert settings.beyond_the_gate(settings.mlflow_url) == "https://mlflow.example.org"
