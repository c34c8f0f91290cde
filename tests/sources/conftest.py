"""The clock of the GitHub source's tests."""

from datetime import datetime

import pytest

from qc_assets.sources.fake.fake_server import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    """It stands at a moment after all that the fakes know, and goes on where somebody sleeps."""
    return VirtualClock(datetime(2024, 6, 1))
