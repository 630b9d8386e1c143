"""What masks cost: global pruning against torch's own, and a masked against a plain step.

Run: python benchmarks/masks.py [--weights 11000000,100000000]
Layers of a ResNet-18, and of one three times as wide (11.7 and 102 million weights), of random
weights. Ours is scores by magnitude, `score_masks` and `apply_masks`; theirs is
``torch.nn.utils.prune.global_unstructured`` with ``L1Unstructured``. Every repetition begins
with the same weights, and putting them there is not timed. The step is an epoch of 4,096 rows
of a 1024-1024-1024-10 network (two layers of a million weights) as the package trains it, with
masks of 90 % and without. One thread, in turn, medians of the ratios.
"""

import argparse
import time

import numpy as np
import torch
from record import figure, interleaved, planned, ratio, save
from torch import nn
from torch.nn.utils import prune

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import (
    apply_masks,
    magnitude,
    masks_sparsity,
    prunable,
    score_masks,
)

PLAN = planned("masks")
SEED, FEATURES, WIDTH, CLASSES, ROWS, BATCH = 0, 1024, 1024, 10, 4096, 128
WIDENED = {11_000_000: 1, 100_000_000: 3}


def resnet_layers(widened):
    """Convolutions and output layer of a ResNet-18, so many times as wide: a ModuleList."""
    widths = [widened * width for width in (64, 128, 256, 512)]
    layers, before = [nn.Conv2d(3, widths[0], 7, bias=False)], widths[0]
    for width in widths:
        layers.append(nn.Conv2d(before, width, 3, bias=False))
        layers += [nn.Conv2d(width, width, 3, bias=False) for _ in range(3)]
        if before != width:
            layers.append(nn.Conv2d(before, width, 1, bias=False))
        before = width
    return nn.ModuleList([*layers, nn.Linear(before, 1000)])


def ours(layers):
    """Prune layers by the package; returns masks by name."""
    weights = prunable(layers)
    scores = {name: magnitude(weight) for name, weight in weights.items()}
    masks = score_masks(scores, PLAN["sparsity"])
    apply_masks(weights, masks)
    return masks


def theirs(layers):
    """Prune layers by torch; they hold masks of their own from then on."""
    pairs = [(layer, "weight") for layer in layers]
    prune.global_unstructured(
        pairs, pruning_method=prune.L1Unstructured, amount=PLAN["sparsity"]
    )


def compare(layers, repetitions):
    """Seconds of both, and on how many weights they disagree that do not tie.

    Parameters
    ----------
    layers : ModuleList
        Whose weights are pruned, and put back.
    repetitions : int
        How often each.

    Returns
    -------
    seconds : dict of str to list of float
        "ours" and "torch".
    disagreements : int
        Weights that one of them alone removes, but for those whose absolute value is that of
        the threshold.
    """
    dense = [layer.weight.detach().clone() for layer in layers]
    seconds, masks = {"ours": [], "torch": []}, {}

    def restore():
        with torch.no_grad():
            for layer, weight in zip(layers, dense, strict=True):
                if prune.is_pruned(layer):
                    prune.remove(layer, "weight")
                layer.weight.copy_(weight)

    for _ in range(repetitions):
        for name, work in (("ours", ours), ("torch", theirs)):
            restore()
            start = time.perf_counter()
            masks[name] = work(layers)
            seconds[name].append(time.perf_counter() - start)
    own = list(masks["ours"].values())
    other = [layer.weight_mask.bool() for layer in layers]
    lowest = min(w[m].abs().min() for w, m in zip(dense, own, strict=True) if m.any())
    differ = sum(
        int(((a != b) & (w.abs() != lowest)).sum())
        for a, b, w in zip(own, other, dense, strict=True)
    )
    kept = [sum(int(mask.sum()) for mask in found) for found in (own, other)]
    restore()
    return seconds, differ + abs(kept[0] - kept[1])


def step_ways():
    """An epoch of the same network with masks and without."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, ROWS)
    ways = {}
    for name in ("masked", "plain"):
        net = networks.default_net(True, ROWS, FEATURES, CLASSES, (WIDTH, WIDTH))
        net.set_params(batch_size=BATCH)
        net = networks.initialize(networks.with_fast_batches(net), torch.float32, SEED)
        weights = prunable(net.module_)
        masks = score_masks({k: magnitude(w) for k, w in weights.items()}, PLAN["sparsity"])
        given = masks if name == "masked" else None
        rows = Rows(X, y)
        ways[name] = lambda net=net, rows=rows, masks=given: train(
            net, rows, 1, seed=SEED, masks=masks
        )
        ways[name]()  # warm up
    return ways


def sentence(summary):
    """What the benchmarks' README says of it."""
    value = {line["name"]: line["value"] for line in summary}
    masks = [
        f"{v:.3f} at {name.split(' of ')[1]}"
        for name, v in value.items()
        if name.endswith("M weights")
    ]
    text = f"Global masks of {100 * PLAN['sparsity']:g} % take {' and '.join(masks)} of the "
    text += f"time of `torch.nn.utils.prune.global_unstructured` (target: {PLAN['time']}). "
    (step,) = (v for name, v in value.items() if name.startswith("masked step"))
    text += f"A step of training with masks takes {step:.2f} of that without (target: "
    return text + f"{PLAN['fine_tuning_step']})."


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default=",".join(map(str, PLAN["weights"])))
    wanted = [int(n) for n in parser.parse_args().weights.split(",")]
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    summary, data = [], {}
    for size in wanted:
        layers = resnet_layers(WIDENED[size])
        repetitions = PLAN["repetitions"][str(size)]
        seconds, disagreements = compare(layers, repetitions)
        exact = sum(weight.numel() for weight in prunable(layers).values())
        removed = masks_sparsity(ours(layers))
        value, target = ratio(seconds, "ours", "torch"), PLAN["time"]
        name = f"global masks of {size // 10**6}M weights"
        summary.append(figure(name, value, "of torch", f"<= {target}", value <= target))
        name = f"{name}: weights on which the two disagree"
        summary.append(figure(name, disagreements, "weights", "<= 0", disagreements == 0))
        data[str(size)] = {"weights": exact, "removed": removed, "seconds": seconds}
    seconds, _ = interleaved(step_ways(), PLAN["step_repetitions"])
    value, target = ratio(seconds, "masked", "plain"), PLAN["fine_tuning_step"]
    name = f"masked step, layers of 1M weights, batches of {BATCH}"
    summary.append(figure(name, value, "of the plain step", f"<= {target}", value <= target))
    data["step"] = seconds
    save("masks", summary, seeds=[SEED], data=data)
    print(sentence(summary))


if __name__ == "__main__":
    main()
