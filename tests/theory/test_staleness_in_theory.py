"""Staleness of asynchronous training: W - 1 on average, whatever the speeds (a conservation law)."""

import random
from collections import Counter, defaultdict

import pytest


def applies(found):
    """Return, by (server, key), the workers in the order in which their gradients were applied."""
    trace, ops = found.trace, found.program.ops
    done = defaultdict(list)
    for task, iteration, end in zip(
        trace.task.tolist(), trace.iteration.tolist(), trace.end_s.tolist(), strict=True
    ):
        op = ops[task]
        if op.kind == "apply":
            done[op.server, op.key].append((end, task, iteration, op.worker))
    return {key: [worker for *_, worker in sorted(rows)] for key, rows in done.items()}


def others_between_first_and_last(order):
    """Return the applies of others between each worker's first and last, all workers together."""
    total = 0
    for worker in set(order):
        own = [place for place, who in enumerate(order) if who == worker]
        total += own[-1] - own[0] - (len(own) - 1)
    return total


@pytest.mark.parametrize("seed", range(25))
def test_the_sum_of_staleness_is_the_others_applies(scene, measure, seed):
    """Exactly, for every server and key, over the whole run."""
    rng = random.Random(seed)
    workers = rng.randint(1, 6)
    scenario = scene(
        {"ps-async": {"servers": rng.randint(1, 4), "overlap": rng.random() < 0.3}},
        layers=[(rng.random(), rng.random(), rng.randint(1, 900), 0.0) for _ in range(rng.randint(1, 3))],
        workers=workers,
        speed=[rng.uniform(0.4, 2.0) for _ in range(workers)],
        bandwidth=rng.uniform(1e3, 1e5),
        latency=rng.choice([0.0, 0.01]),
        sharing=rng.choice(["fair", "fifo"]),
        server=rng.choice([None, {"update_rate": 1e4}]),
        run={"steps": 8, "stagger": rng.choice(["even", "none"])},
    )
    found = measure(scenario)
    summed = Counter()
    for row, _, stale in found.stale_gradients():
        op = found.program.ops[int(found.trace.task[row])]
        summed[op.server, op.key] += stale
    order = applies(found)
    assert {key: summed[key] for key in order} == {
        key: others_between_first_and_last(workers) for key, workers in order.items()
    }


@pytest.mark.parametrize("stagger", ["even", "none"])
@pytest.mark.parametrize("servers", [1, 3])
@pytest.mark.parametrize("workers", [1, 2, 5, 8])
def test_equal_workers_are_always_one_round_behind(scene, measure, workers, servers, stagger):
    """Two alternate, so each misses one update; W workers take turns, so each misses W - 1."""
    scenario = scene(
        {"ps-async": {"servers": servers}}, workers=workers, bandwidth=1e5, run={"stagger": stagger}
    )
    stale = measure(scenario).staleness
    assert set(stale.histogram) == {workers - 1}
    assert stale.mean == stale.max == workers - 1


@pytest.mark.parametrize("speed", [[1, 1, 0.5], [1, 0.7, 0.45, 0.9], [2, 1]])
def test_mean_staleness_is_all_but_one_whatever_the_speeds(scene, measure, speed):
    """Over a run of a hundred steps; what is missing at its two ends is less than W in W x 100."""
    scenario = scene("ps-async", workers=len(speed), speed=speed, bandwidth=1e6, run={"steps": 150})
    stale = measure(scenario).staleness
    assert stale.mean == pytest.approx(len(speed) - 1, rel=0.03)


def test_the_slow_worker_is_the_stale_one(scene, measure):
    """staleness_i = 1 / f_i - 1 for its share f_i of all updates: 2/5, 2/5 and 1/5 of them here."""
    speed = [1, 1, 0.5]
    scenario = scene("ps-async", workers=3, speed=speed, bandwidth=1e9, run={"steps": 200})
    found = measure(scenario)
    by_worker = defaultdict(list)
    for row, worker, stale in found.stale_gradients():
        if found.since_s < found.trace.end_s[row] <= found.until_s:
            by_worker[worker].append(stale)
    total = sum(len(values) for values in by_worker.values())
    for worker, values in by_worker.items():
        share = len(values) / total
        assert share == pytest.approx(speed[worker] / sum(speed), rel=0.02)
        assert sum(values) / len(values) == pytest.approx(1 / share - 1, rel=0.02)
    assert sum(by_worker[2]) / len(by_worker[2]) == pytest.approx(4.0, rel=0.02)
    assert sum(by_worker[0]) / len(by_worker[0]) == pytest.approx(1.5, rel=0.02)


def test_synchronous_training_has_no_staleness(scene, measure):
    assert measure(scene("ps-sync")).staleness is None


# How fast asynchronous workers are


def test_workers_that_never_wait_add_up(scene, measure):
    """X = sum of 1 / Z_i updates a second: a step is as many of them as there are workers."""
    speed = [1.0, 0.5, 0.8]
    scenario = scene("ps-async", workers=3, speed=speed, bandwidth=1e12, run={"steps": 300})
    per_s = sum(one / 3.0 for one in speed)
    assert measure(scenario).step_s == pytest.approx(3 / per_s, rel=0.01)


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6, 9])
def test_a_server_that_updates_sets_the_pace_from_where_it_is_full(scene, measure, workers):
    """All times constant: X = min(W / (Z + D), 1 / D), full with W = (Z + D) / D = 4 workers."""
    scenario = scene(
        "ps-async",
        layers=[(1.0, 2.0, 1000, 0.0)],
        workers=workers,
        bandwidth=1e15,
        server={"update_rate": 4000.0},
        run={"steps": 12, "warmup": 6},
    )
    assert measure(scenario).step_s == pytest.approx(max(3.0 + 1.0, workers * 1.0), rel=1e-6)


@pytest.mark.parametrize("seed", range(15))
def test_asynchronous_throughput_keeps_to_its_operational_bounds(scene, measure, seed):
    """W / (Z + W D) <= X <= min(W / (Z + D), 1 / D_max) for equal workers (Lazowska 1984).

    D is what a worker alone needs besides its compute: all servers at once, under fair sharing.
    """
    rng = random.Random(seed)
    sharing = rng.choice(["fair", "fifo"])
    workers, servers = rng.randint(1, 6), 1 if sharing == "fifo" else rng.randint(1, 3)
    bandwidth, update = rng.uniform(2e3, 2e4), rng.uniform(2e3, 2e4)
    scenario = scene(
        {"ps-async": {"servers": servers}},
        layers=[(1.0, 2.0, 1200, 0.0)],
        workers=workers,
        bandwidth=bandwidth,
        server={"update_rate": update},
        sharing=sharing,
        run={"steps": 40, "warmup": 10},
    )
    load = 4800 / servers
    alone = 3.0 + 2 * 4800 / bandwidth + load / update
    updates_per_s = workers / measure(scenario).step_s
    busiest = max(load / bandwidth, load / update)
    assert updates_per_s <= min(workers / alone, 1 / busiest) * (1 + 0.03)
    serial = 3.0 + workers * (alone - 3.0)
    assert updates_per_s >= workers / serial * (1 - 0.03)


def test_workers_that_start_together_stay_in_lockstep(scene, measure):
    """A step is then as long as a synchronous one, down to the last digits."""
    options = {"workers": 4, "latency": 0.25, "run": {"stagger": "none"}}
    together = measure(scene({"ps-async": {"servers": 2}}, **options))
    synchronous = measure(scene({"ps-sync": {"servers": 2}}, **options))
    assert together.step_s == pytest.approx(synchronous.step_s, rel=1e-9)
    assert together.step_s == pytest.approx(3.0 + 2 * (0.25 + 8.0), rel=1e-9)
