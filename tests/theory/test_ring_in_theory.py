"""Ring all-reduce: 2 (N - 1) (alpha + n / (N B)), Patarasuk and Yuan, JPDC 69(2), 2009."""

import math
import random

import pytest

import simpar


def ring(n_bytes, workers, bandwidth, latency=0.0, overhead=0.0):
    return 2 * (workers - 1) * (latency + overhead + n_bytes / (workers * bandwidth))


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("workers", range(1, 9))
def test_a_step_is_compute_and_one_ring(scene, measure, workers, sharing):
    elements = 840 * 50  # divides by 1 to 8
    scenario = scene(
        "allreduce",
        layers=[(0.3, 0.5, elements, 0.0)],
        workers=workers,
        bandwidth=1e6,
        latency=1e-3,
        overhead=2e-4,
        sharing=sharing,
    )
    wanted = 0.8 + ring(4 * elements, workers, 1e6, 1e-3, 2e-4)
    assert measure(scenario).step_s == pytest.approx(wanted, rel=1e-9)


def test_a_hundred_megabytes_on_eight_workers(scene, measure):
    """Worked out by hand: 14 messages of 12.5 MB at 12.5 GB/s and 5 us are 14.070 ms."""
    layers = [(1e-3, 1e-3, 25_000_000, 0.0)]
    scenario = scene("allreduce", layers=layers, workers=8, bandwidth=12.5e9, latency=5e-6)
    assert measure(scenario).step_s - 2e-3 == pytest.approx(14.070e-3, rel=1e-9)


@pytest.mark.parametrize("workers", [2, 3, 5, 8])
def test_a_size_that_does_not_divide_lies_between_the_whole_chunks(scene, measure, workers):
    """No chunk has fewer than floor(n / N) elements and none more than ceil(n / N)."""
    elements = 1009
    layers = [(1.0, 1.0, elements, 0.0)]
    found = measure(scene("allreduce", layers=layers, workers=workers, bandwidth=1e3)).step_s - 2.0
    least, most = (round_(elements / workers) * workers * 4 for round_ in (math.floor, math.ceil))
    assert ring(least, workers, 1e3) * (1 - 1e-12) <= found <= ring(most, workers, 1e3) * (1 + 1e-12)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("workers", [2, 3, 4, 6])
def test_the_closed_form_and_the_messages_agree(scene, measure, workers, overlap):
    layers = [(0.1, 0.2, 1200, 0.0), (0.1, 0.3, 2400, 0.0), (0.2, 0.1, 120, 0.0)]
    steps = [
        measure(
            scene(
                {"allreduce": {"overlap": overlap, "bucket": "3 kB"}},
                layers=layers,
                workers=workers,
                bandwidth=3e4,
                latency=1e-3,
                overhead=1e-3,
                run={"collectives": way},
            )
        ).step_s
        for way in ("messages", "closed_form")
    ]
    assert steps[0] == pytest.approx(steps[1], rel=1e-9)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_late_worker_delays_the_ring_by_its_lateness(scene, measure, sharing):
    """What it starts itself goes all the way round after it."""
    scenario = scene(
        "allreduce", layers=[(1.0, 1.0, 400, 0.0)], workers=4, speed=[1, 1, 0.5, 1], sharing=sharing
    )
    assert measure(scenario).step_s == pytest.approx(4.0 + ring(1600, 4, 1000.0), rel=1e-9)


@pytest.mark.parametrize("workers", [2, 3, 4, 7])
def test_after_the_ring_every_worker_has_every_chunk_of_everybody(scene, workers):
    """Played through with sets: a reduce-scatter adds to what is there, an all-gather replaces it."""
    program = simpar.compile(scene("allreduce", workers=workers), "allreduce")
    held = [[{worker} for _ in range(workers)] for worker in range(workers)]
    sends = [(op, n) for op, n in zip(program.ops, program.bytes.tolist(), strict=True) if op.step >= 0]
    for step in range(2 * (workers - 1)):
        now = [op for op, _ in sends if op.step == step]
        assert sorted(op.worker for op in now) == list(range(workers))
        said = [(op, set(held[op.worker][op.key])) for op in now]
        for op, chunk in said:
            assert op.peer == (op.worker + 1) % workers
            adds = op.kind == "reduce_scatter"
            assert adds == (step < workers - 1)
            assert adds or len(chunk) == workers
            held[op.peer][op.key] = chunk | held[op.peer][op.key] if adds else chunk
    assert all(chunk == set(range(workers)) for worker in held for chunk in worker)


def test_a_chunk_keeps_its_size_all_the_way_round(scene):
    """1009 elements on 4 workers: one chunk of 253 and three of 252."""
    scenario = scene("allreduce", layers=[(1.0, 1.0, 1009, 0.0)], workers=4)
    program = simpar.compile(scenario, "allreduce")
    sizes = {chunk: set() for chunk in range(4)}
    for op, n_bytes in zip(program.ops, program.bytes.tolist(), strict=True):
        if op.step >= 0:
            sizes[op.key].add(n_bytes)
    assert sorted(n for each in sizes.values() for n in each) == [4 * 252] * 3 + [4 * 253]


def chain(layers, bandwidth, workers, bucket_bytes):
    """Return the step with overlap: each bucket's ring follows its backward and the ring before."""
    now = sum(forward for forward, *_ in layers)
    free, size = 0.0, 0
    for position, (_, backward, elements, _) in enumerate(reversed(layers), start=1):
        now += backward
        size += 4 * elements
        if size >= bucket_bytes or position == len(layers):
            free = max(now, free) + ring(size, workers, bandwidth)
            size = 0
    return max(now, free)


@pytest.mark.parametrize("seed", range(20))
def test_an_overlapped_step_ends_with_its_chain_of_rings(scene, measure, seed):
    rng = random.Random(seed)
    workers = rng.randint(2, 5)
    layers = [(rng.random(), rng.random(), 60 * rng.randint(1, 200), 0.0) for _ in range(rng.randint(1, 6))]
    bandwidth, bucket = rng.uniform(1e3, 1e5), rng.choice([1, 5000, 30_000])
    scenario = scene(
        {"allreduce": {"overlap": True, "bucket": f"{bucket} B"}},
        layers=layers,
        workers=workers,
        bandwidth=bandwidth,
        sharing=rng.choice(["fair", "fifo"]),
    )
    assert measure(scenario).step_s == pytest.approx(chain(layers, bandwidth, workers, bucket), rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_an_overlapped_step_lies_between_the_longer_part_and_the_sum(scene, measure, seed):
    rng = random.Random(1000 + seed)
    workers = rng.randint(2, 5)
    layers = [(rng.random(), rng.random(), rng.randint(1, 9000), 0.0) for _ in range(rng.randint(1, 6))]
    options = {"layers": layers, "workers": workers, "bandwidth": rng.uniform(1e3, 1e5), "latency": 1e-3}
    bucket = {"bucket": f"{rng.choice([1, 9000])} B"}
    overlapped = measure(scene({"allreduce": {"overlap": True} | bucket}, **options)).step_s
    apart = measure(scene({"allreduce": bucket}, **options)).step_s
    computing = sum(forward + backward for forward, backward, *_ in layers)
    assert max(computing, apart - computing) <= overlapped * (1 + 1e-9)
    assert overlapped <= apart * (1 + 1e-9)


@pytest.mark.parametrize("workers", [2, 3, 4, 7])
def test_no_ring_beats_the_bandwidth_of_a_link(scene, measure, workers):
    layers = [(0.0, 1e-3, 999, 0.0)]
    step = measure(scene("allreduce", layers=layers, workers=workers, latency=1e-3)).step_s
    assert step >= 2 * (workers - 1) / workers * 999 * 4 / 1000.0
