"""A hierarchical all-reduce: rings inside the machines, rings across them, and rings inside again.

With g devices on each of M machines, a ring inside each machine reduces and scatters: device d ends with the
machine's sum of one shard, n / g bytes. The devices that hold the same shard, one a machine, sum it in a ring
of M; the g rings go at once and share the machines' links. A ring inside each machine gathers the shards.

Formula: 2 (g - 1) (alpha_i + n / (g B_i)) + 2 (M - 1) (alpha_e + n / (M B_e)), with alpha_i and B_i latency
and bytes per second of the links inside, alpha_e and B_e of a machine's link.
Source: counting; as in Cho et al., BlueConnect, MLSys 2019, with two levels.
"""

from __future__ import annotations

from itertools import accumulate

from simpar.program import Op
from simpar.strategies.common import Star
from simpar.workload.splitting import balanced


def hierarchical(star: Star, number: int, elements: int, ready: list[list[int]]) -> list[list[int]]:
    """Add the messages that sum bucket *number* and return, by worker, what its end waits for.

    Args:
        elements: of the bucket.
        ready: by worker, what its part waits for.
    """
    cluster = star.setting.cluster
    per_node, nodes = cluster.devices_per_node, cluster.nodes
    inside = [list(range(first, first + per_node)) for first in range(0, cluster.workers, per_node)]
    across = [list(range(place, cluster.workers, per_node)) for place in range(per_node)]
    shards = balanced(elements, per_node)
    # A device has the sum of the chunk that ends its way round with it.
    pieces = [balanced(shards[(place + 1) % per_node], nodes) for place in range(per_node)]
    has = [
        [star.builder.gather(f"w{w}.ready.b{number}", before, Op("gather", worker=w, part=number))]
        for w, before in enumerate(ready)
    ]
    rounds = _Rounds(star, number)
    within = [0] * nodes, [shards] * nodes
    bounds = [0, *accumulate(shards)]
    between = [bounds[(place + 1) % per_node] for place in range(per_node)], pieces
    has = rounds.reduce_scatter(inside, *within, has)
    has = rounds.reduce_scatter(across, *between, has)
    has = rounds.all_gather(across, *between, has)
    return rounds.all_gather(inside, *within, has)


class _Rounds:
    """Halves of rings, several at once, one after another."""

    def __init__(self, star: Star, number: int) -> None:
        self.star, self.number = star, number
        self.step = 0

    def reduce_scatter(
        self, rings: list[list[int]], begins: list[int], chunks: list[list[int]], has: list[list[int]]
    ) -> list[list[int]]:
        """Let each chunk collect every member's part on its way round, from the member of its number on."""
        return self._go_round("reduce_scatter", 0, rings, begins, chunks, has)

    def all_gather(
        self, rings: list[list[int]], begins: list[int], chunks: list[list[int]], has: list[list[int]]
    ) -> list[list[int]]:
        """Let each chunk go round once more, from the member that it was summed at."""
        return self._go_round("all_gather", 1, rings, begins, chunks, has)

    def _go_round(
        self,
        kind: str,
        ahead: int,
        rings: list[list[int]],
        begins: list[int],
        chunks: list[list[int]],
        has: list[list[int]],
    ) -> list[list[int]]:
        """Add the steps of rings of equal length and return, by worker, what has all of it.

        Args:
            ahead: by how much the number of the first chunk that a member sends exceeds its own.
            begins: the first element of the bucket in each ring.
            chunks: elements of each chunk, by ring.
        """
        received: list[list[int]] = [[] for _ in has]
        for turn in range(len(rings[0]) - 1):
            arrived: list[list[int]] = [[] for _ in has]
            for ring, begin, sizes in zip(rings, begins, chunks, strict=True):
                for place, worker in enumerate(ring):
                    to, chunk = ring[(place + 1) % len(ring)], (place + ahead - turn) % len(ring)
                    after = has[worker] + received[worker]  # so that chunks go in their order
                    self.star.begins.append(begin + sum(sizes[:chunk]))
                    arrived[to] = [self._send(kind, worker, to, chunk, sizes[chunk], after)]
            received = arrived
            self.step += 1
        return [before + last for before, last in zip(has, received, strict=True)]

    def _send(self, kind: str, worker: int, to: int, chunk: int, elements: int, after: list[int]) -> int:
        n_bytes = float(elements * self.star.setting.workload.dtype_bytes)
        name = f"w{worker}.{kind}.b{self.number}.s{self.step}"
        op = Op(kind, worker=worker, peer=to, part=self.number, step=self.step, key=chunk)
        return self.star.send(name, op, worker, to, n_bytes, after)[1]
