"""Which process performs which task: one a device, one a server.

A message begins where its sender is and ends where its receiver is. What is nobody's, as a barrier of all,
is the first device's.

Start with :class:`Homes`.
"""

from __future__ import annotations

from simpar.errors import ProgramError
from simpar.execute.plan import BETWEEN_SERVERS
from simpar.program import NODE_RING, Op, Program

TO_SERVER = frozenset({"push", "output", "records"})
FROM_SERVER = frozenset({"pull"})
FROM_PEER = frozenset({"hand"})


class Homes:
    """The processes of one program, devices before servers, and what each of them does."""

    def __init__(self, program: Program) -> None:
        """Look at the ops.

        Raises:
            ProgramError: a collective is one task, a ring stands for its messages, slices are handed out,
                or late workers stopped.
        """
        if program.rings or (program.node == NODE_RING).any():
            raise ProgramError(f"{program.name} has rings that are not written out; take its expanded()")
        if program.dispatches or program.cancels:
            what = "hands out slices to whoever is free" if program.dispatches else "stops who is late"
            raise ProgramError(f"{program.name} {what}, which processes cannot do yet; it can be replayed")
        for op in program.ops:
            if op.kind == "all_reduce":
                raise ProgramError(
                    f"{program.name} has collectives without messages, which nobody can send; "
                    "compile it with run.collectives: messages"
                )
        self.workers = sorted({op.worker for op in program.ops if op.worker >= 0})
        self.servers = sorted({op.server for op in program.ops if op.server >= 0})
        self.names = [f"w{one}" for one in self.workers] + [f"ps{one}" for one in self.servers]
        """By process."""
        self._worker = {one: place for place, one in enumerate(self.workers)}
        self._server = {one: len(self.workers) + place for place, one in enumerate(self.servers)}
        ends = [self._ends(program, task, op) for task, op in enumerate(program.ops)]
        for node, batch in program.batches.items():  # pushes gather where they are applied
            ends[node] = ends[batch.update]
        self.begins = [begin for begin, _ in ends]
        """By task, the process in which it becomes ready."""
        self.ends = [end for _, end in ends]
        """By task, the process in which it ends: of a message, its receiver's."""
        self.first: dict[int, int] = {}
        """By message, its first task."""
        self.last: dict[int, int] = {}
        """By message, its last task: more than one where each link on its way is one."""
        for task, number in enumerate(program.message.tolist()):
            if number >= 0:
                self.first.setdefault(number, task)
                self.last[number] = task

    def __len__(self) -> int:
        """Return the number of processes."""
        return len(self.names)

    def worker(self, place: int) -> list[int]:
        """Return the worker of a process, if it is one's."""
        return self.workers[place : place + 1] if place < len(self.workers) else []

    def server(self, place: int) -> list[int]:
        """Return the server of a process, if it is one's."""
        place -= len(self.workers)
        return self.servers[place : place + 1] if place >= 0 else []

    def _ends(self, program: Program, task: int, op: Op) -> tuple[int, int]:
        if program.message[task] < 0:
            home = self._home(program, task, op)
            return home, home
        worker = self._worker.get(op.worker, 0)
        if op.kind in TO_SERVER:
            return worker, self._server[op.server]
        if op.kind in BETWEEN_SERVERS:
            return self._server[op.server], self._server[op.peer]
        if op.kind in FROM_SERVER:
            return self._server[op.server], worker
        peer = self._worker.get(op.peer, worker)
        return (peer, worker) if op.kind in FROM_PEER else (worker, peer)

    def _home(self, program: Program, task: int, op: Op) -> int:
        """Return where a task is performed that is no message."""
        resource = int(program.resource[task])
        on = program.resources[resource].name if resource >= 0 else "ps"
        if op.server >= 0 and on.startswith("ps"):  # its CPU, or the device on which it computes
            return self._server[op.server]
        return self._worker.get(op.worker, 0)
