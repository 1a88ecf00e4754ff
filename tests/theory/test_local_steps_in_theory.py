"""E4, local steps: workers that train on their own for tau steps, and then average what they have.

A round ends when the slowest of m sums of tau times has ended and the average, D seconds, is there; so a step
takes E[largest of m means of tau times] + D / tau (Wang and Joshi, arXiv 1810.08313). The mean of tau
exponential times is an Erlang time: the first term is the integral of 1 - F(x tau)^m. Constant times Y: all
are done at once, and tau steps to an average are (1 + a) / (1 + a / tau) times as fast as one, a = D / Y.

The programs are written down here, with times drawn up front: these are pages on the engines. Rounds are
independent of each other, so with each of 20 seeds a 99 % t-interval of their mean is expected to contain the
formula, but for two; the mean over all seeds is within 2 % of it.
"""

import math
import statistics

import intervals
import numpy as np
import pytest

import simpar
from simpar.program import Op, ProgramBuilder
from simpar.result import Measured
from simpar.simulate import simulate

ROUNDS = 150


def steps(times, average_s, on_servers=False):
    """Return the seconds of a step in each round: those of the round over its local steps.

    Args:
        times: seconds of each local step, [workers, local steps, rounds].
        average_s: seconds of averaging.
        on_servers: whether a server averages what is pushed to it, rather than the workers among themselves.
    """
    workers, local, rounds = times.shape
    builder = ProgramBuilder("local steps", rounds)
    firsts, lasts = [], []
    for worker in range(workers):
        device, before = builder.resource(f"w{worker}", "device"), []
        for step in range(local):
            task = builder.task(
                f"w{worker}.s{step}", Op("forward"), device, times[worker, step].tolist(), before
            )
            before = [task]
            if step == 0:
                firsts.append(task)
        lasts += before
    kind = "server" if on_servers else "collective"
    after = [builder.join("pushed", lasts, workers)] if on_servers else lasts
    average = builder.task("average", Op("all_reduce"), builder.resource("average", kind), average_s, after)
    for first in firsts:
        builder.edge(average, first, distance=1)
    program = builder.build()
    assert program.check() == []
    trace = simulate(program)
    ends = trace.end_s[trace.rows_of([average])]
    return np.diff(ends, prepend=0.0) / local


def slowest_mean(workers, local):
    """Return the expected largest of *workers* means of *local* exponential times of mean 1."""

    def erlang(x):
        return 1.0 - math.exp(-x) * math.fsum(x**k / math.factorial(k) for k in range(local))

    return intervals.largest_of(lambda x: erlang(local * x), workers, 40.0)


def holds(found, wanted):
    """Assert that *found*, steps by seed, have the mean *wanted*."""
    of_mean = [intervals.of_mean(each.tolist()) for each in found]
    assert intervals.missed(of_mean, wanted) <= intervals.tolerated(len(found), 1 - intervals.CONFIDENCE)
    assert statistics.fmean(float(each.mean()) for each in found) == pytest.approx(wanted, rel=0.02)


def test_one_local_step_is_the_barrier_of_every_step():
    """The largest of m exponential times is H_m."""
    assert slowest_mean(4, 1) == pytest.approx(1 + 1 / 2 + 1 / 3 + 1 / 4, rel=1e-9)


@pytest.mark.parametrize("on_servers", [False, True])
@pytest.mark.parametrize(("workers", "local"), [(4, 1), (4, 4), (8, 10), (2, 25)])
def test_random_steps_between_averages_even_out(workers, local, on_servers):
    average_s, found = 0.5, []
    for seed in intervals.SEEDS:
        times = np.random.default_rng(seed).exponential(1.0, (workers, local, ROUNDS))
        found.append(steps(np.maximum(times, 1e-9), average_s, on_servers))
    holds(found, slowest_mean(workers, local) + average_s / local)
    if local > 1:  # the barrier is what evens out, not the averaging alone
        with pytest.raises(AssertionError):
            holds(found, slowest_mean(workers, 1) + average_s / local)


@pytest.mark.parametrize("local", [1, 2, 5, 16])
@pytest.mark.parametrize("a", [0.25, 1.0, 6.0])
def test_equal_steps_are_faster_by_the_averages_that_are_left_out(local, a):
    """(1 + a) / (1 + a / tau)."""
    y = 0.375
    every, some = (float(steps(np.full((3, each, 4), y), a * y).mean()) for each in (1, local))
    assert every / some == pytest.approx((1 + a) / (1 + a / local), rel=1e-12)


@pytest.mark.parametrize(("workers", "local"), [(4, 1), (4, 4), (2, 10)])
def test_batches_that_are_added_up_before_a_push_even_out_alike(scene, run_on_both, workers, local):
    """ps-sync with push_every: tau, of exponential times and a network that costs nothing: D = 0."""
    found = []
    for seed in intervals.SEEDS:
        scenario = scene(
            {"ps-sync": {"push_every": local}},
            layers=[(0.5, 0.5, 1000, 0.0)],
            workers=workers,
            bandwidth=1e15,
            variation={"compute": {"kind": "exponential", "mean": 1}, "replications": 1},
            run={"steps": ROUNDS, "warmup": 1, "seed": seed},
        )
        updates = Measured(run_on_both(simpar.compile(scenario, "ps-sync"))).update_s
        found.append(np.diff(updates) / local)
    holds(found, slowest_mean(workers, local))
