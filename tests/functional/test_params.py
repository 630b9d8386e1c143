"""Which weights of a network may be pruned, and under which names."""

import pytest
import torch
from torch import nn

from sklearn_fairprune.functional import prunable
from sklearn_fairprune.functional.params import plain_name

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
