"""Days unattended on a simulated clock, with all that goes wrong meanwhile; `python -m benchmarks soak` is longer."""

from pathlib import Path

import pytest

from benchmarks.soak import Plan, differences, soak


@pytest.mark.slow
def test_days_with_faults_kills_a_full_disk_an_upgrade_and_a_clock_set_back_leave_no_trace(tmp_path: Path) -> None:
    plan = Plan(days=3, pull_requests=60, retrain_after=0, kills=0.5, seed=3)
    troubled, calm = soak(plan, tmp_path)
    assert sum(count for count, _ in calm.rows.values()) > 200
    assert differences(troubled, calm) == []
    assert troubled.kills > 0 and troubled.failures > 0 and calm.kills == calm.failures == 0
    assert troubled.temporary[-1] <= troubled.temporary[0] + 5
