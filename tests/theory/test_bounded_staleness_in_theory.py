"""Bounded staleness: who may be ahead, what a worker has seen, and how fast that is."""

import numpy as np
import pytest

import simpar
from simpar.simulate import simulate

SPEEDS = [1.0, 0.5, 0.8]
FREE = {"bandwidth": 1e15, "latency": 0.0}


def applied(trace):
    """Return when each push was applied at the first server: [iterations, workers]."""
    program = trace.program
    times = {}
    for row in trace.rows_of(program.meta["updates"]).tolist():
        op = program.ops[int(trace.task[row])]
        if op.server == 0 and op.key <= 0:
            times[int(trace.iteration[row]), op.worker] = float(trace.end_s[row])
    workers = program.meta["workers"]
    return np.array([[times[m, w] for w in range(workers)] for m in range(program.iterations)])


def run(scene, kind, *, speed=SPEEDS, options=None, layers=None, **network):
    scenario = scene(
        {kind: options or {}},
        layers=layers or [(1.0, 2.0, 300, 0.0)],
        workers=len(speed),
        speed=speed,
        run={"steps": 12, "stagger": "none"},
        **(network or {"bandwidth": 2000.0, "latency": 0.01}),
    )
    return simulate(simpar.compile(scenario, kind))


@pytest.mark.parametrize("bound", [0, 1, 2, 5])
def test_nobody_completes_more_than_the_bound_and_one_ahead(scene, bound):
    """Oracle C7: at every apply, the fastest has completed at most s + 1 iterations more than the slowest."""
    times = applied(run(scene, "ps-ssp", options={"staleness": bound}))
    for now in times.ravel():
        done = (times <= now).sum(axis=0)
        assert done.max() - done.min() <= bound + 1


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_an_iteration_starts_when_all_updates_up_to_the_bound_are_seen(scene, bound):
    """A worker that starts iteration c has seen every worker's update of iteration c - s - 1."""
    trace = run(scene, "ps-ssp", options={"staleness": bound})
    times, program = applied(trace), trace.program
    for worker in range(len(SPEEDS)):
        forward = program.task(f"w{worker}.forward")
        for m in range(bound + 1, program.iterations):
            begun = float(trace.start_s[trace.row(forward, m)])
            assert times[m - bound - 1].max() <= begun


@pytest.mark.parametrize("bound", [0, 1, 4])
def test_with_constant_times_any_bound_is_as_fast_as_the_slowest_alone(scene, measure, bound):
    """Oracle D9: W / max Z updates a second once the lead is used up; the slowest takes 6 s a step."""
    scenario = scene(
        {"ps-ssp": {"staleness": bound}},
        layers=[(1.0, 2.0, 3, 0.0)],
        workers=3,
        speed=SPEEDS,
        run={"steps": 30, "warmup": 12, "stagger": "none"},
        **FREE,
    )
    assert measure(scenario).step_s == pytest.approx(6.0, rel=2e-2)


def test_a_bound_of_nothing_starts_every_iteration_when_synchronous_servers_let_it(scene):
    """With free servers and links, ssp(0) and bsp start every iteration at the same time."""
    layers = [(1.0, 2.0, 3, 0.0)]
    ssp = run(scene, "ps-ssp", options={"staleness": 0}, layers=layers, **FREE)
    bsp = run(scene, "ps-sync", layers=layers, **FREE)
    for worker in range(len(SPEEDS)):
        for m in range(min(ssp.program.iterations, bsp.program.iterations)):
            starts = [float(t.start_s[t.row(t.program.task(f"w{worker}.forward"), m)]) for t in (ssp, bsp)]
            assert starts[0] == pytest.approx(starts[1], abs=1e-9)


def test_a_bound_beyond_the_run_is_asynchronous_to_the_last_bit(scene):
    free = run(scene, "ps-async")
    bound = run(scene, "ps-ssp", options={"staleness": 10**6})
    assert bound.program.iterations == free.program.iterations
    for name in free.program.tasks:
        a, b = (np.flatnonzero(t.task == t.program.task(name)) for t in (free, bound))
        assert (free.start_s[a] == bound.start_s[b]).all()
        assert (free.end_s[a] == bound.end_s[b]).all()


def test_waiting_for_the_slowest_is_called_a_straggler(scene, measure):
    scenario = scene(
        {"ps-ssp": {"staleness": 1}},
        layers=[(1.0, 2.0, 3, 0.0)],
        workers=2,
        speed=[1.0, 0.25],
        run={"steps": 20},
        **FREE,
    )
    found = measure(scenario)
    assert sum(found.breakdown.values()) == pytest.approx(found.step_s, abs=1e-9)
    # The fast worker computes 3 of 12 s and waits for the slow one, which waits for nobody.
    assert found.breakdown["straggler_s"] == pytest.approx(4.5, rel=0.05)


def test_overlapped_and_sliced_keys_are_each_gated(scene):
    layers = [(0.2, 0.4, 300, 0.0)] * 3
    trace = run(scene, "ps-ssp", options={"staleness": 1, "overlap": True, "servers": 2}, layers=layers)
    times = applied(trace)
    done = [(times <= now).sum(axis=0) for now in times.ravel()]
    assert all(count.max() - count.min() <= 2 for count in done)
