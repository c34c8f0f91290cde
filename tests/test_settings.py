from datetime import date
from pathlib import Path

import pytest

from qc_assets.errors import SettingsError
from qc_assets.settings import load_settings


def test_a_bad_value_names_the_variable_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QC_SOURCE", "gitlab")
    with pytest.raises(SettingsError, match=r"QC_SOURCE='gitlab'.*'demo', 'gharchive' or 'github'"):
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
