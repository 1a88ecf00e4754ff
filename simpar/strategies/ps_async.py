"""Asynchronous parameter servers: every worker goes its own pace, on parameters that may be old.

A server applies each push on its own, as it comes, and answers that worker at once. Nobody waits
for anybody, except for a link or a server in use. The price is *staleness*: between a worker's pull and
its next push, the others update. On average it is W - 1, whatever the speeds.

Equal workers that start together stay together; ``run.stagger: even`` lets worker w begin at w/W of
the cycle that it would have alone. With ``local_merge`` a machine goes its own pace as one worker does, that
of its slowest device, and staleness is the number of machines - 1.

Formula: while no link or server is full, Z + 2 (alpha + n / B_w) a step, as if alone; never below
W n / (S B_s). Staleness is W - 1 on average, 1/f - 1 for a worker with the share f of all updates.
Source: Dean et al., Large Scale Distributed Deep Networks (Downpour SGD), NIPS 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from simpar.program import Op, Program
from simpar.strategies.common import Setting
from simpar.strategies.parameter_server import Key, Servers

Release = Callable[[Servers, Key, Sequence[int]], Sequence[int]]


def build(setting: Setting) -> Program:
    """Return the program of asynchronous training with parameter servers."""
    return at_own_pace(setting, iterations(setting), released=lambda servers, key, applies: applies)


def at_own_pace(setting: Setting, rounds: int, released: Release, **facts: Any) -> Program:
    """Return a program in which a server applies each push on its own, as it comes.

    Args:
        rounds: iterations of every worker.
        facts: what else reports must know.
        released: given the servers, a key and its applies by pusher, returns what the replies wait for.
    """
    servers = Servers(setting, rounds)
    builder = servers.star.builder
    pushers = servers.pushers
    starts: list[tuple[int, int, float]] = []
    if setting.scenario.run.stagger == "even":
        for place, worker in enumerate(pushers[1:], start=1):
            start = builder.gather(f"w{worker}.start", [], Op("start", worker=worker))
            builder.edge(start, start, distance=1)
            starts.append((start, worker, servers.cycle_s(worker) * place / len(pushers)))
    applies: list[int] = []

    def apply(key: Key, pushes: Sequence[int]) -> Sequence[int]:
        cpu = servers.star.server_cpu(key.server)
        done = [
            builder.task(
                f"ps{key.server}.apply.w{worker}" + (f".{key.index}" if key.index >= 0 else ""),
                Op("apply", worker=worker, server=key.server, key=key.index),
                cpu,
                servers.add_s(key) + servers.update_s(key),
                [push],
            )
            for worker, push in zip(pushers, pushes, strict=True)
        ]
        applies.extend(done)
        return released(servers, key, done)

    servers.lay(apply)
    for start, worker, wait in starts:
        for other in range(worker, worker + servers.share):
            builder.edge(start, servers.first[other], lag=wait)
    return servers.program("async", applies, stagger=setting.scenario.run.stagger, **facts)


def iterations(setting: Setting) -> int:
    """Return how often each worker goes round, so that the fastest still runs when the slowest is warm.

    Figures are taken from the last worker's apply of iteration ``warmup`` to the first worker's last: one
    that is twice as fast as the slowest has done twice the warm-up by then.
    """
    run, speeds = setting.scenario.run, paces(setting)
    # One round more than the warm-up and the step after it, for a start that is put off by a whole cycle; and
    # as many steps of the slowest as were asked for.
    rounds = run.warmup + 1 + run.steps
    colocated = getattr(setting.strategy.options, "colocate", False)
    uneven = Servers(setting, 1).longest_over_shortest() if colocated else 1.0
    return math.ceil((rounds + 1) * max(speeds) / min(speeds) * uneven) - 1


def paces(setting: Setting) -> list[float]:
    """Return the speed of all that go their own pace: of a worker, or of a machine that merges first."""
    options, speeds = setting.strategy.options, setting.cluster.speeds
    share = setting.cluster.devices_per_node if getattr(options, "local_merge", False) else 1
    return [min(speeds[first : first + share]) for first in range(0, len(speeds), share)]
