"""Resources of the compiled engine that grant from a queue: who waits there, and whose turn it is.

Plain functions on flat columns, for :mod:`simpar.simulate.loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpar.simulate.heap import push
from simpar.simulate.places import (
    EVENTS,
    GRANTS,
    HORIZON,
    KEEP,
    LAST,
    MASK,
    NEXT_FREE,
    NODES,
    NOW,
    PRIORITY,
    PRIORITY_CHANNEL,
    ROWS,
    TAIL,
)

if TYPE_CHECKING:
    from simpar.simulate.columns import Columns, State


def enqueue(s: State, queue: int, ready: float, key: int) -> bool:
    """Let an instance wait in *queue*, by (ready, key), and return whether it is the first there."""
    counts = s.counts
    node = counts[NEXT_FREE]
    counts[NEXT_FREE] = s.node_next[node]
    counts[NODES] -= 1
    s.node_time[node] = ready
    s.node_key[node] = key
    tail = s.queue_tail[queue]
    head = s.queue_head[queue]
    if head < 0:
        s.node_next[node] = -1
        s.queue_head[queue] = node
        s.queue_tail[queue] = node
        return True
    if s.node_time[tail] < ready or (s.node_time[tail] == ready and s.node_key[tail] < key):
        s.node_next[node] = -1
        s.node_next[tail] = node
        s.queue_tail[queue] = node
        return False
    before = -1
    here = head
    while s.node_time[here] < ready or (s.node_time[here] == ready and s.node_key[here] < key):
        before = here
        here = s.node_next[here]
    s.node_next[node] = here
    if before < 0:
        s.queue_head[queue] = node
        return True
    s.node_next[before] = node
    return False


def dequeue(s: State, queue: int) -> int:
    """Take the first instance out of *queue* and return its node, which is free from now on."""
    counts = s.counts
    node: int = s.queue_head[queue]
    s.queue_head[queue] = s.node_next[node]
    s.node_next[node] = counts[NEXT_FREE]
    counts[NEXT_FREE] = node
    counts[NODES] += 1
    return node


def first_queue(c: Columns, s: State, resource: int) -> int:
    """Return the first queue of *resource* in which anything waits, or -1."""
    for queue in range(c.first_queue[resource], c.first_queue[resource + 1]):
        if s.queue_head[queue] >= 0:
            return queue
    return -1


def offer(c: Columns, s: State, resource: int) -> None:
    """Arrange for what waits first at *resource*, if anything, to be granted in this instant."""
    counts = s.counts
    queue = first_queue(c, s, resource)
    if queue < 0:
        return
    kind = c.serves[resource]
    if kind in (PRIORITY, PRIORITY_CHANNEL):
        if s.is_offered[resource]:
            return
        s.is_offered[resource] = 1
        key = GRANTS + resource
    else:
        key = s.node_key[s.queue_head[queue]] | 1
    counts[EVENTS] = push(s.heap_time, s.heap_key, counts[EVENTS], s.clocks[NOW], key)


def ring_add(s: State, code: int, iteration: int, time: float) -> None:
    """Let *code* be looked at next but for what is in the ring already."""
    counts = s.counts
    place = counts[TAIL] & s.limits[MASK]
    s.ring_code[place] = code
    s.ring_iteration[place] = iteration
    s.ring_time[place] = time
    counts[TAIL] += 1


def note(c: Columns, s: State, task: int, iteration: int, ready: float, begun: float, ended: float) -> None:
    """Write down an instance."""
    s.counts[ROWS] += 1
    if iteration >= s.limits[KEEP]:
        row = c.row[task] + iteration * c.row_step[task]
        s.ready[row] = ready
        s.start[row] = begun
        s.end[row] = ended


def free_channel(c: Columns, s: State, resource: int) -> None:
    """End the message that is on channel *resource*, send its tokens, and offer the channel."""
    clocks = s.clocks
    now = clocks[NOW]
    task = s.on_task[resource]
    iteration = s.on_iteration[resource]
    ended = now + c.latency[task] if c.latency[task] > 0 else now
    s.busy[resource] += now - s.on_start[resource]
    note(c, s, task, iteration, s.on_ready[resource], s.on_start[resource], ended)
    if ended > clocks[HORIZON]:
        clocks[HORIZON] = ended
    if ended > clocks[LAST]:
        clocks[LAST] = ended
    ring_add(s, c.tasks + task, iteration, ended)
    s.places[resource] += 1
    offer(c, s, resource)
