"""Who hosts a repository. Every id in the warehouse holds its forge: `forge number * 2**40 + the forge's own id`.

github.com has number 0, so its ids are what GitHub says. The numbers of made-up forges are negative, and so are their
ids; the demo's own, which are negative already, are those of number -1. All other numbers are hashes of the forge's
name, and stand in ops.forges. Labels of files and what is unknown have numbers that no forge gets.
"""

import hashlib
from urllib.parse import urlsplit

from qc_assets.errors import QcError

GITHUB, DEMO = "github.com", "demo"
SAYS_MADE_UP = "qc_assets_made_up"
"""What a server that makes its activity up says in `GET /meta`."""
LONGEST_FORGE_TEXT = 2**20
"""Characters of a description or a comment: as many as GitLab takes, and sixteen times GitHub's."""
_BITS = 40
_ROOM = 2**_BITS
_RESERVED = {GITHUB: 0, DEMO: -1}
_NUMBERS = 2**21


def forge_at(url: str) -> str:
    """The forge that a URL of its pages or of its API leads to: its host, with the port if it has one of its own."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = (parts.hostname or "").rstrip(".")
    if host == f"api.{GITHUB}" or host.endswith(".ghe.com"):
        host = host.removeprefix("api.")
    standard = {"https": 443, "http": 80}.get(parts.scheme)
    return host if parts.port in (None, standard) else f"{host}:{parts.port}"


def is_on_this_machine(forge: str) -> bool:
    """Whether a forge is a server of this machine, such as `qc fake-github`."""
    return forge.partition(":")[0] in ("localhost", "127.0.0.1")


def forge_number(forge: str, *, is_synthetic: bool) -> int:
    """The number of a forge; negative if what it shows is made up.

    Two names may have the same number; `store.forge_records.register` refuses the second.
    """
    if forge in _RESERVED:
        return _RESERVED[forge]
    place = int.from_bytes(hashlib.sha256(forge.encode()).digest()[:8], "big")
    # Numbers of made-up forges lie below those of the ids of labels in files (features/labels.py).
    return -_NUMBERS - place % (_NUMBERS - 1) if is_synthetic else 1 + place % (2 * _NUMBERS - 1)


def number_of(identity: int) -> int:
    """The number of the forge that an id of the warehouse belongs to."""
    return identity >> _BITS


def forge_id(number: int, identity: int) -> int:
    """The id in the warehouse of what a forge calls `identity`; an id that has the forge's number already stays.

    Raises:
        QcError: if it is no id of that forge: it has another's number, or 2**40 and more.
    """
    if identity == 0 or number_of(identity) == number:  # 0 is nobody's id, anywhere
        return identity
    if number_of(identity) != 0:
        raise QcError(f"{identity} is no id of forge {number}: ids of a forge are 1 to {_ROOM - 1}")
    return number * _ROOM + identity


def id_beside(other: int, identity: int) -> int:
    """The id in the warehouse of what the forge of `other` calls `identity`; ids of forges stay what they are."""
    return forge_id(number_of(other), identity) if number_of(identity) == 0 else identity


def own_id(identity: int) -> int:
    """What the forge itself calls an id of the warehouse; the demo's are negative there, too."""
    return identity if number_of(identity) == _RESERVED[DEMO] else identity % _ROOM


def qualified(forge: str, name: str) -> str:
    """A name as people write it: with its host, unless it is one of github.com or of the demo."""
    return name if forge in _RESERVED else f"{forge}/{name}"
