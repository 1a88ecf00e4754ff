"""A program as the flat columns that :mod:`simpar.simulate.loop` runs on, and the state of a run.

Which resources need their instances put in order is found here. A resource is *direct*, and needs no event,
where its instances come in the order in which it serves them anyway:

* one task uses it, whose instances become ready in the order of iterations; or
* all its tasks wait for one token, at distance 0 and with the same lag, from tasks of one FIFO resource; or
* each of its tasks waits for one token of the same FIFO resource, and for tasks that take no time; or
* each of its tasks waits, over others, for the one before it, and the first for the last of the iteration
  before.

Whether they really do is watched while the loop runs: what is assumed here costs time where it is wrong, and
never a wrong figure.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.program import NODE_BATCH, NODE_JOIN, NODE_RING, SHORTEST_S, Program
from simpar.simulate import places
from simpar.simulate.columns import Columns, State

MOST_RANKS = 1 << 30
"""Tasks of a template from which ranks no longer fit into keys; iterations may be as many."""


class Layout:
    """The columns of one program, as arrays, and what it takes to begin a run on them."""

    def __init__(self, program: Program, keep: int, by_events: bool, streams: bool) -> None:
        """Lay *program* out.

        Args:
            keep: the first iteration whose rows are kept.
            by_events: put everything in order by events, whether or not it would come in order.
            streams: keep only the first of what comes in order from one resource in the heap.
        """
        self.program, self.keep = program, keep
        tasks, self.resources = len(program), len(program.resources)
        self.kind = np.full(tasks, places.PLAIN, dtype=np.int32)
        self.kind[program.node == NODE_JOIN] = places.JOIN
        self.kind[program.node == NODE_BATCH] = places.GATHERING
        self.kind[program.node == NODE_RING] = places.RING
        self._edges()
        self._windows()
        self._serving()
        self._loose()
        direct = self._direct(by_events)
        self._rows()
        self._streams(direct, streams)
        batches = list(program.batches.values())
        senders = [len(batch.senders) for batch in batches]
        self.most_updates = [program.iterations * many for many in senders]
        channels = int((self.serves >= places.CHANNEL).sum())
        lanes = max((len(ring.exits) for ring in program.rings), default=0)
        out = max(lanes, int(np.bincount(self.source, minlength=1).max(initial=0)))
        seconds, durations = self._seconds()
        all_seconds, row_of = _flat(durations, tasks)
        all_stretches, stretch_row = _flat(program.stretch, tasks)
        batch_of = np.full(tasks, -1, dtype=np.int32)
        for number, batch in enumerate(batches):
            batch_of[batch.update] = number
        self.columns = Columns(
            tasks=tasks,
            iterations=program.iterations,
            batches=len(batches),
            streams=streams,
            margin=max(out, channels, len(batches)) + 8,
            burst=max(out, channels, *self.most_updates, len(batches)) + 8
            if batches
            else max(out, channels) + 8,
            kind=self.kind,
            resource=program.resource,
            seconds=seconds,
            row_of=row_of,
            all_seconds=all_seconds,
            slot=self.slot,
            is_direct=direct,
            stream_of=self.stream_of,
            batch_of=batch_of,
            queue_of=self.queue_of,
            latency=program.latency,
            tail=self._tail,
            overhead=program.overhead,
            size=program.bytes,
            stretch_row=stretch_row,
            all_stretches=all_stretches,
            row=self.row,
            row_step=self.row_step,
            first_edge=self.first_edge,
            last_edge=self.last_edge,
            source=self.source,
            target=self.target,
            distance=self.distance,
            lag=self.lag,
            lag_row=self.lag_row,
            all_lags=self.all_lags,
            at_start=self.at_start,
            is_only=self._only(direct),
            reply_code=self.reply_code,
            needs=self.needs,
            come=self.come,
            first_lane=self.first_lane,
            is_loose=self.is_loose,
            serves=self.serves,
            first_queue=self.first_queue,
            first_place=self.first_place,
            closes=np.array([_MODES[batch.mode] for batch in batches], dtype=np.int32),
            fills=np.array(
                [0 if batch.mode == "drain" else batch.count for batch in batches], dtype=np.int32
            ),
            timeout=np.array([batch.timeout_s for batch in batches], dtype=np.float64),
            update=np.array([batch.update for batch in batches], dtype=np.int32),
            first_update=_firsts(self.most_updates),
            answers_at_once=np.array([batch.at_once for batch in batches], dtype=np.int8),
            reply_of=np.array([reply for batch in batches for reply in batch.replies], dtype=np.int32),
        )

    # -- edges and windows ----------------------------------------------------------------------------

    def _edges(self) -> None:
        """Sort the edges by source, those from its start first, and the replies of batches behind them.

        An entry of a ring has an edge more, to the first exit, on which the ring's lanes are counted.
        """
        program, tasks = self.program, len(self.program)
        entries = [entry for ring in program.rings for entry in ring.entries]
        hubs = [ring.exits[0] for ring in program.rings for _ in ring.entries]
        lanes = [lane for ring in program.rings for lane in range(len(ring.entries))]
        sources = np.append(program.source, np.array(entries, dtype=np.int32))
        all_targets = np.append(program.target, np.array(hubs, dtype=np.int32))
        starting = np.append(program.at_start, np.zeros(len(entries), dtype=np.bool_))
        distances = np.append(program.distance, np.zeros(len(entries), dtype=np.int32))
        all_lag = np.append(program.lag, np.zeros(len(entries)))
        lane_of = np.append(np.full(len(program.source), -1, dtype=np.int32), np.array(lanes, dtype=np.int32))
        order = np.argsort(2 * sources.astype(np.int64) + ~starting, kind="stable")
        replies = [
            (sender, reply)
            for batch in program.batches.values()
            for sender, reply in zip(batch.senders, batch.replies, strict=True)
        ]
        code_of = {
            (node, sender): code
            for code, (node, sender) in enumerate(
                (node, sender) for node, batch in program.batches.items() for sender in batch.senders
            )
        }
        more = len(replies)
        source, at_start = sources[order], starting[order]
        self.source = np.concatenate([source, np.array([s for s, _ in replies], dtype=np.int32)])
        targets = np.array([max(r, 0) for _, r in replies], dtype=np.int32)
        self.target = np.concatenate([all_targets[order], targets])
        self.distance = np.concatenate([distances[order], np.zeros(more, dtype=np.int32)])
        self.lag = np.concatenate([all_lag[order], np.zeros(more)])
        self.at_start = np.concatenate([at_start, np.zeros(more, dtype=np.bool_)]).astype(np.int8)
        all_lags, lag_row = _flat(program.lags, len(order))
        self.all_lags, self.lag_row = all_lags, np.concatenate([lag_row[order], np.full(more, -1, np.int64)])
        self.reply_code = np.append(lane_of[order], np.full(more, -1, dtype=np.int32))
        if program.batches:
            for at, (u, v) in enumerate(zip(source.tolist(), all_targets[order].tolist(), strict=True)):
                self.reply_code[at] = code_of.get((v, u), self.reply_code[at])
        edges = np.searchsorted(source, np.arange(tasks + 1)).astype(np.int64)
        starts = np.bincount(source[at_start], minlength=tasks).astype(np.int64)
        own = len(order) + np.arange(more, dtype=np.int64)
        first, last = edges[:-1], edges[1:]
        self.first_edge = np.concatenate([first, first + starts, first, own])
        self.last_edge = np.concatenate([last, last, first + starts, own + 1])
        self._replied = targets[[r >= 0 for _, r in replies]] if more else targets

    def _windows(self) -> None:
        """Number the tasks that wait for several tokens, and the batches."""
        program, tasks = self.program, len(self.program)
        come = np.bincount(program.target, minlength=tasks)
        come += np.bincount(self._replied, minlength=tasks)
        for ring in program.rings:
            come[ring.exits[0]] = len(ring.entries)
        self.tokens = come
        waits = (self.kind == places.PLAIN) & (come > 1)
        windowed = np.flatnonzero(
            (self.kind == places.JOIN) | ((self.kind == places.RING) & (come > 0)) | waits
        )
        self.windowed = windowed
        self.slot = np.full(tasks, -1, dtype=np.int32)
        self.slot[windowed] = np.arange(len(windowed))
        for number, node in enumerate(program.batches):
            self.slot[node] = number
        self.come = come[windowed].astype(np.int32)
        self.needs = self.come.copy()
        for task, k in program.joins.items():
            self.needs[self.slot[task]] = min(k, come[task])
        self.first_lane = np.full(len(windowed), -1, dtype=np.int64)
        slots = self.slot[[ring.exits[0] for ring in program.rings]].astype(np.int64)
        lanes = _firsts([len(ring.exits) for ring in program.rings])
        self.first_lane[slots] = lanes[:-1]
        self.slot_of_lane = np.repeat(slots, np.diff(lanes))
        reach = np.zeros(tasks, dtype=np.int64)
        far = program.distance > 0  # as a rule, few are
        np.maximum.at(reach, program.target[far], program.distance[far])
        self.reach = reach

    # -- resources ------------------------------------------------------------------------------------

    def _serving(self) -> None:
        """Say how each resource serves, and lay out queues and places."""
        program = self.program
        capacity = np.array([resource.capacity for resource in program.resources], dtype=np.int64)
        self.capacity = capacity
        by_priority = np.array([r.discipline == "priority" for r in program.resources], dtype=np.bool_)
        channel = np.array([r.kind == "channel" for r in program.resources], dtype=np.bool_)
        serves = np.where(capacity > 1, places.PLACES, places.FIFO)
        lone = np.array(program.lone_rate, dtype=np.float64) > 0
        serves[lone] = places.LONE
        if self._is_contradictory():
            serves[:] = places.QUEUED
        serves[by_priority] = places.PRIORITY
        serves[channel & ~lone] = places.CHANNEL
        serves[channel & by_priority] = places.PRIORITY_CHANNEL
        self.serves = serves.astype(np.int32)
        self.first_place = _firsts(capacity.tolist())
        queues: list[list[int]] = [[0] for _ in program.resources]
        self.queue_of = np.full(len(program), -1, dtype=np.int32)
        on = program.resource >= 0
        if by_priority.any():
            for r in np.flatnonzero(by_priority).tolist():
                levels = np.unique(program.priority[program.resource == r]).tolist()
                queues[r] = levels or [0]
        self.first_queue = _firsts([len(levels) for levels in queues])
        self.queue_of[on] = self.first_queue[program.resource[on]]
        for r in np.flatnonzero(by_priority).tolist():
            mine = np.flatnonzero(program.resource == r)
            self.queue_of[mine] += np.searchsorted(queues[r], program.priority[mine]).astype(np.int32)

    def _is_contradictory(self) -> bool:
        """Say whether (ready, rank) and the order of grants in an instant can contradict each other.

        They can where a start reaches another task in the same instant from a resource of several places,
        or a later iteration through tasks that take nothing.
        """
        program = self.program
        least = program.lag.copy()
        for edge, lags in program.lags.items():
            least[edge] = lags.min()
        at_once = least == 0
        on = program.resource[program.source]
        several = np.array([resource.capacity > 1 for resource in program.resources], dtype=np.bool_)
        begins = at_once & program.at_start & (on >= 0)
        if begins.any() and several[on[begins]].any():
            return True
        through = at_once & (on < 0)  # what a task without resource sets off in its own instant
        if not through.any() or not begins.any():
            return False
        reached = np.zeros(len(program), dtype=np.bool_)
        reached[program.target[begins]] = True
        reached &= program.resource < 0
        while True:
            further = through & reached[program.source]
            if (further & (program.distance > 0)).any():
                return True
            found = program.target[further]
            found = found[(program.resource[found] < 0) & ~reached[found]]
            if not len(found):
                return False
            reached[found] = True

    def _seconds(self) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
        """Return how long each task occupies its resource, and by iteration where that differs.

        Messages on lone channels are among them; those on shared ones have no time of their own.
        """
        program = self.program
        if not any(program.lone_rate):
            return program.seconds, dict(program.durations)
        rate = np.append(program.lone_rate, 0.0)[program.resource]
        alone = np.flatnonzero(rate > 0)
        seconds, durations = program.seconds.copy(), dict(program.durations)
        sent_s = program.bytes[alone] / rate[alone]
        seconds[alone] = np.maximum(SHORTEST_S, program.overhead[alone] + sent_s)
        for task, factors in program.stretch.items():
            if rate[task] > 0:
                sent_s = program.bytes[task] * factors / rate[task]
                durations[task] = np.maximum(SHORTEST_S, program.overhead[task] + sent_s)
        return seconds, durations

    @cached_property
    def _tail(self) -> NDArray[np.float64]:
        """Return how long after its release of a lone channel each message is there; 0 for anything else."""
        rate = np.append(self.program.lone_rate, 0.0)[self.program.resource]
        return np.where(rate > 0, self.program.latency, 0.0)

    def _loose(self) -> None:
        """Find the tasks whose instances may become ready in another order than that of iterations."""
        program, tasks = self.program, len(self.program)
        loose = np.zeros(tasks, dtype=np.bool_)
        loose[[program.target[edge] for edge in program.lags]] = True
        loose[self._replied] = True
        loose[self.kind == places.GATHERING] = True
        for join in program.joins:
            waits = program.distance[program.target == join]
            loose[join] = bool((waits != waits[0]).any()) if len(waits) else False
        unordered = ~np.isin(self.serves, (places.FIFO, places.LONE, places.CHANNEL))
        on = program.resource
        scatters = np.zeros(tasks, dtype=np.bool_)
        scatters[on >= 0] = unordered[on[on >= 0]]
        while True:
            spread = (loose | scatters)[program.source] & ~loose[program.target]
            if not spread.any():
                break
            loose[program.target[spread]] = True
        self.loose = loose
        self.is_loose = loose[self.windowed].astype(np.int8)
        # Late tokens keep the place of a join's window, and so do those of a ring's that are on their way.
        self.is_loose[self.kind[self.windowed] != places.PLAIN] = 1

    def _direct(self, by_events: bool) -> NDArray[np.int8]:
        """Find the tasks that need no event."""
        program, tasks = self.program, len(self.program)
        direct = np.zeros(tasks, dtype=np.int8)
        on = program.resource
        direct[on < 0] = 1
        if by_events:
            return direct
        eager = self.serves < places.QUEUED
        used = np.bincount(on[on >= 0], minlength=self.resources)
        mine = np.flatnonzero(on >= 0)
        alone = mine[(used[on[mine]] == 1) & eager[on[mine]] & ~self.loose[mine]]
        direct[alone] = 1
        # All tasks of a resource that are fed by one other resource, in its order.
        feeder, how = self._feeders
        by_resource = mine[np.argsort(on[mine], kind="stable")]
        there = np.flatnonzero(used)
        first = np.searchsorted(on[by_resource], there)
        after = np.append(first[1:], len(by_resource))

        def is_one(values: NDArray[Any]) -> NDArray[np.bool_]:
            """Say which resources have the same of *values* (by task) for all their tasks."""
            here = values[by_resource]
            same: NDArray[np.bool_] = np.minimum.reduceat(here, first) == np.maximum.reduceat(here, first)
            return same

        several = eager[there] & (used[there] > 1)
        fed = (
            several & is_one(feeder) & is_one(how) & (feeder[by_resource[first]] >= 0)
            if len(there)
            else several
        )
        passed_on = several & ~fed
        passed_on[passed_on] = self._is_passed_on(there[passed_on])
        fed |= passed_on
        direct[mine[np.isin(on[mine], there[fed])]] = 1
        updates = set(program.batch_of_update)
        # Where nothing waits for the first in its own iteration, the second does not.
        leads = np.bincount(program.source[program.distance == 0], minlength=tasks) > 0
        several[several] = (leads & (self.kind != places.RING))[by_resource[first[several]]]
        for at in np.flatnonzero(several & ~fed).tolist():
            here = by_resource[first[at] : after[at]]
            if not updates.intersection(here.tolist()) and self._is_chain(here):
                direct[here] = 1
        return direct

    def _is_passed_on(self, resources: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say of *resources* whether all that comes to them from others comes from one, and in its order.

        Each of their tasks waits for one token of that resource at most, and for others without one, as the
        messages of a ring do.
        """
        program = self.program
        on = program.resource.astype(np.int64)
        asked = np.zeros(self.resources + 1, dtype=np.bool_)
        asked[resources] = True
        edges = np.flatnonzero(asked[on[program.target]] & (on[program.source] >= 0))
        source, target = on[program.source[edges]], on[program.target[edges]]
        least, most = np.full(self.resources, self.resources), np.full(self.resources, -1)
        np.minimum.at(least, target, source)
        np.maximum.at(most, target, source)
        twice = np.bincount(program.target[edges], minlength=len(program)) > 1
        loose = np.zeros(self.resources + 1, dtype=np.bool_)
        loose[on[twice | self.loose]] = True
        fifo = (self.serves == places.FIFO) | (self.serves == places.LONE)
        found: NDArray[np.bool_] = (least == most) & ~loose[:-1] & fifo
        found[found] = fifo[most[found]]
        return found[resources]

    def _only(self, direct: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return, by edge, whether it is all that its target waits for, and how that is looked at."""
        simple = (self.kind[self.target] == places.PLAIN) & (self.slot[self.target] < 0) & (self.lag_row < 0)
        how = np.where(direct[self.target] == 1, places.DIRECT, places.ORDERED)
        return np.where(simple, how, 0).astype(np.int8)

    @cached_property
    def _feeders(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """By task, the FIFO resource that its only token comes from (-1: none), and how it comes."""
        program, tasks = self.program, len(self.program)
        feeder = np.full(tasks, -1, dtype=np.int64)
        how = np.zeros(tasks)
        r = program.resource[program.source].astype(np.int64)
        fifo = np.append((self.serves == places.FIFO) | (self.serves == places.LONE), False)
        only = (self.tokens[program.target] == 1) & (program.distance == 0) & fifo[r]
        varying = np.zeros(len(r), dtype=np.bool_)
        varying[list(program.lags)] = True
        only &= ~varying
        feeder[program.target[only]] = r[only]
        how[program.target[only]] = np.where(
            program.at_start[only],
            -1.0 - program.lag[only],
            program.lag[only] + self._tail[program.source[only]],
        )
        return feeder, how

    def _is_chain(self, here: NDArray[np.int64]) -> bool:
        """Say whether each of the tasks *here* waits for the one before it, and the first for the last."""
        serves = self.serves[self.program.resource[here[0]]]
        if self.loose[here].any() or serves not in (places.FIFO, places.LONE):
            return False
        chain = here.tolist()
        members = set(chain)
        budget = 64 * len(chain) + 4096
        for at, task in enumerate(chain):
            wanted, far = (chain[at + 1], 0) if at + 1 < len(chain) else (chain[0], 1)
            seen = {(task, 0)}
            todo = [(task, 0)]
            found = False
            while todo and not found and budget > 0:
                u, d = todo.pop()
                budget -= 1
                for v, more in self._after(u):
                    step = (v, d + more)
                    if v == wanted and step[1] <= far:
                        found = True
                        break
                    if step[1] <= far and step not in seen and v not in members:
                        seen.add(step)
                        todo.append(step)
            if not found:
                return False
        return True

    def _after(self, task: int) -> list[tuple[int, int]]:
        """Return (task, distance) of the plain tasks, and of some lanes of a ring, that wait for *task*."""
        first, last, targets, distances, is_plain = self._lists
        found = [
            (targets[edge], distances[edge])
            for edge in range(first[task], last[task])
            if is_plain[targets[edge]]
        ]
        lanes = self._lanes_after.get(task)
        return [*found, (lanes[0], 0), (lanes[1], 0)] if lanes else found

    @cached_property
    def _lists(self) -> tuple[list[int], list[int], list[int], list[int], list[bool]]:
        """Where each task's edges begin and end, their targets and distances, and which tasks are plain."""
        edges = (self.first_edge, self.last_edge, self.target, self.distance)
        first, last, targets, distances = (column.tolist() for column in edges)
        return first, last, targets, distances, (self.kind == places.PLAIN).tolist()

    @cached_property
    def _lanes_after(self) -> dict[int, tuple[int, int]]:
        """By entry of a ring, the exits of its own lane and of the one before; the others wait for it too."""
        return {
            entry: (ring.exits[lane], ring.exits[lane - 1])
            for ring in self.program.rings
            for lane, entry in enumerate(ring.entries)
        }

    def _streams(self, direct: NDArray[np.int8], streams: bool) -> None:
        self.stream_of = np.full(len(self.program), -1, dtype=np.int32)
        if streams:
            feeder, _ = self._feeders
            plain = (direct == 0) & (self.kind == places.PLAIN)
            self.stream_of[plain] = feeder[plain]

    def _rows(self) -> None:
        """Number the rows: by (iteration, task) but for updates, whose rows follow."""
        program = self.program
        updates = program.batch_of_update
        periodic = self.kind != places.GATHERING
        periodic[list(updates)] = False
        self.periodic = np.flatnonzero(periodic)
        many = len(self.periodic)
        self.kept = max(0, program.iterations - self.keep)
        self.row = np.zeros(len(program), dtype=np.int64)
        self.row[self.periodic] = np.arange(many) - many * self.keep
        self.row_step = np.full(len(program), many, dtype=np.int64)
        at = many * self.kept
        for update in updates:
            self.row[update], self.row_step[update] = at, 1
            at += program.most_runs(update)
        self.rows = at if self.kept else 0

    # -- a run ----------------------------------------------------------------------------------------

    def state(self, width: int) -> State:
        """Return the state before anything has happened, as arrays.

        Args:
            width: iterations in a window, a power of 2 above all distances.
        """
        program, c = self.program, self.columns
        windows, batches, resources = len(self.windowed), c.batches, self.resources
        ring = 1 << max(6, int(c.burst * 2 + len(self._initial[0])).bit_length())
        nodes = 4 * c.margin + 64
        heap = nodes + len(self._initial[0])
        queues = int(self.first_queue[-1]) if resources else 0
        tokens = sum(self.most_updates)
        arrivals = program.iterations * int(sum(self.tokens[join] for join in program.joins))
        missing = np.repeat(self.needs[:, None], width, axis=1).astype(np.int32)
        coming = np.repeat(self.come[:, None], width, axis=1).astype(np.int32)
        self._early(missing, coming)
        counts = np.zeros(16, dtype=np.int64)
        counts[places.NODES] = nodes
        state = State(
            counts=counts,
            clocks=np.array([0.0, np.inf, 0.0, 0.0, 0.0, 0.0]),
            limits=np.array([self.keep if self.kept else 1 << 60, width, ring - 1, heap], dtype=np.int64),
            heap_time=np.zeros(heap),
            heap_key=np.zeros(heap, dtype=np.int64),
            ring_code=np.zeros(ring, dtype=np.int64),
            ring_iteration=np.zeros(ring, dtype=np.int64),
            ring_time=np.zeros(ring),
            node_time=np.zeros(nodes),
            node_key=np.zeros(nodes, dtype=np.int64),
            node_next=np.append(np.arange(1, nodes), -1).astype(np.int64),
            missing=missing.ravel(),
            coming=coming.ravel() if program.joins else np.zeros(1, dtype=np.int32),
            latest=np.zeros(windows * width),
            is_fired=np.zeros(windows * width, dtype=np.int8),
            entered=np.zeros(len(self.slot_of_lane) * width),
            fired=np.zeros(windows, dtype=np.int64),
            free=np.zeros(resources),
            busy=np.zeros(resources),
            last_ready=np.full(resources, -1.0),
            last_key=np.full(resources, -1, dtype=np.int64),
            place_free=np.zeros(int(self.first_place[-1])),
            places=self.capacity.copy(),
            is_offered=np.zeros(resources, dtype=np.int8),
            queue_head=np.full(queues, -1, dtype=np.int64),
            queue_tail=np.full(queues, -1, dtype=np.int64),
            stream_key=np.full(resources, -1, dtype=np.int64),
            stream_first=np.full(resources, -1, dtype=np.int64),
            stream_last=np.full(resources, -1, dtype=np.int64),
            stream_end=np.zeros(resources),
            stream_end_key=np.zeros(resources, dtype=np.int64),
            on_task=np.zeros(resources, dtype=np.int64),
            on_iteration=np.zeros(resources, dtype=np.int64),
            on_ready=np.zeros(resources),
            on_start=np.zeros(resources),
            token_code=np.zeros(tokens, dtype=np.int32),
            token_iteration=np.zeros(tokens, dtype=np.int32),
            token_next=np.full(tokens, -1, dtype=np.int32),
            token_number=np.zeros(tokens, dtype=np.int32),
            new=np.full(batches, -1, dtype=np.int64),
            new_last=np.full(batches, -1, dtype=np.int64),
            waiting=np.full(batches, -1, dtype=np.int64),
            waiting_last=np.full(batches, -1, dtype=np.int64),
            waiters=np.zeros(batches, dtype=np.int64),
            updates=np.zeros(batches, dtype=np.int64),
            is_asked=np.zeros(batches, dtype=np.int8),
            open_until=np.full(batches, -1.0),
            drain_last=np.full(batches, -1, dtype=np.int64),
            timed=np.full(batches, -1, dtype=np.int64),
            timer_due=np.full(batches, -1.0),
            expired=np.full(batches, -1, dtype=np.int64),
            members=np.full(tokens, -1, dtype=np.int64),
            is_short=np.zeros(tokens, dtype=np.int8),
            arrival_join=np.zeros(arrivals, dtype=np.int32),
            arrival_iteration=np.zeros(arrivals, dtype=np.int32),
            arrival_sender=np.zeros(arrivals, dtype=np.int32),
            arrival_time=np.zeros(arrivals),
            ready=np.zeros(self.rows),
            start=np.zeros(self.rows),
            end=np.zeros(self.rows),
        )
        self._begin(state, width)
        return state

    @cached_property
    def _initial(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(Tasks, iterations) of what waits for nothing, by task and iteration."""
        program = self.program
        least = np.full(len(program), program.iterations, dtype=np.int64)
        several = self.tokens[program.target] > 1
        least[program.target] = program.distance
        np.minimum.at(least, program.target[several], program.distance[several])
        least[self._replied] = 0
        many = np.zeros(len(program), dtype=np.int64)
        many[self.periodic] = np.minimum(least[self.periodic], program.iterations)
        many[self.kind == places.RING] = 0
        tasks = np.repeat(np.arange(len(program)), many)
        ends = np.cumsum(many)
        return tasks, np.arange(len(tasks)) - np.repeat(ends - many, many)

    def _early(self, missing: NDArray[np.int32], coming: NDArray[np.int32]) -> None:
        """Count the tokens of the first iterations, in which those from before the first do not come."""
        program = self.program
        late = np.flatnonzero((program.distance > 0) & (self.slot[program.target] >= 0))
        late = late[self.kind[program.target[late]] != places.GATHERING]
        distance = program.distance[late]
        for m in range(min(int(distance.max(initial=0)), missing.shape[1])):
            absent = self.slot[program.target[late[distance > m]]]
            coming[:, m] -= np.bincount(absent, minlength=len(coming)).astype(np.int32)
        early = min(int(distance.max(initial=0)), missing.shape[1])
        missing[:, :early] = np.minimum(missing[:, :early], coming[:, :early])

    def _begin(self, state: State, width: int) -> None:
        """Let everything be ready that waits for nothing."""
        tasks, iterations = self._initial
        direct = self.columns.is_direct[tasks] == 1
        many = int(direct.sum())
        state.ring_code[:many] = tasks[direct]
        state.ring_iteration[:many] = iterations[direct]
        state.counts[places.TAIL] = many
        keys = np.sort(tasks[~direct] * places.RANK + 2 * iterations[~direct])
        state.heap_key[: len(keys)] = keys  # sorted, and so a heap
        state.counts[places.EVENTS] = len(keys)
        # Windows of iterations that wait for nothing are as good as past.
        slots = self.slot[tasks]
        windowed = slots >= 0
        for slot, m in zip(slots[windowed].tolist(), iterations[windowed].tolist(), strict=True):
            at = slot * width + (m & (width - 1))
            state.fired[slot] = m + 1
            if m < width:
                state.missing[at] = self.needs[slot]
                if self.program.joins:
                    state.coming[at] = self.come[slot]


_MODES = {"count": places.COUNT, "drain": places.DRAIN, "timeout": places.TIMEOUT}


def _firsts(sizes: list[int]) -> NDArray[np.int64]:
    """Return where each of several stretches begins, and where the last ends: int64[sizes + 1]."""
    return np.concatenate([[0], np.cumsum(np.array(sizes, dtype=np.int64))]).astype(np.int64)


def _flat(table: Any, size: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the values of *table* in a row, and by key up to *size* where they begin (-1: no such key)."""
    at = np.full(size, -1, dtype=np.int64)
    found, begin = [], 0
    for key, values in sorted(table.items()):
        at[key] = begin
        found.append(np.asarray(values, dtype=np.float64))
        begin += len(values)
    return (np.concatenate(found) if found else np.zeros(1)), at
