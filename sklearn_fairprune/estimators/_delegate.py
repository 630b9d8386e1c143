"""Predicting with the estimator inside."""

import copy

from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted


def _inner_has(name):
    """Whether the pruner, fitted if there is a fitted one, has a method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class PredictsAsInner:
    """Mixin of a meta-estimator: ``estimator_`` predicts and scores."""

    def predict(self, X, *, sensitive_features=None):
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
    def predict_proba(self, X):
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
    def predict_log_proba(self, X):
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
    def decision_function(self, X):
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

    def score(self, X, y, sample_weight=None):
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

    # ---- for scikit-learn ------------------------------------------------------------

    def __sklearn_tags__(self):
        """Tags of the pruner."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = copy.deepcopy(inner.classifier_tags)
        tags.regressor_tags = copy.deepcopy(inner.regressor_tags)
        tags.target_tags = copy.deepcopy(inner.target_tags)
        tags.input_tags = copy.deepcopy(inner.input_tags)
        return tags

    def __sklearn_is_fitted__(self):
        """Whether `fit` has finished."""
        return hasattr(self, "estimator_")
