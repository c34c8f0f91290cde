"""qc-assets: audited, calibrated models of code review from the history of GitHub repositories."""

import os

# Here, as MLflow decides when it is imported, and in whichever process that is.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

__version__ = "0.1.0"
