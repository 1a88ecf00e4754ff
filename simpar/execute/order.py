"""The instances of a trace one after another: nobody before what it waited for, otherwise as they ended.

Along every edge of the program goes a *token*, and with it whatever the instance that sent it had to give:
a gradient, parameters, an activation. An instance *begins* when it has all its tokens and *finishes* when
those that ended before it have. So what a message carries is what its sender had when it began to wait for
its turn, however long it is on its way; and a server does everything in the order in which the trace ends it.

Ends that are equal go by task and iteration, as :mod:`simpar.result.staleness` counts them. Whom a server
answers without waiting for the update that its push is in, it answers before that update, and after those
before it.

Start with :class:`Order`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from simpar.errors import EngineError
from simpar.program import NODE_BATCH, NODE_DISPATCH, NODE_JOIN
from simpar.trace import Trace


class Token(NamedTuple):
    """What an instance got from one that it waited for."""

    task: int
    iteration: int
    """Who sent it."""
    load: Any
    """What came with it; never None."""


Begin = Callable[[int, int, list[Token]], Any]
"""Given task, iteration and the tokens that brought something, in the order of their senders, returns what
the instance holds until it finishes."""

Finish = Callable[[int, int, Any], Any]
"""Given task, iteration and what it holds, returns what its tokens bring; None for nothing."""


class Order:
    """Takes the instances of one trace in order; see :meth:`run`."""

    def __init__(self, trace: Trace) -> None:
        """Index the edges out of each task.

        Raises:
            EngineError: the trace has not all rows of its run.
        """
        self.trace, self.program = trace, trace.program
        program = self.program
        self._tasks = len(program)
        self._ends: dict[int, float] = dict(
            zip(
                (trace.iteration.astype("int64") * self._tasks + trace.task).tolist(),
                trace.end_s.tolist(),
                strict=True,
            )
        )
        self._out: list[list[tuple[int, int, bool]]] = [[] for _ in range(self._tasks)]
        into: list[list[int]] = [[] for _ in range(self._tasks)]
        for source, target, distance, _, at_start in program.edges():
            if program.node[target] not in (NODE_BATCH, NODE_DISPATCH):
                self._out[source].append((target, distance, at_start))
                into[target].append(distance)
        for ring in program.rings:  # every chunk that leaves a lane in the last round has been through all
            for leaving in ring.exits:
                for entry in ring.entries:
                    self._out[entry].append((leaving, 0, False))
                    into[leaving].append(0)
        self._distances = [sorted(one) for one in into]
        self._dropped: set[tuple[int, int, int]] = set()
        self._late: dict[tuple[int, int], int] = {}
        self._index_nodes()
        self._missing: dict[int, int] = {}
        self._tokens: dict[int, list[Token]] = {}
        self._heap: list[tuple[float, int, int, int, int]] = []
        self._held: dict[int, Any] = {}

    def _index_nodes(self) -> None:
        """Index who came too late to joins, and which updates and replies wait for whom."""
        program, nodes = self.program, self.trace.nodes
        if (program.joins or program.batches or program.dispatches) and nodes is None:
            raise EngineError(f"the trace of {program.name} does not say what its joins and batches did")
        self._awaited: dict[int, int] = {}  # tokens of updates and replies, beside those over edges
        self._served: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._answers: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._before: dict[int, tuple[int, int]] = {}  # the update that an early reply precedes
        if nodes is None:
            return
        for join, iteration, sender in nodes.dropped.tolist():
            self._dropped.add((join, iteration, sender))
            self._late[join, iteration] = self._late.get((join, iteration), 0) + 1
        self._served = nodes.update_of
        for (update, number), members in nodes.members_of.items():
            if update in program.lane_of:
                self._index_slice(update, number, *members[0])
                continue
            batch = program.batches[program.batch_of_update[update]]
            reply_of = dict(zip(batch.senders, batch.replies, strict=True))
            self._awaited[number * self._tasks + update] = len(members)
            waiting = 0 if (update, number) in nodes.short else 1
            early = len(members) - waiting if batch.at_once else 0
            for place, (sender, iteration) in enumerate(members):
                reply = reply_of[sender]
                if reply < 0:
                    continue
                self._awaited[iteration * self._tasks + reply] = 1
                if place < early:
                    self._before[iteration * self._tasks + reply] = (update, number)
                giver = (sender, iteration) if place < early else (update, number)
                self._answers.setdefault(giver, []).append((reply, iteration))

    def _index_slice(self, first: int, number: int, sender: int, iteration: int) -> None:
        """Index where a slice went that was handed out, and who is answered when it is through."""
        node, lane = self.program.lane_of[first]
        dispatch = self.program.dispatches[node]
        self._awaited[number * self._tasks + first] = 1
        reply = dispatch.replies[dispatch.senders.index(sender)]
        if reply >= 0:
            self._awaited[iteration * self._tasks + reply] = 1
            self._answers.setdefault((dispatch.lanes[lane][-1], number), []).append((reply, iteration))

    # -- going through -----------------------------------------------------------------------------

    def run(self, begin: Begin, finish: Finish, done: Callable[[], bool] = lambda: False) -> int:
        """Take the instances in order and return how many finished: all, or those until *done* says so.

        Raises:
            EngineError: the trace lacks instances, or none can go on.
        """
        self._begin = begin
        for task, iteration in self._first():
            self._start(task, iteration)
        count = 0
        while self._heap and not done():
            _, _, _, _, key = heappop(self._heap)
            iteration, task = divmod(key, self._tasks)
            load = finish(task, iteration, self._held.pop(key))
            count += 1
            self._send(task, iteration, load, at_start=False)
        if not self._heap and not done() and count < len(self._ends):
            stuck = next(key for key in sorted(self._ends) if self._missing.get(key, 1) > 0)
            iteration, task = divmod(stuck, self._tasks)
            raise EngineError(
                f"{self.program.tasks[task]} of iteration {iteration} waits for what the trace of "
                f"{self.program.name} does not have"
            )
        return count

    def _first(self) -> Iterator[tuple[int, int]]:
        """Yield the instances that wait for nothing."""
        program = self.program
        for task, distances in enumerate(self._distances):
            if program.node[task] in (NODE_BATCH, NODE_DISPATCH) or task in program.numbered:
                continue
            for iteration in range(program.iterations):
                if self._needs(task, iteration) == 0:
                    yield task, iteration
                elif not distances or iteration >= distances[-1]:
                    break

    def _needs(self, task: int, iteration: int) -> int:
        """Return how many tokens an instance waits for."""
        wanted = self._awaited.get(iteration * self._tasks + task, 0)
        if task in self.program.batch_of_update:
            return wanted
        wanted += bisect_right(self._distances[task], iteration)
        if self.program.node[task] == NODE_JOIN:
            wanted -= self._late.get((task, iteration), 0)
        return wanted

    def _start(self, task: int, iteration: int) -> None:
        key = iteration * self._tasks + task
        end = self._ends.get(key)
        if end is None:
            name = self.program.tasks[task]
            raise EngineError(
                f"the trace of {self.program.name} has no {name} of iteration {iteration}; all rows of a run "
                "are needed"
            )
        self._missing[key] = 0
        tokens = self._tokens.pop(key, [])
        tokens.sort(key=lambda token: (token.task, token.iteration))
        held = self._held[key] = self._begin(task, iteration, tokens)
        rank, turn, place = task, iteration, 1
        if key in self._before:
            (rank, turn), place = self._before[key], 0
        heappush(self._heap, (end, rank, turn, place, key))
        self._send(task, iteration, held, at_start=True)

    def _send(self, task: int, iteration: int, load: Any, at_start: bool) -> None:
        """Let the tokens go that leave at the start of an instance, or those that leave at its end."""
        for target, distance, leaves_at_start in self._out[task]:
            if leaves_at_start == at_start and (target, iteration + distance, task) not in self._dropped:
                self._bring(target, iteration + distance, task, iteration, load)
        if at_start:
            return
        for update, number in self._served.get((task, iteration), ()):
            self._bring(update, number, task, iteration, load)
        for reply, of in self._answers.get((task, iteration), ()):
            self._bring(reply, of, task, iteration, load)

    def _bring(self, target: int, iteration: int, source: int, of: int, load: Any) -> None:
        if iteration >= self.program.iterations and target not in self.program.numbered:
            return
        key = iteration * self._tasks + target
        if load is not None:
            self._tokens.setdefault(key, []).append(Token(source, of, load))
        left = self._missing.get(key)
        left = (self._needs(target, iteration) if left is None else left) - 1
        self._missing[key] = left
        if left == 0:
            self._start(target, iteration)
