"""Live weights against removing every weight by hand, and masks that keep live ones only."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from liveness_cases import all_kept, as_net, drawn, mlp, same, slow_live
from torch import nn

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.liveness import (
    Liveness,
    dead_units,
    sample_of,
)
from sklearn_fairprune.functional import masks_sparsity, prunable

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=40, database=None)


@law
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=6),
    st.floats(0.05, 0.95),
    st.integers(0, 10**6),
    st.sampled_from([nn.ReLU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.Softplus]),
)
def test_equals_a_path_search(widths, share, seed, activation):
    module = mlp(widths, activation)
    masks, judge = (
        drawn(module, share, seed),
        Liveness(as_net(module), torch.ones(2, widths[0])),
    )
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 0
    live = judge.live(masks)
    assert same(live, slow_live(masks))
    assert same(judge.live(live), live)


class Plain(nn.Module):
    """A network of `parts` and a way through them, real or with the linear parts only."""

    def __init__(self, real, **parts):
        super().__init__()
        self.real = real
        for name, part in parts.items():
            setattr(self, name, part)

    def bend(self, function, x, *args):
        return function(x, *args) if self.real else x


class Residual(Plain):
    def __init__(self, real):
        one, two = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        norms = (nn.BatchNorm2d(3), nn.BatchNorm2d(3, track_running_stats=False))
        super().__init__(real, one=one, two=two, last=nn.Linear(3, 2))
        self.norms = nn.ModuleList(norms if real else (nn.Identity(), nn.Identity()))

    def forward(self, X):
        hidden = self.bend(nn.ReLU(inplace=True), self.norms[0](self.one(X)))
        out = self.norms[1](self.two(hidden))
        out += hidden
        return self.last(self.bend(F.relu, out).mean((2, 3)))


class Concatenated(Plain):
    def __init__(self, real):
        super().__init__(real, one=nn.Linear(3, 3), two=nn.Linear(3, 2), last=nn.Linear(8, 2))

    def forward(self, X):
        a = self.bend(torch.sigmoid, self.one(X))
        b = self.bend(F.dropout, self.two(a))
        return self.bend(F.log_softmax, self.last(torch.cat([X, a, b], 1)), -1)


class Pooled(Plain):
    """The pixels that are read decide which parts of a kernel are live."""

    def __init__(self, real):
        pool = nn.MaxPool2d(2) if real else nn.AvgPool2d(2)
        super().__init__(real, one=nn.Conv2d(2, 2, 3, padding=1, bias=False), pool=pool)
        self.last = nn.Linear(8, 2)

    def forward(self, X):
        return self.last(self.bend(torch.tanh, self.pool(self.one(X))).flatten(1))


class Grouped(Plain):
    def __init__(self, real):
        one, two = nn.Conv1d(2, 4, 1, groups=2), nn.ConvTranspose1d(4, 4, 2, groups=2)
        super().__init__(real, one=one, two=two, last=nn.Linear(4, 2))

    def forward(self, X):
        out = self.two(self.bend(F.elu, self.one(X)))
        return self.last(out.amax(-1) if self.real else out.mean(-1))


class Shared(Plain):
    def __init__(self, real):
        hidden = nn.Linear(3, 3)
        super().__init__(real, first=nn.Linear(3, 3), once=hidden, again=hidden)
        self.last = nn.Linear(3, 2)

    def forward(self, X):
        out = self.bend(torch.relu, self.once(self.bend(torch.relu, self.first(X))))
        return self.last(self.bend(torch.relu, self.again(out)))


class Words(Plain):
    def __init__(self, real):
        super().__init__(real, words=nn.Embedding(5, 3, padding_idx=0), last=mlp([3, 3, 2]))
        if not real:
            self.last[1] = nn.Identity()

    def forward(self, X):
        return self.last(self.words(X).mean(1))


class TwoInputs(Plain):
    def __init__(self, real):
        super().__init__(real, a=nn.Linear(2, 3), b=nn.Linear(1, 3), last=nn.Linear(3, 2))

    def forward(self, left, right):
        return {"out": self.last(self.bend(F.leaky_relu, self.a(left) + self.b(right)))}


class Mixing(nn.Module):
    """What a normalisation over units connects."""

    def forward(self, X):
        return X + X.mean(1, keepdim=True)


class Normed(Plain):
    def __init__(self, real):
        norms = [nn.LayerNorm(3), nn.GroupNorm(1, 3)] if real else [Mixing(), Mixing()]
        super().__init__(real, one=nn.Linear(3, 3), two=nn.Linear(3, 3), last=nn.Linear(3, 2))
        self.norms = nn.ModuleList(norms)

    def forward(self, X):
        hidden = self.bend(F.gelu, self.norms[0](self.one(X)))
        return self.last(self.norms[1](self.two(hidden)))


FLAT = torch.ones(2, 3)
CASES = {
    Residual: torch.ones(2, 1, 3, 3),
    Concatenated: FLAT,
    Pooled: torch.ones(2, 2, 4, 4),
    Grouped: torch.ones(1, 2, 3),
    Shared: FLAT,
    Words: torch.tensor([[1, 0], [4, 2]]),
    TwoInputs: {"left": torch.ones(2, 2), "right": torch.ones(2, 1)},
    Normed: FLAT,
}


@torch.no_grad()
def removed_by_hand(kind, X, masks):
    """Whether an output of the linear network changes when a weight is set to 0."""
    module = kind(real=False).double().eval()
    for name, parameter in module.named_parameters():
        parameter.uniform_(0.5, 1.5)
        if name.endswith("bias"):
            parameter.zero_()
    weights = prunable(module)
    for name, mask in masks.items():
        weights[name] *= mask

    def outputs():
        if isinstance(X, dict):
            return module(**{k: v.double() for k, v in X.items()})["out"]
        return module(X.double() if X.is_floating_point() else X)

    before, live = outputs(), {}
    for name, mask in masks.items():
        live[name], flat = torch.zeros(mask.numel(), dtype=torch.bool), weights[name].view(-1)
        for at in mask.flatten().nonzero().flatten().tolist():
            own, flat[at] = flat[at].clone(), 0
            live[name][at] = (outputs() != before).any()
            flat[at] = own
        live[name] = live[name].reshape(mask.shape)
    return live


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_networks_of_many_kinds(kind, share):
    torch.manual_seed(0)
    module, X = kind(real=True), CASES[kind]
    judge = Liveness(as_net(module), X)
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 0
    n_dead = 0
    for seed in range(4):
        masks = drawn(module, share, seed)
        live = judge.live(masks)
        expected = removed_by_hand(kind, X, masks)
        assert same(live, expected)
        n_dead += sum(int((masks[k] & ~live[k]).sum()) for k in live)
    assert n_dead or share > 0.3


class Gated(nn.Module):
    """A product of two branches: what does not move may still be no 0."""

    def __init__(self):
        super().__init__()
        self.body, self.gate, self.last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, X):
        return self.last(self.body(X).relu() * self.gate(X).sigmoid())


def test_a_gate_without_kept_inputs_is_a_factor_and_not_a_wall():
    module = Gated()
    judge, masks = Liveness(as_net(module), torch.ones(2, 2)), all_kept(module)
    masks["gate.weight"][0] = False
    live = judge.live(masks)
    assert same(live, masks)
    masks["body.weight"][0] = False  # now nothing moves the first unit of the product
    live = judge.live(masks)
    assert live["last.weight"].tolist() == [[False, True]]


def test_attention_and_recurrent_layers_run():
    class Sequences(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(2, 4, batch_first=True)
            self.layer = nn.TransformerEncoderLayer(4, 2, 3, batch_first=True)
            self.last = nn.Linear(4, 2)

        def forward(self, X):
            out, state = self.lstm(X)
            return self.last(self.layer(out)[:, -1]), state

    module = Sequences()
    judge, masks = Liveness(as_net(module), torch.ones(2, 3, 2)), all_kept(module)
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 0
    assert same(judge.live(masks), masks)
    masks["layer.linear2.weight"][:, 1] = False
    live = judge.live(masks)
    assert not live["layer.linear1.weight"][1].any()
    assert live["layer.linear1.weight"][[0, 2]].all()


@pytest.mark.parametrize("depth", [20, 100])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
def test_depth_hides_nothing(depth, activation):
    module = mlp([30] * depth, activation)
    judge, masks = Liveness(as_net(module), torch.ones(1, 30)), all_kept(module)
    assert judge.n_unjudged == 0
    for mask in masks.values():  # one thread through units that otherwise read nothing live
        mask[0, 1:] = False
    masks["0.weight"][1:] = False
    assert same(judge.live(masks), slow_live(masks))
    assert sum(int(m.sum()) for m in judge.live(masks).values()) > depth


def test_weights_that_cannot_be_judged_are_live():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.hidden = (
                nn.Linear(2, 2),
                nn.Linear(2, 3),
                mlp([2, 4, 2]),
            )

        def forward(self, X):
            return self.used(X) + self.hidden(X).detach()

    module = Odd()
    judge = Liveness(as_net(module), torch.ones(2, 2))
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 6 + 8 + 8
    masks = drawn(module, 0.4, 0)
    assert same(judge.live(masks), masks)


class Raises(nn.Linear):
    def forward(self, X):
        if (X != 7).any():
            raise RuntimeError("no such rows.")
        return super().forward(X)


class NotANumber(nn.Linear):
    def forward(self, X):
        return super().forward(X) + (self.weight - self.weight).sum().sqrt() * 0


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


class Constant(nn.Linear):
    def forward(self, X):
        return super().forward(X).detach()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Raises, "The network cannot be traced: RuntimeError: no such rows."),
        (NotANumber, "The traced network gives NaN or infinite numbers."),
        (Uncopied, "The network cannot be copied: TypeError: no copies."),
        (Constant, "No gradient reaches the weights that can be pruned."),
    ],
)
def test_networks_that_cannot_be_judged_keep_all(kind, reason):
    module = kind(2, 3)
    judge = Liveness(as_net(module), torch.ones(2, 2))
    assert (judge.judged, judge.reason) == (False, reason)
    assert judge.n_unjudged == 6
    masks = drawn(module, 0.4, 0)
    assert same(judge.live(masks), masks)


class Square(torch.autograd.Function):
    """Without a forward derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def test_without_forward_derivatives_only_ways_to_outputs_count():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 1)

        def forward(self, X):
            return self.last(Square.apply(self.first(X)))

    module = Own()
    judge, masks = Liveness(as_net(module), torch.ones(2, 2)), all_kept(module)
    assert not judge.judged
    assert "traced" in judge.reason
    masks["last.weight"][0, 0] = False
    masks["first.weight"][1] = False
    live = judge.live(masks)
    assert live["first.weight"].tolist() == [[False, False], [False, False]]
    assert live["last.weight"].tolist() == [[False, True]]


class OfConstants(nn.Linear):
    """A layer reads what is no input: nothing moves its weights, even unpruned."""

    def __init__(self):
        super().__init__(2, 2)
        self.place, self.own = nn.Parameter(torch.ones(2)), nn.Linear(2, 2)

    def forward(self, X):
        return super().forward(X) + self.own(self.place)


def test_layers_of_constants_are_live_by_decree():
    module = OfConstants()
    judge, masks = Liveness(as_net(module), torch.ones(2, 2)), drawn(OfConstants(), 0.5, 0)
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 4
    assert same(judge.live(masks), masks)


class Wide(nn.Sequential):
    """Windows with holes have no mean in torch."""

    def __init__(self):
        super().__init__(nn.Conv1d(1, 2, 1), nn.MaxPool1d(2, dilation=2), nn.Flatten())
        self.append(nn.Linear(2, 1))


class Gates(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 4), nn.GLU(), nn.Linear(2, 1))


class Maxout(nn.Module):
    """Also changes its input in place."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, X):
        X *= 2
        return self.last(torch.maximum(self.one(X), self.two(X)))


class Indexed(Maxout):
    def forward(self, X):
        both = torch.stack([self.one(X), self.two(X)])
        values, indices = both.max(dim=0)
        return self.last(values + indices * 0)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(Wide, (1, 1, 4)), (Gates, (1, 2)), (Maxout, (1, 2)), (Indexed, (1, 2))],
)
def test_functions_that_choose(kind, shape):
    module = kind()
    judge, masks = Liveness(as_net(module), torch.ones(shape)), all_kept(module)
    assert judge.judged, judge.reason
    assert judge.n_unjudged == 0
    assert same(judge.live(masks), masks)
    *_, last = masks
    masks[last][0, 0] = False
    live = judge.live(masks)
    dead = {name: int((mask & ~live[name]).sum()) for name, mask in masks.items()}
    expected = {Wide: (1, 0), Gates: (4, 0), Maxout: (2, 2, 0), Indexed: (2, 2, 0)}
    assert tuple(dead.values()) == expected[kind]


def test_frozen_zeros_are_walls():
    module = mlp([2, 2, 2])
    module[2].requires_grad_(False)
    module[2].weight[:, 0] = 0
    module.append(nn.Linear(2, 1))
    judge, masks = Liveness(as_net(module), torch.ones(2, 2)), all_kept(module)
    assert judge.n_unjudged == 2  # nothing leads on from the first unit, even unpruned
    masks["3.weight"][0, 0] = False
    assert same(judge.live(masks), masks)


def test_nothing_is_touched():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.last = (
                nn.Linear(3, 4),
                nn.BatchNorm1d(4),
                nn.Linear(4, 2),
            )

        def forward(self, X):
            return self.last(self.norm(self.first(X)) + torch.rand(4) + np.random.rand())  # noqa: NPY002

    module = Noisy()
    net = as_net(module)
    module.first.eval()
    X = torch.randn(2, 3)
    module(X).sum().backward()
    before = [v.clone() for v in module.state_dict().values()]
    gradients = [p.grad.clone() for p in module.parameters()]
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with torch.no_grad():
        judge = Liveness(net, X)
        judge.live(drawn(module, 0.5, 0))
        assert not torch.is_grad_enabled()
    assert judge.judged, judge.reason
    assert net.module_ is module
    assert all(map(torch.equal, module.state_dict().values(), before))
    assert all(
        torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients, strict=True)
    )
    assert [m.training for m in module.modules()] == [True, False, True, True]
    assert all(p.requires_grad for p in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002


def test_own_weights_and_numbers_of_the_sample_do_not_count():
    module = mlp([3, 4, 2])
    masks = drawn(module, 0.5, 1)
    expected = Liveness(as_net(module), torch.ones(1, 3)).live(masks)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert same(
        Liveness(as_net(module), torch.full((2, 3), float("nan"))).live(masks), expected
    )


def test_sample_of_rows():
    rows = Rows(np.arange(12.0).reshape(4, 3))
    net = as_net(mlp([3, 2]))
    net.iterator_valid__shuffle = True
    torch.testing.assert_close(sample_of(net, rows), torch.arange(6.0).reshape(2, 3))
    assert net.iterator_valid__shuffle
    words = Rows(np.array([[1, 2], [3, 4]]))
    assert sample_of(as_net(Words(real=True)), words).tolist() == [[1, 2], [3, 4]]


def test_effective_sparsity_and_dead_units():
    module = nn.Sequential(
        nn.Conv1d(4, 4, 1, groups=2),
        nn.ConvTranspose1d(4, 6, 2, groups=2),
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.Linear(6, 2),
    )
    judge, masks = Liveness(as_net(module), torch.ones(1, 4, 2)), all_kept(module)
    assert masks_sparsity(judge.live(masks)) == 0
    masks["1.weight"][2:, 2] = False  # second group, third channel: number 5 of 6
    masks["4.weight"][:, 0] = False
    masks["0.weight"][3] = False
    live = judge.live(masks)
    assert dead_units(module, live) == {
        "0.weight": (1, 4),
        "1.weight": (2, 6),
        "4.weight": (0, 2),
    }
    # 2 + 2 * 2 and 4 * 2 and 2 removed; of the transposed layer also the inputs of unit 0 and
    # those from channel 3; of the last layer what unit 5 would bring.
    removed, dead = 2 + 4 + 2, 4 + 4 + 2
    assert masks_sparsity(live) == pytest.approx((removed + dead) / (8 + 24 + 12), abs=1e-12)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.rnn = nn.Linear(3, 4), nn.LSTM(4, 4, batch_first=True)
        self.attention, self.last = (
            nn.MultiheadAttention(4, 2, batch_first=True),
            nn.Linear(4, 2),
        )

    def forward(self, X):
        hidden = self.rnn(self.first(X))[0]
        return self.last(self.attention(hidden, hidden, hidden)[0][:, -1])


def test_recurrent_and_attention_weights_live_by_decree_and_carry_paths():
    module = Recurrent()
    names = list(prunable(module, ("linear", "recurrent", "attention")))
    judge = Liveness(as_net(module), torch.randn(2, 3, 3), names)
    weights = dict(module.named_parameters())
    masks = {name: torch.ones(weights[name].shape, dtype=torch.bool) for name in names}
    assert same(judge.live(masks), masks)
    masks["first.weight"][1:] = False
    masks["rnn.weight_ih_l0"][:, 0] = False  # nothing reads the only unit that is left
    live = judge.live(masks)
    assert not live["first.weight"].any()
    kept = [name for name in names if name.startswith("rnn") or name.endswith("proj_weight")]
    assert all(torch.equal(live[name], masks[name]) for name in kept)
    assert set(dead_units(module, live)) == {k for k in names if k.endswith(".weight")}
    masks["attention.out_proj.weight"][:] = False  # no gradient comes back
    assert all(torch.equal(judge.live(masks)[name], masks[name]) for name in kept)
