"""What-if studies: which points there are, what is kept of them, and what the axes are worth."""

import csv
import io
import json
import math
import sqlite3
import subprocess
import sys

import pytest

import simpar
from simpar.errors import InputError
from simpar.result import Comparison, Row
from simpar.show import plot_maps, table_whatif
from simpar.study import runs
from simpar.study.axes import Axis, plan
from simpar.study.points import Point
from simpar.study.store import APPLICATION_ID, FORMAT, Store
from simpar.study.whatif import Study


@pytest.fixture
def simulated(monkeypatch):
    """The settings of every point that is simulated, not found in a store."""
    seen, real = [], runs.simulate_point

    def counting(packed, changes):
        seen.append(dict(changes))
        return real(packed, changes)

    monkeypatch.setattr(runs, "simulate_point", counting)
    return seen


def made(steps, axes, layout="grid"):
    """Return a study whose steps are given by strategy and point."""
    points = []
    for number, settings in enumerate(_settings(axes, layout)):
        rows = sorted(
            (Row(n, "single", n, 1, True, 1, 1.0, None, s[number], 1 / s[number]) for n, s in steps.items()),
            key=lambda row: row.step_s,
        )
        points.append(Point(settings, Comparison("s", 0, "reference", rows, {}, []), {}))
    return Study("s", 0, axes, layout, tuple(points), {name: name for name in steps})


def _settings(axes, layout):
    from simpar.study.axes import Plan

    return Plan(axes, layout).settings


# -- points ----------------------------------------------------------------------------------------


def test_a_grid_is_row_major_with_the_last_axis_fastest(scene):
    planned = plan(scene("allreduce"), {"cluster.workers": [2, 4], "run.steps": "1..3"})

    assert [tuple(one.values()) for one in planned.settings] == [(w, n) for w in (2, 4) for n in (1, 2, 3)]


def test_a_zip_takes_values_in_step_and_refuses_uneven_ones(scene):
    scenario = scene("allreduce")
    planned = plan(scenario, {"cluster.workers": [2, 4], "run.steps": [3, 5]}, zipped=True)

    assert [tuple(one.values()) for one in planned.settings] == [(2, 3), (4, 5)]
    with pytest.raises(InputError, match=r"workers has 2, run\.steps has 3"):
        plan(scenario, {"cluster.workers": [2, 4], "run.steps": [3, 5, 7]}, zipped=True)


def test_a_sample_has_one_point_in_each_slice_of_every_axis(scene):
    scenario = scene("allreduce", run={"seed": 7})
    vary = {"network.bandwidth": "0 B/s:1000 B/s:1 B/s", "cluster.workers": "2,4"}
    planned = plan(scenario, vary, sample=10)

    bandwidth, workers = planned.axes
    assert sorted(int(one // 100) for one in bandwidth.numbers) == list(range(10))
    assert sorted(workers.values) == [2] * 5 + [4] * 5
    assert plan(scenario, vary, sample=10) == planned
    assert plan(scene("allreduce", run={"seed": 8}), vary, sample=10) != planned


def test_a_huge_grid_says_how_large_it_is_and_that_it_can_be_sampled(scene):
    axes = {"cluster.workers": "1:1000", "run.steps": "1:1000", "run.warmup": "1:1000"}

    with pytest.raises(InputError, match=r"makes 1,000,000,000 points.*--sample N"):
        plan(scene("allreduce"), axes)
    assert len(plan(scene("allreduce"), axes, sample=5).settings) == 5


def test_a_huge_range_of_factors_is_counted_not_written_out(scene):
    """1 to 1e30 by 1.000001 are as many values as 30 ln 10 is times ln 1.000001, and one."""
    count = int(30 * math.log(10) / math.log1p(1e-6)) + 1
    axes = {"network.latency": "1 s:1e30 s:x1.000001", "run.steps": "1:2"}

    with pytest.raises(InputError, match=rf"{count:,} x 2 makes {2 * count:,} points"):
        plan(scene("allreduce"), axes)


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({}, "nothing is varied"),
        ({"cluster.workers": []}, "has no values"),
        ({"network.bandwith": ["1 GB/s"]}, "did you mean 'bandwidth'"),
        ({"network.bandwidth": "25 Gb"}, "is not a rate"),
        ({"strategies[alreduce].bucket": "1 MB"}, "did you mean 'allreduce'"),
        ({"strategies[0].bucket": "1 MB", "strategies[allreduce].bucket": "2 MB"}, "is the same as"),
        ({"network.bandwidth": "1 GB/s", "network": "ethernet-25"}, "would overwrite network.bandwidth"),
        ({"cluster.workers": [0, 2]}, "0 is zero"),
    ],
)
def test_wrong_axes_are_refused_before_anything_runs(scene, simulated, vary, said):
    with pytest.raises(InputError, match=said):
        simpar.whatif(scene("allreduce"), vary)
    assert simulated == []


def test_a_point_is_the_comparison_with_its_settings(scene):
    scenario = scene("ps-sync", "allreduce")
    study = simpar.whatif(scenario, {"cluster.workers": [2, 3], "network.latency": "0 s,1 s"})

    for point in study.points:
        alone = simpar.compare(simpar.scenario.change(scenario, point.settings), advise=False)
        assert point.comparison.to_dict() == alone.to_dict()
        assert point.comparison.facts == alone.facts


def test_what_cannot_be_simulated_at_a_point_stops_no_other(scene):
    scenario = scene("allreduce", "pipeline", layers=((1.0, 2.0, 100, 8.0),) * 2, batch=4)
    study = simpar.whatif(scenario, {"cluster.workers": [2, 4], "cluster.speed": ["[1, 1]", None]})

    assert [point.row("allreduce") is not None for point in study.points] == [True, True, False, True]
    assert "2 speeds are given for 4 workers" in study.points[2].refused["allreduce"]
    assert study.points[3].row("pipeline") is None
    assert "no figures at cluster.workers=4" in table_whatif.study(study)


def test_nothing_at_any_point_is_an_error(scene):
    with pytest.raises(InputError, match="3 stages and 1 layers"):
        simpar.whatif(scene("pipeline"), {"cluster.workers": [3, 4]})


def test_a_fault_at_one_point_is_said_and_not_kept(scene, monkeypatch, tmp_path):
    real = runs.compare_each

    def faulty(scenario, **more):
        if scenario.cluster.workers == 3:
            raise ZeroDivisionError("oh")
        return real(scenario, **more)

    monkeypatch.setattr(runs, "compare_each", faulty)
    store = tmp_path / "runs.sqlite"
    study = simpar.whatif(scene("allreduce"), {"cluster.workers": [2, 3, 4]}, store=store)

    assert [winner is None for winner in study.winners] == [False, True, False]
    assert study.points[1].refused == {"allreduce": "internal error: ZeroDivisionError: oh"}
    assert sqlite3.connect(store).execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_json_and_csv_have_every_run(scene, tmp_path):
    study = simpar.whatif(scene("ps-sync", "allreduce"), {"cluster.workers": [2, 3], "run.steps": [3, 5]})

    found = study.to_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["axes"] == [
        {"path": "cluster.workers", "values": [2, 3]},
        {"path": "run.steps", "values": [3, 5]},
    ]
    assert [run["point"]["run.steps"] for run in found["runs"]] == [3, 5, 3, 5]
    lines = list(csv.DictReader(io.StringIO(study.to_csv(tmp_path / "runs.csv"))))
    assert [(one["cluster.workers"], one["run.steps"]) for one in lines[::2]] == [
        ("2", "3"), ("2", "5"), ("3", "3"), ("3", "5"),
    ]  # fmt: skip


def test_an_axis_without_effect_is_said(scene):
    study = simpar.whatif(scene("allreduce"), {"cluster.workers": [2, 3], "run.seed": [1, 2]})

    assert "run.seed had no effect: the figures are the same at each of its values" in study.notes
    assert not any(note.startswith("cluster.workers had") for note in study.notes)


# -- what the axes are worth -----------------------------------------------------------------------


def test_the_elasticity_of_a_power_is_its_exponent():
    axis = Axis("a", (1, 2, 4, 8))
    study = made({"x": [3 * n**-0.5 for n in axis.values], "y": [2.0] * 4}, (axis,))

    x, y = study.sensitivities
    assert x.elasticity == pytest.approx([-0.5] * 4)
    assert y.elasticity == pytest.approx([0.0] * 4)


def test_elasticities_are_along_one_axis_with_the_others_equal():
    axes = (Axis("a", (1, 2, 4)), Axis("b", ("u", "v")), Axis("c", ("1 us", "3 us")))
    steps = [a**2 * b / c for a in (1, 2, 4) for b in (1.0, 5.0) for c in (1e-6, 3e-6)]
    found = {one.path: one.elasticity for one in made({"x": steps}, axes).sensitivities}

    assert found.keys() == {"a", "c"}
    assert found["a"] == pytest.approx([2.0] * 12)
    assert found["c"] == pytest.approx([-1.0] * 12)


def test_a_sample_is_fitted():
    a, b = (1, 2, 3, 5, 8), (5, 1, 4, 2, 3)
    axes = (Axis("a", a), Axis("b", b))
    study = made({"x": [7 * x**-1.5 * y**0.25 for x, y in zip(a, b, strict=True)]}, axes, "sample")

    assert [one.elasticity for one in study.sensitivities] == [
        pytest.approx((-1.5,)),
        pytest.approx((0.25,)),
    ]


def test_the_step_of_synchronous_servers_falls_with_bandwidth_as_the_formula_says(scene):
    """step = Z + 2 W n / (S B), so its elasticity with respect to B is -(2 W n / (S B)) / step."""
    z, workers, servers, n = 3.0, 4, 2, 4000
    scenario = scene(
        {"ps-sync": {"servers": servers}},
        layers=((1.0, 2.0, n // 4, 0.0),),
        workers=workers,
        run={"steps": 4},
    )
    study = simpar.whatif(scenario, {"network.bandwidth": "980 B/s,1000 B/s,1020 B/s"})

    (found,) = study.sensitivities
    wire = 2 * workers * n / (servers * 1000)
    assert study.points[1].row("ps-sync").step_s == pytest.approx(z + wire)
    expected = -wire / (z + wire)
    assert found.elasticity[1] == pytest.approx(expected, rel=1e-3)  # the difference is of second order
    exact = math.log((z + wire / 1.02) / (z + wire / 0.98)) / math.log(1.02 / 0.98)
    assert found.elasticity[1] == pytest.approx(exact, rel=1e-9)


def test_the_winner_changes_where_the_steps_cross():
    axes = (Axis("b", ("u", "v")), Axis("a", (1, 2, 4)))
    study = made({"x": [1.0, 2.0, 4.0] * 2, "y": [3.0, 3.0, 3.0, 9.0, 9.0, 9.0]}, axes)

    assert study.winners == ["x", "x", "y", "x", "x", "x"]
    assert [(one.path, one.before, one.after) for one in study.switches] == [("a", 1, 2), ("b", 2, 5)]


def test_those_equally_fast_are_all_named():
    """Within 1e-9, which is no more than what sums in another order differ by."""
    axis = Axis("a", (1, 2, 4))
    steps = {"x": [1.0, 2.0, 4.0], "y": [1.0 - 1e-12, 3.0, 3.0], "z": [5.0, 5.0, 3.0 + 1e-12]}
    study = made(steps, (axis,))
    facts = {"model": "m", "unit": "images", "steps": 1}
    for point in study.points:
        point.comparison.facts.update(facts)

    assert study.fastest == [("x", "y"), ("x",), ("y", "z")]
    assert study.winners == ["x", "x", "y"]
    text = table_whatif.study(study)
    assert "Fastest: x at 2 of 3 points, y at 2 of 3 points, z at 1 of 3 points; equally fast at 2." in text
    assert "with x, y at a=1." in text
    assert "  a from 2 to 4: x gives way to y, z" in text
    ends = [line[-6:].strip() for line in text.splitlines()[4:7]]
    assert ends == ["x, y", "x", "y, z"]


def test_maps_and_table_agree_on_who_is_fastest(scene):
    """One worker has nobody to talk to: every strategy takes as long."""
    scenario = scene("ps-sync", "allreduce", "single")
    study = simpar.whatif(scenario, {"cluster.workers": [1, 2], "network.latency": "0 s,1 s"})

    assert study.fastest[0][-2:] == ("allreduce", "single")
    assert [plot_maps.winner(study, number) for number in range(4)] == study.winners


# -- the store -------------------------------------------------------------------------------------


def test_the_same_study_again_simulates_nothing(scene, simulated, tmp_path):
    scenario, store = scene("ps-sync"), tmp_path / "runs.sqlite"
    first = simpar.whatif(scenario, {"cluster.workers": [2, 3]}, store=store)
    again = simpar.whatif(scenario, {"cluster.workers": "2,3"}, store=store)
    more = simpar.whatif(scenario, {"cluster.workers": [1, 2, 3]}, store=store)

    assert [one["cluster.workers"] for one in simulated] == [2, 3, 1]
    assert again.to_dict() == first.to_dict()
    assert more.points[1:] == again.points
    assert table_whatif.study(again) == table_whatif.study(first)


def test_a_scenario_that_says_something_else_is_simulated_anew(scene, simulated, tmp_path):
    store, axis = tmp_path / "runs.sqlite", {"cluster.workers": [2]}
    file = tmp_path / "mine.yaml"
    times = tmp_path / "times.txt"
    times.write_text("1\n2\n")
    text = (
        "model: {batch: 1, layers: [{name: a, forward: 1 s, backward: 1 s, parameters: 9}]}\n"
        "cluster: {workers: 2}\nnetwork: {bandwidth: 1 MB/s}\nstrategies: [allreduce]\nrun: {steps: 3}\n"
        "variation: {compute: {kind: empirical, file: times.txt, mean: 1}, replications: 1}\n"
    )
    file.write_text(text)
    for _ in range(2):
        simpar.whatif(file, axis, store=store)
    assert len(simulated) == 1
    times.write_text("1\n3\n")
    simpar.whatif(file, axis, store=store)
    assert len(simulated) == 2
    file.write_text("# a comment changes nothing\n" + text)
    simpar.whatif(file, axis, store=store)
    assert len(simulated) == 2
    simpar.whatif(file, axis, store=store, set={"run.seed": 1})
    assert len(simulated) == 3


def test_a_broken_entry_is_simulated_anew(scene, simulated, tmp_path):
    scenario, store = scene("ps-sync"), tmp_path / "runs.sqlite"
    first = simpar.whatif(scenario, {"cluster.workers": [2]}, store=store)
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE runs SET value = ?", (b"rubbish",))
    connection.close()

    assert simpar.whatif(scenario, {"cluster.workers": [2]}, store=store).to_dict() == first.to_dict()
    simpar.whatif(scenario, {"cluster.workers": [2]}, store=store)
    assert len(simulated) == 2


def test_a_store_is_marked_as_one(tmp_path):
    Store.open(tmp_path / "new.sqlite").close()

    connection = sqlite3.connect(tmp_path / "new.sqlite")
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()
    Store.open(tmp_path / "new.sqlite").close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda file: file.write_text("hello, I am a text and not a database\n" * 100), "is not a store"),
        (lambda file: file.mkdir(), "is a folder"),
        (lambda file: _database(file, "CREATE TABLE a (b)"), "is not a store"),
        (
            lambda file: _database(file, f"PRAGMA application_id={APPLICATION_ID}", "PRAGMA user_version=99"),
            f"has format 99, and this simpar reads format {FORMAT}",
        ),
    ],
)
def test_what_is_no_store_is_refused_and_left_alone(tmp_path, make, said):
    file = tmp_path / "x.sqlite"
    make(file)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(InputError, match=said):
        Store.open(file)
    assert before is None or file.read_bytes() == before


def _database(file, *statements):
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_full_disk_loses_nothing_but_the_keeping(scene, tmp_path, simulated):
    store = Store.open(tmp_path / "runs.sqlite")
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then says that the disk is full
    study = simpar.whatif(scene("ps-sync"), {"cluster.workers": "1..30"}, store=store, jobs=1)

    assert "full" in store.trouble
    assert None not in study.winners
    store.close()


def test_two_at_once_share_a_store(tmp_path):
    one, two = (Store.open(tmp_path / "runs.sqlite") for _ in range(2))
    for number in range(20):
        (one, two)[number % 2].put(bytes([number]), b"value %d" % number)
        (one, two)[number % 2].put(bytes([number // 2]), b"value %d" % (number // 2))

    assert one.find([bytes([n]) for n in range(20)]) == {n: b"value %d" % n for n in range(20)}
    assert (one.trouble, two.trouble) == ("", "")
    one.close()
    two.close()


# -- processes -------------------------------------------------------------------------------------


def test_any_number_of_processes_gives_the_same(scene):
    scenario, axis = scene("ps-sync", "ps-async"), {"cluster.workers": "1..9"}

    assert simpar.whatif(scenario, axis, jobs=2).to_dict() == simpar.whatif(scenario, axis, jobs=1).to_dict()


OUTGROWN = """
from joblib.externals.loky import process_executor
import simpar
from simpar.study import runs

real = runs._in_worker

def outgrown(*job):  # defined here, so that worker processes are sent it as it is
    from joblib.externals.loky import process_executor
    process_executor._MAX_MEMORY_LEAK_SIZE, process_executor._MEMORY_LEAK_CHECK_DELAY = -1e15, 0
    return real(*job)

if __name__ == "__main__":
    assert process_executor._USE_PSUTIL and process_executor._MAX_MEMORY_LEAK_SIZE > 0
    runs._in_worker = outgrown
    study = simpar.whatif("scenarios/own-layers.yaml", {"cluster.workers": "2..9"}, jobs=2)
    print(len(study.points))
"""


@pytest.mark.slow
def test_worker_processes_that_have_grown_are_replaced_without_a_word(tmp_path):
    pytest.importorskip("psutil")  # by which they notice
    (tmp_path / "outgrown.py").write_text(OUTGROWN)
    done = subprocess.run([sys.executable, tmp_path / "outgrown.py"], capture_output=True, check=False)

    assert (done.stdout, done.stderr, done.returncode) == (b"8\n", b"", 0)


def test_few_points_start_no_processes(scene, simulated):
    simpar.whatif(scene("allreduce"), {"cluster.workers": "1..7"}, jobs=2)

    assert len(simulated) == 7


def test_progress_counts_what_was_kept(scene, tmp_path):
    scenario, store, seen = scene("allreduce"), tmp_path / "runs.sqlite", []
    simpar.whatif(scenario, {"cluster.workers": [2]}, store=store)
    simpar.whatif(scenario, {"cluster.workers": [2, 3]}, store=store, progress=lambda *now: seen.append(now))

    assert seen == [(1, 2, 1), (2, 2, 1)]
