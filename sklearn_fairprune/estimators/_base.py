"""What classifier and regressor share: validate, seed, train dense, prune, predict."""

import numbers

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..engine import networks
from ..engine.pruning import keep_all, prunable_or_raise, prune
from ..engine.randomness import derive_seeds
from ..engine.training import train
from ..functional.criteria import CRITERIA
from ..functional.masks import masks_sparsity
from . import _dense as dense
from ._callbacks import CallbackSupportMixin, FitEvents
from ._inputs import InputValidation
from .sensitive import merge_names


class BasePruner(CallbackSupportMixin, InputValidation, BaseEstimator):
    """Base of `PrunedClassifier` and `PrunedRegressor`."""

    # Requested by default, so that routing works without a line of set-up.
    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__partial_fit = {"sensitive_features": True}
    __metadata_request__predict = {"sensitive_features": True}

    _parameter_constraints = {
        "estimator": "no_validation",  # private_net gives a better message
        "sparsity": [Interval(numbers.Real, 0, 1, closed="left")],
        "criterion": [StrOptions(set(CRITERIA)), callable],
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
        self._forget()
        rows, fitted = self._training_rows(X, y, sensitive_features, sample_weight)
        self._seed, self._n_partial_fits = self._draw_seed(), 0
        prunes = self.sparsity > 0
        frozen = isinstance(self.estimator, FrozenEstimator)
        events = FitEvents(self, prunes + (not frozen), X, y, self._as_fitted(fitted))
        net, history = self._fit_dense(rows, fitted, events)
        fitted["dense_estimator_"] = net
        fitted |= self._prune_dense(net, rows, self.sparsity, history, events)
        events.close(fitted["estimator_"])
        self.__dict__.update(fitted)
        return self

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
        sparsity = self.sparsity if sparsity is None else _check_sparsity(sparsity)
        rows = None
        if X is not None:
            rows, _ = self._training_rows(
                X, y, sensitive_features, sample_weight, reset=False, known=vars(self)
            )
            networks.adapt(rows, self.dense_estimator_)
        elif any(v is not None for v in (y, sensitive_features, sample_weight)):
            raise ValueError(
                "prune got y, sensitive_features or sample_weight but no X. Pass X to "
                "fine-tune on the data, or nothing but sparsity to mask only."
            )
        events = FitEvents(self, int(sparsity > 0), X, y, self._as_fitted({}))
        dense_history = [h for h in self.history_ if h["phase"] == "dense"]
        fitted = self._prune_dense(
            self.dense_estimator_, rows, sparsity, dense_history, events
        )
        events.close(fitted["estimator_"])
        self.__dict__.update(fitted, _n_partial_fits=0)
        return self

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
        if (
            isinstance(sparsities, str)
            or not hasattr(sparsities, "__len__")
            or not len(sparsities)
        ):
            raise ValueError(
                "sparsities must be a sequence of numbers in [0, 1), such as [0, 0.5, 0.9], "
                f"got {sparsities!r}."
            )
        sparsities = [_check_sparsity(s) for s in sparsities]
        first = clone(self).set_params(sparsity=0.0)
        first._forget()
        rows, fitted = first._training_rows(X, y, sensitive_features, sample_weight)
        first._seed, first._n_partial_fits = self._draw_seed(), 0
        frozen = isinstance(self.estimator, FrozenEstimator)
        n_phases = (not frozen) + sum(s > 0 for s in sparsities)
        events = FitEvents(self, n_phases, X, y, first._as_fitted(first.__dict__ | fitted))
        net, history = first._fit_dense(rows, fitted, events)
        first.__dict__.update(fitted | {"dense_estimator_": net})
        estimators = []
        for sparsity in sparsities:
            estimator = clone(self).set_params(sparsity=sparsity)
            estimator.__dict__.update(
                {k: v for k, v in first.__dict__.items() if k not in self.get_params(False)}
            )
            estimator.__dict__.update(
                estimator._prune_dense(net, rows, sparsity, history, events)
            )
            estimators.append(estimator)
        events.close(estimators[-1].estimator_)
        return Bunch(
            sparsities=np.array(sparsities),
            achieved=np.array([e.sparsity_ for e in estimators]),
            estimators=estimators,
        )

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
            history_=getattr(self, "history_", []) + _phase(phase, history),
            _n_partial_fits=self._n_partial_fits + 1,
        )
        return self

    # ---- the steps of a fit -------------------------------------------------------

    def _forget(self):
        """Drop the results of an earlier fit: a failed fit must not look fitted."""
        for name in [k for k in vars(self) if k.endswith("_") and not k.startswith("__")]:
            delattr(self, name)

    def _as_fitted(self, fitted):
        """Return what makes a copy of this estimator predict with a net in training."""
        return lambda net: fitted | {"dense_estimator_": net, "estimator_": net}

    def _draw_seed(self):
        if self.random_state is None:
            return int(np.random.SeedSequence().generate_state(1)[0]) % 2**31
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _initial_net(self, rows, fitted):
        """Return a private, initialized copy of the estimator parameter."""
        net = dense.private_net(
            self.estimator,
            default=lambda: networks.default_net(
                is_classifier(self),
                len(rows),
                max(1, int(np.prod(self._sample_shape))),
                self._n_outputs(rows, fitted),
                self.hidden_layer_sizes,
            ),
            owner=self,
        )
        seed = derive_seeds(self._seed, 2)[0]
        try:
            net = dense.initialized(net, self._torch_dtype(), seed)
        except ValueError:  # torch has no optimizer for a module without parameters
            if hasattr(net, "module_"):
                prunable_or_raise(net.module_)
            raise
        prunable_or_raise(net.module_)
        networks.adapt(rows, net)
        self._check_outputs(net, rows, fitted)
        return net

    def _first_prediction(self, net, rows):
        """Predict a row or two before training, so that a misfit is told early."""
        try:
            return networks.predict(net, rows.head())
        except (RuntimeError, IndexError, TypeError) as error:
            raise ValueError(
                f"The network cannot read X, whose samples have shape {self._sample_shape}: "
                f"{error}"
            ) from error

    def _fit_dense(self, rows, fitted, events):
        """Train the dense network, or fetch it from `memory`; a frozen one is taken as is."""
        net = self._initial_net(rows, fitted)
        if isinstance(self.estimator, FrozenEstimator):
            return net, []
        seed = derive_seeds(self._seed, 2)[0]
        memory, key = dense.cache_of(
            self.memory, net, rows, seed, repeatable=self.random_state is not None
        )
        with events.phase("dense training", net.max_epochs) as epochs:
            history = dense.train_cached(net, rows, seed, memory, key, epochs)
        return net, _phase("dense", history)

    def _prune_dense(self, dense_net, rows, sparsity, history, events):
        """Prune a copy of `dense_net`; returns the fitted attributes that follow."""
        options = {
            "sparsity": sparsity,
            "criterion": self.criterion,
            "scope": self.scope,
            "finetune_epochs": self.finetune_epochs,
            "seed": derive_seeds(self._seed, 2)[1],
        }
        if sparsity > 0:
            n_epochs = self.finetune_epochs if rows is not None else 0
            with events.phase(f"pruning to {sparsity:g}", n_epochs) as epochs:
                net, masks, tuned = prune(dense_net, rows, events=epochs, **options)
        else:
            net, masks, tuned = prune(dense_net, rows, **options)
        return {
            "estimator_": net,
            "masks_": masks,
            "sparsity_": masks_sparsity(masks),
            "history_": history + _phase("finetune", tuned),
        }

    # ---- for scikit-learn ------------------------------------------------------------

    def __sklearn_tags__(self):
        """Tags: sparse input is accepted (and densified batch by batch)."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self):
        """Whether `fit` has finished."""
        return hasattr(self, "estimator_")


def _phase(name, history):
    """Label the epochs of a history."""
    return [
        {"phase": name} | {k: v for k, v in h.items() if isinstance(v, (int, float))}
        for h in history
    ]


def _check_sparsity(sparsity):
    """Return a sparsity as float, or raise."""
    if not isinstance(sparsity, numbers.Real) or not 0 <= sparsity < 1:
        raise ValueError(
            f"sparsity is the share of weights to remove and must be in [0, 1), got "
            f"{sparsity!r}. Use 0.9, not 90, for 90 %."
        )
    return float(sparsity)
