"""What diagnostics ask for, row by row: losses, outputs, gradient norms, terms of bounds."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..functional.boundary import closeness
from ..functional.bounds import proposition2_terms, theorem2_terms
from ..functional.diagnostics import DIAGNOSTICS
from ..functional.needs import needs
from ..functional.params import Features, Params
from ..functional.per_row import hessian_norms, jacobian_norms, row_gradients
from .batches import Rows
from .evaluation import Evaluation, read, second_derivatives
from .group_curvature import BATCH_SIZE, MEMORY

BOUND_TERMS = ("gradient_norm_bound", "eigenvalue_bound")


def row_outcomes(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    params: Params | None = None,
    batch_size: int = BATCH_SIZE,
) -> tuple[Tensor, Tensor]:
    """Loss and outputs of some rows.

    Parameters
    ----------
    evaluation : Evaluation
        The network.
    rows : Rows
        Data.
    index : torch.LongTensor
        Which rows.
    params : dict of str to torch.Tensor, default=None
        Parameters to use instead of the network's own.
    batch_size : int, default=1024
        Rows in a batch.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
        float64.
    outputs : torch.Tensor of shape (n, n_outputs)
        float64: class probabilities, or else what the net predicts.
    """
    params = evaluation.params if params is None else params
    losses, outputs = [], []
    with torch.no_grad():
        for X, y in read(evaluation, rows, index, batch_size):
            losses.append(evaluation.losses(params, X, y).cpu().double())
            outputs.append(evaluation.outputs(params, X).cpu().double())
    return torch.cat(losses), torch.cat(outputs)


def gradient_norms(
    evaluation: Evaluation, rows: Rows, index: Tensor, memory: int = MEMORY
) -> Tensor:
    """Norm of the gradient of each row's loss.

    Parameters
    ----------
    evaluation, rows, index
        As in `row_outcomes`.
    memory : int, default=2**28
        Bytes for the gradients held at once.

    Returns
    -------
    norms : torch.Tensor of shape (n,)
        float64.
    """
    size = _rows_at_once(evaluation, 2, memory)
    norms = [
        row_gradients(evaluation.row_loss, evaluation.params, X, y).norm(dim=1)
        for X, y in read(evaluation, rows, index, size)
    ]
    return torch.cat(norms).cpu().double()


def bound_terms(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    *,
    tol: float = 1e-3,
    max_products: int = 64,
    memory: int = MEMORY,
) -> tuple[Tensor, ...]:
    """Terms of the right sides of Proposition 2 and of the corrected Theorem 2.

    Parameters
    ----------
    evaluation : Evaluation
        A classifier with logits.
    rows, index, memory
        As in `gradient_norms`.
    tol, max_products
        Of the spectral norms of the logits' Hessians, as in `largest_eigenvalue`.

    Returns
    -------
    proposition2, theorem2 : torch.Tensor of shape (n,)
        float64; their group means bound gradient norm and largest eigenvalue.
    converged : torch.BoolTensor of shape (n,)
        Whether the spectral norms of the row converged.
    """
    size = _rows_at_once(evaluation, evaluation.n_logits + 16, memory)
    found = []
    for X, y in read(evaluation, rows, index, size):
        found.append(_bound_terms(evaluation, X, y, tol=tol, max_products=max_products))
    return tuple(torch.cat(part).cpu() for part in zip(*found, strict=True))


@second_derivatives("A bound of Theorem 2")
def _bound_terms(
    evaluation: Evaluation, X: Features, y: Tensor, **options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    params, n_logits = evaluation.params, evaluation.n_logits
    with torch.no_grad():
        probability = evaluation.logits(params, X).cpu().double().softmax(-1)
    residuals = evaluation.residuals(probability, y.cpu())
    uncertainty = closeness(probability)
    if n_logits == 1:
        uncertainty = uncertainty / 2  # p (1 - p)
    jacobians = jacobian_norms(evaluation.row_logits, params, X, n_logits)
    jacobians = jacobians.cpu().double()
    hessians, done = hessian_norms(evaluation.row_logits, params, X, n_logits, **options)
    return (
        proposition2_terms(residuals, jacobians),
        theorem2_terms(uncertainty, residuals, jacobians, hessians.cpu().double()),
        done.all(dim=1),
    )


def _rows_at_once(evaluation: Evaluation, n_vectors: int, memory: int) -> int:
    """Rows whose `n_vectors` vectors of parameters fit into the memory, at least 1."""
    size = sum(p.nbytes for p in evaluation.require_params().values())
    return max(1, min(BATCH_SIZE, memory // (n_vectors * size)))


def row_statistics(
    dense: Evaluation, pruned: Evaluation | None, rows: Rows, index: Tensor
) -> dict[str, Callable[[], Any]]:
    """What diagnostics can ask for, each computed when it is first called.

    Parameters
    ----------
    dense, pruned, rows, index
        As in `row_diagnostics`.

    Returns
    -------
    statistics : dict of str to callable
        Without arguments; those of `STATISTICS`, without pruned network those of the dense.
    """
    statistics: dict[str, Callable[[], Any]] = {
        "labels": lambda: rows.y[index],
        "gradient_norms": functools.cache(lambda: gradient_norms(dense, rows, index)),
        **_lazily("dense", dense, rows, index),
    }
    return statistics | ({} if pruned is None else _lazily("pruned", pruned, rows, index))


def row_diagnostics(
    dense: Evaluation,
    pruned: Evaluation | None,
    rows: Rows,
    index: Tensor,
    functions: Mapping[str, Any],
) -> dict[str, Tensor]:
    """Compute some diagnostics of single rows, and only the statistics they need.

    Parameters
    ----------
    dense : Evaluation
        The dense network.
    pruned : Evaluation or None
        The network to compare with it.
    rows : Rows
        Data.
    index : torch.LongTensor
        Which rows.
    functions : dict of str to Diagnostic or callable
        From `DIAGNOSTICS`, or like them.

    Returns
    -------
    columns : dict of str to torch.Tensor of shape (n,)
        float64.

    Raises
    ------
    ValueError
        If a function asks for a statistic that does not exist, or for the pruned network
        where there is none, or gives anything but one number a row.
    """
    statistics, n_rows = row_statistics(dense, pruned, rows, index), len(index)
    return {name: of_rows(name, f, statistics, n_rows) for name, f in functions.items()}


def of_rows(
    name: str, function: Any, statistics: Mapping[str, Callable[[], Any]], n_rows: int
) -> Tensor:
    """One diagnostic of single rows.

    Parameters
    ----------
    name : str
        Its name, for messages.
    function : Diagnostic or callable
        From `DIAGNOSTICS`, or like them.
    statistics : dict of str to callable
        From `row_statistics`.
    n_rows : int
        Number of rows n.

    Returns
    -------
    column : torch.Tensor of shape (n,)
        float64.

    Raises
    ------
    ValueError
        As in `row_diagnostics`.
    """
    diagnostic = DIAGNOSTICS.find(name, function)
    asked = needs(diagnostic.function, statistics, f"diagnostic {name!r}")
    column = diagnostic(**{n: statistics[n]() for n in asked})
    shape = tuple(getattr(column, "shape", ()))
    if shape != (n_rows,):
        raise ValueError(
            f"diagnostic {name!r} must give a tensor with one number a row, shape "
            f"({n_rows},), got shape {shape}. Take a mean or norm over the other dimensions."
        )
    return column.double()


def _lazily(
    name: str, evaluation: Evaluation, rows: Rows, index: Tensor
) -> dict[str, Callable[[], Any]]:
    """Statistics of one network, computed when first asked for."""
    outcomes = functools.cache(lambda: row_outcomes(evaluation, rows, index))
    return {
        f"{name}_losses": lambda: outcomes()[0],
        f"{name}_outputs": lambda: outcomes()[1],
        f"{name}_predictions": lambda: evaluation.predictions(outcomes()[1]),
    }
