"""The arithmetic of nets that see: convolution, pooling, batch norm; forward and backward.

As in :mod:`simpar.execute.kernels`: a kernel returns its result and what its backward needs. Images are
[samples, channels, height, width]. A window that slides over them is a loop over its few places, each of them
one slice of the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from array_api_compat import device

from simpar.execute.arrays import Array, Gemm, apply, gemm, namespace
from simpar.execute.kernels_sequence import EPSILON


class Window(NamedTuple):
    """A window that slides over an image."""

    height: int
    width: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    """Rows above and below, columns on both sides."""

    def stops(self, height: int, width: int) -> tuple[int, int]:
        """Return how many places it has down and across an image."""
        (above, beside), stride = self.padding, self.stride
        down = (height + 2 * above - self.height) // stride + 1
        return down, (width + 2 * beside - self.width) // stride + 1

    def places(self, down: int, across: int) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
        """Yield each row and column of the window with what it sees of a padded image from all its places."""
        step = self.stride
        for row in range(self.height):
            for column in range(self.width):
                rows = slice(row, row + step * (down - 1) + 1, step)
                columns = slice(column, column + step * (across - 1) + 1, step)
                yield row, column, (slice(None), slice(None), rows, columns)


def _padded(x: Array, window: Window, value: float) -> Array:
    """Return *x* with *value* around it."""
    above, beside = window.padding
    if not above and not beside:
        return x
    samples, channels, height, width = x.shape
    shape = samples, channels, height + 2 * above, width + 2 * beside
    wide = namespace(x).full(shape, value, dtype=x.dtype, device=device(x))
    wide[:, :, above : above + height, beside : beside + width] = x
    return wide


def _empty_padded(dy: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Return zeros like an image of *shape* with its padding."""
    samples, channels, height, width = shape
    above, beside = window.padding
    wide = samples, channels, height + 2 * above, width + 2 * beside
    return namespace(dy).zeros(wide, dtype=dy.dtype, device=device(dy))


def _inside(wide: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Return a padded image without its padding."""
    above, beside = window.padding
    return wide[:, :, above : above + shape[2], beside : beside + shape[3]]


def convolution(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    out: tuple[Array | None, Array | None] = (None, None),
    gemm: Gemm = gemm,
) -> tuple[Array, Any]:
    """Return each window of *x* times each filter: [samples, channels out, height, width].

    All windows are written out as rows of one matrix (im2col), which is multiplied by the filters.

    Args:
        x: [samples, channels in, height, width].
        weight: [channels out, channels in, rows, columns]: the filters.
        bias: [channels out], or None.
        stride: how far the window goes on, both ways.
        padding: zeros above and below, and on both sides.
        out: arrays for the windows, [samples, height, width, channels in, rows, columns], and for the
            products, [samples height width, channels out].

    Source: Chellapilla et al., 2006. A convolution in the sense of neural networks: nothing is flipped.
    """
    xp = namespace(x)
    window = Window(weight.shape[2], weight.shape[3], stride, padding)
    samples, (down, across) = x.shape[0], window.stops(*x.shape[2:])
    wide = _padded(x, window, 0.0)
    columns = out[0]
    if columns is None:
        shape = samples, down, across, *weight.shape[1:]
        columns = xp.empty(shape, dtype=x.dtype, device=device(x))
    for row, column, seen in window.places(down, across):
        columns[:, :, :, :, row, column] = xp.permute_dims(wide[seen], (0, 2, 3, 1))
    flat = xp.reshape(columns, (samples * down * across, -1))
    filters = xp.reshape(weight, (weight.shape[0], -1))
    y = gemm(flat, xp.matrix_transpose(filters), out=out[1])
    if bias is not None:
        y = apply(xp.add, y, bias, out=y)
    y = xp.permute_dims(xp.reshape(y, (samples, down, across, weight.shape[0])), (0, 3, 1, 2))
    return y, (flat, weight, x.shape, window)


def convolution_backward(dy: Array, saved: Any, gemm: Gemm = gemm) -> tuple[Array, Array, Array]:
    """Return the gradients of the input, the filters and the bias."""
    flat, weight, shape, window = saved
    xp = namespace(dy)
    samples, channels, down, across = dy.shape
    slope = xp.reshape(xp.permute_dims(dy, (0, 2, 3, 1)), (samples * down * across, channels))
    filters = xp.reshape(weight, (channels, -1))
    dweight = xp.reshape(gemm(xp.matrix_transpose(slope), flat), weight.shape)
    columns = xp.reshape(gemm(slope, filters), (samples, down, across, *weight.shape[1:]))
    wide = _empty_padded(dy, shape, window)
    for row, column, seen in window.places(down, across):
        wide[seen] = wide[seen] + xp.permute_dims(columns[:, :, :, :, row, column], (0, 3, 1, 2))
    return _inside(wide, shape, window), dweight, xp.sum(slope, axis=0)


def max_pool(x: Array, window: Window) -> tuple[Array, Any]:
    """Return the largest value of each window; its gradient goes to the first of equals."""
    xp = namespace(x)
    wide = _padded(x, window, -math.inf)
    y = chosen = None
    for number, (_, _, seen) in enumerate(window.places(*window.stops(*x.shape[2:]))):
        values = wide[seen]
        if y is None:
            y, chosen = values, xp.zeros(values.shape, dtype=xp.int32, device=device(x))
        else:
            chosen = xp.where(values > y, number, chosen)
            y = xp.maximum(y, values)
    return y, (chosen, x.shape, window)


def max_pool_backward(dy: Array, saved: Any) -> Array:
    """Return the gradient of the input."""
    chosen, shape, window = saved
    xp = namespace(dy)
    wide = _empty_padded(dy, shape, window)
    for number, (_, _, seen) in enumerate(window.places(*dy.shape[2:])):
        wide[seen] = wide[seen] + xp.where(chosen == number, dy, 0.0)
    return _inside(wide, shape, window)


def average_pool(x: Array, window: Window) -> tuple[Array, Any]:
    """Return the mean of each window; padding counts as zeros."""
    wide, y = _padded(x, window, 0.0), None
    for _, _, seen in window.places(*window.stops(*x.shape[2:])):
        y = wide[seen] if y is None else y + wide[seen]
    assert y is not None, "a window sees at least one place"
    return y / (window.height * window.width), (x.shape, window)


def average_pool_backward(dy: Array, saved: Any) -> Array:
    """Return the gradient of the input."""
    shape, window = saved
    share = dy / (window.height * window.width)
    wide = _empty_padded(dy, shape, window)
    for _, _, seen in window.places(*dy.shape[2:]):
        wide[seen] = wide[seen] + share
    return _inside(wide, shape, window)


def statistics(x: Array) -> tuple[Array, Array]:
    """Return the mean and the variance of each channel over samples and places: both [channels]."""
    xp = namespace(x)
    others = _others(x)
    mean = xp.mean(x, axis=others)
    off = x - _along(xp, mean, x)
    return mean, xp.mean(off * off, axis=others)


def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    given: tuple[Array, Array] | None = None,
    out: Array | None = None,
) -> tuple[Array, Any]:
    """Return each channel of *x* with mean 0 and variance 1, times *weight*, plus *bias*.

    Mean and variance are those of the samples that are there: of a slice, where a batch is cut into slices.
    So batch norm by slices is not that of the whole batch, and what is learned depends on how it is cut.
    With the statistics of the whole batch *given* (see :func:`statistics`) the outputs are those of the
    whole; the gradients then take them for constants, and still are not those of the whole. There are no
    running means: a test is normalised by its own statistics.

    Args:
        x: [samples, channels, ...].
        weight: [channels].
        bias: [channels].
        given: means and variances to use, each [channels], instead of those of *x*.
        out: an array like *x* for the result.

    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """
    xp = namespace(x)
    mean, variance = statistics(x) if given is None else given
    rate = _along(xp, 1.0 / xp.sqrt(variance + EPSILON), x)
    normal = (x - _along(xp, mean, x)) * rate
    y = apply(xp.multiply, normal, _along(xp, weight, x), out=out)
    y = apply(xp.add, y, _along(xp, bias, x), out=y)
    return y, (normal, rate, weight, given is not None)


def batch_norm_backward(dy: Array, saved: Any, out: Array | None = None) -> tuple[Array, Array, Array]:
    """Return the gradients of the input, the weight and the bias."""
    normal, rate, weight, constant = saved
    xp = namespace(dy)
    others = _others(dy)
    dweight, dbias = xp.sum(dy * normal, axis=others), xp.sum(dy, axis=others)
    slope = dy * _along(xp, weight, dy)
    if not constant:
        slope = (
            slope
            - xp.mean(slope, axis=others, keepdims=True)
            - normal * xp.mean(slope * normal, axis=others, keepdims=True)
        )
    return apply(xp.multiply, slope, rate, out=out), dweight, dbias


def _others(x: Array) -> tuple[int, ...]:
    """Return all axes but that of the channels."""
    return (0, *range(2, x.ndim))


def _along(xp: Any, values: Array, x: Array) -> Array:
    """Return one value a channel, so that it meets *x*."""
    return xp.reshape(values, (1, -1, *(1,) * (x.ndim - 2)))
