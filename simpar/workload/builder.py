"""Layers from shapes: write a model down as its code would, get its costs.

A :class:`Builder` propagates shapes and adds one :class:`~simpar.workload.layers.Layer` for each
operation that leaves a new tensor in memory. Every method takes what it reads and returns what it
makes, so branches and residual additions need nothing special::

    net = Builder(dtype_bytes=4)
    x = net.conv("conv1", net.data(3, 224, 224), 64, kernel=7, stride=2, padding=3)
    x = net.norm("bn1", x)

What it assumes:

- A multiply-add is two FLOPs. Only convolutions, linear layers and attention carry FLOPs; normalisation,
  pooling, softmax, additions, biases and look-ups count zero: they are bounded by memory traffic, not by
  arithmetic.
- The backward pass costs twice the forward pass, one part for the gradients of the inputs and one for
  those of the weights. So it does for the first layer too, although nobody needs the data's gradient.
- ReLU works in place and belongs to the layer before it. Flattening is a view. Neither is a layer here.
- Attention computes every pair of tokens, masked or not, and leaves only its result in memory: scores
  and their softmax stay in the kernel, as in FlashAttention. That kernel's recomputation of the scores
  in the backward pass is not counted.
- Shapes are those of one sample: ``(channels, height, width)``, ``(features,)`` or ``(tokens, features)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from simpar.workload.layers import Form, Layer, Tensor

BACKWARD_PER_FORWARD = 2.0
"""FLOPs of the backward pass over those of the forward pass."""

_DATA = -1

Square = int | tuple[int, int]
"""Height and width, or one number for both."""


@dataclass(frozen=True, slots=True)
class Output:
    """What an operation makes: its shape for one sample, and the layer that holds it."""

    shape: tuple[int, ...]
    """``(channels, height, width)``, ``(features,)`` or ``(tokens, features)``."""

    layer: int
    """Index of the layer; -1 for the data."""


class Part(NamedTuple):
    """One of several linear layers that read the same."""

    features: int
    """Features that it makes."""

    bias: bool = False
    """Whether it adds a bias."""


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
        kernel: Square,
        stride: int = 1,
        padding: Square = 0,
        bias: bool = False,
    ) -> Output:
        """Add a two-dimensional convolution: ``k_h * k_w * c_in * c_out * h * w`` multiply-adds.

        Raises:
            ValueError: *x* is no ``(channels, height, width)``, or the kernel does not fit into it.
        """
        inside, height, width = _window(name, x, kernel, stride, padding)
        weight = channels * inside * prod(_pair(kernel))
        tensors = _tensors(name, weight=weight, bias=channels if bias else 0)
        (high, wide), (above, beside) = _pair(kernel), _pair(padding)
        return self._add(
            name,
            "conv",
            (channels, height, width),
            (x,),
            tensors,
            2.0 * weight * height * width,
            shapes=((channels, inside, high, wide), (channels,)),
            numbers={"stride": stride, "padding_height": above, "padding_width": beside},
        )

    def linear(self, name: str, x: Output, features: int, *, bias: bool = True, tied: bool = False) -> Output:
        """Add a fully connected layer: ``f_in * f_out`` multiply-adds for each token.

        A *tied* layer computes with a weight that an earlier layer owns, and has no tensor of its own.

        Raises:
            ValueError: *x* is neither flat nor a row of tokens.
        """
        if tied:
            return self.linears(name, x, {}, features)
        part = Part(features, bias)
        return self.linears(name, x, {"": part}, features)

    def linears(self, name: str, x: Output, parts: Mapping[str, Part], features: int) -> Output:
        """Add fully connected layers that read *x* together and are kept as *features* side by side.

        Args:
            parts: features and bias of each; its tensors are called ``name.part.weight``. Where there
                are none the layer is tied: it has no tensor of its own.
            features: what is kept for each token; the sum of those of *parts* where there are any.

        Raises:
            ValueError: *x* is neither flat nor a row of tokens.
        """
        if len(x.shape) > 2:
            raise ValueError(f"{name}: a linear layer reads (features,), not {x.shape}; flatten it first")
        *tokens, inside = x.shape
        tensors = tuple(
            tensor
            for part, (made, bias) in parts.items()
            for tensor in _tensors(
                f"{name}.{part}" if part else name, weight=made * inside, bias=made if bias else 0
            )
        )
        flops = 2.0 * features * inside * prod(tokens)
        shapes = tuple(shape for made, _ in parts.values() for shape in ((made, inside), (made,)))
        return self._add(
            name,
            "linear",
            (*tokens, features),
            (x,),
            tensors,
            flops,
            shapes=shapes if len(parts) < 2 else (),
            numbers={"parts": len(parts)},
        )

    def norm(self, name: str, x: Output) -> Output:
        """Add a batch normalisation with a weight and a bias for each channel."""
        tensors = _tensors(name, weight=x.shape[0], bias=x.shape[0])
        shapes = (x.shape[:1],) * 2
        return self._add(name, "norm", x.shape, (x,), tensors, operation="batch_norm", shapes=shapes)

    def layer_norm(self, name: str, x: Output, *, bias: bool = True) -> Output:
        """Add a normalisation over features: a weight for each, and a *bias* unless it is an RMSNorm."""
        features = x.shape[-1]
        tensors = _tensors(name, weight=features, bias=features if bias else 0)
        shapes = ((features,),) * 2
        return self._add(name, "norm", x.shape, (x,), tensors, operation="layer_norm", shapes=shapes)

    def embedding(self, name: str, tokens: int, features: int, rows: Mapping[str, int]) -> Output:
        """Add a look-up of *tokens* in tables of so many *rows* each, whose results are added up."""
        tensors = tuple(Tensor(f"{table}.weight", count * features) for table, count in rows.items())
        shapes = tuple((count, features) for count in rows.values())
        read = (self.data(tokens),)
        return self._add(name, "embedding", (tokens, features), read, tensors, shapes=shapes)

    def attention(self, name: str, qkv: Output, *, heads: int, kv_heads: int, causal: bool = True) -> Output:
        """Add what is between the projections: ``2 * tokens^2 * heads * d`` multiply-adds.

        Half of them multiply queries by keys, half the softmax of that by values. *qkv* holds the
        queries of *heads* heads and the keys and values of *kv_heads*, of *d* features each. Where it is
        *causal* a token sees none behind it, which saves nothing here.

        Raises:
            ValueError: the features do not divide into so many heads.
        """
        tokens, features = qkv.shape
        width, rest = divmod(features, heads + 2 * kv_heads)
        if rest:
            raise ValueError(f"{name}: {features} features are not {heads} + 2 x {kv_heads} equal heads")
        flops = 4.0 * tokens * tokens * heads * width
        numbers = {"heads": heads, "kv_heads": kv_heads, "causal": int(causal)}
        return self._add(name, "attention", (tokens, heads * width), (qkv,), (), flops, numbers=numbers)

    def activation(self, name: str, x: Output, *, gated: bool = False) -> Output:
        """Add a function of each element whose input must be kept; *gated* halves the features."""
        *tokens, features = x.shape
        made = features // 2 if gated else features
        return self._add(name, "activation", (*tokens, made), (x,), numbers={"gated": int(gated)})

    def experts(
        self,
        name: str,
        x: Output,
        parts: Mapping[str, int],
        features: int,
        *,
        experts: int,
        active: int,
        chosen: Output,
    ) -> Output:
        """Add layers of which *active* of *experts* compute each token, as *chosen* by a router.

        Args:
            parts: elements of each weight of one expert, all of them used for each of its tokens.
            features: what is kept for each token, over all of its active experts.
        """
        tensors = tuple(
            Tensor(f"{name}.{expert}.{part}.weight", elements)
            for expert in range(experts)
            for part, elements in parts.items()
        )
        flops = 2.0 * active * sum(parts.values()) * x.shape[0]
        return self._add(name, "experts", (x.shape[0], features), (x, chosen), tensors, flops)

    def pool(
        self, name: str, x: Output, *, kernel: int, stride: int, padding: int = 0, average: bool = False
    ) -> Output:
        """Add a square pooling, of the maximum or the *average*: the costs are the same.

        Raises:
            ValueError: *x* is no ``(channels, height, width)``, or the kernel does not fit into it.
        """
        shape = _window(name, x, kernel, stride, padding)
        numbers = {"kernel": kernel, "stride": stride, "padding": padding, "average": int(average)}
        return self._add(name, "pool", shape, (x,), numbers=numbers)

    def global_avg_pool(self, name: str, x: Output) -> Output:
        """Add an average over height and width, down to ``(channels, 1, 1)``."""
        return self._add(name, "pool", (x.shape[0], 1, 1), (x,), operation="global_avg_pool")

    def add(self, name: str, a: Output, b: Output) -> Output:
        """Add an element-wise addition of two outputs of equal shape.

        Raises:
            ValueError: the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(f"{name}: cannot add {a.shape} and {b.shape}")
        return self._add(name, "add", a.shape, (a, b))

    def concat(self, name: str, *parts: Output) -> Output:
        """Add a concatenation of channels, which copies.

        Raises:
            ValueError: the other dimensions differ.
        """
        rest = parts[0].shape[1:]
        if any(part.shape[1:] != rest for part in parts):
            raise ValueError(f"{name}: cannot join {', '.join(str(part.shape) for part in parts)}")
        return self._add(name, "concat", (sum(part.shape[0] for part in parts), *rest), parts)

    def flatten(self, x: Output) -> Output:
        """Return *x* seen as ``(features,)``; a view, no layer."""
        return Output((prod(x.shape),), x.layer)

    def first_token(self, x: Output) -> Output:
        """Return the first of the tokens of *x*; a view, no layer."""
        return Output(x.shape[1:], x.layer)

    def _add(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...],
        reads: tuple[Output, ...],
        tensors: tuple[Tensor, ...] = (),
        forward_flops: float = 0.0,
        *,
        operation: str = "",
        shapes: tuple[tuple[int, ...], ...] = (),
        numbers: Mapping[str, int] | None = None,
    ) -> Output:
        form = Form(
            operation=operation or kind,
            reads=tuple(x.layer for x in reads),
            inputs=tuple(x.shape for x in reads),
            output=shape,
            tensors=shapes[: len(tensors)],
            numbers=tuple((numbers or {}).items()),
        )
        self._layers.append(
            Layer(
                name=name,
                kind=kind,
                forward_flops=forward_flops,
                backward_flops=BACKWARD_PER_FORWARD * forward_flops,
                tensors=tensors,
                activation_bytes=float(prod(shape) * self._dtype_bytes),
                inputs=tuple(sorted({x.layer for x in reads if x.layer != _DATA})),
                form=form,
            )
        )
        return Output(shape, len(self._layers) - 1)


def _window(name: str, x: Output, kernel: Square, stride: int, padding: Square) -> tuple[int, int, int]:
    """Return the shape that a sliding window leaves, with the channels of *x*."""
    if len(x.shape) != 3:
        raise ValueError(f"{name}: a window slides over (channels, height, width), not {x.shape}")
    channels, *sides = x.shape
    padded = [side + 2 * more for side, more in zip(sides, _pair(padding), strict=True)]
    if any(side < window for side, window in zip(padded, _pair(kernel), strict=True)):
        raise ValueError(f"{name}: a kernel of {kernel} does not fit into {x.shape} padded by {padding}")
    height, width = ((s - window) // stride + 1 for s, window in zip(padded, _pair(kernel), strict=True))
    return channels, height, width


def _pair(value: Square) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _tensors(layer: str, *, weight: int, bias: int) -> tuple[Tensor, ...]:
    made = (Tensor(f"{layer}.weight", weight), Tensor(f"{layer}.bias", bias))
    return made if bias else made[:1]
