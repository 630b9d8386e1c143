"""A key for the dense training of a net: same key, data and seed give the same weights.

Neither names nor file positions identify code: a class that is redefined in a notebook
keeps its name, and two classes from one factory share their source. So the key is made of
content: byte code with that of nested functions, constants, defaults, closures, attributes,
tensors, and whatever of its globals the code reads. Of the user's modules those attributes
count whose names are in any code or text that was met; all of them where names may be put
together. Only installed libraries are known by name and release. What has no content that can
be told has no key.
"""

import functools
import importlib.metadata
import io
import logging
import platform
import random
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skorch
import torch

from .._compat.torch import tensor_hooks, unsaved_buffers

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

BY_NAME = {"getattr", "vars", "attrgetter", "__dict__", "__getattribute__"}
UNREADABLE = {"exec", "globals"}


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
    """Turns values into what can be hashed, each object once.

    Parameters
    ----------
    names : set of str
        Which attributes of the user's modules count; the names that are met are added.
    """

    def __init__(self, names: set[str]) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}
        self.names = names

    def of(self, value: Any) -> Any:
        """Content of a value: nested lists of numbers, texts and arrays."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            return (type(value).__name__, value) if isinstance(value, (bool, float)) else value
        if id(value) in self.seen:
            return ("met before", self.seen[id(value)][0])
        self.seen[id(value)] = (len(self.seen), value)  # kept alive, so that ids stay unique
        return self._composed(value)

    def _composed(self, value: Any) -> Any:
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

    def _items(self, values: Any) -> Any:
        return [*self._own(values), *map(self.of, values)]

    def _mapping(self, values: Any) -> Any:
        factory = self.of(getattr(values, "default_factory", None))
        items = ((self.of(k), self.of(v)) for k, v in values.items())
        return [*self._own(values), factory, *items]

    def _set(self, values: Any) -> Any:
        parts = sorted(joblib.hash(Content(self.names).of(v)) for v in values)
        return [*self._own(values), *parts]

    def _own(self, value: Any) -> Any:
        """Class of a container or tensor, and attributes that the user has given it."""
        return self.of(type(value)), self.of(getattr(value, "__dict__", None) or None)

    def _tensor(self, tensor: torch.Tensor) -> Any:
        numbers = tensor.detach().cpu().numpy()
        hooks = self.of(list((tensor_hooks(tensor) or {}).values()))
        return [*self._own(tensor), numbers, tensor.requires_grad, hooks]

    def _array(self, array: np.ndarray) -> Any:
        return (
            array if array.dtype != object else ["array", array.shape, self.of(array.tolist())]
        )

    def _code(self, code: types.CodeType) -> Any:
        names = (code.co_names, code.co_freevars, code.co_cellvars)
        arity = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        form = (arity, arguments, code.co_flags, code.co_exceptiontable)
        return (code.co_code, *form, *names, self.of(code.co_consts))

    def _method(self, method: Any) -> Any:
        kind, owner = type(method).__name__, getattr(method, "__self__", None)
        return (kind, self.of(method.__func__), self.of(owner))

    def _class(self, cls) -> Any:
        name = f"{cls.__module__}.{cls.__qualname__}"
        release = library(name.split(".")[0])
        if release is not None:
            return (name, release)
        own = {k: v for k, v in vars(cls).items() if k not in CLASS_BOOKKEEPING}
        bases = [self.of(base) for base in cls.__bases__]
        return (name, self.of(type(cls)), self.of(own), bases)

    def _function(self, function: Any) -> Any:
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
        if unreadable := UNREADABLE.intersection(names):
            raise TypeError(f"{name} calls {', '.join(unreadable)}")
        self.names.update(names)
        used = {k: function.__globals__[k] for k in names if k in function.__globals__}
        package = function.__globals__.get("__package__")
        for k in names:  # what is imported inside the function, if it is there already
            for path in (k, f"{package}.{k}"):
                if k not in used and path in sys.modules:
                    used[path] = sys.modules[path]
        return (name, self.of(parts), [(k, self.of(value)) for k, value in used.items()])

    def _library_or_own(self, value: Any) -> Any:
        """Name and release of a library; of a user's module, what may be read of it."""
        release = library(value.__name__.split(".")[0])
        if release is not None:
            return (value.__name__, release)
        own = {k: v for k, v in vars(value).items() if not k.startswith("__")}
        if not self.names & BY_NAME:
            own = {k: v for k, v in own.items() if k in self.names}
        own["__getattr__"] = vars(value).get("__getattr__")
        return (value.__name__, [(k, self.of(v)) for k, v in own.items()])

    def _module(self, module: types.ModuleType) -> Any:
        own = {k: v for k, v in vars(module).items() if k not in MODULE_BOOKKEEPING}
        tensors = dict(module.named_parameters(recurse=False))
        tensors |= dict(module.named_buffers(recurse=False))
        hooks = [list(v.values()) for k, v in vars(module).items() if k.endswith("_hooks")]
        children = dict(module.named_children())
        parts = (type(module), own, tensors, hooks, children, unsaved_buffers(module))
        return [self.of(part) for part in parts]

    def _refused(self, value: Any) -> Any:
        raise TypeError(f"cannot pickle {value!r}")

    def _builtin(self, function: Any) -> Any:
        """Name of a function of C, and the object that it belongs to."""
        name = f"{function.__module__}.{function.__qualname__}"
        owner = getattr(function, "__self__", None)
        return name if isinstance(owner, types.ModuleType) else (name, self.of(owner))


# How content is told, by type; the first that fits counts.
KINDS: tuple[tuple[Any, Callable[[Content, Any], Any]], ...] = (
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
    (types.ModuleType, Content._library_or_own),
    (random.Random, lambda content, value: content.of(value.getstate())),
    (torch.Generator, lambda content, value: content.of(value.get_state())),
    ((io.IOBase, torch.jit.ScriptFunction), Content._refused),
    (logging.Logger, lambda content, value: value.name),
    (DESCRIPTORS, lambda content, value: value.__name__),
    ((types.BuiltinFunctionType, np.ufunc), lambda content, value: _name_of_c(content, value)),
)


def _name_of_c(content: Content, value: Any) -> Any:
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
    """Names that code reads, also as texts, and those of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
        elif isinstance(constant, str) and constant.replace(".", "_").isidentifier():
            yield constant


def _contents(cell: Any) -> Any:
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
        names: set[str] = set()
        known = -1
        while len(names) > known:  # what is read of a module may read more
            known = len(names)
            parts = [type(net), parameters, net.module_, str(dtype), seed, extra]
            content = Content(names).of(parts)
        return joblib.hash((content, releases()))
    except Exception as error:  # whatever pickle says of a user's object
        raise NoKey(
            f"something that decides the weights has no content to hash ({error})"
        ) from error


def _tensors(net: skorch.NeuralNet) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers of a net's modules, its criterion among them, by name."""
    for owner, module in vars(net).items():
        if isinstance(module, torch.nn.Module) and owner.endswith("_"):
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                yield f"{owner}.{name}", tensor


def weights_to_numpy(net: skorch.NeuralNet) -> dict[str, np.ndarray]:
    """Parameters and buffers as NumPy arrays (torch tensors do not hash by content)."""
    return {name: t.detach().cpu().numpy().copy() for name, t in _tensors(net)}


def weights_from_numpy(
    net: skorch.NeuralNet, state: Mapping[str, np.ndarray]
) -> skorch.NeuralNet:
    """Load what `weights_to_numpy` gave, in place."""
    for name, tensor in _tensors(net):
        tensor.data = torch.as_tensor(state[name].copy(), device=tensor.device)
    return net
