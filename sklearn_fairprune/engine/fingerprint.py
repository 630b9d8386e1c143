"""A key for the dense training of a net: same key, data and seed give the same weights.

Neither names nor file positions identify code: a class that is redefined in a notebook
keeps its name, and two classes from one factory share their source. So the key is made of
content: byte code, constants, defaults, closures, attributes, tensors.
"""

import functools
import types

import joblib
import skorch
import torch

# Code of these is identified by name and release.
LIBRARIES = {"torch", "skorch", "numpy", "sklearn", "builtins", "collections", "abc", "typing"}
RELEASES = (torch.__version__, skorch.__version__)

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
    "_abc_impl",
}
# Of the globals that a function reads, those that a training does not change.
CONSTANT = (types.FunctionType, type, int, float, str, tuple, functools.partial)

MODULE_BOOKKEEPING = set(vars(torch.nn.Module())) - {"training"}


class Content:
    """Reduces objects to plain values whose hash depends on their content only."""

    def __init__(self):
        self.seen = {}

    def of(self, value):
        """Content of one value; a value met before is named by the order of meeting."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
            return value
        if id(value) in self.seen:
            return ("met before", self.seen[id(value)][0])
        self.seen[id(value)] = (len(self.seen), value)  # kept alive, so that ids stay unique
        return self._composed(value)

    def _composed(self, value):
        if isinstance(value, torch.Tensor):
            return ("tensor", value.detach().cpu().numpy())
        if isinstance(value, dict):
            return [(self.of(k), self.of(v)) for k, v in value.items()]
        if isinstance(value, (list, tuple)):
            return [type(value).__name__, *map(self.of, value)]
        if isinstance(value, (set, frozenset)):
            return ["set", *sorted(joblib.hash(Content().of(v)) for v in value)]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return (value.co_code, value.co_names, self.of(value.co_consts))
        if isinstance(value, (staticmethod, classmethod, types.MethodType)):
            return (self.of(value.__func__), self.of(getattr(value, "__self__", None)))
        if isinstance(value, property):
            return self.of([value.fget, value.fset])
        if isinstance(value, functools.partial):
            return self.of([value.func, value.args, value.keywords])
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if hasattr(value, "__dict__") and not isinstance(value, types.ModuleType):
            return (self.of(type(value)), self.of(vars(value)))
        if callable(value):
            return f"{value.__module__}.{value.__qualname__}"
        return value

    def _class(self, cls):
        name = f"{cls.__module__}.{cls.__qualname__}"
        if name.split(".")[0] in LIBRARIES:
            return name
        own = {k: v for k, v in vars(cls).items() if k not in CLASS_BOOKKEEPING}
        return (name, self.of(own), [self.of(base) for base in cls.__bases__])

    def _function(self, function):
        name = f"{function.__module__}.{function.__qualname__}"
        if name.split(".")[0] in LIBRARIES:
            return name
        cells = [_contents(cell) for cell in function.__closure__ or ()]
        used = {
            k: function.__globals__[k]
            for k in function.__code__.co_names
            if isinstance(function.__globals__.get(k), CONSTANT)
        }
        parts = [
            function.__code__,
            function.__defaults__,
            function.__kwdefaults__,
            cells,
            used,
        ]
        return (name, self.of(parts))

    def _module(self, module):
        own = {k: v for k, v in vars(module).items() if k not in MODULE_BOOKKEEPING}
        tensors = dict(module.named_parameters(recurse=False))
        tensors |= dict(module.named_buffers(recurse=False))
        children = dict(module.named_children())
        return [self.of(part) for part in (type(module), own, tensors, children)]


def _contents(cell):
    try:
        return cell.cell_contents
    except ValueError:  # the name is not bound yet
        return "unbound"


def fingerprint(net, dtype, seed, extra=None):
    """Hash everything but the data that decides the weights of a dense training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    dtype : torch.dtype
        Of the weights.
    seed : int
        Of initialisation and training.
    extra : object, default=None
        Whatever else decides them.

    Returns
    -------
    key : str or None
        None if some parameter cannot be hashed.
    """
    parameters = {
        k: v for k, v in net.get_params().items() if k not in ("verbose", "history_")
    }
    try:
        content = Content().of([type(net), parameters, net.module_, str(dtype), seed, extra])
        return joblib.hash((content, RELEASES))
    except Exception:  # whatever pickle says of a user's object, it means "no key"
        return None


def weights_to_numpy(net):
    """State of the module as NumPy arrays (torch tensors do not hash by content)."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.module_.state_dict().items()}


def weights_from_numpy(net, state):
    """Load what `weights_to_numpy` gave, in place."""
    net.module_.load_state_dict({k: torch.as_tensor(v.copy()) for k, v in state.items()})
    return net
