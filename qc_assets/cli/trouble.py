"""What the errors of libraries and of the machine mean to the person at the terminal: what, where, how to mend."""

import re
from collections.abc import Iterator

from qc_assets.errors import QcError, masked_urls

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|disk is full|Errno 28|quota exceeded",
        "the disk is full: free some space where QC_HOME and QC_WAREHOUSE are, then run the same command again; what "
        "was committed stays",
    ),
    (
        r"Read-only file system|readonly database|Permission denied|not permitted|unable to open database file",
        "make it writable for this user, or set QC_HOME and QC_WAREHOUSE to a folder that is",
    ),
    (
        r"Could not set lock|database is locked",
        "another program holds the file: close it, or wait for its run to end",
    ),
    (
        r"out-of-date database schema",
        "the store is of another version of MLflow: `qc migrate` upgrades an older one, after a copy",
    ),
    (
        r"Can't locate revision",
        "the store was made by a newer version of MLflow: install that one, or restore a backup",
    ),
    (
        r"not a database|malformed|valid DuckDB database|[Cc]orrupt|[Cc]hecksum|Failed to load metadata pointer",
        "the file is damaged: `qc doctor` says which one and whether it can be moved away; `qc restore` brings a "
        "backup back",
    ),
    (r"Address already in use|Errno 98", "another program has the port: stop that one, or choose another port"),
    (
        r"Connection refused|Name or service not known|Temporary failure in name|unreachable|timed out|ConnectError",
        "check the network, and the URL in .env",
    ),
    (r"MemoryError|Out of Memory|Cannot allocate memory", "free some memory, or take fewer days at a time"),
    (r"Too many open files", "raise `ulimit -n`, or close other programs"),
    (
        r"No module named|ModuleNotFoundError",
        "install qc-assets again, with its dependencies; in a checkout `make demo` does that",
    ),
    (r"UnicodeDecodeError", "the text is not UTF-8: save it as UTF-8"),
    (r"Is a directory|IsADirectoryError|Not a directory|FileExistsError", "name another path"),
    (r"FileNotFoundError|No such file", "check the path"),
)


def explained(error: BaseException) -> str:
    """One sentence about an error: its own if it is one of ours, else what it says with how to mend it."""
    if isinstance(error, QcError):
        return str(error)
    import duckdb

    chain = list(_chain(error))
    for cause in chain:
        if advice := advice_about(f"{type(cause).__name__}: {cause}"):
            return f"{_what(cause)} – {advice}"
    if isinstance(error, duckdb.Error):  # about the query that was typed
        return f"{_what(error)}{_hint(error)}"
    return (
        f"{type(error).__name__}: {_what(error)} – nobody thought of this: run the command again with --debug, and "
        "report what it prints; `qc doctor` says what else is wrong"
    )


def advice_about(text: str) -> str:
    """How to mend what an error says; empty if nobody knows."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, text)), "")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, the cause that says most last."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _hint(error: BaseException) -> str:
    """What DuckDB offers in place of a name that it does not know, which it says on a line of its own."""
    hint = re.search(r"^(Did you mean|Candidate bindings:) .*", str(error), re.MULTILINE)
    return f" {hint[0][:300]}" if hint else ""


def _what(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return masked_urls(f"{error.filename}: {error.strerror}")
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return masked_urls(lines[0].strip()[:500] if lines else type(error).__name__)
