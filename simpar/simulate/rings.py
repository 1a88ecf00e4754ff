"""Rings of a program as recurrences: all lanes of a round at once, round after round.

The messages of a ring go over channels of their own, so a round follows from the one before: a message is
ready when the round before has arrived, and its own share is there; it starts when its channel is free. The
arithmetic is that of a message on a lone channel, so the times are those of the expanded program to the last
bit. Where all lanes are alike, one stands for all: each would do the same additions.

Times are seconds, sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.program import SHORTEST_S, Program, Ring
from simpar.program.expand import places
from simpar.trace import Trace

Floats = NDArray[np.float64]


class LastRound(NamedTuple):
    """When the last messages of a ring are ready, start and end, by lane: float64[N]."""

    ready: Floats
    start: Floats
    end: Floats


@dataclass(slots=True)
class _Channels:
    """What channels did last, by lane."""

    free: Floats
    ready: Floats
    """When the last message was ready; -1 where there was none."""


class Rings:
    """The rings of a program under way: their channels remember when they are free."""

    def __init__(self, program: Program) -> None:
        """Begin before the first iteration."""
        self._program = program
        self._rate = np.array(program.lone_rate)
        self._channels: dict[int, _Channels] = {}
        self._takes: dict[int, list[Floats]] = {}  # by exit, and by size of a chunk
        self.of_exit = {ring.exits[0]: ring for ring in program.rings}

    def run(self, ring: Ring, entered: Floats) -> LastRound | None:
        """Send all messages of *ring* of an iteration.

        Returns None where a channel's messages of before were not all ready by then: their order is not that
        of the rings.

        Args:
            entered: when each lane's entry ended: float64[N].
        """
        on = self._program.resource[list(ring.exits)]
        if int(on[0]) not in self._channels:
            self._channels[int(on[0])] = _Channels(np.zeros(len(on)), np.full(len(on), -1.0))
        channels = self._channels[int(on[0])]
        if (entered <= channels.ready).any():
            return None
        sizes = sorted(set(ring.chunks))
        if ring.exits[0] not in self._takes:
            overhead = self._program.overhead[list(ring.exits)]
            takes = [np.maximum(SHORTEST_S, overhead + size / self._rate[on]) for size in sizes]
            self._takes[ring.exits[0]] = takes
        takes = self._takes[ring.exits[0]]
        latency = self._program.latency[list(ring.exits)]
        alike = (entered, channels.free, latency, *takes)
        if len(sizes) == 1 and all((one == one[0]).all() for one in alike):
            last = self._folded(ring, entered, channels.free, latency, takes[0])
        else:
            last = self._by_lane(ring, entered, channels.free, latency, takes, sizes)
        channels.ready = last.ready
        return last

    def busy_s(self, ring: Ring) -> Floats:
        """Return the seconds that each lane's channel serves in one iteration, after :meth:`run`: float64[N]."""
        lanes, sizes = len(ring.exits), sorted(set(ring.chunks))
        chunk = (np.arange(lanes)[:, None] - np.arange(ring.rounds % lanes)) % lanes
        table = np.array(ring.chunks)
        total = np.zeros(lanes)
        for size, takes in zip(sizes, self._takes[ring.exits[0]], strict=True):
            often = (table == size).sum() * (ring.rounds // lanes) + (table[chunk] == size).sum(axis=1)
            total += often * takes
        return total

    def _folded(
        self, ring: Ring, entered: Floats, free_s: Floats, latency_s: Floats, takes_s: Floats
    ) -> LastRound:
        """Send the messages of one lane, as all others do the same."""
        lanes = len(ring.exits)
        own, free, latency, takes = (float(one[0]) for one in (entered, free_s, latency_s, takes_s))
        ready, start, end, after = own, own, own, 0.0
        for step in range(ring.rounds):
            if step:
                ready = end + after if after else end
                if step < lanes and own > ready:
                    ready = own
            start = ready if ready > free else free
            free = start + takes
            end = free + latency
            after = ring.after_s(step, 0)
        free_s[:] = free
        return LastRound(*(np.full(lanes, one) for one in (ready, start, end)))

    def _by_lane(
        self,
        ring: Ring,
        entered: Floats,
        free: Floats,
        latency: Floats,
        takes_by_size: list[Floats],
        sizes: list[float],
    ) -> LastRound:
        """Send the messages round by round, those of all lanes at once."""
        lanes = len(ring.exits)
        table = np.array(ring.chunks)
        # Lane i sends chunk (i - step) mod N: a window that moves back over the table, written down twice.
        is_of = [np.tile(table == size, 2) for size in sizes[1:]]
        summed, copied = (np.tile(np.array(one), 2) for one in (ring.summed_s, ring.copied_s))
        has_delay = (summed.any(), copied.any())
        takes = takes_by_size[0].copy()
        came = np.zeros(lanes + 1)  # from the lane before: came[i] to lane i
        start, end = np.zeros(lanes), np.zeros(lanes)
        ready = entered
        owns_matter = True
        for step in range(ring.rounds):
            first = (-step) % lanes
            if is_of:
                takes[:] = takes_by_size[0]
                for mask, longer in zip(is_of, takes_by_size[1:], strict=True):
                    np.copyto(takes, longer, where=mask[first : first + lanes])
            if step:
                ready = came[:lanes]
                if owns_matter and step < lanes:
                    # Arrivals only get later: once all own shares were there first, they matter no more.
                    if step & (step - 1) == 0 and (ready >= entered).all():
                        owns_matter = False
                    else:
                        ready = np.maximum(ready, entered)
            np.maximum(ready, free, out=start)
            np.add(start, takes, out=free)
            if step == ring.rounds - 1:
                break
            np.add(free, latency, out=came[1:])
            is_sum = step < lanes - 1
            if has_delay[0 if is_sum else 1]:
                came[1:] += (summed if is_sum else copied)[first : first + lanes]
            came[0] = came[lanes]
        np.add(free, latency, out=end)
        return LastRound(ready.copy(), start, end)


def of_template(trace: Trace, program: Program) -> Trace:
    """Return *trace*, of the expanded *program*, with the rows of what is in the template of *program* only."""
    place = places(program)
    task_of = np.full(len(trace.program), -1, dtype=np.int64)
    task_of[place] = np.arange(len(program))
    task = task_of[trace.task]
    rows = np.flatnonzero(task >= 0)
    columns = {name: getattr(trace, name)[rows] for name in ("iteration", "resource")}
    times = {name: getattr(trace, name)[rows] for name in ("ready_s", "start_s", "end_s")}
    nodes = trace.nodes
    if nodes is not None:
        members, flushed, dropped = nodes.members.copy(), nodes.flushed.copy(), nodes.dropped.copy()
        members[:, 0], members[:, 2] = task_of[members[:, 0]], task_of[members[:, 2]]
        flushed[:, 0] = task_of[flushed[:, 0]]
        dropped[:, 0], dropped[:, 2] = task_of[dropped[:, 0]], task_of[dropped[:, 2]]
        nodes = replace(nodes, members=members, flushed=flushed, dropped=dropped)
    return replace(
        trace, program=program, task=task[rows].astype(np.int32), **columns, **times, nodes=nodes
    )
