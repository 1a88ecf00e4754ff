"""One process of a real run: it performs its tasks when it is told to, reports, and goes when it is told to.

What it says of itself while it runs, whether it is over, idle, how many notes it has sent and received and
where it is, stands in shared memory, where whoever started it can read it at any time.

:class:`simpar.execute.numpy_backend.Crew` starts processes in :func:`enter`.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np

from simpar.execute.homes import Homes
from simpar.execute.mail import Mailbox, Note
from simpar.execute.optimizers import Optimizer
from simpar.execute.packets import Packets
from simpar.execute.parties import Array, Loss, Source, Trained
from simpar.execute.performing import Gradient, Performer
from simpar.execute.predictions import Prediction
from simpar.execute.shared import ByteRing, Doorbell, Memory, OrphanedError
from simpar.execute.station import Done, Station
from simpar.program import Program

OVER, IDLE, SENT, GOT, TASK, ITERATION = range(6)
"""Columns of what processes say of themselves, in the shared memory."""

IDLE_S = 0.05
"""Seconds after which a process that waits looks whether anything else is to be done."""


@dataclass(frozen=True)
class Job:
    """What is run, and how: the same for every process. All of it must pickle."""

    program: Program
    model: Trained
    parameters: Sequence[Array]
    source: Source
    optimizer: Callable[[], Optimizer]
    members: Callable[[int], Sequence[Array]] | None = None
    paced: bool = False
    """Whether tasks take at least as long as the program says."""
    throttled: bool = False
    """Whether messages take as long as the program's network has them."""


@dataclass
class Report:
    """What one process says of one run."""

    done: Done
    losses: list[Loss]
    gradients: list[Gradient]
    predictions: list[Prediction]
    parameters: dict[int, list[Any]]
    values: dict[tuple[int, int], Any]


class _Heard(Performer):
    """The parties of one process, and what comes of their ops."""

    losses: list[Loss]
    gradients: list[Gradient]
    predictions: list[Prediction]

    def listen(self) -> None:
        """Begin to keep what comes."""
        self.losses, self.gradients, self.predictions = [], [], []

    def noted(self, task: int, loss: Loss) -> None:
        """Keep a loss."""
        self.losses.append(loss)

    def applied(self, task: int, iteration: int, gradients: list[Gradient], samples: int, count: int) -> None:
        """Keep the gradients."""
        self.gradients += gradients

    def predicted(self, task: int, prediction: Prediction) -> None:
        """Keep a prediction."""
        self.predictions.append(prediction)


@dataclass(frozen=True)
class Lot:
    """Where in the shared memory everything is."""

    processes: int
    size: int
    status: int
    rings: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """By (from, to): where its counters are, where its bytes, and how many."""


# -- one process -----------------------------------------------------------------------------------


@dataclass
class Seat:
    """What a process is given to take part."""

    place: int
    name: str
    core: int | None
    lot: Lot
    memory: Any
    """The shared memory's file, as something that reaches the process."""
    bells: list[Any]
    """Pipes to write to, likewise."""
    ear: Any
    life: Any


def _sit(seat: Seat, job: Job, talk: Any) -> None:
    """Be one process: run when told to, report, and go when told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this says when to stop
    try:
        _work(seat, job, talk)
    except (OrphanedError, EOFError, BrokenPipeError):
        return
    except BaseException:
        talk.send(("failed", traceback.format_exc()))
        raise SystemExit(1) from None


def _work(seat: Seat, job: Job, talk: Any) -> None:
    if seat.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {seat.core})
    memory = Memory(seat.memory.detach(), seat.lot.size)
    doorbell = Doorbell(seat.ear.detach(), seat.life.detach())
    bells = [bell.detach() for bell in seat.bells]
    status = status_of(memory, seat.lot)
    mailbox = _mailbox(memory, seat.lot, seat.place, bells, doorbell)
    homes = Homes(job.program)
    talk.send(("ready", os.getpid()))
    while True:
        order = talk.recv()
        if order == "go":
            return
        if seat.place == len(homes):
            _carry(Packets(job.program, homes), homes, mailbox, status, talk)
        else:
            talk.send(("done", _run(seat.place, job, homes, mailbox, status, talk)))


class _Counted:
    """A mailbox, and in the shared memory how many notes it has sent and received."""

    def __init__(self, mailbox: Mailbox, row: Any) -> None:
        self._mailbox, self._row = mailbox, row

    def post(self, to: int, note: Note) -> int:
        """Send *note*, counted before anybody can have it."""
        self._row[SENT] += 1
        return self._mailbox.post(to, note)

    def receive(self, seconds: float | None) -> list[Note]:
        """Return what has come."""
        notes = self._mailbox.receive(seconds)
        if notes:
            self._row[IDLE] = 0
            self._row[GOT] += len(notes)
        return notes


def _run(place: int, job: Job, homes: Homes, mailbox: Mailbox, status: Any, talk: Any) -> Report:
    """Do what is to be done in one run."""
    row = status[place]
    with np.errstate(all="ignore"):
        performer = _Heard(
            job.program,
            job.model,
            job.parameters,
            job.source,
            job.optimizer,
            job.members,
            homes.worker(place),
            homes.server(place),
        )
        performer.listen()

        def at(task: int, iteration: int) -> None:
            row[TASK], row[ITERATION] = task, iteration

        station = Station(
            job.program,
            homes,
            place,
            performer,
            _Counted(mailbox, row),
            paced=job.paced,
            network=len(homes) if job.throttled else None,
            at=at,
        )
        talk.send(("set", None))
        start = talk.recv()
        _sleep_until(start)
        station.start(start)
        over = False
        while not over:
            busy = station.step(IDLE_S)
            row[OVER] = station.is_over
            if busy:
                row[IDLE] = 0
                continue
            row[IDLE] = station.is_idle
            while talk.poll():
                order = talk.recv()
                over = order == "end"
                if order == "flush":
                    row[IDLE] = 0
                    talk.send(("flushed", None if station.flush() else station.stuck()))
        parameters = {number: list(worker.parameters) for number, worker in performer.workers.items()}
        values = {key: server.values for key, server in performer.servers.items()}
    return Report(
        station.done, performer.losses, performer.gradients, performer.predictions, parameters, values
    )


def _carry(packets: Packets, homes: Homes, mailbox: Mailbox, status: Any, talk: Any) -> None:
    """Be the network in one run: hold messages back until they would be there."""
    row = status[len(homes)]
    box = _Counted(mailbox, row)
    talk.send(("set", None))
    zero = talk.recv()
    _sleep_until(zero)
    due: list[tuple[float, int, int, float]] = []
    row[OVER] = 1
    while True:
        now = time.perf_counter() - zero
        awaited = [at for at in (packets.next_s(), due[0][0] if due else None) if at is not None]
        notes = box.receive(min([IDLE_S, *(at - now for at in awaited)]))
        for note in sorted(notes, key=lambda one: (one.sent_s, one.task, one.iteration)):
            packets.enter(note.task, note.iteration, note.sent_s)
        now = time.perf_counter() - zero
        for one in packets.advance(now):
            heappush(due, (one.due_s, one.task, one.iteration, one.started_s))
        while due and due[0][0] <= now:
            due_s, task, iteration, started_s = heappop(due)
            box.post(homes.ends[task], Note("arrival", task, iteration, started_s, due_s))
        row[IDLE] = not notes and not due and packets.next_s() is None
        if row[IDLE] and talk.poll():
            order = talk.recv()
            if order == "end":
                break
            talk.send(("flushed", "nothing"))
    talk.send(("done", None))


def _sleep_until(at_s: float) -> None:
    """Sleep until a moment of the clock that all processes share."""
    left = at_s - time.perf_counter()
    if left > 0:
        time.sleep(left)


def status_of(memory: Memory, lot: Lot) -> Any:
    """Return what processes say of themselves: int64[processes, 8]."""
    return memory.array(lot.status, 8 * lot.processes, "int64").reshape(-1, 8)


def _mailbox(memory: Memory, lot: Lot, place: int, bells: Sequence[int], doorbell: Doorbell) -> Mailbox:
    def ring(pair: tuple[int, int]) -> ByteRing:
        counters, begin, size = lot.rings[pair]
        return ByteRing(memory.array(begin, size, "uint8"), memory.array(counters, 16, "int64"))

    out = {pair[1]: ring(pair) for pair in lot.rings if pair[0] == place}
    into = {pair[0]: ring(pair) for pair in lot.rings if pair[1] == place}
    return Mailbox(out, into, bells, doorbell)


# -- whoever starts them ---------------------------------------------------------------------------


def enter(seat: Seat, job: Job, talk: Any) -> None:
    """Begin a process."""
    _sit(seat, job, talk)
