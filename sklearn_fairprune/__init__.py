"""Prune neural networks the scikit-learn way, and see which group pays for it."""

from .estimators.pruned import PrunedClassifier, PrunedRegressor
from .metrics import ColumnScorer
from .report import AuditReport, DiagnosisReport, audit, diagnose

__version__ = "0.1.0.dev0"

__all__ = [
    "AuditReport",
    "ColumnScorer",
    "DiagnosisReport",
    "PrunedClassifier",
    "PrunedRegressor",
    "audit",
    "diagnose",
]
