"""Programs at random, by seed: lopsided on purpose, since symmetric ones hide mistakes of order."""

import random
from dataclasses import replace

import numpy as np

from simpar.program import Op, ProgramBuilder


def draw(seed, ties, priority=True):
    """Return a program of FIFO and priority resources that keeps every rule.

    Its order in time is a random one, not that of the ranks: only edges without delay must rise.
    With *ties*, all times are eighths, so that much happens at once.
    """
    rng = random.Random(seed)

    def time(least):
        return rng.randint(least, 8) / 8 if ties else max(1e-6 * least, rng.random())

    iterations = rng.randint(1, 6)
    builder = ProgramBuilder(f"random {seed}", iterations)
    resources = []
    for number in range(rng.randint(1, 4)):
        discipline = "priority" if priority and rng.random() < 0.25 else "fifo"
        capacity = rng.choice([1, 1, 2, 3])
        resources.append(
            builder.resource(f"r{number}", "device", capacity=capacity, discipline=discipline)
        )
        slow = discipline == "priority" or capacity > 1
        resources[-1] = resources[-1], slow
    tasks = rng.randint(2, 14)
    places = [rng.choice(resources) if rng.random() < 0.8 else (-1, False) for _ in range(tasks)]
    for task, (resource, _) in enumerate(places):
        seconds = time(1) if resource >= 0 else 0.0
        builder.task(f"t{task}", Op("forward"), resource, seconds, priority=rng.randint(0, 3))

    order = rng.sample(range(tasks), tasks)
    varying_lags = []
    for _ in range(rng.randint(tasks // 2, 3 * tasks)):
        distance = rng.choice([0, 0, 0, 1, 1, 2, 3])
        a, b = rng.randrange(tasks), rng.randrange(tasks)
        if distance == 0 and a == b:
            continue
        u, v = (order[min(a, b)], order[max(a, b)]) if distance == 0 else (order[a], order[b])
        resource, slow = places[u]
        at_start = rng.random() < 0.35
        lag = time(0) if rng.random() < 0.4 else 0.0
        least = 0
        if (at_start and (distance > 0 or slow)) or ((at_start or resource < 0) and (u >= v)):
            least = 1
        lag = max(lag, time(1)) if least else lag
        builder.edge(u, v, distance=distance, lag=lag, at_start=at_start)
        varying_lags.append([max(least / 8, time(least)) for _ in range(iterations)] if rng.random() < 0.15 else None)
    program = builder.build()
    durations = {
        task: np.array([time(1) for _ in range(iterations)])
        for task in range(tasks)
        if places[task][0] >= 0 and rng.random() < 0.3
    }
    lags = {edge: np.array(values) for edge, values in enumerate(varying_lags) if values is not None}
    return replace(program, durations=durations, lags=lags)
