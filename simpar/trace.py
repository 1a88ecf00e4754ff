"""What happened when: the one table that simulations and real runs both return.

A :class:`Trace` has a row an instance, in the order (iteration, task). From it come the *critical
path*, walked backwards from an end to whatever made it wait, and the *causes* of the time along it:

========= =================================================================================
compute   a device computes
wire      bytes of a message are on their way (or a collective is, where it is one task)
latency   a message that has been sent has not arrived
queue     waiting while a resource serves somebody else's work
server    a parameter server adds or updates, or waits for more pushes until a time is up
stagger   the start that was put off on purpose, before the first iteration
idle      nothing that the trace knows of
========= =================================================================================

Times are seconds. Start with :func:`critical_path`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.program import Batch, Program
from simpar.program.rounds import Origins, Rounds

CAUSES = ("compute", "wire", "latency", "queue", "server", "stagger", "idle")

MOST_PIECES = 1000
"""Messages of one ring that a path tells apart."""

COMPUTE_OPS = frozenset({"forward", "backward", "update"})
SERVER_OPS = frozenset({"add", "apply", "predict"})


@dataclass(frozen=True, eq=False)
class NodeLog:
    """What nodes did: whom an update served, where a slice went, who came too late. Columns are int32."""

    members: NDArray[np.int32]
    """(update task, its number, sender task, its iteration): a row a token, [:, 4], by update and number
    and then in the order in which the tokens came. Of slices that were handed out, the first task of the lane
    stands for the update."""
    flushed: NDArray[np.int32]
    """(update task, its number) of the batches that were closed short, as nothing more could come: [:, 2]."""
    dropped: NDArray[np.int32]
    """(join, iteration, sender task) of each token that came after the k-th: [:, 3]."""
    cancelled: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int32))
    """(task, iteration) of what a join stopped, [:, 2], ascending."""
    done_frac: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Share of the work of each of them that was done: float64[:]."""

    @cached_property
    def update_of(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """By sender and iteration, the (update, number) that served its tokens: one a batch that it feeds."""
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for update, number, sender, iteration in self.members.tolist():
            found.setdefault((sender, iteration), []).append((update, number))
        return found

    @cached_property
    def members_of(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """By update and number, the (sender, iteration) of its members in the order in which they came."""
        found: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for update, number, sender, iteration in self.members.tolist():
            found.setdefault((update, number), []).append((sender, iteration))
        return found

    @cached_property
    def stopped(self) -> frozenset[tuple[int, int]]:
        """The (task, iteration) of what a join stopped."""
        return frozenset((task, iteration) for task, iteration in self.cancelled.tolist())

    @cached_property
    def short(self) -> frozenset[tuple[int, int]]:
        """The (update, number) of the batches that were closed short."""
        return frozenset((update, number) for update, number in self.flushed.tolist())


@dataclass(frozen=True, eq=False)
class Totals:
    """What a whole run comes to."""

    instances: int
    end_s: float
    """When the last of them ended."""
    busy_s: NDArray[np.float64]
    """How long each resource was occupied: float64[resources]."""


@dataclass(frozen=True, eq=False)
class Trace:
    """When each instance was ready, started and ended. Columns have one row an instance.

    A run may keep the rows of its last iterations only, or none; ``totals`` are those of all.
    """

    program: Program
    engine: str
    """Who ran it: ``reference``, ``compiled``, or the name of a backend."""
    task: NDArray[np.int32]
    iteration: NDArray[np.int32]
    resource: NDArray[np.int32]
    """Index into ``program.resources``, -1 for none."""
    ready_s: NDArray[np.float64]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    nodes: NodeLog | None = None
    """What joins and batches did; None where the program has none."""
    totals: Totals | None = None
    """Of the whole run, whatever rows were kept."""
    note: str = ""
    """What whoever reads the figures should know of the engine; empty as a rule."""
    engine_why: str = ""
    """Why that engine ran, in few words."""

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.task)

    def __repr__(self) -> str:
        """Return one line with the counts."""
        last = float(self.end_s.max()) if len(self) else 0.0
        return f"<Trace of {self.program.name!r} by {self.engine}: {len(self)} instances, {last:.6g} s>"

    def digest(self) -> str:
        """Return a hash of the columns, equal on every machine for the same program, seed and meaning."""
        h = hashlib.sha256()
        for column, dtype in (
            (self.task, "<i4"),
            (self.iteration, "<i4"),
            (self.resource, "<i4"),
            (self.ready_s, "<f8"),
            (self.start_s, "<f8"),
            (self.end_s, "<f8"),
        ):
            h.update(np.ascontiguousarray(column, dtype=dtype).tobytes())
        if self.nodes is not None:
            for nodes in (self.nodes.members, self.nodes.flushed, self.nodes.dropped):
                h.update(np.ascontiguousarray(nodes, dtype="<i4").tobytes())
            h.update(np.ascontiguousarray(self.nodes.cancelled, dtype="<i4").tobytes())
            h.update(np.ascontiguousarray(self.nodes.done_frac, dtype="<f8").tobytes())
        return h.hexdigest()

    @cached_property
    def _key(self) -> list[int]:
        keys: list[int] = (self.iteration.astype(np.int64) * len(self.program) + self.task).tolist()
        return keys

    @cached_property
    def period(self) -> tuple[int, int, list[int]] | None:
        """(First iteration, rows of each, by task the place in it, -1 for none); None where they differ."""
        if not len(self):
            return None
        many = int(np.searchsorted(self.iteration, self.iteration[0], side="right"))
        if len(self) % many or (self.task.reshape(-1, many) != self.task[:many]).any():
            return None
        first = int(self.iteration[0])
        if (self.iteration.reshape(-1, many) != np.arange(first, first + len(self) // many)[:, None]).any():
            return None
        place = np.full(len(self.program), -1)
        place[self.task[:many]] = np.arange(many)
        return first, many, place.tolist()

    def row(self, task: int, iteration: int) -> int:
        """Return the row of an instance.

        Raises:
            KeyError: it is not in the trace.
        """
        if self.period is not None:
            first, many, place = self.period
            if 0 <= task < len(place) and place[task] >= 0 and iteration >= first:
                at = (iteration - first) * many + place[task]
                if at < len(self):
                    return at
            raise KeyError((task, iteration))
        wanted = iteration * len(self.program) + task
        at = bisect_left(self._key, wanted)
        if at == len(self) or self._key[at] != wanted:
            raise KeyError((task, iteration))
        return at

    def rows_of(self, tasks: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows of all instances of *tasks*, ascending."""
        return np.flatnonzero(np.isin(self.task, np.asarray(tasks, dtype=np.int32)))

    @cached_property
    def free_s(self) -> NDArray[np.float64]:
        """When each instance gave its resource back: float64[rows]. On a channel that is the last byte."""
        program = self.program
        latency = np.where(program.are_flows, program.latency, 0.0)[self.task]
        if self.nodes is not None and len(self.nodes.cancelled):
            latency[self.stopped_rows] = 0.0
        return np.maximum(self.start_s, self.end_s - latency)

    @cached_property
    def iteration_within(self) -> NDArray[np.int32]:
        """The iteration of the program that each row belongs to: int32[rows].

        That is its own, or where a slice was handed out, that of the slice.
        """
        lanes = self.program.lane_of
        if self.nodes is None or not lanes:
            return self.iteration
        own = {
            (lanes[first][0], number): iteration
            for first, number, _, iteration in self.nodes.members.tolist()
            if first in lanes
        }
        found = self.iteration.copy()
        for row in self.rows_of(sorted(lanes)).tolist():
            found[row] = own[lanes[int(self.task[row])][0], int(self.iteration[row])]
        return found

    @cached_property
    def stopped_rows(self) -> NDArray[np.int64]:
        """Rows of what joins have stopped, in the order of ``nodes.cancelled``."""
        if self.nodes is None:
            return np.empty(0, dtype=np.int64)
        return np.array([self.row(task, m) for task, m in self.nodes.cancelled.tolist()], dtype=np.int64)

    @cached_property
    def before_on_resource(self) -> NDArray[np.int64]:
        """Row that the same resource served before each row, or -1: int64[rows]."""
        before = np.full(len(self), -1, dtype=np.int64)
        order = np.lexsort((self.task, self.iteration, self.start_s, self.resource))
        same = self.resource[order][1:] == self.resource[order][:-1]
        before[order[1:][same]] = order[:-1][same]
        return before


class Segment(NamedTuple):
    """A stretch of a path with one cause."""

    task: int
    iteration: int
    cause: str
    """One of :data:`CAUSES`."""
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


def cause_of(program: Program, task: int) -> str:
    """Say what kind of time *task* spends on its resource."""
    kind = program.ops[task].kind
    if kind in COMPUTE_OPS:
        return "compute"
    if kind in SERVER_OPS:
        return "server"
    return "wire"


def owner(program: Program, task: int) -> tuple[str, int]:
    """Return whose work *task* is: a worker's, or a server's."""
    op = program.ops[task]
    return ("worker", op.worker) if op.worker >= 0 else ("server", op.server)


class Token(NamedTuple):
    """What made an instance ready."""

    row: int
    """The instance that sent it."""
    at_start: bool
    """Whether it left at the start of that instance, not at its end."""
    lag: float
    """Seconds on its way."""
    held: float = 0.0
    """Seconds between its arrival and the readiness: of a batch that waited for its timer."""


Columns = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[float], Sequence[float], Sequence[int]]


def _view(column: NDArray[Any]) -> Any:
    """Return *column* as something that gives plain Python figures."""
    return np.ascontiguousarray(column).data


class Walk:
    """The way back through one trace; make one for many paths."""

    def __init__(self, trace: Trace) -> None:
        """Index the edges into each task."""
        self.trace, self.program = trace, trace.program
        program = self.program
        into: list[list[tuple[int, int, float, bool, int]]] = [[] for _ in range(len(program))]
        for edge, (u, v, distance, lag, at_start) in enumerate(program.edges()):
            into[v].append((u, distance, lag, at_start, edge))
        # Ties between tokens that arrived last go to the lowest rank: the first in this order.
        self._into = [sorted(edges) for edges in into]
        self._row = trace.row
        self.causes = [cause_of(program, task) for task in range(len(program))]
        self.owners = [owner(program, task) for task in range(len(program))]
        # Single figures are read from views: from arrays that takes three times as long, and lists of figures
        # take six times the memory.
        self.start_s: Sequence[float] = _view(trace.start_s)
        self.end_s: Sequence[float] = _view(trace.end_s)
        self.columns: Columns = (
            _view(trace.task),
            _view(trace.iteration),
            _view(trace.resource),
            _view(trace.ready_s),
            _view(trace.free_s),
            _view(trace.before_on_resource),
        )
        self.exits = frozenset(task for ring in program.rings for task in ring.exits)
        self._ring_origins: dict[tuple[int, int], Origins] = {}
        self._dropped = frozenset(map(tuple, trace.nodes.dropped.tolist())) if trace.nodes else frozenset()
        self._first_of_lane = {
            lane[0]: (node, lane[-1])
            for node, dispatch in program.dispatches.items()
            for lane in dispatch.lanes
        }
        self._sent_on = {
            reply: (node, sender)
            for node, dispatch in program.dispatches.items()
            for sender, reply in zip(dispatch.senders, dispatch.replies, strict=True)
            if reply >= 0
        }
        self._answered = {
            reply: (batch, sender)
            for batch in program.batches.values()
            for sender, reply in zip(batch.senders, batch.replies, strict=True)
            if reply >= 0
        }

    def through_ring(self, row: int) -> tuple[int, float, int]:
        """Return at which entry's row the way to *row*, a ring's last message, begins, and the latency on it.

        That is the seconds of latency, and of what is done with chunks that have arrived; and into how many
        messages the way may be thought to be cut.
        """
        trace, program = self.trace, self.program
        task, iteration = int(trace.task[row]), int(trace.iteration[row])
        ring = next(ring for ring in program.rings if ring.exits[0] <= task <= ring.exits[-1])
        key = (ring.exits[0], iteration)
        if key not in self._ring_origins:
            first = trace.row(ring.exits[0], iteration)
            same = np.flatnonzero(trace.resource == trace.resource[first])
            before = same[trace.start_s[same] < trace.start_s[first]]
            lanes = len(ring.exits)
            free = np.zeros(lanes)
            if len(before):
                last = int(before[np.argmax(trace.start_s[before])])
                free = trace.free_s[last : last + lanes]
            entered = np.array([trace.end_s[trace.row(entry, iteration)] for entry in ring.entries])
            self._ring_origins[key] = Rounds(program, ring).origins(entered, free)
        origins = self._ring_origins[key]
        lane = task - ring.exits[0]
        entry = trace.row(ring.entries[int(origins.lane[lane])], iteration)
        return entry, float(origins.late_s[lane]), min(ring.rounds, MOST_PIECES)

    def cause(self, row: int) -> Token | None:
        """Return the token that made *row* ready; None at the beginning."""
        program = self.program
        tasks, iterations = self.columns[:2]
        task, iteration = tasks[row], iterations[row]
        if task in program.batch_of_update:
            return self._closing(task, iteration, row)
        if task in self._first_of_lane:
            return self._dispatched(task, iteration)
        if task in program.joins:
            tokens = sorted(
                (came[0], tasks[came[1]], came)
                for came in self._tokens(task, iteration)
                if (task, iteration, tasks[came[1]]) not in self._dropped
            )
            return Token(*tokens[min(len(tokens), program.joins[task]) - 1][2][1:]) if tokens else None
        latest, found = -1.0, None
        for came in self._tokens(task, iteration):
            if came[0] > latest:
                latest, found = came[0], came
        if task in self._answered:
            answer = self._answer(task, iteration)
            if answer is not None and self.end_s[answer.row] + answer.lag > latest:
                return answer
        if task in self._sent_on:
            through = self._through(task, iteration)
            if self.end_s[through.row] > latest:
                return through
        return Token(*found[1:]) if found is not None else None

    def _dispatched(self, first: int, number: int) -> Token | None:
        """Return what slice *number* waited for where it went: to be there, or for the slice before it."""
        if self.trace.nodes is None:
            return None
        node, last = self._first_of_lane[first]
        ((sender, iteration),) = self.trace.nodes.members_of[first, number]
        lag, edge = next((lag, edge) for source, _, lag, _, edge in self._into[node] if source == sender)
        if edge in self.program.lags:
            lag = float(self.program.lags[edge][iteration])
        here = Token(self._row(sender, iteration), False, lag)
        before = self._slice_before.get((first, number))
        if before is None:
            return here
        freed = self._row(last, before)
        return Token(freed, False, 0.0) if self.end_s[freed] > self.end_s[here.row] + lag else here

    @cached_property
    def _slice_before(self) -> dict[tuple[int, int], int]:
        """By the first task of a lane and the number of a slice, the slice that went there before."""
        found: dict[tuple[int, int], int] = {}
        latest: dict[int, int] = {}
        for first, number, _, _ in self.trace.nodes.members.tolist() if self.trace.nodes else ():
            if first in latest:
                found[first, number] = latest[first]
            latest[first] = number
        return found

    def _through(self, reply: int, iteration: int) -> Token:
        """Return the end of the slice that *reply* answers."""
        node, sender = self._sent_on[reply]
        assert self.trace.nodes is not None, "a run with a dispatch node says what it did"
        lanes = {lane[0]: lane[-1] for lane in self.program.dispatches[node].lanes}
        first, number = next(one for one in self.trace.nodes.update_of[sender, iteration] if one[0] in lanes)
        return Token(self._row(lanes[first], number), False, 0.0)

    def _tokens(self, task: int, iteration: int) -> Iterator[tuple[float, int, bool, float]]:
        """Yield when each token over an edge came, and what a :class:`Token` says of it."""
        for source, distance, lag, at_start, edge in self._into[task]:
            if distance > iteration:
                continue
            if edge in self.program.lags:
                lag = float(self.program.lags[edge][iteration])
            before = self._row(source, iteration - distance)
            yield (self.start_s if at_start else self.end_s)[before] + lag, before, at_start, lag

    def entered_s(self, update: int, sender: int, iteration: int) -> float:
        """Return when the token of *sender* came to the batch that *update* serves."""
        batch = self.program.batches[self.program.batch_of_update[update]]
        return self._entering(batch, sender, iteration)[0]

    def _entering(self, batch: Batch, sender: int, iteration: int) -> tuple[float, Token]:
        """Return when *sender* brought its token to *batch*, and the token."""
        node = self.program.batch_of_update[batch.update]
        lag, edge = next((lag, edge) for source, _, lag, _, edge in self._into[node] if source == sender)
        if edge in self.program.lags:
            lag = float(self.program.lags[edge][iteration])
        row = self.trace.row(sender, iteration)
        return self.end_s[row] + lag, Token(row, False, lag)

    def _closing(self, update: int, number: int, row: int) -> Token | None:
        """Return the token that closed a batch; where the update was asked for earlier, the first one."""
        if self.trace.nodes is None:
            return None
        batch = self.program.batches[self.program.batch_of_update[update]]
        members = self.trace.nodes.members_of[update, number]
        by_timer = batch.mode == "timeout" and len(members) < batch.count
        first = batch.mode == "drain" or by_timer
        arrived, token = self._entering(batch, *members[0 if first else -1])
        return token._replace(held=max(0.0, float(self.trace.ready_s[row]) - arrived))

    def _answer(self, reply: int, iteration: int) -> Token | None:
        """Return the token that a batch gave *reply*: from its update, or from the sender itself."""
        nodes = self.trace.nodes
        if nodes is None:
            return None
        batch, sender = self._answered[reply]
        served = next(one for one in nodes.update_of[sender, iteration] if one[0] == batch.update)
        fills = nodes.members_of[served][-1] == (sender, iteration) and served not in nodes.short
        if batch.at_once and not fills:
            return self._entering(batch, sender, iteration)[1]
        return Token(self.trace.row(*served), False, 0.0)


def critical_path(trace: Trace, row: int, since_s: float = 0.0, walk: Walk | None = None) -> list[Segment]:
    """Return what the end of *row* waited for, back to *since_s*, in the order of time.

    The segments are contiguous and end at ``trace.end_s[row]``; where the trace knows nothing before,
    an ``idle`` segment fills up. A wait for a resource is walked through while it served work of the
    same owner (a worker's own earlier message), and is a ``queue`` when it served somebody else's.
    Ties between several tokens that arrived last go to the lowest rank.
    """
    walk = walk or Walk(trace)
    program = trace.program
    path: list[Segment] = []
    at = float(trace.end_s[row])  # everything from here on is explained

    def add(cause: str, start: float) -> None:
        nonlocal at
        start = max(start, since_s)
        if start < at:
            path.append(Segment(task, iteration, cause, start, at))
            at = start

    tasks, iterations, resources, ready_s, free_s, before_on_resource = walk.columns
    causes, owners, exits = walk.causes, walk.owners, walk.exits
    here, came = row, "end"  # where the walk stands, and how it came: to its end, its release or its start
    while at > since_s:
        task, iteration = tasks[here], iterations[here]
        start, ready, resource = walk.start_s[here], ready_s[here], resources[here]
        if resource >= 0 and came == "end":
            add("latency", free_s[here])
        if resource >= 0 and came != "start" and task not in exits:
            add(causes[task], start)
        if task in exits:
            entry, late_s, hops = walk.through_ring(here)
            end, begun = at, walk.end_s[entry]
            sent_s = end - begun - late_s
            for hop in range(1, hops):  # bytes and latency by turns, all alike
                add("wire", end - sent_s * hop / hops - late_s * (hop - 1) / (hops - 1))
                add("latency", end - sent_s * hop / hops - late_s * hop / (hops - 1))
            add("wire", begun)
            here, came = entry, "end"
            continue
        if start > ready:
            before = before_on_resource[here]
            mine = before >= 0 and owners[tasks[before]] == owners[task]
            if mine and program.resources[resource].capacity == 1:
                here, came = before, "release"
                continue
            add("queue", ready)
        token = walk.cause(here)
        if token is None:
            add("idle", since_s)
            break
        source, at_start, lag, held = token
        if held > 0:
            add("server", at - held)
        if lag > 0:
            before_task = tasks[source]
            if program.ops[before_task].kind == "start":
                add("stagger", at - lag)
            elif at_start and program.message[before_task] == program.message[task] >= 0:
                # A cut-through hop lags behind the one before by the latency, and more if that one is slower.
                left = at - lag
                add("latency", at - min(lag, float(program.latency[task])))
                add("wire", left)
            else:
                add("latency", at - lag)
        here, came = source, "start" if at_start else "end"
    return path[::-1]
