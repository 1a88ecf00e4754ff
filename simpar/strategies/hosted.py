"""Data parallelism with a host: workers read, all wait, compute, and return results that a host adds up.

A step goes as data parallelism is taught. The data of a step is cut into *parts*, one a worker by default.
Every worker reads its parts from the data store (``data.store_bandwidth``; without one they are there at
once); nobody computes before everybody has read (``load_barrier``). All compute at the same time. Each
returns its result, the gradients of its parts, to the host, whose one link they share (*incast*). When the
last has arrived the host adds them up and updates, and returns the parameters to all; then the next step
begins.

More parts than workers are queued: each goes to the worker that will be free first (list scheduling, of a
makespan within 2 - 1/k of the best), which sends one result for all of its own. A worker without a part
waits with the others. With ``read: serial`` the store serves one worker after the other, in their order.

With ``dispatch: free`` nothing is planned: a worker is sent a part, computes it, returns its result, and is
sent the next one then (self-scheduling). A worker twice as fast gets twice as many parts. It takes parts
of equal size, and there is nothing to wait for all to have read. The results are as many as parts, and so is
what the host adds. With ``dispatch: fixed`` only one result a worker goes to the host.

The host is ``ps0``: a machine with the bandwidth and the CPU of a parameter server. Nothing overlaps, and
nothing of a step is read before the one before has ended (``data.prefetch`` does not matter).

Formula: max read + max compute + gather + aggregate + return, where gather and return take
alpha + max(n / B_w, W n / B_host) each, and aggregate W n / R_add + n / R_update; where the store is the
bottleneck, read takes the sum of all bytes over its bandwidth, shared or serial. With ``dispatch: free`` the
parts take at most 2 - 1/k times as long as they could on k workers, where none holds up another.
Sources: Thakur et al., IJHPCA 19(1), 2005, for gathering; Graham, Bounds on Multiprocessing Timing Anomalies,
SIAM J. Appl. Math. 17(2), 1969, for list scheduling.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from simpar.cost import memory
from simpar.program import Op, Program
from simpar.scenario.options import HostedOptions
from simpar.strategies import data
from simpar.strategies.common import Setting, Star, batch_seconds, pass_times, tensor_elements
from simpar.workload import splitting
from simpar.workload.placement import place

HOST = 0
"""The host, as a server."""


def build(setting: Setting) -> Program:
    """Return the program of data parallelism with a host."""
    workload, workers = setting.workload, range(setting.cluster.workers)
    star, sizes = Star(setting), part_sizes(setting)
    options, n_bytes = setting.strategy.options, float(workload.parameter_bytes)
    assert isinstance(options, HostedOptions)
    if options.dispatch == "free":
        done = _handed_out(star, sizes)
        return _program(star, sizes, done, dispatch="free")
    begins, last = _compute(star, sizes)
    if n_bytes:
        results = [star.push(worker, HOST, n_bytes, [last[worker]])[1] for worker in sorted(last)]
        seconds = _aggregate_s(setting, n_bytes, len(results))
        done = star.builder.task(
            "ps0.apply", Op("apply", server=HOST), star.server_cpu(HOST), seconds, results
        )
        returned = [star.pull(worker, HOST, n_bytes, [done])[1] for worker in workers]
    else:
        done = star.builder.gather("update", list(last.values()), Op("update"))
        returned = [done for _ in workers]
    for worker, tasks in begins.items():
        for task in tasks:
            star.builder.edge(returned[worker], task, distance=1)
    return _program(star, sizes, done)


def _program(star: Star, sizes: list[int], done: int, **facts: Any) -> Program:
    """Return the program, whose step ends with the task *done*."""
    workload, workers = star.setting.workload, star.setting.cluster.workers
    pieces = place(tensor_elements(workload), 1, "sliced")
    return star.program(
        clock="sync",
        updates=[done],
        samples=sum(sizes),
        workers=workers,
        memory=memory.server_fed_worker(workload.parameter_bytes, workload.activation_bytes * max(sizes)),
        hosts=1,
        parts=sizes,
        slices={
            "tensor": [piece.tensor for piece in pieces],
            "server": [piece.server for piece in pieces],
            "start": [piece.start for piece in pieces],
            "elements": [piece.elements for piece in pieces],
        },
        **facts,
    )


def _handed_out(star: Star, sizes: list[int]) -> int:
    """Add a step whose parts go to whoever is free, and return the task that ends it."""
    setting, builder = star.setting, star.builder
    if len(set(sizes)) > 1:
        whole = sum(sizes)
        fits = [count for count in range(1, whole + 1) if whole % count == 0]
        best = min(fits, key=lambda count: (abs(count - len(sizes)), count))
        said = f"{whole} samples do not make {len(sizes)} equal parts, as dispatch: free takes them"
        raise setting.refuse("parts", said, f"write {best}, or dispatch: fixed")
    n_bytes, workers = float(setting.workload.parameter_bytes), range(setting.cluster.workers)
    numbers = range(len(sizes))
    ready = [builder.gather(f"part.{part}", [], Op("gather", server=HOST, part=part)) for part in numbers]
    node = builder.dispatch("ps0.dispatch", ready)
    lanes = [_lane(star, worker, sizes[0]) for worker in workers]
    through = [
        builder.gather(f"ps0.result.{part}", [], Op("gather", server=HOST, part=part)) for part in numbers
    ]
    builder.lanes(node, lanes, dict(zip(ready, through, strict=True)))
    if n_bytes:
        seconds = _aggregate_s(setting, n_bytes, len(sizes))
        done = builder.task("ps0.apply", Op("apply", server=HOST), star.server_cpu(HOST), seconds, through)
        returned = [star.pull(worker, HOST, n_bytes, [done])[1] for worker in workers]
        begin = builder.gather("returned", returned)
    else:
        begin = done = builder.gather("update", through, Op("update"))
    for part in ready:
        builder.edge(begin, part, distance=1)
    return done


def _lane(star: Star, worker: int, samples: int) -> range:
    """Add what *worker* does with a part that it is sent, and return the tasks."""
    setting, builder = star.setting, star.builder
    n_bytes, layers = float(setting.workload.parameter_bytes), (0, len(setting.workload.layers))
    forward_s, backward_s = pass_times(setting, worker, samples, layers)
    feed, device = data.Feed(star, worker, samples), star.device(worker)
    op = Op("forward", worker=worker, layers=layers)
    forward = builder.task(f"w{worker}.forward", op, device, forward_s, feed.arrived)
    op = Op("backward", worker=worker, layers=layers)
    last = builder.task(f"w{worker}.backward", op, device, backward_s, [forward])
    if n_bytes:
        _, last = star.push(worker, HOST, n_bytes, [last])
    free = builder.gather(f"w{worker}.free", [last], Op("gather", server=HOST))
    return range(feed.first if feed.arrived else forward, free + 1)


def _compute(star: Star, sizes: list[int]) -> tuple[dict[int, list[int]], dict[int, int]]:
    """Add what workers read and compute.

    Returns:
        By worker, the tasks that begin its step: its reads, or without a store its first forward; and by
        worker with a part, its last backward.
    """
    setting, builder = star.setting, star.builder
    options, layers = setting.strategy.options, (0, len(setting.workload.layers))
    assert isinstance(options, HostedOptions)
    owner = assigned(setting, sizes)
    parts = [part for part, size in enumerate(sizes) if size]
    feeds = {part: data.Feed(star, owner[part], sizes[part], part) for part in parts}
    reads = [feed for feed in feeds.values() if feed.arrived]
    if options.read == "serial":
        for before, after in pairwise(reads):
            builder.edge(before.arrived[-1], after.first)
    everybody = []
    if options.load_barrier and reads:
        everybody = [builder.gather("load_barrier", [feed.arrived[-1] for feed in reads])]
    begins: dict[int, list[int]] = {}
    last: dict[int, int] = {}
    for part in parts:
        worker, feed = owner[part], feeds[part]
        forward_s, backward_s = pass_times(setting, worker, sizes[part], layers)
        before_it = [last[worker]] if worker in last else []
        forward = builder.task(
            f"w{worker}.forward.{part}",
            Op("forward", worker=worker, layers=layers, part=part),
            star.device(worker),
            forward_s,
            [*before_it, *(everybody or feed.arrived)],
        )
        if feed.arrived or not before_it:
            begins.setdefault(worker, []).append(feed.first if feed.arrived else forward)
        last[worker] = builder.task(
            f"w{worker}.backward.{part}",
            Op("backward", worker=worker, layers=layers, part=part),
            star.device(worker),
            backward_s,
            [forward],
        )
    return begins, last


def _aggregate_s(setting: Setting, n_bytes: float, results: int) -> float:
    """Return the seconds in which the host adds up all results and updates, which it takes up once."""
    server = setting.cluster.server
    adding = results * n_bytes / server.add_bytes_per_s if server.add_bytes_per_s else 0.0
    updating = n_bytes / server.update_bytes_per_s if server.update_bytes_per_s else 0.0
    return server.overhead_s + adding + updating


def part_sizes(setting: Setting) -> list[int]:
    """Return the samples of each part of a step."""
    options, workers = setting.strategy.options, setting.cluster.workers
    assert isinstance(options, HostedOptions)
    rule = setting.scenario.data.split
    return splitting.shares(setting.global_batch, options.parts or workers, rule)


def assigned(setting: Setting, sizes: list[int]) -> list[int]:
    """Return the worker of each part: the one that will be free first, the lowest of equals."""
    busy_s = [0.0] * setting.cluster.workers
    owner = []
    for size in sizes:
        worker = min(range(len(busy_s)), key=lambda one: (busy_s[one], one))
        busy_s[worker] += batch_seconds(setting, worker, size)
        owner.append(worker)
    return owner
