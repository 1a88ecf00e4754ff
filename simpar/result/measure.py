"""From a trace to figures: the step, where its time goes, staleness, what every resource did.

Two clocks, said by ``program.meta["clock"]``:

* ``sync``: a step ends when the last of the update tasks of an iteration ends. ``step_s`` is the time
  between successive updates, averaged over the measured iterations (those after the warm-up).
* ``async``: every update applies the gradients of one worker, or of the members of a batch. With
  t0 the last worker's apply of iteration ``warmup`` and t1 the first worker's last, ``step_s`` is
  workers x (t1 - t0) / gradients applied in (t0, t1]. Where ``meta["pushers"]`` machines push for all their
  workers, they take the workers' place here, and each push counts as the gradients of all that it is for.

Times are seconds, sizes bytes. Start with :class:`Measured`.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simpar.errors import EngineError
from simpar.program import Program
from simpar.result.flows import sent_share, stretch_of
from simpar.result.staleness import Staleness, stale_gradients
from simpar.trace import Segment, Trace, Walk, critical_path

BREAKDOWN = (
    "compute_s",
    "exposed_comm_s",
    "latency_s",
    "queue_s",
    "server_s",
    "straggler_s",
    "bubble_s",
)
"""The parts of a step, in the order in which they are shown."""

FULL = 0.9
"""Use of a link from which on it is what limits, whoever waits."""

_PART_OF = {
    "compute": "compute_s",
    "wire": "exposed_comm_s",
    "latency": "latency_s",
    "queue": "queue_s",
    "server": "server_s",
    "stagger": "bubble_s",
    "idle": "bubble_s",
}


@dataclass(frozen=True, slots=True)
class Use:
    """What one device, server or link did while the steps were measured."""

    name: str
    kind: str
    busy_frac: float
    """Share of the time in use; of a link, share of its capacity."""
    bytes: float
    """Bytes that crossed it in one step; 0 for what carries none."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run that stands for one step, and the instance that ends it."""

    start_s: float
    end_s: float
    row: int
    """Row of the trace whose end is the window's end (or beyond it, for one cut short)."""
    label: str
    """``iteration 7``, ``w3, iteration 7``."""
    worker: int = -1
    """Whose cycle it is; -1: everybody's."""


class Measured:
    """The figures of one run, each computed when it is first asked for."""

    def __init__(self, trace: Trace) -> None:
        """Take a trace whose program has the facts that :func:`simpar.strategies.compile` notes."""
        self.trace = trace
        self.program: Program = trace.program
        meta = self.program.meta
        self.workers: int = meta["workers"]
        self.pushers: int = meta.get("pushers", self.workers)
        """How many go their own pace: workers, or machines that push for theirs."""
        self.share: int = self.workers // self.pushers
        """Workers that each of them pushes for; those of the first are 0 to share - 1, and so on."""
        self.warmup: int = meta["warmup"]
        self.updates: list[int] = meta["updates"]
        self.is_async: bool = meta["clock"] == "async"

    # -- the clock -------------------------------------------------------------------------------

    @cached_property
    def update_s(self) -> NDArray[np.float64]:
        """When each update was complete: float64[iterations], or [iterations, pushers] by pusher (async)."""
        trace, iterations = self.trace, self.program.iterations
        rows = trace.rows_of(self.updates)
        if not self.is_async:
            ends = np.full(iterations, -np.inf)
            np.maximum.at(ends, trace.iteration[rows], trace.end_s[rows])
            return ends
        rows, worker, iteration = self.applied.T
        by_pusher = np.full((iterations, self.pushers), -np.inf)
        np.maximum.at(by_pusher, (iteration, worker // self.share), trace.end_s[rows])
        return by_pusher

    @cached_property
    def applied(self) -> NDArray[np.int64]:
        """Which update applied which gradients, as (row, worker, iteration): int64[gradients, 3]."""
        trace, ops = self.trace, self.program.ops
        batches = self.program.batch_of_update
        rows = trace.rows_of([task for task in self.updates if task not in batches])
        worker = np.array([op.worker for op in ops], dtype=np.int64)
        alone = np.stack([rows, worker[trace.task[rows]], trace.iteration[rows]], axis=1)
        if trace.nodes is None:
            return alone
        row_of = {
            (update, number): trace.row(update, number)
            for update, number in trace.nodes.members_of
            if update in batches
        }
        together = [
            (row_of[update, number], ops[sender].worker, iteration)
            for update, number, sender, iteration in trace.nodes.members.tolist()
            if update in batches
        ]
        return np.concatenate([alone, np.array(together, dtype=np.int64).reshape(-1, 3)])

    @cached_property
    def since_s(self) -> float:
        """When measuring begins."""
        if self.is_async:
            return float(self.update_s[self.warmup].max())
        return float(self.update_s[self.warmup - 1]) if self.warmup else 0.0

    @cached_property
    def until_s(self) -> float:
        """When measuring ends."""
        if not self.is_async:
            return float(self.update_s[-1])
        until = float(self.update_s[-1].min())
        if until <= self.since_s:
            raise EngineError(
                f"{self.program.name}: the fastest worker is done before the slowest is warm, so there is no "
                f"step to measure; write more run.steps"
            )
        return until

    @cached_property
    def gradients(self) -> int:
        """Gradients applied in (since, until], a whole step's being one a worker."""
        if not self.is_async:
            return (self.program.iterations - self.warmup) * self.workers
        inside = (self.update_s > self.since_s) & (self.update_s <= self.until_s)
        return self.share * int(np.count_nonzero(inside))

    @cached_property
    def slowing_frac(self) -> float:
        """By what share asynchronous training is slower in the second half of the time than in the first.

        Workers that start apart meet no queues at first, or push all at once; what they keep to comes later.
        """
        if not self.is_async:
            return 0.0
        ends, middle = self.update_s, 0.5 * (self.since_s + self.until_s)
        first = np.count_nonzero((ends > self.since_s) & (ends <= middle))
        second = np.count_nonzero((ends > middle) & (ends <= self.until_s))
        return float(1.0 - second / first) if first else 0.0

    @cached_property
    def steps(self) -> float:
        """Steps measured; not a whole number for asynchronous training."""
        return self.gradients / self.workers

    @cached_property
    def step_s(self) -> float:
        """Seconds of one step."""
        return (self.until_s - self.since_s) / self.steps

    @cached_property
    def samples_per_s(self) -> float:
        """Samples trained on a second by all workers together."""
        return float(self.program.meta["samples"]) / self.step_s

    # -- windows ---------------------------------------------------------------------------------

    @cached_property
    def _rows_of_cycle(self) -> dict[tuple[int, int], list[int]]:
        """Rows of the updates that applied a worker's gradients, by (iteration, worker)."""
        found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for row, worker, iteration in self.applied.tolist():
            found[iteration, worker].append(row)
        return found

    def _last_row(self, iteration: int, worker: int = -1) -> int:
        """Return the row of the update that ends an iteration; the lowest rank of equals."""
        if worker >= 0:
            rows = self._rows_of_cycle[iteration, worker]
        else:
            rows = [self.trace.row(task, iteration) for task in self.updates]
        return max(rows, key=lambda row: (float(self.trace.end_s[row]), -int(self.trace.task[row])))

    @cached_property
    def windows(self) -> list[Window]:
        """Every measured step (async: every worker's cycle that ends while measuring)."""
        found = []
        if not self.is_async:
            for m in range(self.warmup, self.program.iterations):
                start = float(self.update_s[m - 1]) if m else 0.0
                found.append(Window(start, float(self.update_s[m]), self._last_row(m), f"iteration {m}"))
            return found
        for m in range(1, self.program.iterations):
            for pusher in range(self.pushers):
                end, worker = float(self.update_s[m, pusher]), pusher * self.share
                start = float(self.update_s[m - 1, pusher])
                if self.since_s < end <= self.until_s and start < end:
                    row = self._last_row(m, worker)
                    found.append(Window(start, end, row, f"w{worker}, iteration {m}", worker))
        return found

    @cached_property
    def median_window(self) -> Window:
        """The step of median length; the lower median, and the first of equals."""
        lengths = [window.end_s - window.start_s for window in self.windows]
        return self.windows[lengths.index(statistics.median_low(lengths))]

    # -- where the time goes ---------------------------------------------------------------------

    @cached_property
    def _walk(self) -> Walk:
        return Walk(self.trace)

    def path(self, window: Window) -> list[Segment]:
        """Return what the end of *window* waited for, from its start on."""
        return critical_path(self.trace, window.row, window.start_s, self._walk)

    @cached_property
    def accounted(self) -> list[int]:
        """The devices whose time is broken down: of asynchronous training all, else one that is typical.

        Typical is the device of median compute (the lower median, the first of equals); in a pipeline it is
        the busiest, whose stage sets the pace.
        """
        devices = [r for r, found in enumerate(self.program.resources) if found.kind == "device"]
        if self.is_async or not devices:
            return devices
        computes = self._compute_s()
        ordered = sorted(devices, key=lambda r: computes[r])
        if self.program.meta["kind"] == "pipeline":
            most = computes[ordered[-1]]
            return [next(r for r in devices if computes[r] >= most * (1 - 1e-9))]
        median = computes[ordered[(len(ordered) - 1) // 2]]
        return [next(r for r in devices if abs(computes[r] - median) <= 1e-9 * median)]

    @cached_property
    def waits(self) -> list[Segment]:
        """What the accounted devices waited for while they did not compute, while steps were measured.

        Each gap between two tasks of a device is explained by the critical path of the task that ends it;
        where none follows, by that of the update.
        """
        trace, segments = self.trace, []
        for device in self.accounted:
            rows = np.flatnonzero((trace.resource == device) & (trace.end_s > self.since_s))
            rows = rows[np.argsort(trace.start_s[rows], kind="stable")]
            rows = rows[trace.start_s[rows] < self.until_s]
            starts = trace.start_s[rows]
            free = np.maximum.accumulate(np.append(self.since_s, trace.end_s[rows]))
            for place in np.flatnonzero(starts > free[:-1]).tolist():
                segments += self._gap(float(free[place]), float(starts[place]), int(rows[place]))
            segments += self._gap(float(free[-1]), self.until_s, self._ending(device))
        return segments

    def _gap(self, begin: float, end: float, row: int) -> list[Segment]:
        """Return what *row*, which ends a gap or lies beyond it, waited for from *begin* to *end*."""
        if end <= begin:
            return []
        return [
            s if s.end_s <= end else s._replace(end_s=end)
            for s in critical_path(self.trace, row, begin, self._walk)
            if s.start_s < end
        ]

    def _ending(self, device: int) -> int:
        """Return the row that ends the last gap of *device*: its next task, or the update if none follows."""
        trace = self.trace
        after = np.flatnonzero((trace.resource == device) & (trace.start_s >= self.until_s))
        if self.is_async:
            pusher = int(self.program.resources[device].name[1:]) // self.share
            m = int(np.flatnonzero(self.update_s[:, pusher] >= self.until_s)[0])
            update = self._last_row(m, pusher * self.share)
            if not len(after):
                return update
            first = int(after[np.argmin(trace.start_s[after])])
            return first if trace.start_s[first] <= trace.end_s[update] else update
        return self._last_row(self.program.iterations - 1)

    @cached_property
    def breakdown(self) -> dict[str, float]:
        """Seconds of a step by cause, on the accounted devices; they sum to ``step_s``.

        ``compute_s`` is what the device computes; the rest is what it waits for when it does not: bytes or
        latency that nothing hides, links that serve others (``queue_s``), servers and their queues
        (``server_s``), or somebody else's compute (``straggler_s``; in a pipeline ``bubble_s``).
        """
        pipeline = self.program.meta["kind"] == "pipeline"
        parts: defaultdict[str, list[float]] = defaultdict(list)
        for segment in self.waits:
            part = _PART_OF[segment.cause]
            if segment.cause == "compute":
                part = "bubble_s" if pipeline else "straggler_s"
            elif segment.cause == "queue" and self._is_at_server(segment):
                part = "server_s"
            parts[part].append(segment.seconds)
        trace = self.trace
        on = np.isin(trace.resource, np.array(self.accounted, dtype=np.int32))
        inside = np.minimum(trace.end_s, self.until_s) - np.maximum(trace.start_s, self.since_s)
        parts["compute_s"] += inside[on & (inside > 0)].tolist()
        per = self.gradients if self.is_async else self.steps
        found = {part: math.fsum(parts[part]) / per for part in BREAKDOWN}
        if not (self.is_async or pipeline):
            # Who computes no longer than others, and is waited for all the same, began late: for a link that
            # served somebody else first.
            slower = max(0.0, self._slowest_s() - found["compute_s"])
            late = found["straggler_s"] - slower
            if late > 1e-9 * self.step_s:
                found["straggler_s"] -= late
                found["queue_s"] += late
        return found

    def _is_at_server(self, segment: Segment) -> bool:
        resource = int(self.program.resource[segment.task])
        return resource >= 0 and self.program.resources[resource].kind == "server"

    # -- resources -------------------------------------------------------------------------------

    @cached_property
    def _computed_s(self) -> NDArray[np.float64]:
        """Seconds that each resource computes: float64[resources, measured iterations]."""
        trace, program = self.trace, self.program
        kinds = np.array([cause == "compute" for cause in self._walk.causes], dtype=np.bool_)
        within = trace.iteration_within
        counted = (trace.resource >= 0) & kinds[trace.task] & (within >= self.warmup)
        spent = np.zeros((len(program.resources), program.iterations - self.warmup))
        where = (trace.resource[counted], within[counted] - self.warmup)
        np.add.at(spent, where, (trace.end_s - trace.start_s)[counted])
        return spent

    def _compute_s(self) -> list[float]:
        """Return the seconds that each resource computes in a measured iteration, by resource."""
        return [float(seconds) / self.steps for seconds in self._computed_s.sum(axis=1)]

    def _slowest_s(self) -> float:
        """Return the seconds that the slowest device of each iteration computes, on average."""
        computed = self._computed_s
        return float(computed.max(axis=0).sum()) / self.steps if len(computed) else 0.0

    @cached_property
    def uses(self) -> list[Use]:
        """What each device, server and link did, in the order in which the program names them."""
        trace, program = self.trace, self.program
        inside = np.minimum(trace.free_s, self.until_s) - np.maximum(trace.start_s, self.since_s)
        length = self.until_s - self.since_s
        on = (trace.resource >= 0) & (inside > 0)
        busy = np.bincount(trace.resource[on], weights=inside[on], minlength=len(program.resources))
        share = sent_share(trace, self.until_s) - sent_share(trace, self.since_s)
        moved = np.bincount(trace.task, weights=share, minlength=len(program)) * program.sent_bytes
        slowed = share * stretch_of(trace)
        taken = np.bincount(trace.task, weights=slowed, minlength=len(program)) * program.sent_bytes
        task, link = program.hops
        crossed, occupied = (
            np.bincount(link, sent[task], minlength=len(program.links)) for sent in (moved, taken)
        )
        found = [
            Use(resource.name, resource.kind, float(busy[r] / (length * resource.capacity)), 0.0)
            for r, resource in enumerate(program.resources)
            if resource.kind not in ("channel", "link")
        ]
        found += [
            Use(
                link.name,
                "link",
                float(occupied[index] / (length * link.bytes_per_s)),
                float(crossed[index] / self.steps),
            )
            for index, link in enumerate(program.links)
        ]
        over = [use for use in found if use.busy_frac > 1 + 1e-6]
        assert not over, f"{program.name}: used beyond its capacity: {over}"
        return found

    # -- staleness -------------------------------------------------------------------------------

    def stale_gradients(self) -> list[tuple[int, int, int]]:
        """Return (row of its update, worker, staleness) of every gradient that has one."""
        return stale_gradients(self.trace, self.applied, self._walk)

    @cached_property
    def staleness(self) -> Staleness | None:
        """Staleness of the gradients applied while measuring; None for synchronous training."""
        if not self.is_async:
            return None
        end = self.trace.end_s
        return Staleness.of(
            [stale for row, _, stale in self.stale_gradients() if self.since_s < end[row] <= self.until_s]
        )

    # -- what holds it back ----------------------------------------------------------------------

    def busiest(self, names: Sequence[str] | None = None, kind: str | None = None) -> Use | None:
        """Return the most used resource among *names* or of *kind*; the first of equals."""
        among = [
            use
            for use in self.uses
            if (names is None or use.name in names) and (kind is None or use.kind == kind)
        ]
        if not among:
            return None
        most = max(use.busy_frac for use in among)
        return next(use for use in among if use.busy_frac >= most * (1 - 1e-9))

    def limiting_link(self) -> str:
        """Return the link that sets the time of the messages waited for; '' where there are none.

        That is a link in use nearly all the time, if there is one; else the link that needs as long for all
        such messages of a step as is spent waiting for them; else the most used of those they cross.
        """
        program = self.program
        waited: defaultdict[str, list[float]] = defaultdict(list)
        tasks: defaultdict[str, set[int]] = defaultdict(set)
        for segment in self.waits:
            if self._walk.causes[segment.task] == "wire":
                kind = program.ops[segment.task].kind
                waited[kind].append(segment.seconds)
                tasks[kind].add(segment.task)
        crossed = {kind: self._crossed(found) for kind, found in tasks.items()}
        if not any(crossed.values()):
            return ""
        names = [program.links[link].name for link in sorted(set().union(*crossed.values()))]
        busiest = self.busiest(names=names)
        assert busiest is not None, "links that are crossed are in use"
        if busiest.busy_frac > FULL:
            return busiest.name
        per = self.gradients if self.is_async else self.steps
        totals = {kind: math.fsum(parts) / per for kind, parts in waited.items()}
        # Push and pull often take equally long: the first in the program's order, whatever the last digit.
        equals = {kind for kind, total in totals.items() if total >= max(totals.values()) * (1 - 1e-9)}
        kind = next(op.kind for op in program.ops if op.kind in equals)
        seconds = totals[kind]
        needs = dict.fromkeys(sorted(crossed[kind]), 0.0)
        sent_bytes = (program.sent_bytes * program.turns).tolist()
        for task, link in zip(*(column.tolist() for column in program.hops), strict=True):
            if link in needs and program.ops[task].kind == kind:
                needs[link] += sent_bytes[task] / program.links[link].bytes_per_s
        able = {link: needed for link, needed in needs.items() if needed <= 1.01 * seconds}
        if able and max(able.values()) > 0.5 * seconds:
            most = max(able.values())
            return next(program.links[link].name for link in able if able[link] >= most * (1 - 1e-9))
        return busiest.name

    def _crossed(self, tasks: set[int]) -> set[int]:
        """Return the links that messages cross; one of a ring stands for those of all its lanes."""
        rings = [ring.exits for ring in self.program.rings if not tasks.isdisjoint(ring.exits)]
        return {link for task in tasks.union(*rings) for link in self.program.route(task)}

    def longest_queue(self, at_server: bool) -> str:
        """Return the link, or the server's CPU, that is queued for longest; '' where there is none."""
        waits: defaultdict[int, list[float]] = defaultdict(list)
        for segment in self.waits:
            if segment.cause in ("queue", "server") and self._is_at_server(segment) == at_server:
                waits[int(self.program.resource[segment.task])].append(segment.seconds)
        if not waits:
            return ""
        most = max(sorted(waits), key=lambda resource: math.fsum(waits[resource]))
        found = self.program.resources[most]
        if found.kind == "channel":
            return self.limiting_link()
        # Of equals, which queue the path happens to pass is a matter of the last digit: name the first.
        busy = {use.name: use.busy_frac for use in self.uses}
        return next(
            other.name
            for other in self.program.resources
            if other.kind == found.kind and busy.get(other.name, 0.0) >= busy[found.name] * (1 - 1e-9)
        )
