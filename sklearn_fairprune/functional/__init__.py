"""Floor 1: tensor maths. No state, no files, no estimators."""

from .criteria import CRITERIA, magnitude
from .groups import (
    excess_accuracy_gap,
    excessive_loss,
    group_means,
    group_sizes,
    largest_gap,
)
from .masks import apply_masks, masks_sparsity, score_masks
from .params import prunable

__all__ = [
    "CRITERIA",
    "apply_masks",
    "excess_accuracy_gap",
    "excessive_loss",
    "group_means",
    "group_sizes",
    "largest_gap",
    "magnitude",
    "masks_sparsity",
    "prunable",
    "score_masks",
]
