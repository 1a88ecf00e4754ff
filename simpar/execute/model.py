"""Models that compute: the operations of a workload's layers, each with its way back.

Operation *i* of a :class:`Model` is layer *i* of the workload, so what a program says of layers selects
operations. An operation reads the outputs of earlier ones, or the data. What crosses a cut between layers is
a dictionary: every output made before the cut that is read after it, and on the way back its gradient.

Gradients are sums over samples. Start with :class:`Model`; :mod:`simpar.execute.build` makes one of a
workload.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from simpar.execute import convolution as conv
from simpar.execute import kernels
from simpar.execute.kernels import Array, Gemm

Tensors = tuple[tuple[str, tuple[int, ...]], ...]
"""(name, shape) of each parameter tensor."""

Crossing = dict[int, Array]
"""By the layer that made it, or -1 for the data, what is read further on."""

DATA = -1


@dataclass(frozen=True)
class Operation:
    """One layer: what it reads, its parameters, how it computes."""

    name: str
    reads: tuple[int, ...]
    """Layers whose outputs it reads, in the order of its arguments; -1 is the data."""
    tensors: Tensors = ()
    view: tuple[int, ...] | None = field(default=None, kw_only=True)
    """Shape in which it takes its input, of one sample; None for as it comes."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        raise NotImplementedError

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs (None: it has none) and of the parameters."""
        raise NotImplementedError

    def initial(self, rng: np.random.Generator) -> list[np.ndarray]:
        """Return parameters to begin with: weights by He et al. (arXiv:1502.01852), norms 1, biases 0."""
        return [_initial(name, shape, rng) for name, shape in self.tensors]


def _initial(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        return np.ones(shape) if name.endswith("weight") else np.zeros(shape)
    return rng.normal(0.0, math.sqrt(2.0 / math.prod(shape[1:])), shape)


@dataclass(frozen=True)
class Linear(Operation):
    """A dense layer, with ReLU where *relu* says so: weight (out, in), bias (out,)."""

    relu: bool = False

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        bias = parameters[1] if len(parameters) > 1 else None
        y = kernels.linear(inputs[0], parameters[0], bias, gemm)
        y = kernels.relu(y) if self.relu else y
        return y, (inputs[0], y if self.relu else None)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        x, y = saved
        if self.relu:
            dy = kernels.relu_backward(y, dy)
        dx, dw, db = kernels.linear_backward(x, parameters[0], dy, len(parameters) > 1, gemm)
        return [dx], [dw] if db is None else [dw, db]


@dataclass(frozen=True)
class Embedding(Operation):
    """The rows of a table for tokens, plus those of a second table for their positions, if there is one."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        tokens = inputs[0]
        y = kernels.embedding(tokens, parameters[0])
        if len(parameters) > 1:
            y = y + parameters[1][: tokens.shape[-1], :]
        return y, tokens

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        xp = array_namespace(dy)
        found = [kernels.embedding_backward(saved, parameters[0].shape[0], dy, gemm)]
        if len(parameters) > 1:
            used = xp.sum(dy, axis=0)
            rest = xp.zeros((parameters[1].shape[0] - used.shape[0], used.shape[1]), dtype=dy.dtype)
            found.append(xp.concat([used, rest], axis=0))
        return [None], found


@dataclass(frozen=True)
class LayerNorm(Operation):
    """Normalisation over features: weight, and bias unless there is none."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        return kernels.layer_norm(inputs[0], parameters[0], parameters[1] if len(parameters) > 1 else None)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        dx, dw, db = kernels.layer_norm_backward(saved, parameters[0], dy, len(parameters) > 1)
        return [dx], [dw] if db is None else [dw, db]


@dataclass(frozen=True)
class Attention(Operation):
    """What is between the projections: queries, keys and values in, what was gathered out."""

    heads: int = 1
    kv_heads: int = 1
    causal: bool = True

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        return kernels.attention(inputs[0], self.heads, self.kv_heads, self.causal, gemm)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        return [kernels.attention_backward(saved, dy, gemm)], []


@dataclass(frozen=True)
class Gelu(Operation):
    """GELU of each element."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        y, tanh = kernels.gelu(inputs[0])
        return y, (inputs[0], tanh)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        x, tanh = saved
        return [kernels.gelu_backward(x, tanh, dy)], []


@dataclass(frozen=True)
class Add(Operation):
    """The sum of two outputs, with ReLU where *relu* says so."""

    relu: bool = False

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        y = inputs[0] + inputs[1]
        y = kernels.relu(y) if self.relu else y
        return y, y if self.relu else None

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        if self.relu:
            dy = kernels.relu_backward(saved, dy)
        return [dy, dy], []


@dataclass(frozen=True)
class Concat(Operation):
    """The channels of several outputs, one after another."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        y = array_namespace(*inputs).concat(list(inputs), axis=1)
        return y, [0, *accumulate(x.shape[1] for x in inputs)]

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        return [dy[:, begin:end, ...] for begin, end in pairwise(saved)], []


@dataclass(frozen=True)
class Convolution(Operation):
    """A convolution, with ReLU where *relu* says so: weight (out, in, k, k), and a bias (out,) or none."""

    stride: int = 1
    padding: int = 0
    relu: bool = False

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        bias = parameters[1] if len(parameters) > 1 else None
        y, rows = conv.convolution(inputs[0], parameters[0], bias, self.stride, self.padding, gemm)
        y = kernels.relu(y) if self.relu else y
        return y, (inputs[0].shape, rows, y if self.relu else None)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        shape, rows, y = saved
        if self.relu:
            dy = kernels.relu_backward(y, dy)
        how = (self.stride, self.padding, len(parameters) > 1, gemm)
        dx, dw, db = conv.convolution_backward(shape, rows, parameters[0], dy, *how)
        return [dx], [dw] if db is None else [dw, db]


@dataclass(frozen=True)
class BatchNorm(Operation):
    """Normalisation by channel over the slice at hand, with ReLU where *relu* says so."""

    relu: bool = False

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        y, saved = conv.batch_norm(inputs[0], *parameters)
        y = kernels.relu(y) if self.relu else y
        return y, (saved, y if self.relu else None)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        normal, y = saved
        if self.relu:
            dy = kernels.relu_backward(y, dy)
        dx, dw, db = conv.batch_norm_backward(normal, parameters[0], dy)
        return [dx], [dw, db]


@dataclass(frozen=True)
class Pool(Operation):
    """The largest of each window, or the mean where *average* says so."""

    kernel: int = 2
    stride: int = 2
    padding: int = 0
    average: bool = False

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        x = inputs[0]
        if self.average:
            return conv.average_pool(x, self.kernel, self.stride), (x.shape, None)
        y, which = conv.max_pool(x, self.kernel, self.stride, self.padding)
        return y, (x.shape, which)

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        shape, which = saved
        if self.average:
            return [conv.average_pool_backward(shape, dy, self.kernel, self.stride)], []
        return [conv.max_pool_backward(shape, which, dy, self.kernel, self.stride, self.padding)], []


@dataclass(frozen=True)
class WholePool(Operation):
    """The mean of each channel: (samples, channels, 1, 1)."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        x = inputs[0]
        return array_namespace(x).mean(x, axis=(2, 3), keepdims=True), x.shape

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        return [array_namespace(dy).broadcast_to(dy / math.prod(saved[2:]), saved)], []


@dataclass(frozen=True)
class Flatten(Operation):
    """All of a sample in one row."""

    def forward(self, parameters: Sequence[Array], inputs: Sequence[Array], gemm: Gemm) -> tuple[Array, Any]:
        """Return the output, and what the way back needs."""
        x = inputs[0]
        return array_namespace(x).reshape(x, (x.shape[0], -1)), x.shape

    def backward(
        self, parameters: Sequence[Array], saved: Any, dy: Array, gemm: Gemm
    ) -> tuple[list[Array | None], list[Array]]:
        """Return the gradients of the inputs and of the parameters."""
        return [array_namespace(dy).reshape(dy, saved)], []


@dataclass(frozen=True)
class Model:
    """Operations, one a layer of a workload, and a loss.

    What goes between ranges of layers is an array where it is the data or the last output, and a
    :data:`Crossing` elsewhere.
    """

    layers: tuple[Operation, ...]
    loss: Callable[[Array, Array], tuple[Array, Array]] = kernels.cross_entropy
    """From the last output and the targets, the loss summed over samples and the gradient of the output."""
    gemm: Gemm = field(default=kernels.gemm, compare=False)

    def init(self, seed: int | Sequence[int], xp: Any = np, dtype: str = "float64") -> list[Array]:
        """Return parameters to begin with, layer after layer: the same numbers in every namespace.

        Args:
            seed: a number, or several that are one seed together, as those of replica j are (seed, j).
        """
        rng = np.random.default_rng(seed)
        made = [tensor for layer in self.layers for tensor in layer.initial(rng)]
        return [xp.asarray(tensor.astype(dtype)) for tensor in made]

    def forward(
        self, parameters: Sequence[Array], x: Any, first: int = 0, last: int | None = None
    ) -> tuple[Any, Any]:
        """Return what the layers [first, last) make of *x*, and what they keep for the way back.

        Args:
            parameters: of the whole model; those of other layers are not looked at.
        """
        last = len(self.layers) if last is None else last
        known: Crossing = {DATA: x} if first == 0 else dict(x)
        kept = []
        for index in range(first, last):
            layer = self.layers[index]
            mine = self._of(parameters, index)
            inputs = [known[one] for one in layer.reads]
            shape = None
            if layer.view is not None and tuple(inputs[0].shape[1:]) != layer.view:
                shape = inputs[0].shape
                inputs = [array_namespace(*inputs).reshape(inputs[0], (shape[0], *layer.view))]
            known[index], saved = layer.forward(mine, inputs, self.gemm)
            kept.append((shape, saved))
        if last == len(self.layers):
            return known[last - 1], (first, last, kept)
        needed = self._crossing(last)
        return {index: known[index] for index in needed}, (first, last, kept)

    def backward(self, parameters: Sequence[Array], saved: Any, dy: Any) -> tuple[Any, list[Array]]:
        """Return the gradients of the input of :meth:`forward`, and of the parameters of its layers."""
        first, last, kept = saved
        slopes: Crossing = {last - 1: dy} if last == len(self.layers) else dict(dy)
        gradients: list[list[Array]] = []
        for index in range(last - 1, first - 1, -1):
            layer = self.layers[index]
            shape, saved = kept[index - first]
            down, own = layer.backward(self._of(parameters, index), saved, slopes.pop(index), self.gemm)
            if shape is not None:
                down = [None if one is None else array_namespace(one).reshape(one, shape) for one in down]
            gradients.append(own)
            for read, slope in zip(layer.reads, down, strict=True):
                if slope is not None:
                    slopes[read] = slopes[read] + slope if read in slopes else slope
        found = [gradient for own in reversed(gradients) for gradient in own]
        return (slopes.get(DATA) if first == 0 else slopes), found

    def _crossing(self, cut: int) -> list[int]:
        """Return what is read beyond layer *cut* and was there before it."""
        return sorted({read for layer in self.layers[cut:] for read in layer.reads if read < cut})

    def _of(self, parameters: Sequence[Array], index: int) -> list[Array]:
        """Return the tensors of one layer."""
        begin = sum(len(layer.tensors) for layer in self.layers[:index])
        return list(parameters[begin : begin + len(self.layers[index].tensors)])
