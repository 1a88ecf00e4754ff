"""Models that a scenario names instead of listing their layers.

A family of models is a module of its own (``presets_vision.py``); here each model gets the name that
scenarios use, the name that people read and the source that its figures are checked against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simpar.workload.layers import Layer
from simpar.workload.presets_vision import resnet_50, vgg_16


@dataclass(frozen=True, slots=True)
class ModelPreset:
    """A model whose layers are known."""

    name: str
    """As people write it: ``ResNet-50``."""

    unit: str
    """What a sample is called in the plural."""

    layers: Callable[[int], tuple[Layer, ...]]
    """Makes the layers for activations of so many bytes an element."""

    source: str
    """Where the model is defined."""


MODELS: dict[str, ModelPreset] = {
    "resnet-50": ModelPreset(
        name="ResNet-50",
        unit="images",
        layers=resnet_50,
        source="He et al., arXiv:1512.03385, Table 1, with the stride in the 3x3 as in torchvision",
    ),
    "vgg-16": ModelPreset(
        name="VGG-16",
        unit="images",
        layers=vgg_16,
        source="Simonyan and Zisserman, arXiv:1409.1556, Table 1, column D",
    ),
}
"""Models by the name that ``model.preset`` takes."""
