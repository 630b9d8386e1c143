"""Attention without its dead heads: the same outputs, for inference."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED = ("in_proj_weight", "in_proj_bias")
APART = ("q_proj_weight", "k_proj_weight", "v_proj_weight")


def dead_heads(layer: nn.MultiheadAttention) -> Tensor:
    r"""Mark the heads whose part of the output does not depend on the input.

    Head h gives :math:`W_h o_h`, with its columns :math:`W_h` of the output projection and
    :math:`o_h` a mean of values. It is dead if every dimension d of it is not read
    (:math:`W_{hd} = 0`) or has a value without inputs (its row of the value projection is 0,
    so that :math:`o_{hd}` is the bias).

    Parameters
    ----------
    layer : torch.nn.MultiheadAttention
        Without keys of its own (`add_bias_kv`, `add_zero_attn`).

    Returns
    -------
    dead : torch.BoolTensor of shape (num_heads,)

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.attention_heads import dead_heads
    >>> layer = torch.nn.MultiheadAttention(6, 3)
    >>> layer.out_proj.weight.data[:, 2:4] = 0
    >>> dead_heads(layer)
    tensor([False,  True, False])
    """
    packed = layer.in_proj_weight
    values = layer.v_proj_weight if packed is None else packed.chunk(3)[2]
    silent = (values == 0).all(1) | (layer.out_proj.weight == 0).all(0)
    return silent.detach().reshape(layer.num_heads, -1).all(1)


def _constants(layer: nn.MultiheadAttention, dead: Tensor) -> Tensor:
    """What every dead head adds to the output, of shape (num_heads, embed_dim)."""
    weight = layer.out_proj.weight.detach().double()
    if layer.in_proj_bias is None:
        return weight.new_zeros(len(dead), len(weight))
    bias = layer.in_proj_bias.detach().double().chunk(3)[2]
    parts = (weight * bias).reshape(len(weight), len(dead), -1).sum(2)
    return torch.where(dead, parts, torch.zeros_like(parts)).t().contiguous()


class SlimAttention(nn.Module):
    r"""Torch's attention without its dead heads, for inference.

    It takes the place of ``torch.nn.MultiheadAttention`` and gives the same outputs. The
    projections lead to and from the heads that are left; the number of features outside stays.
    What a dead head adds is the same for all inputs, as weights of attention sum to 1, and is
    in the bias of the output projection. If all heads are dead, the first one stays.

    Masks are those of the original layer: one of three dimensions has a matrix for each of
    its `num_heads` heads. Queries that may attend to nothing get what torch gives them outside
    of its fast path: NaN if weights are asked for; otherwise the mean of no values is 0, and
    the constants of heads that attend to nothing are taken back. (In its fast path torch
    gives NaN in both cases.) Infinite or missing features reach the outputs through the heads
    that are left only.

    Weights of attention that are averaged over the original heads cannot be had any more, and
    those of removed heads neither, so that ``need_weights=True`` is refused.

    Parameters
    ----------
    layer : torch.nn.MultiheadAttention
        Copied.
    reads_weights : bool, default=True
        Whether the code that calls it looks at the weights of attention. False: it does not,
        and gets None in their place where it asks for them.

    Attributes
    ----------
    embed_dim, kdim, vdim, num_heads, head_dim, batch_first
        As of the layer.
    heads : torch.LongTensor
        Numbers of the heads that are left.
    in_proj_weight, in_proj_bias, q_proj_weight, k_proj_weight, v_proj_weight, out_proj
        As of the layer, with the rows and columns of these heads; they have no gradient.
    constants : torch.Tensor of shape (num_heads, embed_dim) or None
        What the bias has of every head; None if it has nothing.

    Raises
    ------
    ValueError
        If the layer is another one, or adds keys of its own.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.attention_heads import SlimAttention
    >>> layer = torch.nn.MultiheadAttention(6, 3, batch_first=True).eval()
    >>> layer.out_proj.weight.data[:, 2:4] = 0
    >>> slim = SlimAttention(layer)
    >>> slim
    SlimAttention(
      embed_dim=6, num_heads=3, left=2
      (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=6, bias=True)
    )
    >>> X = torch.randn(2, 5, 6)
    >>> with torch.no_grad():
    ...     before, after = (f(X, X, X, need_weights=False)[0] for f in (layer, slim))
    >>> torch.allclose(before, after, atol=1e-6)
    True
    """

    heads: Tensor
    constants: Tensor | None
    in_proj_weight: Tensor | None
    in_proj_bias: Tensor | None

    def __init__(self, layer: nn.MultiheadAttention, *, reads_weights: bool = True) -> None:
        super().__init__()
        if not isinstance(layer, nn.MultiheadAttention) or adds_keys(layer):
            raise ValueError(
                "SlimAttention takes the place of torch.nn.MultiheadAttention without "
                f"add_bias_kv and add_zero_attn, got {layer!r}. Keep the layer as it is."
            )
        self.embed_dim, self.kdim, self.vdim = layer.embed_dim, layer.kdim, layer.vdim
        self.num_heads, self.head_dim = layer.num_heads, layer.head_dim
        self.batch_first, self.reads_weights = layer.batch_first, reads_weights
        # Torch's transformer layers ask for it, and leave their fast path if it is False.
        self._qkv_same_embed_dim = False
        dead = dead_heads(layer)
        constants = _constants(layer, dead)
        dead[0] &= not dead.all()
        constants[~dead] = 0
        self.register_buffer("heads", (~dead).nonzero()[:, 0])
        kept = (~dead).repeat_interleave(layer.head_dim)
        for name in (*PACKED, *APART):
            old, rows = getattr(layer, name), kept.repeat(3) if name in PACKED else kept
            self.register_parameter(name, None if old is None else _constant(old[rows]))
        self.out_proj = out = copy.deepcopy(layer.out_proj)
        out.in_features, out.weight = int(kept.sum()), _constant(out.weight[:, kept])
        if constants.any():
            bias = constants.sum(0) + (0 if out.bias is None else out.bias)
            out.bias = _constant(bias.to(out.weight.dtype))
        out.requires_grad_(False)
        constants = constants.to(out.weight.dtype)
        self.register_buffer("constants", constants if constants.any() else None)
        self.train(layer.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """Compute the outputs.

        Parameters
        ----------
        query : torch.Tensor of shape (n, L, embed_dim), (L, n, embed_dim) or (L, embed_dim)
            As `batch_first` says; also a nested tensor, which key and value have to be too.
        key : torch.Tensor of shape (n, S, kdim), (S, n, kdim) or (S, kdim)
            What is compared with the queries.
        value : torch.Tensor of shape (n, S, vdim), (S, n, vdim) or (S, vdim)
            What is averaged.
        key_padding_mask : torch.Tensor of shape (n, S) or (S,), default=None
            True = ignored; of floats: added.
        need_weights : bool, default=True
            Refused, unless nobody reads them.
        attn_mask : torch.Tensor of shape (L, S) or (n * num_heads, L, S), default=None
            True = ignored; of floats: added.
        average_attn_weights : bool, default=True
            Has no effect without weights.
        is_causal : bool, default=False
            A hint that `attn_mask` is causal; the mask is what counts.

        Returns
        -------
        outputs : torch.Tensor
            Of the shape of `query`.
        weights : None

        Raises
        ------
        RuntimeError
            In training mode, if a gradient or weights are asked for, or if shapes do not fit.
        """
        self._check((query, key, value), need_weights, attn_mask, is_causal)
        if query.is_nested:
            return self._nested(query, key, value, key_padding_mask, attn_mask), None
        batched = query.dim() == 3
        inputs = query, key, value
        if not batched:
            inputs = query[None], key[None], value[None]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask[None]
        elif not self.batch_first:
            inputs = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        n, length = inputs[0].shape[:2]
        mask = self._mask(key_padding_mask, attn_mask, n, length, inputs[1])
        q, k, v = (
            part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for part in self._projected(*inputs, same=query is key is value)
        )
        own = mask if mask is None or mask.shape[1] == 1 else mask[:, self.heads]
        mixed = F.scaled_dot_product_attention(q, k, v, own).transpose(1, 2).flatten(2)
        out = self._corrected(self.out_proj(mixed), mask, need_weights)
        if not batched:
            return out[0], None
        return (out if self.batch_first else out.transpose(0, 1)), None

    def _projected(
        self, query: Tensor, key: Tensor, value: Tensor, same: bool
    ) -> tuple[Tensor, ...]:
        """Queries, keys and values of the heads that are left, side by side."""
        if same and self.in_proj_weight is not None:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1)
        weights = (
            [getattr(self, name) for name in APART]
            if self.in_proj_weight is None
            else self.in_proj_weight.chunk(3)
        )
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        triples = zip((query, key, value), weights, biases, strict=True)
        return tuple(F.linear(*triple) for triple in triples)

    def _mask(
        self, padding: Tensor | None, mask: Tensor | None, n: int, length: int, key: Tensor
    ) -> Tensor | None:
        """Both masks as numbers to add, of shape (n or 1, num_heads or 1, L or 1, S)."""
        parts, places = [], key.shape[1]
        if mask is not None:
            shapes = [(length, places), (n * self.num_heads, length, places)]
            mask = _numbers("attn_mask", mask, shapes, key)
            parts.append(mask.reshape(n if mask.dim() == 3 else 1, -1, length, places))
        if padding is not None:
            padding = _numbers("key_padding_mask", padding, [(n, places)], key)
            parts.append(padding[:, None, None])
        return sum(parts[1:], parts[0]) if parts else None

    def _corrected(self, out: Tensor, mask: Tensor | None, need_weights: bool) -> Tensor:
        """Correct the queries that may attend to nothing."""
        if mask is None or (self.constants is None and not need_weights):
            return out
        closed = mask.isneginf().all(-1).transpose(1, 2)  # (n or 1, L or 1, heads or 1)
        if not closed.any():
            return out
        if need_weights:
            return out.masked_fill(closed.any(-1, keepdim=True), torch.nan)
        closed = closed.expand(-1, -1, self.num_heads).to(out.dtype)
        return out - closed @ self.constants.to(out.dtype)

    def _nested(self, query: Tensor, key: Tensor, value: Tensor, *masks: Any) -> Tensor:
        """Attention within rows of different lengths, as torch's encoder asks for it."""
        if not (query is key is value) or masks != (None, None) or not self.batch_first:
            raise RuntimeError(
                "SlimAttention reads nested tensors in self-attention with batch_first and "
                "without masks only. Pass padded tensors and key_padding_mask."
            )
        lengths = [len(row) for row in query.unbind()]
        X = query.to_padded_tensor(0.0)
        padding = torch.arange(X.shape[1]) >= torch.tensor(lengths)[:, None]
        out, _ = self(X, X, X, padding.to(X.device), need_weights=False)
        rows = [row[:length] for row, length in zip(out, lengths, strict=True)]
        return torch.nested.as_nested_tensor(rows)

    def _check(
        self, inputs: tuple[Tensor, ...], need_weights: bool, mask: Any, is_causal: bool
    ) -> None:
        """Refuse what would give wrong numbers, or none."""
        if self.training:
            raise RuntimeError(
                "SlimAttention is for inference and is in training mode: call eval() first. "
                "To train, use the network that it was made of."
            )
        if torch.is_grad_enabled() and any(part.requires_grad for part in inputs):
            raise RuntimeError(
                "SlimAttention has no gradient. Predict under torch.no_grad(); for gradients "
                "use the network that it was made of."
            )
        if need_weights and self.reads_weights:
            raise RuntimeError(
                f"SlimAttention has {len(self.heads)} of {self.num_heads} heads, and no "
                "weights of attention of the others. Call it with need_weights=False; for "
                "weights use the network that it was made of."
            )
        if is_causal and mask is None:
            raise RuntimeError(
                "is_causal=True is a hint on attn_mask, which is None. Pass the mask: "
                "torch.nn.Transformer.generate_square_subsequent_mask makes it."
            )
        dims = {part.dim() for part in inputs}
        if dims not in ({2}, {3}):
            raise RuntimeError(
                "query, key and value must all have 3 dimensions, or 2 without a batch, got "
                f"{[part.dim() for part in inputs]}."
            )

    def extra_repr(self) -> str:
        """Sizes, and how many heads are left."""
        sizes = f"embed_dim={self.embed_dim}, num_heads={self.num_heads}"
        return f"{sizes}, left={len(self.heads)}"


def _constant(values: Tensor) -> nn.Parameter:
    """Make a parameter without gradient, in memory of its own."""
    return nn.Parameter(values.detach().clone(), requires_grad=False)


def _numbers(name: str, mask: Tensor, shapes: list[tuple[int, ...]], like: Tensor) -> Tensor:
    """Turn a mask into numbers to add: -inf where it is True."""
    if tuple(mask.shape) not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise RuntimeError(f"{name} must have shape {wanted}, got {tuple(mask.shape)}.")
    if mask.is_floating_point():
        return mask.to(like.dtype)
    if mask.dtype != torch.bool:
        raise RuntimeError(f"{name} must be of bools or floats, got {mask.dtype}.")
    zeros = torch.zeros(mask.shape, dtype=like.dtype, device=mask.device)
    return zeros.masked_fill_(mask, -torch.inf)


def adds_keys(layer: nn.MultiheadAttention) -> bool:
    """Whether a layer attends to something beside the keys that it is given.

    Parameters
    ----------
    layer : torch.nn.MultiheadAttention
        Any.

    Returns
    -------
    adds : bool
        Of `add_bias_kv` or `add_zero_attn`.
    """
    return layer.bias_k is not None or layer.bias_v is not None or layer.add_zero_attn
