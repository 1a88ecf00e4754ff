"""How the links of a network are joined, and which of them a message crosses.

A star needs nothing here: every machine has a link to a switch that never blocks. In a two-level
:class:`Tree` machines share the uplinks of their racks; a :class:`Graph` is links between named machines
and switches, a ring among them. Rates are payload bytes per second of one direction; all links are full
duplex.

Routes are fixed: no load balancing over several ways, as with ECMP, and no adaptive routing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

Links = tuple[tuple[str, float], ...]
"""(name, bytes per second) of one link after another."""

STORE = "store"
"""What the store of the training data is called."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Racks of machines, each with one uplink to a switch that never blocks.

    Machines fill racks in order. Servers on machines of their own stand in the workers' racks by turns
    (``spread``), or fill racks of their own (``apart``). The store stands at the upper switch.
    """

    machines: int
    """Machines with workers."""
    rack: int
    """How many of them a rack holds."""
    uplink_bytes_per_s: float
    """Rate of an uplink's direction."""
    servers: str
    """``spread`` or ``apart``."""

    @property
    def racks(self) -> int:
        """Racks with workers."""
        return -(-self.machines // self.rack)

    def between(self, source: str, target: str) -> Links:
        """Return the links between those of the two ends: the uplinks of their racks, where they differ."""
        up, down = self._rack_of(source), self._rack_of(target)
        if up == down:
            return ()
        out = () if up is None else ((f"rack{up}.up", self.uplink_bytes_per_s),)
        return *out, (f"rack{down}.down", self.uplink_bytes_per_s)

    def _rack_of(self, machine: str) -> int | None:
        """Return the rack of ``w3``, ``n3`` or ``ps3``; None for the store."""
        if machine == STORE:
            return None
        number = int(machine.lstrip("nwps"))
        if not machine.startswith("ps"):
            return number // self.rack
        return number % self.racks if self.servers == "spread" else self.racks + number // self.rack


class Graph:
    """Links between named machines and switches.

    A message takes the fewest links; of several ways that are as short, the first by the names of the nodes.
    Names are compared piece by piece, numbers as numbers: ``w2`` comes before ``w10``.
    """

    def __init__(self, links: Iterable[tuple[str, str, float]]) -> None:
        """Take (one end, other end, bytes per second of each direction) of every link."""
        self._rate: dict[tuple[str, str], float] = {}
        neighbours: dict[str, list[str]] = {}
        for one, other, rate in links:
            for source, target in ((one, other), (other, one)):
                self._rate[source, target] = rate
                neighbours.setdefault(source, []).append(target)
        self._neighbours = neighbours
        self._hops: dict[str, dict[str, int]] = {}

    def __eq__(self, other: object) -> bool:
        """Return whether *other* has the same links."""
        return isinstance(other, Graph) and self._rate == other._rate

    def __hash__(self) -> int:
        """Return a hash of the links."""
        return hash(frozenset(self._rate.items()))

    @cached_property
    def nodes(self) -> frozenset[str]:
        """Names of all machines and switches."""
        return frozenset(self._neighbours)

    def hops_to(self, target: str) -> dict[str, int]:
        """Return how many links there are from each node to *target*; nodes without a way are left out."""
        if target not in self._hops:
            hops = {target: 0}
            waiting = deque([target])
            while waiting:
                node = waiting.popleft()
                for near in self._neighbours.get(node, ()):
                    if near not in hops:
                        hops[near] = hops[node] + 1
                        waiting.append(near)
            self._hops[target] = hops
        return self._hops[target]

    def way(self, source: str, target: str) -> Links:
        """Return the links from *source* to *target*, ``w0>s0`` the first of them.

        Raises:
            KeyError: there is no way.
        """
        if (source, target) in self._rate:
            return ((f"{source}>{target}", self._rate[source, target]),)
        hops, node = self.hops_to(target), source
        found = []
        for left in range(hops[source] - 1, -1, -1):
            near = min((near for near in self._neighbours[node] if hops[near] == left), key=by_name)
            found.append((f"{node}>{near}", self._rate[node, near]))
            node = near
        return tuple(found)


def by_name(name: str) -> list[tuple[int, int, str]]:
    """Return what to sort names by, numbers in them as numbers.

    >>> sorted(["w10", "s1", "w2"], key=by_name)
    ['s1', 'w2', 'w10']
    """
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


def ring(names: list[str], bytes_per_s: float) -> Graph:
    """Return a ring in which each of *names* has a link to the next, and the last to the first."""
    pairs = zip(names, names[1:] + names[:1], strict=True)
    several = len(names) > 2  # two machines have one link between them
    return Graph([(a, b, bytes_per_s) for a, b in pairs][: None if several else 1])
