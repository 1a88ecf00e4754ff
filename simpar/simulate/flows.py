"""Max-min fair flows over links, as plain functions on flat arrays: the one solver of every engine.

The functions index lists or arrays and allocate nothing, so the same source runs as it stands on lists
and, compiled by :mod:`simpar.simulate.jit`, on NumPy arrays, with the same bits. An engine calls
:func:`start` for each head that begins to transmit, :func:`settle` once an instant after everything else
of it, and :func:`complete` at the time that the last :func:`settle` promised.
:func:`simpar.simulate.flow_state.network` makes the state.

Rates follow by progressive filling (Bertsekas and Gallager, *Data Networks*, section 6.5.2): all flows
grow together until a link is full; its flows keep what they have; the rest grow on. Up to ``DENSE``
channels that is all there is, over all flows, at every settling.

Larger networks find out where less will do. A *part* is what the routes of all channels join; a settling
touches only parts in which a flow has started or completed. A link is *tight* where none of its flows
crosses a link whose equal share, capacity over flows, is smaller: then all its flows have that share,
whatever the others do. They are kept in a heap by the bytes that the link will have served each of them by
when they end, and a start or an end among them costs O(log flows). Only the others, the *core* of a part,
are filled progressively, into the capacity that flows of tight links leave.

To see a link cease to be tight without looking at its flows, each tight link has a *ceiling* between its
own share and the shares of all links that its flows cross, and each link an upper bound of the ceilings of
those that cross it.

Rates are bytes per second, times seconds, sizes bytes.
"""

from __future__ import annotations

import math

from simpar.simulate.flow_state import (
    CHANGED,
    LEAVES,
    SPARSE,
    STARTED,
    TOUCHED,
    Flows,
    Ints,
    arrays,
    network,
)

__all__ = ["arrays", "bring", "complete", "end", "fill", "left_at", "network", "promise", "settle", "start"]

SNAP = 1e-12
"""Completions this close, relative to the time of the earliest, are one instant. Without it the last
digit of a sum would decide who is served first."""

TIGHT_FROM = 4
"""Flows from which a link can be tight; for fewer the heap does not pay."""

# -- what engines call ---------------------------------------------------------------------------------


def start(s: Flows, channel: int, n_bytes: float) -> None:
    """Let the head of *channel* transmit *n_bytes*, more than 0, from the coming settling on."""
    at = s.count[STARTED]
    s.started[at] = channel
    s.left[channel] = n_bytes
    s.count[STARTED] = at + 1


def settle(s: Flows, now: float) -> float:
    """Bring what has changed to *now*, share the links anew, and return the seconds to the next completion.

    Returns ``inf`` when nothing transmits. The next completion is at ``now + result`` as a float sum, unless
    this is called again before. It is never at *now* itself, where rounding would have it: that instant's
    grants have been made, and who is served first would depend on the last digit.
    """
    bring(s, now)
    for i in range(s.count[TOUCHED]):
        fill(s, s.touched[i])
    return promise(s, now)


def bring(s: Flows, now: float) -> None:
    """Bring what has changed to *now*, first third of :func:`settle`."""
    if s.count[SPARSE]:
        for i in range(s.count[STARTED]):
            _touch(s, s.part_of[s.link_of[s.first_hop[s.started[i]]]])
    else:
        s.touched[0] = 0
        s.count[TOUCHED] = 1
    for i in range(s.count[TOUCHED]):
        _advance(s, s.touched[i], now)
    for i in range(s.count[STARTED]):
        _enter(s, s.started[i], now)
    s.count[STARTED] = 0
    if s.count[SPARSE]:
        for i in range(s.count[CHANGED]):
            _review(s, s.changed[i], now)
        for i in range(s.count[CHANGED]):
            _tighten(s, s.changed[i], now)
        for i in range(s.count[CHANGED]):
            link = s.changed[i]
            s.is_changed[link] = 0
            if s.ceiling[link] > 0.0:
                _relevel(s, link, now)
        s.count[CHANGED] = 0


def promise(s: Flows, now: float) -> float:
    """Return the seconds to the next completion, last third of :func:`settle`."""
    wait = math.inf
    for i in range(s.count[TOUCHED]):
        part = s.touched[i]
        s.is_touched[part] = 0
        wait = _soonest(s, part)
        _set_due(s, part, now + wait)
    s.count[TOUCHED] = 0
    if s.count[SPARSE]:
        wait = s.due[1] - now
    if wait == math.inf:
        return wait
    if now + wait <= now:
        wait = math.nextafter(now, math.inf) - now
    s.due[0] = (now + wait) * (1 + SNAP)
    return wait


def complete(s: Flows) -> int:
    """End the flows that are due and return their number; ``done`` has their channels in ascending order.

    To be called at the time that the last :func:`settle` promised, and followed by another.
    """
    found = 0
    latest = s.due[0]
    parts = len(s.cores)
    while s.due[1] <= latest:
        node = 1
        while node < s.count[LEAVES]:
            node = 2 * node if s.due[2 * node] <= s.due[2 * node + 1] else 2 * node + 1
        leaf = node - s.count[LEAVES]
        if leaf < parts:
            found = _end_core(s, leaf, latest, found)
        else:
            found = _end_tight(s, leaf - parts, latest, found)
    _sort(s.done, found)
    return found


# -- what readers of a trace call --------------------------------------------------------------------------


def end(s: Flows, channel: int) -> None:
    """Take the flow of *channel* away, whatever it has left; a settling must follow."""
    _leave(s, channel)


def left_at(s: Flows, channel: int, time: float) -> float:
    """Return the bytes that the flow of *channel* has left at *time*, not before the last settling."""
    tight = s.tight_on[channel]
    if tight >= 0:
        left = s.left[channel] - (s.served[tight] + s.level[tight] * (time - s.since[tight]))
    else:
        part = s.part_of[s.link_of[s.first_hop[channel]]]
        left = s.left[channel] - s.rate[channel] * (time - s.now[part])
    return left if left > 0.0 else 0.0


# -- flows come and go ---------------------------------------------------------------------------------


def _touch(s: Flows, part: int) -> None:
    """Note that *part* is to be settled."""
    if not s.is_touched[part]:
        s.is_touched[part] = 1
        s.touched[s.count[TOUCHED]] = part
        s.count[TOUCHED] += 1


def _change(s: Flows, link: int) -> None:
    """Note that the users of *link* have changed."""
    if not s.is_changed[link]:
        s.is_changed[link] = 1
        s.changed[s.count[CHANGED]] = link
        s.count[CHANGED] += 1
        _touch(s, s.part_of[link])


def _advance(s: Flows, part: int, now: float) -> None:
    """Bring the core of *part* to *now*."""
    elapsed = now - s.now[part]
    s.now[part] = now
    if elapsed > 0.0:
        core, left, rate = s.core, s.left, s.rate
        first = s.first_core[part]
        for at in range(first, first + s.cores[part]):
            channel = core[at]
            rest = left[channel] - rate[channel] * elapsed
            left[channel] = rest if rest > 0.0 else 0.0


def _enter(s: Flows, channel: int, now: float) -> None:
    """Add a flow: to the tight link that it crosses, or to the core."""
    link_of, users = s.link_of, s.users
    first, end = s.first_hop[channel], s.first_hop[channel + 1]
    tight = -1
    if s.count[SPARSE]:
        tight = _tight_link(s, channel, now)
    if tight >= 0:
        _serve(s, tight, now)
        s.left[channel] += s.served[tight]
        s.tight_on[channel] = tight
        s.rate[channel] = 0.0
    else:
        _enter_core(s, channel)
    for hop in range(first, end):
        link = link_of[hop]
        at = s.first_place[link] + users[link]
        users[link] += 1
        s.crossing[at] = hop
        s.place[hop] = at
        if s.count[SPARSE]:
            _change(s, link)
        if tight >= 0:
            if link == tight:
                _up(s, link, at)
            elif s.ceiling[tight] > s.bound[link]:
                s.bound[link] = s.ceiling[tight]


def _tight_link(s: Flows, channel: int, now: float) -> int:
    """Return the tight link on the route of *channel*, -1 for none; of several, none stays tight."""
    tight = -1
    crossed = 0
    for hop in range(s.first_hop[channel], s.first_hop[channel + 1]):
        if s.ceiling[s.link_of[hop]] > 0.0:
            tight = s.link_of[hop]
            crossed += 1
    if crossed > 1:
        tight = -1
        for hop in range(s.first_hop[channel], s.first_hop[channel + 1]):
            if s.ceiling[s.link_of[hop]] > 0.0:
                _loosen(s, s.link_of[hop], now)
    return tight


def _leave(s: Flows, channel: int) -> None:
    """Take a flow away."""
    users, crossing, place = s.users, s.crossing, s.place
    if s.tight_on[channel] < 0:
        _leave_core(s, channel)
    for hop in range(s.first_hop[channel], s.first_hop[channel + 1]):
        link = s.link_of[hop]
        users[link] -= 1
        at = place[hop]
        last = s.first_place[link] + users[link]
        moved = crossing[last]
        crossing[at] = moved
        place[moved] = at
        if s.count[SPARSE]:
            _change(s, link)
        if s.ceiling[link] > 0.0 and at < last:
            _up(s, link, at)
            _down(s, link, place[moved])
    s.tight_on[channel] = -1


def _enter_core(s: Flows, channel: int) -> None:
    """Add a flow to the core of its part."""
    part = s.part_of[s.link_of[s.first_hop[channel]]]
    at = s.first_core[part] + s.cores[part]
    s.cores[part] += 1
    s.core[at] = channel
    s.core_place[channel] = at
    s.rate[channel] = 0.0
    s.tight_on[channel] = -1


def _leave_core(s: Flows, channel: int) -> None:
    """Take a flow out of the core of its part."""
    part = s.part_of[s.link_of[s.first_hop[channel]]]
    s.cores[part] -= 1
    at = s.core_place[channel]
    moved = s.core[s.first_core[part] + s.cores[part]]
    s.core[at] = moved
    s.core_place[moved] = at


def _end_core(s: Flows, part: int, latest: float, found: int) -> int:
    """End what is due in the core of *part*; return the number of those that have ended."""
    first, now = s.first_core[part], s.now[part]
    for at in range(first + s.cores[part] - 1, first - 1, -1):
        channel = s.core[at]
        if now + s.left[channel] / s.rate[channel] <= latest:
            s.done[found] = channel
            found += 1
            _leave(s, channel)
    _set_due(s, part, math.inf)  # until the settling that follows
    return found


def _end_tight(s: Flows, link: int, latest: float, found: int) -> int:
    """End what is due on a tight link; return the number of those that have ended."""
    while s.users[link] and _next_end(s, link) <= latest:
        channel = s.channel_of[s.crossing[s.first_place[link]]]
        s.done[found] = channel
        found += 1
        _leave(s, channel)
    _set_due(s, len(s.cores) + link, math.inf)
    return found


# -- the core ------------------------------------------------------------------------------------------


def fill(s: Flows, part: int) -> None:
    """Give every flow in the core of *part* its max-min rate, second third of :func:`settle`."""
    core, rate, first_hop, link_of = s.core, s.rate, s.first_hop, s.link_of
    growing, filling = s.growing, s.filling
    first = s.first_core[part]
    n_filling = 0
    for at in range(first, first + s.cores[part]):
        channel = core[at]
        rate[channel] = -1.0
        for hop in range(first_hop[channel], first_hop[channel + 1]):
            link = link_of[hop]
            if not growing[link]:
                filling[n_filling] = link
                n_filling += 1
            growing[link] += 1
    for i in range(n_filling):
        _make_room(s, filling[i])
    while n_filling:
        n_filling = _fill_lowest(s, n_filling)


def _make_room(s: Flows, link: int) -> None:
    """Find what flows of tight links leave of *link*."""
    room = s.capacity[link]
    if s.growing[link] < s.users[link]:
        for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
            tight = s.tight_on[s.channel_of[s.crossing[at]]]
            if tight >= 0:
                room -= s.level[tight]
        if room < 0.0:
            room = 0.0
    s.room[link] = room
    s.share[link] = room / s.growing[link]


def _fill_lowest(s: Flows, n_filling: int) -> int:
    """Close the links that fill up first, and return how many links are left.

    Links that fill up together are closed together: one by one, rounding would tell them apart.
    """
    room, growing, share, filling, rate = s.room, s.growing, s.share, s.filling, s.rate
    first_hop, link_of, channel_of, crossing = s.first_hop, s.link_of, s.channel_of, s.crossing
    least = math.inf
    n_full = 0  # the links with the least share are moved to the front
    for i in range(n_filling):
        link = filling[i]
        if share[link] <= least:
            if share[link] < least:
                least = share[link]
                n_full = 0
            filling[i] = filling[n_full]
            filling[n_full] = link
            n_full += 1
    for i in range(n_full):
        link = filling[i]
        if growing[link]:
            first = s.first_place[link]
            for at in range(first, first + s.users[link]):
                channel = channel_of[crossing[at]]
                if rate[channel] < 0.0:
                    rate[channel] = least
                    for hop in range(first_hop[channel], first_hop[channel + 1]):
                        crossed = link_of[hop]
                        left = room[crossed] - least
                        room[crossed] = left if left > 0.0 else 0.0
                        growing[crossed] -= 1
                        share[crossed] = -1.0
    n_left = 0
    for i in range(n_filling):
        link = filling[i]
        if growing[link]:
            if share[link] < 0.0:
                share[link] = room[link] / growing[link]
            filling[n_left] = link
            n_left += 1
    return n_left


def _soonest(s: Flows, part: int) -> float:
    """Return the seconds to the first end in the core of *part*."""
    core, left, rate = s.core, s.left, s.rate
    first = s.first_core[part]
    soonest = math.inf
    for at in range(first, first + s.cores[part]):
        wait = left[core[at]] / rate[core[at]]
        if wait < soonest:
            soonest = wait
    return soonest


# -- tight links ---------------------------------------------------------------------------------------


def _review(s: Flows, link: int, now: float) -> None:
    """See that *link*, whose users have changed, and those that share flows with it are tight rightly."""
    if not s.users[link]:
        if s.ceiling[link] > 0.0:
            s.ceiling[link] = 0.0
            _set_due(s, len(s.cores) + link, math.inf)
        s.bound[link] = 0.0
        return
    own = s.capacity[link] / s.users[link]
    if s.ceiling[link] > 0.0:
        if own > s.ceiling[link]:
            lowest = _lowest_share(s, link)
            if own <= lowest:
                _set_ceiling(s, link, own, lowest)
            else:
                _loosen(s, link, now)
    elif own < s.bound[link]:
        bound = 0.0
        for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
            tight = s.tight_on[s.channel_of[s.crossing[at]]]
            if tight >= 0:
                share = s.capacity[tight] / s.users[tight]
                if share > own:
                    _loosen(s, tight, now)
                else:
                    if s.ceiling[tight] > own:
                        s.ceiling[tight] = _between(share, own)
                    if s.ceiling[tight] > bound:
                        bound = s.ceiling[tight]
        s.bound[link] = bound


def _tighten(s: Flows, link: int, now: float) -> None:
    """Make *link* tight if no flow of it crosses a link with a smaller share."""
    n = s.users[link]
    if s.ceiling[link] > 0.0 or n < TIGHT_FROM:
        return
    own = s.capacity[link] / n
    lowest = _lowest_share(s, link)
    if own > lowest:
        return
    first = s.first_place[link]
    for at in range(first, first + n):
        if s.tight_on[s.channel_of[s.crossing[at]]] >= 0:
            return
    horizon = 0.0
    for at in range(first, first + n):
        channel = s.channel_of[s.crossing[at]]
        _leave_core(s, channel)
        s.tight_on[channel] = link
        s.rate[channel] = 0.0
        if s.left[channel] > horizon:
            horizon = s.left[channel]
    s.level[link], s.served[link], s.horizon[link], s.since[link] = 0.0, 0.0, horizon, now
    for at in range(first + n // 2 - 1, first - 1, -1):
        _down(s, link, at)
    _set_ceiling(s, link, own, lowest)


def _loosen(s: Flows, link: int, now: float) -> None:
    """Give the flows of a tight link back to the core."""
    _serve(s, link, now)
    s.ceiling[link] = 0.0
    _set_due(s, len(s.cores) + link, math.inf)
    for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
        channel = s.channel_of[s.crossing[at]]
        left = s.left[channel] - s.served[link]
        s.left[channel] = left if left > 0.0 else 0.0
        _enter_core(s, channel)


def _lowest_share(s: Flows, link: int) -> float:
    """Return the smallest share of the other links that the flows of *link* cross; 0 where one is tight."""
    own = s.capacity[link] / s.users[link]
    lowest = math.inf
    for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
        channel = s.channel_of[s.crossing[at]]
        for hop in range(s.first_hop[channel], s.first_hop[channel + 1]):
            other = s.link_of[hop]
            if other != link:
                share = s.capacity[other] / s.users[other]
                if share < lowest:
                    lowest = share
        if lowest < own:
            return lowest
    return lowest


def _set_ceiling(s: Flows, link: int, own: float, lowest: float) -> None:
    """Set the ceiling of a tight link, and the bounds of those that its flows cross."""
    ceiling = _between(own, lowest)
    s.ceiling[link] = ceiling
    for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
        channel = s.channel_of[s.crossing[at]]
        for hop in range(s.first_hop[channel], s.first_hop[channel + 1]):
            other = s.link_of[hop]
            if other != link and s.bound[other] < ceiling:
                s.bound[other] = ceiling


def _between(low: float, high: float) -> float:
    """Return the geometric mean: shares move by factors."""
    mean = math.sqrt(low * high)
    return low if mean < low else high if mean > high else mean


def _serve(s: Flows, link: int, now: float) -> None:
    """Bring a tight link to *now*.

    The count begins anew when all that were there at its last beginning have ended, so that it never grows
    beyond the largest message, and the bytes left keep their digits.
    """
    served = s.served[link] + s.level[link] * (now - s.since[link])
    s.since[link] = now
    if served > s.horizon[link]:
        horizon = 0.0
        for at in range(s.first_place[link], s.first_place[link] + s.users[link]):
            channel = s.channel_of[s.crossing[at]]
            left = s.left[channel] - served
            s.left[channel] = left if left > 0.0 else 0.0
            if left > horizon:
                horizon = left
        s.horizon[link] = horizon
        served = 0.0
    s.served[link] = served


def _relevel(s: Flows, link: int, now: float) -> None:
    """Share a tight link anew."""
    _serve(s, link, now)
    s.level[link] = s.capacity[link] / s.users[link]
    _set_due(s, len(s.cores) + link, _next_end(s, link))


def _next_end(s: Flows, link: int) -> float:
    """Return the time of the first end on a tight link."""
    first = s.channel_of[s.crossing[s.first_place[link]]]
    end: float = s.since[link] + (s.left[first] - s.served[link]) / s.level[link]
    return end


# -- heaps, trees, order -------------------------------------------------------------------------------


def _up(s: Flows, link: int, at: int) -> None:
    """Move the hop at place *at* of a tight link towards the top of its heap as far as it belongs."""
    first = s.first_place[link]
    hop = s.crossing[at]
    left = s.left[s.channel_of[hop]]
    while at > first:
        above = first + (at - first - 1) // 2
        other = s.crossing[above]
        if s.left[s.channel_of[other]] <= left:
            break
        s.crossing[at] = other
        s.place[other] = at
        at = above
    s.crossing[at] = hop
    s.place[hop] = at


def _down(s: Flows, link: int, at: int) -> None:
    """Move the hop at place *at* of a tight link away from the top of its heap as far as it belongs."""
    first = s.first_place[link]
    end = first + s.users[link]
    hop = s.crossing[at]
    left = s.left[s.channel_of[hop]]
    while True:
        below = first + 2 * (at - first) + 1
        if below >= end:
            break
        other = s.crossing[below]
        least = s.left[s.channel_of[other]]
        if below + 1 < end:
            right = s.crossing[below + 1]
            if s.left[s.channel_of[right]] < least:
                below += 1
                other = right
                least = s.left[s.channel_of[right]]
        if left <= least:
            break
        s.crossing[at] = other
        s.place[other] = at
        at = below
    s.crossing[at] = hop
    s.place[hop] = at


def _set_due(s: Flows, leaf: int, time: float) -> None:
    """Set the time of the next end of one core or tight link."""
    node = s.count[LEAVES] + leaf
    s.due[node] = time
    while node > 1:
        node //= 2
        least = s.due[2 * node]
        if s.due[2 * node + 1] < least:
            least = s.due[2 * node + 1]
        if s.due[node] == least:
            break
        s.due[node] = least


def _sort(values: Ints, n: int) -> None:
    """Sort the first *n* of *values*, by a heap with the greatest on top."""
    for i in range(n // 2 - 1, -1, -1):
        _sink(values, i, n)
    for end in range(n - 1, 0, -1):
        values[0], values[end] = values[end], values[0]
        _sink(values, 0, end)


def _sink(values: Ints, at: int, end: int) -> None:
    value = values[at]
    while True:
        below = 2 * at + 1
        if below >= end:
            break
        if below + 1 < end and values[below + 1] > values[below]:
            below += 1
        if values[below] <= value:
            break
        values[at] = values[below]
        at = below
    values[at] = value
