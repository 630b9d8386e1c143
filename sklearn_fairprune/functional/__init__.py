"""Floor 1: tensor maths. No state, no files, no estimators."""

from .boundary import closeness, margin
from .bounds import (
    proposition2_terms,
    second_order_estimate,
    theorem1_bound,
    theorem2_terms,
)
from .constraints import (
    CONSTRAINTS,
    Constraint,
    accuracy_gap,
    bounded_group_loss,
    equal_accuracy,
    equal_excessive_loss,
    equal_loss,
    minimax,
)
from .criteria import (
    CRITERIA,
    Criterion,
    magnitude,
    optimal_brain_damage,
    random,
    taylor,
    undecayed,
    wanda,
)
from .curvature import (
    Eigenvalue,
    gradient,
    hessian_product,
    largest_eigenvalue,
    spectral_norms,
)
from .diagnostics import DIAGNOSTICS, Diagnostic
from .diagonals import hessian_diagonal, hutchinson_diagonal
from .distillation import distillation_losses, squared_distances
from .dual_updates import dual_step, project, relative_step
from .granularities import GRANULARITIES, Granularity
from .group_criteria import fairgrape, fairprune, worst_group
from .groups import (
    excess_accuracy_gap,
    excessive_loss,
    group_means,
    group_sizes,
    largest_gap,
)
from .lagrangian import bounded_multipliers, group_weights, violations
from .masks import apply_masks, masks_sparsity, score_masks
from .params import dot, flatten, norm, prunable, trainable, unflatten
from .patches import patches
from .per_row import (
    directional_derivatives,
    fisher_diagonal,
    hessian_norms,
    jacobian_norms,
    row_gradients,
    row_hessian_products,
)
from .reconstruction import LeastSquares, masked_conjugate_gradients, masked_least_squares
from .schedules import (
    SCHEDULES,
    MaskUpdate,
    Schedule,
    cubic,
    iterative,
    mask_updates,
    one_shot,
    rewind,
)

__all__ = [
    "CONSTRAINTS",
    "CRITERIA",
    "DIAGNOSTICS",
    "GRANULARITIES",
    "SCHEDULES",
    "Constraint",
    "Criterion",
    "Diagnostic",
    "Eigenvalue",
    "Granularity",
    "LeastSquares",
    "MaskUpdate",
    "Schedule",
    "accuracy_gap",
    "apply_masks",
    "bounded_group_loss",
    "bounded_multipliers",
    "closeness",
    "cubic",
    "directional_derivatives",
    "distillation_losses",
    "dot",
    "dual_step",
    "equal_accuracy",
    "equal_excessive_loss",
    "equal_loss",
    "excess_accuracy_gap",
    "excessive_loss",
    "fairgrape",
    "fairprune",
    "fisher_diagonal",
    "flatten",
    "gradient",
    "group_means",
    "group_sizes",
    "group_weights",
    "hessian_diagonal",
    "hessian_norms",
    "hessian_product",
    "hutchinson_diagonal",
    "iterative",
    "jacobian_norms",
    "largest_eigenvalue",
    "largest_gap",
    "magnitude",
    "margin",
    "mask_updates",
    "masked_conjugate_gradients",
    "masked_least_squares",
    "masks_sparsity",
    "minimax",
    "norm",
    "one_shot",
    "optimal_brain_damage",
    "patches",
    "project",
    "proposition2_terms",
    "prunable",
    "random",
    "relative_step",
    "rewind",
    "row_gradients",
    "row_hessian_products",
    "score_masks",
    "second_order_estimate",
    "spectral_norms",
    "squared_distances",
    "taylor",
    "theorem1_bound",
    "theorem2_terms",
    "trainable",
    "undecayed",
    "unflatten",
    "violations",
    "wanda",
    "worst_group",
]
