"""Digests that bind a report to the networks, predictions and rows that it is about."""

import hashlib
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from scipy import sparse

LARGEST = 2**53  # whole numbers up to here are exact as floats
CHUNK = 65_536  # rows that are read at once, for arrays that are memory-maps


def network_digest(module: torch.nn.Module, masks: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of a network: names, types, shapes and values of its state, and its masks.

    Parameters
    ----------
    module : torch.nn.Module
        On any device; it is not changed.
    masks : mapping of str to torch.BoolTensor
        True = kept.

    Returns
    -------
    digest : str
        64 hexadecimal digits; the same wherever the network is loaded again.
    """
    digest = hashlib.sha256()
    for kind, tensors in (("state", module.state_dict()), ("mask", masks)):
        for name, tensor in sorted(tensors.items()):
            if isinstance(tensor, torch.Tensor):
                digest.update(f"{kind} {name} ".encode())
                for piece in _pieces(tensor):
                    digest.update(piece)
    return digest.hexdigest()


def rows_digest(*parts: Any) -> str:
    """SHA-256 of rows: features, targets, groups.

    Parameters
    ----------
    *parts : array, DataFrame, Series, sparse matrix, mapping of these, or None
        What is neither, such as a torch Dataset, counts by the name of its class alone.

    Returns
    -------
    digest : str
        64 hexadecimal digits.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.measurement.digests import rows_digest
    >>> rows_digest(np.eye(2), ["a", "b"]) == rows_digest(np.eye(2), ["a", "c"])
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            digest.update(piece)
        digest.update(b"|")
    return digest.hexdigest()


def predictions_digest(predictions: Any) -> str:
    """SHA-256 of predictions by what they say, however they are stored.

    Parameters
    ----------
    predictions : array-like of shape (n,) or (n, n_classes)
        Labels, numbers, or probabilities with columns in the sorted order of the classes; of
        two classes those of the second suffice, and are all that counts.

    Returns
    -------
    digest : str
        64 hexadecimal digits. Equal numbers have the same, be they int, float or bool; so
        have equal texts. float32 holds other numbers than float64 where it has rounded.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.measurement.digests import predictions_digest
    >>> predictions_digest([0, 1]) == predictions_digest(np.array([0.0, 1.0], dtype="f4"))
    True
    >>> predictions_digest(["0", "1"]) == predictions_digest([0, 1])
    False
    """
    values = np.asarray(predictions)
    if values.dtype.kind not in "biuf":
        values = np.asarray(predictions, dtype=object)
    if values.ndim == 2 and values.shape[1] <= 2:
        values = values[:, -1]
    digest = hashlib.sha256(f"predictions {values.shape};".encode())
    for start in range(0, len(values), CHUNK):
        texts = map(_canonical, values[start : start + CHUNK].ravel().tolist())
        digest.update("".join(texts).encode(errors="surrogatepass"))
    return digest.hexdigest()


def _canonical(value):
    """Text of a label: the same for equal numbers; that of a text tells its length."""
    if isinstance(value, numbers.Integral):
        whole = int(value)
        exact = abs(whole) <= LARGEST or (
            whole.bit_length() < 1024 and int(float(whole)) == whole
        )
        return f"{float(whole) if exact else whole!r};"
    if isinstance(value, numbers.Real):
        return f"{float(value) + 0.0!r};"  # 0.0 and -0.0 are equal
    return f"{'' if isinstance(value, str) else type(value).__name__}{len(str(value))}:{value}"


def _pieces(part: Any) -> Iterator[bytes]:
    if isinstance(part, Mapping) or (hasattr(part, "columns") and hasattr(part, "keys")):
        for name in part.keys():  # noqa: SIM118 - iterating a frame of another kind gives rows
            yield f"{name}:".encode(errors="surrogatepass")
            yield from _pieces(np.asarray(part[name]))
    elif sparse.issparse(part):
        rows = part.tocsr()
        for values in (rows.data, rows.indices, rows.indptr, np.array(rows.shape)):
            yield from _pieces(values)
    elif isinstance(part, torch.Tensor):
        yield f"{part.dtype} {tuple(part.shape)};".encode()
        yield part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    elif part is None or not (hasattr(part, "__array__") or isinstance(part, (list, tuple))):
        yield type(part).__name__.encode()
    else:
        values = np.asarray(part)
        yield f"{values.dtype.str} {values.shape};".encode()
        for start in range(0, len(values) if values.ndim else 0, CHUNK):
            chunk = values[start : start + CHUNK]
            if values.dtype.kind in "OSUV":
                texts = (f"{type(v).__name__} {v}" for v in chunk.ravel().tolist())
                yield "\x1f".join(texts).encode(errors="surrogatepass")
            else:
                yield np.ascontiguousarray(chunk).tobytes()
