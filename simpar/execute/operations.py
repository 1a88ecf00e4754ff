"""What a layer does, with its parameters: one operation a layer of the workload.

An operation owns no numbers. It says which tensors it needs and of which shape, takes them with its inputs,
and returns its output together with what its backward needs.

Start with :class:`Operation`, then :class:`Linear`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from simpar.execute import kernels
from simpar.execute import kernels_image as image
from simpar.execute import kernels_sequence as sequence
from simpar.execute.arrays import Array, Buffers, Gemm, apply, gemm, namespace

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
    output: Shape
    """Of its output, for one sample."""
    borrows: tuple[int, int] | None = field(default=None, kw_only=True)
    """Layer, and which of its tensors, that it computes with besides its own: tied weights."""
    relu: bool = field(default=False, kw_only=True)
    """Whether what is negative of its output becomes 0."""

    def forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        """Return the output of *inputs*, and what :meth:`backward` needs.

        Args:
            inputs: what it reads.
            tensors: its own, and behind them the one that it borrows.
            tools: what it computes with.
        """
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
        """Return how a tensor begins: outputs are as large as inputs, He et al., arXiv:1502.01852."""
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


@dataclass(frozen=True)
class Convolution(Operation):
    """A two-dimensional convolution, with a bias where it has one."""

    stride: int = field(kw_only=True)
    padding_height: int = field(kw_only=True)
    padding_width: int = field(kw_only=True)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        weight, bias = tensors[0], tensors[1] if len(tensors) > 1 else None
        padding = self.padding_height, self.padding_width
        places = x.shape[0], *self.output[1:]
        out = (
            tools.out("columns", (*places, *weight.shape[1:]), x),
            tools.out("y", (math.prod(places), weight.shape[0]), x),
        )
        return image.convolution(x, weight, bias, self.stride, padding, out, tools.gemm)

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        dx, *gradients = image.convolution_backward(dy, saved, tools.gemm)
        return [dx], gradients[: len(self.tensors)]


@dataclass(frozen=True)
class Pool(Operation):
    """The largest value, or the mean, of a square window that slides over an image."""

    kernel: int = field(kw_only=True)
    stride: int = field(kw_only=True)
    padding: int = field(kw_only=True)
    average: bool = field(kw_only=True)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        window = image.Window(self.kernel, self.kernel, self.stride, (self.padding, self.padding))
        return (image.average_pool if self.average else image.max_pool)(inputs[0], window)

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        backward = image.average_pool_backward if self.average else image.max_pool_backward
        return [backward(dy, saved)], []


class WholePool(Operation):
    """The mean of each channel of an image."""

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        return namespace(x).mean(x, axis=(2, 3), keepdims=True), x.shape

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        share = dy / math.prod(saved[2:])
        return [namespace(dy).broadcast_to(share, saved)], []


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Mean 0 and variance 1 for each channel, over the samples that are there.

    Those are the samples of a slice, where a batch is cut into slices: see
    :func:`simpar.execute.kernels_image.batch_norm` for what follows from that.
    """

    given: tuple[Array, Array] | None = field(default=None, kw_only=True)
    """Means and variances to use instead."""

    def start(self, tensor: int) -> Start:
        """Return how a tensor begins: the weight at 1."""
        return Start(1.0 - tensor, 0.0)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        return image.batch_norm(x, tensors[0], tensors[1], self.given, tools.out("y", x.shape, x))

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        dx, *gradients = image.batch_norm_backward(dy, saved, tools.out("dx", dy.shape, dy))
        return [dx], gradients


class LayerNorm(Operation):
    """Mean 0 and variance 1 over the features of each token."""

    def start(self, tensor: int) -> Start:
        """Return how a tensor begins: the weight at 1."""
        return Start(1.0 - tensor, 0.0)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        return sequence.layer_norm(x, tensors[0], tensors[1], tools.out("y", x.shape, x))

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        dx, *gradients = sequence.layer_norm_backward(dy, saved, tools.out("dx", dy.shape, dy))
        return [dx], gradients


class Embedding(Operation):
    """A row of a table for each token, and of another for its place."""

    def start(self, tensor: int) -> Start:
        """Return how a tensor begins: small, as in GPT-2."""
        return Start(0.0, 0.02)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (tokens,) = inputs
        out = tools.out("y", (*tokens.shape, *self.output[1:]), tensors[0])
        return sequence.embedding(tokens, tensors[0], tensors[1], out), tokens

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        table, places = (tensor.shape for tensor in self.tensors)
        out = tools.out("dtable", table, dy), tools.out("dplaces", places, dy)
        return [None], [*sequence.embedding_backward(dy, saved, (table[0], places[0]), out)]


@dataclass(frozen=True)
class Attention(Operation):
    """What each token takes of others, by queries, keys and values that stand side by side."""

    heads: int = field(kw_only=True)
    kv_heads: int = field(kw_only=True)
    causal: bool = field(kw_only=True)

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        tokens, features = self.output
        rows = self.heads // self.kv_heads * tokens
        out = tools.out("y", (x.shape[0], self.kv_heads, rows, features // self.heads), x)
        return sequence.attention(x, self.heads, self.kv_heads, bool(self.causal), out, tools.gemm)

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        out = tools.out("dx", (dy.shape[0], *self.shapes[0]), dy)
        return [sequence.attention_backward(dy, saved, out, tools.gemm)], []


class Gelu(Operation):
    """The activation of GPT-2."""

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        (x,) = inputs
        return kernels.gelu(x, tools.out("y", x.shape, x))

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        return [kernels.gelu_backward(dy, saved, tools.out("dx", dy.shape, dy))], []


class Add(Operation):
    """The sum of two outputs."""

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        one, other = inputs
        return apply(namespace(one).add, one, other, out=tools.out("y", one.shape, one)), None

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        return [dy, dy], []


class Concat(Operation):
    """The channels of several outputs, one after another."""

    def _forward(self, inputs: Sequence[Array], tensors: Sequence[Array], tools: Tools) -> tuple[Array, Any]:
        return namespace(*inputs).concat(list(inputs), axis=1), None

    def _backward(self, dy: Array, saved: Any, tools: Tools) -> tuple[list[Array | None], list[Array]]:
        ends = [0, *accumulate(shape[0] for shape in self.shapes)]
        return [dy[:, begin:end, ...] for begin, end in pairwise(ends)], []
