"""What holds for random times, whatever is drawn: the same luck for every strategy, and again tomorrow."""

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import any_scenario
import numpy as np
import pytest

import simpar
from simpar.result import Measured

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"

KINDS = [
    {"ps-sync": {"servers": 2}},
    {"ps-async": {"overlap": True}},
    {"ps-ssp": {"staleness": 1}},
    {"allreduce": {"overlap": True, "bucket": "1 kB"}},
]

SAME = {
    "layers": [(0.1, 0.3, 300, 64.0), (0.2, 0.4, 500, 32.0), (0.1, 0.2, 200, 16.0)],
    "workers": 3,
    "bandwidth": 1e4,
    "latency": 1e-3,
    "server": {"add_rate": 1e5, "update_rate": 1e5},
}

EVERYTHING = {
    "compute": {"kind": "lognormal", "mean": 1, "cv": 0.4},
    "link": {"kind": "exponential", "mean": 1, "cv": 0.5},
    "server": {"kind": "uniform", "mean": 1, "cv": 0.3},
    "stragglers": [{"probability": 0.2, "factor": 3, "steps": 2}, {"worker": 1, "factor": 1.5}],
}


def computed(trace, iterations):
    """Return the seconds that each worker computes by (worker, iteration)."""
    found = defaultdict(float)
    for task, iteration, start, end in zip(
        trace.task.tolist(),
        trace.iteration.tolist(),
        trace.start_s.tolist(),
        trace.end_s.tolist(),
        strict=True,
    ):
        op = trace.program.ops[task]
        if op.kind in ("forward", "backward") and iteration < iterations:
            found[op.worker, iteration] += end - start
    return dict(found)


# Common random numbers


def test_every_strategy_meets_the_same_luck(scene):
    """A worker computes as long in iteration m of one strategy as of another, read off the traces.

    However many tasks it is cut into: each is rounded to a picosecond, and an end is a sum of floats.
    """
    scenario = scene(*KINDS, **SAME, speed=[1.0, 0.7, 1.2], variation=EVERYTHING, run={"steps": 6, "seed": 3})
    for replication in range(3):
        first, *others = (
            computed(simpar.simulate(simpar.compile(scenario, one.name, replication)), 8)
            for one in scenario.strategies
        )
        assert len(set(first.values())) == 3 * 8
        for other in others:
            assert other == pytest.approx(first, abs=1e-11)


def test_the_stages_of_a_pipeline_meet_the_luck_of_their_workers(scene):
    scenario = scene("allreduce", {"pipeline": {"microbatches": 3}}, **SAME, variation=EVERYTHING, batch=3)
    data, pipeline = (simpar.compile(scenario, one.name) for one in scenario.strategies)
    for task, op in enumerate(pipeline.ops):
        if op.kind in ("forward", "backward"):
            whole = data.task(f"w{op.worker}.backward")
            longer = [
                program.durations[t] / program.seconds[t] for program, t in ((pipeline, task), (data, whole))
            ]
            assert longer[0] == pytest.approx(longer[1], rel=1e-10)


def test_one_device_alone_meets_the_luck_of_everybody_in_turn(scene):
    """It computes the batches of all workers, each with the factor which that worker has."""
    scenario = scene("single", "allreduce", **SAME, variation={"compute": EVERYTHING["compute"]})
    alone, together = (simpar.compile(scenario, one.name) for one in scenario.strategies)
    factors = defaultdict(set)
    for task, op in enumerate(alone.ops):
        if op.kind in ("forward", "backward"):
            factors[op.part].add(tuple(np.round(alone.durations[task] / alone.seconds[task], 7).tolist()))
    for worker in range(3):
        task = together.task(f"w{worker}.backward")
        drawn = np.round(together.durations[task] / together.seconds[task], 7)
        assert factors[worker] == {tuple(drawn.tolist())}


def test_a_difference_varies_less_under_the_same_luck_than_under_another(scene):
    """The variance of ps-sync minus all-reduce over 12 replications, against steps of two seeds."""

    def steps(kind, seed):
        layers = [(0.5, 1.0, 300, 0.0)]
        variation = {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.5}}
        scenario = scene(
            kind,
            layers=layers,
            workers=4,
            bandwidth=1e4,
            variation=variation,
            run={"steps": 10, "seed": seed},
        )
        programs = (simpar.compile(scenario, kind, replication) for replication in range(12))
        return np.array([Measured(simpar.simulate(program)).step_s for program in programs])

    for seed in range(5):
        servers = steps("ps-sync", seed)
        same, other = (steps("allreduce", one) for one in (seed, seed + 100))
        assert statistics.variance(servers - same) < 0.05 * statistics.variance(servers - other)


def test_what_is_drawn_does_not_depend_on_how_much_is_drawn(scene):
    """More steps, more workers, more replications: those that were there before have the same times."""

    def durations(workers, steps, replications):
        scenario = scene(
            "ps-sync",
            **SAME | {"workers": workers},
            variation=EVERYTHING | {"replications": replications},
            run={"steps": steps, "seed": 9},
        )
        program = simpar.compile(scenario, "ps-sync", 1)
        return {program.tasks[task]: times for task, times in program.durations.items()}

    few, many = durations(2, 4, 2), durations(5, 30, 40)
    alike = [name for name in few if name.startswith("w")]
    assert len(alike) == 4
    for name in alike:
        assert few[name].tolist() == many[name][: len(few[name])].tolist()


# Again, and alike


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: next(iter(kind)))
def test_a_replication_can_be_run_again_on_its_own(scene, kind):
    """A row shows the run of one replication, and percentiles of all: the 2nd, 11th and 20th of 21."""
    scenario = scene(kind, **SAME, variation=EVERYTHING, run={"steps": 5, "seed": 4})
    (row,) = simpar.compare(scenario, advise=False).rows
    traces = [simpar.simulate(simpar.compile(scenario, row.name, replication)) for replication in range(21)]
    steps = sorted(Measured(trace).step_s for trace in traces)
    interval = row.intervals["step_s"]
    assert (interval.p5, interval.p50, interval.p95) == (steps[1], steps[10], steps[19])
    shown = traces[row.measured.program.meta["replication"]]
    assert row.step_s == steps[10]
    assert row.measured.trace.digest() == shown.digest()
    assert len({trace.digest() for trace in traces}) == 21


def test_another_seed_is_other_luck(scene):
    digests = set()
    for seed in (0, 1, 2**32, 2**32 + 1):
        scenario = scene("ps-sync", **SAME, variation=EVERYTHING, run={"seed": seed})
        digests |= {simpar.compile(scenario, "ps-sync", replication).digest() for replication in range(3)}
    assert len(digests) == 12


PRINT = """
import json, sys, simpar
variation = json.loads(sys.argv[2])
scenario = simpar.load(sys.argv[1], set={"run.steps": 10, "variation": variation})
for one in scenario.strategies:
    for replication in range(2):
        program = simpar.compile(scenario, one.name, replication)
        print(one.name, program.digest(), simpar.simulate(program).digest())
print(json.dumps(simpar.compare(scenario, advise=False).to_dict(), allow_nan=False))
"""


def test_random_times_do_not_depend_on_the_hash_seed():
    variation = EVERYTHING | {"replications": 3}
    outputs = []
    for seed in ("0", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", PRINT, os.fspath(QUICKSTART), json.dumps(variation)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        )
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 2 * 4 + 1


# What is drawn


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: next(iter(kind)))
def test_drawn_durations_are_whole_picoseconds_and_factors_whole_parts(scene, kind, sharing):
    """A time is n / 10^12 s for a whole n, at least 1; a factor of bytes n / 2^24."""
    scenario = scene(kind, **SAME, sharing=sharing, variation=EVERYTHING)
    program = simpar.compile(scenario, next(iter(kind)), 5)
    assert program.durations
    for times in program.durations.values():
        whole = [round(time * 1e12) for time in times.tolist()]
        assert min(whole) >= 1
        assert times.tolist() == [n / 1e12 for n in whole]
    assert bool(program.stretch) == (sharing == "fair")
    for factors in program.stretch.values():
        assert all((factor * 2**24).is_integer() and factor > 0 for factor in factors.tolist())


@pytest.mark.parametrize("seed", range(25))
def test_any_scenario_with_any_variation_adds_up(scene, seed):
    """Every program is valid, a step's parts sum to it, and nothing is used for longer than there is time."""
    rng = np.random.default_rng(seed)
    pool = [
        {"kind": "constant", "mean": 1.7},
        {"kind": "exponential", "mean": 1},
        {"kind": "pareto", "mean": 1, "shape": 1.2},
        {"kind": "lognormal", "mean": 1, "cv": 3},
        {"kind": "two-point", "factor": 8, "probability": 0.1},
        {"kind": "normal", "mean": 1, "cv": 0.33},
    ]
    variation = {key: pool[int(rng.integers(len(pool)))] for key in ("compute", "link", "server")}
    drawn = any_scenario.draw(seed) | {"variation": variation}
    drawn["run"] |= {"steps": 20}  # with fewer the luckiest may be done before the others are warm
    scenario = scene(*drawn.pop("strategies"), **drawn)
    for one in scenario.strategies:
        for replication in range(2):
            program = simpar.compile(scenario, one.name, replication)
            assert program.check() == []
            found = Measured(simpar.simulate(program))
            assert sum(found.breakdown.values()) == pytest.approx(found.step_s, rel=1e-9)
            assert min(found.breakdown.values()) >= 0
            assert all(0 <= use.busy_frac <= 1 + 1e-6 for use in found.uses)
