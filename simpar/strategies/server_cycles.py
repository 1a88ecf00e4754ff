"""How long the cycle of a worker with parameter servers takes, if it were alone: compute, push, apply, pull.

Estimates from the sums of its parts, by which asynchronous workers are begun and their rounds counted; what
really happens is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simpar.cost import parameter_server
from simpar.scenario.options import PsOptions
from simpar.strategies import data
from simpar.strategies.common import Star, layer_times
from simpar.strategies.variation import expected_compute

MOST_UNEVEN = 50.0
"""Times the shortest cycle up to which the longest is allowed for; beyond it, run.steps have to be."""


class Cycles:
    """The cycles of all workers of one strategy."""

    def __init__(
        self, star: Star, loads: Sequence[float], exposed: Sequence[float], share: int, last_group: int
    ) -> None:
        """Take what a cycle is made of.

        Args:
            star: the program, for its ways.
            loads: bytes that each server holds.
            exposed: of them, those that nothing can hide: all, or with overlap those of the first layers.
            share: workers whose gradients are one push.
            last_group: how many of the last layers have no push before them to hide.
        """
        options = star.setting.strategy.options
        assert isinstance(options, PsOptions)
        self.star, self.setting, self.options = star, star.setting, options
        self.loads, self.exposed, self.share, self.last_group = loads, exposed, share, last_group
        workers, batch = self.setting.cluster.workers, self.setting.workload.batch
        self.pushers = range(0, workers, share)
        self._times = [layer_times(self.setting, worker, batch) for worker in range(workers)]

    def alone_s(self, worker: int) -> float:
        """Return the seconds of one cycle of *worker*, or of all that it pushes for, if it were alone."""
        read = self.share * self.options.push_every * self.options.pull_every * self.setting.workload.batch
        loading = data.alone_s(self.setting, read)
        return max(self._training_s(worker), loading)

    def _training_s(self, worker: int) -> float:
        """Return the seconds of such a cycle whose data is there.

        With overlap, all but the first layers' pushes are hidden behind the backward pass, or outlast it.
        """
        cluster, network = self.setting.cluster, self.star.network
        assert network is not None
        slowest = max(range(worker, worker + self.share), key=lambda one: (self._compute_s(one), -one))
        if self.share > 1 or self.options.colocate:
            there_and_back = 2 * (self._merge_s() + self._one_way_s(worker))
            server = cluster.server
            work = (server.add_bytes_per_s, server.update_bytes_per_s)
            return (
                self._hidden_s(slowest)
                + self._compute_s(slowest)
                + there_and_back
                + parameter_server.server_cpu(
                    self.exposed, 1, *work, aggregate=False, overhead=server.overhead_s
                )
            )
        return self._hidden_s(worker) + parameter_server.uncontended_cycle(
            self._compute_s(worker),
            self.exposed,
            network.bytes_per_s,
            network.server_bytes_per_s,
            network.latency_s,
            network.overhead_s,
            cluster.server.add_bytes_per_s,
            cluster.server.update_bytes_per_s,
            cluster.server.overhead_s,
        )

    def _compute_s(self, worker: int) -> float:
        """Return the seconds that *worker* is expected to compute between two pushes."""
        forward, backward = self._times[worker]
        batch_s = expected_compute(self.setting, worker, math.fsum(forward) + math.fsum(backward))
        return self.options.push_every * self.options.pull_every * batch_s

    def _merge_s(self) -> float:
        """Return the seconds to bring the exposed gradients of a machine's devices to its first one."""
        intra = self.setting.cluster.intra
        if self.share == 1 or intra is None:
            return 0.0
        sent = (self.share - 1) * math.fsum(self.exposed)
        return intra.latency_s + intra.overhead_s + sent / intra.bytes_per_s

    def _one_way_s(self, worker: int) -> float:
        """Return the seconds of the exposed pushes of *worker* alone: of the fullest link on their ways."""
        carried, late_s = self._carried([worker], self.exposed)
        return late_s + max(carried.values(), default=0.0)

    def _carried(self, workers: Sequence[int], loads: Sequence[float]) -> tuple[dict[str, float], float]:
        """Return the seconds of each link for the pushes of *workers*, and what a message takes beside."""
        carried: dict[str, float] = {}
        late_s = 0.0
        for worker in workers:
            for server, load in enumerate(loads):
                way = self.star.way_to_server(worker, server)
                for link, rate in way.links if load else ():
                    carried[link] = carried.get(link, 0.0) + load / rate
                    late_s = max(late_s, way.latency_s + way.overhead_s)
        return carried, late_s

    def longest_over_shortest(self) -> float:
        """Return how many times the shortest cycle the longest may be, all pushing at once, speeds apart.

        Who shares a machine with a server is served sooner than those who queue for its link; where servers
        are apart, all are served alike.
        """
        everybody, late_s = self._carried(self.pushers, self.loads)
        cycles = []
        for worker in self.pushers:
            own, _ = self._carried([worker], self.loads)
            queued_s = late_s + max(everybody[link] for link in own) if own else 0.0
            cycles.append(self.alone_s(worker) + 2 * queued_s)
        return min(max(cycles) / min(cycles), MOST_UNEVEN) if min(cycles) else 1.0

    def _hidden_s(self, worker: int) -> float:
        """Return the seconds by which pushes outlast the backward pass that is to hide them."""
        network = self.star.network
        if not self.options.overlap or network is None:
            return 0.0
        early = [load - shown for load, shown in zip(self.loads, self.exposed, strict=True)]
        sending = max(sum(early) / network.bytes_per_s, max(early) / network.server_bytes_per_s)
        _, backward = self._times[worker]
        return max(0.0, sending - math.fsum(backward[: len(backward) - self.last_group]))
