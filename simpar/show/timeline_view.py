"""One strategy in a timeline: its lanes, slices, arrows, marks and counters.

Times become whole nanoseconds here, and the slices of a lane are kept apart. What a whole file is, and
how its strategies share the room in it, is said in :mod:`simpar.show.timeline`. Start with :class:`View`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.program import Program
from simpar.result import Measured
from simpar.show.timeline_lanes import (
    KINDS,
    Numbers,
    Slice,
    in_natural_order,
    in_us,
    lane_name,
    lanes_of,
    machine_of,
    plain_number,
    receiver_of,
    shortened,
    step_ends,
    whole_ns,
)
from simpar.trace import Trace

_MARKED = frozenset({"apply", "add", "update"})
"""Operations that are shown even where they take no time, as a mark on their machine."""

Event = dict[str, Any]


class View:
    """The part of one run that is shown, and its events."""

    def __init__(self, name: str, run: Measured, numbers: Numbers) -> None:
        self.name, self.run, self.numbers = name, run, numbers
        self.trace: Trace = run.trace
        self.program: Program = run.program
        self.ends_s = step_ends(run)
        self.total = len(self.ends_s) - 1
        self.left_out: list[str] = []
        self._key = self.trace.iteration.astype(np.int64) * len(self.program) + self.trace.task
        self._hops()

    def wanted(self, steps: int) -> int:
        """Return how many events *steps* steps may be with all their arrows."""
        steps = min(steps, self.total)
        return self._count(steps) + 8 * len(self._in_flight(steps))

    def lay(self, steps: int, most_events: int) -> None:
        """Choose what is shown, and put it on its lanes."""
        self._cut(steps, most_events)
        changes = 4 * len(self._in_flight(self.steps)) if self.counters else 0
        self.room = max(0, most_events - self._sum(len(self.rows), len(self.marks), changes, self.steps)) // 2
        self.pids: dict[str, int] = {}
        self.head: list[Event] = []
        self.overview = self._process("")
        self.steps_lane = self._thread(self.overview, "steps", 0)
        self.slices = self._slices()
        self.arrows = self._arrows()

    # -- what is shown -----------------------------------------------------------------------------

    def _cut(self, steps: int, most: int) -> None:
        """Choose what is shown: fewer steps if they are too many, and of one too many a part."""
        wanted = min(steps, self.total)
        self.steps = next((k for k in range(wanted, 0, -1) if self._count(k) <= most), 1)
        if self.steps < wanted:
            self.left_out.append(f"steps after the first {self.steps}: {wanted} would be too many events")
        self.since_s, self.until_s = self.ends_s[0], self.ends_s[self.steps]
        self.rows, self.marks = self._in_window(self.steps), self._marks(self.steps)
        self.counters = self._count(self.steps) <= most
        if not self.counters:
            self.left_out.append("counters of bytes in flight")
        if self._count(self.steps, self.counters) > most:
            # Of the lanes' names no more than the slices need: each may bring its lane and its machine.
            room = max(most - 4 * self._most_lanes - 8, (most - 5) // 5, 1)
            marks = min(len(self.marks), room // 3)
            self.rows = self._earliest("slices", self.rows, room - marks)
            self.marks = self._earliest("marks", self.marks, marks)

    def _earliest(self, what: str, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """Return the *most* of *rows* that start first."""
        if len(rows) > most:
            self.left_out.append(f"{len(rows) - most} of {len(rows)} {what}, the latest")
        return rows[np.argsort(self.trace.start_s[rows], kind="stable")][:most]

    @cached_property
    def _most_lanes(self) -> int:
        return sum(resource.capacity for resource in self.program.resources)

    def _count(self, steps: int, counters: bool = True) -> int:
        """Return how many events *steps* steps are, at most, without arrows."""
        changes = 4 * len(self._in_flight(steps)) if counters else 0
        return self._sum(len(self._in_window(steps)), len(self._marks(steps)), changes, steps)

    def _sum(self, slices: int, marks: int, changes: int, steps: int) -> int:
        return slices + marks + changes + 4 * min(self._most_lanes, slices) + steps + 8

    def _in_window(self, steps: int) -> NDArray[np.int64]:
        """Return the rows on a resource that overlap the first *steps* measured steps."""
        trace = self.trace
        inside = (trace.free_s > self.ends_s[0]) & (trace.start_s < self.ends_s[steps])
        return np.flatnonzero(inside & (trace.resource >= 0))

    def _marks(self, steps: int) -> NDArray[np.int64]:
        """Return the rows without a resource that are worth a mark."""
        worth = np.array([op.kind in _MARKED for op in self.program.ops], dtype=bool)
        at = self.trace.end_s
        inside = (at > self.ends_s[0]) & (at <= self.ends_s[steps])
        return np.flatnonzero(inside & (self.trace.resource < 0) & worth[self.trace.task])

    def shown(self) -> dict[str, Any]:
        """Return what ``otherData`` says of this strategy."""
        first, last = self.run.warmup, self.run.warmup + self.steps - 1
        said = f"steps 1 to {self.steps} of {self.total}" if self.steps > 1 else f"step 1 of {self.total}"
        if self.run.warmup:
            said += f", after {self.run.warmup} of warm-up"
        return {
            "shown": said,
            "steps": "each as many gradients as there are workers"
            if self.run.is_async
            else (f"iterations {first} to {last}" if last > first else f"iteration {first}"),
            "from_s": self.since_s,
            "to_s": self.until_s,
            "left_out": self.left_out,
        }

    # -- messages ------------------------------------------------------------------------------------

    def _hops(self) -> None:
        """Find the first and the last task of each message, and what follows each task at its end."""
        program = self.program
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for task, message in enumerate(program.message.tolist()):
            if message >= 0 and program.resource[task] >= 0:
                first.setdefault(message, task)
                last[message] = task
        self.last_of = {task: last[message] for message, task in first.items()}
        self.after: list[list[tuple[int, int]]] = [[] for _ in range(len(program))]
        self.next_hop: dict[int, int] = {}
        for u, v, distance, at_start in zip(
            program.source.tolist(),
            program.target.tolist(),
            program.distance.tolist(),
            program.at_start.tolist(),
            strict=True,
        ):
            same = program.message[u] == program.message[v] >= 0
            if at_start and same:
                self.next_hop[u] = v
            elif not at_start and not same:
                self.after[u].append((v, distance))
        for batch in program.batches.values():
            # Behind an update that takes no time is what it releases; to another, see _updates.
            for sender, reply in zip(batch.senders, batch.replies, strict=True):
                if reply >= 0 and program.resource[batch.update] < 0:
                    self.after[sender].append((reply, 0))
        self._reached: dict[int, dict[int, list[tuple[int, int]]]] = {}

    def _row(self, task: int, iteration: int) -> int:
        """Return the row of an instance, -1 where the trace has none."""
        wanted = iteration * len(self.program) + task
        at = int(np.searchsorted(self._key, wanted))
        return at if at < len(self._key) and self._key[at] == wanted else -1

    @cached_property
    def _sent(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows of the first hops of all messages, and when each was delivered."""
        trace, program = self.trace, self.program
        rows = trace.rows_of(sorted(self.last_of))
        last_of = np.full(len(program), -1, dtype=np.int64)
        last_of[list(self.last_of)] = list(self.last_of.values())
        wanted = trace.iteration[rows].astype(np.int64) * len(program) + last_of[trace.task[rows]]
        last = np.minimum(np.searchsorted(self._key, wanted), max(0, len(trace) - 1))
        rows, last = rows[self._key[last] == wanted], last[self._key[last] == wanted]
        # On a lone link the latency is a lag after the task; else it is in the task, or before its last hop.
        late = np.where(self._alone, program.latency, 0.0)
        return rows, trace.end_s[last] + late[trace.task[last]]

    def _in_flight(self, steps: int) -> NDArray[np.int64]:
        """Return which messages are on their way during the first *steps* measured steps."""
        rows, delivered_s = self._sent
        return np.flatnonzero(
            (delivered_s > self.ends_s[0]) & (self.trace.start_s[rows] < self.ends_s[steps])
        )

    @cached_property
    def _alone(self) -> NDArray[np.bool_]:
        """Which tasks are the only hop of a message over a link that serves one at a time."""
        return np.array(
            [
                self.last_of.get(task) == task and not self.program.is_flow(task)
                for task in range(len(self.program))
            ],
            dtype=bool,
        )

    def _delivered_s(self, last: int) -> float:
        """Return when the message is there whose last hop is *last*."""
        task = int(self.trace.task[last])
        late = float(self.program.latency[task]) if self._alone[task] else 0.0
        return float(self.trace.end_s[last]) + late

    # -- events --------------------------------------------------------------------------------------

    def events(self, most_arrows: int) -> list[Event]:
        """Return all events of this strategy: names first, then in the order of time."""
        timed: list[tuple[int, int, Event]] = []  # (nanoseconds, order within one, event)
        for number in range(self.steps):
            start, end = whole_ns(self.ends_s[number]), whole_ns(self.ends_s[number + 1])
            timed.append((start, 0, self._step(number, start, end)))
        timed += [(piece.start, 0, self._slice(piece)) for piece in self.slices]
        timed += [(ns, 1, event) for ns, event in self._mark_events()]
        timed += [(ns, 2, event) for ns, event in self._arrow_events(min(most_arrows, self.room))]
        if self.counters:
            timed += [(ns, 3, event) for ns, event in self._counter_events()]
        timed.sort(key=lambda entry: entry[:2])
        return self.head + [event for _, _, event in timed]

    def _process(self, machine: str) -> int:
        """Return the process of *machine*, named on its first mention; '' is the strategy as a whole."""
        if machine not in self.pids:
            pid = self.pids[machine] = self.numbers.track()
            name = f"{self.name} \u00b7 {machine}" if machine else self.name
            for what, args in (("name", {"name": name}), ("sort_index", {"sort_index": pid})):
                self.head.append({"ph": "M", "name": f"process_{what}", "pid": pid, "tid": pid, "args": args})
        return self.pids[machine]

    def _thread(self, pid: int, name: str, order: int) -> int:
        tid = self.numbers.track()
        for what, args in (("name", {"name": name}), ("sort_index", {"sort_index": order})):
            self.head.append({"ph": "M", "name": f"thread_{what}", "pid": pid, "tid": tid, "args": args})
        return tid

    def _slices(self) -> list[Slice]:
        """Return every instance shown on its lane; lanes are named on the way."""
        trace, program = self.trace, self.program
        by_resource: defaultdict[int, list[int]] = defaultdict(list)
        order = np.lexsort((self.rows, trace.free_s[self.rows], trace.start_s[self.rows]))
        for row in self.rows[order].tolist():
            by_resource[int(trace.resource[row])].append(row)
        machines: defaultdict[str, list[int]] = defaultdict(list)
        for resource in sorted(by_resource):
            machines[machine_of(program.resources[resource].name)].append(resource)
        marked = {self._marked_machine(row) for row in self.marks.tolist()}
        received = {receiver_of(program, task) for task in self.last_of.values()} if self.counters else set()
        found = []
        for machine in sorted({*machines, *marked, *received} - {""}, key=in_natural_order):
            pid = self._process(machine)
            order_of = 0
            for resource in sorted(machines.get(machine, ()), key=self._place):
                lanes = lanes_of(trace, by_resource[resource])
                for number, lane in enumerate(lanes, 1):
                    name = lane_name(program, resource) + (f" {number}" if len(lanes) > 1 else "")
                    tid = self._thread(pid, name, order_of)
                    order_of += 1
                    for piece in lane:
                        piece.pid, piece.tid = pid, tid
                    found += lane
        return found

    def _place(self, resource: int) -> tuple[bool, bool, int]:
        """Return where a lane stands on its machine: what computes, what sends, what receives."""
        found = self.program.resources[resource]
        return found.kind not in KINDS, found.name.endswith(".in"), resource

    def _step(self, number: int, start: int, end: int) -> Event:
        place = {"pid": self.overview, "tid": self.steps_lane}
        return {
            **{"ph": "X", "name": f"step {number + 1}", "cat": "step", **place},
            **{
                "ts": in_us(start),
                "dur": in_us(shortened(start, end, end)),
                "args": {"of": self.total},
            },
        }

    def _slice(self, piece: Slice) -> Event:
        trace, program = self.trace, self.program
        task = int(trace.task[piece.row])
        op = program.ops[task]
        ready, start = float(trace.ready_s[piece.row]), float(trace.start_s[piece.row])
        args: dict[str, Any] = {
            "op": op.kind,
            "iteration": int(trace.iteration[piece.row]),
            "resource": program.resources[int(trace.resource[piece.row])].name,
            "ready_s": ready,
            "queued_s": start - ready,
        }
        if program.message[task] >= 0:
            args["bytes"] = plain_number(float(program.bytes[task]))
            if task not in self.next_hop:
                args["delivered_s"] = self._delivered_s(piece.row)
        return {
            **{"ph": "X", "name": program.tasks[task], "cat": op.kind, "pid": piece.pid, "tid": piece.tid},
            **{"ts": in_us(piece.start), "dur": in_us(piece.end - piece.start), "args": args},
        }

    def _marked_machine(self, row: int) -> str:
        """Return the machine on which a mark stands; '' is the strategy as a whole."""
        op = self.program.ops[int(self.trace.task[row])]
        if op.server >= 0:
            return f"ps{op.server}"
        return f"w{op.worker}" if op.worker >= 0 else ""

    def _mark_events(self) -> Iterator[tuple[int, Event]]:
        trace, program = self.trace, self.program
        for row in self.marks.tolist():
            task, at = int(trace.task[row]), whole_ns(float(trace.end_s[row]))
            pid = self._process(self._marked_machine(row))
            op = program.ops[task]
            args = {"op": op.kind, "iteration": int(trace.iteration[row])}
            yield (
                at,
                {
                    **{"ph": "i", "s": "p", "name": program.tasks[task], "cat": op.kind},
                    **{"pid": pid, "tid": pid, "ts": in_us(at), "args": args},
                },
            )

    # -- arrows ----------------------------------------------------------------------------------------

    def _arrows(self) -> list[tuple[int, Slice, Slice]]:
        """Return when each arrow leaves, and its two slices, in the order of time."""
        by_row = {piece.row: piece for piece in self.slices}
        arrows = []
        for piece in self.slices:
            task = int(self.trace.task[piece.row])
            iteration = int(self.trace.iteration[piece.row])
            if self.program.message[task] < 0:
                continue
            hop = self.next_hop.get(task)
            if hop is not None:
                # The next hop may run along with this one: both ends are starts.
                targets, leaves = [(hop, 0)], piece.start
            else:
                # Inside the slice: at its very end a viewer may take the next one for the sender.
                targets, leaves = self._receives(task), max(piece.start, piece.end - 1)
            received = [self._row(target, iteration + distance) for target, distance in targets]
            for row in [*received, *self._updates(task, iteration)]:
                to = by_row.get(row)
                if to is not None and to.start >= leaves:
                    arrows.append((leaves, piece.row, to.row, piece, to))
        arrows.sort(key=lambda arrow: arrow[:3])
        return [(leaves, here, to) for leaves, _, _, here, to in arrows]

    def _updates(self, task: int, iteration: int) -> list[int]:
        """Return the rows of the updates that took in message *task* together with others."""
        nodes = self.trace.nodes
        return [self._row(*one) for one in nodes.update_of.get((task, iteration), [])] if nodes else []

    def _arrow_events(self, most: int) -> list[tuple[int, Event]]:
        """Return the two ends of each arrow, of the earliest *most*."""
        if len(self.arrows) > most:
            self.left_out.append(f"{len(self.arrows) - most} of {len(self.arrows)} arrows, the latest")
        events = []
        for leaves, here, to in self.arrows[:most]:
            same = {"name": "message", "cat": "message", "id": self.numbers.arrow()}
            start = {**same, "ph": "s", "pid": here.pid, "tid": here.tid, "ts": in_us(leaves)}
            finish = {
                **same,
                "ph": "f",
                "bp": "e",
                "pid": to.pid,
                "tid": to.tid,
                "ts": in_us(to.start),
            }
            events += [(leaves, start), (to.start, finish)]
        return events

    def _receives(self, task: int) -> list[tuple[int, int]]:
        """Return what the receiver of message *task* does with it, as (task, iterations later).

        Behind a task without a resource (a server's update that takes no time, releasing everybody)
        it is what goes back to the worker whose message this was, else the first in rank.
        """
        worker = self.program.ops[task].worker
        found: dict[tuple[int, int], None] = {}
        for target, distance in self.after[task]:
            if self.program.resource[target] >= 0:
                found[target, distance] = None
                continue
            reached = self._behind(target)
            among = reached.get(worker) or [hop for hops in reached.values() for hop in hops]
            for beyond, more in among if worker in reached else among[:1]:
                found[beyond, distance + more] = None
        return list(found)

    def _behind(self, task: int) -> dict[int, list[tuple[int, int]]]:
        """Return the next tasks with a resource behind *task*, which has none, by worker."""
        if task not in self._reached:
            reached: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
            seen, open_ = {task}, [(task, 0)]
            while open_:
                here, distance = open_.pop()
                for target, more in self.after[here]:
                    if target in seen:
                        continue
                    seen.add(target)
                    if self.program.resource[target] >= 0:
                        reached[self.program.ops[target].worker].append((target, distance + more))
                    else:
                        open_.append((target, distance + more))
            self._reached[task] = {worker: sorted(reached[worker]) for worker in sorted(reached)}
        return self._reached[task]

    # -- counters --------------------------------------------------------------------------------------

    def _counter_events(self) -> Iterator[tuple[int, Event]]:
        """Yield the bytes in flight, in all and to each machine, whenever they change."""
        changes: defaultdict[str, list[tuple[int, int, float]]] = defaultdict(list)
        rows, delivered_s = self._sent
        for message in self._in_flight(self.steps).tolist():
            row = int(rows[message])
            last = self.last_of[int(self.trace.task[row])]
            n_bytes = float(self.program.bytes[last])
            start, end = whole_ns(float(self.trace.start_s[row])), whole_ns(float(delivered_s[message]))
            for machine in {"": 0, receiver_of(self.program, last): 0}:
                changes[machine].append((start, 1, n_bytes))
                changes[machine].append((max(start, end), -1, -n_bytes))
        since, until = whole_ns(self.since_s), whole_ns(self.until_s)
        for machine in sorted(changes, key=in_natural_order):
            pid = self._process(machine)
            name = f"bytes in flight to {machine}" if machine else "bytes in flight"
            flying, in_flight = 0, 0.0
            at_time: dict[int, float] = {}
            for ns, count, n_bytes in sorted(changes[machine]):
                flying += count
                in_flight = max(0.0, in_flight + n_bytes) if flying else 0.0
                if ns <= until:
                    at_time[max(ns, since)] = in_flight
            for ns, value in at_time.items():
                event = {"ph": "C", "name": name, "pid": pid, "tid": pid, "ts": in_us(ns)}
                yield ns, {**event, "args": {"bytes": plain_number(value)}}
