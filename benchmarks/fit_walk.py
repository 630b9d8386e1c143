"""How far a fit walks through the package before its first loss.

Counts, from ``PrunedClassifier().fit`` to the first call of the criterion, how often a
function of the package is entered in another file than the one entered before it, and how
many of its files and functions are entered. Returns to another file are told beside it.

Run: python benchmarks/fit_walk.py
"""

import sys
from pathlib import Path

import numpy as np
import torch

import sklearn_fairprune
from sklearn_fairprune import PrunedClassifier

PACKAGE = str(Path(sklearn_fairprune.__file__).parent)


class FirstLossReached(Exception):
    """Ends the fit."""


class Walk:
    """Profile function that follows execution through the package's files.

    Attributes
    ----------
    files, functions : set
        Entered so far.
    changes : int
        Functions entered in another file than the function entered before.
    changes_with_returns : int
        Calls and returns after which execution is in another file.
    """

    def __init__(self):
        self.files, self.functions = set(), set()
        self.changes = self.changes_with_returns = 0
        self._entered = self._file = None

    def __call__(self, frame, event, argument):
        """Take note of a call or a return of a Python function."""
        code, loss = frame.f_code, torch.nn.CrossEntropyLoss.forward.__code__
        if event == "call" and code is loss:
            raise FirstLossReached
        if event not in ("call", "return") or not code.co_filename.startswith(PACKAGE):
            return
        if event == "call":
            self.files.add(code.co_filename)
            self.functions.add(code)
            self.changes += code.co_filename != self._entered
            self._entered = code.co_filename
        self.changes_with_returns += code.co_filename != self._file
        self._file = code.co_filename


def walk_to_first_loss(estimator, X, y):
    """Fit until the first loss, and return the walk."""
    walk = Walk()
    sys.setprofile(walk)
    try:
        estimator.fit(X, y)
    except FirstLossReached:
        return walk
    finally:
        sys.setprofile(None)
    raise RuntimeError("The fit ended without a loss.")


def main():
    """Print the counts."""
    torch.set_num_threads(1)
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    walk = walk_to_first_loss(PrunedClassifier(sparsity=0.5), X, np.arange(40) % 2)
    print(f"changes of file: {walk.changes} ({walk.changes_with_returns} with returns)")
    print(f"files: {len(walk.files)}, functions: {len(walk.functions)}")


if __name__ == "__main__":
    main()
