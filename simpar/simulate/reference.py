"""The reference engine: a program as SimPy processes.

This is the readable statement of what :mod:`simpar.program` means, and the oracle for every faster
engine. A task instance is a generator of SimPy events; a resource is a *station*, because
``simpy.Resource`` serves in the order of requests and cannot keep the order rule: among instances
ready at one time, the lower rank goes first, whoever happened to ask first.
:mod:`simpar.simulate.stations` has both.

How an instant is kept in order. SimPy's own priorities, 0 and 1, are those of everything that only settles:
ends, lags, tokens, tasks without time. What has to wait until all that has happened is put on an
*agenda*, and done in this order:

=================  ==========================================================================
rank               one grant, to the head of a station's queue, the turn of a batch or dispatch node,
                   or a join that stops its late feeders; what it sets off settles before the next
last               grants by priority; then the network shares its links anew, once; then batches
                   that nothing more can come to are closed
=================  ==========================================================================

Users add their own processes: ``ReferenceEngine(program)`` holds ``env``, and whatever they start
there before :meth:`ReferenceEngine.run` runs among the tasks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import simpy
from simpy.events import Event, Timeout

from simpar.errors import EngineError
from simpar.program import NODE_BATCH, NODE_DISPATCH, NODE_JOIN, NODE_TASK, SHORTEST_S, Program
from simpar.program.collecting import uncollected
from simpar.simulate.network import FairNetwork
from simpar.simulate.nodes import Dispatching, Gathering, log
from simpar.simulate.rings import of_template
from simpar.simulate.stations import BY_PRIORITY, Agenda, Instance, Station, StoppedError, happen
from simpar.trace import Totals, Trace

SHARE = BY_PRIORITY + 1
"""Place of the network's sharing of its links."""

QUIET = SHARE + 1
"""Place of the look at whether anything is going to happen at all."""

REPORT_EVERY = 256
"""Instances between two calls of the progress callback."""

Progress = Callable[[int, int], None]

_Edge = tuple[int, int, float, list[float] | None]  # (target, distance, lag, lags by iteration of the target)
_Reached = tuple[int, int, int]  # (task, iteration, sender of the token)


def _totals(trace: Trace) -> Totals:
    """Return what *trace*, of all instances, comes to."""
    on = trace.resource >= 0
    seconds = (trace.free_s - trace.start_s)[on]
    busy = np.bincount(trace.resource[on], weights=seconds, minlength=len(trace.program.resources))
    return Totals(len(trace), float(trace.end_s.max(initial=0.0)), busy.astype(np.float64))


class ReferenceEngine:
    """Run one program with SimPy. Made for one run; :meth:`run` returns its trace."""

    def __init__(self, program: Program, progress: Progress | None = None) -> None:
        """Prepare *program*, which must be valid (:meth:`Program.check`); its rings are written out."""
        self._template, program = program, program.expanded()
        self.program = program
        self.env = simpy.Environment()
        self._progress = progress
        self._agenda = Agenda(self.env)
        self._stations = [
            Station(self.env, self._agenda, resource.capacity, resource.discipline == "priority")
            for resource in program.resources
        ]
        self._network = FairNetwork([link.bytes_per_s for link in program.links], program.shared_routes)
        self._lone_rate = program.lone_rate
        self._arrival: dict[int, Event] = {}  # by channel: the last byte of its head
        self._promise = 0  # number of the network's latest promise of a completion
        self._settling = False

        tasks, self._iterations = len(program), program.iterations
        self._resource = program.resource.tolist()
        self._seconds: list[float] = program.seconds.tolist()
        self._durations = {task: values.tolist() for task, values in program.durations.items()}
        self._bytes: list[float] = program.bytes.tolist()
        self._stretch = {task: values.tolist() for task, values in program.stretch.items()}
        self._overhead: list[float] = program.overhead.tolist()
        self._latency: list[float] = program.latency.tolist()
        self._priority: list[int] = program.priority.tolist()
        self._is_flow = [program.is_flow(task) for task in range(tasks)]
        lags = {edge: values.tolist() for edge, values in program.lags.items()}
        self._from_start: list[list[_Edge]] = [[] for _ in range(tasks)]
        self._from_end: list[list[_Edge]] = [[] for _ in range(tasks)]
        self._distances: list[list[int]] = [[] for _ in range(tasks)]
        for edge, (u, v, distance, lag, at_start) in enumerate(program.edges()):
            (self._from_start if at_start else self._from_end)[u].append((v, distance, lag, lags.get(edge)))
            self._distances[v].append(distance)
        self._node: list[int] = program.node.tolist()
        self._gathering = {node: Gathering(batch) for node, batch in program.batches.items()}
        self._update = {update: self._gathering[node] for update, node in program.batch_of_update.items()}
        for batch in program.batches.values():
            for reply in batch.replies:
                if reply >= 0:
                    self._distances[reply].append(0)  # the token of the update
        for dispatch in program.dispatches.values():
            for reply in dispatch.replies:
                if reply >= 0:
                    self._distances[reply].append(0)  # the token of a slice that is through
        self._dispatching = {node: Dispatching(one) for node, one in program.dispatches.items()}
        self._frees = {  # by the last task of a lane: its node and the lane
            lane[-1]: (node, number)
            for node, one in program.dispatches.items()
            for number, lane in enumerate(one.lanes)
        }
        self._runs = [program.most_runs(task) for task in range(tasks)]
        self._join_of = {task: join for join, feeders in program.feeders.items() for task in feeders}
        self._stopping: set[tuple[int, int]] = set()  # joins, by iteration, that have stopped their feeders
        self._running: dict[tuple[int, int], Instance] = {}  # feeders under way
        self._cancelled: dict[tuple[int, int], float] = {}  # the share of its work that each had done
        self._arrived: dict[tuple[int, int], list[tuple[float, int]]] = {}  # by join: (time, sender)
        self._under_way = 0  # instances that have not ended, tokens that have not arrived
        self._looking = False  # whether anything is going to happen
        self._awaited = [len(distances) for distances in self._distances]
        self._reach = [max(distances, default=0) for distances in self._distances]
        self._missing: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[int, int, float, float, float]] = []
        self._ready: deque[tuple[int, int]] = deque()

    # -- tokens ----------------------------------------------------------------------------------

    def _needed(self, task: int, iteration: int) -> int:
        """Return the number of tokens that an instance waits for."""
        if iteration >= self._reach[task]:
            come = self._awaited[task]
        else:
            come = sum(1 for distance in self._distances[task] if distance <= iteration)
        return come if self._node[task] != NODE_JOIN else min(come, self.program.joins[task])

    def _token(self, task: int, iteration: int, sender: int) -> None:
        """Let one token arrive; the last one that is awaited makes the instance ready."""
        if self._node[task] != NODE_TASK:
            self._node_token(task, iteration, sender)
            return
        instance = (task, iteration)
        missing = 1
        if self._awaited[task] > 1:
            missing = self._missing.pop(instance, 0) or self._needed(task, iteration)
        if missing > 1:
            self._missing[instance] = missing - 1
        else:
            self._ready.append(instance)

    def _node_token(self, task: int, iteration: int, sender: int) -> None:
        """Let one token arrive at a join, a batch or a dispatch node."""
        if self._node[task] == NODE_DISPATCH:
            if self._dispatching[task].enter(sender, iteration):
                self._agenda.add(task, self._hand_out, task)
            return
        if self._node[task] == NODE_BATCH:
            if self._gathering[task].enter(sender, iteration):
                self._agenda.add(task, self._turn, task)
            return
        arrived = self._arrived.setdefault((task, iteration), [])
        arrived.append((math.inf if (sender, iteration) in self._cancelled else self.env.now, sender))
        if len(arrived) == self._needed(task, iteration):
            self._ready.append((task, iteration))

    def _send(self, edges: list[_Edge], sender: int, iteration: int) -> None:
        """Send the tokens of *edges*, at once or after their lags."""
        for task, distance, lag, by_iteration in edges:
            target = iteration + distance
            if target >= self._runs[task]:
                continue
            if by_iteration is not None:
                lag = by_iteration[target]
            if lag == 0.0:
                self._token(task, target, sender)
            else:
                self._under_way += 1
                Timeout(self.env, lag, (task, target, sender)).callbacks.append(self._lagged)

    def _lagged(self, event: Event) -> None:
        reached: _Reached = event.value  # type: ignore[assignment]  # SimPy: of any type
        self._under_way -= 1
        self._token(*reached)
        self._settle()

    def _settle(self) -> None:
        """Start what is ready. Tasks without a resource happen here and now, and may make others ready."""
        ready, now = self._ready, self.env.now
        while ready:
            task, iteration = ready.popleft()
            stopped = bool(self._join_of) and (self._join_of.get(task, -1), iteration) in self._stopping
            if self._resource[task] >= 0 and not stopped:
                self._under_way += 1
                instance = Instance(self._instance(task, iteration))
                if task in self._join_of:
                    self._running[task, iteration] = instance
            else:
                if stopped:
                    self._cancelled[task, iteration] = 0.0
                elif task in self.program.feeders:
                    self._agenda.add(task, self._cancel, (task, iteration))
                self._record(task, iteration, now, now, now)
                self._send(self._from_start[task], task, iteration)
                self._ended(task, iteration)
        if self._gathering and not self._under_way and not self._looking:
            self._looking = True
            self._agenda.add(QUIET, self._look)

    def _ended(self, task: int, iteration: int) -> None:
        """Send what the end of an instance sets off; that of an update, the replies to its members."""
        self._send(self._from_end[task], task, iteration)
        if task in self._update:
            gathering = self._update[task]
            for reply, own in gathering.replies(iteration):
                self._token(reply, own, task)
        elif task in self._frees:
            node, lane = self._frees[task]
            for reply, own in self._dispatching[node].reply(iteration):
                self._token(reply, own, task)
            if self._dispatching[node].free(lane):
                self._agenda.add(node, self._hand_out, node)

    # -- joins that cancel, and dispatch nodes ---------------------------------------------------

    def _cancel(self, fired: tuple[int, int]) -> None:
        """Stop what feeds a join in an iteration in which it has fired, and has not ended."""
        join, iteration = fired
        self._stopping.add(fired)
        for task in self.program.feeders[join]:
            instance = self._running.pop((task, iteration), None)
            if instance is not None:
                instance.stop()
        self._settle()

    def _hand_out(self, node: int) -> None:
        """Let a dispatch node send slices to idle devices."""
        dispatching = self._dispatching[node]
        lanes = dispatching.dispatch.lanes
        self._ready.extend((lanes[lane][0], number) for lane, number in dispatching.turn())
        self._settle()

    # -- batches ---------------------------------------------------------------------------------

    def _turn(self, node: int) -> None:
        """Let a batch node take in what has come in this instant."""
        gathering = self._gathering[node]
        batch, turn = gathering.batch, gathering.turn()
        self._ready.extend((batch.update, number) for number in turn.updates)
        for reply, iteration in turn.answers:
            self._token(reply, iteration, node)
        if turn.timer is not None:
            timer = self.env.timeout(batch.timeout_s, (node, turn.timer))
            timer.callbacks.append(self._expire)
        self._settle()

    def _expire(self, event: Event) -> None:
        expired: tuple[int, int] = event.value  # type: ignore[assignment]  # SimPy: of any type
        node, number = expired
        if self._gathering[node].expire(number):
            self._agenda.add(node, self._turn, node)

    def _look(self, _: None) -> None:
        """Close all batches short where nothing is under way that could bring them one more token."""
        self._looking = False
        if self._under_way or any(gathering.is_timed for gathering in self._gathering.values()):
            return
        for gathering in self._gathering.values():
            self._ready.extend((gathering.batch.update, number) for number in gathering.flush())
        if self._ready:
            self._settle()

    # -- instances -------------------------------------------------------------------------------

    def _instance(self, task: int, iteration: int) -> Generator[Event, None, None]:
        """One task in one iteration, from ready to end."""
        env, ready = self.env, self.env.now
        resource = self._resource[task]
        station = self._stations[resource]
        granted, start, sending = station.request(task, iteration, self._priority[task]), -1.0, 0.0
        try:
            yield granted
            start = env.now
            if task in self._update:
                self._update[task].start()
            if self._from_start[task]:
                self._send(self._from_start[task], task, iteration)
                self._settle()
            if self._is_flow[task]:
                stretch = self._stretch.get(task)
                n_bytes = self._bytes[task] * (1.0 if stretch is None else stretch[iteration])
                if self._lone_rate[resource]:
                    sending_s = self._overhead[task] + n_bytes / self._lone_rate[resource]
                    yield Timeout(env, max(SHORTEST_S, sending_s))
                else:
                    if self._overhead[task]:
                        yield Timeout(env, self._overhead[task])
                    if n_bytes:
                        sending = n_bytes
                        yield self._transmit(resource, n_bytes)
            else:
                by_iteration = self._durations.get(task)
                yield Timeout(env, self._seconds[task] if by_iteration is None else by_iteration[iteration])
            station.release()
        except StoppedError:
            if start < 0.0:
                start = env.now
                station.withdraw(granted)
                self._send(self._from_start[task], task, iteration)
            else:
                station.release()
            self._cancelled[task, iteration] = self._done(task, iteration, start, sending)
        if self._join_of:
            self._running.pop((task, iteration), None)
        if self._latency[task] and self._is_flow[task] and (task, iteration) not in self._cancelled:
            yield Timeout(env, self._latency[task])  # what has been sent arrives, whoever waits for it
        self._record(task, iteration, ready, start, env.now)
        self._under_way -= 1
        self._ended(task, iteration)
        self._settle()

    def _done(self, task: int, iteration: int, start: float, sending: float) -> float:
        """Return the share of its work that an instance has done that stops now.

        Args:
            sending: bytes that it transmits over links that it shares; 0 where it does not.
        """
        spent, resource = self.env.now - start, self._resource[task]
        if sending:
            del self._arrival[resource]
            left = self._network.stop(resource, self.env.now)
            self._share()
            return 1.0 - left / sending
        if self._is_flow[task]:
            if not self._lone_rate[resource]:
                return 0.0  # its overhead is not over
            stretch = self._stretch.get(task)
            n_bytes = self._bytes[task] * (1.0 if stretch is None else stretch[iteration])
            sent = (spent - self._overhead[task]) * self._lone_rate[resource]
            return max(0.0, sent / n_bytes) if n_bytes else 0.0
        by_iteration = self._durations.get(task)
        return spent / (self._seconds[task] if by_iteration is None else by_iteration[iteration])

    def _record(self, task: int, iteration: int, ready: float, start: float, end: float) -> None:
        self._rows.append((iteration, task, ready, start, end))
        if self._progress and len(self._rows) % REPORT_EVERY == 0:
            self._progress(len(self._rows), len(self.program) * self.program.iterations)

    # -- the network -----------------------------------------------------------------------------

    def _transmit(self, channel: int, n_bytes: float) -> Event:
        """Return an event that happens at the last byte."""
        arrival = self._arrival[channel] = Event(self.env)
        self._network.start(channel, n_bytes)
        self._share()
        return arrival

    def _share(self) -> None:
        """Have the network share its links anew at the end of this instant, once."""
        if not self._settling:
            self._settling = True
            self._agenda.add(SHARE, self._settle_network)

    def _settle_network(self, _: None) -> None:
        self._settling = False
        wait = self._network.settle(self.env.now)
        self._promise += 1
        if wait < float("inf"):
            promised = self.env.timeout(wait, self._promise)
            promised.callbacks.append(self._completion)

    def _completion(self, event: Event) -> None:
        if event.value != self._promise:
            return  # the rates have changed since
        for channel in self._network.complete():
            happen(self._arrival.pop(channel))
        self._share()

    # -- the run ---------------------------------------------------------------------------------

    def run(self) -> Trace:
        """Run to the end and return the trace.

        Raises:
            EngineError: some instances never became ready; the message names them and what they wait for.
        """
        for task in self._periodic():
            for iteration in range(self.program.iterations):
                if self._needed(task, iteration) == 0:
                    self._ready.append((task, iteration))
                elif iteration >= self._reach[task]:
                    break
        self._settle()
        with uncollected():
            self.env.run()
        updates = sum(len(gathering.members) for gathering in self._gathering.values())
        for dispatching in self._dispatching.values():
            lanes = dispatching.dispatch.lanes
            updates += sum(len(lanes[lane]) for lane, _ in dispatching.sent)
        expected = len(self._periodic()) * self.program.iterations + updates
        if len(self._rows) < expected:
            raise EngineError(self._stuck())
        if self._progress:
            self._progress(expected, expected)
        columns: list[Any] = list(zip(*self._rows, strict=True)) if self._rows else [()] * 5
        iterations, tasks = (np.array(column, dtype=np.int32) for column in columns[:2])
        order = np.lexsort((tasks, iterations))
        ready_s, start_s, end_s = (np.array(column, dtype=np.float64)[order] for column in columns[2:])
        trace = Trace(
            program=self.program,
            engine="reference",
            task=tasks[order],
            iteration=iterations[order],
            resource=self.program.resource[tasks[order]],
            ready_s=ready_s,
            start_s=start_s,
            end_s=end_s,
            nodes=log(
                self.program,
                self._gathering.values(),
                self._arrived,
                self._dispatching.values(),
                self._cancelled,
            )
            if self._gathering or self._dispatching or self.program.joins
            else None,
        )
        trace = replace(trace, totals=_totals(trace))
        return of_template(trace, self._template) if self._template.rings else trace

    def _periodic(self) -> list[int]:
        """Return the tasks that run once an iteration, which nodes without instances do not set off."""
        return [
            task
            for task in range(len(self.program))
            if self._node[task] not in (NODE_BATCH, NODE_DISPATCH) and task not in self.program.numbered
        ]

    def _stuck(self) -> str:
        seen = {(row[1], row[0]) for row in self._rows}
        waiting = sorted(self._missing, key=lambda instance: (instance[1], instance[0]))[:5]
        if not waiting:
            first = next(
                (task, iteration)
                for iteration in range(self.program.iterations)
                for task in self._periodic()
                if (task, iteration) not in seen
            )
            waiting = [first]
        named = ", ".join(
            f"{self.program.tasks[task]} of iteration {iteration} "
            f"(lacks {self._missing.get((task, iteration), self._needed(task, iteration))} of "
            f"{self._needed(task, iteration)} tokens)"
            for task, iteration in waiting
        )
        last = self._rows[-1] if self._rows else None
        story = (
            f"; the last to end was {self.program.tasks[last[1]]} of iteration {last[0]} at {last[4]:.9g} s"
            if last
            else ""
        )
        return f"deadlock in {self.program.name}: {len(seen)} instances ran, waiting are {named}{story}"
