"""Group metrics: scorers for searches, diagnostics for fairlearn's MetricFrame."""

from .diagnostic import DiagnosticMetric, diagnostic_metrics, mean_closeness, mean_margin
from .group import (
    accuracy_spread,
    excess_accuracy_gap,
    fairness_violation,
    worst_group_accuracy,
)
from .scorers import SCORERS, GroupScorer, get_scorer

__all__ = [
    "SCORERS",
    "DiagnosticMetric",
    "GroupScorer",
    "accuracy_spread",
    "diagnostic_metrics",
    "excess_accuracy_gap",
    "fairness_violation",
    "get_scorer",
    "mean_closeness",
    "mean_margin",
    "worst_group_accuracy",
]
