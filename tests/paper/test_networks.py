"""Networks of the paper's experiments."""

import numpy as np
import pytest
import torch
from networks import (
    FINETUNE_EPOCHS,
    NETWORKS,
    VGG19,
    Residual,
    ResNet18,
    ResNet50,
    SmallResidual,
    Vgg19,
    make_net,
)
from skorch.callbacks import Callback

from sklearn_fairprune import PrunedClassifier


def n_parameters(network):
    with torch.device("meta"):
        return sum(p.numel() for p in network(3, 10).parameters())


def vgg19_parameters():
    """Convolutions without bias and batch norm, then three linear layers."""
    total, channels = 0, 3
    for width in (64, 64, 128, 128, *[256] * 4, *[512] * 8):
        total, channels = total + 9 * channels * width + 2 * width, width
    return total + 513 * 4096 + 4097 * 4096 + 4097 * 10


@pytest.mark.parametrize(
    ("network", "expected"),
    [(ResNet18, 11_173_962), (ResNet50, 23_520_842), (Vgg19, vgg19_parameters())],
)
def test_sizes_are_those_of_the_literature(network, expected):
    assert n_parameters(network) == expected


def test_vgg19_has_sixteen_convolutions_in_five_halvings():
    assert sum(width != "M" for width in VGG19) == 16
    assert sum(width == "M" for width in VGG19) == 5


def test_the_small_network_is_small():
    assert 70_000 < n_parameters(SmallResidual) < 85_000


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 32)])
def test_logits_of_images_of_both_sizes(name, channels, size):
    with torch.device("meta"):
        network = NETWORKS[name](channels, 7).eval()
        assert network(torch.empty(2, channels, size, size)).shape == (2, 7)


def test_small_network_reads_half_faces():
    assert SmallResidual(1, 5)(torch.zeros(3, 1, 24, 24)).shape == (3, 5)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_branch_of_zeros_leaves_the_shortcut(bottleneck):
    width = 2 if bottleneck else 8
    block = Residual(8, width, 1, bottleneck).eval()
    torch.nn.init.zeros_(block.branch[-1].weight)
    images = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(images), torch.relu(images))


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_stride_halves_the_image(bottleneck):
    block = Residual(8, 4, 2, bottleneck)
    assert block(torch.randn(2, 8, 6, 6)).shape == (2, block.n_out, 3, 3)


class Rates(Callback):
    """Learning rate at the beginning of every epoch."""

    seen = []

    def on_epoch_begin(self, net, **kwargs):
        Rates.seen.append(net.optimizer_.param_groups[0]["lr"])


def test_every_training_falls_to_a_low_rate():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 1, 8, 8)).astype(np.float32), np.arange(60) % 3
    net = make_net("small", 1, 3, epochs=2 * FINETUNE_EPOCHS, lr=0.01)
    net.set_params(callbacks=[*net.callbacks, ("rates", Rates())])
    Rates.seen = []
    clf = PrunedClassifier(net, sparsity=0.5, finetune_epochs=FINETUNE_EPOCHS, random_state=0)
    clf.fit(X, y)
    cycles = np.reshape(Rates.seen, (3, FINETUNE_EPOCHS))
    assert (np.diff(cycles, axis=1) < 0).all()
    assert cycles[:, 0] == pytest.approx(0.01)
    assert cycles == pytest.approx(np.tile(cycles[0], (3, 1)))
    assert clf.sparsity_ == pytest.approx(0.5, abs=1e-4)
