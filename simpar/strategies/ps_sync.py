"""Synchronous parameter servers: every worker waits for all, and nobody trains on old parameters.

A server adds up the gradients of *all* workers, updates its parameters once, and answers every
worker. All workers train on the same version; a step takes as long as its slowest worker.
Synchronisation is per key: each server, and with overlap each slice, has its own barrier.

With ``backup_workers: b``, a server updates at the first W - b pushes of a step, whoever sends them. A push
that comes later is received, added up where adding takes time, and dropped. Its worker has finished its
iteration by then and is answered at once, so it begins the next one late, but without waiting: it
catches up as soon as it is faster than the step. A worker that is slower in every step stays behind, and
all it computes is dropped. Samples of a step are those of W - b workers. With ``late: cancel`` those that are
late stop when the update begins, wherever they are: what they compute or read, and the push that they send,
is given up, and they are answered with the others. So all begin every iteration together, and what is slow
in one may be among the first in the next. That takes a single server and no overlap, so that what is late
for one update is late for all. The links' bytes are what was sent; the account of a step's traffic has what
workers set out to send.

With ``placement: replicated`` every server holds an identical copy of the whole model. A worker pushes to one
of them, its home; the servers sum up among themselves in a ring, make the same update each, and a worker
pulls from its home, or with ``pull_from: all`` one copy from each.

What is pushed is the *payload*: gradients; with ``payload: model`` the parameters after a step of the
worker's own, of which the server makes the mean; with ``payload: data`` the records, on which the server
computes itself, on a device like the workers' of speed 1. For plain SGD all three learn the same.

With ``push_every: t`` a step has t batches of every worker, whose gradients go out as one sum. With
``window: w`` a worker goes on while its pushes and pulls are on their way: it trains on parameters that are
w - 1 updates old, and communication hides behind compute.

``update`` says how parameters change: replicas that are drawn to their centre (``elastic``), noise, momentum,
symmetric gradients, decay of biases (dw = -elastic (w - centre) - lr mu + noise), all of which a replay
carries out; or workers one after another (``chain``), each from what the one before has left.

Formula: without overlap, Z + 2 (alpha + max(n / B_w, W n / (S B_s))) for W workers, S servers with
equal shards of n bytes, links of B_w and B_s bytes per second, latency alpha, compute Z; the servers' adds
and update come on top. With unequal shards the fullest server's load takes the place of n / S.
With K copies a server takes in (W / K) n of pushes and 2 (K - 1) / K n from another server, and a worker that
pulls from all K n. Records of r bytes weigh as much as gradients at a batch of n / r.
With backup workers and compute times that vary, Z ends with the (W - b)-th worker to be through, where
those that were late began late; with ``late: cancel`` Z is the (W - b)-th smallest of W compute times in
every step, of exponential ones (H_W - H_b) / mu on average.
Sources: Li et al., Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014;
Chen et al., Revisiting Distributed Synchronous SGD, arXiv 1604.00981, 2016, for backup workers.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.program import Op, Program
from simpar.scenario.options import PsSyncOptions
from simpar.strategies import chained, parameter_server, replicated_servers
from simpar.strategies.common import Setting
from simpar.strategies.parameter_server import Key, Servers


def least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least, counted without writing any down."""
    if _has_copies(setting):
        return replicated_servers.least_tasks(setting)
    return parameter_server.least_tasks(setting)


def _has_copies(setting: Setting) -> bool:
    """Say whether every server holds the whole model."""
    options = setting.strategy.options
    assert isinstance(options, PsSyncOptions)
    return options.placement == "replicated" or options.payload == "data"


def build(setting: Setting) -> Program:
    """Return the program of synchronous training with parameter servers."""
    given = getattr(setting.strategy.options, "update", None)
    if given is not None and given.chain:
        return chained.build(setting)
    if _has_copies(setting):
        return replicated_servers.build(setting)
    servers = Servers(setting)
    options = setting.strategy.options
    assert isinstance(options, PsSyncOptions)
    backups, cancels = options.backup_workers, options.late == "cancel" and options.backup_workers > 0
    if cancels:
        _check_cancel(setting, sum(map(len, servers.keys)))
    awaited = len(servers.pushers) - backups
    updates: list[int] = []

    def apply(key: Key, pushes: Sequence[int], turn: int) -> Sequence[int]:
        added = servers.added(key, pushes)
        if backups:
            op = Op("gather", server=key.server, key=key.index)
            name = f"ps{key.server}.enough{key.end}"
            added = [servers.star.builder.join(name, added, awaited, op, cancels=cancels)]
        done = servers.serve("apply", key, servers.update_s(key), added)
        updates.append(done)
        if not backups or cancels:
            return [done] * len(pushes)
        # A worker that is late asks for the parameters when it has pushed, not before.
        return [
            servers.reply(key, worker, [done, push])
            for worker, push in zip(servers.pushers, pushes, strict=True)
        ]

    servers.lay(apply)
    if not backups:
        return servers.program("sync", updates)
    samples = awaited * servers.share * options.push_every * setting.workload.batch
    facts = {"late": "cancel"} if cancels else {}
    return servers.program("sync", updates, awaited, samples=samples, backup_workers=backups, **facts)


def _check_cancel(setting: Setting, keys: int) -> None:
    """Refuse ``late: cancel`` where there is no one moment from which on a worker is late."""
    options = setting.strategy.options
    assert isinstance(options, PsSyncOptions)
    if options.overlap:
        said = "with overlap a push that is late for one slice is in time for another"
        raise setting.refuse("late", said, "write finish, or overlap: false")
    if keys > 1:
        said = f"a push that is late for one of {keys} servers is in time for another"
        raise setting.refuse("late", said, "write finish, or servers: 1")
    if options.window > 1:
        said = "a worker with a window is in later iterations already when its push turns out to be late"
        raise setting.refuse("late", said, "write finish, or window: 1")
