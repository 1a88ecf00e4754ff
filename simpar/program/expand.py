"""Rings written out: the program in which every message is a task of its own.

That is what a ring means. Engines that know rings must give its tasks the times that this gives them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.program.graph import NODE_TASK, Program
from simpar.program.parts import Dispatch, Op, Ring

SCATTER, GATHER = "reduce_scatter", "all_gather"
"""What a message of a ring does: until each chunk is summed, and after."""


def message_name(worker: int, part: int, step: int, workers: int) -> str:
    """Return the name of the message that *worker* sends in round *step* of bucket *part*."""
    return f"w{worker}.{message_kind(step, workers)}.b{part}.s{step}"


def message_kind(step: int, workers: int) -> str:
    """Return the kind of the operation of a message in round *step*."""
    return SCATTER if step < workers - 1 else GATHER


def places(program: Program) -> NDArray[np.int64]:
    """Return, by task, its index in the expanded program: int64[T]."""
    more = np.zeros(len(program) + 1, dtype=np.int64)
    for ring in program.rings:
        more[ring.exits[0]] += ring.messages - len(ring.exits)
    return np.arange(len(program)) + np.cumsum(more[:-1])


def expanded(program: Program) -> Program:
    """Return *program* without rings; see :meth:`Program.expanded`."""
    if not program.rings:
        return program
    place = places(program)
    rings = sorted(program.rings, key=lambda ring: ring.exits[0])
    names, ops = list(program.tasks), list(program.ops)
    for ring in reversed(rings):
        first = ring.exits[0]
        made = [_op(program, ring, step, lane) for step in range(ring.rounds - 1) for lane in _lanes(ring)]
        names[first:first] = [message_name(op.worker, op.part, op.step, len(ring.exits)) for op in made]
        ops[first:first] = made
    edges, edge_place = _edges(program, place)
    columns: dict[str, Any] = {**_columns(program, rings), **edges}
    return replace(
        program,
        tasks=tuple(names),
        ops=tuple(ops),
        **columns,
        durations={int(place[task]): values for task, values in program.durations.items()},
        lags={int(edge_place[edge]): values for edge, values in program.lags.items()},
        stretch={int(place[task]): values for task, values in program.stretch.items()},
        joins={int(place[task]): k for task, k in program.joins.items()},
        batches={
            int(place[node]): replace(
                batch,
                update=int(place[batch.update]),
                senders=tuple(int(place[sender]) for sender in batch.senders),
                replies=tuple(int(place[reply]) if reply >= 0 else -1 for reply in batch.replies),
            )
            for node, batch in program.batches.items()
        },
        cancels=tuple(int(place[join]) for join in program.cancels),
        dispatches={
            int(place[node]): Dispatch(
                senders=tuple(int(place[sender]) for sender in one.senders),
                lanes=tuple(tuple(int(place[task]) for task in lane) for lane in one.lanes),
                replies=tuple(int(place[reply]) if reply >= 0 else -1 for reply in one.replies),
            )
            for node, one in program.dispatches.items()
        },
        rings=(),
        meta=_meta(program, place),
    )


def _lanes(ring: Ring) -> range:
    return range(len(ring.exits))


def _op(program: Program, ring: Ring, step: int, lane: int) -> Op:
    lanes, last = len(ring.exits), program.ops[ring.exits[lane]]
    return last._replace(kind=message_kind(step, lanes), step=step, key=(lane - step) % lanes)


def _columns(program: Program, rings: list[Ring]) -> dict[str, NDArray[Any]]:
    """Return the columns by task, with those of the messages that were not in the template."""
    columns = {}
    at = np.concatenate([np.full(ring.messages - len(ring.exits), ring.exits[0]) for ring in rings])
    for name in ("resource", "seconds", "overhead", "latency", "priority"):
        column = getattr(program, name)
        same = [np.tile(column[list(ring.exits)], ring.rounds - 1) for ring in rings]
        columns[name] = np.insert(column, at, np.concatenate(same))
    numbers, sizes = [], []
    for ring in rings:
        lanes, inner = len(ring.exits), ring.messages - len(ring.exits)
        first = int(program.message[ring.exits[0]]) - inner
        numbers.append(np.arange(first, first + inner))
        chunk = (
            np.tile(_lanes(ring), ring.rounds - 1) - np.repeat(np.arange(ring.rounds - 1), lanes)
        ) % lanes
        sizes.append(np.array(ring.chunks)[chunk])
    columns["message"] = np.insert(program.message, at, np.concatenate(numbers))
    columns["bytes"] = np.insert(program.bytes, at, np.concatenate(sizes))
    node = program.node.copy()
    for ring in rings:
        node[list(ring.exits)] = NODE_TASK
    columns["node"] = np.insert(node, at, NODE_TASK)
    return columns


def _edges(program: Program, place: NDArray[np.int64]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Return the columns by edge with those inside rings, and by edge its index among them."""
    inside: list[tuple[int, int, int, float]] = []  # (before which edge, source, target, lag)
    for ring in sorted(program.rings, key=lambda ring: (ring.edge, ring.exits[0])):
        lanes = len(ring.exits)
        first = int(place[ring.exits[0]]) - (ring.messages - lanes)
        for step in range(ring.rounds):
            for lane in range(lanes):
                message = first + step * lanes + lane
                if step:
                    chunk = (lane - step) % lanes
                    before = first + (step - 1) * lanes + (lane - 1) % lanes
                    inside.append((ring.edge, before, message, ring.after_s(step - 1, chunk)))
                if step < lanes:  # later rounds wait for their own share through the ring itself
                    inside.append((ring.edge, int(place[ring.entries[lane]]), message, 0.0))
    at = np.array([edge for edge, *_ in inside])
    found: dict[str, NDArray[Any]] = {
        "source": np.insert(place[program.source].astype(np.int32), at, [one[1] for one in inside]),
        "target": np.insert(place[program.target].astype(np.int32), at, [one[2] for one in inside]),
        "distance": np.insert(program.distance, at, 0),
        "lag": np.insert(program.lag, at, [one[3] for one in inside]),
        "at_start": np.insert(program.at_start, at, False),
    }
    more = np.searchsorted(at, np.arange(len(program.source)), side="right")
    return found, np.arange(len(program.source)) + more


def _meta(program: Program, place: NDArray[np.int64]) -> dict[str, Any]:
    """Return what is known of the program, with the tasks that it names where they are now."""
    meta = dict(program.meta)
    if "updates" in meta:
        meta["updates"] = [int(place[task]) for task in meta["updates"]]
    return meta
