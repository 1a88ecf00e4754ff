"""The arithmetic of transformers: look-ups, layer norm, attention; forward and backward.

As in :mod:`simpar.execute.kernels`: a kernel returns its result and what its backward needs. One sample is a
sequence of tokens, [tokens, features].
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import device

from simpar.execute.arrays import Array, Gemm, apply, gemm, namespace
from simpar.execute.kernels import softmax, softmax_backward

EPSILON = 1e-5
"""Added to a variance before its root is taken, as frameworks do."""

ROWS_AT_ONCE = 1024
"""Rows of a table whose gradient is computed at once."""


def embedding(tokens: Array, table: Array, positions: Array, out: Array | None = None) -> Array:
    """Return the row of *table* for each token, and of *positions* for its place, added up.

    Args:
        tokens: integers [samples, tokens].
        table: [vocabulary, features].
        positions: [longest sequence, features].
        out: [samples, tokens, features] for the result.
    """
    xp = namespace(table)
    rows = xp.take(table, xp.reshape(tokens, (-1,)), axis=0)
    rows = xp.reshape(rows, (*tokens.shape, table.shape[-1]))
    return apply(xp.add, rows, positions[: tokens.shape[1], :], out=out)


def embedding_backward(
    dy: Array,
    tokens: Array,
    rows: tuple[int, int],
    out: tuple[Array | None, Array | None] = (None, None),
) -> tuple[Array, Array]:
    """Return the gradients of both tables, which have so many *rows*.

    What falls on the same row is added up by a product with ones and zeros: always in the same order, as
    atomic additions on a GPU are not. It does not go through the hook for products, as a look-up does not.
    """
    xp = namespace(dy)
    features = dy.shape[-1]
    flat = xp.reshape(dy, (-1, features))
    wanted = xp.reshape(tokens, (1, -1))
    table, places = out
    table = xp.zeros((rows[0], features), dtype=dy.dtype, device=device(dy)) if table is None else table
    for begin in range(0, rows[0], ROWS_AT_ONCE):
        end = min(begin + ROWS_AT_ONCE, rows[0])
        numbers = xp.arange(begin, end, dtype=tokens.dtype, device=device(dy))
        hits = xp.astype(xp.expand_dims(numbers, axis=1) == wanted, dy.dtype)
        table[begin:end, :] = xp.matmul(hits, flat)
    places = xp.empty((rows[1], features), dtype=dy.dtype, device=device(dy)) if places is None else places
    places[: dy.shape[1], :] = xp.sum(dy, axis=0)
    places[dy.shape[1] :, :] = 0.0
    return table, places


def layer_norm(x: Array, weight: Array, bias: Array, out: Array | None = None) -> tuple[Array, Any]:
    """Return *x* with mean 0 and variance 1 over its features, times *weight*, plus *bias*.

    Source: Ba et al., arXiv:1607.06450.
    """
    xp = namespace(x)
    normal = x - xp.mean(x, axis=-1, keepdims=True)
    rate = 1.0 / xp.sqrt(xp.mean(normal * normal, axis=-1, keepdims=True) + EPSILON)
    normal = apply(xp.multiply, normal, rate, out=normal)
    y = apply(xp.multiply, normal, weight, out=out)
    return apply(xp.add, y, bias, out=y), (normal, rate, weight)


def layer_norm_backward(dy: Array, saved: Any, out: Array | None = None) -> tuple[Array, Array, Array]:
    """Return the gradients of the input, the weight and the bias."""
    normal, rate, weight = saved
    xp = namespace(dy)
    others = tuple(range(dy.ndim - 1))
    slope = dy * weight
    inner = slope - xp.mean(slope, axis=-1, keepdims=True)
    inner = inner - normal * xp.mean(slope * normal, axis=-1, keepdims=True)
    dx = apply(xp.multiply, inner, rate, out=out)
    return dx, xp.sum(dy * normal, axis=others), xp.sum(dy, axis=others)


def attention(
    qkv: Array, heads: int, kv_heads: int, causal: bool, out: Array | None = None, gemm: Gemm = gemm
) -> tuple[Array, Any]:
    """Return ``softmax(q k^T / sqrt(d)) v`` for each head, side by side: [samples, tokens, heads d].

    Args:
        qkv: [samples, tokens, (heads + 2 kv_heads) d]: the queries of all heads, then the keys, then the
            values. A key and its value serve *heads* / *kv_heads* heads, one after another.
        causal: whether a token sees none behind it.
        out: [samples, kv_heads, heads / kv_heads * tokens, d] for the result by heads.

    Source: Vaswani et al., arXiv:1706.03762; of fewer keys Ainslie et al., arXiv:2305.13245.
    """
    xp = namespace(qkv)
    samples, tokens, features = qkv.shape
    width = features // (heads + 2 * kv_heads)
    ends = heads * width, (heads + kv_heads) * width
    # The heads of a key are further rows of its queries, so that no key has to be repeated.
    q = _by_head(xp, qkv[..., : ends[0]], heads, (samples, kv_heads, -1, width))
    k = _by_head(xp, qkv[..., ends[0] : ends[1]], kv_heads)
    v = _by_head(xp, qkv[..., ends[1] :], kv_heads)
    scores = gemm(q, xp.matrix_transpose(k))
    scores = apply(xp.multiply, scores, 1.0 / math.sqrt(width), out=scores)
    if causal:
        places = xp.arange(tokens, device=device(qkv))
        seen = xp.expand_dims(places, axis=1) >= xp.expand_dims(places, axis=0)
        scores = xp.where(xp.concat([seen] * (heads // kv_heads)), scores, -math.inf)
    shares = softmax(scores, out=scores)
    mixed = gemm(shares, v, out=out)
    y = _side_by_side(xp, xp.reshape(mixed, (samples, heads, tokens, width)))
    return y, (q, k, v, shares, heads)


def attention_backward(dy: Array, saved: Any, out: Array | None = None, gemm: Gemm = gemm) -> Array:
    """Return the gradient of the queries, keys and values, side by side as they came."""
    q, k, v, shares, heads = saved
    xp = namespace(dy)
    samples, tokens, features = dy.shape
    dmixed = _by_head(xp, dy, heads, q.shape)
    dv = gemm(xp.matrix_transpose(shares), dmixed)
    dscores = softmax_backward(gemm(dmixed, xp.matrix_transpose(v)), shares)
    dscores = apply(xp.multiply, dscores, 1.0 / math.sqrt(q.shape[-1]), out=dscores)
    dq = xp.reshape(gemm(dscores, k), (samples, heads, tokens, features // heads))
    dk = gemm(xp.matrix_transpose(dscores), q)
    return apply(xp.concat, [_side_by_side(xp, one) for one in (dq, dk, dv)], out=out, axis=-1)


def _by_head(xp: Any, x: Array, heads: int, shape: tuple[int, ...] | None = None) -> Array:
    """Return [samples, tokens, heads d] as [samples, heads, tokens, d], or that in another *shape*."""
    samples, tokens, features = x.shape
    apart = xp.permute_dims(xp.reshape(x, (samples, tokens, heads, features // heads)), (0, 2, 1, 3))
    return apart if shape is None else xp.reshape(apart, shape)


def _side_by_side(xp: Any, x: Array) -> Array:
    """Return [samples, heads, tokens, d] as [samples, tokens, heads d]."""
    samples, heads, tokens, width = x.shape
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3)), (samples, tokens, heads * width))
