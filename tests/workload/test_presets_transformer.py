"""Transformers against published counts and the formulas of the papers."""

import pytest

from simpar.workload.presets import MODELS
from simpar.workload.presets_transformer import Shape, bert, gpt, gpt_neox, llama


def parameters(layers):
    return sum(layer.parameters for layer in layers)


def forward(layers):
    return sum(layer.forward_flops for layer in layers)


def training(layers):
    return sum(layer.forward_flops + layer.backward_flops for layer in layers)


def by_name(layers):
    return {layer.name: layer for layer in layers}


MIXTRAL = Shape(32, 4096, 32, 32_000, 14_336, 8, experts=8, active=2)
"""Jiang et al., arXiv:2401.04088, Table 1."""


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # numbers of parameters of the released weights, as Hugging Face's classes and Keras count them
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
        ("bert-base", 109_482_240),
        ("bert-large", 335_141_888),
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3-70b", 70_553_706_496),
    ],
)
def test_parameters_are_those_of_the_released_weights(name, count):
    assert parameters(MODELS[name].layers(2)) == count


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        # EleutherAI/pythia: parameters of the 410m and the 1.4b; Black et al., arXiv:2204.06745, for 20B
        (Shape(24, 1024, 16, 50_304, 4096), 405_334_016),
        (Shape(24, 2048, 16, 50_304, 8192), 1_414_647_808),
        (Shape(44, 6144, 64, 50_432, 24_576), 20_554_567_680),
    ],
)
def test_gpt_neox_counts_are_published(shape, count):
    assert parameters(gpt_neox(shape, 2048, 2)) == count


def test_mixtral_has_the_parameters_of_all_experts_and_the_flops_of_two():
    """Mixtral 8x7B: 46,702,792,704 parameters (released weights), of which a token uses 12.9 billion.

    With another formula for the FLOPs: 2 for each active parameter but those of the look-up, and the
    scores (PaLM, arXiv:2204.02311, Appendix B: 12 L H Q T forward and backward, a third of that forward).
    """
    layers, seq = llama(MIXTRAL, 4096, 2), 4096
    unused = 32 * 6 * 3 * 4096 * 14_336
    active = 46_702_792_704 - unused

    assert parameters(layers) == 46_702_792_704
    assert round(active / 1e9, 1) == 12.9
    expected = seq * (2 * (active - 32_000 * 4096) + 4 * 32 * 4096 * seq)
    assert forward(layers) == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
@pytest.mark.parametrize("seq", [128, 1024])
def test_gpt_flops_are_those_of_megatron(name, seq):
    """Narayanan et al., SC 2021, equation (3): F = 96 B s l h^2 (1 + s / 6h + V / 16lh).

    That is with the blocks' forward pass run twice, 24 s l h^2 (1 + s / 6h) too many for us. The head is
    run once: its term is 6 s h V, the 2 of its forward pass and the 4 of its backward pass.
    """
    depth, h = {
        "gpt2": (12, 768),
        "gpt2-medium": (24, 1024),
        "gpt2-large": (36, 1280),
        "gpt2-xl": (48, 1600),
    }[name]
    recomputed = 24 * seq * depth * h**2 * (1 + seq / (6 * h))
    formula = 96 * seq * depth * h**2 * (1 + seq / (6 * h) + 50_257 / (16 * depth * h)) - recomputed

    assert training(MODELS[name].layers(2, seq)) == pytest.approx(formula, rel=1e-12)


def test_gpt2_flops_are_those_that_nanogpt_prints():
    """karpathy/nanoGPT, transformer_sizing.ipynb: forward 291,648,307,200 for one block of 1024."""
    assert forward(MODELS["gpt2"].layers(2)) == 291_648_307_200


@pytest.mark.parametrize(("name", "depth", "h"), [("bert-base", 12, 768), ("bert-large", 24, 1024)])
def test_bert_flops_are_those_of_megatron_without_a_head(name, depth, h):
    """The same formula, three passes, V = 0; the pooler multiplies one token by h x h."""
    for seq in (128, 512):
        formula = 72 * seq * depth * h**2 * (1 + seq / (6 * h))
        assert training(MODELS[name].layers(2, seq)) == pytest.approx(formula, rel=0.0005)


def test_bert_base_takes_22_5_billion_flops_for_128_tokens():
    """Jiao et al., TinyBERT, arXiv:1909.10351, Table 1: 109M parameters, 22.5B FLOPs; softmax and all."""
    assert forward(MODELS["bert-base"].layers(2, 128)) == pytest.approx(22.5e9, rel=0.01)


def test_llama_2_7b_takes_1700_billion_flops_for_128_tokens():
    """MrYxJ/calculate-flops.pytorch, table of common models: 1700.06 GFLOPs, 850 GMACs for (1, 128)."""
    layers = MODELS["llama-2-7b"].layers(2, 128)

    assert forward(layers) / 1e9 == pytest.approx(1700.06, rel=1e-4)
    assert forward(layers) / 2e9 == pytest.approx(850.00, abs=0.006)


@pytest.mark.parametrize(
    ("name", "count", "vocab", "layers", "hidden"),
    [
        ("llama-2-7b", 6_738_415_616, 32_000, 32, 4096),
        ("llama-2-13b", 13_015_864_320, 32_000, 40, 5120),
        ("llama-2-70b", 68_976_648_192, 32_000, 80, 8192),
        ("llama-3-8b", 8_030_261_248, 128_256, 32, 4096),
        ("llama-3-70b", 70_553_706_496, 128_256, 80, 8192),
    ],
)
def test_llama_flops_are_those_of_palm(name, count, vocab, layers, hidden):
    """Chowdhery et al., arXiv:2204.02311, Appendix B: 6 N + 12 L H Q T for each token.

    N counts what is multiplied: all parameters but the look-up's, which these models do not share.
    """
    preset = MODELS[name]
    formula = preset.seq * (6 * (count - vocab * hidden) + 12 * layers * hidden * preset.seq)

    assert training(preset.layers(2)) == pytest.approx(formula, rel=0.0005)


def test_short_sequences_cost_six_flops_a_parameter():
    """Kaplan et al., arXiv:2001.08361, section 2.1: C = 6 N, N without embeddings, for short contexts."""
    shape = by_name(gpt(48, 1600, 25, seq=16, dtype_bytes=2))
    head = shape["lm_head"]
    blocks = sum(layer.parameters for layer in shape.values()) - (50_257 + 1024) * 1600
    total = sum(layer.forward_flops + layer.backward_flops for layer in shape.values())

    assert total - 3 * head.forward_flops == pytest.approx(6 * blocks * 16, rel=0.005)


def test_only_the_scores_grow_with_the_square_of_the_sequence():
    short, long = (by_name(MODELS["llama-3-8b"].layers(2, seq)) for seq in (1024, 2048))

    for name, layer in short.items():
        factor = 4 if layer.kind == "attention" else 2
        assert long[name].forward_flops == factor * layer.forward_flops
        assert long[name].activation_bytes == 2 * layer.activation_bytes
        assert long[name].tensors == layer.tensors


def test_scores_by_hand():
    """2 tokens, 2 heads of 3: 2 x 2 dot products of 3, twice, for each head; a multiply-add is 2."""
    scores = by_name(gpt(1, 6, 2, vocab=10, seq=2, positions=2, dtype_bytes=4))["h.0.attn.scores"]

    assert scores.forward_flops == 2 * (2 * 2 * 3) * 2 * 2
    assert scores.activation_bytes == 4 * 2 * 6


def test_activations_of_a_block_are_near_the_34_s_h_of_the_literature():
    """Korthikanti et al., arXiv:2205.05198, equation (1): 34 s h bytes in 16 bit, besides 5 a s^2 of scores.

    3 s h of them are masks of dropout, left out here; 5 are outputs of sums, which ours keeps.
    """
    layers = gpt(1, 512, 8, vocab=10, seq=64, positions=64, dtype_bytes=2)
    block = sum(layer.activation_bytes for layer in layers if layer.name.startswith("h.0."))

    assert 31 * 64 * 512 <= block <= 36 * 64 * 512


def test_grouped_queries_share_keys_and_values():
    """Llama 2 70B: 8 of 64 heads have keys; each has 128 features."""
    layers = by_name(MODELS["llama-2-70b"].layers(2))
    tensors = {tensor.name: tensor.elements for tensor in layers["layers.0.self_attn"].tensors}

    assert tensors == {
        "layers.0.self_attn.q_proj.weight": 8192 * 8192,
        "layers.0.self_attn.k_proj.weight": 8192 * 8 * 128,
        "layers.0.self_attn.v_proj.weight": 8192 * 8 * 128,
    }
    assert layers["layers.0.self_attn"].activation_bytes == 2 * 4096 * (64 + 2 * 8) * 128


def test_a_tied_head_has_flops_and_no_tensor():
    tied, own = (
        gpt(1, 8, 2, vocab=50, seq=4, positions=4, tied=tied, dtype_bytes=2) for tied in (True, False)
    )

    assert tied[-1].forward_flops == own[-1].forward_flops == 2 * 4 * 8 * 50
    assert tied[-1].tensors == ()
    assert parameters(own) - parameters(tied) == 8 * 50


def test_residual_additions_read_their_shortcut():
    for layers, block, add in (
        (gpt(2, 8, 2, seq=4, dtype_bytes=2), "h.1", "h.1.attn.add"),
        (llama(Shape(2, 8, 2, 10, 16), 4, 2), "layers.1", "layers.1.self_attn.add"),
    ):
        names = [layer.name for layer in layers]
        before = {"h.1": "h.0.mlp.add", "layers.1": "layers.0.mlp.add"}[block]
        after = {"h.1": "h.1.attn.c_proj", "layers.1": "layers.1.self_attn.o_proj"}[block]
        assert {names[i] for i in by_name(layers)[add].inputs} == {before, after}


def test_parallel_residual_reads_the_block_s_input():
    for parallel, source in ((True, "embed_in"), (False, "layers.0.attention.add")):
        layers = gpt_neox(Shape(1, 8, 2, 10, 32), 4, 2, parallel=parallel)
        names = [layer.name for layer in layers]
        [read] = by_name(layers)["layers.0.post_attention_layernorm"].inputs
        assert names[read] == source


def test_experts_read_their_router():
    layers = llama(Shape(1, 8, 2, 10, 16, experts=4, active=2), 4, 2)
    names = [layer.name for layer in layers]
    reads = {names[i] for i in by_name(layers)["layers.0.block_sparse_moe.experts"].inputs}

    assert reads == {"layers.0.post_attention_layernorm", "layers.0.block_sparse_moe.gate"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gpt(1, 10, 3, dtype_bytes=2), "10 features do not divide by 3 heads"),
        (lambda: bert(1, 10, 3, dtype_bytes=2), "10 features do not divide by 3 heads"),
        (lambda: gpt(1, 8, 2, seq=1025, dtype_bytes=2), "1025 tokens is longer than 1024 positions"),
        (lambda: bert(1, 8, 2, seq=513, dtype_bytes=2), "513 tokens is longer than 512 positions"),
        (lambda: Shape(1, 8, 4, 10, 16, 3), "4 heads do not divide by 3 heads of keys"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
