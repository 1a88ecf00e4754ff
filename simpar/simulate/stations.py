"""What the reference engine is made of: an agenda of what an instant has to do, resources, instances.

They stand on SimPy's events and know nothing of programs but ranks and iterations. Start with
:mod:`simpar.simulate.reference`, which says how an instant is kept in order.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

import simpy
from simpy.events import NORMAL, Event

SETTLED = NORMAL + 1
"""Priority, among SimPy's events of one time, of what comes when all others have happened."""

BY_PRIORITY = 2**40
"""Place on the agenda of grants by priority, after those to any rank."""


class Agenda:
    """What is to be done in this instant once it has settled, in order, settling again after each."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._todo: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._number = itertools.count()
        self._is_due = False

    def add(self, place: int, call: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``call(argument)``, after all that has a smaller *place* or has the same one already."""
        heapq.heappush(self._todo, (place, next(self._number), call, argument))
        if not self._is_due:
            self._plan()

    def _plan(self) -> None:
        self._is_due = True
        settled = Event(self._env)
        settled._ok, settled._value = True, None
        settled.callbacks.append(self._go_on)
        self._env.schedule(settled, priority=SETTLED)  # type: ignore[arg-type]  # SimPy names 0 and 1 only

    def _go_on(self, _: Event) -> None:
        env, todo, now = self._env, self._todo, self._env.now
        while True:
            call, argument = heapq.heappop(todo)[2:]
            call(argument)
            if not todo:
                self._is_due = False
                return
            if env.peek() <= now:  # something settles before the next: SimPy comes back here
                self._plan()
                return


def happen(event: Event) -> None:
    """Let *event* happen here and now, not after whatever else is due in this instant."""
    event._ok, event._value = True, None
    waiting, event.callbacks = event.callbacks, None  # type: ignore[assignment]  # as SimPy marks the past
    for call in waiting:
        call(event)


class StoppedError(Exception):
    """Thrown into an instance that a join cancels."""


class Instance:
    """A task instance under way: what SimPy's own process does, without an event at its begin and its end."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Generator[Event, None, None]) -> None:
        self._steps = steps
        self._go_on()

    def stop(self) -> None:
        """End it here and now, where it holds or waits for its resource."""
        with suppress(StopIteration):
            self._steps.throw(StoppedError())

    def _go_on(self, _: Event | None = None) -> None:
        for event in self._steps:
            event.callbacks.append(self._go_on)
            return


class Station:
    """One resource: a queue in (ready, rank, iteration) order and ``capacity`` places.

    A priority resource puts the task's priority first.
    """

    def __init__(self, env: simpy.Environment, agenda: Agenda, capacity: int, by_priority: bool) -> None:
        self._env, self._agenda, self._free, self._by_priority = env, agenda, capacity, by_priority
        self._queue: list[tuple[int, float, int, int, Event]] = []

    def request(self, task: int, iteration: int, priority: int) -> Event:
        """Return an event that happens when the instance is granted a place."""
        granted = Event(self._env)
        first = priority if self._by_priority else 0
        heapq.heappush(self._queue, (first, self._env.now, task, iteration, granted))
        self._offer()
        return granted

    def withdraw(self, granted: Event) -> None:
        """Take the instance that waits for *granted* out of the queue."""
        self._queue = [waiting for waiting in self._queue if waiting[4] is not granted]
        heapq.heapify(self._queue)
        if self._queue:
            self._offer()

    def release(self) -> None:
        """Give a place back."""
        self._free += 1
        if self._queue:
            self._offer()

    def _offer(self) -> None:
        """Arrange for the head to be granted, where there is a place, once this instant has settled."""
        if self._free:
            rank = self._queue[0][2]
            # Priorities are compared when all that is ready is there, so their grants come after the others'.
            self._agenda.add(BY_PRIORITY if self._by_priority else rank, self._grant, rank)

    def _grant(self, rank: int) -> None:
        # Another instance may have come to the head since; its own offer is on the way then.
        if self._free and self._queue and (self._by_priority or self._queue[0][2] == rank):
            self._free -= 1
            happen(heapq.heappop(self._queue)[4])
            if self._queue:
                self._offer()
