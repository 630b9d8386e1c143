"""Closeness and margin: laws over classes and logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.functional import hessian
from torch.nn.functional import cross_entropy

from sklearn_fairprune.functional import closeness, margin

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=100, database=None)
logits = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.floats(-30, 30), min_size=k, max_size=k)
)


def softmax(z):
    return torch.tensor(z, dtype=torch.float64).softmax(0)


@law
@given(logits)
def test_closeness_is_the_trace_of_the_hessian_in_the_logits(z):
    p, s = softmax(z), closeness(softmax(z)).item()
    H = p.diag() - p.outer(p)
    assert s == pytest.approx(H.trace().item(), abs=1e-12)
    assert torch.linalg.eigvalsh(H)[-1].item() <= s + 1e-12
    at = torch.tensor(z, dtype=torch.float64)
    truth = hessian(lambda v: cross_entropy(v, torch.tensor(0)), at)
    torch.testing.assert_close(H, truth, atol=1e-12, rtol=1e-9)


@law
@given(logits, st.randoms(use_true_random=False))
def test_ranges_and_permutations(z, random):
    p, K = softmax(z), len(z)
    assert 0 <= closeness(p) <= 1 - 1 / K + 1e-12
    assert closeness(p) == pytest.approx(1 - (p**2).sum().item(), abs=1e-12)
    low, high = sorted(p.tolist())[-2:]
    assert margin(p) == high - low
    assert 0 <= margin(p) <= 1
    moved = p[random.sample(range(K), K)]
    assert margin(moved) == margin(p)
    assert closeness(moved) == pytest.approx(closeness(p).item(), abs=1e-12)


@law
@given(st.floats(0, 1))
def test_two_classes(q):
    p = torch.tensor([q, 1 - q], dtype=torch.float64)
    assert closeness(p) == pytest.approx(2 * q * (1 - q))
    assert margin(p) == pytest.approx(abs(2 * q - 1), abs=1e-12)
    assert closeness(p) == pytest.approx((1 - margin(p).item() ** 2) / 2, abs=1e-12)


@pytest.mark.parametrize("K", [2, 3, 10])
def test_extremes(K):
    uniform, certain = torch.full((K,), 1 / K), torch.eye(K)
    assert closeness(uniform) == pytest.approx(1 - 1 / K)
    assert margin(uniform) == 0
    assert closeness(certain).tolist() == [0] * K
    assert margin(certain).tolist() == [1] * K


def test_leading_dimensions_stay():
    p = torch.rand(2, 3, 4, 5).softmax(-1)
    for measure in (closeness, margin):
        assert measure(p).shape == (2, 3, 4)
        assert measure(p)[1, 2, 3] == pytest.approx(measure(p[1, 2, 3]).item())
        assert measure(p[:0]).shape == (0, 3, 4)


def test_small_closeness_is_not_lost_in_rounding():
    p = torch.tensor([1e-12, 1.0], dtype=torch.float32)
    assert closeness(p).item() == pytest.approx(1e-12, rel=1e-6, abs=0)


def test_one_column_has_no_margin():
    with pytest.raises(RuntimeError):
        margin(torch.ones(3, 1))
