"""Models by their shape, against published numbers of parameters."""

import pytest

from simpar.scenario.model import ShapeSpec
from simpar.scenario.presets import MODEL_FAMILIES
from simpar.workload.families import FAMILIES, of_shape
from simpar.workload.presets import MODELS
from simpar.workload.presets_vision import cnn


def parameters(family, **shape):
    return sum(layer.parameters for layer in of_shape(family, shape).layers(2))


def test_gpt_3_has_the_published_175_billion_parameters():
    """Brown et al., arXiv:2005.14165, Table 2.1: 96 layers of 12288, contexts of 2048 tokens; '175.0B'."""
    count = parameters("gpt", layers=96, hidden=12288, heads=96, vocab=50257, positions=2048)
    assert count == pytest.approx(175.0e9, rel=0.005)
    # counted by hand: a block, the norm behind the last, the tables of tokens and positions
    h = 12288
    block = (3 * h * h + 3 * h) + (h * h + h) + (4 * h * h + 4 * h) + (4 * h * h + h) + 2 * 2 * h
    assert count == 96 * block + 2 * h + (50257 + 2048) * h


MEGATRON = [  # Narayanan et al., SC 2021, Table 1: billions of parameters, layers, hidden, heads
    (1.7, 24, 2304, 24),
    (3.6, 30, 3072, 32),
    (7.5, 36, 4096, 32),
    (18.4, 40, 6144, 48),
    (39.1, 48, 8192, 64),
    (76.1, 60, 10240, 80),
    (145.6, 80, 12288, 96),
    (310.1, 96, 16384, 128),
    (529.6, 105, 20480, 128),
    (1008.0, 128, 25600, 160),
]


@pytest.mark.parametrize(("billions", "layers", "hidden", "heads"), MEGATRON)
def test_megatrons_models_have_the_parameters_of_its_formula(billions, layers, hidden, heads):
    """P = 12 l h^2 (1 + 13 / (12 h) + (V + s) / (12 l h)), V = 51200 and s = 2048 (SC 2021, equation 2)."""
    count = parameters("gpt", layers=layers, hidden=hidden, heads=heads, vocab=51_200, positions=2048)
    formula = 12 * layers * hidden**2 * (1 + 13 / (12 * hidden) + (51_200 + 2048) / (12 * layers * hidden))
    assert count == pytest.approx(formula, rel=1e-4)
    # the table rounds to 0.1 billion
    assert count == pytest.approx(billions * 1e9, rel=0.005, abs=0.05e9)


@pytest.mark.parametrize(
    ("billions", "layers", "hidden", "heads"),
    [(22, 48, 6144, 64), (175, 96, 12288, 96), (530, 105, 20480, 128), (1000, 128, 25600, 160)],
)
def test_the_models_of_selective_recomputation_have_their_sizes(billions, layers, hidden, heads):
    """Korthikanti et al., arXiv:2205.05198, Table 3: names by rounded size, V = 51200, s = 2048."""
    count = parameters("gpt", layers=layers, hidden=hidden, heads=heads, vocab=51_200, positions=2048)
    assert count == pytest.approx(billions * 1e9, rel=0.015)


@pytest.mark.parametrize(
    ("family", "preset", "shape"),
    [
        ("gpt", "gpt2", {"layers": 12, "hidden": 768, "heads": 12}),
        ("gpt", "gpt2-xl", {"layers": 48, "hidden": 1600, "heads": 25}),
        ("bert", "bert-large", {"layers": 24, "hidden": 1024, "heads": 16}),
        ("llama", "llama-2-7b", {"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11_008}),
        (
            "llama",
            "llama-2-70b",
            {"layers": 80, "hidden": 8192, "heads": 64, "ffn": 28_672, "kv_heads": 8, "vocab": 32_000},
        ),
        ("mlp", "mlp", {"sizes": [784, 128, 64, 10]}),
    ],
)
def test_a_preset_is_its_family_with_its_numbers(family, preset, shape):
    assert of_shape(family, shape).layers(4) == MODELS[preset].layers(4)
    assert of_shape(family, shape).longest == MODELS[preset].longest


def test_a_small_convolutional_net_by_hand():
    """Of 8 x 8 pixels, halved twice: 16 (9 + 1), 32 (9 x 16 + 1), 32 x 2 x 2 + 1 for each of 10."""
    net = of_shape("cnn", {"image": [1, 8, 8], "channels": [16, 32], "sizes": [10]})
    layers = net.layers(4)
    assert net.name == "CNN (16-32-10)"
    assert [layer.name for layer in layers] == ["conv1", "pool1", "conv2", "pool2", "fc1"]
    assert [layer.parameters for layer in layers] == [160, 0, 4640, 0, 1290]
    macs = [64 * 9 * 16, 0, 16 * 9 * 16 * 32, 0, 128 * 10]
    assert [layer.forward_flops for layer in layers] == [2 * one for one in macs]
    with pytest.raises(ValueError, match="can be halved 4 times"):
        cnn((1, 8, 8), (1, 2, 3, 4), (10,), 4)


def test_mixtral_has_its_published_46_7_billion_parameters_and_12_9_active():
    """Jiang et al., arXiv:2401.04088: '47B parameters', '13B active'; mistral.ai: 46.7B and 12.9B."""
    shape = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "ffn": 14_336}
    layers = of_shape("llama", {**shape, "experts": 8, "active": 2}).layers(2)
    assert sum(layer.parameters for layer in layers) == pytest.approx(46.7e9, rel=0.005)
    # FLOPs of matrix products are twice the weights that a token meets; the table is looked up
    matrices = sum(layer.forward_flops for layer in layers if layer.kind != "attention") / 4096 / 2
    assert matrices + 32_000 * 4096 == pytest.approx(12.9e9, rel=0.005)


def test_grouped_queries_shrink_keys_and_values_of_a_gpt():
    full = parameters("gpt", layers=2, hidden=64, heads=8)
    one = parameters("gpt", layers=2, hidden=64, heads=8, kv_heads=1)
    # of 8 heads of 8 features, 7 are gone from keys and from values: weights of 64 rows and biases
    assert full - one == 2 * 2 * 7 * 8 * (64 + 1)


def test_an_untied_head_has_a_table_of_its_own():
    tied, untied = (parameters("gpt", layers=1, hidden=64, heads=8, tied=tied) for tied in (True, False))
    assert untied - tied == 50257 * 64


def test_every_family_takes_the_keys_that_it_says():
    assert list(FAMILIES) == list(MODEL_FAMILIES)
    example = {"layers": 2, "hidden": 64, "heads": 8, "vocab": 100, "positions": 32, "ffn": 96, "kv_heads": 4}
    example |= {"tied": True, "experts": 4, "active": 2, "sizes": [4, 2], "image": [1, 8, 8], "channels": [4]}
    assert set(example) == set(ShapeSpec.model_fields)
    for name, (needed, optional) in MODEL_FAMILIES.items():
        for keys in (needed, (*needed, *optional)):
            assert of_shape(name, {key: example[key] for key in keys}).layers(4, 16)
