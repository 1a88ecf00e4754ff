"""How many flows a second the fair network takes, alone and in the loop of an asynchronous parameter server.

    python tests/benchmarks/network.py [--case NAME]

Each case is run warm and prints one JSON object a line. ``shuffle``: every worker sends an equal part to
every server at once, workers start at random. ``unequal``: the same, with parts of unequal size and starts of
their own, so that no two flows start or end together. ``tree``: flows of random ends and sizes over a
two-level tree. ``closed loop``: each worker computes (log-normal, mean 0.1 s, cv 0.1), pushes a part of 25 MB
to every server; a server takes 1 ms to apply each part, one after another, and sends it back; when all parts
are back, the worker goes on. ``closed loop, unequal``: the same with parts of unequal sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import time

import numpy as np

from simpar.simulate import flows, jit
from simpar.simulate.flows import complete, settle, start

NIC = 1.25e9
"""Bytes per second of every link: 10 Gbit/s."""

MODEL = 25e6
"""Bytes."""

APPLY_S = 1e-3


def open_load(s, at, channel, n_bytes, end):
    """Start flows at given times; write when each ended; return the number of settlings."""
    n, i, ended, settlings = len(at), 0, 0, 0
    promised = math.inf
    while ended < n:
        now = min(promised, at[i]) if i < n else promised
        if now == promised:
            done = complete(s)
            for k in range(done):
                end[s.done[k]] = now
            ended += done
        while i < n and at[i] == now:
            start(s, channel[i], n_bytes[i])
            i += 1
        promised = now + settle(s, now)
        settlings += 1
    return settlings


def closed_loop(s, workers, servers, compute, part, end):
    """Run the asynchronous loop; write when each iteration of each worker ended; return the settlings.

    Channel ``w * servers + p`` is the push of worker w to server p; the pulls follow in the same order.
    """
    iterations = compute.shape[1]
    pushes = workers * servers
    iteration = np.zeros(workers, np.int64)
    missing = np.zeros(workers, np.int64)
    queue = np.zeros((servers, workers), np.int64)
    first, length = np.zeros(servers, np.int64), np.zeros(servers, np.int64)
    times = np.empty(workers + servers)  # of what each worker or server does; few enough to look through
    for w in range(workers):
        times[w] = compute[w, 0]
    times[workers:] = np.inf
    heap = np.argsort(times[:workers])
    at = np.empty(workers + servers, np.int64)
    heap_of = np.empty(workers + servers, np.int64)
    for k in range(workers):
        heap_of[k] = heap[k]
    for p in range(servers):
        heap_of[workers + p] = workers + p
    for k in range(workers + servers):
        at[heap_of[k]] = k
    promised, settlings, running = math.inf, 0, workers
    while running:
        now = min(times[heap_of[0]], promised)
        moved = False
        if now == promised:
            moved = True
            for k in range(complete(s)):
                channel = s.done[k]
                if channel < pushes:
                    w, p = channel // servers, channel % servers
                    queue[p, (first[p] + length[p]) % workers] = w
                    length[p] += 1
                    if length[p] == 1:
                        set_time(times, heap_of, at, workers + p, now + APPLY_S)
                else:
                    w = (channel - pushes) // servers
                    missing[w] -= 1
                    if missing[w] == 0:
                        end[w, iteration[w]] = now
                        iteration[w] += 1
                        if iteration[w] < iterations:
                            set_time(times, heap_of, at, w, now + compute[w, iteration[w]])
                        else:
                            running -= 1
        while times[heap_of[0]] == now:
            moved = True
            who = heap_of[0]
            if who < workers:
                set_time(times, heap_of, at, who, np.inf)
                missing[who] = servers
                for p in range(servers):
                    start(s, who * servers + p, part[who, p])
            else:
                p = who - workers
                w = queue[p, first[p]]
                first[p] = (first[p] + 1) % workers
                length[p] -= 1
                set_time(times, heap_of, at, who, now + APPLY_S if length[p] else np.inf)
                start(s, pushes + w * servers + p, part[w, p])
        if moved:
            promised = now + settle(s, now)
            settlings += 1
    return settlings


def set_time(times, heap_of, at, who, time):
    """Give *who* another time in a heap of all."""
    times[who] = time
    k, n = at[who], len(heap_of)
    while k > 0 and times[heap_of[(k - 1) // 2]] > time:
        heap_of[k] = heap_of[(k - 1) // 2]
        at[heap_of[k]] = k
        k = (k - 1) // 2
    while 2 * k + 1 < n:
        below = 2 * k + 1
        if below + 1 < n and times[heap_of[below + 1]] < times[heap_of[below]]:
            below += 1
        if times[heap_of[below]] >= time:
            break
        heap_of[k] = heap_of[below]
        at[heap_of[k]] = k
        k = below
    heap_of[k] = who
    at[who] = k


def compile_drivers():
    """Return the two drivers compiled."""
    names = {**globals(), **jit.compiled_flows()}
    return jit.twins(names, ["set_time", "open_load", "closed_loop"])


def star(workers, servers):
    """Return (capacity, routes) of pushes from every worker to every server."""
    routes = [(w, workers + p) for w in range(workers) for p in range(servers)]
    return [NIC] * (workers + servers), routes


def duplex(workers, servers):
    """Return (capacity, routes) of pushes and of pulls back."""
    capacity, routes = star(workers, servers)
    n = len(capacity)
    return capacity * 2, routes + [(n + link, n + other) for other, link in routes]


def tree(n, rng):
    """Return (capacity, routes, starts, sizes) of *n* flows between racks of 8, 8 racks, uplinks 2:1."""
    source = rng.integers(0, 64, n)
    target = (source // 8 * 8 + 8 + rng.integers(0, 56, n)) % 64
    routes = [
        (a, 128 + a // 8, 136 + b // 8, 64 + b) for a, b in zip(source.tolist(), target.tolist(), strict=True)
    ]
    sizes = np.rint(np.exp(rng.uniform(math.log(1e6), math.log(1e8), n)))
    starts = np.cumsum(rng.exponential(sizes.mean() / (0.9 * 32 * NIC), n))
    return [NIC] * 128 + [4 * NIC] * 16, routes, starts, sizes


def case(name, seed=3):
    """Run a case and return its figures."""
    rng = np.random.default_rng(seed)
    run = compile_drivers()
    if name.startswith("closed loop"):
        workers, servers, iterations = 512, 16, 20
        capacity, routes = duplex(workers, servers)
        sigma = math.sqrt(math.log(1 + 0.1**2))
        compute = np.exp(rng.normal(math.log(0.1) - sigma**2 / 2, sigma, (workers, iterations)))
        part = np.full((workers, servers), MODEL / servers)
        if name.endswith("unequal"):
            part *= rng.uniform(0.5, 1.5, (1, servers)) * rng.uniform(0.99, 1.01, (workers, servers))
        end = np.zeros((workers, iterations))
        n = 2 * workers * servers * iterations
        arguments = (workers, servers, compute, part, end)
        state = flows.network(capacity, routes)
        driver = run["closed_loop"]
    else:
        if name == "tree":
            capacity, routes, at, n_bytes = tree(2000, rng)
        else:
            capacity, routes = star(512, 16)
            at = np.repeat(rng.random(512) * 0.3, 16)
            n_bytes = np.full(8192, MODEL / 16)
            if name == "unequal":
                at, n_bytes = rng.random(8192) * 0.3, rng.uniform(0.5, 1.5, 8192) * MODEL / 16
        n = len(routes)
        order = np.argsort(at, kind="stable")
        end = np.zeros(n)
        arguments = (at[order], order, n_bytes[order], end)
        state = flows.network(capacity, routes)
        driver = run["open_load"]
    seconds, settlings = math.inf, 0
    for _ in range(3):
        arrays = flows.arrays(state)
        begun = time.perf_counter()
        settlings = driver(arrays, *arguments)
        seconds = min(seconds, time.perf_counter() - begun)
    return {
        "case": name,
        "flows": n,
        "settlings": settlings,
        "seconds": round(seconds, 4),
        "flows_per_s": round(n / seconds),
        "simulated_s": float(end.max()),
    }


CASES = ("shuffle", "unequal", "tree", "closed loop", "closed loop, unequal")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES)
    given = parser.parse_args()
    for one in CASES if given.case is None else (given.case,):
        print(json.dumps(case(one)), flush=True)
