"""Rings of workers 0, 1, ..., message by message: what an all-reduce and an all-gather write down.

In each step every worker sends one chunk to the next. An all-reduce goes round twice: each chunk collects
every worker's part, then its sum goes to all. An all-gather goes round once, with what each worker has.

Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, JPDC 69(2), 2009.
"""

from __future__ import annotations

from collections.abc import Callable

from simpar.program import Op
from simpar.program.expand import GATHER, message_kind, message_name
from simpar.strategies.common import Star
from simpar.workload.splitting import balanced


def entries(star: Star, number: int, ready: list[list[int]]) -> list[int]:
    """Add, by worker, the moment at which it has its own share of collective *number*."""
    return [
        star.builder.gather(f"w{w}.ready.b{number}", before, Op("gather", worker=w, part=number))
        for w, before in enumerate(ready)
    ]


def chunk_bytes(star: Star, elements: int, workers: int) -> list[float]:
    """Return the bytes of the chunks, one a worker, that *elements* are cut into."""
    return [float(count * star.setting.workload.dtype_bytes) for count in balanced(elements, workers)]


def all_reduce(
    star: Star,
    number: int,
    elements: int,
    ready: list[list[int]],
    after_s: Callable[[float, int], float] = lambda n_bytes, step: 0.0,
) -> list[list[int]]:
    """Add the messages of one all-reduce and return, by worker, what its end waits for.

    Args:
        number: of the collective, for names and for those who run it.
        elements: summed.
        ready: by worker, what its part waits for.
        after_s: seconds from the arrival of so many bytes in a step until they are sent on.
    """
    workers = len(ready)
    chunks = chunk_bytes(star, elements, workers)
    have = entries(star, number, ready)
    received: list[int] = []
    for step in range(2 * (workers - 1)):
        sent = []
        for worker in range(workers):
            after = [received[(worker - 1) % workers]] if received else []
            if step < workers:  # later steps wait for their own gradients through the ring itself
                after.append(have[worker])
            to = (worker + 1) % workers
            # Chunk w starts its way round at worker w; after W - 1 steps it is summed, and goes on.
            chunk = (worker - step) % workers
            _, arrived = star.send(
                message_name(worker, number, step, workers),
                Op(message_kind(step, workers), worker=worker, peer=to, part=number, step=step, key=chunk),
                worker,
                to,
                chunks[chunk],
                after,
                after_s=after_s(chunks[chunk], step),
            )
            sent.append(arrived)
        received = sent
    return [[received[(worker - 1) % workers]] for worker in range(workers)]


def all_gather(star: Star, number: int, elements: int, ready: list[list[int]]) -> list[list[int]]:
    """Add the messages by which all get chunk w from worker w; return, by worker, what its end waits for.

    Arguments as of :func:`all_reduce`; *elements* are those of all chunks together.
    """
    workers = len(ready)
    chunks = chunk_bytes(star, elements, workers)
    have = entries(star, number, ready)
    received: list[int] = []
    for step in range(workers - 1):
        sent = []
        for worker in range(workers):
            to, chunk = (worker + 1) % workers, (worker - step) % workers
            op = Op(GATHER, worker=worker, peer=to, part=number, step=step, key=chunk)
            after = [*([received[(worker - 1) % workers]] if received else []), have[worker]]
            name = f"w{worker}.{GATHER}.b{number}.s{step}"
            sent.append(star.send(name, op, worker, to, chunks[chunk], after)[1])
        received = sent
    return [[received[(worker - 1) % workers]] for worker in range(workers)]


def one_task(
    star: Star, kind: str, number: int, carried_s: float, whole_s: float, ready: list[list[int]]
) -> list[list[int]]:
    """Add one task that stands for a collective; return, by worker, what its end waits for.

    Args:
        kind: of the operation, ``all_reduce`` or ``all_gather``.
        carried_s: seconds for the bytes alone, of which its resource is busy.
        whole_s: seconds with latency and overhead.
    """
    done = star.builder.task(
        f"{kind}.b{number}",
        Op(kind, part=number),
        star.builder.resource("fabric", "collective"),
        carried_s,
        [task for before in ready for task in before],
        lag=whole_s - carried_s,
    )
    return [[done]] * len(ready)
