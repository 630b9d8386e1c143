"""Temporary."""

import numpy as np
from sklearn.utils import Bunch


class PruningPath(Bunch):
    """Temporary."""

    def __init__(self, sparsities, estimators):
        super().__init__(
            sparsities=np.array([float(s) for s in sparsities]),
            achieved=np.array([e.sparsity_ for e in estimators]),
            estimators=estimators,
        )
