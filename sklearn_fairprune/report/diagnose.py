"""Why a group pays: gradients, curvature and closeness to the decision boundary."""

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

from ..estimators.fitted import fitted_pruner
from ..functional.bounds import theorem1_bound
from ..measurement.groups import as_tuple, group_rows
from ..measurement.settings import check_confidence, check_counts, is_real
from ..statistics.intervals import proportion_interval
from .evidence import GroupMeans, draw, gather, gather_bounds
from .explanations import Explanation, explain
from .remarks import notes_on_bounds, notes_on_dense, too_few_groups, who_pays_most
from .report import Report
from .text import diagnosis_as_text


class DiagnosisReport(Report):
    """Result of `diagnose`.

    Parameters
    ----------
    by_group : DataFrame
        One row per group.
    explanations : DataFrame
        One row per quantity that may explain which groups pay.
    findings : list of str
        Who pays most, measured or predicted, and whether the data can tell.
    notes : list of str
        What a reader must know: eigenvalues that did not converge, rows left out.
    about : dict
        Sparsity, size of the displacement, gaps between the groups, settings.

    Attributes
    ----------
    by_group, explanations, findings, notes, about
        As above.
    """

    _frames = ("by_group", "explanations")

    def __init__(self, by_group, explanations, findings, notes, about):
        self.by_group, self.explanations = by_group, explanations
        self.findings, self.notes, self.about = findings, notes, about

    def __str__(self):
        """Tables, findings and notes as plain text."""
        return diagnosis_as_text(self)

    def __repr__(self):
        """Say how many groups there are, and at which sparsity."""
        return f"<DiagnosisReport of {len(self.by_group)} groups, {self.about['sparsity']:g}>"


def diagnose(
    estimator,
    X,
    y=None,
    *,
    sensitive_features=None,
    sparsity=None,
    max_samples=None,
    bound_samples=100,
    dtype=None,
    tol=1e-3,
    max_products=64,
    confidence=0.95,
    n_boot=2000,
    random_state=0,
):
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
          Proposition 2 and of Theorem 2 in its corrected form.

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
        random_state=random_state,
    )
    pruner, X = fitted_pruner(estimator, X, y)
    rows, _ = pruner._training_rows(X, y, None, None, reset=False, known=vars(pruner))
    classifies = is_classifier(pruner)
    targets = pruner.classes_[rows.y.numpy()] if classifies else rows.y.numpy()
    names, codes, labels = group_rows(sensitive_features, targets, classifies)
    rng = np.random.default_rng(random_state)
    groups = draw(codes, len(labels), max_samples, rng)
    solver = {"tol": tol, "max_products": max_products}
    evidence = gather(pruner, rows, groups, sparsity=sparsity, dtype=dtype, **solver)
    means = GroupMeans(evidence.columns, groups, confidence, n_boot, rng)
    table = {"rows": np.bincount(codes), "rows_used": np.array([len(g) for g in groups])}
    table |= _dense_columns(evidence, means, table["rows_used"])
    notes = notes_on_dense(evidence, table, labels)
    findings, explanations = [], pd.DataFrame()
    if evidence.distance is not None:
        table |= _damage_columns(evidence, means, table)
        findings = who_pays_most(means, table, labels)
        explanations = _explanations(evidence, means, table, random_state)
        if len(labels) > 1:
            notes += too_few_groups(explanations, len(labels), confidence)
    if bound_samples and evidence.dense.has_logits:
        few = draw(codes, len(labels), min(bound_samples, max_samples or np.inf), rng)
        terms, unsure = gather_bounds(evidence, rows, few, **solver)
        bounds = GroupMeans(terms, few, confidence, n_boot, rng)
        table |= bounds.with_limits("gradient_norm_bound", "eigenvalue_bound")
        notes += notes_on_bounds(few, table["rows"], unsure)
    index = pd.Index(labels, name=names[0])
    if len(names) > 1:
        index = pd.MultiIndex.from_tuples([as_tuple(label) for label in labels], names=names)
    by_group = pd.DataFrame(table, index=index)
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
    return DiagnosisReport(by_group, explanations, findings, notes, about)


def _dense_columns(evidence, means, sizes):
    """Columns about the dense network."""
    table = {}
    if "dense_accuracy" in means.values:
        accuracy = means.values["dense_accuracy"]
        right = np.rint(accuracy * sizes).astype(int)
        limits = [
            proportion_interval(k, n, means.confidence)
            for k, n in zip(right, sizes, strict=True)
        ]
        low, high = np.transpose(limits)
        table |= {"dense_accuracy": accuracy}
        table |= {"dense_accuracy_low": low, "dense_accuracy_high": high}
    table |= means.with_limits("dense_loss")
    curvatures = evidence.curvatures
    table["gradient_norm"] = np.array([c.gradient_norm for c in curvatures])
    table |= means.limits("gradient_norm")
    table["largest_eigenvalue"] = np.array([c.eigenvalue.value for c in curvatures])
    table |= means.limits("largest_eigenvalue")
    table["eigenvalue_residual"] = np.array([c.eigenvalue.residual for c in curvatures])
    table["eigenvalue_converged"] = np.array([c.eigenvalue.converged for c in curvatures])
    table["hessian_products"] = np.array([c.eigenvalue.n_products for c in curvatures])
    of_logits = [name for name in ("closeness", "margin") if name in means.values]
    return table | means.with_limits(*of_logits)


def _damage_columns(evidence, means, table):
    """Columns about what pruning does: measured, estimated, bounded."""
    columns = {}
    if "excessive_loss" in means.values:
        columns |= means.with_limits("excessive_loss")
    if "accuracy_drop" in means.values:
        share = table["rows"] / table["rows"].sum()
        drop, samples = means.values["accuracy_drop"], means.samples["accuracy_drop"]
        columns["excess_accuracy_gap"] = drop - drop @ share
        overall = np.where(np.isnan(samples), drop, samples) @ share
        columns |= means.limits("excess_accuracy_gap", samples - overall[:, None])
    columns |= means.with_limits("masked_excessive_loss", "second_order")
    means.samples["theorem1_bound"] = theorem1_bound(
        np.maximum(means.samples["gradient_norm"], 0),
        means.samples["largest_eigenvalue"],
        evidence.distance,
    ).numpy()
    columns["theorem1_bound"] = theorem1_bound(
        table["gradient_norm"], table["largest_eigenvalue"], evidence.distance
    ).numpy()
    return columns | means.limits("theorem1_bound")


def _explanations(evidence, means, table, random_state):
    """Rank correlations of each damage measured with what may explain it."""
    signs = {
        "gradient_norm": 1,
        "largest_eigenvalue": 1,
        "closeness": 1,
        "margin": -1,
        "dense_loss": 1,
        "dense_accuracy": -1,
        "second_order": 1,
        "theorem1_bound": 1,
    }
    several = table["rows_used"] > 1  # what one row says of its group cannot be known
    candidates = {
        name: Explanation(table[name][several], means.samples[name][:, several], sign)
        for name, sign in signs.items()
        if name in table
    }
    candidates["rows"] = Explanation(table["rows"][several], None, -1)
    damages = [d for d in ("excessive_loss", "masked_excessive_loss") if d in table]
    tables = {
        damage: explain(
            table[damage][several],
            means.samples[damage][:, several],
            candidates,
            confidence=means.confidence,
            random_state=random_state,
        )
        for damage in damages
    }
    return pd.concat(tables, names=["damage"])


def check_options(
    *,
    sparsity=None,
    max_samples=None,
    bound_samples=100,
    dtype=None,
    tol=1e-3,
    max_products=64,
    confidence=0.95,
    n_boot=2000,
    random_state=0,
):
    """Refuse options of `diagnose` that are out of their range, by name.

    Raises
    ------
    ValueError
        Naming the option, what it must be and what was given.
    """
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
        random_state=(random_state, 0),
    )
