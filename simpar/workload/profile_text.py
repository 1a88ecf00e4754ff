"""The text of a profile file: what every importer writes, and scenarios name in ``model.profile``.

YAML with one line a layer. Figures arrive as text, so that they keep the digits of their source.
Start with :func:`profile_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""Words that some YAML readers do not take for text."""


@dataclass(frozen=True, slots=True)
class LayerText:
    """One line of a profile."""

    name: str
    """Unique in the model."""

    kind: str
    """What it computes."""

    costs: Mapping[str, str]
    """``forward`` and ``backward`` times, or ``flops``, with their units."""

    activation: str
    """Size of its output for one batch, with its unit."""

    tensors: Sequence[tuple[str, int]]
    """Parameter tensors: name, number of elements."""

    inputs: Sequence[str]
    """Layers that it reads; none for the data."""

    comment: str = ""
    """What else there is to say."""


def profile_text(comments: Sequence[str], head: Mapping[str, str | int], layers: Iterable[LayerText]) -> str:
    """Return the text of a profile file.

    Args:
        comments: lines at the top.
        head: the settings before ``layers``, in order.
        layers: in topological order; inputs that are the layer before are left out.
    """
    lines = [f"# {printable(comment)}" for comment in comments]
    lines += [f"{key}: {text(value) if isinstance(value, str) else value}" for key, value in head.items()]
    lines.append("layers:")
    before: list[str] = []
    for layer in layers:
        fields = {"name": text(layer.name), "kind": text(layer.kind), **layer.costs}
        fields["activation"] = layer.activation
        if layer.tensors:
            tensors = ", ".join(f"{text(name)}: {elements}" for name, elements in layer.tensors)
            fields["parameters"] = f"{{{tensors}}}"
        if list(layer.inputs) != before:
            fields["inputs"] = f"[{', '.join(map(text, layer.inputs))}]"
        mapping = ", ".join(f"{key}: {value}" for key, value in fields.items())
        comment = f"  # {printable(layer.comment)}" if layer.comment else ""
        lines.append(f"  - {{{mapping}}}{comment}")
        before = [layer.name]
    return "\n".join(lines) + "\n"


def text(value: str) -> str:
    """Return *value* as a YAML scalar that is read back as this very text.

    >>> text("conv1"), text("on"), text("a: b")
    ('conv1', '"on"', '"a: b"')
    """
    if re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII) and value.lower() not in _YAML_WORDS:
        return value
    return '"' + "".join(_escaped(letter) for letter in value) + '"'


def printable(value: str) -> str:
    """Return *value* with everything replaced that a YAML comment must not hold."""
    return "".join(letter if letter.isprintable() else "?" for letter in value)


def _escaped(letter: str) -> str:
    """Return *letter* as it stands between double quotes in YAML."""
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
