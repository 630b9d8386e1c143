"""The inputs that the outputs of a convolution are linear functions of."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def patches(
    X: Tensor,
    kernel_size: Sequence[int],
    *,
    stride: Sequence[int] = (),
    padding: str | Sequence[int] = (),
    dilation: Sequence[int] = (),
    padding_mode: str = "zeros",
) -> Tensor:
    """Cut what a convolution multiplies its kernel with out of its input.

    ``patches[i, t]`` times a kernel, summed, is the output of row i at position t: a
    convolution of one to three dimensions is a linear layer on them.

    Parameters
    ----------
    X : torch.Tensor of shape (n, channels, *space)
        Input of the convolution.
    kernel_size : sequence of int
        One for each dimension of space.
    stride, padding, dilation, padding_mode
        As `torch.nn.Conv2d` has them; by default 1, 0, 1 and ``"zeros"``.

    Returns
    -------
    patches : torch.Tensor of shape (n, *positions, channels, *kernel_size)
        A view of the padded input: nothing is copied for every position.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import patches
    >>> patches(torch.tensor([[[1.0, 2.0, 3.0]]]), [2])
    tensor([[[[1., 2.]],
    <BLANKLINE>
             [[2., 3.]]]])
    """
    n_space = len(kernel_size)
    stride, dilation = stride or (1,) * n_space, dilation or (1,) * n_space
    spans = [d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    if padding == "same":
        sides = [((span - 1) // 2, span - 1 - (span - 1) // 2) for span in spans]
    elif padding == "valid" or not padding:
        sides = [(0, 0)] * n_space
    else:
        sides = [(int(p), int(p)) for p in padding]
    around = [side for pair in reversed(sides) for side in pair]
    if any(around):
        mode = "constant" if padding_mode == "zeros" else padding_mode
        X = F.pad(X, around, mode=mode)
    for axis, (span, step, gap) in enumerate(zip(spans, stride, dilation, strict=True)):
        X = X.unfold(2 + axis, span, step)[..., ::gap]
    return X.movedim(1, 1 + n_space)
