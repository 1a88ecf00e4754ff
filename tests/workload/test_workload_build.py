"""From a scenario file to the workload that it describes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from simpar.errors import InputError
from simpar.scenario import load
from simpar.workload import build

PROFILES = Path(__file__).parents[2] / "scenarios" / "profiles"

REST = """
cluster: {workers: 4, device: {flops: 10 TFLOP/s}}
network: {bandwidth: 10 Gbit/s}
strategies: [single]
"""

MEASURED = REST.replace(", device: {flops: 10 TFLOP/s}", "")


def scenario(tmp_path, model, rest=REST):
    path = tmp_path / "scenario.yaml"
    path.write_text(f"model: {model}{rest}")
    return load(path)


def test_preset_takes_its_names_from_the_model(tmp_path):
    workload = build(scenario(tmp_path, "{preset: resnet-50, batch: 32}"))

    assert (workload.name, workload.unit, workload.batch) == ("ResNet-50", "images", 32)
    assert (workload.dtype, workload.measured_batch) == ("float32", None)
    assert workload.parameter_bytes == 4 * 25_557_032


def test_names_that_the_scenario_gives_win(tmp_path):
    workload = build(scenario(tmp_path, "{preset: vgg-16, batch: 1, name: Mine, unit: samples}"))

    assert (workload.name, workload.unit) == ("Mine", "samples")


def test_half_precision_halves_the_bytes(tmp_path):
    single = build(scenario(tmp_path, "{preset: vgg-16, batch: 8}"))
    half = build(scenario(tmp_path, "{preset: vgg-16, batch: 8, dtype: bfloat16}"))

    assert single.parameter_bytes == 2 * half.parameter_bytes == 4 * 138_357_544
    assert single.activation_bytes == 2 * half.activation_bytes


def test_global_batch_is_shared_among_the_workers(tmp_path):
    assert build(scenario(tmp_path, "{preset: vgg-16, global_batch: 128}")).batch == 128 / 4


@pytest.mark.parametrize(("whole", "fix"), [(130, "write 128 or 132"), (3, "write 4")])
def test_global_batch_that_does_not_divide_is_refused(tmp_path, whole, fix):
    """Built in Python: a file with such a batch does not load in the first place."""
    rest = REST.replace("[single]", "[ps-async]")
    good = scenario(tmp_path, "{preset: vgg-16, global_batch: 128}", rest)
    bad = replace(good, model=good.model.model_copy(update={"global_batch": whole}))

    with pytest.raises(InputError) as caught:
        build(bad)
    [problem] = caught.value.problems
    assert (problem.path, problem.fix, problem.line) == ("model.global_batch", fix, 1)


def test_profile_keeps_its_times_and_the_batch_they_belong_to(tmp_path):
    """AlexNet's conv1: 22.316 ms forward, 6.405 ms backward for 256 images of 64 x 55 x 55 float32."""
    workload = build(scenario(tmp_path, f"{{profile: {PROFILES / 'alexnet.yaml'}, batch: 64}}", MEASURED))
    conv1 = workload.layers[0]

    assert (workload.name, workload.unit, workload.dtype) == ("AlexNet", "images", "float32")
    assert (workload.batch, workload.measured_batch) == (64, 256)
    assert (conv1.forward_s, conv1.backward_s) == (0.022316, 0.006405)
    assert conv1.activation_bytes == 4 * 64 * 55 * 55
    assert [tensor.name for tensor in conv1.tensors] == ["node2.weight", "node2.bias"]
    assert conv1.inputs == ()
    assert workload.parameters == 61_100_840


def test_profile_batch_is_the_default(tmp_path):
    assert build(scenario(tmp_path, f"{{profile: {PROFILES / 'vgg16.yaml'}}}", MEASURED)).batch == 128


def test_profile_of_another_element_type_is_refused(tmp_path):
    path = PROFILES / "alexnet.yaml"

    with pytest.raises(InputError, match="measured with float32") as caught:
        build(scenario(tmp_path, f"{{profile: {path}, dtype: float16}}", MEASURED))
    assert caught.value.problems[0].path == "model.dtype"
    assert build(scenario(tmp_path, f"{{profile: {path}, dtype: float32}}", MEASURED)).dtype == "float32"


def test_inline_layers_with_flops(tmp_path):
    model = """
  batch: 4
  layers:
    - {name: stem, flops: 8 MFLOP, parameters: 10, activation: 400 B}
    - {name: left, flops: 1 MFLOP, backward_flops: 5 MFLOP, parameters: {w: 3, b: 2}, activation: 80 B}
    - {name: right, kind: conv, inputs: [stem]}
    - {name: embed, inputs: []}
    - {name: sum, kind: add, inputs: [right, left, embed]}
"""
    workload = build(scenario(tmp_path, model))
    stem, left, right, embed, total = workload.layers

    assert (workload.unit, workload.measured_batch) == ("samples", None)
    assert (stem.forward_flops, stem.backward_flops) == (8e6, 16e6)
    assert (left.forward_flops, left.backward_flops) == (1e6, 5e6)
    assert [layer.activation_bytes for layer in workload.layers] == [100, 20, 0, 0, 0]
    assert [layer.inputs for layer in workload.layers] == [(), (0,), (0,), (), (1, 2, 3)]
    assert [tensor.name for tensor in left.tensors] == ["left.w", "left.b"]
    assert (right.kind, total.kind, embed.parameters, stem.parameters) == ("conv", "add", 0, 10)
    assert stem.forward_s is None


def test_inline_layers_with_times(tmp_path):
    model = """
  batch: 4
  layers:
    - {name: a, forward: 2 ms, backward: 3 ms}
    - {name: view}
"""
    workload = build(scenario(tmp_path, model, MEASURED))

    assert workload.measured_batch == 4
    assert [(layer.forward_s, layer.backward_s) for layer in workload.layers] == [(0.002, 0.003), (0.0, 0.0)]


def test_activations_of_inline_layers_are_those_of_one_worker(tmp_path):
    model = """
  global_batch: 8
  layers:
    - {name: a, flops: 1 MFLOP, activation: 10 B}
"""
    assert build(scenario(tmp_path, model)).layers[0].activation_bytes == 10 / (8 / 4)


def test_tensors_of_equal_names_are_refused(tmp_path):
    model = """
  batch: 1
  layers:
    - {name: a, flops: 1 MFLOP, parameters: {b.c: 1}}
    - {name: a.b, parameters: {c: 1}}
"""
    with pytest.raises(InputError, match=r"2 tensors are called 'a\.b\.c'"):
        build(scenario(tmp_path, model))


def test_workloads_load_without_pydantic():
    """Machines that only execute programs lack it."""
    code = "import simpar.workload, sys; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_sample_of_a_transformer_is_a_sequence_of_seq_tokens(tmp_path):
    """Half as many tokens halve the activations and leave the parameters alone, positions included."""
    whole = build(scenario(tmp_path, "{preset: gpt2, batch: 4}"))
    half = build(scenario(tmp_path, "{preset: gpt2, batch: 4, seq: 512}"))

    assert (whole.name, whole.unit) == ("GPT-2", "sequences")
    assert whole.parameters == half.parameters == 124_439_808
    assert whole.activation_bytes == 2 * half.activation_bytes
    assert 2 < whole.forward_flops / half.forward_flops < 4


def test_sequences_longer_than_the_positions_are_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        build(scenario(tmp_path, "{preset: bert-base, batch: 4, seq: 513}"))
    [problem] = caught.value.problems
    assert str(problem).endswith(
        "scenario.yaml:1:43: model.seq: 513 tokens are more than the 512 positions of bert-base; "
        "write 512 or less"
    )


def test_rotary_positions_have_no_limit(tmp_path):
    workload = build(scenario(tmp_path, "{preset: llama-2-7b, batch: 1, seq: 100000}"))

    assert workload.layers[0].activation_bytes == 4 * 100_000 * 4096


def test_images_have_no_sequence(tmp_path):
    one, other = (
        build(scenario(tmp_path, f"{{preset: vgg-16, batch: 1{more}}}")) for more in ("", ", seq: 9")
    )

    assert one.layers == other.layers
