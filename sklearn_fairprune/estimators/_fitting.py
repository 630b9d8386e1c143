"""The verbs of the pruners: read, train dense, prune, and keep what came of it."""

import functools
import numbers

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from .._compat.warnings import warn
from ..engine import fit as engine
from ..engine import networks
from ..engine.batches import Rows
from ..engine.randomness import derive_seeds
from ..engine.recipe import make_recipe
from ..engine.scoring import keep_all
from ..engine.training import train
from ..engine.unlabelled import why_targets
from ..functional.granularities import granularity_of
from ..functional.masks import masks_sparsity
from ..functional.params import by_plain_name
from ..functional.schedules import SCHEDULES
from ..statistics.broken import says_broken
from ..statistics.idle import IDLE, idle_share, says_idle
from ._budgets import check_budgets, path_cells
from ._inputs import read_training
from ._net import initial_net, remembered_training
from ._state import Fitted
from .sensitive import merge_names
from .ways import as_record


def fit(pruner, data, listener):
    """Train dense, prune, fine-tune.

    Parameters
    ----------
    pruner : BasePruner
        Gets the state; a fit that fails leaves it unfitted.
    data : Data
        As the user gave it.
    listener : FitListener
        Hears it, and may constrain it.

    Returns
    -------
    rows : Rows
        Those that the weights saw.
    """
    forget_fit(pruner)
    recipe = _recipe(pruner, _draw_seed(pruner))
    training = _training(pruner)
    reading, made = _read(pruner, data, recipe, listener)
    net = initial_net(pruner, reading, recipe.dense_seed)
    listener.begin(pruner, recipe.trains + bool(recipe.sparsity > 0), made)
    dense, pruned = engine.fit(net, reading.rows, recipe, listener, training)
    listener.close(pruned.net)
    history = dense.history + pruned.history
    pruner._fitted = made(pruned, net, history, dense.early)
    return reading.rows


def warn_if_unsound(pruner, rows):
    """Say, in one warning, of one class for everybody and of weights that can do nothing.

    Parameters
    ----------
    pruner : BasePruner
        Fitted.
    rows : Rows or None
        It was trained on; None does not look for one class.
    """
    told, name = [], f"The network of sparsity {pruner.sparsity_:.4g}"
    code = None
    if rows is not None and pruner._fitted.targets.classifies:
        code = networks.only_code(pruner.estimator_, rows)
    if code is not None:
        label = pruner.classes_[[code]].tolist()[0]
        told.append(says_broken(name, f"predicts {label!r} for every training row"))
    share = idle_share(1 - pruner.sparsity_, 1 - pruner.effective_sparsity_)
    if share > IDLE:
        told.append(
            f"{'It' if told else name} is stuck: {says_idle(share)}, so that its effective "
            f"sparsity is {pruner.effective_sparsity_:.4g}; {_less_idle(pruner)}."
        )
    if thin := _thin_layers(pruner):
        told.append(
            f"{'It' if told else name} nearly loses layers: {', '.join(thin)}; raise "
            "min_density, or use scope='layerwise'."
        )
    if told:
        warn(" ".join(told), ConvergenceWarning)


def _less_idle(pruner):
    """What leaves fewer weights that can do nothing."""
    granularity = granularity_of(pruner.granularity)
    if not granularity.live:
        name = granularity.name
        return f"granularity={name!r} cannot remove such weights first, as 'weight' can"
    if SCHEDULES.find("schedule", as_record(pruner.schedule)).live:
        floor = " or lower min_density" if pruner.min_density else ""
        return f"prune to a lower sparsity{floor}"
    return (
        "prune with schedule='cubic', which removes such weights first, or to a lower sparsity"
    )


def _thin_layers(pruner):
    """Layers of which one weight is left, where their share would be four or more.

    Of whole units, those that keep less than a quarter of the mean share of all layers.
    """
    share = 1 - pruner.sparsity_
    if granularity_of(pruner.granularity).units and pruner.sparsity_:
        units = {k: (n - dead, n) for k, (dead, n) in pruner.dead_units_.items() if dead}
        mean = np.mean([left / n for left, n in units.values()]) if units else 0.0
        return [
            f"layer {name} keeps {left} of {n} units"
            for name, (left, n) in units.items()
            if left / n < mean / 4
        ]
    return [
        f"layer {name} keeps 1 of {mask.numel()} weights"
        for name, mask in pruner.masks_.items()
        if int(mask.sum()) == 1 and share * mask.numel() >= 4
    ]


def prune_again(pruner, data, sparsity, listener):
    """Prune from the kept dense weights.

    Parameters
    ----------
    pruner : BasePruner
        Fitted; stays as it was if something fails.
    data : Data
        To prune with; without X the weights are only masked, and y may be missing where
        nothing needs targets.
    sparsity : float or None
        None means the parameter.
    listener : FitListener
        Hears it, and may constrain it. Has no rows unless their targets are known.

    Returns
    -------
    rows : Rows or None
        Those of X.
    """
    state, rows = pruner._fitted.restored("prune"), None
    given = {} if sparsity is None else {"sparsity": check_sparsity(sparsity), "target": None}
    recipe = _recipe(pruner, state.seed, rows=data.X is not None, **given)
    if data.X is not None:
        reading = _read_again(pruner, data, recipe, listener)
        rows = networks.adapt(reading.rows, state.dense)
        if listener.holdout:
            rows = listener.hold_out(rows, state.seed)
        if reading.has_targets:
            listener.rows, listener.groups = rows, reading.groups
    elif any(v is not None for v in data[1:]):
        raise ValueError(
            "prune got y, sensitive_features or sample_weight but no X. Pass X to "
            "fine-tune on the data, or nothing but sparsity to mask only."
        )
    listener.begin(pruner, int(recipe.sparsity > 0), lambda net: state.change(net=net))
    like = rows if rows is not None else _blank(state)
    pruned = engine.prune(state.dense, rows, recipe, listener, state.early, like)
    listener.close(pruned.net)
    history = [row for row in state.history if row["phase"] == "dense"] + pruned.history
    pruner._fitted = state.change(
        net=pruned.net,
        masks=pruned.masks,
        live=pruned.live,
        history=history,
        n_partial_fits=0,
        reasons=recipe.selection.reasons(state.dense.module_),
    )
    return rows


def path(pruner, data, sparsities, listener, budgets=None):
    """Fit clones, one per sparsity and budget, which share one dense network.

    Parameters
    ----------
    pruner : BasePruner
        Stays as it is.
    data : Data
        As the user gave it.
    sparsities : sequence of float
        Shares of weights to remove.
    listener : FitListener
        Hears it all; every fine-tuning has a branch of it.
    budgets : sequence of (int or None), default=None
        Epochs of fine-tuning for every sparsity above 0; None: those of the pruner alone.

    Returns
    -------
    fitted : list of (BasePruner, FitListener)
    budgets : list of float
        Of each; NaN where nothing is pruned, or nobody asked.
    """
    sparsities, budgets = _check_sparsities(sparsities), check_budgets(budgets)
    first = clone(pruner).set_params(sparsity=0.0, target=None)
    recipe = _recipe(first, _draw_seed(pruner), sparsity=max(sparsities))
    reading, made = _read(first, data, recipe, listener)
    net = initial_net(first, reading, recipe.dense_seed)
    cells = path_cells(sparsities, budgets, net, reading.rows)
    members = [clone(first).set_params(**cell.parameters) for cell in cells]
    recipes = [_recipe(member, recipe.seed) for member in members]
    for own in recipes:
        engine.check_tuning(own, net, reading.rows)
    listener.begin(first, recipe.trains + sum(own.sparsity > 0 for own in recipes), made)
    sparsest = max(recipes, key=lambda own: own.sparsity)
    dense = engine.train_dense(net, reading.rows, sparsest, listener, _training(pruner))
    fitted = []
    for member, own in zip(members, recipes, strict=True):
        branch = listener.branch()
        pruned = engine.prune(net, reading.rows, own, branch, dense.early)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(first, name):
                setattr(member, name, getattr(first, name))
        history = dense.history + pruned.history
        member._fitted = made(pruned, net, history, dense.early)
        fitted.append((member, branch))
    listener.close(fitted[-1][0].estimator_)
    for member, _ in fitted:
        warn_if_unsound(member, reading.rows)
    return fitted, [cell.budget for cell in cells]


def partial_fit(pruner, data, classes=None):
    """Train one more epoch on a copy, then put the copy in place.

    Parameters
    ----------
    pruner : BasePruner
        Fitted or not.
    data : Data
        As the user gave it.
    classes : array-like, default=None
        All classes, where the first call does not see them.
    """
    state = vars(pruner).get("_fitted")
    if state is not None:
        state.require_masked("partial_fit")
    reading = read_training(pruner, data, state, classes)
    if state is None:
        recipe = _recipe(pruner, _draw_seed(pruner))
        net = initial_net(pruner, reading, recipe.dense_seed)
        state = _made(reading, recipe, net)
    else:
        net = networks.copy_net(state.net)
        networks.adapt(reading.rows, net)
        if state.n_partial_fits == 0:  # after fit or prune: no schedule to go on with
            networks.restart(net)
        state = state.change(groups=merge_names(state.groups, reading.groups))
    seed = derive_seeds([state.seed, state.n_partial_fits], 3)[2]
    records = train(net, reading.rows, 1, seed=seed, masks=state.masks)
    sparsity = masks_sparsity(state.masks)
    phase = "finetune" if sparsity else "dense"
    step = max((row["step"] for row in state.history), default=0)
    pruner._fitted = state.change(
        net=net,
        dense=state.dense if sparsity else net,
        history=state.history + engine.label(records, phase, step, sparsity),
        n_partial_fits=state.n_partial_fits + 1,
    )


def forget_fit(estimator):
    """Drop the results of an earlier fit: a failed fit must not look fitted."""
    names = [k for k in vars(estimator) if k.endswith("_") and not k.startswith("__")]
    for name in [*names, *({"_fitted"} & set(vars(estimator)))]:
        delattr(estimator, name)


def check_sparsity(sparsity):
    """Return a sparsity as float, or raise."""
    if not isinstance(sparsity, numbers.Real) or not 0 <= sparsity < 1:
        raise ValueError(
            f"sparsity is the share of weights to remove and must be in [0, 1), got "
            f"{sparsity!r}. Use 0.9, not 90, for 90 %."
        )
    return float(sparsity)


def _check_sparsities(sparsities):
    """Return sparsities as a list of floats, or raise."""
    if (
        isinstance(sparsities, str)
        or not hasattr(sparsities, "__len__")
        or not len(sparsities)
    ):
        raise ValueError(
            "sparsities must be a sequence of numbers in [0, 1), such as [0, 0.5, 0.9], "
            f"got {sparsities!r}."
        )
    return [check_sparsity(sparsity) for sparsity in sparsities]


def _recipe(pruner, seed, *, rows=True, **given):
    """What the parameters of a pruner make of a network; sparsity and target may be given."""
    given = {"sparsity": pruner.sparsity, "target": pruner.target} | given
    return make_recipe(
        float(given["sparsity"]),
        pruner.finetune_epochs,
        criterion=pruner.criterion,
        scope=pruner.scope,
        granularity=pruner.granularity,
        target=given["target"],
        layers=pruner.layers,
        ignored_layers=pruner.ignored_layers,
        min_density=pruner.min_density,
        schedule=as_record(pruner.schedule),
        recovery=as_record(pruner.recovery),
        rate=pruner.finetune_lr,
        seed=seed,
        trains=not isinstance(pruner.estimator, FrozenEstimator),
        rows=rows,
    )


def _read(pruner, data, recipe, listener):
    """Reading of the rows that the weights may see, and what makes a state of networks."""
    reading = read_training(pruner, data)
    rows = reading.rows
    if listener.holdout:
        rows = listener.hold_out(rows, recipe.seed)
    listener.rows, listener.groups = rows, reading.groups
    return reading._replace(rows=rows), functools.partial(_made, reading, recipe)


def _read_again(pruner, data, recipe, listener):
    """Reading of the rows to prune a fitted network with; targets where they are needed."""
    state = pruner._fitted
    grouped = data.sensitive_features is not None or not state.targets.classifies
    why = listener.why_targets(recipe) or why_targets(recipe, state.dense, grouped=grouped)
    return read_training(pruner, data, state, why_targets=why)


def _made(reading, recipe, pruned, dense=None, history=(), early=None):
    """State of a pruner; a net in training is its own dense net, of which nothing is gone."""
    if not isinstance(pruned, engine.Pruned):
        masks = keep_all(pruned.module_, recipe.selection)
        pruned = engine.Pruned(pruned, masks, [], masks)
    return Fitted(
        dense=pruned.net if dense is None else dense,
        net=pruned.net,
        masks=pruned.masks,
        live=pruned.live,
        history=list(history),
        targets=reading.targets,
        groups=reading.groups,
        sample_shape=reading.sample_shape,
        seed=recipe.seed,
        early=early or {},
        reasons=recipe.selection.reasons(pruned.net.module_),
    )


def _blank(state):
    """A row of zeros of the form that the network of a state reads."""
    weights = by_plain_name(state.dense.module_)
    dtype = weights[next(iter(state.masks))].dtype
    rows = Rows(np.zeros((1, *state.sample_shape), dtype=np.float32), dtype=dtype)
    return networks.adapt(rows, state.dense)


def _training(pruner):
    """Dense training as the parameter `memory` says."""
    if pruner.memory is None:
        return train
    repeatable = pruner.random_state is not None
    return functools.partial(remembered_training, pruner.memory, repeatable)


def _draw_seed(pruner):
    """One seed, from which all others are derived."""
    if pruner.random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) % 2**31
    if isinstance(pruner.random_state, numbers.Integral):
        return int(pruner.random_state)
    return int(check_random_state(pruner.random_state).randint(2**31 - 1))
