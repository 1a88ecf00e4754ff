"""The messages of a ring as a recurrence: all lanes of a round at once, round after round.

They go over channels of their own, so a round follows from the one before: a message is ready when that of
the round before has arrived, and its own share is there; it starts when its channel is free. The arithmetic
is that of a message on a lone channel, so the times are those of the expanded program to the last bit. Where
all lanes are alike, one stands for all: each would do the same additions.

Times are seconds, sizes bytes; arrays are float64[N], by lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.program.graph import SHORTEST_S, Program
from simpar.program.parts import Ring

Floats = NDArray[np.float64]
Lanes = NDArray[np.int64]


class LastRound(NamedTuple):
    """When the last messages of a ring are ready, start and end, and when their channels are free."""

    ready: Floats
    start: Floats
    free: Floats
    end: Floats


class Origins(NamedTuple):
    """What the ends of the last messages waited for."""

    lane: Lanes
    """The lane whose entry the way to each end begins at."""
    late_s: Floats
    """Seconds of latency, and of what is done with chunks that have arrived, on that way."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """One ring of a program, ready to be sent."""

    program: Program
    ring: Ring

    @cached_property
    def lanes(self) -> int:
        """How many there are."""
        return len(self.ring.exits)

    @cached_property
    def latency_s(self) -> Floats:
        """From the last byte of a message to its end."""
        latency: Floats = self.program.latency[list(self.ring.exits)]
        return latency

    @cached_property
    def sizes(self) -> list[float]:
        """Bytes that chunks have, each once."""
        return sorted(set(self.ring.chunks))

    @cached_property
    def takes_s(self) -> list[Floats]:
        """By size, how long a message of it occupies its channel."""
        exits = list(self.ring.exits)
        rate = np.array(self.program.lone_rate)[self.program.resource[exits]]
        overhead = self.program.overhead[exits]
        return [np.maximum(SHORTEST_S, overhead + size / rate) for size in self.sizes]

    @cached_property
    def busy_s(self) -> Floats:
        """How long each channel serves in one iteration."""
        table = np.array(self.ring.chunks)
        each = [
            self.ring.by_lane((table == size).astype(np.float64)) * takes
            for size, takes in zip(self.sizes, self.takes_s, strict=True)
        ]
        busy: Floats = np.sum(each, axis=0)
        return busy

    def sent(self, entered: Floats, free: Floats) -> LastRound | None:
        """Send all messages.

        Returns None where a chunk is through before the one that came to its lane before it, as less is done
        with it: then a channel does not serve in the order of rounds.

        Args:
            entered: when each lane has its own share.
            free: when each channel is.
        """
        if self._are_alike(entered, free):
            times = self._one_for_all(float(entered[0]), float(free[0]))
            return LastRound(*(np.full(self.lanes, one) for one in times))
        sent = self._by_lane(entered, free.copy(), traced=False)
        return None if sent is None else sent[0]

    def origins(self, entered: Floats, free: Floats) -> Origins:
        """Return what the ends of the last messages waited for, with the arguments of :meth:`sent`."""
        if self._are_alike(entered, free) and free[0] <= entered[0]:  # then no message finds its channel busy
            steps = range(self.ring.rounds - 1)
            late = sum(float(self.latency_s[0]) + self.ring.after_s(step, 0) for step in steps)
            lane = (np.arange(self.lanes) - (self.ring.rounds - 1)) % self.lanes
            return Origins(lane, np.full(self.lanes, late))
        sent = self._by_lane(entered, free.copy(), traced=True)
        assert sent is not None, "it was sent in this order"
        return sent[1]

    # -- how -------------------------------------------------------------------------------------

    def _are_alike(self, entered: Floats, free: Floats) -> bool:
        columns = (entered, free, self.latency_s, *self.takes_s)
        return len(self.sizes) == 1 and all(bool((one == one[0]).all()) for one in columns)

    def _one_for_all(self, own: float, free: float) -> tuple[float, float, float, float]:
        """Send the messages of one lane, as all others do the same."""
        ring, lanes = self.ring, self.lanes
        latency, takes = float(self.latency_s[0]), float(self.takes_s[0][0])
        ready = start = end = own
        after = 0.0
        for step in range(ring.rounds):
            if step:
                ready = end + after if after else end
                if step < lanes and own > ready:
                    ready = own
            start = ready if ready > free else free
            free = start + takes
            end = free + latency
            after = ring.after_s(step, 0)
        return ready, start, free, end

    def _by_lane(self, entered: Floats, free: Floats, traced: bool) -> tuple[LastRound, Origins] | None:
        """Send the messages round by round, those of all lanes at once."""
        ring, lanes = self.ring, self.lanes
        table = np.array(ring.chunks)
        # Lane i sends chunk (i - step) mod N: a window that moves back over the table, written down twice.
        is_of = [np.tile(table == size, 2) for size in self.sizes[1:]]
        after = [np.tile(np.array(one), 2) for one in (ring.summed_s, ring.copied_s)]
        delays = [bool(one.any()) for one in after]
        # With chunks of one size, what is done with them changes once, when all sums are there.
        watched = range(0) if not any(delays) else range(1, ring.rounds) if is_of else range(lanes, lanes + 1)
        takes = self.takes_s[0].copy()
        came = np.zeros(lanes + 1)  # from the lane before: came[i] to lane i
        start, end = np.zeros(lanes), np.zeros(lanes)
        ready, last_ready, owns_matter = entered, entered, True
        origin, late = np.arange(lanes), np.zeros(lanes)
        for step in range(ring.rounds):
            first = (-step) % lanes
            if is_of:
                takes[:] = self.takes_s[0]
                for mask, longer in zip(is_of, self.takes_s[1:], strict=True):
                    np.copyto(takes, longer, where=mask[first : first + lanes])
            if step:
                ready = came[:lanes]
                if owns_matter and step < lanes:
                    # Arrivals only get later: once all own shares were there first, they matter no more.
                    if step & (step - 1) == 0 and (ready >= entered).all():
                        owns_matter = False
                    else:
                        ready = np.maximum(ready, entered)
            if step in watched and (ready < last_ready).any():
                return None
            if watched:
                last_ready = ready.copy()
            if traced and step:
                origin, late = self._way(step, entered, came, ready, free, origin, late)
            np.maximum(ready, free, out=start)
            np.add(start, takes, out=free)
            if step == ring.rounds - 1:
                break
            np.add(free, self.latency_s, out=came[1:])
            phase = int(step >= lanes - 1)
            if delays[phase]:
                came[1:] += after[phase][first : first + lanes]
            came[0] = came[lanes]
        np.add(free, self.latency_s, out=end)
        return LastRound(ready.copy(), start, free, end), Origins(origin, late)

    def _way(
        self,
        step: int,
        entered: Floats,
        came: Floats,
        ready: Floats,
        free: Floats,
        origin: Lanes,
        late: Floats,
    ) -> tuple[Lanes, Floats]:
        """Return where the ways to the messages of round *step* begin, from those of the round before."""
        ring, lanes = self.ring, self.lanes
        chunk = (np.arange(lanes) - step) % lanes  # what each is about to send has just arrived
        delay = np.array(ring.summed_s if step - 1 < lanes - 1 else ring.copied_s)[chunk]
        before = (np.arange(lanes) - 1) % lanes
        own = (came[:lanes] < entered) if step < lanes else np.zeros(lanes, dtype=np.bool_)
        began = np.where(own, np.arange(lanes), origin[before])
        later = np.where(own, 0.0, late[before] + self.latency_s[before] + delay)
        waits = free > ready  # for its own message before
        return np.where(waits, origin, began), np.where(waits, late, later)
