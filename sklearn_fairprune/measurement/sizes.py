"""How sparse a network is, layer by layer, how large, and what a row costs it."""

import zlib
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from .._compat.torch import plain_name
from ..engine.costs import layer_macs
from ..engine.liveness import Liveness, dead_units
from ..estimators.unwrap import unwrapped
from ..functional.masks import masks_sparsity
from ..functional.params import prunable, share_of, skipped
from .digests import network_digest
from .network_rows import network_rows, told_error


def network_of(model: Any) -> tuple[nn.Module | None, dict[str, torch.Tensor]]:
    """Return the torch module inside a fitted estimator and the masks of its weights.

    Parameters
    ----------
    model : fitted estimator
        Anything; a pruner or skorch net may stand in a Pipeline, a search or a
        meta-estimator.

    Returns
    -------
    module : torch.nn.Module or None
        None if there is no network inside.
    masks : dict of str to BoolTensor
        True = kept; of the weights that pruning may remove.
    """
    try:
        inner, _, _ = unwrapped(model)
    except (TypeError, ValueError):
        return None, {}
    if hasattr(inner, "masks_"):
        return inner.estimator_.module_, inner.masks_
    masks = {name: weight.detach() != 0 for name, weight in prunable(inner.module_).items()}
    return inner.module_, masks


def sparsity_of(model: Any) -> float:
    """Share of the weights that pruning removed; NaN for a model without a network.

    Parameters
    ----------
    model : fitted estimator
        As in `network_of`.

    Returns
    -------
    sparsity : float
    """
    _, masks = network_of(model)
    n_weights = sum(mask.numel() for mask in masks.values())
    return 1 - sum(int(m.sum()) for m in masks.values()) / n_weights if n_weights else np.nan


def notes_on_skipped(models: dict[str, Any]) -> list[str]:
    """Say of which weights of the networks a sparsity says nothing.

    Parameters
    ----------
    models : dict of str to fitted estimator
        Those whose pruning reaches all weights are passed over.

    Returns
    -------
    notes : list of str
        One for all models that leave the same weights alone.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for name, model in models.items():
        module, masks = network_of(model)
        reasons = getattr(_pruner_of(model), "skipped_weights_", {})
        left_out = {} if module is None else skipped(module, masks, reasons)
        if not left_out:
            continue
        shown = ", ".join(f"{k} ({w.reason})" for k, w in list(left_out.items())[:10])
        shown += f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        share = f"{100 * share_of(masks, left_out):.3g}"
        alike.setdefault((share, shown), []).append(name)
    return [
        f"Sparsities of {', '.join(names)} are over {share} % of the network's weights. "
        f"Pruning leaves alone: {shown}."
        for (share, shown), names in alike.items()
    ]


def layer_table(model: Any) -> pd.DataFrame:
    """Sparsity of every layer that can be pruned, in the network's order.

    Parameters
    ----------
    model : fitted estimator
        As in `network_of`.

    Returns
    -------
    layers : DataFrame
        Indexed by ``layer`` (the name of the weight); ``shape``, ``weights``, ``kept``,
        ``sparsity``. Empty for a model without a network.
    """
    _, masks = network_of(model)
    table = [
        {
            "layer": name,
            "shape": "x".join(map(str, mask.shape)),
            "weights": mask.numel(),
            "kept": int(mask.sum()),
            "sparsity": 1 - int(mask.sum()) / mask.numel(),
        }
        for name, mask in masks.items()
    ]
    columns = ["layer", "shape", "weights", "kept", "sparsity"]
    return pd.DataFrame(table, columns=columns).set_index("layer")


def finetuning_epochs(model: Any) -> float:
    """Epochs of fine-tuning that the network of a pruner had.

    Parameters
    ----------
    model : fitted estimator
        As in `network_of`.

    Returns
    -------
    epochs : int or float
        0 of a dense network; NaN of a model that is no pruner.
    """
    pruner = _pruner_of(model)
    if pruner is None:
        return np.nan
    if pruner.estimator_ is pruner.dense_estimator_:  # a dense twin has the whole history
        return 0
    return [row["phase"] for row in pruner.history_].count("finetune")


def _pruner_of(model):
    """The fitted pruner inside a model, or None."""
    try:
        inner, _, _ = unwrapped(model)
    except (TypeError, ValueError):
        return None
    return inner if hasattr(inner, "effective_sparsity_") else None


def size_of(model: Any) -> dict[str, Any]:
    """Numbers of weights, units and bytes of the network inside a model.

    Parameters
    ----------
    model : fitted estimator
        As in `network_of`.

    Returns
    -------
    size : dict
        ``weights`` that can be pruned and those ``kept``; all ``parameters`` and those
        that are ``nonzero``; ``bytes`` of parameters and buffers as stored, zeros
        included, and ``zipped_bytes`` of the same through zlib; ``sha256`` of the state
        and the masks. Empty for a model without a network.
    """
    module, masks = network_of(model)
    if module is None:
        return {}
    parameters = list(module.parameters())
    stored = b"".join(map(_stored, [*parameters, *module.buffers()]))
    return {
        "weights": sum(mask.numel() for mask in masks.values()),
        "kept": sum(int(mask.sum()) for mask in masks.values()),
        "parameters": sum(p.numel() for p in parameters),
        "nonzero": sum(int(p.count_nonzero()) for p in parameters),
        "bytes": len(stored),
        "zipped_bytes": len(zlib.compress(stored, level=1)),
        "sha256": network_digest(module, masks),
    }


def _stored(tensor):
    """Bytes of a tensor; of a sparse one those of its numbers and of where they stand."""
    tensor = tensor.detach().cpu()
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        return _stored(tensor.indices()) + _stored(tensor.values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        at = _stored(tensor.crow_indices()) + _stored(tensor.col_indices())
        return at + _stored(tensor.values())
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        at = _stored(tensor.ccol_indices()) + _stored(tensor.row_indices())
        return at + _stored(tensor.values())
    return tensor.flatten().view(torch.uint8).numpy().tobytes()


def size_table(models: dict[str, Any], X: Any) -> tuple[pd.DataFrame, list[str]]:
    r"""Sizes of the networks of several models, and what a row costs each of them.

    ``macs`` are the multiply-accumulates of one row as the network is stored, zeros included;
    ``nonzero_macs`` those that a kernel which skips zeros would do,

    .. math:: M - \sum_w M_w (1 - n_w / N_w),

    where weight w takes part in :math:`M_w` of all M, and has :math:`n_w` numbers that are
    not zero among :math:`N_w`. The ``effective_sparsity`` counts kept weights as removed that
    lie on no path of kept weights from an input to an output (`engine.liveness`), and
    ``dead_units`` of all ``units`` (of convolutions: channels) have no others.

    Parameters
    ----------
    models : dict of str to fitted estimator
        By name; those without a network are passed over.
    X : array-like
        Rows, as the models take them.

    Returns
    -------
    sizes : DataFrame
        Indexed by ``model``; see `size_of`.
    notes : list of str
        Whose multiply-accumulates are unknown, and why.
    """
    table: dict[str, Any] = {}
    alike: dict[str, list[str]] = {}
    for name, model in models.items():
        if size := size_of(model):
            stored = {k: size.pop(k) for k in ("bytes", "zipped_bytes", "sha256")}
            costs, why = _row_costs(model, X)
            table[name] = size | costs | _live_parts(model, X) | stored
            alike.setdefault(why, []).append(name)
    frame = pd.DataFrame.from_dict(table, orient="index").rename_axis("model")
    notes = [
        f"Multiply-accumulates of {', '.join(names)} are not known: {why}."
        for why, names in alike.items()
        if why
    ]
    return frame, notes


def _row_costs(model, X):
    """Multiply-accumulates of a row, or why they are unknown."""
    try:
        net, features = network_rows(model, X, 1)
        macs = layer_macs(net, features)
    except Exception as error:  # whatever a network of somebody else raises
        return {"macs": np.nan, "nonzero_macs": np.nan}, told_error(error)
    weights = {plain_name(k): p for k, p in net.module_.named_parameters()}
    weights |= prunable(net.module_)
    idle = 0.0
    for name, weight in weights.items():
        zeros = 1 - int(weight.count_nonzero()) / max(weight.numel(), 1)
        idle += macs.of_weights.get(name, 0) * zeros
    return {"macs": macs.total, "nonzero_macs": round(macs.total - idle)}, ""


def _live_parts(model, X):
    """Units without a live weight, and the sparsity that counts live weights alone."""
    module, masks = network_of(model)
    pruner = _pruner_of(model)
    if all(mask.all() for mask in masks.values()):
        live = masks
    elif pruner is not None:
        units, effective = pruner.dead_units_, pruner.effective_sparsity_
        return _counted(units) | {"effective_sparsity": effective}
    else:
        try:
            live = Liveness(*network_rows(model, X, 1)).live(
                {name: mask.cpu() for name, mask in masks.items()}
            )
        except Exception:  # that X cannot be read is in the note on multiply-accumulates
            return dict.fromkeys(("dead_units", "units", "effective_sparsity"), np.nan)
    return _counted(dead_units(module, live)) | {"effective_sparsity": masks_sparsity(live)}


def _counted(units):
    return {
        "dead_units": sum(dead for dead, _ in units.values()),
        "units": sum(number for _, number in units.values()),
    }
