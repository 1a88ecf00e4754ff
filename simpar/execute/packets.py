"""A slow network for fast processes: messages cut into packets that queue at links.

Of what is sent over one channel (with ``sharing: fifo``, over the same link) the message at the head is on
its way; it has a few packets under way at once, each crosses the links of its route one after another, and
each link sends one packet at a time, in the order in which they come. So links are shared packet by packet,
as switches share them; nothing here knows of fair rates. A packet goes on to the next link as it comes in
(cut-through), and a message is there one latency after its last byte.

Start with :class:`Packets`; times are seconds of any clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from simpar.execute.homes import Homes
from simpar.program import Program

PACKET_BYTES = 1500
"""Bytes of a packet at least."""

MOST_PACKETS = 64
"""Packets of a message at most: as it shares links, each is a large part of what others wait for."""

PACKET_S = 1e-4
"""Seconds that a packet takes at least, so that one process can keep up with all of them."""

UNDER_WAY = 3
"""Packets of one message under way at once: one at each end, and one between."""


class Delivery(NamedTuple):
    """A message that is there."""

    task: int
    iteration: int
    started_s: float
    due_s: float


@dataclass(slots=True)
class _Message:
    task: int
    iteration: int
    route: tuple[int, ...]
    left: list[float]
    """Bytes of the packets that have not been sent, the last first."""
    latency: float
    priority: int
    lane: object
    flying: int = 0
    started_s: float = 0.0


@dataclass(slots=True)
class _Lane:
    """A channel: its messages go one after another."""

    waiting: list[tuple[int, int, _Message, float]] = field(default_factory=list)
    head: _Message | None = None


@dataclass(slots=True)
class _Link:
    rate: float
    free_s: float = 0.0
    """When it has sent what it has begun to; what is heard of late does not go before that."""
    queue: deque[tuple[float, int, _Message, float]] = field(default_factory=deque)
    busy: bool = False


class Packets:
    """All messages of one run on their way."""

    def __init__(self, program: Program, homes: Homes) -> None:
        self._program, self._homes = program, homes
        self._links = [_Link(link.bytes_per_s) for link in program.links]
        self._lanes: dict[object, _Lane] = {}
        self._routes: dict[int, tuple[int, ...]] = {}
        for number, first in homes.first.items():
            hops = range(first, homes.last[number] + 1)
            self._routes[first] = tuple(
                link for hop in hops if program.message[hop] == number for link in program.route(hop)
            )
        self._events: list[tuple[float, int, int, _Message, int, float]] = []
        self._turn = 0
        self._delivered: list[Delivery] = []

    def enter(self, task: int, iteration: int, at_s: float) -> None:
        """Let a message be sent at *at_s*, not before what entered before it."""
        program = self._program
        route, n_bytes = self._routes[task], float(program.bytes[task])
        stretch = program.stretch.get(task)
        if stretch is not None:
            n_bytes *= float(stretch[iteration])
        latency = float(program.latency[task])
        if not route:
            self._delivered.append(Delivery(task, iteration, at_s, at_s + latency))
            return
        slowest = min(self._links[link].rate for link in route)
        size = max(PACKET_BYTES, PACKET_S * slowest, n_bytes / MOST_PACKETS)
        is_flow = bool(program.are_flows[task])  # links that are taken whole take messages, not packets
        count = max(1, round(n_bytes / size)) if is_flow else 1
        lane = self._lane(task)
        priority = int(program.priority[task])
        message = _Message(task, iteration, route, [n_bytes / count] * count, latency, priority, lane)
        self._turn += 1
        heappush(lane.waiting, (priority, self._turn, message, at_s))
        if lane.head is None:
            self._begin(lane, at_s)

    def _lane(self, task: int) -> _Lane:
        """Return what a message waits in: its channel, or where links are taken whole, a lane of its own."""
        resource = int(self._program.resource[task])
        if not self._program.are_flows[task]:
            return _Lane()
        return self._lanes.setdefault(resource, _Lane())

    def _begin(self, lane: _Lane, now: float) -> None:
        """Let the next message of a lane be on its way."""
        if not lane.waiting:
            lane.head = None
            return
        _, _, message, entered = heappop(lane.waiting)
        lane.head = message
        message.started_s = max(now, entered)
        ready = message.started_s + self._overhead(message)
        for _ in range(min(UNDER_WAY, len(message.left))):
            self._send(message, ready)

    def _overhead(self, message: _Message) -> float:
        program = self._program
        if program.are_flows[message.task]:
            return float(program.overhead[message.task])
        first = self._links[message.route[0]].rate
        return max(0.0, float(program.seconds[message.task]) - float(program.bytes[message.task]) / first)

    def _send(self, message: _Message, ready: float) -> None:
        message.flying += 1
        self._arrive(message, 0, message.left.pop(), ready)

    def _arrive(self, message: _Message, hop: int, n_bytes: float, ready: float) -> None:
        """Let a packet come to a link of its route."""
        self._turn += 1
        heappush(self._events, (ready, self._turn, 0, message, hop, n_bytes))

    def _serve(self, number: int, now: float) -> None:
        """Let a link send the next packet."""
        link = self._links[number]
        if link.busy or not link.queue:
            return
        _, hop, message, n_bytes = link.queue.popleft()
        link.busy = True
        begin, seconds = max(now, link.free_s), n_bytes / link.rate
        link.free_s = begin + seconds
        self._turn += 1
        heappush(self._events, (link.free_s, self._turn, 1, message, hop, n_bytes))
        if hop + 1 < len(message.route):
            after = n_bytes / self._links[message.route[hop + 1]].rate
            self._arrive(message, hop + 1, n_bytes, begin + max(0.0, seconds - after))

    def next_s(self) -> float | None:
        """Return when something happens next; None where nothing is on its way."""
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> list[Delivery]:
        """Let everything happen that does until *now*, and return the messages whose last byte was sent."""
        while self._events and self._events[0][0] <= now:
            at_s, _, what, message, hop, n_bytes = heappop(self._events)
            number = message.route[hop]
            link = self._links[number]
            if what == 0:
                self._queue(link, (message.priority, hop, message, n_bytes))
            else:
                link.busy = False
                if hop == len(message.route) - 1:
                    self._land(message, at_s)
            self._serve(number, at_s)
        found, self._delivered = self._delivered, []
        return found

    def _queue(self, link: _Link, packet: tuple[float, int, _Message, float]) -> None:
        """Let a packet wait its turn: behind all that are as urgent."""
        place = len(link.queue)
        while place and link.queue[place - 1][0] > packet[0]:
            place -= 1
        link.queue.insert(place, packet)

    def _land(self, message: _Message, now: float) -> None:
        """Let a packet be there, and the next one go."""
        message.flying -= 1
        if message.left:
            self._send(message, now)
        elif not message.flying:
            due = now + message.latency
            self._delivered.append(Delivery(message.task, message.iteration, message.started_s, due))
            lane = message.lane
            assert isinstance(lane, _Lane)
            self._begin(lane, now)
