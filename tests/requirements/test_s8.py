"""S8: a server adds up pushes first and updates then; when it does is its trigger."""

from dataclasses import replace

import numpy as np
import pytest
from replay_lab import LAB

import simpar
from simpar.errors import InputError
from simpar.result import Measured
from simpar.simulate import simulate

FAST = 1e15
LAYERS = ((1.0, 2.0, 1000, 0.0),)
UNEVEN = {"variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.4}}}


def compiled(scene, strategy, **numbers):
    scenario = scene(strategy, **({"layers": LAYERS, "bandwidth": FAST, "workers": 4} | numbers))
    return simpar.compile(scenario, scenario.strategies[0].name)


def spans(trace, kind):
    """Return (worker, iteration, start, end) of all ops of a kind, in the order of the trace's rows."""
    program = trace.program
    columns = trace.task.tolist(), trace.iteration.tolist(), trace.start_s.tolist(), trace.end_s.tolist()
    return [
        (program.ops[task].worker, iteration, start, end)
        for task, iteration, start, end in zip(*columns, strict=True)
        if program.ops[task].kind == kind
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_s8a_with_a_count_there_is_an_update_for_every_so_many_pushes(agree, count):
    strategy = {"ps-async": {"trigger": {"count": count}}}
    trace = LAB.trace(LAB.scenario(strategy, workers=5, steps=9, **UNEVEN))
    found = LAB.replay(trace)
    sizes = np.bincount([one.applied for one in found.gradients])
    full = len(sizes) - len(trace.nodes.short)  # those at the end, when no more pushes can come, may be short
    assert all(size == count for size in sizes[:full])
    assert all(1 <= size < count for size in sizes[full:])
    assert sizes.sum() == 5 * trace.program.iterations
    agree("updates that were full", full, (sizes.sum() - sizes[full:].sum()) // count)


@pytest.mark.parametrize("options", [{}, {"trigger": "drain"}, {"softsync": 2}, {"trigger": {"count": 3}}])
def test_s8b_versions_rise_by_one_an_update_and_no_gradient_is_newer_than_its_update(agree, options):
    cluster = {"server": {"update_rate": "0.5 MB/s"}}
    scenario = LAB.scenario({"ps-async": options}, workers=5, steps=8, cluster=cluster, **UNEVEN)
    found = LAB.replay(LAB.trace(scenario))
    applied = [one.applied for one in found.gradients]
    assert applied == sorted(applied)
    assert set(applied) == set(range(found.updates))
    assert all(0 <= one.read <= one.applied for one in found.gradients)
    agree("updates", max(applied) + 1, found.updates)


def test_s8c_the_order_within_an_aggregate_does_not_matter():
    """Pushes of one update are added in the workers' order, whoever came first: to the last bit."""
    ends = []
    for speed in ([1, 1.1, 1.2, 1.3], [1.3, 1.2, 1.1, 1]):
        scenario = LAB.scenario("ps-sync", workers=4, cluster={"speed": speed})
        trace = LAB.trace(scenario)
        pushed = sorted((end, worker) for worker, iteration, _, end in spans(trace, "push") if not iteration)
        ends.append(([worker for _, worker in pushed], LAB.replay(trace).parameters))
    assert ends[0][0] == ends[1][0][::-1]
    for one, other in zip(ends[0][1], ends[1][1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("workers", "n"), [(4, 4), (6, 3), (8, 2)])
def test_s8d_softsync_is_as_stale_as_others_over_pushes_an_update(scene, agree, workers, n):
    """(W - 1) / c, c = W / n, whatever the compute times."""
    strategy = {"ps-async": {"softsync": n}}
    drawn = {"kind": "exponential", "mean": 1}
    run = {"steps": 600, "warmup": 20}
    numbers = {"workers": workers, "run": run, "variation": {"compute": drawn, "replications": 1}}
    found = Measured(simulate(compiled(scene, strategy, **numbers)))
    agree("mean staleness", found.staleness.mean, (workers - 1) * n / workers, rel=0.02)


@pytest.mark.parametrize("workers", [2, 5, 9])
def test_s8d_asynchronous_gradients_miss_one_update_of_each_other_worker(scene, agree, workers):
    numbers = {
        "workers": workers,
        "run": {"steps": 400, "warmup": 20},
        "variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.7}, "replications": 1},
    }
    found = Measured(simulate(compiled(scene, "ps-async", **numbers)))
    agree("mean staleness", found.staleness.mean, workers - 1, rel=0.02)


def test_s8d_synchronous_gradients_miss_none():
    found = LAB.replay(LAB.trace(LAB.scenario("ps-sync", workers=5, **UNEVEN)))
    assert {one.staleness for one in found.gradients} == {0}


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_s8e_nobody_is_further_ahead_than_the_bound_and_all_see_what_it_promises(scene, agree, bound):
    numbers = {
        "run": {"steps": 60, "warmup": 2},
        "variation": {"compute": {"kind": "exponential", "mean": 1}, "replications": 1},
    }
    trace = simulate(compiled(scene, {"ps-ssp": {"staleness": bound}}, **numbers))
    ends = {(worker, iteration): end for worker, iteration, _, end in spans(trace, "apply")}

    def completed(at):
        return [sum(end <= at for (who, _), end in ends.items() if who == other) for other in range(4)]

    for worker, iteration, start, _ in spans(trace, "forward"):
        done = completed(start)
        assert done[worker] == iteration
        assert min(done) >= iteration - bound  # all updates of clocks up to iteration - bound - 1
    gaps = [max(done) - min(done) for done in map(completed, ends.values())]
    widest = max(gaps)
    assert widest <= bound + 1
    agree("widest gap of completed clocks", widest, bound + 1)


@pytest.mark.parametrize("cv", [0.0, 0.5])
def test_s8e_a_bound_of_zero_lets_all_start_when_synchronous_training_does(scene, cv):
    numbers = {"workers": 3, "speed": (1.0, 0.5, 0.75), "run": {"steps": 8, "warmup": 2, "stagger": "none"}}
    if cv:
        numbers["variation"] = {"compute": {"kind": "lognormal", "mean": 1, "cv": cv}, "replications": 1}
    starts = []
    for strategy in ("ps-sync", {"ps-ssp": {"staleness": 0}}):
        trace = simulate(compiled(scene, strategy, **numbers))
        starts.append({(w, i): start for w, i, start, _ in spans(trace, "forward") if i < 10})
    assert starts[0].keys() == starts[1].keys()
    for key, start in starts[0].items():
        assert starts[1][key] == pytest.approx(start, rel=1e-9, abs=1e-9)


def test_s8e_a_bound_that_is_never_met_changes_nothing(scene):
    numbers = {"speed": (1.0, 0.9, 1.1, 1.0), "run": {"steps": 6, "warmup": 1}}
    loose = simulate(compiled(scene, {"ps-ssp": {"staleness": 1000}}, **numbers))
    free = simulate(compiled(scene, "ps-async", **numbers))
    for kind in ("forward", "push", "pull"):
        wanted, found = spans(free, kind), spans(loose, kind)
        limit = min(max(i for _, i, *_ in wanted), max(i for _, i, *_ in found))
        assert limit >= 6
        assert sorted(o for o in found if o[1] <= limit) == sorted(o for o in wanted if o[1] <= limit)


def test_s8f_without_a_network_a_worker_goes_its_way_as_if_it_were_alone(scene):
    """Its 7 iterations of Z / speed each, begun at its turn, whoever else trains."""
    speed = (1.0, 0.5, 2.0, 0.8)
    trace = simulate(compiled(scene, "ps-async", speed=speed, run={"stagger": "none"}))
    for worker, iteration, start, _ in spans(trace, "forward"):
        assert start == pytest.approx(iteration * 3.0 / speed[worker], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("kind", ["ps-sync", "ps-async"])
def test_s8g_adding_first_costs_one_update_and_updating_at_every_push_as_many(scene, agree, workers, kind):
    """Busy: pushes x t_add + updates x t_update, of 4,000 bytes at 8 and 4 kB/s."""
    server = {"add_rate": 8000.0, "update_rate": 4000.0}
    trace = simulate(compiled(scene, kind, workers=workers, server=server))
    program = trace.program
    cpu = [resource.name for resource in program.resources].index("ps0.cpu")
    on = trace.resource == cpu
    busy = float((trace.end_s[on] - trace.start_s[on]).sum())
    pushes = workers * program.iterations
    updates = program.iterations if kind == "ps-sync" else pushes
    agree("busy time of the server, s", busy, pushes * 0.5 + updates * 1.0)


@pytest.mark.parametrize(("workers", "backups"), [(4, 1), (6, 2), (5, 3)])
def test_s8h_a_step_ends_with_the_first_workers_and_the_pushes_of_the_others_are_dropped(
    scene, agree, workers, backups
):
    """One iteration: the (W - b)-th smallest of the compute times, and b pushes dropped."""
    options = {"backup_workers": backups}
    program = compiled(scene, {"ps-sync": options}, workers=workers, run={"steps": 1, "warmup": 0})
    times = np.random.default_rng(workers).exponential(3.0, (workers, 1))
    durations = {
        task: times[op.worker] / 2
        for task, op in enumerate(program.ops)
        if op.kind in ("forward", "backward")
    }
    trace = simulate(replace(program, durations=durations))
    first = min(end for *_, end in spans(trace, "apply"))
    agree("end of the step, s", first, np.sort(times[:, 0])[workers - backups - 1], rel=1e-9)
    agree("pushes dropped", len(trace.nodes.dropped), backups)


@pytest.mark.parametrize("seed", range(3))
def test_s8h_backups_are_never_slower_for_the_same_draws(scene, seed):
    """W + b workers of whom W are waited for, against W workers without backups, with the same times."""
    ends = []
    times = np.random.default_rng(seed).exponential(3.0, (6, 7))
    for workers, options in ((4, {}), (6, {"backup_workers": 2})):
        program = compiled(scene, {"ps-sync": options}, workers=workers, run={"steps": 6, "warmup": 1})
        durations = {
            task: times[op.worker] / 2
            for task, op in enumerate(program.ops)
            if op.kind in ("forward", "backward")
        }
        applied = spans(simulate(replace(program, durations=durations)), "apply")
        ends.append([end for *_, end in sorted(applied, key=lambda one: one[1])])
    assert all(one >= other * (1 - 1e-12) for one, other in zip(*ends, strict=True))
    assert ends[0][-1] > ends[1][-1]


def test_s8h_workers_that_are_cancelled_begin_the_next_iteration_with_the_others(scene, agree):
    """Every step is the W-th smallest of W + b draws; who finishes for nothing begins some of them late."""
    times = np.random.default_rng(8).exponential(3.0, (6, 12))
    steps = {}
    for late in ("cancel", "finish"):
        strategy = {"ps-sync": {"backup_workers": 2, "late": late}}
        program = compiled(scene, strategy, workers=6, run={"steps": 12, "warmup": 0})
        durations = {
            task: times[op.worker] / 2
            for task, op in enumerate(program.ops)
            if op.kind in ("forward", "backward")
        }
        trace = simulate(replace(program, durations=durations))
        found = Measured(trace)
        steps[late] = np.diff(found.update_s, prepend=0.0)
        agree("gradients dropped", len(trace.nodes.dropped), 2 * 12)
        begun = {}
        for _, iteration, start, _ in spans(trace, "forward"):
            begun.setdefault(iteration, []).append(start)
        spread = max(max(one) - min(one) for one in begun.values())
        assert (spread < 1e-6) == (late == "cancel")
    for step, found_s in enumerate(steps["cancel"]):
        agree(f"step {step}, s", found_s, np.sort(times[:, step])[3], rel=1e-6)
    assert steps["finish"].sum() > steps["cancel"].sum()


def test_s8h_what_is_learned_is_what_the_first_workers_computed():
    """The mean gradient of those that were not cancelled, on the parameters of the step before."""
    strategy = {"ps-sync": {"backup_workers": 2, "late": "cancel"}}
    cluster = {"server": {"add_rate": "1 MB/s"}}
    trace = LAB.trace(LAB.scenario(strategy, workers=5, cluster=cluster, **UNEVEN))
    found = LAB.replay(trace)
    late = {
        (iteration, trace.program.ops[sender].worker) for _, iteration, sender in trace.nodes.dropped.tolist()
    }
    assert len({worker for _, worker in late}) > 1
    parameters = LAB.parameters
    for step in range(LAB.STEPS):
        whole, total = step * 5 * LAB.BATCH, [0.0] * len(parameters)
        for worker in range(5):
            if (step, worker) not in late:
                batch = LAB.source(whole + worker * LAB.BATCH, LAB.BATCH)
                gradients = LAB.model.gradient(parameters, *batch)[1]
                total = [a + b for a, b in zip(total, gradients, strict=True)]
        parameters = [p - 0.1 * (g / (3 * LAB.BATCH)) for p, g in zip(parameters, total, strict=True)]
    for one, other in zip(found.parameters, parameters, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"servers": 2}, "in time for another; write finish, or servers: 1"),
        ({"overlap": True}, "write finish, or overlap: false"),
        ({"window": 2}, "write finish, or window: 1"),
    ],
)
def test_s8h_workers_are_not_cancelled_where_a_push_is_late_for_one_and_in_time_for_another(
    scene, options, said
):
    strategy = {"ps-sync": {"backup_workers": 1, "late": "cancel"} | options}
    with pytest.raises(InputError, match=said):
        compiled(scene, strategy)
