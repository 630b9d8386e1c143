"""Why a group pays: gradients, curvature and closeness to the decision boundary."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import is_classifier

from ..estimators._inputs import read_fitted
from ..estimators.unwrap import fitted_pruner, unwrapped
from ..measurement.diagnosis import (
    GroupMeans,
    complete,
    dense_columns,
    draw,
    explanations,
    gather,
    gather_bounds,
)
from ..measurement.groups import as_tuple, feature_levels, group_rows
from ..measurement.quantities import PRUNED, Section, quantities
from ..measurement.settings import Settings, check_confidence, check_counts, is_real
from ..measurement.weights import given_rows
from ..statistics.worst import LEAST_ROWS
from .diagnosis_report import (
    DiagnosisReport,
    notes_on_bounds,
    notes_on_dense,
    too_few_groups,
    who_pays_most,
)


def diagnose(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    sensitive_features: Any = None,
    sample_weight: Any = None,
    sparsity: float | None = None,
    max_samples: int | None = None,
    bound_samples: int = 100,
    dtype: str | None = None,
    tol: float = 1e-3,
    max_products: int = 64,
    confidence: float = 0.95,
    n_boot: int = 2000,
    min_group_size: int = LEAST_ROWS,
    random_state: Any = 0,
) -> DiagnosisReport:
    r"""Say why pruning harms some groups more, or predict whom it will harm.

    For every group a of the rows :math:`D_a`, at the dense network :math:`\theta`: loss,
    norm of the gradient :math:`g_a`, largest eigenvalue :math:`\lambda(H_a)` of the
    Hessian, closeness to the decision boundary :math:`s(x) = 1 - \sum_k p_k^2`, margin
    between the two most probable classes; and with :math:`\Delta = \bar\theta - \theta`,
    what pruning took away before any fine-tuning: the second-order estimate
    :math:`R_2(a) = g_a \cdot \Delta + \frac12 \Delta^T H_a \Delta` and the bound of
    Theorem 1, :math:`\|g_a\| \|\Delta\| + \frac12 \max(\lambda, 0) \|\Delta\|^2`, beside
    the measured excessive loss R(a).

    Parameters
    ----------
    estimator : fitted estimator
        A `PrunedClassifier` or `PrunedRegressor`, a Pipeline or search that holds one, or
        a fitted skorch net, which counts as dense.
    X : array-like or torch Dataset
        Features, as `estimator` takes them. On training rows the diagnostics are those
        of the paper; on others they speak of people the network has not seen.
    y : array-like of shape (n,), default=None
        Targets; may be None if X is a Dataset.
    sensitive_features : array-like of shape (n,) or (n, k), default=None
        Group of every row; several columns mean their intersections. Without it the
        classes are the groups.
    sample_weight : array-like of shape (n,), default=None
        Weight of every row, as in `audit`: means, gradients and Hessians of the groups are
        then those of the weighted loss. Rows of weight 0 are left out.
    sparsity : float in (0, 1), default=None
        Diagnose *before pruning*: the dense network is masked at this sparsity with the
        estimator's `criterion` and `scope`, and R2 and the bound predict the damage.
        None diagnoses the pruned network that `estimator` holds.
    max_samples : int, default=None
        Rows of each group to use, drawn at random; None is all. Intervals widen with it.
        Curvature is biased upwards by it: by 6 to 8 % at 50 to 200 rows.
    bound_samples : int, default=100
        Rows of each group for the right sides of Proposition 2 and Theorem 2, which need
        the Hessian of every logit of every row; 0 leaves them out.
    dtype : {"float32", "float64"}, default=None
        What to compute in; None is the dtype of the estimator.
    tol : float, default=1e-3
        Tolerance of the eigenvalues, relative.
    max_products : int, default=64
        Hessian-vector products after which an eigenvalue is given up.
    confidence : float, default=0.95
        Level of every interval.
    n_boot : int, default=2000
        Bootstrap samples, drawn within the groups.
    min_group_size : int, default=75
        Groups of which fewer rows are used are not said to pay most.
    random_state : int, default=0
        Of the rows drawn and of the bootstrap.

    Returns
    -------
    report : DiagnosisReport
        Print it, or take its frames, `to_json` and `to_csv`. ``by_group`` has these
        columns, those marked * with ``_low`` and ``_high`` limits:

        - ``rows``: exact group size; ``rows_used``: those diagnosed;
        - ``dense_accuracy`` *, ``dense_loss`` *;
        - ``gradient_norm`` *, ``largest_eigenvalue`` *, ``eigenvalue_residual``,
          ``eigenvalue_converged``, ``hessian_products``;
        - ``closeness`` *, ``margin`` *;
        - ``excessive_loss`` *: R(a) of the pruned network after fine-tuning, and
          ``excess_accuracy_gap`` *;
        - ``masked_excessive_loss`` *: R(a) of the dense network with the weights removed
          and nothing else changed, which the next two are about;
        - ``second_order`` *: R2(a); ``theorem1_bound`` *;
        - ``gradient_norm_bound`` * and ``eigenvalue_bound`` *: right sides of
          Proposition 2 and of Theorem 2 in its corrected form;
        - * the means of every other diagnostic of
          `sklearn_fairprune.functional.DIAGNOSTICS` with `by_group`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the input is unusable.

    Notes
    -----
    The network is in evaluation mode; the loss is the cross-entropy without class weights
    (the net's own criterion for a regressor). Theorem 1 leaves out a term of third order,
    so the bound is an estimate, not a certificate: compare it with the measured
    column beside it.

    Intervals are percentile bootstrap intervals over the rows. Those of gradient norm and
    eigenvalue come from the derivatives along the gradient and along the top eigenvector,
    whose row means they are (the delta method). They do not cover a bias: a gradient norm
    of few rows is too large because noise has a norm too.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022: Theorem 1, Proposition 2, Theorem 2. Proposition 2 and Theorem 2 are
    given for the logits, in place of the probabilities, for which they fail. Excess
    accuracy gap: Hashemizadeh et al., "Balancing Act", ICLR 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier, diagnose
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
    >>> report = diagnose(clf, X, y, n_boot=200, bound_samples=10)
    >>> report.by_group["rows"].tolist()
    [50, 50, 50]
    >>> bool((report.by_group.second_order <= report.by_group.theorem1_bound).all())
    True
    >>> before = diagnose(clf, X, y, sparsity=0.5, n_boot=200, bound_samples=0)
    >>> "excessive_loss" in before.by_group
    False
    """
    check_options(
        sparsity=sparsity,
        max_samples=max_samples,
        bound_samples=bound_samples,
        dtype=dtype,
        tol=tol,
        max_products=max_products,
        confidence=confidence,
        n_boot=n_boot,
        min_group_size=min_group_size,
        random_state=random_state,
    )
    given = given_rows(X, y, sensitive_features, sample_weight)
    weights = None if given.weights is None else torch.as_tensor(given.weights)
    pruner, X, y = fitted_pruner(estimator, given.X, given.y)
    rows = read_fitted(pruner, X, y)
    classifies = is_classifier(pruner)
    targets = pruner.classes_[rows.y.numpy()] if classifies else rows.y.numpy()
    names, codes, labels = group_rows(given.sensitive_features, targets, classifies)
    rng = np.random.default_rng(random_state)
    groups = draw(codes, len(labels), max_samples, rng)
    solver: dict[str, Any] = {"tol": tol, "max_products": max_products}
    evidence = gather(
        pruner, rows, groups, sparsity=sparsity, dtype=dtype, weights=weights, **solver
    )
    means = GroupMeans(evidence.columns, groups, confidence, n_boot, rng, weights)
    sizes, mass = np.bincount(codes), np.bincount(codes, weights=given.weights)
    complete(means, evidence, mass / mass.sum())
    worth = {} if weights is None else {"effective_rows": means.effective}
    table = {"rows": sizes, "rows_used": means.sizes} | worth
    table |= dense_columns(means, evidence)
    notes = notes_on_dense(evidence, table, labels)
    findings, correlations = [], pd.DataFrame()
    if evidence.distance is not None:
        table |= means.table(*PRUNED)
        findings = who_pays_most(means, table, labels, min_group_size)
        correlations = explanations(means, sizes, random_state)
        if len(labels) > 1:
            notes += too_few_groups(correlations, len(labels), confidence)
    if bound_samples and evidence.dense.has_logits:
        most = min(bound_samples, max_samples or bound_samples)
        drawn = draw(codes, len(labels), most, rng)
        terms, unsure = gather_bounds(evidence, rows, drawn, **solver)
        bounds = GroupMeans(terms, drawn, confidence, n_boot, rng, weights)
        table |= bounds.table(Section.BOUNDS)
        notes += notes_on_bounds(drawn, sizes, unsure)
    by_group = pd.DataFrame(table, index=_index(labels, names))
    about = {
        "sparsity": evidence.sparsity,
        "predicted": sparsity is not None,
        "n_parameters": sum(p.numel() for p in evidence.dense.params.values()),
        "displacement_norm": evidence.distance,
        "rows": len(codes),
        "loss": "cross-entropy" if evidence.dense.has_logits else "criterion of the net",
        "confidence": confidence,
        "n_boot": n_boot,
        "random_state": random_state,
    }
    notes += given.notes
    return DiagnosisReport(by_group, correlations, findings, notes, about | given.about)


def _index(labels, names):
    """Index of a table of groups."""
    if len(names) == 1:
        return pd.Index(labels, name=names[0])
    return pd.MultiIndex.from_tuples([as_tuple(label) for label in labels], names=names)


def check_options(
    *,
    sparsity: float | None = None,
    max_samples: int | None = None,
    bound_samples: int = 100,
    dtype: str | None = None,
    tol: float = 1e-3,
    max_products: int = 64,
    confidence: float = 0.95,
    n_boot: int = 2000,
    min_group_size: int = LEAST_ROWS,
    random_state: Any = 0,
) -> None:
    """Refuse options of `diagnose` that are out of their range, and unusable diagnostics.

    Raises
    ------
    ValueError
        Naming the option or diagnostic, what it must be and what was given.
    """
    quantities()
    if sparsity is not None and not (is_real(sparsity) and 0 < sparsity < 1):
        raise ValueError(
            "sparsity is the share of weights to remove and must be in (0, 1), or None to "
            f"diagnose the pruned network, got {sparsity!r}. Use 0.9, not 90, for 90 %."
        )
    if dtype not in (None, "float32", "float64"):
        raise ValueError(f"dtype must be 'float32', 'float64' or None, got {dtype!r}.")
    if not (is_real(tol) and 0 <= tol < 1):
        raise ValueError(f"tol must be in [0, 1), such as 1e-3, got {tol!r}.")
    check_confidence(confidence)
    check_counts(
        max_samples=(1 if max_samples is None else max_samples, 1),
        bound_samples=(bound_samples, 0),
        max_products=(max_products, 1),
        n_boot=(n_boot, 2),
        min_group_size=(min_group_size, 0),
        random_state=(random_state, 0),
    )


def why_options(explain: bool | dict[str, Any], settings: Settings) -> dict[str, Any] | None:
    """Read the `explain` of an audit, before anything is measured.

    Parameters
    ----------
    explain : bool or dict
        Options of `diagnose`; True takes those of the audit.
    settings : Settings
        Of the audit.

    Returns
    -------
    options : dict or None
        None if nothing is to be explained.

    Raises
    ------
    ValueError
        If it is neither, or an option is unknown or unusable.
    """
    if isinstance(explain, (bool, np.bool_)):
        if not explain:
            return None
        explain = {}
    elif not isinstance(explain, Mapping):
        raise ValueError(
            "explain must be True, False or a dict of options of diagnose, such as "
            f"{{'max_samples': 200}}, got {explain!r}."
        )
    known = [n for n in inspect.signature(check_options).parameters if n != "sparsity"]
    if unknown := [name for name in explain if name not in known]:
        raise ValueError(f"explain has unknown options {unknown}; it can have {known}.")
    options: dict[str, Any] = {"bound_samples": 0, "n_boot": settings.n_boot}
    shared = ("confidence", "min_group_size", "random_state")
    options |= {name: getattr(settings, name) for name in shared}
    options |= explain
    check_options(**options)
    return options


def why_tables(
    models: dict[str, Any],
    X: Any,
    y: Any,
    sensitive_features: Any,
    sample_weight: Any = None,
    **options: Any,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Diagnose every pruned model.

    Parameters
    ----------
    models : dict of str to fitted estimator
        The dense model first, which is passed over.
    X, y, sensitive_features, sample_weight
        As in `diagnose`.
    **options
        Of `diagnose`.

    Returns
    -------
    tables : dict of str to DataFrame
        ``why``, the ``by_group`` tables of the diagnoses below each other, and
        ``explanations``; both indexed by ``model`` first. Empty if nothing could be
        diagnosed.
    notes : list of str
        Of the diagnoses, each once, and which models have none and why.
    """
    why, correlations, notes = {}, {}, []
    for name, model in list(models.items())[1:]:
        try:
            inner, _, _ = unwrapped(model)
        except TypeError:
            notes.append(f"{name}: there is no pruned network inside to explain.")
            continue
        if getattr(inner, "sparsity_", 0) == 0:
            continue
        try:
            report = diagnose(
                model,
                X,
                y,
                sensitive_features=sensitive_features,
                sample_weight=sample_weight,
                **options,
            )
        except ValueError as error:
            notes.append(f"{name} could not be explained: {error}")
            continue
        levels = feature_levels(report.by_group.index.names)
        why[name] = report.by_group.rename_axis(levels)
        correlations[name] = report.explanations
        notes += [note for note in report.notes if note not in notes]
    tables = {"why": why, "explanations": correlations}
    return {
        name: pd.concat(frames, names=["model"]) if frames else pd.DataFrame()
        for name, frames in tables.items()
    }, notes
