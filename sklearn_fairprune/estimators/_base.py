"""What classifier and regressor share: validate, seed, train dense, prune, predict."""

import numbers

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import OnShelf
from ..engine import networks
from ..engine.pruning import keep_all
from ..engine.randomness import derive_seeds
from ..engine.training import train
from ..functional.criteria import CRITERIA
from ..functional.masks import masks_sparsity
from ._callbacks import CallbackSupportMixin, FitEvents
from ._inputs import InputValidation
from ._plan import UNCONSTRAINED
from ._steps import FitSteps, label_phase
from .sensitive import merge_names


class BasePruner(CallbackSupportMixin, FitSteps, InputValidation, BaseEstimator):
    """Base of `PrunedClassifier` and `PrunedRegressor`."""

    # Requested by default, so that routing works without a line of set-up.
    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__partial_fit = {"sensitive_features": True}
    __metadata_request__predict = {"sensitive_features": True}

    _parameter_constraints = {
        "estimator": "no_validation",  # private_net gives a better message
        "sparsity": [Interval(numbers.Real, 0, 1, closed="left")],
        "criterion": [OnShelf(CRITERIA), callable],
        "scope": [StrOptions({"global", "layerwise"})],
        "finetune_epochs": [Interval(numbers.Integral, 0, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "dtype": [StrOptions({"float32", "float64"})],
        "memory": [str, HasMethods("cache"), HasMethods("__fspath__"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator=None,
        *,
        sparsity=0.5,
        criterion="magnitude",
        scope="global",
        finetune_epochs=5,
        hidden_layer_sizes=(100,),
        dtype="float32",
        memory=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.sparsity = sparsity
        self.criterion = criterion
        self.scope = scope
        self.finetune_epochs = finetune_epochs
        self.hidden_layer_sizes = hidden_layer_sizes
        self.dtype = dtype
        self.memory = memory
        self.random_state = random_state

    # ---- public verbs -------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
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
        """
        return self._fit(X, y, sensitive_features, sample_weight, UNCONSTRAINED)

    @_fit_context(prefer_skip_nested_validation=True)
    def prune(
        self, X=None, y=None, *, sensitive_features=None, sample_weight=None, sparsity=None
    ):
        """Prune again, from the kept dense weights: calls do not accumulate.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`, to fine-tune on. Without X the weights are only masked.
        sparsity : float in [0, 1), default=None
            Share of weights to remove; None means the parameter `sparsity`.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If `y` has labels unknown to `fit`, or the input is unusable otherwise; the
            estimator stays as it was.
        """
        check_is_fitted(self)
        data = (X, y, sensitive_features, sample_weight)
        return self._prune_again(*data, sparsity, UNCONSTRAINED)

    @_fit_context(prefer_skip_nested_validation=True)
    def pruning_path(
        self, X, y=None, *, sensitive_features=None, sample_weight=None, sparsities
    ):
        """Train one dense network and prune it to many sparsities.

        Like scikit-learn's ``cost_complexity_pruning_path`` it works on a clone: this
        estimator stays as it is.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight : array-like
            As in `fit`.
        sparsities : sequence of float in [0, 1)
            Shares of weights to remove.

        Returns
        -------
        path : Bunch
            ``sparsities`` (as asked, in the order given), ``achieved`` and
            ``estimators``: one fitted estimator per sparsity, equal to what
            ``fit`` gives at that ``sparsity``, all sharing one dense network.

        Examples
        --------
        >>> from sklearn.datasets import make_classification
        >>> from sklearn_fairprune import PrunedClassifier
        >>> X, y = make_classification(random_state=0)
        >>> clf = PrunedClassifier(finetune_epochs=1, random_state=0)
        >>> path = clf.pruning_path(X, y, sparsities=[0, 0.9])
        >>> [round(float(s), 3) for s in path.achieved]
        [0.0, 0.9]
        """
        data = (X, y, sensitive_features, sample_weight)
        estimators = [e for e, _ in self._path(*data, sparsities, UNCONSTRAINED)]
        return as_path(sparsities, estimators)

    def _partial_fit(self, X, y, sensitive_features, sample_weight, known=None):
        """Train one more epoch on a copy, then put the copy in place."""
        first = not self.__sklearn_is_fitted__()
        rows, fitted = self._training_rows(
            X,
            y,
            sensitive_features,
            sample_weight,
            reset=first,
            known=known if first else vars(self),
        )
        if first:
            self._seed, self._n_partial_fits = self._draw_seed(), 0
            net = self._initial_net(rows, fitted)
            masks = keep_all(net.module_)
        else:
            fitted["groups_"] = merge_names(self.groups_, fitted["groups_"])
            net, masks = networks.copy_net(self.estimator_), self.masks_
            networks.adapt(rows, net)
            if self._n_partial_fits == 0:  # after fit or prune: no schedule to go on with
                networks.restart(net)
        seed = derive_seeds([self._seed, self._n_partial_fits], 3)[2]
        history = train(net, rows, 1, seed=seed, masks=masks)
        sparsity, phase = masks_sparsity(masks), "dense"
        if sparsity == 0:
            fitted["dense_estimator_"] = net
        else:
            phase = "finetune"
        self.__dict__.update(fitted)
        self.__dict__.update(
            estimator_=net,
            masks_=masks,
            sparsity_=sparsity,
            history_=getattr(self, "history_", []) + label_phase(phase, history),
            _n_partial_fits=self._n_partial_fits + 1,
        )
        return self

    # ---- the verbs, with a plan of group constraints ----------------------------------

    def _fit(self, X, y, sensitive_features, sample_weight, plan):
        """Train dense, prune, fine-tune."""
        forget_fit(self)
        rows, fitted = self._training_rows(X, y, sensitive_features, sample_weight)
        self._seed, self._n_partial_fits = self._draw_seed(), 0
        rows = plan.begin(rows, fitted["groups_"], self._seed)
        prunes = bool(self.sparsity > 0)  # a NumPy number gives a NumPy truth
        frozen = isinstance(self.estimator, FrozenEstimator)
        events = FitEvents(self, prunes + (not frozen), X, y, fitted, plan)
        net, history = self._fit_dense(rows, fitted, events, plan)
        fitted["dense_estimator_"] = net
        fitted |= self._prune_dense(net, rows, self.sparsity, history, events, plan)
        events.close(fitted["estimator_"])
        self.__dict__.update(fitted)
        return self

    def _prune_again(self, X, y, sensitive_features, sample_weight, sparsity, plan):
        """Prune from the kept dense weights."""
        sparsity = self.sparsity if sparsity is None else check_sparsity(sparsity)
        rows = None
        if X is not None:
            rows, fitted = self._training_rows(
                X, y, sensitive_features, sample_weight, reset=False, known=vars(self)
            )
            networks.adapt(rows, self.dense_estimator_)
            rows = plan.begin(rows, fitted["groups_"], self._seed)
        elif any(v is not None for v in (y, sensitive_features, sample_weight)):
            raise ValueError(
                "prune got y, sensitive_features or sample_weight but no X. Pass X to "
                "fine-tune on the data, or nothing but sparsity to mask only."
            )
        events = FitEvents(self, int(sparsity > 0), X, y, {}, plan)
        dense_history = [h for h in self.history_ if h["phase"] == "dense"]
        fitted = self._prune_dense(
            self.dense_estimator_, rows, sparsity, dense_history, events, plan
        )
        events.close(fitted["estimator_"])
        self.__dict__.update(fitted, _n_partial_fits=0)
        return self

    def _path(self, X, y, sensitive_features, sample_weight, sparsities, plan):
        """Fitted clones, one per sparsity, each with the plan of its own fine-tuning."""
        if (
            isinstance(sparsities, str)
            or not hasattr(sparsities, "__len__")
            or not len(sparsities)
        ):
            raise ValueError(
                "sparsities must be a sequence of numbers in [0, 1), such as [0, 0.5, 0.9], "
                f"got {sparsities!r}."
            )
        sparsities = [check_sparsity(s) for s in sparsities]
        first = clone(self).set_params(sparsity=0.0)
        forget_fit(first)
        rows, fitted = first._training_rows(X, y, sensitive_features, sample_weight)
        first._seed, first._n_partial_fits = self._draw_seed(), 0
        rows = plan.begin(rows, fitted["groups_"], first._seed)
        frozen = isinstance(self.estimator, FrozenEstimator)
        n_phases = (not frozen) + sum(s > 0 for s in sparsities)
        events = FitEvents(self, n_phases, X, y, first.__dict__ | fitted, plan)
        net, history = first._fit_dense(rows, fitted, events, plan)
        first.__dict__.update(fitted | {"dense_estimator_": net})
        path = []
        for sparsity in sparsities:
            estimator, own_plan = clone(self).set_params(sparsity=sparsity), plan.twin()
            estimator.__dict__.update(
                {k: v for k, v in first.__dict__.items() if k not in self.get_params(False)}
            )
            estimator.__dict__.update(
                estimator._prune_dense(net, rows, sparsity, history, events, own_plan)
            )
            path.append((estimator, own_plan))
        events.close(path[-1][0].estimator_)
        return path

    # ---- for scikit-learn ------------------------------------------------------------

    def __sklearn_tags__(self):
        """Tags: sparse input is accepted (and densified batch by batch)."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self):
        """Whether `fit` has finished."""
        return hasattr(self, "estimator_")


def forget_fit(estimator):
    """Drop the results of an earlier fit: a failed fit must not look fitted."""
    for name in [k for k in vars(estimator) if k.endswith("_") and not k.startswith("__")]:
        delattr(estimator, name)


def as_path(sparsities, estimators):
    """Bunch that `pruning_path` returns."""
    return Bunch(
        sparsities=np.array([float(s) for s in sparsities]),
        achieved=np.array([e.sparsity_ for e in estimators]),
        estimators=estimators,
    )


def check_sparsity(sparsity):
    """Return a sparsity as float, or raise."""
    if not isinstance(sparsity, numbers.Real) or not 0 <= sparsity < 1:
        raise ValueError(
            f"sparsity is the share of weights to remove and must be in [0, 1), got "
            f"{sparsity!r}. Use 0.9, not 90, for 90 %."
        )
    return float(sparsity)
