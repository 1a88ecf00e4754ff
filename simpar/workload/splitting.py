"""Rules that cut a row of things into parts: records over devices, layers over stages.

Pure functions of numbers. Start with :func:`balanced` for equal things and :func:`partition` for
things that cost different amounts and must stay in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from math import isfinite, lcm

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


def partition(costs: Sequence[float], parts: int) -> list[tuple[int, int]]:
    """Return *parts* contiguous ranges of *costs* whose largest sum is as small as possible.

    Ranges are half-open and never empty. Of several best partitions it returns the one with the
    earliest first cut, then the earliest second one, and so on. Exact: sums are compared without
    rounding. Takes time proportional to the number of costs times the digits of their sum.

    Raises:
        ValueError: *parts* is below 1 or above the number of costs, or a cost is negative or not finite.

    >>> partition([1, 2, 3, 4], 2)
    [(0, 3), (3, 4)]
    """
    n = len(costs)
    if not 1 <= parts <= n:
        raise ValueError(f"cannot cut {n} costs into {parts} parts that are not empty")
    if any(not isfinite(cost) or cost < 0 for cost in costs):
        raise ValueError(f"costs must be finite and not negative: {list(costs)}")
    exact = _integers(costs)

    low, high = max(exact), sum(exact)  # the answer lies in [low, high], ends included
    while low < high:
        middle = (low + high) // 2
        if _parts_needed(exact, middle)[0] <= parts:
            high = middle
        else:
            low = middle + 1

    needed = _parts_needed(exact, low)
    cuts = [0]
    for left in range(parts - 1, 0, -1):
        cut = cuts[-1] + 1
        while needed[cut] > left:
            cut += 1
        cuts.append(cut)
    cuts.append(n)
    return list(pairwise(cuts))


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


def _check(m: int, k: int) -> None:
    if k < 1:
        raise ValueError(f"cannot cut into {k} parts; give 1 or more")
    if m < 0:
        raise ValueError(f"cannot cut {m} things")


def _integers(costs: Sequence[float]) -> list[int]:
    """Return the costs, exactly, in a unit so small that all are whole."""
    ratios = [Fraction(cost) for cost in costs]
    scale = lcm(*(ratio.denominator for ratio in ratios))
    return [ratio.numerator * (scale // ratio.denominator) for ratio in ratios]


def _parts_needed(costs: Sequence[int], limit: int) -> list[int]:
    """Return for each position how few ranges of at most *limit* hold the costs from there on."""
    n = len(costs)
    before = [0, *accumulate(costs)]
    needed = [0] * (n + 1)
    end = n
    for start in range(n - 1, -1, -1):
        while before[end] - before[start] > limit:
            end -= 1
        needed[start] = 1 + needed[end]
    return needed
