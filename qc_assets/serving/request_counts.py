"""Where requests and wrong keys are counted: in this process, or in a Redis that all servers share."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from limits import RateLimitItem
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter

from qc_assets.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

_Answer = TypeVar("_Answer")
log = logging.getLogger(__name__)

# The event loop waits for an answer, so for no longer than this; then each server counts alone for a while.
_LONGEST_WAIT_S, _ALONE_S = 0.1, 5.0


class _Counts(MemoryStorage):
    """The library's counts without its timer: a thread that it starts for nearly every request.

    Only the event loop asks. What has expired is forgotten when its key is asked for, and whenever twice as many keys
    are there as were left the last time.
    """

    _sweep_at = 1_000

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        count = self.get(key) + amount
        self.storage[key] = count
        if count == amount:
            self.expirations[key] = time.time() + expiry
            if len(self.expirations) > self._sweep_at:
                for each in list(self.expirations):
                    self.get(each)
                self._sweep_at = max(1_000, 2 * len(self.expirations))
        return count


class RequestCounts:
    """Budgets by fixed windows.

    Args:
        shared: URL of a Redis that other servers count in, too; None counts in this process. While it does not answer,
            this process counts alone: limits hold for each server then, and no request waits.

    Raises:
        SettingsError: if it is no URL of a Redis, or what that takes is not installed.
    """

    def __init__(self, shared: "SecretStr | None" = None) -> None:
        self._own = FixedWindowRateLimiter(_Counts())
        self._shared = _in_redis(shared.get_secret_value()) if shared else None
        self._alone_until = 0.0

    def hit(self, rate: RateLimitItem, *whose: str) -> bool:
        """Count a request; whether it is within its budget."""
        return self._ask(lambda limiter: limiter.hit(rate, *whose))

    def test(self, rate: RateLimitItem, *whose: str) -> bool:
        """Whether another request would be within its budget."""
        return self._ask(lambda limiter: limiter.test(rate, *whose))

    def resets_at(self, rate: RateLimitItem, *whose: str) -> float:
        """When a budget is whole again, in seconds since 1970."""
        return self._ask(lambda limiter: float(limiter.get_window_stats(rate, *whose).reset_time))

    def _ask(self, question: Callable[[FixedWindowRateLimiter], _Answer]) -> _Answer:
        if self._shared is None or time.monotonic() < self._alone_until:
            return question(self._own)
        try:
            return question(self._shared)
        except StorageError as error:
            self._alone_until = time.monotonic() + _ALONE_S
            log.warning(
                "the Redis of QC_API_COUNTS does not answer (%s): this server counts requests alone for %.0f s",
                type(error.storage_error).__name__,
                _ALONE_S,
            )
            return question(self._own)


def _in_redis(url: str) -> FixedWindowRateLimiter:
    if not url.startswith(("redis://", "rediss://", "redis+unix://")):
        raise SettingsError("QC_API_COUNTS is the URL of a Redis, such as redis://host:6379/0")
    waits: dict[str, Any] = {
        "socket_timeout": _LONGEST_WAIT_S,
        "socket_connect_timeout": _LONGEST_WAIT_S,
        "retry": None,
    }
    try:
        return FixedWindowRateLimiter(RedisStorage(url, key_prefix="qc-api", wrap_exceptions=True, **waits))
    except ConfigurationError as error:
        raise SettingsError("QC_API_COUNTS needs more: pip install 'qc-assets[cluster]'") from error
    except ValueError as error:
        raise SettingsError(f"QC_API_COUNTS is no URL of a Redis: {error}") from error
