"""A model as a list of layers: what it computes, what it must remember, what it must send.

A :class:`Workload` is all that the rest of simpar knows of a model. FLOPs and activation bytes
are those of one sample; a multiply-add counts as two FLOPs. Parameters are counted in elements,
because slices are cut between elements, never inside one.

Layers stand in topological order: a layer reads only layers before it. Reading nothing
(``inputs == ()``) means that it reads the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DTYPE_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of one element."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One parameter tensor, the unit that whole-tensor placement moves."""

    name: str
    """Unique in the model, ``fc6.weight``."""

    elements: int
    """Number of parameters in it."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a layer computes in full, beyond its costs: for those who really compute it.

    Shapes are those of one sample.
    """

    operation: str
    """Which operation of :class:`~simpar.workload.builder.Builder` made it: ``conv``, ``layer_norm``."""

    reads: tuple[int, ...]
    """Indices of the layers that it reads, in the order in which it takes them; -1 for the data."""

    inputs: tuple[tuple[int, ...], ...]
    """Shapes in which it takes them."""

    output: tuple[int, ...]
    """Shape of what it makes."""

    tensors: tuple[tuple[int, ...], ...]
    """Shapes of its parameter tensors."""

    numbers: tuple[tuple[str, int], ...] = ()
    """What else it takes: a convolution its stride, an attention its heads."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of the forward pass and its mirror in the backward pass."""

    name: str
    """Unique in the model, ``conv1`` or ``layer3.0.conv2``."""

    kind: str
    """What it computes: ``conv``, ``linear``, ``norm``, ``pool``, ``add``, ..."""

    forward_flops: float
    """FLOPs of one sample, forward."""

    backward_flops: float
    """FLOPs of one sample, backward: gradients of the inputs and of the parameters."""

    tensors: tuple[Tensor, ...]
    """Its parameter tensors, in the framework's order (weight, bias)."""

    activation_bytes: float
    """Bytes of its output for one sample."""

    inputs: tuple[int, ...]
    """Indices of the layers whose outputs it reads; empty where it reads the data."""

    forward_s: float | None = None
    """Measured seconds, forward, for one batch of ``Workload.measured_batch`` samples."""

    backward_s: float | None = None
    """Measured seconds, backward, likewise."""

    form: Form | None = field(default=None, repr=False, compare=False)
    """What it computes in full; None where only its costs are known."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(tensor.elements for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class Workload:
    """A model together with the batch that each worker trains on."""

    name: str
    """As people write it: ``ResNet-50``."""

    unit: str
    """What a sample is called in the plural: ``images``, ``samples``."""

    layers: tuple[Layer, ...]

    batch: int
    """Samples that one worker's step trains on in data parallelism."""

    dtype: str
    """Element type of parameters, gradients and activations; a key of :data:`DTYPE_BYTES`."""

    measured_batch: int | None = None
    """Batch at which the layers' ``forward_s`` and ``backward_s`` were measured."""

    @property
    def dtype_bytes(self) -> int:
        """Bytes of one element."""
        return DTYPE_BYTES[self.dtype]

    @property
    def parameters(self) -> int:
        """Number of parameters of the whole model."""
        return sum(tensor.elements for layer in self.layers for tensor in layer.tensors)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters, which are also the bytes of one worker's gradients."""
        return self.parameters * self.dtype_bytes

    @property
    def forward_flops(self) -> float:
        """FLOPs of one sample, forward."""
        return sum(layer.forward_flops for layer in self.layers)

    @property
    def backward_flops(self) -> float:
        """FLOPs of one sample, backward."""
        return sum(layer.backward_flops for layer in self.layers)

    @property
    def activation_bytes(self) -> float:
        """Bytes of all layers' outputs for one sample, kept for the backward pass."""
        return sum(layer.activation_bytes for layer in self.layers)
