"""The names of everything that simpar ships, the only list of them.

Names only (and how many devices a machine has), so that a file is checked without loading a model or a
datasheet. The rooms that hold the figures define exactly these.
"""

MODEL_PRESETS = (
    "resnet-18",
    "resnet-34",
    "resnet-50",
    "resnet-101",
    "resnet-152",
    "vgg-11",
    "vgg-16",
    "vgg-19",
    "alexnet",
    "inception-v3",
    "mlp",
    "bert-base",
    "bert-large",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "llama-2-7b",
    "llama-2-13b",
    "llama-2-70b",
    "llama-3-8b",
    "llama-3-70b",
)
"""Names of models whose layers are known."""

MODEL_FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gpt": (("layers", "hidden", "heads"), ("vocab", "positions", "ffn", "kv_heads", "tied")),
    "bert": (("layers", "hidden", "heads"), ("vocab", "positions", "ffn")),
    "llama": (("layers", "hidden", "heads", "ffn"), ("vocab", "kv_heads", "tied", "experts", "active")),
    "mlp": (("sizes",), ()),
    "cnn": (("image", "channels", "sizes"), ()),
}
"""Models that ``model.preset`` takes with a ``model.shape``: the keys that it must and may have."""

MODEL_NAMES = tuple(dict.fromkeys([*MODEL_PRESETS, *MODEL_FAMILIES]))
"""Names that ``model.preset`` takes: presets, and families of models given by their shape."""

DEVICE_PRESETS = (
    "k80",
    "p100",
    "v100",
    "v100-32",
    "t4",
    "a10",
    "a100-40",
    "a100-80",
    "h100",
    "h200",
    "b200",
    "xeon-8380",
    "epyc-7763",
    "core-i7-1165g7",
)
"""Names that ``cluster.device`` takes."""

LINK_PRESETS = (
    "ethernet-1",
    "ethernet-10",
    "ethernet-25",
    "ethernet-40",
    "ethernet-50",
    "ethernet-100",
    "ethernet-200",
    "ethernet-400",
    "infiniband-edr",
    "infiniband-hdr",
    "infiniband-ndr",
    "pcie-3",
    "pcie-4",
    "pcie-5",
    "nvlink-2",
    "nvlink-3",
    "nvlink-4",
    "nvlink-5",
)
"""Names that ``network`` and ``network.intra`` take: links whose rate, efficiency and latency are known."""

INSTANCE_DEVICES = {
    "p2.8xlarge": 8,
    "p2.16xlarge": 16,
    "p3.2xlarge": 1,
    "p3.16xlarge": 8,
    "g4dn.xlarge": 1,
    "g5.xlarge": 1,
    "p4d.24xlarge": 8,
    "p4de.24xlarge": 8,
    "p5.48xlarge": 8,
    "ND96asr_v4": 8,
    "ND96isr_H100_v5": 8,
    "a2-highgpu-8g": 8,
    "a3-highgpu-8g": 8,
}
"""Devices of each cloud machine that ``cluster.instance`` takes: workers are counted before its figures are
read. Where there are several, the link between them is known too."""

INSTANCE_PRESETS = tuple(INSTANCE_DEVICES)
"""Names of cloud machines whose devices, links and price are known."""
