"""Where nothing differs nothing is to be won, and the same difference is the same."""

import json

import dual_null
import numpy as np
import pytest
from record import RESULTS, kept_runs

PLAN = dual_null.PLAN


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Use few rows."""
    monkeypatch.setattr(
        dual_null, "PLAN", PLAN | {"rows": 1800, "fresh_rows": 1000, "sizes": [10, 1000]}
    )


def test_sizes_fall_by_a_power_of_the_rank():
    sizes = dual_null.zipf(50, 6000, 12)
    assert (sizes[0], sizes[-1], len(sizes)) == (12, 6000, 50)
    assert sizes[-1] / sizes[-2] == pytest.approx(sizes[-2] / sizes[-4], rel=1e-3)


@pytest.mark.parametrize("name", PLAN["worlds"])
def test_groupings_of_a_world_share_its_rows(name):
    (X, y), (fresh, labels), groupings = dual_null.world(name, 0)
    assert X.dtype == fresh.dtype == np.float32
    for text, (codes, fresh_codes) in groupings.items():
        m = int(text.split()[0])
        assert len(X) == len(y) == len(codes)
        assert len(fresh) == len(labels) == len(fresh_codes)
        assert set(codes) == set(fresh_codes) == set(range(m))


def test_groups_know_nothing_of_labels_unless_planted():
    (X, y), _, groupings = dual_null.world("identical groups", 0)
    codes = groupings["2 groups"][0]
    assert abs(np.corrcoef(codes, y)[0, 1]) < 0.08
    assert max(abs(np.corrcoef(codes, x)[0, 1]) for x in X.T) < 0.1
    assert np.bincount(codes).tolist() == [900, 900]


def test_the_planted_group_is_the_same_beside_any_number():
    (X, _), (fresh, _), groupings = dual_null.world("planted difference", 0)
    for codes, fresh_codes in groupings.values():
        assert ((codes == 0) == (X[:, -1] == 0)).all()
        assert ((fresh_codes == 0) == (fresh[:, -1] == 0)).all()
    sizes = np.bincount(groupings["50 groups"][0])
    assert sizes[0] == 180
    assert np.ptp(sizes[1:]) <= 1


def test_ways_are_compared_with_pruning_alone(monkeypatch):
    few = {"ways": ["adaptive"], "groups": [2]}
    monkeypatch.setattr(dual_null, "PLAN", dual_null.PLAN | few)
    fitted = dual_null.fitted

    def shuffled(way, base, X, y, groups):
        model = fitted(way, base, X, y, groups)
        if way != "none":
            monkeypatch.setattr(model, "predict_proba", lambda X: np.full((len(X), 2), 0.5))
        return model

    monkeypatch.setattr(dual_null, "fitted", shuffled)
    (found,) = dual_null.run("identical groups", 0).values()
    assert found["accuracy"] == pytest.approx(0.5 - found["none_accuracy"], abs=0.1)
    assert found["harmed"] == 2
    assert found["first_loss"] > 0
    assert 0.5 <= found["lowest_weight"] <= 1 <= found["highest_weight"] < 2


def test_harmed_is_what_is_not_by_chance():
    rng = np.random.default_rng(0)
    before, codes = 1 + 0.1 * rng.random(400), np.repeat(np.arange(4), 100)
    change = np.array([0.1, 0.0, -0.1, 0.02])[codes] + 0.02 * rng.normal(size=400)
    change[codes == 3] += 5 * rng.normal(size=100)  # it wavers
    assert dual_null.surely(before + change, before, codes) == (1, 1)
    assert dual_null.surely(before + change / 20, before, codes) == (0, 0)  # negligible


def test_of_many_groups_hardly_one_is_named_by_chance():
    rng = np.random.default_rng(0)
    codes, before = np.repeat(np.arange(50), 100), np.ones(5000)
    noise = 2 * rng.normal(size=(10, 5000))
    assert sum(map(sum, (dual_null.surely(1 + d, before, codes) for d in noise))) <= 3


def row(**values):
    """Outcome of one run."""
    names = (*dual_null.SHARED, *dual_null.FIRST)
    return dict.fromkeys(names, 0.0) | values


def test_what_costs_or_harms_misses_its_target():
    runs = {
        "identical groups": {
            "0": {"w; 2 groups": row(accuracy=-0.02), "w; 5 groups": row(lowest_weight=0.5)},
            "1": {"w; 2 groups": row(), "w; 5 groups": row(harmed=1, lowest_weight=0.9)},
        },
        "planted difference": {
            "0": {"w; 2 groups": row(first_accuracy=0.05), "w; 5 groups": row()}
        },
    }
    table = dual_null.tables(runs)
    assert table["identical groups"]["5 groups"]["w"]["lowest_weight"] == 0.5
    met = [line["met"] for line in dual_null.judged(table, "w")]
    assert met == [False, True, True, False, False]


def test_the_record_follows_from_every_seed():
    runs = {name: kept_runs(dual_null.file_of(name)) for name in PLAN["worlds"]}
    for name, by_seed in runs.items():
        assert list(by_seed) == [str(seed) for seed in dual_null.seeds_of(name)]
    data = json.loads((RESULTS / "dual_null.json").read_text(encoding="utf-8"))["data"]
    assert dual_null.tables(runs) == data
