"""Corrected statistics of batch norm: nothing pruned, nothing changed; else by hand."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batch_norm import averages, correct_batch_norm
from sklearn_fairprune.engine.batches import BatchIterator, Rows
from sklearn_fairprune.engine.randomness import seeded
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import excessive_loss, prunable

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X = rng.normal(1.0, 2.0, size=(40, 4))
Y = (X[:, 0] + X[:, 1] > 2).astype(np.int64)


class Normed(nn.Module):
    """32 weights, two batch norms, the second of which depends on the first."""

    def __init__(self, momentum=0.1, **options):
        super().__init__()
        self.first, self.drop = nn.Linear(4, 4), nn.Dropout(0.3)
        self.norm = nn.BatchNorm1d(4, momentum=momentum, **options)
        self.second, self.after = nn.Linear(4, 2), nn.BatchNorm1d(2, momentum=momentum)
        self.last = nn.Linear(2, 4)

    def forward(self, X):
        hidden = self.norm(self.drop(self.first(X))).relu()
        return self.last(self.after(self.second(hidden)))


class Residual(nn.Module):
    """Batch norm inside a block of a network of images, beside a path without."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 3, (1, 2)), nn.BatchNorm2d(3), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.last = nn.Linear(3, 2)

    def forward(self, X):
        hidden = self.stem(X.reshape(-1, 1, 2, 2))
        return self.last((hidden + self.block(hidden)).relu().mean(dim=(2, 3)))


class Noisy(Normed):
    def forward(self, X):
        return super().forward(X + torch.rand(4, dtype=X.dtype))


def rows(n=40):
    return Rows(X[:n], Y[:n], dtype=torch.float64)


def trained(module=Normed, epochs=5, **options):
    options = {"batch_size": 9, "iterator_train__shuffle": True} | options
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.03,
        train_split=None,
        verbose=0,
        **options,
    )
    net = networks.initialize(networks.with_fast_batches(net), torch.float64, 0)
    train(net, rows(), epochs, seed=0)
    return net


def state(net):
    return {k: v.clone() for k, v in net.module_.state_dict().items()}


def bits(net):
    return {k: v.numpy().tobytes() for k, v in net.module_.state_dict().items()}


def without(dense, **places):
    """Copy of a net without some weights: layer=index."""
    net = networks.copy_net(dense)
    with torch.no_grad():
        for layer, index in places.items():
            net.module_.get_submodule(layer).weight[index] = 0
    return net


@torch.no_grad()
def excess(net, dense):
    """R of two groups."""
    data, y = torch.from_numpy(X), torch.from_numpy(Y)
    losses = []
    for one in (dense, net):
        with seeded(0):
            out = one.module_.eval()(data)
        losses.append(nn.functional.cross_entropy(out, y, reduction="none"))
    return excessive_loss(*losses, torch.arange(len(y)) % 2, 2)


@pytest.mark.parametrize(
    "options", [{}, {"module": Noisy}, {"module": Residual}, {"module__eps": 1e3}]
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_without_a_removed_weight_nothing_changes(options, shuffle):
    dense = trained(**options, iterator_train__shuffle=shuffle)
    next(m for m in dense.module_.modules() if hasattr(m, "eps")).running_mean[0] = -0.0
    net = networks.copy_net(dense)
    correct_batch_norm(net, dense, rows(), seed=0)
    assert bits(net) == bits(dense)
    assert excess(net, dense).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_by_hand(momentum):
    dense = trained(module__momentum=momentum)
    net = without(dense, first=0, second=(0, 1))
    kept = state(net)
    correct_batch_norm(net, dense, rows(), seed=3)
    data = rows()
    data.generator.manual_seed(3)
    batches = [X for X, _ in BatchIterator(data, 9, shuffle=True)]
    assert [len(batch) for batch in batches] == [9, 9, 9, 9, 4]

    def seen(one):
        """Batch by batch: what the two layers see, normalised with the batch's numbers."""
        module, inputs = one.module_, ([], [])
        for batch in batches:
            hidden = module.first(batch)
            inputs[0].append(hidden)
            spread = (hidden.var(0, unbiased=False) + module.norm.eps).sqrt()
            normal = (hidden - hidden.mean(0)) / spread
            hidden = (normal * module.norm.weight + module.norm.bias).relu()
            inputs[1].append(module.second(hidden))
        return [
            (torch.stack([h.mean(0) for h in hs]).mean(0), torch.stack([h.var(0) for h in hs]))
            for hs in inputs
        ]

    with torch.no_grad():
        pairs = list(zip(("norm", "after"), seen(net), seen(dense), strict=True))
    for name, (m, v), (m_0, v_0) in pairs:
        own, layer = dense.module_.get_submodule(name), net.module_.get_submodule(name)
        ratio = (v.mean(0) + 1e-5) / (v_0.mean(0) + 1e-5)
        expected = m + ratio.sqrt() * (own.running_mean - m_0)
        torch.testing.assert_close(layer.running_mean, expected)
        expected = (own.running_var + 1e-5) * ratio - 1e-5
        torch.testing.assert_close(layer.running_var, expected)
        assert not torch.allclose(layer.running_mean, own.running_mean)
        assert not torch.allclose(layer.running_var, own.running_var)
        batches_seen = 25 if momentum else 5
        assert layer.num_batches_tracked == batches_seen
        assert layer.momentum == momentum
    for name, value in state(net).items():
        if "running" not in name and "tracked" not in name:
            assert torch.equal(value, kept[name])


def test_one_small_weight_of_thirty_two_costs_next_to_nothing():
    dense = trained()
    weights = prunable(dense.module_)
    assert sum(w.numel() for w in weights.values()) == 32
    place = divmod(int(weights["first.weight"].abs().argmin()), 4)
    net = without(dense, first=place)
    plain = networks.copy_net(net)
    correct_batch_norm(net, dense, rows(), seed=0)
    for name, found in averages(networks.copy_net(net), rows(), 0).items():
        layer = plain.module_.get_submodule(name)
        layer.running_mean.copy_(found.mean)
        layer.running_var.copy_(found.var)
    assert 0 < excess(net, dense).abs().max() < 0.004
    assert excess(plain, dense).abs().min() > 10 * excess(net, dense).abs().max()


def test_channels_that_are_only_shrunk_and_shifted_come_out_unchanged():
    dense = trained(module__eps=1e-12)
    net = networks.copy_net(dense)
    with torch.no_grad():
        net.module_.first.weight *= 0.1
        net.module_.first.bias.mul_(0.1).add_(torch.arange(4.0))
    correct_batch_norm(net, dense, rows(), seed=0)
    torch.testing.assert_close(excess(net, dense), torch.zeros(2).double(), rtol=0, atol=1e-9)
    assert excess(without(net, first=0), dense).abs().min() > 1e-3


def test_layers_that_nothing_pruned_feeds_keep_their_statistics():
    dense = trained(Residual)
    net = networks.copy_net(dense)
    with torch.no_grad():
        net.module_.block[0].weight[0] = 0
    correct_batch_norm(net, dense, rows(), seed=0)
    assert bits(net)["stem.1.running_mean"] == bits(dense)["stem.1.running_mean"]
    assert bits(net)["stem.1.running_var"] == bits(dense)["stem.1.running_var"]
    changed = net.module_.block[1].running_mean != dense.module_.block[1].running_mean
    assert changed.tolist() == [True, False, False]
    assert 0 <= net.module_.block[1].running_var[0] < 1e-4  # now it is constant


def test_statistics_of_the_dense_net_count_and_not_those_of_fine_tuning():
    dense = trained()
    net, other = without(dense, first=0), without(dense, first=0)
    other.module_.norm.running_mean += 5
    for one in (net, other):
        correct_batch_norm(one, dense, rows(), seed=0)
    assert bits(net) == bits(other)


def test_channels_that_were_constant():
    dense = trained()
    with torch.no_grad():
        dense.module_.first.weight[:2] = 0
        dense.module_.norm.running_var[:2] = 1e-32
    net = networks.copy_net(dense)
    with torch.no_grad():
        net.module_.first.bias[0] += 1  # still constant, but for rounding
        net.module_.first.weight[1] = 1.0
    correct_batch_norm(net, dense, rows(), seed=0)
    mean, var = net.module_.norm.running_mean, net.module_.norm.running_var
    torch.testing.assert_close(mean[0], dense.module_.norm.running_mean[0] + 1)
    assert 0 <= var[0] < 1e-15
    torch.testing.assert_close(
        var[1], averages(networks.copy_net(net), rows(), 0)["norm"].var[1]
    )


@pytest.mark.parametrize("eps", [1e-5, 1.0])
def test_no_variance_below_zero(eps):
    dense = trained(module__eps=eps)
    dense.module_.norm.running_var /= 10
    net = without(dense, first=0)
    correct_batch_norm(net, dense, rows(), seed=0)
    assert net.module_.norm.running_var[0] == 0
    assert (net.module_.norm.running_var[1:] > 0).all()


def test_nothing_but_statistics_is_touched():
    dense, before = trained(Noisy), torch.get_rng_state()
    net, own = without(dense, first=0), bits(dense)
    dense.module_.train()
    dense.module_.norm.eval()
    modes = [m.training for m in dense.module_.modules()]
    steps, history = repr(dense.optimizer_.state_dict()), len(dense.history)
    correct_batch_norm(net, dense, rows(), seed=0)
    assert bits(dense) == own
    assert [m.training for m in dense.module_.modules()] == modes
    assert (repr(dense.optimizer_.state_dict()), len(dense.history)) == (steps, history)
    assert {m.momentum for m in dense.module_.modules() if hasattr(m, "momentum")} == {0.1}
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("module", [Normed, Noisy])
def test_follows_the_seed(module):
    """By the order of the rows, or by what reading them draws."""
    dense, found = trained(module, iterator_train__shuffle=module is Normed), []
    for seed in (0, 0, 1):
        net = without(dense, first=0)
        correct_batch_norm(net, dense, rows(), seed=seed)
        found.append(bits(net))
        torch.rand(1)
    assert found[0] == found[1] != found[2]


class Kept(Normed):
    """The owner keeps the first batch norm in evaluation mode while the rest trains."""

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self


@pytest.mark.parametrize("options", [{"module": Kept}, {"module__track_running_stats": False}])
def test_layers_that_do_not_gather_statistics_are_left_alone(options):
    dense = trained(**options)
    net = without(dense, first=0)
    own = bits(net)
    correct_batch_norm(net, dense, rows(), seed=0)
    changed = {name for name, value in bits(net).items() if value != own[name]}
    assert changed == {"after.running_mean", "after.running_var"}


@pytest.mark.parametrize("batch_size", [1, 7])
def test_single_images_are_batches_and_single_vectors_are_not(batch_size):
    images = trained(Residual, batch_size=batch_size)
    found = averages(networks.copy_net(images), rows(8), 0)
    assert {int(f.n_batches) for f in found.values()} == {8 if batch_size == 1 else 2}
    vectors = averages(networks.copy_net(trained()), rows(10), 0)
    assert {int(f.n_batches) for f in vectors.values()} == {1}
    dense = trained()
    net = without(dense, first=0)
    own = bits(net)
    correct_batch_norm(net, dense, rows(1), seed=0)
    assert bits(net) == own


def test_an_error_leaves_both_nets_as_they_were():
    dense = trained()
    net = without(dense, first=0)
    own = bits(net), bits(dense)
    with pytest.raises(RuntimeError):
        correct_batch_norm(net, dense, Rows(X[:, :3], Y, dtype=torch.float64), seed=0)
    assert (bits(net), bits(dense)) == own
    assert (net.module_.norm.momentum, dense.module_.norm.momentum) == (0.1, 0.1)


def test_without_batch_norm_nothing_is_read():
    dense = trained(nn.Linear, module__in_features=4, module__out_features=2)
    correct_batch_norm(networks.copy_net(dense), dense, None, seed=0)


def test_a_net_all_of_whose_layers_are_kept_is_not_read():
    class AllKept(Normed):
        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            self.after.eval()
            return self

    dense = trained(AllKept)
    data = rows()
    data.take = data.features = None
    assert averages(networks.copy_net(dense), data, 0) == {}
