"""What a layer does, with its parameters: one operation a layer of the workload.

An operation owns no numbers. It says which tensors it needs and of which shape, takes them with its inputs,
and returns its output together with what its backward needs.

Start with :class:`Operation`, then :class:`Linear`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simpar.execute import kernels
from simpar.execute.arrays import Array, Buffers, Gemm, gemm, namespace

Shape = tuple[int, ...]

DATA = -1
"""Where an operation reads the data instead of the output of another."""


class Parameter(NamedTuple):
    """One parameter tensor."""

    name: str
    """Unique in the model, ``fc1.weight``."""
    shape: Shape


class Start(NamedTuple):
    """How the elements of a tensor are drawn."""

    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Tools:
    """What operations compute with."""

    gemm: Gemm = gemm
    """Multiplies matrices."""
    buffers: Buffers | None = None
    layer: int = 0
    """Index of the operation, to tell its buffers from those of others."""

    def out(self, role: str, shape: Sequence[int], like: Array) -> Array | None:
        """Return the buffer for *role*; None where there are none, so that a new array is made."""
        return None if self.buffers is None else self.buffers.take(self.layer, role, shape, like)


@dataclass(frozen=True)
class Operation:
    """What one layer does."""

    name: str
    """Of the layer."""
    tensors: tuple[Parameter, ...]
    """In the workload's order."""
    reads: tuple[int, ...]
    """Layers whose outputs it takes, in the order in which it takes them; :data:`DATA` for the data."""
    shapes: tuple[Shape, ...]
    """Of each of its inputs, for one sample; an input of as many elements is taken in this shape."""
    relu: bool = field(default=False, kw_only=True)
    """Whether what is negative of its output becomes 0."""

    def forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        """Return the output of *inputs*, and what :meth:`backward` needs."""
        xp = namespace(inputs[0])
        taken = [
            x if tuple(x.shape[1:]) == shape else xp.reshape(x, (x.shape[0], *shape))
            for x, shape in zip(inputs, self.shapes, strict=True)
        ]
        y, saved = self._forward(taken, tensors, tools)
        if self.relu:
            y = kernels.relu(y, out=y)
        return y, (saved, [x.shape for x in inputs], y if self.relu else None)

    def backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs, None of those that have none, and of the tensors."""
        kept, shapes, y = saved
        if self.relu:
            dy = kernels.relu_backward(dy, y)
        found, gradients = self._backward(dy, kept, tools)
        xp = namespace(dy)
        dxs = [
            dx if dx is None or dx.shape == shape else xp.reshape(dx, shape)
            for dx, shape in zip(found, shapes, strict=True)
        ]
        return dxs, gradients

    def start(self, tensor: int) -> Start:
        """Return how a tensor begins: so that outputs are of the size of inputs, He et al., arXiv:1502.01852."""
        shape = self.tensors[tensor].shape
        if len(shape) < 2:
            return Start(0.0, 0.0)
        gain = 2.0 if self.relu else 1.0
        return Start(0.0, math.sqrt(gain / math.prod(shape[1:])))

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        raise NotImplementedError

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        raise NotImplementedError


class Linear(Operation):
    """A fully connected layer: ``x weight^T``, and a bias where it has one."""

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        weight, bias = tensors[0], tensors[1] if len(tensors) > 1 else None
        out = tools.out("y", (math.prod(x.shape[:-1]), weight.shape[0]), x)
        return kernels.linear(x, weight, bias, out, tools.gemm)

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        x, weight = saved
        out = (
            tools.out("dx", x.shape, x),
            tools.out("dweight", weight.shape, x),
            tools.out("dbias", weight.shape[:1], x),
        )
        dx, *gradients = kernels.linear_backward(dy, saved, out, tools.gemm)
        return [dx], gradients[: max(1, len(self.tensors))]
