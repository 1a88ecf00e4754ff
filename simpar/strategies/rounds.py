"""All-reduce algorithms as rounds of messages between workers.

A round is a list of (sender, receiver, share): the receiver needs *share* of the bucket, a slice of its
elements as (first, behind the last). A worker sends in a round what it had at the end of the round
before; a message begins when both its ends are through with the rounds before. The ring is not here: it
goes round 2 (W - 1) times, and is written down where it is used.

Sources: Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005, for the trees, recursive doubling and halving;
a number of workers that is no power of two first folds the surplus into the others, as they do.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from simpar.workload.splitting import balanced

Message = tuple[int, int, tuple[int, int]]
Rounds = list[tuple[str, list[Message]]]
"""Rounds in order, each with what it does: ``reduce``, ``broadcast``, ``exchange``, ``all_gather``, ..."""


def tree(workers: int, elements: int) -> Rounds:
    """Return a binomial tree to worker 0 and back: 2 ceil(log2 W) rounds of the whole bucket.

    >>> [(kind, [(s, r) for s, r, _ in sent]) for kind, sent in tree(4, 10)][:2]
    [('reduce', [(1, 0), (3, 2)]), ('reduce', [(2, 0)])]
    """
    whole = (0, elements)
    up: Rounds = []
    reach = 1
    while reach < workers:
        sent = [(rank, rank - reach, whole) for rank in range(reach, workers, 2 * reach)]
        up.append(("reduce", sent))
        reach *= 2
    down: Rounds = [("broadcast", [(r, s, whole) for s, r, whole in sent]) for _, sent in reversed(up)]
    return up + down


def recursive_doubling(workers: int, elements: int) -> Rounds:
    """Return log2 W rounds in which pairs at growing distance exchange the whole bucket."""
    whole = (0, elements)

    def between(core: int) -> Rounds:
        rounds: Rounds = []
        reach = 1
        while reach < core:
            rounds.append(("exchange", [(rank, rank ^ reach, whole) for rank in range(core)]))
            reach *= 2
        return rounds

    return _folded(workers, whole, between)


def halving_doubling(workers: int, elements: int) -> Rounds:
    """Return a reduce-scatter by recursive halving and an all-gather by recursive doubling (Rabenseifner)."""

    def between(core: int) -> Rounds:
        bounds = [0, *accumulate(balanced(elements, core))]
        rounds: Rounds = []
        reach = core // 2
        while reach:
            sent = []
            for rank in range(core):
                # The half of its block that the partner goes on with.
                begin = (rank ^ reach) // reach * reach
                sent.append((rank, rank ^ reach, (bounds[begin], bounds[begin + reach])))
            rounds.append(("reduce_scatter", sent))
            reach //= 2
        gather: Rounds = [
            ("all_gather", [(r, s, share) for s, r, share in sent]) for _, sent in reversed(rounds)
        ]
        return rounds + gather

    return _folded(workers, (0, elements), between)


def direct(workers: int, elements: int) -> Rounds:
    """Return two rounds: each worker sends every other its chunk, and then everyone the sum of its own."""
    bounds = [0, *accumulate(balanced(elements, workers))]
    pairs = [(rank, (rank + turn) % workers) for turn in range(1, workers) for rank in range(workers)]
    return [
        ("reduce_scatter", [(s, r, (bounds[r], bounds[r + 1])) for s, r in pairs]),
        ("all_gather", [(s, r, (bounds[s], bounds[s + 1])) for s, r in pairs]),
    ]


def _folded(workers: int, whole: tuple[int, int], between: Callable[[int], Rounds]) -> Rounds:
    """Run *between* on the largest power of two of workers; the surplus joins before and is told after."""
    core = 1 << (workers.bit_length() - 1)
    surplus = range(core, workers)
    rounds = between(core)
    if not surplus:
        return rounds
    fold: Rounds = [("reduce", [(rank, rank - core, whole) for rank in surplus])]
    unfold: Rounds = [("broadcast", [(rank - core, rank, whole) for rank in surplus])]
    return fold + rounds + unfold


ALGORITHMS: dict[str, Callable[[int, int], Rounds]] = {
    "tree": tree,
    "recursive-doubling": recursive_doubling,
    "halving-doubling": halving_doubling,
    "direct": direct,
}
"""By the word that ``algorithm`` takes."""
