"""Which of two forms of a computation is faster, by turns on one machine."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

REPETITIONS = 31
FEWEST = 3

Seconds = dict[int, tuple[float, float]]  # of one and of the other form, by batch size


class Clock(NamedTuple):
    """How two forms are timed.

    Attributes
    ----------
    batch_sizes : tuple of int
        In rising order.
    budget : float
        Seconds for all of them, about.
    tolerance : float
        Relative difference that counts.
    """

    batch_sizes: tuple[int, ...]
    budget: float
    tolerance: float

    def seconds(
        self,
        one: Callable[[Any], Any],
        other: Callable[[Any], Any],
        batch: Callable[[int], Any],
        most: float,
    ) -> Seconds:
        """Median seconds of two forms that take turns.

        Parameters
        ----------
        one, other : callable
            Of what `batch` gives.
        batch : callable
            Inputs of a number of rows.
        most : float
            Rows that memory allows.

        Returns
        -------
        seconds : dict of int to (float, float)
        """
        found: Seconds = {}
        end, cost = time.perf_counter() + self.budget, 0.0  # cost: seconds of both, one row
        for place, asked in enumerate(self.batch_sizes):
            share = max(end - time.perf_counter(), 0) / (len(self.batch_sizes) - place)
            fits = share / (cost * (FEWEST + 1)) if cost else asked
            size = max(int(min(asked, fits, most)), 1)
            if found and size <= max(found):
                break
            inputs = batch(size)
            turns = _turns(one, other, inputs, share)
            found[size] = (statistics.median(turns[0]), statistics.median(turns[1]))
            cost = sum(found[size]) / size
        return found

    def slower(self, seconds: Seconds) -> list[int]:
        """Batch sizes at which the other form is slower by more than the tolerance."""
        return [n for n, (d, s) in seconds.items() if s > d * (1 + self.tolerance)]

    def faster(self, seconds: Seconds) -> list[int]:
        """Batch sizes at which the other form is faster by more than the tolerance."""
        return [n for n, (d, s) in seconds.items() if s * (1 + self.tolerance) < d]


def _turns(
    one: Callable[[Any], Any], other: Callable[[Any], Any], inputs: Any, share: float
) -> tuple[list[float], list[float]]:
    """Seconds of both forms in turns, after one that does not count."""
    turns: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + share
    for turn in range(REPETITIONS + 1):
        for form, kept in zip((one, other), turns, strict=True):
            start = time.perf_counter()
            form(inputs)
            if turn:
                kept.append(time.perf_counter() - start)
        if turn >= FEWEST and time.perf_counter() > end:
            break
    return turns
