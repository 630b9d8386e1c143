"""Networks that are pruned before they are trained."""

import copy

import torch
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.functional import prunable, score_masks


def test_taylor_of_an_untrained_network_is_snip():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype("float32")
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 10)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        train_split=None,
        verbose=0,
    ).initialize()
    before = copy.deepcopy(net.module_.state_dict())
    options = {"schedule": "one_shot", "finetune_epochs": 30, "sparsity": 0.9}
    clf = PrunedClassifier(FrozenEstimator(net), criterion="taylor", random_state=0, **options)
    clf.fit(X, y)
    assert [row["phase"] for row in clf.history_] == ["finetune"] * 30
    loss = nn.functional.cross_entropy(net.module_(torch.from_numpy(X)), torch.from_numpy(y))
    weights = prunable(net.module_)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    scores = {
        k: (w * g).detach().abs() for (k, w), g in zip(weights.items(), gradients, strict=True)
    }
    for name, mask in score_masks(scores, 0.9).items():
        assert (mask != clf.masks_[name]).float().mean() < 1e-3  # rounding at the threshold
    assert all((before[k] == v).all() for k, v in net.module_.state_dict().items())
    assert clf.score(X, y) > 0.9
