"""What pruning costs each group, on held-out rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..measurement.latency import batch_sizes
from ..measurement.predictions import given_models
from ..measurement.settings import Settings
from ..measurement.tables import feature_columns, measure_models
from ..measurement.weights import Given, given_rows
from ..statistics.worst import LEAST_ROWS
from .audit_report import AuditReport
from .diagnose import why_options, why_tables


def audit(
    models: Any,
    X: Any,
    y: Any,
    *,
    sensitive_features: Any = None,
    sample_weight: Any = None,
    explain: bool | dict[str, Any] = False,
    confidence: float = 0.95,
    n_boot: int = 2000,
    min_group_size: int = LEAST_ROWS,
    negligible: dict[str, float] | None = None,
    retrained: Any = None,
    pos_label: Any = None,
    metrics: dict[str, Any] | None = None,
    latency: bool | Sequence[int] = False,
    random_state: Any = 0,
) -> AuditReport:
    r"""Measure what pruning costs each group.

    For every model and group a: accuracy, loss :math:`J(D_a)`, excessive loss
    :math:`R(a) = J(\bar\theta; D_a) - J(\theta; D_a)` against the dense model, accuracy
    drop; for every model: accuracy, balanced accuracy, fairness violation
    :math:`\xi = \max_{a,a'}|R(a) - R(a')|` and accuracy spread, all with intervals. Where one
    class is the positive one: selection rate, true and false positive rate and precision, and
    their differences between groups. And the user's own metrics.

    Parameters
    ----------
    models : dict of str to fitted estimator, Bunch, or fitted estimator
        The dense model first; or what ``pruning_path`` returned (if it has ``budgets`` the
        notes tell which damage stays with longer fine-tuning); or one estimator that holds a
        pruned network (a pruner, a Pipeline, a search), compared with its own dense one. In a
        dict may stand trained torch modules too (of classifiers, with logits, and classes 0,
        1, ...), and mitigators of fairlearn. Of models without probabilities no loss is known.
    X : array-like
        Features of rows that no model was fitted on.
    y : array-like of shape (n,)
        Targets.
    sensitive_features : array-like of shape (n,) or (n, k), default=None
        Group of every row; several columns mean their intersections, and each feature
        alone is measured too (``by_feature``). Without it the classes are the groups.
    sample_weight : array-like of shape (n,), default=None
        Weight of every row, by position: for how many persons it stands, in any unit. Shares
        and means are then by weight, and a group's intervals, and whether it is compared,
        follow from its effective rows. Rows of weight 0 are left out.
    explain : bool or dict, default=False
        Whether to `diagnose` every pruned model too, which takes second derivatives of its
        loss; a dict gives options of `diagnose`, such as ``{"max_samples": 200}``. The
        right sides of Proposition 2 and Theorem 2 are left out unless it has
        ``bound_samples``.
    confidence : float, default=0.95
        Level of every interval.
    n_boot : int, default=2000
        Bootstrap samples, drawn within the groups.
    min_group_size : int, default=75
        Smaller groups are warned about and listed, not compared: they are not said to pay
        most, and neither spreads nor the fairness violation count them (unless fewer than
        two groups are left). 1 compares all groups.
    negligible : dict of str to float, default=None
        What is negligible of ``accuracy_drop`` (0.005 if not given) and of
        ``excessive_loss`` (1 % of the dense loss).
    retrained : list of fitted estimator, default=None
        At least two networks that were trained as the dense one was, with other seeds. What
        is negligible is then the deviation between them and the dense one, unless
        `negligible` has a number; see Notes.
    pos_label : object, default=None
        Class that rates are about. If not given it is the second of two classes in sorted
        order; of several classes, or where the classes are the groups, there are then no
        rates. One of several classes is held against the rest.
    metrics : dict of str to callable or str, default=None
        Further metrics by name, such as ``{"f1": f1_score, "auc": "roc_auc"}``: functions of
        ``(y_true, y_pred)`` as fairlearn's ``MetricFrame`` takes them, scorers of
        ``make_scorer``, and names of scorers. A function whose second parameter is called
        ``y_score``, ``y_proba``, ``y_prob`` or ``probas_pred`` gets probabilities: those of
        the positive class of two, else one column a class. Each is measured of each group and
        of all rows, with a column ``<name>_difference`` for the largest difference between
        groups.
    latency : bool or sequence of int, default=False
        Whether to time a forward pass of every network on one thread of this machine, at
        batches of 1 and 256 rows or of these sizes; at most about a second for each.
    random_state : int, default=0
        Of the bootstrap, at least 0.

    Returns
    -------
    report : AuditReport
        Print it, take its frames, `to_html` for a page, `to_markdown` for a model card,
        `plot`, `to_json` and `to_csv`, or gate a build with `assert_disparity`.

    Raises
    ------
    ValueError
        If there is no model, a path does not begin dense, a parameter is out of its range,
        `retrained` are fewer than two or no such networks, or the input is unusable; if
        weights are negative, unknown or infinite, of another number of rows, or 0 in all rows
        of a group.

    Warns
    -----
    UserWarning
        Naming the groups with fewer than `min_group_size` rows.

    Notes
    -----
    Group accuracies have Clopper-Pearson intervals, accuracy drops Newcombe's for paired
    proportions, the accuracy spread an interval from all group intervals at once; losses and
    excessive losses have Student's with Hall's correction for skewness and a floor for the
    variance of small groups, balanced accuracy a percentile bootstrap interval, and the
    fairness violation a band that holds for all pairs of groups at once. Who pays most is told
    twice, by decisions and by loss: the group with the largest change against each other, so
    that both names together are wrong in at most 5 % of reports (`confidence` 0.95;
    ``benchmarks/sureness.py``), each model by itself. Intervals cover the drawing of the
    held-out rows, not the randomness of the training.

    With `retrained` a change is negligible that another seed of the dense network makes as
    well. Of R dense networks r, the one in `models` included, it is

    .. math:: \sqrt{\frac{1}{m} \sum_a \frac{1}{R-1} \sum_r (J_{a,r} - \bar J_a)^2},

    the root mean square, over the m groups of at least `min_group_size` rows (all groups if
    fewer than two have as many), of the standard deviation of a group's mean loss between
    the networks; likewise of its accuracy. The rows are the same for all networks, so that
    their drawing is no part of it. R - 1, for the mean of a group is estimated from the same
    networks; variances are averaged, being unbiased; every group counts alike, for each may
    be the one that pays. It takes the place of the default, also where it is less: where
    seeds differ by nothing, nothing is negligible. With three networks it is rough. The
    difference between two such networks deviates by 1.41 times as much.

    Names and definitions of rates and their differences are those of fairlearn and
    scikit-learn. A rate has Clopper-Pearson limits for the rows that it is a share of; without
    such rows it is unknown (NaN), which the notes say, and differences leave the group out.
    Differences have intervals from all group intervals at once, as the accuracy spread has.
    The balanced accuracy of a group is the mean recall of the classes that the group has; its
    limits come from the exact ones of the recalls.

    Metrics have percentile bootstrap limits from at most 200 of the `n_boot` samples, the same
    rows for every model and metric; their differences have the band of the fairness
    violation. Such limits are too narrow in small groups; where all samples agree, or half of
    them have no value, they are unknown. A metric that raises an error or is no number in a
    group is unknown there, and the notes say why. More is better, but for functions with
    ``greater_is_better = False`` and names that end in "_error", "_loss" or "difference"; the
    value of a scorer is what the scorer returns, of which more is better. A function or scorer
    that takes ``pos_label`` is given the positive class; a function of probabilities that does
    not is given ``y_true`` as 1 and 0 if the positive class is the first.

    With `sample_weight` the tables have ``effective_rows`` beside ``rows``: Kish's
    :math:`(\sum w)^2 / \sum w^2`, at most the rows. Intervals are those above, of weighted
    shares and of effective rows in the place of counts (Korn and Graubard), of which there are
    fewer where rows of large weight vary most: means have at least their linearised error.
    Effective rows of at least `min_group_size` make a group compared. The paired test of
    changed predictions is of effective numbers as well. Metrics that take no `sample_weight`
    are not weighted, and the notes name them; strata and clusters of a survey are not known.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022.

    Kish, "Survey Sampling", 1965; Korn and Graubard, "Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data", Survey
    Methodology 24, 1998.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier, audit
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(random_state=0)
    >>> path = clf.pruning_path(X[::2], y[::2], sparsities=[0, 0.98])
    >>> report = audit(path, X[1::2], y[1::2], min_group_size=20)
    >>> report
    <AuditReport of 2 models and 3 groups>
    >>> report.by_group["rows"].tolist()
    [25, 25, 25, 25, 25, 25]
    >>> report.assert_disparity(max_degradation=0.2)  # a gate for a build
    Traceback (most recent call last):
        ...
    sklearn_fairprune.report.gate.DisparityError: sparsity 0.98, by class: the accuracy drop...
    """
    settings = Settings(
        confidence,
        n_boot,
        min_group_size,
        random_state,
        negligible,
        pos_label,
        metrics,
        batch_sizes(latency),
    )
    options = why_options(explain, settings)
    given = given_rows(X, y, sensitive_features, sample_weight)
    audited, outcomes = measure_models(models, given, settings, retrained)
    report = _numbered(AuditReport.of(audited), given)
    if options is not None:
        groupings = feature_columns(given.sensitive_features).values()
        for one, columns in zip(report.by_feature.values(), groupings, strict=True):
            tables, notes = why_tables(
                outcomes.models, given.X, outcomes.y, columns, given.weights, **options
            )
            one.why, one.explanations = tables["why"], tables["explanations"]
            one.notes += [note for note in notes if note not in given.notes]
    return report


def audit_predictions(
    y: Any,
    predictions: Any,
    *,
    sensitive_features: Any = None,
    sample_weight: Any = None,
    classes: Any = None,
    confidence: float = 0.95,
    n_boot: int = 2000,
    min_group_size: int = LEAST_ROWS,
    negligible: dict[str, float] | None = None,
    retrained: Any = None,
    pos_label: Any = None,
    metrics: dict[str, Any] | None = None,
    random_state: Any = 0,
) -> AuditReport:
    """Measure what pruning costs each group, from predictions that were made elsewhere.

    Parameters
    ----------
    y : array-like of shape (n,)
        Targets of rows that no model was fitted on. Fractions, and numbers of more than 20
        different values, are quantities unless `classes` is given.
    predictions : dict of str to array-like
        Of every model, the dense one first: labels of shape (n,); probabilities of shape
        (n, n_classes), or of two classes those of the second one, of shape (n,); or numbers.
        Of labels alone no loss is known, and who pays is told by decisions only.
    sensitive_features : array-like of shape (n,) or (n, k), default=None
        As in `audit`.
    sample_weight : array-like of shape (n,), default=None
        As in `audit`.
    classes : array-like of shape (n_classes,), default=None
        In the order of the columns of probabilities; None: the labels of `y`, sorted.
    confidence : float, default=0.95
        Level of every interval.
    n_boot : int, default=2000
        Bootstrap samples.
    min_group_size : int, default=75
        Smaller groups are listed, not compared.
    negligible : dict of str to float, default=None
        As in `audit`.
    retrained : list of array-like, default=None
        Predictions of at least two dense networks of other seeds, each as those in
        `predictions`; see `audit`.
    pos_label : object, default=None
        As in `audit`.
    metrics : dict of str to callable or str, default=None
        As in `audit`.
    random_state : int, default=0
        Of the bootstrap.

    Returns
    -------
    report : AuditReport
        Without sizes, layers and digests of networks, which are not known.

    Raises
    ------
    ValueError
        If predictions are not of these targets: another number of rows, NaN, unknown labels,
        probabilities that do not add up to 1.

    Warns
    -----
    UserWarning
        Naming the groups with fewer than `min_group_size` rows.

    See Also
    --------
    audit : The same from models.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune import audit_predictions
    >>> y, sex = np.array([0, 1] * 100), np.repeat(["f", "m"], 100)
    >>> pruned = np.where((sex == "f") & (np.arange(200) % 4 == 0), 1 - y, y)
    >>> report = audit_predictions(y, {"dense": y, "pruned": pruned}, sensitive_features=sex)
    >>> print(report.findings[0])
    pruned, by decisions: f (100 rows) pays most: accuracy drop +25.0 [...] points; ...
    """
    models, others = given_models(y, predictions, classes, retrained)
    index = y.index if isinstance(y, pd.Series) else pd.RangeIndex(len(y))
    rows = pd.DataFrame({"row": np.arange(len(y))}, index=index)
    settings = Settings(
        confidence, n_boot, min_group_size, random_state, negligible, pos_label, metrics
    )
    given = given_rows(rows, np.asarray(y), sensitive_features, sample_weight)
    if given.kept is not None:
        models = {name: model.of(given.kept) for name, model in models.items()}
        others = others and [model.of(given.kept) for model in others]
    audited, _ = measure_models(models, given, settings, others)
    return _numbered(AuditReport.of(audited), given)


def _numbered(report: AuditReport, given: Given) -> AuditReport:
    """The same with the changed rows numbered among all rows, also those of weight 0."""
    if given.kept is not None:
        for one in report.by_feature.values():
            if len(one.changed_rows):
                one.changed_rows["row"] = given.kept[one.changed_rows["row"]]
    return report
