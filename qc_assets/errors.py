"""Errors a person is meant to read: each says what is wrong, where, and how to mend it."""


class QcError(Exception):
    """Base of every error that the command line shows as one line, without a traceback."""


class SettingsError(QcError):
    """A QC_* setting cannot be used."""


class WarehouseBusyError(QcError):
    """Another process kept the warehouse file locked for longer than QC_LOCK_TIMEOUT_S."""


class WarehouseMissingError(QcError):
    """The warehouse file has not been created yet."""


class SourceError(QcError):
    """A source of activity could not be read at all."""


class TrainingError(QcError):
    """A model cannot be trained on what the warehouse holds."""


class FairnessError(QcError):
    """Groups cannot be made of the data, or not be compared."""
