"""Diagonals by probing against the exact one; the exact one is in test_curvature."""

import pytest
import torch

from sklearn_fairprune.functional import flatten, hutchinson_diagonal, unflatten

torch.set_num_threads(1)


def close(a, b, rtol=1e-9):
    return torch.allclose(a, b, rtol=rtol, atol=1e-9)


def test_hutchinson_is_unbiased_within_its_standard_error():
    torch.manual_seed(0)
    A = torch.randn(30, 30).double()
    H, params = A + A.T, {"a": torch.zeros(5, 4).double(), "b": torch.zeros(10).double()}

    def estimate(n, **options):
        product = lambda v: unflatten(H @ flatten(v), params)  # noqa: E731
        mean, error = hutchinson_diagonal(product, params, n_probes=n, **options)
        assert mean["a"].shape == error["a"].shape == (5, 4)
        return flatten(mean), flatten(error)

    for n in (400, 1600):
        mean, error = estimate(n)
        assert 0.6 < ((mean - H.diag()) / error).square().mean().sqrt() < 1.4
        exact = ((H**2).sum(1) - H.diag() ** 2).sqrt() / n**0.5
        assert close(error, exact, rtol=0.15)
    assert torch.equal(estimate(2)[0], estimate(2)[0])
    other = estimate(2, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(other[0], estimate(2)[0])


def test_hutchinson_by_hand():
    d = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor(0.0)}
    mean, error = hutchinson_diagonal(lambda v: {k: d[k] * v[k] for k in v}, d, n_probes=2)
    assert flatten(mean).tolist() == [1, -2, 0]
    assert flatten(error).tolist() == [0, 0, 0]
    for seed in range(9):  # samples +1 and -1: mean 0, variance 2; or twice the same
        options = {"n_probes": 2, "generator": torch.Generator().manual_seed(seed)}
        mean, error = hutchinson_diagonal(
            lambda v: {"w": v["w"].flip(0)}, {"w": d["a"]}, **options
        )
        assert close(error["w"], 1 - mean["w"].abs())
    with pytest.raises(ValueError, match=r"at least 2 .* got 1"):
        hutchinson_diagonal(lambda v: v, d, n_probes=1)
