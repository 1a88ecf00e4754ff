"""Workers one after another: each starts from the parameters that the one before it has left.

The reading of "the parameters of the device before" by which an update of device j begins with what device
j - 1 has made of the parameters: a step is a chain, no two workers ever compute at once, and W workers of
batch b do what one device does in W steps (incremental gradient). Every worker pulls, computes and pushes,
and each server updates with that one push.

Formula: W (Z + 2 (alpha + n / min(B_w, S B_s))) a step.
Source: Bertsekas, Incremental Gradient, Subgradient and Proximal Methods for Convex Optimization, 2010.
"""

from __future__ import annotations

from simpar.program import Op, Program
from simpar.strategies import data
from simpar.strategies.common import Setting, pass_times
from simpar.strategies.parameter_server import Servers


def build(setting: Setting) -> Program:
    """Return the program of a chain of workers."""
    servers = Servers(setting)
    star, keys, builder = servers.star, servers.keys[0], servers.star.builder
    layers = (0, len(setting.workload.layers))
    before: dict[int, int] = {}
    pulls: list[list[int]] = []
    for worker in range(servers.workers):
        feed = data.Feed(star, worker, setting.samples(worker))
        got = [
            star.pull(worker, key.server, key.bytes, [before[key.server]] if before else []) for key in keys
        ]
        pulls.append([first for first, _ in got])
        forward_s, backward_s = pass_times(setting, worker, setting.samples(worker), layers)
        forward = builder.task(
            f"w{worker}.forward",
            Op("forward", worker=worker, layers=layers),
            star.device(worker),
            forward_s,
            [*(last for _, last in got), *feed.arrived],
        )
        data.reuse(star, [feed], [forward])
        backward = builder.task(
            f"w{worker}.backward",
            Op("backward", worker=worker, layers=layers),
            star.device(worker),
            backward_s,
            [forward],
        )
        for key in keys:
            push = star.push(worker, key.server, key.bytes, [backward])[1]
            seconds = servers.add_and_update_s(key)
            before[key.server] = servers.serve("apply", key, seconds, [push], worker)
        servers.last.append(backward)
    for key, first in zip(keys, pulls[0], strict=True):
        builder.edge(before[key.server], first, distance=1)
    return servers.program("sync", list(before.values()))
