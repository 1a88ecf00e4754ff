"""Rules that cut a row of things into parts: records over devices, layers over stages.

Pure functions of numbers. Start with :func:`balanced` for equal things and :func:`stages` for
layers that cost different amounts and must stay in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from math import inf, isfinite
from typing import NamedTuple

from simpar.workload.layers import Workload


def balanced(m: int, k: int) -> list[int]:
    """Return the sizes of *k* parts of *m* things that differ by at most one, the larger ones first.

    Raises:
        ValueError: *k* is below 1 or *m* is negative.

    >>> balanced(7, 4)
    [2, 2, 2, 1]
    """
    _check(m, k)
    size, longer = divmod(m, k)
    return [size + 1] * longer + [size] * (k - longer)


def block(m: int, k: int) -> list[int]:
    """Return the sizes of *k* blocks of ``ceil(m / k)`` of *m* things; the last ones short or empty.

    Raises:
        ValueError: *k* is below 1 or *m* is negative.

    >>> block(5, 4)
    [2, 2, 1, 0]
    """
    _check(m, k)
    size = -(-m // k)
    return [max(0, min(size, m - i * size)) for i in range(k)]


def literal(m: int, k: int) -> list[int]:
    """Return the sizes of *k* slices of ``floor(m / k)`` of *m* things, then 1 for each thing that is left.

    Dealt to *k* devices in turn, each gets what :func:`balanced` gives it.

    Raises:
        ValueError: *k* is below 1 or *m* is negative.

    >>> literal(7, 4)
    [1, 1, 1, 1, 1, 1, 1]
    >>> literal(11, 4)
    [2, 2, 2, 2, 1, 1, 1]
    """
    _check(m, k)
    size, left = divmod(m, k)
    return [size] * k + [1] * left


def slices(m: int, length: int) -> list[int]:
    """Return the sizes of the slices of *length* that *m* things are cut into; the last one may be short.

    Raises:
        ValueError: *length* is below 1 or *m* is negative.

    >>> slices(7, 3)
    [3, 3, 1]
    """
    _check(m, length)
    return [min(length, m - begin) for begin in range(0, m, length)]


class Run(NamedTuple):
    """Things *first*, *first* + *step*, ...: so many of them."""

    first: int
    size: int
    step: int = 1


def shares(m: int, k: int, rule: str) -> list[int]:
    """Return how many of *m* things each of *k* devices gets under a *rule* of :data:`RULES`.

    Raises:
        ValueError: *k* is below 1 or *m* is negative, or there is no such rule.

    >>> shares(5, 4, "balanced"), shares(5, 4, "block")
    ([2, 1, 1, 1], [2, 2, 1, 0])
    """
    if rule not in RULES:
        raise ValueError(f"a rule is one of {', '.join(RULES)}, not {rule!r}")
    return block(m, k) if rule == "block" else balanced(m, k)


def share(m: int, k: int, rule: str, device: int) -> list[Run]:
    """Return which of *m* things *device*, from 0, of *k* gets under a *rule*: runs that are not empty.

    Raises:
        ValueError: as :func:`shares`.

    >>> share(7, 4, "balanced", 1), share(7, 4, "strided", 1)
    ([Run(first=2, size=2, step=1)], [Run(first=1, size=2, step=4)])
    >>> share(7, 4, "literal", 1)
    [Run(first=1, size=1, step=1), Run(first=5, size=1, step=1)]
    """
    sizes = shares(m, k, rule)
    if rule == "strided":
        found = [Run(device, sizes[device], k)]
    elif rule == "literal":
        size, left = divmod(m, k)
        found = [Run(device * size, size), Run(k * size + device, int(device < left))]
    else:
        found = [Run(sum(sizes[:device]), sizes[device])]
    return [run for run in found if run.size]


RULES = ("balanced", "block", "strided", "literal")
"""Rules that split things over devices: neighbours whose numbers differ by one at most; neighbours in equal
blocks, and a rest; every k-th; or neighbours in equal numbers, and what is left one by one."""

EXACT_UP_TO = 8000
"""Layers times stages up to which :func:`stages` looks at every way of cutting that may be best."""


@dataclass(frozen=True, slots=True)
class _Front:
    """One way to cut, with what it costs."""

    ranges: tuple[tuple[int, int], ...]
    slowest: float
    """The longest stage or transfer."""
    crossed: float
    """Sum of the transfers."""


def stages(
    costs: Sequence[float], transfers: Sequence[float], parts: int, pieces: int
) -> list[tuple[int, int]]:
    """Return *parts* contiguous ranges of layers that make the shortest pipeline.

    A pipeline of *pieces* microbatches takes about ``(sum of costs + sum of transfers) / pieces`` to fill
    and drain, and ``(pieces - 1) / pieces`` times its slowest stage or transfer in between; this is least
    for the ranges returned. Exact for that estimate, up to :data:`EXACT_UP_TO`: every pair (slowest, sum of
    transfers) that no other way of cutting beats in both is looked at; beyond, one every 4 %. Ranges are
    half-open and never empty; of equals, the one with the smaller transfers, then the earlier cuts.

    Args:
        costs: seconds of each layer, forward and backward, for the whole minibatch.
        transfers: seconds, both ways, of what crosses a cut before each layer; the first is not used.
        parts: stages.
        pieces: microbatches.

    Raises:
        ValueError: *parts* is below 1 or above the number of layers, or a cost is negative or not finite.

    >>> stages([1, 2, 3, 4], [0, 0, 0, 0], 2, pieces=4)
    [(0, 3), (3, 4)]
    >>> stages([1, 2, 3, 4], [0, 0, 0, 9], 2, pieces=4)
    [(0, 2), (2, 4)]
    """
    n = len(costs)
    if not 1 <= parts <= n:
        raise ValueError(f"cannot cut {n} layers into {parts} stages that are not empty")
    if len(transfers) != n or pieces < 1:
        raise ValueError(f"{n} layers need {n} transfers and at least one microbatch")
    if any(not isfinite(cost) or cost < 0 for cost in (*costs, *transfers)):
        raise ValueError("costs and transfers must be finite and not negative")
    before = [0.0, *accumulate(map(float, costs))]
    best, least, below = None, inf, inf
    # From the smallest transfers to the smallest slowest stage, each time demanding a faster one: by
    # anything at all, or in a model of very many layers by a few percent.
    faster = 1.0 if n * parts <= EXACT_UP_TO else 0.96
    while (found := _cheapest(before, transfers, parts, below)) is not None:
        below = found.slowest * faster
        takes = (before[-1] + found.crossed) / pieces + (pieces - 1) / pieces * found.slowest
        if takes < least:
            best, least = found, takes
    assert best is not None, "without a limit there is always a way to cut"
    return list(best.ranges)


def _cheapest(before: Sequence[float], transfers: Sequence[float], parts: int, below: float) -> _Front | None:
    """Return the cut with the smallest transfers whose stages and transfers are all faster than *below*."""
    n = len(before) - 1
    reach = [0.0] + [inf] * n  # by end: smallest transfers of the stages so far
    cut_at: list[list[int]] = []
    for _ in range(parts):
        following, chosen = [inf] * (n + 1), [-1] * (n + 1)
        window: deque[int] = deque()  # begins of a stage, their costs ascending
        for end in range(1, n + 1):
            begin = end - 1
            if reach[begin] < inf and (begin == 0 or transfers[begin] < below):
                cost = reach[begin] + (transfers[begin] if begin else 0.0)
                while window and reach[window[-1]] + (transfers[window[-1]] if window[-1] else 0.0) > cost:
                    window.pop()
                window.append(begin)
            while window and not before[end] - before[window[0]] < below:
                window.popleft()
            if window:
                first = window[0]
                following[end] = reach[first] + (transfers[first] if first else 0.0)
                chosen[end] = first
        reach = following
        cut_at.append(chosen)
    if reach[n] == inf:
        return None
    cuts = [n]
    for chosen in reversed(cut_at):
        cuts.append(chosen[cuts[-1]])
    ranges = tuple(pairwise(reversed(cuts)))
    slowest = max(
        max(before[end] - before[begin], transfers[begin] if begin else 0.0) for begin, end in ranges
    )
    return _Front(ranges, slowest, reach[n])


def crossing(workload: Workload, position: int) -> tuple[int, ...]:
    """Return the layers before *position* whose outputs a layer at or after *position* reads.

    Raises:
        ValueError: *position* is not between 0 and the number of layers.
    """
    if not 0 <= position <= len(workload.layers):
        raise ValueError(f"position {position} is not between 0 and {len(workload.layers)}")
    return tuple(
        sorted({i for layer in workload.layers[position:] for i in layer.inputs if i < position}),
    )


def cut_bytes(workload: Workload, position: int) -> float:
    """Return the bytes per sample that cross a cut before layer *position*, in the forward pass.

    An output that several layers behind the cut read is sent once. Loading the data is not counted.

    Raises:
        ValueError: *position* is not between 0 and the number of layers.
    """
    return sum(workload.layers[i].activation_bytes for i in crossing(workload, position))


def all_cuts(workload: Workload) -> list[float]:
    """Return :func:`cut_bytes` before every layer, in one pass: float by layer; the first is 0."""
    n = len(workload.layers)
    last = list(range(n))  # the last layer that reads each output
    for index, layer in enumerate(workload.layers):
        for source in layer.inputs:
            last[source] = max(last[source], index)
    begins: list[list[int]] = [
        [] for _ in range(n + 1)
    ]  # by the cut behind which an output is not yet, or no
    ends: list[list[int]] = [[] for _ in range(n + 1)]  # longer, wanted
    for source in range(n):
        if last[source] > source:
            begins[source + 1].append(source)
            ends[last[source] + 1].append(source)
    # Exact sums, so that what comes and goes again leaves nothing behind.
    crossing, found = Fraction(0), []
    for position in range(n):
        crossing += sum(Fraction(workload.layers[i].activation_bytes) for i in begins[position])
        crossing -= sum(Fraction(workload.layers[i].activation_bytes) for i in ends[position])
        found.append(float(crossing))
    return found


def _check(m: int, k: int) -> None:
    if k < 1:
        raise ValueError(f"cannot cut into {k} parts; give 1 or more")
    if m < 0:
        raise ValueError(f"cannot cut {m} things")
