"""Who is let in: by the peer and not by what it says, by keys that cannot be guessed, within rights and budgets."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from qc_assets.errors import QcError, SettingsError
from qc_assets.serving import journal_reader
from qc_assets.serving.admission import Admission, Refused
from qc_assets.serving.keys import KeyRing, keys_file, make_key, read_keys, revoke_key
from qc_assets.settings import Settings, load_settings

Make = Callable[..., Settings]


def ask(
    admission: Admission, path: str = "/model/info", method: str = "GET", peer: str = "127.0.0.1", **headers: str
) -> Any:
    """The caller, or the status of the refusal."""
    sent = {"host": "127.0.0.1:8000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    listed = [(name.encode(), value.encode()) for name, value in sent.items()]
    scope = {"type": "http", "path": path, "method": method, "client": (peer, 1) if peer else None, "headers": listed}
    try:
        return admission.admit(scope)
    except Refused as refused:
        return refused.status


@pytest.mark.parametrize(("peer", "headers", "is_in"), [
    ("127.0.0.1", {}, True), ("::1", {}, True), ("", {}, True), ("10.0.0.7", {}, False), ("8.8.8.8", {}, False),
    ("127.0.0.1", {"x_forwarded_for": "8.8.8.8"}, False), ("127.0.0.1", {"forwarded": "for=8.8.8.8"}, False),
    ("127.0.0.1", {"x_real_ip": "8.8.8.8"}, False), ("127.0.0.1", {"via": "1.1 proxy"}, False),
    ("127.0.0.1", {"cf_connecting_ip": "8.8.8.8"}, False), ("127.0.0.1", {"x_forwarded_proto": "https"}, False),
    ("8.8.8.8", {"x_forwarded_for": "127.0.0.1"}, False),
    ("::ffff:127.0.0.1", {}, True), ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}, False),
    ("127.0.0.1", {"host": "evil.example"}, False),
])  # fmt: skip
def test_without_keys_only_this_machine_by_its_address(
    make_settings: Make, peer: str, headers: dict[str, str], is_in: bool
) -> None:
    answer = ask(Admission(make_settings()), peer=peer, **headers)
    assert (answer != 403) == is_in, answer
    assert (ask(Admission(make_settings()), "/health", peer=peer, **headers) != 403) == is_in


@pytest.mark.parametrize(("peer", "named", "address"), [
    ("10.0.0.7", "8.8.8.8", "8.8.8.8"), ("10.0.0.7", "1.1.1.1, 8.8.8.8", "8.8.8.8"),
    ("10.0.0.7", "8.8.8.8, 10.0.0.9", "8.8.8.8"), ("10.0.0.7", "nonsense", "unknown"), ("10.0.0.7", "", "unknown"),
    ("10.0.0.7", "8.8.8.8:4711", "8.8.8.8"), ("10.0.0.7", "[2001:db8::1]:4711", "2001:db8::1"),
    ("10.0.0.7", "::ffff:8.8.8.8", "8.8.8.8"), ("10.0.0.7", "8.8.8.8, ::ffff:10.0.0.9", "8.8.8.8"),
    ("10.0.0.7", "8.8.8.8, 10.0.0.9:80", "8.8.8.8"), ("10.0.0.7", "010.0.0.1", "unknown"),
    ("10.9.0.7", "8.8.8.8", "10.9.0.7"), ("9.9.9.9", "127.0.0.1", "9.9.9.9"),
])  # fmt: skip
def test_only_a_proxy_that_is_named_is_believed(make_settings: Make, peer: str, named: str, address: str) -> None:
    settings = make_settings(api_key="s3cret-key", trusted_proxies="10.0.0.0/24")
    caller = ask(Admission(settings), peer=peer, x_forwarded_for=named, x_api_key="s3cret-key")
    assert caller.address == address and caller.key == "QC_API_KEY"
    keyless = Admission(make_settings(trusted_proxies="10.0.0.0/24"))
    assert ask(keyless, peer=peer, x_forwarded_for=named) == 403
    assert ask(keyless, peer="10.0.0.7") == 403, "whom it stands before is not known"
    with pytest.raises(SettingsError, match="QC_TRUSTED_PROXIES"):
        load_settings(trusted_proxies="everybody")


def test_wrong_keys_are_limited_before_they_are_compared(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(KeyRing, "owner_of", lambda ring, key: compared.append(key))
    admission = Admission(make_settings(api_key="s3cret-key"))
    guesses = Counter(ask(admission, x_api_key=f"guess{n}", x_forwarded_for=f"10.0.0.{n}") for n in range(200))
    assert guesses == {401: 20, 429: 180} and len(compared) == 20
    assert Counter(ask(admission, peer=f"2001:db8::{n:x}", x_api_key="x") for n in range(1, 31)) == {401: 20, 429: 10}
    assert ask(admission, peer="10.0.0.8", x_api_key="other") == 401, "another address has its own"
    assert ask(admission, "/health") != 429


def test_several_keys_in_one_request_are_no_guesses(make_settings: Make) -> None:
    admission = Admission(make_settings(api_key="s3cret-key"))
    assert ask(admission, x_api_key="s3cret-key", authorization="Bearer guess") == 401
    assert ask(admission, authorization="Bearer s3cret-key").key == "QC_API_KEY"


def test_budgets_are_per_key_and_health_has_its_own(make_settings: Make) -> None:
    settings = make_settings(api_key="s3cret-key", api_rate="5/hour")
    other = make_key(keys_file(settings.journal_file), "other", ["predict"])
    admission = Admission(settings)
    statuses = [ask(admission, peer=f"10.0.0.{n}", x_api_key="s3cret-key") for n in range(7)]
    assert statuses[5:] == [429, 429] and 429 not in statuses[:5], "whatever the address"
    assert ask(admission, x_api_key=other).key == "other"
    assert [ask(admission, "/health") == 429 for _ in range(6)] == [False] * 5 + [True]
    assert ask(admission, "/webhook/github", "POST") != 429


def test_budgets_that_have_expired_are_forgotten_and_cost_no_thread(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    admission = Admission(make_settings(api_key="s3cret-key", api_rate="3/minute"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: pytest.fail("a thread was started"))
    now, counts = time.time(), admission._counts._own.storage.expirations  # type: ignore[attr-defined]
    for n in range(3_000):
        monkeypatch.setattr(time, "time", lambda n=n: now + n)
        assert ask(admission, "/health", peer=f"10.0.{n // 250}.{n % 250}") != 429
    assert len(counts) <= 1_001
    assert [ask(admission, "/health", peer="10.1.1.1") == 429 for _ in range(4)] == [False, False, False, True]
    monkeypatch.setattr(time, "time", lambda: now + 3_100)
    assert ask(admission, "/health", peer="10.1.1.1") != 429


def test_a_key_may_do_what_it_was_made_for(make_settings: Make) -> None:
    settings = make_settings()
    path = keys_file(settings.journal_file)
    keys = {right: make_key(path, right, [right]) for right in ("predict", "feedback", "payout", "settle", "admin")}
    admission = Admission(settings)
    for method, url, allowed in (
        ("POST", "/predict", "predict"), ("POST", "/predict/batch", "predict"), ("GET", "/", "predict"),
        ("POST", "/classify/comment", "predict"), ("POST", "/", "predict"), ("POST", "/feedback", "feedback"),
        ("POST", "/payout", "payout"),
        ("GET", "/payouts", "payout settle"), ("GET", "/payouts/x", "payout settle"),
        ("POST", "/payouts/x/appeal", "feedback payout settle"), ("POST", "/something/new", ""),
        ("GET", "/model/info", "predict feedback payout settle"),
    ):  # fmt: skip
        for right, key in keys.items():
            is_in = ask(admission, url, method, x_api_key=key) != 403
            assert is_in == (right in allowed.split() or right == "admin"), (method, url, right)
    assert ask(admission, peer="8.8.8.8", host="qc.example.org", x_api_key=keys["predict"]).key == "predict"


def test_keys_are_stored_as_hashes_and_revoked_at_once(make_settings: Make, tmp_path: Path) -> None:
    settings = make_settings()
    path = keys_file(settings.journal_file)
    admission = Admission(settings)
    assert ask(admission).key is None
    key = make_key(path, "ci", ["predict", "payout"])
    assert key not in path.read_text() and path.stat().st_mode & 0o777 == 0o600
    assert ask(admission) == 401 and ask(admission, x_api_key=key).key == "ci"
    for name in ("ci", "CI", " ci", "QC_API_KEY", "QC_API_key", "qc_Webhook_Secret"):
        with pytest.raises(QcError, match=r"there is, or was, a key|names with QC_"):
            make_key(path, name, ["predict"])
    for name, rights in (("x", []), ("x", ["all"]), ("c\u0456", ["predict"]), ("", ["predict"])):
        with pytest.raises(QcError, match=r"no right|the name of a key"):
            make_key(path, name, rights)
    revoke_key(path, "ci")
    assert ask(admission, x_api_key=key) == 401 and ask(admission) == 401, "closed, once there were keys"
    assert read_keys(path)["ci"].revoked_at
    with pytest.raises(QcError, match="there is no key 'other'"):
        revoke_key(path, "other")
    path.unlink()
    assert ask(admission) == 401, "a file that vanished opens nothing"
    path.write_text("{")
    assert ask(admission) == 503
    assert KeyRing(tmp_path / "none.json", SecretStr("s3cret-key")).is_needed


def test_no_get_writes_anything_down(api: TestClient, serving_settings: Settings) -> None:
    api.app.state.serving.journal.flush()  # type: ignore[attr-defined]
    (before,) = journal_reader.latest(
        serving_settings.journal_file, ["prediction", "payout", "feedback", "outcome"], 1
    ) or [{"number": 0}]
    asked = {"worker_id": "csrf-was-here", "task_id": "acme/atlas#7", "lines_changed": "1", "files_changed": "1"}
    for path in api.get("/openapi.json").json()["paths"]:
        for query in (asked | {"title_length": "1", "value": "1"}, {}):
            api.get(path.replace("{identity}", "x"), params=query)
    api.app.state.serving.journal.flush()  # type: ignore[attr-defined]
    entries = journal_reader.entries_where(serving_settings.journal_file, "number > ?", [before["number"]])
    assert entries == []
