"""Months unattended, in half an hour: every process has a simulated clock, and things go wrong.

`python -m benchmarks soak [DAYS]`. A fake GitHub grows day by day (`growing_world`). Each morning the schedules
`daily_ingest` and `daily_revisits` and the sensor `retraining` are asked, as Dagster's daemon does, and what they ask
for runs in a process of its own; then `scoring`; and an API server answers all the while. One request in twenty fails,
one process in ten is killed at a random moment and started again, for an hour no file can grow, the warehouse's schema
is upgraded in the middle, and the clock is set back by a day once.

The rival is the same simulation without any of that: rows, predictions and the champion have to be the same.
The clock is libfaketime's, preloaded into every process; it runs ahead of the real one, so that files age.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.growing_world import world_until
from benchmarks.simulated_clock import SimulatedClock
from benchmarks.soak_processes import KEY, ServerProcess, StepHost
from qc_assets.sources.fake.fake_server import FakeGitHub
from qc_assets.sources.fake.github_schema import load_schema

_TRIES = 25


@dataclass
class Outcome:
    """What is left at the end.

    Attributes:
        rows: hash of the raw tables' rows, by table, with their count.
        champion: what the champion of p0 answers for every pull request, rounded; empty if there is none.
        unfinished: runs that Dagster still takes for running.
        answered, missing: predictions that the server answered, and those of them the warehouse lacks.
        kills, failures: processes that were killed, and that ended with an error of their own.
        server_mib: memory of the server after the first tenth of the days and at the end.
        temporary: files in staging and in the system's temporary folder, after the first tenth and at the end.
    """

    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    champion: list[float] = field(default_factory=list)
    unfinished: int = 0
    answered: int = 0
    missing: int = 0
    kills: int = 0
    failures: int = 0
    server_mib: list[float] = field(default_factory=list)
    temporary: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How long, how much, and what goes wrong.

    Attributes:
        pull_requests: opened in all.
        retrain_after: days that start a retraining; 0 for none.
        faults: share of requests that GitHub fails; 0 for a calm run, in which nothing else goes wrong either.
        kills: share of processes that are killed.
    """

    days: int
    pull_requests: int
    retrain_after: int
    faults: float = 0.05
    kills: float = 0.1
    seed: int = 0

    @property
    def calm(self) -> "Plan":
        """The same days, on which nothing goes wrong."""
        return replace(self, faults=0.0, kills=0.0)


class Simulation:
    """One home that lives through the days of a plan."""

    def __init__(self, plan: Plan, folder: Path, tell: Callable[[str], None]) -> None:
        from qc_assets.sources.fake.demo_on_github import from_demo

        self.plan, self.folder, self.tell = plan, folder, tell
        folder.mkdir(parents=True)
        (folder / "tmp").mkdir()
        self.random = random.Random(plan.seed)
        self.clock = SimulatedClock(folder / "clock")
        self.first = datetime.now(UTC).date()
        self.whole = from_demo(plan.pull_requests, plan.days, self.first, 7)
        self.outcome = Outcome()
        self.log = (folder / "log").open("ab")

    def run(self) -> Outcome:
        """Live through all days, and look at what is left."""
        fake = FakeGitHub(
            load_schema(), self.whole, clock=self.clock, fault_rate=self.plan.faults, seed=self.plan.seed, points=None,
            limited_s=6,
        )  # fmt: skip
        measured = self.folder / "outcome.json"
        with fake, self.log:
            self._set_up(fake.url)
            server = ServerProcess(self.environment, self.log)
            self.steps = StepHost(self.environment, self.log)
            for number in range(self.plan.days):
                self._morning(fake, number, server)
            server.stop()
            self.outcome.answered = len(server.answered)
            self.outcome.kills += server.kills
            if server.answered:
                self._until_done("scoring")  # brings in the last answers
            if self.steps.run(["outcome", str(measured), json.dumps(server.answered)]) != 0:
                raise SystemExit(f"what is left cannot be read: see {self.folder / 'log'}")
            self.steps.end()
        for name, value in json.loads(measured.read_text()).items():
            setattr(self.outcome, name, value)
        return self.outcome

    def _set_up(self, url: str) -> None:
        repos = ",".join(sorted({repo["nameWithOwner"] for repo in self.whole.repos.values()}))
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("QC_")},
            **self.clock.environment,
            "QC_HOME": str(self.folder / "home"), "QC_WAREHOUSE": str(self.folder / "qc.duckdb"),
            "QC_SOURCE": "github", "QC_GITHUB_URL": url, "QC_GITHUB_TOKENS": "t0ken", "QC_REPOS": repos,
            "QC_START_DATE": self.first.isoformat(), "QC_GITHUB_FIRST_WAIT_S": "0.01", "QC_GITHUB_TRIES": "8",
            "QC_RETRAIN_AFTER_PARTITIONS": str(self.plan.retrain_after or 10**6), "QC_API_KEY": KEY,
            "QC_CHAMPION_REFRESH_S": "1", "TMPDIR": str(self.folder / "tmp"), "HF_HUB_OFFLINE": "1",
        }  # fmt: skip

    def _morning(self, fake: FakeGitHub, number: int, server: ServerProcess) -> None:
        day, half = self.first + timedelta(days=number), self.plan.days // 2
        moment = datetime.combine(day, datetime.min.time()) + timedelta(days=1, hours=2, minutes=30)
        fake.world = fake.engine.world = world_until(self.whole, moment)
        self.clock.set(moment)
        goes_wrong = self.plan.faults > 0
        if goes_wrong and number == half:
            server.stop()
            self.steps.run(["older"])
        if goes_wrong and number == half - 1:
            full = self.steps.run(["ingest", "--no-file-grows"])  # a disk that is full for an hour
            self.outcome.failures += full > 0
        self._until_done("ingest")
        self.clock.set(moment - timedelta(days=1) if goes_wrong and number == half + 1 else moment + timedelta(hours=3))
        self._until_done("revisits")
        self._until_done("retraining")
        self.clock.set(moment + timedelta(hours=3, minutes=30))
        # Without a model there is nothing to predict with, and one scoring shows that it can wait.
        if self.plan.retrain_after or (goes_wrong and number == self.plan.days - 1):
            self._until_done("scoring")
            server.ask(number, self.random.randrange(20) if self.random.random() < self.plan.kills else None)
        if number in (self.plan.days // 10, self.plan.days - 1):
            self.outcome.server_mib.append(server.mib())
            places = (self.folder / "tmp", self.folder / "home" / "staging")
            self.outcome.temporary.append(sum(path.is_file() for place in places for path in place.rglob("*")))
        self.tell(f"day {number + 1} of {self.plan.days}: {self.outcome.kills} killed, {self.outcome.failures} failed, "
                  f"{len(server.answered)} answers")  # fmt: skip

    def _until_done(self, name: str) -> None:
        """Start what is due until it has ended well, as whoever sees a red run does."""
        for _ in range(_TRIES):
            killed_after_s = self.random.uniform(0.1, 15.0) if self.random.random() < self.plan.kills else None
            status = self.steps.run([name], killed_after_s)
            if status == 0:
                return
            self.outcome.kills += status < 0
            self.outcome.failures += status > 0
        raise SystemExit(f"{name} failed {_TRIES} times: see {self.folder / 'log'}")


def soak(plan: Plan, folder: Path, tell: Callable[[str], None] = print) -> tuple[Outcome, Outcome]:
    """Simulate a plan, and the same without anything going wrong."""
    return Simulation(plan, folder / "troubled", tell).run(), Simulation(plan.calm, folder / "calm", tell).run()


def differences(troubled: Outcome, calm: Outcome) -> list[str]:
    """What a troubled life ended with that a calm one did not, in words."""
    problems = [
        f"raw.{table}: {troubled.rows[table]} instead of {calm.rows[table]}"
        for table in calm.rows
        if troubled.rows[table] != calm.rows[table]
    ]
    if troubled.champion != calm.champion:
        problems.append("the champion of p0 answers otherwise")
    if troubled.unfinished:
        problems.append(f"{troubled.unfinished} runs never ended")
    if troubled.missing:
        problems.append(f"{troubled.missing} of {troubled.answered} answers are not in the warehouse")
    return problems


def main() -> None:
    days = int(sys.argv[2]) if sys.argv[1:2] == ["soak"] and len(sys.argv) > 2 else 120
    folder = Path(tempfile.mkdtemp(prefix="qc-soak-"))
    print(f"{days} days in {folder}", flush=True)
    troubled, calm = soak(Plan(days, 25 * days, retrain_after=30), folder, lambda text: print(text, flush=True))
    print(f"killed {troubled.kills}, failed {troubled.failures}; {troubled.answered} answers, {troubled.missing} lost")
    rows = sum(count for count, _ in troubled.rows.values())
    print(f"{rows:,} rows, and {sum(count for count, _ in calm.rows.values()):,} in a calm life")
    first, *_, last = troubled.server_mib
    print(f"the server's memory {first:.0f} MiB at the first, {last:.0f} MiB at the end")
    print("temporary files: {} at the first, {} at the end".format(*troubled.temporary))
    problems = differences(troubled, calm)
    if problems:
        raise SystemExit("\n".join(problems))
    print("nothing differs from a life in which nothing went wrong")
    shutil.rmtree(folder)
