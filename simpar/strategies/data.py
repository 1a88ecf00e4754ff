"""Reading training data: every worker gets its batch of an iteration from one store that all share.

A batch is one message from ``store`` over the store's link, ``store.out``, and the ``in`` link of the
worker's machine where there is a network. The forward pass of a batch waits for its arrival. A worker has
room for *prefetch* batches: the load of a batch waits until the forward pass of the one *prefetch* before it
has ended, so with two or more it goes on while the worker computes.

Formula: for W equal workers of b records of r bytes, compute Z and a store of B bytes per second, a step is
max(Z, W b r / B) with prefetch 2 or more, and max(Z, F + W b r / B) with 1, F being the forward pass; never
below W b r / B, but for the last steps of a run, which no load of a later batch holds up.
Left out: decoding and augmentation on the worker, caches, a disk that is slower at random than in order.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.program import Op
from simpar.strategies.common import Setting, Star

STORE = "store.out"
"""The link of the store."""


class Feed:
    """One batch that a worker reads in each iteration; nothing where the scenario has no store."""

    def __init__(self, star: Star, worker: int, samples: int, part: int = -1) -> None:
        """Add the message that brings *samples* records to *worker*."""
        data, network = star.setting.scenario.data, star.network
        self.first = -1
        self.arrived: list[int] = []
        """What the forward pass of the batch waits for, besides what it waits for anyway."""
        if data.record_bytes is None or data.store_bandwidth is None:
            return
        links = [(STORE, data.store_bandwidth)]
        if network is not None:
            links += star.from_store(worker)
        self.first, last = star.builder.message(
            f"w{worker}.load" + (f".{part}" if part >= 0 else ""),
            Op("load", worker=worker, part=part),
            "store",
            f"w{worker}",
            links,
            samples * data.record_bytes,
            latency=network.latency_s if network else 0.0,
            overhead=network.overhead_s if network else 0.0,
        )
        self.arrived = [last]


def reuse(star: Star, feeds: Sequence[Feed], forwards: Sequence[int]) -> None:
    """Let each batch of one worker wait for room: for the forward pass of the batch *prefetch* before it.

    Where a link serves one message at a time, a worker asks for a batch only when the store is through with
    the one before, so that at the beginning nobody queues for two before others have one.

    Args:
        feeds: the worker's batches of an iteration, in order.
        forwards: the task that ends the forward pass of each.
    """
    for number, feed in enumerate(feeds):
        if feed.first >= 0:
            before = number - star.setting.scenario.data.prefetch
            iterations, batch = divmod(before, len(feeds))
            star.builder.edge(forwards[batch], feed.first, distance=-iterations)
            if star.builder.sharing == "fifo":
                star.builder.edge(feeds[number - 1].first, feed.first, distance=0 if number else 1)


def alone_s(setting: Setting, samples: int) -> float:
    """Return the seconds that a worker's load of *samples* records takes with the store to itself."""
    data = setting.scenario.data
    if data.record_bytes is None or data.store_bandwidth is None:
        return 0.0
    network = setting.cluster.network
    rate = data.store_bandwidth if network is None else min(data.store_bandwidth, network.bytes_per_s)
    return samples * data.record_bytes / rate
