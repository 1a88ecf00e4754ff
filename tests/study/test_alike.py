"""Strategies that a setting does not concern are simulated once, and come out as they would each time."""

import json
from dataclasses import replace

import pytest

import simpar
from simpar.scenario import change
from simpar.strategies import prepare
from simpar.study import compare, runs
from simpar.study.alike import Alike
from simpar.study.compare import compare_each

RING = {"topology": {"kind": "ring"}}
TREE = {"topology": {"kind": "tree", "rack": 2, "oversubscription": 4}}


@pytest.fixture
def compiled(monkeypatch):
    """The names of the strategies that are compiled, one after another."""
    names, real = [], compare.nominal

    def counting(setting):
        names.append(setting.strategy.name)
        return real(setting)

    monkeypatch.setattr(compare, "nominal", counting)
    return names


def points(scenario, settings):
    """Return the comparisons of *scenario* with each of *settings*, made with one memory and with none."""
    alike = Alike()
    changed = [change(scenario, one) for one in settings]
    found = [compare_each(one, alike=alike)[0] for one in changed]
    return [one.to_dict() for one in found], [compare_each(one)[0].to_dict() for one in changed]


def test_an_option_of_one_strategy_leaves_the_others_as_they_are(scene, compiled):
    scenario, alike = scene("ps-sync", "ps-async", "allreduce"), Alike()

    for servers in (1, 2, 1):
        compare_each(change(scenario, {"strategies[ps-async].servers": servers}), alike=alike)
    assert compiled == ["ps-sync", "ps-async", "allreduce", "ps-async"]


def test_a_setting_of_all_strategies_leaves_none_as_it_is(scene, compiled):
    scenario, alike = scene("ps-sync", "allreduce"), Alike()

    for latency in ("1 s", "2 s"):
        compare_each(change(scenario, {"network.latency": latency}), alike=alike)
    assert compiled == ["ps-sync", "allreduce"] * 2


@pytest.mark.parametrize("network", [{}, RING, TREE], ids=["star", "ring", "tree"])
def test_what_is_found_again_is_what_a_simulation_gives(scene, network):
    """In a ring, each server has a place between the workers, so an all-reduce has longer ways."""
    scenario = scene({"ps-sync": {"servers": 1}}, "allreduce", workers=4, latency=1.0, network=network)
    settings = [
        {"strategies[ps-sync].servers": servers, "network.bandwidth": rate}
        for rate in ("500 B/s", "1000 B/s")
        for servers in (1, 2, 3)
    ]

    found, expected = points(scenario, settings)
    assert json.dumps(found) == json.dumps(expected)


def test_in_a_ring_every_strategy_depends_on_all_servers(scene, compiled):
    scenario, alike = scene("ps-sync", "allreduce", workers=4, network=RING), Alike()

    for servers in (1, 2):
        compare_each(change(scenario, {"strategies[ps-sync].servers": servers}), alike=alike)
    assert compiled == ["ps-sync", "allreduce"] * 2


def test_a_file_that_has_changed_is_read_again(tmp_path):
    """One layer of 1 s forward and 2 s backward, then of 2 s and 4 s."""
    layer = {"name": "l", "parameters": 10, "activation": "1 B"}
    profile, file = tmp_path / "model.json", tmp_path / "s.json"

    def write(forward, backward):
        timed = {**layer, "forward": forward, "backward": backward}
        profile.write_text(json.dumps({"name": "m", "batch": 1, "layers": [timed]}))

    write("1 s", "2 s")
    whole = {"model": {"profile": "model.json"}, "cluster": {"workers": 1}, "strategies": ["single"]}
    file.write_text(json.dumps(whole))
    scenario, alike = simpar.load(file), Alike()
    steps = [compare_each(change(scenario, {}), alike=alike)[0].rows[0].step_s]
    write("2 s", "4 s")
    steps.append(compare_each(change(scenario, {}), alike=alike)[0].rows[0].step_s)
    assert steps == pytest.approx([3.0, 6.0])


def test_what_was_not_asked_for_longest_is_forgotten_first(scene):
    """Each program of one device has the tasks of the first; two of three fit."""
    scenario = scene("single")
    settings = [prepare(change(scenario, {"run.steps": steps}), "single") for steps in (3, 4, 5)]
    (row,) = compare_each(scenario)[0].rows
    program = compare.nominal(settings[0])
    alike = Alike(most_tasks=2 * len(program))

    alike.keep(settings[0], program, row)
    alike.keep(settings[1], program, row)
    assert alike.find(settings[0]) == (program, row)
    alike.keep(settings[2], program, replace(row, name="third"))
    assert [alike.find(one) is not None for one in settings] == [True, False, True]


def test_points_that_differ_in_strategies_only_are_simulated_one_after_another(scene, monkeypatch):
    """And the points of a study stand in the order in which they were asked for."""
    seen, real = [], runs.simulate_point
    monkeypatch.setattr(
        runs, "simulate_point", lambda packed, changes: seen.append(changes) or real(packed, changes)
    )
    axes = {"strategies[ps-sync].servers": [1, 2], "network.latency": ["1 s", "2 s"]}
    study = simpar.whatif(scene("ps-sync", "allreduce"), axes, jobs=1)

    asked = [(servers, latency) for servers in (1, 2) for latency in ("1 s", "2 s")]
    assert [tuple(point.settings.values()) for point in study.points] == asked
    assert [tuple(one.values()) for one in seen] == sorted(asked, key=lambda one: one[1])
