"""Plots of audits, diagnoses and constrained fits; they need matplotlib."""

from .comparison import plot_model_comparison
from .dual_history import DualHistoryDisplay
from .forest import ForestDisplay
from .group_budget import GroupBudgetDisplay
from .group_diagnostics import GroupDiagnosticsDisplay
from .group_path import GroupPathDisplay
from .layer_sparsity import LayerSparsityDisplay
from .trade_off import TradeOffDisplay

__all__ = [
    "DualHistoryDisplay",
    "ForestDisplay",
    "GroupBudgetDisplay",
    "GroupDiagnosticsDisplay",
    "GroupPathDisplay",
    "LayerSparsityDisplay",
    "TradeOffDisplay",
    "plot_model_comparison",
]
