"""How much faster and smaller is a pruned network once it has shrunk, and beside whom?

Run: python -W ignore benchmarks/shrink.py [--networks mlp cnn] [--seconds 2]
     python -W ignore benchmarks/shrink.py --keep FOLDER --train   # only trains and prunes
     python -W ignore benchmarks/shrink.py --keep FOLDER           # times what is kept
     pip install onnx onnxruntime   # the peer, in the test extra; left out where lacking

House numbers (SVHN, grey, 28 x 28 pixels; folder as in tables.py), a multi-layer perceptron
784-1024-1024-10 and a convolutional network with batch norm. Each is trained once, pruned to
every sparsity of plan.json by single weights and by whole units with the default recovery,
and shrunk. Forwards of a batch are timed in turn, one thread: dense, masked, shrunk without
and with sparse layers, and ONNX Runtime on the dense and on the shrunk network. This is about
time and size alone: few rows and epochs leave the dense networks half trained, and the pruned
ones, which train on, are mostly more accurate. examples/plot_shrink.py tells what is lost.
"""

import argparse
import copy
import io
import pickle
import statistics
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from record import figure, planned, save
from recovery_tasks import OPTIONS, images
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.compaction import compact
from sklearn_fairprune.engine.costs import layer_macs

try:
    import onnxruntime
except ImportError:
    onnxruntime = None

PLAN = planned("shrink")
SEED, SIDE, ROUNDS = 0, 28, 5


def mlp():
    """Two hidden layers of 1,024 units."""
    hidden = [nn.Linear(SIDE**2, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(1024, 10))


def cnn():
    """Five convolutions with batch norm, mean over the places, linear."""
    layers, width = [], 1
    for size, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        layers += [nn.Conv2d(width, size, 3, stride, 1, bias=False)]
        layers += [nn.BatchNorm2d(size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


NETWORKS = {"mlp": mlp, "cnn": cnn}


def data(most):
    """Training and test rows: grey images of the middle 28 x 28 pixels, and digits."""
    task = images.TASKS["svhn"]()
    rows = images.split(task, SEED)
    grey = task.images.mean(axis=1, keepdims=True)[..., 2 : 2 + SIDE, 2 : 2 + SIDE]
    train = images.thinned(task, rows["train"], most, SEED)
    at, scale = grey[train].mean(), grey[train].std()
    scaled = ((grey - at) / scale).astype(np.float32)
    return (scaled[train], task.labels[train]), (
        scaled[rows["test"]],
        task.labels[rows["test"]],
    )


def dense_of(name, train):
    """Fitted dense pruner of a network."""
    options = OPTIONS | {"optimizer": torch.optim.AdamW, "lr": 0.001}
    net = NeuralNetClassifier(NETWORKS[name], max_epochs=PLAN["epochs"], **options)
    return PrunedClassifier(net, sparsity=0.0, random_state=SEED).fit(*train)


def forward(module, X):
    """Way of running a module."""

    def run():
        with torch.no_grad():
            return module(X)

    module.eval()
    return run


def onnx_forward(module, X):
    """Way of running a module in ONNX Runtime, with one thread."""
    buffer = io.BytesIO()
    names = {"input_names": ["X"], "output_names": ["y"]}
    free = {"X": {0: "n"}, "y": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        args = (module.eval(), (X[:2],), buffer)
        torch.onnx.export(*args, dynamo=False, dynamic_axes=free, **names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        buffer.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    values = X.numpy()
    return lambda: session.run(None, {"X": values})


def ratios(ways, seconds, calls):
    """How many times faster than the first way each is: median over rounds.

    In every round the ways take turns with blocks of some calls, after one that is not
    counted: what runs again and again finds its weights in the cache, as in use. A large
    batch, which is a block by itself, has that only in the first round.
    """
    rounds, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < ROUNDS:
        rounds.append({})
        for name, run in ways.items():
            if calls > 1 or len(rounds) == 1:
                run()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            rounds[-1][name] = time.perf_counter() - start
    base = next(iter(ways))
    return {
        name: round(statistics.median(own[base] / own[name] for own in rounds), 3)
        for name in ways
    }


def stored(module):
    """Bytes of parameters and buffers, raw and through zlib."""
    tensors = [*module.parameters(), *module.buffers()]
    raw = b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors)
    return {"bytes": len(raw), "zipped": len(zlib.compress(raw, level=6))}


def sizes(module, pickled):
    """Parameters, and bytes of the network and of the estimator."""
    found = {"parameters": sum(p.numel() for p in module.parameters())} | stored(module)
    return found | {"pickle": len(pickle.dumps(pickled))}


def speed_ups(dense, shrunk, compacted, masked, X, seconds):
    """How many times faster than torch's dense network each way is, batch by batch."""
    lines = {}
    for batch in PLAN["batches"]:
        rows = X[torch.arange(batch) % len(X)]
        modules = {"dense": dense, "masked": masked, "removed": compacted, "shrunk": shrunk}
        ways = {name: forward(module, rows) for name, module in modules.items()}
        if onnxruntime is not None:
            ways["ONNX dense"] = onnx_forward(dense, rows)
            ways["ONNX removed"] = onnx_forward(compacted, rows)
        lines[str(batch)] = ratios(ways, seconds, max(1, min(20, 640 // batch)))
    return lines


def measured(pruner, test, seconds):
    """What shrinking makes of a pruned network."""
    X = torch.from_numpy(test[0])
    removed = pruner.shrink(sparse=False, drop_dense=True)
    shrunk = pruner.shrink(drop_dense=True)
    dense, masked = (net.module_ for net in (pruner.dense_estimator_, pruner.estimator_))
    compacted = removed.estimator_.module_
    times = (dense, shrunk.estimator_.module_, compacted, masked, X, seconds)
    return {
        "sparsity": round(pruner.sparsity_, 5),
        "effective_sparsity": round(pruner.effective_sparsity_, 5),
        "accuracy": round(pruner.score(*test), 5),
        "largest_difference": float(
            np.abs(shrunk.predict_proba(test[0]) - pruner.predict_proba(test[0])).max()
        ),
        "macs": layer_macs(removed.estimator_, X[:1]).total,
        "sizes": {
            "dense": sizes(dense, pruner),
            "removed": sizes(compacted, removed),
            "shrunk": sizes(shrunk.estimator_.module_, shrunk),
        },
        "speed_up": speed_ups(*times),
    }


def without_neurons(share):
    """Untrained perceptron in which this share of every hidden layer has no input."""
    torch.manual_seed(SEED)
    module, generator = mlp(), torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for layer in (module[1], module[3]):
            gone = torch.randperm(1024, generator=generator)[: round(share * 1024)]
            layer.weight[gone] = 0
    return module


def kept(folder, name, make):
    """What `make` gives, from a file of the folder if it is there."""
    if folder is None:
        return make()
    path = folder / f"{name}.pickle"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())


def pruned_of(name, train, folder):
    """Fitted pruners of a network: the dense one, and by granularity and sparsity."""
    dense = kept(folder, f"{name}, dense", lambda: dense_of(name, train))
    found = {"dense": dense}
    for granularity in PLAN["granularities"]:
        for sparsity in PLAN["sparsities"]:
            key = f"{granularity}, {sparsity:g}"
            pruner = copy.copy(dense).set_params(granularity=granularity)

            def make(pruner=pruner, sparsity=sparsity):
                return pruner.prune(*train, sparsity=sparsity)

            found[key] = kept(folder, f"{name}, {key}", make)
    return found


def run(name, pruners, test, seconds):
    """Every sparsity and granularity of a network."""
    dense, found = pruners["dense"], {}
    X = torch.from_numpy(test[0][:1])
    found["dense"] = {
        "accuracy": round(dense.score(*test), 5),
        "macs": layer_macs(dense.estimator_, X).total,
    }
    for key, pruner in pruners.items():
        if pruner is not dense:
            found[key] = measured(pruner, test, seconds)
            print(name, key, found[key]["accuracy"], found[key]["speed_up"], flush=True)
    return found


def many_neurons_gone(seconds):
    """Speed-up of the untrained perceptron without most neurons, batch by batch."""
    module = without_neurons(PLAN["neurons_gone"])
    X = torch.randn(
        max(PLAN["batches"]), SIDE**2, generator=torch.Generator().manual_seed(SEED)
    )
    compacted = compact(module, X[:2]).module
    return speed_ups(module, compacted, compacted, module, X, seconds)


def judged(found, gone):
    """Figures of the summary, with their targets."""
    least = PLAN["least"]
    summary = [
        figure(
            f"mlp, {PLAN['neurons_gone']:.0%} of the neurons gone, batch 64",
            gone["64"]["removed"],
            "times faster than dense",
            least["neurons gone"],
            gone["64"]["removed"] >= least["neurons gone"],
        )
    ]
    for sparsity, target in least["mlp, weight"].items():
        value = found["mlp"][f"weight, {sparsity}"]["speed_up"]["64"]["shrunk"]
        said = f"mlp, single weights, {sparsity}, batch 64"
        summary.append(figure(said, value, "times faster than dense", target, value >= target))
    slowest = min(
        own["speed_up"][batch]["shrunk"]
        for cells in found.values()
        for own in cells.values()
        if "speed_up" in own
        for batch in own["speed_up"]
    )
    said = "slowest shrunk network of any sparsity, granularity and batch"
    target = least["any"]
    summary.append(figure(said, slowest, "times faster than dense", target, slowest >= target))
    return summary


def table(found):
    """Markdown: speed-up and size of every network."""
    head = ["network", "gone", "MACs", "parameters", "bytes", "zipped"]
    ways = ("masked", "removed", "shrunk", "ONNX dense", "ONNX removed")
    head += [f"{way}, {' / '.join(map(str, PLAN['batches']))}" for way in ways]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, cells in found.items():
        dense = cells["dense"]
        for key, own in cells.items():
            if key == "dense":
                continue
            row = [name, key, f"{own['macs'] / dense['macs']:.3f}"]
            of, to = own["sizes"]["dense"], own["sizes"]["removed"]
            row.append(f"{to['parameters'] / of['parameters']:.3f}")
            for kind in ("bytes", "zipped"):
                row.append(f"{own['sizes']['shrunk'][kind] / of['bytes']:.3f}")
            for way in ways:
                values = [own["speed_up"][str(b)].get(way) for b in PLAN["batches"]]
                row.append(" / ".join("-" if v is None else f"{v:.3g}" for v in values))
            lines.append(f"| {' | '.join(row)} |")
    return lines


def sentences(data):
    """What the README says of it."""
    found, texts = data["networks"], []
    for name, told in (("mlp", "perceptron"), ("cnn", "convolutional network")):
        parts = []
        for granularity, what in (("weight", "single weights"), ("unit", "whole units")):
            own = {s: found[name][f"{granularity}, {s:g}"] for s in (0.9, 0.95, 0.99)}
            speeds = "; ".join(
                " / ".join(
                    f"{own[s]['speed_up'][str(b)]['shrunk']:.1f}" for b in PLAN["batches"]
                )
                for s in own
            )
            of = found[name]["dense"]["macs"]
            smaller = " / ".join(f"{of / own[s]['macs']:.1f}" for s in own)
            parts.append(f"{what}: {speeds} times faster, {smaller} times fewer operations")
        texts.append(f"the {told}, by {'; by '.join(parts)}")
    batches = " / ".join(map(str, PLAN["batches"]))
    return (
        f"Shrunk networks against torch's dense one, at 0.9, 0.95 and 0.99 (at batches of "
        f"{batches} each): {'. '.join(t[0].upper() + t[1:] for t in texts)}."
    )


def main():
    """Train, prune, shrink, time, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--seconds", type=float, default=2.0, help="a batch size")
    parser.add_argument("--keep", type=Path, help="folder of the pruned networks")
    parser.add_argument("--train", action="store_true", help="time nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if onnxruntime is None:
        print("onnxruntime is not installed: the peer is left out.")
    train, test = data(PLAN["rows"])
    pruners = {name: pruned_of(name, train, arguments.keep) for name in arguments.networks}
    if arguments.train:
        return
    gone = many_neurons_gone(arguments.seconds)
    print("neurons gone", gone, flush=True)
    found = {name: run(name, own, test, arguments.seconds) for name, own in pruners.items()}
    summary = judged(found, gone)
    save("shrink", summary, seeds=[SEED], data={"networks": found, "neurons gone": gone})
    print("\n".join([*table(found), sentences({"networks": found})]))


if __name__ == "__main__":
    main()
