"""Training time of the dense network against what a user would have otherwise.

The same network, optimizer (fused Adam in all but scikit-learn), batches and epochs: plain
skorch (per-row DataLoader), a bare torch loop over shuffled positions, scikit-learn's
MLPClassifier; one thread, interleaved, medians of the ratios. Also `predict_proba` against
plain skorch and a bare forward pass. Targets: what prototypes of the best ways reached.

Run: python benchmarks/fit_speed.py [--repetitions 5]
"""

import argparse
import warnings

import numpy as np
import torch
from record import figure, interleaved, planned, ratio, save
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.networks import MLP

SEED, EPOCHS, ROWS, FEATURES, BATCH = 0, 3, 50_000, 100, 256
PLAN = planned("fit_speed")


def make_data():
    """Rows with a signal in the first features."""
    rng = np.random.default_rng(SEED)
    X = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = (X[:, :5].sum(axis=1) + rng.normal(size=ROWS) > 0).astype(np.int64)
    return X, y


def make_net(hidden):
    """Return the skorch net that every way trains."""
    return NeuralNetClassifier(
        MLP,
        module__n_features=FEATURES,
        module__n_outputs=2,
        module__hidden_layer_sizes=hidden,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=1e-3,
        max_epochs=EPOCHS,
        batch_size=BATCH,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def bare_loop(X, y, hidden):
    """Train with torch alone."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    module = MLP(FEATURES, 2, hidden)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    for _ in range(EPOCHS):
        order = torch.randperm(len(X))
        for start in range(0, len(X), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(X[rows]), y[rows]).backward()
            optimizer.step()
    return module


def fit_ways(X, y, hidden):
    """Four ways to train the same network."""
    sklearn_mlp = MLPClassifier(
        hidden, batch_size=BATCH, max_iter=EPOCHS, alpha=0.0, tol=0.0, n_iter_no_change=EPOCHS
    )
    ours = PrunedClassifier(make_net(hidden), sparsity=0, random_state=SEED)
    return {
        "ours": lambda: ours.fit(X, y),
        "plain skorch": lambda: make_net(hidden).fit(X, y),
        "bare loop": lambda: bare_loop(X, y, hidden),
        "scikit-learn MLP": lambda: sklearn_mlp.fit(X, y),
    }


def forward(module, X):
    """Predict in slices with torch alone."""
    with torch.no_grad():
        slices = (
            module(chunk).double().softmax(1) for chunk in torch.from_numpy(X).split(BATCH)
        )
        return torch.cat(list(slices)).numpy()


def main():
    """Measure and save."""
    warnings.simplefilter("ignore")  # scikit-learn says that 3 epochs do not converge
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    X, y = make_data()
    summary, data = [], {"repetitions": repetitions, "rows": ROWS, "features": FEATURES}
    for hidden in ((256, 256), (32,)):
        against = PLAN["fit"][str(hidden)]
        seconds, fitted = interleaved(fit_ways(X, y, hidden), repetitions)
        data[f"fit {hidden}"] = seconds
        for base, target in against.items():
            value = ratio(seconds, "ours", base)
            met = target is not None and value <= target
            summary.append(figure(f"fit, MLP {hidden}", value, f"of {base}", target, met))
        clf, net, module = fitted["ours"], fitted["plain skorch"], fitted["bare loop"].eval()
        ways = {
            "ours": lambda clf=clf: clf.predict_proba(X),
            "plain skorch": lambda net=net: net.predict_proba(X),
            "bare forward": lambda module=module: forward(module, X),
        }
        seconds, _ = interleaved(ways, repetitions)
        data[f"predict_proba {hidden}"] = seconds
        for base, target in PLAN["predict_proba"].items():
            value = ratio(seconds, "ours", base)
            summary.append(
                figure(
                    f"predict_proba, MLP {hidden}",
                    value,
                    f"of {base}",
                    target,
                    value <= target,
                )
            )
    save("fit_speed", summary, seeds=[SEED], data=data)


if __name__ == "__main__":
    main()
