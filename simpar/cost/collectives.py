"""Time taken by messages and collective operations on equal links (alpha-beta model).

Times are seconds, sizes bytes, bandwidths bytes per second of one direction, everywhere in this module.
One message of *n* bytes costs ``latency + n / bandwidth``; links are full duplex, every rank has one, and the
switch between them never blocks. A collective on one rank takes no time.
Not modelled here: contention with other traffic (an engine does that), the time to add numbers up,
reduction inside a switch, hops that store a message before they forward it.

Start with :func:`ring_all_reduce`; the others differ only in steps and bytes per step.
"""

from __future__ import annotations

import math

from simpar.cost import checks


def message(n_bytes: float, bandwidth: float, latency: float) -> float:
    """Return the seconds one message of *n_bytes* takes on an idle path.

    *latency* is the whole path's, however many hops it has: hops pass a message on as it comes in.

    Raises:
        ValueError: *bandwidth* is not above zero, or another argument is negative.

    Source: Hockney, Parallel Computing 20(3), 1994. Stops being true where hops store a message before they
    forward it, and where other messages share the path: see :func:`fair_share`.

    >>> message(100e6, bandwidth=12.5e9, latency=5e-6)
    0.008005
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    return latency + n_bytes / bandwidth


def fair_share(n_bytes: float, flows: int, bandwidth: float, latency: float) -> float:
    """Return the seconds until *flows* equal messages, started together on one link, have all arrived.

    Each gets ``bandwidth / flows``, so all end at the same moment.

    Args:
        n_bytes: bytes of one message.
        flows: messages that share the link.
        bandwidth: the link's, not a message's share of it.

    Raises:
        ValueError: *flows* is below 1, *bandwidth* not above zero, or another argument negative.

    Source: processor sharing. Stops being true when messages differ in size or start apart; the
    last arrival is then the same as long as the link is never idle.

    >>> fair_share(100e6, flows=4, bandwidth=12.5e9, latency=5e-6)
    0.032005
    """
    checks.count(flows=flows)
    return message(flows * n_bytes, bandwidth, latency)


def ring_all_reduce(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds a ring all-reduce of *n_bytes* takes on *ranks* equal ranks.

    Each rank sends ``2 (p - 1)`` messages of ``n / p`` bytes to its neighbour: a
    reduce-scatter, then an all-gather. Bandwidth-optimal; latency grows with *p*.

    Args:
        n_bytes: bytes reduced per rank (the whole gradient, not a shard).
        ranks: ranks in the ring; 1 takes no time.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message from neighbour to neighbour.

    Raises:
        ValueError: *ranks* is below 1, *bandwidth* not above zero, or another argument negative.

    Source: Patarasuk and Yuan, JPDC 69(2), 2009. Holds while ``n / p`` is
    large against ``latency * bandwidth``; for small messages see :func:`tree_all_reduce`.

    >>> round(ring_all_reduce(100e6, ranks=8, bandwidth=3.125e9, latency=5e-6) * 1e3, 2)
    56.07
    """
    return 2 * reduce_scatter(n_bytes, ranks, bandwidth, latency)


def ring_memory(n_bytes: float, ranks: int, add_rate: float, copy_rate: float) -> float:
    """Return the seconds that a ring all-reduce spends adding and storing what arrives.

    In ``p - 1`` steps a rank adds a chunk of ``n / p`` bytes to its own, in ``p - 1`` it stores a sum.

    Args:
        n_bytes: bytes reduced per rank.
        ranks: ranks in the ring.
        add_rate: bytes per second at which a chunk is added; ``inf`` where that takes no time.
        copy_rate: bytes per second at which one is stored.

    Source: the term gamma (p - 1) / p n of Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005.

    >>> ring_memory(8e9, ranks=4, add_rate=1e9, copy_rate=2e9)
    9.0
    """
    return (ranks - 1) * (n_bytes / ranks / add_rate + n_bytes / ranks / copy_rate)


def reduce_scatter(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of a ring reduce-scatter: every rank ends with one summed ``n / p`` of the whole.

    ``(p - 1) (latency + n / (p bandwidth))``. Arguments, errors and limits as in :func:`ring_all_reduce`,
    of which it is the first half.

    Source: Patarasuk and Yuan, JPDC 69(2), 2009; Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005.

    >>> round(reduce_scatter(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 3)
    7.035
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    checks.count(ranks=ranks)
    return (ranks - 1) * (latency + n_bytes / (ranks * bandwidth))


def all_gather(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of a ring all-gather: every rank starts with ``n / p`` bytes and ends with all *n*.

    The same steps and bytes as :func:`reduce_scatter`, so the same time.

    Args:
        n_bytes: bytes that each rank holds at the end.
        ranks: ranks in the ring; 1 takes no time.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005. Stops being true for small *n*, where
    doubling the distance needs fewer steps.

    >>> round(all_gather(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 3)
    7.035
    """
    return reduce_scatter(n_bytes, ranks, bandwidth, latency)


def tree_all_reduce(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of an all-reduce by one binomial tree: reduce to the root, then broadcast.

    ``2 ceil(log2 p) (latency + n / bandwidth)``: few messages, each of all *n* bytes.

    Args:
        n_bytes: bytes reduced per rank.
        ranks: ranks; 1 takes no time. Need not be a power of two.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005. Stops being true for libraries that cut the
    message into pieces and keep every level of one or two trees busy: those come near the ring's bandwidth.

    >>> round(tree_all_reduce(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 2)
    48.03
    """
    checks.count(ranks=ranks)
    return 2 * _levels(ranks) * message(n_bytes, bandwidth, latency)


def recursive_doubling(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of an all-reduce in which partners at distance 1, 2, 4, ... swap all they have.

    ``log2 p (latency + n / bandwidth)`` for *p* a power of two. Otherwise the ranks above the largest power
    of two first give their data to a partner and get the result from it at the end: two messages more.

    Args:
        n_bytes: bytes reduced per rank.
        ranks: ranks; 1 takes no time.
        bandwidth: bytes per second, one direction; both directions are used at once.
        latency: seconds of one message.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005. The least latency of all, and the choice for
    small *n*; for large *n* it sends ``log2 p`` times what is needed.

    >>> round(recursive_doubling(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 3)
    24.015
    """
    checks.count(ranks=ranks)
    core, fold = _power_of_two(ranks)
    return (_levels(core) + fold) * message(n_bytes, bandwidth, latency)


def halving_doubling(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds of an all-reduce by recursive halving, then recursive doubling (Rabenseifner).

    ``2 log2(p) latency + 2 (p - 1)/p n / bandwidth`` for *p* a power of two: the ring's bytes in fewer
    messages. Otherwise the ranks above the largest power of two fold in and out: two whole messages more.

    Args:
        n_bytes: bytes reduced per rank.
        ranks: ranks; 1 takes no time.
        bandwidth: bytes per second, one direction; both directions are used at once.
        latency: seconds of one message.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: Rabenseifner, ICCS 2004; Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005. Stops being true on
    networks that block between distant partners; a ring only ever needs its neighbours.

    >>> round(halving_doubling(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 2)
    14.03
    """
    checks.count(ranks=ranks)
    core, fold = _power_of_two(ranks)
    whole = message(n_bytes, bandwidth, latency)
    return 2 * _levels(core) * latency + 2 * (core - 1) / core * n_bytes / bandwidth + fold * whole


def direct_all_reduce(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the seconds an all-reduce takes in which everyone exchanges chunks with everyone, twice.

    ``2 (latency + (p - 1) / p n / bandwidth)``: each rank sends ``p - 1`` chunks of ``n / p`` bytes at once,
    which share its link; then the sums of the chunks go the same ways.

    Args:
        n_bytes: bytes reduced a rank.
        ranks: number of ranks, *p*.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message.

    Raises:
        ValueError: *ranks* is below 1, *bandwidth* is not above zero, or another argument is negative.

    Source: Thakur et al., IJHPCA 19(1), 2005. Stops being true where ``p (p - 1)`` flows overload a switch.

    >>> round(direct_all_reduce(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6) * 1e3, 2)
    14.01
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    checks.count(ranks=ranks)
    if ranks == 1:
        return 0.0
    return 2 * (latency + (ranks - 1) / ranks * n_bytes / bandwidth)


def hierarchical_all_reduce(
    n_bytes: float,
    per_node: int,
    nodes: int,
    inside: tuple[float, float],
    across: tuple[float, float],
) -> float:
    """Return the seconds of an all-reduce by rings inside machines, across them, and inside again.

    ``2 (g - 1) (alpha_i + n / (g B_i)) + 2 (M - 1) (alpha_e + n / (M B_e))``: a ring inside each machine
    leaves each device one summed ``n / g``; the *g* rings across share the machines' links, so together they
    take as long as one ring of all *n* bytes; a ring inside gathers.

    Args:
        n_bytes: bytes reduced per rank.
        per_node: ranks on each machine, *g*.
        nodes: machines, *M*.
        inside: bytes per second, one direction, and latency of a device's link inside its machine.
        across: the same of the link of a whole machine.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: counting messages and bytes of its four halves of rings. Stops being true where links inside a
    machine are shared, or where a device cannot fill its share of the machine's link.

    >>> round(hierarchical_all_reduce(100e6, 8, 2, inside=(150e9, 2e-6), across=(12.5e9, 5e-6)) * 1e3, 3)
    9.205
    """
    return ring_all_reduce(n_bytes, per_node, *inside) + ring_all_reduce(n_bytes, nodes, *across)


def chain_broadcast(n_bytes: float, ranks: int, segments: int, bandwidth: float, latency: float) -> float:
    """Return the seconds until *n_bytes* have gone down a chain of *ranks* in equal segments.

    ``(p - 2 + k) (latency + n / (k bandwidth))``: a segment is passed on once it is there, and the next is
    sent once the one before has arrived.

    Args:
        n_bytes: bytes that the first rank has and all others want.
        ranks: ranks in the chain, *p*; 1 takes no time.
        segments: equal pieces, *k*.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message.

    Raises:
        ValueError: a count is below 1, *bandwidth* not above zero, or another argument negative.

    Source: counting rounds, as in Chan et al., Concurrency and Computation 19(13), 2007. Where a
    rank sends its next segment while one is still on its way, latency is paid ``p - 1`` times only:
    ``(p - 1) latency + (p - 2 + k) n / (k bandwidth)``.

    >>> round(chain_broadcast(100e6, ranks=8, segments=10, bandwidth=12.5e9, latency=5e-6) * 1e3, 2)
    12.88
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    checks.count(ranks=ranks, segments=segments)
    if ranks == 1:
        return 0.0
    return (ranks - 2 + segments) * (latency + n_bytes / (segments * bandwidth))


def best_segments(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return the number of segments, not rounded, at which :func:`chain_broadcast` is least.

    ``k* = sqrt((p - 2) n / (latency bandwidth))``: infinite without latency, 0 for a chain of two, which
    gains nothing from segments.

    Raises:
        ValueError: as in :func:`chain_broadcast`.

    Source: the derivative of its formula.

    >>> round(best_segments(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6), 1)
    98.0
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    checks.count(ranks=ranks)
    if ranks <= 2 or n_bytes == 0:
        return 0.0
    return math.sqrt((ranks - 2) * n_bytes / bandwidth / latency) if latency else math.inf


def all_reduce_lower_bound(n_bytes: float, ranks: int, bandwidth: float, latency: float) -> float:
    """Return seconds that no all-reduce of *n_bytes* over *ranks* equal links can beat.

    The greater of two bounds: every rank must send ``2 (p - 1)/p n`` bytes, and news of one rank needs
    ``ceil(log2 p)`` messages in a row to reach all.

    Args:
        n_bytes: bytes reduced per rank.
        ranks: ranks; 1 takes no time.
        bandwidth: bytes per second, one direction.
        latency: seconds of one message.

    Raises:
        ValueError: as in :func:`ring_all_reduce`.

    Source: Chan, Heimlich, Purkayastha and van de Geijn, Concurrency and Computation 19(13), 2007. Stops
    being true where switches add numbers up themselves: a rank then sends *n* bytes once.

    >>> all_reduce_lower_bound(100e6, ranks=8, bandwidth=12.5e9, latency=5e-6)
    0.014
    """
    checks.not_negative(n_bytes=n_bytes, latency=latency)
    checks.positive(bandwidth=bandwidth)
    checks.count(ranks=ranks)
    return max(2 * (ranks - 1) / ranks * n_bytes / bandwidth, _levels(ranks) * latency)


def _levels(ranks: int) -> int:
    """Return ``ceil(log2 ranks)`` in whole numbers: a floating-point logarithm can be one off."""
    return (int(ranks) - 1).bit_length()


def _power_of_two(ranks: int) -> tuple[int, int]:
    """Return the largest power of two in *ranks*, and the messages that folding the rest in and out takes."""
    core: int = 1 << (int(ranks).bit_length() - 1)
    return core, 0 if core == ranks else 2
