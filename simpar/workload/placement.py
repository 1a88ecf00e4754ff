"""Which parameter server holds which part of the model.

A *tensor* here is a pair ``(layer, elements)``; a :class:`Slice` is a run of elements of one tensor
on one server. Every element is placed exactly once, whatever the policy. Start with :func:`place`.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from simpar.workload.splitting import balanced

POLICIES = ("sliced", "balanced", "round_robin", "hash")
"""Policies that :func:`place` knows."""


class Slice(NamedTuple):
    """A run of elements of one tensor on one server."""

    tensor: int
    """Index of the tensor, in model order."""

    layer: int
    """Index of the layer that owns the tensor."""

    server: int
    """Server that holds it, from 0."""

    start: int
    """First element, counted within the tensor."""

    elements: int
    """Number of elements, at least 1."""


def place(
    tensors: Sequence[tuple[int, int]],
    servers: int,
    policy: str,
    slice_elements: int | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Slice, ...]:
    """Return the slices of *tensors* on *servers*, in model order.

    Args:
        tensors: ``(layer, elements)`` of every tensor, in model order.
        servers: number of servers.
        policy: ``sliced`` cuts each tensor into one part for each server; the remainders rotate from
            tensor to tensor, so that servers differ by at most one element. ``round_robin`` gives
            whole tensors in turn. ``balanced`` gives whole tensors, the largest first, to the server
            that holds least (ties: the lowest server, the earliest tensor). ``hash`` gives each whole
            tensor to the server that its name's CRC-32 says, so that all know where it is without asking.
        slice_elements: cut further, into pieces of at most so many elements that differ by at most
            one. All but ``sliced`` then place pieces instead of tensors; a piece is hashed as
            ``name.number``.
        names: of the tensors; by default their numbers.

    Raises:
        ValueError: no server, a negative tensor, an empty slice or an unknown policy.

    Source: longest processing time first, Graham, SIAM J. Appl. Math. 17(2), 1969: ``balanced`` is at
    most 4/3 - 1/(3 servers) from the best placement of the same pieces.
    """
    if servers < 1:
        raise ValueError(f"cannot place tensors on {servers} servers; give 1 or more")
    if any(elements < 0 for _, elements in tensors):
        raise ValueError("a tensor cannot have a negative number of elements")
    if slice_elements is not None and slice_elements < 1:
        raise ValueError(f"cannot cut slices of {slice_elements} elements; give 1 or more")
    if policy == "sliced":
        return _sliced(tensors, servers, slice_elements)
    if policy == "round_robin":
        pieces = _pieces(tensors, slice_elements)
        return tuple(
            Slice(tensor, tensors[tensor][0], i % servers, start, size)
            for i, (tensor, start, size) in enumerate(pieces)
        )
    if policy == "balanced":
        return _balanced(tensors, servers, slice_elements)
    if policy == "hash":
        return _hashed(tensors, servers, slice_elements, names or [str(one) for one in range(len(tensors))])
    raise ValueError(f"unknown placement {policy!r}; one of {', '.join(POLICIES)}")


def loads(slices: Iterable[Slice], servers: int) -> list[int]:
    """Return the number of elements that each of *servers* holds."""
    held = [0] * servers
    for piece in slices:
        held[piece.server] += piece.elements
    return held


def _sliced(tensors: Sequence[tuple[int, int]], servers: int, limit: int | None) -> tuple[Slice, ...]:
    """Cut each tensor over all servers; its remainder starts where the last remainder ended."""
    slices: list[Slice] = []
    first = 0
    for tensor, (layer, elements) in enumerate(tensors):
        size, longer = divmod(elements, servers)
        start = 0
        for server in range(servers):
            part = size + ((server - first) % servers < longer)
            for piece in _cut(part, limit):
                slices.append(Slice(tensor, layer, server, start, piece))
                start += piece
        first = (first + longer) % servers
    return tuple(slices)


def _balanced(tensors: Sequence[tuple[int, int]], servers: int, limit: int | None) -> tuple[Slice, ...]:
    pieces = _pieces(tensors, limit)
    least = [(0, server) for server in range(servers)]  # a heap of (elements held, server)
    home = [0] * len(pieces)
    for i in sorted(range(len(pieces)), key=lambda i: (-pieces[i][2], i)):
        held, home[i] = least[0]
        heapq.heapreplace(least, (held + pieces[i][2], home[i]))
    return tuple(
        Slice(tensor, tensors[tensor][0], server, start, size)
        for server, (tensor, start, size) in zip(home, pieces, strict=True)
    )


def _hashed(
    tensors: Sequence[tuple[int, int]], servers: int, limit: int | None, names: Sequence[str]
) -> tuple[Slice, ...]:
    slices = []
    for tensor, (layer, elements) in enumerate(tensors):
        start = 0
        for number, size in enumerate(_cut(elements, limit)):
            name = names[tensor] if limit is None else f"{names[tensor]}.{number}"
            slices.append(Slice(tensor, layer, zlib.crc32(name.encode()) % servers, start, size))
            start += size
    return tuple(slices)


def _pieces(tensors: Sequence[tuple[int, int]], limit: int | None) -> list[tuple[int, int, int]]:
    """Return ``(tensor, start, elements)`` of every piece, in model order."""
    pieces = []
    for tensor, (_, elements) in enumerate(tensors):
        start = 0
        for size in _cut(elements, limit):
            pieces.append((tensor, start, size))
            start += size
    return pieces


def _cut(elements: int, limit: int | None) -> list[int]:
    """Return the sizes of the pieces of at most *limit*; none for no elements."""
    if elements == 0:
        return []
    return [elements] if limit is None else balanced(elements, -(-elements // limit))
