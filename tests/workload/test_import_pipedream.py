"""PipeDream's graph files: what is read, what is written, and what is said about broken ones."""

from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simpar.errors import InputError
from simpar.scenario import load_profile
from simpar.workload.import_pipedream import dump, read
from simpar.workload.presets_vision import resnet_50, vgg_16

ROOT = Path(__file__).parents[2]
GRAPHS = ROOT / "tests" / "data" / "pipedream"
NAMES = {"alexnet": "AlexNet", "vgg16": "VGG-16", "resnet50": "ResNet-50"}
FIGURES = (
    "forward_compute_time=1.500, backward_compute_time=3.000, activation_size=64.000, parameter_size=0.000"
)


def graph(tmp_path, *lines):
    path = tmp_path / "tiny.graph.txt"
    path.write_text("\n".join(lines))
    return path


def node(number, description="ReLU(inplace)", *, forward="1.500", activation="64.000", parameters="0.000"):
    return (
        f"node{number} -- {description} -- forward_compute_time={forward}, backward_compute_time=3.000, "
        f"activation_size={activation}, parameter_size={parameters}"
    )


def problems_of(path, batch=4):
    with pytest.raises(InputError) as caught:
        read(path, batch)
    return [(p.line, p.col, p.message) for p in caught.value.problems]


@pytest.mark.parametrize(
    ("stem", "layers", "batch", "conv1_bytes_per_image", "parameters"),
    [
        # Krizhevsky's "one weird trick" variant as in torchvision: 64 channels of 55 x 55;
        # 61,100,840 parameters (torchvision 0.15, AlexNet_Weights)
        ("alexnet", 22, 256, 4 * 64 * 55 * 55, 61_100_840),
        ("vgg16", 40, 128, 4 * 64 * 224 * 224, 138_357_544),
        ("resnet50", 176, 128, 4 * 64 * 112 * 112, 25_557_032),
    ],
)
def test_real_profiles_are_read_whole(stem, layers, batch, conv1_bytes_per_image, parameters):
    """Node lines less the one input; the batch that the last layer implies is that of the first one."""
    path = GRAPHS / f"{stem}.graph.txt"
    lines = path.read_text().splitlines()
    profile = read(path)

    assert len(profile.layers) == layers == sum(line.startswith("node") for line in lines) - 1
    assert profile.batch == batch
    assert profile.layers[0].activation == batch * conv1_bytes_per_image
    assert sum(size for layer in profile.layers for _, size in layer.tensors) == parameters
    assert profile.unit == "images"


@pytest.mark.parametrize("stem", NAMES)
def test_no_millisecond_is_lost(stem):
    """The sums over the text's node lines, other than the input's, are those of the layers."""
    path = GRAPHS / f"{stem}.graph.txt"
    rows = [line for line in path.read_text().splitlines() if line.startswith("node") and "Input" not in line]

    def total(key):
        return sum(Decimal(row.partition(f"{key}=")[2].partition(",")[0]) for row in rows)

    layers = read(path).layers
    assert sum(layer.forward_ms for layer in layers) == total("forward_compute_time")
    assert sum(layer.backward_ms for layer in layers) == total("backward_compute_time")
    assert sum(layer.activation for layer in layers) == total("activation_size")


@pytest.mark.parametrize(("stem", "preset"), [("vgg16", vgg_16), ("resnet50", resnet_50)])
def test_tensors_are_those_of_the_preset(stem, preset):
    """Two descriptions of one model that nobody derived from each other."""
    measured = [size for layer in read(GRAPHS / f"{stem}.graph.txt").layers for _, size in layer.tensors]
    counted = [tensor.elements for layer in preset(4) for tensor in layer.tensors]

    assert sorted(measured) == sorted(counted)


def test_vgg_activations_are_those_of_the_preset():
    def sizes(pairs):
        return [size for kind, size in pairs if kind in {"conv", "pool", "linear"}]

    profile = read(GRAPHS / "vgg16.graph.txt")
    measured = sizes((layer.kind, layer.activation / profile.batch) for layer in profile.layers)

    assert measured == sizes((layer.kind, layer.activation_bytes) for layer in vgg_16(4))


def test_layers_stand_after_what_they_read():
    layers = read(GRAPHS / "resnet50.graph.txt").layers
    position = {layer.name: i for i, layer in enumerate(layers)}

    assert layers[0].inputs == ()
    assert all(position[name] < i for i, layer in enumerate(layers) for name in layer.inputs)
    additions = [layer for layer in layers if layer.kind == "add"]
    assert len(additions) == 16
    assert all(len(layer.inputs) == 2 for layer in additions)


@pytest.mark.parametrize("stem", NAMES)
def test_shipped_profile_is_what_the_importer_makes(stem):
    shipped = (ROOT / "scenarios" / "profiles" / f"{stem}.yaml").read_text()
    source = (
        "PipeDream (Narayanan et al., SOSP 2019), github.com/msr-fiddle/pipedream, "
        f"profiler/image_classification/profiles/{stem}/graph.txt, MIT licence"
    )

    assert shipped == dump(read(GRAPHS / f"{stem}.graph.txt", name=NAMES[stem], source=source))


@pytest.mark.parametrize("stem", NAMES)
def test_scenarios_read_back_what_was_imported(tmp_path, stem):
    profile = read(GRAPHS / f"{stem}.graph.txt", name=NAMES[stem])
    path = tmp_path / "profile.yaml"
    path.write_text(dump(profile))
    loaded = load_profile(path)

    assert (loaded.name, loaded.unit, loaded.batch, loaded.dtype, loaded.source) == (
        profile.name,
        profile.unit,
        profile.batch,
        profile.dtype,
        profile.source,
    )
    before = ()
    for ours, theirs in zip(profile.layers, loaded.layers, strict=True):
        assert (theirs.name, theirs.kind) == (ours.name, ours.kind)
        assert (theirs.forward, theirs.backward) == (ours.forward, ours.backward)
        assert theirs.activation == ours.activation
        assert theirs.tensors == tuple((f"{ours.name}.{name}", size) for name, size in ours.tensors)
        assert (before if theirs.inputs is None else theirs.inputs) == ours.inputs
        before = (ours.name,)


def test_figures_are_written_to_the_digit():
    text = (ROOT / "scenarios" / "profiles" / "alexnet.yaml").read_text()

    assert (
        "  - {name: node10, kind: conv, forward: 4.423 ms, backward: 7.197 ms, activation: 44302336 B, "
        "parameters: {weight: 884736, bias: 256}}  # Conv2d(384, 256,"
    ) in text
    assert "name: node16, kind: view" in text
    assert "inputs: [node14, node15]}" in text


def test_yaml_says_what_was_read(tmp_path):
    path = graph(
        tmp_path,
        node(10, "Conv2d(3, 2, kernel_size=(3, 3), stride=(1, 1))", activation="288", parameters="224"),
        node(2, "Linear(in_features=18, out_features=4, bias=True)", parameters="304"),
        "\tnode10 -- node2",
    )

    assert yaml.safe_load(dump(read(path, name="yes: 'no' # \"odd\""))) == {
        "name": "yes: 'no' # \"odd\"",
        "unit": "images",
        "batch": 4,  # 64 bytes of rows of 4 float32; 288 bytes are 4 images of 2 channels of 3 x 3
        "dtype": "float32",
        "source": "imported from tiny.graph.txt",
        "layers": [
            {
                "name": "node10",
                "kind": "conv",
                "forward": "1.500 ms",
                "backward": "3.000 ms",
                "activation": "288 B",
                "parameters": {"weight": 3 * 2 * 3 * 3, "bias": 2},
            },
            {
                "name": "node2",
                "kind": "linear",
                "forward": "1.500 ms",
                "backward": "3.000 ms",
                "activation": "64 B",
                "parameters": {"weight": 18 * 4, "bias": 4},
            },
        ],
    }


@pytest.mark.parametrize("name", ["null", "1e5", "a: b", "# c", "Netz \U0001f600", "\\ \" '"])
def test_any_name_is_read_back(tmp_path, name):
    written = dump(read(graph(tmp_path, node(1)), batch=1, name=name))

    assert yaml.safe_load(written)["name"] == name


@pytest.mark.parametrize("name", ["", "tab\t", "x" * 201])
def test_names_that_no_profile_may_have_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be a name"):
        read(graph(tmp_path, node(1)), batch=1, name=name)


def test_times_are_seconds_in_python(tmp_path):
    [layer] = read(graph(tmp_path, node(1, forward="4.423")), batch=4).layers

    assert (layer.forward, layer.backward) == (4.423e-3, 3e-3)


def test_ties_go_to_the_lowest_number_not_the_first_spelling(tmp_path):
    profile = read(graph(tmp_path, node(10), node(9), node(2), "\tnode10 -- node2"), batch=1)

    assert [layer.name for layer in profile.layers] == ["node9", "node10", "node2"]
    assert [layer.inputs for layer in profile.layers] == [(), (), ("node10",)]
    assert dump(profile).count("inputs: []") == 1, "node10 must not be taken to read node9"


def test_inputs_are_data_loading(tmp_path):
    profile = read(
        graph(
            tmp_path,
            node(1, "Input0", forward="900"),
            node(2, "Input1"),
            node(3),
            node(4),
            "\tnode1 -- node3",
            "\tnode3 -- node4",
            "\tnode2 -- node4",
        ),
        batch=1,
    )

    assert [(layer.name, layer.inputs) for layer in profile.layers] == [("node3", ()), ("node4", ("node3",))]


def test_lists_of_activations_are_summed(tmp_path):
    profile = read(graph(tmp_path, node(1, "LSTM(8, 8)", activation="[64.0; 8.0; 8.0]")), batch=2)

    assert profile.layers[0].activation == 80
    assert profile.layers[0].kind == "lstm"
    assert profile.unit == "samples"


@pytest.mark.parametrize(
    ("description", "elements", "tensors"),
    [
        ("Conv2d(8, 4, kernel_size=(1, 3), bias=False)", 96, (("weight", 96),)),
        ("Conv2d(8, 4, kernel_size=(1, 1), groups=4)", 8 + 4, (("weight", 8), ("bias", 4))),
        ("Linear(in_features=3, out_features=5, bias=False)", 15, (("weight", 15),)),
        ("BatchNorm2d(6, eps=1e-05, affine=True)", 12, (("weight", 6), ("bias", 6))),
        ("LSTM(8, 8)", 576, (("weight", 576),)),
        # a description that does not explain the size
        ("Linear(in_features=3, out_features=5, bias=True)", 21, (("weight", 21),)),
        (
            "Classifier(  (classifier): Linear(in_features=3, out_features=5, bias=True))",
            20,
            (("weight", 20),),
        ),
    ],
)
def test_weight_and_bias_are_told_apart_where_the_description_explains_them(
    tmp_path, description, elements, tensors
):
    profile = read(graph(tmp_path, node(1, description, parameters=str(4 * elements))), batch=1)

    assert profile.layers[0].tensors == tensors


def test_stages_of_partitioned_graphs_are_ignored(tmp_path):
    profile = read(graph(tmp_path, node(1) + " -- stage_id=3"), batch=1)

    assert profile.layers[0].activation == 64


def test_unknown_batch_is_asked_for(tmp_path):
    [(line, col, message)] = problems_of(graph(tmp_path, node(1, "LSTM(8, 8)")), batch=None)

    assert (line, col) == (0, 0)
    assert "batch cannot be inferred" in message


def test_batch_that_a_convolution_contradicts_is_asked_for(tmp_path):
    """16 floats are 4 rows of 4, but 20 bytes are no 4 samples of 2 channels."""
    path = graph(
        tmp_path,
        node(1, "Conv2d(3, 2, kernel_size=(3, 3))", activation="20"),
        node(2, "Linear(in_features=18, out_features=4, bias=True)"),
    )

    assert "batch cannot be inferred" in problems_of(path, batch=None)[0][2]
    assert read(path, batch=5).batch == 5


def test_all_problems_are_told_with_their_place(tmp_path):
    path = graph(
        tmp_path,
        node(1),
        "what is this",
        node(2, forward="-1"),
        node(3, forward="nan"),
        node(4, activation="12x"),
        node(5, parameters="7"),
        node(1),
        "node6 -- ReLU(inplace)",
        "node7 -- ReLU(inplace) -- forward_compute_time=1",
        "node8 -- ReLU(inplace) -- " + FIGURES + ", colour=1",
        "\tnode1 -- node99",
        "\tnode1 - node2",
        node(9, activation="1.5"),
    )

    assert problems_of(path) == [
        (2, 1, "this line is neither a node nor an edge"),
        (3, 48, "node2: forward_compute_time=-1 is not possible"),
        (4, 48, "node3: forward_compute_time=nan is not possible"),
        (5, 100, "node4: activation_size='12x' is not a number"),
        (6, 1, "node5: parameter_size=7 is no whole number of float32 elements"),
        (7, 1, "node1 is already on line 1"),
        (8, 6, "node6 lacks its description or its figures"),
        (9, 49, "node7 lacks backward_compute_time, activation_size, parameter_size"),
        (10, 27 + len(FIGURES) + 2, "node8: 'colour' is no figure of a node"),
        (11, 11, "edge to node99, which no line describes"),
        (12, 2, "'node1 - node2' is no node"),
        (13, 100, "node9: activation_size=1.5 is no whole number of bytes"),
    ]


def test_circle_is_named(tmp_path):
    path = graph(
        tmp_path,
        *map(node, (1, 2, 3, 4)),
        *("\tnode1 -- node3", "\tnode3 -- node4", "\tnode4 -- node2", "\tnode2 -- node3"),
    )

    assert problems_of(path) == [(2, 1, "the graph has a circle: node2 -> node3 -> node4 -> node2")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no nodes"),
        (b"\n\n", "no nodes"),
        (b"\x00\x01\x02", "not a text file"),
        (b"node1 -- \xff\xfe", "not UTF-8"),
        (node(1, "Input").encode(), "no layers"),
    ],
)
def test_files_that_hold_no_graph(tmp_path, content, said):
    path = tmp_path / "graph.txt"
    path.write_bytes(content)

    [(_, _, message)] = problems_of(path)
    assert said in message


def test_files_that_cannot_be_read(tmp_path):
    assert "cannot be read" in problems_of(tmp_path / "missing.txt")[0][2]
    assert "is not a file" in problems_of(tmp_path)[0][2]
    assert "cannot be read" in problems_of("a\0b")[0][2]


@pytest.mark.parametrize("figure", ["1e999999", "1e-999999", "inf", "-0.001", "", "1e18"])
def test_absurd_figures_are_refused(tmp_path, figure):
    assert len(problems_of(graph(tmp_path, node(1, forward=figure)))) == 1


def test_empty_batch_is_refused(tmp_path):
    assert problems_of(graph(tmp_path, node(1)), batch=0) == [(0, 0, "a batch of 0 samples is not possible")]


LINES = st.one_of(
    st.text(max_size=40),
    st.builds(node, st.integers(0, 5), st.text(max_size=15), forward=st.text(max_size=6)),
    st.builds(lambda a, b: f"\tnode{a} -- node{b}", st.integers(0, 5), st.integers(0, 5)),
    st.builds(node, st.integers(0, 5)),
)


@given(st.lists(LINES, max_size=8))
def test_any_text_is_read_or_refused_without_a_traceback(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))
    try:
        profile = read(path, 4)
    except InputError:
        pass
    else:
        written = yaml.safe_load(dump(profile))["layers"]
        assert [layer["name"] for layer in written] == [layer.name for layer in profile.layers]
