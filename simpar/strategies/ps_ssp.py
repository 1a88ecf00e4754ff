"""Bounded staleness: every worker goes its own pace, but none far ahead of the slowest.

A server applies each push on its own, as asynchronous ones do. The reply that ends a worker's iteration t
waits until every worker's push of iteration t - s has been applied; so a worker that starts an iteration has
seen all updates of s + 1 iterations before, and nobody is more than s + 1 ahead. With s = 0 all wait for
all in every iteration; with a large s nobody ever waits.

What waits is the reply, not the compute: a worker held back before its compute could start on parameters
that it had read before the updates it was waiting for.

Formula: with constant times, as fast as the slowest worker alone, whatever s is; s pays where times vary.
Source: Ho et al., More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server, NIPS 2013.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.program import Op, Program
from simpar.scenario.options import SspOptions
from simpar.strategies.common import Setting
from simpar.strategies.parameter_server import Key, Servers
from simpar.strategies.ps_async import at_own_pace, iterations


def build(setting: Setting) -> Program:
    """Return the program of training with bounded staleness."""
    options, run = setting.strategy.options, setting.scenario.run
    assert isinstance(options, SspOptions)
    bound = options.staleness
    if options.window > 1:
        said = "the replies are what holds a worker back, and a window lets it go on without them"
        raise setting.refuse("window", said, f"write 1, or staleness: {bound + options.window - 1}")

    def released(servers: Servers, key: Key, applies: Sequence[int]) -> Sequence[int]:
        builder = servers.star.builder
        op = Op("gather", server=key.server, key=key.index)
        gate = builder.gather(f"ps{key.server}.gate{key.end}", [], op)
        for apply in applies:
            builder.edge(apply, gate, distance=bound)
        return [
            servers.reply(key, worker, [apply, gate])
            for worker, apply in zip(servers.pushers, applies, strict=True)
        ]

    # Nobody gets further ahead than the bound, so the fastest need not run for as long as if it were free.
    rounds = min(iterations(setting), run.warmup + 2 + run.steps + bound)
    return at_own_pace(setting, rounds, released, staleness=bound)
