"""Workers that go their own pace under random times: how fast, and how stale, with and without a bound.

With each of 20 seeds the 5th to 95th percentile that a row states contains the formula; medians of all seeds
together are within 2 % of it. Where single gradients are counted, intervals are of means of replications.
"""

import itertools
import statistics
from collections import Counter, defaultdict

import intervals
import numpy as np
import pytest

import simpar
from simpar.result import Measured

FREE = {"bandwidth": 1e15, "layers": [(0.0, 1.0, 1, 0.0)]}
EXPONENTIAL = {"compute": {"kind": "exponential", "mean": 1}}


def stated(scene, kind, figure="step_s", *, steps=40, warmup=8, **options):
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
    states = [
        lead for lead in itertools.product(range(bound + 2), repeat=workers) if min(lead) == 0
    ]
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


def test_another_bound_would_not_do(scene):
    """The chain with a bound one more or one less is outside of nearly every interval."""
    found = stated(scene, {"ps-ssp": {"staleness": 1}}, workers=2, variation=EXPONENTIAL, steps=150)
    for other in (0, 4):
        assert intervals.missed([(one.p5, one.p95) for one in found], 2 / bounded(2, other)) >= 18


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
    speed = [1.0, 0.5, 0.8]
    found = stated(scene, "ps-async", workers=3, speed=speed, variation={"compute": compute}, steps=25)
    holds(found, 3 / sum(speed))
