"""Data parallelism with an all-reduce: workers sum their gradients among themselves, without servers.

Every worker computes on its own batch. Gradients are summed in *buckets*: whole tensors in the order
of the backward pass, a bucket being closed when it reaches its size. A bucket of ``n`` bytes is cut
into one chunk a worker; in ``W - 1`` steps of *reduce-scatter* each chunk collects every worker's
part on its way round, in ``W - 1`` steps of *all-gather* the sums go round once more. A step sends
``n / W`` bytes to the next worker.

Other algorithms go in fewer rounds of larger messages: ``tree`` (reduce to worker 0, broadcast),
``recursive-doubling``, ``halving-doubling`` (Rabenseifner), ``direct`` (all to all, twice). Where machines
have several devices, the ring goes round in the order of the workers, so that one hop a machine crosses its
link; ``hierarchical`` sums inside the machines first, then across them.

With ``overlap`` a bucket leaves while the backward pass goes on (Li et al., PyTorch Distributed, VLDB
2020); its ring runs when the one before has ended, as on one communication stream. The next forward
waits for all of them.

Formula: without overlap, Z + 2 (W - 1) (alpha + n / (W B)) for W workers, n bytes of gradients, links of B
bytes per second, latency alpha, compute Z, by the ring; 2 ceil(log2 W) (alpha + n / B) by the tree, 2 log2 W
alpha + 2 (W - 1) / W n / B by halving and doubling; by rings inside M machines of g devices and across them,
2 (g - 1) (alpha_i + n / (g B_i)) + 2 (M - 1) (alpha + n / (M B)). A ring that adds chunks at add_rate A and
stores sums at copy_rate C takes (W - 1) / W n (1 / A + 1 / C) more. With overlap, never below Z plus the
last bucket's.
Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, JPDC 69(2), 2009.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from simpar.cost import collectives, memory
from simpar.errors import InputError
from simpar.program import Op, Program
from simpar.scenario.options import AllreduceOptions
from simpar.strategies import data, rings
from simpar.strategies.common import Setting, Star, pass_times
from simpar.strategies.hierarchical import hierarchical
from simpar.strategies.rounds import ALGORITHMS, Rounds

DEFAULT_BUCKET_BYTES = 25 * 2**20
"""25 MiB, with overlap; the default of PyTorch's DistributedDataParallel (``bucket_cap_mb``)."""

MOST_WRITTEN_OUT = 400_000
"""Messages of a run up to which rings are written out, so that a trace has each of them."""

CLOSED_FORMS = {
    "ring": collectives.ring_all_reduce,
    "tree": collectives.tree_all_reduce,
    "recursive-doubling": collectives.recursive_doubling,
    "halving-doubling": collectives.halving_doubling,
    "direct": collectives.direct_all_reduce,
}
"""Seconds of (bytes, workers, bandwidth, seconds a message) by algorithm."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Whole tensors that are reduced together."""

    layers: tuple[int, int]
    """The backward of these layers, half-open, is what it waits for beyond the bucket before."""
    elements: int
    tensors: tuple[int, ...]
    """In the model's order counted, in the order of the bucket."""


def buckets(setting: Setting, size_bytes: float) -> tuple[list[Bucket], int]:
    """Return the buckets in backward order, and the first layer that the last of them needs.

    Layers below that one have no parameters; their backward follows the last bucket.
    """
    workload = setting.workload
    found: list[Bucket] = []
    top, elements = len(workload.layers), 0
    inside: list[int] = []
    number = sum(len(layer.tensors) for layer in workload.layers)
    for index in reversed(range(len(workload.layers))):
        for tensor in reversed(workload.layers[index].tensors):
            number -= 1
            inside.append(number)
            elements += tensor.elements
            if elements * workload.dtype_bytes >= size_bytes:
                found.append(Bucket((index, top), elements, tuple(inside)))
                top, elements, inside = index, 0, []
    if elements:
        lowest = next(index for index, layer in enumerate(workload.layers) if layer.tensors)
        found.append(Bucket((lowest, top), elements, tuple(inside)))
        top = lowest
    return found, top


def least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least, counted without writing any down.

    Those are forward, backward and update of each worker, and for each bucket the moment at which a worker is
    ready, the messages, and in algorithms of rounds the moment at which a worker is through with one.
    """
    options, workers = setting.strategy.options, setting.cluster.workers
    assert isinstance(options, AllreduceOptions)
    reduced = buckets(setting, _bucket_bytes(options))[0] if workers > 1 else []
    count = len(reduced)
    if setting.scenario.run.collectives == "closed_form":
        return 3 * workers + count
    if options.algorithm == "ring" and _folds(setting, reduced):
        return 3 * workers + 2 * workers * count
    per_node, nodes = setting.cluster.devices_per_node, setting.cluster.nodes
    core = 1 << (workers.bit_length() - 1)
    exchanges = core * (core.bit_length() - 1) + 2 * (workers - core)
    steps = {
        "ring": 2 * (workers - 1) * workers,
        "hierarchical": 2 * (per_node - 1 + nodes - 1) * workers,
        "tree": 2 * (workers - 1) + 4 * (workers - 1),
        "recursive-doubling": 2 * exchanges,
        "halving-doubling": 4 * core * (core.bit_length() - 1),
        "direct": 2 * (workers - 1) * workers,
    }
    return 3 * workers + count * (workers + steps[options.algorithm])


def _bucket_bytes(options: AllreduceOptions) -> float:
    """Return the size that closes a bucket."""
    if options.bucket is not None:
        return options.bucket
    return DEFAULT_BUCKET_BYTES if options.overlap else math.inf


def build(setting: Setting) -> Program:
    """Return the program of data parallelism with a ring all-reduce."""
    options = setting.strategy.options
    assert isinstance(options, AllreduceOptions)
    star, workload, cluster = Star(setting), setting.workload, setting.cluster
    builder, workers = star.builder, cluster.workers
    closed = setting.scenario.run.collectives == "closed_form"
    if closed and cluster.nodes > 1 and cluster.devices_per_node > 1 and options.algorithm != "hierarchical":
        raise InputError(
            [
                setting.scenario.problem(
                    "run.collectives",
                    f"there is no closed form for {options.algorithm} across machines of several devices, "
                    f"which {setting.strategy.name} asks for",
                    "write messages, or algorithm: hierarchical",
                )
            ]
        )
    reduced, rest = buckets(setting, _bucket_bytes(options))
    ring = _whole_ring if _folds(setting, reduced) else _ring

    every = (0, len(workload.layers))
    feeds = [data.Feed(star, worker, setting.samples(worker)) for worker in range(workers)]
    firsts = [
        builder.task(
            f"w{worker}.forward",
            Op("forward", worker=worker, layers=every),
            star.device(worker),
            pass_times(setting, worker, setting.samples(worker), every)[0],
            feeds[worker].arrived,
        )
        for worker in range(workers)
    ]
    for feed, forward in zip(feeds, firsts, strict=True):
        data.reuse(star, [feed], [forward])

    def backward(worker: int, layers: tuple[int, int], name: str, after: int) -> int:
        return builder.task(
            f"w{worker}.backward{name}",
            Op("backward", worker=worker, layers=layers),
            star.device(worker),
            pass_times(setting, worker, setting.samples(worker), layers)[1],
            [after],
        )

    computed = firsts
    if not options.overlap:
        computed = [backward(w, every, "", computed[w]) for w in range(workers)]
    finished: list[list[int]] = [[] for _ in range(workers)]  # the bucket before, by worker
    for number, bucket in enumerate(reduced):
        if options.overlap and bucket.layers[0] < bucket.layers[1]:
            computed = [backward(w, bucket.layers, f".{number}", computed[w]) for w in range(workers)]
        ready = [[computed[w], *finished[w]] for w in range(workers)]
        if workers == 1:
            continue
        if closed:
            finished = _one_task(star, options.algorithm, number, bucket, ready)
        elif options.algorithm == "ring":
            finished = ring(star, number, bucket, ready)
        elif options.algorithm == "hierarchical":
            finished = hierarchical(star, number, bucket.elements, ready)
        else:
            finished = _rounds(star, ALGORITHMS[options.algorithm], number, bucket, ready)
    if options.overlap and rest > 0:
        computed = [backward(w, (0, rest), ".rest", computed[w]) for w in range(workers)]
    updates = []
    for worker in range(workers):
        update = builder.task(
            f"w{worker}.update", Op("update", worker=worker), after=[computed[worker], *finished[worker]]
        )
        builder.edge(update, firsts[worker], distance=1)
        updates.append(update)
    return star.program(
        clock="sync",
        updates=updates,
        samples=setting.global_batch,
        workers=workers,
        memory=memory.all_reduce_worker(
            workload.parameter_bytes,
            workload.activation_bytes * workload.batch,
            setting.optimizer_bytes(workload.parameters),
            _buffers(setting, reduced, options.overlap),
        ),
        algorithm=options.algorithm,
        overlap=options.overlap,
        buckets=[list(bucket.tensors) for bucket in reduced],
        bucket_bytes=[bucket.elements * workload.dtype_bytes for bucket in reduced],
        collectives=setting.scenario.run.collectives,
    )


def _buffers(setting: Setting, reduced: list[Bucket], overlap: bool) -> float:
    """Return the bytes of the buffers that buckets are copied into; one worker alone needs none."""
    if setting.cluster.workers == 1:
        return 0.0
    largest = max((bucket.elements for bucket in reduced), default=0) * setting.workload.dtype_bytes
    return memory.bucket_buffers(largest, len(reduced), overlap)


def _ring(star: Star, number: int, bucket: Bucket, ready: list[list[int]]) -> list[list[int]]:
    """Add the messages of one ring and return, by worker, what its end waits for."""
    workers = len(ready)
    return rings.all_reduce(
        star, number, bucket.elements, ready, lambda n_bytes, step: _after_s(star, n_bytes, step, workers)
    )


def _folds(setting: Setting, reduced: list[Bucket]) -> bool:
    """Say whether rings are written down once rather than message by message: where there are very many."""
    workers, network = setting.cluster.workers, setting.cluster.network
    messages = 2 * (workers - 1) * workers * len(reduced)
    return (
        messages * setting.iterations > MOST_WRITTEN_OUT
        and network is not None
        and network.sharing == "fair"
        and setting.scenario.variation.link is None
        and all(bucket.elements >= workers for bucket in reduced)
    )


def _whole_ring(star: Star, number: int, bucket: Bucket, ready: list[list[int]]) -> list[list[int]]:
    """Add the messages of one ring, as one, and return, by worker, what its end waits for."""
    workers = len(ready)
    chunks = rings.chunk_bytes(star, bucket.elements, workers)
    ways = [star.way(worker, (worker + 1) % workers) for worker in range(workers)]
    lasts = star.builder.ring(
        number,
        rings.entries(star, number, ready),
        [(way.links, way.latency_s, way.overhead_s) for way in ways],
        chunks,
        summed_s=[_after_s(star, chunk, 0, workers) for chunk in chunks],
        copied_s=[_after_s(star, chunk, workers, workers) for chunk in chunks],
    )
    return [[lasts[(worker - 1) % workers]] for worker in range(workers)]


def _after_s(star: Star, n_bytes: float, step: int, workers: int) -> float:
    """Return the seconds that a worker adds, in the first steps, or stores a chunk that has arrived."""
    options = star.setting.strategy.options
    assert isinstance(options, AllreduceOptions)
    rate = options.add_rate if step < workers - 1 else options.copy_rate
    return n_bytes / rate if rate is not None else 0.0


def _rounds(
    star: Star,
    algorithm: Callable[[int, int], Rounds],
    number: int,
    bucket: Bucket,
    ready: list[list[int]],
) -> list[list[int]]:
    """Add the messages of an algorithm that goes in rounds and return, by worker, what its end waits for."""
    builder, itemsize = star.builder, star.setting.workload.dtype_bytes
    has = rings.entries(star, number, ready)
    for step, (kind, sent) in enumerate(algorithm(len(ready), bucket.elements)):
        # Both ends must be through with the round before: a large message waits for its receiver to ask.
        through: list[list[int]] = [[] for _ in ready]
        for worker, to, (begin, end) in sent:
            star.begins.append(begin)
            _, arrived = star.send(
                f"w{worker}.{kind}.b{number}.s{step}.w{to}",
                Op(kind, worker=worker, peer=to, part=number, step=step),
                worker,
                to,
                float((end - begin) * itemsize),
                [has[worker], has[to]],
            )
            through[worker].append(arrived)
            through[to].append(arrived)
        for worker, arrivals in enumerate(through):
            if arrivals:
                has[worker] = builder.gather(
                    f"w{worker}.has.b{number}.s{step}",
                    [has[worker], *arrivals],
                    Op("gather", worker=worker, part=number, step=step),
                )
    return [[task] for task in has]


def _one_task(
    star: Star, algorithm: str, number: int, bucket: Bucket, ready: list[list[int]]
) -> list[list[int]]:
    """Add one task that takes as long as the algorithm would alone."""
    cluster, n_bytes = star.setting.cluster, star.setting.workload.dtype_bytes * bucket.elements
    workers = cluster.workers
    between = cluster.links_between(0, workers - 1)
    assert between is not None, "the scenario was checked: messages need a network"
    if algorithm == "hierarchical":
        carried_s, whole_s = _hierarchical_s(star, bucket)
    else:
        if algorithm in ("ring", "direct"):  # as long as the largest chunk
            n_bytes = -(-bucket.elements // workers) * workers * star.setting.workload.dtype_bytes
        form, late_s = CLOSED_FORMS[algorithm], between.latency_s + between.overhead_s
        carried_s = form(float(n_bytes), workers, between.bytes_per_s, 0.0)
        whole_s = form(float(n_bytes), workers, between.bytes_per_s, late_s)
        options = star.setting.strategy.options
        assert isinstance(options, AllreduceOptions)
        rates = (options.add_rate or math.inf, options.copy_rate or math.inf)
        whole_s += collectives.ring_memory(float(n_bytes), workers, *rates)
    return rings.one_task(star, "all_reduce", number, carried_s, whole_s, ready)


def _hierarchical_s(star: Star, bucket: Bucket) -> tuple[float, float]:
    """Return the seconds of a hierarchical all-reduce for its bytes alone, and with latency and overhead."""
    cluster, inter = star.setting.cluster, star.network
    assert inter is not None, "the scenario was checked: messages need a network"
    intra = cluster.intra or inter  # with one device a machine there is nothing inside
    per_node, nodes = cluster.devices_per_node, cluster.nodes
    chunk = -(-bucket.elements // per_node)  # as long as the largest one inside, and across
    elements = (chunk * per_node, -(-chunk // nodes) * nodes * per_node)
    sizes = [float(count * star.setting.workload.dtype_bytes) for count in elements]

    def seconds(late: float) -> float:
        inside_s = collectives.ring_all_reduce(
            sizes[0], per_node, intra.bytes_per_s, late * (intra.latency_s + intra.overhead_s)
        )
        return inside_s + collectives.ring_all_reduce(
            sizes[1], nodes, inter.bytes_per_s, late * (inter.latency_s + inter.overhead_s)
        )

    return seconds(0.0), seconds(1.0)
