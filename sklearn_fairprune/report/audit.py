"""What pruning costs each group, on held-out rows."""

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.utils import check_consistent_length, column_or_1d

from ..estimators.outcomes import estimator_outcomes
from .groups import as_tuple, group_rows, small_groups
from .measures import HeldOut
from .models import named_models
from .report import Report
from .text import as_text, payer_sentence


class AuditReport(Report):
    """Result of `audit`.

    Parameters
    ----------
    by_group : DataFrame
        One row per model and group: rows, accuracy, loss, excessive_loss, accuracy_drop,
        each with its ``_low`` and ``_high`` limit.
    overall : DataFrame
        One row per model: accuracy, balanced_accuracy, loss, fairness_violation,
        accuracy_spread with limits, accuracy_ratio and classes_predicted.
    findings : list of str
        Who pays most in each model, and whether the data can tell.
    notes : list of str
        What a reader must know: small groups, models that predict one class.
    about : dict
        Confidence level, bootstrap samples, seed and whatever the caller added.

    Attributes
    ----------
    by_group, overall, findings, notes, about
        As above.
    """

    _frames = ("by_group", "overall")

    def __init__(self, by_group, overall, findings, notes, about):
        self.by_group, self.overall = by_group, overall
        self.findings, self.notes, self.about = findings, notes, about

    def __str__(self):
        """Tables, findings and notes as plain text."""
        return as_text(self)

    def __repr__(self):
        """Say how many models and groups there are."""
        groups = self.by_group.index.droplevel("model").nunique()
        return f"<AuditReport of {len(self.overall)} models and {groups} groups>"


def audit(
    models,
    X,
    y,
    *,
    sensitive_features=None,
    confidence=0.95,
    n_boot=2000,
    min_group_size=30,
    random_state=0,
):
    r"""Measure what pruning costs each group.

    For every model and group a: accuracy, loss :math:`J(D_a)`, excessive loss
    :math:`R(a) = J(\bar\theta; D_a) - J(\theta; D_a)` against the dense model, accuracy
    drop; for every model: accuracy, balanced accuracy, fairness violation
    :math:`\xi = \max_{a,a'}|R(a) - R(a')|` and accuracy spread, all with intervals.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        The dense model first; or what ``pruning_path`` returned.
    X : array-like
        Features of rows that no model was fitted on.
    y : array-like of shape (n,)
        Targets.
    sensitive_features : array-like of shape (n,) or (n, k), default=None
        Group of every row; several columns mean their intersections. Without it the
        classes are the groups.
    confidence : float, default=0.95
        Level of every interval.
    n_boot : int, default=2000
        Bootstrap samples, drawn within the groups.
    min_group_size : int, default=30
        Smaller groups are warned about; they stay in the report.
    random_state : int, default=0
        Of the bootstrap.

    Returns
    -------
    report : AuditReport
        Print it, or take its frames, `to_json` and `to_csv`.

    Warns
    -----
    UserWarning
        Naming the groups with fewer than `min_group_size` rows.

    Notes
    -----
    Group accuracies have Clopper-Pearson intervals, accuracy drops Newcombe's for paired
    proportions, the accuracy spread an interval from all group intervals at once;
    losses, excessive losses and balanced accuracy have percentile bootstrap intervals,
    and the fairness violation a band that holds for all pairs of groups at once. Who pays
    most is told by a Student interval with the bootstrap standard error, at a level that
    holds for all groups at once. They cover the drawing of the held-out rows, not the
    randomness of the training.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier, audit
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(random_state=0)
    >>> path = clf.pruning_path(X[::2], y[::2], sparsities=[0, 0.9])
    >>> report = audit(path, X[1::2], y[1::2], min_group_size=20)
    >>> report
    <AuditReport of 2 models and 3 groups>
    >>> report.by_group["rows"].tolist()
    [25, 25, 25, 25, 25, 25]
    """
    models, sparsities = named_models(models)
    classifies = all(is_classifier(m) for m in models.values())
    y = column_or_1d(y) if classifies else np.asarray(y)
    check_consistent_length(X, y)
    names, groups, labels = group_rows(sensitive_features, y, classifies)
    outcomes = [estimator_outcomes(model, X, y) for model in models.values()]
    losses = np.column_stack([loss for loss, _ in outcomes])
    predicted = correct = None
    if classifies:
        predicted = np.column_stack([labels for _, labels in outcomes])
        correct = (predicted == y[:, None]).astype(float)
    rng = np.random.default_rng(random_state)
    rows = HeldOut(losses, correct, y, groups, len(labels), confidence, n_boot, rng)
    notes = small_groups(labels, rows.sizes, min_group_size)
    tables, totals = [], []
    for k, sparsity in enumerate(sparsities):
        table, total = rows.loss_measures(k)
        if classifies:
            columns, more = rows.accuracy_measures(k)
            table, total = columns | table, more | total
            total["classes_predicted"] = len(np.unique(predicted[:, k]))
        tables.append(pd.DataFrame({"rows": rows.sizes} | table))
        totals.append({"rows": len(y), "sparsity": sparsity} | total)
    overall = pd.DataFrame(totals, index=pd.Index(list(models), name="model"))
    index = [(model, *as_tuple(label)) for model in models for label in labels]
    index = pd.MultiIndex.from_tuples(index, names=["model", *names])
    findings = [_who_pays(name, labels, rows, k) for k, name in enumerate(models) if k > 0]
    about = {
        "confidence": confidence,
        "n_boot": n_boot,
        "random_state": random_state,
        "rows": len(y),
        "dense_model": overall.index[0],
        "loss": "cross-entropy" if classifies else "squared error",
    }
    if classifies and len(np.unique(y)) > 1:
        notes += _broken(overall, predicted)
    return AuditReport(pd.concat(tables).set_index(index), overall, findings, notes, about)


def _broken(overall, predicted):
    """Name the classifiers that predict one class only."""
    return [
        f"{name} predicts only {column[0]}: it is broken, and its equal treatment of the "
        "groups means nothing."
        for name, column in zip(overall.index, predicted.T, strict=True)
        if overall.loc[name, "classes_predicted"] == 1
    ]


def _who_pays(name, labels, rows, k):
    """Say which group pays most, if the interval of its distance to the others can tell."""
    if rows.m == 1:
        return f"{name}: one group only, nothing to compare."
    top = rows.payer(k)
    a = top[0]
    sentence = payer_sentence(
        labels[a], rows.sizes[a], rows.excess[a, k], top, "excessive loss"
    )
    return f"{name}: {sentence}"
