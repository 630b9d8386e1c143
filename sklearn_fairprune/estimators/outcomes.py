"""Loss and prediction of every row, from any estimator of scikit-learn's kind."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d


def estimator_outcomes(estimator, X, y):
    """Loss and correctness of every row.

    Parameters
    ----------
    estimator : fitted classifier with ``predict_proba``, or fitted regressor
        Anything of scikit-learn's kind.
    X : array-like
        Features.
    y : ndarray of shape (n,) or (n, 1)
        Targets; of shape (n, k) for a regressor of k targets.

    Returns
    -------
    losses : ndarray of shape (n,)
        Cross-entropy of the probability of the true class, where probabilities below the
        smallest normal float64 count as that; or squared error (mean over the targets).
    predicted : ndarray of shape (n,)
        Predictions.
    """
    predicted = np.asarray(estimator.predict(X))
    if not is_classifier(estimator):
        errors = predicted.reshape(len(y), -1) - y.reshape(len(y), -1)
        return (errors**2).mean(axis=1), predicted
    y, classes = column_or_1d(y), np.asarray(estimator.classes_)
    unknown = np.setdiff1d(y, classes)
    if unknown.size:
        raise ValueError(
            f"y has labels that the model does not know: {unknown[:10].tolist()}; its "
            f"classes are {classes[:10].tolist()}."
        )
    tiny = np.finfo(np.float64).tiny
    if hasattr(estimator, "predict_log_proba"):
        with np.errstate(divide="ignore"):
            log_probability = np.asarray(estimator.predict_log_proba(X), dtype=np.float64)
    else:
        with np.errstate(divide="ignore"):
            log_probability = np.log(np.asarray(estimator.predict_proba(X), dtype=np.float64))
    log_probability = np.maximum(log_probability, np.log(tiny))
    return -log_probability[np.arange(len(y)), np.searchsorted(classes, y)], predicted
