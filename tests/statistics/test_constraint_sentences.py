"""What is said of a constraint fits its outcome, and no other."""

import numpy as np
import pytest

from sklearn_fairprune.statistics.constraint_outcomes import Errors, Outcome, judge
from sklearn_fairprune.statistics.constraint_sentences import says

NAMES = ["old", "young", "other"]
ABOUT = {"constraint": "equal_loss", "unit": "loss", "rows": "held-out", "sparsity": 0.9}


def told(values, weights=(1, 1, 1), *, tolerance=0.05, variance=1e-4, **options):
    about = ABOUT | {"last_step": False}
    about |= {name: options.pop(name) for name in list(options) if name in about}
    m = len(values)
    freedom = np.where(np.isnan(values), 0.0, 50.0)
    sizes = np.where(np.isnan(values), 1, 51)
    errors = Errors(np.full(m, variance), np.zeros(m), freedom, sizes)
    found = judge(np.array(values), errors, tolerance, np.array(weights), **options)
    names = NAMES if m == 3 else [f"g{a}" for a in range(m)]
    return found.outcome, says(found, names=names, **about)


STATES = {
    "met alone": told([0.01, -0.01, 0.0]),
    "met": told([0.01, -0.01, 0.0], (1.5, 0.8, 1)),
    "not met": told([0.2, -0.1, 0.0], (1.5, 0.8, 1)),
    "never acted": told([0.2, -0.1, 0.0]),
    "overshot": told([-0.2, 0.2, 0.0], (1.5, 0.8, 1), cancels=True),
    "both": told([0.2, 0.3, 0.0], (1.5, 0.8, 1), cancels=True),
    "not met, last step": told([0.2, -0.1, 0.0], (1.5, 0.8, 1), last_step=True),
    "never acted, last step": told([0.2, -0.1, 0.0], last_step=True),
    "overshot, last step": told([-0.2, 0.2, 0.0], (1.5, 0.8, 1), cancels=True, last_step=True),
    "cannot tell": told([0.05, 0.0, 0.0]),
    "nearly beyond": told([0.07, 0.0, 0.0]),
    "unknown": told([np.nan, 0.0, 0.0]),
    "partly unknown": told([np.nan, 0.05, 0.0]),
}
MARKS = {
    "is met at sparsity 0.9: on the held-out rows the upper limit (95 %) of every group is "
    "within the tolerance of 0.05 in units of the loss": {"met", "met alone"},
    "Pruning alone met it": {"met alone"},
    "no row weight left 1 by more than 0.05": {
        "met alone",
        "never acted",
        "never acted, last step",
    },
    "is not met at sparsity 0.9": {
        "not met",
        "never acted",
        "not met, last step",
        "never acted, last step",
    },
    "Raise max_accuracy_loss or max_row_weight": {"not met, last step"},
    "The last layer hardly changed": {"never acted, last step"},
    "Lower max_accuracy_loss or max_row_weight": {"overshot, last step"},
    "Among 3 groups one such limit lies beyond it by chance": {"nearly beyond"},
    "Raise dual_lr, max_row_weight or finetune_epochs": {"not met"},
    "or allow more tolerance": {"not met", "not met, last step"},
    "The constraint never acted": {"never acted"},
    "overshot at sparsity 0.9": {"overshot", "both", "overshot, last step"},
    "Lower dual_lr or max_row_weight": {"overshot"},
    "no one strength of the constraint helps all. Allow more tolerance": {"both"},
    "whether it is met, the held-out rows cannot tell": {
        "cannot tell",
        "nearly beyond",
        "unknown",
        "partly unknown",
    },
    "More held-out rows or a larger tolerance would tell": {
        "cannot tell",
        "nearly beyond",
        "partly unknown",
    },
    "More held-out rows of such groups would tell": {"unknown"},
    "trained on these rows": set(),
}
OUTCOMES = {
    "met alone": Outcome.MET_BY_PRUNING_ALONE,
    "met": Outcome.MET,
    "not met": Outcome.NOT_MET,
    "never acted": Outcome.NOT_MET,
    "overshot": Outcome.OVERSHOT,
    "both": Outcome.OVERSHOT,
    "not met, last step": Outcome.NOT_MET,
    "never acted, last step": Outcome.NOT_MET,
    "overshot, last step": Outcome.OVERSHOT,
    "cannot tell": Outcome.CANNOT_TELL,
    "nearly beyond": Outcome.CANNOT_TELL,
    "unknown": Outcome.CANNOT_TELL,
    "partly unknown": Outcome.CANNOT_TELL,
}


@pytest.mark.parametrize("state", STATES)
def test_what_is_said_is_said_of_this_state_alone(state):
    outcome, text = STATES[state]
    assert outcome == OUTCOMES[state]
    assert {mark for mark in MARKS if mark in text} == {
        mark for mark, states in MARKS.items() if state in states
    }
    assert 1 <= text.count(". ") + text.endswith(".") <= 4
    assert "nan" not in text


def test_every_outcome_has_a_state():
    assert set(OUTCOMES.values()) == set(Outcome)


@pytest.mark.parametrize("rows", ["held-out", "training"])
def test_every_outcome_says_on_which_rows(rows):
    weights = (1.5, 0.8, 1)
    for values in ([0.01, 0, 0], [0.2, 0, 0], [0.05, 0, 0], [0, 0.2, 0]):
        _, text = told(values, weights, rows=rows)
        other = {"held-out": "training rows", "training": "held-out"}[rows]
        assert f"the {rows} rows" in text
        assert other not in text
        assert text.endswith("others may differ: use holdout.") == (rows == "training")


def test_groups_and_numbers():
    assert "1 of 3 groups is surely above the tolerance of 0.05" in STATES["not met"][1]
    assert "loss: old +0.2. " in STATES["not met"][1]
    assert "2 of 3 groups are surely" in told([0.2, 0.3, 0], (1, 1, 2))[1]
    assert ": young +0.3, old +0.2." in told([0.2, 0.3, 0], (1, 1, 2))[1]
    text = STATES["overshot"][1]
    assert "young +0.2, given less weight, is surely above it; old -0.2, given more" in text
    assert "loss, young +0.3, given less weight, is surely above it. " in STATES["both"][1]
    assert "although their weight was moved against that (old +0.2)" in STATES["both"][1]
    assert ": old +0.05 [+0.0332, +0.0668] of 51 rows. " in STATES["cannot tell"][1]
    assert ": old unknown of 1 row. " in STATES["unknown"][1]


def test_many_groups_are_not_all_listed():
    _, text = told(np.linspace(0.2, 0.5, 14), np.full(14, 1.2))
    assert "14 of 14 groups are" in text
    assert ": g13 +0.5, " in text
    assert "g3 " not in text
    assert text.count("+") == 10
    assert ", and 4 more. " in text
    _, one = told([0.2], [1.2])
    assert "1 of 1 group is" in one


@pytest.mark.parametrize(
    ("unit", "tolerance", "allowed", "violation"),
    [
        ("share", 0.02, "2 points of accuracy: old +20 points", "+20 points"),
        ("share", 0.01, "1 point of accuracy: old", "+20 points"),
        ("share", 0.0, "0 points of accuracy: old", "+20 points"),
        ("loss", 0.02, "0.02 in units of the loss: old +0.2.", "+0.2."),
        (None, 0.02, "tolerance of 0.02: old +0.2.", "+0.2."),
    ],
)
def test_units(unit, tolerance, allowed, violation):
    _, text = told([0.2, -0.5, -0.5], (2, 1, 1), unit=unit, tolerance=tolerance)
    assert allowed in text
    assert violation in text


def test_signed_constraints_are_about_both_sides():
    _, met = told([0.01, 0, 0], (2, 1, 1), signed=True)
    assert "both limits (95 %) of every group are within" in met
    _, unmet = told([0.2, -0.3, 0], (2, 0.5, 1), signed=True)
    assert "2 of 3 groups are surely off by more than the tolerance" in unmet
    assert "young -0.3, old +0.2" in unmet
