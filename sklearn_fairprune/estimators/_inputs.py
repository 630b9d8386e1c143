"""What users hand in, validated and turned into rows for the engine."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import validate_data
from torch.utils.data import Dataset, IterableDataset, Subset

from .._compat.sklearn import check_sample_weight, check_y
from ..engine import networks
from ..engine.batches import Rows
from ._targets import ClassTargets, RegressionTargets
from .sensitive import Groups, encode_groups

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.bool_]


class Data(NamedTuple):
    """What `fit` and `prune` are given.

    Attributes
    ----------
    X, y, sensitive_features, sample_weight : object
        As the user gave them.
    """

    X: Any
    y: Any = None
    sensitive_features: Any = None
    sample_weight: Any = None


class Reading(NamedTuple):
    """What was read from `Data`.

    Attributes
    ----------
    rows : Rows
        For the engine.
    targets : ClassTargets or RegressionTargets
        What y decided.
    groups : ndarray
        Names of the groups.
    sample_shape : tuple
        Of one sample of X.
    has_targets : bool
        Whether the rows have targets.
    """

    rows: Rows
    targets: ClassTargets | RegressionTargets
    groups: np.ndarray
    sample_shape: tuple
    has_targets: bool = True


def read_training(pruner, data, fitted=None, classes=None, why_targets=None):
    """Validate everything a training needs.

    Parameters
    ----------
    pruner : BasePruner
        Whose parameters and tags count.
    data : Data
        As the user gave it.
    fitted : Fitted, default=None
        What an earlier fit learned; None learns it now.
    classes : array-like, default=None
        All classes, if they are to be learned from more than y.
    why_targets : str, default=None
        What needs targets, after a fit: where there are none, this is the error; "" reads the
        rows without. None needs them in any case.

    Returns
    -------
    reading : Reading
        Rows of weight 0 are left out. Without targets their codes are unknown, and all rows
        are one group unless `sensitive_features` says otherwise.
    """
    options = {"with_targets": True, "why_targets": why_targets}
    X, y, shape = _read(pruner, data.X, data.y, fitted, **options)
    n_rows = _n_rows(X)
    if y is None:
        targets, codes = fitted.targets, fitted.targets.unknown(n_rows)
        groups = Groups(np.zeros(n_rows, dtype=np.int64), np.array(["all"]))
    else:
        learns = fitted is None
        targets = pruner._targets.learn(pruner, y, classes) if learns else fitted.targets
        codes = targets.encode(y)
        groups = targets.default_groups(codes)
    if data.sensitive_features is not None:
        groups = encode_groups(data.sensitive_features, n_rows)
    member, weights = groups.codes, None
    if data.sample_weight is not None:
        weights = _weights(data.sample_weight, n_rows)
        kept = np.flatnonzero(weights)
        if kept.size < n_rows:
            X = Subset(X, kept) if isinstance(X, Dataset) else X[kept]
            codes, member, weights = codes[kept], member[kept], weights[kept]
    if fitted is None:
        targets.check_trainable(codes)
    dtype = getattr(torch, pruner.dtype)
    rows = Rows(X, codes, groups=member, weights=weights, dtype=dtype)
    return Reading(rows, targets, groups.names, shape, y is not None)


def read_features(pruner, X, sensitive_features=None):
    """Validate X for prediction, and sensitive features if they came along.

    Parameters
    ----------
    pruner : BasePruner
        Fitted.
    X : array-like or Dataset
        Features.
    sensitive_features : array-like, default=None
        Only checked.

    Returns
    -------
    rows : Rows
    """
    X, _, _ = _read(pruner, X, None, pruner._fitted, with_targets=False)
    if sensitive_features is not None:
        encode_groups(sensitive_features, _n_rows(X))
    return networks.adapt(Rows(X, dtype=getattr(torch, pruner.dtype)), pruner.estimator_)


def read_fitted(pruner, X, y=None):
    """Rows of new data with their targets, for a fitted pruner.

    Parameters
    ----------
    pruner : BasePruner
        Fitted.
    X, y : array-like or Dataset
        As in `fit`.

    Returns
    -------
    rows : Rows
    """
    return read_training(pruner, Data(X, y), pruner._fitted).rows


def dataset_targets(X, pruner):
    """Targets that a Dataset of pairs gives.

    Parameters
    ----------
    X : torch Dataset
        Of pairs (x, y).
    pruner : BasePruner
        Fitted.

    Returns
    -------
    y : ndarray
    """
    return _read_dataset(pruner, X, None, pruner._fitted, with_targets=True)[1]


def _n_rows(X):
    return len(X) if isinstance(X, Dataset) else X.shape[0]


def _read(pruner, X, y, fitted, *, with_targets, why_targets=None):
    """X, y and the shape of a sample; anything but a Dataset goes through scikit-learn."""
    if isinstance(X, Dataset):
        options = {"with_targets": with_targets, "why_targets": why_targets}
        return _read_dataset(pruner, X, y, fitted, **options)
    X, y = _numpy(X), _numpy(y)
    if y is None and why_targets is not None:
        _refuse_unlabelled(why_targets)
        with_targets = False
    dtypes = [np.dtype(pruner.dtype)] + INTEGERS
    if isinstance(X, np.memmap):
        dtypes += [np.float16, np.float32, np.float64]
    given, reset = X, fitted is None
    checks = {"accept_sparse": "csr", "dtype": dtypes, "allow_nd": True, "reset": reset}
    if with_targets:
        _refuse_missing(y)
        X, y = validate_data(pruner, X, y, **checks, **pruner._targets.checks)
    else:
        X = validate_data(pruner, X, **checks)
    if isinstance(given, np.memmap) and np.shares_memory(given, X):
        X = given  # validation drops the type, and with it the sign to read by batch
    return X, y, _checked_shape(pruner, tuple(X.shape[1:]), fitted)


def _read_dataset(pruner, X, y, fitted, *, with_targets, why_targets=None):
    """Validate a torch Dataset; targets come from y, or else from its pairs."""
    if isinstance(X, IterableDataset) or not hasattr(X, "__len__"):
        raise TypeError(
            "X is a Dataset without length; pruning needs a map-style Dataset with "
            "__len__ and __getitem__."
        )
    if len(X) == 0:
        raise ValueError("X is a Dataset with 0 samples; at least 1 is required.")
    sample = X[0]
    shape = tuple(np.shape(sample[0] if isinstance(sample, (tuple, list)) else sample))
    if fitted is None:
        pruner.n_features_in_ = shape[0] if shape else 1
    shape = _checked_shape(pruner, shape, fitted)
    if not with_targets:
        return X, None, shape
    if y is None:
        if not (isinstance(sample, (tuple, list)) and len(sample) == 2):
            if why_targets is not None:
                _refuse_unlabelled(why_targets)
                return X, None, shape
            raise ValueError(
                "X is a Dataset whose samples are not pairs (x, y), so it gives no "
                "targets. Let it give pairs, or pass y."
            )
        y = np.asarray([_target(X[i][1]) for i in range(len(X))])
    y = _numpy(y)
    _refuse_missing(y)
    if len(y) != len(X):
        raise ValueError(f"y has {len(y)} entries, but the Dataset X has {len(X)} samples.")
    return X, check_y(y, estimator=pruner, **pruner._targets.checks), shape


def _checked_shape(pruner, shape, fitted):
    """Shape of a sample, compared with that of `fit`."""
    if fitted is not None and shape != fitted.sample_shape:
        raise ValueError(
            f"X has samples of shape {shape}, but {type(pruner).__name__} was fitted with "
            f"samples of shape {fitted.sample_shape}."
        )
    return shape


def _weights(sample_weight, n_rows):
    """Validate row weights; at least one must be positive."""
    weights = check_sample_weight(
        sample_weight, np.empty((n_rows, 1)), dtype=np.float64, ensure_non_negative=True
    )
    if not weights.any():
        raise ValueError("sample_weight is zero in every row; nothing is left to fit.")
    return weights


def _numpy(values):
    """Tensors and lists as arrays; everything else as it is."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def _target(value):
    """One target of a Dataset as number or label."""
    value = _numpy(value)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _refuse_unlabelled(why_targets):
    """Refuse rows without targets where something needs them."""
    if why_targets:
        raise ValueError(f"prune got X without y, and needs targets: {why_targets}")


def _refuse_missing(y):
    """Refuse missing targets of any kind, and say how many there are."""
    if y is not None and (missing := int(np.sum(pd.isna(np.asarray(y))))):
        raise ValueError(
            f"Input y contains NaN or None: it is missing in {missing} of {len(y)} rows. Drop "
            "these rows, or impute them."
        )
