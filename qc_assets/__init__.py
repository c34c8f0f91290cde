"""qc-assets: audited, calibrated models of code review from the history of GitHub repositories."""

__version__ = "0.1.0"
