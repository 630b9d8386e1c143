"""How sparse a network is, layer by layer, and how large."""

import zlib
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..engine.shrinking import stored
from ..estimators.unwrap import unwrapped
from ..functional.params import prunable, share_of, skipped
from .digests import network_digest


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
        left_out = {} if module is None else skipped(module)
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
    if pruner.estimator_ is getattr(
        pruner, "dense_estimator_", None
    ):  # a dense twin has the whole history
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
    """Numbers of weights and bytes of the network inside a model.

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
        and the masks; of a pruner the ``effective_sparsity``, which counts kept weights
        that can do nothing as removed. Empty for a model without a network.
    """
    module, masks = network_of(model)
    if module is None:
        return {}
    parameters, pruner = stored(module), _pruner_of(model)
    content = b"".join(
        t.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()
        for t in [*module.parameters(), *module.buffers()]
    )
    return {
        "weights": sum(mask.numel() for mask in masks.values()),
        "kept": sum(int(mask.sum()) for mask in masks.values()),
        "parameters": sum(p.numel() for p in parameters),
        "nonzero": sum(int(p.count_nonzero()) for p in parameters),
        "bytes": len(content),
        "zipped_bytes": len(zlib.compress(content, level=1)),
        "sha256": network_digest(module, masks),
    } | ({} if pruner is None else {"effective_sparsity": pruner.effective_sparsity_})
