"""Closed queues: W workers that compute, ask a server, and compute again.

Mean value analysis is exact for exponential service in order of arrival with any distribution of computing,
and for any service on a fairly shared link; not where both are constant. With each of 20 seeds the interval
contains it: a 99 % t-interval of the throughput in ten stretches of one long run, of which two may miss; or
what a row states.
"""

import math
import statistics

import intervals
import numpy as np
import pytest
from queues import SHORTEST, Queues, mean_value_analysis, rows

import simpar
from simpar.program import Op

WARM = 10
"""Rounds of each worker that are not counted."""


def think(queue, kind, mean):
    """Return times of computing."""
    if kind == "exponential":
        return queue.exponential(mean)
    if kind == "constant":
        return np.full(queue.customers, mean)
    return np.maximum(queue.rng.lognormal(np.log(mean) - 0.5, 1.0, queue.customers), SHORTEST)


def sizes(queue, kind):
    """Return sizes of mean 1, on a link of one byte a second."""
    if kind == "constant":
        return np.ones(queue.customers)
    return np.where(queue.rng.random(queue.customers) < 0.25, 2.5, 0.5)


def completions(seed, workers, rounds, thinks, ask):
    """Return the times of completion of all workers, while all of them take part.

    Args:
        thinks: the distribution of computing, its mean in seconds.
        ask: given the queue, a worker and its computing, adds what it asks for and returns the last of it.
    """
    queue = Queues(seed, WARM + rounds)
    last = []
    for worker in range(workers):
        device = queue.builder.resource(f"w{worker}", "device")
        times = think(queue, *thinks).tolist()
        last.append((queue.builder.task(f"w{worker}.compute", Op("forward"), device, times), worker))
    ends = [ask(queue, worker, [computed]) for computed, worker in last]
    for end, (computed, _) in zip(ends, last, strict=True):
        queue.builder.edge(end, computed, distance=1)
    trace = queue.run()
    by_worker = np.array([trace.end_s[rows(trace, end)] for end in ends])
    done = np.sort(by_worker.ravel())
    return done[(done > by_worker[:, WARM].max()) & (done <= by_worker[:, -1].min())]


def throughputs(done, count=10):
    """Return completions a second in *count* stretches of equal length."""
    completed, _ = np.histogram(done[1:], bins=count, range=(done[0], done[-1]))
    return (completed * count / float(done[-1] - done[0])).tolist()


def holds(found, wanted):
    """Assert that *found*, completions by seed, come at the rate *wanted*."""
    rates = [throughputs(done) for done in found]
    of_mean = [intervals.of_mean(each) for each in rates]
    assert intervals.missed(of_mean, wanted) <= intervals.tolerated(len(rates), 1 - intervals.CONFIDENCE)
    assert statistics.fmean(map(statistics.fmean, rates)) == pytest.approx(wanted, rel=0.02)


def by_link(kind):
    """Return an *ask* of one message over the shared link."""
    return lambda queue, worker, after: queue.message(f"m{worker}", sizes(queue, kind), after)


def by_server(mean):
    """Return an *ask* of exponential time at one server, first in, first out."""
    return lambda queue, worker, after: queue.server(f"s{worker}", queue.exponential(mean), after)


# One server


def test_mean_values_are_those_of_the_chain():
    """M/M/1//N: X = (1 - p0) / D, p0 = 1 / sum of N! / (N - k)! (D / Z)^k; 0.929952 for 8, 1 s and 5 s."""
    total, term = 1.0, 1.0
    for k in range(8):
        term *= (8 - k) * 1.0 / 5.0
        total += term
    assert mean_value_analysis(8, 5.0, [1.0]) == pytest.approx(1 - 1 / total, rel=1e-12)
    assert mean_value_analysis(8, 5.0, [1.0]) == pytest.approx(0.929952, abs=5e-7)


@pytest.mark.parametrize(
    ("thinks", "kind"),
    [
        ("exponential", "constant"),
        ("lognormal", "constant"),
        ("constant", "two-point"),
        ("lognormal", "two-point"),
    ],
)
def test_a_shared_link_serves_any_sizes_alike(thinks, kind):
    """Insensitivity (Baskett, Chandy, Muntz and Palacios, J. ACM 22(2), 1975)."""
    found = [completions(seed, 8, 150, (thinks, 5.0), by_link(kind)) for seed in intervals.SEEDS]
    holds(found, mean_value_analysis(8, 5.0, [1.0]))


@pytest.mark.parametrize("thinks", ["exponential", "constant", "lognormal"])
def test_exponential_service_in_order_of_arrival_does_not_mind_how_long_workers_compute(thinks):
    found = [completions(seed, 8, 150, (thinks, 5.0), by_server(1.0)) for seed in intervals.SEEDS]
    holds(found, mean_value_analysis(8, 5.0, [1.0]))


def repairman(workers, think_s, served_s):
    """Return the throughput of one server with constant times and exponential computing, M/D/1//W.

    The chain of how many a departing customer leaves behind: each of those who compute comes during a service
    with chance 1 - exp(-D / Z), on its own. X = 1 / (D + pi_0 Z / W), since an empty server waits Z / W.
    """
    comes = 1 - math.exp(-served_s / think_s)
    step = np.zeros((workers, workers))
    for left in range(workers):
        present = max(left, 1)
        for more in range(workers - present + 1):
            chance = (
                math.comb(workers - present, more) * comes**more * (1 - comes) ** (workers - present - more)
            )
            step[left, present - 1 + more] += chance
    chances = np.full(workers, 1 / workers)
    for _ in range(2000):
        chances = chances @ step
    return 1 / (served_s + float(chances[0]) * think_s / workers)


def test_constant_service_in_order_of_arrival_is_the_repairmans_and_not_the_chains():
    found = [
        completions(
            seed,
            6,
            150,
            ("exponential", 5.0),
            lambda queue, worker, after: queue.server(f"s{worker}", np.ones(queue.customers), after),
        )
        for seed in intervals.SEEDS
    ]
    holds(found, repairman(6, 5.0, 1.0))
    assert repairman(6, 5.0, 1.0) > 1.02 * mean_value_analysis(6, 5.0, [1.0])
    with pytest.raises(AssertionError):
        holds(found, mean_value_analysis(6, 5.0, [1.0]))


@pytest.mark.parametrize("kind", ["constant", "two-point"])
def test_servers_asked_at_random_share_the_load(kind):
    """D6: S stations with demand D / S each. Who is not asked gets a message of next to no bytes."""
    servers, think_s = 3, 1.0

    def ask(queue, worker, after):
        chosen = queue.rng.integers(servers, size=queue.customers)
        for server in range(servers):
            asked = np.where(chosen == server, sizes(queue, kind), SHORTEST)
            name, link = f"m{worker}.{server}", f"link{server}"
            after = [queue.message(name, asked, after, link=link)]
        return after[0]

    found = [completions(seed, 5, 100, ("exponential", think_s), ask) for seed in intervals.SEEDS]
    holds(found, mean_value_analysis(5, think_s, [1 / servers] * servers))


# The same through a strategy


def stated(scene, *, steps=15, **options):
    """Return by seed the percentiles of the step of asynchronous training."""
    found = []
    for seed in intervals.SEEDS:
        scenario = scene("ps-async", run={"steps": steps, "warmup": 5, "seed": seed}, **options)
        found.append(simpar.compare(scenario, advise=False)["ps-async"].intervals["step_s"])
    return found


def covers(found, wanted):
    """Assert that every row's interval contains *wanted*, and that all of them together are near it."""
    assert intervals.missed([(one.p5, one.p95) for one in found], wanted) == 0
    assert statistics.fmean(one.p50 for one in found) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("compute", ["exponential", "lognormal"])
def test_pushes_and_pulls_pass_two_shared_links(scene, compute):
    """Constant bytes, random compute: a step is W / X of two stations, the server's links in and out."""
    spread = (
        {"kind": "exponential", "mean": 1}
        if compute == "exponential"
        else {"kind": compute, "mean": 1, "cv": 1}
    )
    found = stated(
        scene, workers=3, layers=[(0.0, 2.0, 250, 0.0)], bandwidth=1000.0, variation={"compute": spread}
    )
    covers(found, 3 / mean_value_analysis(3, 2.0, [1.0, 1.0]))


@pytest.mark.parametrize(("workers", "compute"), [(1, "exponential"), (3, "lognormal"), (5, "exponential")])
def test_a_server_with_exponential_times_is_the_only_queue_of_a_free_network(scene, workers, compute):
    """M/M/1//W: 1 and 3 workers are below the saturation point (Z + D) / D = 4, and 5 are above."""
    spread = {"kind": compute, "mean": 1} | ({} if compute == "exponential" else {"cv": 1})
    found = stated(
        scene,
        steps=60 if workers == 1 else 20,
        workers=workers,
        layers=[(0.0, 3.0, 250, 0.0)],
        bandwidth=1e15,
        server={"update_rate": 1000.0},
        variation={"compute": spread, "server": {"kind": "exponential", "mean": 1}},
    )
    covers(found, workers / mean_value_analysis(workers, 3.0, [1.0]))


@pytest.mark.parametrize("seed", intervals.SEEDS)
def test_throughput_keeps_to_its_operational_bounds_whatever_is_drawn(scene, seed):
    """W / (Z + W D) <= X <= min(W / (Z + D), 1 / D_max), any distributions (Lazowska et al., 1984)."""
    rng = np.random.default_rng(seed)
    workers, bandwidth, update = int(rng.integers(1, 7)), rng.uniform(2e3, 2e4), rng.uniform(2e3, 2e4)
    kinds = [
        {"kind": "exponential", "mean": 1},
        {"kind": "lognormal", "mean": 1, "cv": 0.7},
        {"kind": "uniform", "mean": 1, "cv": 0.5},
        {"kind": "pareto", "mean": 1, "shape": 3},
    ]
    scenario = scene(
        "ps-async",
        workers=workers,
        layers=[(1.0, 2.0, 1200, 0.0)],
        bandwidth=bandwidth,
        server={"update_rate": update},
        sharing=["fair", "fifo"][int(rng.integers(2))],
        variation={
            "compute": kinds[int(rng.integers(4))],
            "link": kinds[int(rng.integers(4))],
            "server": kinds[int(rng.integers(4))],
        },
        run={"steps": 40, "warmup": 6, "seed": seed},
    )
    step = simpar.compare(scenario, advise=False)["ps-async"].intervals["step_s"]
    link, cpu = 4800 / bandwidth, 4800 / update
    asked = 2 * link + cpu
    assert step.p95 >= max(3.0 + asked, workers * max(link, cpu))
    assert step.p5 <= 3.0 + workers * asked
