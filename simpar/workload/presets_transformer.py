"""Transformers by their shape: GPT-2, GPT-NeoX, BERT, Llama, Mixtral.

One sample is one sequence of *seq* tokens. Names are those of the Hugging Face library, whose classes
count the same parameters. Weights that two layers share are counted once, where they come first.

What is left out, besides what :mod:`simpar.workload.builder` leaves out: dropout, rotary embeddings, the
loss, padding, and the halving of attention by a causal mask, which most kernels and most published
figures leave out, too. What is kept for the backward pass is the output of every layer listed here.

Start with :func:`gpt`; the others differ in what a block consists of.
"""

from __future__ import annotations

from dataclasses import dataclass

from simpar.workload.builder import Builder, Output, Part
from simpar.workload.layers import Layer


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that make a transformer.

    Raises:
        ValueError: the features do not divide by the heads, or the heads by those of the keys.
    """

    layers: int
    """Blocks."""

    hidden: int
    """Features of a token between the blocks."""

    heads: int
    """Heads of attention."""

    vocab: int
    """Rows of the table of tokens."""

    ffn: int
    """Features inside the feed-forward part of a block."""

    kv_heads: int = 0
    """Heads of keys and values; 0 for as many as *heads*."""

    head_features: int = 0
    """Features of one head; 0 for *hidden* over *heads*."""

    experts: int = 0
    """Feed-forward parts of a block of which each token takes some; 0 for one that all take."""

    active: int = 0
    """Experts that each token takes."""

    tied: bool = False
    """Whether the head shares the table of tokens."""

    bias: bool = False
    """Whether Llama's attention has biases."""

    def __post_init__(self) -> None:
        if self.hidden % self.heads and not self.head_features:
            raise ValueError(f"{self.hidden} features do not divide by {self.heads} heads")
        if self.heads % self.key_heads:
            raise ValueError(f"{self.heads} heads do not divide by {self.kv_heads} heads of keys")

    @property
    def key_heads(self) -> int:
        """Heads of keys and values."""
        return self.kv_heads or self.heads

    @property
    def head_width(self) -> int:
        """Features of one head."""
        return self.head_features or self.hidden // self.heads

    @property
    def query_features(self) -> int:
        """Features of all queries of a token."""
        return self.heads * self.head_width

    @property
    def kv_features(self) -> int:
        """Features of all keys of a token, and of all values."""
        return self.key_heads * self.head_width


def gpt(
    layers: int,
    hidden: int,
    heads: int,
    vocab: int = 50257,
    seq: int = 1024,
    *,
    positions: int = 1024,
    ffn: int | None = None,
    kv_heads: int = 0,
    tied: bool = True,
    dtype_bytes: int,
) -> tuple[Layer, ...]:
    """Return the layers of a GPT with the blocks of GPT-2 and GPT-3: the norm before, GELU, biases.

    Args:
        vocab: rows of the table of tokens, which is the head's weight, too, if *tied*.
        seq: tokens in a sequence.
        positions: rows of the table of positions, the longest sequence.
        ffn: features inside the feed-forward part; by default four times *hidden*.
        kv_heads: heads of keys and values; 0 for as many as *heads*.
        dtype_bytes: bytes of one element of an activation.

    Raises:
        ValueError: *hidden* does not divide by *heads*, these not by *kv_heads*, or a sequence is longer than
            *positions*.

    Source: Radford et al., "Language models are unsupervised multitask learners", 2019; GPT2LMHeadModel.

    >>> sum(layer.parameters for layer in gpt(12, 768, 12, dtype_bytes=2))
    124439808
    """
    _check_positions(seq, positions)
    shape = Shape(layers, hidden, heads, vocab, ffn or 4 * hidden, kv_heads)
    net = Builder(dtype_bytes)
    x = net.embedding("embed", seq, hidden, {"embed.wte": vocab, "embed.wpe": positions})
    for block in range(layers):
        name = f"h.{block}"
        y = net.layer_norm(f"{name}.ln_1", x)
        y = net.linear(f"{name}.attn.c_attn", y, hidden + 2 * shape.kv_features)
        y = net.attention(f"{name}.attn.scores", y, heads=heads, kv_heads=shape.key_heads)
        y = net.linear(f"{name}.attn.c_proj", y, hidden)
        x = net.add(f"{name}.attn.add", x, y)
        y = net.layer_norm(f"{name}.ln_2", x)
        y = _feed_forward(net, f"{name}.mlp", y, shape.ffn, ("c_fc", "act", "c_proj"))
        x = net.add(f"{name}.mlp.add", x, y)
    x = net.layer_norm("ln_f", x)
    net.linear("lm_head", x, vocab, bias=False, tied=tied)
    return net.layers()


def gpt_neox(shape: Shape, seq: int, dtype_bytes: int, *, parallel: bool = True) -> tuple[Layer, ...]:
    """Return the layers of a GPT-NeoX: rotary positions, a head of its own unless *shape* ties it.

    Args:
        parallel: whether attention and the feed-forward part read the same input and are added at once.

    Source: Black et al., arXiv:2204.06745; GPTNeoXForCausalLM.
    """
    net = Builder(dtype_bytes)
    x = net.embedding("embed_in", seq, shape.hidden, {"embed_in": shape.vocab})
    words = ("dense_h_to_4h", "act", "dense_4h_to_h")
    for block in range(shape.layers):
        name = f"layers.{block}"
        y = net.layer_norm(f"{name}.input_layernorm", x)
        y = net.linear(f"{name}.attention.query_key_value", y, 3 * shape.hidden)
        y = net.attention(f"{name}.attention.scores", y, heads=shape.heads, kv_heads=shape.key_heads)
        y = net.linear(f"{name}.attention.dense", y, shape.hidden)
        after = net.add(f"{name}.attention.add", x, y)
        z = net.layer_norm(f"{name}.post_attention_layernorm", x if parallel else after)
        z = _feed_forward(net, f"{name}.mlp", z, shape.ffn, words)
        x = net.add(f"{name}.mlp.add", after, z)
    x = net.layer_norm("final_layer_norm", x)
    net.linear("embed_out", x, shape.vocab, bias=False, tied=shape.tied)
    return net.layers()


def bert(
    layers: int,
    hidden: int,
    heads: int,
    vocab: int = 30522,
    seq: int = 512,
    *,
    positions: int = 512,
    segments: int = 2,
    ffn: int | None = None,
    dtype_bytes: int,
) -> tuple[Layer, ...]:
    """Return the layers of a BERT with its pooler and without a head for any task.

    The heads of pre-training, above all the product with the table of tokens for each masked one, are
    left out, as they are from the published counts.

    Args:
        seq: tokens in a sequence.
        positions: rows of the table of positions, the longest sequence.
        segments: rows of the table of token types.
        ffn: features inside the feed-forward part; by default four times *hidden*.

    Raises:
        ValueError: *hidden* does not divide by *heads*, or a sequence is longer than *positions*.

    Source: Devlin et al., arXiv:1810.04805; BertModel.

    >>> sum(layer.parameters for layer in bert(12, 768, 12, dtype_bytes=2))
    109482240
    """
    _check_positions(seq, positions)
    shape = Shape(layers, hidden, heads, vocab, ffn or 4 * hidden)
    net = Builder(dtype_bytes)
    tables = {"word": vocab, "position": positions, "token_type": segments}
    rows = {f"embeddings.{table}_embeddings": count for table, count in tables.items()}
    x = net.embedding("embeddings", seq, hidden, rows)
    x = net.layer_norm("embeddings.LayerNorm", x)
    projections = {part: Part(hidden, bias=True) for part in ("query", "key", "value")}
    for block in range(layers):
        name = f"encoder.layer.{block}"
        y = net.linears(f"{name}.attention.self", x, projections, 3 * hidden)
        scores = f"{name}.attention.scores"
        y = net.attention(scores, y, heads=heads, kv_heads=shape.key_heads, causal=False)
        y = net.linear(f"{name}.attention.output.dense", y, hidden)
        x = net.add(f"{name}.attention.output.add", x, y)
        x = net.layer_norm(f"{name}.attention.output.LayerNorm", x)
        y = _feed_forward(net, name, x, shape.ffn, ("intermediate.dense", "intermediate.act", "output.dense"))
        x = net.add(f"{name}.output.add", x, y)
        x = net.layer_norm(f"{name}.output.LayerNorm", x)
    net.linear("pooler.dense", net.first_token(x), hidden)
    return net.layers()


def llama(shape: Shape, seq: int, dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of a Llama, or of a Mixtral where *shape* has experts.

    Norms without bias, rotary positions, a gated feed-forward part of three weights; where there are
    fewer *kv_heads* than heads, several queries share a key. A token is computed by its active experts
    only; all experts have parameters, and gradients to send.

    Source: Touvron et al., arXiv:2302.13971 and arXiv:2307.09288; Jiang et al., arXiv:2401.04088;
    LlamaForCausalLM and MixtralForCausalLM.
    """
    net = Builder(dtype_bytes)
    queries, keys = shape.query_features, shape.kv_features
    projections = {
        "q_proj": Part(queries, shape.bias),
        "k_proj": Part(keys, shape.bias),
        "v_proj": Part(keys, shape.bias),
    }
    x = net.embedding("embed_tokens", seq, shape.hidden, {"embed_tokens": shape.vocab})
    for block in range(shape.layers):
        name = f"layers.{block}"
        y = net.layer_norm(f"{name}.input_layernorm", x, bias=False)
        y = net.linears(f"{name}.self_attn", y, projections, queries + 2 * keys)
        y = net.attention(f"{name}.self_attn.scores", y, heads=shape.heads, kv_heads=shape.key_heads)
        y = net.linear(f"{name}.self_attn.o_proj", y, shape.hidden, bias=shape.bias)
        x = net.add(f"{name}.self_attn.add", x, y)
        y = net.layer_norm(f"{name}.post_attention_layernorm", x, bias=False)
        y = (
            _experts(net, f"{name}.block_sparse_moe", y, shape)
            if shape.experts
            else _gated(net, name, y, shape)
        )
        x = net.add(f"{name}.mlp.add", x, y)
    x = net.layer_norm("norm", x, bias=False)
    net.linear("lm_head", x, shape.vocab, bias=False, tied=shape.tied)
    return net.layers()


def _gated(net: Builder, name: str, x: Output, shape: Shape) -> Output:
    """Add gate and up side by side, their product, and down."""
    sides = {side: Part(shape.ffn) for side in ("gate_proj", "up_proj")}
    y = net.linears(f"{name}.mlp", x, sides, 2 * shape.ffn)
    y = net.activation(f"{name}.mlp.act", y, gated=True)
    return net.linear(f"{name}.mlp.down_proj", y, shape.hidden, bias=False)


def _experts(net: Builder, name: str, x: Output, shape: Shape) -> Output:
    """Add the router, and the same as :func:`_gated` for the experts that each token takes."""
    one = shape.hidden * shape.ffn
    counts = {"experts": shape.experts, "active": shape.active}
    chosen = net.linear(f"{name}.gate", x, shape.experts, bias=False)
    y = net.experts(
        f"{name}.experts", x, {"w1": one, "w3": one}, 2 * shape.active * shape.ffn, chosen=chosen, **counts
    )
    y = net.activation(f"{name}.act", y, gated=True)
    return net.experts(f"{name}.experts.out", y, {"w2": one}, shape.hidden, chosen=chosen, **counts)


def _feed_forward(net: Builder, name: str, x: Output, ffn: int, words: tuple[str, str, str]) -> Output:
    """Add a linear layer to *ffn* features, its activation, and a linear layer back."""
    widen, act, narrow = words
    y = net.activation(f"{name}.{act}", net.linear(f"{name}.{widen}", x, ffn))
    return net.linear(f"{name}.{narrow}", y, x.shape[-1])


def _check_positions(seq: int, positions: int) -> None:
    if seq > positions:
        raise ValueError(f"a sequence of {seq} tokens is longer than {positions} positions")
