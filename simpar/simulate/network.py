"""Fair sharing of links: the heads of channels transmit as one max-min fair fluid.

The one place that knows how flows share links; every engine calls it, so that their traces agree.
Rates change only in :meth:`FairNetwork.settle`, which an engine calls once an instant, after
everything else of that instant, wherever a flow has started or completed.

Rates are bytes per second, times seconds, sizes bytes. Not modelled: the ramp-up of a transport,
loss, the switch's buffers. Source of max-min by progressive filling: Bertsekas and Gallager,
*Data Networks*, section 6.5.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SNAP = 1e-12
"""Completions this close, relative to the time of the earliest, are one instant. Without it the last
digit of a sum would decide who is served first."""

REMEMBERED = 4096
"""Sets of active channels whose rates are kept: a periodic program meets the same ones again and again."""


def max_min_rates(routes: Sequence[Sequence[int]], capacity: Sequence[float]) -> list[float]:
    """Return the max-min fair rate of each flow, by progressive filling.

    All flows grow together until a link is full; its flows keep what they have; the rest grow on.

    Args:
        routes: the links that each flow crosses, as indices into *capacity*; at least one each.
        capacity: bytes per second of each link.

    >>> max_min_rates([(0,), (0, 1), (1,)], [1.0, 3.0])
    [0.5, 0.5, 2.5]
    """
    rates = [0.0] * len(routes)
    left: dict[int, float] = {}
    users: dict[int, set[int]] = {}
    for flow, route in enumerate(routes):
        for link in route:
            left[link] = capacity[link]
            users.setdefault(link, set()).add(flow)
    open_links = sorted(users)
    while open_links:
        share = min(left[link] / len(users[link]) for link in open_links)
        # Links that fill up together are closed together: one by one, rounding would tell them apart.
        full = [link for link in open_links if left[link] / len(users[link]) == share]
        for flow in sorted(set().union(*(users[link] for link in full))):
            rates[flow] = share
            for link in routes[flow]:
                left[link] = max(0.0, left[link] - share)
                users[link].discard(flow)
        open_links = [link for link in open_links if users[link]]
    return rates


class FairNetwork:
    """The flows at the heads of channels, how much each has left, and when the next one completes."""

    def __init__(self, capacity: Sequence[float], routes: Sequence[Sequence[int]]) -> None:
        """Take the links' bytes per second and, by channel, the links it crosses."""
        self._capacity = list(capacity)
        self._routes = [tuple(route) for route in routes]
        self._left: dict[int, float] = {}
        self._rate: dict[int, float] = {}
        self._started: list[tuple[int, float]] = []
        self._due: list[int] = []
        self._now = 0.0
        self._known: dict[tuple[int, ...], list[float]] = {}

    def start(self, channel: int, n_bytes: float) -> None:
        """Let the head of *channel* transmit *n_bytes* from this instant on."""
        self._started.append((channel, n_bytes))

    def settle(self, now: float) -> float:
        """Bring every flow to *now*, share the links anew, and return the seconds to the next completion.

        Returns ``inf`` when nothing transmits. The next completion is at ``now + result`` as a float
        sum, unless this is called again before. It is never at *now* itself, where rounding would have it:
        that instant's grants have been made, and who is served first would depend on the last digit.
        """
        elapsed = now - self._now
        if elapsed > 0:
            for channel, rate in self._rate.items():
                self._left[channel] = max(0.0, self._left[channel] - rate * elapsed)
        self._now = now
        for channel, n_bytes in self._started:
            self._left[channel] = n_bytes
        self._started.clear()
        if not self._left:
            self._rate, self._due = {}, []
            return math.inf
        active = tuple(sorted(self._left))
        rates = self._known.get(active)
        if rates is None:
            rates = max_min_rates([self._routes[channel] for channel in active], self._capacity)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[active] = rates
        self._rate = dict(zip(active, rates, strict=True))
        waits = [self._left[channel] / rate for channel, rate in self._rate.items()]
        soonest = min(waits)
        if now + soonest == now:
            soonest = math.nextafter(now, math.inf) - now
        latest = (now + soonest) * (1 + SNAP)
        self._due = [channel for channel, wait in zip(active, waits, strict=True) if now + wait <= latest]
        return soonest

    def complete(self) -> list[int]:
        """End the flows that are due, and return their channels in ascending order.

        To be called at the time that the last :meth:`settle` promised, and followed by another.
        """
        due = self._due
        for channel in due:
            del self._left[channel], self._rate[channel]
        self._due = []
        return due
