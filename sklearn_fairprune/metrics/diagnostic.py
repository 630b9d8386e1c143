"""Diagnostics as metrics of fairlearn's MetricFrame, which hands them row numbers."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch, column_or_1d
from torch.utils.data import Dataset

from ..engine.group_curvature import along, linearize, mean_gradient
from ..engine.row_statistics import BOUND_TERMS, bound_terms, row_diagnostics
from ..estimators._inputs import dataset_targets
from ..estimators.unwrap import evaluations, fitted_pruner
from ..functional import boundary
from ..functional.bounds import theorem1_bound
from ..functional.curvature import largest_eigenvalue
from ..functional.diagnostics import chosen, diagnostics_of
from ..functional.params import norm
from ..statistics.weights import check_weights


def mean_closeness(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    r"""Mean closeness to the decision boundary, :math:`s(x) = 1 - \sum_k p_k^2`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Not read; metrics have it.
    y_pred : array-like of shape (n, n_classes)
        Class probabilities.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    closeness : float
        See `sklearn_fairprune.functional.closeness`.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import mean_closeness
    >>> mean_closeness([0, 1], [[0.5, 0.5], [0.0, 1.0]])
    0.25
    """
    return float(np.average(boundary.closeness(_probability(y_pred)), weights=sample_weight))


def mean_margin(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
    r"""Mean distance between the two most probable classes, :math:`p_{(1)} - p_{(2)}`.

    Parameters
    ----------
    y_true : array-like of shape (n,)
        Not read; metrics have it.
    y_pred : array-like of shape (n, n_classes)
        Class probabilities.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    margin : float
        See `sklearn_fairprune.functional.margin`.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import mean_margin
    >>> mean_margin([0, 1], [[0.5, 0.5], [0.0, 1.0]])
    0.5
    """
    return float(np.average(boundary.margin(_probability(y_pred)), weights=sample_weight))


def _probability(y_pred):
    probability = np.asarray(y_pred)
    if probability.ndim != 2 or probability.shape[1] < 2:
        raise ValueError(
            "y_pred must hold class probabilities, shape (n, n_classes), got shape "
            f"{probability.shape}: pass predict_proba(X), not predict(X)."
        )
    return torch.as_tensor(probability.astype(np.float64))


class DiagnosticMetric:
    """Diagnostic of some rows of a fitted network, in the shape of a metric.

    MetricFrame cannot hand a metric the network and X; this one holds them, and reads
    which rows are meant from the sample parameter ``index``. Made by `diagnostic_metrics`.

    Parameters
    ----------
    name : str
        Of the diagnostic, and of the metric.
    source : object
        Network and rows, shared by all metrics of one call.

    Attributes
    ----------
    name, source
        As above.
    """

    def __init__(self, name: str, source: Any) -> None:
        self.name, self.source = name, source
        self.__name__ = name

    def __call__(
        self, y_true: Any, y_pred: Any, *, index: Any, sample_weight: Any = None
    ) -> float:
        """Compute the diagnostic of the rows `index`.

        Parameters
        ----------
        y_true : array-like of shape (n,)
            Targets of these rows, which must be those given to `diagnostic_metrics`.
        y_pred : array-like of shape (n,)
            Not read; metrics have it.
        index : array-like of int of shape (n,)
            Row numbers of X; repeated ones count repeatedly.
        sample_weight : array-like of shape (n,), default=None
            Weights of these rows.

        Returns
        -------
        value : float

        Raises
        ------
        ValueError
            If `index` holds no row numbers, or the targets are not those of these rows.
        """
        index, n_rows = np.asarray(index), len(self.source.rows)
        if index.dtype.kind not in "iu" or not np.isin(index, np.arange(n_rows)).all():
            raise ValueError(
                f"index must hold row numbers of X, integers from 0 to {n_rows - 1}, got "
                f"{index.dtype} values such as {index.ravel()[:3].tolist()}. Use the "
                "sample_params of diagnostic_metrics."
            )
        if not np.array_equal(np.asarray(y_true), self.source.y[index]):
            raise ValueError(
                f"y_true is not the y of these rows that {self.name} was made with. Pass the "
                "same y to diagnostic_metrics and to MetricFrame, in the same order."
            )
        return self.source.value(self.name, index, sample_weight)

    def __repr__(self) -> str:
        """Show the name."""
        return f"DiagnosticMetric({self.name!r})"


class _Source:
    """Networks and rows; row values are computed once, when first asked for."""

    def __init__(self, pruner: Any, X: Any, seen: Any, y: Any, dtype: Any) -> None:
        self.dense, self.pruned, self.rows = evaluations(pruner, X, seen, dtype)
        classifies = is_classifier(pruner)
        self.y = column_or_1d(y) if classifies else np.asarray(y)
        self.all = torch.arange(len(self.rows))
        self.shelf = diagnostics_of(classifies=classifies, probabilities=self.dense.has_logits)
        masked = self.dense.masked(pruner.masks_)
        self.displacement = {k: masked[k] - p for k, p in self.dense.params.items()}
        self._columns: dict[str, torch.Tensor] = {}

    def names(self) -> list[str]:
        """All diagnostics there are for this network."""
        names = [*self.shelf, "second_order", *GROUP_DIAGNOSTICS]
        return names + (list(BOUND_TERMS) if self.dense.has_logits else [])

    def value(self, name: str, index: Any, weights: Any = None) -> float:
        if name in GROUP_DIAGNOSTICS:
            weights = (
                None if weights is None else torch.as_tensor(np.asarray(weights)).double()
            )
            return GROUP_DIAGNOSTICS[name](self, torch.as_tensor(index), weights)
        return float(np.average(self._column(name)[index], weights=weights))

    def _column(self, name: str) -> np.ndarray:
        if name not in self._columns:
            if name in BOUND_TERMS:
                first, second, _ = bound_terms(self.dense, self.rows, self.all)
                self._columns |= dict(zip(BOUND_TERMS, (first, second), strict=True))
            elif name == "second_order":
                first, second = along(self.dense, self.rows, self.all, self.displacement)
                self._columns[name] = first + second / 2
            else:
                self._columns |= row_diagnostics(
                    self.dense, self.pruned, self.rows, self.all, {name: self.shelf[name]}
                )
        return self._columns[name].numpy()


def _gradient_norm(source, index, weights=None):
    """Norm of the gradient of the mean loss."""
    return float(norm(mean_gradient(source.dense, source.rows, index, weights=weights)))


def _largest_eigenvalue(source, index, weights=None):
    """Largest eigenvalue of the Hessian of the mean loss."""
    gradient, product = linearize(source.dense, source.rows, index, weights=weights)
    top = largest_eigenvalue(product, gradient)
    if not top.converged:
        warnings.warn(
            f"The largest eigenvalue of {len(index)} rows did not converge; {top.value:.4g} "
            f"(residual {top.residual:.2g}) is a lower bound.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return top.value


def _theorem1_bound(source, index, weights=None):
    """Right side of Theorem 1."""
    gradient = _gradient_norm(source, index, weights)
    top = _largest_eigenvalue(source, index, weights)
    return float(theorem1_bound(gradient, top, float(norm(source.displacement))))


GROUP_DIAGNOSTICS = {
    "gradient_norm": _gradient_norm,
    "largest_eigenvalue": _largest_eigenvalue,
    "theorem1_bound": _theorem1_bound,
}


def diagnostic_metrics(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    quantities: Sequence[str] | None = None,
    sample_weight: Any = None,
    dtype: Any = None,
) -> Bunch:
    r"""Every diagnostic as a metric of :class:`fairlearn.metrics.MetricFrame`.

    Parameters
    ----------
    estimator : fitted estimator
        A `PrunedClassifier` or `PrunedRegressor`, or a Pipeline or search that holds one.
    X : array-like or torch Dataset
        Features, as `estimator` takes them.
    y : array-like of shape (n,), default=None
        Targets; may be None if X is a Dataset, which then gives them.
    quantities : list of str, default=None
        Which; None is all but the costly ``gradient_norm_bound`` and
        ``eigenvalue_bound``. Means of row values: those of
        `sklearn_fairprune.functional.DIAGNOSTICS` (``dense_loss``, ``pruned_loss``,
        ``excessive_loss``, ``sample_gradient_norm``, ``closeness``, ``margin``,
        ``accuracy_drop``, ``prediction_changed``), ``second_order`` and the two bounds of
        Proposition 2 and Theorem 2. Of the rows together: ``gradient_norm``,
        ``largest_eigenvalue``, ``theorem1_bound``. See `diagnose` for their meaning.
    sample_weight : array-like of shape (n,), default=None
        Row weights: means, and the loss of the rows together, are then weighted.
    dtype : {"float32", "float64"}, default=None
        What to compute in; None is the dtype of the estimator.

    Returns
    -------
    arguments : Bunch
        ``metrics`` and ``sample_params``, to be handed on to MetricFrame.

    Raises
    ------
    ValueError
        Without targets, if `quantities` are unknown for this network, or if weights are not
        one number of at least 0 per row.

    Notes
    -----
    Means of row values cost one pass over the data in all, whatever MetricFrame asks
    for. Those of the rows together are computed again for every group and for every
    bootstrap sample: leave ``largest_eigenvalue`` and ``theorem1_bound`` out of a frame
    with ``n_boot``, or take the intervals of `diagnose`. An eigenvalue that did not converge
    gives a ConvergenceWarning.

    Examples
    --------
    >>> import numpy as np
    >>> from fairlearn.metrics import MetricFrame, make_derived_metric
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.metrics import diagnostic_metrics
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
    >>> diagnostics = diagnostic_metrics(clf, X, y, quantities=["excessive_loss", "closeness"])
    >>> long = np.where(X[:, 0] > 6, "long", "short")
    >>> frame = MetricFrame(
    ...     **diagnostics, y_true=y, y_pred=clf.predict(X), sensitive_features=long
    ... )
    >>> frame.by_group.columns.tolist()
    ['excessive_loss', 'closeness']
    >>> violation = make_derived_metric(
    ...     metric=diagnostics.metrics["excessive_loss"],
    ...     transform="difference",
    ...     sample_param_names=["index"],
    ... )
    >>> xi = violation(
    ...     y, clf.predict(X), sensitive_features=long, index=np.arange(len(y))
    ... )
    >>> bool(xi == frame.difference()["excessive_loss"])
    True
    """
    pruner, X, seen = fitted_pruner(estimator, X, y)
    if y is None and isinstance(X, Dataset):
        y = seen = dataset_targets(X, pruner)
    if y is None:
        raise ValueError(
            "diagnostic_metrics needs y, the targets, unless X is a torch Dataset of pairs: "
            "pass the y that MetricFrame gets as y_true."
        )
    source = _Source(pruner, X, seen, y, dtype)
    known = source.names()
    if quantities is None:
        quantities = [name for name in known if name not in BOUND_TERMS]
    quantities = chosen(quantities, known)
    params = {"index": np.arange(len(source.rows))}
    if sample_weight is not None:
        params["sample_weight"] = check_weights(sample_weight, len(source.rows))
    return Bunch(
        metrics={name: DiagnosticMetric(name, source) for name in quantities},
        sample_params={name: dict(params) for name in quantities},
    )
