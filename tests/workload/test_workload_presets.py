"""The shipped models against the papers that define them and torchvision's published counts."""

import pytest

from simpar.scenario.presets import MODEL_PRESETS
from simpar.workload.builder import Builder
from simpar.workload.layers import DTYPE_BYTES
from simpar.workload.presets import MODELS
from simpar.workload.presets_vision import resnet_50, vgg_11, vgg_16


def multiply_adds(layers):
    return sum(layer.forward_flops for layer in layers) / 2


def by_name(layers):
    return {layer.name: layer for layer in layers}


@pytest.mark.parametrize(
    ("layers", "parameters", "tensors", "giga_multiply_adds"),
    [
        # torchvision 0.15, ResNet50_Weights: num_params and _ops (multiply-adds, in 1e9);
        # 53 convolutions, 53 batch normalisations with 2 tensors each, fc with 2
        (resnet_50(4), 25_557_032, 53 + 2 * 53 + 2, 4.089),
        # torchvision 0.15, VGG16_Weights; 13 convolutions and 3 linear layers with 2 tensors each
        (vgg_16(4), 138_357_544, 2 * 16, 15.47),
        # torchvision 0.15, VGG11_Weights; 8 convolutions and 3 linear layers
        (vgg_11(4), 132_863_336, 2 * 11, 7.609),
    ],
    ids=["resnet-50", "vgg-16", "vgg-11"],
)
def test_counts_are_those_that_torchvision_publishes(layers, parameters, tensors, giga_multiply_adds):
    assert sum(layer.parameters for layer in layers) == parameters
    assert sum(len(layer.tensors) for layer in layers) == tensors
    # published with three or two decimals
    assert multiply_adds(layers) / 1e9 == pytest.approx(giga_multiply_adds, abs=0.0006)


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
    layers = MODELS[name].layers(4)
    tensors = [tensor.name for layer in layers for tensor in layer.tensors]

    assert len({layer.name for layer in layers}) == len(layers)
    assert len(set(tensors)) == len(tensors)
    assert layers[0].inputs == ()
    for i, layer in enumerate(layers):
        assert all(0 <= read < i for read in layer.inputs)
        assert i == 0 or layer.inputs
        assert layer.backward_flops == 2 * layer.forward_flops
        assert (layer.forward_flops > 0) == (layer.kind in {"conv", "linear"})
    read_somewhere = {read for layer in layers for read in layer.inputs}
    assert read_somewhere == set(range(len(layers) - 1))


def test_activations_scale_with_the_element_type_and_nothing_else_does():
    single, half = resnet_50(DTYPE_BYTES["float32"]), resnet_50(DTYPE_BYTES["float16"])

    assert [layer.activation_bytes for layer in single] == [2 * layer.activation_bytes for layer in half]
    assert [layer.forward_flops for layer in single] == [layer.forward_flops for layer in half]


def test_every_name_that_a_scenario_may_give_has_a_model():
    assert tuple(MODELS) == MODEL_PRESETS


def test_display_names_and_units():
    assert {key: (model.name, model.unit) for key, model in MODELS.items()} == {
        "resnet-50": ("ResNet-50", "images"),
        "vgg-16": ("VGG-16", "images"),
    }


def test_builder_refuses_shapes_that_do_not_fit():
    net = Builder(4)
    image = net.data(3, 4, 4)

    with pytest.raises(ValueError, match="flatten it first"):
        net.linear("fc", image, 10)
    with pytest.raises(ValueError, match="kernel of 7 does not fit"):
        net.conv("conv", image, 8, kernel=7)
    with pytest.raises(ValueError, match="slides over"):
        net.max_pool("pool", net.flatten(image), kernel=2, stride=2)
    with pytest.raises(ValueError, match="cannot add"):
        net.add("add", image, net.flatten(image))


def test_addition_of_an_output_to_itself_reads_one_layer():
    net = Builder(4)
    x = net.norm("bn", net.data(3, 2, 2))
    net.add("twice", x, x)

    assert net.layers()[-1].inputs == (0,)
