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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simpar.errors import EngineError
from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Order
from simpar.execute.parties import Array, Loss, Source, Trained
from simpar.execute.performing import Gradient, Performer
from simpar.execute.plan import KeyId
from simpar.execute.predictions import Prediction
from simpar.trace import Trace

Progress = Callable[[int, int], None]
"""Called with (instances done, instances in all)."""


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
    stopped: dict[int, int]
    """By iteration, the parts of the work that were stopped before there was a loss."""

    def loss_by_iteration(self) -> NDArray[np.float64]:
        """Return the mean loss of the samples of each iteration: float64[iterations].

        Only iterations that everybody has been through count: the first that somebody has not ends the
        curve.
        """
        by_iteration: dict[int, list[Loss]] = {}
        for loss in self.losses:
            by_iteration.setdefault(loss.iteration, []).append(loss)
        curve: list[float] = []
        parts = [len(by_iteration.get(m, ())) + self.stopped.get(m, 0) for m in sorted(by_iteration)]
        for iteration in sorted(by_iteration):
            found = by_iteration[iteration]
            if parts[len(curve)] < parts[0]:
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


class _Replay(Performer):
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
        super().__init__(trace.program, model, parameters, source, optimizer, members)
        self.trace, self.test, plan = trace, test, self.plan
        holders = [0] * len(plan.sizes)
        for worker in self.workers.values():
            for tensor in worker.held:
                holders[tensor] += 1
        self._whole = sum(plan.sizes)
        # Of data parallelism every worker holds all parameters, of a pipeline one; of servers they hold them.
        # Where layers are cut each counts its own share, and the first what all hold.
        self._replicas = 1 if plan.served or plan.columns else max(holders, default=1)
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
        nodes = trace.nodes
        self.stopped = nodes.stopped if nodes is not None else frozenset()
        self.slices = {
            (self.program.lane_of[first][0], number): (self.program.ops[sender].part, iteration)
            for first, number, sender, iteration in (nodes.members.tolist() if nodes is not None else ())
            if first in self.program.lane_of
        }

    def run(self) -> Replayed:
        """Perform all ops and return what came of it."""
        self._test(0.0)
        Order(self.trace).run(self.begin, self.finish, self._is_done)
        if self._points and self._points[-1].samples < self._samples:
            self._test(self._end_s)
        return Replayed(
            parameters=self.current(),
            replicas={number: list(worker.parameters) for number, worker in self.workers.items()},
            points=self._points,
            losses=self._losses,
            gradients=self._gradients,
            updates=self._updated // (self._replicas * self._whole) if self._whole else 0,
            samples=self._samples,
            end_s=self._end_s,
            predictions=self._predictions,
            held={key: server.values for key, server in self.servers.items()},
            stopped=self.unfinished,
        )

    # -- what has been learned ---------------------------------------------------------------------

    @property
    def _samples(self) -> float:
        return self._learned / self._whole if self._whole else 0.0

    def _is_done(self) -> bool:
        return self._until is not None and self._learned >= self._until

    def performed(self) -> None:
        """Say now and then how far it is."""
        self._count += 1
        if self._progress is not None and self._count % 256 == 0:
            self._progress(self._count, self._total)

    def noted(self, task: int, loss: Loss) -> None:
        """Keep a loss, if it is a number."""
        if not math.isfinite(loss.value):
            raise EngineError(
                f"the loss of {self.program.tasks[task]} in iteration {loss.iteration} is {loss.value}: "
                "training diverges"
            )
        self._losses.append(loss)

    def applied(self, task: int, iteration: int, gradients: list[Gradient], samples: int, count: int) -> None:
        """Keep the gradients, and count what has been learned from them."""
        self._gradients += gradients
        if count:
            self._learn(task, iteration, count * samples, count)

    def updated(self, task: int, iteration: int, count: int) -> None:
        """Count what a worker has learned."""
        plan, worker = self.plan, self.program.ops[task].worker
        samples = plan.shares[worker] if self._replicas > 1 else plan.global_batch
        self._learn(task, iteration, count * samples, count)

    def predicted(self, task: int, prediction: Prediction) -> None:
        """Keep a prediction."""
        self._predictions.append(prediction)
        self._end_s = float(self.trace.end_s[self.trace.row(task, prediction.iteration)])

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
        y, _ = self.model.forward(self.current(), inputs)
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


def _accuracy(y: Array, targets: Array) -> float | None:
    """Return the share of *targets*, which are classes, that *y* puts first; None where they are none."""
    if targets.dtype.kind not in "iu":
        return None
    return float((y.argmax(axis=-1) == targets).mean())
