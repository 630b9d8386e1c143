"""A convolution is a linear layer on its patches."""

import pytest
import torch
from torch import nn

from sklearn_fairprune.functional import patches

torch.set_num_threads(1)
LAYERS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": "same"},
    {"padding": "valid"},
    {"padding": "same", "padding_mode": "circular"},
    {"stride": 2, "padding": 1, "padding_mode": "reflect"},
    {"padding": 1, "dilation": 2, "padding_mode": "replicate"},
]


@pytest.mark.parametrize("n_space", [1, 2, 3])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_patches_times_the_kernel_are_the_convolution(n_space, options):
    torch.manual_seed(0)
    kernel = (3, 2, 2)[:n_space]
    layer = LAYERS[n_space - 1](3, 4, kernel, **options).double()
    X = torch.randn(2, 3, *(7, 6, 5)[:n_space], dtype=torch.float64)
    asked = ("stride", "padding", "dilation", "padding_mode")
    cut = patches(X, kernel, **{name: getattr(layer, name) for name in asked})
    out = cut.flatten(1 + n_space) @ layer.weight.flatten(1).T + layer.bias
    torch.testing.assert_close(out.movedim(-1, 1), layer(X))


def test_nothing_is_copied():
    X = torch.randn(1, 2, 5, 5)
    assert patches(X, (3, 3)).untyped_storage().data_ptr() == X.untyped_storage().data_ptr()
