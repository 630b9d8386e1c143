"""A pruned network made to compute what the dense one does."""

import numpy as np
import pytest
import torch
from architecture_cases import CASES, fitted, raw_outputs
from architecture_cases import make as make_case
from architecture_cases import rows as case_rows
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn.utils import parametrizations

from sklearn_fairprune.engine import layer_passes, networks
from sklearn_fairprune.engine import reconstruction as module
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.fit import train_dense
from sklearn_fairprune.engine.recipe import make_recipe
from sklearn_fairprune.engine.reconstruction import reconstruct, row_weights
from sklearn_fairprune.engine.scoring import weight_masks
from sklearn_fairprune.functional import apply_masks, prunable

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 60
X, IMAGES = rng.normal(size=(N, 6)), rng.normal(size=(N, 2, 7, 6)).cumsum(2).cumsum(3)
GROUPS, W = np.repeat([0, 1], [50, 10]), rng.uniform(0, 3, N)
X[GROUPS == 1] += 2.0


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def rows_of(values=X, **options):
    return Rows(values, dtype=torch.float64, **options)


def masks_of(net, sparsity=0.5):
    options = {"criterion": "magnitude", "scope": "layerwise"}
    return weight_masks(net, sparsity=sparsity, **options)


def pruned(dense, masks=None, **pairs):
    """Masked copy of a network, and the masks; some names may have masks of their own."""
    masks = (masks or masks_of(dense)) | pairs
    net = networks.copy_net(dense)
    apply_masks(prunable(net.module_), masks)
    return net, masks


def refit(dense, rows=None, masks=None, **options):
    net, masks = pruned(dense, masks)
    return reconstruct(net, dense, rows or rows_of(), masks, **options)


def state(net):
    return {k: v.clone() for k, v in net.module_.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in b)


def close(a, b):
    for name in b:
        torch.testing.assert_close(a[name], b[name], rtol=1e-6, atol=1e-8)


def miss(net, dense, values=X, kept=slice(None)):
    """Squared error of the outputs."""
    found, wanted = (raw_outputs(n.module_, values[kept]) for n in (net, dense))
    return (found - wanted).square().mean().item()


def test_every_layer_is_the_least_squares_on_what_the_pruned_network_gives_it():
    dense = fitted(mlp)
    net, masks = pruned(dense)
    reconstruct(net, dense, rows_of(weights=W), masks, damping=0.0)
    inputs, wanted = torch.from_numpy(X), torch.from_numpy(X)
    root = np.sqrt(W)[:, None]
    for at in (0, 3):
        layer, target = net.module_[at], dense.module_[at](wanted).detach()
        for j, kept in enumerate(masks[f"{at}.weight"].numpy()):
            design = np.c_[inputs.detach().numpy()[:, kept], np.ones(N)]
            best = np.linalg.lstsq(root * design, root[:, 0] * target.numpy()[:, j])[0]
            found = layer.weight[j].detach().numpy()
            np.testing.assert_allclose(found[kept], best[:-1], rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(layer.bias[j].item(), best[-1], rtol=1e-6, atol=1e-7)
            assert (found[~kept] == 0).all()
        inputs, wanted = layer(inputs).relu(), target.relu()


@pytest.mark.parametrize("name", CASES)
def test_networks_of_all_kinds_come_nearer_to_the_dense_one(name):
    dense, rows = make_case(name), case_rows(name)
    net, masks = pruned(dense)
    before = miss(net, dense, CASES[name].X)
    found = reconstruct(net, dense, rows, masks)
    assert found.net is net
    assert miss(net, dense, CASES[name].X) < before
    assert all((w[~masks[k]] == 0).all() for k, w in prunable(net.module_).items())
    told = {*found.refitted, *found.skipped}
    assert told == {name for name in masks if name in told}
    assert found.unsolved == {}
    reasons = {"layer.self_attn.out_proj.weight": "the forward pass does not call its layer"}
    assert found.skipped == (reasons if name == "attention" else {})


CONVOLUTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"groups": 2, "dilation": 2},
    {"groups": 2, "bias": False},
    {"padding": "same", "padding_mode": "reflect"},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolutions(options):
    dense = fitted(lambda: nn.Sequential(nn.Conv2d(2, 4, 3, **options), nn.Flatten()))
    net, masks = pruned(dense)
    before = miss(net, dense, IMAGES)
    reconstruct(net, dense, rows_of(IMAGES), masks)
    assert miss(net, dense, IMAGES) < 0.9 * before


def test_a_convolution_is_a_linear_layer_on_its_patches():
    dense = fitted(lambda: nn.Sequential(nn.Conv2d(2, 4, 3)))
    net, masks = pruned(dense)
    patches = nn.functional.unfold(torch.from_numpy(IMAGES), 3).mT.reshape(-1, 18).numpy()
    flat = fitted(lambda: nn.Linear(18, 4))
    for a, b in zip(flat.module_.parameters(), dense.module_.parameters(), strict=True):
        a.data.copy_(b.reshape(a.shape))
    reconstruct(net, dense, rows_of(IMAGES), masks)
    found = refit(flat, rows_of(patches), {"weight": masks["0.weight"].flatten(1)}).net
    torch.testing.assert_close(net.module_[0].weight.flatten(1), found.module_.weight)
    torch.testing.assert_close(net.module_[0].bias, found.module_.bias)


def test_a_linear_network_is_recovered_where_inputs_are_doubled():
    dense = fitted(lambda: nn.Sequential(nn.Linear(12, 5), nn.Linear(5, 3)))
    doubled = np.c_[X, X]
    masks = {"0.weight": torch.arange(12).expand(5, 12) < 6, "1.weight": torch.ones(3, 5) > 0}
    net = refit(dense, rows_of(doubled), masks, damping=0.0).net
    assert miss(net, dense, doubled) < 1e-12


def test_nothing_pruned_and_nothing_pruned_before_stay_bit_for_bit():
    dense = fitted(mlp)
    whole = {name: torch.ones_like(mask) for name, mask in masks_of(dense).items()}
    found = refit(dense, masks=whole)
    assert found[1:] == ((), {}, {})
    assert same(state(found.net), state(dense))
    net, masks = pruned(dense, whole, **{"3.weight": masks_of(dense)["3.weight"]})
    assert reconstruct(net, dense, rows_of(), masks).refitted == ("3.weight",)
    assert same(state(net), {k: v for k, v in state(dense).items() if k.startswith("0")})
    net, masks = pruned(dense, whole, **{"0.weight": masks_of(dense)["0.weight"]})
    assert reconstruct(net, dense, rows_of(), masks).refitted == ("0.weight", "3.weight")
    assert not torch.equal(net.module_[3].weight, dense.module_[3].weight)


def test_balance_lowers_the_error_of_the_small_group():
    dense = fitted(lambda: nn.Linear(6, 3))
    rows, small = rows_of(groups=GROUPS), GROUPS == 1
    plain, half, even = (refit(dense, rows, balance=b, damping=0.0).net for b in (0, 0.5, 1))
    assert miss(even, dense, kept=small) < miss(half, dense, kept=small)
    assert miss(half, dense, kept=small) < 0.9 * miss(plain, dense, kept=small)
    assert miss(plain, dense) < miss(even, dense)
    rows = rows_of(groups=1 - GROUPS)  # other names
    close(state(refit(dense, rows, balance=1, damping=0.0).net), state(even))


def test_row_weights():
    rows = rows_of(groups=GROUPS, weights=W)
    own, even = row_weights(rows, 0.0), row_weights(rows, 1.0)
    np.testing.assert_allclose(own, W / W.mean())
    sums = np.bincount(GROUPS, weights=even)
    np.testing.assert_allclose(sums, N / 2)
    np.testing.assert_allclose(even / own, (even / own)[[0] * 50 + [-1] * 10])
    none = rows_of(groups=GROUPS, weights=np.where(GROUPS == 1, 0.0, 1.0))
    np.testing.assert_allclose(row_weights(none, 1.0), np.where(GROUPS == 1, 0.0, 1.2))
    assert (row_weights(rows_of(), 0.0) == 1).all()


def test_order_repetition_and_weights_of_rows():
    dense = fitted(mlp)
    order, times = np.random.default_rng(1).permutation(N), np.arange(N) % 3
    one = state(refit(dense).net)
    close(state(refit(dense, rows_of(X[order])).net), one)
    close(state(refit(dense, rows_of(np.r_[X, X])).net), one)
    repeated = np.repeat(np.arange(N), times)
    weighed = refit(dense, rows_of(weights=times.astype(float), groups=GROUPS), balance=1).net
    again = refit(dense, rows_of(X[repeated], groups=GROUPS[repeated]), balance=1).net
    close(state(weighed), state(again))


def test_rows_of_weight_0_are_not_looked_at():
    dense, counts = fitted(mlp), (np.arange(N) > 7).astype(float)
    odd = np.where(counts[:, None] > 0, X, np.nan)
    net = refit(dense, rows_of(odd, weights=counts)).net
    close(state(net), state(refit(dense, rows_of(X[8:])).net))


def test_one_row_and_constant_columns_break_nothing():
    dense = fitted(mlp)
    net, masks = pruned(dense)
    before = state(net)
    reconstruct(net, dense, rows_of(X[:1]), masks)
    assert miss(net, dense, X[:1]) < 1e-18
    close(
        {k: v for k, v in state(net).items() if "weight" in k},
        {"0.weight": before["0.weight"]},
    )
    constant = X.copy()
    constant[:, 0], constant[:, 1] = 5.0, 0.0
    net = refit(dense, rows_of(constant)).net
    assert all(v.isfinite().all() for v in state(net).values())


def test_rows_that_are_not_finite_change_nothing_and_are_told():
    dense, odd = fitted(mlp), X.copy()
    odd[3, 2] = np.nan
    net, masks = pruned(dense)
    before = state(net)
    found = reconstruct(net, dense, rows_of(odd), masks)
    assert found.unsolved == {"0.weight": 8, "3.weight": 3}
    assert same(state(net), before)


def test_the_float32_layers_stay_float32():
    dense = fitted(mlp, dtype=torch.float32)
    found = refit(dense, Rows(X)).net
    assert {p.dtype for p in found.module_.parameters()} == {torch.float32}
    other = fitted(mlp)
    other.module_.load_state_dict(dense.module_.state_dict())
    exact = refit(other, masks=masks_of(dense)).net
    for name, value in state(exact).items():
        torch.testing.assert_close(state(found)[name].double(), value, rtol=1e-3, atol=1e-3)


def test_all_else_stays_as_it_was():
    dense, rows = make_case("cnn"), case_rows("cnn")
    net, masks = pruned(dense)
    net.module_.train()
    dense.module_[1].eval()
    seen = []
    net.module_[0].register_forward_hook(lambda *_: seen.append(1))
    modes = [[m.training for m in n.module_.modules()] for n in (net, dense)]
    before, kept = state(net), state(dense)
    draws = [torch.get_rng_state(), np.random.get_state()[1].copy()]  # noqa: NPY002
    order = rows.generator.get_state()
    reconstruct(net, dense, rows, masks)
    assert modes == [[m.training for m in n.module_.modules()] for n in (net, dense)]
    assert same(state(dense), kept)
    norms = [name for name in before if name.startswith("1.")]
    assert same(state(net), {name: before[name] for name in norms})
    assert len(norms) == 5
    assert len(net.module_[0]._forward_hooks) == 1
    assert sum(len(m._forward_hooks) for m in net.module_.modules()) == 1
    assert torch.equal(torch.get_rng_state(), draws[0])
    assert (np.random.get_state()[1] == draws[1]).all()  # noqa: NPY002
    assert torch.equal(rows.generator.get_state(), order)
    assert torch.backends.mha.get_fastpath_enabled()


class OwnStep(NeuralNetClassifier):
    """Leaves the mode alone, draws numbers, and turns gradients off."""

    def evaluation_step(self, batch, training=False):
        with torch.no_grad():
            return self.infer(batch[0] + 1e-3 * torch.randn(batch[0].shape).double())


def test_evaluation_steps_of_the_nets_own():
    dense = fitted(mlp, OwnStep, criterion=nn.CrossEntropyLoss)
    dense.module_.train()
    before = torch.get_rng_state()
    found, again = (state(refit(dense).net) for _ in range(2))
    assert same(found, again)
    assert torch.equal(torch.get_rng_state(), before)
    plain = state(refit(fitted(mlp)).net)
    assert all(torch.allclose(found[k], plain[k], atol=0.02) for k in plain)


class Compiled(nn.Module):
    """Holds a module under the name that ``torch.compile`` gives it."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module


def test_compiled_networks_and_torch_datasets():
    dense = fitted(mlp)
    exact, masks = state(refit(dense).net), masks_of(dense)
    samples = [(x, 0) for x in torch.from_numpy(X)]
    close(state(refit(dense, rows_of(samples, y=np.zeros(N))).net), exact)
    net, _ = pruned(dense)
    net.module_, dense.module_ = Compiled(net.module_), Compiled(dense.module_)
    reconstruct(net, dense, rows_of(), masks)
    close({k.replace("_orig_mod.", ""): v for k, v in state(net).items()}, exact)


class Odd(nn.Module):
    """Layers that cannot be refitted beside some that can."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(1, 2, 2)
        self.made = parametrizations.weight_norm(nn.Linear(7, 6))
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.words = nn.Embedding(6, 6)
        self.tied = nn.Linear(6, 6, bias=False)
        self.tied.weight = self.words.weight
        self.one, self.other = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
        self.other.weight = self.one.weight
        self.unequal, self.unlike = nn.Linear(6, 6), nn.Linear(6, 6)
        self.unlike.weight = self.unequal.weight
        self.unused, self.last = nn.Linear(6, 6), nn.Linear(6, 3)
        self.last.bias.requires_grad_(False)

    def forward(self, X):
        hidden = self.made(self.up(X[:, None])).mean(1)
        for layer in (self.frozen, self.tied, self.one, self.other, self.unequal, self.unlike):
            hidden = layer(hidden).tanh()
        return self.last(hidden + self.words.weight[0])


def test_layers_that_cannot_be_refitted_are_told():
    dense = fitted(Odd)
    net, masks = pruned(dense)
    before, wrong = state(net), miss(net, dense)
    found = reconstruct(net, dense, rows_of(), masks)
    assert found.skipped == {
        "unused.weight": "the forward pass does not call its layer",
        "up.weight": "of a ConvTranspose1d",
        "made.weight": "made of other parameters",
        "frozen.weight": "frozen",
        "tied.weight": "shared with Embedding",
        "unequal.weight": "shared by layers with other settings or biases",
    }
    assert found.refitted == ("one.weight", "last.weight")
    changed = {k for k, v in state(net).items() if not torch.equal(v, before[k])}
    assert changed == {"one.weight", "other.weight", "last.weight"}
    assert miss(net, dense) < wrong


def test_layers_of_many_inputs_are_solved_without_the_matrix(monkeypatch):
    dense = fitted(lambda: nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.Flatten()))
    exact = state(refit(dense, rows_of(IMAGES)).net)
    monkeypatch.setattr(module, "MAX_GRAM_BYTES", 100)
    monkeypatch.setattr(layer_passes, "BLOCK_BYTES", 10_000)
    close(state(refit(dense, rows_of(IMAGES)).net), exact)
    monkeypatch.setattr(module, "MAX_WEIGHTS_WITHOUT_GRAM", 10)
    found = refit(dense, rows_of(IMAGES))
    assert found.skipped == {"0.weight": "too large, 10 inputs of 4 units"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"balance": 1.0}, "balance=1 weighs rows by their groups, and rows have none"),
        ({"balance": -1.0}, "balance must be a finite number of at least 0, got -1.0"),
        ({"damping": float("nan")}, "damping must be a finite number of at least 0, got nan"),
    ],
)
def test_arguments_that_mean_nothing(options, text):
    with pytest.raises(ValueError, match=text):
        refit(fitted(mlp), **options)


def test_masks_of_another_network():
    dense = fitted(mlp)
    net, masks = pruned(dense)
    for wrong in ({}, {"0.weight": masks["0.weight"].T}, masks | {"9.weight": torch.ones(2)}):
        with pytest.raises(ValueError, match="masks must be of prunable weights of the net"):
            reconstruct(net, dense, rows_of(), wrong)


@pytest.mark.slow
def test_a_trained_network_is_far_better_than_masked():
    data, target = load_digits(return_X_y=True)
    data = (data / 16).astype(np.float32)
    net = networks.default_net(True, 1200, 64, 10, (100,))
    dense = networks.initialize(networks.with_fast_batches(net), torch.float32, 0)
    rows = Rows(data[:1200], target[:1200])
    train_dense(dense, rows, make_recipe(0.0, 0))

    def accuracy(net):
        codes = networks.predict(net, Rows(data[1200:])).argmax(1)
        return (codes == target[1200:]).mean()

    for sparsity, lost in ((0.9, 0.04), (0.95, 0.12)):
        masks = weight_masks(dense, sparsity=sparsity, criterion="magnitude", scope="global")
        net, _ = pruned(dense, masks)
        masked = accuracy(net)
        reconstruct(net, dense, rows, masks)
        assert accuracy(net) > max(accuracy(dense) - lost, masked + 0.1)
