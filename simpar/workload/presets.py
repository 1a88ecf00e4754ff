"""Models that a scenario names instead of listing their layers.

A family of models is a module of its own (``presets_vision.py``); here each model gets the name that
scenarios use, the name that people read and the source that its figures are checked against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from simpar.workload.layers import Layer
from simpar.workload.presets_inception import inception_v3
from simpar.workload.presets_transformer import Shape, bert, gpt, llama
from simpar.workload.presets_vision import alexnet, mlp, resnet, vgg

_RESNET = "He et al., arXiv:1512.03385, Table 1"
_RESNET_V15 = f"{_RESNET}, with the stride in the 3x3 as in torchvision"
_VGG = "Simonyan and Zisserman, arXiv:1409.1556, Table 1"
_BERT = "Devlin et al., arXiv:1810.04805: with the pooler, without the heads of pre-training"
_GPT_2 = "Radford et al., 2019, Table 2, as counted with the released weights"
_LLAMA_2 = "Touvron et al., arXiv:2307.09288, and the released configurations"
_LLAMA_3 = "Grattafiori et al., arXiv:2407.21783, Table 3"


@dataclass(frozen=True, slots=True)
class ModelPreset:
    """A model whose layers are known."""

    name: str
    """As people write it: ``ResNet-50``."""

    unit: str
    """What a sample is called in the plural."""

    build: Callable[..., tuple[Layer, ...]]
    """Makes the layers from ``dtype_bytes`` and, where samples are sequences, ``seq``."""

    source: str
    """Where the model is defined."""

    seq: int | None = None
    """Tokens in a sequence unless a scenario says otherwise; None where samples have no tokens."""

    longest: int | None = None
    """Tokens in the longest sequence that it can take; None where nothing limits them."""

    @lru_cache(maxsize=4)  # noqa: B019  # presets live as long as the process; a study asks for one again and again
    def layers(self, dtype_bytes: int, seq: int | None = None) -> tuple[Layer, ...]:
        """Return the layers for activations of *dtype_bytes* an element and sequences of *seq* tokens.

        *seq* changes nothing where samples have no tokens.

        Raises:
            ValueError: *seq* is more than :attr:`longest`.
        """
        if self.seq is None:
            return self.build(dtype_bytes=dtype_bytes)
        return self.build(dtype_bytes=dtype_bytes, seq=seq or self.seq)


def _images(name: str, build: Callable[..., tuple[Layer, ...]], source: str) -> ModelPreset:
    return ModelPreset(name, "images", build, source)


def _bert(name: str, layers: int, hidden: int, heads: int) -> ModelPreset:
    return ModelPreset(name, "sequences", partial(bert, layers, hidden, heads), _BERT, 512, 512)


def _gpt_2(name: str, layers: int, hidden: int, heads: int) -> ModelPreset:
    return ModelPreset(name, "sequences", partial(gpt, layers, hidden, heads), _GPT_2, 1024, 1024)


def _llama(name: str, shape: Shape, seq: int, source: str) -> ModelPreset:
    return ModelPreset(name, "sequences", partial(llama, shape), source, seq)


MODELS: dict[str, ModelPreset] = {
    "resnet-18": _images("ResNet-18", partial(resnet, 18), _RESNET),
    "resnet-34": _images("ResNet-34", partial(resnet, 34), _RESNET),
    "resnet-50": _images("ResNet-50", partial(resnet, 50), _RESNET_V15),
    "resnet-101": _images("ResNet-101", partial(resnet, 101), _RESNET_V15),
    "resnet-152": _images("ResNet-152", partial(resnet, 152), _RESNET_V15),
    "vgg-11": _images("VGG-11", partial(vgg, 11), f"{_VGG}, column A"),
    "vgg-16": _images("VGG-16", partial(vgg, 16), f"{_VGG}, column D"),
    "vgg-19": _images("VGG-19", partial(vgg, 19), f"{_VGG}, column E"),
    "alexnet": _images("AlexNet", alexnet, "Krizhevsky, arXiv:1404.5997, one column as in torchvision"),
    "inception-v3": _images(
        "Inception v3", inception_v3, "Szegedy et al., arXiv:1512.00567, with the auxiliary classifier"
    ),
    "mlp": _images("MLP", partial(mlp, (784, 128, 64, 10)), "784-128-64-10 for MNIST: mxnet, symbols/mlp.py"),
    "bert-base": _bert("BERT-base", 12, 768, 12),
    "bert-large": _bert("BERT-large", 24, 1024, 16),
    "gpt2": _gpt_2("GPT-2", 12, 768, 12),
    "gpt2-medium": _gpt_2("GPT-2 medium", 24, 1024, 16),
    "gpt2-large": _gpt_2("GPT-2 large", 36, 1280, 20),
    "gpt2-xl": _gpt_2("GPT-2 XL", 48, 1600, 25),
    "llama-2-7b": _llama("Llama 2 7B", Shape(32, 4096, 32, 32_000, 11_008), 4096, _LLAMA_2),
    "llama-2-13b": _llama("Llama 2 13B", Shape(40, 5120, 40, 32_000, 13_824), 4096, _LLAMA_2),
    "llama-2-70b": _llama("Llama 2 70B", Shape(80, 8192, 64, 32_000, 28_672, 8), 4096, _LLAMA_2),
    "llama-3-8b": _llama("Llama 3 8B", Shape(32, 4096, 32, 128_256, 14_336, 8), 8192, _LLAMA_3),
    "llama-3-70b": _llama("Llama 3 70B", Shape(80, 8192, 64, 128_256, 28_672, 8), 8192, _LLAMA_3),
}
"""Models by the name that ``model.preset`` takes."""
