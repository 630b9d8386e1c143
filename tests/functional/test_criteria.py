"""Every criterion on the shelf, and the values of magnitude."""

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional import CRITERIA, magnitude

torch.set_num_threads(1)


def needs_statistics(function):
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)


PLAIN = [name for name, function in CRITERIA.items() if not needs_statistics(function)]


def weight(*shape):
    return torch.nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


def test_magnitude_values():
    score = magnitude(torch.tensor([[-2.0, 0.5], [-0.0, float("inf")]]))
    assert score.tolist() == [[2.0, 0.5], [0.0, float("inf")]]


@settings(deadline=None, max_examples=50, database=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20))
def test_magnitude_is_the_absolute_value(values):
    w = torch.tensor(values)
    assert magnitude(w).tolist() == [abs(v) for v in values]
    assert torch.equal(magnitude(w), magnitude(-w))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 3, 3)])
def test_scores_have_the_shape_of_the_weight(name, shape):
    score = CRITERIA[name](weight(*shape))
    assert score.shape == shape
    assert not score.requires_grad
    assert not score.isnan().any()


@pytest.mark.parametrize("name", PLAIN)
def test_weight_is_left_as_it_is(name):
    w = weight(5, 4)
    before = w.detach().clone()
    CRITERIA[name](w).add_(1.0)
    assert torch.equal(w, before)


@pytest.mark.parametrize("name", CRITERIA)
def test_shelf_name_is_the_function_name(name):
    assert CRITERIA[name].__name__ == name
