"""Reading data: a step is max(Z, L) with L = W b r / B_store; what the store, the link and room add to it."""

import math

import pytest

import simpar
from simpar.show.words import waits_for

FORWARD, BACKWARD = 1.0, 2.0
LAYERS = [(FORWARD, BACKWARD, 0, 0.0)]  # nothing to send: what is waited for is data
FAST = 1e12  # bytes per second of a link that never matters


def step(scene, measure, strategy="allreduce", workers=4, load_s=1.0, prefetch=2, batch=2, **more):
    """Measure *strategy* where the store needs *load_s* for one batch of each of the workers."""
    record = 100.0
    store = workers * batch * record / load_s
    arguments = {"layers": LAYERS, "bandwidth": FAST} | more
    return measure(scene(strategy, workers=workers, batch=batch, data=(record, store, prefetch), **arguments))


# The step


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("strategy", ["allreduce", "ps-sync"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("load_s", [0.5, 2.5, 3.5, 12.0])
def test_a_step_is_the_longer_of_computing_and_loading(scene, measure, sharing, strategy, workers, load_s):
    found = step(scene, measure, strategy, workers, load_s, sharing=sharing)
    assert found.step_s == pytest.approx(max(FORWARD + BACKWARD, load_s), rel=1e-9)


@pytest.mark.parametrize("load_s", [1.0, 2.0, 2.5, 12.0])
def test_with_room_for_one_batch_only_the_backward_pass_hides_loading(scene, measure, load_s):
    found = step(scene, measure, load_s=load_s, prefetch=1)
    assert found.step_s == pytest.approx(max(FORWARD + BACKWARD, FORWARD + load_s), rel=1e-9)


@pytest.mark.parametrize("prefetch", [3, 10])
def test_more_room_does_not_help_where_nothing_varies(scene, measure, prefetch):
    for load_s in (2.5, 3.5):
        assert step(scene, measure, load_s=load_s, prefetch=prefetch).step_s == pytest.approx(
            max(3.0, load_s), rel=1e-9
        )


def test_the_first_steps_wait_for_the_first_batches(scene, measure):
    """Loading takes longer: update m at (m + 1) L + Z. It takes shorter: at L + (m + 1) Z."""
    slow = step(scene, measure, load_s=5.0)
    assert slow.update_s[:3].tolist() == pytest.approx([8.0, 13.0, 18.0], rel=1e-9)
    fast = step(scene, measure, load_s=1.0)
    assert fast.update_s[:3].tolist() == pytest.approx([4.0, 7.0, 10.0], rel=1e-9)


def test_latency_is_paid_by_the_first_batch_and_hidden_for_others(scene, measure):
    found = step(scene, measure, load_s=1.0, latency=0.5)
    assert found.update_s[0] == pytest.approx(1.0 + 0.5 + 3.0, rel=1e-9)
    assert found.step_s == pytest.approx(3.0, rel=1e-9)


def test_a_workers_own_link_limits_what_it_reads(scene, measure):
    """Two records of 100 bytes through 20 bytes per second."""
    assert step(scene, measure, load_s=1.0, bandwidth=20.0).step_s == pytest.approx(10.0, rel=1e-9)


def test_devices_of_one_machine_read_through_its_link(scene, measure):
    """Two batches of two records of 100 bytes through 50 bytes per second, and the store is faster."""
    more = {"per_node": 2, "intra": (FAST, 0.0), "bandwidth": 50.0}
    found = step(scene, measure, load_s=1.0, **more)
    assert found.step_s == pytest.approx(8.0, rel=1e-9)
    assert {"store.out", "n0.in", "n1.in"} <= {link.name for link in found.program.links}


def test_one_device_reads_the_batches_of_all(scene, measure):
    """Three batches of 2 records a step, one after another; room for two."""
    for load_s, wanted in ((6.0, 9.0), (12.0, 12.0)):
        found = step(scene, measure, "single", workers=3, load_s=load_s)
        assert found.step_s == pytest.approx(wanted, rel=1e-9)
    alone = step(scene, measure, "single", workers=3, load_s=12.0, prefetch=1)
    assert alone.step_s == pytest.approx(3 * (FORWARD + 12.0 / 3), rel=1e-9)


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_the_first_stage_of_a_pipeline_reads_the_whole_minibatch(scene, measure, schedule):
    layers = [(FORWARD, BACKWARD, 0, 0.0)] * 2
    found = step(scene, measure, {"pipeline": {"schedule": schedule}}, workers=2, load_s=50.0, layers=layers)
    assert found.step_s == pytest.approx(50.0, rel=1e-9)
    crossed = dict(zip([link.name for link in found.program.links], found.program.link_bytes(), strict=True))
    assert crossed["store.out"] == 2 * 2 * 100
    assert "w1.in" not in crossed  # nothing crosses the cut of this model, and no data goes there


@pytest.mark.parametrize("kind", ["ps-async", "ps-ssp"])
def test_workers_at_their_own_pace_share_the_store(scene, measure, kind):
    """Within the 3 of 400 gradients by which the ends of the measurement may differ."""
    for load_s, wanted in ((12.0, 12.0), (2.0, 3.0)):
        parameters = [(FORWARD, BACKWARD, 1, 0.0)]
        found = step(scene, measure, kind, load_s=load_s, layers=parameters, run={"steps": 100})
        assert found.step_s == pytest.approx(wanted, rel=3 / 400)


def test_pulls_and_data_share_a_workers_link(scene, measure):
    """One worker, prefetch 2: 400 bytes of data and 400 of parameters come in 3 + 0.4 + 0.4 s and no faster.

    The data of the next batch but one is asked for at the end of a forward pass and is there before the pull.
    """
    found = step(
        scene,
        measure,
        "ps-sync",
        workers=1,
        load_s=0.4,
        batch=4,
        layers=[(1.0, 2.0, 100, 0.0)],
        bandwidth=1e3,
    )
    assert found.step_s == pytest.approx(3.8, rel=1e-9)


def test_without_a_network_only_the_store_is_crossed(tmp_path):
    file = tmp_path / "alone.yaml"
    file.write_text(
        "name: alone\nmodel: {batch: 1, layers: [{name: a, forward: 1 s, backward: 2 s}]}\n"
        "data: {record_bytes: 100 B, store_bandwidth: 20 B/s}\n"
        "cluster: {workers: 1}\nstrategies: [single]\n"
    )
    row = simpar.compare(file)["single"]
    assert [link.name for link in row.measured.program.links] == ["store.out"]
    assert row.step_s == pytest.approx(5.0, rel=1e-9)
    assert (row.bottleneck.cause, row.bottleneck.suggestion.path) == ("data", "data.store_bandwidth")


# Laws

KINDS = [
    "single",
    "ps-sync",
    {"ps-sync": {"servers": 2, "overlap": True}},
    "ps-async",
    {"ps-ssp": {"staleness": 1}},
    "allreduce",
    {"allreduce": {"overlap": True, "bucket": "1 kB"}},
    {"pipeline": {"microbatches": 3}},
]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("prefetch", [1, 2, 5])
@pytest.mark.parametrize("strategy", KINDS, ids=str)
def test_what_is_read_is_every_record_once_and_no_faster_than_the_store(
    scene, measure, strategy, prefetch, sharing
):
    workers, batch, record, store = 3, 2, 100.0, 60.0
    scenario = scene(
        strategy,
        layers=[(0.5, 1.0, 300, 40.0), (0.5, 1.0, 100, 40.0), (0.25, 0.5, 50, 40.0)],
        workers=workers,
        batch=batch,
        bandwidth=900.0,
        latency=0.01,
        sharing=sharing,
        data=(record, store, prefetch),
        run={"steps": 12, "stagger": "even"},
    )
    found = measure(scenario)
    program = found.program
    crossed = dict(zip([link.name for link in program.links], program.link_bytes(), strict=True))
    assert crossed["store.out"] == workers * batch * record
    received = {}
    for task, op in enumerate(program.ops):
        if op.kind == "load" and (sharing == "fair" or "@store" in program.tasks[task]):
            received[op.worker] = received.get(op.worker, 0.0) + program.bytes[task]
    assert sum(received.values()) == workers * batch * record
    assert len(received) == (1 if program.meta["kind"] in ("single", "pipeline") else workers)
    # No batch is computed before it has come; over all iterations nothing comes faster than the store sends.
    once = workers * batch * record / store
    assert float(found.trace.end_s.max()) >= program.iterations * once * (1 - 1e-9)
    most_ahead = prefetch / 12  # batches that may have come before the first measured step, a step
    assert found.step_s >= once * (1 - most_ahead)
    assert math.fsum(found.breakdown.values()) == pytest.approx(found.step_s, abs=1e-9)


def test_nobody_computes_a_batch_that_has_not_come(scene, measure):
    found = step(scene, measure, "ps-async", load_s=7.0, layers=[(1.0, 2.0, 10, 0.0)])
    trace, program = found.trace, found.program
    for worker in range(4):
        load, forward = program.task(f"w{worker}.load"), program.task(f"w{worker}.forward")
        for m in range(program.iterations):
            assert trace.start_s[trace.row(forward, m)] >= trace.end_s[trace.row(load, m)]
            if m >= 2:
                assert trace.ready_s[trace.row(load, m)] >= trace.end_s[trace.row(forward, m - 2)]


def test_asynchronous_workers_begin_apart_with_their_loads(scene, measure):
    """Started together they would stay together: all their data comes at one time."""
    found = step(scene, measure, "ps-async", load_s=0.4, layers=[(1.0, 2.0, 0, 0.0), (0.0, 0.0, 1, 0.0)])
    starts = [found.trace.start_s[found.trace.row(found.program.task(f"w{w}.load"), 0)] for w in range(4)]
    assert starts == pytest.approx([0.0, 0.75, 1.5, 2.25], rel=1e-6)


# What is said


def test_waiting_for_the_store_is_said_and_a_faster_one_suggested(scene):
    scenario = scene("allreduce", layers=LAYERS, workers=4, batch=2, bandwidth=FAST, data=(100.0, 100.0, 2))
    row = simpar.compare(scenario)["allreduce"]
    assert row.step_s == pytest.approx(8.0)
    assert (row.bottleneck.cause, row.bottleneck.resource) == ("data", "store.out")
    assert row.bottleneck.share == pytest.approx(5 / 8)
    assert waits_for(row, row.bottleneck).startswith("waits for the data store (store.out), 62.5 %")
    assert row.breakdown["exposed_comm_s"] == pytest.approx(5.0)
    tried = row.bottleneck.suggestion
    assert (tried.path, tried.value) == ("data.store_bandwidth", "1.6 kbit/s")  # 200 bytes per second
    assert tried.step_s == pytest.approx(4.0)


def test_room_for_a_second_batch_is_suggested_first(scene):
    scenario = scene("allreduce", layers=LAYERS, workers=4, batch=2, bandwidth=FAST, data=(100.0, 200.0, 1))
    row = simpar.compare(scenario)["allreduce"]
    assert row.step_s == pytest.approx(5.0)
    assert (row.bottleneck.suggestion.path, row.bottleneck.suggestion.value) == ("data.prefetch", 2)
    assert row.bottleneck.suggestion.step_s == pytest.approx(4.0)


def test_a_workers_own_slow_link_is_the_network(scene):
    scenario = scene("allreduce", layers=LAYERS, workers=4, batch=2, bandwidth=20.0, data=(100.0, 1e3, 2))
    found = simpar.compare(scenario)["allreduce"].bottleneck
    assert (found.cause, found.resource) == ("network", "w0.in")
    assert found.suggestion.path == "network.bandwidth"
