"""What classifier and regressor share: parameters, verbs, what a fit leaves behind."""

import numbers
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    OnShelf,
    StrOptions,
    fit_context,
)
from ..engine.recovery import RECOVERIES
from ..functional.criteria import CRITERIA
from ..functional.granularities import Granularity
from ..functional.schedules import SCHEDULES
from . import _fitting, _shrinking
from ._inputs import Data
from ._listener import FitListener
from ._state import FromState
from .path import PruningPath
from .ways import Way


class BasePruner(CallbackSupportMixin, BaseEstimator):
    """Base of `PrunedClassifier` and `PrunedRegressor`."""

    # Requested by default, so that routing works without a line of set-up.
    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__partial_fit = {"sensitive_features": True}
    __metadata_request__predict = {"sensitive_features": True}

    _parameter_constraints = {
        "estimator": "no_validation",  # private_net gives a better message
        "sparsity": [Interval(numbers.Real, 0, 1, closed="left")],
        "criterion": [OnShelf(CRITERIA), callable],
        "scope": [StrOptions({"global", "layerwise"}), dict],
        "granularity": [str, Granularity],
        "target": [tuple, list, None],
        "layers": ["array-like"],
        "ignored_layers": ["array-like"],
        "min_density": [Interval(numbers.Real, 0, 1, closed="left")],
        "schedule": [OnShelf(SCHEDULES), callable, Way],
        "recovery": [OnShelf(RECOVERIES), callable, Way],
        "finetune_epochs": [Interval(numbers.Integral, 0, None, closed="left"), None],
        "finetune_lr": [
            StrOptions({"net", "cosine"}),
            Interval(numbers.Real, 0, None, closed="neither"),
        ],
        "hidden_layer_sizes": ["array-like"],
        "dtype": [StrOptions({"float32", "float64"})],
        "memory": [str, HasMethods("cache"), HasMethods("__fspath__"), None],
        "random_state": ["random_state"],
    }

    _targets: ClassVar[Any]  # class of what the targets decide

    estimator_ = FromState("net")
    dense_estimator_ = FromState("dense")
    masks_ = FromState("masks")
    sparsity_ = FromState("sparsity")
    effective_sparsity_ = FromState("effective_sparsity")
    dead_units_ = FromState("dead_units")
    groups_ = FromState("groups")
    history_ = FromState("history")
    skipped_weights_ = FromState("skipped")
    prunable_share_ = FromState("share")
    shrunk_ = FromState("shrunk")

    def __init__(
        self,
        estimator: Any = None,
        *,
        sparsity: float = 0.5,
        criterion: Any = "magnitude",
        scope: Any = "global",
        granularity: Any = "weight",
        target: tuple[str, float] | None = None,
        layers: Sequence[str] = ("linear", "conv"),
        ignored_layers: Sequence[str] = (),
        min_density: float = 0.0,
        schedule: Any = "cubic",
        recovery: Any = "plain",
        finetune_epochs: int | None = None,
        finetune_lr: str | float = "cosine",
        hidden_layer_sizes: Sequence[int] = (100,),
        dtype: str = "float32",
        memory: Any = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.sparsity = sparsity
        self.criterion = criterion
        self.scope = scope
        self.granularity = granularity
        self.target = target
        self.layers = layers
        self.ignored_layers = ignored_layers
        self.min_density = min_density
        self.schedule = schedule
        self.recovery = recovery
        self.finetune_epochs = finetune_epochs
        self.finetune_lr = finetune_lr
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dtype = dtype
        self.memory = memory
        self.random_state = random_state

    # ---- public verbs -------------------------------------------------------------

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train the dense network, prune it to `sparsity`, fine-tune what is left.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, ...), or torch Dataset
            Features: NumPy, pandas, polars, torch tensor or memory-map, of any rank. A
            Dataset gives pairs (x, y).
        y : array-like of shape (n_samples,), default=None
            Targets; may be None if X is a Dataset.
        sensitive_features : array-like of shape (n_samples,) or (n_samples, k), default=None
            Group of every row; several columns mean their intersections. Never seen by
            the network. Without it the classes are the groups (a regressor has one
            group).
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights of the loss; only their ratios matter. Rows of weight 0 are left
            out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the input is unusable or training diverges; the estimator is then not
            fitted.

        Warns
        -----
        ConvergenceWarning
            If the network predicts one class only; if more than a tenth of the weights that
            it keeps lie on no path from an input to an output; or if a layer keeps one weight
            only because every layer does.
        """
        data = Data(X, y, sensitive_features, sample_weight)
        listener = FitListener(self, data)
        _fitting.fit(self, data, listener)
        _fitting.warn_if_unsound(self, listener.rows)
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def prune(
        self,
        X: Any = None,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        sparsity: float | None = None,
    ) -> Self:
        """Prune again, from the kept dense weights: calls do not accumulate.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`, to fine-tune on. Without X the weights are only masked. Without y
            nothing may need targets: ``finetune_epochs=0``, or a fine-tuning towards the
            dense network's outputs alone (``recovery="distill"``), with a criterion of
            weights or activations.
        sparsity : float in [0, 1), default=None
            Share of weights to remove, whatever `target` says; None means the parameters
            `sparsity` and `target`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `y` has labels unknown to `fit`, if it is missing and something needs it, or
            the input is unusable otherwise; the estimator stays as it was.

        Warns
        -----
        ConvergenceWarning
            As in `fit`; of one class only if X is given.
        """
        check_is_fitted(self)
        data = Data(X, y, sensitive_features, sample_weight)
        rows = _fitting.prune_again(self, data, sparsity, FitListener(self, data))
        _fitting.warn_if_unsound(self, rows)
        return self

    @fit_context(prefer_skip_nested_validation=True)
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
        """Train one dense network and prune it to many sparsities.

        Like scikit-learn's ``cost_complexity_pruning_path`` it works on a clone: this
        estimator stays as it is.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`.
        sparsities : sequence of float in [0, 1)
            Shares of weights to remove; `target` is None in the estimators of the path.
        budgets : sequence of (int or None), default=None
            Epochs of fine-tuning, at least 0 and all different, such as ``[5, 20, 80]``: of
            every sparsity above 0 there is then a network for each, and `audit` tells which
            damage stays when the fine-tuning is longer. They take the place of
            `finetune_epochs`; None among them is its default, as many as recovery takes.

        Returns
        -------
        path : PruningPath
            ``sparsities`` (as asked, in the order given), ``achieved``, ``budgets`` and
            ``estimators``: one fitted estimator per sparsity, or per sparsity and budget in
            rising order, equal to what ``fit`` gives with that ``sparsity`` and
            ``finetune_epochs``, all sharing one dense network.

        Raises
        ------
        ValueError
            If there is no sparsity or no budget, one is unusable or a budget is there twice,
            or the schedule has more steps than a budget has epochs; before any training.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from sklearn_fairprune import PrunedClassifier
        >>> X, y = make_classification(random_state=0)
        >>> clf = PrunedClassifier(finetune_epochs=1, random_state=0)
        >>> path = clf.pruning_path(X, y, sparsities=[0, 0.9])
        >>> [round(float(s), 3) for s in path.achieved]
        [0.0, 0.9]
        >>> path = clf.pruning_path(X, y, sparsities=[0, 0.9], budgets=[1, 4])
        >>> path.budgets.tolist(), path.at(0.9).finetune_epochs
        ([nan, 1.0, 4.0], 4)
        """
        data = Data(X, y, sensitive_features, sample_weight)
        listener = FitListener(self, data)
        fitted, given = _fitting.path(self, data, sparsities, listener, budgets)
        members = [member for member, _ in fitted]
        return PruningPath([m.sparsity for m in members], members, given)

    def shrink(self, *, X: Any = None, sparse: Any = "auto", drop_dense: bool = False) -> Self:
        """Return a copy with a smaller network that predicts the same.

        Neurons, channels and heads of attention that do nothing are gone, with their constants
        folded into the biases after them; then linear layers with many zeros store and
        multiply only the others. The outputs stay the same up to rounding, which is verified.

        The copy predicts, and it is audited, copied and stored like any other. What needs a
        gradient of the pruned network (`partial_fit`, `diagnose`, the diagnostics and their
        metrics) needs the estimator before; `prune` begins from the dense network and gives
        an estimator that is not shrunk. ``masks_``, ``sparsity_``, ``effective_sparsity_``,
        ``dead_units_`` and ``history_`` stay those of the pruned network before, by the names
        and shapes of the dense one.

        Parameters
        ----------
        X : array-like or torch Dataset, default=None
            Rows to verify on; None draws some.
        sparse : "auto" or bool, default="auto"
            Whether linear layers are sparse: "auto" where that is faster on this machine,
            for batches of 1, 64 and 4096 rows, as measured in about a second a layer; True
            wherever at least 70 % of the weights are zeros. On the CPU only.
        drop_dense : bool, default=False
            Whether the copy lets the dense network go, and weights early in its training:
            its pickle is smaller, and it has no ``dense_estimator_``, cannot `prune`, and is
            audited beside an explicit dense model only. (A FrozenEstimator as `estimator`
            keeps its network.)

        Returns
        -------
        smaller : estimator
            Of the same type, fitted, with another ``estimator_`` and the attribute
            ``shrunk_``, a dict: ``layers`` (a list of dicts: ``layer``, ``units`` (of
            attention: heads), ``removed``, ``form``, and of linear layers ``zeros``,
            ``speedup`` by batch size and ``reason``), ``network`` (``speedup`` of the whole),
            ``parameters`` and ``bytes`` before and after, ``threads`` and ``notes``.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `sparse` or `drop_dense` is something else, or the network cannot read the
            rows.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_fairprune import PrunedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = PrunedClassifier(sparsity=0.9, random_state=0).fit(X, y)
        >>> small = clf.shrink(X=X)
        >>> bool((small.predict(X) == clf.predict(X)).all())
        True
        >>> sizes = small.shrunk_["parameters"]
        >>> sizes["after"] < sizes["before"]
        True
        """
        check_is_fitted(self)
        return _shrinking.shrink(self, X, sparse, drop_dense)

    # ---- for scikit-learn ------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        """Tags: sparse input is accepted (and densified batch by batch)."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has finished."""
        return "_fitted" in vars(self)
