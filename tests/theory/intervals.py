"""Confidence intervals, written for the tests alone: nothing here is simpar's own arithmetic.

A figure of a random run is judged in two ways. *Stated*: the 5th to 95th percentile of the replications, as a
row states it, must contain the formula. With 21 replications its ends are the second lowest and the
second highest; a formula that is the median of a replication lies beyond them with probability
2 x 22 / 2^21 = 2e-5. *Of the mean*: a t-interval of independent figures, which misses as often as it says; so
of many, a few may, and :func:`tolerated` says how many.
"""

import math
import statistics
from collections.abc import Sequence

SEEDS = range(20)
"""Every seed that an oracle is tried with; none of them chosen."""

CONFIDENCE = 0.99
"""Of an interval of a mean."""


def t_quantile(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t, by bisection of its distribution function.

    P(|T| < t) is a finite sum of powers of the cosine of atan(t / sqrt(freedom)): Abramowitz and Stegun,
    *Handbook of Mathematical Functions*, 26.7.3 and 26.7.4.
    """
    low, high = 0.0, 1e4
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if 0.5 + 0.5 * _inside(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _inside(t: float, freedom: int) -> float:
    """Return the probability that |T| is below *t*."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(1 + odd, freedom - 2, 2):
        term *= cosine**2 * k / (k + 1)
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))


def of_mean(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the t-interval of the mean of independent *values*."""
    half = t_quantile(0.5 + 0.5 * confidence, len(values) - 1)
    half *= statistics.stdev(values) / math.sqrt(len(values))
    middle = statistics.fmean(values)
    return middle - half, middle + half


def batches(values: Sequence[float], count: int) -> list[float]:
    """Return the means of *count* equal stretches of *values*, one after another; what is over is left out.

    Stretches much longer than the memory of a process are nearly independent.
    """
    length = len(values) // count
    return [statistics.fmean(values[i * length : (i + 1) * length]) for i in range(count)]


def tolerated(tests: int, miss: float, alarm: float = 2e-3) -> int:
    """Return how many of *tests* intervals may miss that each miss with probability *miss*.

    More than that happen to a right simulation with probability *alarm* or less.
    """
    probability = (1 - miss) ** tests
    below, misses = probability, 0
    while 1 - below > alarm:
        misses += 1
        probability *= (tests - misses + 1) / misses * miss / (1 - miss)
        below += probability
    return misses


def missed(intervals: Sequence[tuple[float, float]], wanted: float) -> int:
    """Return how many of *intervals* do not contain *wanted*."""
    return sum(not low <= wanted <= high for low, high in intervals)


def largest_of(distribution, count: int, high: float, points: int = 4000) -> float:
    """Return the expected largest of *count* independent times: the integral of 1 - F^count from 0 to *high*.

    Args:
        distribution: F, the distribution function; nearly 1 at *high*.
        points: of Simpson's rule, even.
    """
    step = high / points
    total = 0.0
    for i in range(points + 1):
        weight = 1 if i in (0, points) else 4 if i % 2 else 2
        total += weight * (1.0 - distribution(i * step) ** count)
    return total * step / 3
