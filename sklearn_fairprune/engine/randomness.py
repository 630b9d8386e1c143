"""Explicit random states; the global ones of torch, NumPy and Python are left as found."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

# Held by whoever uses a state of the whole process: of random numbers, of derivatives.
ONE_AT_A_TIME = threading.RLock()


def derive_seeds(seed: int | Sequence[int], count: int) -> list[int]:
    """Independent seeds from one.

    Parameters
    ----------
    seed : int or sequence of int
        Where they come from.
    count : int
        How many.

    Returns
    -------
    seeds : list of int
        In [0, 2**31).
    """
    state = np.random.SeedSequence(seed).generate_state(count)
    return [int(s) % 2**31 for s in state]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global random states for a while, then put them back.

    Weight initialisers, dropout and most user code draw from the process-wide random
    states. Threads share these, so only one thread at a time may be inside.

    Parameters
    ----------
    seed : int
        In [0, 2**31).
    """
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    with ONE_AT_A_TIME, torch.random.fork_rng(enabled=True, devices=None if cuda else []):
        numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
        # Of a device that is not there torch would note the seed down, call by call.
        device = torch.accelerator.is_available()
        (torch if device else torch.default_generator).manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)
