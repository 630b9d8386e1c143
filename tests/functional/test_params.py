"""Which weights of a network may be pruned, under which names, and dicts read as vectors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from sklearn_fairprune.functional import dot, flatten, norm, prunable, trainable, unflatten
from sklearn_fairprune.functional.params import plain_name, skipped

torch.set_num_threads(1)


class Tied(nn.Module):
    """An encoder and a decoder that share one weight."""

    def __init__(self):
        super().__init__()
        self.encode, self.decode = nn.Linear(3, 3), nn.Linear(3, 3)
        self.decode.weight = self.encode.weight


class Compiled(nn.Module):
    """Holds a module under the name that ``torch.compile`` gives it."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module


def small_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Flatten(),
        nn.Linear(8, 4),
        nn.LayerNorm(4),
        nn.PReLU(),
        nn.Linear(4, 2, bias=False),
    )


def test_finds_linear_and_conv_weights_only():
    assert list(prunable(small_cnn())) == ["0.weight", "3.weight", "6.weight"]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    ],
)
def test_every_kind_of_layer(layer):
    module = layer(2, 3) if layer is nn.Linear else layer(2, 3, kernel_size=1)
    assert prunable(nn.Sequential(module)) == {"0.weight": module.weight}


def test_subclass_of_a_layer():
    class Scaled(nn.Linear):
        pass

    assert list(prunable(nn.Sequential(Scaled(2, 2)))) == ["0.weight"]


def test_embeddings_recurrent_layers_and_norms_are_left_out():
    module = nn.ModuleList(
        [nn.Embedding(3, 2), nn.LSTM(2, 2), nn.BatchNorm1d(2), nn.Bilinear(2, 2, 2)]
    )
    assert prunable(module) == {}
    told = skipped(module, {})
    reasons = [told[name].reason for name in ("0.weight", "1.weight_ih_l0", "3.weight")]
    assert reasons == ["of an Embedding", "of an LSTM", "of a Bilinear"]


def test_values_are_the_parameters_themselves():
    module = small_cnn()
    named = dict(module.named_parameters())
    assert all(weight is named[name] for name, weight in prunable(module).items())


def test_order_is_that_of_named_parameters():
    module = nn.ModuleDict({"b": nn.Linear(1, 1), "a": nn.Sequential(nn.Linear(1, 1))})
    names = [name for name, _ in module.named_parameters() if name.endswith("weight")]
    assert list(prunable(module)) == names == ["b.weight", "a.0.weight"]


def test_bare_layer():
    layer = nn.Linear(2, 1)
    assert prunable(layer) == {"weight": layer.weight}


def test_tied_weight_once_under_its_first_name():
    assert list(prunable(Tied())) == ["encode.weight"]


def test_shared_layer_once():
    layer = nn.Linear(2, 2)
    assert list(prunable(nn.Sequential(layer, nn.ReLU(), layer))) == ["0.weight"]


def test_frozen_weights_are_left_out():
    module = small_cnn()
    module[0].requires_grad_(False)
    assert list(prunable(module)) == ["3.weight", "6.weight"]


def test_weight_that_is_no_parameter_is_left_out():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    weight = module[0].weight * 2
    del module[0].weight
    module[0].weight = weight
    assert list(prunable(module)) == ["1.weight"]


def test_names_inside_a_compiled_wrapper():
    plain = small_cnn()
    assert list(prunable(Compiled(plain))) == list(prunable(plain))
    assert list(prunable(Compiled(nn.Linear(1, 1)))) == ["weight"]
    nested = nn.Sequential(Compiled(nn.Sequential(nn.Linear(1, 1))))
    assert list(prunable(nested)) == ["0.0.weight"]
    assert plain_name("a._orig_mod.b.weight") == "a.b.weight"


law = settings(deadline=None, max_examples=40, database=None)
shapes = st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=4)


def tensors(shapes, seed=0):
    torch.manual_seed(seed)
    named = enumerate(shapes)
    return {str(k): torch.randn(s, dtype=torch.float64) for k, s in named}


def same(a, b):
    assert list(a) == list(b)
    return all(a[k].shape == b[k].shape and torch.equal(a[k], b[k]) for k in a)


def test_trainable_is_every_parameter_that_training_moves():
    module = small_cnn()
    module[1].bias.requires_grad_(False)
    names = [name for name, _ in module.named_parameters() if name != "1.bias"]
    assert list(trainable(module)) == names
    assert trainable(nn.ReLU()) == {}


def test_trainable_lists_a_tied_weight_once():
    params = trainable(Tied())
    assert list(params) == ["encode.weight", "encode.bias", "decode.bias"]
    moved = {name: p + 1 for name, p in params.items()}
    weights = []
    module = Tied()
    module.forward = lambda: weights.extend([module.encode.weight, module.decode.weight])
    functional_call(module, moved, ())
    assert all(torch.equal(w, moved["encode.weight"]) for w in weights)


def test_trainable_is_detached_and_shares_memory():
    module = nn.Linear(3, 2)
    params = trainable(module)
    assert not any(p.requires_grad for p in params.values())
    params["bias"].fill_(7)
    assert module.bias.tolist() == [7, 7]
    assert module.bias.requires_grad


def test_flatten_is_the_vector_of_torch():
    module = small_cnn()
    vector = flatten(trainable(module))
    assert torch.equal(vector, parameters_to_vector(module.parameters()).detach())


def test_flatten_of_one_tensor_is_a_copy():
    w = torch.ones(2)
    flatten({"w": w}).zero_()
    assert w.tolist() == [1, 1]


@law
@given(shapes)
def test_unflatten_is_the_inverse(shapes):
    params = tensors(shapes)
    assert same(unflatten(flatten(params), params), params)
    assert flatten(params).shape == (sum(p.numel() for p in params.values()),)


@law
@given(shapes, st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))
def test_unflatten_of_many_vectors_is_that_of_each(shapes, batch):
    like = tensors(shapes)
    vectors = torch.randn(*batch, len(flatten(like)))
    many = unflatten(vectors, like)
    for at in torch.cartesian_prod(*map(torch.arange, batch)).reshape(-1, len(batch)):
        at = tuple(at.tolist())
        assert same({k: v[at] for k, v in many.items()}, unflatten(vectors[at], like))


def test_unflatten_views_its_vector_and_wants_its_length():
    vector = torch.zeros(3)
    unflatten(vector, {"a": torch.ones(()), "b": torch.ones(1, 2)})["b"].fill_(5)
    assert vector.tolist() == [0, 5, 5]
    with pytest.raises(RuntimeError):
        unflatten(torch.zeros(4), {"a": torch.ones(3)})


@law
@given(shapes, st.integers(0, 99))
def test_dot_and_norm_are_those_of_the_vectors(shapes, seed):
    a, b = tensors(shapes, seed), tensors(shapes, seed + 1)
    torch.testing.assert_close(dot(a, b), flatten(a) @ flatten(b))
    torch.testing.assert_close(norm(a), flatten(a).norm())
    torch.testing.assert_close(dot(a, a), norm(a) ** 2)


def test_dot_goes_by_name():
    a = {"x": torch.tensor(1.0), "y": torch.tensor(2.0)}
    b = {"y": torch.tensor(10.0), "x": torch.tensor(1.0)}
    assert float(dot(a, b)) == 21
    assert norm({"x": torch.tensor(-3.0), "y": torch.tensor([4.0])}) == 5
