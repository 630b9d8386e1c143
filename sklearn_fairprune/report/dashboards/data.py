"""Models and groups of people, as the Responsible AI fairness dashboard takes them."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length

from ..._compat.warnings import warn
from ...estimators.outcomes import estimator_outcomes
from ...measurement.answers import answers_of
from ...measurement.groups import distinct_labels, small_groups
from ...measurement.metric_functions import check_metrics
from ...measurement.models import named_models
from ...statistics.worst import LEAST_ROWS
from ..writing import write_whole
from .bins import feature_bins
from .costs import custom_measures, metric_costs
from .dictionary import Held, dashboard_dictionary
from .known import KEYS
from .static_page import dashboard_html
from .targets import (
    choose_positive_class,
    refuse_positive_class,
    say_classes,
    say_constant,
    targets,
)


class FairnessDashboardData:
    """What `to_fairness_dashboard` returns.

    Parameters
    ----------
    dictionary : dict
        The precomputed dictionary.
    features : list of FeatureBins
        Groups of every row.
    notes : list of str
        What a reader must know.

    Attributes
    ----------
    model_names : list of str
        The dense model first; a model that predicts one class only says so.
    notes : list of str
        As above.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sklearn_fairprune.report.dashboards import to_fairness_dashboard
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> bayes = GaussianNB().fit(X[:300], y[:300])
    >>> groups = {"texture": np.where(X[300:, 1] > 19, "rough", "smooth")}
    >>> data = to_fairness_dashboard(
    ...     {"bayes": bayes}, X[300:], y[300:], sensitive_features=groups
    ... )
    >>> data.model_names, data.notes[0]
    (['bayes'], 'Label 1 is 1, label 0 is 0.')
    >>> list(data.arguments())
    ['sensitive_features', 'y_true', 'y_pred']
    """

    def __init__(self, dictionary: dict[str, Any], features: Any, notes: list[str]) -> None:
        self._dictionary, self._features, self.notes = dictionary, features, notes
        self.model_names = dictionary["modelNames"]

    def arguments(self) -> dict[str, Any]:
        """Arguments of ``raiwidgets.FairnessDashboard``, for the live dashboard.

        Returns
        -------
        arguments : dict
            ``sensitive_features``, ``y_true`` and ``y_pred``; classes are 0 and 1, and
            groups are text.
        """
        columns = {f.name: np.array(f.labels, dtype=object)[f.codes] for f in self._features}
        predicted = map(np.asarray, self._dictionary["predictedY"])
        return {
            "sensitive_features": pd.DataFrame(columns),
            "y_true": np.asarray(self._dictionary["trueY"]),
            "y_pred": dict(zip(self.model_names, predicted, strict=True)),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the precomputed dictionary, a copy of plain Python values.

        Returns
        -------
        dictionary : dict
            Of schema "dashboardDictionary"; unknown numbers are None.
        """
        return copy.deepcopy(self._dictionary)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the dictionary as JSON text, and write it to `path` if given.

        Parameters
        ----------
        path : str or Path, default=None
            File to write.

        Returns
        -------
        text : str
            What the front end reads.
        """
        text = json.dumps(self._dictionary, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def dashboard_html(self, path: str | Path) -> Path:
        """Write the dashboard as one page that needs no server and no network.

        Parameters
        ----------
        path : str or Path
            HTML file to write, of about 13 MB.

        Returns
        -------
        path : Path
            The file.

        Raises
        ------
        ImportError
            If the widget files are not installed: ``pip install --no-deps raiwidgets``.
        RuntimeError
            If they are of a version that takes the data in another way.
        """
        return dashboard_html(self._dictionary, path, self.notes)

    def __repr__(self) -> str:
        """Say how many models and features there are."""
        names = ", ".join(repr(feature.name) for feature in self._features)
        return f"<FairnessDashboardData of {len(self.model_names)} models by {names}>"


def to_fairness_dashboard(
    models: Any,
    X: Any,
    y: Any,
    *,
    sensitive_features: Any,
    positive_class: Any = None,
    confidence: float = 0.95,
    n_boot: int = 1000,
    min_group_size: int = LEAST_ROWS,
    metrics: dict[str, Any] | None = None,
    random_state: Any = 0,
) -> FairnessDashboardData:
    """Compare the dense and the pruned models in the Responsible AI fairness dashboard.

    The dashboard began in fairlearn and now comes with raiwidgets. It gets its own metrics
    and three of ours, over all rows and in each group: ``loss``, ``excessive_loss`` and
    ``accuracy_drop`` against the dense model.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        The dense model first; or what ``pruning_path`` returned.
    X : array-like
        Features of rows that no model was fitted on.
    y : array-like of shape (n,)
        Targets.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row. Each column is one choice in the dashboard; of several, the
        intersection is another.
    positive_class : object, default=None
        Class that counts as 1 in the dashboard's own metrics, such as the selection rate.
        None is the second of two classes. With more classes it must be given: the
        dashboard knows two, so its own metrics are about this class against the rest,
        while ours are about all classes.
    confidence : float, default=0.95
        Level of every interval over all rows, and of those of all groups of a feature at
        once.
    n_boot : int, default=1000
        Bootstrap samples, drawn within the groups, for the intervals of losses.
    min_group_size : int, default=75
        Smaller groups are warned about; they stay in the dashboard.
    metrics : dict of str to callable or str, default=None
        Further metrics, as in `audit`. Of one of which more is better the dashboard gets what
        it loses against the dense model, ``<name>_drop``; see Notes.
    random_state : int, default=0
        Of the bootstrap.

    Returns
    -------
    data : FairnessDashboardData
        Its ``dashboard_html(path)`` writes a page that needs no server, its ``arguments()``
        are those of ``raiwidgets.FairnessDashboard``, its ``to_dict()`` is the precomputed
        dictionary.

    Raises
    ------
    ValueError
        If `positive_class` is none of the classes, or missing with more than two; if the
        models are classifiers and regressors; if there are several targets; if a metric is
        none, or has the name of one that the dashboard has.

    Warns
    -----
    UserWarning
        Naming the groups with fewer than `min_group_size` rows.

    Notes
    -----
    A metric that a group has no rows for, such as the recall without positives, is None in
    the dictionary and NaN on the page; the dashboard's comparisons leave the group out.

    Row weights are not taken: the front end knows of none, and counts every row once in what
    it computes itself. For weighted rows use `audit` with ``sample_weight``, or a MetricFrame.

    Rates have Clopper-Pearson intervals, losses and errors percentile bootstrap intervals,
    accuracy drops Newcombe's for paired proportions. The dashboard takes the differences
    and ratios between groups from the groups' limits, therefore these hold for all groups
    at once. On its page it draws those of the selection, false positive and false negative
    rate, and it offers no equalized odds for metrics that were computed beforehand.

    The rates of `audit` are metrics of the dashboard by other names, with intervals:
    ``selection_rate``, ``recall_score`` (true positive rate), ``fallout_rate`` (false positive
    rate), ``precision_score`` and ``balanced_accuracy_score`` (of two classes). What its
    format cannot hold: that more of a metric is better, for it calls the model with the
    lowest value of any other metric the best one; the audit's differences between groups with
    intervals of their own, for it computes them from the groups; groups that are too small to
    be compared; who pays most, and how sure that is. For these there is the page of `audit`.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022.

    Responsible AI Toolbox, https://github.com/microsoft/responsible-ai-toolbox

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_classification
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.dashboards import to_fairness_dashboard
    >>> X, y = make_classification(200, random_state=0)
    >>> sex = np.where(X[:, 0] > 0, "female", "male")
    >>> clf = PrunedClassifier(random_state=0)
    >>> path = clf.pruning_path(X[:100], y[:100], sparsities=[0, 0.9])
    >>> options = {"sensitive_features": {"sex": sex[100:]}, "min_group_size": 40}
    >>> data = to_fairness_dashboard(path, X[100:], y[100:], **options)
    >>> data
    <FairnessDashboardData of 2 models by 'sex'>
    >>> data.to_dict()["precomputedFeatureBins"][0]["binLabels"]
    ['female', 'male']
    """
    known = check_metrics(metrics)
    models, _ = named_models(models)
    y, classes = targets(models, y)
    check_consistent_length(X, y)
    features = feature_bins(sensitive_features, len(y))
    outcomes = [estimator_outcomes(model, X, y) for model in models.values()]
    losses = np.column_stack([loss for loss, _ in outcomes])
    predicted = [np.asarray(p).reshape(-1) for _, p in outcomes]
    names, positive = distinct_labels(models), None
    if classes is None:
        refuse_positive_class(positive_class)
        names, notes = say_constant(names, predicted)
    else:
        positive = choose_positive_class(positive_class, classes)
        names, notes = say_classes(names, predicted, positive, classes)
        notes.append(
            f"Bars are {100 * confidence:g}% intervals that hold for all groups of a feature "
            "at once."
        )
    held = Held(names, losses, y, predicted, classes, positive)
    kind = held.correct is not None
    answers = answers_of(models.values(), X, y, predicted, kind, positive)
    taken = KEYS | {*custom_measures(kind, held.one_versus_rest)}
    own = metric_costs(known, answers, n_boot, random_state, taken)
    options = (confidence, n_boot, random_state, own)
    dictionary = dashboard_dictionary(held, features, *options)
    if "null" in json.dumps(dictionary["precomputedMetrics"]):
        notes.append(
            "NaN: no finite value on the rows of the group; differences and ratios leave the "
            "group out."
        )
    finest = features[-1]
    sizes = np.bincount(finest.codes, minlength=len(finest.labels))
    meaning = "Read their numbers with their intervals."
    small = small_groups(finest.labels, sizes, min_group_size, meaning)
    if small:
        warn(small[0])
    return FairnessDashboardData(dictionary, features, notes + small)
