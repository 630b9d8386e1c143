"""Multiply-accumulates: hand-made counts, formulas of the layers, and a net left alone."""

import pytest
import torch
from architecture_cases import CASES, make, rows
from skorch import NeuralNet
from torch import nn

from sklearn_fairprune.engine.costs import layer_macs
from sklearn_fairprune.engine.liveness import sample_of

torch.set_num_threads(1)


def macs(module, sample):
    net = NeuralNet(module, criterion=nn.MSELoss, train_split=None, verbose=0).initialize()
    return layer_macs(net, sample)


def by_formula(module, sample):
    """Weights times the positions they are used at, from the shapes that hooks see."""
    found, hooks = {}, []

    def note(layer, args, out, name):
        if isinstance(layer, nn.Linear):
            positions = out[..., 0].numel()
        else:
            seen = args[0] if layer.transposed else out
            positions = seen[:, 0].numel()
        found[name] = found.get(name, 0) + positions * layer.weight.numel()

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d,
             nn.ConvTranspose2d)  # fmt: skip
    names = {id(p): name for name, p in module.named_parameters()}
    for layer in module.modules():
        if isinstance(layer, kinds):
            name = names[id(layer.weight)]
            hooks.append(
                layer.register_forward_hook(lambda *seen, name=name: note(*seen, name))
            )
    with torch.no_grad():
        module.eval()(sample)
    for hook in hooks:
        hook.remove()
    return {name: n // len(sample) for name, n in found.items()}


CONVOLUTIONS = {
    "plain": (nn.Conv2d(3, 4, 3), (3, 7, 6)),
    "strided and padded": (nn.Conv2d(3, 4, (3, 2), stride=2, padding=1), (3, 9, 8)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (4, 5, 5)),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, dilation=2), (4, 8, 8)),
    "one dimension": (nn.Conv1d(2, 3, 4), (2, 9)),
    "three dimensions": (nn.Conv3d(2, 3, 2), (2, 3, 4, 5)),
    "transposed": (nn.ConvTranspose2d(4, 3, 3, stride=2), (4, 4, 5)),
    "transposed and grouped": (nn.ConvTranspose1d(4, 6, 3, groups=2), (4, 7)),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("n_rows", [1, 2])
def test_convolutions(case, n_rows):
    layer, shape = CONVOLUTIONS[case]
    found = macs(nn.Sequential(layer), torch.randn(n_rows, *shape))
    assert found.of_weights == by_formula(nn.Sequential(layer), torch.randn(2, *shape))
    assert found.total == found.of_weights["0.weight"] > 0


def test_counts_by_hand():
    mlp = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    assert macs(mlp, torch.randn(2, 5)) == (32, {"0.weight": 20, "2.weight": 12})
    conv = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(32, 3))
    assert macs(conv, torch.randn(1, 1, 4, 4)) == (
        384,
        {"0.weight": 18 * 16, "2.weight": 96},
    )


@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "words"])
def test_every_network_has_what_its_layers_have(name):
    net = make(name)
    sample = sample_of(net, rows(name))
    found = layer_macs(net, sample)
    used = {k: n for k, n in found.of_weights.items() if n}
    assert used == by_formula(net.module_, sample)
    assert found.total == sum(used.values())


class Shared(nn.Module):
    """One weight in two layers and in a product without a layer, and one that nobody uses."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.idle = (nn.Linear(4, 4) for _ in range(3))
        self.b.weight = self.a.weight

    def forward(self, X):
        return self.b(self.a(X)) + nn.functional.linear(X, self.a.weight)


def test_a_shared_weight_has_the_sum_and_an_idle_one_nothing():
    assert macs(Shared(), torch.randn(2, 4)) == (48, {"a.weight": 48, "idle.weight": 0})


@pytest.mark.parametrize("fast", [True, False])
def test_a_transformer_block(fast):
    n, d, hidden = 7, 8, 16
    block = nn.TransformerEncoderLayer(d, 2, hidden, batch_first=True)
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        found = macs(block, torch.randn(2, n, d))
        assert torch.backends.mha.get_fastpath_enabled() is fast
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert found.of_weights == {
        "self_attn.in_proj_weight": n * 3 * d * d,
        "self_attn.out_proj.weight": n * d * d,
        "linear1.weight": n * d * hidden,
        "linear2.weight": n * hidden * d,
    }
    assert found.total == sum(found.of_weights.values()) + 2 * n * n * d


class Last(nn.Module):
    def __init__(self, recurrent):
        super().__init__()
        self.rnn, self.last = recurrent, nn.LazyLinear(3)

    def forward(self, X):
        return self.last(self.rnn(input=X)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
def test_recurrent_layers_count_every_step_once(kind, options):
    module, X = Last(kind(4, 5, batch_first=True, **options)), torch.randn(2, 6, 4)
    module(X)
    found = macs(module, X)
    matrices = {k: p.numel() for k, p in module.named_parameters() if p.dim() > 1}
    steps = {k: 6 if k.startswith("rnn") else 1 for k in matrices}
    assert found.of_weights == {k: steps[k] * n for k, n in matrices.items()}
    assert found.total == sum(found.of_weights.values())


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_projections_and_packed_sequences():
    lstm = nn.LSTM(4, 5, proj_size=2, batch_first=True)
    module, X = Last(lstm), torch.randn(1, 3, 4)
    module(X)
    assert macs(module, X).of_weights["rnn.weight_hr_l0"] == 3 * 10

    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(4, 5)

        def forward(self, X):
            pack = nn.utils.rnn.pack_sequence([x[: 4 - i] for i, x in enumerate(X)])
            return self.rnn(pack)[1][0][0]

    found = macs(Packed(), torch.randn(2, 4, 4))
    assert found.of_weights == {"rnn.weight_ih_l0": 280, "rnn.weight_hh_l0": 350}


@pytest.mark.parametrize("name", CASES)
def test_the_network_is_left_as_it_is(name):
    net = make(name)
    net.module_.train()
    before = {k: v.clone() for k, v in net.module_.state_dict().items()}
    state = torch.get_rng_state()
    layer_macs(net, sample_of(net, rows(name)))
    assert all(torch.equal(v, before[k]) for k, v in net.module_.state_dict().items())
    assert all(part.training for part in net.module_.modules())
    assert not any(p.grad is not None for p in net.module_.parameters())
    assert not any(
        part._forward_hooks or part._forward_pre_hooks for part in net.module_.modules()
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_an_error_of_the_network_restores_the_fast_path():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        macs(nn.Linear(3, 2), torch.randn(2, 5))
    assert torch.backends.mha.get_fastpath_enabled()
