"""Time taken by pushing gradients to parameter servers and pulling parameters back.

Times are seconds, sizes bytes, rates bytes per second of one direction of a full-duplex link.
Servers are machines of their own, but for :func:`colocated_one_way`, :func:`colocated_lower_bound` and
:func:`best_partition`;
*loads* are the bytes of each server's shard, so that ``sum(loads)`` is the whole gradient. What the workers
push equals in size what they pull.
Not modelled here: the order in which a server serves its workers, stragglers, queues of asynchronous
workers; an engine does that. Every function but :func:`uncontended_cycle` is about synchronous training.

Start with :func:`sync_step`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from simpar.cost import checks


def sync_step(
    n_bytes: float,
    workers: int,
    servers: int,
    worker_bandwidth: float,
    server_bandwidth: float,
    latency: float,
    compute_s: float = 0.0,
) -> float:
    """Return the seconds of one synchronous step: compute, push everything, then pull everything.

    ``compute + 2 (latency + max(n / B_w, W n / (S B_s)))``: in each direction either a worker's own link or
    a server's link, which carries ``n / S`` for every worker, sets the pace.

    Args:
        n_bytes: bytes of the whole gradient.
        workers: machines that push, *W*.
        servers: machines that receive, *S*, with equal shards.
        worker_bandwidth: of a worker's link, *B_w*.
        server_bandwidth: of a server's link, *B_s*.
        latency: seconds of one message.
        compute_s: seconds of forward and backward before the push.

    Raises:
        ValueError: a count is below 1, a bandwidth not above zero, or another argument negative.

    Source: bytes over each link, counted; Li et al., OSDI 2014, for the scheme. Stops being true for uneven
    shards (:func:`hot_shard_lower_bound`), when push overlaps pull (:func:`sliced_step`) or the backward
    pass, and when servers take time of their own (add :func:`server_cpu`).

    >>> round(sync_step(102_228_128, 8, 2, 3.125e9, 3.125e9, latency=5e-6, compute_s=0.18) * 1e3, 1)
    441.7
    """
    checks.not_negative(latency=latency, compute_s=compute_s)
    one_way = _one_way(n_bytes, workers, servers, worker_bandwidth, server_bandwidth)
    return compute_s + 2 * (latency + one_way)


def sliced_step(n_bytes: float, slices: int, bandwidth: float, overhead: float) -> float:
    """Return the seconds to push and pull *n_bytes* in *slices*, each pulled while the next is pushed.

    ``T(k) = (k + 1) (overhead + n / (k B))``: a slice passes two stages, push and pull, of equal length.

    Args:
        n_bytes: bytes of the whole gradient.
        slices: equal pieces, *k*.
        bandwidth: of the slower link, *B*, the same both ways.
        overhead: seconds that each slice costs before its bytes, in either direction.

    Raises:
        ValueError: *slices* is below 1, *bandwidth* not above zero, or another argument negative.

    Source: two machines in tandem. As *k* grows and *overhead* goes to zero it comes down to ``n / B``, half
    of :func:`sync_step`. Stops being true when pushing and pulling share one direction of a link.

    >>> sliced_step(100e6, slices=1, bandwidth=12.5e9, overhead=0.0)
    0.016
    >>> sliced_step(100e6, slices=4, bandwidth=12.5e9, overhead=0.0)
    0.01
    """
    checks.not_negative(n_bytes=n_bytes, overhead=overhead)
    checks.positive(bandwidth=bandwidth)
    checks.count(slices=slices)
    return (slices + 1) * (overhead + n_bytes / (slices * bandwidth))


def best_slices(n_bytes: float, bandwidth: float, overhead: float) -> float:
    """Return the number of slices, not rounded, at which :func:`sliced_step` is least.

    ``k* = sqrt(n / (overhead B))``. The best whole number is one of its two neighbours; below 1, it is 1.
    Infinite when *overhead* is zero.

    Raises:
        ValueError: *bandwidth* is not above zero, or another argument is negative.

    Source: the derivative of ``T(k)``; it shares :func:`sliced_step`'s limits.

    >>> best_slices(100e6, bandwidth=12.5e9, overhead=20e-6)
    20.0
    """
    checks.not_negative(n_bytes=n_bytes, overhead=overhead)
    checks.positive(bandwidth=bandwidth)
    return math.sqrt(n_bytes / bandwidth / overhead) if overhead else math.inf


def best_sliced_step(n_bytes: float, bandwidth: float, overhead: float) -> float:
    """Return the least seconds of :func:`sliced_step` over all numbers of slices, whole or not.

    ``T* = (sqrt(n / B) + sqrt(overhead))^2``, a lower bound for any whole number of slices.

    Raises:
        ValueError: *bandwidth* is not above zero, or another argument is negative.

    Source: ``T(k*)``. Where ``k*`` is below 1, a single slice is the best there is and takes longer.

    >>> round(best_sliced_step(100e6, bandwidth=12.5e9, overhead=20e-6) * 1e3, 2)
    8.82
    """
    checks.not_negative(n_bytes=n_bytes, overhead=overhead)
    checks.positive(bandwidth=bandwidth)
    return (math.sqrt(n_bytes / bandwidth) + math.sqrt(overhead)) ** 2


def sync_lower_bound(
    n_bytes: float,
    workers: int,
    servers: int,
    worker_bandwidth: float,
    server_bandwidth: float,
    compute_s: float = 0.0,
) -> float:
    """Return seconds that no synchronous step with *servers* can beat, whatever it overlaps.

    ``max(compute, n / B_w, W n / (S B_s))``: every byte must cross a worker's and a server's link once in
    each direction, and the two directions may go at once.

    Args:
        n_bytes: bytes of the whole gradient.
        workers: machines that push, *W*.
        servers: machines that receive, *S*.
        worker_bandwidth: of a worker's link, *B_w*.
        server_bandwidth: of a server's link, *B_s*.
        compute_s: seconds of forward and backward.

    Raises:
        ValueError: a count is below 1, a bandwidth not above zero, or another argument negative.

    Source: bytes over each link, counted. Stops being true when workers send less than *n* (compression,
    adding up within a machine first) or servers live on the workers' machines.

    >>> round(sync_lower_bound(102_228_128, 8, 2, 3.125e9, 3.125e9) * 1e3, 1)
    130.9
    """
    checks.not_negative(compute_s=compute_s)
    return max(compute_s, _one_way(n_bytes, workers, servers, worker_bandwidth, server_bandwidth))


def hot_shard_lower_bound(
    loads: Iterable[float], workers: int, worker_bandwidth: float, server_bandwidth: float
) -> float:
    """Return seconds that one direction cannot beat when servers hold shards of unequal size.

    ``max(n / B_w, max_s W load_s / B_s)``: the server with the most bytes holds everybody up.

    Args:
        loads: bytes of each server's shard; their sum is the gradient, *n*.
        workers: machines that push, *W*.
        worker_bandwidth: of a worker's link, *B_w*.
        server_bandwidth: of a server's link, *B_s*.

    Raises:
        ValueError: *loads* is empty or has a negative value, *workers* is below 1, or a bandwidth is not
            above zero.

    Source: bytes over each link, counted. Same limits as :func:`sync_lower_bound`.

    >>> hot_shard_lower_bound([75e6, 25e6], workers=4, worker_bandwidth=1e9, server_bandwidth=1e9)
    0.3
    """
    shards = checks.each_not_negative("loads", loads)
    checks.count(workers=workers)
    checks.positive(worker_bandwidth=worker_bandwidth, server_bandwidth=server_bandwidth)
    return max(math.fsum(shards) / worker_bandwidth, workers * max(shards) / server_bandwidth)


def colocated_one_way(n_bytes: float, machines: int, servers: int, bandwidth: float) -> float:
    """Return the seconds of all pushes, or all pulls, when servers live on the workers' machines.

    The fullest link: with a server on every machine each carries ``(W - 1) n / W`` in and out; with fewer, a
    server's machine takes in ``(W - 1) n / S``, and the others send all *n*. What a machine has for its own
    server stays inside.

    Args:
        n_bytes: bytes that a machine sends, *n*: the gradient, once for each device that pushes on its own.
        machines: machines that push, *W*.
        servers: servers with equal shards, *S*, each on another machine; at most *machines*.
        bandwidth: bytes per second of a machine's link, one direction.

    Raises:
        ValueError: a count is below 1, *servers* above *machines*, *bandwidth* not above zero, or *n_bytes*
            negative.

    Source: bytes over each link, counted. Stops being true for uneven shards.

    >>> colocated_one_way(100e6, machines=4, servers=4, bandwidth=1e9)
    0.075
    >>> colocated_one_way(100e6, machines=4, servers=1, bandwidth=1e9)
    0.3
    """
    _check_colocated(n_bytes, machines, servers, bandwidth)
    entering = (machines - 1) * n_bytes / servers
    leaving = n_bytes if servers < machines else n_bytes * (servers - 1) / servers
    return max(entering, leaving) / bandwidth


def colocated_lower_bound(n_bytes: float, machines: int, servers: int, bandwidth: float) -> float:
    """Return seconds that no step with servers on the workers' machines can beat, whatever it overlaps.

    A server's machine sends its own pushes, ``n (S - 1) / S``, and the others' replies, ``(W - 1) n / S``; a
    machine without one sends *n*. With a server on every machine that is ``2 (W - 1) / W n / B``, as much as
    a ring all-reduce sends.

    Args, errors and limits as in :func:`colocated_one_way`.

    >>> colocated_lower_bound(100e6, machines=4, servers=4, bandwidth=1e9)
    0.15
    """
    _check_colocated(n_bytes, machines, servers, bandwidth)
    hosting = n_bytes * (servers - 1) / servers + (machines - 1) * n_bytes / servers
    return max(hosting, n_bytes if servers < machines else 0.0) / bandwidth


def _check_colocated(n_bytes: float, machines: int, servers: int, bandwidth: float) -> None:
    checks.not_negative(n_bytes=n_bytes)
    checks.positive(bandwidth=bandwidth)
    checks.count(machines=machines, servers=servers)
    if servers > machines:
        raise ValueError(f"servers must be at most machines, not {servers} on {machines}")


def best_partition(n_bytes: float, machines: int, cpu_machines: int) -> tuple[float, float]:
    """Return the bytes for each machine of its own and for each worker's machine that make a step shortest.

    Servers live on all *n* machines that train and on *k* more, all links alike. A server apart takes in
    ``n M_c``; one on a worker's machine ``(n - 1) M_g`` of pushes, beside the ``M - M_g`` that its worker
    pulls. Both are equal at ``M_c = 2 (n - 1) M / D`` and ``M_g = (n - k) M / D``, ``D = n^2 + k n - 2 k``.

    Args:
        n_bytes: bytes of the whole gradient, *M*.
        machines: machines that train, *n*, at least 2.
        cpu_machines: machines with nothing but a server, *k*, at most *n*.

    Raises:
        ValueError: *machines* is below 2, *cpu_machines* negative or above *machines*, or *n_bytes* negative.

    Source: Jiang et al., A Unified Architecture for Accelerating Distributed DNN Training in Heterogeneous
    GPU/CPU Clusters (BytePS), OSDI 2020. Stops being true for links that differ, or servers that take time.

    >>> best_partition(100e6, machines=4, cpu_machines=4)
    (25000000.0, 0.0)
    >>> best_partition(100e6, machines=4, cpu_machines=0)[1]
    25000000.0
    """
    checks.not_negative(n_bytes=n_bytes, cpu_machines=cpu_machines)
    if machines < 2:
        raise ValueError(f"machines must be at least 2, not {machines}")
    if cpu_machines > machines:
        raise ValueError(f"cpu_machines must be at most machines, not {cpu_machines} beside {machines}")
    n, k = machines, cpu_machines
    share = n_bytes / (n * n + k * n - 2 * k)
    return 2 * (n - 1) * share, (n - k) * share


def best_partition_step(n_bytes: float, machines: int, cpu_machines: int, bandwidth: float) -> float:
    """Return the seconds of pushes and pulls with :func:`best_partition`, both at the same time.

    ``2 n (n - 1) M / (D B)``, ``D = n^2 + k n - 2 k``: without machines of their own as long as a ring
    all-reduce, with as many as train ``M / B``; never shorter, whatever else they hold.

    Arguments, errors and limits as of :func:`best_partition`; *bandwidth* is that of one direction of a link.

    >>> best_partition_step(100e6, machines=4, cpu_machines=0, bandwidth=1e9)
    0.15
    >>> best_partition_step(100e6, machines=4, cpu_machines=4, bandwidth=1e9)
    0.1
    """
    checks.positive(bandwidth=bandwidth)
    apart, _ = best_partition(n_bytes, machines, cpu_machines)
    return machines * apart / bandwidth


def load_imbalance(loads: Iterable[float]) -> float:
    """Return the greatest of *loads* over their mean: 1 when servers hold equal shards, never below.

    A model that waits for its servers' links is slower by this factor than with equal shards.

    Raises:
        ValueError: *loads* is empty, has a negative value, or is all zero.

    >>> load_imbalance([75e6, 25e6])
    1.5
    """
    shards = checks.each_not_negative("loads", loads)
    checks.positive(sum_of_loads=math.fsum(shards))
    return max(shards) * len(shards) / math.fsum(shards)


def server_cpu(
    loads: Iterable[float],
    workers: int,
    add_rate: float | None,
    update_rate: float | None,
    aggregate: bool = True,
    overhead: float = 0.0,
) -> float:
    """Return the seconds that the busiest server computes in one step.

    ``max_s (W load_s / add_rate + load_s / update_rate)``: it adds up what every worker sent, then updates
    its parameters once. Without *aggregate* it updates once for every push, in one go with the add. Each add,
    update or go takes *overhead* more.

    Args:
        loads: bytes of each server's shard.
        workers: machines that push, *W*.
        add_rate: bytes per second that a server adds up; None takes no time.
        update_rate: bytes per second that a server updates; None takes no time.
        aggregate: True: one update a step; False: one update a push.
        overhead: seconds each time that the server takes up its shard.

    Raises:
        ValueError: *loads* is empty or has a negative value, *workers* is below 1, or a rate is not above
            zero.

    Source: bytes touched, counted. The work of one thread; stops being true when a server works on several
    keys at once, or adds up while it still receives.

    >>> server_cpu([50e6, 50e6], workers=8, add_rate=10e9, update_rate=5e9)
    0.05
    """
    shards = checks.each_not_negative("loads", loads)
    checks.count(workers=workers)
    checks.not_negative(overhead=overhead)
    updates, times = (1, workers + 1) if aggregate else (workers, workers)
    computing = workers * _seconds(max(shards), add_rate=add_rate) + updates * _seconds(
        max(shards), update_rate=update_rate
    )
    return computing + times * overhead


def uncontended_cycle(
    compute_s: float,
    loads: Iterable[float],
    worker_bandwidth: float,
    server_bandwidth: float,
    latency: float,
    overhead: float = 0.0,
    add_rate: float | None = None,
    update_rate: float | None = None,
    server_overhead: float = 0.0,
) -> float:
    """Return the seconds of one cycle of an asynchronous worker that has the servers to itself.

    Compute, push one message to each server, apply, pull one message from each:
    ``compute + 2 (latency + overhead + max(sum(loads) / B_w, max(loads) / B_s)) + max(loads) / add_rate
    + max(loads) / update_rate``.

    Args:
        compute_s: seconds of forward and backward.
        loads: bytes of each server's shard. A server with none gets no message; when all have none, the
            cycle is *compute_s*.
        worker_bandwidth: of the worker's link, *B_w*.
        server_bandwidth: of a server's link, *B_s*.
        latency: seconds of one message.
        overhead: seconds that each message occupies its channel before its bytes; messages to different
            servers spend it at the same time.
        add_rate: bytes per second that a server adds up; None takes no time.
        update_rate: bytes per second that a server updates; None takes no time.
        server_overhead: seconds each time that a server takes up its shard.

    Raises:
        ValueError: *loads* is empty or has a negative value, a rate or bandwidth is not above zero, or
            another argument is negative.

    Source: the sum of a cycle's parts, as in the response time of a closed system with one customer. Exact
    for equal shards under fair sharing; for unequal ones replies overlap the last pushes and messages end at
    different times, so it is an estimate. Stops being true as soon as a second worker queues.

    >>> shards = [51_114_064, 51_114_064]
    >>> round(uncontended_cycle(0.18, shards, 3.125e9, 3.125e9, latency=5e-6) * 1e3, 1)
    245.4
    """
    shards = checks.each_not_negative("loads", loads)
    checks.not_negative(compute_s=compute_s, latency=latency, overhead=overhead)
    one_way = hot_shard_lower_bound(shards, 1, worker_bandwidth, server_bandwidth)
    server = server_cpu(shards, 1, add_rate, update_rate, aggregate=False, overhead=server_overhead)
    if not any(shards):
        return compute_s
    return compute_s + 2 * (latency + overhead + one_way) + server


def _one_way(
    n_bytes: float, workers: int, servers: int, worker_bandwidth: float, server_bandwidth: float
) -> float:
    """Return the seconds of all workers' pushes, or pulls, with equal shards and no latency."""
    checks.not_negative(n_bytes=n_bytes)
    checks.positive(worker_bandwidth=worker_bandwidth, server_bandwidth=server_bandwidth)
    checks.count(workers=workers, servers=servers)
    return max(n_bytes / worker_bandwidth, workers * n_bytes / (servers * server_bandwidth))


def _seconds(n_bytes: float, **rate: float | None) -> float:
    """Return ``n_bytes`` over the one named rate, and no time where the rate is None."""
    ((name, per_second),) = rate.items()
    if per_second is None:
        return 0.0
    checks.positive(**{name: per_second})
    return n_bytes / per_second


def sufficient_factor_bytes(samples: float, outputs: int, inputs: int, itemsize: int) -> float:
    """Return the bytes of the gradient of a dense layer sent as *sufficient factors*: K (M + N) elements.

    The gradient of a weight of *outputs* x *inputs* for one sample is the outer product of two vectors, which
    are sent instead and multiplied by the receiver; the whole gradient would be M N elements.

    Args:
        samples: K, those that the gradient is of.
        outputs: M.
        inputs: N.
        itemsize: bytes of an element.

    Raises:
        ValueError: an argument is negative.

    Source: Zhang et al., Poseidon, USENIX ATC 2017, section 3.2. Stops being true for layers whose weights
    are used more than once a sample, as those of convolutions are.

    >>> sufficient_factor_bytes(32, 4096, 4096, 4), 4 * 4096 * 4096
    (1048576.0, 67108864)
    """
    checks.not_negative(samples=samples, outputs=outputs, inputs=inputs, itemsize=itemsize)
    return float(samples) * (outputs + inputs) * itemsize


def sufficient_factor_crossover(outputs: int, inputs: int) -> float:
    """Return the samples from which on sufficient factors weigh more than the gradient: M N / (M + N).

    Raises:
        ValueError: a size is not positive.

    >>> sufficient_factor_crossover(4096, 4096)
    2048.0
    """
    if outputs < 1 or inputs < 1:
        raise ValueError(f"a layer of {outputs} x {inputs} has no gradient")
    return outputs * inputs / (outputs + inputs)
