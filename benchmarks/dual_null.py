"""Do the multipliers leave alone what does not differ, whatever the number of groups?

Run: python -W ignore benchmarks/dual_null.py
     python benchmarks/dual_null.py --summary      # from the kept runs

Made-up rows in which a tenth of the labels is wrong. Groups that labels and features know
nothing of (of one size; of Zipf's; of 10 to 100,000 rows): whatever weights the multipliers
give, nothing is to be won. And one tenth of the rows with clusters of its own, and more of
them, beside 1 to 49 groups that are alike: the same difference, however many groups there
are. Ways that begin with one dense network are compared with pruning alone on fresh rows.
"""

import argparse

import numpy as np
import torch
from dual_defaults import fitted, measure_all
from measure import paired
from record import RESULTS, figure, kept_runs, planned, save
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import PrunedClassifier

PLAN = planned("dual_null")
RUNS = RESULTS / "dual_null_runs"
SHARED = ("accuracy", "harmed", "helped", "lowest_weight", "highest_weight")
FIRST = ("first_accuracy", "first_loss")


def zipf(n_groups, largest, smallest):
    """Group sizes by a power of the rank, the smallest first."""
    power = np.log(largest / smallest) / np.log(n_groups)
    return np.rint(largest / np.arange(n_groups, 0, -1) ** power).astype(int)


def drawn(n_train, n_fresh, seed, n_clusters=4):
    """Training and fresh rows (X, y) of one mechanism, of some clusters a class."""
    X, y = make_classification(
        n_train + n_fresh,
        n_features=20,
        n_informative=10,
        n_clusters_per_class=n_clusters,
        flip_y=2 * PLAN["wrong_labels"],
        random_state=seed,
    )
    X = X.astype(np.float32)
    return (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])


def by_chance(sizes, seed):
    """Groups of some sizes, of rows that know nothing of it."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def planted(seed):
    """Rows a part of which has clusters of its own, and a column that tells; then the part."""
    found = []
    for k, n_clusters in enumerate(PLAN["clusters"]):
        share = abs(k - PLAN["planted_share"])
        n_rows = (round(share * PLAN["rows"]), round(share * PLAN["fresh_rows"]))
        parts = drawn(*n_rows, seed + 1000 * k, n_clusters)
        found.append([(np.c_[X, np.full(len(y), k)], y, np.full(len(y), k)) for X, y in parts])
    (X, y, rest), (fresh, labels, fresh_rest) = (
        map(np.concatenate, zip(*of, strict=True)) for of in zip(*found, strict=True)
    )
    return (X.astype(np.float32), y), (fresh.astype(np.float32), labels), rest, fresh_rest


def parted(rest, n_groups, seed):
    """Group 0 as it is, and the rest in n - 1 groups by chance, of one size."""
    codes = rest.copy()
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(rest))
    codes[rows] = 1 + np.arange(len(rows)) % (n_groups - 1)
    return codes


def world(name, seed):
    """Rows of a world and its groupings.

    Returns
    -------
    train, fresh : tuple of (X, y)
    groupings : dict of str to list of ndarray
        Groups of the training rows and of the fresh ones.
    """
    if name == "planted difference":
        train, fresh, *rest = planted(seed)
        codes = {m: [parted(r, m, seed) for r in rest] for m in PLAN["groups"]}
        return train, fresh, {f"{m} groups": c for m, c in codes.items()}
    groupings = {
        "identical groups": [[PLAN["rows"] // m] * m for m in PLAN["groups"]],
        "all sizes": [PLAN["sizes"]],
        "Zipf's sizes": [zipf(**PLAN["zipf"])],
    }[name]
    train, fresh = drawn(max(map(sum, groupings)), PLAN["fresh_rows"], seed)
    fresh_rows = np.arange(PLAN["fresh_rows"])
    return (
        train,
        fresh,
        {
            f"{len(sizes)} groups": [by_chance(sizes, seed), fresh_rows % len(sizes)]
            for sizes in groupings
        },
    )


def row_values(model, X, y):
    """Loss, and whether it is right, of every row."""
    p = model.predict_proba(X)
    return -np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)), p.argmax(axis=1) == y


def surely(losses, before, codes):
    """How many groups are harmed and helped: by more than a share of the loss, not by chance.

    One-sided intervals of the paired differences at 95 %, corrected for the number of groups.
    """
    n_groups, least = codes.max() + 1, PLAN["negligible"] * before.mean()
    found = [
        paired(losses[codes == k], before[codes == k], confidence=1 - 0.1 / n_groups)
        for k in range(n_groups)
    ]
    return sum(f["low"] > least for f in found), sum(f["high"] < -least for f in found)


def run(name, seed):
    """What every way does in a world: {"way; grouping": outcome}."""
    (X, y), (fresh, labels), groupings = world(name, seed)
    dense = PrunedClassifier(sparsity=0.0, random_state=seed).fit(X, y)
    frozen = FrozenEstimator(dense.estimator_)
    base = PrunedClassifier(frozen, sparsity=PLAN["sparsity"], random_state=seed)
    before, right = row_values(fitted("none", base, X, y, None), fresh, labels)
    found = {}
    for grouping, (codes, fresh_codes) in groupings.items():
        first = fresh_codes == 0
        for way in PLAN["ways"]:
            model = fitted(way, base, X, y, codes)
            losses, now = row_values(model, fresh, labels)
            harmed, helped = surely(losses, before, fresh_codes)
            weights = model.row_weights_.to_numpy()
            outcome = {
                "accuracy": now.mean() - right.mean(),
                "first_accuracy": now[first].mean() - right[first].mean(),
                "first_loss": losses[first].mean() - before[first].mean(),
                "none_accuracy": right.mean(),
                "none_first_accuracy": right[first].mean(),
                "harmed": harmed,
                "helped": helped,
                "lowest_weight": weights.min(),
                "highest_weight": weights.max(),
            }
            found[f"{way}; {grouping}"] = {k: round(float(v), 5) for k, v in outcome.items()}
    return found


def seeds_of(name):
    """Seeds of a world: the largest is dear."""
    return PLAN["seeds_of_all_sizes" if name == "all sizes" else "seeds"]


def file_of(name):
    """Where the runs of a world are kept."""
    return RUNS / f"{name.replace(' ', '_')}.json"


def tables(runs):
    """Means over the seeds (of weights the extremes): {world: {grouping: {way: outcome}}}."""
    found = {}
    for name, by_seed in runs.items():
        for key in next(iter(by_seed.values())):
            way, grouping = key.split("; ")
            own = {k: [o[key][k] for o in by_seed.values()] for k in (*SHARED, *FIRST)}
            row = {k: round(float(np.mean(v)), 5) for k, v in own.items()}
            row["lowest_weight"] = min(own["lowest_weight"])
            row["highest_weight"] = max(own["highest_weight"])
            row["most_harmed"] = max(own["harmed"])
            found.setdefault(name, {}).setdefault(grouping, {})[way] = row
    return found


def judged(table, way):
    """Lines of the record about one way, with the targets of the plan."""
    lines = []
    for name, groupings in table.items():
        if name == "planted difference":
            change = [of[way]["first_accuracy"] for of in groupings.values()]
            most = PLAN["same_within"]
            text = f"{way}: {name}, accuracy of its group over the groupings"
            lines.append(figure(text, np.ptp(change), "range", most, np.ptp(change) <= most))
            continue
        for grouping, of in groupings.items():
            at = f"{way}: {name}, {grouping}"
            cost, harmed = -of[way]["accuracy"], of[way]["most_harmed"]
            most = PLAN["most_cost"]
            lines.append(figure(f"{at}, accuracy lost", cost, "", most, cost <= most))
            lines.append(figure(f"{at}, groups harmed", harmed, "at most", 0, harmed == 0))
    return lines


def summarise(*, kept):
    """Write the record from the kept runs."""
    runs = {name: kept_runs(file_of(name)) for name in PLAN["worlds"]}
    table = tables({name: by_seed for name, by_seed in runs.items() if by_seed})
    lines = [line for way in PLAN["ways"] for line in judged(table, way)]
    for line in lines:
        line["value"] = round(float(line["value"]), 5) + 0.0  # no -0
    save("dual_null", lines, seeds=PLAN["seeds"], data=table, kept_runs=kept)


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.summary:
        cells = [(name, seed) for name in PLAN["worlds"] for seed in seeds_of(name)]
        measure_all(RUNS, cells, run, 2 + len(PLAN["ways"]) * 3)
    summarise(kept=arguments.summary)


if __name__ == "__main__":
    main()
