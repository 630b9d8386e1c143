"""Small networks, random masks, and a path search."""

import itertools

import torch
from skorch import NeuralNet
from torch import nn

from sklearn_fairprune.functional import prunable


def as_net(module):
    net = NeuralNet(module, criterion=nn.MSELoss, train_split=None, verbose=0)
    return net.initialize()


def drawn(module, share, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(w.shape, generator=generator) < share
        for name, w in prunable(module).items()
    }


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def all_kept(module):
    return drawn(module, 2.0, 0)


def slow_live(masks):
    """Path search in a chain of linear layers: from the inputs, and back from the outputs."""
    layers = list(masks.values())
    ahead = [torch.ones(layers[0].shape[1], dtype=torch.bool)]
    for mask in layers:
        ahead.append((mask & ahead[-1]).any(1))
    back = [torch.ones(len(layers[-1]), dtype=torch.bool)]
    for mask in reversed(layers):
        back.append((mask & back[-1][:, None]).any(0))
    back = back[::-1]
    return {
        name: mask & ahead[k] & back[k + 1][:, None]
        for k, (name, mask) in enumerate(masks.items())
    }


def mlp(widths, activation=nn.ReLU):
    parts = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), activation()]
    return nn.Sequential(*parts[:-1])
