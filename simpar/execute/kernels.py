"""The arithmetic of linear layers, what stands between them, and losses: forward and backward.

A kernel returns its result and what its backward needs; the backward takes the gradient of the result and
returns those of all inputs. Gradients of parameters are summed over samples. The first axis of an array
counts samples, the last features.

Convolutions are in :mod:`simpar.execute.kernels_image`, attention and what belongs to it in
:mod:`simpar.execute.kernels_sequence`. Start with :func:`linear`.
"""

from __future__ import annotations

import math

from simpar.execute.arrays import Array, Gemm, apply, gemm, namespace


def linear(
    x: Array, weight: Array, bias: Array | None, out: Array | None = None, gemm: Gemm = gemm
) -> tuple[Array, tuple[Array, Array]]:
    """Return ``x weight^T + bias`` and what :func:`linear_backward` needs.

    Args:
        x: [..., features in].
        weight: [features out, features in].
        bias: [features out], or None.
        out: [rows, features out] of all of *x*, for the result.
    """
    xp = namespace(x)
    flat = xp.reshape(x, (-1, x.shape[-1]))
    y = gemm(flat, xp.matrix_transpose(weight), out=out)
    if bias is not None:
        y = apply(xp.add, y, bias, out=y)
    return xp.reshape(y, (*x.shape[:-1], weight.shape[0])), (flat, weight)


def linear_backward(
    dy: Array,
    saved: tuple[Array, Array],
    out: tuple[Array | None, Array | None, Array | None] = (None, None, None),
    gemm: Gemm = gemm,
) -> tuple[Array, Array, Array]:
    """Return the gradients of the input, the weight and the bias, in *out* where that has arrays."""
    x, weight = saved
    xp = namespace(dy)
    flat = xp.reshape(dy, (-1, dy.shape[-1]))
    dx = gemm(flat, weight, out=out[0])
    dweight = gemm(xp.matrix_transpose(flat), x, out=out[1])
    dbias = apply(xp.sum, flat, out=out[2], axis=0)
    return xp.reshape(dx, (*dy.shape[:-1], weight.shape[1])), dweight, dbias


def relu(x: Array, out: Array | None = None) -> Array:
    """Return what is positive of *x*, else 0; what is no number stays none. *out* may be *x*."""
    return apply(namespace(x).maximum, x, 0.0, out=out)


def relu_backward(dy: Array, y: Array) -> Array:
    """Return the gradient of the input from the result *y*; at 0 it is 0."""
    return namespace(dy).where(y > 0, dy, 0.0)


_GELU = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


def gelu(x: Array, out: Array | None = None) -> tuple[Array, tuple[Array, Array]]:
    """Return the Gaussian error linear unit, as GPT-2 approximates it, and what its backward needs.

    Source: Hendrycks and Gimpel, arXiv:1606.08415: ``x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``.
    """
    xp = namespace(x)
    bent = xp.tanh(_GELU * (x + _GELU_CUBIC * (x * x * x)))
    return apply(xp.multiply, 0.5 * x, 1.0 + bent, out=out), (x, bent)


def gelu_backward(dy: Array, saved: tuple[Array, Array], out: Array | None = None) -> Array:
    """Return the gradient of the input."""
    x, bent = saved
    inner = _GELU * (1.0 + 3.0 * _GELU_CUBIC * (x * x))
    slope = 0.5 * (1.0 + bent) + 0.5 * x * (1.0 - bent * bent) * inner
    return apply(namespace(dy).multiply, dy, slope, out=out)


def softmax(x: Array, out: Array | None = None) -> Array:
    """Return positive shares that sum to 1 over the last axis; -inf gets none."""
    xp = namespace(x)
    raised = apply(xp.subtract, x, xp.max(x, axis=-1, keepdims=True), out=out)
    raised = apply(xp.exp, raised, out=out)
    return apply(xp.divide, raised, xp.sum(raised, axis=-1, keepdims=True), out=out)


def softmax_backward(dy: Array, y: Array) -> Array:
    """Return the gradient of the input from the result *y*."""
    return y * (dy - namespace(dy).sum(dy * y, axis=-1, keepdims=True))


# -- losses ------------------------------------------------------------------------------------------


def cross_entropy(x: Array, targets: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return the softmax cross entropy in nats, summed over samples, and its gradient.

    The loss of a sample with several targets, such as a sequence of tokens, is their mean.

    Args:
        x: [samples, ..., classes]; any numbers.
        targets: integers [samples, ...]: the right classes.
        out: an array like *x* for the gradient.

    Raises:
        ValueError: the shapes do not belong together.
    """
    if tuple(x.shape[:-1]) != tuple(targets.shape):
        raise ValueError(f"{tuple(targets.shape)} classes are not the targets of outputs {tuple(x.shape)}")
    xp = namespace(x)
    share = 1.0 / math.prod(targets.shape[1:])
    raised = x - xp.max(x, axis=-1, keepdims=True)
    classes = xp.arange(x.shape[-1], dtype=targets.dtype)
    right = classes == xp.expand_dims(targets, axis=-1)
    at_target = xp.sum(xp.where(right, raised, 0.0), axis=-1)
    risen = xp.exp(raised)
    total = xp.sum(risen, axis=-1, keepdims=True)
    loss = xp.sum(xp.log(xp.squeeze(total, axis=-1)) - at_target) * share
    dx = apply(xp.divide, risen, total, out=out)
    dx = apply(xp.subtract, dx, xp.astype(right, x.dtype), out=dx)
    return loss, dx if share == 1.0 else apply(xp.multiply, dx, share, out=dx)


def half_squared_error(x: Array, targets: Array, out: Array | None = None) -> tuple[Array, Array]:
    """Return ``sum((x - targets)^2) / 2`` over samples and features, and its gradient.

    Raises:
        ValueError: the shapes differ.
    """
    if tuple(x.shape) != tuple(targets.shape):
        raise ValueError(f"values {tuple(targets.shape)} are not the targets of outputs {tuple(x.shape)}")
    xp = namespace(x)
    dx = apply(xp.subtract, x, targets, out=out)
    return 0.5 * xp.sum(dx * dx), dx
