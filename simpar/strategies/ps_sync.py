"""Synchronous parameter servers (Li et al., OSDI 2014; MXNet ``dist_sync``).

A server adds up the gradients of *all* workers, updates its parameters once, and answers every
worker. All workers train on the same version; a step takes as long as its slowest worker.
Synchronisation is per key: each server, and with overlap each slice, has its own barrier.
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
                for worker, push in enumerate(pushes)
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
