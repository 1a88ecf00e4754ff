"""Hugging Face configurations: counts as published, and what is said about broken ones."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.errors import InputError
from simpar.scenario import load, load_profile
from simpar.workload import build
from simpar.workload.import_hf import FAMILIES, dump, read
from simpar.workload.presets import MODELS

DATA = Path(__file__).parents[1] / "data" / "hf"
GPT2 = {
    "model_type": "gpt2",
    "n_layer": 12,
    "n_embd": 768,
    "n_head": 12,
    "n_positions": 1024,
    "vocab_size": 50257,
}
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "intermediate_size": 11_008,
    "vocab_size": 32_000,
}
BERT = {
    "model_type": "bert",
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "vocab_size": 30_522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
MIXTRAL = json.loads((DATA / "mixtral.json").read_text())
NEOX = {
    **{key: value for key, value in LLAMA.items() if key != "model_type"},
    "model_type": "gpt_neox",
    "num_hidden_layers": 24,
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "vocab_size": 50_304,
}


def config(tmp_path, value):
    path = tmp_path / "config.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1))
    return path


def problems_of(path, seq=128, batch=1):
    with pytest.raises(InputError) as caught:
        read(path, seq, batch)
    return [str(problem).removeprefix(f"{path}:").removeprefix(" ") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("keys", "preset", "count"),
    [
        (GPT2, "gpt2", 124_439_808),
        (BERT, "bert-base", 109_482_240),
        (LLAMA, "llama-2-7b", 6_738_415_616),
        (
            {**LLAMA, "vocab_size": 128_256, "intermediate_size": 14_336, "num_key_value_heads": 8},
            "llama-3-8b",
            8_030_261_248,
        ),
    ],
)
def test_counts_are_those_of_the_presets(tmp_path, keys, preset, count):
    profile = read(config(tmp_path, keys), 512, 4)

    assert profile.parameters == count
    assert profile.layers == MODELS[preset].layers(4, 512)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        (MIXTRAL, 46_702_792_704),  # the released weights of Mixtral 8x7B
        (NEOX, 405_334_016),  # EleutherAI/pythia-410m
        ({**GPT2, "n_layer": 24, "n_embd": 1024, "n_head": 16, "n_inner": None}, 354_823_168),
        ({**GPT2, "tie_word_embeddings": False}, 124_439_808 + 50_257 * 768),
        ({**LLAMA, "tie_word_embeddings": True}, 6_738_415_616 - 32_000 * 4096),
        # biases of three projections to 4096 and of the one back
        ({**LLAMA, "attention_bias": True}, 6_738_415_616 + 32 * 4 * 4096),
        # heads of 64 instead of 128 halve four matrices of 4096 x 4096 in each block
        ({**LLAMA, "head_dim": 64}, 6_738_415_616 - 32 * 4 * 4096 * 4096 // 2),
    ],
)
def test_counts_are_published_or_follow_from_those(tmp_path, keys, count):
    assert read(config(tmp_path, keys), 512, 1).parameters == count


def test_a_scenario_takes_what_is_written(tmp_path):
    """FLOPs and no times: the device's rate makes the times, so there is no measured batch."""
    profile = read(DATA / "gpt2.json", 1024, 8)
    (tmp_path / "gpt2.yaml").write_text(dump(profile))
    (tmp_path / "s.yaml").write_text(
        "model: {profile: gpt2.yaml, batch: 2}\ncluster: {workers: 1, device: {flops: 100 TFLOP/s}}\n"
        "strategies: [single]\n"
    )
    workload = build(load(tmp_path / "s.yaml"))

    assert load_profile(tmp_path / "gpt2.yaml").batch == 8
    assert (workload.unit, workload.batch, workload.measured_batch) == ("sequences", 2, None)
    assert workload.layers == profile.layers == MODELS["gpt2"].layers(4)
    assert workload.parameters == 124_439_808


def test_experts_survive_the_file(tmp_path):
    profile = read(DATA / "mixtral.json", 64, 2)
    (tmp_path / "m.yaml").write_text(dump(profile))
    (tmp_path / "s.yaml").write_text(
        "model: {profile: m.yaml}\ncluster: {workers: 1, device: {flops: 100 TFLOP/s}}\n"
        "strategies: [single]\n"
    )
    assert build(load(tmp_path / "s.yaml")).layers == profile.layers


def test_names_and_element_types(tmp_path):
    given = read(config(tmp_path, {**GPT2, "_name_or_path": "openai/gpt2", "torch_dtype": "float16"}), 8, 1)
    asked = read(config(tmp_path, {**GPT2, "dtype": "float16"}), 8, 1, dtype="bfloat16", name="Mine")

    assert (given.name, given.dtype) == ("gpt2", "float16")
    assert (asked.name, asked.dtype) == ("Mine", "bfloat16")
    assert read(DATA / "mixtral.json", 8, 1).dtype == "bfloat16"


def test_every_problem_is_said_at_once(tmp_path):
    path = config(
        tmp_path,
        '{"model_type": "mixtral",\n "hidden_size": 100, "num_attention_heads": 7,\n'
        ' "intermediate_size": -5, "vocab_size": "many",\n "num_key_value_heads": 2, "mlp_bias": true,\n'
        ' "num_local_experts": 4, "num_experts_per_tok": 5, "attention_bias": 1,\n "torch_dtype": "int8"}',
    )
    assert problems_of(path, seq=0) == [
        "--seq: 0 is not possible; give 1 to 10000000",
        "1:1: num_hidden_layers: is missing; add it: '\"num_hidden_layers\": NUMBER'",
        "2:17: hidden_size: 100 does not divide by num_attention_heads, 7; change one of them",
        "2:45: num_attention_heads: 7 does not divide by num_key_value_heads, 2; change one of them",
        "3:23: intermediate_size: -5 is not possible; write 1 to 100000000",
        "3:41: vocab_size: 'many' is no whole number; write 1 to 100000000",
        "4:40: mlp_bias: biases of the feed-forward part are not modelled; remove it",
        "5:49: num_experts_per_tok: 5 is more than num_local_experts, 4; change one of them",
        "5:70: attention_bias: 1 is neither true nor false; write true or false",
        "6:17: torch_dtype: 'int8' is not known; add --dtype, one of: float64, float32, float16, bfloat16",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "1:1: model_type: is missing; add one of: gpt2, gpt_neox, bert, llama, mixtral"),
        (
            {"model_type": "t5"},
            "2:16: model_type: 't5' is not known; known are: gpt2, gpt_neox, bert, llama, mixtral",
        ),
        (
            {"model_type": "gpt-neox"},
            "2:16: model_type: 'gpt-neox' is not known; "
            "did you mean 'gpt_neox'? known are: gpt2, gpt_neox, bert, llama, mixtral",
        ),
        ({"model_type": ["gpt2"]}, "2:16: model_type: a list is not known; known are: "),
        ('{"a": 1,\n "b" 2}', "2:6: not JSON: Expecting ':' delimiter; mend it there"),
        ('{"a": 1,\n "b": }', "2:7: not JSON: Expecting value; mend it there"),
        ('{"a": 1,\n "b": [1 2]}', "2:10: not JSON: Expecting ',' delimiter; mend it there"),
        ('{"a": 1,}', "1:9: not JSON: Illegal trailing comma before end of object; mend it there"),
        ('{"a": 1', "1:8: not JSON: Expecting ',' delimiter; mend it there"),
        ('{"a": 1} x', "1:10: not JSON: Extra data; mend it there"),
        ('{"a": NaN}', "1:7: not JSON: NaN is no JSON number; mend it there"),
        ('{"a": ' + "9" * 5000 + "}", "1:7: not JSON: a number has too many digits; mend it there"),
        ('{"a": 1, "a": 2}', "1:10: 'a' is given on line 1, too; keep one of them"),
        ("[1]", "1:1: is no JSON object; write '{' and keys in quotes"),
        ("name: gpt2", "1:1: not JSON: Expecting value; mend it there"),
        ('{"a": ' + "[" * 100_000, "is nested too deeply; name a configuration, config.json"),
        ("", "is empty; name a config.json"),
    ],
)
def test_what_cannot_be_understood_is_one_line(tmp_path, value, said):
    [problem] = problems_of(config(tmp_path, value))
    assert problem.startswith(said)


def test_a_huge_file_is_refused_by_its_size(tmp_path):
    path = tmp_path / "config.json"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)

    assert problems_of(path) == ["is larger than 10 MB; name a config.json"]


@pytest.mark.parametrize(
    ("keys", "key", "most"), [(GPT2, "n_positions", 1024), (BERT, "max_position_embeddings", 512)]
)
def test_a_sequence_longer_than_the_positions_is_refused(tmp_path, keys, key, most):
    assert problems_of(config(tmp_path, keys), seq=most + 1) == [
        f"--seq: {most + 1} is more than {key}, {most}; give shorter sequences"
    ]


def test_more_than_a_profile_holds_is_refused(tmp_path):
    many = {**MIXTRAL, "num_hidden_layers": 1000, "num_local_experts": 21}

    assert problems_of(config(tmp_path, many)) == [
        "8:23: num_local_experts: 21000 is more than what a profile may hold, 20000; change one of them"
    ]
    big = {**LLAMA, "vocab_size": 10**8, "intermediate_size": 10**8}
    assert problems_of(config(tmp_path, big), seq=10**7, batch=10**9) == [
        "--batch: a layer's output has more than 1e21 bytes; give a smaller batch"
    ]


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.dictionaries(
        st.sampled_from(sorted({*GPT2, *LLAMA, *BERT, *MIXTRAL, "n_inner", "head_dim"} - {"model_type"})),
        st.integers(-1, 12) | st.none() | st.booleans() | st.text(max_size=3) | st.floats(),
    ),
)
def test_any_keys_are_read_or_refused_without_a_traceback(tmp_path_factory, family, keys):
    path = tmp_path_factory.mktemp("hf") / "config.json"
    path.write_text(json.dumps({"model_type": family, **keys}))
    try:
        profile = read(path, 4, 2)
    except InputError:
        return
    assert profile.layers
    assert "layers:" in dump(profile)
