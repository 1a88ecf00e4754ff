"""``model.shape``: what is missing, too much or contradictory is said in one line each."""

import pytest

import simpar
from simpar.errors import InputError

FILE = """\
name: shaped
model: {{batch: 2, {model}}}
cluster: {{workers: 2, device: v100}}
strategies: [single]
"""


@pytest.fixture
def problems(tmp_path):
    def of(model):
        file = tmp_path / "shaped.yaml"
        file.write_text(FILE.format(model=model))
        with pytest.raises(InputError) as caught:
            simpar.compile(simpar.load(file), "single")
        return [(problem.path, problem.message, problem.fix) for problem in caught.value.problems]

    return of


@pytest.mark.parametrize(
    ("model", "path", "message", "fix"),
    [
        (
            "preset: gpt",
            "model.preset",
            "'gpt' is a family of models and needs a shape",
            "add 'shape: {layers",
        ),
        (
            "preset: resnet-50, shape: {layers: 2}",
            "model.shape",
            "has a shape of its own",
            "gpt, bert, llama",
        ),
        (
            "layers: [{name: a, flops: 1 FLOP}], shape: {layers: 2}",
            "model.shape",
            "needs a family",
            "preset:",
        ),
        ("preset: llama, shape: {layers: 2, hidden: 64}", "model.shape", "needs 'heads' and 'ffn'", "shape:"),
        ("preset: mlp, shape: {}", "model.shape", "mlp needs 'sizes'", "[784, 512, 10]"),
        ("preset: mlp, shape: {sizes: [7]}", "model.shape.sizes", "makes no layer", "[784, 512, 10]"),
        ("preset: mlp, shape: {sizes: []}", "model.shape.sizes", "is empty", "[784, 512, 10]"),
        ("preset: cnn, shape: {sizes: [10]}", "model.shape", "needs 'image' and 'channels'", "[3, 32, 32]"),
        (
            "preset: cnn, shape: {image: [8, 8], channels: [4], sizes: [10]}",
            "model.shape.image",
            "2 numbers are not channels, height and width",
            "[3, 32, 32]",
        ),
        (
            "preset: cnn, shape: {image: [1, 8, 9], channels: [4, 4, 4, 4], sizes: [10]}",
            "model.shape.channels",
            "8 x 9 pixels cannot be halved 4 times, by every convolution",
            "write 3 or fewer",
        ),
        (
            "preset: mlp, shape: {image: [1, 8, 8], sizes: [64, 10]}",
            "model.shape.image",
            "mlp takes no 'image'",
            "it takes: sizes",
        ),
        (
            "preset: llama, shape: {layers: 2, hidden: 64, heads: 8, ffn: 96, positions: 9}",
            "model.shape.positions",
            "llama takes no 'positions'",
            "it takes: layers",
        ),
        (
            "preset: gpt, shape: {layers: 2, hidden: 100, heads: 16}",
            "model.shape.hidden",
            "100 features do not divide by 16 heads",
            "write 96 or 112",
        ),
        (
            "preset: gpt, shape: {layers: 2, hidden: 96, heads: 16, kv_heads: 5}",
            "model.shape.kv_heads",
            "16 heads do not divide by 5",
            "write 4",
        ),
        (
            "preset: llama, shape: {layers: 2, hidden: 64, heads: 8, ffn: 96, experts: 8}",
            "model.shape.experts",
            "without 'active'",
            "add 'active: 2'",
        ),
        (
            "preset: llama, shape: {layers: 2, hidden: 64, heads: 8, ffn: 96, experts: 8, active: 9}",
            "model.shape.active",
            "9 active experts of 8",
            "write 8 or less",
        ),
        (
            "preset: gpt, seq: 2048, shape: {layers: 2, hidden: 64, heads: 8}",
            "model.seq",
            "2048 tokens are more than the 1024 positions of gpt",
            "'positions: 2048' in the shape",
        ),
        (
            "preset: gpt, shape: {layer: 2}",
            "model.shape.layer",
            "unknown key 'layer'",
            "did you mean 'layers'?",
        ),
        ("preset: gpt, shape: [2]", "model.shape", "is not a mapping", "{layers: 24"),
    ],
)
def test_each_mistake_has_its_line(problems, model, path, message, fix):
    found = problems(model)
    assert [one for one in found if one[0] == path and message in one[1] and fix in one[2]], found


def test_all_mistakes_of_a_shape_come_out_at_once(problems):
    found = problems("preset: gpt, shape: {layers: 2, hidden: 100, heads: 16, kv_heads: 5, sizes: [1, 2]}")
    assert [path for path, *_ in found] == [f"model.shape.{key}" for key in ("hidden", "kv_heads", "sizes")]


def test_a_shape_that_fits_runs(tmp_path):
    file = tmp_path / "shaped.yaml"
    file.write_text(FILE.format(model="preset: gpt, seq: 16, shape: {layers: 2, hidden: 64, heads: 8}"))
    program = simpar.compile(file, "single")
    assert program.meta["samples"] == 4
