"""Smaller networks against the masked ones that they come from."""

import copy
import pickle

import pytest
import torch
from compaction_cases import (
    CASES,
    UNCHANGED,
    Dense,
    cnn,
    inputs,
    make,
    masked,
    masks_of,
    mlp,
    outputs,
    separable,
)
from liveness_cases import as_net
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune.engine import compaction
from sklearn_fairprune.engine.compaction import compact
from sklearn_fairprune.engine.liveness import Liveness, dead_units
from sklearn_fairprune.functional import prunable

torch.set_num_threads(1)
SHARES = {torch.float64: (0.5, 0.8, 0.9, 0.95, 0.99), torch.float32: (0.8, 0.95)}
CLOSE = {torch.float64: 1e-10, torch.float32: 1e-5}


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def same_outputs(small, module, name, dtype):
    X = inputs(CASES[name][1], 7, dtype, seed=3)
    one, other = outputs(small, X), outputs(module, X)
    torch.testing.assert_close(
        one, other, rtol=0, atol=CLOSE[dtype] * max(1.0, other.abs().max().item())
    )


@pytest.mark.parametrize("dtype", SHARES)
@pytest.mark.parametrize("name", CASES)
def test_the_outputs_stay(name, dtype):
    removed = 0
    for seed, share in enumerate(SHARES[dtype]):
        module, X = make(name, seed, dtype)
        masks = masks_of(module, share, seed)
        before = copy.deepcopy(module.state_dict())
        found = compact(module, X, masks)
        assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
        masked(module, masks)
        assert not any("Nothing was removed" in note for note in found.notes)
        same_outputs(found.module, module, name, dtype)
        assert found.changed == bool(found.removed)
        assert (n_parameters(found.module) < n_parameters(module)) == found.changed
        assert found.changed or found.notes
        again = compact(found.module, X)
        # A depthwise convolution of one channel is an ordinary one: more can go then.
        assert not again.changed or name == "separable"
        removed += sum(gone for gone, _ in found.removed.values())
    assert (removed > 0) == (name not in UNCHANGED)


def hand_made(module, zero):
    """Set rows and columns of weights to 0: {layer: (rows, columns)}."""
    with torch.no_grad():
        for name, (rows, columns) in zero.items():
            weight = module.get_submodule(name).weight
            weight[list(rows)] = 0
            weight[:, list(columns)] = 0
    return module


def sizes(found):
    return {name: tuple(w.shape[:2]) for name, w in prunable(found.module).items()}


def full(module):
    """Fill a network with numbers of which none is 0."""
    generator = torch.Generator().manual_seed(1)
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator).to(value.dtype)
            value.copy_(drawn.abs() + 0.1 if "var" in key else drawn)
    return module.eval()


def test_units_are_counted():
    module = full(mlp((6, 8, 7, 3), nn.Sigmoid))
    hand_made(module, {"0": ([0, 3], []), "2": ([1], [5]), "4": ([], [2, 6])})
    found = compact(module, torch.randn(2, 6))
    assert found.removed == {"0": (3, 8), "2": (3, 7)}
    assert sizes(found) == {"0.weight": (5, 6), "2.weight": (4, 5), "4.weight": (3, 4)}
    assert (found.module[2].in_features, found.module[2].out_features) == (5, 4)


def test_constants_go_forward_through_four_layers():
    """First units read first units only, and the first of them reads nothing."""
    module = full(mlp((6, 5, 5, 5, 5, 3), nn.Sigmoid))
    hand_made(module, {"0": ([0], [])})
    with torch.no_grad():
        for i in (2, 4, 6):
            module[i].weight[0, 1:] = 0
    X = torch.randn(9, 6)
    found = compact(module, X[:2])
    assert found.removed == {str(i): (1, 5) for i in (0, 2, 4, 6)}
    torch.testing.assert_close(found.module(X), module(X))


def test_need_goes_backward_through_four_layers():
    """The last layer does not read the first unit, which alone reads the first before it."""
    module = full(mlp((6, 5, 5, 5, 5, 3)))
    hand_made(module, {"8": ([], [0])})
    with torch.no_grad():
        for i in (2, 4, 6):
            module[i].weight[1:, 0] = 0
    found = compact(module, torch.randn(2, 6))
    assert found.removed == {str(i): (1, 5) for i in (0, 2, 4, 6)}


def test_a_dead_chain_keeps_one_unit():
    module = full(mlp((6, 8, 7, 3), nn.Sigmoid))
    hand_made(module, {"2": (range(7), [])})
    found = compact(module, torch.randn(2, 6))
    assert sizes(found) == {"0.weight": (1, 6), "2.weight": (1, 1), "4.weight": (3, 1)}
    X = torch.randn(5, 6)
    torch.testing.assert_close(found.module(X), module(X))
    assert torch.equal(found.module(X)[0], found.module(X)[4])


def test_a_constant_last_unit_beside_a_border_is_folded_too():
    """It reads constants, which a border of zeros makes others at the edge."""
    module = full(cnn(1))
    hand_made(module, {"0": (range(6), [])})
    found = compact(module, torch.randn(2, 2, 8, 8))
    assert found.removed == {"0": (5, 6), "4": (4, 5)}
    X = torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(found.module(X), module(X))


def test_a_flattened_channel_takes_its_block():
    module = full(cnn(0))
    hand_made(module, {"4": ([2], [])})
    found = compact(module, torch.randn(2, 2, 8, 8))
    assert found.removed == {"4": (1, 5)}
    assert found.module[8].in_features == 4
    wide = full(cnn(1))
    hand_made(wide, {"4": ([2], [])})
    found = compact(wide, torch.randn(2, 2, 8, 8))
    assert found.module[8].in_features == 4 * 16


@pytest.mark.parametrize(
    ("padding", "mode", "n"), [(0, "zeros", 1), (1, "zeros", 0), (1, "circular", 1)]
)
def test_constants_beside_a_border_of_zeros_stay(padding, mode, n):
    module = full(cnn(padding, mode=mode))
    module[1].bias.data.abs_()
    module[1].running_mean.zero_()
    module[0].bias.data.zero_()
    hand_made(module, {"0": ([1], [])})
    X = torch.randn(3, 2, 8, 8)
    found = compact(module, X[:2])
    assert found.removed.get("0", (0, 6)) == (n, 6)
    torch.testing.assert_close(found.module(X), module(X))
    module[1].bias.data[1] = 0.0  # then the constant is 0, which is what the border has
    assert compact(module, X[:2]).removed["0"] == (1, 6)


def test_a_channel_that_batch_norm_silences_is_constant():
    module = full(mlp((6, 8, 7, 3), nn.Tanh, norm=True))
    module[1].weight.data[[2, 5]] = 0
    found = compact(module, torch.randn(2, 6))
    assert found.removed == {"0": (2, 8)}
    assert found.module[1].num_features == len(found.module[1].running_var) == 6


def test_a_depthwise_channel_goes_on_both_sides():
    module = full(separable())
    hand_made(module, {"6": ([], [3])})
    found = compact(module, torch.randn(2, 2, 8, 8))
    assert found.removed == {"0": (1, 6), "3": (1, 6)}
    assert (found.module[3].groups, found.module[3].in_channels) == (5, 5)
    module = full(separable())
    hand_made(module, {"11": ([], [4, 5, 8])})  # of channel 2 both, of channel 4 one
    found = compact(module, torch.randn(2, 2, 8, 8))
    assert found.removed == {"6": (1, 8), "8": (2, 16)}


def test_a_sum_goes_only_as_a_whole():
    module, X = make("residual")
    hand_made(module, {"one": ([], [2]), "wide": ([], [2])})
    assert compact(module, X).removed == {}
    hand_made(module, {"short": ([], [2])})
    assert compact(module, X).removed == {"stem": (1, 6), "two": (1, 6)}


def test_a_sum_of_constants_is_folded():
    module, X = make("residual")
    hand_made(module, {"stem": ([2], []), "two": ([2], []), "one": ([], [])})
    found = compact(module, X)
    assert found.removed == {"stem": (1, 6), "two": (1, 6)}
    torch.testing.assert_close(found.module(X), module(X), rtol=1e-12, atol=1e-12)


def test_biases_are_made_where_constants_need_them():
    module = full(mlp((6, 8, 7, 3), nn.Sigmoid, bias=False))
    module[2].weight.requires_grad_(False)
    hand_made(module, {"0": ([1], [])})
    found = compact(module, torch.randn(2, 6))
    assert found.module[2].bias is not None
    assert not found.module[2].bias.requires_grad
    assert found.module[4].bias is None
    assert [p.requires_grad for p in found.module.parameters()] == [True, False, False, True]


def test_inputs_and_outputs_stay():
    module = full(mlp((6, 8, 3)))
    hand_made(module, {"0": ([], [0, 1]), "2": ([2], [])})
    found = compact(module, torch.randn(2, 6))
    assert found.removed == {}
    assert found.notes == ["No unit can be removed."]


def test_modes_hooks_names_and_pickles_stay():
    module = full(Dense()).train()
    module.one.weight.requires_grad_(False)
    calls = []
    hand_made(module, {"one": ([1], [])})
    module.one.bias.data[1] = 0
    found = compact(module, torch.randn(2, 2, 8, 8))
    assert found.removed["one"] == (1, 4)
    assert module.training
    assert all(part.training for part in found.module.modules())
    assert not found.module.one.weight.requires_grad
    assert list(found.module.state_dict()) == list(module.state_dict())
    again = pickle.loads(pickle.dumps(found.module)).eval()
    X = torch.randn(3, 2, 8, 8)
    torch.testing.assert_close(again(X), found.module.eval()(X))
    found.module.one.register_forward_hook(lambda *args: calls.append(1))
    smaller = compact(found.module, X[:2])
    assert len(smaller.module.one._forward_hooks) == 1


def test_a_hook_that_changes_numbers_is_not_fooled():
    module = full(mlp((6, 8, 7, 3), nn.Sigmoid))
    hand_made(module, {"0": ([1], [])})
    module[0].register_forward_hook(lambda layer, X, out: out + X[0][2:].sum())
    found = compact(module, torch.randn(2, 6))
    assert found.notes[-1].startswith("Nothing was removed: the outputs differ by")
    assert not found.changed
    assert sizes(found) == {"0.weight": (8, 6), "2.weight": (7, 8), "4.weight": (3, 7)}


def test_a_net_of_skorch_and_masks():
    net = NeuralNetClassifier(mlp, module__act=nn.Tanh).initialize()
    masks = {name: torch.ones_like(w).bool() for name, w in prunable(net.module_).items()}
    masks["0.weight"][:3] = False
    found = compact(net, torch.randn(2, 6), masks)
    assert found.removed == {"0": (3, 8)}
    assert net.module_[0].out_features == 8
    with pytest.raises(ValueError, match="names of weights that can be pruned"):
        compact(net, torch.randn(2, 6), {"1.weight": masks["0.weight"]})


@pytest.mark.parametrize("name", ["relu", "deep", "sigmoid", "norm", "no bias"])
def test_what_has_no_live_weight_is_what_goes(name):
    """Paths of kept weights, traced in another way, leave the same units."""
    compared = 0
    for seed, share in enumerate((0.5, 0.6, 0.7, 0.8)):
        module, X = make(name, seed)
        masks = masks_of(module, share, seed)
        live = Liveness(as_net(module), X).live(masks)
        gone = compact(module, X, masks).removed
        for weight, (dead, n) in [*dead_units(module, live).items()][:-1]:
            assert gone.get(weight.removesuffix(".weight"), (0, n)) == (min(dead, n - 1), n)
            compared += dead
    assert compared > 10


class Words(nn.Module):
    """Looks integers up, and reads a sequence by convolutions."""

    def __init__(self, draws=False):
        super().__init__()
        self.draws, self.words = draws, nn.Embedding(5, 4)
        self.one, self.two = nn.Conv1d(4, 6, 2), nn.Conv1d(6, 5, 3, padding="same")
        self.last = nn.Linear(5, 3)

    def forward(self, X):
        hidden = self.two(self.one(self.words(X).transpose(1, 2)).relu()).tanh()
        if self.draws:
            hidden = nn.functional.dropout(hidden)
        return self.last(hidden.mean(-1))


def test_integers_and_sequences():
    module = hand_made(full(Words()), {"two": ([], [1, 2]), "last": ([], [4])})
    X = torch.randint(5, (6, 7))
    found = compact(module, X[:2])
    assert found.removed == {"one": (2, 6), "two": (1, 5)}
    torch.testing.assert_close(found.module(X), module(X))


def test_what_is_drawn_at_random_stays():
    module = hand_made(full(Words(True)), {"two": ([], [1, 2]), "last": ([], [4])})
    state = torch.get_rng_state()
    found = compact(module, torch.randint(5, (2, 7), generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert found.removed == {"one": (2, 6)}
    assert found.notes == ["Units stay in two: dropout reads it."]


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("not me")


def test_what_cannot_be_copied_comes_back():
    module = nn.Sequential(Uncopied(2, 2))
    found = compact(module, torch.randn(2, 2))
    assert found.module is module
    assert "cannot be copied: RuntimeError: not me" in found.notes[0]


def test_the_untraceable_says_so():
    module, X = make("decides")
    found = compact(module, X, masks_of(module, 0.9))
    assert "cannot be traced: TraceError" in found.notes[0]
    module, X = make("recurrent")
    notes = compact(module, X, masks_of(module, 0.9)).notes
    assert "Units stay in first: lstm (LSTM) reads it." in notes


@pytest.mark.parametrize(
    ("make_one", "layer", "shape"),
    [
        (lambda: mlp((6, 8, 7, 3), nn.Sigmoid), "0", (6,)),
        (lambda: cnn(0), "4", (2, 8, 8)),
    ],
)
def test_a_wrong_removal_is_noticed(make_one, layer, shape, monkeypatch):
    """Constants that are lost, and columns that are not those of the unit."""
    module, X = hand_made(full(make_one()), {layer: ([1], [])}), torch.randn(2, *shape)
    own = compaction._cut_columns
    assert compact(module, X).removed[layer][0] == 1

    def without_constants(layer, use, gone, left):
        own(layer, use._replace(constants=torch.zeros_like(use.constants)), gone, left)

    def other_columns(layer, use, gone, left):
        own(layer, use, gone.flip(0), left.flip(0))

    for wrong in (without_constants, other_columns):
        monkeypatch.setattr(compaction, "_cut_columns", wrong)
        found = compact(module, X)
        assert "Nothing was removed: the outputs differ" in found.notes[-1]
        assert not found.changed
