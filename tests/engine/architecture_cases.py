"""Tiny networks of many kinds, their rows, and all derivatives computed the slow way."""

import functools
import weakref
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation

N_ROWS = 12
GROUPS = [torch.tensor(rows) for rows in ([0, 3, 4, 9, 11], [1, 2, 5, 6, 8, 10], [7])]
EVERYONE = torch.arange(N_ROWS)
rng = np.random.default_rng(0)
FLAT, IMAGES = rng.normal(size=(N_ROWS, 4)), rng.normal(size=(N_ROWS, 1, 4, 4))
SEQUENCES, WORDS = rng.normal(size=(N_ROWS, 3, 2)), rng.integers(0, 5, (N_ROWS, 3))
CLASSES, TARGETS = np.arange(N_ROWS) % 3, rng.normal(size=(N_ROWS, 2))


def mlp(n_in=4, n_out=3):
    return nn.Sequential(nn.Linear(n_in, 3), nn.Tanh(), nn.Linear(3, n_out))


def cnn():
    body = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3))


class Residual(nn.Module):
    """Changes its activations in place, as torchvision's networks do."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(inplace=True)
        )
        self.second = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2))
        self.last = nn.Linear(2, 3)

    def forward(self, X):
        hidden = self.first(X)
        out = self.second(hidden)
        out += hidden
        return self.last(F.relu(out, inplace=True).mean((2, 3)))


class Words(nn.Module):
    """Looks up integers."""

    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(5, 3), mlp(3)

    def forward(self, X):
        return self.last(self.words(X).mean(1))


class Recurrent(nn.Module):
    """Also returns its state, which is no output."""

    def __init__(self):
        super().__init__()
        self.lstm, self.last = nn.LSTM(2, 2, batch_first=True), nn.Linear(2, 3)

    def forward(self, X):
        out, state = self.lstm(X)
        return self.last(out[:, -1]), state


class Attention(nn.Module):
    """A transformer layer with dropout."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 2, 3, batch_first=True)
        self.last = nn.Linear(2, 3)

    def forward(self, X):
        return self.last(self.layer(X).mean(1))


class Case(NamedTuple):
    """A network, its data, and what skorch needs to know."""

    module: object
    X: np.ndarray
    y: np.ndarray = CLASSES
    kind: type = NeuralNetClassifier
    criterion: type = nn.CrossEntropyLoss
    n_logits: int = 3


CASES = {
    "mlp": Case(mlp, FLAT),
    "two classes": Case(lambda: mlp(n_out=2), FLAT, CLASSES % 2, n_logits=1),
    "cnn": Case(cnn, IMAGES),
    "residual": Case(Residual, IMAGES),
    "words": Case(Words, WORDS),
    "recurrent": Case(Recurrent, SEQUENCES),
    "attention": Case(Attention, SEQUENCES),
    "one logit": Case(
        lambda: mlp(n_out=1),
        FLAT,
        CLASSES % 2,
        NeuralNetBinaryClassifier,
        nn.BCEWithLogitsLoss,
        1,
    ),
    "regression": Case(lambda: mlp(n_out=2), FLAT, TARGETS, NeuralNetRegressor, nn.MSELoss, 0),
}
WITH_LOGITS = [name for name, case in CASES.items() if case.n_logits]


def with_costly(names):
    """Names of networks; those that take vmap some seconds are slow tests."""
    slow = {"marks": pytest.mark.slow}
    return [
        pytest.param(name, **(slow if name in ("recurrent", "attention") else {}))
        for name in names
    ]


def fitted(module, kind=NeuralNetClassifier, dtype=torch.float64, **options):
    """Make a skorch net that looks trained: weights and batch-norm statistics are random."""
    if kind is NeuralNetClassifier:
        options = {"criterion": nn.CrossEntropyLoss} | options
    options = {"train_split": None, "verbose": 0, "batch_size": 5, "lr": 0.1} | options
    net = networks.initialize(networks.with_fast_batches(kind(module, **options)), dtype, 0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, v in net.module_.state_dict().items():
            noise = torch.randn(v.shape, generator=generator)
            if name.endswith("var"):
                v.mul_(1 + noise**2)
            elif v.is_floating_point():
                v.add_(noise * 0.5)
    return net


def make(name, **options):
    case = CASES[name]
    return fitted(case.module, case.kind, criterion=case.criterion, **options)


def rows(name, index=None, dtype=torch.float64):
    case = CASES[name]
    index = slice(None) if index is None else index
    return Rows(case.X[index], case.y[index], dtype=dtype)


def evaluation(name, **options):
    """Evaluation of a case, and its rows."""
    data = rows(name)
    classifies = CASES[name].n_logits > 0
    return Evaluation(make(name, **options), data, classifies=classifies), data


def flat(tensors):
    values = tensors.values() if isinstance(tensors, dict) else tensors
    return torch.cat([t.detach().flatten() for t in values])


def like(vector, params):
    """Cut a vector into pieces named and shaped like the parameters."""
    pieces = vector.split([p.numel() for p in params.values()])
    return {k: v.reshape(p.shape) for (k, p), v in zip(params.items(), pieces, strict=True)}


class Truth(NamedTuple):
    """Values, gradients and Hessians of n scalars in P parameters."""

    values: torch.Tensor
    gradients: torch.Tensor
    hessians: torch.Tensor


def derivatives(values, params):
    """Every scalar's gradient, and every entry's of that: nothing is shared or clever."""

    def grad(scalar):
        if not scalar.requires_grad:
            return [torch.zeros_like(p) for p in params]
        return torch.autograd.grad(
            scalar, params, create_graph=True, allow_unused=True, materialize_grads=True
        )

    gradients, hessians = [], []
    for value in values:
        g = torch.cat([part.flatten() for part in grad(value)])
        gradients.append(g.detach())
        hessians.append(torch.stack([flat(grad(entry)) for entry in g]))
    return Truth(values.detach(), torch.stack(gradients), torch.stack(hessians))


def raw_outputs(module, X):
    """Call the bare module in evaluation mode."""
    with sdpa_kernel(SDPBackend.MATH):
        out = module.eval()(torch.from_numpy(X))
    return out[0] if isinstance(out, tuple) else out


@functools.cache
def loss_truth(name):
    """Loss of every row by its textbook formula, with derivatives."""
    case, module = CASES[name], make(name).module_
    raw, y = raw_outputs(module, case.X), torch.from_numpy(case.y)
    if name == "regression":
        losses = ((raw - y) ** 2).mean(1)
    elif name == "one logit":
        losses = torch.log1p(torch.exp(raw[:, 0])) - y * raw[:, 0]
    else:
        losses = raw.exp().sum(1).log() - raw[range(N_ROWS), case.y]
    return derivatives(losses, list(module.parameters()))


@functools.cache
def logit_truth(name):
    """Logits of GROUPS[0], (n, n_logits, ...), and p - y; one logit for two classes."""
    case, module, index = CASES[name], make(name).module_, GROUPS[0].numpy()
    raw, y = raw_outputs(module, case.X[index]), torch.from_numpy(case.y[index])
    if case.n_logits == 1:
        logits = raw if name == "one logit" else raw[:, 1:] - raw[:, :1]
        residuals = torch.sigmoid(logits) - y[:, None]
    else:
        logits, residuals = raw, raw.softmax(1) - torch.eye(3, dtype=raw.dtype)[y]
    truth = derivatives(logits.flatten(), list(module.parameters()))
    shaped = [t.reshape(len(raw), case.n_logits, *t.shape[1:]) for t in truth]
    return Truth(*shaped), residuals.detach()


def close(a, b, rtol=1e-10):
    torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * b.abs().max().item())


def direction(params, seed=0):
    """Draw a vector of length 1, flat and cut into parameters."""
    n_params = sum(p.numel() for p in params.values())
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(n_params, generator=generator, dtype=torch.float64)
    return vector / vector.norm(), like(vector / vector.norm(), params)


class Lookup(torch.utils.data.Dataset):
    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], 0


class _Mark(torch.autograd.Function):
    """The identity; its node lives exactly as long as the graph it is part of."""

    @staticmethod
    def forward(ctx, out, watch):
        ctx.n_rows = len(out)
        watch.nodes.add(ctx)
        watch.most = max(watch.most, watch.rows_held())
        return out.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


class Watch:
    """How many rows go forward through a network, and whose graphs are held."""

    def __init__(self, ev):
        self.sizes, self.nodes, self.most = [], weakref.WeakSet(), 0
        ev.net.module_.register_forward_hook(self.note)

    def note(self, module, inputs, out):
        self.sizes.append(len(inputs[0]))
        if isinstance(out, tuple):
            return _Mark.apply(out[0], self), *out[1:]
        return _Mark.apply(out, self)

    def rows_held(self):
        return sum(node.n_rows for node in self.nodes)

    def spent(self, function, *args, **options):
        """Call the function; say how many rows went forward meanwhile, and its result."""
        before = sum(self.sizes)
        result = function(*args, **options)
        return sum(self.sizes) - before, result
