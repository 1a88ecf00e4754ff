"""Synchronous parameter servers: every worker waits for all, and nobody trains on old parameters.

A server adds up the gradients of *all* workers, updates its parameters once, and answers every
worker. All workers train on the same version; a step takes as long as its slowest worker.
Synchronisation is per key: each server, and with overlap each slice, has its own barrier.

Formula: without overlap, Z + 2 (alpha + max(n / B_w, W n / (S B_s))) for W workers, S servers with
equal shards of n bytes, links of B_w and B_s bytes per second, latency alpha, compute Z; the servers' adds
and update come on top. With unequal shards the fullest server's load takes the place of n / S.
Source: Li et al., Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.program import Op, Program
from simpar.strategies.common import Setting
from simpar.strategies.parameter_server import Key, Servers


def build(setting: Setting) -> Program:
    """Return the program of synchronous training with parameter servers."""
    servers = Servers(setting)
    builder = servers.star.builder
    updates: list[int] = []

    def apply(key: Key, pushes: Sequence[int]) -> Sequence[int]:
        name = f"ps{key.server}.{{}}" + (f".{key.index}" if key.index >= 0 else "")
        cpu = servers.star.server_cpu(key.server)
        added = pushes
        if servers.add_s(key):
            added = [
                builder.task(
                    name.format(f"add.w{worker}"),
                    Op("add", worker=worker, server=key.server, key=key.index),
                    cpu,
                    servers.add_s(key),
                    [push],
                )
                for worker, push in zip(servers.pushers, pushes, strict=True)
            ]
        done = builder.task(
            name.format("apply"),
            Op("apply", server=key.server, key=key.index),
            cpu,
            servers.update_s(key),
            added,
        )
        updates.append(done)
        return [done] * len(pushes)

    servers.lay(apply)
    return servers.program("sync", updates)
