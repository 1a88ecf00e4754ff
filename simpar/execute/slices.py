"""Cutting what is trained into slices, and joining them again: the one is the inverse of the other.

=========== ===================================== ========================================================
Way         What is cut                           Who has a slice
=========== ===================================== ========================================================
by batch    samples                               a worker of data parallelism, a microbatch
by layer    the tensors of a model                a stage of a pipeline
by outputs  the rows of a weight, and its bias    a device of tensor parallelism ("column parallel")
by inputs   the columns of a weight               a device of tensor parallelism ("row parallel")
by heads    queries, keys and values              a device of tensor parallelism
by server   runs of elements                      a parameter server
=========== ===================================== ========================================================

A weight is [features out, features in]. Papers write it the other way round, so that their columns are our
rows. How large the slices are is the caller's to say (:mod:`simpar.workload.splitting` has the rules): sizes
need not be equal, and may be 0. Slices of arrays are views where the library has them: who changes one of
them changes the whole.

Start with :func:`cut`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from simpar.execute.arrays import Array, Gemm, gemm, namespace
from simpar.execute.kernels import linear
from simpar.execute.model import Model


def cut(x: Array, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Return *x* in parts of so many entries along *axis*, in their order: samples, rows or columns.

    Raises:
        ValueError: the sizes do not add up to what there is.
    """
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise ValueError(
            f"parts of {', '.join(map(str, sizes))} do not make {x.shape[axis]} along axis {axis}"
        )
    ends = [0, *accumulate(sizes)]
    before = (slice(None),) * (axis % x.ndim)
    return [x[(*before, slice(begin, end), ...)] for begin, end in pairwise(ends)]


def join(parts: Sequence[Array], axis: int = 0) -> Array:
    """Return *parts* one after another along *axis*: the inverse of :func:`cut`."""
    return namespace(*parts).concat(list(parts), axis=axis)


# -- layers ------------------------------------------------------------------------------------------


def cut_layers(
    model: Model, tensors: Sequence[Array], stages: Sequence[tuple[int, int]]
) -> list[list[Array]]:
    """Return the *tensors* of each range of layers of *model*.

    Raises:
        ValueError: the ranges do not follow each other, or leave layers out.
    """
    ends = [0, *(last for _, last in stages)]
    if [first for first, _ in stages] != ends[:-1] or ends[-1] != len(model.layers):
        raise ValueError(f"stages {list(stages)} are not all {len(model.layers)} layers in their order")
    places = [model.first_tensor(end) for end in ends]
    return [list(tensors[begin:end]) for begin, end in pairwise(places)]


def join_layers(stages: Iterable[Sequence[Array]]) -> list[Array]:
    """Return the tensors of all stages: the inverse of :func:`cut_layers`."""
    return [tensor for stage in stages for tensor in stage]


# -- linear layers -----------------------------------------------------------------------------------


def by_outputs(weight: Array, bias: Array | None, sizes: Sequence[int]) -> list[tuple[Array, Array | None]]:
    """Return the weight and the bias of each device that makes so many of a layer's features.

    Every device reads the whole input; their outputs stand side by side.

    Source: Shoeybi et al., arXiv:1909.08053, Section 3, where this is the column parallel layer.
    """
    biases = [None] * len(sizes) if bias is None else cut(bias, sizes)
    return list(zip(cut(weight, sizes), biases, strict=True))


def by_inputs(weight: Array, bias: Array | None, sizes: Sequence[int]) -> list[tuple[Array, Array | None]]:
    """Return the weight and the bias of each device that reads so many of a layer's features.

    Their outputs are added up. The first device alone has the bias, so that it is added once.

    Source: Shoeybi et al., arXiv:1909.08053, Section 3, where this is the row parallel layer.
    """
    biases = [bias, *[None] * (len(sizes) - 1)]
    return list(zip(cut(weight, sizes, axis=1), biases, strict=True))


def linear_by_outputs(
    x: Array, devices: Sequence[tuple[Array, Array | None]], gemm: Gemm = gemm
) -> list[Array]:
    """Return what each device of :func:`by_outputs` makes of *x*: side by side they are the whole."""
    return [linear(x, weight, bias, gemm=gemm)[0] for weight, bias in devices]


def linear_by_inputs(
    xs: Sequence[Array], devices: Sequence[tuple[Array, Array | None]], gemm: Gemm = gemm
) -> list[Array]:
    """Return what each device of :func:`by_inputs` makes of its part of *x*: their sum is the whole."""
    pairs = zip(xs, devices, strict=True)
    return [linear(x, weight, bias, gemm=gemm)[0] for x, (weight, bias) in pairs]


def cut_heads(tensor: Array, heads: int, kv_heads: int, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Return what each device has of queries, keys and values that stand side by side along *axis*.

    Args:
        tensor: a weight or a bias of the layer that makes them, or what it makes.
        sizes: heads of keys on each device; the heads that they serve go with them.

    Raises:
        ValueError: the sizes do not add up to *kv_heads*.
    """
    width = tensor.shape[axis] // (heads + 2 * kv_heads)
    parts = []
    whole = cut(tensor, _of_heads(width, heads, kv_heads), axis)
    for part, each in zip(whole, (heads, kv_heads, kv_heads), strict=True):
        parts.append(cut(part, [size * each // kv_heads * width for size in sizes], axis))
    return [join(device, axis) for device in zip(*parts, strict=True)]


def join_heads(
    tensors: Sequence[Array], heads: int, kv_heads: int, sizes: Sequence[int], axis: int = 0
) -> Array:
    """Return queries, keys and values of all devices: the inverse of :func:`cut_heads`."""
    width = sum(tensor.shape[axis] for tensor in tensors) // (heads + 2 * kv_heads)
    parts = [
        cut(tensor, _of_heads(width, size * heads // kv_heads, size), axis)
        for tensor, size in zip(tensors, sizes, strict=True)
    ]
    return join([join(part, axis) for part in zip(*parts, strict=True)], axis)


def _of_heads(width: int, heads: int, kv_heads: int) -> list[int]:
    """Return the features of queries, of keys and of values."""
    return [heads * width, kv_heads * width, kv_heads * width]


# -- servers -----------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A run of elements of one tensor on one server."""

    tensor: int
    server: int
    start: int
    elements: int


def cut_servers(tensors: Sequence[Array], pieces: Iterable[Piece]) -> dict[int, Array]:
    """Return what each server holds: its pieces one after another in one row, by server.

    Raises:
        ValueError: the pieces do not cover every element once.
    """
    pieces = [Piece(*piece) for piece in pieces]
    _check(pieces, [math.prod(tensor.shape) for tensor in tensors])
    rows: dict[int, list[Array]] = {}
    for tensor, server, start, elements in pieces:
        flat = namespace(tensors[tensor]).reshape(tensors[tensor], (-1,))
        rows.setdefault(server, []).append(flat[start : start + elements])
    return {server: join(parts) for server, parts in sorted(rows.items())}


def join_servers(
    held: dict[int, Array], pieces: Iterable[Piece], shapes: Sequence[Sequence[int]]
) -> list[Array]:
    """Return new tensors of *shapes* from what servers hold: the inverse of :func:`cut_servers`.

    Raises:
        ValueError: the pieces do not cover every element once.
    """
    pieces = [Piece(*piece) for piece in pieces]
    _check(pieces, [math.prod(shape) for shape in shapes])
    runs: list[dict[int, Array]] = [{} for _ in shapes]
    place = dict.fromkeys(held, 0)
    for tensor, server, start, elements in pieces:
        runs[tensor][start] = held[server][place[server] : place[server] + elements]
        place[server] += elements
    found: list[Any] = []
    for parts, shape in zip(runs, shapes, strict=True):
        row = join([parts[start] for start in sorted(parts)])
        found.append(namespace(row).reshape(row, tuple(shape)))
    return found


def _check(pieces: Sequence[Piece], sizes: Sequence[int]) -> None:
    """Refuse pieces that leave elements out or have them twice."""
    ends = [0] * len(sizes)
    for tensor, _, start, elements in sorted(pieces, key=lambda piece: (piece.tensor, piece.start)):
        if start != ends[tensor]:
            raise ValueError(f"element {min(start, ends[tensor])} of tensor {tensor} is not on one server")
        ends[tensor] += elements
    for tensor, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        if end != size:
            raise ValueError(f"the pieces of tensor {tensor} have {end} elements, and it has {size}")
