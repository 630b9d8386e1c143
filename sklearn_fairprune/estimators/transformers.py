"""Diagnostics as transformers: one row in, one row of numbers out."""

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
    is_regressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import (
    HasMethods,
    StrOptions,
    check_feature_names_in,
    fit_context,
    routing_enabled,
    validate_params,
)
from ..engine.evaluation import promises_probabilities
from ..engine.row_statistics import row_diagnostics
from ..functional import boundary
from ..functional.diagnostics import chosen, diagnostics_of
from .unwrap import evaluations, fitted_pruner, unwrapped


class _Diagnostic(MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    """Base of the transformers: fits a copy of an estimator, or takes a fitted one."""

    _parameter_constraints = {"estimator": [HasMethods(["fit", "predict"])]}

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Fit a clone of the estimator; one in a FrozenEstimator stays as it is.

        Parameters
        ----------
        X : array-like
            Features.
        y : array-like of shape (n_samples,)
            Targets.
        **fit_params : dict
            For ``estimator.fit``, such as ``sensitive_features``: under metadata routing
            what it requests, else all of them.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        if routing_enabled():
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        fitted = self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        return self

    def _fitted(self):
        """Return the estimator of `fit`, or else the parameter, if that is fitted."""
        if hasattr(self, "estimator_"):
            return self.estimator_
        try:
            check_is_fitted(self.estimator)
        except NotFittedError as error:
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted, nor is its estimator. Call fit, "
                "or give it a fitted estimator."
            ) from error
        return self.estimator

    def get_metadata_routing(self) -> Any:
        """Route the metadata of `fit` to the estimator.

        Returns
        -------
        routing : MetadataRouter
            Of this transformer and its estimator.
        """
        mapping = MethodMapping().add(caller="fit", callee="fit")
        mapping.add(caller="fit_transform", callee="fit")  # scikit-learn 1.6 asks for it
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `transform` can be called."""
        try:
            self._fitted()
        except NotFittedError:
            return False
        return True

    def __sklearn_tags__(self) -> Any:
        """Tags of the estimator's input; targets are needed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self.estimator).input_tags.sparse
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class BoundaryCloseness(_Diagnostic):
    r"""Closeness of each row to the decision boundary, :math:`s(x) = 1 - \sum_k p_k^2`.

    One column, 0 far from the boundary and largest, 1 - 1/K for K classes, on it. The
    probabilities are those the estimator predicts: of the pruned network, if it is pruned.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        Unfitted: `fit` fits a clone. Fitted: `transform` uses it as it is, until `fit` is
        called; in a Pipeline put it in a :class:`~sklearn.frozen.FrozenEstimator`.

    Attributes
    ----------
    estimator_ : classifier
        The fitted clone, or the frozen estimator.
    n_features_in_ : int
        Number of features, if the estimator tells.
    feature_names_in_ : ndarray of str
        Names of the features, if the estimator tells.

    See Also
    --------
    SampleDiagnostics : Losses, gradient norms and changed predictions beside it.

    References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022, Theorem 2.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import BoundaryCloseness, PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> near = BoundaryCloseness(PrunedClassifier(random_state=0))
    >>> closeness = near.set_output(transform="pandas").fit_transform(X, y)
    >>> closeness.columns.tolist()
    ['closeness']
    >>> bool(closeness[y == 0].mean().item() < closeness[y == 2].mean().item())
    True
    """

    _parameter_constraints = {"estimator": [HasMethods(["fit", "predict_proba"])]}

    def transform(self, X: Any) -> np.ndarray:
        """Measure the closeness of each row.

        Parameters
        ----------
        X : array-like
            Features, as the estimator takes them.

        Returns
        -------
        closeness : float64 ndarray of shape (n_samples, 1)
            Or what `set_output` says.
        """
        probability = np.asarray(self._fitted().predict_proba(X), dtype=np.float64)
        return boundary.closeness(torch.from_numpy(probability)).numpy()[:, None]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name of the column.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against those that the fitted estimator has seen.

        Returns
        -------
        names : ndarray of str
            ``["closeness"]``.
        """
        check_is_fitted(self)
        check_feature_names_in(self._fitted(), input_features, generate_names=False)
        return np.asarray(["closeness"], dtype=object)


class SampleDiagnostics(_Diagnostic):
    """What pruning does to each row: losses, closeness, gradient norm, changed prediction.

    Columns, for a classifier:

    - ``dense_loss``, ``pruned_loss``: cross-entropy under either network;
    - ``excessive_loss``: their difference, whose group means are R(a) [1]_;
    - ``sample_gradient_norm``: norm of the gradient of the row's dense loss in all parameters;
    - ``closeness``, ``margin``: of the dense network's probabilities to the decision
      boundary, 1 minus the sum of p squared, and the difference of the two largest;
    - ``accuracy_drop``: 1 where only the dense network is right, -1 where only the pruned;
    - ``prediction_changed``: 1 where they predict different classes.

    A regressor has the first four, with the net's own criterion as loss, and
    ``prediction_change``, the norm of the difference. A net that predicts no
    probabilities, as after a margin loss, has neither ``closeness`` nor ``margin``.

    Parameters
    ----------
    estimator : PrunedClassifier or PrunedRegressor
        Or a Pipeline or search that ends in one. Unfitted: `fit` fits a clone. Fitted:
        `transform` uses it as it is, until `fit` is called; in a Pipeline put it in a
        :class:`~sklearn.frozen.FrozenEstimator`.
    quantities : "all" or list of str, default="all"
        Which columns, each once; ``sample_gradient_norm`` costs most by far.
    dtype : {"float64", "float32"}, default="float64"
        What to compute in. In float32 a row's numbers depend, by rounding, on the other
        rows of its batch.

    Attributes
    ----------
    estimator_ : estimator
        The fitted clone, or the frozen estimator.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has them.

    See Also
    --------
    BoundaryCloseness : For any classifier.
    sklearn_fairprune.diagnose : The same and more, by group.

    References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier, SampleDiagnostics
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
    >>> rows = SampleDiagnostics(clf, quantities=["dense_loss", "excessive_loss"])
    >>> rows = rows.set_output(transform="pandas").transform(X, y_true=y)
    >>> rows.columns.tolist()
    ['dense_loss', 'excessive_loss']
    >>> excess = rows.groupby(y)["excessive_loss"].mean()  # R(a) of the classes
    """

    __metadata_request__transform = {"y_true": True}

    _parameter_constraints = _Diagnostic._parameter_constraints | {
        "quantities": [StrOptions({"all"}), list, tuple],
        "dtype": [StrOptions({"float32", "float64"})],
    }

    def __init__(
        self, estimator: Any, quantities: Any = "all", *, dtype: str = "float64"
    ) -> None:
        super().__init__(estimator)
        self.quantities = quantities
        self.dtype = dtype

    def fit_transform(
        self, X: Any, y: Any = None, *, y_true: Any = None, **fit_params: Any
    ) -> np.ndarray:
        """Fit, then transform the same rows.

        Parameters
        ----------
        X, y : array-like
            As in `fit`.
        y_true : array-like of shape (n_samples,), default=None
            As in `transform`: y is not taken for it, so that `fit_transform` and
            `transform` give the same.
        **fit_params : dict
            As in `fit`.

        Returns
        -------
        diagnostics : float64 ndarray of shape (n_samples, n_columns)
            Or what `set_output` says.
        """
        return self.fit(X, y, **fit_params).transform(X, y_true=y_true)

    def transform(self, X: Any, *, y_true: Any = None) -> np.ndarray:
        """Diagnose each row.

        Parameters
        ----------
        X : array-like
            Features, as the estimator takes them.
        y_true : array-like of shape (n_samples,), default=None
            Targets. Without them the losses of a classifier are those of the class that
            the dense network predicts; a regressor needs them. Requested by default
            under metadata routing.

        Returns
        -------
        diagnostics : float64 ndarray of shape (n_samples, n_columns)
            Or what `set_output` says.

        Raises
        ------
        ValueError
            If a parameter is unusable, `quantities` has names of another kind of network,
            or a regressor gets no `y_true`.
        """
        validate_params(self)
        estimator = self._fitted()
        if y_true is None and is_regressor(estimator):
            raise ValueError(
                "SampleDiagnostics of a regressor needs y_true: without targets there is no "
                "loss. Call transform(X, y_true=y)."
            )
        pruner, X, y_true = fitted_pruner(estimator, X, y_true)
        shelf = self._columns(pruner)
        dense, pruned, rows = evaluations(pruner, X, y_true, self.dtype)
        if not dense.has_logits and (
            wrong := [n for n, d in shelf.items() if d.of_probabilities]
        ):
            raise ValueError(
                f"quantities: {wrong} need probabilities, and the network's outputs are none. "
                "Leave them out, or give the net a predict_nonlinearity that makes "
                "probabilities."
            )
        every = torch.arange(len(rows))
        columns = row_diagnostics(dense, pruned, rows, every, shelf)
        return torch.stack(list(columns.values()), dim=1).numpy()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against those that the fitted estimator has seen.

        Returns
        -------
        names : ndarray of str
            Those of `quantities`.
        """
        check_is_fitted(self)
        validate_params(self)
        fitted = self._fitted()
        check_feature_names_in(fitted, input_features, generate_names=False)
        return np.asarray(list(self._columns(unwrapped(fitted)[0])), dtype=object)

    def _columns(self, inner):
        """Diagnostics asked for of a fitted pruner or skorch net."""
        classifies = not is_regressor(inner)
        if isinstance(self.quantities, str):
            net = getattr(inner, "estimator_", inner)
            promised = promises_probabilities(net)
            return diagnostics_of(classifies=classifies, probabilities=promised)
        shelf = diagnostics_of(classifies=classifies, probabilities=True)
        return {name: shelf[name] for name in chosen(self.quantities, shelf)}
