"""The present, and instants of others, as the warehouse has them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from qc_assets.clock import SystemClock, naive_utc, now_utc, parse_instant


def test_now_is_naive_utc():
    before = datetime.now(UTC).replace(tzinfo=None)
    instants = [now_utc(), SystemClock().now()]
    assert all(before <= instant <= before + timedelta(minutes=1) for instant in instants)


def test_instants_of_others_become_utc():
    assert parse_instant("2024-05-01T12:00:00+02:00") == datetime(2024, 5, 1, 10)
    assert naive_utc(datetime(2024, 5, 1, 12)) == datetime(2024, 5, 1, 12)
    with pytest.raises(ValueError, match="calendar"):
        naive_utc(datetime.min.replace(tzinfo=timezone(timedelta(hours=2))))
