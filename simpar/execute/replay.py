"""A program really trained, by one process, in the order of its trace.

Every op is performed: workers compute on their own copies of the parameters, servers add up and update,
activations cross from stage to stage, chunks go round. The clock is the trace's, simulated or measured; what
comes out is what its machines would have learned by then. Nothing is drawn at random but the initial
parameters and the order of the samples, both from a seed: the same trace gives the same numbers.

*Version read* and *version applied* of a gradient are the number of updates in the parameters that it was
computed on, and before its own: those of :mod:`simpar.result.staleness`, observed. Only where a reply waits
for others, as with bounded staleness, has its worker read what came while it waited, too.

Start with :func:`replay`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simpar.errors import EngineError, ProgramError
from simpar.execute.columns import ColumnWorker
from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Order, Token
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
from simpar.program import NODE_RING, Op
from simpar.trace import Trace

Progress = Callable[[int, int], None]
"""Called with (instances done, instances in all)."""


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


@dataclass(frozen=True, slots=True)
class Point:
    """What has been learned at one moment."""

    time_s: float
    samples: float
    """Samples that the parameters have learned from."""
    loss: float
    """Mean loss of the samples that were held back for the test."""
    accuracy: float | None
    """Share of them that is classified rightly; None where nothing is classified."""
    training_loss: float | None
    """Mean loss of the samples trained on since the point before; None at the beginning."""


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a replay came to."""

    parameters: list[Array]
    """All parameter tensors at the end, in the model's order; of an ensemble those given, nobody's."""
    replicas: dict[int, list[Array]]
    """By worker, the tensors that it holds at the end: None for those that it does not."""
    points: list[Point]
    losses: list[Loss]
    """Of every part of the work, in the order of the trace."""
    gradients: list[Gradient]
    """Of every gradient that a server applied, in the order of the trace; none where workers update."""
    updates: int
    """Updates of the parameters: of all of them once, if they are on several servers."""
    samples: float
    """Samples that the parameters have learned from."""
    end_s: float
    """When the last of them had been, or the last prediction."""
    predictions: list[Prediction]
    """Of every iteration, where workers only predict; then there are no points and no losses."""
    held: dict[KeyId, Array]
    """By server and key, the parameters that servers hold at the end, as rows of numbers."""

    def loss_by_iteration(self) -> NDArray[np.float64]:
        """Return the mean loss of the samples of each iteration: float64[iterations].

        Only iterations that everybody has been through count: the first that somebody has not ends the
        curve.
        """
        by_iteration: dict[int, list[Loss]] = {}
        for loss in self.losses:
            by_iteration.setdefault(loss.iteration, []).append(loss)
        curve = []
        for iteration in sorted(by_iteration):
            found = by_iteration[iteration]
            if len(found) < len(by_iteration[0]):
                break
            found.sort(key=lambda one: (one.worker, one.part))
            curve.append(math.fsum(one.value for one in found) / sum(one.samples for one in found))
        return np.array(curve)


def replay(
    trace: Trace,
    model: Trained,
    parameters: Sequence[Array],
    source: Source,
    optimizer: Callable[[], Optimizer],
    *,
    test: tuple[Any, Any] | None = None,
    samples: int | None = None,
    every: int | None = None,
    members: Callable[[int], Sequence[Array]] | None = None,
    progress: Progress | None = None,
) -> Replayed:
    """Train *model* as *trace* says, and return what it has learned when, or what it predicts.

    Args:
        trace: with all rows of its run.
        parameters: the initial ones, all tensors in the model's order.
        source: the samples; see :class:`simpar.execute.sampling.Stream`.
        optimizer: makes the state of one slice of parameters.
        test: inputs and targets to test with; without them there are no points.
        samples: stop when the parameters have learned from so many; None for all of the trace.
        every: samples between two points; by default there is one at the beginning and one at the end.
        members: given a worker, the parameters that it begins with; by default *parameters*. The workers of
            an ensemble have no others.
        progress: called now and then.

    Raises:
        ProgramError: the program has ops that nobody knows how to perform, or is an ensemble's without
            *members*.
        EngineError: the trace is incomplete, or a loss is infinite or not a number.
    """
    with np.errstate(all="ignore"):  # what overflows is said as a loss, with its step and task
        given = trace, model, parameters, source, optimizer, test, samples, every, members, progress
        return _Replay(*given).run()


class _Replay:
    """One replay on its way."""

    def __init__(
        self,
        trace: Trace,
        model: Trained,
        parameters: Sequence[Array],
        source: Source,
        optimizer: Callable[[], Optimizer],
        test: tuple[Any, Any] | None,
        samples: int | None,
        every: int | None,
        members: Callable[[int], Sequence[Array]] | None,
        progress: Progress | None,
    ) -> None:
        self.trace, self.program, self.model, self.test = trace, trace.program, model, test
        shapes = [tuple(shape) for layer in model.layers for _, shape in layer.tensors]
        self.plan = plan = Plan(self.program, [elements(shape) for shape in shapes])
        self.initial = parameters
        if plan.own_parameters and members is None:
            raise ProgramError(
                f"{self.program.name} cannot be executed: its workers' parameters are not given"
            )
        own = {number: members(number) if members else parameters for number in plan.workers}
        kind = ColumnWorker if "columns" in plan.meta else Worker
        self.workers = {
            number: kind(number, plan, model, own[number], source, optimizer) for number in plan.workers
        }
        self.servers = {
            key: self._server(key, joined(parameters, runs), optimizer()) for key, runs in plan.keys.items()
        }
        # Where a server computes on a worker's records, what it has in hand for that worker.
        self._hands = {
            (op.server, op.worker): Worker(op.worker, plan, model, parameters, source, optimizer)
            for op in self.program.ops
            if op.kind == "forward" and op.server >= 0
        }
        self._applied = 0
        self._answered = {
            reply for batch in self.program.batches.values() for reply in batch.replies if reply >= 0
        }
        holders = [0] * len(shapes)
        for worker in self.workers.values():
            for tensor in worker.held:
                holders[tensor] += 1
        self._whole = sum(plan.sizes)
        # Of data parallelism every worker holds all parameters, of a pipeline one; of servers they hold them.
        # Where layers are cut each counts its own share, and the first what all hold.
        self._replicas = 1 if plan.served or kind is ColumnWorker else max(holders, default=1)
        # A step of synchronous training is learned from when all of it is, and tested at no other time.
        together = self._replicas * self._whole if self.program.meta.get("clock") == "sync" else 0
        self._together = together
        # Progress is counted in samples times parameters, which are whole numbers.
        self._learned, self._updated = 0, 0
        self._pending, self._pending_updated = 0, 0
        self._until = None if samples is None else samples * self._whole
        self._every = None if every is None else every * self._whole
        self._next = self._every
        self._losses: list[Loss] = []
        self._told = 0
        self._gradients: list[Gradient] = []
        self._points: list[Point] = []
        self._predictions: list[Prediction] = []
        self._end_s = 0.0
        self._progress, self._count, self._total = progress, 0, len(trace)
        self._rung: set[tuple[int, int]] = set()

    def run(self) -> Replayed:
        """Perform all ops and return what came of it."""
        self._test(0.0)
        Order(self.trace).run(self._begin, self._finish, self._is_done)
        if self._points and self._points[-1].samples < self._samples:
            self._test(self._end_s)
        return Replayed(
            parameters=self._current(),
            replicas={number: list(worker.parameters) for number, worker in self.workers.items()},
            points=self._points,
            losses=self._losses,
            gradients=self._gradients,
            updates=self._updated // (self._replicas * self._whole) if self._whole else 0,
            samples=self._samples,
            end_s=self._end_s,
            predictions=self._predictions,
            held={key: server.values for key, server in self.servers.items()},
        )

    def _server(self, key: KeyId, values: Array, optimizer: Optimizer) -> Server:
        if "copies" in self.plan.meta:
            return Copy(key, values, optimizer, self.plan)
        return (Averager if self.plan.pushes_models else Server)(key, values, optimizer)

    # -- op by op ----------------------------------------------------------------------------------

    def _begin(self, task: int, iteration: int, tokens: list[Token]) -> Any:
        """Return what a message or a reply carries, and of all else the tokens that it got."""
        op, program = self.program.ops[task], self.program
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
            return self.workers[op.worker].push((op.server, op.key), iteration, tokens)
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

    def _is_reply(self, task: int) -> bool:
        """Say whether a server answers a worker in *task*, not as the update of a batch has it."""
        op = self.program.ops[task]
        return op.kind == "gather" and op.server >= 0 and op.worker >= 0 and task not in self._answered

    def _same_message(self, one: int, other: int) -> bool:
        return bool(self.program.message[one] == self.program.message[other])

    def _finish(self, task: int, iteration: int, held: Any) -> Any:
        """Perform an op, and return what its tokens bring."""
        self._count += 1
        if self._progress is not None and self._count % 256 == 0:
            self._progress(self._count, self._total)
        op = self.program.ops[task]
        if self.program.message[task] >= 0:
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
                self._note(task, loss)
            return cut
        if op.kind == "backward":
            return self.workers[op.worker].backward(op, iteration, held)
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
            self._note(task, loss)
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
        self._gradients += [
            Gradient(
                task, iteration, push.worker, push.iteration, op.server, op.key, push.read, server.version
            )
            for push in sorted(pushes, key=lambda one: (one.worker, one.iteration))
        ]
        count, samples = len(server.values), server.apply(pushes)
        self._applied += 1
        if self._applied % self.plan.copies == 0:  # of copies, which learn the same, only the last counts
            self._learn(task, iteration, count * samples, count)
        return server.reply()

    def _predict(self, task: int, iteration: int, tokens: list[Token]) -> None:
        """Let the host make one prediction of all outputs."""
        outputs = [load for load in loads_of(tokens) if isinstance(load, Output)]
        first = min(one.first for one in outputs)
        values = combined(outputs, str(self.program.meta["combine"]))
        self._predictions.append(Prediction(iteration, first, values))
        self._end_s = float(self.trace.end_s[self.trace.row(task, iteration)])

    def _update(self, task: int, iteration: int, tokens: list[Token]) -> None:
        """Let a worker update its own parameters, if it is not the servers that do."""
        op = self.program.ops[task]
        if self.plan.served or op.worker < 0:
            return
        worker = self.workers[op.worker]
        worker.receive(iteration, tokens)
        count = worker.update(iteration)
        each = self.plan.global_batch // self._replicas
        self._learn(task, iteration, count * each, count)

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

    # -- what has been learned ---------------------------------------------------------------------

    @property
    def _samples(self) -> float:
        return self._learned / self._whole if self._whole else 0.0

    def _is_done(self) -> bool:
        return self._until is not None and self._learned >= self._until

    def _note(self, task: int, loss: Loss) -> None:
        """Keep a loss, if it is a number."""
        if not math.isfinite(loss.value):
            raise EngineError(
                f"the loss of {self.program.tasks[task]} in iteration {loss.iteration} is {loss.value}: "
                "training diverges"
            )
        self._losses.append(loss)

    def _learn(self, task: int, iteration: int, learned: int, updated: int) -> None:
        """Count samples learned from, and test where enough of them have been."""
        self._pending += learned
        self._pending_updated += updated
        if self._pending_updated < self._together:
            return
        self._learned, self._pending = self._learned + self._pending, 0
        self._updated, self._pending_updated = self._updated + self._pending_updated, 0
        self._end_s = float(self.trace.end_s[self.trace.row(task, iteration)])
        if self._next is not None and self._every is not None and self._learned >= self._next:
            self._next += self._every * ((self._learned - self._next) // self._every + 1)
            self._test(self._end_s)

    def _test(self, time_s: float) -> None:
        """Add a point."""
        if self.test is None or self.plan.predicts:
            return
        inputs, targets = self.test
        y, _ = self.model.forward(self._current(), inputs)
        value, _ = self.model.loss(y, targets)
        new = self._losses[self._told :]
        self._told = len(self._losses)
        count = sum(one.samples for one in new)
        loss = float(value) / len(targets)
        if not math.isfinite(loss):
            raise EngineError(f"the loss of the test at {time_s:.6g} s is {loss}: training diverges")
        self._points.append(
            Point(
                time_s=time_s,
                samples=self._samples,
                loss=loss,
                accuracy=_accuracy(y, targets),
                training_loss=math.fsum(one.value for one in new) / count if count else None,
            )
        )

    def _current(self) -> list[Array]:
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


def _accuracy(y: Array, targets: Array) -> float | None:
    """Return the share of *targets*, which are classes, that *y* puts first; None where they are none."""
    if targets.dtype.kind not in "iu":
        return None
    return float((y.argmax(axis=-1) == targets).mean())
