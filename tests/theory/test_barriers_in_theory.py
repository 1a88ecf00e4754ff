"""Synchronous steps under random compute: a barrier waits for the largest of W times.

Every expected step is a formula of order statistics (Arnold, Balakrishnan and Nagaraja, 1992), or an integral
of 1 - F^W done here. Compute is nominally 1 s, the network takes next to nothing. With each of 20 seeds
the 5th to 95th percentile that the row states contains the formula; the medians of all seeds together
are within 3 % of it, about four standard errors of that.
"""

import itertools
import math
import statistics

import intervals
import numpy as np
import pytest

import simpar

FREE = {"bandwidth": 1e15, "layers": [(0.0, 1.0, 1, 0.0)]}


def harmonic(n):
    return sum(1 / k for k in range(1, n + 1))


def normal_cdf(z):
    return 0.5 * math.erfc(-z / math.sqrt(2))


def fastest_of(rates):
    """Return the expected largest of exponential times of these rates, by inclusion and exclusion."""
    return sum(
        (-1) ** (count + 1) / sum(some)
        for count in range(1, len(rates) + 1)
        for some in itertools.combinations(rates, count)
    )


def steps(scene, variation, workers, *, kinds=("allreduce",), seeds=intervals.SEEDS):
    """Return by seed the percentiles of the step that each kind's row states."""
    found = []
    for seed in seeds:
        scenario = scene(
            *kinds,
            **FREE,
            workers=workers,
            variation=variation,
            run={"steps": 30, "seed": seed, "collectives": "closed_form"},
        )
        rows = simpar.compare(scenario, advise=False)
        found.append([rows[kind].intervals["step_s"] for kind in kinds])
    return found


def holds(found, wanted):
    """Assert that every seed's interval contains *wanted*, and that all of them together are near it."""
    assert intervals.missed([(one.p5, one.p95) for one in found], wanted) == 0
    assert statistics.fmean(one.p50 for one in found) == pytest.approx(wanted, rel=0.03)


EXPONENTIAL = {"compute": {"kind": "exponential", "mean": 1}}


def test_an_all_reduce_and_synchronous_servers_wait_alike(scene):
    """H_W / mu with exponential times, and in each run the same, for both meet the same luck."""
    found = steps(scene, EXPONENTIAL, 2, kinds=("allreduce", "ps-sync"))
    holds([one for one, _ in found], 1 + 1 / 2)
    for ring, servers in found:
        assert (ring.p5, ring.p50, ring.p95) == pytest.approx(
            (servers.p5, servers.p50, servers.p95), rel=1e-9
        )


def spread_cases():
    """Yield (name, variation, workers, expected step)."""
    yield "one worker alone", EXPONENTIAL, 1, 1.0
    yield "exponential", EXPONENTIAL, 6, harmonic(6)
    shifted = {"kind": "exponential", "mean": 1, "cv": 0.4}
    yield "shifted exponential", {"compute": shifted}, 4, 0.6 + 0.4 * harmonic(4)
    yield "a mean in seconds", {"compute": {"kind": "exponential", "mean": "250 ms"}}, 4, 0.25 * harmonic(4)
    yield "uniform", {"compute": {"kind": "uniform", "low": 0.5, "high": 2.0}}, 5, 0.5 + 1.5 * 5 / 6
    a, w = 3.0, 6
    order = math.gamma(w + 1) * math.gamma(1 - 1 / a) / math.gamma(w + 1 - 1 / a)
    yield "pareto", {"compute": {"kind": "pareto", "mean": 1, "shape": a}}, w, (a - 1) / a * order
    two = {"kind": "two-point", "factor": 5, "probability": 0.05}
    yield "two points", {"compute": two}, 4, 1 + 4 * (1 - 0.95**4)
    mean_one = 1 / (1 + 0.05 * 4)  # the usual time where the mean is 1
    yield "two points of mean 1", {"compute": two | {"mean": 1}}, 4, mean_one * (1 + 4 * (1 - 0.95**4))
    largest = intervals.largest_of(lambda x: normal_cdf((x - 1) / 0.2), 5, 4.0)
    yield "normal", {"compute": {"kind": "normal", "mean": 1, "cv": 0.2}}, 5, largest
    sigma = math.sqrt(math.log(1 + 0.5**2))
    largest = intervals.largest_of(
        lambda x: normal_cdf((math.log(x) + sigma**2 / 2) / sigma) if x else 0.0, 5, 30.0
    )
    yield "lognormal", {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.5}}, 5, largest
    slow = {"stragglers": [{"probability": 0.05, "factor": 3}]}
    yield "now and then", slow, 4, 1 + 2 * (1 - 0.95**4)
    at_times = 1 - 0.98**5
    spells = {"stragglers": [{"probability": 0.02, "factor": 3, "steps": 5}]}
    yield "spells", spells, 4, 1 + 2 * (1 - (1 - at_times) ** 4)
    one_slow = EXPONENTIAL | {"stragglers": [{"worker": 1, "factor": 4}]}
    yield "one for ever", one_slow, 3, fastest_of([1, 1 / 4, 1])
    mixed = intervals.largest_of(
        lambda x: 0.9 * (1 - math.exp(-x)) + 0.1 * (1 - math.exp(-x / 3)), 4, 200.0, points=40_000
    )
    yield "both", EXPONENTIAL | {"stragglers": [{"probability": 0.1, "factor": 3}]}, 4, mixed


CASES = list(spread_cases())


@pytest.mark.parametrize(
    ("variation", "workers", "wanted"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_step_is_the_largest_of_the_workers_times(scene, variation, workers, wanted):
    holds([one for (one,) in steps(scene, variation, workers)], wanted)


def test_measured_times_are_drawn_with_equal_chances(scene, tmp_path):
    """The largest of W draws from n sorted values is the k-th with chance (k / n)^W - ((k - 1) / n)^W."""
    values, workers = [1.0, 1.0, 2.0, 4.0, 7.0], 3
    (tmp_path / "times.txt").write_text("7 s\n1 s\n4 s # loaded\n1 s\n2 s\n")
    n = len(values)
    wanted = sum(value * ((k / n) ** workers - ((k - 1) / n) ** workers) for k, value in enumerate(values, 1))
    variation = {"compute": {"kind": "empirical", "file": str(tmp_path / "times.txt"), "mean": 1}}
    holds([one for (one,) in steps(scene, variation, workers)], wanted / 3.0)


def test_the_interval_rules_out_the_mean_of_one_worker(scene):
    """What a model without a barrier would say, the time of one worker, is in nobody's interval."""
    found = steps(scene, EXPONENTIAL, 2)
    assert intervals.missed([(one.p5, one.p95) for (one,) in found], 1.0) == len(intervals.SEEDS)


@pytest.mark.parametrize("workers", [4, 32])
def test_the_largest_of_normal_times_grows_with_the_root_of_a_logarithm(scene, workers):
    """Never above mu + sigma sqrt(2 ln W) on average, and half of the way there at least."""
    normal = {"compute": {"kind": "normal", "mean": 1, "cv": 0.1}}
    bound = 0.1 * math.sqrt(2 * math.log(workers))
    for ((one,),) in [steps(scene, normal, workers, seeds=[seed]) for seed in range(2)]:
        assert 1 + 0.5 * bound < one.p50 < 1 + bound


# Spells


def slow_computes(scene, spells, workers, seed, replications):
    """Return which computes are slow: bool[replications, workers, iterations]."""
    scenario = scene(
        "allreduce",
        **FREE,
        workers=workers,
        variation={"stragglers": [spells]},
        run={"steps": 38, "seed": seed, "collectives": "closed_form"},
    )
    found = []
    for replication in range(replications):
        program = simpar.compile(scenario, "allreduce", replication)
        found.append([program.durations[program.task(f"w{w}.backward")] > 1.5 for w in range(workers)])
    return np.array(found)


@pytest.mark.parametrize("lasts", [1, 5, 60])
def test_every_iteration_is_as_likely_to_be_slow_from_the_first_on(scene, lasts):
    """1 - (1 - p)^k, for spells that outlast the run, too: 99 % intervals over 10 replications by seed."""
    spells, wanted = {"probability": 0.05, "factor": 3, "steps": lasts}, 1 - 0.95**lasts
    slow = [slow_computes(scene, spells, 20, seed, 10) for seed in intervals.SEEDS]
    may_miss = intervals.tolerated(len(slow), 1 - intervals.CONFIDENCE)
    for iterations in (slice(0, 1), slice(39, 40), slice(None)):
        shares = [run[:, :, iterations].mean(axis=(1, 2)).tolist() for run in slow]
        assert intervals.missed([intervals.of_mean(one) for one in shares], wanted) <= may_miss
        assert statistics.fmean(map(statistics.fmean, shares)) == pytest.approx(wanted, rel=0.1)


def test_a_spell_lasts_as_long_as_it_says(scene):
    """A slow stretch within the run has k iterations, or more where spells meet."""
    lasts, stretches = 7, []
    slow = slow_computes(scene, {"probability": 0.02, "factor": 3, "steps": lasts}, 20, 0, 10)
    for worker in slow.reshape(-1, 40):
        runs = [(slow, len(list(same))) for slow, same in itertools.groupby(worker.tolist())]
        stretches += [length for slow, length in runs[1:-1] if slow]
    assert min(stretches) == lasts
    # No other begins in the k iterations of one: (1 - p)^k of them.
    assert 0.75 < stretches.count(lasts) / len(stretches) < 0.95
