"""Group metrics as scikit-learn scorers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import column_or_1d, metadata_routing

from .._compat.sklearn import safe_indexing
from ..estimators.outcomes import estimator_outcomes
from ..estimators.unwrap import dense_twin
from .group import (
    accuracy_spread,
    excess_accuracy_gap,
    fairness_violation,
    worst_group_accuracy,
)


class GroupScorer(BaseEstimator):
    """Scorer of a group metric, with the groups from metadata routing or from X.

    With metadata routing (``sklearn.set_config(enable_metadata_routing=True)``) it asks
    for ``sensitive_features`` itself. Without, which is scikit-learn's default, name the
    `columns` of X that hold them, and drop these inside the pipeline, before the network.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_pred, *, sensitive_features)``, for example any group metric of
        :mod:`fairlearn.metrics`; or, by `compare`, ``metric(dense, pruned, *,
        sensitive_features)``.
    columns : str, int or list of them, default=None
        Column(s) of X with the sensitive feature; several mean their intersections. They
        go before routed ``sensitive_features``.
    compare : {"labels", "losses", "correctness"}, default="labels"
        What the metric gets: true and predicted labels, or the row losses of dense and
        pruned network, or whether each is right (1.0) or wrong (0.0). The dense network
        is that of the estimator, a `PrunedClassifier` or `PrunedRegressor`, or a Pipeline
        that ends in one.
    greater_is_better : bool, default=True
        False for losses and gaps, whose score is then their negative.

    See Also
    --------
    sklearn_fairprune.metrics.get_scorer : Ready scorers by name.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_fairprune import GroupScorer, PrunedClassifier
    >>> from sklearn_fairprune.metrics import worst_group_accuracy
    >>> X, y = make_classification(n_features=4, n_redundant=0, random_state=0)
    >>> X = pd.DataFrame(X, columns=list("abcd")).assign(sex=["f", "m"] * 50)
    >>> pipeline = make_pipeline(
    ...     make_column_transformer(("drop", ["sex"]), remainder="passthrough"),
    ...     PrunedClassifier(random_state=0),
    ... )
    >>> search = GridSearchCV(
    ...     pipeline,
    ...     {"prunedclassifier__sparsity": [0, 0.8]},
    ...     scoring=GroupScorer(worst_group_accuracy, "sex"),
    ...     cv=2,
    ... )
    >>> bool(search.fit(X, y).best_score_ > 0.5)
    True
    """

    __metadata_request__score = {
        "estimator": metadata_routing.UNUSED,
        "sensitive_features": True,
    }

    def __init__(
        self,
        metric: Callable[..., float],
        columns: Any = None,
        *,
        compare: str = "labels",
        greater_is_better: bool = True,
    ) -> None:
        self.metric = metric
        self.columns = columns
        self.compare = compare
        self.greater_is_better = greater_is_better

    def score(
        self, estimator: Any, X: Any, y: Any, *, sensitive_features: Any = None
    ) -> float:
        """Score an estimator on some rows.

        Parameters
        ----------
        estimator : fitted estimator
            What to score.
        X, y : array-like
            Rows it was not fitted on.
        sensitive_features : array-like, default=None
            Group of every row; not read if the scorer has `columns`.

        Returns
        -------
        score : float
            Higher is better.

        Raises
        ------
        ValueError
            Without groups, if `compare` is unknown, or for the correctness of a regressor.
        """
        if self.columns is not None:
            sensitive_features = safe_indexing(X, self.columns, axis=1)
        if sensitive_features is None:
            raise ValueError(
                f"{self!r} got no sensitive_features. Name the column of X that holds them "
                "with columns=, or enable scikit-learn's metadata routing and pass "
                "sensitive_features to fit of the search."
            )
        first, second = self._compared(estimator, X, y)
        value = self.metric(first, second, sensitive_features=sensitive_features)
        return value if self.greater_is_better else -value

    def __call__(
        self, estimator: Any, X: Any, y: Any, *, sensitive_features: Any = None
    ) -> float:
        """Score an estimator, as scikit-learn calls scorers; see `score`."""
        return self.score(estimator, X, y, sensitive_features=sensitive_features)

    def __repr__(self) -> str:
        """Show the metric by its name, and what differs from the defaults."""
        shown = [getattr(self.metric, "__name__", repr(self.metric))]
        defaults = {"columns": None, "compare": "labels", "greater_is_better": True}
        for name, default in defaults.items():
            if (value := getattr(self, name)) != default:
                shown.append(f"{name}={value!r}")
        return f"GroupScorer({', '.join(shown)})"

    def _compared(self, estimator, X, y):
        """What the metric compares, row by row."""
        if self.compare == "labels":
            return y, estimator.predict(X)
        if self.compare not in ("losses", "correctness"):
            raise ValueError(
                f"compare must be 'labels', 'losses' or 'correctness', got {self.compare!r}."
            )
        dense = dense_twin(estimator)
        if self.compare == "correctness" and not is_classifier(estimator):
            raise ValueError(
                f"compare='correctness' asks whether labels are right, which "
                f"{type(estimator).__name__} does not predict. Use compare='losses'."
            )
        y = np.asarray(y)
        outcomes = (estimator_outcomes(e, X, y) for e in (dense, estimator))
        if self.compare == "losses":
            return [losses for losses, _ in outcomes]
        return [(predicted == column_or_1d(y)).astype(float) for _, predicted in outcomes]


SCORERS = {
    "worst_group_accuracy": GroupScorer(worst_group_accuracy),
    "neg_accuracy_spread": GroupScorer(accuracy_spread, greater_is_better=False),
    "neg_fairness_violation": GroupScorer(
        fairness_violation, compare="losses", greater_is_better=False
    ),
    "neg_excess_accuracy_gap": GroupScorer(
        excess_accuracy_gap, compare="correctness", greater_is_better=False
    ),
}


def get_scorer(name: str, columns: Any = None) -> GroupScorer:
    """Ready group scorer by name.

    Parameters
    ----------
    name : {"worst_group_accuracy", "neg_accuracy_spread", "neg_fairness_violation", \
            "neg_excess_accuracy_gap"}
        Gaps are losses: their scores are negative, 0 is best.
    columns : str, int or list of them, default=None
        Column(s) of X with the sensitive feature; None needs metadata routing.

    Returns
    -------
    scorer : GroupScorer
        For ``scoring=``, alone or in a dict of several.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import get_scorer
    >>> get_scorer("neg_accuracy_spread", columns="sex").columns
    'sex'
    """
    if name not in SCORERS:
        raise ValueError(f"name must be one of {sorted(SCORERS)}, got {name!r}.")
    scorer = SCORERS[name]
    return GroupScorer(**scorer.get_params(deep=False) | {"columns": columns})
