"""What becomes of each op of a program, with real parameters: for one process, or for all parties at once.

A task *begins* when it has all its tokens and *finishes* when its turn has come; see
:mod:`simpar.execute.order`. A message carries what its sender had when it began.

Start with :class:`Performer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from simpar.errors import ProgramError
from simpar.execute.columns import ColumnWorker
from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Token
from simpar.execute.parties import (
    Array,
    Chunk,
    Cut,
    Loss,
    Pulled,
    Pushed,
    Server,
    Source,
    Trained,
    Worker,
    joined,
    loads_of,
    parted,
)
from simpar.execute.plan import BETWEEN_SERVERS, COLLECTIVE, KeyId, Plan, elements
from simpar.execute.predictions import Output, Prediction, combined
from simpar.execute.server_copies import Averager, Copy, Records
from simpar.execute.updates import symmetric_part
from simpar.program import NODE_RING, Op, Program


class Gradient(NamedTuple):
    """One gradient of one key that a server applied."""

    update: int
    """The task that applied it."""
    number: int
    """Its iteration, of an update of a batch its number."""
    worker: int
    iteration: int
    """Whose gradient it is, and of which of its iterations."""
    server: int
    key: int
    read: int
    """Version of the parameters that it was computed on."""
    applied: int
    """Version just before it was applied."""

    @property
    def staleness(self) -> int:
        """Updates that it missed."""
        return self.applied - self.read


class Performer:
    """Workers and servers of one program, and what they do; subclasses hear what comes of it."""

    def __init__(
        self,
        program: Program,
        model: Trained,
        parameters: Sequence[Array],
        source: Source,
        optimizer: Callable[[], Optimizer],
        members: Callable[[int], Sequence[Array]] | None = None,
        workers: Iterable[int] | None = None,
        servers: Iterable[int] | None = None,
    ) -> None:
        """Make the parties: all of them, or only *workers* and *servers*, those of one process.

        Args:
            parameters: the initial ones, all tensors in the model's order.
            source: the samples; see :class:`simpar.execute.sampling.Stream`.
            optimizer: makes the state of one slice of parameters.
            members: given a worker, the parameters that it begins with; by default *parameters*. The workers
                of an ensemble have no others.

        Raises:
            ProgramError: the program has ops that nobody knows how to perform, or is an ensemble's without
                *members*.
        """
        self.program, self.model, self.initial = program, model, parameters
        shapes = [tuple(shape) for layer in model.layers for _, shape in layer.tensors]
        self.plan = plan = Plan(program, [elements(shape) for shape in shapes])
        if plan.own_parameters and members is None:
            raise ProgramError(f"{program.name} cannot be executed: its workers' parameters are not given")
        update = plan.update
        if update.symmetric:
            parameters = [symmetric_part(one) if one.ndim == 2 else one for one in parameters]
        names = [name for layer in model.layers for name, _ in layer.tensors]
        biases = [
            np.full(one.shape, name.endswith("bias")) for name, one in zip(names, parameters, strict=True)
        ]
        mine = plan.workers if workers is None else [one for one in plan.workers if one in set(workers)]
        kind = ColumnWorker if "columns" in plan.meta else Worker
        self.workers = {
            number: kind(number, plan, model, members(number) if members else parameters, source, optimizer)
            for number in mine
        }
        self.servers: dict[KeyId, Server] = {
            key: self._server(key, joined(parameters, runs), optimizer(), joined(biases, runs))
            for key, runs in plan.keys.items()
            if servers is None or key[0] in set(servers)
        }
        # Where a server computes on a worker's records, what it has in hand for that worker.
        self._hands = {
            (op.server, op.worker): Worker(op.worker, plan, model, parameters, source, optimizer)
            for op in program.ops
            if op.kind == "forward" and op.server >= 0 and (servers is None or op.server in set(servers))
        }
        self._applied = 0
        self._answered = {
            reply for batch in program.batches.values() for reply in batch.replies if reply >= 0
        }
        self._rung: set[tuple[int, int]] = set()
        self.stopped: frozenset[tuple[int, int]] = frozenset()
        """Instances that were stopped before they were through."""
        self.unfinished: dict[int, int] = {}
        """By iteration, the parts of the work that were stopped before there was a loss."""
        self.slices: dict[tuple[int, int], tuple[int, int]] = {}
        """By dispatch node and number, whose part of the work a slice is, and of which iteration."""

    def _server(self, key: KeyId, values: Array, optimizer: Optimizer, biases: Array) -> Server:
        """Return what holds a key: parameters, the mean of pushed ones, or one of several copies."""
        if "copies" in self.plan.meta:
            return Copy(key, values, optimizer, self.plan)
        if self.plan.pushes_models:
            return Averager(key, values, optimizer)
        update = self.plan.update
        return Server(key, values, update.rule(optimizer), update, biases)

    # -- what those who watch may want to know -------------------------------------------------------

    def noted(self, task: int, loss: Loss) -> None:
        """Hear of the loss of one part of the work."""

    def applied(self, task: int, iteration: int, gradients: list[Gradient], samples: int, count: int) -> None:
        """Hear that a server has updated *count* numbers with gradients of so many *samples*."""

    def updated(self, task: int, iteration: int, count: int) -> None:
        """Hear that a worker has updated *count* numbers."""

    def predicted(self, task: int, prediction: Prediction) -> None:
        """Hear of a prediction."""

    def performed(self) -> None:
        """Hear that one more instance is done."""

    # -- op by op ----------------------------------------------------------------------------------

    def begin(self, task: int, iteration: int, tokens: list[Token]) -> Any:
        """Return what a message or a reply carries, and of all else the tokens that it got."""
        program = self.program
        if (task, iteration) in self.stopped:
            return None
        op, iteration = self._op(task, iteration)
        if program.message[task] < 0:
            # Who waits for a gate gets the parameters as they are when it opens.
            return self.servers[op.server, op.key].reply() if self._is_reply(task) else tokens
        if program.node[task] == NODE_RING:
            self._ring(task, iteration)
            return None
        later = [token.load for token in tokens if self._same_message(token.task, task)]
        if later:  # another link on the way of the same message
            return later[0]
        if op.kind == "push":
            parts: Sequence[int] | None = self.plan.pushed(op.worker, op.step)
            if task in program.lane_of:
                parts = [op.part]
            return self.workers[op.worker].push((op.server, op.key), iteration, tokens, parts)
        if op.kind == "merge":
            return self.workers[op.worker].merge(self.plan.keys_of(op), iteration)
        if op.kind == "records":
            self.workers[op.worker].pull(tokens)
            return Records(op.worker, iteration)
        if op.kind in BETWEEN_SERVERS:
            server = self._copy(op)
            server.receive(tokens)
            return server.send(self.plan.share(task), op.peer)
        if op.kind in ("pull", "hand"):
            return [load for load in loads_of(tokens) if isinstance(load, Pulled)]
        if op.kind == "output":
            return next(load for load in loads_of(tokens) if isinstance(load, Output))
        if op.kind in ("activation", "gradient"):
            ahead = op.kind == "activation"
            return next(
                load
                for load in loads_of(tokens)
                if isinstance(load, Cut) and load.part == op.part and load.ahead == ahead
            )
        if op.kind in COLLECTIVE:
            worker = self.workers[op.worker]
            worker.receive(iteration, tokens)
            return worker.send(self.plan.share(task), op.peer, iteration)
        return None

    def _op(self, task: int, iteration: int) -> tuple[Op, int]:
        """Return what an instance does, and in which iteration: of a slice that was handed out, its own."""
        op = self.program.ops[task]
        if task not in self.program.lane_of:
            return op, iteration
        part, own = self.slices[self.program.lane_of[task][0], iteration]
        return op._replace(part=part), own

    def _is_reply(self, task: int) -> bool:
        """Say whether a server answers a worker in *task*, not as the update of a batch has it."""
        op = self.program.ops[task]
        return op.kind == "gather" and op.server >= 0 and op.worker >= 0 and task not in self._answered

    def _same_message(self, one: int, other: int) -> bool:
        return bool(self.program.message[one] == self.program.message[other])

    def finish(self, task: int, iteration: int, held: Any) -> Any:
        """Perform an op, and return what its tokens bring."""
        self.performed()
        op = self.program.ops[task]
        if (task, iteration) in self.stopped:
            if op.kind == "forward" and op.layers[1] == len(self.model.layers):
                self.unfinished[iteration] = self.unfinished.get(iteration, 0) + 1
            return None
        op, iteration = self._op(task, iteration)
        if self.program.message[task] >= 0:
            if op.kind == "pull" and "hosts" in self.plan.meta and op.worker in self.workers:
                # Nobody computes now, and what is read next brings no parameters with it.
                self.workers[op.worker].pull([Token(task, iteration, held)])
            return held
        if op.server >= 0 and op.kind in ("forward", "backward"):
            return self._compute_at_server(task, iteration, held)
        if op.kind == "forward":
            worker = self.workers[op.worker]
            worker.pull(held)
            if self.plan.predicts:
                return worker.predict(op, iteration)
            cut, loss = worker.forward(op, iteration, held)
            if loss is not None:
                self.noted(task, loss)
            return cut
        if op.kind == "backward":
            slope = self.workers[op.worker].backward(op, iteration, held)
            alone = self.plan.before_pull(op)
            if alone:
                self.workers[op.worker].train_alone(op, iteration, alone)
            return slope
        if op.kind == "apply":
            return self._apply(task, iteration, held)
        if op.kind == "publish":
            return self.servers[op.server, op.key].reply()
        if op.kind == "update":
            self._update(task, iteration, held)
        elif op.kind == "predict":
            self._predict(task, iteration, held)
        elif op.kind in ("all_reduce", "all_gather"):  # what others have of a gather is zeros here
            self._sum_up(op.part, iteration)
        elif self._is_reply(task):
            return held
        elif op.kind == "add" or (op.kind == "gather" and op.server >= 0):
            return self._passed_on(task, held)
        elif op.kind == "gather" and op.worker >= 0 and self.plan.buckets:
            self.workers[op.worker].receive(iteration, held)
        return None

    def _passed_on(self, task: int, tokens: list[Token]) -> Any:
        """Return what a server's task that changes nothing lets through: pushes, or the reply of a batch.

        A worker that waited for an update gets the parameters of that update; others get them as they are.
        """
        op = self.program.ops[task]
        if task in self._answered:
            given = [load for load in loads_of(tokens) if isinstance(load, Pulled)]
            return given or self.servers[op.server, op.key].reply()
        return [load for load in loads_of(tokens) if isinstance(load, (Pushed, Chunk))] or None

    def _compute_at_server(self, task: int, iteration: int, tokens: list[Token]) -> Any:
        """Let a server compute on a worker's records, with the parameters that it holds itself."""
        op = self.program.ops[task]
        hand, key = self._hands[op.server, op.worker], (op.server, -1)
        if op.kind == "backward":
            hand.backward(op, iteration, tokens)
            return hand.push(key, iteration, []) if key in self.servers else None
        assert Records(op.worker, iteration) in loads_of(tokens), f"{op.worker}'s records did not come"
        if key in self.servers:
            hand.pull([Token(task, iteration, self.servers[key].reply())])
        cut, loss = hand.forward(op, iteration, tokens)
        if loss is not None:
            self.noted(task, loss)
        return cut

    def _copy(self, op: Op) -> Copy:
        server = self.servers[op.server, -1]
        assert isinstance(server, Copy), f"server {op.server} holds no copy"
        return server

    def _apply(self, task: int, iteration: int, tokens: list[Token]) -> Pulled:
        """Let a server update, and return its parameters after that."""
        op = self.program.ops[task]
        server = self.servers[op.server, op.key]
        pushes: Sequence[Pushed] = [load for load in loads_of(tokens) if isinstance(load, Pushed)]
        if isinstance(server, Copy):
            server.receive(tokens)
            pushes = server.pushes
        gradients = [
            Gradient(
                task, iteration, push.worker, push.iteration, op.server, op.key, push.read, server.version
            )
            for push in sorted(pushes, key=lambda one: (one.worker, one.iteration))
        ]
        count, samples = len(server.values), server.apply(pushes)
        self._applied += 1
        # Of copies, which learn the same, only the last counts.
        last = self._applied % self.plan.copies == 0
        self.applied(task, iteration, gradients, samples if last else 0, count if last else 0)
        return server.reply()

    def _predict(self, task: int, iteration: int, tokens: list[Token]) -> None:
        """Let the host make one prediction of all outputs."""
        outputs = [load for load in loads_of(tokens) if isinstance(load, Output)]
        first = min(run[0] for one in outputs for run in one.runs)
        values = combined(outputs, str(self.program.meta["combine"]))
        self.predicted(task, Prediction(iteration, first, values))

    def _update(self, task: int, iteration: int, tokens: list[Token]) -> None:
        """Let a worker update its own parameters, if it is not the servers that do."""
        op = self.program.ops[task]
        if self.plan.served or op.worker < 0:
            return
        worker = self.workers[op.worker]
        worker.receive(iteration, tokens)
        self.updated(task, iteration, worker.update(iteration))

    def _sum_up(self, bucket: int, iteration: int) -> None:
        """Give every worker the sum of a bucket, where a collective is one task."""
        total = None
        for number in self.plan.workers:
            values = self.workers[number].bucket(iteration, bucket)
            total = values.copy() if total is None else total + values
        for number in self.plan.workers:
            self.workers[number].bucket(iteration, bucket)[:] = total

    def _ring(self, task: int, iteration: int) -> None:
        """Sum up a bucket as a ring does that is written down once: chunk c from worker c on."""
        bucket = self.program.ops[task].part
        if (iteration, bucket) in self._rung:
            return
        self._rung.add((iteration, bucket))
        rows = [self.workers[number].bucket(iteration, bucket) for number in self.plan.workers]
        bounds = self.plan.chunk_bounds[bucket]
        for chunk, place in enumerate(map(slice, bounds, bounds[1:])):
            total = rows[chunk][place]
            for turn in range(1, len(rows)):
                total = total + rows[(chunk + turn) % len(rows)][place]
            for row in rows:
                row[place] = total

    def current(self) -> list[Array]:
        """Return all parameters as they are: the servers', or those of who holds them."""
        found = [values.copy() for values in self.initial]
        for key, server in self.servers.items():
            parted(server.values, found, self.plan.keys[key])
        if not (self.plan.served or self.plan.own_parameters):
            for worker in self.workers.values():
                for tensor in worker.held:
                    found[tensor] = worker.parameters[tensor]
        for tensor in self.plan.cut_tensors([len(layer.tensors) for layer in self.model.layers]):
            found[tensor] = np.concatenate([worker.parameters[tensor] for worker in self.workers.values()])
        return found
