"""Asynchronous strategies, replayed: on which versions gradients were computed, and what comes of that."""

import statistics

import numpy as np
import pytest
from plain_training import by_versions
from replay_lab import LAB, RATE

import simpar
from simpar.result.staleness import stale_gradients
from simpar.trace import Walk

OPTIONS = [
    {},
    {"servers": 3},
    {"servers": 2, "overlap": True},
    {"servers": 2, "overlap": True, "priority": True},
    {"servers": 2, "colocate": True},
    {"trigger": {"count": 3}},
    {"trigger": {"count": 3}, "servers": 2, "overlap": True},
    {"trigger": "drain"},
    {"trigger": {"timeout": "2 ms"}},
    {"trigger": {"timeout": "2 ms", "count": 3}, "servers": 2},
    {"softsync": 2},
    {"softsync": 2, "servers": 2, "overlap": True},
    {"softsync": 1},
]
CIRCUMSTANCES = {
    "even": {},
    "lockstep": {"run": {"stagger": "none"}},
    "fifo": {"network": {"sharing": "fifo"}},
    "slow servers": {"cluster": {"server": {"add_rate": "1 MB/s", "update_rate": "0.5 MB/s"}}},
    "threads": {"cluster": {"server": {"update_rate": "0.5 MB/s", "threads": 3}}, "run": {"stagger": "none"}},
    "random": {"variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.5}}},
    "uneven": {"cluster": {"speed": [1, 1, 0.3, 0.5, 2]}},
}


def pushes_of(trace):
    """Return (row of its update, worker, iteration) of each gradient applied, read from the trace alone."""
    program, found = trace.program, []
    for row in range(len(trace)):
        task, number = int(trace.task[row]), int(trace.iteration[row])
        op = program.ops[task]
        if op.kind != "apply":
            continue
        if task in program.batch_of_update:
            members = trace.nodes.members_of[task, number]
            found += [(row, program.ops[sender].worker, iteration) for sender, iteration in members]
        else:
            found.append((row, op.worker, number))
    return found


def by_law(trace):
    """Return (row of its update, worker, staleness) of each gradient but the first ones.

    Of several of one worker in one update the earlier iteration comes first.
    """
    return stale_gradients(trace, np.array(pushes_of(trace)), Walk(trace))


def observed(trace, found):
    """Return the same as the servers of a replay observed it."""
    seen, rows = set(), []
    for gradient in found.gradients:
        key = gradient.worker, gradient.server, gradient.key
        if key in seen:
            row = trace.row(gradient.update, gradient.number)
            rows.append((row, gradient.worker, gradient.staleness))
        seen.add(key)
    return sorted(rows)


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_versions_are_those_of_the_trace(name):
    strategies = [{"ps-async": options} for options in OPTIONS]
    scenario = LAB.scenario(*strategies, workers=5, steps=8, **CIRCUMSTANCES[name])
    for strategy in scenario.strategies:
        trace = LAB.trace(scenario, strategy.name)
        found = LAB.replay(trace)
        assert observed(trace, found) == sorted(by_law(trace)), strategy
        assert len(found.gradients) == len(pushes_of(trace))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", ["even", "random"])
def test_parameters_are_those_of_gradients_on_these_versions(options, name):
    scenario = LAB.scenario({"ps-async": options}, workers=5, steps=4, **CIRCUMSTANCES[name])
    trace = LAB.trace(scenario)
    rows, stale = {}, {}
    for row, worker, count in by_law(trace):
        stale.setdefault((row, worker), []).append(count)
    for row, worker, iteration in pushes_of(trace):
        op = trace.program.ops[int(trace.task[row])]
        rows.setdefault((op.server, op.key), {}).setdefault(row, []).append((worker, iteration))
    applied, keys = {}, {}
    for key, updates in rows.items():
        order = sorted(updates, key=lambda r: (trace.end_s[r], trace.task[r], trace.iteration[r]))
        seen, applied[key] = set(), []
        for version, row in enumerate(order):
            members = []
            for worker, iteration in sorted(updates[row], key=lambda one: one[1]):
                read = version - stale[row, worker].pop(0) if worker in seen else 0
                members.append((worker, iteration, read))
                seen.add(worker)
            applied[key].append(members)
        keys[key] = elements_of(trace.program.meta["slices"], *key)
    wanted = by_versions(LAB.model, LAB.parameters, LAB.source, keys, applied, LAB.BATCH, 5 * LAB.BATCH, RATE)
    found = np.concatenate([one.ravel() for one in LAB.replay(trace).parameters])
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


def elements_of(slices, server, key):
    """Return which of all elements, tensor after tensor, a key is."""
    first = np.cumsum([0, *(p.size for p in LAB.parameters)])
    rows = [key] if key >= 0 else [n for n, one in enumerate(slices["server"]) if one == server]
    begins = [first[slices["tensor"][n]] + slices["start"][n] for n in rows]
    return np.concatenate(
        [np.arange(begin, begin + slices["elements"][n]) for n, begin in zip(rows, begins, strict=True)]
    )


@pytest.mark.parametrize("workers", [2, 5, 9])
def test_staleness_is_one_less_than_the_workers(workers):
    trace = LAB.trace(LAB.scenario({"ps-async": {}}, workers=workers, steps=10))
    stale = [staleness for *_, staleness in observed(trace, LAB.replay(trace))]
    assert statistics.mean(stale) == workers - 1


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_bounded_staleness_shows_all_updates_that_are_old_enough(bound):
    """Who computes iteration c has read what all workers pushed in iterations up to c - s - 1."""
    uneven = {"cluster": {"speed": [1, 1, 0.3, 0.5, 2]}, **CIRCUMSTANCES["random"]}
    scenario = LAB.scenario({"ps-ssp": {"staleness": bound}}, workers=5, steps=12, **uneven)
    found = LAB.replay(LAB.trace(scenario))
    version = {(one.worker, one.iteration): one.applied for one in found.gradients}
    waited = 0
    for one in found.gradients:
        old = [version[w, one.iteration - bound - 1] for w in range(5) if one.iteration > bound]
        assert all(applied < one.read for applied in old)
        waited += bool(old) and one.read == max(old) + 1
    assert waited > 0, "nobody was ever held back, so that nothing was tested"


def test_a_bound_that_never_holds_anyone_changes_nothing():
    uneven = CIRCUMSTANCES["random"] | {"steps": 6}
    free = LAB.scenario({"ps-async": {}}, **uneven)
    bounded = LAB.scenario({"ps-ssp": {"staleness": 100}}, **uneven)
    ssp = LAB.trace(bounded)
    some, others = LAB.replay(LAB.trace(free)), LAB.replay(ssp)
    count = min(len(some.gradients), len(others.gradients))
    assert [one[2:] for one in some.gradients[:count]] == [one[2:] for one in others.gradients[:count]]
    assert observed(ssp, others) == sorted(by_law(ssp))


def test_backup_workers_are_left_out_of_an_update():
    """Of 6 workers the 4 whose pushes come first count, and their mean is taken."""
    scenario = LAB.scenario({"ps-sync": {"backup_workers": 2}}, workers=6, steps=8, **CIRCUMSTANCES["random"])
    trace = LAB.trace(scenario)
    program = trace.program
    dropped = {(int(i), program.ops[sender].worker) for _, i, sender in trace.nodes.dropped.tolist()}
    found = LAB.replay(trace)
    assert len({worker for _, worker in dropped}) > 1
    members = [
        [(one.worker, one.iteration, one.read) for one in found.gradients if one.number == number]
        for number in range(8)
    ]
    for number, some in enumerate(members):
        late = {worker for iteration, worker in dropped if iteration == number}
        assert len(some) == 4
        assert not late & {worker for worker, *_ in some}
    # Who was late asks for the parameters when it has pushed: it begins on a later version, or the same.
    assert all(read >= iteration for one in members for _, iteration, read in one)
    keys = {0: np.arange(sum(p.size for p in LAB.parameters))}
    wanted = by_versions(
        LAB.model, LAB.parameters, LAB.source, keys, {0: members}, LAB.BATCH, 6 * LAB.BATCH, RATE
    )
    flat = np.concatenate([one.ravel() for one in found.parameters])
    np.testing.assert_allclose(flat, wanted, rtol=1e-12, atol=1e-13)
    assert found.samples == 8 * 4 * LAB.BATCH


def test_machines_that_merge_first_are_as_stale_as_there_are_others():
    scenario = LAB.scenario(
        {"ps-async": {"local_merge": True}},
        workers=6,
        steps=10,
        cluster={"devices_per_node": 2},
        network={"intra": {"bandwidth": "10 MB/s"}},
    )
    trace = LAB.trace(scenario)
    found = LAB.replay(trace)
    assert observed(trace, found) == sorted(by_law(trace))
    assert statistics.mean(stale for *_, stale in by_law(trace)) == 2
    assert found.samples == len(found.gradients) * 2 * LAB.BATCH


def test_a_replay_stops_when_enough_has_been_learned():
    trace = LAB.trace(LAB.scenario({"ps-async": {}}, workers=5, steps=10))
    found = LAB.replay(trace, samples=8 * LAB.BATCH, every=2 * LAB.BATCH)
    assert found.samples == 8 * LAB.BATCH
    assert found.updates == 8
    assert [point.samples for point in found.points] == [n * LAB.BATCH for n in (0, 2, 4, 6, 8)]
    assert found.end_s == found.points[-1].time_s
    times = [point.time_s for point in found.points]
    assert times == sorted(times)
    whole = LAB.replay(trace)
    assert whole.end_s == max(trace.end_s[row] for row, *_ in pushes_of(trace))


def test_the_same_trace_gives_the_same_bits():
    scenario = LAB.scenario({"ps-async": {"servers": 2, "overlap": True}}, workers=4)
    some, others = (LAB.replay(simpar.simulate(simpar.compile(scenario, "ps-async"))) for _ in range(2))
    for one, other in zip(some.parameters, others.parameters, strict=True):
        np.testing.assert_array_equal(one, other)
    assert some.losses == others.losses
    assert some.gradients == others.gradients
