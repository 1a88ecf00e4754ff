"""S11: what a message costs, and what speedup and efficiency are."""

import pytest

import simpar
from simpar.result import Measured
from simpar.simulate import simulate

RATE, ALPHA = 1000.0, 0.25


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s11a_a_message_costs_its_latency_and_its_bytes_over_the_rate(scene, measure, agree, sharing):
    """One worker, one server: compute 3 s, then a push and a pull of 4,000 bytes, each alone on its links."""
    found = measure(scene("ps-sync", workers=1, bandwidth=RATE, latency=ALPHA, sharing=sharing))
    agree("step, s", found.step_s, 3.0 + 2 * (ALPHA + 4000 / RATE))


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s11a_flows_that_share_a_link_are_through_together_and_a_queue_one_by_one(scene, agree, sharing):
    """Of f equal messages begun together, all end at alpha + f n / B, or the j-th at alpha + j n / B."""
    scenario = scene("ps-sync", workers=3, bandwidth=RATE, latency=ALPHA, sharing=sharing)
    program = simpar.compile(scenario, "ps-sync")
    for engine in ("reference", "compiled"):
        trace = simulate(program, engine)
        last = {op.worker: task for task, op in enumerate(program.ops) if op.kind == "push"}  # its last hop
        ends = sorted(
            float(end) - 3.0
            for task, iteration, end in zip(trace.task, trace.iteration, trace.end_s, strict=True)
            if iteration == 0 and task in last.values()
        )
        each = 4000 / RATE
        expected = [3 * each] * 3 if sharing == "fair" else [each, 2 * each, 3 * each]
        for number, (end, byte_s) in enumerate(zip(ends, expected, strict=True), start=1):
            agree(f"end of message {number}, s", end, ALPHA + byte_s)


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp", "allreduce"])
@pytest.mark.parametrize("speed", [None, (1.0, 0.5, 0.25)])
def test_s11b_speedup_is_against_the_fastest_worker_alone_and_below_the_number_of_workers(
    scene, agree, kind, speed
):
    scenario = scene(kind, workers=3, speed=speed, batch=2)
    row = simpar.compare(scenario)[scenario.strategies[0].name]
    agree("speedup", row.speedup, row.samples_per_s / (2 / 3.0))
    agree("efficiency", row.efficiency, row.speedup / 3)
    assert 0 < row.speedup <= 3


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_s11b_weak_scaling_with_servers_enough_is_compute_over_compute_and_communication(
    scene, agree, workers
):
    """E = Z / (Z + comm), as every worker has a server for itself: comm = 2 n / B."""
    row = simpar.compare(scene({"ps-sync": {"servers": workers}}, workers=workers, bandwidth=RATE))["ps-sync"]
    agree("efficiency", row.efficiency, 3.0 / (3.0 + 2 * 4.0))


@pytest.mark.parametrize("workers", [2, 4, 8])
def test_s11b_what_cannot_be_divided_bounds_the_speedup_as_amdahl_says(scene, agree, workers):
    """A server that takes s seconds a step however many push: 1 / (s + (1 - s) / W) of one worker's own step.

    One step does W times the samples of one worker, who computes Z = 3 s; the server's update takes 1 s.
    """
    numbers = {"bandwidth": 1e15, "server": {"update_rate": 4000.0}}
    row = simpar.compare(scene("ps-sync", workers=workers, **numbers))["ps-sync"]
    share = 1.0 / (workers * 3.0 + 1.0)  # of the work of a step, on one device, what is not divided
    seen = row.speedup * (workers * 3.0 + 1.0) / (workers * 3.0)
    agree("speedup over one device that updates, too", seen, 1 / (share + (1 - share) / workers))


def test_s11b_servers_are_counted_apart(scene):
    row = simpar.compare(scene({"ps-sync": {"servers": 5}}, workers=2))["ps-sync"]
    assert row.workers == 2
    assert row.efficiency == pytest.approx(row.speedup / 2, rel=1e-12)


def test_s11b_without_communication_the_speedup_is_the_number_of_workers(scene, agree):
    program = simpar.compile(scene("ps-sync", workers=4, layers=((1.0, 2.0, 0, 0.0),)), "ps-sync")
    assert Measured(simulate(program)).step_s == pytest.approx(3.0, rel=1e-12)
    row = simpar.compare(scene("allreduce", workers=4, layers=((1.0, 2.0, 0, 0.0),)))["allreduce"]
    agree("speedup", row.speedup, 4.0)
