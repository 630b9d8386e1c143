"""Divergence from the dense network: against the formula by hand, gradients, limits."""

import numpy as np
import pytest
import torch

from sklearn_fairprune.functional import distillation_losses, squared_distances

generator = torch.Generator().manual_seed(0)
Z = torch.randn(7, 3, generator=generator, dtype=torch.float64)
DENSE = torch.randn(7, 3, generator=generator, dtype=torch.float64)


def softmax(z):
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return z / z.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_divergence_by_hand(temperature):
    p, q = softmax(DENSE.numpy() / temperature), softmax(Z.numpy() / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1)
    found = distillation_losses(Z, DENSE, temperature=temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_gradient_is_the_difference_of_probabilities():
    z = Z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(distillation_losses(z, DENSE).sum(), z)
    torch.testing.assert_close(gradient, Z.softmax(1) - DENSE.softmax(1))


def test_gradients_of_high_temperatures_are_those_of_centred_logits():
    z, t = Z.clone().requires_grad_(), 1e4  # Hinton et al., section 2.1
    (gradient,) = torch.autograd.grad(distillation_losses(z, DENSE, temperature=t).sum(), z)
    difference = (Z - Z.mean(1, keepdim=True)) - (DENSE - DENSE.mean(1, keepdim=True))
    torch.testing.assert_close(gradient, difference / 3, rtol=1e-3, atol=1e-5)


def test_it_is_zero_where_probabilities_agree_and_only_there():
    assert distillation_losses(Z + 5, Z).abs().max() < 1e-12
    assert (distillation_losses(Z, DENSE) > 0).all()


def test_log_probabilities_do_as_well_as_logits():
    torch.testing.assert_close(
        distillation_losses(Z.log_softmax(1), DENSE.log_softmax(1), temperature=2.0),
        distillation_losses(Z, DENSE, temperature=2.0),
    )


def test_extreme_logits_are_finite():
    sure = torch.tensor([[200.0, -200.0]])
    assert torch.isfinite(distillation_losses(sure, -sure)).all()


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2, 3)])
def test_squared_distances(shape):
    a, b = torch.rand(shape), torch.rand(shape)
    expected = ((a - b) ** 2).reshape(4, -1).mean(dim=1)
    torch.testing.assert_close(squared_distances(a, b), expected)
