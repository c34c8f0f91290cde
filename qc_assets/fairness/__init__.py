"""Who is treated differently, by how much, how sure that is, what would help, and at what cost."""

from typing import TYPE_CHECKING, Any

from qc_assets.fairness.analyzer import BiasAnalysis, BiasAnalyzer
from qc_assets.fairness.mitigator import BiasMitigator
from qc_assets.fairness.seniority import LEVELS, Seniority
from qc_assets.fairness.slicer import ATTRIBUTES, KEYWORDS, DataSlicer

if TYPE_CHECKING:
    from qc_assets.fairness.report import BiasReport

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
    # Training needs the mitigator and reports need trained models: importing both here would go in a circle.
    if name == "BiasReport":
        from qc_assets.fairness.report import BiasReport

        return BiasReport
    raise AttributeError(f"module {__name__} has no attribute {name}")
