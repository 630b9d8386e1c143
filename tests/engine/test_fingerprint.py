"""Keys of dense trainings: what changes the weights changes the key."""

import functools
import threading

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from sklearn_fairprune.engine.fingerprint import (
    fingerprint,
    weights_from_numpy,
    weights_to_numpy,
)
from sklearn_fairprune.engine.networks import MLP

torch.set_num_threads(1)


def key(module=MLP, dtype=torch.float32, seed=0, kind=NeuralNetClassifier, **options):
    sizes = {"module__n_features": 3, "module__n_outputs": 2} if module is MLP else {}
    net = kind(module, **{"verbose": 0} | sizes | options)
    torch.manual_seed(0)
    return fingerprint(net.initialize(), dtype, seed)


def define(text, name="new"):
    """Run a notebook cell: the code has no source file."""
    cell = {"__name__": "notebook", "nn": nn, "torch": torch}
    exec(text, cell)
    return cell[name]


def function_key(function):
    return key(module__hidden_layer_sizes=(4,), predict_nonlinearity=function)


def cross(weights):
    return {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.tensor(weights)}


def test_equal_nets_have_equal_keys():
    assert isinstance(key(), str)
    assert key() == key()
    assert key(**cross([1.0, 2.0])) == key(**cross([1.0, 2.0]))
    assert key(callbacks=[EarlyStopping()]) == key(callbacks=[EarlyStopping()])


def test_global_random_state_does_not_matter():
    torch.manual_seed(5)
    first = key()
    torch.manual_seed(6)
    assert key() == first


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.5},
        {"max_epochs": 3},
        {"batch_size": 7},
        {"optimizer": torch.optim.Adam},
        {"optimizer__momentum": 0.9},
        {"module__hidden_layer_sizes": (7,)},
        {"seed": 1},
        {"dtype": torch.float64},
        {"criterion": nn.CrossEntropyLoss},
        {"train_split": None},
        {"iterator_train__shuffle": True},
        {"callbacks": [EarlyStopping()]},
        cross([1.0, 2.0]),
    ],
    ids=lambda change: ", ".join(change),
)
def test_what_changes_the_weights_changes_the_key(change):
    assert key(**change) != key()
    assert key(**change) is not None


def test_values_of_a_class_weight_count():
    assert key(**cross([1.0, 2.0])) != key(**cross([1.0, 3.0]))


def test_values_inside_a_callback_count():
    stops = [[EarlyStopping(patience=p)] for p in (1, 2)]
    assert key(callbacks=stops[0]) != key(callbacks=stops[1])


def test_verbosity_does_not_matter():
    assert key(verbose=1) == key()


def test_module_given_as_an_instance():
    def make(seed, activation=nn.ReLU):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 2), activation())

    assert key(make(0)) == key(make(0))
    assert len({key(make(0)), key(make(1)), key(make(0, nn.Tanh))}) == 3


NET = """
class Base(nn.Module):
    factor = 2.0
    def __init__(self, power=2):
        super().__init__()
        self.power, self.layer = power, nn.Linear(3, 2)
    @property
    def shift(self):
        return 1.0
    @staticmethod
    def squash(X):
        return X.tanh()
    def forward(self, X):
        act = lambda v: v.relu()
        return self.squash(act(self.layer(X)) ** self.power * self.factor + self.shift)
class new(Base):
    pass
"""
CHANGES = {
    "body": (".relu()", ".sigmoid()"),
    "default": ("power=2", "power=3"),
    "attribute": ("factor = 2.0", "factor = 3.0"),
    "property": ("return 1.0", "return 2.0"),
    "static method": ("X.tanh()", "X.sin()"),
    "override": ("    pass", "    factor = 4.0"),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_redefined_module(old, new):
    assert key(define(NET)) is not None
    assert key(define(NET)) != key(define(NET.replace(old, new)))


def test_module_defined_again_is_the_same():
    first, second = define(NET), define(NET)
    assert key(first) == key(second)


FACTORY = """
class Layer(nn.Linear):
    def forward(self, X):
        return super().forward(X) * 2
def new():
    return nn.Sequential(Layer(3, 2))
"""


GLOBAL = """
SCALE = 2
def scaled(X):
    return X * SCALE
class new(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
    def forward(self, X):
        return scaled(super().forward(X))
"""
ATTRIBUTE = """
SETTINGS = {"scale": 2}
class new(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
        self.scale = SETTINGS["scale"]
"""


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (FACTORY, "* 2", "* 3"),
        (GLOBAL, "SCALE = 2", "SCALE = 3"),
        (GLOBAL, "X * SCALE", "X / SCALE"),
        (ATTRIBUTE, '"scale": 2', '"scale": 3'),
    ],
    ids=["factory", "global", "global function", "attribute"],
)
def test_what_a_module_is_built_from(text, old, new):
    keys = [key(define(t)) for t in (text, text, text.replace(old, new))]
    assert keys[0] == keys[1] != keys[2]


LOSS = """
class new(nn.CrossEntropyLoss):
    def forward(self, y_pred, y):
        return super().forward(y_pred, y) * 2
"""
NOISE = """
from skorch.callbacks import Callback
class new(Callback):
    def on_grad_computed(self, net, **kwargs):
        self.scale = 2
"""
KIND = """
from skorch import NeuralNetClassifier
class Base(NeuralNetClassifier):
    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs) * 2
class new(Base):
    pass
"""


@pytest.mark.parametrize(
    ("text", "use"),
    [
        (LOSS, lambda made: {"criterion": made}),
        (LOSS, lambda made: {"criterion": made()}),
        (NOISE, lambda made: {"callbacks": [made]}),
        (NOISE, lambda made: {"callbacks": [("noise", made())]}),
        (KIND, lambda made: {"kind": made}),
    ],
    ids=["criterion", "criterion object", "callback", "callback object", "net"],
)
def test_redefined_parts(text, use):
    keys = [key(**use(define(t))) for t in (text, text, text.replace("2", "3"))]
    assert keys[0] == keys[1] != keys[2]
    assert None not in keys


FUNCTION = """
def new(X, power=2, *, factor=1):
    return [v ** power * factor for v in X]
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v **", "v *"),
        ("power=2", "power=3"),
        ("factor=1", "factor=2"),
        ("[v", "[-v"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: functools.partial(f, power=5)])
def test_redefined_function(old, new, wrap):
    texts = FUNCTION, FUNCTION, FUNCTION.replace(old, new)
    keys = [function_key(wrap(define(text))) for text in texts]
    assert keys[0] == keys[1] != keys[2]
    assert None not in keys


def test_closure_values_count():
    def scaled(by):
        def inner(X):
            return X * by

        return inner

    def module(by):
        class Local(nn.Linear):
            def __init__(self):
                super().__init__(3, 2)

            def forward(self, X):
                return super().forward(X) * by

        return Local

    for use, make in ((function_key, scaled), (key, module)):
        assert use(make(torch.ones(2))) == use(make(torch.ones(2)))
        assert use(make(torch.ones(2))) != use(make(torch.zeros(2)))
        assert use(make(torch.ones(2))) is not None


@pytest.mark.parametrize("values", [(None, 1), (1, None), (None, None), (1, 1)])
def test_closure_cells_keep_their_places(values):
    def make(a, b):
        return lambda X: (a, b)

    others = {(None, 1), (1, None), (None, None), (1, 1)} - {values}
    assert function_key(make(*values)) not in {function_key(make(*o)) for o in others}


def test_order_inside_a_set_does_not_matter():
    one, other = frozenset([0, 8]), frozenset([8, 0])
    assert list(one) != list(other)
    assert key(torch_load_kwargs={"a": one}) == key(torch_load_kwargs={"a": other})


def test_lambdas_have_keys():
    one, other = lambda X: X, lambda X: -X  # one line, so one source text
    bound = [lambda X, p=p: X * p for p in range(2)]
    keys = [function_key(f) for f in (one, other, *bound)]
    assert len(set(keys)) == 4
    assert None not in keys
    assert function_key(one) == keys[0]


class Guarded:
    """Cannot be pickled."""

    def __init__(self, by):
        self.lock, self.by = threading.Lock(), by


@pytest.mark.parametrize(
    "use",
    [
        lambda value: {"predict_nonlinearity": value},
        lambda value: {"predict_nonlinearity": functools.partial(min, value)},
        lambda value: {"callbacks": [EarlyStopping(sink=value)]},
        lambda value: {
            "module__hidden_layer_sizes": (),
            "torch_load_kwargs": {"a": {"b": value}},
        },
    ],
)
def test_what_cannot_be_hashed_has_no_key(use):
    assert key(**use(Guarded(1))) is None


def test_weights_travel_through_numpy():
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    net = NeuralNetClassifier(module, verbose=0).initialize()
    kept = weights_to_numpy(net)
    before = {k: v.copy() for k, v in kept.items()}
    with torch.no_grad():
        for value in net.module_.state_dict().values():
            value.zero_()
    assert all(np.array_equal(kept[k], before[k]) for k in kept)
    for value in kept.values():
        value.flags.writeable = False  # as from a memory-map
    assert weights_from_numpy(net, kept) is net
    assert all(np.array_equal(v, before[k]) for k, v in weights_to_numpy(net).items())
    net.module_[0].weight.data.zero_()
    assert np.array_equal(kept["0.weight"], before["0.weight"])
