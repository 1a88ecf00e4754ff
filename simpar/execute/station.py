"""One process of a program that really runs: what it does when what it waits for has come.

It performs the tasks that are its own, one after another, each as soon as all its tokens are there and the
device is free; what ends here sends tokens, here and to others. Joins and batches gather as they do in a
simulation, by the order in which tokens really come. Times are seconds since the start that all processes
agreed on, of one clock.

Start with :class:`Station`; :mod:`simpar.execute.numpy_backend` runs one a process.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Any, Protocol

from simpar.errors import EngineError
from simpar.execute.homes import Homes
from simpar.execute.mail import Note
from simpar.execute.order import Token
from simpar.execute.performing import Performer
from simpar.program import NODE_BATCH, NODE_JOIN, Program
from simpar.simulate.nodes import Gathering

Row = tuple[int, int, float, float, float]
"""Task, iteration, when it was ready, when it started and ended."""


class Post(Protocol):
    """How a process sends and receives: :class:`simpar.execute.mail.Mailbox` is."""

    def post(self, to: int, note: Note) -> int:
        """Send *note* to a process, and return how many bytes its arrays have."""
        ...

    def receive(self, seconds: float | None) -> list[Note]:
        """Return what has come; if nothing has, wait for it, at most so many seconds."""
        ...


@dataclass(slots=True)
class Done:
    """What one process has done."""

    rows: list[Row] = field(default_factory=list)
    members: list[tuple[int, int, int, int]] = field(default_factory=list)
    flushed: list[tuple[int, int]] = field(default_factory=list)
    dropped: list[tuple[int, int, int]] = field(default_factory=list)
    sent: dict[int, int] = field(default_factory=dict)
    """By message, the bytes of arrays that it carried to other processes."""


class Station:
    """The tasks of one process, in one run."""

    def __init__(
        self,
        program: Program,
        homes: Homes,
        place: int,
        performer: Performer,
        post: Post,
        *,
        paced: bool = False,
        network: int | None = None,
        at: Callable[[int, int], None] = lambda task, iteration: None,
    ) -> None:
        """Index what waits for what.

        Args:
            place: which of the processes of *homes* this is.
            performer: its workers and servers.
            paced: whether tasks take as long as the program says, if they are through earlier.
            network: the process that holds messages back for as long as they would be on their way; with
                None they are there when they are there.
            at: called before each task, so that others know where this process is.
        """
        self.program, self.homes, self.place, self.performer = program, homes, place, performer
        self.post, self.paced, self.network, self.at = post, paced, network, at
        self.done = Done()
        self._index_edges()
        self._gatherings = {
            node: Gathering(batch) for node, batch in program.batches.items() if homes.begins[node] == place
        }
        for gathering in self._gatherings.values():
            self._left += len(gathering.batch.senders) * program.iterations
        self._batch_of = {gathering.batch.update: node for node, gathering in self._gatherings.items()}
        self._loads: dict[tuple[int, int, int], Token] = {}  # by batch, sender and its iteration
        self._missing: dict[tuple[int, int], int] = {}
        self._tokens: dict[tuple[int, int], list[Token]] = {}
        self._came: dict[tuple[int, int], int] = {}  # tokens of a join so far
        self._ready: list[tuple[int, float, int, int]] = []
        self._held: dict[tuple[int, int], Any] = {}
        self._limbo: dict[tuple[int, int], Note] = {}  # messages that the network still has
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._turns = 0
        self._last_s = 0.0

    def _index_edges(self) -> None:
        program, homes, here = self.program, self.homes, self.place
        self._out: dict[int, list[tuple[int, int, float, bool]]] = {}
        self._far: dict[int, list[int]] = {}  # by task, other processes that wait for its end
        self._far_start: dict[int, list[int]] = {}
        into: dict[int, list[int]] = {}
        lags = program.lags
        for edge, (source, target, distance, lag, at_start) in enumerate(program.edges()):
            number = int(program.message[target])
            if number >= 0 and (number == program.message[source] or target != homes.first[number]):
                continue  # from link to link of one message
            home = homes.begins[target]
            if home == here:
                if program.node[target] != NODE_BATCH:
                    into.setdefault(target, []).append(distance)
                wait = self._wait_s(source, float(lags[edge].max()) if edge in lags else lag)
                self._out.setdefault(source, []).append((target, distance, wait, at_start))
            elif (homes.begins if at_start else homes.ends)[source] == here:
                far = self._far_start if at_start else self._far
                if home not in far.setdefault(source, []):
                    far[source].append(home)
        self._into = {task: sorted(distances) for task, distances in into.items()}
        updates = {batch.update for batch in program.batches.values()}
        self._replies = {reply for batch in program.batches.values() for reply in batch.replies}
        mine = [task for task in range(len(program)) if homes.begins[task] == here]
        self._starting = [task for task in mine if program.node[task] != NODE_BATCH and task not in updates]
        self._left = program.iterations * sum(
            1
            for task in range(len(program))
            if homes.ends[task] == here
            and program.node[task] != NODE_BATCH
            and task not in updates
            and (program.message[task] < 0 or task == homes.last[int(program.message[task])])
        )

    def _wait_s(self, source: int, lag: float) -> float:
        """Return the seconds that a token is kept although it is here: starts that are put off on purpose.

        Where a network holds messages back, what is done with those that have arrived takes its time, too.
        """
        program = self.program
        if program.ops[source].kind == "start":
            return lag
        if self.network is None or lag <= 0:
            return 0.0
        latency = 0.0 if program.are_flows[source] else float(program.latency[source])
        return max(0.0, lag - latency)

    # -- running -----------------------------------------------------------------------------------

    def start(self, at_s: float) -> None:
        """Begin at *at_s* of the clock: what waits for nothing is ready."""
        self._zero = at_s
        for task in self._starting:
            distances = self._into.get(task, [])
            for iteration in range(self.program.iterations):
                if self._needs(task, iteration) == 0:
                    self._become_ready(task, iteration)
                elif not distances or iteration >= distances[-1]:
                    break

    @property
    def is_over(self) -> bool:
        """Whether all that was to be done here has been."""
        return self._left == 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing happens here unless something comes."""
        return not self._ready and not self._timers

    def step(self, patience_s: float) -> bool:
        """Take in what has come, do what is next, and say whether there was anything.

        Args:
            patience_s: seconds to wait at most, where there is nothing to do.
        """
        wait = 0.0 if self._ready else patience_s
        if self._timers:
            wait = min(wait, self._timers[0][0] - self._now())
        notes = self.post.receive(wait)
        for note in notes:
            self._receive(note)
        while self._timers and self._timers[0][0] <= self._now():
            heappop(self._timers)[2]()
        if self._ready:
            self._perform()
            return True
        return bool(notes)

    def _now(self) -> float:
        """Return the time, later than ever before: what one process does one after another has an order."""
        now = time.perf_counter() - self._zero
        self._last_s = max(now, self._last_s + 1e-9)
        return self._last_s

    def _receive(self, note: Note) -> None:
        if note.what == "token":
            self._send(note.task, note.iteration, note.load, at_start=False)
        elif note.what == "start":
            self._send(note.task, note.iteration, note.load, at_start=True)
        elif self.network is None:
            self._arrive(note.task, note.iteration, note.sent_s, note.load)
        else:
            self._hold(note)

    def _hold(self, note: Note) -> None:
        """Keep a message until the network has it arrive; either may be heard of first."""
        other = self._limbo.pop((note.task, note.iteration), None)
        if other is None:
            self._limbo[note.task, note.iteration] = note
            return
        arrival, message = (note, other) if note.what == "arrival" else (other, note)
        self._arrive(note.task, note.iteration, arrival.sent_s, message.load, arrival.load)

    # -- tokens ------------------------------------------------------------------------------------

    def _needs(self, task: int, iteration: int) -> int:
        wanted = bisect_right(self._into.get(task, []), iteration) + (task in self._replies)
        return min(wanted, self.program.joins[task]) if self.program.node[task] == NODE_JOIN else wanted

    def _bring(self, target: int, iteration: int, token: Token) -> None:
        """Let a token come."""
        if target in self._gatherings:
            self._gather(target, token)
            return
        if iteration >= self.program.iterations:
            return
        key = target, iteration
        left = self._missing.get(key)
        if self.program.node[target] == NODE_JOIN and left == 0:
            self.done.dropped.append((target, iteration, token.task))
            return
        if token.load is not None:
            self._tokens.setdefault(key, []).append(token)
        left = (self._needs(target, iteration) if left is None else left) - 1
        self._missing[key] = left
        if left == 0:
            self._become_ready(target, iteration)

    def _become_ready(self, task: int, iteration: int) -> None:
        program, now = self.program, self._now()
        tokens = self._tokens.pop((task, iteration), [])
        tokens.sort(key=lambda token: (token.task, token.iteration))
        if program.node[task] != NODE_JOIN:
            self._missing.pop((task, iteration), None)
        held = self.performer.begin(task, iteration, tokens)
        if program.message[task] >= 0:
            self._begin_message(task, iteration, held, now)
        elif program.resource[task] < 0:
            self._start_sent(task, iteration, held)
            self._end(task, iteration, now, now, held)
        else:
            self._held[task, iteration] = held, now
            heappush(self._ready, (int(program.priority[task]), now, task, iteration))

    def _perform(self) -> None:
        """Do what is next."""
        _, ready, task, iteration = heappop(self._ready)
        held, _ = self._held.pop((task, iteration))
        self.at(task, iteration)
        if task in self._batch_of:
            node = self._batch_of[task]
            self._gatherings[node].start()
            members = self._gatherings[node].members[iteration]
            held = [self._loads.pop((node, *member)) for member in sorted(members)]
            held = [token for token in held if token.load is not None]
        start = self._now()
        self._start_sent(task, iteration, held)
        self._end(task, iteration, ready, start, held)

    def _end(self, task: int, iteration: int, ready: float, start: float, held: Any) -> None:
        program = self.program
        load = self.performer.finish(task, iteration, held)
        if self.paced and program.resource[task] >= 0:
            drawn = program.durations.get(task)
            seconds = program.seconds[task] if drawn is None else drawn[iteration]
            left = start + float(seconds) - (time.perf_counter() - self._zero)
            if left > 0:
                time.sleep(left)
        now = start if program.resource[task] < 0 else self._now()
        self.done.rows.append((task, iteration, ready, start, now))
        if task in self._batch_of:
            self._answer(task, iteration, load)
            return
        self._left -= 1
        self._send(task, iteration, load, at_start=False)
        for place in self._far.get(task, ()):
            self.post.post(place, Note("token", task, iteration, now, load))

    def _start_sent(self, task: int, iteration: int, held: Any) -> None:
        self._send(task, iteration, held, at_start=True)
        for place in self._far_start.get(task, ()):
            self.post.post(place, Note("start", task, iteration, self._last_s, held))

    def _send(self, task: int, iteration: int, load: Any, at_start: bool) -> None:
        """Let tokens go to what waits for *task* here."""
        for target, distance, wait, leaves_at_start in self._out.get(task, ()):
            if leaves_at_start != at_start:
                continue
            token, of = Token(task, iteration, load), iteration + distance
            if wait > 0:
                self._later(self._now() + wait, partial(self._bring, target, of, token))
            else:
                self._bring(target, of, token)

    def _later(self, at_s: float, what: Callable[[], None]) -> None:
        self._turns += 1
        heappush(self._timers, (at_s, self._turns, what))

    # -- messages ----------------------------------------------------------------------------------

    def _begin_message(self, task: int, iteration: int, load: Any, now: float) -> None:
        self._start_sent(task, iteration, load)
        to = self.homes.ends[task]
        if self.network is not None:
            self.post.post(self.network, Note("message", task, iteration, now))
        if to != self.place:
            size = self.post.post(to, Note("message", task, iteration, now, load))
            self.done.sent[task] = self.done.sent.get(task, 0) + size
        else:
            self._receive(Note("message", task, iteration, now, load))

    def _arrive(
        self, task: int, iteration: int, sent_s: float, load: Any, due_s: float | None = None
    ) -> None:
        """Let a message be here: all its links have carried it, at *due_s* where that is known."""
        now = self._now()
        ended = now if due_s is None else min(now, due_s)
        number = int(self.program.message[task])
        last = self.homes.last[number]
        for hop in range(task, last + 1):
            if self.program.message[hop] == number:
                self.done.rows.append((hop, iteration, sent_s, sent_s, ended))
        load = self.performer.finish(last, iteration, load)
        self._left -= 1
        self._send(last, iteration, load, at_start=False)
        for place in self._far.get(last, ()):
            self.post.post(place, Note("token", last, iteration, now, load))

    # -- batches -----------------------------------------------------------------------------------

    def _gather(self, node: int, token: Token) -> None:
        self._loads[node, token.task, token.iteration] = token
        gathering = self._gatherings[node]
        gathering.enter(token.task, token.iteration)
        self._turn(node)

    def _turn(self, node: int) -> None:
        gathering = self._gatherings[node]
        turn = gathering.turn()
        for reply, iteration in turn.answers:
            self._bring(reply, iteration, Token(node, iteration, None))
        if turn.timer is not None:
            number = turn.timer
            self._later(self._now() + gathering.batch.timeout_s, lambda: self._expire(node, number))
        self._ask(node, turn.updates)

    def _expire(self, node: int, number: int) -> None:
        self._gatherings[node].expire(number)
        self._turn(node)

    def _ask(self, node: int, numbers: list[int]) -> None:
        """Let updates be ready."""
        update = self._gatherings[node].batch.update
        for number in numbers:
            now = self._now()
            self._held[update, number] = [], now
            if self.program.resource[update] >= 0:
                heappush(self._ready, (int(self.program.priority[update]), now, update, number))
            else:
                self._perform_at_once(update, number, now)

    def _perform_at_once(self, update: int, number: int, now: float) -> None:
        node = self._batch_of[update]
        self._gatherings[node].start()
        members = self._gatherings[node].members[number]
        held = [self._loads.pop((node, *member)) for member in sorted(members)]
        self._held.pop((update, number))
        self._end(update, number, now, now, [token for token in held if token.load is not None])

    def _answer(self, update: int, number: int, load: Any) -> None:
        """Note whom an update served, and release their replies."""
        node = self._batch_of[update]
        gathering = self._gatherings[node]
        members = gathering.members[number]
        self.done.members += [(update, number, sender, iteration) for sender, iteration in members]
        if number in gathering.short:
            self.done.flushed.append((update, number))
        self._left -= len(members)
        for reply, iteration in gathering.replies(number):
            self._bring(reply, iteration, Token(update, number, load))

    def flush(self) -> bool:
        """Close the first batch that waits for more, as nothing can come; say whether there was one."""
        for node in sorted(self._gatherings):
            updates = self._gatherings[node].flush()
            if updates:
                self._ask(node, updates)
                return True
        return False

    def stuck(self) -> str:
        """Say what waits in vain."""
        waiting = sorted(key for key, left in self._missing.items() if left > 0)
        if not waiting:
            return "nothing"
        task, iteration = waiting[0]
        return f"{self.program.tasks[task]} of iteration {iteration}"


def check_over(station: Station) -> None:
    """Raise :class:`EngineError` where a run has ended and not everything has been done."""
    if not station.is_over:
        raise EngineError(f"{station.homes.names[station.place]} waits for {station.stuck()}")
