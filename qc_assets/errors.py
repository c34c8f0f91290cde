"""Errors a person is meant to read: each says what is wrong, where, and how to mend it."""

import re

# Bounded, so that a text without blanks costs no more than its length.
_IN_URL = re.compile(
    r"(?<=//)[^\s'\"]{0,500}@"
    r"|((?<=sig=|key=)|(?<=token=)|(?<=secret=)|(?<=password=))[^&\s'\"]+"
)

_PASSWORD = re.compile(r"(password\s{0,9}=\s{0,9})(?:'[^']{0,500}'?|[^&\s'\"?]+)", re.IGNORECASE)


def masked_urls(text: str) -> str:
    """A text in which URLs and connection strings show no user, no password, and no key among their parameters."""
    return _PASSWORD.sub(r"\1***", _IN_URL.sub(lambda hit: "***@" if hit[0].endswith("@") else "***", text))


class QcError(Exception):
    """Base of every error that the command line shows as one line, without a traceback; URLs lose their passwords."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*(masked_urls(part) if isinstance(part, str) else part for part in parts))


class SettingsError(QcError):
    """A QC_* setting cannot be used."""


class WarehouseBusyError(QcError):
    """Another process kept the warehouse file locked for longer than QC_LOCK_TIMEOUT_S."""


class WarehouseMissingError(QcError):
    """The warehouse file has not been created yet."""


class WarehouseAwayError(QcError):
    """A server that holds the warehouse does not answer, or no longer does."""


class SourceError(QcError):
    """A source of activity could not be read at all."""


class TrainingError(QcError):
    """A model cannot be trained on what the warehouse holds."""


class FairnessError(QcError):
    """Groups cannot be made of the data, or not be compared."""
