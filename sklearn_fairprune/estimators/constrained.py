"""Pruning under a constraint on group losses: the mitigation, as a meta-estimator."""

import numbers
from collections.abc import Sequence
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import Interval, OnShelf, StrOptions, fit_context
from ..functional.constraints import CONSTRAINTS
from ..functional.shelf import lists_members
from . import _constraining
from ._inputs import Data
from ._stages import STAGES
from ._wrapper import PrunerWrapper
from .path import PruningPath


@lists_members(constraint=CONSTRAINTS)
class GroupConstrainedPruner(PrunerWrapper):
    r"""Prune under a constraint on the losses of the groups.

    The pruned network minimises its loss subject to :math:`g_a \le \epsilon` for every group
    a, by the Lagrangian dual method [1]_ [2]_: the weights descend, multipliers
    :math:`\lambda_a` ascend on

    .. math:: J(\theta; D) + \sum_a \lambda_a (g_a(\theta) - \epsilon).

    The paper's constraint is ``equal_loss`` [1]_; see [3]_ for ``accuracy_gap``, [4]_ for
    ``bounded_group_loss``, whose bound is `tolerance`, and [5]_ for ``minimax``. Where errors
    are constrained, the weights step on losses in their place.

    A constraint met on the training rows is not met on others by that: see `holdout`, and
    measure with `audit` on rows that the fit has not seen.

    Parameters
    ----------
    estimator : PrunedClassifier or PrunedRegressor
        What to train and prune; cloned. A fitted one in a `FrozenEstimator` keeps its network
        but for the last layer: ``"last_layer"`` and ``"shift"`` then cost no training.
    constraint : str or callable, default="equal_loss"
        A name of the list, or a function (or record) of the same form: the first argument is
        ``losses`` or ``errors``, a tensor with the mean of each group; other arguments
        without default ask for more of ``losses``, ``errors``, ``dense_losses``,
        ``dense_errors``, ``shares``; it returns a tensor of violations, one a group.
    stage : str, default="after"
        When the constraint acts. ``"before"``, ``"after"``, ``"both"``: while the dense
        network trains, while the pruned one is fine-tuned, in both. ``"last_layer"``: after
        all training, the last linear layer is refitted under it, the rest as it is [7]_;
        ``"shift"``: only its biases are, which adds a constant to each output.
        ``"after+last_layer"``, ``"after+shift"``: the fine-tuning, and then that. Constraints
        that compare with the dense network cannot act while it trains.
    tolerance : float, default=None
        :math:`\epsilon`: the violation that is allowed, in units of the loss, or as a share
        of the rows (0.02 is 2 points of accuracy). None is a tenth of the mean loss, or of
        the error rate, whichever is constrained. ``inf`` trains without constraint, to the
        last bit.
    dual_update : {"adaptive", "projected", "signed", "absolute"}, default="adaptive"
        ``"adaptive"`` steps on the weights of the rows, in units of the mean loss, by what
        of a violation is more than chance; see Notes. The others step on
        :math:`\lambda_a` in the unit of the violation: ``"projected"`` keeps
        :math:`\lambda_a \ge 0`; ``"signed"`` constrains :math:`|g_a| \le \epsilon` with
        multipliers of either sign; ``"absolute"`` is the paper's own Lagrangian, with
        :math:`\lambda_a |g_a|` of every batch and multipliers that never fall. The last two
        may also make groups worse.
    dual_lr : float, default=None
        Step size. Of ``"adaptive"``, what a violation as large as the mean loss adds to the
        weight of a row over a whole training; None is 2. Of the others, what a violation of
        1 adds to a multiplier in an epoch; None is 0.3.
    noise : float, default=2.0
        Standard errors of a violation that ``"adaptive"`` takes for chance.
    min_row_weight, max_row_weight : float, default=0.5, 4.0
        What the weight of a row stays within under ``"adaptive"``, and in the last layer;
        without constraint it is 1.
    dual_optimizer : {"ascent", "nupi"}, default="nupi"
        Of the other updates: gradient ascent, or its proportional-integral form, which
        overshoots less [6]_.
    dual_steps : int, default=10
        Steps of the multipliers in an epoch, as nearly as whole batches allow; 1 is the
        paper's.
    window : float in (0, 1], default=0.5
        Part of an epoch that the running mean of each group goes back when the
        multipliers step. It counts the group's own rows, so that small groups are
        averaged over as many batches as it takes.
    max_multiplier : float, default=1.0
        Bound on the sum of the multipliers, but for ``"adaptive"``. Up to 1, constraints on
        differences to the mean never give any row a negative weight.
    nupi_gain, nupi_smoothing : float, default=3.0, 0.0
        :math:`\kappa` and :math:`\nu` of ``dual_optimizer="nupi"``.
    holdout : float in [0, 1), default=0.0
        Share of each group that the weights never see and the multipliers step on; then
        ``outcome_`` is about rows that are new to the network. Without it ``"last_layer"``
        and ``"shift"`` look at each training row under a layer that has not seen it (of five
        folds), but the layers before have: of a network that knows its training rows by heart
        they learn nothing, and hold some out. A group of one row stays in training and steps
        on that. What a FrozenEstimator has seen before cannot be undone: give rows that are
        new to it.
    max_accuracy_loss : float, default=0.01
        Accuracy (of a regressor, R^2) that ``"last_layer"`` or ``"shift"`` may cost on the
        rows that they look at. Where nothing surely narrows the largest violation within it,
        the network stays as it was.
    refit : bool, default=False
        Whether to train once more, on all rows, with the row weights found while some were
        held out. Violations of held-out rows are then those of the first network.

    Attributes
    ----------
    estimator_ : PrunedClassifier or PrunedRegressor
        Fitted.
    outcome_ : str or None
        What became of the constraint, on held-out rows if there are any: ``"met"``, where
        the upper 95 % limit of every group's violation is within the tolerance;
        ``"met_by_pruning_alone"``, where in addition no row weight ever left 1 by more than
        0.05; ``"not_met"``, where a group is surely above the tolerance; ``"overshot"``, where
        one is that was given less weight, or one given more is surely below it;
        ``"cannot_tell"``. None under "minimax", which has nothing to meet.
    constraint_satisfied_ : bool or None
        Whether no violation on those rows is above the tolerance, chance apart; in absolute
        value under "signed" and "absolute". A violation that is NaN is.
    violations_ : DataFrame of shape (m, 1) or (m, 2)
        :math:`g_a` of each group under the final network, over all rows of ``train`` and of
        ``holdout``; never of a batch. NaN for a group without held-out rows.
    violation_limits_ : DataFrame of shape (m, 2)
        One-sided 95 % limits ``low`` and ``high`` of the last column of ``violations_``.
    tolerance_ : float
        :math:`\epsilon`.
    multipliers_ : Series of shape (m,)
        Last multiplier of each group: of whatever came last under the constraint.
    row_weights_ : DataFrame of shape (m, 2)
        ``lowest`` and ``highest`` weight that each group's rows ever had.
    history_ : DataFrame
        One row per epoch and group: ``epoch``, ``stage`` ("dense", "finetune", "shift" or
        "last_layer", whose epochs are rounds), ``group``, ``loss`` and ``violation`` over the
        rows of the epoch as they were trained on, ``multiplier`` at its end; with `holdout`
        also ``holdout_loss`` and ``holdout_violation``.
    classes_, groups_, sparsity_, masks_, dense_estimator_ : object
        Those of ``estimator_``, as are ``skipped_weights_`` and ``prunable_share_``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Only if X has string column names.

    See Also
    --------
    PrunedClassifier : Pruning without a constraint.
    sklearn_fairprune.audit : What pruning costs each group, on held-out rows.
    sklearn_fairprune.functional.CONSTRAINTS : The constraints as functions.

    Notes
    -----
    The gradient of the Lagrangian is that of a mean over rows whose weight depends on the
    group alone, :math:`1 + \frac{1}{\pi_a} \sum_b \lambda_b \frac{\partial g_b}{\partial
    J_a}` with the group's share :math:`\pi_a`; so an epoch costs about the same for any
    number of groups. ``"adaptive"`` takes :math:`\lambda_a = f \pi_a \mu_a`, where
    :math:`\mu_a` steps as in `functional.relative_step` and :math:`f \le 1` keeps every row's
    weight above `min_row_weight`: it is the same for a loss in another unit and for groups of
    any number and size, and groups that differ by chance alone keep their weights. Doubling
    every row changes nothing but with `noise`, which counts rows.

    The paper's setting is ``dual_update="absolute", dual_optimizer="ascent", dual_steps=1,
    tolerance=0, max_multiplier=inf``; its `dual_lr` is not known. How the defaults were chosen
    stands in ``benchmarks/dual_defaults.py``.

    Which stage when (``benchmarks/mitigation_fronts.py``): where the groups are the labels,
    the last layer of a distilled network (``recovery="distill"``), under ``equal_accuracy``
    with ``tolerance=0`` and a `max_accuracy_loss` chosen on validation rows, narrowed the
    spread of accuracies most, but for group DRO, which cost more. It leaves more of the spread
    of excessive losses than distillation alone. On tables of people nothing did much: look at
    ``outcome_``.

    Without `sensitive_features` the classes are the groups.

    References
    ----------
    .. [1] Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
           NeurIPS 2022, problem (8).
    .. [2] Fioretto, Van Hentenryck, Mak, Tran, Baldo, Lombardi, "Lagrangian duality for
           constrained deep learning", ECML-PKDD 2020.
    .. [3] Hashemizadeh et al., "Balancing Act: Constraining Disparate Impact in Sparse
           Models", ICLR 2024.
    .. [4] Agarwal, Dudik, Wu, "Fair regression: quantitative definitions and
           reduction-based algorithms", ICML 2019.
    .. [5] Sagawa, Koh, Hashimoto, Liang, "Distributionally robust neural networks", ICLR
           2020.
    .. [6] Sohrabi et al., "On PI controllers for updating Lagrange multipliers in
           constrained optimization", ICML 2024.
    .. [7] Kirichenko, Izmailov, Wilson, "Last layer re-training is sufficient for robustness
           to spurious correlations", ICLR 2023. That its group weights step is the toolkit's.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_classification
    >>> from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier
    >>> X, y = make_classification(600, random_state=0)
    >>> flipped = np.random.default_rng(0).random(600) < 0.2
    >>> y = np.where(flipped & (X[:, 0] > 0), 1 - y, y)  # labels of one group are noisy
    >>> clf = PrunedClassifier(sparsity=0.9, random_state=0)
    >>> pruner = GroupConstrainedPruner(clf, constraint="bounded_group_loss", tolerance=0.7)
    >>> pruner.fit(X, y, sensitive_features=np.where(X[:, 0] > 0, "noisy", "clean"))
    GroupConstrainedPruner(...)
    >>> pruner.constraint_satisfied_, pruner.multipliers_.index.tolist()
    (True, ['clean', 'noisy'])
    >>> pruner.history_.columns.tolist()
    ['epoch', 'stage', 'group', 'loss', 'violation', 'multiplier']
    """

    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__predict = {"sensitive_features": True}

    _parameter_constraints = {
        "estimator": "no_validation",  # check_pruner gives a better message
        "constraint": [OnShelf(CONSTRAINTS), callable],
        "stage": [StrOptions(set(STAGES))],
        "tolerance": [Interval(numbers.Real, 0, None, closed="both"), None],
        "dual_update": [StrOptions({"adaptive", "projected", "signed", "absolute"})],
        "dual_lr": [Interval(numbers.Real, 0, None, closed="left"), None],
        "noise": [Interval(numbers.Real, 0, None, closed="left")],
        "min_row_weight": [Interval(numbers.Real, 0, 1, closed="left")],
        "max_row_weight": [Interval(numbers.Real, 1, None, closed="left")],
        "dual_optimizer": [StrOptions({"ascent", "nupi"})],
        "dual_steps": [Interval(numbers.Integral, 1, None, closed="left")],
        "window": [Interval(numbers.Real, 0, 1, closed="right")],
        "max_multiplier": [Interval(numbers.Real, 0, None, closed="right")],
        "nupi_gain": [Interval(numbers.Real, 0, None, closed="left")],
        "nupi_smoothing": [Interval(numbers.Real, 0, 1, closed="left")],
        "holdout": [Interval(numbers.Real, 0, 1, closed="left")],
        "max_accuracy_loss": [Interval(numbers.Real, 0, 1, closed="both")],
        "refit": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        constraint: Any = "equal_loss",
        stage: str = "after",
        tolerance: float | None = None,
        dual_update: str = "adaptive",
        dual_lr: float | None = None,
        noise: float = 2.0,
        min_row_weight: float = 0.5,
        max_row_weight: float = 4.0,
        dual_optimizer: str = "nupi",
        dual_steps: int = 10,
        window: float = 0.5,
        max_multiplier: float = 1.0,
        nupi_gain: float = 3.0,
        nupi_smoothing: float = 0.0,
        holdout: float = 0.0,
        max_accuracy_loss: float = 0.01,
        refit: bool = False,
    ) -> None:
        self.estimator = estimator
        self.constraint = constraint
        self.stage = stage
        self.tolerance = tolerance
        self.dual_update = dual_update
        self.dual_lr = dual_lr
        self.noise = noise
        self.min_row_weight = min_row_weight
        self.max_row_weight = max_row_weight
        self.dual_optimizer = dual_optimizer
        self.dual_steps = dual_steps
        self.window = window
        self.max_multiplier = max_multiplier
        self.nupi_gain = nupi_gain
        self.nupi_smoothing = nupi_smoothing
        self.holdout = holdout
        self.max_accuracy_loss = max_accuracy_loss
        self.refit = refit

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train, prune and fine-tune under the constraint.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Features.
        y : array-like of shape (n_samples,), default=None
            Targets; may be None if X is a Dataset.
        sensitive_features : array-like of shape (n_samples,) or (n_samples, k), default=None
            Group of every row; several columns mean their intersections. Without it the
            classes are the groups (a regressor has one group: nothing to do).
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights of the loss, and of every group's mean.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If `estimator` is no pruner.
        ValueError
            If parameters contradict each other, the input is unusable, or training
            diverges; the estimator is then not fitted.

        Warns
        -----
        ConvergenceWarning
            If the constraint is not met, naming the groups; and as `PrunedClassifier`.
        """
        data = Data(X, y, sensitive_features, sample_weight)
        return _constraining.fit(self, data)

    @fit_context(prefer_skip_nested_validation=False)
    def prune(
        self,
        X: Any = None,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        sparsity: float | None = None,
    ) -> Self:
        """Prune again, from the kept dense weights.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`, to fine-tune on. Without X the weights are only masked; y may be
            missing where nothing needs targets, as in `PrunedClassifier.prune`. Without
            either nothing is known of violations: ``violations_`` and
            ``constraint_satisfied_`` go, and so do ``multipliers_``, unless they are of the
            dense training.
        sparsity : float in [0, 1), default=None
            Share of weights to remove; None means that of the estimator.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        check_is_fitted(self)
        data = Data(X, y, sensitive_features, sample_weight)
        return _constraining.prune_again(self, data, sparsity)

    @fit_context(prefer_skip_nested_validation=False)
    def pruning_path(
        self,
        X: Any,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        sparsities: Sequence[float],
        budgets: Sequence[int | None] | None = None,
    ) -> PruningPath:
        """Train one dense network and prune it to many sparsities under the constraint.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`.
        sparsities : sequence of float in [0, 1)
            Shares of weights to remove.
        budgets : sequence of (int or None), default=None
            Epochs of fine-tuning, as for `PrunedClassifier.pruning_path`; they take the place
            of ``estimator.finetune_epochs``.

        Returns
        -------
        path : PruningPath
            ``sparsities``, ``achieved``, ``budgets`` and ``estimators``, as from
            `PrunedClassifier.pruning_path`; this estimator stays as it is.
        """
        data = Data(X, y, sensitive_features, sample_weight)
        fitted, given = _constraining.path(self, data, sparsities, budgets)
        return PruningPath([m.estimator.sparsity for m in fitted], fitted, given)
