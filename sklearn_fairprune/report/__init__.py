"""Floor 5: audit and diagnosis as text, page, plots, gate, comparison and dashboards."""

from .audit import audit, audit_predictions
from .audit_report import AuditReport
from .compare import compare_reports
from .dashboards import FairnessDashboardData, to_fairness_dashboard
from .diagnose import diagnose
from .diagnosis_report import DiagnosisReport
from .displays import (
    DualHistoryDisplay,
    ForestDisplay,
    GroupBudgetDisplay,
    GroupDiagnosticsDisplay,
    GroupPathDisplay,
    LayerSparsityDisplay,
    TradeOffDisplay,
    plot_model_comparison,
)
from .gate import DisparityError, UndecidedError

__all__ = [
    "AuditReport",
    "DiagnosisReport",
    "DisparityError",
    "DualHistoryDisplay",
    "FairnessDashboardData",
    "ForestDisplay",
    "GroupBudgetDisplay",
    "GroupDiagnosticsDisplay",
    "GroupPathDisplay",
    "LayerSparsityDisplay",
    "TradeOffDisplay",
    "UndecidedError",
    "audit",
    "audit_predictions",
    "compare_reports",
    "diagnose",
    "plot_model_comparison",
    "to_fairness_dashboard",
]
