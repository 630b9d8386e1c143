"""A fit from beginning to end: dense training, then pruning and what is regained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from skorch import NeuralNet
from torch import Tensor

from .._compat.warnings import warn
from ..functional.masks import masks_sparsity
from ..functional.schedules import mask_updates
from .batches import Rows
from .dual_ascent import DualAscent
from .feasible import check_masks, check_parts
from .holding import Snapshot
from .networks import copy_net, renew_optimizer
from .recipe import Recipe
from .scoring import keep_all
from .training import train
from .tuning import FineTuning, check_rate_schedules, epochs_of


class Hooks(NamedTuple):
    """What a listener wants of one training.

    Attributes
    ----------
    events : (callable, callable) or None
        Called with the net at the begin and at the end of every epoch; the latter may
        return True to stop.
    dual : DualAscent or None
        Multipliers of a group constraint; None: unconstrained.
    """

    events: tuple[Callable, Callable] | None = None
    dual: DualAscent | None = None


class Listener:
    """Hears what a fit does. This one keeps silent, and constrains nothing.

    A `phase` surrounds the dense training, and then the pruning. `branch` comes before the
    pruning of every network of a path.
    """

    @contextmanager
    def phase(
        self,
        name: str,
        n_epochs: int,
        net: NeuralNet,
        rows: Rows | None,
        dense: NeuralNet | None = None,
    ) -> Iterator[Hooks]:
        """Surround one phase.

        Parameters
        ----------
        name : str
            What the phase does.
        n_epochs : int
            Of its training, at most; 0: none.
        net : skorch.NeuralNet
            That is trained.
        rows : Rows or None
            It trains on.
        dense : skorch.NeuralNet, default=None
            What a pruned network is compared with; None in the dense training.

        Yields
        ------
        hooks : Hooks
        """
        yield Hooks()

    def branch(self) -> "Listener":
        """Listener of one network of a path, whose dense training was heard already."""
        return self


SILENT = Listener()


class Pruned(NamedTuple):
    """What pruning made of a dense network.

    Attributes
    ----------
    net : skorch.NeuralNet
        Removed weights are exactly 0.0.
    masks : dict of str to torch.BoolTensor
        True = kept.
    history : list of dict
        One row per epoch of the training after it.
    live : dict of str to torch.BoolTensor
        Kept weights that lie on a path from an input to an output.
    """

    net: NeuralNet
    masks: dict[str, Tensor]
    history: list[dict[str, Any]]
    live: dict[str, Tensor]


class Dense(NamedTuple):
    """What the dense training leaves beside the network.

    Attributes
    ----------
    history : list of dict
        One row per epoch.
    early : dict of str to torch.Tensor
        Weights of the epoch that a schedule goes back to; empty if none does.
    """

    history: list[dict[str, Any]]
    early: dict[str, Tensor]


def check_tuning(recipe: Recipe, net: NeuralNet, rows: Rows) -> None:
    """Refuse a fine-tuning that cannot be what a recipe says.

    Parameters
    ----------
    recipe : Recipe
        How a network is to be pruned.
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.

    Raises
    ------
    ValueError
        If the schedule has more steps than there are epochs, or rates that end before them;
        if the network has no such masks; or if it was trimmed for prediction, and more is
        needed.
    """
    check_parts(recipe, net, rows)
    check_masks(recipe, net, rows)
    if not recipe.sparsity:
        return
    epochs = epochs_of(recipe, net, rows)
    mask_updates(recipe.schedule, recipe.sparsity, epochs)
    if recipe.rate == "net" or not epochs:
        check_rate_schedules(net, rows, epochs)


def train_dense(
    net: NeuralNet,
    rows: Rows,
    recipe: Recipe,
    listener: Listener = SILENT,
    training: Callable = train,
) -> Dense:
    """Train a network before anything is pruned, in place.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.
    recipe : Recipe
        Whose seed counts.
    listener : Listener
        Hears it.
    training : callable, default=train
        Of the form of `train`; may remember what the same training gave before.

    Returns
    -------
    dense : Dense
        Empty if the network is trained already.

    Raises
    ------
    ValueError
        If the fine-tuning that follows cannot be what the recipe says.
    """
    rewinds = recipe.schedule.rewind_at
    check_tuning(recipe, net, rows)
    if not recipe.trains:
        if rewinds is not None:
            raise ValueError(
                f"schedule={recipe.schedule.name} goes back to weights early in the dense "
                "training, and a FrozenEstimator tells nothing of it. Use another schedule, "
                "or give the net unfitted."
            )
        return Dense([], {})
    snapshot = None if rewinds is None else Snapshot(rewinds, net.max_epochs)
    with listener.phase("dense training", net.max_epochs, net, rows) as hooks:
        options = {"seed": recipe.dense_seed, **hooks._asdict()}
        history = training(net, rows, net.max_epochs, snapshot=snapshot, **options)
        renew_optimizer(net)
    early = {} if snapshot is None else snapshot.state
    return Dense(label(history, "dense", 0, 0.0), early)


def fit(
    net: NeuralNet,
    rows: Rows,
    recipe: Recipe,
    listener: Listener = SILENT,
    training: Callable = train,
) -> tuple[Dense, Pruned]:
    """Train a network, unless it is trained already, and prune a copy of it.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; the dense network afterwards.
    rows, recipe, listener, training
        See `train_dense`.

    Returns
    -------
    dense : Dense
    pruned : Pruned
    """
    dense = train_dense(net, rows, recipe, listener, training)
    pruned = prune(net, rows, recipe, listener, dense.early)
    return dense, pruned


def prune(
    dense: NeuralNet,
    rows: Rows | None,
    recipe: Recipe,
    listener: Listener = SILENT,
    early: dict[str, Tensor] | None = None,
    like: Rows | None = None,
) -> Pruned:
    """Prune a copy of a dense network, and let what is left recover.

    Parameters
    ----------
    dense : skorch.NeuralNet
        Trained; left as it is.
    rows : Rows or None
        Data to fine-tune on; None only masks.
    recipe : Recipe
        How.
    listener : Listener
        Hears it.
    early : dict of str to torch.Tensor, default=None
        Weights early in the dense training, for schedules that go back to them.
    like : Rows, default=None
        Any row of the form that the net reads, where `rows` are None.

    Returns
    -------
    pruned : Pruned

    Raises
    ------
    ValueError
        If the schedule goes back to weights that were not kept, or the network was trimmed
        for prediction and more is needed.

    Warns
    -----
    UserWarning
        If nothing was removed.
    """
    check_parts(recipe, dense, rows)
    net = copy_net(dense)
    if recipe.sparsity == 0:
        masks = keep_all(net.module_, recipe.selection)
        return Pruned(net, masks, [], masks)
    epochs = 0 if rows is None else epochs_of(recipe, dense, rows)
    with listener.phase(f"pruning to {recipe.sparsity:g}", epochs, net, rows, dense) as hooks:
        tuning = FineTuning(dense, net, rows, recipe, epochs, rows or like)
        tuning.begin(early)
        history = tuning.train(hooks) if epochs else []
    masks = tuning.held.masks
    if masks_sparsity(masks):
        net = renew_optimizer(net)
    else:
        _warn_of_nothing(recipe)
    return Pruned(net, masks, history, tuning.liveness.live(masks))


def _warn_of_nothing(recipe: Recipe) -> None:
    """Say that a sparsity is less than what can go at once; a target says it itself."""
    if recipe.target is None:
        warn(
            f"sparsity={recipe.sparsity:g} removed nothing, for it is less than half of what "
            f"goes at once with granularity={recipe.selection.granularity.name!r}: the "
            "network is dense. Raise it, or use granularity='weight'."
        )


def label(
    history: list[dict[str, Any]], phase: str, step: int, sparsity: float
) -> list[dict[str, Any]]:
    """Rows of the history of one phase; numbers only."""
    place = {"phase": phase, "step": step, "sparsity": sparsity}
    return [
        place | {k: v for k, v in row.items() if isinstance(v, (int, float))}
        for row in history
    ]
