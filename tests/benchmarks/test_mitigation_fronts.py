"""Baselines by hand checks; the rule of choice and the judgements on made-up numbers."""

import copy
import itertools
import json

import ladder
import mitigation_fronts as fronts
import numpy as np
import pandas as pd
import pytest
import record
import torch
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.batches import Rows

PLAN = fronts.PLAN
KEPT = record.RESULTS / "mitigation_fronts.json"
TASK = "svhn, PCA"
MEASURES = PLAN["measures"]


def data_of(n=160, n_classes=2):
    """Return training rows of two groups, one of them rare."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 0] += 2 * y
    return X, y, np.where(rng.random(n) < 0.25, "rare", "usual")


@pytest.fixture(scope="module")
def cell():
    """Return a small cell."""
    X, y, groups = data_of()
    dense = PrunedClassifier(sparsity=0.0, hidden_layer_sizes=(8,), random_state=0)
    dense.fit(X, y, sensitive_features=groups)
    return ladder.Cell(dense, (X, y, groups), seed=0, sparsity=0.5, epochs=3)


def test_the_plan_has_six_settings_of_every_family():
    assert {k: list(v) for k, v in ladder.FAMILIES.items()} == PLAN["families"]
    for members in [*PLAN["families"].values(), *PLAN["mixed"].values()]:
        assert len(members) == PLAN["settings"] == 6
    for name, members in PLAN["mixed"].items():
        for family, setting in members:
            assert setting in PLAN["families"][family]
            assert (family in ladder.OURS) == (name == PLAN["ours"])
    assert PLAN["compared_with"][1] in PLAN["families"][PLAN["compared_with"][0]]
    assert set(PLAN["groups_are_classes"]) <= set(PLAN["tasks"])
    assert {goal["task"] for goal in PLAN["goals"]} <= set(PLAN["tasks"])


def test_weights_of_groups():
    groups = np.array(["a"] * 4 + ["b"])
    for strength, ratio in ((0.0, 1.0), (0.5, 2.0), (1.0, 4.0)):
        weights = ladder.balance(groups, strength)
        assert weights[4] / weights[0] == pytest.approx(ratio)
        assert weights.mean() == pytest.approx(1)


def test_rows_are_drawn_anew_with_the_probability_of_their_groups():
    groups = np.repeat([0, 1], [900, 100])
    rows = Rows(np.arange(1000.0)[:, None], np.zeros(1000, dtype=int), groups=groups)
    for strength, share in ((0.0, 0.1), (0.5, 0.25), (1.0, 0.5)):
        batches = ladder.Resampled(rows, 128, strength)
        epochs = [torch.cat([b[0][:, 0] for b in batches]) for _ in range(5)]
        assert all(len(drawn) == 1000 for drawn in epochs)
        assert not epochs[0].equal(epochs[1])
        drawn = torch.cat(epochs)
        error = 4 * np.sqrt(share * (1 - share) / 5000)
        assert abs((drawn >= 900).double().mean() - share) < error


def test_sampling_reaches_the_fine_tuning(cell, monkeypatch):
    drawn = []
    real = ladder.Resampled.__iter__

    def count(self):
        drawn.append(float(self.weights.max() / self.weights.min()))
        return real(self)

    monkeypatch.setattr(ladder.Resampled, "__iter__", count)
    ladder.sampled(cell, 1.0, "distill")
    sizes = np.unique(cell.data[2], return_counts=True)[1]
    assert drawn == [pytest.approx(sizes.max() / sizes.min())] * cell.epochs


def test_the_adjusted_loss_has_offsets_that_predictions_lack(cell):
    offsets = (0.5, -1.0)
    logits, labels = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([0, 1])
    by_hand = (torch.logsumexp(torch.tensor([1.5, 1.0]), 0) - 1.5) + (
        torch.logsumexp(torch.tensor([0.5, -1.0]), 0) + 1.0
    )
    assert ladder.AdjustedLoss(offsets)(logits, labels) == pytest.approx(float(by_hand) / 2)
    model = ladder.adjusted_loss(cell, 1.0, "plain")
    net, X = model.estimator_, cell.data[0]
    prior = torch.tensor(ladder.log_prior(cell.data[1]), dtype=torch.float32)
    assert net.criterion_.offsets.equal(prior)
    with torch.no_grad():
        expected = net.module_(torch.as_tensor(X)).softmax(1)
    assert model.predict_proba(X) == pytest.approx(expected.numpy(), abs=1e-6)


def test_adjusting_for_the_prior_raises_what_is_rare():
    X, _, _ = data_of(400)
    y = (X[:, 0] + np.random.default_rng(1).normal(size=400) > 3).astype(int)
    dense = PrunedClassifier(sparsity=0.0, random_state=0).fit(X, y)
    cell = ladder.Cell(dense, (X, y, y.astype(str)), seed=0, sparsity=0.5, epochs=10)
    found = [
        model.predict_proba(X).argmax(1).mean()
        for model in (
            cell.recovered("plain"),
            ladder.adjusted_loss(cell, 1.0, "plain"),
            ladder.shifted(cell, 1.0, "plain"),
        )
    ]
    assert found[1] > found[0] < found[2]


def test_shifted_logits(cell):
    model, offsets = cell.recovered("plain"), np.array([0.3, -0.4])
    odds = ladder.Shifted(model, offsets).predict_proba(cell.data[0])
    assert odds.sum(axis=1) == pytest.approx(1)
    before = model.predict_log_proba(cell.data[0])
    expected = before[:, 0] - before[:, 1] + 0.7
    assert np.log(odds[:, 0] / odds[:, 1]) == pytest.approx(expected, abs=1e-5)
    y = np.repeat([0, 1], [3, 1])
    assert np.exp(ladder.log_prior(y)) == pytest.approx([0.75, 0.25])


def test_afr_weighs_by_errors_and_classes():
    weights = ladder.afr_weights(np.array([1.0, 0.5, 0.5]), np.array([0, 0, 1]), 2.0)
    expected = np.array([np.exp(-2) / 2, np.exp(-1) / 2, np.exp(-1)])
    assert weights == pytest.approx(expected / expected.sum())


def test_a_refitted_last_layer_is_at_the_minimum_and_keeps_its_zeros(cell):
    X, y, groups = cell.data
    weights, before = ladder.balance(groups, 1.0), copy.deepcopy(cell.dense)
    with torch.no_grad():
        before.estimator_.module_.layers[-1].weight[0, ::2] = 0
    model = ladder.refitted(before, X, y, weights, pull=0.1)
    old, new = (m.estimator_.module_.layers for m in (before, model))
    assert new[1].weight.equal(old[1].weight)
    kept = old[-1].weight != 0
    assert not kept.all()
    assert (new[-1].weight[~kept] == 0).all()
    assert not new[-1].weight.equal(old[-1].weight)
    head = new[-1]
    losses = nn.functional.cross_entropy(
        new(torch.as_tensor(X)), torch.as_tensor(y), reduction="none"
    )
    (torch.as_tensor(weights / weights.sum()) @ losses.double()).backward()
    slope = head.weight.grad + 0.1 * (head.weight - old[-1].weight)
    assert slope[kept].abs().max() < 1e-4
    assert (head.bias.grad + 0.1 * (head.bias - old[-1].bias)).abs().max() < 1e-4


def test_a_search_finds_offsets_within_the_accuracy():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [300, 100])
    scores = np.c_[np.zeros(400), 2.0 * y - 2 + rng.normal(size=400)]

    def recalls(offsets):
        right = (scores + offsets).argmax(1) == y
        return [right[y == k].mean() for k in (0, 1)]

    free = ladder.best_shift(scores, y, 0.0, n_trials=300)
    assert np.ptp(recalls(free)) < 0.02 < np.ptp(recalls(0))
    least = (scores.argmax(1) == y).mean() - 0.01
    bound = ladder.best_shift(scores, y, least, n_trials=300)
    assert ((scores + bound).argmax(1) == y).mean() >= least
    assert np.ptp(recalls(free)) <= np.ptp(recalls(bound)) < np.ptp(recalls(0))
    assert not ladder.best_shift(scores, y, 1.0, n_trials=10).any()


def test_groups_of_one_label_are_joined():
    y = np.array([0, 1, 0, 1, 0, 1, 0])
    groups = np.array(["a", "a", "a", "b", "b", "c", "c"])
    assert ladder.pooled(y, groups) == ["a", "c"]  # nothing is left: the first of the smallest
    assert ladder.pooled(np.append(y, 1), np.append(groups, "d")) == ["a", "c"]
    assert ladder.pooled(np.append(y, [1, 0]), np.append(groups, ["d", "e"])) == [
        "a",
        "b",
        "c",
    ]


def test_thresholds_know_the_groups_of_the_rows(cell):
    X, y, groups = cell.data
    model = ladder.thresholds(cell, "equalized_odds", "plain")
    right = model.correctness(X, y)
    assert ((right >= 0) & (right <= 1)).all()
    swapped = model.of(np.where(groups == "rare", "unknown", "rare"))
    assert not np.array_equal(swapped.correctness(X, y), right)


def rows_of(validation, test=None):
    """Table of one cell: {(family, setting): (accuracy, spread, xi, one_class)}."""
    lines = []
    for key, values in validation.items():
        line = {"task": TASK, "sparsity": 0.9, "seed": 0, "cpu": 1.0}
        line |= dict(zip(("family", "setting"), key, strict=True))
        for part, by_key in (("validation", values), ("test", (test or {}).get(key, values))):
            measured = dict.fromkeys(MEASURES, 0.0)
            names = ("accuracy", "spread", "xi", "one_class")
            measured |= dict(zip(names, by_key, strict=True))
            line |= {f"{part} {k}": v for k, v in measured.items()}
        lines.append(line)
    return pd.DataFrame(lines)


BASE = {("plain", "default"): (0.8, 0.4, 0.2, 0)}


def test_the_least_spread_within_the_budget_is_chosen():
    table = rows_of(
        BASE
        | {
            ("distill", "default"): (0.79, 0.3, 0.2, 0),  # just within
            ("distill", "share 0.5"): (0.789, 0.1, 0.0, 0),  # dearer than a point
            ("distill", "temperature 2"): (0.85, 0.3, 0.1, 0),  # a tie: the first counts
            ("distill", "balance 0.5"): (0.85, 0.0, 0.0, 1),  # one class
            ("distill", "balance 1"): (0.85, np.nan, np.nan, 0),
        },
        {("distill", "default"): (0.7, 0.5, 0.9, 0)},
    )
    picked = {by: fronts.chosen(table, by).set_index("family") for by in ("spread", "xi")}
    assert picked["spread"].loc["distill", "setting"] == "default"
    assert picked["spread"].loc["distill", ["accuracy", "base accuracy"]].tolist() == [
        0.7,
        0.8,
    ]
    assert picked["xi"].loc["distill", "setting"] == "temperature 2"
    assert not picked["spread"].loc["distill", "fell_back"]


def test_plain_pruning_stands_in_where_nothing_is_admissible():
    table = rows_of(BASE | {("AFR", "(1.0, 1.0), plain"): (0.5, 0.0, 0.0, 0)})
    picked = fronts.chosen(table, "spread").set_index("family").loc["AFR"]
    assert picked["fell_back"]
    assert picked["setting"] == "default"
    assert (picked["accuracy"], picked["spread"]) == (0.8, 0.4)


def test_mixed_families_have_the_settings_of_the_plan():
    names = list(itertools.chain(*PLAN["mixed"].values()))
    table = rows_of(BASE | {tuple(name): (0.8, 0.3, 0.2, 0) for name in names})
    found = fronts.families_of(table.to_dict("records"))
    for mixed, members in PLAN["mixed"].items():
        own = [[line["family"], line["setting"]] for line in found[mixed]]
        assert sorted(own) == sorted(members)


def picked_of(values, sparsities=(0.9,), seeds=3):
    """Chosen settings: {family: function of the seed to (accuracy, spread)}."""
    lines = []
    for sparsity, seed, family in itertools.product(sparsities, range(seeds), values):
        line = {"task": TASK, "sparsity": sparsity, "seed": seed, "family": family}
        line |= {"setting": "", "fell_back": False} | dict.fromkeys(MEASURES, 0.1)
        line |= {f"base {k}": 0.2 for k in MEASURES} | {"base accuracy": 0.7}
        line |= dict(zip(("accuracy", "spread"), values[family](seed), strict=True))
        lines.append(line)
    return pd.DataFrame(lines)


def test_a_rival_is_surely_in_front_only_in_both():
    values = {
        PLAN["ours"]: lambda seed: (0.70 + seed / 1000, 0.10),
        "distill": lambda seed: (0.72 + seed / 1000, 0.05),
        "AFR": lambda seed: (0.72 + seed / 1000, (0.0, 0.0, 0.29)[seed]),
        "logit shift": lambda seed: ((0.6, 0.7, 0.9)[seed], (0.0, 0.0, 0.29)[seed]),
        "group DRO": lambda seed: (0.69 + seed / 1000, 0.05),
        "plain": lambda seed: (0.68 + seed / 1000, 0.20),
        "shift": lambda seed: (0.9, 0.0),  # ours is no rival
    }
    rows = {row["rival"]: row for row in fronts.rivals(picked_of(values), "spread")}
    assert set(rows) == {"distill", "AFR", "logit shift", "group DRO", "plain"}
    assert rows["distill"]["front"] == rows["distill"]["leaning"] == "rival"
    assert (rows["AFR"]["front"], rows["AFR"]["leaning"]) == ("neither", "rival")
    assert rows["group DRO"]["front"] == rows["group DRO"]["leaning"] == "neither"
    assert rows["logit shift"]["leaning"] == "neither"
    assert rows["plain"]["front"] == "ours"


def test_means_over_sparsities_are_of_seeds_that_have_them_all():
    values = {PLAN["ours"]: lambda seed: (0.70, 0.1)}
    picked = picked_of(values, PLAN["sparsities"], seeds=3)
    picked.loc[picked["sparsity"] == 0.98, "spread"] = 0.4
    picked = picked[(picked["seed"] < 2) | (picked["sparsity"] == 0.9)]
    rows = {row["sparsity"]: row for row in fronts.changes(picked)}
    assert (rows["all"]["seeds"], rows[0.9]["seeds"], rows[0.98]["seeds"]) == (2, 3, 2)
    assert rows["all"]["spread"][0] == pytest.approx(0.6 / 3 / 0.2)


@pytest.mark.parametrize(
    ("ratio", "accuracy", "verdict"),
    [
        ([0.4, 0.3, 0.5], [0.02, 0.01, 0.03], "holds"),
        ([0.4, 0.3, 0.6], [0.02, 0.01, 0.03], "cannot tell"),
        ([0.4, 0.3, 0.5], [0.02, 0.00, 0.03], "cannot tell"),
        ([0.6, 0.55, 0.65], [0.02, 0.01, 0.03], "does not hold"),
        ([0.4, 0.3, 0.5], [0.0, -0.01, 0.005], "does not hold"),
    ],
)
def test_goals(ratio, accuracy, verdict):
    row = {"task": TASK, "sparsity": "all", "family": PLAN["ours"], "accuracy": accuracy}
    row |= dict.fromkeys(("spread", "xi", "psi", "worst_loss"), ratio)
    found = fronts.goals({by: [row] for by in PLAN["chosen_by"]})
    spread = next(goal for goal in found if goal["measure"] == "spread")
    assert (spread["ratio"], spread["accuracy"]) == (0.5, 0.01)
    assert spread["verdict"] == verdict


def made_up_runs(seeds=2):
    """Kept runs of two tasks; the last cell lacks a setting."""
    runs, rng = {}, np.random.default_rng(0)
    for task in (TASK, "adult, default"):
        runs[task] = {}
        for seed in range(seeds):
            found = runs[task][str(seed)] = {}
            for s, (family, name) in itertools.product(
                PLAN["sparsities"], fronts.settings(task)
            ):
                values = [round(v, 5) for v in (0.6 + 0.2 * rng.random(len(MEASURES)))]
                values[-1] = 0.0
                found[f"{s}; {family}; {name}"] = {"cpu": 1.0, "validation": values} | {
                    "test": values
                }
            if task == TASK:
                found |= {f"{s}; limit; plain": {"test": values} for s in PLAN["sparsities"]}
    del found[f"{s}; {family}; {name}"]
    return runs


def test_settings_of_two_classes_and_cells_that_are_whole():
    table = fronts.table_of(made_up_runs())
    assert set(table.loc[table["task"] == TASK, "family"]) == {*ladder.FAMILIES} - {
        "thresholds"
    }
    cells = table.groupby(["task", "seed"])["sparsity"].nunique()
    assert cells.to_dict() == {
        (TASK, 0): 3,
        (TASK, 1): 3,
        ("adult, default", 0): 3,
        ("adult, default", 1): 2,
    }


def test_a_summary_follows_from_kept_runs(results, monkeypatch, capsys):
    monkeypatch.setattr(fronts, "RESULTS", results)
    runs = made_up_runs()
    for task, by_seed in runs.items():
        path = results / fronts.file_of(task).name
        record.keep_runs(path, by_seed)
        assert record.kept_runs(path) == by_seed
    fronts.summarise(runs)
    data = json.loads((results / "mitigation_fronts.json").read_text())["data"]
    n_families = len(PLAN["families"]) + len(PLAN["mixed"])
    n_rows = 4 * (2 * n_families - 1)
    assert len(data["changes"]["spread"]) == len(data["changes"]["xi"]) == n_rows
    assert len(data["limits"]) == 3
    most = PLAN["settings"] * len(PLAN["families"])
    assert data["cost"]["cell"] == pytest.approx(most - 6 * PLAN["settings"] / 11)
    assert (results / "mitigation_fronts.png").stat().st_size > 1000
    told = capsys.readouterr().out
    assert "| ours, mixed | " in told
    assert "seconds of processor time" in told


def test_outcomes_are_counted_where_groups_are_no_classes():
    runs = made_up_runs()
    name = "; ".join(PLAN["told_by"])
    for sparsity, told in ((0.9, "met"), (0.95, "cannot_tell"), (0.98, "met")):
        for task in runs:
            for found in runs[task].values():
                found[f"{sparsity}; {name}"]["outcome"] = told
    counts = {"met": 4, "cannot_tell": 2}
    assert fronts.outcomes(runs) == [{"task": "adult, default", "runs": 6, "outcomes": counts}]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_family_can_be_run_and_taken_up_again(cell, monkeypatch):
    few = {family: [*names[:2], *names[4:5]] for family, names in PLAN["families"].items()}
    monkeypatch.setitem(PLAN, "families", few)
    parts = {part: data_of() for part in ("train", "validation", "test")}
    monkeypatch.setattr(fronts, "start", lambda *_: (parts, cell.dense))
    monkeypatch.setitem(PLAN, "finetune_steps", 6)
    known = {"0.5; plain; default": {}, "0.5; limit; plain": {}}
    found = fronts.run("adult, default", 0, 0.5, known)
    assert [*known][:1] + list(found) == [
        f"0.5; {family}; {name}" for family, name in fronts.settings("adult, default")
    ]
    assert all(len(line["test"]) == len(MEASURES) for line in found.values())
    monkeypatch.setattr(fronts, "FAMILIES", None)  # nothing is made twice
    again = fronts.run(TASK, 0, 0.5, found | known)
    assert list(again) == ["0.5; limit; distill"]


@pytest.mark.skipif(not KEPT.exists(), reason="no result yet")
def test_the_record_follows_from_the_kept_runs():
    data = json.loads(KEPT.read_text())["data"]
    runs = {task: fronts.kept_runs(fronts.file_of(task)) for task in PLAN["tasks"]}
    runs = {task: by_seed for task, by_seed in runs.items() if by_seed}
    table = fronts.table_of(runs)
    for by in PLAN["chosen_by"]:
        picked = fronts.chosen(table, by)
        assert json.loads(json.dumps(fronts.changes(picked))) == data["changes"][by]
        assert fronts.rivals(picked, by) == data["rivals"][by]
