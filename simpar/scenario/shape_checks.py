"""What a ``model.shape`` must have, may have, and may not contradict.

Like :mod:`simpar.scenario.checks`, it looks at what was written and keeps quiet about what is known to be
wrong. That a sequence fits the positions is judged where the model is built, as it is for presets.
"""

from __future__ import annotations

from typing import Any

from simpar.scenario.model import MOST_LAYERS, ShapeSpec
from simpar.scenario.presets import MODEL_FAMILIES, MODEL_PRESETS
from simpar.scenario.report import EXAMPLES, Report
from simpar.scenario.words import Path
from simpar.units import shown

_HERE: Path = ("model", "shape")

_WRITTEN = {
    "gpt": EXAMPLES["shape"],
    "bert": EXAMPLES["shape"],
    "llama": "{layers: 32, hidden: 4096, heads: 32, ffn: 11008}",
    "mlp": "{sizes: " + EXAMPLES["sizes"] + "}",
    "cnn": f"{{image: {EXAMPLES['image']}, channels: {EXAMPLES['channels']}, sizes: [10]}}",
}
"""A right shape of each family."""


def check_shape(model: dict[str, Any], report: Report) -> None:
    """Note in *report* a family without a shape, a shape without a family, and what is wrong inside."""
    preset, shape = model.get("preset"), model.get("shape")
    if not report.clean(("model", "preset"), _HERE):
        return
    if shape is None:
        if preset in MODEL_FAMILIES and preset not in MODEL_PRESETS:
            said = f"{preset!r} is a family of models and needs a shape"
            report.add(("model", "preset"), said, f"add 'shape: {_WRITTEN[preset]}'")
        return
    if preset not in MODEL_FAMILIES:
        families = ", ".join(MODEL_FAMILIES)
        said = "needs a family of models" if preset is None else f"{shown(preset)} has a shape of its own"
        report.add(_HERE, said, f"write 'preset:' with one of: {families}", key=True)
        return
    _check_keys(preset, shape, report)
    if preset == "mlp":
        _check_sizes(shape, report)
    if preset == "cnn":
        _check_image(shape, report)
    _check_numbers(shape, report)


def _check_keys(family: str, shape: dict[str, Any], report: Report) -> None:
    """Note keys that the family needs and has not, and those that it does not take."""
    needed, optional = MODEL_FAMILIES[family]
    missing = [key for key in needed if key not in shape]
    if missing:
        *others, last = map(repr, missing)
        lacks = f"{', '.join(others)} and {last}" if others else last
        report.add(_HERE, f"{family} needs {lacks}", f"write 'shape: {_WRITTEN[family]}'")
    for key in shape:
        if key in ShapeSpec.model_fields and key not in (*needed, *optional):
            takes = ", ".join((*needed, *optional))
            report.add((*_HERE, key), f"{family} takes no {key!r}", f"it takes: {takes}", key=True)


def _check_sizes(shape: dict[str, Any], report: Report) -> None:
    """Note a perceptron without a layer."""
    sizes = shape.get("sizes")
    if isinstance(sizes, list) and len(sizes) == 1 and report.clean((*_HERE, "sizes")):
        said = "one size makes no layer: the first is the data's"
        report.add((*_HERE, "sizes"), said, f"write 'sizes: {EXAMPLES['sizes']}'")


def _check_image(shape: dict[str, Any], report: Report) -> None:
    """Note an image that is none, or one that is too small for so many convolutions."""
    image, channels = shape.get("image"), shape.get("channels")
    if not isinstance(image, list) or not report.clean((*_HERE, "image")):
        return
    if len(image) != 3:
        said = f"{len(image)} numbers are not channels, height and width"
        report.add((*_HERE, "image"), said, f"write 'image: {EXAMPLES['image']}'")
    elif isinstance(channels, list) and report.clean((*_HERE, "channels")):
        halvings = min(image[1:]).bit_length() - 1
        if len(channels) > halvings:
            said = (
                f"{image[1]} x {image[2]} pixels cannot be halved {len(channels)} times, by every convolution"
            )
            fix = f"write {halvings} or fewer" if halvings else "give a larger image, or take an mlp"
            report.add((*_HERE, "channels"), said, fix)


def _check_numbers(shape: dict[str, Any], report: Report) -> None:
    """Note numbers that contradict each other."""

    def number(key: str) -> int:
        value = shape.get(key, 0)
        return value if isinstance(value, int) and report.clean((*_HERE, key)) else 0

    hidden, heads, kv_heads = number("hidden"), number("heads"), number("kv_heads")
    if hidden and heads and hidden % heads:
        said = f"{hidden} features do not divide by {heads} heads"
        below = hidden - hidden % heads
        nearest = f"{below} or {below + heads}" if below else f"{heads}"
        report.add((*_HERE, "hidden"), said, f"write {nearest}")
    if heads and kv_heads and heads % kv_heads:
        said = f"{heads} heads do not divide by {kv_heads} heads of keys and values"
        divisor = max(one for one in range(1, min(kv_heads, heads) + 1) if heads % one == 0)
        report.add((*_HERE, "kv_heads"), said, f"write {divisor}")
    experts, active, layers = number("experts"), number("active"), number("layers")
    for key, other in (("experts", "active"), ("active", "experts")):
        if key in shape and other not in shape and report.clean((*_HERE, key)):
            report.add((*_HERE, key), f"{key!r} is given without {other!r}", f"add '{other}: 2'", key=True)
    if experts and active > experts:
        said = f"{active} active experts of {experts}"
        report.add((*_HERE, "active"), said, f"write {experts} or less")
    if experts * layers > MOST_LAYERS:
        said = f"{experts} experts in each of {layers} layers are more than {MOST_LAYERS}"
        report.add((*_HERE, "experts"), said, f"write {MOST_LAYERS // layers} or less")
