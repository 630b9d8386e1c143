"""Baselines: balanced weights, balanced sampling, group DRO."""

import numpy as np
import pytest
import torch
from baselines import BASELINES, BalancedLoader, GroupDRO, balance
from networks import make_net
from torch import nn

from sklearn_fairprune import PrunedClassifier

SIZES = [30, 15, 15]


@pytest.fixture(scope="module")
def data():
    """Images of three classes, one of them twice as frequent."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], SIZES)
    X = rng.normal(size=(60, 1, 8, 8)) + y[:, None, None, None]
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def clf(data):
    """Trained dense, not yet pruned."""
    net = make_net("small", 1, 3, epochs=2, batch_size=16)
    short = {"schedule": "one_shot", "recovery": "plain", "finetune_epochs": 1}
    first = PrunedClassifier(net, sparsity=0.0, random_state=0, **short).fit(*data)
    return first.set_params(sparsity=0.8)


@pytest.fixture(scope="module")
def plain(clf, data):
    """Pruned without mitigation."""
    return PrunedClassifier(**clf.get_params(deep=False)).fit(*data)


@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_balanced_weights(strength):
    groups = np.repeat(["a", "b"], [30, 10])
    weights = balance(groups, strength)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(3**strength)


def totals(strength, seed=0, drawn=0):
    class Rows(torch.utils.data.Dataset):
        y = torch.tensor([0] * 900 + [1] * 100)

        def __len__(self):
            return len(self.y)

        def __getitem__(self, row):
            return self.y[row]

    torch.manual_seed(seed)
    torch.rand(drawn)
    loader = BalancedLoader(Rows(), strength=strength, batch_size=50)
    return torch.bincount(torch.cat(list(loader))).tolist()


def test_sampling_draws_groups_alike():
    assert totals(1.0)[1] == pytest.approx(500, abs=60)
    assert totals(0.0)[1] == pytest.approx(100, abs=40)
    assert sum(totals(1.0)) == 1000
    assert totals(1.0) == totals(1.0, drawn=5)
    assert len({tuple(totals(1.0, seed)) for seed in range(5)}) > 1


def test_group_dro_by_hand():
    criterion = GroupDRO(3, step=0.5).train()
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0, 1])
    rows = nn.functional.cross_entropy(logits, labels, reduction="none").numpy()
    means = np.array([rows[:2].mean(), rows[2], 0.0])
    q = np.exp(0.5 * means) / np.exp(0.5 * means).sum()
    assert criterion(logits, labels).item() == pytest.approx(q @ means, rel=1e-5)
    assert criterion.q.tolist() == pytest.approx(q, rel=1e-5)
    criterion(logits, labels)
    again = q * np.exp(0.5 * means)
    assert criterion.q.tolist() == pytest.approx(again / again.sum(), rel=1e-5)


def test_group_dro_outside_of_training_is_the_mean_loss():
    criterion = GroupDRO(2, step=0.5).eval()
    logits, labels = torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 0, 1])
    assert criterion(logits, labels) == nn.functional.cross_entropy(logits, labels)
    assert criterion.q.tolist() == [0.5, 0.5]


def test_group_dro_gives_the_loss_of_every_row_where_it_is_asked_for():
    criterion = GroupDRO(2, step=0.5).train()
    criterion.reduction = "none"
    logits, labels = torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 0, 1])
    rows = nn.functional.cross_entropy(logits, labels, reduction="none")
    assert torch.equal(criterion(logits, labels), rows)
    assert criterion.q.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", [n for n in BASELINES if n != "balanced last layer"])
def test_baselines_fine_tune_the_same_masks_and_leave_the_first_network(
    name, clf, plain, data
):
    nets = (clf.dense_estimator_, clf.estimator_)
    before = [{k: v.clone() for k, v in n.module_.state_dict().items()} for n in nets]
    model = BASELINES[name](clf, *data, 0.5)
    weights = dict(model.estimator_.module_.named_parameters())
    assert model.masks_.keys() == plain.masks_.keys()
    for key, mask in model.masks_.items():
        assert torch.equal(mask, plain.masks_[key])
        assert (weights[key][~mask] == 0).all()
        assert not torch.equal(
            weights[key], dict(plain.estimator_.module_.named_parameters())[key]
        )
    assert (clf.dense_estimator_, clf.estimator_) == nets
    for net, weights in zip(nets, before, strict=True):
        after = net.module_.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in weights.items())
    assert clf.sparsity_ == 0
    assert model.predict_proba(data[0]).sum(axis=1) == pytest.approx(np.ones(60))


def test_weights_of_strength_0_are_pruning_alone(clf, plain, data):
    model = BASELINES["weights"](clf, *data, 0.0)
    found, expected = (m.predict_proba(data[0]) for m in (model, plain))
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_give_the_same_network_again(name, clf, data):
    first, again = (BASELINES[name](clf, *data, 0.5).predict_proba(data[0]) for _ in "ab")
    assert np.array_equal(first, again)


def test_sampling_draws_other_rows_in_every_epoch():
    class Rows(torch.utils.data.Dataset):
        y = torch.arange(50) % 2

        def __len__(self):
            return 50

        def __getitem__(self, row):
            return row

    loader = BalancedLoader(Rows(), batch_size=50)
    first, second = (next(iter(loader)).tolist() for _ in "ab")
    assert first != second
