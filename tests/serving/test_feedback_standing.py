"""Whose feedback counts: limits of a key and a day, of a key and a model, and keys that are not trusted any more."""

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.features.model_rows import model_rows
from qc_assets.learning.corrections import CORRECTED, CORRECTED_BY, SET_ASIDE, beyond_their_share, within_shares
from qc_assets.models.comment_category import SPEC as COMMENT_CATEGORY
from qc_assets.models.p0 import SPEC as P0
from qc_assets.serving.importing import bring_in
from qc_assets.serving.journal import Journal
from qc_assets.serving.keys import SHARED, KeyRing, distrust_key, keys_file, make_key, read_keys, revoke_key, trust_key
from qc_assets.settings import load_settings
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.serving.test_importing import given_feedback

DAY = datetime(2026, 2, 1)


def say(path: Path, *words: tuple[str, int, datetime], **changes: Any) -> None:
    """Feedback on open pull requests: by which key, about which one, received when."""
    with closing(Journal(path)) as journal:
        for key, number, at in words:
            identity = f"{key} {number} {at.isoformat()} {changes.get('label', '')}"
            document = given_feedback(identity, "passed", at.isoformat(), number=number, received_key=key) | changes
            journal.write("feedback", document, written_at=at.isoformat(), key=identity)


def aside(store: Warehouse) -> dict[str, int]:
    rows = store.query("SELECT coalesce(set_aside, 'counts'), count(*) FROM ml.feedback GROUP BY ALL").rows()
    return dict(rows)


@pytest.fixture
def opened(warehouse: Warehouse) -> Warehouse:
    """Three pull requests that GitHub has no word on, and a fourth that was merged."""
    rows = [histories.pull_request(number, number) for number in (1, 2, 3)]
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": [*rows, histories.pull_request(4, 4, merged=30)]})
        histories.cover(connection)
    return warehouse


def labels(store: Warehouse) -> dict[int, Any]:
    store.rebuild("features/pull_requests", load_settings().feature_parameters("pull_requests"))
    return dict(model_rows(store, P0, is_synthetic=False).select("number", "passed").sort("number").iter_rows())


def test_a_key_gives_so_many_labels_a_day_and_the_rest_is_kept_and_does_not_count(
    opened: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    hours = [DAY + timedelta(hours=hour) for hour in range(3)]
    say(path, *(("eve", number, at) for number, at in zip((1, 2, 3), hours, strict=True)))
    say(path, ("amy", 3, DAY), label="failed")
    say(path, ("eve", 4, DAY), kind="override", label="careful_review")
    bring_in(opened, path, keep_days=9, feedback_per_day=2)
    assert aside(opened) == {"counts": 4, "over_daily_limit": 1}
    assert labels(opened) == {1: True, 2: True, 3: False, 4: True}
    (row,) = opened.sql_file("ml/feedback", section="givers").filter(received_key="eve").to_dicts()
    assert (row["given"], row["counting"], row["over_daily_limit"]) == (4, 3, 1)
    # The next day it may give more; what is over the limit confirms nobody either.
    say(path, ("eve", 3, DAY + timedelta(days=1)))
    bring_in(opened, path, keep_days=9, feedback_per_day=2)
    assert aside(opened) == {"counts": 5, "over_daily_limit": 1}
    # Whoever raises the limit has all of it back.
    bring_in(opened, path, keep_days=9, feedback_per_day=3)
    assert aside(opened) == {"counts": 6}


def test_what_is_over_the_limit_confirms_nothing(opened: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for key in ("eve", "mallory"):
        say(path, (key, 1, DAY), (key, 4, DAY + timedelta(hours=1)), label="failed")
    bring_in(opened, path, keep_days=9, feedback_per_day=2)
    assert labels(opened)[4] is False, "two keys say so"
    bring_in(opened, path, keep_days=9, feedback_per_day=1)
    assert labels(opened)[4] is True


@settings(max_examples=25, deadline=None)
@given(
    words=st.lists(st.tuples(st.sampled_from(["", "eve", "amy"]), st.integers(0, 50)), max_size=40),
    limit=st.integers(0, 5),
)
def test_no_key_ever_has_more_than_its_limit_of_a_day_and_nothing_is_lost(
    words: list[tuple[str, int]], limit: int
) -> None:
    from qc_assets.serving.feedback_standing import judge_feedback

    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA ml; CREATE TABLE ml.feedback (feedback_id VARCHAR PRIMARY KEY, kind VARCHAR, "
            "received_key VARCHAR, received_at TIMESTAMP, arrival BIGINT, set_aside VARCHAR)"
        )
        for place, (key, hour) in enumerate(words):
            row = [f"f{place}", key or None, DAY + timedelta(hours=hour), place]
            connection.execute("INSERT INTO ml.feedback VALUES ($1, 'outcome', $2, $3, $4, NULL)", row)
        judge_feedback(connection, limit, {})
        counted = connection.execute(
            "SELECT coalesce(received_key, ''), received_at::DATE, count(*) FILTER (set_aside IS NULL), count(*) "
            "FROM ml.feedback GROUP BY ALL"
        ).fetchall()
    assert all(counts == min(limit, given_in_all) for _, _, counts, given_in_all in counted)
    assert sum(row[3] for row in counted) == len(words)


def test_feedback_of_a_key_that_is_distrusted_counts_no_more_from_a_date_and_stays(
    opened: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    keys = keys_file(path)
    make_key(keys, "eve", ["feedback"])
    say(path, ("eve", 1, DAY), ("eve", 2, DAY + timedelta(days=2)), ("amy", 3, DAY))
    bring_in(opened, path, keep_days=9)
    assert labels(opened) == {1: True, 2: True, 3: True, 4: True}
    revoke_key(keys, "eve")
    bring_in(opened, path, keep_days=9)
    assert aside(opened) == {"counts": 3}, "revoked is not distrusted"
    distrust_key(keys, "eve", DAY + timedelta(days=1))
    bring_in(opened, path, keep_days=9)
    assert aside(opened) == {"counts": 2, "distrusted": 1} and labels(opened) == {1: True, 2: None, 3: True, 4: True}
    distrust_key(keys, "eve")
    bring_in(opened, path, keep_days=9)
    assert aside(opened) == {"counts": 1, "distrusted": 2}
    trust_key(keys, "eve")
    bring_in(opened, path, keep_days=9)
    assert aside(opened) == {"counts": 3} and read_keys(keys)["eve"].revoked_at, "revoked it stays"


def test_the_shared_key_is_distrusted_up_to_now_and_a_new_one_in_its_place_counts(
    opened: Warehouse, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    say(path, (SHARED, 1, DAY))
    distrust_key(keys_file(path), SHARED)
    say(path, (SHARED, 2, now_utc() + timedelta(minutes=1)))
    bring_in(opened, path, keep_days=9)
    assert labels(opened) == {1: None, 2: True, 3: None, 4: True}
    ring = KeyRing(keys_file(path), None)
    ring.refresh()
    assert ring.owner_of(b"") is None and ring.owner_of(SHARED.encode()) is None, "the entry opens nothing"
    with pytest.raises(QcError, match="in the future"):
        distrust_key(keys_file(path), SHARED, now_utc() + timedelta(days=1))
    with pytest.raises(QcError, match="no key 'nobody'"):
        distrust_key(keys_file(path), "nobody")


def corrected(by: dict[str, int], others: int) -> pl.DataFrame:
    rows = [(key, place) for key, count in by.items() for place in range(count)] + [(None, 0)] * others
    return pl.DataFrame(
        {
            "repo_id": [1] * len(rows),
            "number": range(len(rows)),
            "passed": [True] * len(rows),
            CORRECTED: [key is not None for key, _ in rows],
            CORRECTED_BY: [key for key, _ in rows],
            "arrival": [place for _, place in rows],
        }
    )


@settings(max_examples=50, deadline=None)
@given(
    eve=st.integers(0, 80),
    amy=st.integers(0, 80),
    others=st.integers(0, 900),
    share=st.sampled_from([0.0, 0.02, 0.1, 1]),
)
def test_no_key_is_the_label_of_more_than_its_share(eve: int, amy: int, others: int, share: float) -> None:
    rows = corrected({"eve": eve, "amy": amy}, others)
    bounded = beyond_their_share(rows, P0, share)
    most = max(10, int(share * len(rows)))
    for key, given_in_all in (("eve", eve), ("amy", amy)):
        own = bounded.filter(pl.col(CORRECTED_BY) == key)
        trained = own.filter(pl.col("passed").is_not_null())
        assert len(trained) == min(given_in_all, most) == own[CORRECTED].sum()
        assert trained["arrival"].sort().to_list() == list(range(len(trained))), "the first that came"
    assert bounded.filter(pl.col(CORRECTED_BY).is_null())["passed"].null_count() == 0
    assert bounded[SET_ASIDE].sum() == max(0, eve - most) + max(0, amy - most)


def test_what_is_beyond_a_share_is_told_by_key_and_only_where_the_platform_could_say_it() -> None:
    rows = corrected({"eve": 30, "": 11}, 100)
    gate = within_shares(beyond_their_share(rows, P0, 0.02))
    assert gate.passed is False and not gate.blocks
    assert gate.detail == "labels that are not trained on, by key: eve: 20, without a key: 1"
    categories = rows.rename({"passed": COMMENT_CATEGORY.target, "number": "comment_id"})
    assert within_shares(beyond_their_share(categories, COMMENT_CATEGORY, 0.02)).passed
