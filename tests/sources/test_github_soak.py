"""Two hundred repositories for a month, with faults: nothing lost, memory flat."""

import pytest

from benchmarks.github import soak
from tests.github_runs import public_schema


@pytest.mark.slow
def test_a_month_of_two_hundred_repositories_with_faults_loses_no_row_and_memory_stays_flat() -> None:
    public_schema()
    lost, start, end = soak(repos=200, prs=6, days=30)
    assert lost == 0
    assert end < start + 150, "MiB"
