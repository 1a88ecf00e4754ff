"""The shipped models against the papers that define them and torchvision's published counts."""

import json
import time

import pytest
from click.testing import CliRunner

from simpar.cli.presets_ import command
from simpar.scenario.presets import MODEL_PRESETS
from simpar.workload.builder import Builder
from simpar.workload.layers import DTYPE_BYTES
from simpar.workload.presets import MODELS
from simpar.workload.presets_inception import inception_v3
from simpar.workload.presets_vision import mlp, resnet_50, vgg_11, vgg_16


def multiply_adds(layers):
    return sum(layer.forward_flops for layer in layers) / 2


def by_name(layers):
    return {layer.name: layer for layer in layers}


@pytest.mark.parametrize(
    ("name", "parameters", "tensors", "giga_multiply_adds"),
    [
        # torchvision 0.15, pytorch.org/vision/stable/models: num_params and _ops (multiply-adds, in 1e9).
        # Tensors: a convolution has one, and two of its normalisation; a linear layer two. So do VGG's and
        # AlexNet's convolutions.
        ("resnet-18", 11_689_512, 20 * 3 + 2, 1.814),
        ("resnet-34", 21_797_672, 36 * 3 + 2, 3.664),
        ("resnet-50", 25_557_032, 53 * 3 + 2, 4.089),
        ("resnet-101", 44_549_160, 104 * 3 + 2, 7.801),
        ("resnet-152", 60_192_808, 155 * 3 + 2, 11.514),
        ("vgg-11", 132_863_336, 11 * 2, 7.609),
        ("vgg-16", 138_357_544, 16 * 2, 15.47),
        ("vgg-19", 143_667_240, 19 * 2, 19.632),
        ("alexnet", 61_100_840, 8 * 2, 0.714),
    ],
)
def test_counts_are_those_that_torchvision_publishes(name, parameters, tensors, giga_multiply_adds):
    layers = MODELS[name].layers(4)

    assert sum(layer.parameters for layer in layers) == parameters
    assert sum(len(layer.tensors) for layer in layers) == tensors
    # published with three or two decimals
    assert multiply_adds(layers) / 1e9 == pytest.approx(giga_multiply_adds, abs=0.0006)


def test_inception_v3_counts_as_torchvision_and_keras_publish():
    """torchvision's num_params has the auxiliary classifier, its _ops have not: they run the model once.

    Without it, 23.8 million (Szegedy et al. say "less than 25 million"); the list of tensors that
    pengyanghua/optimus has of MXNet's model has 284 tensors and 23,834,568 parameters.
    """
    whole, main = MODELS["inception-v3"].layers(4), inception_v3(4, auxiliary=False)

    assert sum(layer.parameters for layer in whole) == 27_161_264
    assert sum(layer.parameters for layer in main) == 23_834_568
    assert sum(len(layer.tensors) for layer in main) == 284
    assert multiply_adds(main) / 1e9 == pytest.approx(5.713, abs=0.0006)
    assert multiply_adds(whole) / 1e9 == pytest.approx(5.713, rel=0.005)


def test_inception_v3_has_the_shapes_of_its_paper():
    """Szegedy et al., Table 1: 35 x 35, then 17 x 17 x 768, then 8 x 8 x 1280, and 8 x 8 x 2048 at last."""
    layers = by_name(MODELS["inception-v3"].layers(4))

    assert layers["maxpool2"].activation_bytes == 4 * 192 * 35 * 35
    assert layers["Mixed_6a"].activation_bytes == 4 * 768 * 17 * 17
    assert layers["Mixed_7a"].activation_bytes == 4 * 1280 * 8 * 8
    assert layers["Mixed_7c"].activation_bytes == 4 * 2048 * 8 * 8


def test_mlp_by_hand():
    """784-128-64-10: 784 * 128 + 128, 128 * 64 + 64, 64 * 10 + 10."""
    layers = MODELS["mlp"].layers(4)

    assert [layer.parameters for layer in layers] == [100_480, 8_256, 650]
    assert multiply_adds(layers) == 784 * 128 + 128 * 64 + 64 * 10
    assert [layer.activation_bytes for layer in layers] == [4 * 128, 4 * 64, 4 * 10]
    with pytest.raises(ValueError, match="not the sizes"):
        mlp((784,), 4)


def test_basic_blocks_and_bottlenecks_read_their_shortcuts():
    layers = by_name(MODELS["resnet-18"].layers(4))
    names = list(layers)

    assert {names[i] for i in layers["layer2.0.add"].inputs} == {"layer2.0.bn2", "layer2.0.downsample.1"}
    assert {names[i] for i in layers["layer1.0.add"].inputs} == {"layer1.0.bn2", "maxpool"}


def test_resnet_50_as_in_the_paper_takes_3_8_billion_multiply_adds():
    """He et al., arXiv:1512.03385, Table 1: 3.8e9 for 50-layer, the stride being in the first 1x1."""
    paper, usual = resnet_50(4, stride_in_3x3=False), resnet_50(4)

    assert 3.8e9 <= multiply_adds(paper) < 3.9e9
    assert [layer.parameters for layer in paper] == [layer.parameters for layer in usual]


def test_stride_in_the_3x3_costs_what_a_hand_count_says():
    """Per downsampling stage, conv1 runs on 4 times the pixels; three times its smaller count is added.

    Stage 2: 256 -> 128 channels on 28 x 28; stage 3: 512 -> 256 on 14 x 14; stage 4: 1024 -> 512 on 7 x 7.
    """
    more = 3 * (256 * 128 * 28**2 + 512 * 256 * 14**2 + 1024 * 512 * 7**2)

    assert multiply_adds(resnet_50(4)) - multiply_adds(resnet_50(4, stride_in_3x3=False)) == more


def test_vgg_16_has_138_million_parameters():
    """Simonyan and Zisserman, arXiv:1409.1556, Table 2: 138 million for D, 133 million for A."""
    assert round(sum(layer.parameters for layer in vgg_16(4)) / 1e6) == 138
    assert round(sum(layer.parameters for layer in vgg_11(4)) / 1e6) == 133


def test_first_layers_by_hand():
    resnet, vgg = by_name(resnet_50(4)), by_name(vgg_16(4))

    # 7 x 7 x 3 -> 64 channels on 112 x 112
    assert resnet["conv1"].forward_flops == 2 * 7 * 7 * 3 * 64 * 112 * 112
    assert resnet["conv1"].activation_bytes == 4 * 64 * 112 * 112
    assert resnet["maxpool"].activation_bytes == 4 * 64 * 56 * 56
    assert [(t.name, t.elements) for t in resnet["conv1"].tensors] == [("conv1.weight", 9408)]
    assert [(t.name, t.elements) for t in resnet["bn1"].tensors] == [("bn1.weight", 64), ("bn1.bias", 64)]
    # 7 x 7 x 512 pixels to 4096 features
    assert vgg["fc6"].forward_flops == 2 * 25088 * 4096
    assert [(t.name, t.elements) for t in vgg["fc6"].tensors] == [
        ("fc6.weight", 25088 * 4096),
        ("fc6.bias", 4096),
    ]


def test_last_stage_of_resnet_50_is_2048_channels_on_7_x_7():
    layers = by_name(resnet_50(4))

    assert layers["layer4.2.add"].activation_bytes == 4 * 2048 * 7 * 7
    assert layers["avgpool"].activation_bytes == 4 * 2048
    assert layers["fc"].activation_bytes == 4 * 1000


def test_residual_addition_reads_the_block_and_its_shortcut():
    layers = resnet_50(4)

    def read_by(name):
        return {layers[i].name for i in by_name(layers)[name].inputs}

    assert read_by("layer1.0.add") == {"layer1.0.bn3", "layer1.0.downsample.1"}
    assert read_by("layer1.1.add") == {"layer1.1.bn3", "layer1.0.add"}
    assert read_by("layer1.1.conv1") == {"layer1.0.add"}
    assert read_by("layer1.0.downsample.0") == {"maxpool"}
    assert read_by("fc") == {"avgpool"}


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_well_formed(name):
    """One layer is read by none: the last; Inception's auxiliary classifier is a second end."""
    layers = MODELS[name].layers(4)
    tensors = [tensor.name for layer in layers for tensor in layer.tensors]

    assert len({layer.name for layer in layers}) == len(layers)
    assert len(set(tensors)) == len(tensors)
    assert layers[0].inputs == ()
    for i, layer in enumerate(layers):
        assert all(0 <= read < i for read in layer.inputs)
        assert i == 0 or layer.inputs
        assert layer.backward_flops == 2 * layer.forward_flops
        assert (layer.forward_flops > 0) == (layer.kind in {"conv", "linear", "attention"})
        assert layer.activation_bytes > 0
    read_somewhere = {read for layer in layers for read in layer.inputs}
    ends = {layers[i].name for i in range(len(layers) - 1)} - {layers[i].name for i in read_somewhere}
    assert ends == ({"AuxLogits.fc"} if name == "inception-v3" else set())


def test_activations_scale_with_the_element_type_and_nothing_else_does():
    single, half = resnet_50(DTYPE_BYTES["float32"]), resnet_50(DTYPE_BYTES["float16"])

    assert [layer.activation_bytes for layer in single] == [2 * layer.activation_bytes for layer in half]
    assert [layer.forward_flops for layer in single] == [layer.forward_flops for layer in half]


def test_every_name_that_a_scenario_may_give_has_a_model():
    assert tuple(MODELS) == MODEL_PRESETS


def test_display_names_and_units():
    assert {model.unit for model in MODELS.values()} == {"images", "sequences"}
    assert all((model.unit == "sequences") == (model.seq is not None) for model in MODELS.values())
    assert (MODELS["resnet-50"].name, MODELS["llama-2-7b"].name) == ("ResNet-50", "Llama 2 7B")
    assert len({model.name for model in MODELS.values()}) == len(MODELS)
    assert all(model.source for model in MODELS.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_table_of_its_layers(name):
    layers = MODELS[name].layers(4)
    done = CliRunner().invoke(command, ["models", name, "--json"])
    rows = json.loads(done.stdout)["models"]

    assert done.exit_code == 0
    assert [row["layer"] for row in rows] == [layer.name for layer in layers]
    assert sum(row["parameters"] for row in rows) == sum(layer.parameters for layer in layers)


def test_the_summary_of_all_models_is_quick():
    """Under a second of computing, all the layers of all the models included."""
    begun = time.process_time()
    done = CliRunner().invoke(command, ["models"])

    assert time.process_time() - begun < 1
    assert all(name in done.stdout for name in MODELS)
    assert "4096 tokens" in done.stdout


def test_builder_refuses_shapes_that_do_not_fit():
    net = Builder(4)
    image = net.data(3, 4, 4)

    with pytest.raises(ValueError, match="flatten it first"):
        net.linear("fc", image, 10)
    with pytest.raises(ValueError, match="kernel of 7 does not fit"):
        net.conv("conv", image, 8, kernel=7)
    with pytest.raises(ValueError, match="slides over"):
        net.pool("pool", net.flatten(image), kernel=2, stride=2)
    with pytest.raises(ValueError, match="cannot add"):
        net.add("add", image, net.flatten(image))
    with pytest.raises(ValueError, match="cannot join"):
        net.concat("concat", image, net.data(3, 5, 4))


def test_rectangular_kernels_cost_what_their_area_says():
    """1 x 7 over 3 channels into 8, padded so that 4 x 9 pixels stay."""
    net = Builder(4)
    out = net.conv("row", net.data(3, 4, 9), 8, kernel=(1, 7), padding=(0, 3))

    assert out.shape == (8, 4, 9)
    assert net.layers()[0].forward_flops == 2 * 7 * 3 * 8 * 4 * 9


def test_addition_of_an_output_to_itself_reads_one_layer():
    net = Builder(4)
    x = net.norm("bn", net.data(3, 2, 2))
    net.add("twice", x, x)

    assert net.layers()[-1].inputs == (0,)
