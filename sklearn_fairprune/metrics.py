"""Group metrics as scikit-learn scorers."""

from sklearn.utils import _safe_indexing


class ColumnScorer:
    """Scorer that reads the sensitive feature from a column of X.

    A scorer made by :func:`~sklearn.metrics.make_scorer` from a metric that needs
    ``sensitive_features`` gets them by metadata routing only. With routing off, which is
    scikit-learn's default, `GridSearchCV` then scores NaN. This scorer needs no routing:
    keep the column in X, and drop it inside the pipeline, before the network.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_pred, *, sensitive_features)``, for example any group metric of
        :mod:`fairlearn.metrics`.
    columns : str, int or list of them
        Column(s) of X with the sensitive feature; several mean their intersections.
    greater_is_better : bool, default=True
        False for losses and gaps, whose score is then their negative.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairlearn.metrics import accuracy_score_group_min
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_fairprune import ColumnScorer, PrunedClassifier
    >>> X, y = make_classification(n_features=4, n_redundant=0, random_state=0)
    >>> X = pd.DataFrame(X, columns=list("abcd")).assign(sex=["f", "m"] * 50)
    >>> pipeline = make_pipeline(
    ...     make_column_transformer(("drop", ["sex"]), remainder="passthrough"),
    ...     PrunedClassifier(random_state=0),
    ... )
    >>> search = GridSearchCV(
    ...     pipeline,
    ...     {"prunedclassifier__sparsity": [0, 0.8]},
    ...     scoring=ColumnScorer(accuracy_score_group_min, "sex"),
    ...     cv=2,
    ... )
    >>> bool(search.fit(X, y).best_score_ > 0.5)
    True
    """

    def __init__(self, metric, columns, *, greater_is_better=True):
        self.metric = metric
        self.columns = columns
        self.greater_is_better = greater_is_better

    def __call__(self, estimator, X, y):
        """Score the predictions of an estimator; higher is better."""
        groups = _safe_indexing(X, self.columns, axis=1)
        value = self.metric(y, estimator.predict(X), sensitive_features=groups)
        return value if self.greater_is_better else -value

    def __repr__(self):
        """Show metric and columns."""
        name = getattr(self.metric, "__name__", repr(self.metric))
        return f"ColumnScorer({name}, {self.columns!r})"
