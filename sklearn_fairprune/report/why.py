"""Why a group pays: the diagnosis of every pruned model of an audit."""

import pandas as pd

from ..estimators.fitted import unwrapped
from .diagnose import diagnose


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
        why[name], explanations[name] = told.by_group, told.explanations
        notes += [note for note in told.notes if note not in notes]
    tables = {"why": why, "explanations": explanations}
    return {
        name: pd.concat(frames, names=["model"]) if frames else pd.DataFrame()
        for name, frames in tables.items()
    }, notes
