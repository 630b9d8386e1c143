"""Attention without dead heads against torch's, in every form that it is called."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_fairprune.engine.attention_heads import SlimAttention, dead_heads
from sklearn_fairprune.engine.costs import layer_macs
from sklearn_fairprune.engine.liveness import Liveness

torch.set_num_threads(1)
N, L, S, E, H = 3, 4, 6, 12, 4


def filled(module, seed=0):
    """Fill a module with numbers of which none is 0."""
    generator = torch.Generator().manual_seed(seed)
    for value in module.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=generator) * 0.5)
    return module.double().eval()


def kill(layer, unread=(), silent=()):
    """Make heads dead: nobody reads them, or their values have no inputs."""
    values = layer.v_proj_weight
    values = layer.in_proj_weight.data.chunk(3)[2] if values is None else values.data
    d = layer.head_dim
    for h in unread:
        layer.out_proj.weight.data[:, h * d : (h + 1) * d] = 0
    for h in silent:
        values[h * d : (h + 1) * d] = 0
    return layer


def attention(seed=0, unread=(1,), silent=(3,), **options):
    layer = filled(nn.MultiheadAttention(E, H, **options), seed)
    return kill(layer, unread, silent)


def inputs(layer, batched=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = (L, E), (S, layer.kdim), (S, layer.vdim)
    found = [torch.randn((N, *shape), generator=generator).double() for shape in shapes]
    if not batched:
        return [part[0] for part in found]
    return found if layer.batch_first else [part.transpose(0, 1) for part in found]


def masks(padding, mask, batched=True, seed=0):
    """Masks of which some close all keys to a query, of all or of single heads."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    if padding:
        closed = torch.rand(N, S, generator=generator) < 0.4
        closed[1], closed[0, 0] = True, False
        found["key_padding_mask"] = closed if batched else closed[0]
    if mask:
        shape = (L, S) if mask == "matrix" else (N * H if batched else H, L, S)
        closed = torch.rand(shape, generator=generator) < 0.4
        closed[..., 2, :] = True
        if mask == "of heads":
            closed[:, 2] = False
            closed[3, 1], closed[0, 0] = True, True
        found["attn_mask"] = closed
    return found


def added(found, seed=0):
    """The same masks as numbers to add."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(mask.shape, generator=generator)
        .double()
        .masked_fill(mask, -torch.inf)
        for name, mask in found.items()
    }


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=1e-10, equal_nan=True)


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def fast(request):
    """Torch's fast path, on or off."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(request.param)
    yield
    assert torch.backends.mha.get_fastpath_enabled() == request.param
    torch.backends.mha.set_fastpath_enabled(before)


FORMS = {
    "batch first": {"batch_first": True},
    "batch second": {},
    "no bias": {"batch_first": True, "bias": False},
    "other sizes": {"batch_first": True, "kdim": 5, "vdim": 7},
    "other sizes, no bias": {"kdim": 5, "bias": False},
    "with dropout": {"dropout": 0.5},
}


@pytest.mark.parametrize("mask", [None, "matrix", "of heads"])
@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_outputs_are_those_of_torch(form, padding, mask):
    for seed in range(2):
        layer = attention(seed, **FORMS[form])
        slim = SlimAttention(layer, reads_weights=False)
        assert slim.heads.tolist() == [0, 2]
        for batched in (True, False):
            X, closed = inputs(layer, batched, seed), masks(padding, mask, batched, seed)
            for options in (closed, added(closed)):
                for weights in (False, True):
                    with torch.no_grad():
                        one = layer(*X, need_weights=weights, **options)[0]
                        other = slim(*X, need_weights=weights, **options)
                    same(other[0], one)
                    assert other[1] is None
                    assert weights or one.isfinite().all()


@pytest.mark.parametrize("seed", range(6))
def test_random_heads(seed, fast):
    generator = torch.Generator().manual_seed(seed)
    unread, silent = torch.rand(2, H, generator=generator) < 0.5
    layer = attention(seed, unread.nonzero()[:, 0], silent.nonzero()[:, 0], batch_first=True)
    dead = unread | silent
    assert dead_heads(layer).tolist() == dead.tolist()
    slim = SlimAttention(layer)
    assert len(slim.heads) == max(1, H - int(dead.sum()))
    assert slim.in_proj_weight.shape == (3 * 3 * len(slim.heads), E)
    X = inputs(layer)[0]
    causal = nn.Transformer.generate_square_subsequent_mask(L).double()
    for options in ({}, {"attn_mask": causal, "is_causal": True}):
        with torch.no_grad():
            one, other = (f(X, X, X, need_weights=False, **options) for f in (layer, slim))
        same(other[0], one[0])


def test_a_head_is_dead_by_its_dimensions():
    """Some are not read, and the others have no inputs."""
    layer = attention(0, (), ())
    layer.out_proj.weight.data[:, :2] = 0
    layer.in_proj_weight.data[2 * E + 2] = 0
    assert dead_heads(layer).tolist() == [True, False, False, False]
    slim, X = SlimAttention(layer), inputs(layer)
    same(slim(*X, need_weights=False)[0], layer(*X, need_weights=False)[0].detach())
    layer.in_proj_weight.data[2 * E + 2, 0] = 1
    assert not dead_heads(layer).any()


def test_without_dead_heads_and_without_living_ones():
    for unread, left in (((), [0, 1, 2, 3]), (range(H), [0])):
        layer = attention(0, unread, ())
        slim, X = SlimAttention(layer), inputs(layer)
        assert slim.heads.tolist() == left
        assert slim.constants is None
        same(slim(*X, need_weights=False)[0], layer(*X, need_weights=False)[0].detach())


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_encoder_layer(norm_first, bias, batch_first, fast):
    options = {"norm_first": norm_first, "bias": bias, "batch_first": batch_first}
    block = filled(nn.TransformerEncoderLayer(E, H, 8, **options))
    kill(block.self_attn, (1,), (2, 3))
    slim = copy.deepcopy(block.requires_grad_(False))
    slim.self_attn = SlimAttention(block.self_attn)
    X = inputs(block.self_attn)[0]
    length = X.shape[1 if batch_first else 0]
    causal = nn.Transformer.generate_square_subsequent_mask(length).double()
    padding = torch.zeros(X.shape[0 if batch_first else 1], length).bool()
    padding[1:, -1] = True
    for options in (
        {},
        {"src_mask": causal, "is_causal": True},
        {"src_key_padding_mask": padding},
    ):
        with torch.no_grad():
            same(slim(X, **options), block(X, **options))
    same(slim(X), block(X))  # gradients are on
    same(slim(X[0]), block(X[0]))


@pytest.mark.parametrize("slimmed", [(0, 1), (0,), (1,)])
@pytest.mark.parametrize("nested", [True, False])
def test_encoder(slimmed, nested, fast):
    """With a padding mask torch's encoder gives its layers nested tensors, if it may."""
    layer = nn.TransformerEncoderLayer(E, H, 8, batch_first=True)
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(E), enable_nested_tensor=nested)
    filled(stack)
    for block in stack.layers:
        kill(block.self_attn, (0,), (3,))
    slim = copy.deepcopy(stack.requires_grad_(False))
    for i in slimmed:
        slim.layers[i].self_attn = SlimAttention(slim.layers[i].self_attn)
    X = inputs(layer.self_attn)[0]
    padding = torch.arange(L) >= torch.tensor([4, 2, 1])[:, None]
    for gradients in (False, True):
        with warnings.catch_warnings(), torch.set_grad_enabled(gradients):
            warnings.simplefilter("ignore")  # torch's nested tensors are a prototype
            for options in ({}, {"src_key_padding_mask": padding}):
                same(slim(X, **options), stack(X, **options))


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_layer(norm_first, fast):
    block = filled(nn.TransformerDecoderLayer(E, H, 8, norm_first=norm_first))
    kill(block.self_attn, (2,), (0,))
    kill(block.multihead_attn, (), (1, 2))
    slim = copy.deepcopy(block)
    slim.self_attn = SlimAttention(block.self_attn)
    slim.multihead_attn = SlimAttention(block.multihead_attn)
    target, memory, _ = inputs(block.self_attn)
    causal = nn.Transformer.generate_square_subsequent_mask(L).double()
    padding = masks(True, None)["key_padding_mask"]
    options = {"tgt_mask": causal, "tgt_is_causal": True, "memory_key_padding_mask": padding}
    with torch.no_grad():
        for asked in ({}, options):
            same(slim(target, memory, **asked), block(target, memory, **asked))


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "save"])
def test_copies_states_and_dtypes(copied):
    layer = attention()
    slim, X = SlimAttention(layer), inputs(layer)
    file = io.BytesIO()
    torch.save(slim, file)
    twin = {
        "deepcopy": lambda: copy.deepcopy(slim),
        "pickle": lambda: pickle.loads(pickle.dumps(slim)),
        "save": lambda: torch.load(io.BytesIO(file.getvalue()), weights_only=False),
    }[copied]()
    same(twin(*X, need_weights=False)[0], slim(*X, need_weights=False)[0])
    other = SlimAttention(attention(5))
    other.load_state_dict(slim.state_dict())
    same(other(*X, need_weights=False)[0], slim(*X, need_weights=False)[0])
    single = copy.deepcopy(slim).to(torch.float32)
    found = single(*(part.float() for part in X), need_weights=False, **masks(True, "matrix"))
    assert found[0].dtype is torch.float32
    assert single.heads.dtype is torch.int64
    expected = layer(*X, need_weights=False, **masks(True, "matrix"))[0].detach()
    torch.testing.assert_close(found[0].double(), expected, rtol=0, atol=1e-5)
    assert set(slim.state_dict()) == {*layer.state_dict(), "heads", "constants"}


def test_it_shares_nothing_with_the_layer():
    layer = attention()
    slim, X = SlimAttention(layer), inputs(layer)
    before = slim(*X, need_weights=False)[0].clone()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    same(slim(*X, need_weights=False)[0], before)


def test_no_training_no_gradient_and_no_weights():
    layer = attention()
    slim, X = SlimAttention(layer), inputs(layer)
    assert not slim.training
    assert SlimAttention(layer.train()).training
    with pytest.raises(RuntimeError, match=r"for inference .* call eval\(\) first"):
        slim.train()(*X, need_weights=False)
    slim.eval()
    X[1].requires_grad_()
    with pytest.raises(RuntimeError, match=r"has no gradient\. Predict under"):
        slim(*X, need_weights=False)
    with torch.no_grad():
        slim(*X, need_weights=False)
        with pytest.raises(RuntimeError, match=r"2 of 4 heads.* need_weights=False"):
            slim(*X)


def test_what_does_not_fit():
    layer = attention(batch_first=True)
    slim, (query, key, value) = SlimAttention(layer), inputs(layer)
    wrong = [
        (
            {"attn_mask": torch.zeros(S, L).bool()},
            r"attn_mask must have shape \(4, 6\) or \(12",
        ),
        ({"attn_mask": torch.zeros(N * 2, L, S).bool()}, "attn_mask must have shape"),
        ({"attn_mask": torch.zeros(L, S).long()}, "attn_mask must be of bools or floats"),
        ({"key_padding_mask": torch.zeros(1, S).bool()}, "key_padding_mask must have shape"),
        ({"is_causal": True}, "is_causal=True is a hint on attn_mask"),
    ]
    for options, message in wrong:
        with pytest.raises(RuntimeError, match=message):
            slim(query, key, value, need_weights=False, **options)
    with pytest.raises(RuntimeError, match="must all have 3 dimensions"):
        slim(query[0], key, value, need_weights=False)
    rows = torch.nested.as_nested_tensor([query[0], query[1, :2]])
    with pytest.raises(RuntimeError, match="nested tensors in self-attention"):
        slim(rows, rows, rows, need_weights=False, attn_mask=torch.zeros(L, L).bool())


@pytest.mark.parametrize("options", [{"add_bias_kv": True}, {"add_zero_attn": True}])
def test_layers_with_keys_of_their_own(options):
    with pytest.raises(ValueError, match="without add_bias_kv and add_zero_attn"):
        SlimAttention(nn.MultiheadAttention(E, H, **options))
    with pytest.raises(ValueError, match="got Linear"):
        SlimAttention(nn.Linear(3, 3))


class Attending(nn.Module):
    """Attention over the places of a sequence, then the mean."""

    def __init__(self, layer):
        super().__init__()
        self.attend, self.leave = layer, nn.Linear(E, 2).double()

    def forward(self, X):
        return self.leave(self.attend(X, X, X, need_weights=False)[0].mean(1))


def as_net(module):
    return NeuralNet(module, criterion=nn.MSELoss, train_split=None, verbose=0).initialize()


def test_multiply_accumulates():
    layer = attention(batch_first=True)
    X = torch.randn(2, L, E).double()
    found = layer_macs(as_net(Attending(SlimAttention(layer))), X)
    inner = 2 * 3
    assert found.of_weights == {
        "attend.in_proj_weight": L * 3 * inner * E,
        "attend.out_proj.weight": L * inner * E,
        "leave.weight": 2 * E,
    }
    assert found.total == sum(found.of_weights.values()) + 2 * L * L * inner
    dense = layer_macs(as_net(Attending(layer)), X)
    assert dense.total - 2 * E == 2 * (found.total - 2 * E)


def test_liveness_gives_the_weights_the_benefit_of_the_doubt():
    net, X = (
        as_net(Attending(SlimAttention(attention(batch_first=True)))),
        torch.randn(2, L, E),
    )
    liveness = Liveness(net, X.double())
    assert not liveness.judged
    masks = {"leave.weight": torch.ones(2, E).bool()}
    assert liveness.live(masks)["leave.weight"].all()
