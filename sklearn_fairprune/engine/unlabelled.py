"""Whether a network can be pruned on rows whose targets nobody knows, and if not, why not."""

from skorch import NeuralNet
from skorch.callbacks import BatchScoring, EpochScoring

from .recipe import Recipe, asked_by
from .statistics import STATISTICS


def why_targets(recipe: Recipe, net: NeuralNet, *, grouped: bool) -> str:
    """What needs targets in the pruning of a trained network, and the way out.

    Least squares, statistics of batch norm and activations need features only, and so does a
    fine-tuning whose loss is nothing but the divergence from the dense network.

    Parameters
    ----------
    recipe : Recipe
        How it is pruned.
    net : skorch.NeuralNet
        Trained.
    grouped : bool
        Whether the groups of the rows are known without their targets.

    Returns
    -------
    reason : str
        With the way out at its end; "" if nothing needs them.
    """
    if recipe.sparsity == 0:
        return ""
    asked = [name for name in asked_by(recipe.criterion) if STATISTICS[name].of_targets]
    if asked:
        return (
            f"criterion={recipe.criterion.name} asks for {asked}, which are measured on "
            "targets. Pass y, or use a criterion that asks for none, such as 'magnitude'."
        )
    weighted = recipe.recovery.reconstructs and recipe.recovery.layer_balance > 0
    trains = recipe.epochs != 0
    if trains and (reason := _of_training(recipe, net)):
        return reason
    if (weighted or (trains and recipe.recovery.balance > 0)) and not grouped:
        return (
            "balance weighs rows by their groups, which are the classes where "
            "sensitive_features is not given. Pass one of the two, or balance=0."
        )
    return ""


def _of_training(recipe: Recipe, net: NeuralNet) -> str:
    """Why the training after pruning needs targets."""
    way_out = "Pass y, or finetune_epochs=0"
    how_long = f"finetune_epochs={recipe.epochs}"
    if recipe.recovery.share < 1:
        return (
            f"the fine-tuning ({how_long}) fits them. {way_out}, or a recovery that needs the "
            "dense network's outputs only, such as 'distill'."
        )
    scores = [
        name
        for name, callback in net.callbacks_
        if isinstance(callback, (EpochScoring, BatchScoring)) and callback.on_train
    ]
    measures = ["its train_split"] if net.train_split else []
    measures += [f"its callback {name!r}" for name in scores]
    if measures:
        return (
            f"the net measures itself on them in the fine-tuning ({how_long}): "
            f"{', '.join(measures)}. {way_out}, or a net without."
        )
    return ""
