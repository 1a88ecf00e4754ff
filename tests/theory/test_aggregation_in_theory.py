"""Servers that add up several pushes before they update: staleness, load and waits against their laws."""

import math
from dataclasses import replace

import numpy as np
import pytest
from queues import Queues, waits

import simpar
from simpar.program import Op, ProgramBuilder
from simpar.result import Measured
from simpar.simulate import simulate

SPEEDS = [1.0, 0.7, 1.3, 0.9, 0.6, 1.1, 0.8, 1.2]
"""Of as many workers as there are."""


def measured_pushes(found):
    """Return the members of each update that ended while measuring, by (update, number)."""
    trace = found.trace
    return {
        which: members
        for which, members in trace.nodes.members_of.items()
        if found.since_s < trace.end_s[trace.row(*which)] <= found.until_s
    }


def edge(found):
    """Return how far the mean of a window may be from the law: each worker's first and last cycle are cut."""
    keys = len(found.updates)
    gradients = found.gradients * keys
    return 2 * found.workers * keys * (found.staleness.max + 1) / gradients


# -- staleness: every member waits for the update -------------------------------------------------------


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize(("workers", "count"), [(4, 2), (5, 2), (6, 3), (8, 4), (7, 3), (8, 2)])
def test_members_that_wait_for_their_update_are_w_over_c_minus_1_old(scene, measure, workers, count, servers):
    """Between two updates of one worker there are W / c of all, and one of them is its own."""
    scenario = scene(
        {"ps-async": {"servers": servers, "trigger": {"count": count}}},
        workers=workers,
        speed=SPEEDS[:workers],
        bandwidth=1e9,
        run={"steps": 400},
    )
    found = measure(scenario)
    assert all(len(members) == count for members in measured_pushes(found).values())
    assert edge(found) < 0.08
    assert found.staleness.mean == pytest.approx(workers / count - 1, abs=edge(found))


@pytest.mark.parametrize("workers", [2, 5])
def test_a_batch_of_all_workers_is_synchronous(scene, measure, workers):
    options = {"workers": workers, "speed": SPEEDS[:workers], "run": {"stagger": "none"}}
    together = measure(scene({"ps-async": {"trigger": {"count": workers}}}, **options))
    assert set(together.staleness.histogram) == {0}
    assert together.step_s == pytest.approx(measure(scene("ps-sync", **options)).step_s, rel=1e-9)


def test_the_sum_of_staleness_is_what_lies_between_the_first_and_last_update_of_each(scene, measure):
    """Exactly, over the whole run: last - first - (pushes - 1), summed over the workers of each server."""
    scenario = scene(
        {"ps-async": {"servers": 2, "trigger": {"count": 3}}},
        workers=5,
        speed=SPEEDS[:5],
        server={"update_rate": 1e4, "add_rate": 1e5},
        latency=0.01,
        run={"steps": 15},
    )
    found = measure(scenario)
    versions = {}
    for update, number, sender, _ in found.trace.nodes.members.tolist():
        versions.setdefault((update, found.program.ops[sender].worker), []).append(number)
    between = sum(mine[-1] - mine[0] - (len(mine) - 1) for mine in versions.values())
    assert sum(stale for *_, stale in found.stale_gradients()) == between


# -- staleness: softsync answers at once ----------------------------------------------------------------


@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize(("workers", "n"), [(4, 2), (6, 2), (8, 4), (8, 1), (7, 2), (5, 5)])
def test_softsync_is_w_minus_1_over_c_old(scene, measure, workers, n, servers):
    """W / c updates in a cycle, less the one in c of its own that it still waits for."""
    scenario = scene(
        {"ps-async": {"servers": servers, "softsync": n}},
        workers=workers,
        speed=SPEEDS[:workers],
        bandwidth=1e9,
        run={"steps": 400},
    )
    found = measure(scenario)
    count = workers // n
    assert edge(found) < 0.08
    assert found.staleness.mean == pytest.approx((workers - 1) / count, abs=edge(found))


def with_compute(program, rng, cv):
    """Return *program* with log-normal times of the workers' passes instead of their means."""
    sigma = math.sqrt(math.log(1 + cv**2))
    durations = {
        task: program.seconds[task] * rng.lognormal(-(sigma**2) / 2, sigma, program.iterations)
        for task, op in enumerate(program.ops)
        if op.kind in ("forward", "backward")
    }
    return replace(program, durations=durations)


@pytest.mark.parametrize(("n", "law", "measured"), [(30, 29.0, 30.0), (15, 14.5, 15.0)])
def test_thirty_learners_are_as_stale_as_zhang_et_al_measured(scene, n, law, measured):
    """arXiv 1511.05950, figure 1: about 30 and about 15 updates; beyond 2 n is rare."""
    scenario = scene({"ps-async": {"softsync": n}}, workers=30, bandwidth=1e9, run={"steps": 60})
    program = with_compute(simpar.compile(scenario, "ps-async"), np.random.default_rng(1), 0.1)
    stale = Measured(simulate(program)).staleness
    assert stale.mean == pytest.approx(law, rel=0.02)
    assert stale.mean == pytest.approx(measured, rel=0.05)
    beyond = sum(count for missed, count in stale.histogram.items() if missed > 2 * n)
    assert beyond <= 1e-4 * sum(stale.histogram.values())


def test_one_softsync_of_thirty_learners_is_at_most_two_old(scene):
    """Zhang et al. find 0, 1 and 2: nobody waits, so a push may miss the update that is just being filled."""
    scenario = scene({"ps-async": {"softsync": 1}}, workers=30, bandwidth=1e9, run={"steps": 60})
    program = with_compute(simpar.compile(scenario, "ps-async"), np.random.default_rng(2), 0.1)
    stale = Measured(simulate(program)).staleness
    assert set(stale.histogram) <= {0, 1, 2}
    assert stale.mean == pytest.approx(29 / 30, rel=0.02)


# -- what a server does ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_updates_are_the_whole_batches_and_one_for_the_rest(scene, seed, n):
    """floor(pushes / c), each of c; what is left when all have ended is one more, and marked."""
    workers = 5 + seed
    scenario = scene(
        {"ps-async": {"softsync": n}}, workers=workers, speed=SPEEDS[:workers], run={"steps": 3 + seed}
    )
    program = simpar.compile(scenario, "ps-async")
    trace = simulate(program)
    count, pushes = workers // n, workers * program.iterations
    if count == 1:
        assert trace.nodes is None
        return
    sizes = [len(members) for members in trace.nodes.members_of.values()]
    assert sizes == [count] * (pushes // count) + [pushes % count] * (pushes % count > 0)
    assert len(trace.nodes.flushed) == (pushes % count > 0)


@pytest.mark.parametrize("trigger", [{"count": 3}, {"count": 6}, "drain", {"timeout": "50 ms", "count": 4}])
def test_a_server_is_busy_for_every_add_and_for_one_update_a_batch(scene, trigger):
    """busy = pushes x t_add + updates x t_update, here 4000 B / 1e5 and 4000 B / 2e4."""
    scenario = scene(
        {"ps-async": {"trigger": trigger}},
        workers=6,
        speed=SPEEDS[:6],
        bandwidth=1e6,
        server={"add_rate": 1e5, "update_rate": 2e4},
    )
    trace = simulate(simpar.compile(scenario, "ps-async"))
    program = trace.program
    on = trace.rows_of([t for t in range(len(program)) if program.ops[t].kind in ("add", "apply")])
    busy = float((trace.end_s - trace.start_s)[on].sum())
    pushes, updates = 6 * program.iterations, len(trace.nodes.members_of)
    assert len(trace.nodes.members) == pushes
    assert 1 <= updates < pushes
    assert busy == pytest.approx(pushes * 0.04 + updates * 0.2, rel=1e-9)


# -- D8: a server that drains its queue, Poisson arrivals ---------------------------------------------------

T_19 = 2.093
"""Student's t with 19 degrees of freedom, two-sided 95 %."""

ENOUGH = 16
"""Intervals of 20 that must hold the law: each does with 0.95, so fewer than 16 have a chance of 0.3 %."""


def drained(lam, seconds, arrivals, rng):
    """Return arrivals, the time at which each one's update starts, and the numbers of the updates."""
    builder = ProgramBuilder("drain", arrivals)
    source = builder.task("push", Op("push"), builder.resource("source", "device"), 1.0)
    builder.edge(source, source, distance=1)
    batch = builder.batch("batch", [source], "drain", window=arrivals)
    server = builder.resource("ps0.cpu", "server")
    update = builder.task("update", Op("apply", server=0), server, seconds)
    builder.answer(batch, update)
    gaps = np.maximum(rng.exponential(1 / lam, arrivals), 1e-12)
    trace = simulate(replace(builder.build(), durations={source: gaps}))
    came = trace.end_s[trace.rows_of([source])]
    starts = trace.start_s[trace.rows_of([update])]
    number = np.empty(arrivals, dtype=int)
    for _, served, _, iteration in trace.nodes.members.tolist():
        number[iteration] = served
    return came, starts[number], number


def holds(values, law):
    """Say whether *law* is in the 95 % interval of the mean of 20 consecutive parts of *values*."""
    parts = [float(part.mean()) for part in np.array_split(np.asarray(values), 20)]
    half = T_19 * float(np.std(parts, ddof=1)) / math.sqrt(20)
    return abs(float(np.mean(parts)) - law) <= half


@pytest.mark.parametrize("x", [0.5, 1.0, 2.0])
def test_a_server_that_drains_has_its_closed_form(x):
    """D8: x + e^-x pushes an update, x = lambda D; each waits (D / 2) x / (x + e^-x); stable at any load."""
    seconds, arrivals = 0.25, 2500
    size = x + math.exp(-x)
    wait = seconds / 2 * x / size
    per_s = 1 / (seconds + math.exp(-x) / (x / seconds))
    sizes_hold = waits_hold = rates_hold = 0
    for seed in range(20):
        came, starts, number = drained(x / seconds, seconds, arrivals, np.random.default_rng(seed))
        sizes_hold += holds(np.bincount(number)[:-1], size)
        waits_hold += holds(starts - came, wait)
        gaps = np.diff(np.unique(starts))
        rates_hold += holds(gaps, 1 / per_s)
    assert min(sizes_hold, waits_hold, rates_hold) >= ENOUGH, (sizes_hold, waits_hold, rates_hold)


@pytest.mark.parametrize("x", [1.5, 3.0])
def test_a_server_that_updates_at_every_push_falls_behind_where_one_that_drains_does_not(x):
    """D8's contrast: beyond x = 1 the n-th push waits n (D - 1 / lambda), and behind a drain as ever."""
    seconds, arrivals = 0.25, 2500
    behind, drains = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        queue = Queues(seed, arrivals)
        served = queue.server("apply", np.full(arrivals, seconds), queue.poisson(x / seconds))
        behind.append(float(waits(queue.run(), served)[-1]))
        came, starts, _ = drained(x / seconds, seconds, arrivals, rng)
        drains.append(float((starts - came).max()))
    assert np.mean(behind) == pytest.approx(arrivals * (seconds - seconds / x), rel=0.02)
    assert max(drains) <= seconds
