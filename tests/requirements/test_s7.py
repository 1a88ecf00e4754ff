"""S7: slices of gradients go to parameter servers, each of which holds a part of the model."""

from collections import Counter

import numpy as np
import pytest
from plain_training import by_versions, in_parts, one_device
from replay_lab import LAB, RATE

import simpar
from simpar.simulate import simulate

FAST = 1e15
"""Bytes per second at which a network takes no time worth a word."""

N = 4800.0
LAYERS = ((1.0, 2.0, 1200, 0.0),)


def compiled(scene, workers, servers, kind="ps-sync", **numbers):
    numbers = {"layers": LAYERS, "workers": workers} | numbers
    return simpar.compile(scene({kind: {"servers": servers}}, **numbers), kind)


def messages(program, kind):
    """Return (worker, server, bytes) of each message of a kind, once however many links it crosses."""
    found = {}
    for task, op in enumerate(program.ops):
        if op.kind == kind and program.message[task] >= 0:
            found[int(program.message[task])] = op.worker, op.server, float(program.bytes[task])
    return list(found.values())


def crossing(program):
    """Return the bytes that cross each link in an iteration, by its name."""
    return {link.name: float(sent) for link, sent in zip(program.links, program.link_bytes(), strict=True)}


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "servers"), [(4, 3), (1, 1), (2, 5), (6, 2)])
def test_s7a_a_step_has_a_push_and_a_pull_of_every_worker_and_server(scene, agree, workers, servers, sharing):
    program = compiled(scene, workers, servers, sharing=sharing)
    for kind in ("push", "pull"):
        found = messages(program, kind)
        agree(f"{kind}es" if kind == "push" else f"{kind}s", len(found), workers * servers)
        pairs = {(worker, server) for worker, server, _ in found}
        assert pairs == {(worker, server) for worker in range(workers) for server in range(servers)}


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "servers"), [(4, 3), (1, 1), (2, 4), (6, 2)])
def test_s7b_a_worker_sends_and_gets_the_model_and_a_server_its_part_of_each(
    scene, agree, workers, servers, sharing
):
    carried = crossing(compiled(scene, workers, servers, sharing=sharing))
    for way in ("out", "in"):
        agree(f"a worker's link {way}, B", carried[f"w0.{way}"], N)
        agree(f"a server's link {way}, B", carried[f"ps0.{way}"], workers * N / servers)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "servers"), [(1, 1), (4, 3), (2, 4), (6, 2)])
@pytest.mark.parametrize("server_bandwidth", [400.0, 1000.0, 5000.0])
def test_s7c_no_step_is_shorter_than_compute_and_the_fuller_link(
    scene, measure, workers, servers, server_bandwidth, sharing
):
    """Both ways at once, as links are full duplex: what is pushed may be pulled meanwhile."""
    strategy = {"ps-sync": {"servers": servers}}
    numbers = {"layers": LAYERS, "workers": workers, "sharing": sharing}
    found = measure(scene(strategy, server_bandwidth=server_bandwidth, **numbers))
    bound = 3.0 + max(N / 1000.0, workers * N / (servers * server_bandwidth))
    assert found.step_s >= bound * (1 - 1e-12)


def test_s7d_one_worker_with_one_server_and_no_network_takes_the_sum_of_its_compute(scene, agree):
    program = compiled(scene, 1, 1, bandwidth=FAST, layers=((1.0, 2.0, 10, 0.0), (0.25, 0.5, 20, 0.0)))
    trace = simulate(program)
    agree("end of the run, s", trace.end_s.max(), 3.75 * program.iterations, rel=1e-12)


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp"])
def test_s7d_one_worker_with_one_server_learns_what_sgd_does_to_the_last_bit(agree, kind):
    found = LAB.replay(LAB.trace(LAB.scenario(kind, workers=1), kind))
    wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, len(found.losses), LAB.BATCH, RATE)
    agree("updates", found.updates, len(found.losses))
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("placement", ["sliced", "balanced", "round_robin", "hash"])
@pytest.mark.parametrize(("workers", "servers"), [(4, 1), (4, 3), (3, 5), (7, 2)])
def test_s7e_however_the_model_is_placed_the_sum_of_slices_is_sgd_on_the_whole_batch(
    agree, workers, servers, placement
):
    strategy = {"ps-sync": {"servers": servers, "placement": placement}}
    found = LAB.replay(LAB.trace(LAB.scenario(strategy, workers=workers)))
    whole = workers * LAB.BATCH
    wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, whole, RATE)
    off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found.parameters, wanted, strict=True))
    agree("largest relative difference", off, 0.0, abs=1e-12)
    same = in_parts(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, [LAB.BATCH] * workers, RATE)
    for one, other in zip(found.parameters, same, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp"])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s7f_no_worker_begins_a_slice_before_all_servers_have_answered_its_last(scene, kind, sharing):
    program = compiled(
        scene, 4, 3, kind, sharing=sharing, latency=0.25, speed=(1.0, 0.5, 2.0, 1.0), bandwidth=3000.0
    )
    trace = simulate(program)
    begins, answered = {}, {}
    for task, iteration, start, end in zip(
        trace.task.tolist(), trace.iteration.tolist(), trace.start_s, trace.end_s, strict=True
    ):
        op = program.ops[task]
        key = op.worker, iteration
        if op.kind == "forward":
            begins[key] = float(start)
        elif op.kind == "pull":
            answered[key] = max(answered.get(key, 0.0), float(end))
    checked = 0
    for (worker, iteration), start in begins.items():
        if iteration:
            assert start >= answered[worker, iteration - 1]
            checked += 1
    assert checked >= 4 * 4


@pytest.mark.parametrize("kind", ["ps-async", "ps-ssp"])
def test_s7g_a_replay_applies_the_workers_slices_and_versions_of_the_trace(agree, kind):
    trace = LAB.trace(LAB.scenario(kind, workers=5, steps=8, cluster={"speed": [1, 1, 0.3, 0.5, 2]}))
    program = trace.program
    rows = [
        (program.ops[task].worker, iteration)
        for task, iteration in zip(trace.task.tolist(), trace.iteration.tolist(), strict=True)
        if program.ops[task].kind == "apply"
    ]
    ends = [
        float(end)
        for task, end in zip(trace.task.tolist(), trace.end_s, strict=True)
        if program.ops[task].kind == "apply"
    ]
    order = [row for _, row in sorted(zip(ends, rows, strict=True), key=lambda one: one[0])]
    found = LAB.replay(trace)
    assert [(one.worker, one.iteration) for one in found.gradients] == order
    assert [one.applied for one in found.gradients] == list(range(len(order)))
    agree("gradients applied", len(found.gradients), len(order))
    flat = np.arange(sum(one.size for one in LAB.parameters))
    applied = {0: [[(one.worker, one.iteration, one.read)] for one in found.gradients]}
    wanted = by_versions(
        LAB.model, LAB.parameters, LAB.source, {0: flat}, applied, LAB.BATCH, 5 * LAB.BATCH, RATE
    )
    np.testing.assert_allclose(np.concatenate([p.ravel() for p in found.parameters]), wanted, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"servers": 3}, {"servers": 2, "overlap": True}])
@pytest.mark.parametrize("kind", ["ps-sync", "ps-async", "ps-ssp"])
def test_s7h_every_slice_of_every_worker_is_applied_once(agree, kind, options):
    trace = LAB.trace(LAB.scenario({kind: options}, workers=4))
    found = LAB.replay(trace)
    counted = Counter((one.server, one.key, one.worker, one.iteration) for one in found.gradients)
    keys = len({(one.server, one.key) for one in found.gradients})
    agree("slices applied", len(counted), 4 * trace.program.iterations * keys)
    assert set(counted.values()) == {1}


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s7h_what_leaves_arrives(scene, agree, sharing):
    """Over a switch: the sum of all links out is that of all links in, and of all messages."""
    program = compiled(scene, 4, 3, sharing=sharing)
    carried = crossing(program)
    out, into = (sum(b for name, b in carried.items() if name.endswith(way)) for way in (".out", ".in"))
    sent = sum(size for kind in ("push", "pull") for *_, size in messages(program, kind))
    agree("bytes sent", out, sent)
    agree("bytes received", into, sent)
    trace = simulate(program)
    agree("rows of the trace", len(trace), len(program) * program.iterations)
