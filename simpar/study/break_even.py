"""Where a verdict turns: the bandwidth at which another strategy is as fast, and the batch that pays.

Both are found by cutting the way between two simulations that differ in their verdict. All have the draws of
the run that is explained.
Start with :func:`break_even` or :func:`batch_for`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from simpar.errors import FitError, SimparError
from simpar.hardware import nominal_bandwidth
from simpar.result import Measured
from simpar.scenario import Strategy
from simpar.strategies import Setting, prepare
from simpar.strategies.common import alone_seconds, fastest
from simpar.strategies.variation import expected_compute
from simpar.study.advice import changed
from simpar.study.trials import Report, TooLargeError, Trials

RANGE = 100.0
"""Bandwidths up to so many times the scenario's, and down to as small a part of it, are tried."""

STRIDE = math.sqrt(10.0)
"""Factor between the bandwidths between which a change of order is looked for."""

PRECISION = 1e-3
"""Relative precision of the bandwidth."""

EQUAL = 1e-6
"""Relative difference below which two strategies are equally fast."""

EXPECTED = 12
"""Bandwidths that are tried, or a little fewer: 9 at most from end to end, and those between two of them."""

MOST_GROWTH = 1024
"""Batches up to so many times the scenario's are tried."""

SAG = 1e-3
"""Loss of efficiency at a larger batch from which on it is said not to rise with the batch."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The bandwidth at which two strategies are equally fast."""

    bandwidth_bytes_per_s: float
    """As ``network.bandwidth`` says it: before any efficiency."""
    against: str
    """The name of the other strategy, the fastest of all others there."""
    faster_above: bool
    """Whether the strategy that is explained is the faster one above it."""

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"bandwidth_bytes_per_s": self.bandwidth_bytes_per_s, "against": self.against}


@dataclass(frozen=True, slots=True)
class Batch:
    """The least batch of each worker with which a strategy is so efficient."""

    batch: int | None
    """None where there is none, for the reason in *why*."""
    monotone: bool = True
    """Whether efficiency rose with the batch everywhere it was tried."""
    why: str = ""


def break_even(
    setting: Setting, measured: Measured, progress: Report | None = None
) -> tuple[BreakEven | None, str]:
    """Return the bandwidth, nearest to the scenario's, at which the best other strategy is as fast.

    ``network.bandwidth`` is changed, and so what follows it: the servers' links where the scenario does not
    say how fast those are. Between 1/100 and 100 times the scenario's, every half power of ten is tried, from
    the scenario's own outwards. Where there is no such bandwidth, the text says why.
    """
    rate = nominal_bandwidth(setting.scenario)
    others = [one for one in setting.scenario.strategies if one.name != setting.strategy.name]
    if rate is None or not others:
        return None, "there is no network" if rate is None else "there is no other strategy"
    trials = Trials(measured, EXPECTED * (1 + len(others)), progress, short=True, share=2.0)

    def gap(factor: float, rivals: list[Strategy]) -> tuple[float, str]:
        """Return the logarithm of its time over that of the best of the others, and the name of that."""
        times: dict[str, float] = {}
        for strategy in (setting.strategy, *rivals):
            scenario, strategy = changed(
                setting.scenario, strategy, "network.bandwidth", f"{rate * factor!r} B/s"
            )
            try:
                found = trials.run(
                    prepare(scenario, strategy), f"{strategy.name} at {factor:.3g} x bandwidth"
                )
            except TooLargeError:
                raise
            except SimparError:  # this one cannot be simulated, or does not fit
                continue
            times[strategy.name] = 1.0 / found.samples_per_s
        own = times.pop(setting.strategy.name, None)
        if own is None or not times:
            raise FitError("nothing to compare with")
        best = min(times, key=lambda name: times[name])
        return math.log(own / times[best]), best

    try:
        return _crossing(rate, lambda factor: gap(factor, others))
    except TooLargeError:
        return None, "that is too much to simulate here"
    except SimparError:
        return None, "no other strategy can be simulated here"


def _crossing(rate: float, gap: Callable[[float], tuple[float, str]]) -> tuple[BreakEven | None, str]:
    """Return where *gap*, a function of a factor on the bandwidth *rate*, changes its sign nearest to 1."""
    here = (1.0, *gap(1.0))
    ends = {-1: here, 1: here}
    strides = round(math.log(RANGE) / math.log(STRIDE))
    for stride in range(1, strides + 1):
        for way in (1, -1):
            before = ends[way]
            after = (STRIDE ** (way * stride), *gap(STRIDE ** (way * stride)))
            if abs(after[1]) <= EQUAL:
                continue
            if before[1] * after[1] < 0 and abs(before[1]) > EQUAL:
                return _bisected(rate, gap, *sorted((before, after))), ""
            ends[way] = after
    if ends[-1][1] * ends[1][1] < 0:  # equal at the scenario's own, where the order changes
        return BreakEven(rate, ends[1][2], ends[1][1] < 0), ""
    most = max(ends[-1][1], ends[1][1], key=abs)
    order = "is as fast as" if abs(most) <= EQUAL else "is slower than" if most > 0 else "is faster than"
    return None, f"it {order} the best other strategy from {1 / RANGE:g} to {RANGE:g} times the bandwidth"


def _bisected(
    rate: float,
    gap: Callable[[float], tuple[float, str]],
    low: tuple[float, float, str],
    high: tuple[float, float, str],
) -> BreakEven:
    """Return the break-even between two factors at which the order differs.

    Two of three cuts are made where a straight line between the ends would be zero, the third in the middle.
    """
    (below, first, _), (above, last, against) = low, high
    faster_above = first > 0
    cuts = 0
    while above / below > 1.0 + PRECISION:
        cuts += 1
        share = 0.5 if cuts % 3 == 0 else first / (first - last)
        middle = below * (above / below) ** share
        value, name = gap(middle)
        if abs(value) <= EQUAL:
            return BreakEven(rate * middle, name, faster_above)
        if value * first > 0:
            below, first = middle, value
        else:
            above, last, against = middle, value, name
    return BreakEven(rate * math.sqrt(below * above), against, faster_above)


def batch_for(
    setting: Setting, measured: Measured, efficiency: float = 0.9, progress: Report | None = None
) -> Batch:
    """Return the least batch of each worker with which the strategy reaches *efficiency*.

    Doubled from the scenario's own up to 1024 times it, or halved down to 1, then by bisection. Measured
    times are taken to grow in proportion to the batch; efficiency is that of :class:`simpar.result.Row`.
    """
    compute = setting.scenario.variation.compute
    if compute is not None and compute.mean is not None and compute.mean.in_seconds:
        return Batch(None, why="variation.compute gives a time, which says nothing of other batches")
    own = setting.workload.batch
    trials = Trials(measured, 16, progress)
    found: dict[int, float] = {}
    too_large: set[int] = set()

    def reaches(batch: int) -> bool:
        trial = with_batch(setting, batch)
        best = fastest(trial)
        alone_s = expected_compute(trial, best, alone_seconds(trial, best, batch))
        try:
            run = trials.run(trial, f"batch {batch}")
        except FitError:  # so are all above it
            too_large.add(batch)
            return True
        found[batch] = run.samples_per_s * alone_s / batch / run.workers
        return found[batch] >= efficiency * (1 - 1e-9)

    try:
        low, high = _around(own, reaches, found)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if _or_not(reaches, middle) else (middle, high)
        if high in too_large:
            return Batch(None, _is_monotone(found), "larger batches do not fit in memory")
        return Batch(high, _is_monotone(found))
    except TooLargeError:
        why = "it is too much to simulate here"
    except _NeverError as never:
        why = str(never)
    except SimparError as error:
        why = error.problems[0].message
    return Batch(None, _is_monotone(found), why)


class _NeverError(Exception):
    """No batch that is tried is enough."""


def _around(own: int, reaches: Callable[[int], bool], found: dict[int, float]) -> tuple[int, int]:
    """Return a batch that is too small, or 0, and a larger one that is enough."""
    if reaches(own):
        low, high = own, own
        while low > 0:
            low, high = low // 2, low
            if low and not _or_not(reaches, low):
                break
        return low, high
    high = own
    while high < own * MOST_GROWTH:
        low, high = high, 2 * high
        if reaches(high):
            return low, high
    raise _NeverError(f"it is {100 * found[high]:.1f} % even at a batch of {high:,}".replace(",", " "))


def _or_not(reaches: Callable[[int], bool], batch: int) -> bool:
    """Return whether *batch* is enough; one so small that it cannot be cut up is not."""
    try:
        return reaches(batch)
    except TooLargeError:
        raise
    except SimparError:
        return False


def _is_monotone(found: dict[int, float]) -> bool:
    values = [found[batch] for batch in sorted(found)]
    return all(after >= before - SAG for before, after in itertools.pairwise(values))


def with_batch(setting: Setting, batch: int) -> Setting:
    """Return *setting* with another batch on each worker; what was measured stays that of the old one."""
    device = setting.cluster.device
    if device.measured_batch is None:
        device = replace(device, measured_batch=setting.workload.batch)
    cluster = replace(setting.cluster, device=device)
    return replace(setting, workload=replace(setting.workload, batch=batch), cluster=cluster, _times={})
