"""Asking GitHub: what answers mean, who asks, and that secrets stay secret."""

import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from qc_assets.clock import SystemClock
from qc_assets.errors import SettingsError, SourceError
from qc_assets.settings import load_settings
from qc_assets.sources.bounded import clean
from qc_assets.sources.fake.fake_server import FakeGitHub, VirtualClock
from qc_assets.sources.fake.fake_world import World, stamp
from qc_assets.sources.github.answers import Kind, classify, failed
from qc_assets.sources.github.changes import DiffTooLongError, read_diff
from qc_assets.sources.github.client import RequestError
from qc_assets.sources.github.discovery import discover, selected
from qc_assets.sources.github.identities import identities
from qc_assets.store.warehouse import Warehouse
from tests.github_runs import public_schema, run, source

NOW = datetime(2024, 6, 1, 12)
SECRET = "ghp_" + "S3cr3tS3cr3tS3cr3tS3cr3t"
LIMITED = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1717246800"}  # 13:00
ABUSE = '{"message": "You have exceeded a secondary rate limit"}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "minutes"),
    [
        (200, {}, '{"data": {"a": 1}}', Kind.OK, None),
        (200, {}, '{"data": {"a": null}, "errors": [{"type": "NOT_FOUND", "path": ["a"]}]}', Kind.OK, None),
        (200, LIMITED, '{"errors": [{"type": "RATE_LIMITED", "message": "x"}]}', Kind.LIMITED, 60),
        (200, {}, '{"errors": [{"type": "RATE_LIMIT", "message": "x"}]}', Kind.LIMITED, None),
        (403, LIMITED, '{"message": "API rate limit exceeded for user"}', Kind.LIMITED, 60),
        (429, LIMITED, "<html>", Kind.LIMITED, 60),
        (403, {}, ABUSE, Kind.SECONDARY, None),
        (200, {}, ABUSE, Kind.SECONDARY, None),
        (403, LIMITED, ABUSE, Kind.SECONDARY, None),
        (429, {"retry-after": "120"}, "", Kind.SECONDARY, 2),
        (403, {"retry-after": "Sat, 01 Jun 2024 12:05:00 GMT"}, ABUSE, Kind.SECONDARY, 5),
        (403, {"retry-after": "soon"}, ABUSE, Kind.SECONDARY, None),
        (200, {}, '{"data": {}, "errors": [{"type": "RESOURCE_LIMITS_EXCEEDED"}]}', Kind.OVERLOADED, None),
        (200, {}, '{"errors": [{"type": "MAX_NODE_LIMIT_EXCEEDED"}]}', Kind.OVERLOADED, None),
        (200, {}, '{"data": null, "errors": [{"message": "Something went wrong while executing your query."}]}',
         Kind.OVERLOADED, None),
        (502, {}, "<html>", Kind.OVERLOADED, None),
        (504, {}, '{"message": "We couldn\'t respond to your request in time."}', Kind.OVERLOADED, None),
        (200, {}, "<html><body>Unicorn!", Kind.TRANSIENT, None),
        (200, {}, '{"data": {"a": [1, 2', Kind.TRANSIENT, None),
        (500, {}, "", Kind.TRANSIENT, None),
        (401, {}, '{"message": "Bad credentials"}', Kind.UNAUTHORIZED, None),
        (403, {}, '{"message": "Resource not accessible by integration"}', Kind.REFUSED, None),
        (404, {}, '{"message": "Not Found"}', Kind.REFUSED, None),
        (451, {}, '{"message": "Repository access blocked"}', Kind.REFUSED, None),
        (200, {}, '{"errors": [{"message": "Field \'x\' does not exist"}]}', Kind.REFUSED, None),
        (200, {}, '{"data": null, "errors": [{"type": "INTERNAL", "message": "x"}]}', Kind.TRANSIENT, None),
    ],
)  # fmt: skip
def test_answers_are_told_apart_by_body_first_and_headers_second(
    status: int, headers: dict[str, str], body: str, kind: Kind, minutes: int | None
) -> None:
    answer = classify(httpx.Response(status, headers=headers, content=body.encode()), NOW)
    assert answer.kind is kind
    assert answer.until == (None if minutes is None else NOW + timedelta(minutes=minutes))


def test_a_server_that_does_not_answer_is_overloaded_and_one_that_cannot_be_reached_is_not() -> None:
    assert failed(httpx.ReadTimeout("")).kind is Kind.OVERLOADED
    for error in (httpx.ConnectError(""), httpx.ConnectTimeout(""), httpx.ReadError(""), httpx.RemoteProtocolError("")):
        assert failed(error).kind is Kind.TRANSIENT
    for forever in (
        httpx.InvalidURL("x"), httpx.TooManyRedirects("x"), httpx.ProxyError("407 Proxy Authentication Required"),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        httpx.LocalProtocolError(f"Illegal header value b'token {SECRET}'"),
    ):  # fmt: skip
        assert failed(forever).kind is Kind.REFUSED and SECRET not in failed(forever).reason


def test_github_enterprise_has_graphql_beside_its_rest_api(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    enterprise = source("https://github.example.com/api/v3", tmp_path, clock).client
    assert enterprise.graphql_url == "https://github.example.com/api/graphql"
    assert source("https://api.github.com", tmp_path, clock).client.graphql_url == "https://api.github.com/graphql"


def test_identities_are_tokens_an_app_or_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="set GITHUB_TOKEN"):
        identities(load_settings(source="github", home=tmp_path), tmp_path)
    with pytest.raises(SourceError, match="all three"):
        identities(load_settings(source="github", home=tmp_path, github_app_id="1"), tmp_path)
    app: dict[str, Any] = {"github_app_id": "1", "github_app_private_key": "PEM", "github_app_installation_id": 5}
    with pytest.raises(SourceError, match=r"is not a private key: give the text of the \.pem file") as error:
        identities(load_settings(home=tmp_path, **app), tmp_path)
    assert "PEM" not in str(error.value)
    distinct = identities(load_settings(home=tmp_path, github_tokens="a, b,a", **app | _app_key()), tmp_path)
    assert len(distinct) == 3
    assert all(set(identity.name) <= set("0123456789abcdef") and len(identity.name) == 12 for identity in distinct)


def _app_key() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"github_app_private_key": pem.decode().replace("\n", "\\n")}


def test_a_github_app_reads_with_its_installation_token(tmp_path: Path, warehouse: Warehouse) -> None:
    world = World()
    world.add_item(world.add_repo("o/r"), "PullRequest", 1, NOW, NOW)
    app: dict[str, Any] = {"github_app_id": "1", "github_app_installation_id": 5} | _app_key()
    with FakeGitHub(public_schema(), world, tokens={"installation"}) as fake:
        github = source(fake.url, tmp_path, SystemClock(), github_tokens="", **app)
        report = run(warehouse, github, [NOW.date()], ["o/r"])
    assert report.rows["pull_requests"] == 1


def test_a_bad_setting_beside_a_token_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", SECRET)
    monkeypatch.setenv("QC_BATCH_SIZE", "none")
    with pytest.raises(SettingsError, match="QC_BATCH_SIZE") as error:
        load_settings(source="github")
    assert SECRET not in str(error.value)
    monkeypatch.delenv("QC_BATCH_SIZE")
    assert SECRET not in repr(load_settings(source="github"))


@pytest.mark.slow
def test_a_token_appears_in_no_file_and_no_output(tmp_path: Path) -> None:
    world = World()
    yesterday = datetime.now() - timedelta(days=1)
    for name in ("o/good", "o/bad"):
        world.add_item(world.add_repo(name), "PullRequest", 1, yesterday, yesterday)
    shown: list[str] = []
    with FakeGitHub(public_schema(), world, tokens={SECRET}) as fake:
        bad = world.repos["o/bad"]["_pullRequests"][0]
        fake.engine.poison = {bad["id"]: {"title", "updatedAt"}}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QC_")} | {
            "GITHUB_TOKEN": f"{SECRET},ghp_Revok3dRevok3dRevok3d",
            "QC_SOURCE": "github",
            "QC_GITHUB_URL": fake.url,
            "QC_HOME": str(tmp_path / "home"),
            "QC_WAREHOUSE": str(tmp_path / "qc.duckdb"),
            "QC_GITHUB_FIRST_WAIT_S": "0",
            "QC_BATCH_RETRY_S": "0",
            "QC_START_DATE": str(date.today() - timedelta(days=3)),
        }
        day = str(yesterday.date())
        arguments = ["backfill", "--from", day, "--to", day, "--repos", "o/good,o/bad", "--debug"]
        for command in (arguments, ["doctor"], ["diff", "o/none#3", "--debug"], ["status"]):
            done = subprocess.run(
                [sys.executable, "-m", "qc_assets.cli", *command], env=environment, capture_output=True, text=True
            )
            shown += [done.stdout, done.stderr]
    assert "raw.pull_requests" in shown[0] and "repositories read: 1 of 2" in " ".join(shown[0].split()), shown[1]
    assert "404" in shown[5]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    for secret in (SECRET, "Revok3d"):
        assert not any(secret in text for text in shown)
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_discovery_keeps_what_satisfies_the_rules_with_the_reason(warehouse: Warehouse, tmp_path: Path) -> None:
    clock, world = VirtualClock(NOW), World()
    recent = stamp(NOW - timedelta(days=2))

    def add(name: str, stars: int, merged: int, **fields: Any) -> None:
        repo = world.add_repo(name, stargazerCount=stars, **({"pushedAt": recent} | fields))
        for number in range(merged):
            moment = NOW - timedelta(days=20)
            world.add_item(
                repo, "PullRequest", number + 1, moment, moment, state="MERGED", mergedAt=stamp(moment), closedAt=recent
            )

    add("o/busy", 5000, 30)
    add("o/popular", 9000, 25)
    add("o/slow", 7000, 3)
    add("o/small", 100, 30)
    add("o/fork", 8000, 30, isFork=True)
    add("o/archive", 8000, 30, isArchived=True)
    add("o/stale", 8000, 30, pushedAt=stamp(NOW - timedelta(days=200)))
    add("o/cobol", 8000, 30, primaryLanguage={"__typename": "Language", "name": "COBOL"})
    for n in range(1500):  # more than one search can show
        add(f"many/r{n}", 600 + n, 0)
    with pytest.raises(SourceError, match="qc discover"):
        selected(warehouse, "github.com")
    with FakeGitHub(public_schema(), world, clock=clock) as fake:
        settings = load_settings(source="github", home=tmp_path, discovery_languages="Python", discovery_repos=2)
        github = source(fake.url, tmp_path, clock)
        assert discover(warehouse, github, settings) == {"candidates": 200, "chosen": 2, "dropped": 0}
        assert selected(warehouse, github.traits.forge) == ("o/popular", "o/busy")
        wide = settings.model_copy(update={"discovery_repos": 5})
        assert discover(warehouse, github, wide)["candidates"] == 1503, "no candidate is lost between two ranges"
        reasons = dict(warehouse.query("SELECT name, selection_reason FROM raw.repositories").rows())
        assert reasons["o/slow"] == "7,000 stars, Python, pushed 2024-05-30, 3 merged in 90 days (20 needed)"
        assert "o/fork" not in reasons
        world.repos["o/busy"]["isArchived"] = True
        clock.sleep(86_400)
        assert discover(warehouse, github, settings)["dropped"] == 1
    assert selected(warehouse, github.traits.forge) == ("o/popular",)
    assert warehouse.query("SELECT count(*) FROM ops.ingest_log WHERE source = 'discovery'").item() == 2


def test_a_diff_is_read_up_to_a_limit(tmp_path: Path) -> None:
    world = World()
    moment = NOW - timedelta(days=1)
    pr = world.add_item(world.add_repo("o/r"), "PullRequest", 7, moment, moment)
    with FakeGitHub(public_schema(), world) as fake:
        client = source(fake.url, tmp_path, VirtualClock(NOW)).client
        assert read_diff(client, "o/r", 7, limit=1000).startswith("diff --git a/src/a.py")
        pr["_diff"] = "+x\n" * 1_000_000
        with pytest.raises(DiffTooLongError, match=r"o/r#7 is longer than 1,000 bytes; raise QC_MAX_DIFF_BYTES"):
            read_diff(client, "o/r", 7, limit=1000)
        with pytest.raises(RequestError, match="404"):
            read_diff(client, "o/r", 8, limit=1000)
        client.close()


def test_text_that_no_store_would_take_is_made_so() -> None:
    assert clean("a\x00b") == "a�b"
    assert clean("\ud83d alone, \ud83d\ude00 together") == "� alone, \U0001f600 together"
    assert clean(None) is None
