"""Arithmetic of neural networks, forward and backward, on arrays of any kind.

Functions take arrays of NumPy, CuPy or any other array-API namespace, and compute in that namespace: one
code path. Matrix products go through :func:`gemm`, or whatever the caller gives in its place. Where a
function takes *out*, it writes its result there: in place where the namespace can, else by copying. Such an
array lies in one piece.

A forward function returns its result and what its backward function needs. Gradients of parameters are
**summed** over samples, never averaged, so that those of parts of a batch add up to those of the whole.

Shapes: ``(..., features)`` for dense layers, ``(samples, tokens, features)`` for attention. Convolutions are
in :mod:`simpar.execute.convolution`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import array_namespace, is_cupy_namespace, is_numpy_namespace

Array = Any
"""An array of NumPy, CuPy or another array-API namespace."""

Gemm = Callable[..., Array]
"""A matrix product: ``gemm(a, b, out=None)`` for a (..., m, k) and b (..., k, n)."""

NORM_EPSILON = 1e-5
"""What is added to a variance before its root is taken; PyTorch's default."""


def gemm(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return the products of matrices *a* (..., m, k) and *b* (..., k, n), into *out* where it is given."""
    return into(array_namespace(a, b).matmul, a, b, out=out)


def into(function: Callable[..., Array], *arguments: Array, out: Array | None, **how: Any) -> Array:
    """Return *function* of *arguments*, written into *out* where it is given."""
    if out is None:
        return function(*arguments, **how)
    xp = array_namespace(out)
    if is_numpy_namespace(xp) or is_cupy_namespace(xp):
        return function(*arguments, out=out, **how)
    out[...] = function(*arguments, **how)
    return out


def copied(values: Array, out: Array | None) -> Array:
    """Return *values*, as a copy in *out* where it is given."""
    if out is None:
        return values
    out[...] = values
    return out


# -- dense layers ----------------------------------------------------------------------------------------


def linear(x: Array, weight: Array, bias: Array | None, gemm: Gemm = gemm, out: Array | None = None) -> Array:
    """Return ``x weight^T + bias``: x (..., in), weight (out, in), bias (out,) or None."""
    xp = array_namespace(x, weight)
    rows = xp.reshape(x, (-1, x.shape[-1]))
    flat = None if out is None else xp.reshape(out, (-1, weight.shape[0]))
    y = gemm(rows, xp.matrix_transpose(weight), out=flat)
    if bias is not None:
        y = into(xp.add, y, bias, out=flat)
    return xp.reshape(y, (*x.shape[:-1], weight.shape[0])) if out is None else out


def linear_backward(
    x: Array,
    weight: Array,
    dy: Array,
    has_bias: bool = True,
    gemm: Gemm = gemm,
    out: Sequence[Array | None] = (None, None, None),
) -> tuple[Array, Array, Array | None]:
    """Return the gradients of x (..., in), weight (out, in) and bias (out,), given that of the result.

    They are written into those arrays of *out* that are given, in this order.
    """
    xp = array_namespace(x, weight, dy)
    rows, d = xp.reshape(x, (-1, x.shape[-1])), xp.reshape(dy, (-1, dy.shape[-1]))
    flat = None if out[0] is None else xp.reshape(out[0], rows.shape)
    dx = gemm(d, weight, out=flat)
    dx = xp.reshape(dx, x.shape) if out[0] is None else out[0]
    dw = gemm(xp.matrix_transpose(d), rows, out=out[1])
    return dx, dw, into(xp.sum, d, axis=0, out=out[2]) if has_bias else None


def relu(x: Array, out: Array | None = None) -> Array:
    """Return x where it is above 0, else 0."""
    xp = array_namespace(x)
    return into(xp.maximum, x, xp.zeros((), dtype=x.dtype), out=out)


def relu_backward(y: Array, dy: Array, out: Array | None = None) -> Array:
    """Return the gradient of the input, given the result *y* and its gradient, which *out* may be."""
    xp = array_namespace(y, dy)
    return copied(xp.where(y > 0, dy, xp.zeros_like(dy)), out)


def gelu(x: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return ``x Phi(x)`` by its approximation with tanh, and that tanh.

    Source: Hendrycks and Gimpel, arXiv:1606.08415; the form that GPT-2 uses.
    """
    xp = array_namespace(x)
    tanh = xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return into(xp.multiply, 0.5 * x, 1 + tanh, out=out), tanh


def gelu_backward(x: Array, tanh: Array, dy: Array, out: Array | None = None) -> Array:
    """Return the gradient of the input of :func:`gelu`."""
    inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    slope = 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * inner
    return into(array_namespace(dy).multiply, dy, slope, out=out)


# -- normalisation, embedding ----------------------------------------------------------------------------


def layer_norm(
    x: Array, weight: Array, bias: Array | None, out: Array | None = None
) -> tuple[Array, tuple[Array, Array]]:
    """Return x normalised over its last axis, times *weight* plus *bias*, and (normalised, 1 / deviation).

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """
    xp = array_namespace(x, weight)
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    scale = 1 / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + NORM_EPSILON)
    normal = centred * scale
    y = into(xp.multiply, normal, weight, out=out)
    return (y if bias is None else into(xp.add, y, bias, out=out)), (normal, scale)


def layer_norm_backward(
    saved: tuple[Array, Array],
    weight: Array,
    dy: Array,
    has_bias: bool = True,
    out: Sequence[Array | None] = (None, None, None),
) -> tuple[Array, Array, Array | None]:
    """Return the gradients of x, weight and bias of :func:`layer_norm`, in *out* where it has arrays."""
    normal, scale = saved
    xp = array_namespace(normal, weight, dy)
    d = dy * weight
    mean = xp.mean(d, axis=-1, keepdims=True)
    along = normal * xp.mean(d * normal, axis=-1, keepdims=True)
    axes = tuple(range(dy.ndim - 1))
    return (
        into(xp.multiply, scale, d - mean - along, out=out[0]),
        into(xp.sum, dy * normal, axis=axes, out=out[1]),
        into(xp.sum, dy, axis=axes, out=out[2]) if has_bias else None,
    )


def embedding(tokens: Array, table: Array, out: Array | None = None) -> Array:
    """Return the rows of *table* (rows, features) that *tokens* (any shape, integers) name."""
    xp = array_namespace(tokens, table)
    shape = (*tokens.shape, table.shape[-1])
    flat = None if out is None else xp.reshape(out, (-1, shape[-1]))
    found = into(xp.take, table, xp.reshape(tokens, (-1,)), axis=0, out=flat)
    return xp.reshape(found, shape) if out is None else out


def embedding_backward(
    tokens: Array, rows: int, dy: Array, gemm: Gemm = gemm, out: Array | None = None
) -> Array:
    """Return the gradient of a table of *rows* rows: what each row was used for, added up.

    As a product with the tokens one-hot, so that the order of additions is fixed and every namespace can.
    """
    xp = array_namespace(tokens, dy)
    flat = xp.reshape(tokens, (-1, 1))
    hot = xp.astype(flat == xp.arange(rows, dtype=tokens.dtype), dy.dtype)
    return gemm(xp.matrix_transpose(hot), xp.reshape(dy, (-1, dy.shape[-1])), out=out)


# -- attention -------------------------------------------------------------------------------------------


def softmax(x: Array, out: Array | None = None) -> Array:
    """Return the softmax over the last axis, shifted so that nothing overflows."""
    xp = array_namespace(x)
    e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return into(xp.divide, e, xp.sum(e, axis=-1, keepdims=True), out=out)


def attention(
    qkv: Array, heads: int, kv_heads: int, causal: bool, gemm: Gemm = gemm, out: Array | None = None
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """Return what tokens gather from each other, (samples, tokens, heads x d), and (q, k, v, shares).

    Args:
        qkv: queries of *heads* heads, then keys, then values of *kv_heads*, of d features each:
            (samples, tokens, (heads + 2 kv_heads) d).
        causal: whether tokens see only those before them and themselves.

    Source: Vaswani et al., arXiv:1706.03762, section 3.2; with fewer heads of keys, Ainslie et al.,
    arXiv:2305.13245.
    """
    xp = array_namespace(qkv)
    samples, tokens, features = qkv.shape
    width = features // (heads + 2 * kv_heads)
    group = heads // kv_heads
    parts = xp.permute_dims(xp.reshape(qkv, (samples, tokens, heads + 2 * kv_heads, width)), (0, 2, 1, 3))
    q = xp.reshape(parts[:, :heads, :, :], (samples, kv_heads, group, tokens, width))
    k = parts[:, heads : heads + kv_heads, :, :][:, :, None, :, :]
    v = parts[:, heads + kv_heads :, :, :][:, :, None, :, :]
    scores = gemm(q, xp.matrix_transpose(k)) / math.sqrt(width)
    if causal:
        place = xp.arange(tokens)
        seen = place[:, None] >= place[None, :]
        scores = xp.where(seen, scores, xp.full_like(scores, -math.inf))
    shares = softmax(scores)
    gathered = xp.reshape(gemm(shares, v), (samples, heads, tokens, width))
    y = xp.reshape(xp.permute_dims(gathered, (0, 2, 1, 3)), (samples, tokens, heads * width))
    return copied(y, out), (q, k, v, shares)


def attention_backward(
    saved: tuple[Array, Array, Array, Array], dy: Array, gemm: Gemm = gemm, out: Array | None = None
) -> Array:
    """Return the gradient of *qkv* of :func:`attention`."""
    q, k, v, shares = saved
    xp = array_namespace(q, dy)
    samples, kv_heads, group, tokens, width = q.shape
    heads = kv_heads * group
    d = xp.permute_dims(xp.reshape(dy, (samples, tokens, heads, width)), (0, 2, 1, 3))
    d = xp.reshape(d, q.shape)
    dv = xp.sum(gemm(xp.matrix_transpose(shares), d), axis=2)
    ds = gemm(d, xp.matrix_transpose(v))
    ds = shares * (ds - xp.sum(ds * shares, axis=-1, keepdims=True)) / math.sqrt(width)
    dq = xp.reshape(gemm(ds, k), (samples, heads, tokens, width))
    dk = xp.sum(gemm(xp.matrix_transpose(ds), q), axis=2)
    parts = xp.permute_dims(xp.concat([dq, dk, dv], axis=1), (0, 2, 1, 3))
    return copied(xp.reshape(parts, (samples, tokens, (heads + 2 * kv_heads) * width)), out)


# -- losses ----------------------------------------------------------------------------------------------


def cross_entropy(scores: Array, targets: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return ``-log softmax(scores)[target]`` summed over samples, and the gradient of *scores*.

    The gradient is written into *out* where it is given.

    Of a sample that is several tokens, the mean of theirs counts: so the same learning rate suits sequences
    of any length.

    Args:
        scores: (samples, classes) or (samples, tokens, classes).
        targets: the class of each, integers (samples,) or (samples, tokens).
    """
    xp = array_namespace(scores)
    classes = scores.shape[-1]
    shifted = scores - xp.max(scores, axis=-1, keepdims=True)
    logs = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    wanted = xp.asarray(targets, device=getattr(scores, "device", None))[..., None]
    hot = xp.astype(wanted == xp.arange(classes, dtype=wanted.dtype), scores.dtype)
    tokens = math.prod(scores.shape[1:-1])
    each = xp.asarray(float(tokens), dtype=scores.dtype, device=getattr(scores, "device", None))
    return -xp.sum(logs * hot) / tokens, into(xp.divide, xp.exp(logs) - hot, each, out=out)


def squared_error(y: Array, targets: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return half the squared distance to *targets*, summed over everything, and the gradient of *y*."""
    xp = array_namespace(y)
    off = into(xp.subtract, y, targets, out=out)
    return 0.5 * xp.sum(off * off), off
