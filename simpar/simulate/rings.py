"""The rings of a program under way, and traces of rings that were written out.

:mod:`simpar.program.rounds` says how the messages of a ring follow from each other.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simpar.program import Program, Ring
from simpar.program.expand import places
from simpar.program.rounds import Floats, LastRound, Rounds
from simpar.trace import Trace


class Rings:
    """The rings of a program under way: their channels remember when they are free."""

    def __init__(self, program: Program) -> None:
        """Begin before the first iteration."""
        self._program = program
        self._last: dict[int, LastRound] = {}  # by the channel of lane 0
        self.rounds = {ring.exits[0]: Rounds(program, ring) for ring in program.rings}
        """By the first exit."""

    def run(self, ring: Ring, entered: Floats) -> LastRound | None:
        """Send all messages of *ring* of an iteration.

        Returns None where a channel does not serve in the order of rings and rounds; then nothing more may be
        sent.

        Args:
            entered: when each lane's entry ended: float64[N].
        """
        channel = int(self._program.resource[ring.exits[0]])
        before = self._last.get(channel)
        if before is not None and (entered <= before.ready).any():
            return None
        free = np.zeros(len(ring.exits)) if before is None else before.free
        last = self.rounds[ring.exits[0]].sent(entered, free)
        if last is not None:
            self._last[channel] = last
        return last


def of_template(trace: Trace, program: Program) -> Trace:
    """Return *trace*, of the expanded *program*, with the rows of what is in its template only."""
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
    return replace(trace, program=program, task=task[rows].astype(np.int32), **columns, **times, nodes=nodes)
