"""One journal for many servers: nothing is paid twice, no late commit is lost, a lost database comes back."""

import logging
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from qc_assets.cli.aftermath import examine_aftermath
from qc_assets.errors import SettingsError
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.serving.journal_reader import broken_links, count_lost, entries_after, missing_entries
from qc_assets.serving.payout_audit import audit_payouts
from qc_assets.serving.service import Serving
from qc_assets.settings import Settings
from qc_assets.shared_database import AlreadyWrittenError, SharedConnection, SharedDatabase, SharedDatabaseError
from qc_assets.store.warehouse import Warehouse
from tests.cluster.postgres import running_postgres
from tests.conftest import copy_of
from tests.killed_writers import accepted_until_killed
from tests.serving.test_importing import paid, prediction
from tests.serving.test_serving_server import server

NOW = "2026-01-01T00:00:00"


def wait_until(condition: Callable[[], bool], patience_s: float = 20) -> None:
    deadline = time.monotonic() + patience_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.mark.parametrize("takes_turns", [True, False], ids=["as it is", "without turns, to see that this test sees it"])
def test_a_late_commit_is_not_lost_to_the_importer(
    warehouse: Warehouse, shared: SharedDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes_turns: bool
) -> None:
    """Two open transactions: the one whose number is smaller commits last."""
    first, second = (Journal(shared, counters=tmp_path / name) for name in ("a", "b"))
    if not takes_turns:
        monkeypatch.setattr(SharedConnection, "hold", lambda connection, lock: None)
    late = threading.Thread(target=second.write, args=("prediction", prediction(2)), kwargs={"written_at": NOW})
    with first._engine.writing([], 1) as batch:
        batch.append("prediction", None, NOW, first._text(prediction(1)))
        late.start()
        late.join(0.5)
        assert late.is_alive() == takes_turns
        before = bring_in(warehouse, shared, keep_days=9_000).predictions
    late.join()
    after = bring_in(warehouse, shared, keep_days=9_000).predictions
    assert (before, after) == ((0, 2) if takes_turns else (1, 0))
    first.close()
    second.close()


def test_writers_in_many_threads_and_an_importer_meanwhile(
    warehouse: Warehouse, shared: SharedDatabase, tmp_path: Path
) -> None:
    journals = [Journal(shared, counters=tmp_path / "accepted") for _ in range(4)]

    def write(number: int) -> None:
        journal = journals[number % 4]
        journal.record("prediction", [prediction(number)], written_at=NOW)
        if number % 3 == 0:
            journal.write("payout", paid(task_id=f"a/b#{number}", number=number, id=f"p{number}"), written_at=NOW)

    with ThreadPoolExecutor(8) as pool:
        writing = pool.map(write, range(120))
        brought = Counter[str]()
        for _ in range(10):
            imported = bring_in(warehouse, shared, keep_days=9_000)
            brought.update(predictions=imported.predictions, payouts=imported.payouts)
        list(writing)
    for journal in journals:
        journal.close()
    imported = bring_in(warehouse, shared, keep_days=9_000)
    brought.update(predictions=imported.predictions, payouts=imported.payouts)
    assert brought == {"predictions": 120, "payouts": 40} and broken_links(shared) == []
    assert warehouse.query("SELECT count(DISTINCT number) FROM ml.predictions").item() == 120


def test_the_tables_refuse_what_must_not_be_whatever_the_servers_think(shared: SharedDatabase, tmp_path: Path) -> None:
    """As after a turn that was lost with its connection."""
    with closing(Journal(shared, counters=tmp_path)) as journal:
        journal.write("payout", paid(id="a", task_id="A/b#1", repo_id=7), written_at=NOW, key="a")
        journal.write("payout", paid(id="r", task_id="a/b#1", repo_id=7, refused="no", d1=None), written_at=NOW)
        journal.write("payout", paid(id="b", task_id="a/b#1", repo_id=7, replaces="a"), written_at=NOW, key="b")
        for again in (
            paid(id="c", task_id="a/B#1", repo_id=0),
            paid(id="c", task_id="a/renamed#1", repo_id=7),
            paid(id="c", task_id="a/b#1", repo_id=7, replaces="a"),
        ):
            with pytest.raises(AlreadyWrittenError, match="another machine has just written that"):
                journal.write("payout", again, written_at=NOW, key="c")
        journal.write("payout", paid(id="c", task_id="a/b#2", repo_id=7, number=2), written_at=NOW, key="c")
    paid_for = [entry["document"]["id"] for entry in entries_after(shared, 0, ["payout"])]
    assert paid_for == ["a", "r", "b", "c"] and broken_links(shared) == []


def test_a_lost_database_refuses_payouts_keeps_predictions_and_comes_back(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        shared = SharedDatabase(SecretStr(postgres.url("qc")))
        with closing(Journal(shared, counters=tmp_path)) as journal:
            journal.write("payout", paid(id="a", number=1), written_at=NOW, key="a")
            postgres.stop("immediate")
            with pytest.raises(SharedDatabaseError, match=r"refused|closed|terminat"), journal.paying():
                pytest.fail("nobody is paid")
            for number in range(3):
                journal.record("prediction", [{"n": number}], written_at=NOW)
            with pytest.raises(SharedDatabaseError):
                journal.write("payout", paid(id="b", task_id="a/b#2", number=2), written_at=NOW, key="b")
            wait_until(lambda: bool(journal.trouble))
            assert journal.waiting == 3 and postgres.password not in journal.trouble
            postgres.start()
            wait_until(lambda: journal.waiting == 0 and not journal.trouble)
            with journal.paying():
                journal.write("payout", paid(id="b", task_id="a/b#2", number=2), written_at=NOW, key="b")
        entries = entries_after(shared, 0, ["prediction", "payout"])
        assert [entry["document"].get("id", entry["document"].get("n")) for entry in entries] == ["a", 0, 1, 2, "b"]
        assert broken_links(shared) == [] and count_lost(shared) == 0


def test_a_commit_whose_answer_was_lost_is_not_written_twice(shared: SharedDatabase, tmp_path: Path) -> None:
    with closing(Journal(shared, counters=tmp_path)) as journal:
        with journal._disk:
            journal.record("prediction", [{"n": 1}, {"n": 2}], written_at=NOW)
            waiting = journal._what_waits()
            with journal._engine.writing(waiting, 3) as batch:
                batch.put(waiting)
            journal.record("prediction", [{"n": 3}], written_at=NOW)
        journal.flush()
        assert journal.waiting == 0
    assert [entry["document"]["n"] for entry in entries_after(shared, 0, ["prediction"])] == [1, 2, 3]


def test_a_database_of_before_positions_goes_on_and_counts_from_then(shared_url: str, tmp_path: Path) -> None:
    before, shared = (SharedDatabase(SecretStr(shared_url)) for _ in range(2))
    with closing(Journal(before, counters=tmp_path)) as journal:
        journal.write("payout", paid(), written_at=NOW)
    with before.transaction() as connection:
        connection.execute("ALTER TABLE entries DROP COLUMN position")
        connection.execute("DROP TABLE tail")
    with closing(Journal(shared, counters=tmp_path)) as journal:
        journal.write("payout", paid(task_id="a/b#2", number=2), written_at=NOW)
        journal.write("payout", paid(task_id="a/b#3", number=3), written_at=NOW)
    assert missing_entries(shared, 0) == []
    with shared.transaction() as connection:
        connection.execute("DELETE FROM entries WHERE position IS NOT NULL")
    assert missing_entries(shared, 0) == [(1, 2)]


def record_until_killed(url: str, counters: Path, told: "multiprocessing.Queue[int]") -> None:
    journal, number = Journal(SharedDatabase(SecretStr(url)), counters=counters), 0
    while True:
        journal.record("prediction", [{"n": number + place} for place in range(50)], written_at=NOW)
        number += 50
        told.put(number)
        time.sleep(0.005)


def test_kill_9_loses_at_most_the_last_moments_and_they_are_counted(shared_url: str, tmp_path: Path) -> None:
    accepted = accepted_until_killed(record_until_killed, shared_url, tmp_path)
    shared = SharedDatabase(SecretStr(shared_url))
    written = len(entries_after(shared, 0, ["prediction"]))
    with closing(Journal(shared, counters=tmp_path)) as beside, closing(Journal(shared, counters=tmp_path)) as again:
        assert written + beside.lost >= accepted and beside.lost < 3_000
        assert again.lost == 0, "a loss is reported once, and a server that lives has lost nothing"
        assert count_lost(shared) == beside.lost
    assert Journal(shared, counters=tmp_path).lost == 0


def test_no_password_is_shown(
    shared_url: str, make_settings: Callable[..., Settings], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = shared_url.partition("//")[2].partition("@")[0].partition(":")[2]
    settings = make_settings(journal=shared_url)
    (finding,) = [found for found in examine_aftermath(settings) if found.what == "journal"]
    assert finding.ok and "/test_" in finding.detail and "0 predictions were lost" in finding.detail
    wrong = shared_url.replace(secret, "wrong-secret")
    with pytest.raises(SharedDatabaseError, match="authentication failed") as refused:
        Journal(SharedDatabase(SecretStr(wrong)), counters=tmp_path)
    with pytest.raises(SharedDatabaseError, match="refused") as nobody:
        Journal(
            SharedDatabase(SecretStr("postgresql://qc:wrong-secret@127.0.0.1:1/qc?password=wrong-secret")),
            counters=tmp_path,
        )
    with pytest.raises(SettingsError, match=r"write postgresql://host:5432/database") as bad:
        make_settings(journal="mysql://qc:wrong-secret@host/qc")
    for text in ("postgresql://qc:wro@wrong-secret/x@host/qc", "postgresql://qc:1/wrong-secret@host/qc"):
        with pytest.raises(SettingsError, match=r"%40 for an @ in it") as unescaped:
            make_settings(journal=text)
        assert "wrong" not in str(unescaped.value)
    shown = [repr(settings), str(settings.journal_place), repr(settings.journal_place), finding.detail, caplog.text]
    for text in (*shown, str(refused.value), str(nobody.value), str(bad.value)):
        assert secret not in text and "wrong-secret" not in text


def test_what_github_told_one_server_the_others_hear(small_home: Settings, shared_url: str, tmp_path: Path) -> None:
    settings = copy_of(small_home, tmp_path).model_copy(update={"journal": SecretStr(shared_url)})
    facts = {"updated_at": "2026-01-02T00:00:00", "draft": False, "closed_at": None}
    delivery = {"features": {"commits": 3}, "repo_id": 7, "number": 1, "facts": facts, "author_id": 5}
    delivery |= {"author_login": "Amy", "opened_at": NOW}
    with closing(Serving(settings)) as serving, closing(Journal(serving.journal.place, counters=tmp_path)) as other:
        serving.refresh_champions()
        assert serving.delivered.of(7, 1) is None
        other.write("delivery", delivery, written_at=NOW, key="content")
        serving.refresh_champions()
        heard = serving.delivered.of(7, 1)
        assert heard is not None and heard.author == "amy" and heard.features == {"commits": 3}


@pytest.mark.slow
def test_three_servers_pay_each_of_fifty_tasks_once(small_home: Settings, shared_url: str, tmp_path: Path) -> None:
    """1,200 requests by 24 threads, each server with a home of its own: another machine."""
    homes = [copy_of(small_home, tmp_path / name) for name in "abc" if (tmp_path / name).mkdir() is None]
    for home in homes:  # the small model has too few rows to keep all that it promises
        with Warehouse.from_settings(home).write() as connection:
            connection.execute("UPDATE ml.gates SET passed = true")
    variables = {
        "QC_JOURNAL": shared_url,
        "QC_PAYOUT_CLAIMS": "flag",
        "QC_SOURCE": "demo",
        "QC_MODEL_MAX_AGE_DAYS": "9999",
    }
    facts = {"worker_id": "amy", "lines_changed": 120, "files_changed": 3, "title_length": 40}

    def ask(client: Any, number: int) -> tuple[int, str]:
        order = {"facts": facts | {"task_id": f"far/away#{number}"}, "value": "1000", "allow_uncertain": True}
        answer = client.post("/payout", json=order | {"payout_id": f"order-{number}"})
        return answer.status_code, answer.json().get("id", answer.text)

    with ExitStack() as servers, ThreadPoolExecutor(24) as pool:
        clients = [servers.enter_context(server(home, tmp_path / "server.log", **variables))[1] for home in homes]
        orders = [(clients[place % 3], place // 24 % 50 + 1) for place in range(1_200)]
        answers = list(pool.map(lambda order: ask(*order), orders))
        # Whoever comes with another identity for the same task is refused, by whichever server.
        order = {"facts": facts | {"task_id": "far/away#7"}, "value": "1000", "allow_uncertain": True}
        others = {
            client.post("/payout", json=order | {"payout_id": f"other-{place}"}).status_code
            for place, client in enumerate(clients)
        }
        assert others == {409}
        shown = clients[2].get("/payouts/order-1").json()
        assert shown["task_id"] == "far/away#1"
    assert Counter(answers) == {(200, f"order-{number}"): 24 for number in range(1, 51)}, (
        tmp_path / "server.log"
    ).read_text()
    shared = SharedDatabase(SecretStr(shared_url))
    payments = [entry for entry in entries_after(shared, 0, ["payout"]) if entry["document"]["refused"] is None]
    assert len(payments) == 50 and broken_links(shared) == []
    store = Warehouse.from_settings(homes[0])
    bring_in(store, shared, keep_days=90)
    audit = audit_payouts(store, Registry.from_settings(homes[0]), shared)
    assert audit.payments == 50 and audit.troubles == ()
    password = shared_url.partition("//qc:")[2].partition("@")[0]
    assert password not in (tmp_path / "server.log").read_text()
