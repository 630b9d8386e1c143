"""What scores that look at the groups cost, beside their plain forms.

Run: python benchmarks/group_scores.py [--repetitions 5]
20,000 synthetic rows, whose numbers do not matter, in 2, 5 and 50 groups; a network of two
hidden layers of 256 units. One thread. Statistics are timed by themselves, and whole masks
of a criterion with all that it asks for; ways take turns in one run.
"""

import argparse

import torch
from record import figure, interleaved, planned, ratio, save
from sklearn.datasets import make_classification

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.scoring import weight_masks
from sklearn_fairprune.engine.statistics import Scene, statistics_of
from sklearn_fairprune.estimators.unwrap import evaluations

PLAN = planned("group_scores")
ROWS, FEATURES, HIDDEN, SEED = 20_000, 100, (256, 256), 0


def problem(n=ROWS):
    """Trained net and the rows that it is scored on."""
    X, y = make_classification(n, FEATURES, n_informative=20, random_state=SEED)
    X = X.astype("float32")
    clf = PrunedClassifier(sparsity=0, hidden_layer_sizes=HIDDEN, random_state=SEED)
    clf.fit(X[:2_000], y[:2_000])
    dense, _, rows = evaluations(clf, X, y)
    return dense.net, rows


def statistic(net, rows, name):
    """Way of taking one statistic."""
    return lambda: statistics_of(Scene(net, rows, SEED), [name])


def masks(net, rows, criterion):
    """Way of making masks of a criterion."""
    options = {"sparsity": 0.9, "criterion": criterion, "scope": "global", "seed": SEED}
    return lambda: weight_masks(net, rows, **options)


def main():
    """Time everything in turn, for each number of groups."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    net, rows = problem()
    summary, data = [], {}
    for n_groups in PLAN["groups"]:
        rows.groups = torch.arange(len(rows)) % n_groups
        for kind, of in (("statistics", statistic), ("criteria", masks)):
            pairs, limit = PLAN[kind], PLAN["most"] if kind == "statistics" else None
            ways = {
                name: of(net, rows, name)
                for name in {**pairs, **dict.fromkeys(pairs.values())}
            }
            seconds, _ = interleaved(ways, repetitions)
            for name, plain in pairs.items():
                value = ratio(seconds, name, plain)
                said = f"{name} with {n_groups} groups, time relative to {plain}"
                met = None if limit is None else value <= limit
                summary.append(figure(said, value, "ratio", limit, met))
            data[f"{n_groups} groups, {kind}"] = seconds
    save("group_scores", summary, seeds=[SEED], data=data)


if __name__ == "__main__":
    main()
