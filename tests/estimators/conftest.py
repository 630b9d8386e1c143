"""A fitted classifier for tests that leave it as it is."""

import pytest
from estimator_cases import LABELS, X, make


@pytest.fixture(scope="module")
def classifier():
    return make().fit(X, LABELS)
