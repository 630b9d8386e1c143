"""What classifier and regressor share: validate, seed, train dense, prune, predict."""

import numbers
import warnings

import numpy as np
import torch
from joblib import Memory
from sklearn.base import BaseEstimator, _fit_context, clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    check_memory,
    validate_data,
)
from skorch import NeuralNet
from torch.utils.data import Dataset, IterableDataset, Subset

from ..engine import fingerprint, networks
from ..engine.batches import Rows
from ..engine.pruning import prune, weight_masks
from ..engine.randomness import derive_seeds
from ..engine.training import epoch_records, train
from ..functional.criteria import CRITERIA
from ..functional.masks import masks_sparsity
from ._callbacks import CallbackSupportMixin, FitEvents
from .sensitive import Groups, encode_groups, merge_names

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.bool_]


def _train_dense(X, y, weights, key, net, rows, epochs, seed, events):
    """Train a dense net; joblib caches this by (X, y, weights, key) alone."""
    train(net, rows, epochs, seed=seed, events=events)
    return fingerprint.weights_to_numpy(net), epoch_records(net)


class BasePruner(CallbackSupportMixin, BaseEstimator):
    """Base of `PrunedClassifier` and `PrunedRegressor`."""

    # Requested by default, so that routing works without a line of set-up.
    __metadata_request__fit = {"sensitive_features": True}
    __metadata_request__partial_fit = {"sensitive_features": True}
    __metadata_request__predict = {"sensitive_features": True}

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"]), None],
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
            Row weights of the loss. Rows of weight 0 are left out.

        Returns
        -------
        self : object

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
        dense = self._fit_dense(rows, fitted, events)
        weight_masks(dense.module_, sparsity=0, criterion="magnitude", scope="global")
        fitted |= {"dense_estimator_": dense, "history_": _phase("dense", dense.history)}
        if frozen:
            fitted["history_"] = []
        fitted |= self._prune_dense(dense, rows, self.sparsity, fitted["history_"], events)
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
        X, y, sensitive_features, sample_weight
            As in `fit`, to fine-tune on. Without X the weights are only masked.
        sparsity : float in [0, 1), default=None
            Share of weights to remove; None means the parameter `sparsity`.

        Returns
        -------
        self : object

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
        fitted = self._prune_dense(self.dense_estimator_, rows, sparsity, dense_history, events)
        events.close(fitted["estimator_"])
        self.__dict__.update(fitted)
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
        X, y, sensitive_features, sample_weight
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
        sparsities = [_check_sparsity(s) for s in sparsities]
        if not sparsities:
            raise ValueError("sparsities is empty; give at least one number in [0, 1).")
        first = clone(self).set_params(sparsity=0.0)
        first._forget()
        rows, fitted = first._training_rows(X, y, sensitive_features, sample_weight)
        first._seed, first._n_partial_fits = self._draw_seed(), 0
        frozen = isinstance(self.estimator, FrozenEstimator)
        n_phases = (not frozen) + sum(s > 0 for s in sparsities)
        events = FitEvents(self, n_phases, X, y, first._as_fitted(first.__dict__ | fitted))
        dense = first._fit_dense(rows, fitted, events)
        history = [] if frozen else _phase("dense", dense.history)
        first.__dict__.update(fitted | {"dense_estimator_": dense})
        estimators = []
        for sparsity in sparsities:
            estimator = clone(self).set_params(sparsity=sparsity)
            estimator.__dict__.update(
                {k: v for k, v in first.__dict__.items() if k not in self.get_params(False)}
            )
            estimator.__dict__.update(
                estimator._prune_dense(dense, rows, sparsity, history, events)
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
            X, y, sensitive_features, sample_weight, reset=first,
            known=known if first else vars(self),
        )
        if first:
            self._seed, self._n_partial_fits = self._draw_seed(), 0
            net = networks.with_fast_batches(self._initial_net(rows, fitted))
            networks.adapt(rows, net)
            self._check_outputs(net, rows, fitted)
            masks = weight_masks(
                net.module_, sparsity=0, criterion="magnitude", scope="global"
            )
        else:
            fitted["groups_"] = merge_names(self.groups_, fitted["groups_"])
            net, masks = networks.copy_net(self.estimator_), self.masks_
            networks.adapt(rows, net)
        seed = derive_seeds([self._seed, self._n_partial_fits], 3)[2]
        history = train(net, rows, 1, seed=seed, masks=masks)
        sparsity, phase = masks_sparsity(masks), "dense"
        if sparsity == 0:
            fitted["dense_estimator_"] = net
        else:
            phase = "finetune"
        self.__dict__.update(fitted)
        self.__dict__.update(
            estimator_=net, masks_=masks, sparsity_=sparsity,
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

    def _torch_dtype(self):
        return getattr(torch, self.dtype)

    def _initial_net(self, rows, fitted):
        """Return a private, initialized copy of the estimator parameter."""
        n_features = int(np.prod(self._sample_shape)) if self._sample_shape else 1
        net = self.estimator
        if isinstance(net, FrozenEstimator):
            return networks.cast(networks.copy_net(_fitted_net(net)), self._torch_dtype())
        if net is None:
            net = networks.default_net(
                is_classifier(self), len(rows), n_features, self._n_outputs(rows, fitted),
                self.hidden_layer_sizes,
            )
        elif not isinstance(net, NeuralNet):
            raise TypeError(
                f"estimator must be a skorch net, a FrozenEstimator around a fitted one, or "
                f"None for a default network, got {type(net).__name__}."
            )
        elif (is_classifier(net) and is_regressor(self)) or (
            is_regressor(net) and is_classifier(self)
        ):
            raise TypeError(f"{type(self).__name__} cannot use a {type(net).__name__}.")
        net = clone(net)
        return networks.initialize(net, self._torch_dtype(), derive_seeds(self._seed, 2)[0])

    def _fit_dense(self, rows, fitted, events):
        """Train the dense network, or fetch it from `memory`."""
        net = networks.with_fast_batches(self._initial_net(rows, fitted))
        networks.adapt(rows, net)
        self._check_outputs(net, rows, fitted)
        if isinstance(self.estimator, FrozenEstimator):
            return net
        seed = derive_seeds(self._seed, 2)[0]
        memory, key = self._cache(net, rows, seed)
        work = memory.cache(
            _train_dense, ignore=["net", "rows", "epochs", "seed", "events"]
        )
        with events.phase("dense training", net.max_epochs) as epochs:
            X = rows.X.numpy() if isinstance(rows.X, torch.Tensor) else rows.X
            weights = None if rows.weights is None else rows.weights.numpy()
            if key is None:
                X = None
            state, history = work(
                X, rows.y.numpy(), weights, key, net, rows, net.max_epochs, seed, epochs
            )
        if not len(net.history):
            fingerprint.weights_from_numpy(net, state)
            net.history.extend(history)
        return networks.renew_optimizer(net)

    def _cache(self, net, rows, seed):
        """Return the joblib memory and the key of this training, or no cache at all."""
        memory = check_memory(self.memory)
        if memory.store_backend is None:
            return memory, None
        why = None
        if not rows.sliceable:
            why = "X is a torch Dataset, whose content has no key"
        elif self.random_state is None:
            why = "random_state=None trains a different network every time; set it to an int"
        else:
            key = fingerprint.fingerprint(net, rows.dtype, seed)
            if key is not None:
                return memory, key
            why = "a parameter of the estimator cannot be pickled (a lambda?)"
        warnings.warn(f"memory is not used: {why}.", UserWarning, stacklevel=3)
        return Memory(location=None), None

    def _prune_dense(self, dense, rows, sparsity, history, events):
        """Prune a copy of `dense`; returns the fitted attributes that follow."""
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
                net, masks, tuned = prune(dense, rows, events=epochs, **options)
        else:
            net, masks, tuned = prune(dense, rows, **options)
        return {
            "estimator_": net,
            "masks_": masks,
            "sparsity_": masks_sparsity(masks),
            "history_": history + _phase("finetune", tuned),
        }

    # ---- data ---------------------------------------------------------------------

    def _features(self, X, y="no_validation", reset=False):
        """Validate X (and y); values keep their rank, integers and memory-maps theirs."""
        if isinstance(X, torch.Tensor):
            X = X.detach().cpu().numpy()
        if isinstance(y, torch.Tensor):
            y = y.detach().cpu().numpy()
        dtypes = [np.dtype(self.dtype)] + INTEGERS
        if isinstance(X, np.memmap):
            dtypes += [np.float16, np.float32, np.float64]
        checks = {"accept_sparse": "csr", "dtype": dtypes, "allow_nd": True, "reset": reset}
        if isinstance(y, str) and y == "no_validation":
            X, y = validate_data(self, X, **checks), None
        else:
            X, y = validate_data(self, X, y, **checks, **self._y_checks)
        shape = tuple(X.shape[1:])
        if reset:
            self._sample_shape = shape
        elif shape != self._sample_shape:
            raise ValueError(
                f"X has samples of shape {shape}, but {type(self).__name__} was fitted with "
                f"samples of shape {self._sample_shape}."
            )
        return X, y

    def _dataset(self, X, y, reset):
        """Check a torch Dataset and collect its targets if `y` does not give them."""
        if isinstance(X, IterableDataset) or not hasattr(X, "__len__"):
            raise TypeError(
                "X is a Dataset without length; pruning needs a map-style Dataset with "
                "__len__ and __getitem__."
            )
        if len(X) == 0:
            raise ValueError("Found a Dataset with 0 samples; a minimum of 1 is required.")
        if y is None:
            y = [np.asarray(X[i][1]) for i in range(len(X))]
        y = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
        if len(y) != len(X):
            raise ValueError(f"y has {len(y)} entries and the Dataset has {len(X)} samples.")
        if reset:
            first = X[0][0] if isinstance(X[0], (tuple, list)) else X[0]
            self._sample_shape = tuple(np.shape(first))
            self.n_features_in_ = self._sample_shape[0] if self._sample_shape else 1
        return y

    def _training_rows(
        self, X, y, sensitive_features, sample_weight, reset=True, known=None
    ):
        """Validate everything a training needs.

        Parameters
        ----------
        X, y, sensitive_features, sample_weight
            As in `fit`.
        reset : bool, default=True
            Whether X decides the features, or must agree with those of an earlier call.
        known : dict, default=None
            What earlier calls know of the targets; None means that y decides.

        Returns
        -------
        rows : Rows
            Encoded, without the rows of weight 0.
        fitted : dict
            Fitted attributes that the data decides: classes_ and groups_.
        """
        if isinstance(X, Dataset):
            y = self._dataset(X, y, reset)
            n_rows = len(X)
        else:
            X, y = self._features(X, y, reset)
            n_rows = X.shape[0]
        targets, fitted = self._encode(y, known)
        groups = self._groups(sensitive_features, n_rows, targets, fitted)
        fitted["groups_"] = groups.names
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, np.empty((n_rows, 1)), dtype=np.float64,
                ensure_non_negative=True,
            )
            kept = np.flatnonzero(weights > 0)
            if kept.size == 0:
                raise ValueError("sample_weight is zero in every row; nothing is left to fit.")
            if kept.size < n_rows:
                X = Subset(X, kept) if isinstance(X, Dataset) else X[kept]
                targets, weights = targets[kept], weights[kept]
                groups = Groups(groups.codes[kept], groups.names)
        if known is None:
            self._check_targets(targets, fitted)
        rows = Rows(
            X, targets, groups=groups.codes, weights=weights, dtype=self._torch_dtype()
        )
        return rows, fitted

    def _prediction_rows(self, X, sensitive_features=None):
        if isinstance(X, Dataset):
            n_rows = len(X)
        else:
            X, _ = self._features(X)
            n_rows = X.shape[0]
        if sensitive_features is not None:
            encode_groups(sensitive_features, n_rows)
        return networks.adapt(Rows(X, dtype=self._torch_dtype()), self.estimator_)

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


def _fitted_net(frozen):
    """Return the fitted skorch net inside a FrozenEstimator."""
    net = frozen.estimator
    net = getattr(net, "dense_estimator_", net)
    if not isinstance(net, NeuralNet) or not getattr(net, "initialized_", False):
        raise TypeError(
            "FrozenEstimator must hold a fitted skorch net or a fitted PrunedClassifier, "
            f"got {'an unfitted ' if isinstance(net, NeuralNet) else ''}{type(net).__name__}."
        )
    return net
