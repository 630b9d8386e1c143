"""A key for the dense training of a net: same key, data and seed give the same weights."""

import inspect
import types

import joblib
import skorch
import torch

# Other releases may train the same network to other weights.
VERSIONS = (torch.__version__, skorch.__version__)


def source(obj):
    """Text that changes when the code of a class or function changes.

    A class that is redefined in a notebook keeps its name; its source does not.
    """
    name = f"{obj.__module__}.{obj.__qualname__}"
    if name.split(".")[0] in ("torch", "skorch"):
        return name
    try:
        return name + inspect.getsource(obj)
    except (OSError, TypeError):
        functions = [obj] if hasattr(obj, "__code__") else vars(obj).values()
        codes = [f.__code__ for f in functions if hasattr(f, "__code__")]
        return name + repr([(c.co_code, c.co_names, repr(c.co_consts)) for c in codes])


def plain(value):
    """Reduce a parameter of a net to values whose hash depends on their content only."""
    if isinstance(value, torch.Tensor):
        return ("tensor", value.detach().cpu().numpy())
    if isinstance(value, torch.nn.Module):
        return (repr(value), {k: plain(v) for k, v in value.state_dict().items()})
    if isinstance(value, (type, types.FunctionType)):
        closure = getattr(value, "__closure__", None) or ()
        return (source(value), [plain(cell.cell_contents) for cell in closure])
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def fingerprint(net, dtype, seed):
    """Hash everything but the data that decides the weights of a dense training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    dtype : torch.dtype
        Of the weights.
    seed : int
        Of initialisation and training.

    Returns
    -------
    key : str or None
        None if some parameter cannot be hashed.
    """
    parameters = {
        k: v for k, v in net.get_params().items() if k not in ("verbose", "history_")
    }
    classes = sorted({source(type(m)) for m in net.module_.modules()})
    shapes = [(k, tuple(v.shape)) for k, v in net.module_.state_dict().items()]
    try:
        return joblib.hash(
            [source(type(net)), plain(parameters), classes, shapes, str(dtype), seed, VERSIONS]
        )
    except Exception:  # whatever pickle says of a user's object, it means "no key"
        return None


def weights_to_numpy(net):
    """State of the module as NumPy arrays (torch tensors do not hash by content)."""
    return {k: v.detach().cpu().numpy().copy() for k, v in net.module_.state_dict().items()}


def weights_from_numpy(net, state):
    """Load what `weights_to_numpy` gave, in place."""
    net.module_.load_state_dict({k: torch.as_tensor(v.copy()) for k, v in state.items()})
    return net
