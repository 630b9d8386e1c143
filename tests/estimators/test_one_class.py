"""A network that predicts one class for everybody is told at once."""

import warnings

import numpy as np
import pytest
import torch
from estimator_cases import LABELS, X, make, make_net
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor
from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows

RARE = np.where(np.arange(len(X)) == 0, "rare", "often")
TOLD = r"^The network of sparsity {} predicts 'often' for every training row: it is broken\.$"


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_fit_says_so(sparsity):
    with pytest.warns(ConvergenceWarning, match=TOLD.format(f"{sparsity:g}")) as caught:
        clf = make(make_net(max_epochs=9), sparsity=sparsity, schedule="cubic").fit(X, RARE)
    assert [warning.filename for warning in caught] == [__file__]
    assert set(clf.predict(X)) == {"often"}


def test_the_meta_estimator_says_so_once():
    pruner = GroupConstrainedPruner(
        make(make_net(max_epochs=9), schedule="cubic"), tolerance=99.0
    )
    with pytest.warns(ConvergenceWarning, match=TOLD.format("0.5")) as caught:
        pruner.fit(X, RARE)
    assert len(caught) == 1


def test_prune_and_path_say_so_as_fit_does():
    clf = make(make_net(max_epochs=9), sparsity=0.2, schedule="cubic")
    with pytest.warns(ConvergenceWarning, match=TOLD.format("0.2083")):
        clf.fit(X, RARE)
    with pytest.warns(ConvergenceWarning, match=TOLD.format("0.5")) as caught:
        clf.prune(X, RARE, sparsity=0.5)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(ConvergenceWarning) as caught:
        clf.pruning_path(X, RARE, sparsities=[0, 0.5])
    told = [str(warning.message).split()[4] for warning in caught]
    assert told == ["0", "0.5"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.prune(sparsity=0.5)  # masked only: nobody knows what it predicts


def test_nothing_is_said_of_others():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = PrunedClassifier(sparsity=0.2, random_state=0).fit(X, LABELS)
        PrunedRegressor(sparsity=0.9, finetune_epochs=0, random_state=0).fit(X, X[:, 0] * 0)
    assert len(set(clf.predict(X))) == 2


class Counting(nn.Module):
    """Predicts the class that stands in the first feature; counts its batches."""

    def __init__(self):
        super().__init__()
        self.weight, self.batches = nn.Parameter(torch.ones(())), 0

    def forward(self, rows):
        self.batches += 1
        return nn.functional.one_hot(rows[:, 0].long(), 2) * self.weight


@pytest.mark.parametrize(
    ("other", "code", "batches"), [(None, 1, 5), (0, None, 1), (19, None, 5), (8, None, 3)]
)
def test_batches_are_read_until_another_class_is_seen(other, code, batches):
    features = np.ones((20, 1), dtype=np.float32)
    if other is not None:
        features[other] = 0
    rows = Rows(features, np.zeros(20, dtype=np.int64))
    net = networks.with_fast_batches(make_net(Counting, batch_size=4))
    networks.initialize(net, torch.float32, 0)
    assert networks.only_code(net, rows) == code
    assert net.module_.batches == batches
