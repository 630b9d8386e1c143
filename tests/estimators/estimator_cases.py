"""Sixty rows of four noisy bits, a small net, and estimators around it."""

import numpy as np
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset

from sklearn_fairprune import PrunedClassifier

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (60, 4))
X = (BITS + 0.1 * RNG.normal(size=BITS.shape)).astype(np.float32)
CODES = np.where(RNG.random(60) < 0.1, 1 - BITS[:, 0], BITS[:, 0])
LABELS = np.array(["no", "yes"])[CODES]
WEIGHTS = RNG.uniform(0.5, 2, 60)
GROUPS = np.where(BITS[:, 1], "f", "m")
# The simplest fine-tuning: for tests whose subject is something else.
SHORT = {"schedule": "one_shot", "recovery": "plain", "finetune_lr": "net"}


class Net(nn.Module):
    """Two layers; `head` is what follows them."""

    def __init__(self, n_in=4, n_out=2, head=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, 8), nn.ReLU(), nn.Linear(8, n_out))
        self.head = head or nn.Identity()

    def forward(self, X):
        return self.head(self.body(X))


class Pairs(Dataset):
    """A map-style Dataset of NumPy pairs, or of samples alone if `y` is None."""

    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i] if self.y is None else (self.X[i], self.y[i])


def make_net(module=Net, kind=NeuralNetClassifier, **options):
    plain = {"criterion": nn.CrossEntropyLoss, "max_epochs": 3, "lr": 0.1, "batch_size": 16}
    return kind(module, **(plain | {"train_split": None, "verbose": 0} | options))


def make(net=None, kind=PrunedClassifier, **options):
    plain = SHORT | {"sparsity": 0.5, "finetune_epochs": 2, "random_state": 0}
    return kind(make_net() if net is None else net, **(plain | options))


def state(net):
    return {k: v.detach().numpy().copy() for k, v in net.module_.state_dict().items()}


def same_weights(one, other):
    """Whether two nets, or states of nets, are equal to the last bit."""
    one, other = (v if isinstance(v, dict) else state(v) for v in (one, other))
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def assert_same(a, b, atol=0.0):
    """Both estimators hold the same dense and the same pruned weights."""
    for name in ("dense_estimator_", "estimator_"):
        one, two = state(getattr(a, name)), state(getattr(b, name))
        for key in one:
            np.testing.assert_allclose(one[key], two[key], 0, atol, err_msg=f"{name} {key}")


def assert_pruned(est, sparsity=0.5):
    """Exactly the asked number of weights is exactly 0, and fine-tuning moved the rest."""
    weights, dense = state(est.estimator_), state(est.dense_estimator_)
    total = sum(m.numel() for m in est.masks_.values())
    removed = sum(int((~m).sum()) for m in est.masks_.values())
    assert removed == round(sparsity * total)
    assert est.sparsity_ == removed / total
    for name, mask in est.masks_.items():
        assert (weights[name][~mask.numpy()] == 0).all()
    assert any((weights[k] != dense[k]).any() for k in weights.keys() - est.masks_.keys())
