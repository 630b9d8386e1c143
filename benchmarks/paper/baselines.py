"""What a user would do instead of a constraint, in the same fine-tuning.

Each takes a `PrunedClassifier` whose dense network is trained, and fine-tunes a copy of
it: same network, masks, epochs, learning rates and seed; only the loss or the drawing of
rows is another. The groups are the classes, as in all of the paper's tasks.
"""

import copy

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn
from torch.utils.data import DataLoader, WeightedRandomSampler

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.last_step import LastStep, repeat
from sklearn_fairprune.engine.networks import adapt


def balance(groups, strength):
    """Weight of each row, the group's size to the power of -`strength`, with mean 1.

    At 0 all rows weigh the same, at 1 all groups do.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = (sizes.astype(float) ** -strength)[codes]
    return weights / weights.mean()


def group_weights(clf, X, y, strength):
    """Fine-tune on a row-weighted loss."""
    weights = balance(y, strength)
    return copy.deepcopy(clf).prune(X, y, sample_weight=weights)


class BalancedLoader(DataLoader):
    """As many rows an epoch as there are, drawn with replacement by `balance`."""

    def __init__(self, dataset, strength=1.0, shuffle=None, **options):
        weights = balance(dataset.y.numpy(), strength)
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**31)
        sampler = WeightedRandomSampler(weights.tolist(), len(weights), generator=generator)
        super().__init__(dataset, sampler=sampler, **options)


def group_sampling(clf, X, y, strength):
    """Fine-tune on rows drawn with another frequency."""
    return refit(clf, X, y, iterator_train=BalancedLoader, iterator_train__strength=strength)


class GroupDRO(nn.CrossEntropyLoss):
    """Online group DRO: the loss is a mean of group losses whose weights chase the worst.

    Sagawa, Koh, Hashimoto, Liang, "Distributionally robust neural networks", ICLR 2020,
    Algorithm 1: on every batch q_a grows by exp(step * loss of group a), then they are
    scaled to sum to 1. A group that is absent from a batch keeps its weight and adds no loss.

    Parameters
    ----------
    n_groups : int
        The groups are the classes.
    step : float
        Step size of q.
    """

    def __init__(self, n_groups, step):
        super().__init__()
        self.step = step
        self.register_buffer("q", torch.full((n_groups,), 1 / n_groups))

    def forward(self, logits, labels):
        """Mean loss of the rows; in training the weighted mean of the groups."""
        if not self.training or self.reduction != "mean":
            return super().forward(logits, labels)
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        counts = torch.bincount(labels, minlength=len(self.q)).to(losses.dtype)
        means = torch.zeros_like(self.q).index_add(0, labels, losses) / counts.clamp(min=1)
        with torch.no_grad():
            q = self.q * torch.exp(self.step * means)
            self.q.copy_(q / q.sum())
        return self.q @ means


def group_dro(clf, X, y, step):
    """Fine-tune on the online group DRO loss."""
    options = {"criterion__n_groups": len(np.unique(y)), "criterion__step": step}
    return refit(clf, X, y, criterion=GroupDRO, **options)


def refit(clf, X, y, **changes):
    """Prune and fine-tune a copy of the dense network with some parameters changed."""
    net = clone(clf.estimator).set_params(**changes).initialize()
    net.module_.load_state_dict(clf.dense_estimator_.module_.state_dict())
    options = clf.get_params(deep=False) | {"estimator": FrozenEstimator(net), "memory": None}
    return PrunedClassifier(**options).fit(X, y)


def balanced_last_layer(clf, X, y, strength):
    """Refit the last layer of a pruned network on a row-weighted loss, its zeros kept.

    Kirichenko, Izmailov, Wilson, "Last layer re-training is sufficient for robustness to
    spurious correlations", ICLR 2023, on the training rows.
    """
    pruner = copy.copy(clf)
    weights = balance(y, strength)[np.unique(y, return_index=True)[1]]
    rows = adapt(Rows(X, y, groups=y), clf.estimator_)
    step = LastStep(True, "equal_loss", 0.0, noise=0.0, least=0.0, most=np.inf, loss=1.0)
    net = repeat(clf.estimator_, rows, step, clf.masks_, torch.as_tensor(weights), 1.0)
    pruner._fitted = clf._fitted.change(net=net)
    return pruner


BASELINES = {
    "weights": group_weights,
    "sampling": group_sampling,
    "group DRO": group_dro,
    "balanced last layer": balanced_last_layer,
}
