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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from simpar.errors import ExecutionError
from simpar.execute.homes import Homes
from simpar.execute.parties import Array, Loss
from simpar.execute.performing import Gradient, Performer
from simpar.execute.predictions import Prediction
from simpar.execute.process import (
    GOT,
    IDLE,
    ITERATION,
    OVER,
    SENT,
    TASK,
    Job,
    Lot,
    Report,
    Seat,
    enter,
    status_of,
)
from simpar.execute.shared import Memory, aligned, ring_bell
from simpar.trace import NodeLog, Trace

__all__ = ["Crew", "Executed", "Job", "execute"]

AHEAD_S = 0.02
"""Seconds from the word to start until the start."""

SMALLEST, LARGEST = 1 << 16, 1 << 24
"""Bytes of the memory between two processes."""

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""What BLAS libraries read when they are loaded."""


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
                with suppress(BrokenPipeError):
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
        status = status_of(self._memory, self._lot)
        status[:] = 0
        status[:, TASK] = -1
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
                seat = Seat(
                    place,
                    name,
                    core,
                    self._lot,
                    DupFd(self._memory.handle),
                    [DupFd(bell) for bell in self._bells],
                    DupFd(self._ears[place]),
                    DupFd(life),
                )
                child = spawn.Process(target=enter, args=(seat, self.job, theirs), name=f"simpar {name}")
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
        status = status_of(self._memory, self._lot)
        for place in range(len(self._talks)):
            self._say(place, "run")
        self._hear("set")
        status[:, :TASK] = 0
        start = time.perf_counter() + AHEAD_S
        for place in range(len(self._talks)):
            self._say(place, start)
        while not status[:, OVER].all():
            self._heed(0.002)
            if self._nothing_happens(status):
                self._flush()
        self._tell("end")
        return self._put_together(self._hear("done"))

    def _nothing_happens(self, status: Any) -> bool:
        """Say whether all processes wait, and nothing is on its way."""
        before = status.copy()
        idle = bool(before[:, IDLE].all()) and before[:, SENT].sum() == before[:, GOT].sum()
        return idle and bool((status[:, :TASK] == before[:, :TASK]).all()) and not before[:, OVER].all()

    def _flush(self) -> None:
        """Close the first batch that waits for more; if there is none, nobody will ever go on."""
        told = []
        for place in range(len(self._names)):
            self._say(place, "flush")
            ring_bell(self._bells[place])
            word = self._word(place, "flushed")
            if word is None:
                return
            told.append(f"{self._names[place]} waits for {word}")
        raise ExecutionError(f"nobody goes on: {', '.join(told)}")

    def _tell(self, order: str) -> None:
        for place, bell in enumerate(self._bells):
            self._say(place, order)
            ring_bell(bell)

    def _say(self, place: int, what: Any) -> None:
        """Tell a process something."""
        try:
            self._talks[place].send(what)
        except (BrokenPipeError, ConnectionResetError):
            self._heed(1.0)
            raise self._obituary(place, "") from None

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
            raise self._obituary(place, "") from None
        if found == "failed":
            raise self._obituary(place, word)
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
                raise self._obituary(place, word)

    def _obituary(self, place: int, story: str) -> ExecutionError:
        """Return who died, at what, and of what."""
        assert self._memory is not None
        child = self._children[place]
        child.join(1.0)
        task, iteration = (
            int(one) for one in status_of(self._memory, self._lot)[place, TASK : ITERATION + 1]
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
        return ExecutionError(said, story.rstrip())

    def _put_together(self, reports: list[Report | None]) -> Executed:
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


def _table(rows: list[Any], columns: int, by: int) -> Any:
    return np.array(sorted(rows, key=lambda row: row[:by]), dtype=np.int32).reshape(-1, columns)


def _laid_out(job: Job, homes: Homes) -> Lot:
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
    return Lot(processes, place, 0, rings)


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
