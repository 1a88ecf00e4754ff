"""Machines side by side: names, prices, what fits, and times that belong to one device."""

import csv
import io
import json

import pytest

import simpar
from simpar.errors import InputError
from simpar.show import table_points
from simpar.study.machines import settings_of

SCENARIO = {
    "name": "machines",
    "model": {"preset": "resnet-50", "batch": 64},
    "cluster": {"workers": 2, "device": "v100"},
    "network": {"bandwidth": "10 Gbit/s"},
    "strategies": ["allreduce", {"ps-sync": {"servers": 2}}],
    "run": {"steps": 2, "collectives": "closed_form"},
}


@pytest.fixture
def written(tmp_path):
    def write(**sections):
        file = tmp_path / "machines.yaml"
        file.write_text(json.dumps(SCENARIO | sections))
        return file

    return write


def test_a_device_gives_what_the_scenario_gives_with_it(written):
    result = simpar.machines(written(), ["t4", "h100"])

    for device, point in zip(result.devices, result.points, strict=True):
        alone = simpar.compare(written(), set={"cluster.device": device}, advise=False)
        assert {row.name: row.step_s for row in point.comparison.rows} == {
            row.name: row.step_s for row in alone.rows
        }
    assert [device for device, _ in result.ranked] == ["h100", "h100", "t4", "t4"]
    assert result.fastest[0] == "h100"


def test_a_device_without_a_price_says_so_and_the_rest_works(written):
    result = simpar.machines(written(prices={"v100": "3 USD/h"}), ["v100", "h100"])
    said = table_points.machines(result)

    assert result.cheapest[0] == "v100"
    assert "No price: h100 (write prices: {h100: 2.50 USD/h})." in said
    assert all("no price" in line for line in said.splitlines() if line.startswith("  h100"))
    assert [row.usd_per_hour for device, row in result.ranked if device == "v100"] == [6.0, 6.0]


def test_without_any_price_there_is_no_money_in_the_table(written):
    said = table_points.machines(simpar.machines(written(), ["v100"]))

    assert "USD" not in said
    assert "Cheapest" not in said


def test_what_does_not_fit_or_has_no_rate_says_so(written):
    model = {"preset": "bert-large", "batch": 48, "dtype": "float16"}
    result = simpar.machines(written(model=model), ["k80", "v100", "h100"])
    said = table_points.machines(result)

    assert {device for device, _ in result.ranked} == {"h100"}
    assert "  k80: device k80 has no rate for float16" in said
    assert sum(line.startswith("  v100, ") and "does not fit" in line for line in said.splitlines()) == 2
    assert result.to_dict()["runs"][0]["strategies"] == []


def test_unknown_names_are_all_said_at_once(written):
    with pytest.raises(InputError) as refused:
        simpar.machines(written(), ["h10", "v100", "v100", "foo"])

    assert [problem.message for problem in refused.value.problems] == [
        "unknown device 'h10'",
        "'v100' is given twice",
        "unknown device 'foo'",
    ]
    assert refused.value.problems[0].fix == "did you mean 'h100'?"


def test_names_between_which_commas_are_missing_are_offered_with_them(written):
    with pytest.raises(InputError, match="'v100 h100'; write v100,h100"):
        simpar.machines(written(), ["v100 h100"])


@pytest.mark.parametrize("names", [[], [""]])
def test_no_name_is_refused(written, names):
    with pytest.raises(InputError, match="names no device"):
        simpar.machines(written(), names)


def test_layers_timed_on_one_device_go_to_no_other():
    with pytest.raises(InputError, match="times do not carry over to another") as refused:
        simpar.machines("scenarios/pipedream-vgg16.yaml", ["v100"])

    (problem,) = refused.value.problems
    assert problem.path == "model.profile"


def test_times_and_figures_of_the_own_device_are_left_behind_and_it_is_said(written):
    device = {"forward": "60 ms", "backward": "120 ms"}
    result = simpar.machines(written(cluster={"workers": 2, "device": device}), ["v100"])
    preset = simpar.machines(written(), ["v100"])

    assert [row.step_s for _, row in result.ranked] == [row.step_s for _, row in preset.ranked]
    said = "cluster.device.backward, cluster.device.forward had no effect"
    assert any(note.startswith(said) for note in result.notes)
    assert not any(note.startswith("cluster.device") for note in preset.notes)


def test_json_and_csv_have_every_device(written):
    result = simpar.machines(written(prices={"v100": "3 USD/h"}), ["v100", "h100"])
    found = result.to_dict()

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["axis"] == {"path": "cluster.device", "values": ["v100", "h100"]}
    assert [run["point"]["cluster.device"] for run in found["runs"]] == ["v100", "h100"]
    assert found["fastest"]["device"] == "h100"
    assert found["cheapest"]["device"] == "v100"
    lines = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert sorted(line["device"] for line in lines) == ["h100", "h100", "v100", "v100"]


def test_a_name_says_which_setting_it_is():
    assert next(iter(settings_of("h100").items())) == ("cluster.device", "h100")


def test_the_head_says_only_what_is_the_same_on_every_machine(written):
    result = simpar.machines(written(), ["v100", "h100"])

    assert result.facts["workers"] == 2
    assert result.facts["device"] is None
    assert table_points.machines(result).startswith(
        "ResNet-50, batch 64 on each of 2 workers, 10 Gbit/s, 0 s"
    )


@pytest.mark.parametrize(
    "around",
    [
        {},
        {"cluster": {"instance": "p3.16xlarge"}},
        {"cluster": {"instance": "p3.16xlarge", "workers": 16}},
        {"cluster": {"instance": "p3.2xlarge", "nodes": 4}},
        {"network": {"latency": "1 us", "intra": {"bandwidth": "100 GB/s"}}},
        {"network": {"bandwidth": "10 Gbit/s"}},
    ],
)
def test_a_device_is_put_into_the_machines_of_an_instance(around):
    """A p3 has V100s: with its own device in it, a machine is as fast as ever."""
    scenario = {
        "model": {"preset": "resnet-50", "batch": 64},
        "cluster": {"instance": "p3.16xlarge", "nodes": 2},
        "strategies": ["allreduce", {"ps-sync": {"servers": 2}}],
        "run": {"steps": 2},
    }
    scenario |= around
    instance = scenario["cluster"]["instance"]
    result = simpar.machines(scenario, ["v100", instance, "h100"])
    device, machine, other = (point.comparison for point in result.points)
    for name in ("allreduce", "ps-sync"):
        assert device[name].workers == machine[name].workers == other[name].workers
        assert device[name].step_s == pytest.approx(machine[name].step_s, rel=1e-12)
        assert other[name].step_s < machine[name].step_s
        assert device[name].usd_per_hour is None
        assert machine[name].usd_per_hour > 0
    assert any(note.startswith(f"devices are put into machines like a {instance}") for note in result.notes)
    alone = simpar.machines(scenario, [instance])
    assert not any("put into" in note for note in alone.notes)
