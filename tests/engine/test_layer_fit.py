"""Fits of a layer: at their minimum, and of rows that they have not seen."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_fairprune.engine import layer_fit
from sklearn_fairprune.engine.layer_fit import N_FOLDS, LayerFit

torch.set_num_threads(1)


class Seen:
    """Rows of two classes and two groups as a layer sees them."""

    def __init__(self, n=60, p=3, seed=0):
        rng = np.random.default_rng(seed)
        inputs = torch.from_numpy(rng.normal(size=(n, p)))
        self.inputs = F.pad(inputs, (0, 1), value=1.0)
        self.outputs = torch.from_numpy(rng.normal(size=(n, 2)))
        self.groups = torch.from_numpy(rng.integers(0, 2, n))
        self.y = torch.from_numpy(rng.integers(0, 2, n))
        self.weights = self.mass = torch.ones(n, dtype=torch.float64)

    def losses(self, outputs):
        return F.cross_entropy(outputs, self.y, reduction="none")


FREE = torch.ones(2, 4, dtype=torch.bool)
FREE[0, 1] = False
WEIGHTS = torch.tensor([0.7, 1.9], dtype=torch.float64)


def test_a_fit_is_at_the_minimum_of_what_is_free():
    rows = Seen()
    problem = LayerFit(rows, FREE)
    change = problem.fit(WEIGHTS, torch.zeros(2, 4).double()).requires_grad_()
    own = WEIGHTS[rows.groups] / len(rows.y)
    loss = own @ rows.losses(rows.outputs + rows.inputs @ change.T)
    loss = loss + (problem.pull * change.square()).sum() / 2
    (slope,) = torch.autograd.grad(loss, change)
    assert slope[FREE].abs().max() < 1e-6
    assert change[0, 1] == 0


def test_rows_that_are_not_kept_do_not_count():
    rows, kept = Seen(), torch.ones(60).double()
    kept[:20] = 0
    found = LayerFit(rows, FREE).fit(WEIGHTS, torch.zeros(2, 4).double(), kept)
    rows.y[:20] = 1 - rows.y[:20]
    again = LayerFit(rows, FREE)
    again.pull = LayerFit(Seen(), FREE).pull  # the loss before counts all rows
    torch.testing.assert_close(again.fit(WEIGHTS, torch.zeros(2, 4).double(), kept), found)


def test_a_row_is_moved_by_fits_that_have_not_seen_it(monkeypatch):
    monkeypatch.setattr(layer_fit, "FOLD_STEPS", 200)
    before = LayerFit(Seen(), FREE)
    moved, pull = before.moves(WEIGHTS), before.pull
    for row in (0, 17, 59):
        rows = Seen()
        rows.y[row] = 1 - rows.y[row]
        other = LayerFit(rows, FREE)
        other.pull = pull
        found = other.moves(WEIGHTS)
        torch.testing.assert_close(found[row], moved[row])
        assert (found - moved).abs().max() > 1e-3
    again = before.moves(WEIGHTS)
    torch.testing.assert_close(again, moved, rtol=1e-4, atol=1e-5)


def test_every_fold_has_its_share_of_every_group():
    rows = Seen()
    problem, kept = LayerFit(rows, FREE), []
    fit = problem.fit
    problem.fit = lambda *given: kept.append(given[2]) or fit(*given)
    problem.moves(WEIGHTS)
    assert len(kept) == N_FOLDS
    assert sum(1 - one for one in kept).tolist() == [1.0] * 60
    for group in (0, 1):
        n = int((rows.groups == group).sum())
        out = [float((1 - one)[rows.groups == group].sum()) for one in kept]
        assert max(out) - min(out) <= 1
        assert sum(out) == pytest.approx(n)
