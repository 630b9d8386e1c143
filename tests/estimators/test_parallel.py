"""Searches in threads and processes."""

import joblib
import numpy as np
import pytest
from people_cases import FRAME, LABELS, SEX, net, search
from torch import nn

from sklearn_fairprune import PrunedClassifier


# Processes take seconds to start, and share nothing that the net without draws could mix up.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "dropout"), [("threading", None), ("threading", 0.3), ("loky", 0.3)]
)
def test_parallel_searches_give_the_scores_of_a_serial_one(backend, dropout):
    estimator = PrunedClassifier(random_state=0, finetune_epochs=1)
    if dropout:
        layers = nn.Linear(5, 9), nn.ReLU(), nn.Dropout(dropout), nn.Linear(9, 2)
        estimator.set_params(estimator=net(nn.Sequential(*layers)))
    one = search(estimator).fit(FRAME, LABELS, sensitive_features=SEX)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        two = search(estimator).fit(FRAME, LABELS, sensitive_features=SEX)
    for k in range(3):
        key = f"split{k}_test_score"
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    np.testing.assert_array_equal(one.predict_proba(FRAME), two.predict_proba(FRAME))
