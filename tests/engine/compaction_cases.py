"""Networks of many forms, with random weights and statistics, and masks of them."""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from sklearn_fairprune.engine.networks import MLP
from sklearn_fairprune.functional import prunable


def mlp(widths=(6, 8, 7, 3), act=nn.ReLU, norm=False, bias=True):
    layers = []
    for n_in, n_out in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(n_in, n_out, bias=bias)]
        layers += [nn.BatchNorm1d(n_out)] if norm else []
        layers += [act()]
    return nn.Sequential(*layers, nn.Linear(*widths[-2:], bias=bias))


def cnn(padding=1, bias=True, pool=nn.MaxPool2d, mode="zeros"):
    def conv(n_in, n_out):
        return nn.Conv2d(n_in, n_out, 3, padding=padding, bias=bias, padding_mode=mode)

    body = conv(2, 6), nn.BatchNorm2d(6), nn.ReLU(), pool(2), conv(6, 5), nn.Sigmoid()
    size = 4 if padding else 1
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.5), nn.Linear(5 * size**2, 3))


def separable():
    def block(n_in, n_out, times=1):
        depth = nn.Conv2d(n_in, n_in * times, 3, padding=1, groups=n_in, bias=times == 1)
        return (
            depth,
            nn.BatchNorm2d(n_in * times),
            nn.ReLU6(),
            nn.Conv2d(n_in * times, n_out, 1),
        )

    stem = nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.SiLU()
    body = *block(6, 8), nn.PReLU(8), *block(8, 5, times=2)
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))


class Residual(nn.Module):
    """Two blocks with a shortcut, one of them in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.one, self.two = nn.Conv2d(6, 5, 3), nn.Conv2d(5, 6, 3, padding=2)
        self.wide, self.short = nn.Conv2d(6, 7, 3, stride=2), nn.Conv2d(6, 7, 1, stride=2)
        self.last = nn.Linear(7, 3)

    def forward(self, X):
        hidden = F.relu(self.norm(self.stem(X)), inplace=True)
        out = self.two(torch.tanh(self.one(hidden)))
        out += hidden
        out = F.relu(self.wide(out)).mean((2, 3)) - self.short(out).amax(dim=(2, 3))
        return self.last(out)


class Dense(nn.Module):
    """Every layer reads all earlier ones."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.norm, self.three = nn.BatchNorm2d(11), nn.Conv2d(11, 4, 1)
        self.last = nn.Linear(15, 3)

    def forward(self, X):
        one = torch.cat([X, self.one(X).relu()], 1)
        two = torch.cat([self.two(one), one], dim=1)
        three = self.three(self.norm(two).sigmoid())
        return self.last(F.adaptive_avg_pool2d(torch.cat([two, three], 1), 1).flatten(1))


def transformer(norm_first=False, activation="relu"):
    layer = nn.TransformerEncoderLayer(
        4, 2, 9, batch_first=True, norm_first=norm_first, activation=activation
    )
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Linear(2, 4), stack, nn.Flatten(), nn.Linear(12, 6), nn.ReLU(),
                         nn.Linear(6, 3))  # fmt: skip


class Named(nn.Module):
    """Reads parts by name, one of which may lack."""

    def __init__(self):
        super().__init__()
        self.left, self.right, self.last = nn.Linear(3, 6), nn.Linear(2, 5), nn.Linear(11, 3)

    def forward(self, left, right, weight=None):
        if weight is not None:
            left = left * weight
        if left.dim() > 2:
            left = left.flatten(1)
        both = torch.cat([self.left(left).relu(), torch.sigmoid(self.right(right))], 1)
        return self.last(both.view(left.size(0), -1))


class Decides(nn.Module):
    """Looks at numbers to choose what to do."""

    def __init__(self):
        super().__init__()
        self.one, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, X):
        hidden = self.one(X)
        if hidden.sum() > 0:
            hidden = -hidden
        return self.last(hidden.relu())


class Recurrent(nn.Module):
    """Its linear layers stand before and after a layer without a rule."""

    def __init__(self):
        super().__init__()
        self.first, self.lstm = nn.Linear(2, 4), nn.LSTM(4, 5, batch_first=True)
        self.last = nn.Linear(5, 3)

    def forward(self, X):
        return self.last(self.lstm(self.first(X).relu())[0][:, -1])


class Shared(nn.Module):
    """One weight in two layers, one layer called twice, and one hidden layer beside them."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.twice = (nn.Linear(6, 6) for _ in range(3))
        self.two.weight = self.one.weight
        self.free, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, X):
        X = self.two(self.one(X).relu()).relu()
        return self.last(self.free(self.twice(self.twice(X).relu()).relu()).tanh())


class Viewed(nn.Module):
    """Flattens by itself, to a size that is written down or found."""

    def __init__(self, written):
        super().__init__()
        self.written = written
        self.conv, self.hidden, self.last = (
            nn.Conv2d(2, 4, 3),
            nn.Linear(64, 9),
            nn.Linear(9, 3),
        )

    def forward(self, X):
        X = F.relu(self.conv(F.max_pool2d(X, 2, stride=1)[:, :, :6, :6]))
        X = X.view(-1, 64) if self.written else X.view(X.size(0), -1)
        return self.last(torch.relu(self.hidden(X)))


class Gated(nn.Module):
    """Channels weighed by gates, and by a map over the pixels."""

    def __init__(self):
        super().__init__()
        self.conv, self.gate, self.map = (
            nn.Conv2d(2, 6, 3),
            nn.Linear(6, 6),
            nn.Conv2d(2, 1, 3),
        )
        self.last = nn.Linear(6, 3)

    def forward(self, X):
        hidden = self.conv(X).relu()
        gates = torch.sigmoid(self.gate(hidden.mean(dim=(2, 3))))
        hidden = hidden * gates.unsqueeze(-1).unsqueeze(-1) * self.map(X)
        return self.last(hidden.sum(3).amax(2) / 2.0)


class Halved(nn.Module):
    """Cuts channels at written places, and computes with their number."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(6, 8), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, X):
        a, b = self.one(X).chunk(2, dim=1)
        hidden = self.two(a * torch.sigmoid(b)).relu()
        return self.last(hidden / hidden.shape[1] ** 0.5)


IMAGES, FLAT, SEQUENCES = (2, 8, 8), (6,), (3, 2)
NAMED = {"left": (3,), "right": (2,)}
CASES = {
    "MLP": (lambda: MLP(6, 3, (9, 8)), FLAT),
    "relu": (mlp, FLAT),
    "deep": (lambda: mlp((6, 7, 7, 7, 7, 3)), FLAT),
    "tanh": (lambda: mlp(act=nn.Tanh), FLAT),
    "sigmoid": (lambda: mlp(act=nn.Sigmoid), FLAT),
    "gelu": (lambda: mlp(act=nn.GELU), FLAT),
    "norm": (lambda: mlp(norm=True), FLAT),
    "no bias": (lambda: mlp(act=nn.Sigmoid, bias=False), FLAT),
    "cnn": (cnn, IMAGES),
    "cnn, no padding": (lambda: cnn(0), IMAGES),
    "cnn, no bias": (lambda: cnn(0, bias=False, pool=nn.AvgPool2d), IMAGES),
    "cnn, circular": (lambda: cnn(mode="circular"), IMAGES),
    "separable": (separable, IMAGES),
    "residual": (Residual, IMAGES),
    "dense": (Dense, IMAGES),
    "transformer": (transformer, SEQUENCES),
    "norm first": (lambda: transformer(True, F.gelu), SEQUENCES),
    "silu": (lambda: transformer(activation=nn.SiLU()), SEQUENCES),
    "named": (Named, NAMED),
    "decides": (Decides, FLAT),
    "recurrent": (Recurrent, SEQUENCES),
    "shared": (Shared, FLAT),
    "viewed": (lambda: Viewed(False), IMAGES),
    "viewed, written": (lambda: Viewed(True), IMAGES),
    "gated": (Gated, IMAGES),
    "halved": (Halved, FLAT),
}
UNCHANGED = {"decides", "recurrent"}


def inputs(shape, n, dtype=torch.float64, seed=0):
    """Random rows: a tensor, or a dict of them."""
    if isinstance(shape, dict):
        return {name: inputs(part, n, dtype, seed) for name, part in shape.items()}
    return torch.randn((n, *shape), generator=torch.Generator().manual_seed(seed)).to(dtype)


def make(name, seed=0, dtype=torch.float64):
    """Network in evaluation mode with random numbers everywhere, and two rows for it."""
    factory, shape = CASES[name]
    generator = torch.Generator().manual_seed(seed)
    module = factory().to(dtype).eval()
    for key, value in module.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator).to(dtype) * 0.6
            value.copy_(drawn.abs() + 0.3 if key.endswith("var") else drawn)
    return module, inputs(shape, 2, dtype)


def masks_of(module, share, seed=0):
    """Random masks that leave a share of the weights out."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=generator) >= share
        for name, weight in prunable(module).items()
    }


def masked(module, masks):
    """Set the weights without a mask to 0, in place."""
    with torch.no_grad():
        for name, weight in prunable(module).items():
            weight.mul_(masks[name])
    return module


def outputs(module, X):
    with torch.no_grad():
        return module(**X) if isinstance(X, dict) else module(X)
