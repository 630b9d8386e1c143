"""Prune neural networks the scikit-learn way, and see which group pays for it."""

from .estimators.constrained import GroupConstrainedPruner
from .estimators.pruned import PrunedClassifier, PrunedRegressor
from .estimators.transformers import BoundaryCloseness, SampleDiagnostics
from .metrics import GroupScorer, diagnostic_metrics
from .report import AuditReport, DiagnosisReport, audit, diagnose

__version__ = "0.1.0.dev0"

__all__ = [
    "AuditReport",
    "BoundaryCloseness",
    "DiagnosisReport",
    "GroupConstrainedPruner",
    "GroupScorer",
    "PrunedClassifier",
    "PrunedRegressor",
    "SampleDiagnostics",
    "audit",
    "diagnose",
    "diagnostic_metrics",
]
