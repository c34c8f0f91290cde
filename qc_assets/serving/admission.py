"""Who is let in: by the peer's address, by a key that is not guessed, by what the key may do, within a budget."""

import base64
import binascii
import ipaddress
import math
import re
import time
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

from limits import RateLimitItem, parse

from qc_assets.errors import QcError
from qc_assets.serving.callers import Caller, Right
from qc_assets.serving.doors import is_loopback, why_foreign
from qc_assets.serving.keys import KeyRing, keys_file
from qc_assets.serving.request_counts import RequestCounts
from qc_assets.settings import Settings

Scope = MutableMapping[str, Any]
# Health is asked by machines that have no key; deliveries of GitHub are signed.
HEALTH, WEBHOOK, WEBHOOK_KEY = "/health", "/webhook/github", "QC_WEBHOOK_SECRET"
_SAFE = ("GET", "HEAD", "OPTIONS")
# What says that somebody else stands behind the peer.
_FORWARDED = re.compile(rb"(x-)?forwarded(-.*)?|via|(x-)?(real|client|true-client|cluster-client|cf-connecting)-?ip")
# One of the rights lets in; what begins with none of these needs admin to change something, and any key to read.
_NEEDED: Sequence[tuple[str, tuple[Right, ...]]] = (
    ("/predict", ("predict",)),
    ("/classify", ("predict",)),
    ("/check", ("predict", "post")),
    ("/feedback", ("feedback",)),
    ("/payouts", ("feedback", "payout", "settle")),
    ("/payout", ("payout",)),
    ("/dagster", ("admin",)),
    ("/mlflow", ("admin",)),
    # It says what was paid, and of whom models are wrong.
    ("/report", ("admin",)),
)
_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+):\d+")


class Refused(Exception):
    """A request that does not reach the application."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class Admission:
    """Lets requests in, or says why not.

    Args:
        settings: keys, proxies, limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = KeyRing(keys_file(settings.journal_file), settings.api_key)
        self._rate, self._guess_rate = parse(settings.api_rate), parse(settings.api_guesses)
        self._counts = RequestCounts(settings.api_counts)
        self._settings = settings
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in settings.trusted_proxies]

    def admit(self, scope: Scope) -> Caller:
        """Who asks.

        Raises:
            Refused: if they may not.
        """
        headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        path, method = scope["path"], scope["method"]
        peer = _plain((scope.get("client") or ("",))[0])
        address = self._address(peer, headers)
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) > 1:  # whoever stands before us may have looked at the other
            raise Refused(400, "a request has one Host")
        if reason := why_foreign(method, dict(reversed(headers)), self._settings):
            raise Refused(403, reason)
        try:
            self._keys.refresh()
        except QcError as error:
            raise Refused(503, str(error)) from error
        needs_key = self._keys.is_needed
        if not needs_key:
            self._refuse_others(path, peer, address, hosts, headers)
        if path in (HEALTH, WEBHOOK):
            self._spend(self._rate, path, address)
            # Nothing of a delivery is written down before its signature is known to be right.
            return Caller(WEBHOOK_KEY if path == WEBHOOK else None, address, frozenset())
        if not needs_key:
            self._spend(self._rate, "address", address)
            return Caller(None, address)
        name, rights = self._owner(address, headers)
        self._spend(self._rate, "key", name)
        caller = Caller(name, address, rights)
        self._refuse_without_right(caller, path, method)
        return caller

    def _address(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The peer's address; of a proxy that is trusted, that of whom it names: the last whom none of ours is."""
        if not self._is_proxy(peer):
            return peer or "local"
        named = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        for part in reversed(named.split(",")):
            with_port = _PORT.fullmatch(part.strip())  # as some proxies write it
            address = _plain(with_port[1] or with_port[2] if with_port else part.strip())
            if not _is_ip(address):
                return "unknown"
            if not self._is_proxy(address):
                return address
        return "unknown"

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ipaddress.ip_address(address) in network for network in self._proxies)
        except ValueError:
            return False

    def _refuse_others(
        self, path: str, peer: str, address: str, hosts: list[str], headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Without a key only this machine may ask; a page elsewhere could make a browser of it ask, too.

        A peer without an IP address is a Unix socket's, or a program's own.
        """
        is_local = is_loopback(address) or (not _is_ip(address) and address != "unknown")
        # A proxy on this machine that nobody trusts may stand before anybody. Deliveries are signed.
        is_passed_on = not self._is_proxy(peer) and any(_FORWARDED.fullmatch(name) for name, _ in headers)
        if not (is_local and not is_passed_on) and path != WEBHOOK:
            raise Refused(
                403,
                "this server answers requests of this machine only: make a key (`qc keys make`), and name a proxy "
                "that stands before it in QC_TRUSTED_PROXIES",
            )
        if not is_loopback("".join(hosts)):
            raise Refused(403, "this server answers requests to this machine only: set QC_API_KEY to open it")

    def _owner(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, frozenset[Right]]:
        # A browser asks for a password then: any user name, the key as password.
        challenge = {"WWW-Authenticate": 'Basic realm="qc-assets"'}
        offered = _offered(headers)
        if len(offered) != 1:
            self._spend(self._rate, "nobody", _network(address))
            raise Refused(
                401, "send one key of QC_API_KEY or `qc keys` as X-API-Key or Authorization: Bearer", **challenge
            )
        if not self._counts.test(self._guess_rate, "guess", _network(address)):
            raise self._too_many(self._guess_rate, "wrong keys", "QC_API_GUESSES", "guess", _network(address))
        owner = self._keys.owner_of(offered[0])
        if owner is None:
            self._counts.hit(self._guess_rate, "guess", _network(address))
            raise Refused(
                401, "the key is wrong or revoked: QC_API_KEY and `qc keys` have those that hold", **challenge
            )
        return owner

    def _refuse_without_right(self, caller: Caller, path: str, method: str) -> None:
        needed = next((rights for prefix, rights in _NEEDED if path.startswith(prefix)), None)
        if needed is None and path == "/":
            needed = ("predict",)
        if needed is None and method not in _SAFE:
            needed = ("admin",)
        if path.startswith("/payouts") and method in _SAFE:
            needed = ("payout", "settle")
        if needed is not None and not caller.may(*needed):
            raise Refused(403, f"the key {caller.key} may not: this needs the right {' or '.join(needed)} (`qc keys`)")

    def _spend(self, rate: RateLimitItem, budget: str, who: str) -> None:
        if not self._counts.hit(rate, budget, who):
            raise self._too_many(rate, "requests", "QC_API_RATE", budget, who)

    def _too_many(self, rate: RateLimitItem, what: str, setting: str, budget: str, who: str) -> Refused:
        wait = max(1, math.ceil(self._counts.resets_at(rate, budget, who) - time.time()))
        return Refused(429, f"more than {rate} {what} ({setting}): try again later", **{"Retry-After": str(wait)})


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _plain(address: str) -> str:
    """An address as IPv4 if it is one that IPv6 only wraps."""
    mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None) if _is_ip(address) else None
    return str(mapped) if mapped else address


def _network(address: str) -> str:
    """Whose guesses are counted together: an address, or what one household has of IPv6."""
    if not _is_ip(address) or ipaddress.ip_address(address).version == 4:
        return address
    return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))


def _offered(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    keys = []
    for name, value in headers:
        if name == b"x-api-key":
            keys.append(value)
        elif name == b"authorization":
            kind, _, rest = value.partition(b" ")
            if kind.lower() == b"bearer":
                keys.append(rest.strip())
            elif kind.lower() == b"basic":
                try:
                    keys.append(base64.b64decode(rest, validate=True).partition(b":")[2])
                except binascii.Error:
                    continue
    return [key for key in keys if key]
