"""Models that are no estimators of scikit-learn's kind, as such: torch modules, mitigators."""

import copy
from typing import Any

import numpy as np
import torch
from sklearn.utils.multiclass import type_of_target
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import nn

from .._compat.fairlearn import Mitigated, is_mitigator
from .._compat.sklearn import num_samples, safe_indexing


def adapted(model: Any, X: Any, y: Any, sensitive_features: Any = None, seed: int = 0) -> Any:
    """Estimator that stands for a model.

    Parameters
    ----------
    model : estimator, torch module, or fitted mitigator of fairlearn
        What is an estimator of scikit-learn's kind stays as it is.
    X : array-like
        Features; the shape of a module's outputs is found with two rows.
    y : array-like of shape (n,)
        Targets; they say whether a module classifies.
    sensitive_features : array-like, default=None
        Handed on to mitigators that predict with them.
    seed : int, default=0
        Of predictions that are drawn.

    Returns
    -------
    estimator : estimator

    Raises
    ------
    ValueError
        If the targets are not those of such a module.
    """
    if isinstance(model, nn.Module) and not hasattr(model, "predict"):
        return net_of_module(model, X, np.asarray(y))
    if is_mitigator(model):
        return Mitigated(model, sensitive_features, seed)
    return model


def is_randomised(model: Any) -> bool:
    """Whether the predictions of a model are drawn at random."""
    return isinstance(model, Mitigated) and model.draws


def net_of_module(module: nn.Module, X: Any, y: np.ndarray) -> Any:
    """Skorch net around a copy of a trained module.

    Parameters
    ----------
    module : torch.nn.Module
        Its outputs are logits: one for two classes, else one a class; or numbers.
    X : array-like
        Features.
    y : ndarray of shape (n,) or (n, k)
        Classes as whole numbers from 0, or numbers.

    Returns
    -------
    net : NeuralNetClassifier, NeuralNetBinaryClassifier or NeuralNetRegressor
        Initialized.

    Raises
    ------
    ValueError
        If the classes are not whole numbers from 0.
    """
    parameter, own = next(module.parameters(), torch.empty(0)), copy.deepcopy(module)
    options: dict[str, Any] = {"device": parameter.device, "train_split": None}
    if type_of_target(y).startswith("continuous"):
        return NeuralNetRegressor(own, **options).initialize()
    codes = np.unique(y)
    if not (codes.dtype.kind in "iub" and codes.min() >= 0):
        raise ValueError(
            "A torch module predicts the classes 0, 1, ...; y must be whole numbers from 0, "
            f"got {codes[:5].tolist()}. Encode y (LabelEncoder), or give a skorch net with "
            "classes."
        )
    seen = NeuralNet(own, nn.MSELoss, **options).initialize()
    width = seen.forward(safe_indexing(X, np.arange(min(2, num_samples(X)))))[0].numel()
    if width == 1:
        return NeuralNetBinaryClassifier(own, **options).initialize()
    options |= {"criterion": nn.CrossEntropyLoss, "classes": list(range(width))}
    return NeuralNetClassifier(own, **options).initialize()
