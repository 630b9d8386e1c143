"""Names of torch that it has not made public."""

import functools
import importlib
import warnings
from operator import attrgetter, methodcaller

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "BatchNorm",
    "TorchDispatchMode",
    "forward_hooks",
    "forward_mode",
    "plain_name",
    "tensor_hooks",
    "uncompiled",
    "unsaved_buffers",
    "without_compilation",
]


# Name of a parameter without the prefix that torch.compile puts before it.
plain_name = methodcaller("replace", "_orig_mod.", "")

# Functions that a tensor hands its gradient to, by number; those that a module calls after and
# before its forward; and names of a module's buffers that its state has not.
tensor_hooks = attrgetter("_backward_hooks")
forward_hooks = attrgetter("_forward_hooks", "_forward_pre_hooks")
unsaved_buffers = attrgetter("_non_persistent_buffers_set")


@functools.cache
def forward_mode():
    """Return ``torch.autograd.forward_ad``; its first use would warn of torch's own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")
    return importlib.import_module("torch.autograd.forward_ad")


def uncompiled(module):
    """Return the module that ``torch.compile`` wrapped, or the module itself."""
    return getattr(module, "_orig_mod", module)


def without_compilation(module):
    """Take compiled parts out of a module, in place, and return it."""
    module = uncompiled(module)
    if not isinstance(module, nn.Module):  # a criterion may be a function
        return module
    for layer in module.modules():
        layer._compiled_call_impl = None
        for name, child in layer.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(layer, name, child._orig_mod)
    return module
