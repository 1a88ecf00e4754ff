"""Reads a Hugging Face model configuration, ``config.json``, and counts what its layers cost.

A configuration has no times: the profile has FLOPs, which a scenario's device turns into times. Models
that are known: GPT-2, GPT-NeoX, BERT (without a head for any task), Llama, and Mixtral, whose profile has
the parameters of all experts and the FLOPs of those that a token takes. What is left out is said in
:mod:`simpar.workload.presets_transformer`; besides, a sliding window of attention.

Start with :func:`read`; :func:`dump` writes the result as a profile that scenarios name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from simpar.workload.import_file import Problems, read_text
from simpar.workload.json_object import Entry, read_object
from simpar.workload.layers import DTYPE_BYTES, Layer
from simpar.workload.presets_transformer import Shape, bert, gpt, gpt_neox, llama
from simpar.workload.profile_text import LayerText, profile_text

LARGEST_SEQ = 10**7
"""Tokens of the longest sequence."""

LARGEST_BATCH = 10**9
"""Sequences of the largest batch; what a profile can say."""

_MOST_EXPERTS = 20_000
"""Experts of all blocks together."""

_LARGEST_FLOPS, _LARGEST_BYTES = 1e24, 1e21
"""What one layer of a profile may have."""


@dataclass(frozen=True, slots=True)
class HfProfile:
    """A model that was counted, not measured."""

    name: str
    """What it is called."""

    family: str
    """Its ``model_type``."""

    seq: int
    """Tokens in a sequence, the unit of its samples."""

    batch: int
    """Sequences in the batch that its activations belong to."""

    dtype: str
    """Element type of parameters and activations."""

    source: str
    """Where the shape comes from."""

    layers: tuple[Layer, ...]
    """In topological order."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(layer.parameters for layer in self.layers)


def read(
    path: str | os.PathLike[str], seq: int, batch: int, *, dtype: str | None = None, name: str | None = None
) -> HfProfile:
    """Return the model that a configuration describes.

    Args:
        path: the configuration.
        seq: tokens in a sequence.
        batch: sequences in the batch that activations are written for.
        dtype: element type; without it the configuration's, else float32.
        name: what to call the model; without it, its name in the configuration, else its family.

    Raises:
        InputError: the file cannot be read, its family is unknown, or anything in it is missing or
            does not go with another thing. Lists all problems.
    """
    problems = Problems(os.fspath(path))
    config = _Config(read_object(read_text(path, problems, "a config.json"), problems), problems)
    for option, value, most in (("--seq", seq, LARGEST_SEQ), ("--batch", batch, LARGEST_BATCH)):
        if not 1 <= value <= most:
            problems.option(option, f"{value} is not possible", f"give 1 to {most}")
    family = config.family()
    dtype = dtype or config.dtype()
    name = config.name(family) if name is None else name
    if not 1 <= len(name) <= 200 or not name.isprintable():
        problems.option("--name", f"{name[:60]!r} cannot be a name", "give 1 to 200 printable characters")
    layers = FAMILIES[family](config, seq, DTYPE_BYTES[dtype])
    if any(layer.forward_flops > _LARGEST_FLOPS / 2 for layer in layers):
        problems.option("--seq", "a layer has more than 1e24 FLOPs", "give shorter sequences")
    if any(layer.activation_bytes * batch > _LARGEST_BYTES for layer in layers):
        problems.option("--batch", "a layer's output has more than 1e21 bytes", "give a smaller batch")
    problems.raise_if_any()
    source = f"counted from the shape in {PurePath(path).name}, {seq} tokens in a sequence"
    return HfProfile(name, family, seq, batch, dtype, source, layers)


def dump(profile: HfProfile) -> str:
    """Return the text of a profile file."""
    names = [layer.name for layer in profile.layers]
    return profile_text(
        (
            f"What does each layer of {profile.name} cost? Counted, not measured: FLOPs and no times.",
            f"A sample is a sequence of {profile.seq} tokens; activations are those of {profile.batch}.",
        ),
        {
            "name": profile.name,
            "unit": "sequences",
            "batch": profile.batch,
            "dtype": profile.dtype,
            "source": profile.source,
        },
        (
            LayerText(
                name=layer.name,
                kind=layer.kind,
                costs={"flops": f"{int(layer.forward_flops)} FLOP"} if layer.forward_flops else {},
                activation=f"{int(layer.activation_bytes) * profile.batch} B",
                tensors=[(tensor.name, tensor.elements) for tensor in layer.tensors],
                inputs=[names[i] for i in layer.inputs],
            )
            for layer in profile.layers
        ),
    )


class _Config:
    """The keys of a configuration; what is wrong with them becomes problems."""

    def __init__(self, entries: Mapping[str, Entry], problems: Problems) -> None:
        self._entries = entries
        self._problems = problems

    def family(self) -> str:
        """Return the family; an unknown one is raised, because all else depends on it."""
        known = ", ".join(FAMILIES)
        entry = self._entries.get("model_type")
        if entry is None:
            self._problems.add((1, 1), "model_type", "is missing", f"add one of: {known}")
        elif not isinstance(entry.value, str) or entry.value not in FAMILIES:
            near = difflib.get_close_matches(str(entry.value)[:60], FAMILIES, 1, 0.8)
            said = f"{_short(entry.value)} is not known"
            offer = f"did you mean {near[0]!r}? " if near else ""
            self._problems.add(entry.place, "model_type", said, f"{offer}known are: {known}")
        else:
            return entry.value
        self._problems.raise_if_any()
        raise AssertionError("a problem was just added")

    def dtype(self) -> str:
        """Return the element type, float32 where there is none."""
        key = "dtype" if "dtype" in self._entries else "torch_dtype"
        entry = self._entries.get(key)
        if entry is None or entry.value is None:
            return "float32"
        if isinstance(entry.value, str) and entry.value in DTYPE_BYTES:
            return entry.value
        known = ", ".join(DTYPE_BYTES)
        self._problems.add(
            entry.place, key, f"{_short(entry.value)} is not known", f"add --dtype, one of: {known}"
        )
        return "float32"

    def name(self, family: str) -> str:
        """Return the last part of the model's path, or its *family*."""
        entry = self._entries.get("_name_or_path")
        said = PurePath(entry.value).name if entry is not None and isinstance(entry.value, str) else ""
        return said if 1 <= len(said) <= 200 and said.isprintable() else family

    def whole(self, key: str, high: int, default: int | None = None) -> int:
        """Return the whole number at *key*, *default* where it is missing or null.

        Without a default, it must be there. 0 is returned after a problem.
        """
        entry = self._entries.get(key)
        if entry is None or (entry.value is None and default is not None):
            if default is not None:
                return default
            self._problems.add((1, 1), key, "is missing", f"add it: '\"{key}\": NUMBER'")
        elif isinstance(entry.value, bool) or not isinstance(entry.value, int):
            self._problems.add(
                entry.place, key, f"{_short(entry.value)} is no whole number", f"write 1 to {high}"
            )
        elif not 1 <= entry.value <= high:
            self._problems.add(
                entry.place, key, f"{_short(entry.value)} is not possible", f"write 1 to {high}"
            )
        else:
            return entry.value
        return 0

    def flag(self, key: str, default: bool) -> bool:
        """Return the truth at *key*, *default* where it is missing or null."""
        entry = self._entries.get(key)
        if entry is None or entry.value is None:
            return default
        if not isinstance(entry.value, bool):
            self._problems.add(
                entry.place, key, f"{_short(entry.value)} is neither true nor false", "write true or false"
            )
            return default
        return entry.value

    def divides(self, key: str, whole: int, by: str, parts: int) -> None:
        """Note that *whole*, at *key*, does not divide by *parts*, at *by*."""
        if whole and parts and whole % parts:
            self._at(key, f"{whole} does not divide by {by}, {parts}", "change one of them")

    def at_most(self, key: str, value: int, other: str, high: int) -> None:
        """Note that *value*, at *key*, is above *high*, at *other*."""
        if value and high and value > high:
            self._at(key, f"{value} is more than {other}, {high}", "change one of them")

    def holds(self, seq: int, key: str, positions: int) -> None:
        """Note that a sequence is longer than the table of positions."""
        if positions and seq > positions:
            self._problems.option("--seq", f"{seq} is more than {key}, {positions}", "give shorter sequences")

    def refuse(self, key: str, value: bool, message: str) -> None:
        """Note that *key* has a *value* that is not modelled."""
        if value:
            self._at(key, message, "remove it")

    def stop_on_problems(self) -> None:
        """Raise what is wrong so far."""
        self._problems.raise_if_any()

    def _at(self, key: str, message: str, fix: str) -> None:
        entry = self._entries.get(key)
        self._problems.add(entry.place if entry is not None else (1, 1), key, message, fix)


_LAYERS, _HIDDEN, _HEADS, _VOCAB, _FFN, _POSITIONS = 1000, 10**6, 10**4, 10**8, 10**8, 10**9
"""Largest numbers of each kind."""


def _gpt2(config: _Config, seq: int, dtype_bytes: int) -> tuple[Layer, ...]:
    layers, hidden = config.whole("n_layer", _LAYERS), config.whole("n_embd", _HIDDEN)
    heads, vocab = config.whole("n_head", _HEADS), config.whole("vocab_size", _VOCAB)
    positions = config.whole("n_positions", _POSITIONS)
    ffn = config.whole("n_inner", _FFN, 4 * hidden or 1)
    tied = config.flag("tie_word_embeddings", True)
    config.divides("n_embd", hidden, "n_head", heads)
    config.holds(seq, "n_positions", positions)
    config.stop_on_problems()
    return gpt(
        layers, hidden, heads, vocab, seq, positions=positions, ffn=ffn, tied=tied, dtype_bytes=dtype_bytes
    )


def _common(config: _Config) -> dict[str, Any]:
    """Return what all other families call by the same names."""
    return {
        "layers": config.whole("num_hidden_layers", _LAYERS),
        "hidden": config.whole("hidden_size", _HIDDEN),
        "heads": config.whole("num_attention_heads", _HEADS),
        "vocab": config.whole("vocab_size", _VOCAB),
        "ffn": config.whole("intermediate_size", _FFN),
    }


def _gpt_neox(config: _Config, seq: int, dtype_bytes: int) -> tuple[Layer, ...]:
    shape = _common(config)
    tied = config.flag("tie_word_embeddings", False)
    parallel = config.flag("use_parallel_residual", True)
    config.refuse(
        "attention_bias", not config.flag("attention_bias", True), "attention without biases is not modelled"
    )
    config.divides("hidden_size", shape["hidden"], "num_attention_heads", shape["heads"])
    config.stop_on_problems()
    return gpt_neox(Shape(**shape, tied=tied), seq, dtype_bytes, parallel=parallel)


def _bert(config: _Config, seq: int, dtype_bytes: int) -> tuple[Layer, ...]:
    shape = _common(config)
    positions = config.whole("max_position_embeddings", _POSITIONS)
    segments = config.whole("type_vocab_size", _VOCAB, 2)
    config.divides("hidden_size", shape["hidden"], "num_attention_heads", shape["heads"])
    config.holds(seq, "max_position_embeddings", positions)
    config.stop_on_problems()
    return bert(**shape, seq=seq, positions=positions, segments=segments, dtype_bytes=dtype_bytes)


def _llama(
    config: _Config, seq: int, dtype_bytes: int, experts: int = 0, active: int = 0
) -> tuple[Layer, ...]:
    shape = _common(config)
    kv_heads = config.whole("num_key_value_heads", _HEADS, shape["heads"])
    width = config.whole("head_dim", _HEADS, 0)
    tied = config.flag("tie_word_embeddings", False)
    bias = config.flag("attention_bias", False)
    config.refuse(
        "mlp_bias", config.flag("mlp_bias", False), "biases of the feed-forward part are not modelled"
    )
    if not width:
        config.divides("hidden_size", shape["hidden"], "num_attention_heads", shape["heads"])
    config.divides("num_attention_heads", shape["heads"], "num_key_value_heads", kv_heads)
    if experts:
        config.at_most(
            "num_local_experts", experts * shape["layers"], "what a profile may hold", _MOST_EXPERTS
        )
    config.stop_on_problems()
    full = Shape(
        **shape,
        kv_heads=kv_heads,
        head_features=width,
        experts=experts,
        active=active,
        tied=tied,
        bias=bias,
    )
    return llama(full, seq, dtype_bytes)


def _mixtral(config: _Config, seq: int, dtype_bytes: int) -> tuple[Layer, ...]:
    experts = config.whole("num_local_experts", _LAYERS)
    active = config.whole("num_experts_per_tok", _LAYERS)
    config.at_most("num_experts_per_tok", active, "num_local_experts", experts)
    return _llama(config, seq, dtype_bytes, experts, active)


FAMILIES: dict[str, Callable[[_Config, int, int], tuple[Layer, ...]]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "bert": _bert,
    "llama": _llama,
    "mixtral": _mixtral,
}
"""What makes the layers of each ``model_type``."""


def _short(value: object) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        said = repr(value) if not isinstance(value, int) or abs(value) < 10**60 else "a huge number"
        return said if len(said) <= 62 else said[:58] + "...'"
    return "a list" if isinstance(value, list) else "an object"
