"""Who is treated differently, by how much, how sure that is, what would help, and at what cost."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qc_assets.fairness.analyzer import BiasAnalyzer
    from qc_assets.fairness.findings import BiasAnalysis
    from qc_assets.fairness.mitigator import BiasMitigator
    from qc_assets.fairness.report import BiasReport
    from qc_assets.fairness.seniority import LEVELS, Seniority
    from qc_assets.fairness.slicer import ATTRIBUTES, KEYWORDS, DataSlicer

_MODULES = {
    "ATTRIBUTES": "slicer",
    "KEYWORDS": "slicer",
    "LEVELS": "seniority",
    "BiasAnalysis": "findings",
    "BiasAnalyzer": "analyzer",
    "BiasMitigator": "mitigator",
    "BiasReport": "report",
    "DataSlicer": "slicer",
    "Seniority": "seniority",
}

__all__ = [
    "ATTRIBUTES",
    "KEYWORDS",
    "LEVELS",
    "BiasAnalysis",
    "BiasAnalyzer",
    "BiasMitigator",
    "BiasReport",
    "DataSlicer",
    "Seniority",
]


def __getattr__(name: str) -> Any:
    # Settings read this package's knobs: that must load neither scikit-learn nor what needs settings itself.
    if name in _MODULES:
        return getattr(import_module(f"qc_assets.fairness.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
