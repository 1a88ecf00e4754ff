"""Reads the measured layer profiles that PipeDream's profiler writes (``graph.txt``).

A graph file has one line a node, in any order, and one indented line an edge::

    node2 -- Linear(in_features=8, out_features=4, bias=True) -- forward_compute_time=1.500,
        backward_compute_time=3.000, activation_size=64.000, parameter_size=144.000
    <tab>node1 -- node2

(each node on one line). Times are milliseconds and sizes bytes, both for one batch.

What it assumes:

- Elements are float32, as the profiler's models were.
- Nodes described as ``Input...`` load the data. They are left out, and with them their time; what read
  only them reads the data.
- An activation given as a list, ``[a; b]``, is the sum of its parts: all of them may cross a cut.
- The file does not say its batch. It follows from the last linear layer, whose output is one row a
  sample, if the outputs of all convolutions agree; otherwise it must be given.

Start with :func:`read`; :func:`dump` writes the result as a profile that scenarios name. Format:
``graph/graph.py`` of the repository msr-fiddle/pipedream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from pathlib import Path

from simpar.workload.pipedream_graph import Node, Reader, order
from simpar.workload.profile_text import LayerText, profile_text

ELEMENT_BYTES = 4
"""Bytes of one float32 element."""

_LARGEST_BATCH = 10**9
"""Samples; what a profile can say."""

_KINDS = {
    "Conv2d": "conv",
    "Linear": "linear",
    "BatchNorm2d": "norm",
    "LayerNorm": "norm",
    "MaxPool2d": "pool",
    "AvgPool2d": "pool",
    "AdaptiveAvgPool2d": "pool",
    "ReLU": "relu",
    "Dropout": "dropout",
    "Add": "add",
    "Concat": "concat",
    "Embedding": "embedding",
    "LSTM": "lstm",
    "Size": "view",
    "View": "view",
    "__getitem__": "view",
}
"""Kinds of layers by the first word of their description; others are that word in lower case."""


@dataclass(frozen=True, slots=True)
class ImportedLayer:
    """One node of the graph."""

    name: str
    """As in the graph: ``node12``."""

    kind: str
    """What it computes: ``conv``, ``linear``, ``norm``, ``pool``, ``add``, ..."""

    description: str
    """As in the graph: ``Conv2d(3, 64, kernel_size=(11, 11), ...)``."""

    forward_ms: Decimal
    """Milliseconds of one batch, forward, to the digit as in the graph."""

    backward_ms: Decimal
    """Milliseconds of one batch, backward, likewise."""

    activation: int
    """Bytes of its output for one batch."""

    tensors: tuple[tuple[str, int], ...]
    """Parameter tensors: name within the layer, number of elements."""

    inputs: tuple[str, ...]
    """Layers that it reads; empty where it reads the data."""

    @property
    def forward(self) -> float:
        """Seconds of one batch, forward."""
        return float(self.forward_ms / 1000)

    @property
    def backward(self) -> float:
        """Seconds of one batch, backward."""
        return float(self.backward_ms / 1000)


@dataclass(frozen=True, slots=True)
class ImportedProfile:
    """A measured model, as a profile file holds it."""

    name: str
    """As people write it: ``AlexNet``."""

    unit: str
    """What a sample is called in the plural."""

    batch: int
    """Samples in the measured batch."""

    dtype: str
    """Element type of parameters and activations."""

    source: str
    """Where the figures come from."""

    layers: tuple[ImportedLayer, ...]
    """In topological order, ties by node number."""


def read(
    path: str | Path, batch: int | None = None, *, name: str | None = None, source: str | None = None
) -> ImportedProfile:
    """Return the profile in a graph file.

    Args:
        path: the graph file.
        batch: samples in the measured batch; without it, the batch is inferred from the layers.
        name: what to call the model; without it, the file's name up to its first dot.
        source: where the figures come from; without it, the file's name.

    Raises:
        InputError: the file cannot be read, a line is malformed, a number is negative or not finite, an
            edge leads nowhere or in a circle, or the batch cannot be inferred. Lists all problems.
    """
    path = Path(path)
    reader = Reader(str(path))
    nodes, edges = reader.read()
    for node in nodes.values():
        if node.parameter_bytes % ELEMENT_BYTES:
            reader.problem(
                node.line,
                1,
                f"{node.name}: parameter_size={node.parameter_bytes} is no whole number of float32 elements",
                f"expected a multiple of {ELEMENT_BYTES}",
            )
    if batch is not None and not 1 <= batch <= _LARGEST_BATCH:
        reader.problem(0, 0, f"a batch of {batch} samples is not possible", "give --batch from 1 to 1e9")
    name = path.name.partition(".")[0] or path.name if name is None else name
    source = f"imported from {path.name}" if source is None else source
    for what, text, most in (("name", name, 200), ("source", source, 10_000)):
        if not 1 <= len(text) <= most or not text.isprintable():
            reader.problem(0, 0, f"{text!r} cannot be a {what}", f"give 1 to {most} printable characters")
    ordered = order(reader, nodes, edges)
    reader.stop_on_problems()

    layers = _layers(ordered, edges)
    if not layers:
        reader.problem(0, 0, "no layers: the graph has no nodes other than inputs", "expected node lines")
    elif batch is None and (batch := _batch(layers)) is None:
        reader.problem(
            0,
            0,
            "the batch cannot be inferred: no linear layer's output is one row a sample",
            "give it: --batch SAMPLES",
        )
    reader.stop_on_problems()
    assert batch is not None, "a missing batch is a problem"
    return ImportedProfile(
        name=name,
        unit="images" if any(layer.kind == "conv" for layer in layers) else "samples",
        batch=batch,
        dtype="float32",
        source=source,
        layers=layers,
    )


def dump(profile: ImportedProfile) -> str:
    """Return the text of a profile file, YAML; the figures are those of the graph, to the digit."""
    return profile_text(
        (
            f"What does each layer of {profile.name} cost? Measured by PipeDream's profiler.",
            f"Times and activations are those of one batch of {profile.batch}; loading the data is left out.",
        ),
        {
            "name": profile.name,
            "unit": profile.unit,
            "batch": profile.batch,
            "dtype": profile.dtype,
            "source": profile.source,
        },
        (
            LayerText(
                name=layer.name,
                kind=layer.kind,
                costs={"forward": f"{layer.forward_ms:f} ms", "backward": f"{layer.backward_ms:f} ms"},
                activation=f"{layer.activation} B",
                tensors=layer.tensors,
                inputs=layer.inputs,
                comment=layer.description,
            )
            for layer in profile.layers
        ),
    )


def _layers(ordered: list[Node], edges: dict[str, set[str]]) -> tuple[ImportedLayer, ...]:
    """Return the nodes that compute, with the nodes that compute among what they read."""
    kept = [node for node in ordered if not node.description.startswith("Input")]
    position = {node.name: i for i, node in enumerate(kept)}
    return tuple(
        ImportedLayer(
            name=node.name,
            kind=_kind(node.description),
            description=node.description,
            forward_ms=node.forward_ms,
            backward_ms=node.backward_ms,
            activation=node.activation_bytes,
            tensors=_tensors(node.description, node.parameter_bytes // ELEMENT_BYTES),
            inputs=tuple(sorted(edges[node.name] & position.keys(), key=position.__getitem__)),
        )
        for node in kept
    )


def _kind(description: str) -> str:
    word = re.match(r"[A-Za-z_]\w{0,99}", description, re.ASCII)
    if word is None:
        return "other"
    return _KINDS.get(word[0]) or word[0].strip("_").lower() or "other"


def _tensors(description: str, parameters: int) -> tuple[tuple[str, int], ...]:
    """Return weight and bias where the description says their sizes and these make up *parameters*."""
    if parameters == 0:
        return ()
    sizes = _sizes(description)
    if sizes is None or sum(sizes) != parameters:
        return (("weight", parameters),)
    return tuple((name, size) for name, size in zip(("weight", "bias"), sizes, strict=True) if size)


def _sizes(description: str) -> tuple[int, int] | None:
    """Return the elements of weight and bias that a description implies."""
    biased = "bias=False" not in description
    if found := _CONV.match(description):
        into, out, *kernel = (int(found[i]) for i in range(1, 5))
        groups = re.search(r"\bgroups=([0-9]{1,9})\b", description)
        shared = int(groups[1]) if groups else 1
        if shared and into % shared == 0:
            return into // shared * out * prod(kernel), out * biased
    elif found := _LINEAR.match(description):
        return int(found[1]) * int(found[2]), int(found[2]) * biased
    elif found := _NORM.match(description):
        return int(found[1]), int(found[1])
    return None


_CONV = re.compile(
    r"Conv2d\(([0-9]{1,9}), ([0-9]{1,9}), kernel_size=\(([0-9]{1,9}), ([0-9]{1,9})\)[,)]", re.ASCII
)
_LINEAR = re.compile(r"Linear\(in_features=([0-9]{1,9}), out_features=([0-9]{1,9})[,)]", re.ASCII)
_NORM = re.compile(r"BatchNorm2d\(([0-9]{1,9})[,)]", re.ASCII)


def _batch(layers: tuple[ImportedLayer, ...]) -> int | None:
    """Return the batch that the last linear layer implies, unless a convolution contradicts it."""
    linear = [(layer.activation, found) for layer in layers if (found := _LINEAR.match(layer.description))]
    if not linear or not int(linear[-1][1][2]):
        return None
    activation, found = linear[-1]
    batch, rest = divmod(activation, ELEMENT_BYTES * int(found[2]))
    if rest or not 1 <= batch <= _LARGEST_BATCH:
        return None
    for layer in layers:
        conv = _CONV.match(layer.description)
        if conv and (not int(conv[2]) or layer.activation % (ELEMENT_BYTES * int(conv[2]) * batch)):
            return None
    return batch
