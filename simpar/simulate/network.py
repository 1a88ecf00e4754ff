"""Fair sharing of links for engines in Python: the heads of channels transmit as one max-min fair fluid.

A thin class over :mod:`simpar.simulate.flows`, which says how flows share links, for every engine, so that
their traces agree. Rates change only in :meth:`FairNetwork.settle`, which an engine calls once an instant,
after everything else of that instant, wherever a flow has started or completed.

Rates are bytes per second, times seconds, sizes bytes. Not modelled: the ramp-up of a transport,
loss, the switch's buffers.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.simulate import flows
from simpar.simulate.flow_state import SPARSE, STARTED, Flows
from simpar.simulate.jit import can_compile, compiled_flows

COMPILED_FROM = 2048
"""Channels from which the compiled twin pays for the time that it takes to load."""

REMEMBERED = 4096
"""Sets of active channels whose rates are kept."""


def max_min_rates(routes: Sequence[Sequence[int]], capacity: Sequence[float]) -> list[float]:
    """Return the max-min fair rate of each flow.

    Args:
        routes: the links that each flow crosses, as indices into *capacity*; at least one each.
        capacity: bytes per second of each link.

    >>> max_min_rates([(0,), (0, 1), (1,)], [1.0, 3.0])
    [0.5, 0.5, 2.5]
    """
    state = flows.network(capacity, routes, dense=len(routes))
    for channel in range(len(routes)):
        flows.start(state, channel, 1.0)
    flows.settle(state, 0.0)
    rates: list[float] = state.rate
    return rates


def settle(s: Flows, now: float) -> float:
    """Do what :func:`simpar.simulate.flows.settle` does, for a state in lists, remembering rates.

    A periodic program meets the same sets of active channels again and again.
    """
    if s.count[SPARSE]:
        return flows.settle(s, now)
    flows.bring(s, now)
    active = tuple(sorted(s.core[: s.cores[0]]))
    rates = s.known.get(active)
    if rates is None:
        flows.fill(s, 0)
        if len(s.known) >= REMEMBERED:
            s.known.clear()
        s.known[active] = [s.rate[channel] for channel in active]
    else:
        for channel, rate in zip(active, rates, strict=True):
            s.rate[channel] = rate
    return flows.promise(s, now)


class FairNetwork:
    """The flows at the heads of channels, how much each has left, and when the next one completes."""

    def __init__(
        self, capacity: Sequence[float], routes: Sequence[Sequence[int]], jit: bool | None = None
    ) -> None:
        """Take the links' bytes per second and, by channel, the links that it crosses.

        *jit* says whether compiled functions are called; by default large networks do, where there is a
        compiler. The results are the same to the last bit.

        Raises:
            ImportError: *jit* is true and numba is not installed.
        """
        functions = {}
        if jit or (jit is None and sum(1 for route in routes if route) >= COMPILED_FROM and can_compile()):
            try:
                functions = compiled_flows()
            except Exception:  # numba is there, but too old for this Python or this NumPy
                if jit:
                    raise
        self._state = flows.network(capacity, routes)
        self._start, self._settle, self._complete = flows.start, settle, flows.complete
        if functions:
            self._state = flows.arrays(self._state)
            self._start, self._settle, self._complete = (
                functions[n] for n in ("start", "settle", "complete")
            )

    def start(self, channel: int, n_bytes: float) -> None:
        """Let the head of *channel* transmit *n_bytes*, more than 0, from this instant on."""
        self._start(self._state, channel, n_bytes)

    def stop(self, channel: int, now: float) -> float:
        """Take the flow of *channel* away and return the bytes that it had left; a settling must follow."""
        state = self._state
        waiting = [int(one) for one in state.started[: state.count[STARTED]]]
        if channel in waiting:  # it has started in this instant, and nothing of it is sent
            waiting.remove(channel)
            state.started[: len(waiting)] = waiting
            state.count[STARTED] = len(waiting)
            return float(state.left[channel])
        left = float(flows.left_at(state, channel, now))
        flows.end(state, channel)
        return left

    def settle(self, now: float) -> float:
        """Bring every flow to *now*, share the links anew, and return the seconds to the next completion.

        Returns ``inf`` when nothing transmits. The next completion is at ``now + result`` as a float
        sum, unless this is called again before. It is never at *now* itself, where rounding would have it:
        that instant's grants have been made, and who is served first would depend on the last digit.
        """
        wait: float = self._settle(self._state, float(now))  # 0 is an int to begin with
        return wait

    def complete(self) -> list[int]:
        """End the flows that are due, and return their channels in ascending order.

        To be called at the time that the last :meth:`settle` promised, and followed by another.
        """
        n = self._complete(self._state)
        return [int(channel) for channel in self._state.done[:n]]
