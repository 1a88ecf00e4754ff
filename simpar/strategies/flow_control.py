"""How much a worker has in the network at once: pushes that wait for its credit.

A push goes when what is on its way, and itself, are no more than so many bytes; one that is larger than the
credit goes alone. A push is on its way until its sender knows that it has arrived.

Source: Peng et al., A Generic Communication Scheduler for Distributed DNN Training Acceleration
(ByteScheduler), SOSP 2019, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simpar.program import ProgramBuilder


@dataclass(frozen=True, slots=True)
class Sent:
    """One push of a worker."""

    first: int
    last: int
    """Its tasks."""
    bytes: float
    known_s: float
    """Seconds from its arrival until its sender knows."""


def hold_back(builder: ProgramBuilder, sent: Sequence[Sent], credit: float, window: int) -> bool:
    """Let each push of an iteration wait for those that must be through by then; say whether any does.

    Args:
        sent: one worker's pushes, in their order.
        credit: bytes.
        window: iterations of the worker that may be on their way at once.
    """
    count, sizes = len(sent), [one.bytes for one in sent]
    through = [last_through(sizes, k, credit, window) for k in range(count)]
    held = False
    for k, last in enumerate(through):
        # What the push before has waited for is through anyway.
        known = through[k - 1] - (0 if k else count)
        for turns, place in (divmod(j, count) for j in range(known + 1, last + 1)):
            if -turns < window:
                before = sent[place]
                builder.edge(before.last, sent[k].first, distance=-turns, lag=before.known_s)
                held = True
    return held


def last_through(sizes: Sequence[float], k: int, credit: float, window: int) -> int:
    """Return the last push that must be through before push *k* may go; below 0 in iterations before.

    >>> [last_through([1.0, 1.0, 1.0, 1.0], k, credit=2.0, window=1) for k in range(4)]
    [-2, -1, 0, 1]
    """
    left, before = credit - sizes[k], k - 1
    while before > k - window * len(sizes) and sizes[before % len(sizes)] <= left:
        left -= sizes[before % len(sizes)]
        before -= 1
    return before
