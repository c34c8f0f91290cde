"""What an answer of GitHub means. One classifier, which looks at the body first and at status and headers second."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx


class Kind(StrEnum):
    """What to do about an answer."""

    OK = "ok"  # data, perhaps with errors beside it
    OVERLOADED = "overloaded"  # too much was asked: ask for less on the same cursor
    TRANSIENT = "transient"  # nothing was wrong with the question: ask again
    LIMITED = "limited"  # the primary limit: wait until it is reset
    SECONDARY = "secondary"  # the secondary limit: wait as told, or back off
    UNAUTHORIZED = "unauthorized"  # this identity is of no use any more
    REFUSED = "refused"  # gone, forbidden or not understood: asking again would not help


@dataclass(frozen=True)
class Answer:
    """A classified answer.

    Attributes:
        kind: what it means.
        status: HTTP status; None if there was no answer.
        data, errors: of the GraphQL body.
        until: when a limit ends (naive UTC), if the answer says so.
        reason: one readable sentence.
    """

    kind: Kind
    status: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()
    until: datetime | None = None
    reason: str = ""


_TOO_MUCH = {"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"}
_LIMIT = {"RATE_LIMITED", "RATE_LIMIT"}
_TIMED_OUT = ("timed out", "timedout", "timeout", "something went wrong while executing your query")


def failed(error: Exception) -> Answer:
    """Classify a request that got no answer."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # A server that accepts a query and does not answer is busy with it; one that cannot be reached is not.
    if isinstance(error, httpx.ReadTimeout):
        return Answer(Kind.OVERLOADED, reason=reason)
    return Answer(Kind.TRANSIENT, reason=reason)


def classify(response: httpx.Response, now: datetime) -> Answer:
    """Classify an answer.

    Args:
        response: the answer, its body read.
        now: naive UTC, for headers that count seconds.
    """
    status, body = response.status_code, _json(response)
    if isinstance(body, Mapping):
        trouble_in_body = _from_body(body, response, now)
        if trouble_in_body is not None:
            return trouble_in_body
    return _from_status(response, _message(body) or _excerpt(response), now, status)


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:  # HTML, a body that breaks off, or bytes that are no text
        return None


def _from_body(body: Mapping[str, Any], response: httpx.Response, now: datetime) -> Answer | None:
    status = response.status_code
    errors = tuple(error for error in body.get("errors") or () if isinstance(error, Mapping))
    types = {str(error.get("type")) for error in errors}
    text = "; ".join(str(error.get("message", "")) for error in errors) or _message(body)
    if "secondary rate limit" in text.lower() or "abuse detection" in text.lower():
        return Answer(Kind.SECONDARY, status, until=_retry_after(response, now), reason=text)
    if types & _LIMIT or "api rate limit" in text.lower():
        return Answer(Kind.LIMITED, status, until=_reset(response) or _retry_after(response, now), reason=text)
    if types & _TOO_MUCH or any(piece in text.lower() for piece in _TIMED_OUT):
        return Answer(Kind.OVERLOADED, status, reason=text)
    if isinstance(body.get("data"), Mapping) and status == 200:
        return Answer(Kind.OK, status, body["data"], errors, reason=text)
    if errors and status == 200:
        return Answer(Kind.REFUSED, status, errors=errors, reason=text)
    return None


def _from_status(response: httpx.Response, text: str, now: datetime, status: int) -> Answer:
    reason = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == 401:
        return Answer(Kind.UNAUTHORIZED, status, reason=reason)
    if status in (403, 429):
        if response.headers.get("x-ratelimit-remaining") == "0":
            return Answer(Kind.LIMITED, status, until=_reset(response), reason=reason)
        if status == 429 or "retry-after" in response.headers:
            return Answer(Kind.SECONDARY, status, until=_retry_after(response, now), reason=reason)
    if status in (502, 504):
        return Answer(Kind.OVERLOADED, status, reason=reason)
    if status == 200:
        return Answer(Kind.TRANSIENT, status, reason=f"the body is not what was asked for: {text}")
    if status >= 500 or status == 408:
        return Answer(Kind.TRANSIENT, status, reason=reason)
    return Answer(Kind.REFUSED, status, reason=reason)


def _message(body: Any) -> str:
    return str(body.get("message", "")) if isinstance(body, Mapping) else ""


def _excerpt(response: httpx.Response) -> str:
    return response.text[:120].replace("\n", " ").strip()


def _reset(response: httpx.Response) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(response.headers["x-ratelimit-reset"]), UTC).replace(tzinfo=None)
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def _retry_after(response: httpx.Response, now: datetime) -> datetime | None:
    """The end of the wait: the header counts seconds, or gives an HTTP date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return now + timedelta(seconds=min(int(value), 24 * 3600))
    try:
        return parsedate_to_datetime(value).astimezone(UTC).replace(tzinfo=None)
    except ValueError:
        return None
