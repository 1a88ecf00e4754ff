"""Models that are built from workloads: their shapes, their ReLUs, their FLOPs, what is refused."""

import math

import numpy as np
import pytest

from simpar.errors import EngineError
from simpar.execute import kernels
from simpar.execute.build import input_features, model_of
from simpar.execute.data_sets import digits
from simpar.execute.model import Linear, Model
from simpar.execute.optimizers import Momentum
from simpar.workload.builder import Builder, Part
from simpar.workload.layers import Layer, Workload
from simpar.workload.presets import MODELS
from simpar.workload.presets_transformer import gpt
from simpar.workload.presets_vision import mlp


def workload(layers, batch=3):
    return Workload("small", "samples", tuple(layers), batch, "float64")


def mixed():
    """Return a net of everything: a block that its input goes around, branches, poolings of both kinds."""
    made = Builder(8)
    x = made.conv("conv1", made.data(1, 8, 8), 3, kernel=3, padding=1, bias=True)
    x = made.pool("pool1", x, kernel=2, stride=2)
    y = made.norm("bn1", made.conv("conv2", x, 3, kernel=3, padding=1))
    y = made.norm("bn2", made.conv("conv3", y, 3, kernel=1))
    x = made.add("add", y, x)
    one = made.conv("conv4", x, 2, kernel=3, stride=2, padding=1)
    x = made.concat("cat", made.pool("pool2", x, kernel=2, stride=2, average=True), one)
    return made, x


def flat():
    made, x = mixed()
    made.linear("fc", made.flatten(x), 10)
    return made.layers()


def averaged():
    made, x = mixed()
    made.linear("fc", made.flatten(made.global_avg_pool("pool3", x)), 10)
    return made.layers()


NETS = {
    "mlp": lambda: mlp((64, 7, 10), 8),
    "gpt": lambda: gpt(2, 12, 4, 10, 7, positions=9, kv_heads=2, tied=False, dtype_bytes=8),
    "flattened": flat,
    "averaged": averaged,
}


def sample(name, samples=3):
    rng = np.random.default_rng(2)
    if name == "gpt":
        return rng.integers(0, 10, (samples, 7)), rng.integers(0, 10, (samples, 7))
    return rng.standard_normal((samples, 64)), rng.integers(0, 10, samples)


def gradients(model, parameters, x, targets):
    y, saved = model.forward(parameters, x)
    value, dy = model.loss(y, targets)
    return float(value), model.backward(parameters, saved, dy)[1]


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_the_loss_in_every_direction(name):
    """With a step of 1e-6 a difference of losses of about 10 is off by 1e-15 / 1e-6 of them: 1e-8."""
    model, rng = model_of(workload(NETS[name]())), np.random.default_rng(4)
    parameters, (x, targets) = model.init(3), sample(name)
    _, found = gradients(model, parameters, x, targets)
    for number, tensor in enumerate(parameters):
        direction = rng.standard_normal(tensor.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [*parameters[:number], tensor + step * direction, *parameters[number + 1 :]]
            ends.append(float(model.loss(model.forward(moved, x)[0], targets)[0]))
        slope = (found[number] * direction).sum()
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", NETS)
def test_cut_anywhere_it_computes_what_it_does_as_a_whole(name):
    model = model_of(workload(NETS[name]()))
    parameters, (x, targets) = model.init(3), sample(name)
    _, wanted = gradients(model, parameters, x, targets)
    for cut in range(1, len(model.layers)):
        between, first = model.forward(parameters, x, 0, cut)
        y, second = model.forward(parameters, between, cut)
        slopes, later = model.backward(parameters, second, model.loss(y, targets)[1])
        earlier = model.backward(parameters, first, slopes)[1]
        assert all(np.array_equal(a, b) for a, b in zip([*earlier, *later], wanted, strict=True))


@pytest.mark.parametrize("name", NETS)
def test_its_matrix_products_have_the_flops_that_the_workload_counts(name):
    """Twice as many on the way back; a table's rows are added up by a product that no cost model counts."""
    counted, flops = workload(NETS[name]()), []

    def gemm(a, b, out=None):
        y = kernels.gemm(a, b, out)
        flops.append(2 * y.size * a.shape[-1])
        return y

    model = Model(model_of(counted).layers, gemm=gemm)
    parameters, (x, targets) = model.init(3), sample(name)
    y, saved = model.forward(parameters, x)
    assert sum(flops) == len(x) * counted.forward_flops
    flops.clear()
    model.backward(parameters, saved, model.loss(y, targets)[1])
    table = 2 * x.size * 10 * 12 if name == "gpt" else 0
    assert sum(flops) == len(x) * counted.backward_flops + table


@pytest.mark.parametrize("preset", ["resnet-18", "resnet-50", "vgg-16", "alexnet", "mlp"])
def test_shapes_have_the_elements_that_the_workload_counts(preset):
    layers = MODELS[preset].layers(4)
    model = model_of(workload(layers))
    for operation, layer in zip(model.layers, layers, strict=True):
        assert [(name, math.prod(shape)) for name, shape in operation.tensors] == [
            (tensor.name, tensor.elements) for tensor in layer.tensors
        ]
    assert input_features(workload(layers)) == (784 if preset == "mlp" else 3 * 224 * 224)


def test_shapes_of_resnet_18_are_those_of_torchvision():
    shapes = {
        name: shape
        for layer in model_of(workload(MODELS["resnet-18"].layers(4))).layers
        for name, shape in layer.tensors
    }
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer2.0.conv1.weight"] == (128, 64, 3, 3)
    assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert shapes["bn1.bias"] == (64,)
    assert shapes["fc.weight"] == (1000, 512)


@pytest.mark.parametrize(
    ("preset", "count"),
    [
        ("resnet-18", 1 + 8 * 2),  # after the first convolution, and two in each of 8 blocks
        ("resnet-50", 1 + 16 * 3),  # three in each of 16
        ("vgg-16", 13 + 2),  # after each convolution and linear layer but the last
        ("alexnet", 5 + 2),
        ("mlp", 2),
    ],
)
def test_there_are_as_many_relus_as_in_the_papers(preset, count):
    model = model_of(workload(MODELS[preset].layers(4)))
    assert sum(getattr(layer, "relu", False) for layer in model.layers) == count


def test_in_a_block_the_norm_before_the_addition_has_no_relu():
    """He et al., arXiv:1512.03385, Figure 2: the second nonlinearity is after the addition."""
    relus = {
        layer.name: getattr(layer, "relu", False)
        for layer in model_of(workload(MODELS["resnet-18"].layers(4))).layers
    }
    block = ("conv1", "bn1", "conv2", "bn2", "downsample.1", "add")
    assert [relus[f"layer2.0.{name}"] for name in block] == [False, True, False, False, False, True]


def refused(name):
    made = Builder(8)
    image, row, tokens = made.data(2, 6, 6), made.data(8), made.data(4, 8)
    match name:
        case "square":
            made.conv("odd", image, 3, kernel=(1, 3))
        case "padded":
            made.pool("odd", image, kernel=3, stride=1, padding=1, average=True)
        case "parts":
            made.linears("odd", row, {"q": Part(4), "k": Part(4)}, 8)
        case "tied":
            made.linear("odd", row, 3, tied=True)
        case "rms":
            made.layer_norm("odd", tokens, bias=False)
        case "gated":
            made.activation("odd", tokens, gated=True)
        case "experts":
            made.experts("odd", tokens, {"w": 64}, 8, experts=2, active=1, chosen=tokens)
        case "end":
            made.linear("odd", row, 3)
            made.linear("fc", row, 3)
        case "part":
            made.linear("odd", made.first_token(made.layer_norm("norm", tokens)), 3)
    return made.layers()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("square", "is a convolution that is not square, which cannot be trained yet"),
        ("padded", "is an average of padded windows, which cannot be trained yet"),
        ("parts", "is 2 linear layers side by side"),
        ("tied", "computes with the weight of another layer"),
        ("rms", "is an RMSNorm, which cannot be trained yet"),
        ("gated", "is a gated activation, which cannot be trained yet"),
        ("experts", "is of the kind 'experts', which cannot be trained yet"),
        ("end", "is an end beside the last layer, and there is one loss"),
        ("part", "reads only a part of norm"),
    ],
)
def test_what_nobody_can_compute_is_refused_by_name(name, why):
    with pytest.raises(EngineError, match=f"^small: odd {why}; what can be trained: "):
        model_of(workload(refused(name)))


def test_a_layer_of_which_only_the_costs_are_known_is_refused():
    layer = Layer("odd", "linear", 1.0, 2.0, (), 8.0, ())
    with pytest.raises(EngineError, match="odd is of the kind 'linear', and nothing says what that computes"):
        model_of(workload([layer]))


def test_what_a_layer_computes_changes_nothing_about_what_it_costs():
    """Layers with and without their form are equal: no digest and no stored run tells them apart."""
    (with_form,) = mlp((4, 3), 8)
    cost = [getattr(with_form, name) for name in Layer.__slots__ if name != "form"]
    assert with_form.form is not None
    assert Layer(*cost) == with_form
    assert repr(Layer(*cost)) == repr(with_form)


def test_a_small_net_of_convolutions_learns_to_read_digits():
    made = Builder(4)
    x = made.norm("bn1", made.conv("conv1", made.data(1, 8, 8), 8, kernel=3, padding=1))
    x = made.pool("pool1", x, kernel=2, stride=2)
    y = made.norm("bn2", made.conv("conv2", x, 8, kernel=3, padding=1))
    x = made.add("add", y, x)
    made.linear("fc", made.flatten(x), 10)
    model, data = model_of(workload(made.layers())), digits()
    assert isinstance(model.layers[-1], Linear)
    parameters, rng = model.init(1, dtype="float32"), np.random.default_rng(1)
    states = [Momentum(0.05) for _ in parameters]
    images = data.inputs.astype(np.float32)
    for _ in range(4):
        order = rng.permutation(len(images))
        for begin in range(0, len(images) - 31, 32):
            rows = order[begin : begin + 32]
            _, found = gradients(model, parameters, images[rows], data.targets[rows])
            for state, tensor, slope in zip(states, parameters, found, strict=True):
                state.step(tensor, slope / 32, out=tensor)
    y = model.forward(parameters, data.test_inputs.astype(np.float32))[0]
    assert (y.argmax(axis=1) == data.test_targets).mean() > 0.95
