"""An estimator around a pruner, which predicts as the pruner inside does."""

import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import CallbackSupportMixin


def _inner_has(name):
    """Whether the pruner, fitted if there is a fitted one, has a method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class FromInner:
    """Attribute that the fitted pruner inside has."""

    def __set_name__(self, owner, name):
        """Remember the attribute's name."""
        self.name = name

    def __get__(self, estimator, owner=None):
        """Read it; before `fit` there is none."""
        if estimator is None:
            return self
        if "estimator_" not in vars(estimator):
            raise AttributeError(f"{type(estimator).__name__} has no {self.name} before fit.")
        return getattr(estimator.estimator_, self.name)


class PrunerWrapper(CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
    """Base of estimators around a pruner: ``estimator_`` predicts, scores and tells.

    Parameters
    ----------
    estimator : PrunedClassifier or PrunedRegressor
        What is fitted.
    """

    classes_ = FromInner()
    groups_ = FromInner()
    sparsity_ = FromInner()
    effective_sparsity_ = FromInner()
    dead_units_ = FromInner()
    masks_ = FromInner()
    skipped_weights_ = FromInner()
    prunable_share_ = FromInner()
    dense_estimator_ = FromInner()
    shrunk_ = FromInner()
    n_features_in_ = FromInner()
    feature_names_in_ = FromInner()

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def predict(self, X: Any, *, sensitive_features: Any = None) -> np.ndarray:
        """Predict labels or targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.
        sensitive_features : array-like, default=None
            Checked, and never used.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            What ``estimator_`` predicts.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X, sensitive_features=sensitive_features)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        probability : float64 ndarray of shape (n_samples, n_classes)
            Of ``estimator_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_inner_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        log_probability : float64 ndarray of shape (n_samples, n_classes)
            Of ``estimator_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_inner_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Predict the confidence in each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        decision : float64 ndarray of shape (n_samples,) or (n_samples, n_classes)
            Of ``estimator_``.
        """
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, or coefficient of determination.

        Parameters
        ----------
        X, y : array-like
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.

        Returns
        -------
        score : float
            Of ``estimator_``.
        """
        check_is_fitted(self)
        return self.estimator_.score(X, y, sample_weight=sample_weight)

    def shrink(self, *, X: Any = None, sparse: Any = "auto", drop_dense: bool = False) -> Any:
        """Return a copy around the smaller network; see `PrunedClassifier.shrink`.

        Parameters
        ----------
        X : array-like or torch Dataset, default=None
            Rows to verify on.
        sparse : "auto" or bool, default="auto"
            Form of the linear layers.
        drop_dense : bool, default=False
            Whether the dense network is let go.

        Returns
        -------
        smaller : estimator
            Of the same type, fitted.
        """
        check_is_fitted(self)
        twin = copy.copy(self)
        twin.estimator_ = self.estimator_.shrink(X=X, sparse=sparse, drop_dense=drop_dense)
        return twin

    # ---- for scikit-learn ------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        """Tags of the pruner."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = copy.deepcopy(inner.classifier_tags)
        tags.regressor_tags = copy.deepcopy(inner.regressor_tags)
        tags.target_tags = copy.deepcopy(inner.target_tags)
        tags.input_tags = copy.deepcopy(inner.input_tags)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has finished."""
        return hasattr(self, "estimator_")
