"""Models as a whole: gradients against differences, cuts against no cut, and what can be built."""

import array_api_strict
import numpy as np
import pytest

import simpar
from simpar.errors import EngineError
from simpar.execute import kernels
from simpar.execute.build import input_features, model_of
from simpar.execute.data_sets import DATA_SETS, TEXT, characters, digits, least_squares, regression
from simpar.execute.model import (
    Add,
    BatchNorm,
    Convolution,
    Flatten,
    Linear,
    Model,
    Pool,
)
from simpar.workload import build

GPT = {"layers": 2, "hidden": 6, "heads": 3, "vocab": 11, "positions": 5, "ffn": 8, "tied": False}


def workload(preset, **model):
    loaded = simpar.load(
        {
            "name": "small",
            "model": {"preset": preset, "batch": 2, **model},
            "cluster": {"workers": 1, "device": {"flops": "1 GFLOP/s"}},
            "strategies": ["single"],
        }
    )
    return build(loaded)


def perceptron():
    return model_of(workload("mlp", shape={"sizes": [4, 6, 5, 3]}))


def transformer():
    return model_of(workload("gpt", shape=GPT, seq=5))


def images():
    """Return a small residual network by hand."""
    return Model(
        (
            Convolution("conv1", (-1,), (("conv1.weight", (3, 2, 3, 3)),), padding=1),
            BatchNorm("bn1", (0,), (("bn1.weight", (3,)), ("bn1.bias", (3,))), relu=True),
            Convolution(
                "conv2", (1,), (("conv2.weight", (3, 3, 3, 3)), ("conv2.bias", (3,))), padding=1, relu=True
            ),
            Add("add", (1, 2)),
            Pool("pool", (3,)),
            Flatten("flat", (4,)),
            Linear("fc", (5,), (("fc.weight", (4, 12)), ("fc.bias", (4,)))),
        )
    )


def sample(model, seed=0):
    rng = np.random.default_rng(seed)
    if isinstance(model.layers[0], Convolution):
        return rng.standard_normal((3, 2, 4, 4)), rng.integers(0, 4, 3)
    if isinstance(model.layers[0], Linear):
        return rng.standard_normal((3, 4)), rng.integers(0, 3, 3)
    return rng.integers(0, 11, (2, 5)), rng.integers(0, 11, (2, 5))


@pytest.mark.parametrize("make", [perceptron, transformer, images])
def test_gradients_are_those_of_the_loss(make):
    model = make()
    x, targets = sample(model)
    parameters = model.init(1)
    y, saved = model.forward(parameters, x)
    _, dy = model.loss(y, targets)
    _, gradients = model.backward(parameters, saved, dy)
    assert [one.shape for one in gradients] == [shape for layer in model.layers for _, shape in layer.tensors]
    rng = np.random.default_rng(5)
    for number, tensor in enumerate(parameters):
        for _ in range(3):
            at = tuple(int(rng.integers(size)) for size in tensor.shape)
            ends = []
            for step in (1e-5, -1e-5):
                moved = [one.copy() for one in parameters]
                moved[number][at] += step
                ends.append(float(model.loss(model.forward(moved, x)[0], targets)[0]))
            assert gradients[number][at] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("make", [perceptron, transformer, images])
def test_a_model_cut_anywhere_computes_what_it_does_as_a_whole(make):
    """Outputs that several layers read, around a block, cross the cut with the others."""
    model = make()
    x, targets = sample(model)
    parameters = model.init(1)
    y, saved = model.forward(parameters, x)
    _, dy = model.loss(y, targets)
    dx, gradients = model.backward(parameters, saved, dy)
    for cut in range(1, len(model.layers)):
        between, first = model.forward(parameters, x, 0, cut)
        found, second = model.forward(parameters, between, cut)
        assert np.array_equal(found, y)
        slopes, later = model.backward(parameters, second, dy)
        again, earlier = model.backward(parameters, first, slopes)
        assert dx is None or np.array_equal(again, dx)
        assert all(np.array_equal(a, b) for a, b in zip([*earlier, *later], gradients, strict=True))


@pytest.mark.parametrize("make", [perceptron, transformer, images])
@pytest.mark.parametrize(("dtype", "exact"), [("float64", 1e-12), ("float32", 1e-4)])
def test_every_namespace_computes_the_same(make, dtype, exact):
    model = make()
    x, targets = sample(model)
    x = x.astype(dtype) if x.dtype.kind == "f" else x
    found = []
    for xp in (np, array_api_strict):
        parameters = model.init(1, xp, dtype)
        y, saved = model.forward(parameters, xp.asarray(x))
        value, dy = model.loss(y, xp.asarray(targets))
        _, gradients = model.backward(parameters, saved, dy)
        found.append([np.asarray(value), *map(np.asarray, gradients)])
        assert all(one.dtype == dtype for one in found[-1])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=exact, abs=exact)


def test_gradients_of_parts_of_a_batch_add_up_to_those_of_the_whole():
    model, parameters = perceptron(), perceptron().init(1)
    x, targets = sample(model)

    def gradients(part):
        y, saved = model.forward(parameters, x[part])
        return model.backward(parameters, saved, model.loss(y, targets[part])[1])[1]

    parts = [gradients(slice(0, 2)), gradients(slice(2, 3))]
    for whole, one, other in zip(gradients(slice(0, 3)), *parts, strict=True):
        assert one + other == pytest.approx(whole, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("preset", "model"),
    [("mlp", {"shape": {"sizes": [4, 6, 3]}}), ("gpt", {"shape": GPT, "seq": 5})],
)
def test_tensors_are_those_that_the_workload_counts(preset, model):
    counted = workload(preset, **model)
    made = model_of(counted)
    for operation, layer in zip(made.layers, counted.layers, strict=True):
        sizes = [(name, int(np.prod(shape))) for name, shape in operation.tensors]
        assert sizes == [(tensor.name, tensor.elements) for tensor in layer.tensors]


@pytest.mark.parametrize(
    ("preset", "model", "message"),
    [
        ("inception-v3", {}, "is an average of padded windows"),
        ("gpt", {"shape": GPT | {"tied": True}, "seq": 5}, "lm_head computes with the weight of another"),
        (
            "llama",
            {"shape": {"layers": 1, "hidden": 4, "heads": 2, "ffn": 8, "vocab": 7}, "seq": 4},
            "embed_tokens is no table of tokens with one of positions",
        ),
        (
            "bert",
            {"shape": {"layers": 1, "hidden": 4, "heads": 2, "vocab": 7, "positions": 4}, "seq": 4},
            "is no table of tokens with one of positions",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_by_the_name_of_its_layer(preset, model, message):
    with pytest.raises(EngineError, match=message):
        model_of(workload(preset, **model))


def test_features_that_the_data_must_have():
    assert input_features(workload("mlp", shape={"sizes": [4, 6, 3]})) == 4
    assert input_features(workload("gpt", shape=GPT, seq=5)) is None


# -- data ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_sets_are_the_same_each_time_and_fit_together(name):
    data, again = DATA_SETS[name](), DATA_SETS[name]()
    assert data.name == name
    for one in ("inputs", "targets", "test_inputs", "test_targets"):
        assert np.array_equal(getattr(data, one), getattr(again, one))
    assert len(data.inputs) == len(data.targets) >= 900
    assert len(data.test_inputs) == len(data.test_targets) > 0
    assert data.features == (None if name == "characters" else data.inputs.shape[1])
    if data.loss is kernels.cross_entropy:
        assert set(np.unique(data.targets)) <= set(range(data.outputs))


def test_digits_are_what_the_source_says():
    data = digits()
    assert (len(data.inputs), len(data.test_inputs), data.features, data.outputs) == (1400, 397, 64, 10)
    assert (data.inputs.min(), data.inputs.max()) == (0.0, 1.0)


def test_characters_follow_each_other_and_tests_are_not_trained_on():
    data = characters()
    letters = sorted(set(TEXT))
    read = lambda row: "".join(letters[token] for token in row)  # noqa: E731
    trained = {read(row) for row in data.inputs}
    for inputs, targets in ((data.inputs, data.targets), (data.test_inputs, data.test_targets)):
        assert all(read(one) in TEXT for one in inputs[:50])
        assert np.array_equal(inputs[:, 1:], targets[:, :-1])
    assert not trained & {read(row) for row in data.test_inputs}


def test_the_optimum_of_the_regression_is_where_the_gradient_vanishes():
    """At the solution of the normal equations; its test error is the noise, of deviation 0.1."""
    data = regression()
    best = list(least_squares(data))
    model = Model((Linear("fc", (-1,), (("fc.weight", (1, 10)), ("fc.bias", (1,)))),), kernels.squared_error)
    y, saved = model.forward(best, data.inputs)
    _, gradients = model.backward(best, saved, model.loss(y, data.targets)[1])
    assert max(abs(one).max() for one in gradients) < 1e-9
    off = data.test_inputs @ best[0].T + best[1] - data.test_targets
    assert off.std() == pytest.approx(0.1, rel=0.15)


def test_without_scikit_learn_the_install_line_is_said(monkeypatch):
    monkeypatch.setattr("simpar.execute.data_sets.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install '.\[data\]'"):
        digits()
