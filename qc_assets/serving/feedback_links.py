"""Links to the form for feedback: what it is about is signed, and the link opens nothing by itself.

A link in a comment is read by everybody. So it says only which pull request and which answer are meant, and until
when; who gives feedback proves by a key who they are.
"""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import Self
from urllib.parse import quote

from filelock import FileLock

from qc_assets.clock import Clock, SystemClock
from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.settings import Settings

PATH = "/feedback"
_DAYS = 180
_FORM_S = 3600
_LONGEST = 2_000


class LinkError(QcError):
    """A link, or a form, is not one of ours or is over."""


@dataclass(frozen=True)
class Answered:
    """The answer that a link is about.

    Attributes:
        task: owner/name#number.
        version: of p0.
        p0: what it said.
        until: seconds since 1970 after which the link is over.
    """

    task: str
    version: int
    p0: float
    until: int


class FeedbackLinks:
    """Makes and reads links.

    Args:
        secret: what signs them, or the file that has it; it is made when it is first needed.
        base: where people reach the API; empty makes none.
        clock: tells the time.
    """

    def __init__(self, secret: bytes | Path, base: str, clock: Clock | None = None) -> None:
        self._source = secret
        self._base = base.rstrip("/")
        self._clock = clock or SystemClock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The links of a home."""
        return cls(links_file(settings.journal_file), settings.public_url or "")

    @cached_property
    def _secret(self) -> bytes:
        return self._source if isinstance(self._source, bytes) else _secret_of(self._source)

    def to(self, task: str, version: int, p0: float) -> str | None:
        """A link to the form about an answer; None if nobody could follow it."""
        if not self._base:
            return None
        # By the day, so that the same answer has the same link all day.
        until = (self._now() // 86_400 + _DAYS) * 86_400
        return f"{self._base}{PATH}?about={quote(self.signed(Answered(task, version, round(p0, 4), until)))}"

    def signed(self, answered: Answered) -> str:
        """What a link says, with its signature."""
        body = base64.urlsafe_b64encode(json.dumps(asdict(answered)).encode()).decode().rstrip("=")
        return f"{body}.{self._signature('link', body)}"

    def read(self, token: str) -> Answered:
        """What a link is about.

        Raises:
            LinkError: if it is not ours, was changed, or is over.
        """
        body, _, signature = token[:_LONGEST].partition(".")
        if not hmac.compare_digest(self._signature("link", body).encode(), signature.encode("utf-8", "replace")):
            raise LinkError("this link was not made here, or was changed: take the one on the pull request")
        answered = Answered(**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
        if answered.until < self._now():
            raise LinkError("this link is over: feedback on so old an answer goes to POST /feedback")
        return answered

    def form(self, token: str, giver: str) -> str:
        """What proves that a form was shown to somebody a short time ago; another each time."""
        nonce = f"{self._now() + _FORM_S}.{secrets.token_hex(8)}"
        return f"{nonce}.{self._signature('form', token, giver, nonce)}"

    def refuse_foreign_form(self, form: str, token: str, giver: str) -> None:
        """Refuse what was not filled in here by the same person.

        Raises:
            LinkError: saying to open the link again.
        """
        nonce, _, signature = form[:_LONGEST].rpartition(".")
        expected = self._signature("form", token, giver, nonce)
        until = nonce.partition(".")[0]
        is_ours = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
        if not is_ours or not until.isdigit() or int(until) < self._now():
            raise LinkError("this form was not shown to you here within the last hour: open the link again")

    def _signature(self, *parts: str) -> str:
        message = json.dumps(parts).encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def _now(self) -> int:
        return int(self._clock.now().replace(tzinfo=UTC).timestamp())


def links_file(journal: Path) -> Path:
    """Where the secret of a home's links lies: beside the journal."""
    return journal.with_name("links.key")


def _secret_of(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not path.exists():
            write_whole(path, secrets.token_hex(32), is_private=True)
        return path.read_text(encoding="ascii").strip().encode()
