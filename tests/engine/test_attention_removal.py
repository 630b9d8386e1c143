"""Dead heads of whole networks: which layers lose them, and which stay."""

import copy
import pickle

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from test_attention_heads import E, H, S, filled, kill, same
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from sklearn_fairprune.engine.attention_heads import SlimAttention
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.compaction import compact
from sklearn_fairprune.engine.networks import prepare, raw_outputs
from sklearn_fairprune.engine.shrinking import shrink_net
from sklearn_fairprune.engine.structure import Structure

torch.set_num_threads(1)


class Attending(nn.Module):
    """Attention over the places of a sequence, called by a function; then two layers."""

    def __init__(self, call, layer=None, **options):
        super().__init__()
        self.call = call
        self.enter = nn.Linear(3, E)
        self.attend = nn.MultiheadAttention(E, H, **options) if layer is None else layer
        self.hidden, self.leave = nn.Linear(E, 8), nn.Linear(8, 2)

    def forward(self, X):
        a = self.call(self, self.enter(X))
        return self.leave(self.hidden(a.mean(1)).relu())


def plain(net, a):
    return net.attend(a, a, a, need_weights=False)[0]


def unread(net, a):
    out, _ = net.attend(a, a, a)
    return out


def first(net, a):
    return net.attend(query=a, key=a, value=a, need_weights=True)[0]


def masked(net, a):
    closed = torch.ones(S, S, dtype=torch.bool, device=a.device).triu(1)
    return net.attend(a, a, a, attn_mask=closed, is_causal=True, need_weights=False)[0]


def of_heads(net, a):
    added = a.new_zeros(a.shape[0] * net.attend.num_heads, S, S)
    return net.attend(a, a, a, None, False, added)[0]


def weighed(net, a):
    out, weights = net.attend(a, a, a)
    return out + weights.mean(1, keepdim=True).transpose(1, 2)


def whole(net, a):
    return net.attend(a, a, a)[:1][0]


def twice(net, a):
    return plain(net, plain(net, a))


def never(net, a):
    return a


def by_hand(net, a):
    return plain(net, a) + a @ net.attend.in_proj_weight[:E]


def by_part(net, a):
    return plain(net, a) + net.attend.out_proj(a)


def make(call=plain, layer=None, heads=((1,), (3,)), **options):
    net = filled(Attending(call, layer, batch_first=True, **options))
    kill(net.attend, *heads)
    return net


def sample(n=5, seed=2):
    return torch.randn(n, S, 3, generator=torch.Generator().manual_seed(seed)).double()


def is_slim(net):
    return [name for name, m in net.named_modules() if isinstance(m, SlimAttention)]


@pytest.mark.parametrize("call", [plain, unread, first, masked, of_heads])
def test_heads_go(call):
    net, X = make(call), sample()
    before = copy.deepcopy(net.state_dict())
    found = compact(net, X[:2])
    assert found.removed == {"attend": (2, H)}
    assert found.changed
    assert is_slim(found.module) == ["attend"]
    assert not any("Heads stay" in note for note in found.notes)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    with torch.no_grad():
        same(found.module(X), net(X))
        same(pickle.loads(pickle.dumps(found.module))(X), net(X))
    assert not compact(found.module, X[:2]).changed


STAYS = {
    weighed: "its weights of attention are read",
    whole: "its weights of attention are read",
    twice: "it is called 2 times",
    never: "it is not called",
    by_hand: "other code reads its weights",
    by_part: "other code reads its weights",
}


@pytest.mark.parametrize("call", STAYS)
def test_heads_stay(call):
    net, X = make(call), sample()
    kill_unit(net)
    found = compact(net, X[:2])
    assert not is_slim(found.module)
    assert f"Heads stay in attend: {STAYS[call]}." in found.notes
    assert found.removed == {"hidden": (1, 8)}
    with torch.no_grad():
        same(found.module(X), net(X))


def kill_unit(net):
    net.leave.weight.data[:, 0] = 0


class Own(nn.MultiheadAttention):
    """Attention of the user's."""


def test_layers_that_are_not_torchs_own_or_have_more():
    X = sample()
    for options, reason in (
        ({"add_zero_attn": True}, "adds keys of its own"),
        ({"add_bias_kv": True}, "adds keys of its own"),
    ):
        found = compact(make(**options), X[:2])
        assert any(f"it {reason}" in note for note in found.notes)
        assert not found.changed
    assert not compact(make(layer=Own(E, H, batch_first=True)), X[:2]).changed
    made = make()
    register_parametrization(made.attend, "in_proj_weight", nn.Identity())
    assert "is a layer of its own kind" in " ".join(compact(made, X[:2]).notes)
    made = make()
    register_parametrization(made.attend.out_proj, "weight", nn.Identity())
    assert "made of other parameters" in " ".join(compact(made, X[:2]).notes)
    hooked = make()
    hooked.attend.register_forward_hook(lambda *_: None)
    assert "it has hooks" in " ".join(compact(hooked, X[:2]).notes)


@pytest.mark.parametrize("part", ["layer", "weight"])
def test_shared_layers_and_weights(part):
    net, X = make(), sample()
    if part == "layer":
        net.again = net.attend
    else:
        net.again = nn.Linear(E, E).double()
        net.again.weight = net.attend.out_proj.weight
    found = compact(net, X[:2])
    assert not found.changed
    assert "Heads stay in attend: it is shared, or its weights are." in found.notes


def test_a_layer_without_dead_heads_is_left_and_not_told_of():
    found = compact(make(heads=((), ())), sample()[:2])
    assert not found.changed
    assert not any("Heads" in note for note in found.notes)


@pytest.mark.parametrize("heads", [(range(H), ()), ((), range(H)), ((0, 1), (2, 3))])
def test_one_of_dead_heads_alone_stays(heads):
    net, X = make(heads=heads), sample()
    found = compact(net, X[:2])
    assert found.removed == {"attend": (H - 1, H)}
    with torch.no_grad():
        same(found.module(X), net(X))
    assert not compact(found.module, X[:2]).changed


def test_masks_of_attention():
    net, X = filled(Attending(plain, batch_first=True)), sample()
    kept = {
        "attend.in_proj_weight": torch.ones(3 * E, E).bool(),
        "leave.weight": torch.ones(2, 8).bool(),
    }
    kept["attend.in_proj_weight"][2 * E : 2 * E + 3] = False
    kept["leave.weight"][:, 3:5] = False
    found = compact(net, X[:2], kept)
    assert found.removed == {"hidden": (2, 8), "attend": (1, H)}
    assert found.module.attend.constants[0].any()
    kill(net.attend, (), (0,))
    net.leave.weight.data[:, 3:5] = 0
    with torch.no_grad():
        same(found.module(X), net(X))


class Translator(nn.Module):
    """Encoder and decoder of torch, with a mask of padding made of the input."""

    def __init__(self, norm_first=False):
        super().__init__()
        options = {"batch_first": True, "norm_first": norm_first}
        self.enter = nn.Linear(3, E)
        layer = nn.TransformerEncoderLayer(E, H, 7, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first)
        self.decoder = nn.TransformerDecoderLayer(E, H, 6, **options)
        self.leave = nn.Linear(E, 2)

    def forward(self, X):
        a, padding = self.enter(X), X[..., 0] == 0
        memory = self.encoder(a, src_key_padding_mask=padding)
        out = self.decoder(a, memory, memory_key_padding_mask=padding)
        return self.leave(out[:, 0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_random_heads_of_transformers(norm_first, seed):
    net = filled(Translator(norm_first), seed)
    generator, expected = torch.Generator().manual_seed(seed), {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.MultiheadAttention):
            dead = torch.rand(2, H, generator=generator) < 0.35
            kill(layer, *(row.nonzero()[:, 0].tolist() for row in dead))
            n_dead = int(dead.any(0).sum())
            if n_dead:
                expected[name] = (min(n_dead, H - 1), H)
    assert len(expected) >= 3
    X = sample(6, seed)
    X[1, 4:], X[2, 2:], X[3, 5:] = 0, 0, 0
    found = compact(net, X[:3])
    assert found.removed == expected
    with torch.no_grad():
        same(found.module(X), net(X))


def net_of(module):
    options = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
    net = NeuralNetClassifier(module, **options).initialize()
    rows = Rows(sample(40).numpy(), np.arange(40) % 2, dtype=torch.float64)
    return prepare(net, rows, rows.dtype), rows


@pytest.mark.parametrize("kdim", [None, E - 2])
def test_shrinking_tells_of_heads(kdim):
    def call(net, a):
        b = a if kdim is None else a[..., :kdim]
        return net.attend(a, b, b, need_weights=False)[0]

    net, rows = net_of(make(call, kdim=kdim, vdim=kdim))
    before = raw_outputs(net, rows)
    small = shrink_net(net, rows, sparse=False)
    assert small.net is not net
    same(raw_outputs(small.net, rows), before)
    row = small.record["layers"][-1]
    weight = "attend.in_proj_weight" if kdim is None else "attend.q_proj_weight"
    assert row == {"layer": weight, "units": H, "removed": 2, "form": "dense"}
    one, other = small.record["parameters"].values()
    gone = 2 * 3 * (E + 2 * (kdim or E) + 3 + E)  # rows, their biases, columns
    assert one - other == gone


def test_sparse_forms_leave_its_projection_alone():
    net, rows = net_of(make())
    net.module_.attend.out_proj.weight.data[1:] = 0
    small = shrink_net(net, rows, sparse=True)
    assert is_slim(small.net.module_) == ["attend"]
    same(raw_outputs(small.net, rows), raw_outputs(net, rows))


def test_a_wrong_smaller_network_is_not_handed_out(monkeypatch):
    own = SlimAttention.forward

    def wrong(self, *args, **options):
        out, weights = own(self, *args, **options)
        return out * 1.01, weights

    monkeypatch.setattr(SlimAttention, "forward", wrong)
    net, X = make(), sample()
    found = compact(net, X[:2])
    assert not found.changed
    assert not is_slim(found.module)
    assert "Nothing was removed: the outputs differ" in found.notes[-1]


def test_tracing_takes_it_for_one_layer():
    small = compact(make(), sample()[:2]).module
    structure = Structure(small, sample()[:2])
    assert not structure.reason
    targets = [node.target for node in structure.graph.nodes if node.op == "call_module"]
    assert targets == ["enter", "attend", "hidden", "leave"]
