"""Prune neural networks the scikit-learn way, and see which group pays for it."""

from .estimators.pruned import PrunedClassifier, PrunedRegressor

__version__ = "0.1.0.dev0"

__all__ = ["PrunedClassifier", "PrunedRegressor"]
