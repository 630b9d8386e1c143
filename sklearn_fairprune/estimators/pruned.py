"""Pruned networks as scikit-learn classifier and regressor."""

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.frozen import FrozenEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ..engine.networks import predict
from ._base import BasePruner
from ._docs import document
from .sensitive import Groups, encode_groups


@document
class PrunedClassifier(ClassifierMixin, BasePruner):
    """Classifier around a skorch network that is trained, pruned and fine-tuned.

    `fit` trains the dense network, removes the share `sparsity` of its weights and
    fine-tunes the rest [1]_. `prune` does the last two steps again at another sparsity.

    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    {attributes}

    See Also
    --------
    PrunedRegressor : The same for regression.
    sklearn_fairprune.audit : What pruning costs each group, on held-out rows.

    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(sparsity=0.5, random_state=0).fit(X, y)
    >>> clf.sparsity_
    0.5
    >>> clf.score(X, y) > 0.9
    True
    >>> round(clf.prune(X, y, sparsity=0.9).sparsity_, 2)
    0.9
    >>> clf.dense_estimator_.module_.layers[1]
    Linear(in_features=4, out_features=100, bias=True)
    """

    _y_checks = {}

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X, y=None, classes=None, *, sensitive_features=None, sample_weight=None
    ):
        """Train one more epoch. Removed weights stay 0; nothing more is pruned.

        Before `fit` or `prune` it trains the dense network; call `prune` when done.

        Parameters
        ----------
        X, y : array-like
            As in `fit`.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever occur; only used in the first call, where None means
            the labels in `y`.
        sensitive_features, sample_weight : array-like
            As in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        if self.__sklearn_is_fitted__() or classes is None:
            return self._partial_fit(X, y, sensitive_features, sample_weight)
        known = {"classes_": np.unique(classes)}
        return self._partial_fit(X, y, sensitive_features, sample_weight, known)

    def predict(self, X, *, sensitive_features=None):
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.
        sensitive_features : array-like, default=None
            Checked for length and missing values, and never used: the prediction does
            not depend on the group.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels, of the type they had in `fit`.
        """
        check_is_fitted(self)
        probability = self._probability(self._prediction_rows(X, sensitive_features))
        threshold = getattr(self.estimator_, "threshold", None)
        if threshold is not None and len(self.classes_) == 2:
            return self.classes_[(probability[:, 1] > threshold).astype(int)]
        return self.classes_[probability.argmax(axis=1)]

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        probability : float64 ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the net's outputs are not probabilities, as after a margin loss; `predict`
            works all the same.
        """
        check_is_fitted(self)
        probability = self._probability(self._prediction_rows(X))
        sums = probability.sum(axis=1)
        if probability.min() < -1e-3 or np.abs(sums - 1).max() > 1e-3:
            raise ValueError(
                "The network's outputs are not probabilities: the smallest is "
                f"{probability.min():.3g} and rows sum to {sums.min():.3g} at least and "
                f"{sums.max():.3g} at most. Train with a cross-entropy, or give the net a "
                "predict_nonlinearity."
            )
        return probability

    def predict_log_proba(self, X):
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        log_probability : float64 ndarray of shape (n_samples, n_classes)
            Finite: probabilities below the smallest normal float64 count as that.
        """
        return np.log(np.maximum(self.predict_proba(X), np.finfo(np.float64).tiny))

    def decision_function(self, X):
        """Confidence in each class: log-probabilities, or their difference if binary.

        For a network trained with the cross-entropy they are its logits up to a constant
        per row; the binary value is the logit of ``classes_[1]``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.

        Returns
        -------
        decision : float64 ndarray of shape (n_samples,) or (n_samples, n_classes)
            Higher = more confident.
        """
        log_probability = self.predict_log_proba(X)
        if log_probability.shape[1] == 2:
            return log_probability[:, 1] - log_probability[:, 0]
        return log_probability

    def _probability(self, rows):
        probability = predict(self.estimator_, rows)
        if probability.shape[1:] != (len(self.classes_),):
            raise ValueError(
                f"The network gives {probability.shape[1:]} outputs a row for "
                f"{len(self.classes_)} classes."
            )
        return probability

    # ---- what the targets decide ---------------------------------------------------

    def _encode(self, y, known):
        if known is None:
            check_classification_targets(y)
            classes = np.unique(y)
            if isinstance(self.estimator, FrozenEstimator):
                classes = self._frozen_classes(classes)
        else:
            classes = known["classes_"]
        unknown = np.setdiff1d(y, classes)
        if unknown.size:
            raise ValueError(
                f"y has labels that are not among the classes {_some(classes)}: "
                f"{_some(unknown)}. All labels must be known from the first fit."
            )
        return np.searchsorted(classes, y).astype(np.int64), {"classes_": classes}

    def _frozen_classes(self, labels):
        """Classes of a pre-trained net: its own, or the output positions."""
        inner = self.estimator.estimator
        known = getattr(inner, "classes_", labels)
        return np.asarray(known)

    def _groups(self, sensitive_features, n_rows, targets, fitted):
        if sensitive_features is None:
            return Groups(targets, fitted["classes_"])
        return encode_groups(sensitive_features, n_rows)

    def _check_targets(self, targets, fitted):
        if len(np.unique(targets)) < 2:
            raise ValueError(
                "A classifier needs at least 2 classes in y (with a positive "
                f"sample_weight), got 1 class: {_some(fitted['classes_'][targets[:1]])}."
            )

    def _n_outputs(self, rows, fitted):
        return len(fitted["classes_"])

    def _check_outputs(self, net, rows, fitted):
        shape = self._first_prediction(net, rows).shape
        n_classes = len(fitted["classes_"])
        if len(shape) != 2 or shape[1] != n_classes:
            raise ValueError(
                f"y has {n_classes} classes {_some(fitted['classes_'])}, but the network "
                f"gives predictions of shape {shape[1:]} a row. Give its last layer "
                f"{n_classes} outputs."
            )


@document
class PrunedRegressor(RegressorMixin, BasePruner):
    """Regressor around a skorch network that is trained, pruned and fine-tuned.

    `fit` trains the dense network, removes the share `sparsity` of its weights and
    fine-tunes the rest [1]_. `prune` does the last two steps again at another sparsity.
    Scale targets of large magnitude, for example with
    :class:`~sklearn.compose.TransformedTargetRegressor`.

    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    PrunedClassifier : The same for classification.

    {references}

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_fairprune import PrunedRegressor
    >>> X, y = make_regression(n_features=5, random_state=0)
    >>> y = y / y.std()
    >>> reg = PrunedRegressor(finetune_epochs=50, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.9
    True
    """

    _y_checks = {"y_numeric": True, "multi_output": True}

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        """Train one more epoch. Removed weights stay 0; nothing more is pruned.

        Before `fit` or `prune` it trains the dense network; call `prune` when done.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        return self._partial_fit(X, y, sensitive_features, sample_weight)

    def predict(self, X, *, sensitive_features=None):
        """Predict targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Samples shaped as in `fit`.
        sensitive_features : array-like, default=None
            Checked for length and missing values, and never used: the prediction does
            not depend on the group.

        Returns
        -------
        y : float64 ndarray of shape (n_samples,) or (n_samples, n_outputs)
            As `y` was in `fit`.
        """
        check_is_fitted(self)
        rows = self._prediction_rows(X, sensitive_features)
        prediction = predict(self.estimator_, rows)
        return prediction.reshape(len(prediction), *self._target_shape)

    # ---- what the targets decide ---------------------------------------------------

    def _encode(self, y, known):
        shape = y.shape[1:]
        if known is not None and shape != known["_target_shape"]:
            raise ValueError(
                f"y has targets of shape {shape} a row, fit had {known['_target_shape']}."
            )
        with np.errstate(over="ignore"):
            targets = y.reshape(len(y), -1).astype(self.dtype)
        if not np.isfinite(targets).all():
            raise ValueError(
                f"y has values too large for dtype={self.dtype!r}; scale it, for example with "
                "TransformedTargetRegressor."
            )
        return targets, {"_target_shape": shape}

    def _groups(self, sensitive_features, n_rows, targets, fitted):
        if sensitive_features is None:
            return Groups(np.zeros(n_rows, dtype=np.int64), np.array(["all"]))
        return encode_groups(sensitive_features, n_rows)

    def _check_targets(self, targets, fitted):
        pass

    def _n_outputs(self, rows, fitted):
        return rows.y.shape[1]

    def _check_outputs(self, net, rows, fitted):
        shape, n_outputs = self._first_prediction(net, rows).shape, rows.y.shape[1]
        if int(np.prod(shape[1:])) != n_outputs:
            raise ValueError(
                f"y has {n_outputs} target(s) a row, but the network gives predictions of "
                f"shape {shape[1:]} a row. Give its last layer {n_outputs} output(s)."
            )

    def __sklearn_tags__(self):
        """Tags of a regressor for one or several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _some(labels, most=10):
    """Labels as text, cut after the first few."""
    shown = ", ".join(repr(v) for v in np.asarray(labels)[:most].tolist())
    return f"[{shown}{', ...' if len(labels) > most else ''}]"
