"""Synchronous strategies, replayed, come to what one device comes to in plain NumPy."""

import numpy as np
import pytest
from plain_training import in_parts, one_device, round_a_ring
from replay_lab import LAB, RATE

import simpar
from simpar.strategies import allreduce

OVERLAPPED = {"overlap": True, "bucket": "300 B"}
ALGORITHMS = ("ring", "tree", "recursive-doubling", "halving-doubling", "direct")
STRATEGIES = [
    {"single": {}},
    *(
        {"ps-sync": options}
        for options in (
            {},
            {"servers": 2},
            {"servers": 3, "overlap": True},
            {"servers": 3, "overlap": True, "slice_bytes": "64 B"},
            {"servers": 3, "overlap": True, "priority": True},
            {"servers": 2, "placement": "balanced"},
            {"servers": 4, "placement": "round_robin", "overlap": True},
            {"servers": 4, "colocate": True},
            {"servers": 2, "colocate": True, "overlap": True},
        )
    ),
    *({"allreduce": {"algorithm": name} | more} for name in ALGORITHMS for more in ({}, OVERLAPPED)),
]
PIPELINES = [
    {"pipeline": {"schedule": schedule, "stages": stages, "microbatches": micro}}
    for schedule in ("gpipe", "1f1b")
    for stages, micro in ((2, 2), (3, 5))
]


def expected(workers):
    """Return parameters and losses of one device with the batch of all workers."""
    return one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, workers * LAB.BATCH, RATE)


def assert_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("workers", "sharing"), [*((count, "fair") for count in range(1, 9)), (3, "fifo"), (8, "fifo")]
)
def test_every_synchronous_strategy_learns_what_one_device_learns(workers, sharing):
    wanted, losses = expected(workers)
    some = STRATEGIES + [one for one in PIPELINES if one["pipeline"]["stages"] <= workers]
    scenario = LAB.scenario(*some, workers=workers, network={"sharing": sharing})
    for strategy in scenario.strategies:
        found = LAB.replay(LAB.trace(scenario, strategy.name))
        assert_close(found.parameters, wanted)
        np.testing.assert_allclose(found.loss_by_iteration(), losses, rtol=1e-12)
        assert (found.samples, found.updates) == (LAB.STEPS * workers * LAB.BATCH, LAB.STEPS)


@pytest.mark.parametrize(("machines", "devices"), [(2, 2), (3, 2), (2, 3), (2, 4), (4, 2)])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_machines_of_several_devices_do_too(machines, devices, sharing):
    workers = machines * devices
    scenario = LAB.scenario(
        {"allreduce": {"algorithm": "hierarchical"}},
        {"allreduce": {"algorithm": "hierarchical"} | OVERLAPPED},
        {"allreduce": OVERLAPPED},
        {"ps-sync": {"local_merge": True, "servers": 2}},
        {"ps-sync": {"local_merge": True, "servers": 2, "overlap": True}},
        {"ps-sync": {"local_merge": True, "servers": 2, "colocate": True}},
        {"pipeline": {"stages": 3}},
        workers=workers,
        cluster={"devices_per_node": devices},
        network={"sharing": sharing, "intra": {"bandwidth": "10 MB/s", "latency": "1 us"}},
    )
    for strategy in scenario.strategies:
        assert_close(LAB.replay(LAB.trace(scenario, strategy.name)).parameters, expected(workers)[0])


def test_it_does_not_matter_who_is_slow():
    """Times, speeds, loads and uplinks change who waits for whom, and no bit of what is learned."""
    uneven = {
        "cluster": {"speed": [1, 0.3, 2, 1.1], "server": {"add_rate": "1 MB/s", "threads": 2}},
        "variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.7}},
        "data": {"record_bytes": "100 B", "store_bandwidth": "1 MB/s"},
        "network": {"topology": {"kind": "tree", "rack": 2, "oversubscription": 3}},
    }
    some = [
        {"ps-sync": {"servers": 3, "overlap": True}},
        {"allreduce": OVERLAPPED},
        PIPELINES[1],
        PIPELINES[3],
    ]
    even, odd = LAB.scenario(*some), LAB.scenario(*some, **uneven)
    for strategy in even.strategies:
        found = [LAB.replay(LAB.trace(one, strategy.name)).parameters for one in (even, odd)]
        assert_same(*found)


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8])
def test_servers_add_up_in_the_order_of_the_workers(workers):
    parts = [LAB.BATCH] * workers
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, parts, RATE)
    scenario = LAB.scenario(
        {"single": {}},
        {"ps-sync": {}},
        {"ps-sync": {"servers": 3, "overlap": True, "slice_bytes": "64 B"}},
        workers=workers,
    )
    for strategy in scenario.strategies:
        assert_same(LAB.replay(LAB.trace(scenario, strategy.name)).parameters, wanted)
    closed = LAB.scenario({"allreduce": {}}, workers=workers, run={"collectives": "closed_form"})
    assert_same(LAB.replay(LAB.trace(closed)).parameters, wanted)


@pytest.mark.parametrize("workers", [2, 3, 5, 8])
def test_a_ring_adds_up_each_chunk_from_its_own_worker_on(workers):
    """One bucket of all tensors from the last to the first, cut into a chunk a worker."""
    parts = [LAB.BATCH] * workers
    parameters = LAB.parameters
    for step in range(LAB.STEPS):
        rows = []
        for worker, part in enumerate(parts):
            batch = LAB.source((step * workers + worker) * part, part)
            gradients = LAB.model.gradient(parameters, *batch)[1]
            rows.append(np.concatenate([one.ravel() for one in reversed(gradients)]))
        total, place, updated = round_a_ring(rows), 0, []
        for p in reversed(parameters):
            mean = total[place : place + p.size].reshape(p.shape) / sum(parts)
            updated.insert(0, p - RATE * mean)
            place += p.size
        parameters = updated
    assert_same(
        LAB.replay(LAB.trace(LAB.scenario({"allreduce": {}}, workers=workers))).parameters, parameters
    )


@pytest.mark.parametrize("options", [{}, OVERLAPPED])
def test_a_ring_that_is_written_down_once_gives_the_same_bits(options, monkeypatch):
    scenario = LAB.scenario({"allreduce": options}, workers=5)
    written_out = LAB.trace(scenario)
    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 0)
    once = LAB.trace(scenario)
    assert once.program.rings
    assert not written_out.program.rings
    assert_same(LAB.replay(once).parameters, LAB.replay(written_out).parameters)


@pytest.mark.parametrize("micro", [1, 4, 5, 12])
def test_both_schedules_of_a_pipeline_add_up_their_microbatches_in_order(micro):
    parts = [len(part) for part in np.array_split(np.arange(4 * LAB.BATCH), micro)]
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, parts, RATE)
    for schedule in ("gpipe", "1f1b"):
        options = {"schedule": schedule, "stages": 3, "microbatches": micro}
        assert_same(LAB.replay(LAB.trace(LAB.scenario({"pipeline": options}))).parameters, wanted)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "hierarchical"])
def test_replicas_are_equal_to_the_last_bit(algorithm):
    scenario = LAB.scenario(
        {"allreduce": {"algorithm": algorithm} | OVERLAPPED},
        workers=6,
        cluster={"devices_per_node": 2},
        network={"intra": {"bandwidth": "10 MB/s"}},
    )
    found = LAB.replay(LAB.trace(scenario))
    assert len(found.replicas) == 6
    for tensors in found.replicas.values():
        assert_same(tensors, found.parameters)


def test_a_stage_holds_its_own_layers_only():
    found = LAB.replay(LAB.trace(LAB.scenario({"pipeline": {"stages": 3}}, workers=3)))
    held = [[tensor is not None for tensor in found.replicas[stage]] for stage in range(3)]
    assert np.array(held).sum(axis=0).tolist() == [1] * 6


def test_either_engine_s_trace_gives_the_same_bits():
    scenario = LAB.scenario({"ps-sync": {"servers": 2, "overlap": True}}, workers=3)
    program = simpar.compile(scenario, "ps-sync")
    traces = [simpar.simulate(program, engine) for engine in ("compiled", "reference")]
    assert_same(*(LAB.replay(trace).parameters for trace in traces))
