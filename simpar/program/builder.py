"""Write a program down, task after task.

Knows how a message becomes tasks under either way of sharing a network; knows nothing of training.
Sizes are bytes, times seconds, rates bytes per second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simpar.errors import ProgramError
from simpar.program.check_rings import are_alone
from simpar.program.expand import message_kind, message_name
from simpar.program.graph import (
    NODE_BATCH,
    NODE_DISPATCH,
    NODE_JOIN,
    NODE_RING,
    NODE_TASK,
    SHORTEST_S,
    Program,
)
from simpar.program.parts import Batch, Dispatch, Link, Op, Resource, Ring

MOST_TASKS = 1_000_000
"""Tasks in a template beyond which it would fill a laptop's memory before anything ran."""


class ProgramBuilder:
    """Write a program down, task after task; :meth:`build` turns it into columns.

    Tasks must be added in an order that follows the edges of distance 0: the index of a task is its
    rank. ``sharing`` decides what a message becomes: one task on a channel (``fair``), or one task
    a link with cut-through between them (``fifo``).
    """

    def __init__(self, name: str, iterations: int, sharing: str = "fair") -> None:
        if sharing not in ("fair", "fifo"):
            raise ValueError(f"sharing is fair or fifo, not {sharing!r}")
        self.name, self.iterations, self.sharing = name, iterations, sharing
        self._links: list[Link] = []
        self._link_of: dict[str, int] = {}
        self._resources: list[Resource] = []
        self._resource_of: dict[str, int] = {}
        self._names: list[str] = []
        self._ops: list[Op] = []
        # Rows of figures one behind the other: quicker, and less for Python to keep track of, than tuples.
        self._figures: list[float] = []
        self._edges: list[float] = []
        self._durations: dict[int, NDArray[np.float64]] = {}
        self._joins: dict[int, int] = {}
        self._batches: dict[int, Batch] = {}
        self._cancels: list[int] = []
        self._dispatches: dict[int, Dispatch] = {}
        self._rings: list[Ring] = []
        self._messages = 0
        self._tail_lag: dict[int, float] = {}

    # -- resources -----------------------------------------------------------------------------

    def resource(
        self,
        name: str,
        kind: str,
        *,
        capacity: int = 1,
        discipline: str = "fifo",
        route: tuple[int, ...] = (),
    ) -> int:
        """Return the index of the resource called *name*, made on its first mention."""
        index = self._resource_of.get(name)
        if index is None:
            index = self._resource_of[name] = len(self._resources)
            self._resources.append(Resource(name, kind, capacity, discipline, route))
        return index

    def link(self, name: str, bytes_per_s: float) -> int:
        """Return the index of the link called *name*, made on its first mention."""
        index = self._link_of.get(name)
        if index is None:
            index = self._link_of[name] = len(self._links)
            self._links.append(Link(name, bytes_per_s))
        return index

    def _channel(self, name: str, links: Sequence[tuple[str, float]], discipline: str = "fifo") -> int:
        """Return the index of the channel called *name*, made on its first mention, and its links with it."""
        known = self._resource_of.get(name)
        if known is not None:
            return known
        route = tuple([self.link(*link) for link in links])
        return self.resource(name, "channel", route=route, discipline=discipline)

    # -- tasks ---------------------------------------------------------------------------------

    def _row(
        self,
        name: str,
        op: Op,
        resource: int,
        seconds: float = 0.0,
        n_bytes: float = 0.0,
        overhead: float = 0.0,
        latency: float = 0.0,
        message: int = -1,
        priority: int = 0,
    ) -> int:
        names = self._names
        if len(names) >= MOST_TASKS:
            raise ProgramError(f"{self.name} has more than {MOST_TASKS:,} tasks in one iteration")
        names.append(name)
        self._ops.append(op)
        self._figures += (resource, seconds, n_bytes, overhead, latency, message, priority)
        return len(names) - 1

    def _wait(self, task: int, after: Sequence[int]) -> None:
        """Let *task* wait for the ends of *after*, of this iteration."""
        tail_lag = self._tail_lag
        for before in after:
            self._edges += (before, task, 0, tail_lag.get(before, 0.0), False)

    def task(
        self,
        name: str,
        op: Op,
        resource: int = -1,
        seconds: float | Sequence[float] = 0.0,
        after: Sequence[int] = (),
        priority: int = 0,
        lag: float = 0.0,
    ) -> int:
        """Add a task after the tasks *after* and return its index; what waits for its end waits *lag* more.

        A task of zero seconds is given no resource; one that occupies a resource takes at least 1 ps.
        *seconds* may be a sequence, one figure an iteration; those that are drawn at random must be at
        least 1 ps.
        """
        if isinstance(seconds, (int, float)):
            if seconds > 0 and resource >= 0:
                seconds = max(seconds, SHORTEST_S)
            index = self._row(name, op, resource if seconds > 0 else -1, float(seconds), priority=priority)
        else:
            index = self._row(name, op, resource, float(seconds[0]), priority=priority)
            self._durations[index] = np.asarray(seconds, dtype=np.float64)
        if lag:
            self._tail_lag[index] = lag
        self._wait(index, after)
        return index

    def gather(self, name: str, after: Sequence[int], op: Op | None = None) -> int:
        """Add a task that takes no time and no resource: it waits for all of *after*."""
        return self.task(name, op or Op("gather"), after=after)

    def join(
        self, name: str, after: Sequence[int], k: int, op: Op | None = None, *, cancels: bool = False
    ) -> int:
        """Add a task without time that waits, in each iteration, for the first *k* of *after* only.

        With *cancels*, what leads to the others stops then.
        """
        index = self.gather(name, after, op)
        self._joins[index] = k
        if cancels:
            self._cancels.append(index)
        return index

    def batch(
        self,
        name: str,
        after: Sequence[int],
        mode: str = "count",
        *,
        count: int = 1,
        timeout_s: float = 0.0,
        window: int = 1,
        at_once: bool = False,
    ) -> int:
        """Add a node that gathers the ends of *after*; say with :meth:`answer` what a batch sets off.

        See :class:`Batch` for what the arguments mean.
        """
        index = self.gather(name, after, Op("batch"))
        senders = tuple(sorted(after))
        nobody = tuple(-1 for _ in senders)
        self._batches[index] = Batch(mode, -1, senders, nobody, count, timeout_s, window, at_once)
        return index

    def answer(self, batch: int, update: int, replies: Mapping[int, int] | None = None) -> None:
        """Let every batch gathered by *batch* run *update* and then, by sender, release *replies*."""
        made = self._batches[batch]
        by_sender = tuple((replies or {}).get(sender, -1) for sender in made.senders)
        self._batches[batch] = replace(made, update=update, replies=by_sender)

    def dispatch(self, name: str, after: Sequence[int]) -> int:
        """Add a node that hands out a slice at each end of *after*; say with :meth:`lanes` to whom."""
        index = self.gather(name, after, Op("dispatch"))
        senders = tuple(sorted(after))
        self._dispatches[index] = Dispatch(senders, (), tuple(-1 for _ in senders))
        return index

    def lanes(self, node: int, lanes: Sequence[Sequence[int]], replies: Mapping[int, int]) -> None:
        """Let *node* hand out to *lanes*, each the tasks of one device; when a slice is through, reply."""
        senders = self._dispatches[node].senders
        by_sender = tuple(replies.get(sender, -1) for sender in senders)
        self._dispatches[node] = Dispatch(senders, tuple(map(tuple, lanes)), by_sender)

    def message(
        self,
        name: str,
        op: Op,
        source: str,
        target: str,
        links: Sequence[tuple[str, float]],
        n_bytes: float,
        *,
        latency: float,
        overhead: float = 0.0,
        stream: int = 0,
        after: Sequence[int] = (),
        priority: int | None = None,
        after_s: float = 0.0,
    ) -> tuple[int, int]:
        """Add a message of *n_bytes* from *source* to *target* over *links*, and return (first, last) task.

        What the message waits for goes before *first*; what waits for the message goes after *last*.

        A message without bytes and overhead, or without links, is empty: it takes its latency.

        Args:
            links: (name, bytes per second) of each link on the way, in order.
            latency: seconds over the whole path.
            overhead: seconds on its channel before the bytes.
            stream: messages of one (source, target, stream) go first in, first out.
            priority: where one is given, the lowest goes first; all on its channel or links need one.
            after_s: seconds from its end until what waits for it may go on.
        """
        discipline, place = ("fifo", 0) if priority is None else ("priority", priority)
        number, self._messages = self._messages, self._messages + 1
        if not links or (n_bytes <= 0 and overhead <= 0):
            empty = self._row(name, op, -1, message=number, latency=latency)
            self._tail_lag[empty] = latency + after_s
            self._wait(empty, after)
            return empty, empty
        if self.sharing == "fair":
            channel = f"{source}>{target}" + (f"#{stream}" if stream else "")
            resource = self._channel(channel, links, discipline)
            only = self._row(name, op, resource, 0.0, n_bytes, overhead, latency, number, place)
            if after_s:
                self._tail_lag[only] = after_s
            self._wait(only, after)
            return only, only
        first = last = -1
        offsets = _cut_through([n_bytes / rate for _, rate in links])
        for hop, (link_name, rate) in enumerate(links):
            link = self.link(link_name, rate)
            resource = self.resource(link_name, "link", route=(link,), discipline=discipline)
            bytes_s = n_bytes / rate
            seconds = max(SHORTEST_S, bytes_s + (overhead if hop == 0 else 0.0))
            hop_name = f"{name}@{link_name}"
            here = self._row(hop_name, op, resource, seconds, n_bytes, 0.0, latency, number, place)
            if hop == 0:
                first = here
                self._wait(here, after)
            else:
                wait = latency + overhead if hop == 1 else 0.0
                behind = wait + (offsets[hop] - offsets[hop - 1])
                if priority is not None:
                    behind = max(behind, SHORTEST_S)  # a start reaches nothing at once by priority
                self.edge(last, here, lag=behind, at_start=True)
            last = here
        if len(links) == 1 or after_s:
            self._tail_lag[last] = after_s + (latency if len(links) == 1 else 0.0)
        return first, last

    def ring(
        self,
        part: int,
        entries: Sequence[int],
        ways: Sequence[tuple[Sequence[tuple[str, float]], float, float]],
        chunks: Sequence[float],
        *,
        summed_s: Sequence[float],
        copied_s: Sequence[float],
    ) -> list[int]:
        """Add the messages of a ring all-reduce among workers 0, 1, ... and return the last of each.

        They are written out where they turn out to share a link with others. The network must be shared
        fairly.

        Args:
            part: the bucket.
            entries: by worker, what it waits for.
            ways: by worker, the links to the next one as (name, bytes per second), latency and overhead.
            chunks: bytes of each, above 0; worker w sends chunk w first.
            summed_s: by chunk, seconds from its arrival until it is summed.
            copied_s: by chunk, seconds from the arrival of a sum until it is stored.
        """
        if self.sharing != "fair":
            raise ValueError("a ring goes over channels: sharing is fair")
        workers = len(entries)
        rounds = 2 * (workers - 1)
        edge, first = len(self._edges) // len(_EDGE), len(self._names)
        self._messages += (rounds - 1) * workers
        for worker, (links, latency, overhead) in enumerate(ways):
            to, step = (worker + 1) % workers, rounds - 1
            chunk = (worker - step) % workers
            op = Op(message_kind(step, workers), worker=worker, peer=to, part=part, step=step, key=chunk)
            channel = self._channel(f"w{worker}>w{to}", links)
            name = message_name(worker, part, step, workers)
            here = self._row(name, op, channel, 0.0, chunks[chunk], overhead, latency, self._messages)
            self._messages += 1
            if copied_s[chunk]:
                self._tail_lag[here] = copied_s[chunk]
        exits = list(range(first, first + workers))
        sent, summed, copied = (tuple(float(one) for one in table) for table in (chunks, summed_s, copied_s))
        self._rings.append(Ring(tuple(entries), tuple(exits), sent, rounds, summed, copied, edge))
        return exits

    def edge(
        self, before: int, after: int, *, distance: int = 0, lag: float = 0.0, at_start: bool = False
    ) -> None:
        """Let *after* wait for *before* of *distance* iterations ago, and *lag* seconds more."""
        if not at_start:
            lag += self._tail_lag.get(before, 0.0)
        self._edges += (before, after, distance, lag, at_start)

    def build(self, meta: Mapping[str, Any] | None = None) -> Program:
        """Return the program.

        Raises:
            ProgramError: rings share links with others, and are too many messages to write out.
        """
        program = self._build(meta)
        if not program.rings or are_alone(program):
            return program
        if len(program) + program.folded > MOST_TASKS:
            raise ProgramError(f"{self.name} has more than {MOST_TASKS:,} tasks in one iteration")
        return program.expanded()

    def _build(self, meta: Mapping[str, Any] | None) -> Program:
        node = np.full(len(self._names), NODE_TASK, dtype=np.int8)
        node[list(self._joins)] = NODE_JOIN
        node[list(self._batches)] = NODE_BATCH
        node[list(self._dispatches)] = NODE_DISPATCH
        for ring in self._rings:
            node[list(ring.exits)] = NODE_RING
        return Program(
            name=self.name,
            iterations=self.iterations,
            links=tuple(self._links),
            resources=tuple(self._resources),
            tasks=tuple(self._names),
            ops=tuple(self._ops),
            node=node,
            **_columns(self._figures, _TASK),
            **_columns(self._edges, _EDGE),
            durations=self._durations,
            joins=self._joins,
            batches=self._batches,
            cancels=tuple(self._cancels),
            dispatches=self._dispatches,
            rings=tuple(self._rings),
            meta=dict(meta or {}),
        )


_TASK: dict[str, DTypeLike] = {
    "resource": np.int32,
    "seconds": np.float64,
    "bytes": np.float64,
    "overhead": np.float64,
    "latency": np.float64,
    "message": np.int32,
    "priority": np.int32,
}
"""Figures of a task, in the order in which they are noted."""

_EDGE: dict[str, DTypeLike] = {
    "source": np.int32,
    "target": np.int32,
    "distance": np.int32,
    "lag": np.float64,
    "at_start": np.bool_,
}
"""Figures of an edge, likewise."""


def _columns(figures: Sequence[float], kinds: Mapping[str, DTypeLike]) -> dict[str, Any]:
    """Return rows of *figures*, noted one behind the other, as columns; indices are exact as floats."""
    rows = np.array(figures, dtype=np.float64).reshape(-1, len(kinds))
    return {name: rows[:, place].astype(kind) for place, (name, kind) in enumerate(kinds.items())}


def _cut_through(seconds: Sequence[float]) -> list[float]:
    """Return when a message's service by each of its links begins, on an idle path, after that by the first.

    A link's service ends with the last byte, which comes through the slowest link so far; so it begins that
    much later. It never begins after that by a later link, though, which would push that one back: an idle
    path takes no longer than its slowest link. With two links it is ``max(0, d_1 - d_2)``.

    >>> _cut_through([4.0, 1.0]), _cut_through([1.0, 0.5, 1.0]), _cut_through([4.0, 1.0, 2.0])
    ([0.0, 3.0], [0.0, 0.0, 0.0], [0.0, 2.0, 2.0])
    """
    offsets = []
    slowest = 0.0
    for one in seconds:
        slowest = max(slowest, one)
        offsets.append(slowest - one)
    for hop in range(len(offsets) - 2, -1, -1):
        offsets[hop] = min(offsets[hop], offsets[hop + 1])
    return offsets
