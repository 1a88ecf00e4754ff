"""Convolution by im2col, pooling and batch normalisation, on arrays of any kind.

Images are (samples, channels, height, width). A convolution becomes one matrix product: every window is a row
of ``channels x k x k`` numbers (Chellapilla, Puri and Simard, 2006). :mod:`simpar.execute.kernels` says what
holds for all kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from array_api_compat import array_namespace

from simpar.execute.kernels import NORM_EPSILON, Array, Gemm, copied, gemm, into


def padded(x: Array, padding: int, value: float = 0.0) -> Array:
    """Return images with a frame of *padding* pixels of *value* around them."""
    if padding == 0:
        return x
    xp = array_namespace(x)
    samples, channels, height, width = x.shape
    framed = xp.full((samples, channels, height + 2 * padding, width + 2 * padding), value, dtype=x.dtype)
    framed[:, :, padding : padding + height, padding : padding + width] = x
    return framed


def _sides(x: Array, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return height and width of what a window leaves."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:])
    return height, width


def _shifts(kernel: int, stride: int, high: int, wide: int) -> Iterator[tuple[slice, slice]]:
    """Yield, for each pixel of a window, where it lies in the framed image for all windows."""
    for row in range(kernel):
        for column in range(kernel):
            down = slice(row, row + stride * (high - 1) + 1, stride)
            yield down, slice(column, column + stride * (wide - 1) + 1, stride)


def windows(x: Array, kernel: int, stride: int, padding: int, value: float = 0.0) -> Array:
    """Return all windows of images, a row each: (samples, channels, kernel^2, height, width)."""
    xp = array_namespace(x)
    framed = padded(x, padding, value)
    shifts = _shifts(kernel, stride, *_sides(x, kernel, stride, padding))
    return xp.stack([framed[:, :, down, right] for down, right in shifts], axis=2)


def from_windows(
    found: Array, shape: tuple[int, ...], kernel: int, stride: int, padding: int, out: Array | None = None
) -> Array:
    """Return images of *shape* in which every pixel is the sum of what windows hold in its place."""
    xp = array_namespace(found)
    samples, channels, height, width = shape
    total = xp.zeros((samples, channels, height + 2 * padding, width + 2 * padding), dtype=found.dtype)
    shifts = _shifts(kernel, stride, found.shape[3], found.shape[4])
    for place, (down, right) in enumerate(shifts):
        total[:, :, down, right] = total[:, :, down, right] + found[:, :, place, :, :]
    return copied(total[:, :, padding : padding + height, padding : padding + width], out)


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: int = 1,
    padding: int = 0,
    gemm: Gemm = gemm,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Return the correlation of images with *weight* (out, in, k, k), and the windows as rows.

    The product is written into *out* (samples x height x width, out) where it is given; the result is a view
    of it.
    """
    xp = array_namespace(x, weight)
    kernel = weight.shape[2]
    found = windows(x, kernel, stride, padding)
    samples, _, _, high, wide = found.shape
    rows = xp.reshape(xp.permute_dims(found, (0, 3, 4, 1, 2)), (samples * high * wide, -1))
    y = gemm(rows, xp.matrix_transpose(xp.reshape(weight, (weight.shape[0], -1))), out=out)
    if bias is not None:
        y = into(xp.add, y, bias, out=out)
    return xp.permute_dims(xp.reshape(y, (samples, high, wide, weight.shape[0])), (0, 3, 1, 2)), rows


def convolution_backward(
    shape: tuple[int, ...],
    rows: Array,
    weight: Array,
    dy: Array,
    stride: int = 1,
    padding: int = 0,
    has_bias: bool = True,
    gemm: Gemm = gemm,
    out: Sequence[Array | None] = (None, None, None),
) -> tuple[Array, Array, Array | None]:
    """Return the gradients of the images (of *shape*), weight and bias of :func:`convolution`.

    They are written into those arrays of *out* that are given, in this order.
    """
    xp = array_namespace(rows, weight, dy)
    samples, outside, high, wide = dy.shape
    _, inside, kernel, _ = weight.shape
    d = xp.reshape(xp.permute_dims(dy, (0, 2, 3, 1)), (samples * high * wide, outside))
    flat = None if out[1] is None else xp.reshape(out[1], (outside, -1))
    product = gemm(xp.matrix_transpose(d), rows, out=flat)
    dw = xp.reshape(product, weight.shape) if out[1] is None else out[1]
    found = gemm(d, xp.reshape(weight, (outside, -1)))
    found = xp.reshape(found, (samples, high, wide, inside, kernel * kernel))
    dx = from_windows(xp.permute_dims(found, (0, 3, 4, 1, 2)), shape, kernel, stride, padding, out[0])
    return dx, dw, into(xp.sum, d, axis=0, out=out[2]) if has_bias else None


def max_pool(
    x: Array, kernel: int, stride: int, padding: int = 0, out: Array | None = None
) -> tuple[Array, Array]:
    """Return the largest of each window, and which of its pixels that is, the first of equals."""
    xp = array_namespace(x)
    found = windows(x, kernel, stride, padding, -math.inf)
    return into(xp.max, found, axis=2, out=out), xp.argmax(found, axis=2)


def max_pool_backward(
    shape: tuple[int, ...],
    which: Array,
    dy: Array,
    kernel: int,
    stride: int,
    padding: int = 0,
    out: Array | None = None,
) -> Array:
    """Return the gradient of the images (of *shape*) of :func:`max_pool`."""
    xp = array_namespace(which, dy)
    places = xp.reshape(xp.arange(kernel * kernel, dtype=which.dtype), (1, 1, -1, 1, 1))
    chosen = xp.astype(which[:, :, None, :, :] == places, dy.dtype)
    return from_windows(chosen * dy[:, :, None, :, :], shape, kernel, stride, padding, out)


def average_pool(x: Array, kernel: int, stride: int, out: Array | None = None) -> Array:
    """Return the mean of each window."""
    return into(array_namespace(x).mean, windows(x, kernel, stride, 0), axis=2, out=out)


def average_pool_backward(
    shape: tuple[int, ...], dy: Array, kernel: int, stride: int, out: Array | None = None
) -> Array:
    """Return the gradient of the images (of *shape*) of :func:`average_pool`."""
    xp = array_namespace(dy)
    samples, channels, high, wide = dy.shape
    each = xp.broadcast_to(dy[:, :, None, :, :] / kernel**2, (samples, channels, kernel**2, high, wide))
    return from_windows(each, shape, kernel, stride, 0, out)


def statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and variance of each channel over samples and pixels: (channels,) each."""
    xp = array_namespace(x)
    mean = xp.mean(x, axis=(0, 2, 3))
    off = x - mean[None, :, None, None]
    return mean, xp.mean(off * off, axis=(0, 2, 3))


def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    given: tuple[Array, Array] | None = None,
    out: Array | None = None,
) -> tuple[Array, tuple[Array, Array]]:
    """Return images normalised by channel, times *weight* plus *bias*, and (normalised, 1 / deviation).

    Mean and variance are those of *x* itself. So a batch that is cut into slices is normalised by slices,
    and gives other results than the whole: training with data parallelism and batch normalisation does not
    compute what one device would. With *given* (mean, variance), of the whole batch or of the data, it does.

    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """
    xp = array_namespace(x, weight)
    mean, variance = statistics(x) if given is None else given
    scale = 1 / xp.sqrt(variance + NORM_EPSILON)
    normal = (x - mean[None, :, None, None]) * scale[None, :, None, None]
    y = into(xp.multiply, normal, weight[None, :, None, None], out=out)
    return into(xp.add, y, bias[None, :, None, None], out=out), (normal, scale)


def batch_norm_backward(
    saved: tuple[Array, Array],
    weight: Array,
    dy: Array,
    own: bool = True,
    out: Sequence[Array | None] = (None, None, None),
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, weight and bias of :func:`batch_norm`, in *out* where it has arrays.

    *own* says whether mean and variance were those of x, and so depend on it.
    """
    normal, scale = saved
    xp = array_namespace(normal, weight, dy)
    axes = (0, 2, 3)
    d = dy * weight[None, :, None, None]
    if own:
        mean = xp.mean(d, axis=axes)[None, :, None, None]
        along = normal * xp.mean(d * normal, axis=axes)[None, :, None, None]
        d = d - mean - along
    return (
        into(xp.multiply, d, scale[None, :, None, None], out=out[0]),
        into(xp.sum, dy * normal, axis=axes, out=out[1]),
        into(xp.sum, dy, axis=axes, out=out[2]),
    )
