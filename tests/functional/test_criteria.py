"""Every criterion on the shelf, and the values of those that look at no group."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional import (
    CRITERIA,
    magnitude,
    optimal_brain_damage,
    taylor,
    undecayed,
    wanda,
)
from sklearn_fairprune.functional.needs import needs

torch.set_num_threads(1)


def statistics(shape):
    """Any values of the right form for every statistic."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    return {
        "generator": torch.Generator().manual_seed(2),
        "gradient": values,
        "group_gradients": torch.stack([values, -values]),
        "group_shares": torch.tensor([0.75, 0.25]),
        "group_losses": torch.tensor([0.2, 0.9]),
        "hessian_diagonal": values,
        "group_hessian_diagonals": torch.stack([values, -2 * values]),
        "activation_norms": values,
    }


def score(name, weight):
    known = statistics(weight.shape)
    asked = needs(CRITERIA[name].function, known, "criterion", subject=True)
    return CRITERIA[name](weight, **{n: known[n] for n in asked})


def weight(*shape):
    return torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


def test_magnitude_values():
    scores = magnitude(torch.tensor([[-2.0, 0.5], [-0.0, float("inf")]]))
    assert scores.tolist() == [[2.0, 0.5], [0.0, float("inf")]]


@settings(deadline=None, max_examples=50, database=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_magnitude_is_the_absolute_value(values):
    w = torch.tensor(values)
    assert magnitude(w).tolist() == [abs(v) for v in values]
    assert torch.equal(magnitude(w), magnitude(-w))


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 3, 3)])
def test_scores_have_the_shape_of_the_weight(name, shape):
    scores = score(name, weight(*shape))
    assert scores.shape == shape
    assert not scores.requires_grad
    assert not scores.isnan().any()


@pytest.mark.parametrize("name", CRITERIA)
def test_weight_is_left_as_it_is(name):
    w = weight(5, 4)
    before = w.detach().clone()
    score(name, w).add_(1.0)
    assert torch.equal(w, before)


@pytest.mark.parametrize("name", CRITERIA)
def test_shelf_name_is_the_function_name(name):
    assert CRITERIA[name].name == name


def test_values():
    w, g = torch.tensor([-2.0, 0.5, 0.0]), torch.tensor([0.1, -4.0, 7.0])
    assert taylor(w, gradient=g).tolist() == pytest.approx([0.2, 2, 0])
    assert optimal_brain_damage(w, hessian_diagonal=g).tolist() == pytest.approx([0.2, 0.5, 0])
    assert wanda(w, activation_norms=g.abs()).tolist() == pytest.approx([0.2, 2, 0])
    assert undecayed(w, gradient=g, decay=0.2).tolist() == pytest.approx([1, 2.05, 0])


def test_without_decay_undecayed_is_taylor():
    w, g = weight(4, 3), weight(4, 3).detach().flip(0)
    assert torch.equal(undecayed(w, gradient=g, decay=0), taylor(w, gradient=g))
    at_rest = undecayed(w, gradient=-0.1 * w.detach(), decay=0.1)  # a minimum with decay
    assert torch.equal(at_rest.argsort(dim=0), magnitude(w).argsort(dim=0))
