"""Trains and prunes the networks that the command line asks for."""

import argparse
import copy
import sys
import warnings
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from .._compat.sklearn import safe_indexing
from ..estimators.path import PruningPath
from ..estimators.unwrap import dense_twin
from ..functional.granularities import granularity_of

SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
VERIFIED_ON = 256  # rows
SHRUNK = (
    "Pruned networks are shrunk: units that do nothing are gone, and large layers with many "
    "zeros are sparse where that is faster. Their sizes, multiply-accumulates and times are "
    "those of the smaller networks; without --shrink they have those of the dense one."
)
UNEXPLAINED = (
    "Why a group pays is not explained, for shrunk networks have no gradients of the removed "
    "weights: audit without --shrink, or use diagnose()."
)


def check_pruning(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other; fill in the usual sparsities."""
    own = granularity_of(arguments.granularity).sparsity
    if arguments.cost:
        if arguments.budgets:
            raise ValueError("--budgets: for --sparsities, not for --cost.")
        if own is not None:
            raise ValueError(
                f"--cost: --granularity {arguments.granularity} removes {own:g} of the "
                "weights, whatever they cost. Leave one of them out."
            )
        arguments.sparsities = None
    elif arguments.sparsities is None:
        arguments.sparsities = SPARSITIES if own is None else (0, own)
    elif own is not None and (
        others := [s for s in arguments.sparsities if s not in (0, own)]
    ):
        raise ValueError(
            f"--sparsities: --granularity {arguments.granularity} removes {own:g} of the "
            f"weights, got {','.join(f'{s:g}' for s in others)}. Leave --sparsities out."
        )


def make_pruner(kind: type, arguments: argparse.Namespace) -> Any:
    """Return the pruner with the options as its parameters."""
    return kind(
        criterion=arguments.criterion,
        granularity=arguments.granularity,
        scope=arguments.scope,
        hidden_layer_sizes=arguments.hidden,
        finetune_epochs=arguments.finetune_epochs,
        schedule=arguments.schedule,
        recovery=arguments.recovery,
        finetune_lr=arguments.finetune_lr,
        random_state=arguments.seed,
    )


def pruned(
    estimator: Any, X: Any, y: np.ndarray, groups: Any, arguments: argparse.Namespace
) -> tuple[PruningPath | dict[str, Any], list[str]]:
    """Networks that share one dense network, the first, and notes on costs that they miss.

    They are a path, or those of --cost by name.
    """
    rows = {"X": X, "y": y, "sensitive_features": groups}
    with warnings.catch_warnings():
        # Networks that predict one class, or are stuck, are in the report.
        warnings.filterwarnings("ignore", "The network of sparsity", ConvergenceWarning)
        if arguments.cost:
            return _pruned_to_costs(estimator, rows, arguments.cost)
        sparsities = sorted({0.0, *arguments.sparsities})
        budgets = arguments.budgets
        return estimator.pruning_path(**rows, sparsities=sparsities, budgets=budgets), []


def _pruned_to_costs(
    estimator: Any, rows: dict[str, Any], costs: list[tuple[str, float]]
) -> tuple[dict[str, Any], list[str]]:
    """Dense network and those that keep each cost, by name, and notes."""
    names = [f"{of} {share:g}" for of, share in costs]
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", "target=", UserWarning)
        try:
            first = estimator.set_params(target=costs[0]).fit(**rows)
            models = {"sparsity 0": dense_twin(first), names[0]: first}
            for name, target in zip(names[1:], costs[1:], strict=True):
                models[name] = copy.copy(first).set_params(target=target).prune(**rows)
        except ValueError as error:
            if str(error).startswith("target="):  # here the column to predict is called so
                raise ValueError(f"--cost: {error}") from None
            raise
    notes = []
    for one in caught:
        if str(one.message).startswith("target="):
            notes.append(f"--cost: {one.message}")
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return models, list(dict.fromkeys(notes))


def shrunk(
    models: PruningPath | dict[str, Any], X: Any
) -> tuple[PruningPath | dict[str, Any], list[str]]:
    """Models with the pruned ones shrunk, and notes that say so."""
    named = _by_name(models)
    rows = safe_indexing(X, np.arange(min(len(X), VERIFIED_ON)))
    notes = []
    for name, model in list(named.items())[1:]:
        if model.sparsity_ > 0:
            named[name] = model.shrink(X=rows)
            notes += _told_of_shrunk(name, named[name].shrunk_)
    if isinstance(models, PruningPath):
        return PruningPath(models.sparsities, list(named.values()), models.budgets), notes
    return named, notes


def _told_of_shrunk(name: str, record: dict[str, Any]) -> list[str]:
    """Which layers are sparse, and what shrinking had to say."""
    sparse = [row["layer"] for row in record["layers"] if row["form"] != "dense"]
    told = [f"{name}: stored sparse are {', '.join(sparse)}."] if sparse else []
    return told + [f"{name}: {note}" for note in record["notes"]]


def most_epochs(models: PruningPath | dict[str, Any]) -> int:
    """Epochs of the longest fine-tuning of a network."""
    return max(
        sum(row["phase"] == "finetune" for row in pruner.history_)
        for pruner in _by_name(models).values()
    )


def _by_name(models: PruningPath | dict[str, Any]) -> dict[str, Any]:
    return dict(models.items_by_name()) if isinstance(models, PruningPath) else dict(models)


def retrained(
    estimator: Any, X: Any, y: np.ndarray, arguments: argparse.Namespace
) -> list[Any] | None:
    """Dense networks as the first one, of the seeds after its own; None without --seeds."""
    found = []
    for k in range(1, arguments.seeds + 1):
        seed = (arguments.seed + k) % 2**32
        if not (arguments.quiet or arguments.json):
            told = f"Training dense network {k} of {arguments.seeds} more, seed {seed} ..."
            print(told, file=sys.stderr)
        other = clone(estimator).set_params(random_state=seed)
        found += other.pruning_path(X, y, sparsities=[0.0]).estimators
    return found or None
