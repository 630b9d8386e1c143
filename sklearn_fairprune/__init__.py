"""Prune neural networks the scikit-learn way, and see which group pays for it."""

from .estimators.constrained import GroupConstrainedPruner
from .estimators.path import PruningPath
from .estimators.pruned_classifier import PrunedClassifier
from .estimators.pruned_regressor import PrunedRegressor
from .estimators.transformers import BoundaryCloseness, SampleDiagnostics
from .estimators.ways import Cubic, Distill, Iterative, Reconstruct, Rewind
from .metrics import GroupScorer, diagnostic_metrics
from .report import (
    AuditReport,
    DiagnosisReport,
    DisparityError,
    DualHistoryDisplay,
    FairnessDashboardData,
    ForestDisplay,
    GroupBudgetDisplay,
    GroupDiagnosticsDisplay,
    GroupPathDisplay,
    LayerSparsityDisplay,
    TradeOffDisplay,
    UndecidedError,
    audit,
    audit_predictions,
    compare_reports,
    diagnose,
    plot_model_comparison,
    to_fairness_dashboard,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "AuditReport",
    "BoundaryCloseness",
    "Cubic",
    "DiagnosisReport",
    "DisparityError",
    "Distill",
    "DualHistoryDisplay",
    "FairnessDashboardData",
    "ForestDisplay",
    "GroupBudgetDisplay",
    "GroupConstrainedPruner",
    "GroupDiagnosticsDisplay",
    "GroupPathDisplay",
    "GroupScorer",
    "Iterative",
    "LayerSparsityDisplay",
    "PrunedClassifier",
    "PrunedRegressor",
    "PruningPath",
    "Reconstruct",
    "Rewind",
    "SampleDiagnostics",
    "TradeOffDisplay",
    "UndecidedError",
    "audit",
    "audit_predictions",
    "compare_reports",
    "diagnose",
    "diagnostic_metrics",
    "plot_model_comparison",
    "to_fairness_dashboard",
]
