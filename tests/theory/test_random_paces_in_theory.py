"""Workers that go their own pace under random times: how fast, and how stale, with and without a bound.

With each of 20 seeds the 5th to 95th percentile that a row states contains the formula; medians of all seeds
together are within 2 % of it. Where single gradients are counted, intervals are of means of replications.
"""

import itertools
import math
import statistics
from collections import Counter, defaultdict

import intervals
import numpy as np
import pytest

import simpar
from simpar.result import Measured
from simpar.simulate import simulate

FREE = {"bandwidth": 1e15, "layers": [(0.0, 1.0, 1, 0.0)]}
EXPONENTIAL = {"compute": {"kind": "exponential", "mean": 1}}


def stated(scene, kind, figure="step_s", *, steps=25, warmup=8, **options):
    """Return by seed the percentiles of a figure that the only row states."""
    found = []
    for seed in intervals.SEEDS:
        run = {"steps": steps, "warmup": warmup, "seed": seed}
        (row,) = simpar.compare(scene(kind, run=run, **FREE | options), advise=False).rows
        found.append(row.intervals[figure])
    return found


def holds(found, wanted, rel=0.02):
    """Assert that every seed's interval contains *wanted*, and that all of them together are near it."""
    assert intervals.missed([(one.p5, one.p95) for one in found], wanted) == 0
    assert statistics.fmean(one.p50 for one in found) == pytest.approx(wanted, rel=rel)


# E3: bounded staleness


def bounded(workers, bound):
    """Return the updates a second of workers that take exponential times of mean 1, and none is far ahead.

    The Markov chain of how many iterations each has completed more than the slowest: whoever is at most
    *bound* ahead computes, the others wait. Power iteration finds its stationary distribution.
    """
    states = [lead for lead in itertools.product(range(bound + 2), repeat=workers) if min(lead) == 0]
    number = {lead: i for i, lead in enumerate(states)}
    step = np.zeros((len(states), len(states)))
    computing = np.array([sum(ahead <= bound for ahead in lead) for lead in states], dtype=float)
    for i, lead in enumerate(states):
        for worker, ahead in enumerate(lead):
            if ahead <= bound:
                after = [one + (other == worker) for other, one in enumerate(lead)]
                step[i, number[tuple(one - min(after) for one in after)]] += 1 / workers
        step[i, i] += 1 - computing[i] / workers
    chance = np.full(len(states), 1 / len(states))
    for _ in range(5000):
        chance = chance @ step
    return float(chance @ computing)


def test_the_chain_gives_the_known_throughputs():
    """X = 4 (s + 1) / (2 s + 3) for two workers; 2.1375 for three with s = 1, 2.9928 for four with s = 2."""
    for bound in range(5):
        assert bounded(2, bound) == pytest.approx(4 * (bound + 1) / (2 * bound + 3), rel=1e-9)
    assert bounded(3, 1) == pytest.approx(2.1375, abs=5e-5)
    assert bounded(4, 2) == pytest.approx(2.9928, abs=5e-5)


@pytest.mark.parametrize(("workers", "bound"), [(2, 0), (2, 1), (2, 3), (3, 1), (4, 2)])
def test_throughput_under_a_bound_is_that_of_the_chain(scene, workers, bound):
    """The bound of ps-ssp is the chain's: who starts an iteration is at most s ahead of the slowest.

    A worker's reply of iteration t waits for all applies of iteration t - s, so when it starts t + 1, having
    completed t + 1 iterations, everybody has completed t - s + 1 or more.
    """
    found = stated(scene, {"ps-ssp": {"staleness": bound}}, workers=workers, variation=EXPONENTIAL)
    holds(found, workers / bounded(workers, bound))
    with pytest.raises(AssertionError):
        holds(found, workers / bounded(workers, bound - 1 if bound else 1))


# D9: nobody waits


@pytest.mark.parametrize(
    "compute",
    [
        {"kind": "exponential", "mean": 1},
        {"kind": "lognormal", "mean": 1, "cv": 0.6},
        {"kind": "two-point", "mean": 1, "factor": 4, "probability": 0.1},
    ],
    ids=lambda compute: compute["kind"],
)
def test_workers_that_never_wait_add_up_whatever_the_distribution(scene, compute):
    """X = sum of 1 / Z_i updates a second, Z_i the mean of worker i: only means count."""
    speed = [1.0, 0.6]
    found = stated(scene, "ps-async", workers=2, speed=speed, variation={"compute": compute}, warmup=4)
    holds(found, 2 / sum(speed))


# C: staleness


def runs(scene, seed, replications, **options):
    """Return the figures of each replication of asynchronous training with one seed."""
    run = {"seed": seed} | options.pop("run")
    scenario = scene("ps-async", run=run, **FREE | options)
    programs = [simpar.compile(scenario, "ps-async", replication) for replication in range(replications)]
    return [Measured(simulate(program)) for program in programs]


def by_worker(found):
    """Return the staleness of every gradient applied while measuring, by worker, in order."""
    trace, values = found.trace, defaultdict(list)
    stale = {row: value for row, _, value in found.stale_gradients()}
    for row in sorted(stale, key=lambda row: float(trace.end_s[row])):
        if found.since_s < trace.end_s[row] <= found.until_s:
            values[found.program.ops[int(trace.task[row])].worker].append(stale[row])
    return values


def may_miss(count):
    """Return how many of *count* intervals of the mean may miss."""
    return intervals.tolerated(count, 1 - intervals.CONFIDENCE)


VARIATIONS = [
    {"compute": {"kind": "exponential", "mean": 1}},
    {
        "compute": {"kind": "pareto", "mean": 1, "shape": 1.5},
        "link": {"kind": "uniform", "mean": 1, "cv": 0.4},
    },
    {"server": {"kind": "lognormal", "mean": 1, "cv": 2}, "link": {"kind": "exponential", "mean": 3}},
    {"stragglers": [{"probability": 0.2, "factor": 6, "steps": 3}, {"worker": 0, "factor": 2.5}]},
    {
        "compute": {"kind": "two-point", "factor": 9, "probability": 0.1},
        "server": {"kind": "constant", "mean": 2},
    },
]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("variation", VARIATIONS)
def test_the_sum_of_staleness_is_the_others_applies_whatever_varies(scene, variation, sharing):
    """Exactly, over the whole run: between two applies of one worker every other's is counted once."""
    for found in runs(
        scene,
        seed=0,
        replications=4,
        workers=4,
        layers=[(0.2, 0.5, 300, 0.0)],
        bandwidth=3000.0,
        server={"update_rate": 9000.0},
        sharing=sharing,
        variation=variation,
        run={"steps": 12},
    ):
        trace = found.trace
        rows = sorted(trace.rows_of(found.updates), key=lambda row: (trace.end_s[row], trace.task[row]))
        order = [found.program.ops[int(trace.task[row])].worker for row in rows]
        others = 0
        for worker in range(4):
            own = [place for place, who in enumerate(order) if who == worker]
            others += own[-1] - own[0] - (len(own) - 1)
        assert sum({row: value for row, _, value in found.stale_gradients()}.values()) == others


def test_memoryless_workers_are_stale_by_a_geometric_number(scene):
    """Whoever is next is anybody, with equal chances: P(k) = (1/W) (1 - 1/W)^k, with mean W - 1.

    Per worker the gaps are independent, so their counts are judged by chi-square: seven cells, six degrees of
    freedom, survival exp(-x/2) (1 + x/2 + x^2/8). Implicit momentum is 1 - 1/W for this reason (Mitliagkas
    et al., 2016).
    """
    workers, cells, improbable, tests = 4, 7, 0, 0
    share = 1 / workers
    chances = [share * (1 - share) ** k for k in range(cells - 1)] + [(1 - share) ** (cells - 1)]
    for seed in intervals.SEEDS:
        (found,) = runs(scene, seed, 1, workers=workers, variation=EXPONENTIAL, run={"steps": 200})
        for values in by_worker(found).values():
            counts = Counter(min(value, cells - 1) for value in values)
            expected = [chance * len(values) for chance in chances]
            half = sum((counts[k] - one) ** 2 / one for k, one in enumerate(expected)) / 2
            improbable += math.exp(-half) * (1 + half + half**2 / 2) < 0.01
            tests += 1
    assert improbable <= intervals.tolerated(tests, 0.01)


def test_the_histogram_of_staleness_is_geometric(scene):
    """What a row states: shares of 0, 1 and 5 missed updates, and the mean; t-intervals of 8 replications."""
    workers, intervals_of = 4, defaultdict(list)
    for seed in intervals.SEEDS:
        found = [
            one.staleness
            for one in runs(
                scene, seed, 8, workers=workers, variation=EXPONENTIAL, run={"steps": 50, "warmup": 4}
            )
        ]
        intervals_of["mean"].append(intervals.of_mean([one.mean for one in found]))
        for k in (0, 1, 5):
            shares = [one.histogram.get(k, 0) / sum(one.histogram.values()) for one in found]
            intervals_of[k].append(intervals.of_mean(shares))
    assert intervals.missed(intervals_of.pop("mean"), workers - 1) <= may_miss(20)
    for k, found in intervals_of.items():
        assert intervals.missed(found, 1 / workers * (1 - 1 / workers) ** k) <= may_miss(20)


def test_the_slow_worker_is_the_stale_one_whatever_the_luck(scene):
    """staleness_i = 1 / f_i - 1 for its share f_i of all updates, each in its interval of 8 replications."""
    speed = [1.0, 0.5, 0.8]
    compute = {"kind": "lognormal", "mean": 1, "cv": 0.8}
    found = defaultdict(list)
    for seed in intervals.SEEDS:
        several = runs(
            scene,
            seed,
            8,
            workers=3,
            speed=speed,
            variation={"compute": compute},
            run={"steps": 30, "warmup": 4},
        )
        values = [by_worker(one) for one in several]
        for worker in range(3):
            found[worker].append(intervals.of_mean([statistics.fmean(one[worker]) for one in values]))
    for worker, of_seeds in found.items():
        assert intervals.missed(of_seeds, sum(speed) / speed[worker] - 1) <= may_miss(20)


def test_parameters_read_on_their_arrival_are_fresher_by_the_others_updates_meanwhile(scene):
    """Counted from the arrival of a reply, a latency after the apply: (W - 1) (1 - alpha / (Z + 2 alpha)).

    Workers do not meet, so while a reply travels each other one applies alpha / (Z + 2 alpha) gradients.
    """
    workers, alpha, found = 4, 0.5, []
    for seed in intervals.SEEDS:
        means = []
        for one in runs(
            scene,
            seed,
            8,
            workers=workers,
            latency=alpha,
            variation=EXPONENTIAL,
            run={"steps": 25, "warmup": 4},
        ):
            trace, program = one.trace, one.program
            done = np.sort(trace.end_s[trace.rows_of(one.updates)])
            values = []
            for worker in range(workers):
                applies, pulls = (
                    trace.end_s[np.flatnonzero(trace.task == program.task(name))]
                    for name in (f"ps0.apply.w{worker}", f"w{worker}.pull.ps0")
                )
                inside = (applies[1:] > one.since_s) & (applies[1:] <= one.until_s)
                missed = np.searchsorted(done, applies[1:]) - np.searchsorted(done, pulls[:-1], side="right")
                values += missed[inside].tolist()
            means.append(statistics.fmean(values))
        found.append(intervals.of_mean(means))
    assert intervals.missed(found, (workers - 1) * (1 - alpha / (1 + 2 * alpha))) <= may_miss(20)
    assert intervals.missed(found, workers - 1) == 20
