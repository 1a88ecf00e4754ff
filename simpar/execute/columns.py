"""A device of tensor parallelism, with real parameters: a share of the columns of each cut layer.

It computes everything on all samples, and of a cut layer only its own outputs. What it has to exchange of
them, its columns or its part of the gradient of the layer's input, lies in a row of numbers, a chunk a
device, until messages have made it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simpar.execute.optimizers import Optimizer
from simpar.execute.order import Token
from simpar.execute.parties import Array, Cut, Loss, Pass, Source, Trained, Worker, crossing
from simpar.execute.plan import Plan
from simpar.program import Op

OUTPUT, INPUT_GRADIENT = "output", "input_gradient"
"""What is exchanged of a cut layer, as programs name it."""


class ColumnWorker(Worker):
    """One device of those over which layers are cut."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        model: Trained,
        parameters: Sequence[Array],
        source: Source,
        optimizer: Callable[[], Optimizer],
    ) -> None:
        """Copy the parameters of all layers, of those that are cut the rows that make its own outputs."""
        self._place = plan.workers.index(number)
        self.shares = plan.cut_tensors([len(layer.tensors) for layer in model.layers])
        """Tensors of which it holds a share; all others it holds as everybody does."""
        mine = list(parameters)
        for tensor in self.shares:
            mine[tensor] = np.split(mine[tensor], len(plan.workers))[self._place]
        super().__init__(number, plan, model, mine, source, optimizer)
        # By collective, the shape of what this device has of it, and the layer whose output it is.
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._read_by: dict[int, int] = {}

    def forward(self, op: Op, iteration: int, tokens: Sequence[Token]) -> tuple[Cut, Loss | None]:
        """Compute layers up to one that is cut, of that one its own outputs, or to the end."""
        first, last = op.layers
        self._forget(iteration)
        self.receive(iteration, tokens)
        kept = self._passes.setdefault((iteration, op.part), Pass())
        inputs, targets = self.samples_for(op, iteration)
        x = inputs
        if first > 0:
            x = self._whole(crossing(tokens, op.part, first, ahead=True), first, iteration)
        for low, high in self._within(first, last):
            x, kept.saved[low, high] = self.model.forward(self.parameters, x, low, high)
        number = self.plan.exchange_of(last - 1, OUTPUT)
        if first < last and number is not None:
            self._offer(number, iteration, _output(x, last - 1))
        elif last == len(self.model.layers):
            value, kept.slope = self.model.loss(x, targets)
            samples = len(targets)
            return Cut(op.part, last, True, x), Loss(iteration, self.number, op.part, samples, float(value))
        return Cut(op.part, last, True, x), None

    def backward(self, op: Op, iteration: int, tokens: Sequence[Token]) -> Cut:
        """Compute the gradients of layers down to one that is cut, of that one from its own outputs on."""
        first, last = op.layers
        self.receive(iteration, tokens)
        kept = self._passes[iteration, op.part]
        at_end = last == len(self.model.layers)
        dy = kept.slope if at_end else self._summed(crossing(tokens, op.part, last, False), last, iteration)
        found = self._gradients.setdefault(iteration, {}).setdefault(op.part, {})
        for low, high in reversed(self._within(first, last)):
            saved = kept.saved.pop((low, high))
            if low in self.plan.columns:
                dy, gradients = self._backward_of_cut(low, saved, dy, iteration)
            else:
                dy, gradients = self.model.backward(self.parameters, saved, dy)
            tensors = range(self._first_tensor[low], self._first_tensor[high])
            found.update(zip(tensors, gradients, strict=True))
        return Cut(op.part, first, False, dy)

    def update(self, iteration: int) -> int:
        """Update what this device holds; what all hold counts as the first one's."""
        count = super().update(iteration)
        others = (self.plan.sizes[tensor] for tensor in self.held if tensor not in self.shares)
        return count if self._place == 0 else count - sum(others)

    # -- what is exchanged ---------------------------------------------------------------------------

    def _offer(self, number: int, iteration: int, values: Array, whole: bool = False) -> None:
        """Lay what this device has of a collective where messages take it from: a chunk, or a *whole* row."""
        row = np.zeros(self.plan.elements(number), dtype=values.dtype)
        bounds = self.plan.chunk_bounds[number]
        place = slice(None) if whole else slice(bounds[self._place], bounds[self._place + 1])
        row[place] = values.reshape(-1)
        self._buckets[iteration, number] = row
        self._shapes[number] = values.shape

    def _whole(self, x: Any, layer: int, iteration: int) -> Any:
        """Return what crosses the cut before *layer* with all outputs of the cut layer before it."""
        number = self.plan.exchange_of(layer - 1, OUTPUT)
        if number is None:
            return x
        chunks = np.split(self._buckets[iteration, number], len(self.plan.workers))
        y = np.concatenate([chunk.reshape(self._shapes[number]) for chunk in chunks], axis=-1)
        return {**x, layer - 1: y} if isinstance(x, dict) else y

    def _backward_of_cut(
        self, layer: int, saved: Any, dy: Any, iteration: int
    ) -> tuple[dict[int, Array], list[Array]]:
        """Return the other gradients that cross the cut before a cut layer, and those of its own share."""
        mine = np.split(_output(dy, layer), len(self.plan.workers), axis=-1)[self._place]
        others = {one: slope for one, slope in dy.items() if one != layer} if isinstance(dy, dict) else {}
        slope = {layer: mine} if isinstance(dy, dict) else mine
        dx, gradients = self.model.backward(self.parameters, saved, slope)
        number = self.plan.exchange_of(layer, INPUT_GRADIENT)
        if number is not None:
            if isinstance(dx, dict):
                ((self._read_by[number], dx),) = dx.items()
            self._offer(number, iteration, dx, whole=True)
        return others, gradients

    def _summed(self, slopes: Any, layer: int, iteration: int) -> Any:
        """Return the gradients that cross the cut before *layer* with that of its input, which all add up."""
        number = self.plan.exchange_of(layer, INPUT_GRADIENT)
        if number is None:
            return slopes
        total = self._buckets[iteration, number].reshape(self._shapes[number])
        read = self._read_by.get(number)
        if read is None:
            return total
        return {**slopes, read: slopes[read] + total if read in slopes else total}


def _output(values: Any, layer: int) -> Array:
    """Return the output of *layer*, or its gradient, of what crosses the cut behind it."""
    return values[layer] if isinstance(values, dict) else values
