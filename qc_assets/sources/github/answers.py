"""What an answer of GitHub means. One classifier, which looks at the body first and at status and headers second."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx

from qc_assets.bounded_http import AnswerTooLargeError


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
        until: when a limit ends (naive UTC by our own clock), if the answer says so and can be believed.
        ahead: by how much the server's clock is ahead of ours, where the answer tells.
        reason: one readable sentence.
    """

    kind: Kind
    status: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[Mapping[str, Any], ...] = ()
    until: datetime | None = None
    reason: str = ""
    ahead: timedelta = timedelta()


LONGEST_LIMIT = timedelta(hours=1)
"""GitHub counts points by the hour: whatever says that a limit lasts longer is wrong, or a clock is."""
_TOO_MUCH = {"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"}
_LIMIT = {"RATE_LIMITED", "RATE_LIMIT"}
_BROKEN = {"INTERNAL", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "LOADING", "STALE_DATA"}
_FOR_GOOD = (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects)
_TIMED_OUT = ("timed out", "timedout", "timeout", "something went wrong while executing your query")


def failed(error: Exception) -> Answer:
    """Classify a request that got no answer."""
    if isinstance(error, httpx.LocalProtocolError | UnicodeEncodeError):  # its text would show the token
        return Answer(Kind.REFUSED, reason="the token has characters that no HTTP header may have: set it anew")
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    # A server that accepts a query and does not answer it in time is busy with it; one that cannot be reached is not.
    if isinstance(error, httpx.ReadTimeout | AnswerTooLargeError):
        return Answer(Kind.OVERLOADED, reason=reason)
    if isinstance(error, _FOR_GOOD) or any(sign in reason for sign in ("CERTIFICATE_VERIFY_FAILED", "ProxyError: 407")):
        return Answer(Kind.REFUSED, reason=reason)
    return Answer(Kind.TRANSIENT, reason=reason)


def classify(response: httpx.Response, now: datetime) -> Answer:
    """Classify an answer.

    Args:
        response: the answer, its body read.
        now: naive UTC, for headers that count seconds.
    """
    body = _json(response)
    answer = _from_body(body, response, now) if isinstance(body, Mapping) else None
    answer = answer or _from_status(response, _message(body) or _excerpt(response), now, response.status_code)
    return replace(answer, ahead=_ahead(response, now))


def _json(response: httpx.Response) -> Any:
    """The body, or None for HTML, a body that breaks off, and JSON that is nested too deep."""
    try:
        return json.loads(
            response.content.decode("utf-8-sig", "replace")
        )  # bytes that are no text cost only themselves
    except (ValueError, RecursionError):
        return None


def _from_body(body: Mapping[str, Any], response: httpx.Response, now: datetime) -> Answer | None:
    status = response.status_code
    listed = body.get("errors")
    errors = tuple(error for error in (listed if isinstance(listed, list) else ()) if isinstance(error, Mapping))
    types = {str(error.get("type")) for error in errors}
    text = "; ".join(str(error.get("message", "")) for error in errors) or _message(body)
    if "secondary rate limit" in text.lower() or "abuse detection" in text.lower():
        return Answer(Kind.SECONDARY, status, until=_retry_after(response, now), reason=text)
    if types & _LIMIT or "api rate limit" in text.lower():
        return Answer(Kind.LIMITED, status, until=_reset(response, now) or _retry_after(response, now), reason=text)
    if types & _TOO_MUCH or any(piece in text.lower() for piece in _TIMED_OUT):
        return Answer(Kind.OVERLOADED, status, reason=text)
    if isinstance(body.get("data"), Mapping) and status == 200:
        return Answer(Kind.OK, status, body["data"], errors, reason=text)
    if errors and status == 200:
        if types & _BROKEN:
            return Answer(Kind.TRANSIENT, status, errors=errors, reason=text)
        return Answer(Kind.REFUSED, status, errors=errors, reason=text)
    return None


def _from_status(response: httpx.Response, text: str, now: datetime, status: int) -> Answer:
    reason = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == 401:
        return Answer(Kind.UNAUTHORIZED, status, reason=reason)
    if status in (403, 429):
        if response.headers.get("x-ratelimit-remaining") == "0":
            return Answer(Kind.LIMITED, status, until=_reset(response, now), reason=reason)
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


def _reset(response: httpx.Response, now: datetime) -> datetime | None:
    try:
        reset = datetime.fromtimestamp(int(response.headers["x-ratelimit-reset"]), UTC).replace(tzinfo=None)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
    return believed(reset, now, _ahead(response, now))


def _retry_after(response: httpx.Response, now: datetime) -> datetime | None:
    """The end of the wait: the header counts seconds, or gives an HTTP date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return now + (timedelta(seconds=min(int(value), 3600)) if len(value) < 10 else LONGEST_LIMIT)
    date = _http_date(value)
    return None if date is None else believed(date, now, _ahead(response, now))


def believed(until: datetime, now: datetime, ahead: timedelta) -> datetime:
    """When a limit ends by our own clock, given when it ends by the server's; never later than a limit can last."""
    try:
        return min(until - ahead, now + LONGEST_LIMIT)
    except OverflowError:
        return now + LONGEST_LIMIT


def _ahead(response: httpx.Response, now: datetime) -> timedelta:
    """By how much the server's clock is ahead of ours; its date tells no fractions of a second."""
    date = _http_date(response.headers.get("date", ""))
    ahead = timedelta() if date is None else date - now
    return ahead if abs(ahead) > timedelta(seconds=2) else timedelta()


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
