"""Scaling: what is asked, what comes out, and what cannot be simulated somewhere."""

import csv
import io
import json

import pytest

import simpar
from simpar.errors import InputError
from simpar.result import BREAKDOWN, Comparison, Row
from simpar.scenario import change
from simpar.show import table_points
from simpar.study.points import Point
from simpar.study.scale import Scaling


def made(speedups, name="ring"):
    """Return a scaling of one strategy whose speedups are given by the number of workers; None: too large."""
    points = []
    for workers, speedup in speedups.items():
        row = Row(name, "allreduce", name, 1, speedup is not None, workers, 20e9, 16e9)
        if speedup is not None:
            parts = dict.fromkeys(BREAKDOWN, 0.0) | {"compute_s": workers / speedup}
            row = Row(
                name,
                "allreduce",
                name,
                1,
                True,
                workers,
                1e9,
                None,
                workers / speedup,
                speedup,
                speedup,
                parts,
            )
        facts = {
            "model": "m",
            "unit": "images",
            "batch": 1,
            "workers": workers,
            "bytes_per_s": None,
            "latency_s": None,
        }
        found = Comparison("s", 0, "reference", [row], facts | {"steps": 1, "seed": 0}, [])
        points.append(Point({"cluster.workers": workers}, found, {}))
    values = tuple(speedups)
    return Scaling("s", 0, "workers", "cluster.workers", values, False, 1, tuple(points), {name: name})


@pytest.mark.parametrize(
    ("speedups", "stops"),
    [
        ({1: 1.0, 2: 2.0, 4: 4.0}, None),
        ({1: 1.0, 2: 1.8, 4: 2.2, 8: 2.3}, 2),
        ({1: 1.0, 2: 1.5, 4: 2.5}, None),  # exactly half still pays
        ({1: 1.0, 2: 1.1, 4: 3.0, 8: 6.0}, None),  # a bad start, but later steps pay
        ({1: 1.0, 2: 1.1, 4: 3.0, 8: 3.5}, 4),
        ({1: 1.0, 2: 1.2, 4: 1.1}, 1),
        ({1: 1.0, 2: 1.9, 4: None, 8: 2.0}, 2),  # what has no figures is passed over
        ({8: 4.0}, None),
        ({8: None, 16: None}, None),
    ],
)
def test_it_stops_paying_where_no_later_step_is_worth_half_its_workers(speedups, stops):
    assert made(speedups).stops_paying == {"ring": stops}


def test_a_pipeline_of_more_workers_than_layers_says_why_and_stops_nobody(scene):
    scenario = scene("allreduce", "pipeline", layers=((1.0, 2.0, 100, 8.0),) * 3, batch=4)
    result = simpar.scale(scenario, "workers", [1, 2, 4, 8])

    assert [value for value, _ in result.curve("allreduce")] == [1, 2, 4, 8]
    assert [value for value, _ in result.curve("pipeline")] == [1, 2]
    assert result.points[2].why_not("pipeline") == "4 stages and 3 layers; write stages: 3 or fewer"
    said = table_points.scaling(result)
    assert "pipeline: no figures at 4 (and 8) workers: 4 stages and 3 layers" in said
    runs = result.to_dict()["runs"]
    assert runs[2]["refused"] == {"pipeline": "4 stages and 3 layers; write stages: 3 or fewer"}
    assert [row["name"] for row in runs[2]["strategies"]] == ["allreduce"]


def test_what_cannot_be_simulated_anywhere_is_an_error(scene):
    with pytest.raises(InputError, match="3 stages and 1 layers"):
        simpar.scale(scene("pipeline"), "workers", [3, 4])


def test_a_point_is_the_comparison_with_that_many_workers(scene):
    scenario = scene("ps-sync", "allreduce", workers=2)
    (two, four) = simpar.scale(scenario, "workers", [2, 4]).points

    assert two.comparison.to_dict()["strategies"] == [
        row | {"bottleneck": one.to_dict()["bottleneck"]}
        for row, one in zip(
            simpar.compare(scenario, advise=False).to_dict()["strategies"], two.comparison.rows, strict=True
        )
    ]
    assert four.comparison["allreduce"].workers == 4


def test_json_has_the_axis_the_runs_and_where_it_stops_paying(scene):
    result = simpar.scale(scene("allreduce"), "workers", "1:4:x2").to_dict()

    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["schema"] == 1
    assert result["axis"] == {"path": "cluster.workers", "values": [1, 2, 4]}
    assert [run["point"] for run in result["runs"]] == [{"cluster.workers": n} for n in (1, 2, 4)]
    assert result["stops_paying"].keys() == {"allreduce"}
    assert result["scaling"] == "weak"
    assert result["cheapest"] is None


def test_csv_has_a_line_for_each_strategy_at_each_number_of_workers(scene, tmp_path):
    scenario = scene("allreduce", "pipeline")
    text = simpar.scale(scenario, "workers", [1, 2]).to_csv(tmp_path / "scale.csv")

    lines = list(csv.DictReader(io.StringIO(text)))
    found = [(line["cluster.workers"], line["name"], bool(line["step_s"])) for line in lines]
    assert sorted(found) == [
        ("1", "allreduce", True),
        ("1", "pipeline", True),
        ("2", "allreduce", True),
        ("2", "pipeline", False),
    ]
    assert next(line["refused"] for line in lines if not line["step_s"]).startswith("2 stages and 1 layers")
    assert (tmp_path / "scale.csv").read_text() == text


def test_one_speed_a_worker_goes_with_no_other_number_of_workers(scene):
    scenario = scene("allreduce", workers=2, speed=[1.0, 0.5])

    with pytest.raises(InputError) as refused:
        simpar.scale(scenario, "workers", [1, 2, 4])
    (problem,) = refused.value.problems
    assert problem.path == "cluster.speed"
    assert "gives 2 speeds, and --scale goes from 1 to 4 workers" in problem.message
    assert simpar.scale(scenario, "workers", [2]).curve("allreduce")


@pytest.mark.parametrize("values", [[], [0, 1], [2, 1], [1.5], "1:4:x1"])
def test_values_from_python_are_checked_as_those_of_the_command(scene, values):
    with pytest.raises(InputError, match="--scale"):
        simpar.scale(scene("allreduce"), "workers", values)


def test_an_unknown_axis_is_refused_with_the_nearest(scene):
    with pytest.raises(InputError, match="did you mean 'workers'"):
        simpar.scale(scene("allreduce"), "wrkers", [1])


def test_progress_follows_every_strategy_at_every_point(scene):
    seen = []
    simpar.scale(
        scene("allreduce", "ps-sync"), "workers", [1, 2], progress=lambda *step: seen.append(step[:3])
    )

    assert list(dict.fromkeys(seen)) == [
        ("allreduce at 1", 1, 4),
        ("ps-sync at 1", 2, 4),
        ("allreduce at 2", 3, 4),
        ("ps-sync at 2", 4, 4),
    ]


def test_the_table_says_weak_or_strong_and_where_it_stops(scene):
    said = table_points.scaling(simpar.scale(scene("ps-sync", batch=2), "workers", [1, 2, 4]))

    assert said.startswith("model, batch 2 on each worker (weak scaling), 8 kbit/s")
    assert "ps-sync, 1 server   at 1 worker" in said


def test_many_points_begin_anew_below(scene):
    said = table_points.scaling(simpar.scale(scene("allreduce"), "workers", "1..12"))

    assert [line.split() for line in said.splitlines() if line.lstrip().startswith("workers")] == [
        ["workers", *map(str, range(1, 11))],
        ["workers", "11", "12"],
    ]


# -- the scenario at a point ----------------------------------------------------------------------


def test_a_changed_scenario_is_checked_whole_and_leaves_the_first_alone(scene):
    scenario = scene("allreduce", workers=2, speed=[1.0, 0.5])
    with pytest.raises(InputError, match="2 speeds are given for 3 workers"):
        change(scenario, {"cluster.workers": 3})
    with pytest.raises(InputError, match=r"--scale:1:1: cluster\.workers: 0 is zero"):
        change(scenario, {"cluster.workers": 0}, "--scale")

    changed = change(scenario, {"cluster.workers": 1, "cluster.speed": [0.5]})
    assert (changed.cluster.workers, scenario.cluster.workers) == (1, 2)
    again = change(changed, {"cluster.workers": 2, "cluster.speed": None})
    assert (again.cluster.workers, again.cluster.speed) == (2, None)


def test_a_changed_scenario_keeps_what_was_set_before(tmp_path):
    scenario = simpar.load("scenarios/quickstart.yaml", set={"run.steps": 3})

    assert change(scenario, {"cluster.workers": 4}).run.steps == 3


def test_a_strategy_that_does_not_go_with_a_point_leaves_the_others_theirs(tmp_path):
    """Two workers cannot update four times a round; two can run the rest, under their own names."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "model: {batch: 1, layers: [{name: a, flops: 1 GFLOP, parameters: 1000}]}\n"
        "cluster: {workers: 4, device: {flops: 1 GFLOP/s}}\n"
        "network: {bandwidth: 1 GB/s}\n"
        "strategies: [ps-async, ps-async: {softsync: 4}, ps-async]\n"
    )
    found = simpar.scale(file, "workers", [2, 4])
    two, four = found.points
    assert set(four.comparison) == {"ps-async", "ps-async-2", "ps-async-3"}
    assert set(two.comparison) == {"ps-async", "ps-async-3"}
    assert list(two.refused) == ["ps-async-2"]
    assert "less than one push an update" in two.refused["ps-async-2"]


def test_workers_and_machines_scale_whichever_the_scenario_counts(scene):
    """Workers that come two a machine: so many machines are twice as many workers."""
    scenario = scene("allreduce", workers=4, per_node=2, intra=(1e4, 0.0))
    machines = simpar.scale(scenario, "nodes", [1, 2])
    assert [machines.workers(value) for value in (1, 2)] == [2, 4]
    counted = simpar.scale(simpar.load(scenario.written.path, set={"cluster.nodes": 3}), "workers", [2, 4])
    for one, other in zip(machines.points, counted.points, strict=True):
        assert one.comparison.to_dict() == other.comparison.to_dict()
