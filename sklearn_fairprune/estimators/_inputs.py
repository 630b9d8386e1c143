"""What users hand in, validated and turned into rows for the engine."""

import numpy as np
import torch
from sklearn.utils.validation import _check_sample_weight, validate_data
from torch.utils.data import Dataset, IterableDataset, Subset

from ..engine import networks
from ..engine.batches import Rows
from .sensitive import Groups, encode_groups

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
                sample_weight,
                np.empty((n_rows, 1)),
                dtype=np.float64,
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
