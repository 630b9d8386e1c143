"""Rows as the network inside a model reads them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.measurement.network_rows import MOST_TOLD, network_rows, told_error

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, y = rng.normal(3, 2, size=(40, 4)).astype("f4"), np.repeat([0, 1], 20)


def test_rows_of_a_pipeline_are_those_after_its_steps():
    pruner = PrunedClassifier(hidden_layer_sizes=(3,), finetune_epochs=1, random_state=0)
    pipe = make_pipeline(StandardScaler(), pruner).fit(pd.DataFrame(X), y)
    net, features = network_rows(pipe, pd.DataFrame(X), 5)
    assert net is pipe[-1].estimator_
    np.testing.assert_allclose(features, pipe[0].transform(pd.DataFrame(X))[:5], rtol=1e-5)


class TwoInputs(nn.Module):
    """Reads a dict, as skorch hands over the columns of a frame."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(1, 2), nn.Linear(1, 2, bias=False)

    def forward(self, a, b):
        return self.a(a) + self.b(b)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_rows_of_a_net_come_in_order_over_its_batches():
    options = {
        "batch_size": 2,
        "iterator_valid__drop_last": True,  # as no prediction should
    }
    net = NeuralNetClassifier(TwoInputs, **options).initialize()
    features = network_rows(net, pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}), 5).features
    np.testing.assert_allclose(features["b"][:, 0], X[:5, 1])
    assert network_rows(net, pd.DataFrame({"a": X[:3, 0], "b": X[:3, 1]}), 99).features[
        "a"
    ].shape == (3, 1)


def test_an_error_is_told_in_one_line():
    assert told_error(ValueError("two\nlines.")) == "ValueError: two lines"
    assert len(told_error(RuntimeError("x" * 999))) < MOST_TOLD + 30
    assert told_error(KeyError()) == "KeyError"
