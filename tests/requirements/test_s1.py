"""S1: workers read, all wait, all compute at once, a host adds up their results and returns."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from plain_training import in_parts
from replay_lab import LAB, RATE

import simpar
from simpar.simulate import simulate

FAST = 1e15
N, RECORD, STORE, RATE_B, ALPHA = 4000.0, 100.0, 400.0, 1000.0, 0.25


def spans(trace, kind, iteration=0):
    """Return (start, end) of all instances of a kind of op in one iteration."""
    program = trace.program
    columns = trace.task.tolist(), trace.iteration.tolist(), trace.start_s.tolist(), trace.end_s.tolist()
    return [
        (s, e) for t, i, s, e in zip(*columns, strict=True) if program.ops[t].kind == kind and i == iteration
    ]


def hosted(scene, **numbers):
    options = {key: numbers.pop(key) for key in ("parts", "load_barrier", "read") if key in numbers}
    return scene({"hosted": options}, **({"bandwidth": RATE_B, "latency": ALPHA} | numbers))


def uneven(program):
    """Return *program* with another compute time for every worker: 1, 2, 3, ... times as long."""
    return replace(
        program,
        durations={
            task: np.full(program.iterations, program.seconds[task] * (1 + op.worker))
            for task, op in enumerate(program.ops)
            if op.kind in ("forward", "backward")
        },
    )


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("read", ["shared", "serial"])
def test_s1a_nobody_computes_before_all_have_read_nor_adds_before_all_have_returned(scene, sharing, read):
    scenario = hosted(scene, workers=4, data=(RECORD, STORE, 2), sharing=sharing, read=read)
    trace = simulate(uneven(simpar.compile(scenario, "hosted")))
    for iteration in range(trace.program.iterations):
        of = {k: spans(trace, k, iteration) for k in ("load", "forward", "push", "apply", "pull")}
        assert min(s for s, _ in of["forward"]) >= max(e for _, e in of["load"])
        ((added, _),) = of["apply"]
        assert added >= max(e for _, e in of["push"])
        assert min(s for s, _ in of["pull"]) >= added
        if iteration:
            assert min(s for s, _ in of["load"]) >= min(e for _, e in spans(trace, "pull", iteration - 1))


def test_s1a_without_the_barrier_who_has_read_computes(scene):
    scenario = hosted(scene, workers=4, data=(RECORD, STORE, 2), read="serial", load_barrier=False)
    trace = simulate(simpar.compile(scenario, "hosted"))
    assert min(s for s, _ in spans(trace, "forward")) < max(e for _, e in spans(trace, "load"))


@pytest.mark.parametrize("read", ["shared", "serial"])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("server", [None, {"add_rate": 8000.0, "update_rate": 2000.0}])
def test_s1b_a_step_is_the_sum_of_its_longest_phases(scene, measure, agree, workers, server, read):
    """read + compute + gather + aggregate + return; the store, at 400 B/s, is the reads' bottleneck."""
    found = measure(hosted(scene, workers=workers, data=(RECORD, STORE, 2), server=server, read=read))
    reading = workers * RECORD / STORE + ALPHA * (workers if read == "serial" else 1)
    gather = ALPHA + max(N / RATE_B, workers * N / RATE_B)
    aggregate = 0.0 if server is None else workers * N / 8000.0 + N / 2000.0
    agree("step, s", found.step_s, reading + 3.0 + gather + aggregate + gather)


def test_s1b_the_slowest_worker_sets_the_compute_and_in_turn_there_would_be_no_speedup(scene, measure, agree):
    """max of 3, 6 and 4 s. One after the other they would take 13 s: slower than the fastest alone (9 s)."""
    scenario = hosted(scene, workers=3, speed=(1.0, 0.5, 0.75), layers=((1.0, 2.0, 0, 0.0),))
    agree("step, s", measure(scenario).step_s, 6.0)
    row = simpar.compare(scenario)["hosted"]
    agree("speedup", row.speedup, 9.0 / 6.0)
    in_turn = 9.0 / (3.0 + 6.0 + 4.0)
    assert in_turn <= 1.0 < row.speedup


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("host", [500.0, 1000.0, 10_000.0])
@pytest.mark.parametrize("workers", [2, 6])
def test_s1c_results_are_gathered_no_faster_than_the_hosts_link_takes_them(
    scene, agree, workers, host, sharing
):
    scenario = hosted(scene, workers=workers, server_bandwidth=host, sharing=sharing)
    trace = simulate(simpar.compile(scenario, "hosted"))
    gathered = max(e for _, e in spans(trace, "push")) - 3.0
    assert gathered >= workers * N / host * (1 - 1e-12)
    if sharing == "fair":
        agree("gather, s", gathered, ALPHA + max(N / RATE_B, workers * N / host))


@pytest.mark.parametrize(("workers", "parts"), [(4, None), (1, None), (3, 5), (3, 7), (5, 3), (4, 12)])
def test_s1d_what_is_learned_is_what_one_device_learns_from_the_same_parts(agree, workers, parts):
    options = {} if parts is None else {"parts": parts}
    found = LAB.replay(LAB.trace(LAB.scenario({"hosted": options}, workers=workers)))
    whole, count = workers * LAB.BATCH, parts or workers
    sizes = [whole // count + (part < whole % count) for part in range(count)]
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, sizes, RATE)
    off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found.parameters, wanted, strict=True))
    agree("largest relative difference", off, 0.0, abs=1e-12)
    agree("updates", found.updates, LAB.STEPS)


@pytest.mark.parametrize("options", [{}, {"load_barrier": False}, {"parts": 5, "read": "serial"}])
def test_s1d_who_reads_its_data_first_computes_on_the_parameters_that_the_host_returned(agree, options):
    data = {"record_bytes": "100 B", "store_bandwidth": "1 MB/s"}
    found = LAB.replay(LAB.trace(LAB.scenario({"hosted": options}, workers=3, data=data)))
    parts = [2, 2, 2, 2, 1] if "parts" in options else [3, 3, 3]
    wanted = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, parts, RATE)
    off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found.parameters, wanted, strict=True))
    agree("largest relative difference", off, 0.0, abs=1e-12)


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("parts", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("batch", [4, 7])
def test_s1e_queued_parts_take_no_more_than_grahams_bound(scene, measure, agree, workers, parts, batch):
    """Against the best of all k^n assignments; nothing is sent, so a step is what its parts take."""
    numbers = {"workers": workers, "batch": batch, "layers": ((1.0, 2.0, 0, 0.0),), "parts": parts}
    found = measure(hosted(scene, **numbers))
    whole = workers * batch
    sizes = [whole // parts + (part < whole % parts) for part in range(parts)]
    each = [3.0 * size / batch for size in sizes]
    best = min(
        max(sum(t for t, w in zip(each, owners, strict=True) if w == one) for one in range(workers))
        for owners in product(range(workers), repeat=parts)
    )
    assert best * (1 - 1e-9) <= found.step_s <= (2 - 1 / workers) * best * (1 + 1e-9)
    if parts % workers == 0:
        agree("step, s", found.step_s, max(sum(each[w::workers]) for w in range(workers)))


def test_s1e_a_worker_without_a_part_waits_and_gets_the_parameters(scene):
    scenario = hosted(scene, workers=4, parts=2)
    program = simpar.compile(scenario, "hosted")
    pushed = {op.worker for op in program.ops if op.kind == "push"}
    pulled = {op.worker for op in program.ops if op.kind == "pull"}
    assert (pushed, pulled) == ({0, 1}, {0, 1, 2, 3})
