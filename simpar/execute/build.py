"""From a workload to a model that computes: operation *i* does what the form of layer *i* says.

Trained can be perceptrons (``model: {preset: mlp, shape: {sizes: [...]}}``), transformers of the GPT family
whose head has a weight of its own (``shape: {..., tied: false}``), and nets of square convolutions, batch
norms, poolings, additions and concatenations (ResNet, VGG, AlexNet). ReLUs are no layers of a workload; where
they are follows from what reads what, as in those nets:

- in a net with activations of its own, as transformers have, there are none;
- else after each linear layer and convolution, but the last layer and those that a norm reads;
- after each norm, but those that only additions read;
- after each addition.

Start with :func:`model_of`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from simpar.errors import EngineError
from simpar.execute import kernels, model
from simpar.execute.kernels import Array
from simpar.execute.model import DATA, Model, Operation

Form = Any
Layer = Any
Workload = Any
"""Those of :mod:`simpar.workload.layers`; only their attributes are read here."""

Loss = Callable[[Array, Array], tuple[Array, Array]]

CAN = "what can be trained: mlp and cnn by their shape, gpt by its with tied: false, resnet, vgg, alexnet"


def model_of(workload: Workload, loss: Loss = kernels.cross_entropy) -> Model:
    """Return a model whose operation *i* computes layer *i* of *workload*.

    Raises:
        EngineError: a layer is of a kind that cannot be trained here; the message names it.
    """
    layers = workload.layers
    for index, layer in enumerate(layers):
        wrong = _wrong(index, layers)
        if wrong:
            raise EngineError(f"{workload.name}: {layer.name} {wrong}; {CAN}")
    forms = [layer.form for layer in layers]
    return Model(tuple(_operation(index, layer, forms) for index, layer in enumerate(layers)), loss)


def input_features(workload: Workload) -> int | None:
    """Return how many numbers the first layer reads of a sample; None where it reads tokens."""
    form = workload.layers[0].form
    if form is None or form.operation == "embedding":
        return None
    return int(math.prod(form.inputs[0]))


def _wrong(index: int, layers: Sequence[Layer]) -> str:
    """Return why nobody can compute a layer; '' where it can be."""
    form = layers[index].form
    if form is None:
        return f"is of the kind {layers[index].kind!r}, and nothing says what that computes"
    if form.operation not in MAKERS:
        return f"is of the kind {layers[index].kind!r}, which cannot be trained yet"
    numbers = dict(form.numbers)
    match form.operation:
        case "linear" if not form.tensors:
            if numbers["parts"]:
                return f"is {numbers['parts']} linear layers side by side"
            return "computes with the weight of another layer"
        case "embedding" if len(form.tensors) != 2:
            return "is no table of tokens with one of positions and nothing else"
        case "layer_norm" if len(form.tensors) < 2:
            return "is an RMSNorm, which cannot be trained yet"
        case "activation" if numbers["gated"]:
            return "is a gated activation, which cannot be trained yet"
        case "conv" if form.tensors[0][2] != form.tensors[0][3]:
            return "is a convolution that is not square, which cannot be trained yet"
        case "pool" if numbers["average"] and numbers["padding"]:
            return "is an average of padded windows, which cannot be trained yet"
    for source, shape in zip(form.reads, form.inputs, strict=True):
        if source != DATA and math.prod(layers[source].form.output) != math.prod(shape):
            return f"reads only a part of {layers[source].name}"
    if index < len(layers) - 1 and not any(
        other.form is not None and index in other.form.reads for other in layers
    ):
        return "is an end beside the last layer, and there is one loss"
    return ""


def _operation(index: int, layer: Layer, forms: Sequence[Form]) -> Operation:
    """Return what computes *layer*."""
    form = layer.form
    options: dict[str, Any] = MAKERS[form.operation][1](dict(form.numbers))
    if _has_relu(index, forms):
        options["relu"] = True
    came = [None if source == DATA else forms[source].output for source in form.reads]
    if form.operation != "embedding" and came != list(form.inputs):
        options["view"] = form.inputs[0]
    names = (tensor.name for tensor in layer.tensors)
    tensors = tuple(zip(names, form.tensors, strict=True))
    return MAKERS[form.operation][0](layer.name, form.reads, tensors, **options)


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


Numbers = dict[str, int]


def _nothing(numbers: Numbers) -> Numbers:
    return {}


def _convolution(numbers: Numbers) -> Numbers:
    return {"stride": numbers["stride"], "padding": numbers["padding_height"]}


def _attention(numbers: Numbers) -> dict[str, Any]:
    return numbers | {"causal": bool(numbers["causal"])}


def _pool(numbers: Numbers) -> dict[str, Any]:
    return numbers | {"average": bool(numbers["average"])}


MAKERS: dict[str, tuple[Callable[..., Operation], Callable[[Numbers], dict[str, Any]]]] = {
    "linear": (model.Linear, _nothing),
    "embedding": (model.Embedding, _nothing),
    "layer_norm": (model.LayerNorm, _nothing),
    "attention": (model.Attention, _attention),
    "activation": (model.Gelu, _nothing),
    "add": (model.Add, _nothing),
    "conv": (model.Convolution, _convolution),
    "batch_norm": (model.BatchNorm, _nothing),
    "pool": (model.Pool, _pool),
    "global_avg_pool": (model.WholePool, _nothing),
    "concat": (model.Concat, _nothing),
}
"""What computes the layers, and what it takes of a form's numbers, by the operation of the form."""
