"""Models of a family, by their shape: any GPT, BERT, Llama, Mixtral, perceptron or small convolutional net.

A family has the blocks of one architecture and leaves the numbers open. Which numbers it takes stands in
``MODEL_FAMILIES`` of :mod:`simpar.scenario.presets`; here are their defaults and what they make.
Start with :func:`of_shape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from simpar.workload.layers import Layer
from simpar.workload.presets import MODELS, ModelPreset
from simpar.workload.presets_transformer import Shape, bert, gpt, llama
from simpar.workload.presets_vision import cnn, mlp

if TYPE_CHECKING:
    from simpar.scenario.model import ModelSpec

LLAMA_SEQ = 4096
"""Tokens in a sequence of a llama unless a scenario says otherwise, as in Llama 2."""

Numbers = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture whose numbers are open."""

    name: str
    """As people write it: ``GPT``."""

    source: str
    """Where the architecture is defined."""

    defaults: Numbers
    """Numbers that a shape may leave out; what is not here follows from others."""

    build: Callable[[Numbers], Callable[..., tuple[Layer, ...]]]
    """From the numbers, what makes the layers from ``dtype_bytes`` and, for tokens, ``seq``."""


def _gpt(numbers: Numbers) -> Callable[..., tuple[Layer, ...]]:
    return partial(gpt, **numbers)


def _bert(numbers: Numbers) -> Callable[..., tuple[Layer, ...]]:
    return partial(bert, **numbers)


def _llama(numbers: Numbers) -> Callable[..., tuple[Layer, ...]]:
    return partial(llama, Shape(**numbers))


def _mlp(numbers: Numbers) -> Callable[..., tuple[Layer, ...]]:
    return partial(mlp, numbers["sizes"])


def _cnn(numbers: Numbers) -> Callable[..., tuple[Layer, ...]]:
    return partial(cnn, numbers["image"], numbers["channels"], numbers["sizes"])


FAMILIES: dict[str, Family] = {
    "gpt": Family(
        "GPT",
        "Radford et al., 2019; Brown et al., arXiv:2005.14165: the norm before, GELU, learned positions",
        {"vocab": 50257, "positions": 1024, "tied": True},
        _gpt,
    ),
    "bert": Family(
        "BERT",
        "Devlin et al., arXiv:1810.04805: with the pooler, without the heads of pre-training",
        {"vocab": 30522, "positions": 512},
        _bert,
    ),
    "llama": Family(
        "Llama",
        "Touvron et al., arXiv:2307.09288; with experts as Jiang et al., arXiv:2401.04088",
        {"vocab": 32_000, "tied": False},
        _llama,
    ),
    "mlp": Family("MLP", "fully connected layers, one after another", {}, _mlp),
    "cnn": Family(
        "CNN", "3x3 convolutions, each pooled, and fully connected layers, as VGG has them", {}, _cnn
    ),
}
"""Families by the name that ``model.preset`` takes."""


def of_shape(family: str, shape: Numbers) -> ModelPreset:
    """Return the model of *family* with the numbers of *shape*, which are those that people wrote.

    Raises:
        ValueError: the numbers contradict each other.

    >>> model = of_shape("gpt", {"layers": 12, "hidden": 768, "heads": 12})
    >>> model.name, sum(layer.parameters for layer in model.layers(2))
    ('GPT (12 layers of 768)', 124439808)
    """
    found = FAMILIES[family]
    numbers = {**found.defaults, **shape}
    if family in ("mlp", "cnn"):
        sizes = "-".join(map(str, (*numbers.get("channels", ()), *numbers["sizes"])))
        unit = "images" if family == "cnn" else "samples"
        return ModelPreset(f"{found.name} ({sizes})", unit, found.build(numbers), found.source)
    name = f"{found.name} ({numbers['layers']} layers of {numbers['hidden']})"
    positions = numbers.get("positions")
    seq = positions or LLAMA_SEQ
    return ModelPreset(name, "sequences", found.build(numbers), found.source, seq, positions)


def known(model: ModelSpec) -> ModelPreset | None:
    """Return the model that ``model.preset`` names, with its shape if it has one; None for listed layers."""
    if model.preset is None:
        return None
    if model.shape is None:
        return MODELS[model.preset]
    return of_shape(model.preset, model.shape.model_dump(exclude_none=True))
