"""The models of a report by name, the dense one first."""

from sklearn.utils import Bunch

from .sizes import sparsity_of


def named_models(models):
    """Return the models of a report by name, and the sparsity of each.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        The dense model first; or what ``pruning_path`` returned.

    Returns
    -------
    models : dict of str to fitted estimator
    sparsities : list of float
        As achieved; NaN for a model that has none.

    Raises
    ------
    TypeError
        If they are neither.
    ValueError
        If there is none, or a path does not begin with the dense network.
    """
    if isinstance(models, Bunch):
        if models.sparsities[0] != 0:
            raise ValueError(
                "The path must begin with sparsity 0, the dense network to compare with; it "
                f"begins with {models.sparsities[0]:g}."
            )
        models = {
            f"sparsity {s:g}": e
            for s, e in zip(models.sparsities, models.estimators, strict=True)
        }
    if not hasattr(models, "items"):
        raise TypeError(
            "models must be a dict of names to fitted estimators, the dense one first, such "
            "as {'dense': a, 'pruned': b}, or what pruning_path returned, got "
            f"{type(models).__name__}."
        )
    models = dict(models)
    if not models:
        raise ValueError("models is empty; give the dense model first, then pruned ones.")
    return models, [sparsity_of(model) for model in models.values()]
