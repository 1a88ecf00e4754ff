"""Slices of work, of models and of parameters: how they are cut, and joined again.

Cutting and joining are inverse to each other, to the last bit, whatever the sizes: parts differ by at most
one where a size does not divide, as the records and layers of a scenario do. Columns and rows are cut as in
Megatron-LM (Shoeybi et al., arXiv:1909.08053, section 3): the outputs of a layer cut by columns are parts of
the whole's, those of one cut by rows are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from array_api_compat import array_namespace

Array = Any


class Piece(NamedTuple):
    """A run of elements of one tensor on one server."""

    tensor: int
    server: int
    start: int
    elements: int


def bounds(size: int, parts: int) -> list[tuple[int, int]]:
    """Return where each of *parts* of *size* begins and ends.

    >>> bounds(7, 3)
    [(0, 3), (3, 5), (5, 7)]
    """
    least, longer = divmod(size, parts)
    ends = [least * part + min(part, longer) for part in range(parts + 1)]
    return list(pairwise(ends))


def cut(x: Array, parts: int, axis: int = 0) -> list[Array]:
    """Return *x* in so many parts along *axis*: a batch by samples, activations by features."""
    where = [slice(None)] * x.ndim
    found = []
    for begin, end in bounds(x.shape[axis], parts):
        where[axis] = slice(begin, end)
        found.append(x[tuple(where)])
    return found


def join(parts: Sequence[Array], axis: int = 0) -> Array:
    """Return the whole that :func:`cut` was given."""
    return array_namespace(*parts).concat(list(parts), axis=axis)


def cut_layers(layers: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    """Return layers in so many runs, whose numbers of layers differ by at most one."""
    return [layers[begin:end] for begin, end in bounds(len(layers), parts)]


def columns(weight: Array, bias: Array | None, parts: int) -> list[tuple[Array, Array | None]]:
    """Return a dense layer cut by its outputs: weight (out, in) and bias (out,) of each part.

    Each part reads all of the input and makes a part of the output.
    """
    biases = [None] * parts if bias is None else cut(bias, parts)
    return list(zip(cut(weight, parts), biases, strict=True))


def rows(weight: Array, bias: Array | None, parts: int) -> list[tuple[Array, Array | None]]:
    """Return a dense layer cut by its inputs: weight (out, in) of each part; the bias goes with the first.

    Each part reads a part of the input, and the sum of what they make is the output.
    """
    biases = [bias, *[None] * (parts - 1)]
    return list(zip(cut(weight, parts, axis=1), biases, strict=True))


def heads(x: Array, of: tuple[int, int], parts: int, axis: int = 0) -> list[Array]:
    """Return queries, keys and values that stand side by side along *axis*, cut by heads.

    Each part has some of the keys' heads, and the queries and values that go with them, side by side again:
    an attention of its own. It is a layer cut by columns whose columns are not neighbours.

    Args:
        x: weight or bias of the layer that makes them, or what it makes.
        of: heads of the queries, and of the keys and values.

    Raises:
        ValueError: the heads do not divide by those of the keys, or *axis* not by all of them.
    """
    queries, keys = of
    width, rest = divmod(x.shape[axis], queries + 2 * keys)
    if queries % keys or rest:
        raise ValueError(f"{x.shape[axis]} entries are not {queries} + 2 x {keys} heads")
    found = []
    for first, last in bounds(keys, parts):
        mine = []
        for begin, each in ((0, queries // keys), (queries, 1), (queries + keys, 1)):
            where = [slice(None)] * x.ndim
            where[axis] = slice((begin + first * each) * width, (begin + last * each) * width)
            mine.append(x[tuple(where)])
        found.append(join(mine, axis))
    return found


def from_heads(found: Sequence[Array], of: tuple[int, int], axis: int = 0) -> Array:
    """Return the whole that :func:`heads` was given."""
    queries, keys = of
    width = sum(part.shape[axis] for part in found) // (queries + 2 * keys)
    kinds: list[list[Array]] = [[], [], []]
    for part, (first, last) in zip(found, bounds(keys, len(found)), strict=True):
        begin, count = 0, (last - first) * width
        for kind, size in zip(kinds, (count * queries // keys, count, count), strict=True):
            where = [slice(None)] * part.ndim
            where[axis] = slice(begin, begin + size)
            kind.append(part[tuple(where)])
            begin += size
    return join([join(kind, axis) for kind in kinds], axis)


def summed(parts: Sequence[Array]) -> Array:
    """Return the sum of *parts*, in their order: what an all-reduce of them comes to."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def by_server(tensors: Sequence[Array], pieces: Iterable[Piece], servers: int) -> list[Array]:
    """Return, by server, all elements that it holds, as one row of numbers in the order of *pieces*.

    Raises:
        ValueError: a server holds nothing of tensors that are empty.
    """
    held: list[list[Array]] = [[] for _ in range(servers)]
    for piece in pieces:
        flat = array_namespace(tensors[piece.tensor]).reshape(tensors[piece.tensor], (-1,))
        held[piece.server].append(flat[piece.start : piece.start + piece.elements])
    empty = _nothing_like(tensors)
    return [join(parts) if parts else empty for parts in held]


def from_servers(
    held: Sequence[Array], pieces: Iterable[Piece], shapes: Sequence[tuple[int, ...]]
) -> list[Array]:
    """Return the tensors of *shapes* that :func:`by_server` cut with the same *pieces*."""
    parts: list[list[tuple[int, Array]]] = [[] for _ in shapes]
    place = [0] * len(held)
    for piece in pieces:
        begin = place[piece.server]
        place[piece.server] += piece.elements
        parts[piece.tensor].append((piece.start, held[piece.server][begin : begin + piece.elements]))
    found = []
    for shape, mine in zip(shapes, parts, strict=True):
        flat = join([part for _, part in sorted(mine, key=lambda one: one[0])])
        found.append(array_namespace(flat).reshape(flat, shape))
    return found


def _nothing_like(tensors: Sequence[Array]) -> Array:
    if not tensors:
        raise ValueError("there are no tensors to cut")
    flat = array_namespace(tensors[0]).reshape(tensors[0], (-1,))
    return flat[:0]
