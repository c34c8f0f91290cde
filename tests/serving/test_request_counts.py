"""Budgets that servers share in a Redis, which may be away."""

import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from limits import parse
from pydantic import SecretStr

from deploy.local_servers import MissingServerError, RedisServer, free_port
from qc_assets.errors import SettingsError
from qc_assets.serving import request_counts
from qc_assets.serving.admission import Admission
from qc_assets.serving.request_counts import RequestCounts
from qc_assets.settings import Settings
from tests.serving.test_admission import ask

RATE = parse("3/hour")


def test_servers_with_one_redis_have_one_budget_and_while_it_is_away_each_its_own(
    make_settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_counts, "_LONGEST_WAIT_S", 2.0)  # a busy machine is not an absent server
    port = free_port()
    try:
        redis = RedisServer(tmp_path, port)
    except MissingServerError as error:
        pytest.skip(str(error))
    try:
        settings = make_settings(api_key="s3cret-key", api_counts=redis.url)
        first, second, other = Admission(settings), Admission(settings), Admission(make_settings(api_key="s3cret-key"))
        guesses = Counter(ask(each, x_api_key="wrong") for _ in range(15) for each in (first, second))
        assert guesses == {401: 20, 429: 10}, "twenty a minute, whoever is asked"
        assert ask(other, x_api_key="wrong") == 401, "it counts alone"
    finally:
        redis.stop()
    assert ask(first, x_api_key="wrong") == 401, "nobody waits for a Redis that is away"
    assert Counter(ask(first, x_api_key="wrong") for _ in range(30)) == {401: 19, 429: 11}, "and guesses stay limited"
    monkeypatch.setattr(request_counts, "_ALONE_S", 0.0)
    first._counts._alone_until = 0.0
    (tmp_path / "again").mkdir()
    again = RedisServer(tmp_path / "again", port)
    try:
        assert ask(first, x_api_key="wrong") == 401, "it counts with the others again, and this one has forgotten"
    finally:
        again.stop()


def test_a_redis_that_does_not_answer_costs_a_moment_and_not_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as mute:
        counts = RequestCounts(SecretStr(f"redis://127.0.0.1:{mute.getsockname()[1]}/0"))
        monkeypatch.setattr(request_counts.log, "warning", lambda text, kind, seconds: asked.append(kind))
        assert [counts.hit(RATE, "key", "a") for _ in range(5)] == [True, True, True, False, False]
        assert not counts.test(RATE, "key", "a")
    assert asked == ["TimeoutError"], "asked once, and then not for a while"


@pytest.mark.parametrize("url", ["http://host", "host:6379", "redis://host:port"])
def test_what_is_no_redis_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="QC_API_COUNTS is"):
        RequestCounts(SecretStr(url))
