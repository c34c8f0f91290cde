"""What `qc doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is empty where it is fine."""

    what: str
    ok: bool
    detail: str
    mend: str = ""
