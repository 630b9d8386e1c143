"""Criteria that look at the groups: with one group the plain ones, and their own laws."""

import functools

import numpy as np
import pytest
import torch

from sklearn_fairprune.functional import (
    fairgrape,
    fairprune,
    optimal_brain_damage,
    taylor,
    worst_group,
)

torch.set_num_threads(1)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


WEIGHT = draw(6, 5)
GRADIENTS, DIAGONALS = draw(3, 6, 5, seed=1), draw(3, 6, 5, seed=2)
LOSSES, SHARES = torch.tensor([0.4, 0.9, 0.1]), torch.tensor([0.5, 0.2, 0.3]).double()


def fair(diagonals, losses, shares, **options):
    return fairprune(
        WEIGHT,
        group_hessian_diagonals=diagonals,
        group_losses=losses,
        group_shares=shares,
        **options,
    )


@pytest.mark.parametrize("beta", [0.0, 1 / 3, 1.0])
def test_fairprune_with_one_group_is_optimal_brain_damage(beta):
    one = fair(DIAGONALS[:1], LOSSES[:1], torch.ones(1), beta=beta)
    assert torch.equal(one, optimal_brain_damage(WEIGHT, hessian_diagonal=DIAGONALS[0]))


def test_fairgrape_with_one_group_is_taylor_squared():
    one = fairgrape(WEIGHT, group_gradients=GRADIENTS[:1])
    torch.testing.assert_close(one, taylor(WEIGHT, gradient=GRADIENTS[0]).square())


def test_worst_group_with_one_group_is_the_second_order_damage():
    one = worst_group(
        WEIGHT, group_gradients=GRADIENTS[:1], group_hessian_diagonals=DIAGONALS[:1]
    )
    assert torch.equal(one, -WEIGHT * GRADIENTS[0] + WEIGHT.square() / 2 * DIAGONALS[0])


def test_groups_that_are_all_alike_are_one():
    same = {
        "group_gradients": GRADIENTS[:1].expand(3, -1, -1),
        "group_hessian_diagonals": DIAGONALS[:1].expand(3, -1, -1),
    }
    one = {name: value[:1] for name, value in same.items()}
    assert torch.equal(worst_group(WEIGHT, **same), worst_group(WEIGHT, **one))
    name = "group_gradients"
    torch.testing.assert_close(
        fairgrape(WEIGHT, group_gradients=same[name]),
        fairgrape(WEIGHT, group_gradients=one[name]),
    )
    alike = fair(same["group_hessian_diagonals"], torch.ones(3), SHARES, beta=0.5)
    torch.testing.assert_close(
        alike, 0.5 * fair(one["group_hessian_diagonals"], *[SHARES[:1]] * 2)
    )


def test_fairprune_of_two_groups_swapped_changes_its_sign():
    two, shares = DIAGONALS[:2], SHARES[:2]
    scores = fair(two, torch.tensor([0.9, 0.1]), shares, beta=1.0)
    swapped = fair(two, torch.tensor([0.1, 0.9]), shares, beta=1.0)
    torch.testing.assert_close(scores, -swapped)
    assert scores.abs().min() > 0


def test_fairprune_sets_the_worst_group_against_all_others():
    rest = (0.5 * DIAGONALS[0] + 0.3 * DIAGONALS[2]) / 0.8
    expected = WEIGHT.square() / 2 * (DIAGONALS[1].abs() - 0.25 * rest.abs())
    torch.testing.assert_close(fair(DIAGONALS, LOSSES, SHARES, beta=0.25), expected)
    given = functools.partial(fairprune, beta=0.25).keywords
    assert given == {"beta": 0.25}


def test_worst_group_is_at_least_the_damage_of_every_group():
    scores = worst_group(WEIGHT, group_gradients=GRADIENTS, group_hessian_diagonals=DIAGONALS)
    damage = -WEIGHT * GRADIENTS + WEIGHT.square() / 2 * DIAGONALS
    assert (scores >= damage).all()
    assert ((scores == damage).sum(0) >= 1).all()


def test_names_of_groups_do_not_count():
    order = torch.tensor([2, 0, 1])
    for scores, renamed in [
        (
            fair(DIAGONALS, LOSSES, SHARES),
            fair(DIAGONALS[order], LOSSES[order], SHARES[order]),
        ),
        (
            fairgrape(WEIGHT, group_gradients=GRADIENTS),
            fairgrape(WEIGHT, group_gradients=GRADIENTS[order]),
        ),
    ]:
        torch.testing.assert_close(scores, renamed)


def kept_shares(scores, importance, n_kept):
    kept = scores.flatten().argsort(descending=True)[:n_kept]
    return (importance[:, kept].sum(1) / importance.sum(1)).numpy()


def test_fairgrape_keeps_the_shares_of_the_groups_alike():
    gradients = torch.cat([GRADIENTS[:1] * 10, GRADIENTS[1:]])  # one group's are far larger
    importance = (WEIGHT * gradients).square().flatten(1)
    scores = fairgrape(WEIGHT, group_gradients=gradients)
    plain = taylor(WEIGHT, gradient=gradients.mean(0))
    largest = float((importance / importance.sum(1, keepdim=True)).max())
    for n_kept in (3, 6, 12, 20):
        spread = np.ptp(kept_shares(scores, importance, n_kept))
        assert spread <= largest + 1e-9
    few = [np.ptp(kept_shares(s, importance, 6)) for s in (scores, plain)]
    assert few[0] < few[1]


def test_fairgrape_where_a_group_needs_nothing():
    gradients = torch.stack([GRADIENTS[0], torch.zeros(6, 5).double()])
    scores = fairgrape(WEIGHT, group_gradients=gradients)
    torch.testing.assert_close(scores, taylor(WEIGHT, gradient=GRADIENTS[0]).square() / 2)
    nothing = fairgrape(WEIGHT, group_gradients=torch.zeros(2, 6, 5))
    assert nothing.shape == WEIGHT.shape
    assert not nothing.any()
