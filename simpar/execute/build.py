"""From a workload to a model that computes: the shapes of its tensors, and what its layers do.

A workload knows how many elements tensors have; their shapes follow from layer to layer. Trained can be
perceptrons (``model: {preset: mlp, shape: {sizes: [...]}}``) and transformers of the GPT family whose head
has a weight of its own (``shape: {..., tied: false}``).

Start with :func:`model_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpar.errors import EngineError
from simpar.execute import kernels
from simpar.execute.kernels import Array
from simpar.execute.model import DATA, Add, Attention, Embedding, Gelu, LayerNorm, Linear, Model, Operation

Layer = Any
Workload = Any
"""Those of :mod:`simpar.workload.layers`; only their attributes are read here."""

Loss = Callable[[Array, Array], tuple[Array, Array]]

CAN = "what can be trained: perceptrons (preset: mlp), and gpt by its shape with tied: false"


def model_of(workload: Workload, loss: Loss = kernels.cross_entropy) -> Model:
    """Return a model whose operation *i* computes layer *i* of *workload*.

    Raises:
        EngineError: a layer is of a kind that cannot be trained here; the message names it.
    """
    return Model(_Shapes(workload).operations(), loss)


def input_features(workload: Workload) -> int | None:
    """Return how many numbers the first layer reads of a sample; None where it reads tokens."""
    first = workload.layers[0]
    if first.kind != "linear" or len(first.tensors) != 2:
        return None
    return int(first.tensors[0].elements // first.tensors[1].elements)


class _Shapes:
    """One pass over the layers of a workload."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.features: list[int] = []
        self.has_activations = any(layer.kind == "activation" for layer in workload.layers)

    def operations(self) -> tuple[Operation, ...]:
        """Return what the layers do."""
        makers = {
            "linear": self._linear,
            "embedding": self._embedding,
            "norm": self._norm,
            "attention": self._attention,
            "activation": self._gelu,
            "add": self._add,
        }
        found = []
        for index, layer in enumerate(self.workload.layers):
            if layer.kind not in makers:
                raise self._refuse(layer, f"is of the kind {layer.kind!r}, which cannot be trained yet")
            found.append(makers[layer.kind](index, layer))
        return tuple(found)

    def _refuse(self, layer: Layer, why: str) -> EngineError:
        return EngineError(f"{self.workload.name}: {layer.name} {why}; {CAN}")

    def _read(self, layer: Layer) -> int:
        """Return the features that a layer reads."""
        return int(self.features[layer.inputs[0]])

    def _linear(self, index: int, layer: Layer) -> Operation:
        if not layer.tensors:
            raise self._refuse(layer, "computes with the weight of another layer")
        if len(layer.tensors) > 2:
            raise self._refuse(layer, f"is {len(layer.tensors)} tensors side by side")
        weight = layer.tensors[0].elements
        if layer.inputs:
            inside = self._read(layer)
        elif len(layer.tensors) == 2:
            inside = weight // layer.tensors[1].elements
        else:
            raise self._refuse(layer, "reads data of a size that nothing says")
        out, rest = divmod(weight, inside)
        if rest or (len(layer.tensors) == 2 and layer.tensors[1].elements != out):
            raise self._refuse(layer, f"has {weight} weights for {inside} features that it reads")
        self.features.append(out)
        is_last = index == len(self.workload.layers) - 1
        tensors: list[tuple[str, tuple[int, ...]]] = [(layer.tensors[0].name, (out, inside))]
        tensors += [(layer.tensors[1].name, (out,))] if len(layer.tensors) == 2 else []
        relu = not self.has_activations and not is_last
        return Linear(layer.name, layer.inputs or (DATA,), tuple(tensors), relu=relu)

    def _embedding(self, index: int, layer: Layer) -> Operation:
        following = next(
            (
                one
                for one in self.workload.layers[index + 1 :]
                if one.kind == "norm" and one.inputs == (index,) and one.tensors
            ),
            None,
        )
        if following is None or len(layer.tensors) > 2 or layer.inputs:
            raise self._refuse(layer, "is no table of tokens with one of positions and a norm after it")
        features = following.tensors[0].elements
        self.features.append(features)
        tensors = tuple((one.name, (one.elements // features, features)) for one in layer.tensors)
        return Embedding(layer.name, (DATA,), tensors)

    def _norm(self, index: int, layer: Layer) -> Operation:
        features = self._read(layer)
        if not layer.tensors or layer.tensors[0].elements != features:
            raise self._refuse(layer, f"does not normalise {features} features")
        if len(layer.tensors) == 1:
            raise self._refuse(layer, "is an RMSNorm")
        self.features.append(features)
        tensors = tuple((one.name, (one.elements,)) for one in layer.tensors)
        return LayerNorm(layer.name, layer.inputs, tensors)

    def _attention(self, index: int, layer: Layer) -> Operation:
        if layer.heads is None:
            raise self._refuse(layer, "has heads that nothing tells the number of")
        heads, kv_heads = layer.heads
        self.features.append(self._read(layer) // (heads + 2 * kv_heads) * heads)
        return Attention(layer.name, layer.inputs, heads=heads, kv_heads=kv_heads, causal=True)

    def _gelu(self, index: int, layer: Layer) -> Operation:
        self.features.append(self._read(layer))
        return Gelu(layer.name, layer.inputs)

    def _add(self, index: int, layer: Layer) -> Operation:
        if len(layer.inputs) != 2:
            raise self._refuse(layer, "adds what is not two outputs")
        self.features.append(self._read(layer))
        return Add(layer.name, layer.inputs)
