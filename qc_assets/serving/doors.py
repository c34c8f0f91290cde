"""Whose requests are answered: which names this server has, and that no page elsewhere makes a browser ask."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from qc_assets.settings import Settings

_READS = ("GET", "HEAD")


def why_foreign(method: str, headers: Mapping[bytes, bytes], settings: Settings) -> str | None:
    """Why a request is not for this server, or is a page's elsewhere; None if it is neither.

    A browser says where a request comes from (`Sec-Fetch-Site`, and `Origin` with all that writes); programs say
    nothing of it, and need the key where there is one. Whoever follows a link here may read.

    Args:
        method: of the request.
        headers: the first of each name, in lower case.
        settings: names and origins that are allowed.
    """
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if (
        settings.api_hosts
        and not is_loopback(host)
        and _name(host) not in {name.lower() for name in settings.api_hosts}
    ):
        return f"this server is not called {_name(host)!r}: name it in QC_API_HOSTS"
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and origin in settings.api_origins:
        return None
    # No page can forge the first; it is also said of our own page's form, which may have no origin.
    if headers.get(b"sec-fetch-site") == b"same-origin" or method == "OPTIONS":  # which asks whether it may ask
        return None
    if origin and (urlsplit(origin).netloc.lower() or origin) != host:
        return f"{origin[:200]} is another site: QC_API_ORIGINS names those that may ask"
    follows_link = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and not (follows_link and method in _READS):
        return "a page of another site asks: QC_API_ORIGINS names those that may"
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address; a port behind it does not matter."""
    name = _name(host)
    try:
        return "@" not in host and (name == "localhost" or ipaddress.ip_address(name).is_loopback)
    except ValueError:  # another name, or none at all
        return False


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host if host.count(':') < 2 or '[' in host else f'[{host}]'}").hostname or ""
    except ValueError:
        return ""
