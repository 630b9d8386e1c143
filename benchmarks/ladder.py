"""Families of ways to a fairer pruned network, as many settings of each; see plan.json.

A setting makes a fitted model from a `Cell`: a dense network, its training rows, a sparsity.
Where nothing else is said the pruning and fine-tuning are the package's own, of the one dense
network, by the same seed, for the epochs of the cell. Groups of n_a rows, never seen by the
network, may be the classes.
"""

import copy
import functools
import itertools

import numpy as np
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from torch import nn

from sklearn_fairprune import Distill, GroupConstrainedPruner, PrunedClassifier
from sklearn_fairprune.engine.batches import BatchIterator

RECOVERIES = {"plain": "plain", "distill": Distill()}
HALF = {"plain": "plain", "half distill": Distill(share=0.5)}
STRENGTHS = (0.25, 0.5, 1.0)
AFR_SHARE = 0.2  # of the training rows, which only the last layer is fitted on
PULL = 1e-3  # of the old last layer, where it is refitted with group weights


class Cell:
    """What the settings of one task, seed and sparsity start from.

    Parameters
    ----------
    dense : PrunedClassifier
        Fitted, of sparsity 0.
    data : tuple of (X, y, groups)
        Training rows; labels 0, 1, ...
    seed : int
        Of every fine-tuning.
    sparsity : float
        Of every network.
    epochs : int
        Of every fine-tuning.
    """

    def __init__(self, dense, data, seed, sparsity, epochs):
        self.dense, self.data, self.epochs = dense, data, epochs
        self.about = {"sparsity": sparsity, "random_state": seed, "finetune_epochs": epochs}
        self.kept = {}

    def pruner(self, net=None, **options):
        """Pruner of the dense network, or of a net that holds its weights."""
        frozen = FrozenEstimator(self.dense.estimator_ if net is None else net)
        return PrunedClassifier(frozen, **self.about | options)

    def fitted(self, estimator, rows=slice(None), **options):
        """Fit an estimator on some of the training rows."""
        X, y, groups = (values[rows] for values in self.data)
        return estimator.fit(X, y, sensitive_features=groups, **options)

    def recovered(self, recovery, rows=None):
        """Network after the package's own fine-tuning, made once; perhaps without rows."""
        key = recovery, rows is None
        if key not in self.kept:
            used = slice(None) if rows is None else rows
            self.kept[key] = self.fitted(self.pruner(recovery=RECOVERIES[recovery]), used)
        return self.kept[key]

    def changed(self, **parameters):
        """Net of the dense weights, with other parameters of the fine-tuning."""
        net = clone(self.dense.estimator_).set_params(**parameters).initialize()
        net.module_.load_state_dict(self.dense.estimator_.module_.state_dict())
        return net


def balance(groups, strength):
    """Weight n_a^-strength of each row, scaled to mean 1; at 1 all groups weigh the same."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weights = (sizes.astype(float) ** -strength)[codes]
    return weights / weights.mean()


def log_prior(y):
    """Logarithm of the share of every class."""
    return np.log(np.bincount(y) / len(y))


def trained(cell, **options):
    """Pruning with other options."""
    return cell.fitted(cell.pruner(**options))


def weighted(cell, strength, recovery):
    """Loss with group weights."""
    weights = balance(cell.data[2], strength)
    pruner = cell.pruner(recovery=RECOVERIES[recovery])
    return cell.fitted(pruner, sample_weight=weights)


class Resampled(BatchIterator):
    """As many rows an epoch as there are, drawn anew with replacement by `balance`."""

    def __init__(self, dataset, batch_size, strength, shuffle=True):
        super().__init__(dataset, batch_size, shuffle)
        self.weights = torch.as_tensor(balance(self.data.groups.numpy(), strength))

    def __iter__(self):
        """Yield one `Batch` after the other."""
        options = {"replacement": True, "generator": self.data.generator}
        drawn = torch.multinomial(self.weights, len(self.weights), **options)
        for rows in drawn.split(self.batch_size):
            yield self.data.take(rows)


def sampled(cell, strength, recovery):
    """Group-balanced sampling."""
    net = cell.changed(iterator_train=Resampled, iterator_train__strength=strength)
    return cell.fitted(cell.pruner(net, recovery=RECOVERIES[recovery]))


class AdjustedLoss(nn.CrossEntropyLoss):
    """Logit-adjusted loss: the cross-entropy of logits + offsets; outputs have none.

    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation (10).
    """

    def __init__(self, offsets):
        super().__init__()
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.float32))

    def forward(self, logits, labels):
        """Loss of a batch."""
        return super().forward(logits + self.offsets, labels)


def adjusted_loss(cell, strength, recovery):
    """Fine-tuning on the logit-adjusted loss."""
    offsets = tuple((strength * log_prior(cell.data[1])).tolist())
    net = cell.changed(criterion=AdjustedLoss, criterion__offsets=offsets)
    return cell.fitted(cell.pruner(net, recovery=HALF[recovery]))


def constrained(cell, recovery, **options):
    """Ours, or the published group DRO."""
    base = cell.pruner(recovery=RECOVERIES[recovery])
    return cell.fitted(GroupConstrainedPruner(base, **options))


class Shifted:
    """Probabilities of a model after class offsets to its logits."""

    def __init__(self, model, offsets):
        self.model, self.offsets = model, offsets

    def predict_proba(self, X):
        """Softmax of the shifted logits."""
        shifted = self.model.predict_log_proba(X) + self.offsets
        shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)


def shifted(cell, strength, recovery):
    """Logits minus strength times the log prior (Menon et al. 2021, equation (9))."""
    return Shifted(cell.recovered(recovery), -strength * log_prior(cell.data[1]))


def refitted(pruner, X, y, weights, pull):
    """Copy of a pruner whose last layer minimises a weighted mean of the cross-entropy.

    Removed weights stay 0. ``pull / 2`` times the squared distance to the old weights and
    biases is added; the minimum is found by L-BFGS.
    """
    pruner = copy.deepcopy(pruner)
    *body, head = pruner.estimator_.module_.layers
    with torch.no_grad():
        features = nn.Sequential(*body)(torch.as_tensor(X)).double()
    weights, labels = torch.as_tensor(weights / weights.sum()), torch.as_tensor(y)
    old = [p.detach().double() for p in (head.weight, head.bias)]
    mask = old[0] != 0
    new = [p.clone().requires_grad_() for p in old]
    options = {"max_iter": 100, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS(new, **options)

    def closure():
        optimizer.zero_grad()
        logits = features @ (new[0] * mask).T + new[1]
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
        distance = sum((a - b).square().sum() for a, b in zip(new, old, strict=True))
        objective = weights @ losses + pull / 2 * distance
        objective.backward()
        return objective

    optimizer.step(closure)
    with torch.no_grad():
        head.weight.copy_(new[0] * mask)
        head.bias.copy_(new[1])
    return pruner


def last_layer(cell, strength, recovery):
    """Last layer refitted with group weights, on the training rows."""
    X, y, groups = cell.data
    return refitted(cell.recovered(recovery), X, y, balance(groups, strength), PULL)


def afr_weights(p_true, y, gamma):
    """Weights exp(-gamma p_true) / n_class of automatic feature reweighting, of sum 1."""
    weights = np.exp(-gamma * p_true) / np.bincount(y)[y]
    return weights / weights.sum()


def afr(cell, strength, recovery):
    """Last layer refitted on rows kept out of the fine-tuning, weighted by their errors.

    Qiu, Potapczynski, Izmailov, Wilson, "Simple and fast group robustness by automatic
    feature reweighting", ICML 2023: needs no groups. The strength is gamma and the pull of
    the old layer, lambda. The dense network has seen all rows.
    """
    gamma, pull = strength
    X, y, _ = cell.data
    rows = np.arange(len(y))
    options = {
        "test_size": AFR_SHARE,
        "stratify": y,
        "random_state": cell.about["random_state"],
    }
    seen, held = train_test_split(rows, **options)
    pruner = cell.recovered(recovery, seen)
    p_true = pruner.predict_proba(X[held])[np.arange(len(held)), y[held]]
    weights = afr_weights(p_true, y[held], gamma)
    return refitted(pruner, X[held], y[held], weights, pull)


def pooled(y, groups):
    """Names of the groups that have rows of both classes; the others are one group."""
    names = [name for name in np.unique(groups) if len(np.unique(y[groups == name])) == 2]
    rest = y[~np.isin(groups, names)]
    if len(np.unique(rest)) < 2:  # the smallest joins them
        names.remove(min(names, key=lambda name: (groups == name).sum()))
    return names


class Thresholds:
    """Randomised thresholds of every group, in expectation; needs groups to predict.

    The probabilities, and so all losses, are those of the network.
    """

    def __init__(self, optimizer, names, groups):
        self.optimizer, self.names, self.groups = optimizer, names, groups
        self.predict_proba = optimizer.estimator.predict_proba

    def of(self, groups):
        """Return the same for rows of other groups."""
        return Thresholds(self.optimizer, self.names, groups)

    def correctness(self, X, y):
        """Probability that the randomised prediction of each row is right."""
        known = np.where(np.isin(self.groups, self.names), self.groups, "others")
        chances = self.optimizer._pmf_predict(X, sensitive_features=known)
        return np.asarray(chances)[np.arange(len(y)), y]


def thresholds(cell, constraint, recovery):
    """Fairlearn's ThresholdOptimizer on the training rows; for two classes only."""
    X, y, groups = cell.data
    names = pooled(y, groups)
    known = np.where(np.isin(groups, names), groups, "others")
    options = {"prefit": True, "predict_method": "predict_proba", "constraints": constraint}
    optimizer = ThresholdOptimizer(estimator=cell.recovered(recovery), **options)
    return Thresholds(optimizer.fit(X, y, sensitive_features=known), names, groups)


def crossed(make, values, recoveries=RECOVERIES, shown="{}"):
    """Six settings: {"value, recovery": function of the cell} of three values and two."""
    return {
        f"{shown.format(value)}, {name}": functools.partial(
            make, **{key: value}, recovery=name
        )
        for (key, value), name in itertools.product(values, recoveries)
    }


def strengths(make, values=STRENGTHS, **options):
    """Settings by strength and recovery."""
    return crossed(make, [("strength", value) for value in values], **options)


# What is to be equal after all training, the accuracy that it may cost of the network before
# (on training rows, cross-fitted), and the bounds of the row weights; of distilled networks.
USUAL, WIDE = (0.5, 4.0), (0.25, 8.0)
LAST = (
    ("equal_accuracy", 0.003, USUAL),
    ("equal_accuracy", 0.01, USUAL),
    ("equal_accuracy", 0.03, USUAL),
    ("equal_accuracy", 0.01, WIDE),
    ("equal_accuracy", 0.03, WIDE),
    ("equal_excessive_loss", 0.01, USUAL),
)


def adjusted(cell, **options):
    """Ours after all training: the last step of the distilled network."""
    pruner = FrozenEstimator(cell.recovered("distill"))
    options |= {"tolerance": 0.0, "noise": 1.0}
    return cell.fitted(GroupConstrainedPruner(pruner, **options))


def constraints(stage):
    """Ours at a stage, by the settings of `LAST`."""
    return {
        f"{constraint}, {lost}{', wide' * (bounds == WIDE)}": functools.partial(
            adjusted,
            stage=stage,
            constraint=constraint,
            max_accuracy_loss=lost,
            min_row_weight=bounds[0],
            max_row_weight=bounds[1],
        )
        for constraint, lost, bounds in LAST
    }


PUBLISHED_DRO = {"constraint": "minimax", "dual_update": "projected", "tolerance": 0.0}
OURS = {
    "constraint": crossed(constrained, [("dual_lr", v) for v in (1.0, 2.0, 4.0)]),
    "shift": constraints("shift"),
    "last_layer": constraints("last_layer"),
}
INSTEAD = {
    "plain": {
        "default": lambda cell: cell.recovered("plain"),
        "twice the epochs": lambda cell: trained(cell, finetune_epochs=2 * cell.epochs),
        "peak rate 0.003": functools.partial(trained, finetune_lr=0.003),
        "the net's rate": functools.partial(trained, finetune_lr="net"),
        "one_shot": functools.partial(trained, schedule="one_shot"),
        "iterative": functools.partial(trained, schedule="iterative"),
    },
    "distill": {
        "default": lambda cell: cell.recovered("distill"),
        "share 0.5": functools.partial(trained, recovery=Distill(share=0.5)),
        "temperature 2": functools.partial(trained, recovery=Distill(2.0)),
        "share 0.5, temperature 2": functools.partial(
            trained, recovery=Distill(2.0, share=0.5)
        ),
        "balance 0.5": functools.partial(trained, recovery=Distill(balance=0.5)),
        "balance 1": functools.partial(trained, recovery=Distill(balance=1.0)),
    },
    "group weights": strengths(weighted),
    "group sampling": strengths(sampled),
    "group DRO": crossed(
        functools.partial(constrained, **PUBLISHED_DRO),
        [("dual_lr", v) for v in (0.005, 0.015, 0.05)],
    ),
    "adjusted loss": strengths(adjusted_loss, (0.25, 0.5, 1.0), recoveries=HALF),
    "logit shift": strengths(shifted),
    "balanced last layer": strengths(last_layer),
    "AFR": strengths(afr, ((1.0, 1.0), (1.0, 0.1), (4.0, 1.0))),
    "thresholds": crossed(
        thresholds,
        [
            ("constraint", "equalized_odds"),
            ("constraint", "true_positive_rate_parity"),
            ("constraint", "false_positive_rate_parity"),
        ],
    ),
}
FAMILIES = INSTEAD | OURS


def best_shift(scores, y, least, n_trials=4000):
    """Class offsets of the smallest spread of recalls at an accuracy: a search, no proof.

    Offsets go where recall is low, then move at random as long as that helps.

    Parameters
    ----------
    scores : ndarray of shape (n, K)
        Logits.
    y : ndarray of shape (n,)
        Labels, which are also the groups.
    least : float
        Accuracy below which no offsets count but 0.
    n_trials : int
        Random moves.

    Returns
    -------
    offsets : ndarray of shape (K,)
    """
    sizes, rng = np.bincount(y), np.random.default_rng(0)

    def judged(offsets):
        right = (scores + offsets).argmax(axis=1) == y
        recalls = np.bincount(y, right) / sizes
        return np.ptp(recalls) if right.mean() >= least else 1.0, recalls

    best = offsets = np.zeros(scores.shape[1])
    least_spread = np.ptp(judged(best)[1])
    for k in range(100 + n_trials):
        if k < 100:
            recalls = judged(offsets)[1]
            offsets = offsets + 0.1 * (recalls.mean() - recalls)
        else:
            moves = rng.normal(size=len(best)) * (rng.random(len(best)) < 0.5)
            offsets = best + rng.choice([0.02, 0.05, 0.1, 0.2, 0.5]) * moves
        spread = judged(offsets)[0]
        if spread < least_spread:
            best, least_spread = offsets, spread
    return best
