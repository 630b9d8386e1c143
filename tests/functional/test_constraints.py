"""Laws of the constraints, and their row weights against the gradient of the Lagrangian."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_fairprune.functional import group_means, group_weights, largest_gap
from sklearn_fairprune.functional.constraints import (
    CONSTRAINTS,
    STATISTICS,
    Constraint,
    bounded_group_loss,
    equal_excessive_loss,
    equal_loss,
    minimax,
)
from sklearn_fairprune.functional.lagrangian import bounded_multipliers, violations

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=50, database=None)
EVERY = pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
MEAN_DIFFERENCES = sorted(name for name, c in CONSTRAINTS.items() if c.cancels)
EVERY_DIFFERENCE = pytest.mark.parametrize("name", MEAN_DIFFERENCES)


def record(constraint):
    return CONSTRAINTS.find("constraint", constraint)


def ratio(losses, *, shares):
    return losses / (shares @ losses) - 1


def squares(errors, *, dense_errors, shares):
    return errors.square() - shares @ (errors * dense_errors)


def curved(losses, *, dense_losses, power=2, **options):
    return (losses - dense_losses).abs().pow(power) + losses.roll(1) * losses


USERS = {"ratio": ratio, "squares": squares, "curved": curved}
ALL = CONSTRAINTS | USERS


@st.composite
def statistics(draw):
    m = draw(st.integers(1, 5))
    column = st.lists(st.floats(0, 100), min_size=m, max_size=m)
    made = {name: torch.tensor(draw(column), dtype=torch.float64) for name in STATISTICS}
    sizes = draw(st.lists(st.integers(1, 50), min_size=m, max_size=m))
    made["shares"] = torch.tensor(sizes, dtype=torch.float64) / sum(sizes)
    return made


def multipliers(made, seed=0):
    """Non-negative numbers that sum to 1."""
    lam = torch.rand(
        len(made["shares"]), generator=torch.Generator().manual_seed(seed)
    ).double()
    return lam / lam.sum()


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    return True


# ---- violations ----------------------------------------------------------------------


@EVERY_DIFFERENCE
@law
@given(made=statistics())
def test_share_weighted_violations_cancel(name, made):
    mean = made["shares"] @ violations(CONSTRAINTS[name], made)
    assert float(mean) == pytest.approx(0, abs=1e-9)


@law
@given(statistics())
def test_violations_row_by_row(made):
    losses, dense, shares = made["losses"], made["dense_losses"], made["shares"]
    whole = sum(float(s * j) for s, j in zip(shares, losses, strict=True))
    excess = losses - dense
    whole_excess = sum(float(s * r) for s, r in zip(shares, excess, strict=True))
    drop = (1 - made["dense_errors"]) - (1 - made["errors"])
    expected = {
        "equal_loss": losses - whole,
        "minimax": losses - whole,
        "equal_accuracy": made["errors"] - (shares * made["errors"]).sum(),
        "bounded_group_loss": losses,
        "equal_excessive_loss": excess - whole_excess,
        "accuracy_gap": drop - (shares * drop).sum(),
    }
    assert expected.keys() == CONSTRAINTS.keys()
    assert all(close(violations(CONSTRAINTS[k], made), v) for k, v in expected.items())


@EVERY
@law
@given(made=statistics(), data=st.data())
def test_permuting_groups_permutes_violations_and_weights(constraint, made, data):
    order = data.draw(st.permutations(range(len(made["shares"]))))
    moved = {name: values[order] for name, values in made.items()}
    lam = multipliers(made)
    assert close(violations(constraint, moved), violations(constraint, made)[order])
    weights = group_weights(constraint, lam, made)[order]
    assert close(group_weights(constraint, lam[order], moved), weights)


@law
@given(statistics(), st.floats(0, 100))
def test_equal_losses_leave_the_dense_spread(made, level):
    dense, shares = made["dense_losses"], made["shares"]
    met = torch.full_like(shares, level)
    assert close(equal_loss(met, shares=shares), torch.zeros_like(shares))
    assert close(largest_gap(met - dense), largest_gap(dense))


@law
@given(statistics(), st.floats(0, 100))
def test_equal_excessive_losses_leave_no_gap(made, level):
    dense, shares = made["dense_losses"], made["shares"]
    violation = equal_excessive_loss(dense + level, dense_losses=dense, shares=shares)
    assert close(violation, torch.zeros_like(shares))
    losses = made["losses"]
    violation = equal_excessive_loss(losses, dense_losses=dense, shares=shares)
    assert close(largest_gap(violation), largest_gap(losses - dense))


@EVERY
@law
@given(made=statistics())
def test_one_group_has_nothing_to_equal(constraint, made):
    alone = {name: values[:1] for name, values in made.items()}
    alone["shares"] = torch.ones(1, dtype=torch.float64)
    expected = alone["losses"] if constraint.function is bounded_group_loss else torch.zeros(1)
    assert close(violations(constraint, alone), expected.double())


# ---- what a constraint may look like ---------------------------------------------------


def test_needs_of_the_users_functions():
    asked = {name: (record(f).subject, *record(f).needs) for name, f in USERS.items()}
    assert asked == {
        "ratio": ("losses", "shares"),
        "squares": ("errors", "dense_errors", "shares"),
        "curved": ("losses", "dense_losses"),
    }
    assert [record(f).of_dense for f in USERS.values()] == [False, True, True]
    assert [record(f).of_errors for f in USERS.values()] == [False, True, False]
    partial = record(functools.partial(curved, power=3))
    assert (partial.subject, partial.needs) == ("losses", ("dense_losses",))


@EVERY
def test_every_constraint_says_what_it_needs(constraint):
    assert constraint.subject in ("losses", "errors")
    assert constraint.of_dense == (constraint.name in ("equal_excessive_loss", "accuracy_gap"))
    only = {name: torch.full((2,), 0.5) for name in (constraint.subject, *constraint.needs)}
    assert violations(constraint, only).shape == (2,)


BAD = {
    "nothing": lambda: None,
    "other first": lambda shares: shares,
    "two firsts swapped": lambda dense_losses, losses: losses,
    "only defaults": lambda losses=None: losses,
    "keyword-only": lambda *, losses: losses,
    "default before it": lambda power=1, *, losses: losses,
}


@pytest.mark.parametrize("constraint", BAD.values(), ids=BAD)
def test_bad_signatures_are_refused(constraint):
    with pytest.raises(ValueError, match=r"^constraint: the first argument .* must be called"):
        record(constraint)


def test_unknown_statistics_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"asks for \['sizes'\]; known are .*'shares'"):
        record(lambda losses, *, sizes: losses)


def test_functions_of_the_shelf_are_known_and_records_go_through():
    assert all(record(member.function) is member for member in CONSTRAINTS.values())
    mine = Constraint(ratio, unit=None, cancels=True)
    assert record(mine) is mine
    assert record(ratio) == Constraint(ratio)


@pytest.mark.parametrize("value", ["equal", None, 3, dict])
def test_what_is_no_constraint_is_refused(value):
    with pytest.raises(ValueError, match=r"'constraint' parameter must be a str among"):
        record(value)


def test_violations_cancel_where_the_record_says_so():
    made = {name: torch.tensor([0.2, 0.7, 1.9]).double() for name in STATISTICS}
    made["shares"] = torch.tensor([0.5, 0.3, 0.2]).double()
    cancels = {
        name: abs(float(made["shares"] @ violations(c, made))) < 1e-6
        for name, c in CONSTRAINTS.items()
    }
    assert cancels == {name: c.cancels for name, c in CONSTRAINTS.items()}


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        (lambda losses: losses.sum(), r"shape \(\)"),
        (lambda losses: losses[:1], r"shape \(1,\)"),
        (lambda losses: torch.stack([losses, losses]), r"shape \(2, 3\)"),
        (lambda losses: losses.tolist(), "list"),
        (lambda losses: losses.numpy(), r"shape \(3,\)"),
        (lambda losses: None, "NoneType"),
    ],
)
def test_wrong_returns_are_refused(returned, named):
    with pytest.raises(ValueError, match=f"each of the 3 groups, got {named}"):
        violations(returned, {"losses": torch.ones(3)})


# ---- weights of the groups --------------------------------------------------------------


@pytest.mark.parametrize("constraint", ALL.values(), ids=ALL)
@law
@given(made=statistics())
def test_multipliers_of_zero_weigh_nothing(constraint, made):
    positive = {name: values + 0.1 for name, values in made.items()}
    lam = torch.zeros(len(made["shares"]))
    assert (group_weights(constraint, lam, positive | {"shares": made["shares"]}) == 1).all()


@EVERY_DIFFERENCE
@law
@given(made=statistics(), scale=st.floats(-5, 5))
def test_share_weighted_mean_weight_is_one(name, made, scale):
    weights = group_weights(CONSTRAINTS[name], scale * multipliers(made), made)
    assert float(made["shares"] @ weights) == pytest.approx(1)


@EVERY_DIFFERENCE
@law
@given(made=statistics(), total=st.floats(0, 1), seed=st.integers(0, 99))
def test_multipliers_up_to_one_give_no_negative_weight(name, made, total, seed):
    weights = group_weights(CONSTRAINTS[name], total * multipliers(made, seed), made)
    assert (weights >= -1e-9).all()


@law
@given(made=statistics())
def test_minimax_weights_are_multipliers_over_shares(made):
    lam = multipliers(made)
    assert close(group_weights(minimax, lam, made), lam / made["shares"])
    alone = torch.zeros_like(lam).index_fill(0, torch.tensor([0]), 1.0)
    assert group_weights(equal_loss, 2 * alone, made)[1:].eq(-1).all()


@EVERY
def test_absent_groups_weigh_one(constraint):
    made = {name: torch.tensor([1.0, 2.0, 0.0]) for name in STATISTICS}
    made["shares"] = torch.tensor([0.25, 0.75, 0.0])
    weights = group_weights(constraint, torch.tensor([0.5, 0.1, 9.0]), made)
    assert weights[2] == 1
    assert weights.isfinite().all()


def test_weights_leave_statistics_alone_and_ignore_no_grad():
    made = {name: torch.tensor([1.0, 2.0]) for name in STATISTICS}
    with torch.no_grad():
        weights = group_weights(ratio, torch.ones(2), made | {"shares": torch.full((2,), 0.5)})
    assert not weights.requires_grad
    assert not made["losses"].requires_grad
    jacobian = torch.func.jacrev(lambda j: ratio(j, shares=torch.full((2,), 0.5)).sum())
    torch.testing.assert_close(weights, 1 + 2 * jacobian(torch.tensor([1.0, 2.0])))


@pytest.mark.parametrize("constraint", ALL.values(), ids=ALL)
@pytest.mark.parametrize("classes", [None, [1.0, 2.0, 5.0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_row_weights_have_the_gradient_of_the_lagrangian(constraint, classes, weighted):
    random = torch.Generator().manual_seed(0)
    X = torch.randn(30, 4, generator=random, dtype=torch.float64)
    y, groups = torch.randint(3, (30,), generator=random), torch.arange(30) % 7 % 4
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    classes = None if classes is None else torch.tensor(classes, dtype=torch.float64)
    rows = torch.rand(30, generator=random).double() if weighted else torch.ones(30).double()
    losses = nn.functional.cross_entropy(model(X), y, classes, reduction="none")
    mass = rows if classes is None else rows * classes[y]
    plain = nn.functional.cross_entropy(model(X), y, reduction="none")
    means = group_means(plain, groups, 4, mass)
    lam = torch.tensor([0.7, 0.0, 1.3, -0.4], dtype=torch.float64)
    made = {name: torch.tensor([0.3, 0.1, 0.2, 0.4]).double() for name in STATISTICS}
    made["shares"] = torch.stack([mass[groups == a].sum() for a in range(4)]) / mass.sum()
    first = record(constraint).subject
    lagrangian = made["shares"] @ means + lam @ violations(constraint, made | {first: means})
    weights = group_weights(constraint, lam, made | {"losses": means.detach()})
    row_weighted = (weights[groups] * rows * losses).sum() / mass.sum()
    expected = torch.autograd.grad(lagrangian, model.parameters(), retain_graph=True)
    actual = torch.autograd.grad(row_weighted, model.parameters())
    assert all(close(a, b) for a, b in zip(actual, expected, strict=True))
    assert (weights - 1).abs().max() > 0.1


@pytest.mark.parametrize(
    "constraint",
    [
        lambda losses: (losses > 0.5).double(),
        lambda losses: torch.ones(len(losses)),
        lambda losses: losses.detach(),
    ],
)
def test_constraints_without_a_derivative_are_refused(constraint):
    statistics = {"losses": torch.tensor([0.2, 0.8]), "shares": torch.tensor([0.5, 0.5])}
    with pytest.raises(ValueError, match=r"must be differentiable in 'losses'"):
        group_weights(constraint, torch.zeros(2), statistics)


def test_which_constraints_are_about_errors_and_the_dense_network():
    about = {name: (c.of_errors, c.of_dense) for name, c in CONSTRAINTS.items()}
    assert {name for name, (errors, _) in about.items() if errors} == {
        "accuracy_gap",
        "equal_accuracy",
    }
    assert {n for n, (_, dense) in about.items() if dense} == {
        "accuracy_gap",
        "equal_excessive_loss",
    }
    assert record(lambda losses, *, dense_errors: losses).of_errors


@EVERY_DIFFERENCE
@law
@given(made=statistics(), seed=st.integers(0, 99), least=st.sampled_from([0.0, 0.5, 0.9]))
def test_bounded_multipliers_leave_every_row_its_weight(name, made, seed, least):
    extra = 3 * torch.rand(len(made["shares"]), generator=torch.Generator().manual_seed(seed))
    found = bounded_multipliers(CONSTRAINTS[name], extra.double(), made, least)
    wanted = made["shares"] * extra.double()
    weights = group_weights(CONSTRAINTS[name], found, made)
    assert weights.min() >= least - 1e-9
    assert close(weights @ made["shares"], torch.tensor(1.0).double())
    factor = found.sum() / wanted.sum()
    assert close(found, factor * wanted)
    assert factor <= 1 + 1e-12
    free = group_weights(CONSTRAINTS[name], wanted, made).min()
    assert free >= least or weights.min() == pytest.approx(least)
    assert free < least or factor == pytest.approx(1)
