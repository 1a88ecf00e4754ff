"""How old the parameters were on which each gradient was computed.

*Staleness* of a gradient: the server's version just before its apply, minus the version when the
worker's own previous apply finished, per worker, server and key; a version is an update. With a window of w
iterations on their way, what counts is the worker's w-th apply before, whose reply it computed on. So over a
run, with a window of 1, the
sum of staleness, where every push is an update of its own, is exactly the number of the others' applies
between each worker's first and last. Who is answered without waiting for the update has read the version
of the moment at which the push came. Who pulls at every n-th push only has read the version of that push
whatever it has pushed since: its own updates count among those that it missed.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simpar.trace import Trace, Walk


@dataclass(frozen=True, slots=True)
class Staleness:
    """How many updates a gradient missed."""

    mean: float
    max: int
    histogram: dict[int, int]
    """Gradients by staleness, ascending."""

    @classmethod
    def of(cls, values: Sequence[int]) -> Staleness:
        """Return the figures of *values*, at least one."""
        counts = Counter(values)
        return cls(
            mean=math.fsum(values) / len(values),
            max=max(values),
            histogram={stale: counts[stale] for stale in sorted(counts)},
        )


def stale_gradients(trace: Trace, applied: NDArray[np.int64], walk: Walk) -> list[tuple[int, int, int]]:
    """Return (row of its update, worker, staleness) of every gradient that has one.

    A worker's first gradients, as many as its window, have none: they were computed on the initial
    parameters, which nobody read.

    Args:
        applied: (row of its update, worker, iteration) of each gradient.
    """
    window = int(trace.program.meta.get("window", 1))
    gradients: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, worker, iteration in applied.tolist():
        gradients[row].append((iteration, worker))
    by_key: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for row in sorted(gradients):
        op = trace.program.ops[int(trace.task[row])]
        by_key[op.server, op.key].append(row)
    found: list[tuple[int, int, int]] = []
    for rows in by_key.values():
        rows.sort(key=lambda r: (float(trace.end_s[r]), int(trace.task[r]), int(trace.iteration[r])))
        ends = [float(trace.end_s[row]) for row in rows]
        # Versions that each worker has read, by its own pushes before; the oldest is what it computed on.
        read: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=window))
        for version, row in enumerate(rows):
            early = _answered_early(trace, row, walk)
            for iteration, worker in sorted(gradients[row]):
                if len(read[worker]) == window:
                    found.append((row, worker, version - read[worker][0]))
                if trace.program.ops[int(trace.task[row])].step >= 0:
                    continue  # no pull follows this push
                at_s = early.get((iteration, worker))
                read[worker].append(version + 1 if at_s is None else min(version, bisect_right(ends, at_s)))
    return found


def _answered_early(trace: Trace, row: int, walk: Walk) -> dict[tuple[int, int], float]:
    """Return when each member that its update did not keep waiting was answered, by (iteration, worker)."""
    program = trace.program
    update, number = int(trace.task[row]), int(trace.iteration[row])
    node = program.batch_of_update.get(update)
    if node is None or trace.nodes is None or not program.batches[node].at_once:
        return {}
    members = trace.nodes.members_of[update, number]
    waiting = 0 if (update, number) in trace.nodes.short else 1
    return {
        (iteration, program.ops[sender].worker): walk.entered_s(update, sender, iteration)
        for sender, iteration in members[: len(members) - waiting]
    }
