"""The workers and servers of a program, with real parameters: what each of them does at each op.

They know nothing of time and of each other. What goes between them are the *loads* of tokens and messages:

======== =====================================================================================================
Cut      what crosses a cut between layers: outputs on the way forward, their gradients on the way back
Pushed   the gradients of one key, summed over samples, or its parameters, on their way to a server
Merged   the gradients of several keys, on their way to the first device of a machine
Pulled   the parameters of one key, of one version, on their way to a worker
Output   what a worker that only predicts makes of its records, on its way to the host
Chunk    a part of a bucket, on its way round
======== =====================================================================================================

Gradients are sums over samples everywhere; who updates divides by the number of samples. Sums are taken in
the order of the workers and of the parts of the work, whoever came first: so that the same trace, and one
that differs in its times only, give the same parameters to the last bit.

Start with :class:`Worker`; :mod:`simpar.execute.replay` lets them do what a trace says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Token
from simpar.execute.plan import KeyId, Plan, Run, Share
from simpar.execute.predictions import Output
from simpar.execute.updates import Update, mean_of, symmetric_part
from simpar.program import Op

Array = Any
"""An array of NumPy or CuPy."""


class Trained(Protocol):
    """What a model must be able to do; :class:`simpar.execute.model.Model` is."""

    @property
    def layers(self) -> Sequence[Any]:
        """Its layers, each with its ``tensors`` as (name, shape)."""

    def forward(self, parameters: Any, x: Any, first: int = 0, last: int | None = None) -> tuple[Any, Any]:
        """Return what the layers [first, last) make of *x*, and what they keep for the way back."""

    def backward(self, parameters: Any, saved: Any, dy: Any) -> tuple[Any, list[Any]]:
        """Return the gradients of the input, and of the layers' parameters, summed over samples."""

    def loss(self, y: Any, targets: Any, /) -> tuple[Any, Any]:
        """Return the loss, summed over samples, and its gradient."""


Source = Callable[[int, int], tuple[Any, Any]]
"""Given the first sample of the stream and how many: their inputs and targets."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What crosses the cut before *layer*, of one part of the work."""

    part: int
    layer: int
    ahead: bool
    """Whether outputs, on the way forward; else gradients."""
    value: Any


@dataclass(frozen=True, slots=True)
class Pushed:
    """Gradients of one key."""

    worker: int
    iteration: int
    key: KeyId
    samples: int
    read: int
    """Version of the parameters that they were computed on."""
    values: Array
    part: int = -1
    """The first part of the work that they are of, where an iteration has several pushes."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Gradients of several keys."""

    worker: int
    samples: int
    values: dict[KeyId, Array]


@dataclass(frozen=True, slots=True)
class Pulled:
    """Parameters of one key."""

    key: KeyId
    version: int
    values: Array


@dataclass(slots=True)
class Chunk:
    """A part of a bucket."""

    share: Share
    worker: int
    """Whom it goes to."""
    values: Array
    taken: bool = False
    """Whether that worker has made it its own; several of its tasks may wait for the same message."""


@dataclass(slots=True)
class Pass:
    """What a worker keeps of one part of the work between its forward and its backward."""

    saved: dict[tuple[int, int], Any] = field(default_factory=dict)
    """By range of layers: what its way back needs, or what it computed on, to compute that once more."""
    slope: Any = None
    """The gradient of the loss, where the last layer is this worker's."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one part of the work, summed over its samples."""

    iteration: int
    worker: int
    part: int
    samples: int
    value: float


def loads_of(tokens: Iterable[Token]) -> Iterator[Any]:
    """Yield all that tokens brought, one by one."""
    for token in tokens:
        if isinstance(token.load, list):
            yield from token.load
        else:
            yield token.load


def joined(tensors: Sequence[Array], runs: Sequence[Run]) -> Array:
    """Return *runs* of *tensors* one after another, as one new row of numbers."""
    parts = [tensors[run.tensor].reshape(-1)[run.start : run.start + run.elements] for run in runs]
    return np.concatenate(parts)


def parted(values: Array, tensors: Sequence[Array], runs: Sequence[Run]) -> None:
    """Write a row of numbers into *runs* of *tensors*, whose numbers lie one after another."""
    place = 0
    for run in runs:
        flat = tensors[run.tensor].reshape(-1)
        flat[run.start : run.start + run.elements] = values[place : place + run.elements]
        place += run.elements


class Worker:
    """A device that computes, with its own copy of the parameters that it needs."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        model: Trained,
        parameters: Sequence[Array],
        source: Source,
        optimizer: Callable[[], Optimizer],
    ) -> None:
        """Copy the *parameters* of the layers that worker *number* computes; it never sees the others."""
        self.number, self.plan, self.model, self.source = number, plan, model, source
        self.segments = plan.segments(number)
        self.samples = plan.samples_of(number)
        """Samples of an iteration that are its own."""
        self._first_tensor = [0]
        for layer in model.layers:
            self._first_tensor.append(self._first_tensor[-1] + len(layer.tensors))
        self.held = [
            tensor
            for low, high in self.segments
            for tensor in range(self._first_tensor[low], self._first_tensor[high])
        ]
        """Tensors of its layers."""
        self.parameters: list[Array | None] = [None] * len(parameters)
        for tensor in self.held:
            self.parameters[tensor] = parameters[tensor].copy()
        self.read = dict.fromkeys(plan.keys, 0)
        """Version of each key that it has."""
        self._optimizer = optimizer
        self._optimizers: dict[int, Optimizer] = {}
        self._rules: dict[KeyId, Optimizer] = {}
        self._own_steps: dict[KeyId, Optimizer] = {}
        self._passes: dict[tuple[int, int], Pass] = {}
        self._gradients: dict[int, dict[int, dict[int, Array]]] = {}  # by iteration, part and tensor
        self._buckets: dict[tuple[int, int], Array] = {}

    # -- computing ---------------------------------------------------------------------------------

    def forward(self, op: Op, iteration: int, tokens: Sequence[Token]) -> tuple[Cut, Loss | None]:
        """Compute the outputs of layers; the last one's are compared with the targets at once."""
        self._forget(iteration)
        first, last = op.layers
        kept = self._passes.setdefault((iteration, op.part), Pass())
        count = len(self.model.layers)
        inputs = targets = None
        if first == 0 or last == count:
            inputs, targets = self.samples_for(op, iteration)
        x = inputs if first == 0 else crossing(tokens, op.part, first, ahead=True)
        for low, high in self._within(first, last):
            before = x
            x, saved = self.model.forward(self.parameters, x, low, high)
            kept.saved[low, high] = before if self.plan.recompute else saved
        if last < count:
            return Cut(op.part, last, True, x), None
        value, kept.slope = self.model.loss(x, targets)
        samples = self.plan.samples(op, iteration)[1]
        return Cut(op.part, last, True, x), Loss(iteration, self.number, op.part, samples, float(value))

    def predict(self, op: Op, iteration: int) -> Output:
        """Compute the outputs of the whole model, of which nothing is kept."""
        inputs, _ = self.samples_for(op, iteration)
        y, _ = self.model.forward(self.parameters, inputs)
        return Output(self.number, tuple(self.plan.runs(op, iteration)), y)

    def samples_for(self, op: Op, iteration: int) -> tuple[Any, Any]:
        """Return inputs and targets of the samples that *op* computes on."""
        found = [
            self.source(first, count) if step == 1 else self._every(first, count, step)
            for first, count, step in self.plan.runs(op, iteration)
        ]
        if len(found) == 1:
            return found[0]
        return np.concatenate([inputs for inputs, _ in found]), np.concatenate([one for _, one in found])

    def _every(self, first: int, count: int, step: int) -> tuple[Any, Any]:
        """Return inputs and targets of every *step*-th sample."""
        inputs, targets = self.source(first, max(0, count - 1) * step + min(count, 1))
        return inputs[::step], targets[::step]

    def backward(self, op: Op, iteration: int, tokens: Sequence[Token]) -> Cut:
        """Compute the gradients of layers."""
        first, last = op.layers
        kept = self._passes[iteration, op.part]
        at_end = last == len(self.model.layers)
        dy = kept.slope if at_end else crossing(tokens, op.part, last, ahead=False)
        found = self._gradients.setdefault(iteration, {}).setdefault(op.part, {})
        for low, high in reversed(self._within(first, last)):
            saved = kept.saved.pop((low, high))
            if self.plan.recompute:
                _, saved = self.model.forward(self.parameters, saved, low, high)
            dy, gradients = self.model.backward(self.parameters, saved, dy)
            tensors = range(self._first_tensor[low], self._first_tensor[high])
            found.update(zip(tensors, gradients, strict=True))
        return Cut(op.part, first, False, dy)

    def _within(self, first: int, last: int) -> list[tuple[int, int]]:
        return [(low, high) for low, high in self.segments if first <= low and high <= last]

    def _forget(self, iteration: int) -> None:
        """Drop what belongs to iterations before, but for gradients that may still have to go."""
        self._passes = {key: one for key, one in self._passes.items() if key[0] >= iteration}
        self._buckets = {key: one for key, one in self._buckets.items() if key[0] >= iteration}
        kept = iteration - self.plan.window - bool(self.plan.update.elastic)
        self._gradients = {key: one for key, one in self._gradients.items() if key > kept}

    def gradients(self, iteration: int, only: Sequence[int] | None = None) -> dict[int, Array]:
        """Return the gradients of an iteration by tensor, summed over its parts in their order.

        Args:
            only: the parts of which they are to be.
        """
        parts = self._gradients[iteration]
        order = sorted(parts if only is None else only)
        total = dict(parts[order[0]])
        for part in order[1:]:
            for tensor, values in parts[part].items():
                total[tensor] = total[tensor] + values
        if self.plan.update.symmetric:
            total = {tensor: symmetric_part(one) if one.ndim == 2 else one for tensor, one in total.items()}
        return total

    # -- with servers ------------------------------------------------------------------------------

    def merge(self, keys: Sequence[KeyId], iteration: int) -> Merged:
        """Return the gradients of *keys* for the first device of the machine."""
        return Merged(self.number, self.samples, {key: self._of_key(key, iteration) for key in keys})

    def push(
        self, key: KeyId, iteration: int, tokens: Sequence[Token], parts: Sequence[int] | None = None
    ) -> Pushed:
        """Return the gradients of *key*, with those that other devices of the machine sent.

        Args:
            parts: the parts of the work of which they are to be; by default all of an iteration.
        """
        values, samples = self._of_key(key, iteration, parts), self.samples
        if self.plan.update.elastic:  # what the centre is made of, not the gradient
            values = joined([*self.parameters], self.plan.keys[key])
        if parts is not None:
            samples = self._samples_of(parts)
        merged = [load for load in loads_of(tokens) if isinstance(load, Merged)]
        for other in sorted(merged, key=lambda one: one.worker):
            values, samples = values + other.values[key], samples + other.samples
        if self.plan.pushes_models:
            own_step = self._own_steps.setdefault(key, self._optimizer())
            values = own_step.step(joined([*self.parameters], self.plan.keys[key]), values / samples)
        first = -1 if parts is None else parts[0]
        return Pushed(self.number, iteration, key, samples, self.read[key], values, first)

    def _samples_of(self, parts: Sequence[int]) -> int:
        return sum(self.plan.parts[part + 1] - self.plan.parts[part] for part in parts)

    def _of_key(self, key: KeyId, iteration: int, parts: Sequence[int] | None = None) -> Array:
        tensors = self.gradients(iteration, parts)
        return joined([tensors.get(tensor) for tensor in range(len(self.plan.sizes))], self.plan.keys[key])

    def train_alone(self, op: Op, iteration: int, parts: Sequence[int]) -> None:
        """Update the own copy of the layers of *op* with the gradients of *parts*, which it completes."""
        first, last = (self._first_tensor[layer] for layer in op.layers)
        samples, found = self._samples_of(parts), self._gradients[iteration]
        for tensor in range(first, last):
            total = found[parts[0]][tensor]
            for part in parts[1:]:
                total = total + found[part][tensor]
            self._step(tensor, total.reshape(-1) / samples)

    def _step(self, tensor: int, mean: Array) -> int:
        """Update a tensor of its own with the *mean* gradient; return how many numbers those are."""
        before = self.parameters[tensor]
        assert before is not None, f"worker {self.number} has no tensor {tensor}, only its gradient"
        rule = self._optimizers.setdefault(tensor, self._optimizer())
        self.parameters[tensor] = rule.step(before.reshape(-1), mean).reshape(before.shape)
        return int(before.size)

    def pull(self, tokens: Sequence[Token]) -> None:
        """Take over the parameters that came."""
        for load in loads_of(tokens):
            if isinstance(load, Pulled):
                values = self._elastic(load) if self.plan.update.elastic else load.values
                parted(values, self.parameters, self.plan.keys[load.key])
                self.read[load.key] = load.version

    def _elastic(self, load: Pulled) -> Array:
        """Return its own parameters of a key after a step of its own, drawn to the centre that came."""
        update, runs = self.plan.update, self.plan.keys[load.key]
        iteration = max(self._gradients)
        own = joined([*self.parameters], runs)
        mean = self._of_key(load.key, iteration) / self.samples
        names = [name for layer in self.model.layers for name, _ in layer.tensors]
        biases = [
            np.full(size, name.endswith("bias")) for name, size in zip(names, self.plan.sizes, strict=True)
        ]
        mean = update.decayed(mean, own, joined(biases, runs))
        rule = self._rules.setdefault(load.key, update.rule(self._optimizer()))
        values = rule.step(own, mean) - update.elastic * (own - load.values)
        if update.noise_std:
            values = values + update.noise(len(own), own.dtype, 1, self.number, iteration, *_place(load.key))
        return values

    # -- with each other ---------------------------------------------------------------------------

    def bucket(self, iteration: int, number: int) -> Array:
        """Return a bucket of gradients, in which sums gather; at first this worker's own."""
        if (iteration, number) not in self._buckets:
            own = self.gradients(iteration)
            parts = [own[tensor].reshape(-1) for tensor in self.plan.buckets[number]]
            self._buckets[iteration, number] = np.concatenate(parts)
        return self._buckets[iteration, number]

    def send(self, share: Share, to: int, iteration: int) -> Chunk:
        """Return a copy of what *share* says of a bucket."""
        values = self.bucket(iteration, share.bucket)[share.begin : share.end].copy()
        return Chunk(share, to, values)

    def receive(self, iteration: int, tokens: Sequence[Token]) -> None:
        """Add, or take over, the chunks that came for this worker."""
        for load in loads_of(tokens):
            if isinstance(load, Chunk) and load.worker == self.number and not load.taken:
                load.taken = True
                place = slice(load.share.begin, load.share.end)
                values = self.bucket(iteration, load.share.bucket)
                values[place] = values[place] + load.values if load.share.adds else load.values

    def update(self, iteration: int) -> int:
        """Update the parameters that this worker holds, and return how many numbers those are."""
        total = self.gradients(iteration)
        if len(self.plan.workers) > 1:
            for number, tensors in enumerate(self.plan.buckets):
                values, place = self.bucket(iteration, number), 0
                for tensor in tensors:
                    size = self.plan.sizes[tensor]
                    total[tensor] = values[place : place + size]
                    place += size
        count = 0
        for tensor in sorted(total):
            count += self._step(tensor, total[tensor].reshape(-1) / self.plan.global_batch)
        return count


def crossing(tokens: Sequence[Token], part: int, layer: int, ahead: bool) -> Any:
    """Return what came over the cut before *layer*, of one part of the work."""
    for load in loads_of(tokens):
        if isinstance(load, Cut) and (load.part, load.layer, load.ahead) == (part, layer, ahead):
            return load.value
    raise AssertionError(f"nothing crossed the cut before layer {layer} of part {part}")


def _place(key: KeyId) -> tuple[int, int]:
    """Return a key as numbers from 0 on, of which a seed is made."""
    return key[0], key[1] + 1


class Server:
    """One key on its server: its parameters, their version and what the optimizer keeps for them."""

    def __init__(
        self,
        key: KeyId,
        values: Array,
        optimizer: Optimizer,
        update: Update | None = None,
        biases: Array | None = None,
    ) -> None:
        """Hold *values*; *biases* says which of them are biases."""
        self.key, self.values, self._optimizer = key, values, optimizer
        self._update, self._biases = update or Update(), biases
        self._before: Array | None = None
        self.version = 0
        """Updates so far."""

    def apply(self, pushes: Sequence[Pushed]) -> int:
        """Update with the mean gradient of *pushes*, and return of how many samples."""
        order = sorted(pushes, key=lambda push: (push.part, push.worker, push.iteration))
        total, samples = order[0].values, order[0].samples
        for push in order[1:]:
            total, samples = total + push.values, samples + push.samples
        update = self._update
        if update.elastic:
            self._move([push.values for push in order])
        else:
            mean = update.decayed(total / samples, self.values, self._biases)
            self.values = self._optimizer.step(self.values, mean)
            if update.noise_std:
                place = (0, self.version, *_place(self.key))
                self.values = self.values + update.noise(len(self.values), self.values.dtype, *place)
        self.version += 1
        return samples

    def _move(self, replicas: Sequence[Array]) -> None:
        """Move the centre: to the mean of all replicas, or by a part of the distance of those that came."""
        if self._update.together:
            self.values = mean_of(replicas)
            return
        self._before = self.values
        self.values = self.values + sum(self._update.elastic * (one - self._before) for one in replicas)

    def reply(self) -> Pulled:
        """Return the parameters as they are; of a centre that moves, as they were before it did."""
        return Pulled(self.key, self.version, self.values if self._before is None else self._before)
