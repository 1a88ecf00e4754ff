"""The state of a network of flows as flat lists or arrays, for the functions of :mod:`simpar.simulate.flows`.

:func:`network` makes it from links and routes, in lists; :func:`arrays` copies it for compiled functions.
Rates are bytes per second, times seconds, sizes bytes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, ForwardRef, NamedTuple, TypeAlias

Ints: TypeAlias = Any
"""list[int], or int64[...]."""

Floats: TypeAlias = Any
"""list[float], or float64[...]."""

DENSE = 512
"""Channels up to which all flows are filled progressively at every settling."""

STARTED, CHANGED, TOUCHED, LEAVES, SPARSE = 0, 1, 2, 3, 4
"""Places in ``Flows.count``: heads that have started, changed links, touched parts, leaves of the tree, and
1 where links may be tight."""


class Flows(NamedTuple):
    """The state of a network.

    A *hop* is one link of one channel's route; a *place* is where a link keeps one.
    """

    capacity: Floats
    """By link: bytes per second."""
    first_hop: Ints
    """By channel, and one more: where its hops begin."""
    link_of: Ints
    """By hop."""
    channel_of: Ints
    """By hop."""
    first_place: Ints
    """By link: where its places begin."""
    part_of: Ints
    """By link."""
    first_core: Ints
    """By part: where its core begins in ``core``."""

    crossing: Ints
    """By place: hops of the flows that transmit, packed at the front; a heap where the link is tight."""
    place: Ints
    """By hop that transmits."""
    users: Ints
    """By link: flows that cross it."""
    left: Floats
    """By channel: bytes left as of its part's ``now``; on a tight link, ``served`` at its end. Of a head that
    has just started, its bytes."""
    rate: Floats
    """By channel of the core."""
    tight_on: Ints
    """By channel: the tight link that it crosses, -1 in the core."""

    core: Ints
    """By part, packed: channels."""
    core_place: Ints
    """By channel of the core."""
    cores: Ints
    """By part: flows in its core."""
    now: Floats
    """By part: the time up to which ``left`` of its core counts."""

    level: Floats
    """By tight link: the rate of each of its flows."""
    served: Floats
    """By tight link: bytes that each flow that was there all the time has had since the count began."""
    since: Floats
    """By tight link: the time up to which ``served`` counts."""
    horizon: Floats
    """By tight link: when this is served, all that were there when the count began have ended."""
    ceiling: Floats
    """By tight link: at least its own share, at most that of any link that its flows cross; by others 0."""
    bound: Floats
    """By link: at least the ceiling of every tight link with which it shares a flow."""

    changed: Ints
    """Links whose users have changed since the last settling."""
    is_changed: Ints
    """By link."""
    touched: Ints
    """Parts with such links."""
    is_touched: Ints
    """By part."""
    started: Ints
    """Channels whose heads have started since then."""
    done: Ints
    """Channels that :func:`complete` ended, ascending."""

    room: Floats
    """By link, while filling: capacity that is left."""
    growing: Ints
    """By link, while filling: flows that still grow; otherwise 0."""
    share: Floats
    """By link, while filling: room over growing, -1 where they have changed."""
    filling: Ints
    """Links that are not full yet."""

    due: Floats
    """Times of the next end, as a tree of minima from 1 on: by part for its core, then by tight link. At 0,
    the end of the promised instant."""
    count: Ints
    """See ``STARTED`` and its neighbours."""
    known: Any
    """Rates by set of channels, which :func:`simpar.simulate.network.settle` remembers; in arrays nothing."""


_WHOLE = frozenset(name for name, kind in Flows.__annotations__.items() if kind == ForwardRef("Ints"))
"""Columns of whole numbers."""


def network(capacity: Sequence[float], routes: Sequence[Sequence[int]], dense: int = DENSE) -> Flows:
    """Return the state of an idle network, in lists.

    Args:
        capacity: bytes per second of each link.
        routes: by channel, the links that it crosses, each once; empty for what never transmits.
        dense: channels with routes up to which all flows are filled at every settling.
    """
    links, channels = len(capacity), len(routes)
    link_of = [link for route in routes for link in route]
    channel_of = [channel for channel, route in enumerate(routes) for _ in route]
    sparse = sum(1 for route in routes if route) > dense
    part_of = _parts(links, routes) if sparse else [0] * links
    parts = max(part_of, default=0) + 1
    in_part = [0] * parts
    for route in routes:
        if route:
            in_part[part_of[route[0]]] += 1
    crossed = [0] * links
    for link in link_of:
        crossed[link] += 1
    leaves = 1
    while leaves < parts + (links if sparse else 0):
        leaves *= 2
    count = [0] * 5
    count[LEAVES], count[SPARSE] = leaves, int(sparse)
    return Flows(
        capacity=[float(one) for one in capacity],
        first_hop=_firsts(len(route) for route in routes),
        link_of=link_of,
        channel_of=channel_of,
        first_place=_firsts(crossed),
        part_of=part_of,
        first_core=_firsts(in_part),
        crossing=[0] * len(link_of),
        place=[0] * len(link_of),
        users=[0] * links,
        left=[0.0] * channels,
        rate=[0.0] * channels,
        tight_on=[-1] * channels,
        core=[0] * channels,
        core_place=[0] * channels,
        cores=[0] * parts,
        now=[0.0] * parts,
        level=[0.0] * links,
        served=[0.0] * links,
        since=[0.0] * links,
        horizon=[0.0] * links,
        ceiling=[0.0] * links,
        bound=[0.0] * links,
        changed=[0] * links,
        is_changed=[0] * links,
        touched=[0] * parts,
        is_touched=[0] * parts,
        started=[0] * channels,
        done=[0] * channels,
        room=[0.0] * links,
        growing=[0] * links,
        share=[0.0] * links,
        filling=[0] * links,
        due=[math.inf] * (2 * leaves),
        count=count,
        known={},
    )


def _firsts(lengths: Iterable[int]) -> list[int]:
    """Return where pieces of these *lengths* begin, one after another, and where the last ends."""
    return [0, *itertools.accumulate(lengths)]


def _parts(links: int, routes: Sequence[Sequence[int]]) -> list[int]:
    """Return the number of the part of each link: links on one route are of one part."""
    root = list(range(links))

    def find(link: int) -> int:
        while root[link] != link:
            root[link] = root[root[link]]
            link = root[link]
        return link

    for route in routes:
        for link in route[1:]:
            one, other = find(route[0]), find(link)
            root[max(one, other)] = min(one, other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(find(link), len(numbers)) for link in range(links)]


def arrays(s: Flows) -> Flows:
    """Return a copy of the state in NumPy arrays, as compiled functions take it."""
    import numpy as np

    copied = {
        name: np.array(one, np.int64 if name in _WHOLE else np.float64)
        for name, one in s._replace(known=[])._asdict().items()
    }
    return Flows(**copied)
