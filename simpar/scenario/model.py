"""What people write about their model: a preset, a shape, a measured profile, or layers by hand.

Part of :mod:`simpar.scenario.schema`, which says how sections are checked.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from simpar.scenario.fields import (
    Batch,
    Choice,
    Count,
    Duration,
    Flops,
    Name,
    Preset,
    Share,
    Size,
    Strict,
    Whole,
)
from simpar.scenario.presets import MODEL_NAMES

MOST_LAYERS = 20_000
"""Layers that one model may have."""

Dtype = Annotated[Literal["float64", "float32", "float16", "bfloat16"], Choice("dtype")]


def _shape_of_parameters(value: Any) -> str:
    return "\0tensors" if isinstance(value, dict) else "\0count"


Parameters = Annotated[
    Annotated[Count, Tag("\0count")]
    | Annotated[dict[Name, Annotated[int, Whole(1, 10**15)]], Field(max_length=10_000), Tag("\0tensors")],
    Discriminator(_shape_of_parameters),
]
"""A number of elements, or one number for each tensor. (The tags never show: no key holds a NUL.)"""


class LayerSpec(Strict):
    """One layer: either measured times or FLOPs, its parameters and the size of its output."""

    name: Name
    """Unique in the model."""

    kind: Name = "layer"
    """What it computes, 'conv' or 'linear'; shown, and tensor parallelism cuts those that are 'linear'."""

    forward: Duration | None = None
    """Measured time of its forward pass over one batch, '1.2 ms'."""

    backward: Duration | None = None
    """Measured time of its backward pass over one batch, '2.4 ms'."""

    flops: Flops | None = None
    """FLOPs of its forward pass over one sample, '231 MFLOP'; a multiply-add counts as two."""

    backward_flops: Flops | None = None
    """FLOPs of its backward pass over one sample; by default twice those of the forward pass."""

    parameters: Parameters = 0
    """Number of its parameters, or a mapping from the name of each tensor to its number."""

    activation: Size = 0.0
    """Size of its output for one batch, '51.4 MB'."""

    inputs: tuple[Name, ...] | None = None
    """Earlier layers whose output it reads; by default the layer before. [] reads the data."""

    @property
    def tensors(self) -> tuple[tuple[str, int], ...]:
        """Parameter tensors as (name, elements); each name starts with the layer's, so it is unique."""
        if isinstance(self.parameters, int):
            return ((self.name, self.parameters),) if self.parameters else ()
        prefix = self.name + "."
        return tuple(
            (name if name.startswith(prefix) else prefix + name, count)
            for name, count in self.parameters.items()
        )

    @property
    def timed(self) -> bool:
        """Whether its times were measured."""
        return self.forward is not None


Layers = Annotated[tuple[LayerSpec, ...], Field(min_length=1, max_length=MOST_LAYERS)]


class ProfileFile(Strict):
    """A model measured on a device: a file of its own, named by ``model.profile``."""

    name: Name
    """What the model is called, 'ResNet-50'."""

    unit: Name = "images"
    """What a sample is called, in the plural."""

    batch: Batch
    """Samples in the batch that the times and activations belong to."""

    dtype: Dtype = "float32"
    """Type of parameters, gradients and activations."""

    source: Annotated[str, Field(max_length=10_000)] = ""
    """Where the figures come from."""

    device: Annotated[str, Field(max_length=10_000)] = ""
    """What they were measured on."""

    layers: Layers
    """Its layers, in the order of the forward pass."""


Sizes = Annotated[tuple[Annotated[int, Whole(1, 10**8)], ...], Field(min_length=1, max_length=1000)]
"""Features or channels of layers, one after another."""


class ShapeSpec(Strict):
    """The numbers that make one model of a family; ``MODEL_FAMILIES`` says which family takes which."""

    layers: Annotated[int, Whole(1, 1000)] | None = None
    """Blocks of a transformer."""

    hidden: Annotated[int, Whole(1, 10**6)] | None = None
    """Features of a token between the blocks."""

    heads: Annotated[int, Whole(1, 10**4)] | None = None
    """Heads of attention."""

    vocab: Annotated[int, Whole(1, 10**8)] | None = None
    """Rows of the table of tokens; by default those of GPT-2, BERT or Llama 2."""

    positions: Annotated[int, Whole(1, 10**9)] | None = None
    """Rows of the table of positions, the longest sequence; by default 1024 in a gpt, 512 in a bert."""

    ffn: Annotated[int, Whole(1, 10**8)] | None = None
    """Features inside the feed-forward part of a block; by default four times hidden."""

    kv_heads: Annotated[int, Whole(1, 10**4)] | None = None
    """Heads of keys and values; by default as many as heads."""

    tied: bool | None = None
    """Whether the head shares the table of tokens; by default true in a gpt, false in a llama."""

    experts: Annotated[int, Whole(1, 1000)] | None = None
    """Feed-forward parts of a block, of which each token takes some; by default one that all take."""

    active: Annotated[int, Whole(1, 1000)] | None = None
    """Experts that each token takes."""

    sizes: Sizes | None = None
    """Features of each linear layer, in an mlp those of the data first: [784, 512, 10]."""

    image: Sizes | None = None
    """Channels, height and width of what a cnn sees: [3, 32, 32]."""

    channels: Sizes | None = None
    """Channels of each convolution of a cnn: [32, 64]."""


class ModelSpec(Strict):
    """The model: a preset, a family and a shape, a measured profile, or a list of layers."""

    preset: Annotated[str, Preset(MODEL_NAMES, "model")] | None = None
    """A model that simpar knows, or a family of models: gpt, bert, llama, mlp, cnn."""

    shape: ShapeSpec | None = None
    """The numbers that make one model of a family."""

    profile: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """A file of measured layers; its path starts at the folder of this file."""

    layers: Layers | None = None
    """The layers, written out."""

    batch: Batch | None = None
    """Samples that each worker trains on in a step."""

    global_batch: Batch | None = None
    """Samples that all workers together train on in a step."""

    dtype: Dtype = "float32"
    """Type of parameters, gradients and activations."""

    optimizer: Annotated[Literal["sgd", "momentum", "adam"], Choice("optimizer")] = "momentum"
    """Whose state is kept: none, one or two copies in float32; 16-bit models keep a float32 copy besides."""

    learning_rate: Annotated[float, Share(1e3)] | None = None
    """How far a step of the optimizer goes, 0.1; 'simpar replay' needs it."""

    seq: Annotated[int, Whole(1, 10**9)] | None = None
    """Tokens in a sequence."""

    name: Name | None = None
    """What the model is called; by default its preset's or profile's name."""

    unit: Name = "samples"
    """What a sample of hand-written layers is called, in the plural."""
