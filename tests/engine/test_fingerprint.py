"""Keys of dense trainings: what changes the weights changes the key."""

import functools
import importlib
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from sklearn_fairprune.engine import fingerprint as module
from sklearn_fairprune.engine.fingerprint import (
    NoKey,
    fingerprint,
    weights_from_numpy,
    weights_to_numpy,
)
from sklearn_fairprune.engine.networks import MLP

torch.set_num_threads(1)
ROOT = Path(module.__file__).parents[2]


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
    with pytest.raises(NoKey, match=r"no content to hash \(.*lock"):
        key(**use(Guarded(1)))


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
    assert np.array_equal(kept["module_.0.weight"], before["module_.0.weight"])


class Tempered(nn.Module):
    """Loss with a temperature that is learned, and a buffer that no state has."""

    def __init__(self):
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(1))
        self.register_buffer("seen", torch.zeros(2), persistent=False)

    def forward(self, raw, y):
        return nn.functional.cross_entropy(raw / self.temperature, y)


def test_what_a_loss_learned_is_brought_back_too():
    net = NeuralNetClassifier(nn.Linear(3, 2), criterion=Tempered, verbose=0).initialize()
    net.criterion_.temperature.data.fill_(2.0)
    net.criterion_.seen = torch.arange(3.0)  # it grew
    kept = weights_to_numpy(net)
    weights_from_numpy(net.initialize(), kept)
    assert net.criterion_.temperature.item() == 2.0
    assert net.criterion_.seen.tolist() == [0.0, 1.0, 2.0]


# ---- what code reads from its globals ---------------------------------------------------

USES = """
class new(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)
    def forward(self, X):
        return {use}
"""
# What stands above the class, its change, and how the class reads it.
READ = {
    "number": ("K = 2", "K = 3", "X * K"),
    "boolean for a number": ("K = 1", "K = True", "X * K"),
    "dict": ("K = {'a': {'b': 2}}", "K = {'a': {'b': 3}}", "X * K['a']['b']"),
    "list": ("K = [1, 2]", "K = [1, 3]", "X * K[1]"),
    "set": ("K = {1, 2}", "K = {1, 3}", "X * max(K)"),
    "tensor": ("K = torch.ones(2)", "K = torch.zeros(2)", "X * K"),
    "array": (
        "import numpy as np\nK = np.ones(2)",
        "import numpy as np\nK = np.zeros(2)",
        "X * K[0]",
    ),
    "object": (
        "class C:\n    pass\nK = C()\nK.a = 2",
        "class C:\n    pass\nK = C()\nK.a = 3",
        "X * K.a",
    ),
    "object with slots": (
        "class C:\n    __slots__ = ('a',)\nK = C()\nK.a = 2",
        "class C:\n    __slots__ = ('a',)\nK = C()\nK.a = 3",
        "X * K.a",
    ),
    "method of an object's class": (
        "class C:\n    def f(self): return 2\nK = C()",
        "class C:\n    def f(self): return 3\nK = C()",
        "X * K.f()",
    ),
    "dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int = 2\nK = C()",
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int = 3\nK = C()",
        "X * K.a",
    ),
    "metaclass": (
        "class M(type):\n    def __call__(cls, *a): return 2\nclass C(metaclass=M): pass",
        "class M(type):\n    def __call__(cls, *a): return 3\nclass C(metaclass=M): pass",
        "X * C()",
    ),
    "enumeration": (
        "import enum\nclass C(enum.Enum):\n    A = 2",
        "import enum\nclass C(enum.Enum):\n    A = 3",
        "X * C.A.value",
    ),
    "module": (
        "K = nn.Linear(2, 2)\nK.weight.data.fill_(1)",
        "K = nn.Linear(2, 2)\nK.weight.data.fill_(2)",
        "K(X)",
    ),
    "read in a lambda": ("K = 2", "K = 3", "(lambda v: v * K)(X)"),
    "read in a comprehension": ("K = 2", "K = 3", "sum([v * K for v in X])"),
    "read in a generator": ("K = 2", "K = 3", "sum(v * K for v in X)"),
    "read in a helper": (
        "K = [2]\ndef h(v): return v * K[0]",
        "K = [3]\ndef h(v): return v * K[0]",
        "h(X)",
    ),
    "read in a helper's lambda": (
        "K = [2]\ndef h(v): return (lambda u: u * K[0])(v)",
        "K = [3]\ndef h(v): return (lambda u: u * K[0])(v)",
        "h(X)",
    ),
    "cached helper": (
        "import functools\n@functools.cache\ndef h(): return 2",
        "import functools\n@functools.cache\ndef h(): return 3",
        "X * h()",
    ),
    "decorated helper": (
        "import functools\ndef d(f):\n    @functools.wraps(f)\n"
        "    def g(v): return f(v) * 2\n    return g\n@d\ndef h(v): return v",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n"
        "    def g(v): return f(v) * 3\n    return g\n@d\ndef h(v): return v",
        "h(X)",
    ),
    "partial": (
        "import functools\nh = functools.partial(pow, 2)",
        "import functools\nh = functools.partial(pow, 3)",
        "X * h(2)",
    ),
    "attribute of a function": (
        "def h(v): return v * h.k\nh.k = 2",
        "def h(v): return v * h.k\nh.k = 3",
        "h(X)",
    ),
    "type of a device": ("K = torch.float32", "K = torch.float64", "X.to(K)"),
    "bound builtin": ("K = [2].index", "K = [3].index", "X * K(2)"),
}


@pytest.mark.parametrize(("text", "changed", "use"), READ.values(), ids=READ)
def test_globals_that_code_reads_count(text, changed, use):
    cells = [f"{head}\n{USES.format(use=use)}" for head in (text, text, changed)]
    keys = [key(define(cell)) for cell in cells]
    assert keys[0] == keys[1]
    assert keys[1] != keys[2]


def test_globals_that_no_code_reads_do_not_count():
    cells = [f"K = {k}\n{USES.format(use='X')}" for k in (2, 3)]
    assert key(define(cells[0])) == key(define(cells[1]))


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Writes and imports a file of the user's own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        module_ = types.ModuleType(name)
        module_.__file__ = str(tmp_path / f"{name}.py")
        exec(compile(text, module_.__file__, "exec"), vars(module_))
        monkeypatch.setitem(sys.modules, name, module_)
        return module_

    return write


OTHER = "import config_of_mine\n" + USES


@pytest.mark.parametrize(
    ("use", "counts"),
    [
        ("X * config_of_mine.RATE", True),
        ("config_of_mine.scaled(X)", True),
        ("X * config_of_mine.OTHER", False),
    ],
)
def test_attributes_of_the_users_modules_count_where_they_are_read(user_module, use, counts):
    text = "RATE = {}\nOTHER = 1\ndef scaled(X): return X * RATE\n"
    keys = []
    for rate in (2, 2, 3):
        user_module("config_of_mine", text.format(rate))
        keys.append(key(define(OTHER.replace("{use}", use))))
    assert keys[0] == keys[1]
    assert (keys[1] != keys[2]) == counts


def test_installed_libraries_are_known_by_name_and_release(monkeypatch):
    assert module.library("torch")
    assert module.library("json") == ""
    assert module.library("sklearn_fairprune") == ""
    assert module.library("notebook_of_mine") is None
    before = key()
    for k in range(5):
        kept = list(module.releases())
        kept[k] += "x"
        monkeypatch.setattr(module, "releases", lambda kept=kept: tuple(kept))
        assert key() != before
        monkeypatch.undo()


def buffered(value, persistent=True):
    made = nn.Sequential(nn.Linear(3, 2))
    made.register_buffer("kept", torch.tensor([value]), persistent=persistent)
    return made


@pytest.mark.parametrize("persistent", [True, False])
def test_buffers_count(persistent):
    keys = []
    for value in (1.0, 1.0, 2.0):
        torch.manual_seed(0)
        keys.append(key(buffered(value, persistent)))
    assert keys[0] == keys[1] != keys[2]


def test_whether_a_buffer_is_kept_counts():  # load_best forgets those that are not
    keys = []
    for persistent in (True, False):
        torch.manual_seed(0)
        keys.append(key(buffered(1.0, persistent)))
    assert keys[0] != keys[1]


def test_frozen_weights_and_hooks_count():
    def made(change=lambda module: None):
        torch.manual_seed(0)
        linear = nn.Sequential(nn.Linear(3, 2))
        change(linear)
        return key(linear)

    assert made() == made()
    assert made(lambda m: m.requires_grad_(False)) != made()
    assert made(lambda m: m.register_forward_hook(lambda *a: None)) != made()
    assert made(lambda m: m[0].weight.register_hook(lambda g: 2 * g)) != made()


# ---- forms in which code reads a number -------------------------------------------------

FORMS = {
    "defaultdict": (
        "import collections\nS = collections.defaultdict(lambda: <1>)",
        "X * S[0]",
    ),
    "attribute of a dict": ("class D(dict): pass\nS = D()\nS.by = <1>", "X * S.by"),
    "attribute of a tensor": ("S = torch.ones(1)\nS.by = <1>", "X * S.by"),
    "random generator": ("import random\nS = random.Random(<1>)", "X * S.random()"),
    "names of arguments": (
        "if <1> == 2:\n    def f(a, b): return a - b\nelse:\n    def f(b, a): return b - a",
        "f(a=X, b=1)",
    ),
    "kind of a method": (
        "class C:\n    f = (staticmethod if <1> == 2 else classmethod)(lambda *a: len(a))",
        "X * C.f()",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_number_counts_in_whatever_form_it_is_read(form):
    text, use = FORMS[form]
    keys = [
        key(define(text.replace("<1>", number) + USES.replace("{use}", use)))
        for number in ("2", "2", "3")
    ]
    assert keys[0] == keys[1] != keys[2]


MODULES = {
    "argument": ("import config_of_mine\ndef f(c): return c.RATE", "X * f(config_of_mine)"),
    "argument of a function named later": (
        "import config_of_mine\ndef f(c): return c.RATE",
        "(lambda c: X * f(c))(config_of_mine)",
    ),
    "kept in an object": (
        "import config_of_mine, types\nS = types.SimpleNamespace(c=config_of_mine)",
        "X * S.c.RATE",
    ),
    "name in a text": ("import config_of_mine", "X * getattr(config_of_mine, 'RATE')"),
    "name put together": (
        "import config_of_mine as c",
        "X * getattr(c, 'RA' + chr(84) + 'E')",
    ),
    "its dictionary": ("import config_of_mine", "X * vars(config_of_mine)['RATE']"),
    "imported inside": (
        "def f():\n    from config_of_mine import RATE\n    return RATE",
        "X * f()",
    ),
    "by import_module": (
        "import importlib as i",
        "X * i.import_module('config_of_mine').RATE",
    ),
    "by sys.modules": ("import sys", "X * sys.modules['config_of_mine'].RATE"),
    "its own getattr": ("import config_of_mine", "X * config_of_mine.COMPUTED"),
}


@pytest.mark.parametrize("form", MODULES)
def test_the_users_modules_count_however_they_are_reached(user_module, form):
    text, use = MODULES[form]
    keys = []
    for rate in (2, 2, 3):
        text_of_module = f"RATE = {rate}\n"
        if form == "its own getattr":
            text_of_module = f"def __getattr__(name): return {rate}\n"
        user_module("config_of_mine", text_of_module)
        keys.append(key(define(text + USES.replace("{use}", use))))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("use", ["X * globals()['RATE']", "(lambda: exec('') or X)()"])
def test_code_that_reads_what_cannot_be_told_has_no_key(use):
    with pytest.raises(NoKey, match=r"forward.* calls (globals|exec)"):
        key(define("RATE = 1" + USES.replace("{use}", use)))


UNHASHABLE = {
    "lock": "import threading\nK = threading.Lock()",
    "open file": "K = __import__('sys').__stderr__",
    "generator": "K = (v for v in [1])",
    "traced": "K = torch.jit.trace(lambda v: 2 * v, torch.ones(1))",
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("text", UNHASHABLE.values(), ids=UNHASHABLE)
def test_globals_without_content_have_no_key_and_say_so(text):
    with pytest.raises(NoKey, match=r"no content to hash \(.*(pickle|serialize)"):
        key(define(f"{text}\n{USES.format(use='X if K else X')}"))


def test_two_processes_give_the_same_key(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nNAMES = {'a', 'b', 'c', 'd'}\nTABLE = {n: 1 for n in NAMES}\n"
        "class Net(nn.Linear):\n    def __init__(self): super().__init__(3, 2)\n"
        "    def forward(self, X): return super().forward(X) * len(NAMES)\n"
    )
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from mine import Net
from skorch import NeuralNetClassifier
from sklearn_fairprune.engine.fingerprint import fingerprint
torch.manual_seed(0)
print(fingerprint(NeuralNetClassifier(Net, verbose=0).initialize(), torch.float32, 0))
"""
    seed = {"0": "1"}.get(os.environ.get("PYTHONHASHSEED"), "0")  # another than here
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
    )
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(0)
    net = NeuralNetClassifier(importlib.import_module("mine").Net, verbose=0).initialize()
    assert run.stdout.strip() == fingerprint(net, torch.float32, 0)
    assert len(run.stdout.strip()) == 32
