"""fairlearn's comparison of models along two metrics, for labels of any type."""

from collections.abc import Callable
from typing import Any

import numpy as np
from fairlearn.metrics import MetricFrame, accuracy_score_difference
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.utils import column_or_1d

from ...measurement.groups import group_rows
from ...measurement.models import named_models
from ._names import write_names
from ._style import canvas, distinct_names, literal, require_matplotlib


def plot_model_comparison(
    models: Any,
    X: Any,
    y: Any,
    *,
    sensitive_features: Any,
    x_axis_metric: Callable[..., float] | None = None,
    y_axis_metric: Callable[..., float] | None = None,
    ax: Any = None,
    **kwargs: Any,
) -> Any:
    r"""Compare fitted models along two metrics, by fairlearn's function of this name.

    By default accuracy against :math:`\max_a acc_a - \min_a acc_a`, the difference between
    the groups. fairlearn's function takes numbers only, and predictions; this one takes
    models, and labels and groups of any type.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        By name; or what ``pruning_path`` returned.
    X : array-like
        Features.
    y : array-like of shape (n,)
        Targets.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row; several columns mean their intersections. None: the classes are
        the groups.
    x_axis_metric, y_axis_metric : callable, default=None
        Metrics ``f(y_true, y_pred, sensitive_features=...)`` or ``f(y_true, y_pred)`` that
        return a number. They see classes as their positions in sorted order (0 and 1 for
        two) and groups as texts. None is the accuracy on x and its difference between the
        groups on y; for regressors the mean squared error.
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure.
    **kwargs
        Of ``fairlearn.metrics.plot_model_comparison`` (`axis_labels`, `point_labels`,
        `legend`, `show_plot`) and of ``Axes.scatter``. Without `point_labels` every point
        has the name of its model.

    Returns
    -------
    ax : matplotlib Axes
        Where it is drawn.

    See Also
    --------
    TradeOffDisplay : The same with intervals.
    fairlearn.metrics.plot_model_comparison : What draws.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import plot_model_comparison
    >>> X, y = load_iris(return_X_y=True)
    >>> path = PrunedClassifier(random_state=0).pruning_path(X, y, sparsities=[0, 0.9])
    >>> ax = plot_model_comparison(path, X, y, sensitive_features=X[:, 0] > 6)
    >>> [text.get_text() for text in ax.texts]
    ['sparsity 0', 'sparsity 0.9']
    >>> plt.close(ax.figure)
    """
    require_matplotlib("plot_model_comparison")
    from fairlearn.metrics import plot_model_comparison as fairlearns

    models, _ = named_models(models)
    classifies = all(is_classifier(model) for model in models.values())
    y = column_or_1d(y)
    predicted = [np.asarray(model.predict(X)).reshape(-1) for model in models.values()]
    _, codes, labels = group_rows(sensitive_features, y, classifies)
    groups = np.array(distinct_names(labels), dtype=object)[codes]
    truth = y
    if classifies:
        _, numbers = np.unique(np.concatenate([y, *predicted]), return_inverse=True)
        truth, *predicted = np.split(numbers, len(predicted) + 1)
    score, gap = (
        (accuracy_score, accuracy_score_difference)
        if classifies
        else (mean_squared_error, _error_difference)
    )
    what = "accuracy" if classifies else "mean squared error"
    defaults = [what, f"{what}, difference between the groups"]
    options = {"x_axis_metric": x_axis_metric or score, "y_axis_metric": y_axis_metric or gap}
    names = [literal(name) for name in distinct_names(models)]
    own_names = not kwargs.keys() & {"point_labels", "point_labels_position"}
    if not own_names:
        kwargs = {"point_labels": names} | kwargs
    with canvas(ax, (6.4, 4.8)) as (_, axes):
        n_before = len(axes.collections)
        fairlearns(
            y_preds=dict(enumerate(predicted)),
            y_true=truth,
            sensitive_features=groups,
            ax=axes,
            **options,
            **kwargs,
        )
        if kwargs.get("axis_labels", True) is True:
            if x_axis_metric is None:
                axes.set_xlabel(defaults[0])
            if y_axis_metric is None:
                axes.set_ylabel(defaults[1])
        if own_names:
            if ax is None:
                axes.margins(0.12)
            points = axes.collections[n_before].get_offsets()
            write_names(axes, np.asarray(points), names)
    return axes


def _error_difference(y_true, y_pred, *, sensitive_features):
    """Largest difference between two groups' mean squared errors."""
    frame = MetricFrame(
        metrics=mean_squared_error,
        y_true=y_true,
        y_pred=y_pred,
        sensitive_features=sensitive_features,
    )
    return frame.difference()
