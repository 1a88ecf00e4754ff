"""From a workload, which knows what a model costs, to a model that is really trained.

What can be built: perceptrons, GPTs (the family ``gpt``), and nets of convolutions, batch norms, poolings,
additions and concatenations. Where the ReLUs are follows from what reads what, as the builder of workloads
has it:

- in a net with activations of its own, as transformers have, there are none;
- else after each linear layer and convolution, except the last layer and those that a norm reads;
- after each norm, except those that only additions read;
- after each addition.

Workloads come as they are, without an import of their room: models are executed where it is not.
Start with :func:`build`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from simpar.errors import InputError, Problem
from simpar.execute import operations
from simpar.execute.arrays import Gemm, gemm
from simpar.execute.model import Model, Objective
from simpar.execute.operations import DATA, Operation, Parameter

Workload = Any
"""A :class:`simpar.workload.layers.Workload`."""

Layer = Any
"""A :class:`simpar.workload.layers.Layer`."""

Form = Any
"""A :class:`simpar.workload.layers.Form`."""


def build(workload: Workload, objective: Objective = "classes", gemm: Gemm = gemm) -> Model:
    """Return the model of *workload*, with the same layers and tensors.

    Args:
        objective: what is learned, classes or values.
        gemm: multiplies matrices.

    Raises:
        InputError: it has layers that nobody knows how to compute; the first of each kind is named.
    """
    problems: dict[str, Problem] = {}
    for index, layer in enumerate(workload.layers):
        said = _problem(workload.layers, index)
        if said:
            message = f"{workload.name} cannot be executed: layer {layer.name} ({layer.kind}) {said[0]}"
            problems.setdefault(said[0], Problem("", 0, 0, "model", message, said[1]))
    if problems:
        raise InputError(problems.values())
    forms = [layer.form for layer in workload.layers]
    layers = [
        _operation(layer, _has_relu(index, forms), workload.layers)
        for index, layer in enumerate(workload.layers)
    ]
    return Model(tuple(layers), objective, gemm)


def _problem(layers: Sequence[Layer], index: int) -> tuple[str, str] | None:
    """Return why nobody can compute a layer, and a way out; None where it can be."""
    form = layers[index].form
    if form is None:
        return "says what it costs, not what it computes", "take a preset with a shape: gpt or mlp"
    if form.operation not in MAKERS:
        return f"is an operation that nobody knows how to compute: {form.operation}", ""
    unknown = _unknown(form)
    if unknown:
        return unknown, ""
    for source, shape in zip(form.reads, form.inputs, strict=True):
        if source != DATA and math.prod(layers[source].form.output) != math.prod(shape):
            return f"reads only a part of {layers[source].name}", ""
    readers = [reader for reader in layers[index + 1 :] if reader.form and index in reader.form.reads]
    if index < len(layers) - 1 and not readers:
        return "is an end besides the last layer, and there is one loss", ""
    return None


def _unknown(form: Form) -> str:
    """Return what is unknown of an operation that is known in general; '' for nothing."""
    numbers = dict(form.numbers)
    match form.operation:
        case "linear" if numbers["parts"] > 1:
            return "is several linear layers side by side, which nobody computes yet"
        case "layer_norm" if len(form.tensors) < 2:
            return "is an RMSNorm, which nobody computes yet"
        case "embedding" if len(form.tensors) != 2:
            return "has other tables than one of tokens and one of positions, which nobody computes yet"
        case "activation" if numbers["gated"]:
            return "is a gated activation, which nobody computes yet"
    return ""


def _has_relu(index: int, forms: Sequence[Form]) -> bool:
    """Say whether what is negative of the output of a layer becomes 0."""
    if index == len(forms) - 1 or any(form.operation == "activation" for form in forms):
        return False
    readers = {form.operation for form in forms if index in form.reads}
    match forms[index].operation:
        case "linear" | "conv":
            return "batch_norm" not in readers
        case "batch_norm":
            return readers != {"add"}
        case "add":
            return True
    return False


def _operation(layer: Layer, relu: bool, layers: Sequence[Layer]) -> Operation:
    """Return what computes *layer*."""
    form = layer.form
    tensors = tuple(
        Parameter(tensor.name, shape) for tensor, shape in zip(layer.tensors, form.tensors, strict=True)
    )
    numbers = dict(form.numbers)
    borrows = None
    if form.operation == "linear" and not numbers.pop("parts"):
        borrows = _table(form, layers)
    numbers.pop("gated", None)
    return MAKERS[form.operation](
        layer.name, tensors, form.reads, form.inputs, form.output, borrows=borrows, relu=relu, **numbers
    )


def _table(form: Form, layers: Sequence[Layer]) -> tuple[int, int]:
    """Return the layer and the tensor that a tied linear layer computes with: the table of tokens."""
    shape = (form.output[-1], form.inputs[0][-1])
    for index, layer in enumerate(layers):
        if layer.form.operation == "embedding" and layer.form.tensors[0] == shape:
            return index, 0
    raise AssertionError(f"no layer has a table of {shape}")


MAKERS: dict[str, Callable[..., Operation]] = {
    "linear": operations.Linear,
    "conv": operations.Convolution,
    "batch_norm": operations.BatchNorm,
    "layer_norm": operations.LayerNorm,
    "embedding": operations.Embedding,
    "attention": operations.Attention,
    "activation": operations.Gelu,
    "pool": operations.Pool,
    "global_avg_pool": operations.WholePool,
    "add": operations.Add,
    "concat": operations.Concat,
}
"""What computes the layers, by the operation of their form."""
