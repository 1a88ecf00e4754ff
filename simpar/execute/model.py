"""A model that is really trained: operations one after another, and a loss.

A model owns no parameters; they are a list of arrays, one a tensor, in the model's order. So one model serves
any number of workers, each with parameters of its own. Passes may be cut anywhere between layers. What
crosses a cut is one array, or a tuple of them where several layers behind it read something before it.

Losses and gradients are sums over samples, never means: those of the slices of a batch add up to those of the
whole. Who updates divides by the number of samples.

Start with :class:`Model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from simpar.errors import ProgramError
from simpar.execute import kernels
from simpar.execute.arrays import Array, Buffers, Gemm, gemm
from simpar.execute.operations import DATA, Embedding, Operation, Shape, Tools

Objective = Literal["classes", "values"]
"""What is learned: the right ones of classes, by cross entropy; or values, by half their squared errors."""

Crossing = Any
"""One array; or a tuple of arrays, in the order of the layers that made them."""


class Saved(NamedTuple):
    """What a pass forward keeps for the pass backward."""

    first: int
    last: int
    layers: list[Any]
    """Of each layer what its operation keeps."""


@dataclass(frozen=True)
class Model:
    """Layers in topological order, each reading layers before it."""

    layers: tuple[Operation, ...]
    """One a layer of the workload, with the same index."""

    objective: Objective = "classes"

    gemm: Gemm = gemm
    """Multiplies matrices, everywhere."""

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of all parameter tensors."""
        return [tensor.shape for layer in self.layers for tensor in layer.tensors]

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample."""
        return next(
            shape
            for layer in self.layers
            for source, shape in zip(layer.reads, layer.shapes, strict=True)
            if source == DATA
        )

    @property
    def output_shape(self) -> Shape:
        """Shape of what comes out for one sample."""
        return self.layers[-1].output

    @property
    def takes_tokens(self) -> bool:
        """Whether a sample is a row of tokens, which are integers, rather than of numbers."""
        return any(isinstance(layer, Embedding) for layer in self.layers)

    def first_tensor(self, layer: int) -> int:
        """Return the index of the first tensor of *layer*, or of what follows where it has none."""
        return sum(len(one.tensors) for one in self.layers[:layer])

    def init(self, seed: int, xp: Any = np, dtype: Any = None) -> list[Array]:
        """Return new parameters, all of them, drawn from *seed*: the same numbers in every library.

        Args:
            xp: the library whose arrays they are.
            dtype: their type in that library; float32 by default.
        """
        found, number = [], 0
        for layer in self.layers:
            for tensor, (_, shape) in enumerate(layer.tensors):
                mean, std = layer.start(tensor)
                # Each tensor has a stream of its own: it begins the same whatever stands before it.
                values = mean + std * np.random.default_rng([seed, number]).standard_normal(shape)
                found.append(xp.asarray(values, dtype=xp.float32 if dtype is None else dtype))
                number += 1
        return found

    def crossing(self, position: int) -> tuple[int, ...]:
        """Return the layers whose outputs cross the cut before *position*: at the end, the last one."""
        if position == len(self.layers):
            return (position - 1,)
        return tuple(
            sorted(
                {source for layer in self.layers[position:] for source in layer.reads if source < position}
            )
        )

    def forward(
        self,
        parameters: Sequence[Array | None],
        x: Crossing,
        first: int = 0,
        last: int | None = None,
        buffers: Buffers | None = None,
    ) -> tuple[Crossing, Saved]:
        """Return what the layers [*first*, *last*) make of *x*, and what :meth:`backward` needs.

        Args:
            parameters: those of the whole model; of other layers they may be None.
            x: samples, or what crosses the cut before *first*; the first axis counts samples.
            buffers: arrays to write into; by default all are new.

        Raises:
            ProgramError: a layer computes with the weight of another that is not among these layers, so that
                nobody would see the whole gradient of that.
        """
        last = len(self.layers) if last is None else last
        outputs = dict(zip(self.crossing(first), _apart(x), strict=True))
        saved, tensor = [], self.first_tensor(first)
        for index in range(first, last):
            layer = self.layers[index]
            own = list(parameters[tensor : tensor + len(layer.tensors)])
            if layer.borrows:
                own.append(parameters[self._borrowed(index, first, last)])
            inputs = [outputs[source] for source in layer.reads]
            outputs[index], kept = layer.forward(inputs, own, Tools(self.gemm, buffers, index))
            saved.append(kept)
            tensor += len(layer.tensors)
        return _together([outputs[source] for source in self.crossing(last)]), Saved(first, last, saved)

    def backward(
        self,
        parameters: Sequence[Array | None],
        saved: Saved,
        dy: Crossing,
        buffers: Buffers | None = None,
    ) -> tuple[Crossing, list[Array]]:
        """Return the gradients of what crossed the cut before the layers, and of their tensors in order.

        Both are sums over samples. What is no numbers, such as tokens, has None for a gradient.
        """
        first, last, kept = saved
        slopes: dict[int, Array | None] = dict(zip(self.crossing(last), _apart(dy), strict=True))
        gradients: list[list[Array]] = []
        lent: dict[tuple[int, int], list[Array]] = {}
        for index in reversed(range(first, last)):
            layer = self.layers[index]
            tools = Tools(self.gemm, buffers, index)
            dxs, own = layer.backward(slopes.pop(index), kept[index - first], tools)
            if layer.borrows:
                lent.setdefault(layer.borrows, []).append(own.pop())
            for tensor, values in enumerate(own):
                for more in lent.get((index, tensor), ()):
                    values = values + more
                own[tensor] = values
            gradients.append(own)
            for source, dx in zip(layer.reads, dxs, strict=True):
                before = slopes.get(source)
                slopes[source] = dx if before is None else before + dx
        found = [slopes.get(source) for source in self.crossing(first)]
        return _together(found), [one for own in reversed(gradients) for one in own]

    def _borrowed(self, layer: int, first: int, last: int) -> int:
        """Return the index of the tensor that *layer* borrows, of a layer in [first, last)."""
        borrows = self.layers[layer].borrows
        assert borrows is not None, f"{self.layers[layer].name} borrows nothing"
        owner, tensor = borrows
        if not first <= owner < last:
            raise ProgramError(
                f"{self.layers[layer].name} computes with {self.layers[owner].tensors[tensor].name}, so "
                "that the model cannot be cut between them; write 'tied: false' in its shape"
            )
        return self.first_tensor(owner) + tensor

    def loss(self, y: Array, targets: Array, out: Array | None = None) -> tuple[Array, Array]:
        """Return the loss of outputs *y*, summed over samples, and its gradient."""
        if self.objective == "classes":
            return kernels.cross_entropy(y, targets, out)
        return kernels.half_squared_error(y, targets, out)


def _apart(x: Crossing) -> tuple[Array, ...]:
    return x if isinstance(x, tuple) else (x,)


def _together(arrays: Sequence[Array]) -> Crossing:
    return arrays[0] if len(arrays) == 1 else tuple(arrays)
