"""The flat columns that the loop of the compiled engine reads, and the state that it changes.

Lists or arrays: the same functions run on both. :mod:`simpar.simulate.layout` makes them from a program.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.simulate import places

Ints = Any
"""list[int], or int32[...] or int64[...]."""

Floats = Any
"""list[float], or float64[...]."""


class Columns(NamedTuple):
    """What of a program the loop reads. A *code* is a task; or, in steps of ``tasks``, the ends of its tokens
    from its end only, from its start only, and the reply to a sender of a batch."""

    tasks: int
    iterations: int
    batches: int
    streams: bool
    """Whether streams keep the heap small."""
    margin: int
    """Events and nodes that one step of the loop may need."""
    burst: int
    """Entries of the ring that one step may need."""

    kind: Ints
    """By task: see ``places.PLAIN``."""
    resource: Ints
    """By task, -1 for none."""
    seconds: Floats
    """By task."""
    row_of: Ints
    """By task: where its durations by iteration begin in ``all_seconds``, -1 where there are none."""
    all_seconds: Floats
    slot: Ints
    """By task: the number of its window (plain task of several tokens, join) or batch; -1 for none."""
    is_direct: Ints
    """By task."""
    stream_of: Ints
    """By task: the FIFO resource that all its tokens come from, -1 for none."""
    batch_of: Ints
    """By task: the batch that it is the update of, -1 for none."""
    queue_of: Ints
    """By task: where it waits."""
    latency: Floats
    """By task: from the last byte sent to the last byte there, on a channel."""
    tail: Floats
    """By task: from the release of its lone channel to its end; 0 on anything else."""
    overhead: Floats
    """By task: before its bytes, on a channel."""
    size: Floats
    """By task: bytes, on a channel."""
    stretch_row: Ints
    """By task: where its stretches begin in ``all_stretches``, -1 where there are none."""
    all_stretches: Floats
    row: Ints
    """By task: the row of its iteration 0."""
    row_step: Ints
    """By task: rows from one iteration to the next."""

    first_edge: Ints
    """By code."""
    last_edge: Ints
    """By code: one past its last edge."""
    source: Ints
    """By edge."""
    target: Ints
    """By edge."""
    distance: Ints
    """By edge."""
    lag: Floats
    """By edge."""
    lag_row: Ints
    """By edge: where its lags by iteration begin in ``all_lags``, -1 where there are none."""
    all_lags: Floats
    at_start: Ints
    is_only: Ints
    """By edge: see ``places.DIRECT``."""
    """By edge."""
    reply_code: Ints
    """By edge into a batch: the number of its sender among those of all batches."""

    needs: Ints
    """By window: tokens that make an instance ready, from the iteration on that waits for all."""
    come: Ints
    """By window: tokens that come at all."""
    first_lane: Ints
    """By window: where the lanes of its ring begin, -1 where it is no ring's."""
    is_loose: Ints
    """By window: whether its instances may become ready in another order than that of iterations."""

    serves: Ints
    """By resource: see ``places.FIFO``."""
    first_queue: Ints
    """By resource, and one more: where its queues begin."""
    first_place: Ints
    """By resource, and one more: where its places begin."""

    closes: Ints
    """By batch: see ``places.COUNT``."""
    fills: Ints
    """By batch: how many tokens close it, 0 for any number."""
    timeout: Floats
    """By batch."""
    update: Ints
    """By batch: its task."""
    first_update: Ints
    """By batch: where its updates begin."""
    answers_at_once: Ints
    """By batch."""
    reply_of: Ints
    """By sender of a batch: the task that gets its reply, -1 for none."""


class State(NamedTuple):
    """What changes during a run. The heap is by (time, key); nodes are entries of queues and streams."""

    counts: Ints
    """See ``places.EVENTS``."""
    clocks: Floats
    """See ``places.NOW``."""
    limits: Ints
    """See ``places.KEEP``."""
    heap_time: Any
    """Times, or of lists (time, key)."""
    heap_key: Ints
    ring_code: Ints
    ring_iteration: Ints
    ring_time: Floats
    """What is to be looked at next."""
    node_time: Floats
    node_key: Ints
    node_next: Ints

    missing: Ints
    """By window and iteration of it: tokens that have not come."""
    coming: Ints
    """By window and iteration: the same of all that come, for joins."""
    latest: Floats
    """By window and iteration: when the last one came."""
    is_fired: Ints
    """By window and iteration, where the window is loose."""
    entered: Floats
    """By lane of a ring and iteration: when it was ready."""
    fired: Ints
    """By window: iterations below this are done."""

    free: Floats
    """By resource: when it is."""
    busy: Floats
    """By resource: seconds."""
    last_ready: Floats
    last_key: Ints
    """By resource: what it looked at last."""
    place_free: Floats
    """By place: when it is."""
    places: Ints
    """By resource with a queue: places that are free."""
    is_offered: Ints
    """By resource: whether a grant by priority is due in this instant."""
    queue_head: Ints
    queue_tail: Ints
    """By queue: nodes."""
    stream_key: Ints
    """By resource: its event in the heap, -1 for none."""
    stream_first: Ints
    stream_last: Ints
    """By resource: the nodes behind it."""
    stream_end: Floats
    stream_end_key: Ints
    """By resource: the last of all."""
    on_task: Ints
    on_iteration: Ints
    on_ready: Floats
    on_start: Floats
    """By channel: its message."""

    token_code: Ints
    token_iteration: Ints
    token_next: Ints
    token_number: Ints
    """By token of a batch: its sender's code, its iteration, the next that waits, the update for it."""
    new: Ints
    new_last: Ints
    """By batch: tokens that came in this instant."""
    waiting: Ints
    waiting_last: Ints
    waiters: Ints
    """By batch: tokens that wait."""
    updates: Ints
    """By batch: how many there have been."""
    is_asked: Ints
    """By batch: whether a turn is due."""
    open_until: Floats
    drain_last: Ints
    """By batch: until when the last update takes in more, and the last that it took."""
    timed: Ints
    timer_due: Floats
    expired: Ints
    """By batch: the last that has a timer, when it runs out, the last whose timer has."""
    members: Ints
    is_short: Ints
    """By update: its first token; whether it was closed as nothing more could come."""

    arrival_join: Ints
    arrival_iteration: Ints
    arrival_sender: Ints
    arrival_time: Floats
    """By token of a join."""

    ready: Floats
    start: Floats
    end: Floats
    """By row."""


def widened(state: State, slots: int, joins: bool, needs: Any, come: Any, slot_of_lane: Any) -> State:
    """Return *state* (arrays) with windows of twice as many iterations."""
    width = int(state.limits[places.WIDTH])

    def wider(values: NDArray[Any], empty: Any, fired: NDArray[Any] = state.fired[:slots]) -> NDArray[Any]:
        windows = np.arange(len(fired))[:, None]
        inside = fired[:, None] + np.arange(width)
        found = np.repeat(np.asarray(empty)[:, None], 2 * width, axis=1).astype(values.dtype).ravel()
        old, new = windows * width, windows * (2 * width)
        found[new + (inside & (2 * width - 1))] = values[old + (inside & (width - 1))]
        return found

    state.limits[places.WIDTH] = 2 * width
    nothing = np.zeros(slots)
    return state._replace(
        missing=wider(state.missing, needs),
        coming=wider(state.coming, come) if joins else state.coming,
        latest=wider(state.latest, nothing),
        is_fired=wider(state.is_fired, nothing),
        entered=wider(state.entered, np.zeros(len(slot_of_lane)), state.fired[slot_of_lane]),
    )


def grown(state: State, margin: int, burst: int) -> State:
    """Return *state* (arrays) with twice the room in whatever is short of it: the heap, the ring, the queues.

    Args:
        margin: events and nodes that one step of the loop may need.
        burst: entries of the ring that it may need.
    """
    counts, limits = state.counts, state.limits
    if counts[places.EVENTS] + margin > limits[places.MOST_EVENTS]:
        limits[places.MOST_EVENTS] *= 2
        state = state._replace(heap_time=_longer(state.heap_time), heap_key=_longer(state.heap_key))
    ring = int(limits[places.MASK]) + 1
    if counts[places.TAIL] - counts[places.HEAD] + burst > ring:
        limits[places.MASK] = 2 * ring - 1
        inside = np.arange(counts[places.HEAD], counts[places.TAIL])

        def around(values: NDArray[Any]) -> NDArray[Any]:
            found = np.zeros(2 * ring, dtype=values.dtype)
            found[inside & (2 * ring - 1)] = values[inside & (ring - 1)]
            return found

        state = state._replace(
            ring_code=around(state.ring_code),
            ring_iteration=around(state.ring_iteration),
            ring_time=around(state.ring_time),
        )
    if counts[places.NODES] < margin:
        nodes = len(state.node_time)
        # The new nodes are free, and lead on to those that were free before.
        more = np.arange(nodes + 1, 2 * nodes + 1)
        more[-1] = counts[places.NEXT_FREE] if counts[places.NODES] else -1
        counts[places.NEXT_FREE] = nodes
        counts[places.NODES] += nodes
        state = state._replace(
            node_time=_longer(state.node_time),
            node_key=_longer(state.node_key),
            node_next=np.concatenate([state.node_next, more]),
        )
    return state


def _longer(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values, np.zeros(len(values), dtype=values.dtype)])


def as_lists(columns: Any) -> Any:
    """Return a tuple of columns with lists in the place of arrays."""
    return columns._replace(
        **{name: one.tolist() for name, one in columns._asdict().items() if isinstance(one, np.ndarray)}
    )


def as_arrays(columns: Any, like: Any) -> Any:
    """Return a tuple of columns with arrays of the types of *like* in the place of lists."""
    return columns._replace(
        **{
            name: np.array(one, dtype=getattr(like, name).dtype)
            for name, one in columns._asdict().items()
            if isinstance(one, list)
        }
    )
