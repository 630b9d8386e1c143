"""What users hand in, validated and turned into rows for the engine."""

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    validate_data,
)
from torch.utils.data import Dataset, IterableDataset, Subset

from ..engine import networks
from ..engine.batches import Rows
from .sensitive import encode_groups

INTEGERS = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64, np.bool_]


class InputValidation:
    """Mixin of `BasePruner`: X, y, sensitive features and weights to `Rows`.

    The host has the parameter ``dtype`` and says what targets mean: ``_y_checks``,
    ``_encode``, ``_groups`` and ``_check_targets``.
    """

    def _torch_dtype(self):
        return getattr(torch, self.dtype)

    def _features(self, X, y="no_validation", reset=False):
        """Validate X (and y); values keep their rank, integers and memory-maps theirs."""
        X, y = _numpy(X), _numpy(y)
        dtypes = [np.dtype(self.dtype)] + INTEGERS
        if isinstance(X, np.memmap):
            dtypes += [np.float16, np.float32, np.float64]
        given = X
        checks = {"accept_sparse": "csr", "dtype": dtypes, "allow_nd": True, "reset": reset}
        if isinstance(y, str) and y == "no_validation":
            X, y = validate_data(self, X, **checks), None
        else:
            _refuse_missing(y)
            X, y = validate_data(self, X, y, **checks, **self._y_checks)
        if isinstance(given, np.memmap) and np.shares_memory(given, X):
            X = given  # validation drops the type, and with it the sign to read by batch
        self._check_shape(tuple(X.shape[1:]), reset)
        return X, y

    def _dataset(self, X, y="no_validation", reset=False):
        """Check a torch Dataset; collect its targets if `y` does not give them."""
        if isinstance(X, IterableDataset) or not hasattr(X, "__len__"):
            raise TypeError(
                "X is a Dataset without length; pruning needs a map-style Dataset with "
                "__len__ and __getitem__."
            )
        if len(X) == 0:
            raise ValueError("X is a Dataset with 0 samples; at least 1 is required.")
        sample = X[0]
        is_pair = isinstance(sample, (tuple, list)) and len(sample) == 2
        shape = tuple(np.shape(sample[0] if isinstance(sample, (tuple, list)) else sample))
        if reset:
            self.n_features_in_ = shape[0] if shape else 1
        self._check_shape(shape, reset)
        if isinstance(y, str) and y == "no_validation":
            return X, None
        if y is None:
            if not is_pair:
                raise ValueError(
                    "X is a Dataset whose samples are not pairs (x, y), so it gives no "
                    "targets. Let it give pairs, or pass y."
                )
            y = np.asarray([_target(X[i][1]) for i in range(len(X))])
        y = _numpy(y)
        _refuse_missing(y)
        if len(y) != len(X):
            raise ValueError(
                f"y has {len(y)} entries, but the Dataset X has {len(X)} samples."
            )
        return X, _check_y(y, estimator=self, **self._y_checks)

    def _check_shape(self, shape, reset):
        """Remember the shape of a sample, or compare it with that of `fit`."""
        if reset:
            self._sample_shape = shape
        elif shape != self._sample_shape:
            raise ValueError(
                f"X has samples of shape {shape}, but {type(self).__name__} was fitted with "
                f"samples of shape {self._sample_shape}."
            )

    def _weights(self, sample_weight, n_rows):
        """Validate row weights; at least one must be positive."""
        weights = _check_sample_weight(
            sample_weight, np.empty((n_rows, 1)), dtype=np.float64, ensure_non_negative=True
        )
        if not weights.any():
            raise ValueError("sample_weight is zero in every row; nothing is left to fit.")
        return weights

    def _training_rows(self, X, y, sensitive_features, sample_weight, reset=True, known=None):
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
        read = self._dataset if isinstance(X, Dataset) else self._features
        X, y = read(X, y, reset)
        n_rows = len(X) if isinstance(X, Dataset) else X.shape[0]
        targets, fitted = self._encode(y, known)
        groups = self._groups(sensitive_features, n_rows, targets, fitted)
        fitted["groups_"] = groups.names
        codes, weights = groups.codes, None
        if sample_weight is not None:
            weights = self._weights(sample_weight, n_rows)
            kept = np.flatnonzero(weights)
            if kept.size < n_rows:
                X = Subset(X, kept) if isinstance(X, Dataset) else X[kept]
                targets, codes, weights = targets[kept], codes[kept], weights[kept]
        if known is None:
            self._check_targets(targets, fitted)
        rows = Rows(X, targets, groups=codes, weights=weights, dtype=self._torch_dtype())
        return rows, fitted

    def _prediction_rows(self, X, sensitive_features=None):
        read = self._dataset if isinstance(X, Dataset) else self._features
        X, _ = read(X)
        if sensitive_features is not None:
            encode_groups(sensitive_features, len(X) if isinstance(X, Dataset) else X.shape[0])
        return networks.adapt(Rows(X, dtype=self._torch_dtype()), self.estimator_)


def _numpy(values):
    """Make arrays of tensors and lists, whose integers then stay integers."""
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values) if isinstance(values, (list, tuple)) else values


def _target(value):
    """Label or target of one sample of a Dataset."""
    value = _numpy(value)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _refuse_missing(y):
    """Raise if labels or targets are missing, with the number of rows."""
    if y is not None and (missing := int(np.sum(pd.isna(np.asarray(y))))):
        raise ValueError(
            f"Input y contains NaN or None: it is missing in {missing} of {len(y)} rows. Drop "
            "these rows, or impute them."
        )
