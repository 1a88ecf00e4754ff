"""How unevenly servers are loaded, by model and placement, against figures computed by others.

The figures are largest load over mean load, to four decimals: whole tensors in turn, whole tensors with the
largest first, and pieces of at most 50,000 and 1,024,000 elements in turn. They were computed independently
of this code from the tensor lists in pengyanghua/optimus, mxnet/PAA/model_shapes.txt.

Four of those lists follow from shapes and agree in all figures: LeNet, MXNet's perceptron, AlexNet (that of
the 2012 paper without its two columns, not the one in the presets) and VGG (which is VGG-11). Others agree
where the order of the tensors does not matter, that is with the largest first: Inception v3 without its
auxiliary classifier, whose tensors are the same, and the ResNets, to a thousandth. MXNet's ResNets
normalise before they convolve: 4 tensors and 7,546 parameters fewer than torchvision's, none of them large.
Inception-BN, GoogLeNet and the ResNeXts are no presets.
"""

import pytest

from simpar.workload.builder import Builder
from simpar.workload.placement import loads, place
from simpar.workload.presets_inception import inception_v3
from simpar.workload.presets_vision import mlp, resnet, vgg

SERVERS = (2, 4, 8, 16)


def lenet():
    """MXNet's, for images of 54 x 54: two convolutions of 5 x 5, each pooled, and two linear layers."""
    net = Builder(4)
    x = net.conv("conv1", net.data(3, 54, 54), 20, kernel=5, bias=True)
    x = net.pool("pool1", x, kernel=2, stride=2)
    x = net.pool("pool2", net.conv("conv2", x, 50, kernel=5, bias=True), kernel=2, stride=2)
    net.linear("fc2", net.linear("fc1", net.flatten(x), 500), 1000)
    return net.layers()


_ALEXNET_2012 = (
    # channels, kernel, stride, padding, pooled
    (96, 11, 4, 0, True),
    (256, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def alexnet_2012():
    """Krizhevsky et al., NIPS 2012, in one column, nothing padded in the first convolution."""
    net = Builder(4)
    x = net.data(3, 224, 224)
    for i, (channels, kernel, stride, padding, pooled) in enumerate(_ALEXNET_2012):
        x = net.conv(f"conv{i}", x, channels, kernel=kernel, stride=stride, padding=padding, bias=True)
        x = net.pool(f"pool{i}", x, kernel=3, stride=2) if pooled else x
    x = net.linear("fc7", net.linear("fc6", net.flatten(x), 4096), 4096)
    net.linear("fc8", x, 1000)
    return net.layers()


TENSORS = {
    name: [(i, tensor.elements) for i, layer in enumerate(layers) for tensor in layer.tensors]
    for name, layers in {
        "lenet": lenet(),
        "mlp": mlp((3 * 54 * 54, 128, 64, 1000), 4),
        "alexnet": alexnet_2012(),
        "vgg": vgg(11, 4),
        "inception-v3": inception_v3(4, auxiliary=False),
        "resnet50": resnet(50, 4),
        "resnet101": resnet(101, 4),
        "resnet152": resnet(152, 4),
    }.items()
}

ROUND_ROBIN = {
    "lenet": (1.999, 3.3044, 6.6049, 13.2097),
    "mlp": (1.998, 3.9685, 7.508, 15.0159),
    "alexnet": (1.9996, 2.5373, 4.2214, 8.2494),
    "vgg": (1.9998, 3.3325, 6.2586, 12.3751),
}
LARGEST_FIRST = {
    "lenet": (1.6512, 3.3024, 6.6049, 13.2097),
    "mlp": (1.877, 3.754, 7.508, 15.0159),
    "alexnet": (1.0312, 2.0623, 4.1247, 8.2494),
    "vgg": (1.5469, 3.0937, 6.1874, 12.3749),
    "inception-v3": (1.0, 1.0, 1.0, 1.3748),
}
PIECES_IN_TURN = {
    50_000: {
        "lenet": (1.0086, 1.0588, 1.0607, 1.0647),
        "mlp": (1.0543, 1.072, 1.341, 1.341),
        "alexnet": (1.0011, 1.0049, 1.0072, 1.0073),
        "vgg": (1.0002, 1.0013, 1.0049, 1.0055),
    },
    1_024_000: {
        "lenet": (1.3226, 2.0151, 2.7054, 5.4107),
        "mlp": (1.7185, 3.4332, 6.866, 13.732),
        "alexnet": (1.0265, 1.046, 1.1279, 1.289),
        "vgg": (1.0011, 1.0572, 1.1099, 1.11),
    },
}


def imbalance(tensors, servers, policy, limit=None):
    """Largest load over mean load."""
    held = loads(place(tensors, servers, policy, limit), servers)
    return max(held) * servers / sum(held)


def cut_at(tensors, limit):
    """Cut *tensors* into pieces of *limit* elements and one of the rest, as the figures' authors did."""
    return [
        (layer, min(limit, elements - start))
        for layer, elements in tensors
        for start in range(0, elements, limit)
    ]


@pytest.mark.parametrize(
    ("name", "count", "parameters"),
    [
        ("lenet", 8, 3_028_070),
        ("mlp", 6, 1_193_128),
        ("alexnet", 16, 50_844_008),
        ("vgg", 22, 132_863_336),
        ("inception-v3", 284, 23_834_568),
    ],
)
def test_the_lists_of_tensors_are_the_published_ones(name, count, parameters):
    assert len(TENSORS[name]) == count
    assert sum(elements for _, elements in TENSORS[name]) == parameters


@pytest.mark.parametrize(
    ("policy", "name", "figures"),
    [("round_robin", name, figures) for name, figures in ROUND_ROBIN.items()]
    + [("balanced", name, figures) for name, figures in LARGEST_FIRST.items()],
)
def test_imbalance_of_whole_tensors_is_the_published_one(policy, name, figures):
    found = [imbalance(TENSORS[name], servers, policy) for servers in SERVERS]

    assert found == pytest.approx(figures, abs=6e-5)


@pytest.mark.parametrize(
    ("limit", "name", "figures"),
    [(limit, name, figures) for limit, table in PIECES_IN_TURN.items() for name, figures in table.items()],
)
def test_imbalance_of_pieces_in_turn_is_the_published_one(limit, name, figures):
    pieces = cut_at(TENSORS[name], limit)
    found = [imbalance(pieces, servers, "round_robin") for servers in SERVERS]

    assert found == pytest.approx(figures, abs=6e-5)


def test_equal_pieces_are_no_larger_than_those_with_a_rest():
    """simpar cuts a tensor into as few pieces, but of equal size: 2.5 million into 3, not 2 and a rest."""
    assert imbalance(TENSORS["lenet"], 8, "round_robin", 1_024_000) < PIECES_IN_TURN[1_024_000]["lenet"][2]
    pieces = place([(0, 2_500_000)], 1, "round_robin", 1_024_000)
    assert len(pieces) == len(cut_at([(0, 2_500_000)], 1_024_000)) == 3
    assert max(piece.elements for piece in pieces) == 833_334


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("resnet50", (1.0, 1.0, 1.0004, 1.4775)),
        ("resnet101", (1.0, 1.0, 1.0005, 1.0123)),
        ("resnet152", (1.0, 1.0, 1.0, 1.0018)),
    ],
)
def test_resnets_placed_by_size_are_near_the_published_figures(name, figures):
    """Torchvision's and MXNet's differ in small tensors only."""
    found = [imbalance(TENSORS[name], servers, "balanced") for servers in SERVERS]

    assert found == pytest.approx(figures, abs=0.001)
