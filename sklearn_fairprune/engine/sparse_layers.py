"""A linear layer that stores and multiplies only the weights that are not zero."""

import operator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._compat.scipy import csc_matvec, csc_matvecs

CHUNK = 128  # rows multiplied at once: their inputs and outputs stay in the cache
INDEX_TYPES = (torch.uint8, torch.int16, torch.int32)


class Arrays(NamedTuple):
    """Weights by columns: where each starts, the outputs that they are of, and themselves."""

    starts: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    bias: np.ndarray


class SparseLinear(nn.Module):
    r"""A linear layer by its weights that are not zero, for inference.

    It gives :math:`X W^T + b` as ``torch.nn.Linear`` does. The weights are stored by columns
    (one for each input), with row numbers of the smallest type that fits; they are buffers,
    so that the state has them. The product is scipy's, on one thread, in chunks of rows.

    An infinite or missing feature reaches the outputs through the stored weights only; the
    dense layer multiplies it by zeros too, which gives NaN.

    Parameters
    ----------
    layer : torch.nn.Linear
        Copied. On the CPU, in float32 or float64.
    transposed : bool, default=False
        Return the outputs of up to `CHUNK` rows in Fortran order, as the next sparse layer
        reads them, which saves two copies.

    Attributes
    ----------
    in_features, out_features : int
        As of the layer.
    values : torch.Tensor of shape (nnz,)
        Weights, one column after the other.
    rows : torch.Tensor of shape (nnz,)
        Their outputs.
    counts : torch.Tensor of shape (in_features,)
        How many there are of every column.
    bias : torch.Tensor of shape (out_features,)
        Zeros if the layer has none.

    Raises
    ------
    ValueError
        If the layer is not on the CPU, or in another dtype.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.sparse_layers import SparseLinear
    >>> layer = torch.nn.Linear(3, 2)
    >>> layer.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
    >>> layer.bias.data.zero_()
    tensor([0., 0.])
    >>> sparse = SparseLinear(layer).eval()
    >>> sparse(torch.tensor([[1.0, 1.0, 1.0]]))
    tensor([[3., 3.]])
    >>> sparse
    SparseLinear(in_features=3, out_features=2, nonzero=3)
    """

    values: Tensor
    rows: Tensor
    counts: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear, *, transposed: bool = False) -> None:
        super().__init__()
        weight = layer.weight.detach()
        if not _fits(weight):
            raise ValueError(
                "SparseLinear computes on the CPU in float32 or float64, got a layer of "
                f"{weight.dtype} on {weight.device}. Move it there, or keep it dense."
            )
        self.out_features, self.in_features = weight.shape
        self.transposed = transposed
        columns = weight.t()
        places = columns.nonzero()
        largest = max(self.out_features, 1)
        small = next(kind for kind in INDEX_TYPES if largest <= torch.iinfo(kind).max)
        self.register_buffer("values", columns[places[:, 0], places[:, 1]].clone())
        self.register_buffer("rows", places[:, 1].to(small))
        counts = torch.bincount(places[:, 0], minlength=self.in_features)
        self.register_buffer("counts", counts.to(small))
        bias = weight.new_zeros(self.out_features) if layer.bias is None else layer.bias
        self.register_buffer("bias", bias.detach().clone())
        self._kernel: tuple[tuple[Tensor, ...], Arrays] | None = None
        self.register_load_state_dict_post_hook(_forget_kernel)
        self.train(layer.training)

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs.

        Parameters
        ----------
        X : torch.Tensor of shape (..., in_features)
            On the CPU, of the dtype of the weights.

        Returns
        -------
        outputs : torch.Tensor of shape (..., out_features)

        Raises
        ------
        RuntimeError
            In training mode, if a gradient is asked for, or if `X` does not fit.
        """
        self._check(X)
        arrays, rows = self._arrays(), X.detach().reshape(-1, self.in_features)
        if len(rows) <= CHUNK:
            outputs = self._product(rows, arrays)
            if not (self.transposed and X.dim() == 2):
                outputs = outputs.contiguous()
        else:
            outputs = rows.new_empty(len(rows), self.out_features)
            for start in range(0, len(rows), CHUNK):
                chunk = slice(start, start + CHUNK)
                outputs[chunk] = self._product(rows[chunk], arrays)
        return outputs if X.dim() == 2 else outputs.reshape(*X.shape[:-1], self.out_features)

    def _product(self, rows: Tensor, arrays: Arrays) -> Tensor:
        """Outputs of a few rows, in Fortran order."""
        n_rows, size = len(rows), (self.out_features, self.in_features)
        if n_rows == 1:
            outputs = arrays.bias.copy()
            csc_matvec(*size, *arrays[:3], rows.numpy().reshape(-1), outputs)
            return torch.from_numpy(outputs)[None]
        outputs = np.empty((self.out_features, n_rows), dtype=arrays.bias.dtype)
        outputs[:] = arrays.bias[:, None]
        if n_rows:
            features = rows.t().contiguous().numpy().reshape(-1)
            csc_matvecs(*size, n_rows, *arrays[:3], features, outputs.reshape(-1))
        return torch.from_numpy(outputs).t()

    def _arrays(self) -> Arrays:
        """Content of the buffers as the product reads it; made again where one is another."""
        buffers = (self.values, self.rows, self.counts, self.bias)
        if self._kernel is None or not all(map(operator.is_, self._kernel[0], buffers)):
            index = np.int32 if len(self.values) <= np.iinfo(np.int32).max else np.int64
            starts = np.zeros(self.in_features + 1, dtype=index)
            np.cumsum(self.counts.numpy(), out=starts[1:])
            rows = self.rows.numpy().astype(index)
            arrays = Arrays(starts, rows, self.values.numpy(), self.bias.numpy())
            self._kernel = (buffers, arrays)
        return self._kernel[1]

    def _check(self, X: Tensor) -> None:
        """Refuse what would give wrong numbers, or none."""
        values = self.values
        if self.training:
            raise RuntimeError(
                "SparseLinear is for inference and is in training mode: call eval() first. To "
                "train, use the network that it was made of."
            )
        if X.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                "SparseLinear has no gradient. Predict under torch.no_grad(); for gradients "
                "use the network that it was made of."
            )
        if X.dtype != values.dtype or X.device != values.device or not _fits(values):
            raise RuntimeError(
                "SparseLinear computes on the CPU in float32 or float64 and has weights of "
                f"{values.dtype} on {values.device}, got X of {X.dtype} on {X.device}. "
                "Convert X."
            )
        if X.shape[-1:] != (self.in_features,):
            raise RuntimeError(
                f"SparseLinear reads {self.in_features} features, got X of shape "
                f"{tuple(X.shape)}."
            )

    def extra_repr(self) -> str:
        """Sizes, as ``torch.nn.Linear`` shows them."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, nonzero={len(self.values)}"

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        return vars(self) | {"_kernel": None}


def _fits(tensor: Tensor) -> bool:
    """Whether the product can read a tensor."""
    return tensor.dtype in (torch.float32, torch.float64) and tensor.device.type == "cpu"


def _forget_kernel(layer: nn.Module, _: Any) -> None:
    """Make the arrays of the product again: the buffers have other values now."""
    vars(layer)["_kernel"] = None
