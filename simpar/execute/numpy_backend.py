"""A program really run on this machine: one process a device, one a server, real arithmetic, real messages.

Every process performs the tasks that are its own (:mod:`simpar.execute.station`) on its own copy of the
parameters, with one thread of BLAS; devices are pinned to cores in turn. Messages go through memory that the
processes share. With *throttled*, one more process holds them back for as long as the scenario's network
would have them on their way (:mod:`simpar.execute.packets`); with *paced*, tasks take as long as the program
says if they are through earlier: so a laptop can stand for a cluster.

Nothing is left behind, however it ends: the memory has no name, and a process whose starter is gone goes,
too. If one dies the others are stopped, and it is said which, at which task, and of what.

Start with :func:`execute`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from multiprocessing import connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from simpar.errors import ExecutionError
from simpar.execute.homes import Homes
from simpar.execute.mail import Mailbox, Note
from simpar.execute.optimizers import Optimizer
from simpar.execute.packets import Packets
from simpar.execute.parties import Array, Loss, Source, Trained
from simpar.execute.performing import Gradient, Performer
from simpar.execute.predictions import Prediction
from simpar.execute.shared import ByteRing, Doorbell, Memory, OrphanedError, aligned, ring_bell
from simpar.execute.station import Done, Station
from simpar.program import Program
from simpar.trace import NodeLog, Trace

IDLE_S = 0.05
"""Seconds after which a process that waits looks whether anything else is to be done."""

AHEAD_S = 0.02
"""Seconds from the word to start until the start."""

SMALLEST, LARGEST = 1 << 16, 1 << 24
"""Bytes of the memory between two processes."""

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What BLAS libraries read when they are loaded."""

_OVER, _IDLE, _SENT, _GOT, _TASK, _ITERATION = range(6)
"""Columns of what processes say of themselves, in the shared memory."""


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


@dataclass(frozen=True, eq=False)
class Executed:
    """What one run came to."""

    trace: Trace
    parameters: list[Array]
    """All parameter tensors at the end, in the model's order."""
    replicas: dict[int, list[Array]]
    """By worker, the tensors that it holds at the end."""
    losses: list[Loss]
    gradients: list[Gradient]
    """Of every gradient that a server applied, in the order of time."""
    predictions: list[Prediction]
    pids: dict[str, int]
    """By device and server, the process that it was."""
    sent_bytes: dict[int, int]
    """By message, as its first task, the bytes of arrays that it carried to another process in the run."""


@dataclass
class _Report:
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
class _Lot:
    """Where in the shared memory everything is."""

    processes: int
    size: int
    status: int
    rings: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """By (from, to): where its counters are, where its bytes, and how many."""


# -- one process -----------------------------------------------------------------------------------


@dataclass
class _Seat:
    """What a process is given to take part."""

    place: int
    name: str
    core: int | None
    lot: _Lot
    memory: Any
    """The shared memory's file, as something that reaches the process."""
    bells: list[Any]
    """Pipes to write to, likewise."""
    ear: Any
    life: Any


def _sit(seat: _Seat, job: Job, talk: Any) -> None:
    """Be one process: run when told to, report, and go when told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this says when to stop
    try:
        _work(seat, job, talk)
    except (OrphanedError, EOFError, BrokenPipeError):
        return
    except BaseException:
        talk.send(("failed", traceback.format_exc()))
        raise SystemExit(1) from None


def _work(seat: _Seat, job: Job, talk: Any) -> None:
    if seat.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {seat.core})
    memory = Memory(seat.memory.detach(), seat.lot.size)
    doorbell = Doorbell(seat.ear.detach(), seat.life.detach())
    bells = [bell.detach() for bell in seat.bells]
    status = _status(memory, seat.lot)
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
        self._row[_SENT] += 1
        return self._mailbox.post(to, note)

    def receive(self, seconds: float | None) -> list[Note]:
        """Return what has come."""
        notes = self._mailbox.receive(seconds)
        if notes:
            self._row[_IDLE] = 0
            self._row[_GOT] += len(notes)
        return notes


def _run(place: int, job: Job, homes: Homes, mailbox: Mailbox, status: Any, talk: Any) -> _Report:
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
            row[_TASK], row[_ITERATION] = task, iteration

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
            row[_OVER] = station.is_over
            if busy:
                row[_IDLE] = 0
                continue
            row[_IDLE] = station.is_idle
            while talk.poll():
                order = talk.recv()
                over = order == "end"
                if order == "flush":
                    row[_IDLE] = 0
                    talk.send(("flushed", None if station.flush() else station.stuck()))
        parameters = {number: list(worker.parameters) for number, worker in performer.workers.items()}
        values = {key: server.values for key, server in performer.servers.items()}
    return _Report(
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
    row[_OVER] = 1
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
        row[_IDLE] = not notes and not due and packets.next_s() is None
        if row[_IDLE] and talk.poll():
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


def _status(memory: Memory, lot: _Lot) -> Any:
    """Return what processes say of themselves: int64[processes, 8]."""
    return memory.array(lot.status, 8 * lot.processes, "int64").reshape(-1, 8)


def _mailbox(memory: Memory, lot: _Lot, place: int, bells: Sequence[int], doorbell: Doorbell) -> Mailbox:
    def ring(pair: tuple[int, int]) -> ByteRing:
        counters, begin, size = lot.rings[pair]
        return ByteRing(memory.array(begin, size, "uint8"), memory.array(counters, 16, "int64"))

    out = {pair[1]: ring(pair) for pair in lot.rings if pair[0] == place}
    into = {pair[0]: ring(pair) for pair in lot.rings if pair[1] == place}
    return Mailbox(out, into, bells, doorbell)


# -- whoever starts them ---------------------------------------------------------------------------


def execute(job: Job, repeats: int = 1) -> list[Executed]:
    """Run the program of *job* so often, each time from the same beginning, in the same processes.

    Raises:
        ProgramError: the program cannot be executed.
        ExecutionError: a process died, or there is not enough memory to share.
    """
    with Crew(job) as crew:
        return [crew.run() for _ in range(repeats)]


class Crew:
    """The processes of one job, from when they start until they are through."""

    def __init__(self, job: Job) -> None:
        """Plan who sends how much to whom; nothing is started yet."""
        self.job = replace(job, program=job.program.expanded())
        self.homes = Homes(self.job.program)
        self._lot = _laid_out(self.job, self.homes)
        self._names = [*self.homes.names, *(["the network"] if job.throttled else [])]
        self._children: list[Any] = []
        self._talks: list[Any] = []
        self._open: list[int] = []
        self._memory: Memory | None = None

    def __enter__(self) -> Crew:
        """Start the processes and wait until all of them are there."""
        try:
            self._start()
            self.pids = dict(zip(self._names, self._hear("ready"), strict=True))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *what: object) -> None:
        """Let the processes go; stop those that do not."""
        if what[0] is None:
            for talk in self._talks:
                talk.send("go")
            for child in self._children:
                child.join(1.0)
        self._stop()

    def _start(self) -> None:
        try:
            self._memory = Memory.make(self._lot.size)
        except OSError as error:
            raise ExecutionError(
                f"{self._lot.size:,} bytes of shared memory cannot be had: {error.strerror}"
            ) from None
        status = _status(self._memory, self._lot)
        status[:] = 0
        status[:, _TASK] = -1
        for counters, _, _ in self._lot.rings.values():
            self._memory.array(counters, 16, "int64")[:] = 0
        self._ears, self._bells = zip(*(self._pipe() for _ in self._names), strict=True)
        life, self._held = self._pipe()
        for bell in self._bells:
            os.set_blocking(bell, False)
        spawn = multiprocessing.get_context("spawn")
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        with _one_thread():
            for place, name in enumerate(self._names):
                mine, theirs = spawn.Pipe()
                core = cores[place % len(cores)] if cores and place < len(self.homes.workers) else None
                seat = _Seat(
                    place,
                    name,
                    core,
                    self._lot,
                    DupFd(self._memory.handle),
                    [DupFd(bell) for bell in self._bells],
                    DupFd(self._ears[place]),
                    DupFd(life),
                )
                child = spawn.Process(target=_enter, args=(seat, self.job, theirs), name=f"simpar {name}")
                child.daemon = True
                child.start()
                theirs.close()
                self._children.append(child)
                self._talks.append(mine)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open += ends
        return ends

    def run(self) -> Executed:
        """Run the program once.

        Raises:
            ExecutionError: a process died, or they wait for each other for ever.
        """
        assert self._memory is not None
        status = _status(self._memory, self._lot)
        for talk in self._talks:
            talk.send("run")
        self._hear("set")
        status[:, :_TASK] = 0
        start = time.perf_counter() + AHEAD_S
        for talk in self._talks:
            talk.send(start)
        while not status[:, _OVER].all():
            self._heed(0.002)
            if self._nothing_happens(status):
                self._flush()
        self._tell("end")
        return self._put_together(self._hear("done"))

    def _nothing_happens(self, status: Any) -> bool:
        """Say whether all processes wait, and nothing is on its way."""
        before = status.copy()
        idle = bool(before[:, _IDLE].all()) and before[:, _SENT].sum() == before[:, _GOT].sum()
        return idle and bool((status[:, :_TASK] == before[:, :_TASK]).all()) and not before[:, _OVER].all()

    def _flush(self) -> None:
        """Close the first batch that waits for more; if there is none, nobody will ever go on."""
        told = []
        for place in range(len(self._names)):
            self._talks[place].send("flush")
            ring_bell(self._bells[place])
            word = self._word(place, "flushed")
            if word is None:
                return
            told.append(f"{self._names[place]} waits for {word}")
        raise ExecutionError(f"nobody goes on: {', '.join(told)}")

    def _tell(self, order: str) -> None:
        for talk, bell in zip(self._talks, self._bells, strict=True):
            talk.send(order)
            ring_bell(bell)

    def _hear(self, what: str) -> list[Any]:
        """Return what every process has to say."""
        return [self._word(place, what) for place in range(len(self._names))]

    def _word(self, place: int, what: str) -> Any:
        talk = self._talks[place]
        while not talk.poll():
            self._heed(0.05, talk)
        try:
            found, word = talk.recv()
        except (EOFError, ConnectionResetError):
            self._heed(1.0)
            raise ExecutionError(self._obituary(place, "")) from None
        if found == "failed":
            raise ExecutionError(self._obituary(place, word))
        assert found == what, f"{found} is not {what}"
        return word

    def _heed(self, seconds: float, talk: Any = None) -> None:
        """Wait, and raise if a process has died meanwhile."""
        watched = [child.sentinel for child in self._children]
        died = connection.wait([*watched, *([talk] if talk is not None else [])], seconds)
        for place, sentinel in enumerate(watched):
            if sentinel in died:
                word = ""
                while self._talks[place].poll():
                    try:
                        found, said = self._talks[place].recv()
                    except (EOFError, ConnectionResetError):
                        break
                    word = said if found == "failed" else word
                raise ExecutionError(self._obituary(place, word))

    def _obituary(self, place: int, story: str) -> str:
        """Say who died, at what, and of what."""
        assert self._memory is not None
        child = self._children[place]
        child.join(1.0)
        task, iteration = (
            int(one) for one in _status(self._memory, self._lot)[place, _TASK : _ITERATION + 1]
        )
        last = "before its first task"
        if task >= 0 and place < len(self.homes):
            last = f"at {self.job.program.tasks[task]} of iteration {iteration}"
        code = child.exitcode
        how = f"exit status {code}"
        if code is not None and code < 0:
            how = f"killed by {signal.Signals(-code).name}"
        lines = [line for line in story.strip().splitlines() if line.strip()]
        said = f"{self._names[place]} (process {child.pid}) died {last}: {lines[-1] if lines else how}"
        return said + (f"\n{story.rstrip()}" if story else "")

    def _put_together(self, reports: list[_Report | None]) -> Executed:
        """Return what all processes together have done."""
        program, job = self.job.program, self.job
        found = [report for report in reports if report is not None]
        rows = sorted((row for report in found for row in report.done.rows), key=lambda row: (row[1], row[0]))
        tasks = np.array([row[0] for row in rows], dtype=np.int32)
        times = np.array([row[2:] for row in rows], dtype=np.float64).reshape(-1, 3)
        nodes = None
        if program.joins or program.batches:
            nodes = NodeLog(
                _table([one for report in found for one in report.done.members], 4, 2),
                _table([one for report in found for one in report.done.flushed], 2, 2),
                _table([one for report in found for one in report.done.dropped], 3, 3),
            )
        trace = Trace(
            program,
            "numpy",
            tasks,
            np.array([row[1] for row in rows], dtype=np.int32),
            program.resource[tasks],
            times[:, 0].copy(),
            times[:, 1].copy(),
            times[:, 2].copy(),
            nodes=nodes,
        )
        whole = Performer(program, job.model, job.parameters, job.source, job.optimizer, job.members)
        for report in found:
            for number, tensors in report.parameters.items():
                whole.workers[number].parameters = tensors
            for key, values in report.values.items():
                whole.servers[key].values = values
        keys = zip(trace.task.tolist(), trace.iteration.tolist(), strict=True)
        ends = dict(zip(keys, trace.end_s.tolist(), strict=True))
        losses = [one for report in found for one in report.losses]
        losses.sort(key=lambda one: (one.iteration, one.worker, one.part))
        gradients = [one for report in found for one in report.gradients]
        return Executed(
            trace,
            whole.current(),
            {number: list(worker.parameters) for number, worker in whole.workers.items()},
            losses,
            sorted(gradients, key=lambda one: ends[one.update, one.number]),
            [one for report in found for one in report.predictions],
            self.pids,
            {task: size for report in found for task, size in sorted(report.done.sent.items())},
        )

    def _stop(self) -> None:
        """Stop what still runs and give everything back."""
        for child in self._children:
            if child.is_alive():
                child.kill()
        for child in self._children:
            child.join()
        for talk in self._talks:
            talk.close()
        for handle in self._open:
            os.close(handle)
        if self._memory is not None:
            self._memory.close()
        self._children, self._talks, self._open, self._memory = [], [], [], None


def _enter(seat: _Seat, job: Job, talk: Any) -> None:
    """Begin a process."""
    _sit(seat, job, talk)


def _table(rows: list[Any], columns: int, by: int) -> Any:
    return np.array(sorted(rows, key=lambda row: row[:by]), dtype=np.int32).reshape(-1, columns)


def _laid_out(job: Job, homes: Homes) -> _Lot:
    """Return how much memory processes share, and what it is for."""
    program = job.program
    most: dict[tuple[int, int], float] = {}
    for first in homes.first.values():
        pair = homes.begins[first], homes.ends[first]
        most[pair] = most.get(pair, 0.0) + float(program.bytes[first]) + 1024
        if job.throttled:
            for pair in ((homes.begins[first], len(homes)), (len(homes), homes.ends[first])):
                most[pair] = most.get(pair, 0.0) + 1024
    for source, target in zip(program.source.tolist(), program.target.tolist(), strict=True):
        for begin in (homes.ends[source], homes.begins[source]):
            pair = begin, homes.begins[target]
            most[pair] = most.get(pair, 0.0) + 1024
    processes = len(homes) + job.throttled
    place = aligned(64 * processes)
    rings = {}
    for pair, size in sorted(most.items()):
        if pair[0] == pair[1]:
            continue
        room = aligned(int(min(LARGEST, max(SMALLEST, 2 * size))))
        rings[pair] = (place, place + 128, room)
        place += 128 + room
    return _Lot(processes, place, 0, rings)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started meanwhile compute with one thread each."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
