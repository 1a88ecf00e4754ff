"""Overrides: ``--set path=value``."""
# ruff: noqa: E501 (tables of expected lines)

import pytest

from simpar.errors import InputError
from simpar.scenario import change, load, locate

TEXT = """\
model: {preset: resnet-50, batch: 64}
cluster: {workers: 8, device: v100}
network: {bandwidth: 25 Gbit/s}
strategies: [ps-sync, ps-async: , allreduce: {overlap: true}]
"""


@pytest.fixture
def read(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(TEXT)
    return lambda overrides: load(file, set=overrides)


@pytest.fixture
def problems(read):
    def check(*pairs):
        with pytest.raises(InputError) as caught:
            read(pairs)
        return [str(problem) for problem in caught.value.problems]

    return check


def test_values_are_changed_and_added(read):
    scenario = read(
        {
            "network.bandwidth": "10 Gbit/s",
            "strategies[ps-sync].servers": "4",
            "strategies[1].overlap": True,
            "strategies[allreduce].name": "ring",
            "strategies[ring].bucket": "25 MiB",
            "cluster.device.memory": "16 GB",
            "run.steps": 7,
            "name": "changed",
        }
    )
    ps_sync, ps_async, ring = scenario.strategies
    assert scenario.network.bandwidth == 1.25e9
    assert (ps_sync.options.servers, ps_async.options.overlap) == (4, True)
    assert (ring.name, ring.options.bucket, ring.options.overlap) == ("ring", 25 * 2**20, True)
    assert (scenario.cluster.device.preset, scenario.cluster.device.memory) == ("v100", 16e9)
    assert (scenario.run.steps, scenario.name) == (7, "changed")


def test_whole_sections_may_be_set(read):
    scenario = read([("strategies", "[single]"), ("cluster.speed", "[1, 1, 1, 1, 1, 1, 1, 0.5]")])
    assert [s.kind for s in scenario.strategies] == ["single"]
    assert scenario.cluster.speed[7] == 0.5


def test_the_last_override_of_a_path_wins(read):
    assert read([("cluster.workers", "2"), ("cluster.workers", "3")]).cluster.workers == 3


def test_a_list_of_layers_is_reached_by_index_and_name(tmp_path):
    file = tmp_path / "s.yaml"
    layers = "layers: [{name: a, flops: 1 FLOP}, {name: b, flops: 2 FLOP}]"
    file.write_text(TEXT.replace("preset: resnet-50", layers))
    scenario = load(file, set={"model.layers[1].flops": "5 FLOP", "model.layers[a].flops": "6 FLOP"})
    assert [layer.flops for layer in scenario.model.layers] == [6.0, 5.0]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("network.bandwidth", "25 Gb", "network.bandwidth: '25 Gb' is not a rate; write '25 Gbit/s' (bits) or"),
        ("network.bandwith", "5 B/s", "network.bandwith: unknown key 'bandwith'; did you mean 'bandwidth'?"),
        ("netwrk.latency", "5 us", "netwrk: unknown key 'netwrk'; did you mean 'network'?"),
        ("strategies[0].servrs", "5", "strategies[0].servrs: unknown key 'servrs'; did you mean 'servers'?"),
        ("strategies[ps-snc].servers", "5",
         "strategies[ps-snc].servers: strategies has no entry called 'ps-snc'; did you mean 'ps-sync'?"),
        ("strategies[3].servers", "5",
         "strategies[3].servers: strategies has 3 entries, none with index 3; write 0 to 2: ps-sync, ps-async, allreduce"),
        ("strategies.servers", "5", "strategies.servers: strategies is a list; write strategies[0]"),
        ("network.bandwidth.x", "5", "network.bandwidth.x: network.bandwidth is '25 Gbit/s', not a mapping"),
        ("model.layers[0].flops", "5", "model.layers[0].flops: there are no model.layers"),
        ("", "5", "'' is not a path"),
        ("a..b", "5", "a..b: 'a..b' is not a path"),
        ("a[", "5", "a[: 'a[' is not a path"),
        ("a.", "5", "a.: 'a.' is not a path"),
        ("[0]", "5", "[0]: '[0]' is not a path"),
        (".".join("abcdefghijklmnopqrstuvwxyz"), "5", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z: "),
        ("name", "[1", "name: not YAML"),
        ("name", "&a b", "name: anchors are not used here: '&a'; remove it"),
        ("name", "a: 1\nb: {c: 1, c: 2}", "name: 'c' is given twice"),
        ("cluster.workers", "", "cluster.workers: required key 'workers' is missing; write 'workers: 8'"),
        ("name", "\x1b", "name: '\\x1b' is not a printable character"),
        ("cluster.speed", "[1, 2]", "cluster.speed: 2 speeds are given for 8 workers"),
    ],
)  # fmt: skip
def test_a_wrong_override_names_its_option(problems, path, value, said):
    (line,) = problems(("run.seed", "1"), (path, value))
    assert line.startswith(f"--set:2:1: {said}")
    assert line.isprintable()


def test_problems_of_the_file_and_of_options_come_together(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(TEXT.replace("batch: 64", "batch: 0"))
    with pytest.raises(InputError) as caught:
        load(file, set={"cluster.workers": 0})
    assert [(p.file, p.line, p.path) for p in caught.value.problems] == [
        (str(file), 1, "model.batch"),
        ("--set", 1, "cluster.workers"),
    ]


def test_an_empty_override_unsets_what_may_be_unset(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(TEXT.replace("overlap: true", "bucket: 5 MB"))
    assert load(file, set={"strategies[allreduce].bucket": "null"}).strategies[2].options.bucket is None


@pytest.mark.parametrize("value", [object(), {1, 2}, {"a": object()}, {5: 1}, 10**400, b"x"])
def test_python_values_that_no_file_holds_are_refused(problems, value):
    (line,) = problems(("cluster.speed", value))
    assert line.startswith("--set:1:1: cluster.speed: ")


def test_a_list_within_itself_is_refused(problems):
    endless = []
    endless.append(endless)
    assert "nested deeper than 40 levels" in problems(("cluster.speed", endless))[0]


def test_a_path_is_located_in_the_plain_data():
    data = {"strategies": ["ps-sync", {"allreduce": {"overlap": True}}], "network": {}}
    assert locate(data, "strategies[allreduce].overlap") == ("strategies", 1, "allreduce", "overlap")
    assert locate(data, "strategies[0].servers") == ("strategies", 0, "ps-sync", "servers")
    assert locate(data, "network.latency") == ("network", "latency")
    assert data == {"strategies": ["ps-sync", {"allreduce": {"overlap": True}}], "network": {}}


@pytest.mark.parametrize(
    ("setting", "value", "gone", "section"),
    [
        ("model.global_batch", 512, "batch", "model"),
        ("cluster.nodes", 4, "workers", "cluster"),
    ],
)
def test_a_setting_takes_the_place_of_the_one_that_excludes_it(read, setting, value, gone, section):
    plain = read({setting: value}).written.data[section]
    assert plain[setting.partition(".")[2]] == value
    assert gone not in plain


def test_machines_take_the_place_of_workers_and_back(read):
    machines = {"cluster.nodes": 2, "cluster.devices_per_node": 4, "network.intra": "nvlink-3"}
    for changes in (machines | {"cluster.workers": None}, machines):
        scenario = read(changes)
        assert (scenario.cluster.workers, scenario.cluster.nodes) == (8, 2)
    back = change(scenario, {"cluster.workers": 12})
    assert (back.cluster.workers, back.cluster.nodes) == (12, None)


def test_two_overrides_that_exclude_each_other_are_refused(problems):
    (line,) = problems(("model.global_batch", "64"), ("model.batch", "8"))
    assert (
        line == "--set:1:1: model.global_batch: 'batch' and 'global_batch' are both given; keep one of them"
    )
    (line,) = problems(("cluster.nodes", "2"), ("cluster.workers", "8"))
    assert "'workers' and 'nodes' are both given" in line


def test_workers_unset_are_missing_where_nothing_stands_in_for_them(problems):
    (line,) = problems(("cluster.workers", "null"))
    assert line == "--set:1:1: cluster.workers: required key 'workers' is missing; write 'workers: 8'"


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("cluster.device=a100_80", "a100-80"),
        ("cluster.instance=p3_16xlarge", "p3.16xlarge"),
        ("prices={p3_16xlarge: 3 USD/h}", "p3.16xlarge"),
        ("prices={a100_80: 3 USD/h}", "a100-80"),
    ],
)
def test_the_name_that_is_meant_is_spelt_as_it_is_written(problems, setting, meant):
    path, _, value = setting.partition("=")
    (line,) = problems((path, value))
    assert f"did you mean '{meant}'?" in line
