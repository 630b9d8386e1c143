"""Calls that must fail, and leave a fitted estimator as it was."""

import numpy as np
import pytest
from estimator_cases import X
from sklearn.exceptions import NotFittedError

VERBS = ["fit", "prune", "partial_fit", "pruning_path"]


def call(est, verb, X, y=None, **options):
    options |= {"sparsities": [0.5]} if verb == "pruning_path" else {}
    return getattr(est, verb)(X, y, **options)


class Unharmed:
    """Checks that a failing call leaves a fitted estimator as it was (`fit`: unfitted)."""

    def __init__(self, est, verb, X=X):
        self.est, self.verb, self.X = est, verb, X

    def __enter__(self):
        self.before, self.predicted = dict(vars(self.est)), self.est.predict(self.X)

    def __exit__(self, *failure):
        if self.verb == "fit":
            with pytest.raises(NotFittedError):
                self.est.predict(self.X)
            return
        assert vars(self.est).keys() == self.before.keys()
        assert all(v is self.before[k] for k, v in vars(self.est).items())
        np.testing.assert_array_equal(self.est.predict(self.X), self.predicted)


def fails(error, match, est, verb, X, y=None, **options):
    with Unharmed(est, verb), pytest.raises(error, match=match):
        call(est, verb, X, y, **options)


def with_value(array, value):
    array = np.array(array)
    array.flat[5] = value
    return array
