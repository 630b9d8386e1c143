"""One pruned network on its way: masks, what is refitted, and the training that follows."""

import numbers
from collections.abc import Mapping
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch import Tensor

from .._compat.skorch import is_trimmed
from .._compat.warnings import warn
from ..functional.masks import masks_sparsity
from ..functional.schedules import mask_updates
from .batch_norm import correct_batch_norm
from .batches import Rows
from .feasible import check_masks, tell_what_stays
from .holding import CosineRate, Held, MaskSchedule, Progress, n_batches
from .liveness import Liveness, sample_of
from .networks import copy_net, restart
from .recipe import Recipe, asked_by
from .reconstruction import reconstruct
from .recovery import Distillation, recovery_epochs
from .scoring import keep_all, structures_of, weight_masks
from .training import Extras, train

# First learning rate of a fine-tuning with a cosine, in units of the net's own.
RATE_FACTOR = 3.3

Weights = dict[str, Tensor]


class FineTuning:
    """Prunes a copy of a dense network and lets it recover.

    Parameters
    ----------
    dense : skorch.NeuralNet
        Trained; left as it is.
    net : skorch.NeuralNet
        The copy, changed in place.
    rows : Rows or None
        Training data; None only masks.
    recipe : Recipe
        How.
    epochs : int
        Of the training; 0: none.
    like : Rows
        Any row or two of the form that the net reads.

    Attributes
    ----------
    held : Held
        The masks.
    """

    def __init__(
        self,
        dense: NeuralNet,
        net: NeuralNet,
        rows: Rows | None,
        recipe: Recipe,
        epochs: int,
        like: Rows,
    ) -> None:
        self.dense, self.net, self.rows, self.recipe = dense, net, rows, recipe
        self.epochs, self.recovery = epochs, recipe.recovery
        self.updates = mask_updates(recipe.schedule, recipe.sparsity, epochs)
        self.held = Held(keep_all(net.module_, recipe.selection))
        sample = sample_of(net, like)
        self.liveness = Liveness(net, sample, self.held.masks)
        self.costs = check_masks(recipe, net, like)
        self.structures = structures_of(recipe.selection.granularity, net, like)
        tell_what_stays(recipe, net, like)
        # A net that trains carries callbacks and a teacher along, which need no copies.
        asks = len(self.updates) > 1 and asked_by(recipe.criterion)
        self.scored = copy_net(net) if asks else net
        moves = len(self.updates) > 1 or recipe.schedule.rewind_at is not None
        copies = recipe.recovery.reconstructs and moves
        self.before = copy_net(net) if copies else dense  # what a removal is repaired to

    def begin(self, early: Weights | None = None) -> None:
        """Apply the first masks, and what belongs to them.

        Parameters
        ----------
        early : dict of str to torch.Tensor, default=None
            Weights that a schedule goes back to.
        """
        masks = self.masks(self.net, self.updates[0].sparsity, self.held.masks)
        if self.recipe.schedule.rewind_at is not None and self.epochs:
            if not early:
                raise ValueError(
                    f"schedule={self.recipe.schedule.name} goes back to weights early in the "
                    "dense training, which were not kept. Call fit with this schedule first."
                )
            self.net.module_.load_state_dict(early)
            self._keep(self.net)
        self.held.change(self.net, masks)
        if self.rows is None or not masks_sparsity(masks):
            return
        # Refitted layers hand on what they did before, and the statistics fit as they are.
        if not self.reconstruct(masks, last=len(self.updates) == 1):
            correct_batch_norm(self.net, self.dense, self.rows, self.recipe.tuning_seed)

    def masks(
        self, net: NeuralNet, sparsity: float, kept: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Masks of the weights that a net has now.

        Parameters
        ----------
        net : skorch.NeuralNet
            Perhaps in training.
        sparsity : float
            Share of weights to remove.
        kept : dict of str to torch.BoolTensor
            Masks so far.

        Returns
        -------
        masks : dict of str to torch.BoolTensor
        """
        self._keep(net)
        if sparsity == 0:
            return dict(kept)
        if self.scored is not net:
            self.scored.module_.load_state_dict(net.module_.state_dict())
        recipe = self.recipe
        return weight_masks(
            self.scored,
            self.rows,
            sparsity=sparsity,
            criterion=recipe.criterion,
            scope=recipe.scope,
            seed=recipe.seed,
            kept=kept,
            liveness=self.liveness if recipe.schedule.live else None,
            selection=recipe.selection,
            min_density=recipe.min_density,
            progress=min(sparsity / recipe.sparsity, 1.0),
            costs=self.costs,
            structures=self.structures,
        )

    def _keep(self, net: NeuralNet) -> None:
        """Keep what a net is before weights are removed, where it is not the dense one."""
        if self.before is not self.dense:
            self.before.module_.load_state_dict(net.module_.state_dict())

    def reconstruct(self, masks: Mapping[str, Tensor], last: bool) -> bool:
        """Refit layers to new masks, if the recovery says so.

        The outputs that they are refitted to are those of the network as it was before this
        removal: what it has learnt since the dense training stays, and normalisations fit.

        Parameters
        ----------
        masks : dict of str to torch.BoolTensor
            As they are now.
        last : bool
            Whether they are the final ones. In a gradual schedule only these are refitted to.

        Returns
        -------
        refitted : bool
            Whether a layer was.
        """
        recovery = self.recovery
        if not recovery.reconstructs or not (last or self.recipe.schedule.whole_epochs):
            return False
        options = {"balance": recovery.layer_balance, "damping": recovery.damping}
        seed = self.recipe.tuning_seed
        done = reconstruct(self.net, self.before, self.rows, masks, seed=seed, **options)
        told = [f"{name} ({reason})" for name, reason in done.skipped.items()]
        told += [
            f"{n} units of {name} (numbers not finite)" for name, n in done.unsolved.items()
        ]
        if told:
            warn(f"reconstruct left weights as they were: {', '.join(told)}.")
        if not is_trimmed(self.net):
            self.net.optimizer_.state.clear()
        return bool(done.refitted)

    def train(self, hooks: Any) -> list[dict[str, Any]]:
        """Train what is left.

        Parameters
        ----------
        hooks : Hooks
            Events and multipliers.

        Returns
        -------
        history : list of dict
            One row an epoch, with ``step`` and ``sparsity``.
        """
        restart(self.net)
        progress = Progress(self.epochs)
        last: list[Callback] = [progress]
        if len(self.updates) > 1:
            changes = (self.updates[1:], self.masks, self.reconstruct)
            last.append(MaskSchedule(self.held, progress, *changes))
        factor = rate_of(self.recipe.rate, self.net)
        first = [] if factor is None else [CosineRate(progress, factor)]
        rows, distillation = self.rows, None
        if self.recovery.share or self.recovery.balance:
            distillation = Distillation(self.recovery, self.dense, rows)
            rows = distillation.rows
        extras = Extras(self.held, first, last, distillation)
        options = {"seed": self.recipe.tuning_seed, "stage": "Fine-tuning", **hooks._asdict()}
        history = train(self.net, rows, self.epochs, extras=extras, **options)
        place = {"step": 1, "sparsity": masks_sparsity(self.held.masks)}
        return [{"phase": "finetune"} | place | row for row in history]


def epochs_of(recipe: Recipe, net: NeuralNet, rows: Rows) -> int:
    """Epochs of the fine-tuning: those of the recipe, or as many as recovery takes.

    Parameters
    ----------
    recipe : Recipe
        Whose `epochs` may be None.
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.

    Returns
    -------
    epochs : int
    """
    return recovery_epochs(net, rows) if recipe.epochs is None else recipe.epochs


def rate_of(rate: Any, net: NeuralNet) -> float | None:
    """First learning rate of a fine-tuning along a cosine, in units of the net's own.

    Parameters
    ----------
    rate : {"net", "cosine"} or float
        The net's own rate and schedule; a cosine from `RATE_FACTOR` times its rate, unless the
        net has a schedule of its own; a cosine from this rate.
    net : skorch.NeuralNet
        Initialized.

    Returns
    -------
    factor : float or None
        None: nothing is changed.
    """
    if isinstance(rate, numbers.Real):
        return float(rate) / float(net.lr)
    own = [c for _, c in net.callbacks_ if isinstance(c, LRScheduler)]
    return None if rate == "net" or own else RATE_FACTOR


def check_rate_schedules(net: NeuralNet, rows: Rows, epochs: int) -> None:
    """Refuse schedules of the net's learning rate that end before the fine-tuning does.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.
    epochs : int
        Of the fine-tuning.

    Raises
    ------
    ValueError
        If a ``OneCycleLR`` has fewer steps than the fine-tuning.
    """
    for name, callback in net.callbacks_:
        if not isinstance(callback, LRScheduler):
            continue
        options = callback.kwargs
        total = options.get("total_steps")
        if total is None and {"epochs", "steps_per_epoch"} <= set(options):
            total = options["epochs"] * options["steps_per_epoch"]
        each = 1 if callback.step_every == "epoch" else n_batches(net, rows)
        if total is not None and epochs * each > total:
            raise ValueError(
                f"The net's callback {name!r} plans {total} steps of the learning rate, and "
                f"the fine-tuning has {epochs * each} ({epochs} epochs). Lower "
                f"finetune_epochs to {max(total // max(each, 1), 0)}, raise its total_steps, "
                "or leave the callback out: the fine-tuning has a schedule of its own."
            )
