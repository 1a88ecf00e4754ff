"""Open queues: Poisson arrivals at one server, several, a shared link, in two classes or to two at once.

With each of 20 seeds a 99 % interval from the means of ten stretches of one long run is expected to contain
the formula: of 20 at most two may miss, which happens to a right simulation once in a thousand. The mean over
all seeds is within 5 % of it.
"""

import math
import statistics

import intervals
import numpy as np
import pytest
from queues import Queues, rows, sojourns, waits

WARM = 150
"""Customers that come before the queue has forgotten that it was empty."""

SERVED = 5000


def holds(found, wanted):
    """Assert that *found*, a sequence of times by seed, has the mean *wanted*."""
    each = [intervals.batches(np.asarray(times).tolist(), 10) for times in found]
    of_mean = [intervals.of_mean(means) for means in each]
    assert intervals.missed(of_mean, wanted) <= intervals.tolerated(len(each), 1 - intervals.CONFIDENCE)
    assert statistics.fmean(map(statistics.fmean, each)) == pytest.approx(wanted, rel=0.05)


def service(queue, kind):
    """Return service times of mean 1."""
    if kind == "exponential":
        return queue.exponential(1.0)
    if kind == "constant":
        return np.ones(queue.customers)
    return np.where(queue.rng.random(queue.customers) < 0.1, 5.5, 0.5)


SQUARES = {"exponential": 2.0, "constant": 1.0, "two-point": 0.9 * 0.5**2 + 0.1 * 5.5**2}
"""Mean square of each."""


def one_server(seed, kind, rate):
    queue = Queues(seed, WARM + SERVED)
    served = queue.server("serve", service(queue, kind), queue.poisson(rate))
    return waits(queue.run(), served)[WARM:]


@pytest.mark.parametrize("kind", SQUARES)
def test_the_wait_for_one_server_grows_with_the_mean_square_of_its_times(kind):
    """Pollaczek and Khinchine: lambda E[S^2] / (2 (1 - rho)); at rho = 1/2 M/M/1 waits 1, M/D/1 half."""
    rate = 0.5
    holds([one_server(seed, kind, rate) for seed in intervals.SEEDS], rate * SQUARES[kind] / (2 * (1 - rate)))


def test_exponential_and_constant_service_are_told_apart():
    with pytest.raises(AssertionError):
        holds([one_server(seed, "exponential", 0.5) for seed in intervals.SEEDS], 0.5)


def test_several_servers_of_one_queue_follow_erlang():
    """M/M/c: C / (c mu - lambda), where C is the chance to wait (Erlang's C)."""
    servers, rate, found = 3, 2.0, []
    for seed in intervals.SEEDS:
        queue = Queues(seed, WARM + SERVED)
        served = queue.server("serve", queue.exponential(1.0), queue.poisson(rate), capacity=servers)
        found.append(waits(queue.run(), served)[WARM:])
    full = rate**servers / math.factorial(servers) / (1 - rate / servers)
    chance = full / (full + sum(rate**k / math.factorial(k) for k in range(servers)))
    assert chance == pytest.approx(4 / 9)
    holds(found, chance / (servers - rate))


def test_the_first_class_of_two_waits_for_whom_it_finds_in_service():
    """Cobham: W0 / (1 - r1) and W0 / ((1 - r1) (1 - r1 - r2)), with W0 = sum of lambda_i E[S_i^2] / 2."""
    rate = 0.3
    found = ([], [])
    for seed in intervals.SEEDS:
        queue = Queues(seed, WARM + SERVED // 2)
        served = [
            queue.server(
                f"serve{one}",
                service(queue, kind),
                queue.poisson(rate, name=f"class{one}."),
                discipline="priority",
                priority=one,
            )
            for one, kind in enumerate(("exponential", "constant"))
        ]
        trace = queue.run()
        # Once one class has stopped coming, the other has the server for itself.
        both = min(float(trace.ready_s[rows(trace, task)[-1]]) for task in served)
        for waiting, task in zip(found, served, strict=True):
            arrived = trace.ready_s[rows(trace, task)][WARM:]
            waiting.append(waits(trace, task)[WARM:][arrived <= both])
    residual = rate * (SQUARES["exponential"] + SQUARES["constant"]) / 2
    holds(found[0], residual / (1 - rate))
    holds(found[1], residual / ((1 - rate) * (1 - 2 * rate)))


# A link that is shared fairly: processor sharing


def shared_link(seed, rate, sizes_of, channels=30):
    """Return (sizes, seconds from arrival to last byte) of messages, each on a channel of its own."""
    queue = Queues(seed, (WARM + 1500) // channels)
    arrivals = queue.poisson(rate, every=channels)
    sizes = [sizes_of(queue.rng, queue.customers) for _ in range(channels)]
    sent = [queue.message(f"m{k}", sizes[k], [arrivals[k]]) for k in range(channels)]
    trace = queue.run()
    assert all((waits(trace, task) == 0).all() for task in sent), "a channel was still in use"
    took = np.array([sojourns(trace, task) for task in sent]).T.ravel()
    return np.array(sizes).T.ravel()[WARM:], took[WARM:]


def test_a_message_on_a_shared_link_takes_longer_by_its_load_alone():
    """x / (1 - rho) for constant sizes; first in, first out they would take 1.5, not 2."""
    rate = 0.5
    holds([shared_link(seed, rate, lambda _, n: np.ones(n))[1] for seed in intervals.SEEDS], 1 / (1 - rate))


def test_large_and_small_messages_are_slowed_alike():
    """Each takes x / (1 - rho), whatever the sizes of the others: insensitivity of processor sharing."""
    rate, small, large = 0.5, 0.5, 3.0
    runs = [
        shared_link(seed, rate, lambda rng, n: np.where(rng.random(n) < 0.2, large, small))
        for seed in intervals.SEEDS
    ]
    for size in (small, large):
        holds([took[sizes == size] for sizes, took in runs], size / (1 - rate))


# D7: a push in two parts


def test_a_push_to_two_servers_takes_as_long_as_the_slower():
    """(12 - rho) / 8 / (mu - lambda): Flatto and Hahn 1984, Nelson and Tantawi 1988."""
    rate, found = 0.5, []
    for seed in intervals.SEEDS:
        queue = Queues(seed, WARM + SERVED)
        arrived = queue.poisson(rate)
        legs = [queue.server(f"leg{k}", queue.exponential(1.0), arrived, on=f"server{k}") for k in range(2)]
        done = queue.builder.gather("done", legs)
        trace = queue.run()
        took = trace.end_s[rows(trace, done)] - trace.end_s[rows(trace, arrived[0])]
        found.append(took[WARM:])
    holds(found, (12 - rate) / 8 / (1 - rate))
