"""Why a group pays: the diagnosis of every pruned model of an audit."""

import inspect
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..estimators.fitted import unwrapped
from ..measurement.groups import feature_levels
from .diagnose import check_options, diagnose

OPTIONS = [name for name in inspect.signature(check_options).parameters if name != "sparsity"]


def why_options(explain, settings):
    """Read the `explain` of an audit, before anything is measured.

    Parameters
    ----------
    explain : bool or dict
        Options of `diagnose`; True takes those of the audit.
    settings : Settings
        Of the audit.

    Returns
    -------
    options : dict or None
        None if nothing is to be explained.

    Raises
    ------
    ValueError
        If it is neither, or an option is unknown or unusable.
    """
    if isinstance(explain, (bool, np.bool_)):
        explain = {} if explain else None
    elif not isinstance(explain, Mapping):
        raise ValueError(
            "explain must be True, False or a dict of options of diagnose, such as "
            f"{{'max_samples': 200}}, got {explain!r}."
        )
    if explain is None:
        return None
    if unknown := [name for name in explain if name not in OPTIONS]:
        raise ValueError(f"explain has unknown options {unknown}; it can have {OPTIONS}.")
    options = {"bound_samples": 0, "n_boot": settings.n_boot}
    options |= {"confidence": settings.confidence, "random_state": settings.random_state}
    options |= explain
    check_options(**options)
    return options


def why_tables(models, X, y, sensitive_features, **options):
    """Diagnose every pruned model.

    Parameters
    ----------
    models : dict of str to fitted estimator
        The dense model first, which is passed over.
    X, y, sensitive_features
        As in `diagnose`.
    **options
        Of `diagnose`.

    Returns
    -------
    tables : dict of str to DataFrame
        ``why``, the ``by_group`` tables of the diagnoses below each other, and
        ``explanations``; both indexed by ``model`` first. Empty if nothing could be
        diagnosed.
    notes : list of str
        Of the diagnoses, each once, and which models have none and why.
    """
    why, explanations, notes = {}, {}, []
    for name, model in list(models.items())[1:]:
        try:
            inner, _ = unwrapped(model)
        except TypeError:
            notes.append(f"{name}: there is no pruned network inside to explain.")
            continue
        if getattr(inner, "sparsity_", 0) == 0:
            continue
        try:
            told = diagnose(model, X, y, sensitive_features=sensitive_features, **options)
        except ValueError as error:
            notes.append(f"{name} could not be explained: {error}")
            continue
        levels = feature_levels(told.by_group.index.names)
        why[name] = told.by_group.rename_axis(levels)
        explanations[name] = told.explanations
        notes += [note for note in told.notes if note not in notes]
    tables = {"why": why, "explanations": explanations}
    return {
        name: pd.concat(frames, names=["model"]) if frames else pd.DataFrame()
        for name, frames in tables.items()
    }, notes
