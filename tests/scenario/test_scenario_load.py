"""Scenario files: what is accepted, and the exact line for what is not."""
# ruff: noqa: E501 (tables of expected lines)

import pytest

from simpar.errors import InputError
from simpar.scenario import load, load_profile

QUICKSTART = """\
# Which strategy is fastest?
name: quickstart
model: {preset: resnet-50, batch: 64, dtype: float32}
cluster:
  workers: 8
  device: {forward: 60 ms, backward: 120 ms}
network: {bandwidth: 25 Gbit/s, latency: 5 us}
strategies:
  - ps-sync: {servers: 2}
  - ps-async: {servers: 2}
  - allreduce: {algorithm: ring}
  - allreduce: {algorithm: ring, overlap: true, bucket: 25 MiB}
"""
LAYERS = "layers: [{name: a, forward: 1 ms, backward: 2 ms}]"


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """Return a function from the text of a file to the lines that it is refused with."""
    monkeypatch.chdir(tmp_path)

    def check(text, **options):
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(InputError) as caught:
            load("s.yaml", **options)
        assert all(str(problem).isprintable() for problem in caught.value.problems)
        return [str(problem) for problem in caught.value.problems]

    return check


@pytest.fixture
def good(tmp_path, monkeypatch):
    """Return a function from the text of a file to its scenario."""
    monkeypatch.chdir(tmp_path)

    def read(text, **options):
        (tmp_path / "s.yaml").write_text(text)
        return load("s.yaml", **options)

    return read


def changed(*pairs):
    text = QUICKSTART
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_the_quickstart_is_read_in_si_units(good):
    scenario = good(QUICKSTART)
    assert (scenario.name, scenario.model.preset, scenario.model.batch) == ("quickstart", "resnet-50", 64)
    assert (scenario.cluster.device.forward, scenario.cluster.device.backward) == (0.06, 0.12)
    assert (scenario.network.bandwidth, scenario.network.latency) == (3.125e9, 5e-6)
    assert [s.name for s in scenario.strategies] == ["ps-sync", "ps-async", "allreduce", "allreduce-2"]
    assert [s.kind for s in scenario.strategies] == ["ps-sync", "ps-async", "allreduce", "allreduce"]
    assert scenario.strategies[3].options.bucket == 25 * 2**20
    assert (scenario.run.steps, scenario.run.warmup, scenario.validation.repeats) == (20, 2, 30)
    assert scenario.profile is None


def test_the_two_lines_of_the_quickstart(problems):
    assert problems(changed(("25 Gbit/s", "25 Gb"), ("algorithm: ring}", "algorithm: rnig}"))) == [
        "s.yaml:7:22: network.bandwidth: '25 Gb' is not a rate; write '25 Gbit/s' (bits) or '25 GB/s' (bytes)",
        "s.yaml:11:28: strategies[2].algorithm: unknown algorithm 'rnig'; did you mean 'ring'?",
    ]


def test_everything_is_said_at_once(problems):
    text = changed(
        ("resnet-50", "resnet50"),
        ("workers: 8", "workers: 0"),
        ("latency", "latncy"),
        ("servers: 2", "servers: -1"),
        ("overlap: true", "overlap: yes"),
    )
    assert problems(text) == [
        "s.yaml:3:17: model.preset: unknown model preset 'resnet50'; "
        "did you mean 'resnet-50'? ('simpar presets' lists all)",
        "s.yaml:5:12: cluster.workers: 0 is zero, and may not be; write a whole number from 1 to 100000",
        "s.yaml:7:33: network.latncy: unknown key 'latncy'; did you mean 'latency'?",
        "s.yaml:9:24: strategies[0].servers: -1 is less than 1; write a whole number from 1 to 100000",
        "s.yaml:12:43: strategies[3].overlap: 'yes' is not true or false; write true or false",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "s.yaml:1:1: a scenario is a mapping, not a list"),
        ("word", "s.yaml:1:1: a scenario is a mapping, not 'word'"),
        ("---\n", "s.yaml:"),
    ],
)
def test_the_top_must_be_a_mapping(problems, text, said):
    (line,) = problems(text)
    assert line.startswith(said)


def test_missing_sections_are_named_with_an_example(problems):
    assert problems("name: x\n") == [
        "s.yaml:1:1: model: required key 'model' is missing; write 'model: {preset: resnet-50, batch: 64}'",
        "s.yaml:1:1: cluster: required key 'cluster' is missing; "
        "write 'cluster: {workers: 8, device: {forward: 60 ms, backward: 120 ms}}'",
        "s.yaml:1:1: strategies: required key 'strategies' is missing; "
        "write 'strategies: [ps-sync, allreduce]'",
    ]


def test_a_missing_key_is_placed_at_its_section(problems):
    assert problems(changed(("bandwidth: 25 Gbit/s, ", ""))) == [
        "s.yaml:7:10: network.bandwidth: required key 'bandwidth' is missing; write 'bandwidth: 25 Gbit/s'"
    ]


def test_an_empty_section_says_so(problems):
    text = changed(("network: {bandwidth: 25 Gbit/s, latency: 5 us}", "network:"))
    assert problems(text) == [
        "s.yaml:7:1: network: is empty; "
        "write 'network: {bandwidth: 25 Gbit/s, latency: 5 us}' or remove the key"
    ]


def test_a_key_without_a_value_says_so_even_where_null_is_fine(problems):
    assert problems(changed(("workers: 8", "workers: 8\n  speed:"))) == [
        "s.yaml:6:3: cluster.speed: has no value; write 'speed: [1.0, 0.5]' or remove the key"
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("network: {bandwidth: 25 Gbit/s, latency: 5 us}", "network: 5", "7:10: network: 5 is not a mapping"),
        ("name: quickstart", "name: 5", "2:7: name: 5 is not text; put it in quotes"),
        (
            "latency: 5 us",
            "intra: {}",
            "7:40: network.intra.bandwidth: required key 'bandwidth' is missing; write 'bandwidth: 25 Gbit/s'",
        ),
        (
            "bandwidth: 25 Gbit/s",
            "intra: nvlink-9, preset: ethernet-25",
            "7:18: network.intra: unknown link preset 'nvlink-9'; did you mean 'nvlink-",
        ),
        (
            "network: {bandwidth: 25 Gbit/s, latency: 5 us}",
            "network: ethernet-26",
            "7:10: network: unknown link preset 'ethernet-26'; did you mean 'ethernet-2",
        ),
        (
            "workers: 8",
            "nodes: 4\n  devices_per_node: 2",
            "8:10: network.intra: machines of 2 devices need the links between them; write 'intra: nvlink-3'",
        ),
        (
            "workers: 8",
            "nodes: 2\n  devices_per_node: 0",
            "6:21: cluster.devices_per_node: 0 is zero, and may not be",
        ),
        (
            "workers: 8",
            "workers: 12\n  instance: p3.16xlarge",
            "5:12: cluster.workers: 12 workers do not fill machines of 8 devices; write 8 or 16",
        ),
        (
            "workers: 8",
            "nodes: 2\n  instance: p3.16xlarg",
            "6:13: cluster.instance: unknown instance preset 'p3.16xlarg'; did you mean 'p3.16xlarge'?",
        ),
        (
            "workers: 8",
            "nodes: 2\n  instance: p3.16xlarge\n  speed: [1, 2]",
            "7:10: cluster.speed: 2 speeds are given for 16 workers",
        ),
        ("latency: 5 us", "latency: -5 us", "7:42: network.latency: '-5 us' is negative"),
        ("latency: 5 us", "latency: .nan", "7:42: network.latency: nan is not a finite number"),
        ("latency: 5 us", "latency: 2e9 s", "7:42: network.latency: '2e9 s' is more than 1e9 s"),
        ("25 Gbit/s", "0", "7:22: network.bandwidth: 0 is zero, and may not be"),
        ("25 Gbit/s", "1 bit/s", "7:22: network.bandwidth: '1 bit/s' is less than 1 B/s"),
        ("latency: 5 us", "efficiency: 0", "7:45: network.efficiency: 0 is not above 0"),
        (
            "latency: 5 us",
            "sharing: fiar",
            "7:42: network.sharing: unknown sharing 'fiar'; did you mean 'fair'?",
        ),
        ("forward: 60 ms", "forward: 0", "6:21: cluster.device.forward: 0 is zero, and may not be"),
        ("workers: 8", "workers: 8.0", "5:12: cluster.workers: 8.0 is not a whole number; write 8"),
        ("workers: 8", "workers: true", "5:12: cluster.workers: true is not a whole number"),
        ("workers: 8", "workers: 100001", "5:12: cluster.workers: 100001 is more than 100000"),
        (
            "workers: 8",
            "nodes: 2\n  workers: 8",
            "5:3: cluster.nodes: 'workers' and 'nodes' are both given; keep one of them",
        ),
        ("workers: 8", "workers: 8\n  server: 3", "6:11: cluster.server: 3 is not a mapping"),
        (
            "workers: 8",
            "workers: 2\n  speed: [1, 2, 1]",
            "6:10: cluster.speed: 3 speeds are given for 2 workers",
        ),
        ("workers: 8", "workers: 1\n  speed: [0]", "6:11: cluster.speed[0]: 0 is not above 0"),
        ("batch: 64, ", "", "3:8: model: needs one of 'batch' and 'global_batch'"),
        ("preset: resnet-50, ", "", "3:8: model: needs one of 'preset', 'profile' and 'layers'"),
        (
            "batch: 64",
            "batch: 64, global_batch: 512",
            "3:39: model.global_batch: 'batch' and 'global_batch' are both",
        ),
        (
            "batch: 64",
            "global_batch: 512",
            "6:11: cluster.device: with model.global_batch, the times need the batch",
        ),
        ("float32", "float31", "3:46: model.dtype: unknown dtype 'float31'; did you mean 'float32'?"),
        (
            "forward: 60 ms, ",
            "",
            "6:11: cluster.device: 'backward' is given without 'forward'; write 'forward: 60 ms'",
        ),
        (
            "forward: 60 ms, backward: 120 ms",
            "memory: 1 GB",
            "6:11: cluster.device: needs a device with times",
        ),
        (
            "{forward: 60 ms, backward: 120 ms}",
            "V10",
            "6:11: cluster.device: unknown device preset 'V10'; did you",
        ),
        (
            "forward: 60 ms",
            "preset: v100, forward: 60 ms",
            "6:12: cluster.device.preset: both times and 'preset' are",
        ),
        (
            "preset: resnet-50",
            LAYERS,
            "6:12: cluster.device.forward: times are given twice, here and in model.layers",
        ),
        ("preset: resnet-50", "profile: no.yaml", "3:18: model.profile: 'no.yaml' is not a file"),
        (
            "ps-sync: {servers: 2}",
            "ps_sync",
            "9:5: strategies[0]: unknown strategy 'ps_sync'; did you mean 'ps-sync'?",
        ),
        ("ps-sync: {servers: 2}", "hybrid", "9:5: strategies[0]: 'hybrid' is not modelled by this version"),
        ("ps-sync: {servers: 2}", "5", "9:5: strategies[0]: 5 is not a strategy"),
        ("ps-sync: {servers: 2}", "ps-sync: 2", "9:5: strategies[0]: 2 is not a mapping"),
        (
            "ps-sync: {servers: 2}",
            "{ps-sync: , servers: 2}",
            "9:5: strategies[0]: an entry has one key, its kind, not 2",
        ),
        (
            "servers: 2",
            "srvers: 2",
            "9:15: strategies[0].srvers: unknown key 'srvers'; did you mean 'servers'?",
        ),
        (
            "servers: 2",
            "compression: 2",
            "9:15: strategies[0].compression: 'compression' is not modelled by this version",
        ),
        ("servers: 2", "slice_bytes: 0", "9:28: strategies[0].slice_bytes: 0 is zero, and may not be"),
        ("servers: 2", "name: 'a[b'", "9:21: strategies[0].name: 'a[b' has a '[' in it; leave out '['"),
        (
            "servers: 2",
            "servers: 2, servers: 3",
            "9:27: strategies[0].servers: 'servers' is given twice, first on",
        ),
        (
            "name: quickstart",
            "run: {engine: steam}",
            "2:15: run.engine: unknown engine 'steam'; write one of: auto, reference, compiled",
        ),
        ("name: quickstart", "run: {steps: 1000001}", "2:14: run.steps: 1000001 is more than 1000000"),
        (
            "name: quickstart",
            "data: {split: halves}",
            "2:15: data.split: unknown split 'halves'; write one of: balanced, block, strided, literal",
        ),
        ("name: quickstart", "validate: {bound: -1}", "2:19: validate.bound: -1 is not above 0"),
        ("name: quickstart", '"a\\e\\nb": 1', "2:1: 'a\\x1b\\nb': unknown key 'a\\x1b\\nb'"),
    ],
)
def test_one_mistake_is_one_line(problems, old, new, said):
    (line,) = problems(changed((old, new)))
    assert line.startswith("s.yaml:" + said)


def test_strategies_that_are_no_list_are_refused(problems):
    (line,) = problems(QUICKSTART.split("strategies:")[0] + "strategies: {ps-sync: {}}\n")
    assert line == (
        "s.yaml:8:13: strategies: a mapping is not a list; write 'strategies: [ps-sync, allreduce]'"
    )


def test_a_global_batch_divides_by_the_workers(problems):
    """Where every push counts as much, that is; others take shares that differ by one."""
    text = changed(("batch: 64", "global_batch: 500"), ("120 ms}", "120 ms, batch: 64}"))
    (line,) = problems(text)
    assert line == (
        "s.yaml:3:42: model.global_batch: 500 samples do not divide by 8 workers, and every push of ps-async "
        "counts as much; write 496 or 504"
    )


def test_a_missing_network_names_who_needs_it(problems):
    text = changed(("network: {bandwidth: 25 Gbit/s, latency: 5 us}\n", ""))
    assert problems(text) == [
        "s.yaml:2:1: network: network is needed by strategies[0] ('ps-sync'); "
        "write 'network: {bandwidth: 25 Gbit/s, latency: 5 us}'"
    ]


def test_single_needs_no_network(good):
    head = QUICKSTART.split("network:")[0]
    assert good(head + "strategies: [single]\n").network is None


@pytest.mark.parametrize("items", ["", " []", " ~"])
def test_no_strategies_are_refused(problems, items):
    (line,) = problems(QUICKSTART.split("strategies:")[0] + f"strategies:{items}\n")
    assert line.startswith("s.yaml:8:1: strategies: is empty")


def test_names_default_to_the_kind_and_avoid_given_ones(good):
    head = QUICKSTART.split("strategies:")[0]
    tail = "strategies: [ps-sync, ps-sync, ps-sync: {name: ps-sync-2}, ps-sync: {name: best}, ps-sync]\n"
    names = [s.name for s in good(head + tail).strategies]
    assert names == ["ps-sync", "ps-sync-3", "ps-sync-2", "best", "ps-sync-4"]


def test_a_name_given_twice_is_refused(problems):
    text = changed(("ps-sync: {", "ps-sync: {name: x, "), ("ps-async: {", "ps-async: {name: x, "))
    assert problems(text) == [
        "s.yaml:10:22: strategies[1].name: 'x' is the name of strategies[0] too; give each entry a name of its own"
    ]


def test_hand_written_layers(good):
    layers = """layers: [
  {name: a, kind: conv, flops: 2 GFLOP, parameters: {weight: 9, a.bias: 3}, activation: 1 MB, inputs: []},
  {name: b, flops: 0 FLOP, parameters: 5}, {name: c, inputs: [a, b]}]"""
    scenario = good(changed(("preset: resnet-50", layers)))
    a, b, c = scenario.model.layers
    assert a.tensors == (("a.weight", 9), ("a.bias", 3))
    assert (b.tensors, c.tensors) == ((("b", 5),), ())
    assert (a.flops, a.backward_flops, a.activation, a.inputs) == (2e9, None, 1e6, ())
    assert (b.inputs, c.inputs) == (None, ("a", "b"))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("{name: a, flops: 1 FLOP}, {name: a}", "model.layers[1].name: 'a' is the name of layer 0 too"),
        ("{name: a, flops: 1 FLOP, inputs: [b]}, {name: b}", "model.layers[0].inputs[0]: 'b' is not an earlier layer"),
        ("{name: a, flops: 1 FLOP, inputs: [a]}", "model.layers[0].inputs[0]: 'a' is not an earlier layer"),
        ("{name: a, flops: 1}", "model.layers[0].flops: '1' has no unit; write it like '4.1 GFLOP'"),
        ("{name: a, flops: 1 FLOP, parameters: {w: 0}}", "model.layers[0].parameters.w: 0 is zero, and may not be"),
        ("{name: a, flops: 1 FLOP, parameters: 1e4}", "model.layers[0].parameters: 10000.0 is not a whole number; write 10000"),
        ("{name: a, backward_flops: 1 FLOP}", "model.layers[0].backward_flops: 'backward_flops' is given without"),
        ("{name: a}", "model.layers: these layers do no work"),
        ("{flops: 1 FLOP}", "model.layers[0].name: required key 'name' is missing"),
        ("5", "model.layers[0]: 5 is not a mapping"),
    ],
)  # fmt: skip
def test_wrong_layers(problems, layers, said):
    (line,) = problems(changed(("preset: resnet-50", f"layers: [{layers}]")))
    assert f": {said}" in line


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ("{name: a, forward: 1 ms}", "model.layers[0]: 'forward' is given without 'backward'"),
        ("{name: a, forward: 0, backward: 1 ms, flops: 1 FLOP}", "model.layers[0].flops: both times and FLOPs are given"),
        ("{name: a, forward: 0, backward: 1 ms}, {name: b, flops: 1 FLOP}",
         "model.layers[1].flops: FLOPs are given here, and times in layer 0"),
    ],
)  # fmt: skip
def test_wrong_layer_times(problems, layers, said):
    text = changed(
        ("preset: resnet-50", f"layers: [{layers}]"), ("forward: 60 ms, backward: 120 ms", "memory: 1 GB")
    )
    (line,) = problems(text)
    assert f": {said}" in line


def test_layer_times_need_the_batch_of_one_worker(problems):
    text = changed(
        ("preset: resnet-50, batch", LAYERS + ", global_batch"),
        ("  device: {forward: 60 ms, backward: 120 ms}\n", ""),
    )
    (line,) = problems(text)
    assert "model.global_batch: layer times belong to the batch of one worker" in line


PROFILE = "name: Net\nbatch: 32\nlayers:\n  - {name: a, forward: 1 ms, backward: 2 ms}\n"


def test_a_profile_brings_times_and_batch(good, tmp_path):
    (tmp_path / "p.yaml").write_text(PROFILE)
    text = changed(
        ("preset: resnet-50, batch: 64", "profile: p.yaml"),
        ("  device: {forward: 60 ms, backward: 120 ms}\n", ""),
    )
    scenario = good(text)
    assert (scenario.profile.name, scenario.profile.unit, scenario.profile.batch) == ("Net", "images", 32)
    assert scenario.profile.layers[0].backward == 0.002
    assert (scenario.model.batch, scenario.cluster.device) == (None, None)
    assert load_profile(tmp_path / "p.yaml") == scenario.profile


def test_problems_of_a_profile_come_with_those_of_the_scenario(problems, tmp_path):
    (tmp_path / "p.yaml").write_text(PROFILE.replace("batch: 32", "bath: 32").replace("2 ms", "2 m"))
    text = changed(("preset: resnet-50", "profile: p.yaml"), ("workers: 8", "workers: 0"))
    assert problems(text) == [
        "s.yaml:5:12: cluster.workers: 0 is zero, and may not be; write a whole number from 1 to 100000",
        "p.yaml:1:1: batch: required key 'batch' is missing; write 'batch: 64'",
        "p.yaml:2:1: bath: unknown key 'bath'; did you mean 'batch'?",
        "p.yaml:4:40: layers[0].backward: '2 m' has an unknown unit 'm'; write '2 ms' or '2 min'",
    ]


def test_a_device_may_be_a_preset_with_changes(good):
    assert good(changed(("{forward: 60 ms, backward: 120 ms}", "v100"))).cluster.device.preset == "v100"
    text = changed(("forward: 60 ms, backward: 120 ms", "preset: v100, memory: 32 GiB, efficiency: 0.5"))
    assert good(text).cluster.device.memory == 32 * 2**30


def test_strategies_are_found_by_name(good):
    scenario = good(QUICKSTART)
    assert scenario.strategy("allreduce-2").index == 3
    with pytest.raises(InputError) as caught:
        scenario.strategy("allreduce-3")
    assert str(caught.value) == (
        "s.yaml:9:3: strategies: no strategy is called 'allreduce-3'; did you mean 'allreduce-2'?"
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("cluster.device", (6, 11)),
        ("cluster.device.flops", (6, 11)),
        ("strategies[ps-async].servers", (10, 25)),
        ("strategies[3].algorithm", (12, 28)),
        ("strategies[3].nothing", (12, 5)),
        ("nothing", (2, 1)),
        ("a..b", (2, 1)),
    ],
)
def test_a_scenario_places_later_problems(good, path, place):
    problem = good(QUICKSTART).problem(path, "message", "fix")
    assert (problem.line, problem.col) == place
    assert (problem.file, problem.path, problem.message, problem.fix) == ("s.yaml", path, "message", "fix")


def test_a_scenario_never_changes(good):
    with pytest.raises(Exception, match="frozen"):
        good(QUICKSTART).cluster.workers = 3


def test_every_number_of_a_long_model_has_its_own_problem(problems):
    layers = "\n".join(f"    - {{name: l{i}, flops: {i} parsec}}" for i in range(1500))
    found = problems(
        changed(
            (
                "model: {preset: resnet-50, batch: 64, dtype: float32}",
                f"model:\n  batch: 2\n  layers:\n{layers}",
            )
        )
    )
    assert len(found) == 1001
    assert found[-1] == "s.yaml: 500 more problems are not shown; mend these first"
