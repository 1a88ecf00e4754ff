"""Layers from shapes: write a model down as its code would, get its costs.

A :class:`Builder` propagates shapes and adds one :class:`~simpar.workload.layers.Layer` for each
operation that leaves a new tensor in memory. Every method takes what it reads and returns what it
makes, so branches and residual additions need nothing special::

    net = Builder(dtype_bytes=4)
    x = net.conv("conv1", net.data(3, 224, 224), 64, kernel=7, stride=2, padding=3)
    x = net.norm("bn1", x)

What it assumes:

- A multiply-add is two FLOPs. Only convolutions and linear layers carry FLOPs; normalisation, pooling,
  additions and biases count zero: they are bounded by memory traffic, not by arithmetic.
- The backward pass costs twice the forward pass, one part for the gradients of the inputs and one for
  those of the weights. So it does for the first layer too, although nobody needs the data's gradient.
- ReLU works in place and belongs to the layer before it. Flattening is a view. Neither is a layer here.
- Shapes are those of one sample: ``(channels, height, width)`` or ``(features,)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from simpar.workload.layers import Layer, Tensor

BACKWARD_PER_FORWARD = 2.0
"""FLOPs of the backward pass over those of the forward pass."""

_DATA = -1


@dataclass(frozen=True, slots=True)
class Output:
    """What an operation makes: its shape for one sample, and the layer that holds it."""

    shape: tuple[int, ...]
    """``(channels, height, width)`` or ``(features,)``."""

    layer: int
    """Index of the layer; -1 for the data."""


class Builder:
    """Collects the layers of one model, in the order in which they are called."""

    def __init__(self, dtype_bytes: int) -> None:
        self._dtype_bytes = dtype_bytes
        self._layers: list[Layer] = []

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers so far, in topological order."""
        return tuple(self._layers)

    def data(self, *shape: int) -> Output:
        """Return the input of the model; reading it makes no layer."""
        return Output(shape, _DATA)

    def conv(
        self,
        name: str,
        x: Output,
        channels: int,
        *,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = False,
    ) -> Output:
        """Add a square two-dimensional convolution: ``k * k * c_in * c_out * h * w`` multiply-adds.

        Raises:
            ValueError: *x* is no ``(channels, height, width)``, or the kernel does not fit into it.
        """
        inside, height, width = _window(name, x, kernel, stride, padding)
        weight = channels * inside * kernel * kernel
        tensors = _tensors(name, weight=weight, bias=channels if bias else 0)
        return self._add(
            name, "conv", (channels, height, width), (x,), tensors, 2.0 * weight * height * width
        )

    def linear(self, name: str, x: Output, features: int, *, bias: bool = True) -> Output:
        """Add a fully connected layer: ``f_in * f_out`` multiply-adds.

        Raises:
            ValueError: *x* is not flat.
        """
        if len(x.shape) != 1:
            raise ValueError(f"{name}: a linear layer reads (features,), not {x.shape}; flatten it first")
        weight = features * x.shape[0]
        tensors = _tensors(name, weight=weight, bias=features if bias else 0)
        return self._add(name, "linear", (features,), (x,), tensors, 2.0 * weight)

    def norm(self, name: str, x: Output) -> Output:
        """Add a batch normalisation with a weight and a bias for each channel."""
        tensors = _tensors(name, weight=x.shape[0], bias=x.shape[0])
        return self._add(name, "norm", x.shape, (x,), tensors)

    def max_pool(self, name: str, x: Output, *, kernel: int, stride: int, padding: int = 0) -> Output:
        """Add a square maximum pooling.

        Raises:
            ValueError: *x* is no ``(channels, height, width)``, or the kernel does not fit into it.
        """
        return self._add(name, "pool", _window(name, x, kernel, stride, padding), (x,))

    def global_avg_pool(self, name: str, x: Output) -> Output:
        """Add an average over height and width, down to ``(channels, 1, 1)``."""
        return self._add(name, "pool", (x.shape[0], 1, 1), (x,))

    def add(self, name: str, a: Output, b: Output) -> Output:
        """Add an element-wise addition of two outputs of equal shape.

        Raises:
            ValueError: the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"{name}: cannot add {a.shape} and {b.shape}")
        return self._add(name, "add", a.shape, (a, b))

    def flatten(self, x: Output) -> Output:
        """Return *x* seen as ``(features,)``; a view, no layer."""
        return Output((prod(x.shape),), x.layer)

    def _add(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...],
        reads: tuple[Output, ...],
        tensors: tuple[Tensor, ...] = (),
        forward_flops: float = 0.0,
    ) -> Output:
        self._layers.append(
            Layer(
                name=name,
                kind=kind,
                forward_flops=forward_flops,
                backward_flops=BACKWARD_PER_FORWARD * forward_flops,
                tensors=tensors,
                activation_bytes=float(prod(shape) * self._dtype_bytes),
                inputs=tuple(sorted({x.layer for x in reads if x.layer != _DATA})),
            )
        )
        return Output(shape, len(self._layers) - 1)


def _window(name: str, x: Output, kernel: int, stride: int, padding: int) -> tuple[int, int, int]:
    """Return the shape that a sliding window of side *kernel* leaves, with the channels of *x*."""
    if len(x.shape) != 3:
        raise ValueError(f"{name}: a window slides over (channels, height, width), not {x.shape}")
    channels, height, width = x.shape
    if min(height, width) + 2 * padding < kernel:
        raise ValueError(f"{name}: a kernel of {kernel} does not fit into {x.shape} padded by {padding}")
    return (
        channels,
        (height + 2 * padding - kernel) // stride + 1,
        (width + 2 * padding - kernel) // stride + 1,
    )


def _tensors(layer: str, *, weight: int, bias: int) -> tuple[Tensor, ...]:
    made = (Tensor(f"{layer}.weight", weight), Tensor(f"{layer}.bias", bias))
    return made if bias else made[:1]
