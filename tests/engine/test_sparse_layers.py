"""The sparse linear layer gives what the dense one gives, and refuses what it cannot."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from sklearn_fairprune.engine.sparse_layers import CHUNK, SparseLinear

torch.set_num_threads(1)


def pruned_linear(n_in=37, n_out=300, zeros=0.9, bias=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(n_in, n_out, bias=bias, dtype=dtype)
    layer.weight.data *= torch.rand(layer.weight.shape, generator=generator) > zeros
    return layer


def both(layer, X, **options):
    with torch.no_grad():
        return layer(X), SparseLinear(layer, **options).eval()(X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, 2, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_outputs_are_those_of_the_dense_layer(dtype, transposed, n_rows):
    layer = pruned_linear(dtype=dtype)
    for X in (torch.randn(n_rows, 37, dtype=dtype), torch.randn(37, n_rows, dtype=dtype).t()):
        dense, sparse = both(layer, X, transposed=transposed)
        torch.testing.assert_close(sparse, dense)
        assert sparse.is_contiguous() or transposed


@pytest.mark.parametrize("shape", [(37,), (3, 37), (2, 5, 37), (2, 0, 37), (2, 3, 90, 37)])
def test_any_leading_shape(shape):
    dense, sparse = both(pruned_linear(bias=False), torch.randn(shape), transposed=True)
    torch.testing.assert_close(sparse, dense)


def test_fortran_order_is_kept_for_the_next_layer():
    _, sparse = both(pruned_linear(), torch.randn(9, 37), transposed=True)
    assert sparse.t().is_contiguous()
    assert sparse.relu().t().is_contiguous()


@pytest.mark.parametrize("zeros", [-1.0, 1.0])
def test_no_zeros_and_nothing_but_zeros(zeros):
    dense, sparse = both(pruned_linear(zeros=zeros), torch.randn(4, 37))
    torch.testing.assert_close(sparse, dense)


@pytest.mark.parametrize(
    ("n_out", "kind"), [(255, torch.uint8), (256, torch.int16), (32768, torch.int32)]
)
def test_indices_have_the_smallest_type_that_fits(n_out, kind):
    layer = nn.Linear(2, n_out)
    sparse = SparseLinear(layer).eval()
    assert sparse.rows.dtype == sparse.counts.dtype == kind
    X = torch.randn(3, 2)
    torch.testing.assert_close(sparse(X), layer(X).detach())


def test_state_has_all_numbers_and_is_small():
    layer = pruned_linear(400, 200, 0.95)
    sparse = SparseLinear(layer)
    assert set(sparse.state_dict()) == {"values", "rows", "counts", "bias"}
    assert list(sparse.parameters()) == []
    sizes = []
    for module in (layer, sparse):
        torch.save(module.state_dict(), buffer := io.BytesIO())
        sizes.append(buffer.tell())
    assert sizes[1] < sizes[0] / 8


def test_copies_and_pickles_predict_the_same():
    sparse, X = SparseLinear(pruned_linear()).eval(), torch.randn(4, 37)
    before = sparse(X)
    n_bytes = len(pickle.dumps(SparseLinear(pruned_linear())))
    assert len(pickle.dumps(sparse)) < n_bytes + 100  # what the product made is left out
    for twin in (copy.deepcopy(sparse), pickle.loads(pickle.dumps(sparse))):
        torch.testing.assert_close(twin(X), before)


def test_new_numbers_are_used():
    one, other, X = pruned_linear(zeros=0.9), pruned_linear(zeros=0.9), torch.randn(4, 37)
    other.weight.data = -one.weight.data.flip(0)
    sparse = SparseLinear(one).eval()
    sparse(X)
    sparse.load_state_dict(SparseLinear(other).state_dict())
    torch.testing.assert_close(sparse(X), other(X).detach())
    wide = sparse.double()(X.double())
    torch.testing.assert_close(wide, other.double()(X.double()).detach())


def test_a_layer_inside_is_loaded_too():
    one, other, X = pruned_linear(), pruned_linear(), torch.randn(4, 37)
    other.weight.data = -one.weight.data.flip(0)
    network = nn.Sequential(SparseLinear(one)).eval()
    network(X)
    network.load_state_dict(nn.Sequential(SparseLinear(other)).state_dict())
    torch.testing.assert_close(network(X), other(X).detach())


def test_refusals():
    layer = pruned_linear()
    sparse, X = SparseLinear(layer), torch.randn(2, 37)
    with pytest.raises(RuntimeError, match="training mode: call eval"):
        sparse.train()(X)
    sparse.eval()
    with pytest.raises(RuntimeError, match="has no gradient"):
        sparse(X.requires_grad_())
    with torch.no_grad():
        assert not sparse(X).requires_grad
    with pytest.raises(RuntimeError, match=r"X of torch.float64 on cpu"):
        sparse(X.detach().double())
    with pytest.raises(RuntimeError, match="37 features, got X of shape"):
        sparse(torch.randn(37, 2))
    with pytest.raises(RuntimeError, match="float16"):
        sparse.half()(torch.randn(2, 37).half())
    with pytest.raises(ValueError, match="keep it dense"):
        SparseLinear(layer.half())
    with pytest.raises(ValueError, match="keep it dense"):
        SparseLinear(nn.Linear(2, 2, device="meta"))


def test_the_layer_is_not_changed_by_it():
    layer = pruned_linear()
    sparse = SparseLinear(layer).eval()
    layer.weight.data.zero_()
    layer.bias.data.zero_()
    assert sparse(torch.ones(1, 37)).abs().sum() > 0
    assert not SparseLinear(nn.Linear(2, 2).eval()).training
