"""Synchronous parameter servers: Z + 2 (alpha + max(n / B_w, W n / (S B_s))) and its bounds."""

import math
import random

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate


def one_way(n_bytes, workers, servers, bandwidth, server_bandwidth):
    return max(n_bytes / bandwidth, workers * n_bytes / (servers * server_bandwidth))


# B1: push, then pull, equal shards


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("servers", [1, 2, 3, 4])
@pytest.mark.parametrize("server_bandwidth", [250.0, 1000.0, 4000.0, 10_000.0])
def test_push_and_pull_each_take_the_fuller_link(scene, measure, workers, servers, server_bandwidth):
    scenario = scene(
        {"ps-sync": {"servers": servers}},
        layers=[(1.0, 2.0, 1200, 0.0)],
        workers=workers,
        latency=0.125,
        server_bandwidth=server_bandwidth,
    )
    wanted = 3.0 + 2 * (0.125 + one_way(4800, workers, servers, 1000.0, server_bandwidth))
    assert measure(scenario).step_s == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("servers", [1, 2, 3])
def test_the_first_push_one_message_at_a_time_takes_as_long(scene, measure, workers, servers):
    """Workers begin with different servers, so no link with work ever idles."""
    scenario = scene(
        {"ps-sync": {"servers": servers}},
        layers=[(1.0, 2.0, 1200, 0.0)],
        workers=workers,
        latency=0.125,
        sharing="fifo",
    )
    wanted = 3.0 + 0.125 + one_way(4800, workers, servers, 1000.0, 1000.0)
    assert measure(scenario).update_s[0] == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("workers", "servers"), [(1, 1), (2, 2), (2, 1), (4, 2), (6, 3), (2, 4), (5, 1)])
def test_steps_one_message_at_a_time_lie_between_the_bound_and_the_sum(scene, measure, workers, servers):
    """Who is answered first computes first: pushes, pulls and compute of different workers overlap."""
    scenario = scene(
        {"ps-sync": {"servers": servers}},
        layers=[(1.0, 2.0, 1200, 0.0)],
        workers=workers,
        latency=0.125,
        sharing="fifo",
    )
    each = one_way(4800, workers, servers, 1000.0, 1000.0)
    found = measure(scenario).step_s
    assert max(3.0 + 2 * (0.125 + 4.8 / servers), each) * (1 - 1e-9) <= found
    assert found <= (3.0 + 2 * (0.125 + each)) * (1 + 1e-9)
    if workers == servers:
        assert found == pytest.approx(3.0 + 2 * (0.125 + each), rel=1e-9)


def test_overhead_is_paid_once_each_way(scene, measure):
    """Messages to different servers spend theirs at the same time."""
    scenario = scene({"ps-sync": {"servers": 2}}, workers=2, latency=0.125, overhead=0.5)
    assert measure(scenario).step_s == pytest.approx(3.0 + 2 * (0.125 + 0.5 + 4.0), rel=1e-9)


def test_the_slowest_worker_sets_the_step(scene, measure):
    scenario = scene("ps-sync", layers=[(1.0, 2.0, 0, 0.0)], workers=3, speed=[1, 0.5, 2])
    assert measure(scenario).step_s == pytest.approx(6.0, rel=1e-12)


# B7: the servers' own time


@pytest.mark.parametrize("servers", [1, 2])
def test_servers_add_for_every_worker_and_update_once(scene, measure, servers):
    """All pushes arrive together, so the adds come on top, one after another."""
    scenario = scene(
        {"ps-sync": {"servers": servers}}, workers=4, server={"add_rate": 500.0, "update_rate": 250.0}
    )
    load = 4000 / servers
    wanted = 3.0 + 2 * one_way(4000, 4, servers, 1000.0, 1000.0) + 4 * load / 500 + load / 250
    assert measure(scenario).step_s == pytest.approx(wanted, rel=1e-9)


def test_threads_add_for_several_workers_at_once(scene, measure):
    scenario = scene("ps-sync", workers=4, server={"add_rate": 500.0, "threads": 2})
    assert measure(scenario).step_s == pytest.approx(3.0 + 2 * 16 + 2 * 8, rel=1e-9)


@pytest.mark.parametrize(("threads", "together"), [(1, 1), (2, 1), (2, 2), (4, 2), (4, 4)])
def test_threads_share_the_adds_and_threads_of_a_key_its_bytes(scene, measure, threads, together):
    """Four adds on threads / together keys at once, each add and the update together times as fast."""
    server = {"add_rate": 500.0, "update_rate": 250.0, "threads": threads, "threads_per_key": together}
    scenario = scene("ps-sync", workers=4, server=server)
    adds = 4 / (threads // together) * 4000 / (500 * together)
    assert measure(scenario).step_s == pytest.approx(3.0 + 2 * 16 + adds + 4000 / (250 * together), rel=1e-9)


@pytest.mark.parametrize("together", [1, 2])
def test_every_add_and_the_update_have_an_overhead(scene, measure, together):
    """What takes up a key is no faster for the threads that share it."""
    server = {"add_rate": 500.0, "update_rate": 250.0, "overhead": 0.25}
    scenario = scene("ps-sync", workers=4, server=server | {"threads": together, "threads_per_key": together})
    wanted = 3.0 + 2 * 16 + 4 * (0.25 + 8 / together) + 0.25 + 16 / together
    assert measure(scenario).step_s == pytest.approx(wanted, rel=1e-9)


def test_an_asynchronous_server_takes_up_each_push_once(scene, measure):
    """One worker: its add and update are one go."""
    server = {"add_rate": 500.0, "update_rate": 250.0, "overhead": 0.25}
    scenario = scene("ps-async", workers=1, server=server, run={"stagger": "none"})
    assert measure(scenario).step_s == pytest.approx(3.0 + 2 * 4 + 0.25 + 8 + 16, rel=1e-9)


def test_a_server_of_many_small_keys_is_bound_by_its_overhead(scene, measure):
    """Ten slices of 400 bytes, 1 s each: 10 (1 + 0.4) s of updates, one after another behind the first push.

    MXNet measured 0.78 ms for a key of 2 MB on a server (issue 14485), 2.56 GB/s: at that rate an overhead of
    20 us is 2.5 % of such a key, and as much as the bytes of one of 51 kB.
    """
    scenario = scene(
        {"ps-async": {"overlap": True, "slice_bytes": "400 B"}},
        workers=1,
        bandwidth=4000.0,
        server={"update_rate": 1000.0, "overhead": 1.0},
        run={"stagger": "none"},
    )
    first, last = 400 / 4000, 400 / 4000
    assert measure(scenario).step_s == pytest.approx(3.0 + first + 10 * (1.0 + 0.4) + last, rel=1e-9)


# B3, B6: bounds


@pytest.mark.parametrize("seed", range(60))
def test_no_step_beats_compute_or_the_bytes_over_a_link(scene, measure, seed):
    """Whatever it overlaps: every byte crosses a worker's and a server's link once each way."""
    rng = random.Random(seed)
    workers, servers = rng.randint(1, 5), rng.randint(1, 4)
    layers = [
        (rng.random(), rng.random(), rng.choice([0, rng.randint(1, 5000)]), 0.0)
        for _ in range(rng.randint(1, 5))
    ]
    bandwidth, server_bandwidth = rng.uniform(1e3, 1e5), rng.uniform(1e3, 1e5)
    options = {
        "servers": servers,
        "overlap": rng.random() < 0.6,
        "placement": rng.choice(["sliced", "balanced", "round_robin"]),
    }
    if rng.random() < 0.5:
        options["slice_bytes"] = f"{rng.randint(4, 9000)} B"
    scenario = scene(
        {"ps-sync": options},
        layers=layers,
        workers=workers,
        speed=[rng.choice([0.5, 1.0, 1.0, 2.0]) for _ in range(workers)],
        bandwidth=bandwidth,
        server_bandwidth=server_bandwidth,
        latency=rng.choice([0.0, 0.01]),
        overhead=rng.choice([0.0, 0.001]),
        sharing=rng.choice(["fair", "fifo"]),
        run={"steps": 5},
    )
    found = measure(scenario)
    loads = found.program.meta["server_loads_bytes"]
    n_bytes = 4 * sum(parameters for _, _, parameters, _ in layers)
    assert sum(loads) == n_bytes
    computing = sum(f + b for f, b, *_ in layers) / min(scenario.cluster.speed)
    bound = max(computing, n_bytes / bandwidth, workers * max(loads) / server_bandwidth)
    assert found.step_s >= bound * (1 - 1e-9)
    if not options["overlap"]:
        assert found.step_s >= (computing + n_bytes / bandwidth) * (1 - 1e-9)


VGG_16 = [  # Simonyan and Zisserman, arXiv:1409.1556, Table 1, column D: (in, out) of each 3x3 convolution
    (3, 64),
    (64, 64),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (256, 256),
    (256, 512),
    (512, 512),
    (512, 512),
    (512, 512),
    (512, 512),
    (512, 512),
]
VGG_16_TENSORS = [
    elements
    for weight, bias in (
        *[(9 * inside * outside, outside) for inside, outside in VGG_16],
        (25088 * 4096, 4096),
        (4096 * 4096, 4096),
        (4096 * 1000, 1000),
    )
    for elements in (weight, bias)
]


@pytest.mark.parametrize("workers", [4, 8])
def test_the_hot_shard_of_vgg_sets_the_step(scene, measure, workers):
    """Whole tensors in turn: the server with the first fully connected layer is the last to end."""
    assert sum(VGG_16_TENSORS) == 138_357_544
    held = [4 * sum(VGG_16_TENSORS[server::4]) for server in range(4)]
    scenario = scene(
        {"ps-sync": {"servers": 4, "placement": "round_robin"}},
        model={"preset": "vgg-16"},
        device={"forward": "100 ms", "backward": "200 ms"},
        workers=workers,
        bandwidth=3.125e9,
        latency=5e-6,
        batch=32,
    )
    found = measure(scenario)
    assert found.program.meta["server_loads_bytes"] == held
    assert found.step_s == pytest.approx(0.3 + 2 * (5e-6 + workers * max(held) / 3.125e9), rel=1e-9)
    assert found.step_s >= 0.3 + 2 * workers * 4 * max(VGG_16_TENSORS) / 3.125e9


# B2: slices, pushed and pulled at once


def sliced(slices, n_bytes, bandwidth, overhead, sharing):
    """Return the seconds to push *n_bytes* in slices and pull each as soon as it is there."""
    builder = ProgramBuilder("slices", 1, sharing)
    ends = []
    for k in range(slices):
        there = [("w.out", bandwidth), ("ps.in", bandwidth)]
        back = [("ps.out", bandwidth), ("w.in", bandwidth)]
        each = {"latency": 0.0, "overhead": overhead}
        push, op = Op("push", worker=0, server=0), Op("pull", worker=0, server=0)
        _, pushed = builder.message(f"push{k}", push, "w", "ps", there, n_bytes / slices, **each)
        _, pulled = builder.message(f"pull{k}", op, "ps", "w", back, n_bytes / slices, **each, after=[pushed])
        ends.append(builder.gather(f"there{k}", [pulled]))
    trace = simulate(builder.build())
    return float(trace.end_s[ends[-1]])


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("slices", [1, 2, 5, 16])
def test_slices_pass_two_stages(sharing, slices):
    """T(k) = (k + 1) (theta + n / (k B))."""
    wanted = (slices + 1) * (0.125 + 64.0 / (slices * 4.0))
    assert sliced(slices, 64.0, 4.0, 0.125, sharing) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_the_best_number_of_slices_is_a_neighbour_of_the_root(sharing):
    """k* = sqrt(n / (theta B)) = 11.3, T* = (sqrt(n / B) + sqrt(theta))^2 is never beaten."""
    n_bytes, bandwidth, overhead = 64.0, 4.0, 0.125
    steps = {k: sliced(k, n_bytes, bandwidth, overhead, sharing) for k in range(1, 40)}
    best = math.sqrt(n_bytes / (overhead * bandwidth))
    assert min(steps, key=steps.get) in (math.floor(best), math.ceil(best))
    assert min(steps.values()) >= (math.sqrt(n_bytes / bandwidth) + math.sqrt(overhead)) ** 2
    assert min(steps.values()) == pytest.approx(
        (math.sqrt(n_bytes / bandwidth) + math.sqrt(overhead)) ** 2, rel=1e-3
    )


@pytest.mark.parametrize("slices", [1, 4, 10])
def test_a_strategy_that_overlaps_pushes_and_pulls_slices_like_the_program(scene, measure, slices):
    """One layer: its slices leave together, and the next forward waits for all of them."""
    scenario = scene(
        {"ps-sync": {"overlap": True, "slice_bytes": f"{4000 // slices} B"}}, workers=1, overhead=0.125
    )
    assert measure(scenario).step_s == pytest.approx(3.0 + (slices + 1) * (0.125 + 4 / slices), rel=1e-9)


def test_overlap_hides_all_but_the_first_layers_messages(scene, measure):
    """Pushes follow the backward pass, pulls end before a layer's forward: 6 of compute, 1 there, 1 back."""
    layers = [(1.0, 1.0, 250, 0.0)] * 3
    scenario = scene({"ps-sync": {"overlap": True}}, layers=layers, workers=1)
    assert measure(scenario).step_s == pytest.approx(6.0 + 2 * 1.0, rel=1e-9)
