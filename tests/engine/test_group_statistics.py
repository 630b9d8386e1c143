"""Group sums and evaluations against plain torch code, and running means by hand."""

import numpy as np
import pytest
import torch
from engine_cases import TARGETS, W, X, Y, make
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.group_statistics import (
    GroupWindow,
    RowValues,
    evaluate,
    group_sums,
    means_of,
    named,
    row_values,
    violations_of,
)
from sklearn_fairprune.functional import equal_excessive_loss, equal_loss, group_means

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=40, database=None)
GROUPS = np.arange(24) % 5 % 3  # 0, 1, 2 of different sizes
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 5.0])


def data(y=Y, weights=None, times=1):
    columns = [np.tile(v, (times,) + (1,) * (v.ndim - 1)) for v in (X, y, GROUPS)]
    return Rows(*columns[:2], groups=columns[2], weights=weights, dtype=torch.float64)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, equal_nan=True)
    return True


class Noisy(nn.Module):
    """Dropout and batch norm: another network in each mode."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(in_features)
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, X):
        return self.linear(nn.functional.dropout(self.norm(X), training=self.training))


# ---- evaluation --------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [None, CLASS_WEIGHT])
@pytest.mark.parametrize("weights", [None, W])
def test_evaluation_is_plain_torch(classes, weights):
    net = make(criterion__weight=classes)
    rows = data(weights=weights)
    logits = net.module_(torch.from_numpy(X)).detach()
    losses = nn.functional.cross_entropy(logits, rows.y, reduction="none")
    mass = torch.ones(24) if weights is None else rows.weights
    mass = mass * (1 if classes is None else classes[rows.y])
    sums = evaluate(net, rows, 4, errors=True)
    wrong = (logits.argmax(dim=1) != rows.y).double()
    expected = torch.stack([group_means(v, rows.groups, 4, mass) for v in (losses, wrong)], 1)
    assert close(means_of(sums), expected.nan_to_num(0.0))
    assert close(sums[:, 0], torch.zeros(4).double().index_add(0, rows.groups, mass.double()))
    assert sums[3].eq(0).all()
    shares = named(means_of(sums), sums[:, 0])["shares"]
    assert close(shares @ means_of(sums)[:, 0], (mass * losses).sum() / mass.sum())


def test_errors_are_counted_only_where_asked():
    rows = data()
    assert evaluate(make(), rows, 3)[:, 2].eq(0).all()
    assert evaluate(make(), rows, 3, errors=True)[:, 2].gt(0).any()


def test_evaluation_of_a_regression():
    net, rows = make(NeuralNetRegressor), data(TARGETS)
    losses = (net.module_(torch.from_numpy(X)).detach() - rows.y).square().mean(dim=1)
    found = means_of(evaluate(net, rows, 3))
    assert close(found[:, 0], group_means(losses, rows.groups, 3))


def test_evaluation_of_a_binary_classifier():
    net = make(
        NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss, module__out_features=1
    )
    rows = data(y=(Y > 0).astype(float))
    logits = net.module_(torch.from_numpy(X)).detach()[:, 0]
    losses = nn.functional.binary_cross_entropy_with_logits(logits, rows.y, reduction="none")
    wrong = ((logits > 0) != rows.y).double()
    expected = [group_means(v, rows.groups, 3) for v in (losses, wrong)]
    assert close(means_of(evaluate(net, rows, 3, errors=True)), torch.stack(expected, 1))


def test_ignored_labels_have_no_mass():
    net, rows = make(criterion__ignore_index=1), data()
    kept = rows.y != 1
    found = evaluate(net, rows, 3, errors=True)
    assert close(found, evaluate(net, rows, 3, torch.nonzero(kept)[:, 0], errors=True))
    assert close(found[:, 0], torch.bincount(rows.groups[kept], minlength=3).double())


def test_evaluation_of_a_part_and_of_many_rows():
    net, rows = make(), data()
    index = torch.tensor([20, 3, 3, 7])
    part = sum(evaluate(net, rows, 3, torch.tensor([i])) for i in index.tolist())
    assert close(evaluate(net, rows, 3, index), part)
    assert close(evaluate(net, data(times=100), 3), 100 * evaluate(net, rows, 3))
    assert evaluate(net, rows, 3, index[:0]).eq(0).all()


@pytest.mark.parametrize("weights", [None, W])
def test_evaluation_of_a_dataset(weights):
    own = make(iterator_valid__drop_last=True, iterator_valid__shuffle=True)
    pairs = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    rows = Rows(pairs, Y, groups=GROUPS, weights=weights, dtype=torch.float64)
    arrays = data(weights=weights)
    for index in (None, torch.tensor([4, 1])):
        assert close(evaluate(own, rows, 3, index), evaluate(own, arrays, 3, index))


@pytest.mark.parametrize("training", [False, True])
def test_evaluation_mode_is_used_and_the_mode_restored(training):
    net, rows = make(module=Noisy), data()
    net._set_training(training)
    before = {k: v.clone() for k, v in net.module_.state_dict().items()}
    random = torch.get_rng_state()
    first, second = evaluate(net, rows, 3), evaluate(net, rows, 3)
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[k], v) for k, v in net.module_.state_dict().items())
    assert all(m.training == training for m in net.module_.modules())
    net.module_.eval()
    losses = nn.functional.cross_entropy(
        net.module_(torch.from_numpy(X)), rows.y, reduction="none"
    )
    assert close(means_of(first)[:, 0], group_means(losses.detach(), rows.groups, 3))


# ---- sums and means --------------------------------------------------------------------


LARGE = st.one_of(st.just(0.0), st.floats(1e-3, 9))  # masses


@law
@given(st.lists(st.tuples(st.floats(0, 9), LARGE, st.integers(0, 3)), max_size=20))
def test_sums_row_by_row(rows):
    losses, mass, groups = (
        torch.tensor([r[k] for r in rows], dtype=torch.long if k == 2 else torch.float64)
        for k in range(3)
    )
    expected = torch.zeros(4, 4, dtype=torch.float64)
    for loss, weight, a in rows:
        square = weight * (loss / weight) ** 2 if weight else 0.0
        expected[a] += torch.tensor([weight, loss, loss / 2, square], dtype=torch.float64)
    assert close(group_sums(losses, losses / 2, groups, mass, 4), expected)


def test_rows_seen_batch_by_batch_are_summed_once():
    net, rows = make(), data(weights=W)
    seen = RowValues(net, 3, errors=True)
    for at in (slice(0, 7), slice(7, 24)):
        batch = rows.take(at)
        logits = net.infer(batch[0]).detach()
        losses = nn.functional.cross_entropy(logits, batch[1], reduction="none")
        seen.add(seen.of(batch, logits, losses))
    assert close(seen.sums(), evaluate(net, rows, 3, errors=True))
    assert seen.sums().eq(0).all()
    assert seen.sums().shape == (3, 4)


def test_means_of_absent_groups_are_zero_and_tiny_masses_count():
    sums = torch.tensor([[2.0, 6.0, 1.0], [0.0, 0.0, 0.0], [1e-30, 3e-30, 0.0]]).double()
    assert close(means_of(sums), torch.tensor([[3.0, 0.5], [0.0, 0.0], [3.0, 0.0]]).double())


def test_violations_of_absent_groups_are_nan_and_count_for_nothing():
    sums = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [3.0, 9.0, 0.0]]).double()
    expected = torch.tensor([1 - 2.5, torch.nan, 3 - 2.5]).double()
    assert close(violations_of(equal_loss, sums), expected)
    dense = torch.tensor([[0.5, 0.0], [torch.nan, 0.0], [0.5, 0.0]]).double()
    assert close(violations_of(equal_excessive_loss, sums, dense), expected)


def test_names():
    means, masses = torch.tensor([[1.0, 0.1], [2.0, 0.2]]), torch.tensor([1.0, 3.0])
    found = named(means, masses, means + 5)
    assert {k: v.tolist() for k, v in found.items()} == {
        "losses": means[:, 0].tolist(),
        "errors": means[:, 1].tolist(),
        "shares": [0.25, 0.75],
        "dense_losses": (means + 5)[:, 0].tolist(),
        "dense_errors": (means + 5)[:, 1].tolist(),
    }
    assert set(named(means, masses)) == {"losses", "errors", "shares"}


# ---- running means -----------------------------------------------------------------------


def slow_window(masses, window, moves):
    """Running means group by group, None before the first rows."""
    means = [None] * len(masses)
    for sums in moves:
        for a, (mass, *values) in enumerate(sums.tolist()):
            if not mass:
                continue
            new, rate = np.array(values) / mass, min(1, mass / (window * masses[a]))
            means[a] = new if means[a] is None else means[a] + rate * (new - means[a])
    return means


@law
@given(st.data(), st.floats(0.1, 1))
def test_running_means_group_by_group(data, window):
    column = st.lists(st.tuples(st.integers(0, 4), st.floats(0, 9)), min_size=3, max_size=3)
    draws = data.draw(st.lists(column, min_size=1, max_size=6))
    moves = [
        torch.tensor([[n, n * v, n * v / 2, n * v**2] for n, v in d]).double() for d in draws
    ]
    masses = torch.tensor([10.0, 5.0, 20.0]).double()
    running = GroupWindow(masses, window)
    for k, sums in enumerate(moves):
        present = running.move(sums)
        assert present.tolist() == (sums[:, 0] > 0).tolist()
        expected = slow_window(masses.tolist(), window, moves[: k + 1])
        known = torch.tensor([mean is not None for mean in expected])
        full = [np.zeros(3) if mean is None else mean for mean in expected]
        assert close(running.means, torch.tensor(np.array(full)))
        if known.any():
            shares = masses * known / (masses * known).sum()
            assert close(running.statistics()["shares"], shares)


def test_a_whole_epoch_at_once_replaces_the_mean():
    masses = torch.tensor([10.0, 5.0]).double()
    running = GroupWindow(masses, 1.0)
    for value in (3.0, 7.0):
        running.move(torch.stack([masses, masses * value, masses, masses], dim=1))
        assert close(running.means[:, 0], torch.full((2,), value).double())


def test_repeated_data_have_the_same_running_means():
    once, twice = (GroupWindow(k * torch.tensor([10.0, 5.0]).double(), 0.5) for k in (1, 2))
    for seed in range(4):
        sums = torch.rand(2, 4, generator=torch.Generator().manual_seed(seed)).double()
        once.move(sums)
        twice.move(2 * sums)
        assert close(once.means, twice.means)
        assert close(once.statistics()["shares"], twice.statistics()["shares"])


def test_absent_groups_count_as_the_mean_of_the_others():
    sums = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [3.0, 9.0, 3.0]]).double()
    losses = named(means_of(sums), sums[:, 0])["losses"]
    assert losses.tolist() == [1.0, 2.5, 3.0]
    finite = violations_of(lambda losses: losses.log(), sums)
    assert finite.isfinite().tolist() == [True, False, True]


def whole(losses, wrong, groups, mass):
    """Window that has seen all rows at once."""
    sums = group_sums(losses * mass, wrong * mass, groups, mass, 3)
    squares = torch.zeros(3).double().index_add(0, groups, mass**2)
    running = GroupWindow(sums[:, 0], 1.0, None, sums[:, 0] ** 2 / squares)
    running.move(sums)
    return running


def test_standard_errors_are_those_of_the_rows():
    random = torch.Generator().manual_seed(0)
    losses = torch.rand(60, generator=random).double()
    wrong = (torch.rand(60, generator=random) < 0.3).double()
    groups = torch.tensor([0] * 40 + [1] * 19 + [2])
    running = whole(losses, wrong, groups, torch.ones(60).double())
    for subject, values in (("losses", losses), ("errors", wrong)):
        parts = [values[groups == a] for a in range(2)]
        expected = [float(v.std() / len(v) ** 0.5) for v in parts]
        assert running.errors(subject).tolist() == [*map(pytest.approx, expected), np.inf]


def test_rows_that_count_double_are_no_more_rows():
    losses = torch.rand(50, generator=torch.Generator().manual_seed(1)).double()
    groups, ones = torch.arange(50) % 3, torch.ones(50).double()
    once, twice = (whole(losses, losses, groups, k * ones).errors("losses") for k in (1, 2))
    assert close(once, twice)
    few = whole(losses, losses, groups, torch.where(torch.arange(50) < 6, 50.0, 0.01).double())
    assert (few.sizes < 2.1).all()


def test_a_group_not_seen_yet_has_no_standard_error():
    running = GroupWindow(torch.tensor([5.0, 5.0]).double(), 1.0)
    running.move(torch.tensor([[5.0, 5.0, 1.0, 6.0], [0.0, 0.0, 0.0, 0.0]]).double())
    assert running.errors("losses").isfinite().tolist() == [True, False]
    assert running.errors("losses")[0] == pytest.approx((0.2 / 4) ** 0.5)


def test_values_of_rows_add_up_to_the_sums():
    net, rows = make(), data(weights=W)
    losses, wrong, groups, mass = row_values(net, rows, errors=True)
    sums = evaluate(net, rows, 3, errors=True)
    assert close(group_sums(losses, wrong, groups, mass, 3), sums)
    assert torch.equal(groups, rows.groups)
