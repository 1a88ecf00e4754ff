"""S7: slices of gradients go to parameter servers, each of which holds a part of the model, or a copy."""

from collections import Counter

import numpy as np
import pytest
from plain_training import by_versions, in_parts, one_device, round_a_ring
from replay_lab import LAB, RATE

import simpar
from simpar.errors import InputError
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


# -- identical copies on every server ---------------------------------------------------------------

COPIES = [(4, 1), (4, 2), (4, 3), (5, 5), (7, 3)]
"""Workers and servers."""


def copied(scene, workers, servers, **numbers):
    more = {key: numbers.pop(key) for key in ("pull_from", "payload") if key in numbers}
    strategy = {"ps-sync": {"servers": servers, "placement": "replicated"} | more}
    scenario = scene(strategy, **({"layers": LAYERS, "workers": workers} | numbers))
    return simpar.compile(scenario, "ps-sync")


def of_home(workers, servers, server=0):
    """Return the workers whose home a server is, when they are dealt in turn."""
    return [worker for worker in range(workers) if worker % servers == server]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7a_with_copies_a_worker_sends_one_message_and_gets_one_and_servers_go_round_a_ring(
    scene, agree, workers, servers, sharing
):
    program = copied(scene, workers, servers, sharing=sharing)
    for kind in ("push", "pull"):
        found = messages(program, kind)
        agree(kind, len(found), workers)
        assert {(worker, server) for worker, server, _ in found} == {
            (worker, worker % servers) for worker in range(workers)
        }
    between = [messages(program, kind) for kind in ("sum", "share")]
    agree("messages between servers", sum(map(len, between)), 2 * (servers - 1) * servers)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7b_with_copies_a_server_takes_in_its_workers_gradients_and_a_ring_s_share(
    scene, agree, workers, servers, sharing
):
    """(W / K) n where all have as many workers, and 2 (K - 1) / K n from the server before."""
    carried = crossing(copied(scene, workers, servers, sharing=sharing))
    agree("a worker's link out, B", carried["w0.out"], N)
    agree("a worker's link in, B", carried["w0.in"], N)
    for server in range(servers):
        for way in ("in", "out"):
            own = len(of_home(workers, servers, server)) * N
            between = 2 * (servers - 1) / servers * N
            agree(f"ps{server}'s link {way}, B", carried[f"ps{server}.{way}"], own + between)


@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7b_with_copies_from_all_servers_a_worker_pulls_as_many_times_as_much(
    scene, agree, workers, servers
):
    home, every = (crossing(copied(scene, workers, servers, pull_from=one)) for one in ("home", "all"))
    agree("a worker's link in, B", every["w0.in"], servers * N)
    agree("pulled from all over pulled from home", every["w0.in"] / home["w0.in"], servers)
    agree("a worker's link out, B", every["w0.out"], home["w0.out"])
    left = workers * N + 2 * (servers - 1) / servers * N
    agree("a server's link out, B", every["ps0.out"], left)


@pytest.mark.parametrize("pull_from", ["home", "all"])
@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7c_with_copies_no_step_is_shorter_than_compute_and_the_fuller_link(
    scene, measure, workers, servers, pull_from
):
    strategy = {"ps-sync": {"servers": servers, "placement": "replicated", "pull_from": pull_from}}
    found = measure(scene(strategy, layers=LAYERS, workers=workers, server_bandwidth=500.0))
    own, between = len(of_home(workers, servers)), 2 * (servers - 1) / servers
    entering = (own + between) * N / 500.0
    assert found.step_s >= (3.0 + max(N / 1000.0, entering)) * (1 - 1e-12)


@pytest.mark.parametrize("payload", ["gradient", "data"])
def test_s7d_one_worker_with_the_only_copy_learns_what_sgd_does_to_the_last_bit(payload):
    strategy = {"ps-sync": {"placement": "replicated", "payload": payload}}
    scenario = LAB.scenario(strategy, workers=1, data={"record_bytes": "9 B"} if payload == "data" else {})
    found = LAB.replay(LAB.trace(scenario))
    wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, LAB.BATCH, RATE)
    for one, other in zip(found.parameters, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


TIMES = [{}, {"add_rate": "1 MB/s", "update_rate": "3 MB/s", "overhead": "1 ms"}]


@pytest.mark.parametrize("pull_from", ["home", "all"])
@pytest.mark.parametrize("server", TIMES)
@pytest.mark.parametrize("payload", ["gradient", "model", "data"])
@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7e_with_copies_and_any_payload_servers_learn_what_sgd_does_with_the_whole_batch(
    agree, workers, servers, payload, server, pull_from
):
    found = LAB.replay(LAB.trace(_copies(workers, servers, payload, server, pull_from=pull_from)))
    whole = workers * LAB.BATCH
    wanted, losses = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, whole, RATE)
    off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found.parameters, wanted, strict=True))
    agree("largest relative difference", off, 0.0, abs=1e-12)
    agree("updates, each counted once", found.updates, LAB.STEPS)
    agree("samples, each counted once", found.samples, LAB.STEPS * whole)
    np.testing.assert_allclose(found.loss_by_iteration(), losses, rtol=1e-12)


@pytest.mark.parametrize("payload", ["gradient", "model", "data"])
@pytest.mark.parametrize(("workers", "servers"), COPIES[1:])
def test_s7e_copies_are_equal_to_the_last_bit_after_every_step(agree, workers, servers, payload):
    trace = LAB.trace(_copies(workers, servers, payload, TIMES[1]))
    for step in range(1, LAB.STEPS + 1):
        found = LAB.replay(trace, samples=step * workers * LAB.BATCH)
        agree("updates", found.updates, step)
        assert sorted(found.held) == [(server, -1) for server in range(servers)]
        for values in found.held.values():
            np.testing.assert_array_equal(values, found.held[0, -1])


def test_s7e_copies_add_up_as_a_ring_of_servers_does(agree):
    """Each server its own workers in their order, then chunk c from server c on: bit by bit."""
    workers, servers, parameters = 7, 3, LAB.parameters
    for step in range(LAB.STEPS):
        each = [
            np.concatenate(
                [
                    one.ravel()
                    for one in LAB.model.gradient(
                        parameters, *LAB.source((step * workers + worker) * LAB.BATCH, LAB.BATCH)
                    )[1]
                ]
            )
            for worker in range(workers)
        ]
        rows = []
        for server in range(servers):
            first, *rest = of_home(workers, servers, server)
            row = each[first]
            for worker in rest:
                row = row + each[worker]
            rows.append(row)
        mean, place, updated = round_a_ring(rows) / (workers * LAB.BATCH), 0, []
        for p in parameters:
            updated.append(p - RATE * mean[place : place + p.size].reshape(p.shape))
            place += p.size
        parameters = updated
    found = LAB.replay(LAB.trace(_copies(workers, servers, "gradient")))
    for one, other in zip(found.parameters, parameters, strict=True):
        np.testing.assert_array_equal(one, other)


def _copies(workers, servers, payload="gradient", server=(), **options):
    strategy = {"servers": servers, "placement": "replicated", "payload": payload} | options
    record = {"data": {"record_bytes": "9 B"}} if payload == "data" else {}
    return LAB.scenario({"ps-sync": strategy}, workers=workers, cluster={"server": dict(server)}, **record)


@pytest.mark.parametrize("options", [{}, {"servers": 3}, {"servers": 2, "overlap": True}])
def test_s7e_the_mean_of_models_is_a_step_with_the_mean_of_gradients(agree, options):
    """Of plain SGD from equal parameters: mean (w - r g_i) = w - r mean g_i."""
    models = LAB.scenario({"ps-sync": options | {"payload": "model"}}, workers=5)
    found = LAB.replay(LAB.trace(models))
    wanted, _ = one_device(LAB.model, LAB.parameters, LAB.source, LAB.STEPS, 5 * LAB.BATCH, RATE)
    off = max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found.parameters, wanted, strict=True))
    agree("largest relative difference", off, 0.0, abs=1e-12)


@pytest.mark.parametrize("pull_from", ["home", "all"])
@pytest.mark.parametrize("payload", ["gradient", "data"])
def test_s7f_with_copies_no_worker_begins_before_all_that_it_asked_have_answered(scene, payload, pull_from):
    program = copied(scene, 5, 3, pull_from=pull_from, payload=payload, latency=0.25, data=(50.0, 1e6, 2))
    trace = simulate(program)
    begins, answered = {}, {}
    for task, iteration, start, end in zip(
        trace.task.tolist(), trace.iteration.tolist(), trace.start_s, trace.end_s, strict=True
    ):
        op = program.ops[task]
        if op.kind == ("records" if payload == "data" else "forward"):
            begins[op.worker, iteration] = float(start)
        elif op.kind == "pull":
            key = op.worker, iteration
            answered[key] = max(answered.get(key, 0.0), float(end))
    later = [key for key in begins if key[1]]
    assert len(later) == 5 * 5
    for worker, iteration in later:
        assert begins[worker, iteration] >= answered[worker, iteration - 1]


@pytest.mark.parametrize("payload", ["gradient", "model", "data"])
@pytest.mark.parametrize(("workers", "servers"), COPIES)
def test_s7h_with_copies_every_slice_of_every_worker_enters_the_sum_once(agree, workers, servers, payload):
    trace = LAB.trace(_copies(workers, servers, payload, TIMES[1]))
    found = LAB.replay(trace)
    counted = Counter((one.worker, one.iteration) for one in found.gradients)
    agree("slices applied", len(counted), workers * trace.program.iterations)
    assert set(counted.values()) == {1}
    assert all(one.staleness == 0 for one in found.gradients)
    assert {(one.worker, one.server) for one in found.gradients} == {
        (worker, worker % servers) for worker in range(workers)
    }


@pytest.mark.parametrize("payload", ["gradient", "data"])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_s7h_with_copies_what_leaves_arrives(scene, agree, sharing, payload):
    program = copied(scene, 4, 3, sharing=sharing, payload=payload, data=(50.0, 1e6, 2))
    carried = crossing(program)
    out, into = (
        sum(b for name, b in carried.items() if name.endswith(way) and "store" not in name)
        for way in (".out", ".in")
    )
    kinds = ("push", "records", "pull", "sum", "share")
    sent = sum(size for kind in kinds for *_, size in messages(program, kind))
    agree("bytes sent", out, sent)
    agree("bytes received", into, sent + carried["store.out"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"overlap": True}, "with 'placement: replicated' a copy is summed up as a whole"),
        ({"slice_bytes": "8 B"}, "with 'placement: replicated' a copy is summed up as a whole"),
        ({"colocate": True}, "copies sum up over links of their own"),
        ({"local_merge": True}, "every worker sends to its home server itself"),
        ({"push_every": 2}, "copies are summed up after every batch"),
        ({"window": 2}, "copies are summed up before a worker goes on"),
        ({"credit": "8 B"}, "a worker sends one message"),
        ({"backup_workers": 1}, "copies are summed up when all workers have sent"),
        ({"servers": 5}, "some would serve nobody; write at most 4"),
        ({"payload": "data"}, "their size is not known; add 'data: {record_bytes: 110 kB}'"),
        ({"placement": "sliced", "payload": "data"}, "write 'placement: replicated', or 'servers: 1'"),
        ({"placement": "sliced", "payload": "model", "window": 2}, "a mean of older parameters would undo"),
        (
            {"placement": "sliced", "payload": "model", "local_merge": True},
            "add up gradients, not parameters",
        ),
    ],
)
def test_what_does_not_go_with_copies_or_payloads_is_refused_with_its_reason(options, said):
    with pytest.raises(InputError) as refused:
        LAB.scenario({"ps-sync": {"servers": 2, "placement": "replicated"} | options}, workers=4)
    assert said in str(refused.value)


@pytest.mark.parametrize("kind", ["ps-async", "ps-ssp"])
def test_copies_need_synchronous_training(kind):
    with pytest.raises(InputError, match=r"makes no sense here.*write sliced, or take ps-sync"):
        LAB.scenario({kind: {"placement": "replicated"}})
