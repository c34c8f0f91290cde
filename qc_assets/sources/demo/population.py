"""The people and repositories of the synthetic GitHub: who is where, from when on, and how each repository judges."""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import polars as pl

DAY = 86_400.0
_LANGUAGES = ("Python", "TypeScript", "Go", "Rust", "Java", "C++")
_LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0", None, "MPL-2.0", "NOASSERTION")
_BOTS = ("dependabot[bot]", "renovate[bot]", "codecov-commenter")
N_BOTS = len(_BOTS)
# Accounts at the end of the list, who only close and report; GitHub takes the last for a person.
MERGE_BOT, STALE_BOT, MACHINE = "bors[bot]", "stale[bot]", "quality-report"
_PROGRAMS = (MERGE_BOT, STALE_BOT, MACHINE)
_OWNERS = ("acme", "northwind", "initech", "globex", "umbra", "hooli", "stark", "wayne")
_PROJECTS = ("atlas", "beacon", "cobalt", "drift", "ember", "forge", "glacier", "harbor", "iris", "juniper")


@dataclass(frozen=True)
class People:
    """Accounts; user u of the arrays has the id ``-(u + 1)``.

    Attributes:
        logins: account names.
        is_bot: whether the account is a program.
        skill: log-odds that the account adds to its pull requests.
        deleted: whether the account is gone, so that the platform shows a ghost.
    """

    logins: np.ndarray
    is_bot: np.ndarray
    skill: np.ndarray
    deleted: np.ndarray

    def index(self, login: str) -> int:
        """The account with a login."""
        return self.logins.tolist().index(login)


@dataclass(frozen=True)
class Repositories:
    """Repositories; repository r of the arrays has the id ``-(r + 1)``.

    Attributes:
        frame: the columns of ``raw.repositories``.
        share: share of the traffic.
        culture, drift: log-odds of passing at the first day, and what is added by the last.
        response_hours: median time to the first review.
        prefix_habit, label_habit: how often titles carry a conventional prefix, and openings a label.
        members: user indices in order of arrival.
        arrivals: seconds from the start at which each of them arrives (negative: before).
        activity: how much each of them contributes.
        core: which of them belong to the organisation.
    """

    frame: pl.DataFrame
    share: np.ndarray
    culture: np.ndarray
    drift: np.ndarray
    response_hours: np.ndarray
    prefix_habit: np.ndarray
    label_habit: np.ndarray
    members: list[np.ndarray]
    arrivals: list[np.ndarray]
    activity: list[np.ndarray]
    core: list[np.ndarray]


def populate(rng: np.random.Generator, n_prs: int, days: int, first_day: date) -> tuple[People, Repositories]:
    """Draw accounts and repositories for a world of `n_prs` pull requests over `days` days."""
    n_repos = int(np.clip(n_prs // 150, 8, 400))
    share = (np.arange(n_repos) + 3.0) ** -0.7
    share /= share.sum()
    n_people = N_BOTS + max(40, n_prs // 12)
    humans = np.arange(N_BOTS, n_people)
    people = People(
        logins=np.array([*_BOTS, *(f"dev-{n:05d}" for n in range(len(humans))), *_PROGRAMS]),
        is_bot=np.append(np.arange(n_people) < N_BOTS, [login.endswith("[bot]") for login in _PROGRAMS]),
        skill=np.append(np.where(np.arange(n_people) < N_BOTS, 1.0, rng.normal(0, 0.2, n_people)), [0.0] * 3),
        deleted=np.append((np.arange(n_people) >= N_BOTS) & (rng.random(n_people) < 0.05), [False] * 3),
    )
    members, arrivals, activity, core = [], [], [], []
    for r in range(n_repos):
        size = max(6, round(len(humans) * share[r] * 1.15))
        contributors = rng.choice(humans, size, replace=False)
        arrival = np.sort(rng.uniform(-0.6 * days * DAY, 0.95 * days * DAY, size))
        arrival[:3] = -days * DAY
        members.append(contributors)
        arrivals.append(arrival)
        activity.append(rng.pareto(1.3, size) + 0.2)
        core.append(np.arange(size) < max(2, size // 12))
    start = datetime.combine(first_day, datetime.min.time())
    frame = pl.DataFrame(
        {
            "repo_id": -(np.arange(n_repos) + 1),
            "name": [
                f"{_OWNERS[r % 8]}/{_PROJECTS[r % 10]}" + (f"-{r // 40}" if r >= 40 else "") for r in range(n_repos)
            ],
            "language": rng.choice(_LANGUAGES, n_repos),
            "licence": [_LICENCES[r % len(_LICENCES)] for r in range(n_repos)],
            "stars": rng.lognormal(6, 1.5, n_repos).astype(np.int64),
            "is_fork": np.zeros(n_repos, dtype=bool),
            "is_archived": np.zeros(n_repos, dtype=bool),
            "age_days": rng.integers(400, 3000, n_repos),
        }
    ).select(pl.exclude("age_days"), created_at=pl.lit(start) - pl.duration(days=pl.col("age_days")))
    return people, Repositories(
        frame=frame,
        share=share,
        culture=rng.normal(0.55, 0.35, n_repos),
        drift=rng.normal(0, 0.1, n_repos),
        response_hours=np.exp(rng.uniform(np.log(2), np.log(30), n_repos)),
        prefix_habit=rng.uniform(0.2, 0.95, n_repos),
        label_habit=rng.uniform(0.1, 0.8, n_repos),
        members=members,
        arrivals=arrivals,
        activity=activity,
        core=core,
    )
