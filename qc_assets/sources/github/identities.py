"""Who asks: tokens or an App installation, each with a budget of its own; the one with most left goes first."""

import hashlib
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from filelock import FileLock, Timeout
from githubkit import AppInstallationAuthStrategy, GitHub, TokenAuthStrategy

from qc_assets.clock import Clock, parse_instant
from qc_assets.errors import SourceError
from qc_assets.settings import Settings
from qc_assets.sources.github.answers import LONGEST_LIMIT, Answer, Kind, believed
from qc_assets.sources.github.state import Budget, State

_RESERVE = 10  # points left untouched, so that a dear query does not run into the limit
_LONGEST_BLOCK = timedelta(minutes=15)


@dataclass
class Identity:
    """One token or App installation.

    Attributes:
        name: a hash that tells it apart without telling the token.
        github: the githubkit client that authenticates it.
        lock: held while a request is in flight, by whatever process.
        revoked: whether GitHub has refused it.
    """

    name: str
    github: GitHub
    lock: FileLock
    revoked: bool = False


def identities(settings: Settings, folder: Path) -> list[Identity]:
    """The identities that the settings name.

    Raises:
        SourceError: if there is none, or an App is named in part.
    """
    auths: list[tuple[str, TokenAuthStrategy | AppInstallationAuthStrategy]] = [
        (token.get_secret_value(), TokenAuthStrategy(token.get_secret_value())) for token in settings.github_tokens
    ]
    app = (settings.github_app_id, settings.github_app_private_key, settings.github_app_installation_id)
    if all(app):
        key = _private_key(settings)
        strategy = AppInstallationAuthStrategy(app[0], key, int(app[2]))  # type: ignore[arg-type]
        auths.append((f"{app[0]}/{app[2]}", strategy))
    elif any(app):
        raise SourceError("a GitHub App needs QC_GITHUB_APP_ID, _PRIVATE_KEY and _INSTALLATION_ID, all three")
    if not auths and settings.github_url == "https://api.github.com":
        raise SourceError(
            "the github source needs a token: set GITHUB_TOKEN (several: comma-separated) or a GitHub App "
            "(QC_GITHUB_APP_ID, QC_GITHUB_APP_PRIVATE_KEY, QC_GITHUB_APP_INSTALLATION_ID). A classic token without "
            "any scope can read public repositories. To look around without one: `qc fake-github`"
        )
    if not auths:  # a server of one's own, such as `qc fake-github`, may not ask for any
        auths = [("anonymous", TokenAuthStrategy("anonymous"))]
    folder.mkdir(parents=True, exist_ok=True)
    timeout = httpx.Timeout(settings.github_read_timeout_s, connect=settings.github_connect_timeout_s)
    distinct = []
    for secret, auth in dict(auths).items():
        name = hashlib.sha256(f"{settings.github_url}\n{secret}".encode()).hexdigest()[:12]
        github = GitHub(
            auth,
            base_url=settings.github_url,
            auto_retry=False,
            http_cache=False,
            timeout=timeout,
            user_agent="qc-assets",
        )
        distinct.append(Identity(name, github, FileLock(folder / f"{name}.lock")))
    return distinct


def _private_key(settings: Settings) -> str:
    """The App's key; in a variable its lines may be joined by a literal backslash and n."""
    assert settings.github_app_private_key is not None
    key = settings.github_app_private_key.get_secret_value().replace("\\n", "\n")
    try:
        serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise SourceError(
            "QC_GITHUB_APP_PRIVATE_KEY is not a private key: give the text of the .pem file that GitHub made for the "
            "App, from -----BEGIN to END-----"
        ) from error
    return key


class Pool:
    """Hands out identities, one request at a time each, and remembers their limits.

    Args:
        members: the identities.
        state: where budgets are kept.
        clock: tells the time and waits.
        waiting: called with a sentence and the seconds of each wait.

    Attributes:
        stop: set it to end the waiting of all threads.
    """

    def __init__(
        self, members: Sequence[Identity], state: State, clock: Clock, waiting: Callable[[str, float], None]
    ) -> None:
        self.members = list(members)
        self.state = state
        self.clock = clock
        self.waiting = waiting
        self.stop = threading.Event()
        self._turn = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Identity]:
        """An identity that may ask now, and nobody else's meanwhile; waits while all are limited.

        Raises:
            SourceError: if GitHub has refused every one of them, or the run was stopped.
        """
        while True:
            ready = self._ready()
            # Whoever is free is taken at once; if nobody is, the best of them is waited for a moment.
            for identity, patience in [*((identity, 0.0) for identity in ready), (ready[0], 0.5)]:
                try:
                    identity.lock.acquire(timeout=patience)
                except Timeout:
                    continue
                try:
                    # Another process may have used up its budget since.
                    if self._wait(identity) <= 0:
                        yield identity
                        return
                finally:
                    identity.lock.release()

    def left(self) -> int | None:
        """Points left over all identities, as far as known."""
        known = [self._budget(identity).remaining for identity in self.members if not identity.revoked]
        numbers = [points for points in known if points is not None]
        return sum(numbers) if numbers else None

    def note(self, identity: Identity, answer: Answer) -> None:
        """Learn from an answer what is left and how long to keep away."""
        budget, now = self._budget(identity), self.clock.now()
        if answer.kind is Kind.UNAUTHORIZED:
            identity.revoked = True
            return
        if answer.kind is Kind.LIMITED:
            until = answer.until or budget.reset_at
            if until is None or until <= now:
                until = now + timedelta(minutes=1)
            budget = replace(budget, remaining=0, reset_at=until, blocked_until=until)
        elif answer.kind is Kind.SECONDARY:
            backoff = timedelta(seconds=60 * 2 ** min(budget.strikes, 6) * random.uniform(1, 1.2))
            until = answer.until if answer.until and answer.until > now else now + min(backoff, _LONGEST_BLOCK)
            budget = replace(budget, blocked_until=until, strikes=budget.strikes + 1)
        elif answer.kind is Kind.OK:
            budget = _with_points(replace(budget, blocked_until=None, strikes=0), answer, now)
        else:
            return
        self.state.save_budget(identity.name, budget)

    def _ready(self) -> list[Identity]:
        alive = [identity for identity in self.members if not identity.revoked]
        if not alive:
            raise SourceError(
                "GitHub refuses every token (401): they are wrong, expired or revoked. Set GITHUB_TOKEN anew and run "
                "the same command again; it goes on where it stopped"
            )
        with self._turn:  # one thread waits, the others wait for it
            while True:
                waits = {identity.name: self._wait(identity) for identity in alive}
                ready = [identity for identity in alive if waits[identity.name] <= 0]
                if ready:
                    return sorted(ready, key=lambda identity: -(self._budget(identity).remaining or 10**9))
                seconds = min(waits.values())
                until = self.clock.now() + timedelta(seconds=seconds)
                self.waiting(f"GitHub's limit is reached; going on at {until:%H:%M:%S} UTC", seconds)
                self.clock.sleep(seconds, self.stop)
                if self.stop.is_set():
                    raise SourceError("stopped while waiting for GitHub's limit; run it again to go on")

    def _wait(self, identity: Identity) -> float:
        """Seconds until the identity may be used; 0 or less means now."""
        budget, now = self._budget(identity), self.clock.now()
        # No limit lasts longer than that: the machine's clock has been set back since.
        ends = [end for end in [budget.blocked_until] if end and end <= now + LONGEST_LIMIT]
        if budget.remaining is not None and budget.remaining < _RESERVE and budget.reset_at:
            ends.append(budget.reset_at)
        return max(((end - now).total_seconds() for end in ends), default=0.0)

    def _budget(self, identity: Identity) -> Budget:
        budget = self.state.budget(identity.name)
        now = self.clock.now()
        if budget.reset_at is not None and not now < budget.reset_at <= now + LONGEST_LIMIT:
            return replace(budget, remaining=budget.quota, reset_at=None)
        return budget


def _with_points(budget: Budget, answer: Answer, now: datetime) -> Budget:
    """A budget with what an answer tells of the points that are left; what makes no sense tells nothing."""
    limit = answer.data.get("rateLimit")
    if not isinstance(limit, Mapping):
        return budget
    remaining, quota = limit.get("remaining"), limit.get("limit")
    try:
        reset = parse_instant(limit["resetAt"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return budget
    if not (type(remaining) is type(quota) is int and 0 <= remaining <= quota < 10**9):
        return budget
    return replace(budget, remaining=remaining, quota=quota, reset_at=believed(reset, now, answer.ahead))
