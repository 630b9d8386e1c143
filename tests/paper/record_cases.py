"""Made-up records, in which what is true is known."""

import numpy as np
from records import Record
from ways import SPARSITIES, added, beyond, front, regimes

N_GROUPS = 4
ROWS = {
    "train": [400, 300, 200, 100],
    "validation": [80, 60, 40, 20],
    "test": [80, 60, 40, 20],
}
DENSE = {"accuracy": [0.9, 0.85, 0.8, 0.7], "loss": [0.3, 0.4, 0.5, 0.8]}
QUANTITIES = {
    "gradient_norm": [1.0, 2.0, 3.0, 4.0],
    "largest_eigenvalue": [10.0, 20.0, 30.0, 40.0],
    "closeness": [0.1, 0.2, 0.3, 0.4],
    "dense_accuracy": DENSE["accuracy"],
    "masked_excessive_loss": [0.1, 0.2, 0.3, 0.4],
    "second_order": [0.1, 0.2, 0.3, 0.4],
}


def measured(accuracy, loss, noise):
    """A cell that looks the same on all parts, up to a little noise."""
    part = {"accuracy": (np.array(accuracy) + noise).tolist(), "loss": list(loss)}
    return {name: part | {"classes_predicted": N_GROUPS} for name in ROWS}


def record(seed=0, *, harm=0.02, cells=None, task="svhn"):
    """Record in which pruning costs group k `harm` * k of accuracy and of loss.

    Parameters
    ----------
    seed : int
        Of a noise of about a tenth of a point.
    harm : float
        See above; the larger a group the smaller its k.
    cells : dict of str to dict, default=None
        {"way; sparsity": {"accuracy", "loss"}} that are otherwise.
    task : str
        Name of the task.
    """
    rng = np.random.default_rng(seed)
    steps = np.arange(N_GROUPS)
    pruned = {
        "accuracy": np.array(DENSE["accuracy"]) - harm * steps,
        "loss": np.array(DENSE["loss"]) + harm * steps,
    }
    found = {"dense; 0": measured(**DENSE, noise=rng.normal(0, 1e-3))}
    for update in ("equal_loss", "paper"):
        values = (cells or {}).get(f"dense, {update}, before; 0", DENSE)
        found[f"dense, {update}, before; 0"] = measured(**values, noise=rng.normal(0, 1e-3))
    names = [f"{w.name}; {s:g}" for w in (*regimes(), *beyond()) for s in SPARSITIES]
    names += [f"{w.name}; 0.9" for w in (*front(), *added())]
    for name in names:
        values = (cells or {}).get(name, pruned)
        found[name] = measured(**values, noise=rng.normal(0, 1e-3))
    kinds = [("dense", "none"), ("dense", "equal_loss, before"), ("dense", "paper, before")]
    kinds += [("pruned", "none"), ("pruned", "equal_loss, after"), ("pruned", "paper, after")]
    diagnoses = {f"{network}, {way}": QUANTITIES for network, way in kinds}
    about = {
        "task": task,
        "seed": seed,
        "groups": [f"group {k}" for k in range(N_GROUPS)],
        "rows": ROWS,
        "network": "small",
        "epochs": 1,
        "finetune_epochs": 1,
        "lr": 0.1,
        "batch_size": 8,
        "image": [1, 8, 8],
    }
    return Record(about, found, diagnoses)
