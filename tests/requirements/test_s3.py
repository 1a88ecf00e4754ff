"""S3: the model is cut over devices, between layers or inside them, and learns what one device learns."""

import math
from itertools import pairwise

import numpy as np
import pytest
from plain_training import Perceptron, Sgd, in_parts, one_device
from replay_lab import LAB, RATE

import simpar
from simpar.errors import InputError
from simpar.execute.build import model_of
from simpar.execute.replay import replay
from simpar.execute.sampling import Stream
from simpar.result.traffic import account
from simpar.simulate import simulate
from simpar.strategies import KINDS, LEAST_TASKS, prepare
from simpar.workload import build

FLOPS, RATE_B, ALPHA = 1e6, 1e5, 0.01


def layers_of(sizes, batch, itemsize=4, flops=FLOPS):
    """Return (compute seconds, output bytes, input bytes) of a minibatch, by layer of a perceptron.

    A layer takes 2 m n FLOPs a sample forward, twice as many backward.
    """
    return [
        (6 * into * out * batch / flops, out * batch * itemsize, into * batch * itemsize)
        for into, out in pairwise(sizes)
    ]


def turns(sizes, batch, itemsize=4):
    """Return messages a device sends in a row for each turn of a ring, and the bytes that go round."""
    found = layers_of(sizes, batch, itemsize)
    once = [out for _, out, _ in found]
    twice = [into for _, _, into in found[1:]]  # the first layer reads the data
    return len(once) + 2 * len(twice), sum(once) + 2 * sum(twice)


def net(sizes, strategy, workers, batch, collectives="messages", **more):
    network = {"bandwidth": f"{RATE_B!r} B/s", "latency": f"{ALPHA!r} s"} | more.pop("network", {})
    return simpar.load(
        {
            "name": "net",
            "model": {"preset": "mlp", "shape": {"sizes": list(sizes)}, "batch": batch}
            | more.pop("model", {}),
            "cluster": {"workers": workers, "device": {"flops": "1 MFLOP/s"}} | more.pop("cluster", {}),
            "network": network,
            "strategies": [strategy],
            "run": {"steps": 3, "warmup": 1, "collectives": collectives},
        }
        | more
    )


@pytest.mark.parametrize("collectives", ["messages", "closed_form"])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "devices"), [(4, 1), (2, 2), (4, 2), (6, 3), (6, 6)])
def test_s3b_tensor_step_is_the_sum_over_layers_of_compute_and_collectives(
    measure, agree, workers, devices, sharing, collectives
):
    """By layer t / k + (k - 1) (alpha + a / (k B)), and 2 (k - 1) (alpha + x / (k B)) behind the first."""
    sizes, batch, k = (5, 12, 24, 6), 6, devices
    found = measure(
        net(
            sizes,
            {"tensor": {"devices": devices}},
            workers,
            batch,
            collectives,
            network={"sharing": sharing},
        )
    )
    wanted = 0.0
    for index, (seconds, out, into) in enumerate(layers_of(sizes, workers * batch)):
        wanted += seconds / k + (k - 1) * (ALPHA + out / k / RATE_B)
        if index:
            wanted += 2 * (k - 1) * (ALPHA + into / k / RATE_B)
    agree("step, s", found.step_s, wanted)


def test_s3b_tensor_layers_that_are_not_linear_are_computed_by_all(scene, measure, agree):
    """A convolution of 3 s, a linear layer of 6 s on 2 devices; outputs 400 B, inputs 200 B, 1000 B/s."""
    model = {
        "layers": [
            {"name": "a", "kind": "conv", "forward": "1 s", "backward": "2 s", "activation": "200 B"},
            {"name": "b", "kind": "linear", "forward": "2 s", "backward": "4 s", "activation": "400 B"},
        ]
    }
    model["layers"][1]["parameters"] = 10
    found = measure(scene("tensor", model=model, batch=1, run={"steps": 2, "warmup": 1}))
    gathered, summed = 2 * 400 / 2 / 1000, 2 * (2 * 200 / 2 / 1000)
    agree("step, s", found.step_s, 2 * (3.0 + 6.0 / 2) + gathered + summed)


def by_launches(speed):
    """A perceptron on devices that take 1/8 s to launch an operation, one device of *speed* among them."""
    cluster = {"device": {"flops": "1 MFLOP/s", "launch": "0.125 s"}, "speed": [1.0, speed]}
    return net((5, 12, 24, 6), "tensor", 2, 3, cluster=cluster)


def test_s3b_tensor_shares_pay_each_launch(measure, agree):
    """Forward launch + 2 m n S / (k F), backward launch + 4 m n S / (k F), and what is sent."""
    compute = sum(0.25 + seconds / 2 for seconds, _, _ in layers_of((5, 12, 24, 6), 6))
    messages, n_bytes = turns((5, 12, 24, 6), 6)
    agree("step, s", measure(by_launches(1.0)).step_s, compute + messages * ALPHA + n_bytes / 2 / RATE_B)


def test_s3b_tensor_shares_are_waited_for_where_a_device_is_slow(measure, agree):
    """Half as fast, it has the outputs of the other before its own, and waits only for sums."""
    found = layers_of((5, 12, 24, 6), 6)
    compute = sum(0.25 + seconds / 2 for seconds, _, _ in found)
    sums = sum(2 * (ALPHA + into / 2 / RATE_B) for _, _, into in found[1:])
    agree("step, s", measure(by_launches(0.5)).step_s, 2 * compute + sums)


@pytest.mark.parametrize(("latency", "best"), [(0.004, 16), (0.012, 8), (0.05, 4)])
def test_s3b_tensor_on_a_slow_network_some_devices_are_best_and_more_are_slower(
    measure, agree, latency, best
):
    """C / k + (k - 1) (M alpha + N / (k B)) is least at sqrt((C - N / B) / (M alpha)): 15.6, 9.0, 4.4."""
    sizes, whole = (64, 256, 256, 256, 512), 32
    messages, n_bytes = turns(sizes, whole)
    compute = sum(seconds for seconds, _, _ in layers_of(sizes, whole, flops=4e6))
    at = math.sqrt((compute - n_bytes / RATE_B) / (messages * latency))
    wanted, seen = {}, {}
    for k in (1, 2, 4, 8, 16, 32):
        wanted[k] = compute / k + (k - 1) * (messages * latency + n_bytes / k / RATE_B)
        scenario = net(
            sizes,
            {"tensor": {"devices": k}},
            32,
            whole // 32,
            "closed_form",
            network={"latency": f"{latency!r} s"},
            cluster={"device": {"flops": "4 MFLOP/s"}},
        )
        seen[k] = measure(scenario).step_s
        assert seen[k] == pytest.approx(wanted[k], rel=1e-9)
    assert best / 2 < at < best * 2
    agree("best number of devices", min(seen, key=seen.get), min(wanted, key=wanted.get))
    agree("step at the best, s", min(seen.values()), wanted[best])
    steps = list(seen.values())
    middle = list(seen).index(best)
    assert steps[: middle + 1] == sorted(steps[: middle + 1], reverse=True)
    assert steps[middle:] == sorted(steps[middle:])


@pytest.mark.parametrize("devices", [2, 3, 6])
def test_s3b_tensor_bytes_are_counted_by_layer(agree, devices):
    """An all-gather of n bytes sends (k - 1) n in all, an all-reduce 2 (k - 1) n; parameters never move."""
    sizes, batch, workers = (5, 12, 24, 6), 2, 6
    scenario = net(sizes, {"tensor": {"devices": devices}}, workers, batch)
    program = simpar.compile(scenario, "tensor")
    sent = {}
    for task, op in enumerate(program.ops):
        if program.message[task] >= 0:
            sent[op.part] = sent.get(op.part, 0.0) + float(program.bytes[task])
    found = layers_of(sizes, workers * batch)
    wanted = [(devices - 1) * out for _, out, _ in found]
    wanted += [2 * (devices - 1) * into for _, _, into in reversed(found[1:])]
    assert list(sent.values()) == wanted
    agree("bytes sent", program.bytes.sum(), (devices - 1) * turns(sizes, workers * batch)[1])
    for collectives in ("messages", "closed_form"):
        closed = net(sizes, {"tensor": {"devices": devices}}, workers, batch, collectives)
        found = account(simpar.compile(closed, "tensor"))
        moved = (devices - 1) * turns(sizes, workers * batch)[1]
        assert (found.parameters_bytes, found.activations_bytes) == (0.0, moved)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_s3b_tensor_shares_of_the_parameters_sum_to_the_model(agree, devices):
    sizes = (5, 12, 24, 8)
    scenario = net(sizes, {"tensor": {"devices": devices}}, 4, 3, model={"optimizer": "sgd"})
    meta = simpar.compile(scenario, "tensor").meta
    whole = 4 * sum(into * out + out for into, out in pairwise(sizes))
    held = [meta["memory"]["parameters_bytes"]] * devices
    agree("parameters of all devices, B", sum(held), whole)
    assert meta["memory"]["gradients_bytes"] == whole / devices
    assert meta["memory"]["activations_bytes"] == 4 * 12 * sum(
        sizes[1:]
    )  # outputs are gathered: all have them


def test_s3b_tensor_fits_where_the_whole_model_does_not():
    """4 layers of 256 x 256: 263,168 parameters, 8 bytes each with gradients, on devices of 1.5 MB."""
    cluster = {"device": {"flops": "1 MFLOP/s", "memory": "1.5 MB"}}
    sizes, sgd = (256,) * 5, {"optimizer": "sgd"}
    for devices, fits in ((1, False), (2, True)):
        scenario = net(sizes, {"tensor": {"devices": devices}}, 2, 1, model=sgd, cluster=cluster)
        assert simpar.compare(scenario)["tensor"].fits is fits


@pytest.mark.parametrize(
    ("sizes", "workers", "devices", "fix"),
    [
        ((5, 12, 24, 6), 6, 4, "write devices: 3 or 6"),
        ((5, 12, 24, 6), 4, 4, "write devices: 3"),
        ((5, 12, 24, 7), 8, 8, "write devices: 1"),
        ((5, 12, 24, 6), 2, 3, "write 2 or fewer"),
    ],
)
def test_s3b_tensor_devices_that_do_not_divide_the_outputs_are_refused(sizes, workers, devices, fix):
    with pytest.raises(InputError, match=fix):
        simpar.compile(net(sizes, {"tensor": {"devices": devices}}, workers, 1), "tensor")


def test_s3b_tensor_without_linear_layers_is_refused(scene):
    with pytest.raises(InputError, match="has no linear layer with parameters, and nothing else is cut"):
        simpar.compile(scene("tensor"), "tensor")


@pytest.mark.parametrize("collectives", ["messages", "closed_form"])
@pytest.mark.parametrize("devices", [1, 2, 3, 6])
def test_s3b_tensor_programs_are_counted_beforehand(devices, collectives):
    setting = prepare(net((5, 12, 24, 6), {"tensor": {"devices": devices}}, 6, 1, collectives), "tensor")
    least, there = LEAST_TASKS["tensor"](setting), len(KINDS["tensor"](setting))
    assert there / 3 < least <= there


def assert_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("collectives", ["messages", "closed_form"])
@pytest.mark.parametrize(("workers", "devices"), [(3, 1), (2, 2), (3, 2), (4, 4)])
def test_s3b_tensor_learns_what_one_device_learns(workers, devices, collectives):
    """Each device holds its own rows of every weight, and a plain NumPy net all of them."""
    sizes, batch, steps = (7, 8, 12, 4), 3, 4
    rng = np.random.default_rng(5)
    model = Perceptron(sizes)
    parameters = model.init(2)
    x, targets = rng.normal(size=(60, 7)), rng.integers(0, 4, 60)

    def source(first, count):
        return x[first : first + count], targets[first : first + count]

    scenario = net(sizes, {"tensor": {"devices": devices}}, workers, batch, collectives)
    trace = simulate(simpar.compile(scenario, "tensor"))
    found = replay(trace, model, parameters, source, lambda: Sgd(RATE), test=(x, targets))
    wanted, losses = one_device(model, parameters, source, steps, workers * batch, RATE)
    assert_close(found.parameters, wanted)
    np.testing.assert_allclose(found.loss_by_iteration(), losses, rtol=1e-11)
    assert (found.updates, found.samples) == (steps, steps * workers * batch)
    for number, held in found.replicas.items():
        for mine, whole in zip(held, found.parameters, strict=True):
            assert np.array_equal(mine, np.split(whole, devices)[number])


@pytest.mark.parametrize(
    "model",
    [
        {
            "preset": "gpt",
            "shape": {"layers": 1, "hidden": 12, "heads": 3, "vocab": 16, "positions": 6, "tied": False},
            "seq": 5,
        },
        {"preset": "cnn", "shape": {"image": [2, 6, 6], "channels": [4], "sizes": [8, 4]}},
    ],
)
def test_s3b_tensor_cuts_the_linear_layers_of_nets_of_other_layers(model):
    """Against the same net on one device: embeddings, norms, attention and convolutions are everybody's."""
    batch, workers, classes = 2, 2, 16 if model["preset"] == "gpt" else 4
    kinds = [{"tensor": {}}, {"tensor": {"devices": 1, "name": "alone"}}]
    scenario = simpar.load(
        {
            "name": "net",
            "model": model | {"dtype": "float64", "batch": batch},
            "cluster": {"workers": workers, "device": {"flops": "1 MFLOP/s"}},
            "network": {"bandwidth": "1 MB/s", "latency": "1 ms"},
            "strategies": kinds,
            "run": {"steps": 2, "warmup": 1},
        }
    )
    whole = model_of(build(scenario))
    rng = np.random.default_rng(3)
    if model["preset"] == "gpt":
        x, targets = rng.integers(0, 16, (20, 5)), rng.integers(0, classes, (20, 5))
    else:
        x, targets = rng.normal(size=(20, 2, 6, 6)), rng.integers(0, classes, 20)
    start = whole.init(1)
    found = [
        replay(
            simulate(simpar.compile(scenario, name)),
            whole,
            start,
            lambda first, count: (x[first : first + count], targets[first : first + count]),
            lambda: Sgd(RATE),
        )
        for name in ("tensor", "alone")
    ]
    assert_close(found[0].parameters, found[1].parameters)
    assert any(not np.allclose(one, other) for one, other in zip(start, found[0].parameters, strict=True))


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("stages", "micro"), [(1, 3), (2, 2), (3, 6), (4, 8)])
def test_s3a_pipeline_that_recomputes_takes_a_forward_more(scene, measure, agree, schedule, stages, micro):
    """(m + p - 1) (2 t_f + t_b), of 1 s forward and 2 s backward a batch of m samples, p batches a step."""
    options = {"schedule": schedule, "microbatches": micro, "recompute": True}
    layers = [(1.0, 2.0, 10, 0.0)] * stages
    numbers = {"workers": stages, "batch": micro, "bandwidth": 1e15}
    found = measure(scene({"pipeline": options}, layers=layers, **numbers))
    agree("step, s", found.step_s, (micro + stages - 1) * (2 * 1.0 + 2.0) * stages / micro)


@pytest.mark.parametrize(("schedule", "in_flight"), [("gpipe", [8, 8]), ("1f1b", [2, 1])])
def test_s3a_pipeline_that_recomputes_keeps_inputs_only(scene, agree, schedule, in_flight):
    """8 microbatches of 2 samples; 64 B a sample leave each layer, of which the first stage has three.

    The first holds the outputs of three layers for one microbatch and a gradient; what it reads is data.
    """
    layers = [(0.25, 0.5, 0, 64.0 * 8)] * 3 + [(1.0, 2.0, 0, 0.0)]
    kept = {}
    for recompute in (True, False):
        options = {"schedule": schedule, "microbatches": 8, "recompute": recompute}
        meta = simpar.compile(scene({"pipeline": options}, layers=layers, batch=8), "pipeline").meta
        assert meta["cuts"] == [[0, 3], [3, 4]]
        needs = [
            (1 if recompute else flying) * made * 2 * 64 + (flying * 2 * 64 if stage else 2 * 64)
            for stage, (flying, made) in enumerate(zip(in_flight, [3, 0], strict=True))
        ]
        kept[recompute] = meta["memory_bytes"]
        agree("memory of the fullest stage, B", meta["memory_bytes"], max(needs))
    assert kept[True] < kept[False]


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_s3a_pipeline_that_recomputes_learns_the_same(schedule):
    """The second forward pass is on the same parameters, so that every bit is the same."""
    found = []
    for recompute in (True, False):
        options = {"schedule": schedule, "stages": 3, "microbatches": 4, "recompute": recompute}
        found.append(LAB.replay(LAB.trace(LAB.scenario({"pipeline": options}))).parameters)
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, [3] * 4, RATE)
    for once, twice, plain in zip(*found, wanted, strict=True):
        assert np.array_equal(once, twice)
        assert np.array_equal(once, plain)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(("stages", "chunks", "micro"), [(2, 2, 4), (2, 3, 2), (3, 2, 6)])
def test_s3a_interleaved_stages_learn_what_one_device_learns(stages, chunks, micro, recompute):
    """Each stage holds several ranges of layers; parameters are those of plain NumPy on the whole batch."""
    sizes = [7, 9, 8, 6, 7, 8, 5]
    model = Perceptron(sizes)
    parameters = model.init(1)
    rng = np.random.default_rng(11)
    inputs, targets = rng.normal(size=(60, 7)), rng.integers(0, 5, 60)
    stream = Stream(60, 3)

    def source(first, count):
        rows = stream.rows(first, count)
        return inputs[rows], targets[rows]

    options = {"schedule": "interleaved", "chunks": chunks, "microbatches": micro, "recompute": recompute}
    scenario = LAB.scenario(
        {"pipeline": options},
        workers=stages,
        model={"preset": "mlp", "shape": {"sizes": sizes}, "batch": 4, "dtype": "float64"},
    )
    found = replay(LAB.trace(scenario), model, parameters, source, lambda: Sgd(RATE))
    wanted, _ = one_device(model, parameters, source, LAB.STEPS, 4 * stages, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())
