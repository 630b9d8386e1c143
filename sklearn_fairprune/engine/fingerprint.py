"""A key for the dense training of a net: same key, data and seed give the same weights.

Neither names nor file positions identify code: a class that is redefined in a notebook
keeps its name, and two classes from one factory share their source. So the key is made of
content: byte code with that of nested functions, constants, defaults, closures, attributes,
tensors, and whatever of its globals the code reads. Only installed libraries are known by
name and release. What has no content that can be told has no key.
"""

import functools
import importlib.metadata
import io
import logging
import platform
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skorch
import torch

PACKAGE = Path(__file__).parents[1]
CLASS_BOOKKEEPING = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__qualname__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__static_attributes__",
    "__slotnames__",
    "__abstractmethods__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "_abc_impl",
}
MODULE_BOOKKEEPING = set(vars(torch.nn.Module())) - {"training"}
DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


class NoKey(Exception):
    """Something that decides the weights has no content that can be told."""


@functools.cache
def releases() -> tuple[str, ...]:
    """Releases of what trains, and the code of this package."""
    own = joblib.hash([path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))])
    python = platform.python_version()
    return (torch.__version__, skorch.__version__, np.__version__, python, own)


@functools.cache
def library(top: str) -> str | None:
    """Release of an installed top-level module; None if its code is the user's own."""
    if top in sys.stdlib_module_names or top == PACKAGE.name:
        return ""  # known by `releases`
    file = getattr(sys.modules.get(top), "__file__", None)
    if file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts):
        return None
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        return getattr(sys.modules[top], "__version__", "")


class Content:
    """Turns values into what can be hashed, each object once."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}

    def of(self, value: Any) -> Any:
        """Content of a value: nested lists of numbers, texts and arrays."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            return (type(value).__name__, value) if isinstance(value, (bool, float)) else value
        if id(value) in self.seen:
            return ("met before", self.seen[id(value)][0])
        self.seen[id(value)] = (len(self.seen), value)  # kept alive, so that ids stay unique
        return self._composed(value)

    def _composed(self, value):
        for kinds, content in KINDS:
            if isinstance(value, kinds):
                return content(self, value)
        if hasattr(value, "__dict__"):
            slots = {name: getattr(value, name) for name in _slots(value)}
            return [self.of(part) for part in (type(value), vars(value), slots)]
        if slots := {name: getattr(value, name) for name in _slots(value)}:
            return [self.of(part) for part in (type(value), slots)]
        if callable(value):
            return self._builtin(value)
        return value  # hashed by its pickle, or refused there

    def _items(self, values):
        return [type(values).__name__, *map(self.of, values)]

    def _mapping(self, values):
        return [type(values).__name__, *((self.of(k), self.of(v)) for k, v in values.items())]

    def _set(self, values):
        return ["set", *sorted(joblib.hash(Content().of(v)) for v in values)]

    def _tensor(self, tensor):
        return ("tensor", tensor.detach().cpu().numpy(), tensor.requires_grad)

    def _array(self, array):
        return (
            array if array.dtype != object else ["array", array.shape, self.of(array.tolist())]
        )

    def _code(self, code):
        names = (code.co_names, code.co_freevars, code.co_cellvars)
        return (code.co_code, code.co_exceptiontable, *names, self.of(code.co_consts))

    def _method(self, method):
        return (self.of(method.__func__), self.of(getattr(method, "__self__", None)))

    def _class(self, cls):
        name = f"{cls.__module__}.{cls.__qualname__}"
        release = library(name.split(".")[0])
        if release is not None:
            return (name, release)
        own = {k: v for k, v in vars(cls).items() if k not in CLASS_BOOKKEEPING}
        bases = [self.of(base) for base in cls.__bases__]
        return (name, self.of(type(cls)), self.of(own), bases)

    def _function(self, function):
        name = f"{function.__module__}.{function.__qualname__}"
        release = library(name.split(".")[0])
        if release is not None:
            return (name, release)
        parts = [
            function.__code__,
            function.__defaults__,
            function.__kwdefaults__,
            [_contents(cell) for cell in function.__closure__ or ()],
            vars(function),
        ]
        names = list(dict.fromkeys(_names(function.__code__)))
        used = {k: function.__globals__[k] for k in names if k in function.__globals__}
        read = [(k, self._global(value, names)) for k, value in used.items()]
        return (name, self.of(parts), read)

    def _global(self, value, names):
        """Content of a global; of a user's module, that of the attributes that are read."""
        if not isinstance(value, types.ModuleType):
            return self.of(value)
        release = library(value.__name__.split(".")[0])
        if release is not None:
            return (value.__name__, release)
        if id(value) in self.seen:
            return ("met before", self.seen[id(value)][0])
        self.seen[id(value)] = (len(self.seen), value)
        read = [(k, self._global(vars(value)[k], names)) for k in names if k in vars(value)]
        del self.seen[id(value)]  # another function may read other attributes of it
        return (value.__name__, read)

    def _module(self, module):
        own = {k: v for k, v in vars(module).items() if k not in MODULE_BOOKKEEPING}
        tensors = dict(module.named_parameters(recurse=False))
        tensors |= dict(module.named_buffers(recurse=False))
        hooks = [list(v.values()) for k, v in vars(module).items() if k.endswith("_hooks")]
        children = dict(module.named_children())
        return [self.of(part) for part in (type(module), own, tensors, hooks, children)]

    def _file(self, file):
        raise TypeError(f"cannot pickle an open file, {file!r}")

    def _builtin(self, function):
        """Name of a function of C, and the object that it belongs to."""
        name = f"{function.__module__}.{function.__qualname__}"
        owner = getattr(function, "__self__", None)
        return name if isinstance(owner, types.ModuleType) else (name, self.of(owner))


# How content is told, by type; the first that fits counts.
KINDS = (
    (torch.nn.Module, Content._module),
    (torch.Tensor, Content._tensor),
    (np.ndarray, Content._array),
    (np.generic, lambda content, value: value),
    ((dict, types.MappingProxyType), Content._mapping),
    ((list, tuple), Content._items),
    ((set, frozenset), Content._set),
    (type, Content._class),
    (types.FunctionType, Content._function),
    (types.CodeType, Content._code),
    ((staticmethod, classmethod, types.MethodType), Content._method),
    (property, lambda content, value: content.of([value.fget, value.fset, value.fdel])),
    (functools.cached_property, lambda content, value: content.of(value.func)),
    (
        functools.partial,
        lambda content, value: content.of([value.func, value.args, value.keywords]),
    ),
    (types.ModuleType, lambda content, value: value.__name__),
    (io.IOBase, Content._file),
    (logging.Logger, lambda content, value: value.name),
    (DESCRIPTORS, lambda content, value: value.__name__),
    ((types.BuiltinFunctionType, np.ufunc), lambda content, value: _name_of_c(content, value)),
)


def _name_of_c(content, value):
    return (
        f"numpy.{value.__name__}" if isinstance(value, np.ufunc) else content._builtin(value)
    )


def _slots(value: Any) -> Iterator[str]:
    """Names of the slots that a value fills."""
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield name


def _names(code: types.CodeType) -> Iterator[str]:
    """Names that code reads, with those of the functions and comprehensions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # the name is not bound yet
        return "unbound"


def fingerprint(
    net: skorch.NeuralNet, dtype: torch.dtype, seed: int, extra: Any = None
) -> str:
    """Hash everything but the data that decides the weights of a dense training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    dtype : torch.dtype
        What it computes in.
    seed : int
        Of weights and training.
    extra : object, default=None
        What else decides them.

    Returns
    -------
    key : str
        Equal in two processes that run the same code.

    Raises
    ------
    NoKey
        If something has no content that can be hashed; says what.
    """
    parameters = {
        k: v for k, v in net.get_params().items() if k not in ("verbose", "history_")
    }
    try:
        content = Content().of([type(net), parameters, net.module_, str(dtype), seed, extra])
        return joblib.hash((content, releases()))
    except Exception as error:  # whatever pickle says of a user's object
        raise NoKey(
            f"something that decides the weights has no content to hash ({error})"
        ) from error


def weights_to_numpy(net: skorch.NeuralNet) -> dict[str, np.ndarray]:
    """State of the module as NumPy arrays (torch tensors do not hash by content)."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.module_.state_dict().items()}


def weights_from_numpy(
    net: skorch.NeuralNet, state: Mapping[str, np.ndarray]
) -> skorch.NeuralNet:
    """Load what `weights_to_numpy` gave, in place."""
    net.module_.load_state_dict({k: torch.as_tensor(v.copy()) for k, v in state.items()})
    return net
