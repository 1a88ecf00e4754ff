"""Random networks and loads on them, and a second look at who got what, without the solver."""

import heapq
import itertools
import math
import random

import numpy as np


def draw_network(seed, ties):
    """Return (capacity, routes) of up to 12 links and 60 channels; with *ties*, of few round capacities."""
    rng = random.Random(seed)
    links = rng.randint(1, 12)
    capacity = [rng.choice([1.0, 2.0, 3.0]) if ties else rng.uniform(0.1, 1.1) for _ in range(links)]
    routes = [
        tuple(rng.sample(range(links), rng.randint(1, min(4, links)))) for _ in range(rng.randint(1, 60))
    ]
    return capacity, routes


def draw_star(seed, ties):
    """Return (capacity, routes) of every worker to every server, of which a few may be slow."""
    rng = random.Random(seed)
    workers, servers = rng.randint(2, 12), rng.randint(1, 5)
    capacity = [1.0] * workers + [rng.choice([1.0, 0.5, 2.0]) for _ in range(servers)]
    if not ties:
        capacity = [one * rng.uniform(0.9, 1.1) for one in capacity]
    return capacity, [(w, workers + p) for w in range(workers) for p in range(servers)]


def closed(network, channels, seed, ties, flows=300):
    """Let every channel send, pause and send again; return (time, channels that ended) in order."""
    rng = random.Random(seed)

    def pause():
        return rng.choice([0.0, 0.5, 1.0]) if ties else rng.random()

    def size():
        return rng.choice([1.0, 2.0, 3.0]) if ties else rng.uniform(0.1, 3.0)

    coming = [(pause(), channel, size()) for channel in range(channels)]
    heapq.heapify(coming)
    promised, log, sent = math.inf, [], 0
    while coming or promised < math.inf:
        now = min(coming[0][0], promised) if coming else promised
        if now == promised:
            done = network.complete()
            log.append((now, tuple(done)))
            for channel in done:
                sent += 1
                if sent < flows:
                    heapq.heappush(coming, (now + pause(), channel, size()))
        while coming and coming[0][0] == now:
            _, channel, n_bytes = heapq.heappop(coming)
            network.start(channel, n_bytes)
        promised = now + network.settle(now)
    return log


def open_load(network, starts, sizes):
    """Start flow i on channel i at its time; return when each ended: float64[flows]."""
    order = np.argsort(starts, kind="stable").tolist()
    end = np.zeros(len(order))
    promised, i, ended = math.inf, 0, 0
    while ended < len(order):
        now = min(promised, float(starts[order[i]])) if i < len(order) else promised
        if now == promised:
            done = network.complete()
            end[done] = now
            ended += len(done)
        while i < len(order) and starts[order[i]] == now:
            network.start(order[i], float(sizes[order[i]]))
            i += 1
        promised = now + network.settle(now)
    return end


def water_fill(crosses, capacity):
    """Return max-min rates: the level rises until a link is full, whose flows then stay.

    *crosses* is bool[links, flows]. Unlike the solver, it keeps the level, not what is left of each link.
    """
    rate = np.zeros(crosses.shape[1])
    rising = np.ones(crosses.shape[1], dtype=bool)
    while rising.any():
        growing = crosses @ rising
        used = crosses @ rate
        with np.errstate(divide="ignore", invalid="ignore"):
            full_at = np.where(growing > 0, (capacity - used) / growing, np.inf)
        level = full_at.min()
        stays = rising & (crosses[full_at <= level * (1 + 1e-12)] > 0).any(axis=0)
        rate[stays] = level
        rising &= ~stays
    return rate


def sent_bytes(capacity, routes, starts, ends):
    """Return the bytes that each flow sends between its start and its end: float64[flows]."""
    crosses = np.zeros((len(capacity), len(routes)), dtype=bool)
    for flow, route in enumerate(routes):
        crosses[list(route), flow] = True
    sent = np.zeros(len(routes))
    times = np.unique(np.concatenate([starts, ends]))
    for left, right in itertools.pairwise(times):
        active = np.flatnonzero((starts <= left) & (ends > left))
        if len(active):
            used = np.flatnonzero(crosses[:, active].any(axis=1))
            rates = water_fill(crosses[np.ix_(used, active)].astype(float), np.asarray(capacity)[used])
            sent[active] += rates * (right - left)
    return sent
