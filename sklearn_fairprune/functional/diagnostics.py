"""Diagnostics of single rows: what pruning does to each person's prediction.

A diagnostic names the statistics it needs by its keyword-only arguments:

- ``dense_losses``, ``pruned_losses``: loss of each row, shape (n,);
- ``dense_outputs``, ``pruned_outputs``: class probabilities, shape (n, n_classes), or the
  predicted targets of a regression;
- ``labels``: class codes, shape (n,);
- ``dense_predictions``, ``pruned_predictions``: class codes, shape (n,);
- ``gradient_norms``: norm of the dense network's gradient of each row's loss, shape (n,).

Add one: a function, and a line in `DIAGNOSTICS`.
"""

from . import boundary


def dense_loss(*, dense_losses):
    """Loss under the dense network, in nats for the cross-entropy."""
    return dense_losses


def pruned_loss(*, pruned_losses):
    """Loss under the pruned network, in nats for the cross-entropy."""
    return pruned_losses


def excessive_loss(*, dense_losses, pruned_losses):
    """Pruned minus dense loss; its group mean is R(a)."""
    return pruned_losses - dense_losses


def closeness(*, dense_outputs):
    """Closeness to the dense network's decision boundary, 1 minus the sum of p squared."""
    return boundary.closeness(dense_outputs)


def margin(*, dense_outputs):
    """Distance between the dense network's two most probable classes."""
    return boundary.margin(dense_outputs)


def sample_gradient_norm(*, gradient_norms):
    """Norm of the gradient of the row's loss at the dense network."""
    return gradient_norms


def accuracy_drop(*, labels, dense_predictions, pruned_predictions):
    """1.0 where only the dense network is right, -1.0 where only the pruned one is."""
    return (dense_predictions == labels).double() - (pruned_predictions == labels).double()


def prediction_changed(*, dense_predictions, pruned_predictions):
    """1.0 where dense and pruned network predict different classes, else 0.0."""
    return (dense_predictions != pruned_predictions).double()


def prediction_change(*, dense_outputs, pruned_outputs):
    """Norm of the difference of the predicted targets."""
    return (pruned_outputs - dense_outputs).flatten(1).norm(dim=1)


_LOSSES = {
    f.__name__: f for f in (dense_loss, pruned_loss, excessive_loss, sample_gradient_norm)
}
_CLASSES = {f.__name__: f for f in (closeness, margin, accuracy_drop, prediction_changed)}
DIAGNOSTICS = _LOSSES | _CLASSES
REGRESSION_DIAGNOSTICS = _LOSSES | {"prediction_change": prediction_change}
OF_PROBABILITIES = ("closeness", "margin")


def diagnostics_of(*, classifies, probabilities):
    """Diagnostics that there are for a network, by name.

    Parameters
    ----------
    classifies : bool
        Whether its targets are classes.
    probabilities : bool
        Whether its outputs tell class probabilities.

    Returns
    -------
    diagnostics : dict of str to callable
        `DIAGNOSTICS` or `REGRESSION_DIAGNOSTICS`, or fewer.
    """
    if not classifies:
        return dict(REGRESSION_DIAGNOSTICS)
    left_out = () if probabilities else OF_PROBABILITIES
    return {name: f for name, f in DIAGNOSTICS.items() if name not in left_out}


def chosen(quantities, known):
    """Check the names of the quantities that are asked for.

    Parameters
    ----------
    quantities : list of str
        Names.
    known : collection of str
        Those there are for this network.

    Returns
    -------
    names : list of str
        As asked for.

    Raises
    ------
    ValueError
        If there is none, if one is named twice or is not known.
    """
    if isinstance(quantities, str):
        raise ValueError(
            f"quantities must be a list of names, got the string {quantities!r}. Write "
            f"[{quantities!r}]."
        )
    names = list(quantities)
    if unknown := [name for name in names if name not in known]:
        why = "; closeness and margin need probabilities" * bool(
            set(OF_PROBABILITIES) & set(unknown)
        )
        raise ValueError(
            f"quantities: unknown {unknown}; known for this network: {list(known)}{why}."
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"quantities must name at least one quantity, and each once, got {names}."
        )
    return names
