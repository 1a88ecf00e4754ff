"""Asynchronous parameter servers: every worker goes its own pace, on parameters that may be old.

A server applies each push on its own, as it comes, and answers that worker at once. Nobody waits
for anybody, except for a link or a server in use. The price is *staleness*: between a worker's pull and
its next push, the others update. On average it is W - 1, whatever the speeds.

With a ``trigger``, a server adds up pushes first, updates once for all of them, and then answers those
whose pushes were in it: at every c-th push (``count``), as soon as it is free (``drain``), or a while
after the first (``timeout``). With ``softsync: n`` it updates at every c-th push too, c = floor(W / n), but
answers the others at once, with the parameters as they are: only whoever sends the c-th waits.
Each server, and with overlap each slice, gathers on its own. Several that count may each hold what another
one waits for: nobody moves then, and they update with what they have.

With ``push_every: t`` a worker pushes the sum of t batches at once (and pulls as often). With ``window: w``
it computes on while up to w of its pushes are without a reply, on the parameters that the last but w
brought: its own updates count as missed, too, and staleness is w W - 1.

With ``pull_every: n`` it pulls at every n-th push only (n_fetch of Downpour SGD). In between it waits for
nobody, and goes on with its own copy of the parameters, which it updates with its own gradients as the
server does. An iteration, and a step, are n pushes then. The j-th push after a pull has missed j times as
many updates as every push else, so that staleness, in which a worker's own updates count, is
W (n + 1) / 2 - 1 on average where communication takes little time; of the n-th it is n W - 1 in any case.

Equal workers that start together stay together; ``run.stagger: even`` lets worker w begin at w/W of
the cycle that it would have alone. With ``local_merge`` a machine goes its own pace as one worker does, that
of its slowest device, and staleness is the number of machines - 1.

Formula: while no link or server is full, Z + 2 (alpha + n / B_w) a step, as if alone; never below
W n / (S B_s). Staleness is W - 1 on average, 1/f - 1 for a worker with the share f of all updates; with
c pushes an update it is W / c - 1 where all of them wait for it, and (W - 1) / c with softsync.
Sources: Dean et al., Large Scale Distributed Deep Networks (Downpour SGD), NIPS 2012; Zhang et al.,
Staleness-aware Async-SGD for Distributed Deep Learning, arXiv 1511.05950, 2016, for softsync.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from simpar.program import Op, Program
from simpar.scenario.options import PsAsyncOptions
from simpar.strategies.common import Setting
from simpar.strategies.parameter_server import Key, Servers

Release = Callable[[Servers, Key, Sequence[int]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a server updates: the arguments of :meth:`simpar.program.ProgramBuilder.batch`."""

    mode: str
    count: int = 1
    timeout_s: float = 0.0
    at_once: bool = False


def build(setting: Setting) -> Program:
    """Return the program of asynchronous training with parameter servers."""
    trigger = trigger_of(setting)
    _check_pulls(setting)
    if trigger is None:
        return at_own_pace(setting, iterations(setting), released=lambda servers, key, applies: applies)
    # Who waits for a batch to fill waits until all others have been round at most: twice its own time.
    waits = trigger.mode != "drain" and not trigger.at_once
    servers, starts = _begun(setting, iterations(setting, 2.0 if waits else 1.0))
    updates: list[int] = []

    def apply(key: Key, pushes: Sequence[int], turn: int) -> Sequence[int]:
        update, replies = _gathered(servers, key, pushes, trigger)
        updates.append(update)
        return replies

    servers.lay(apply)
    return _ended(servers, starts, updates, trigger=asdict(trigger))


def _check_pulls(setting: Setting) -> None:
    """Refuse ``pull_every`` with options that give every push a reply, or several devices one."""
    options = setting.strategy.options
    assert isinstance(options, PsAsyncOptions)
    if options.pull_every == 1:
        return
    if options.window > 1:
        said = "a window lets a worker go on without the replies that pull_every has it wait for"
        raise setting.refuse("pull_every", said, "write 1, or window: 1")
    for option in ("trigger", "softsync"):
        if getattr(options, option) is not None:
            said = (
                f"with {option} every push is answered, and a worker that needs no answer would wait for it"
            )
            raise setting.refuse("pull_every", said, f"write 1, or remove '{option}'")
    if options.local_merge:
        said = "devices that merge first share what one of them pulls, and have no copies of their own"
        raise setting.refuse("pull_every", said, "write 1, or local_merge: false")


def trigger_of(setting: Setting) -> Trigger | None:
    """Return when a server updates; None where that is at every push."""
    options = setting.strategy.options
    assert isinstance(options, PsAsyncOptions)
    workers = setting.cluster.workers // (setting.cluster.devices_per_node if options.local_merge else 1)
    server = setting.cluster.server
    asked, trigger = options.trigger, None
    if options.softsync is not None:
        trigger = Trigger("count", workers // options.softsync, at_once=True)
    elif asked is not None and asked.timeout is not None:
        trigger = Trigger("timeout", workers if asked.count is None else asked.count, asked.timeout)
    elif asked is not None and asked.count is not None:
        trigger = Trigger("count", asked.count)
    elif asked is not None and (server.update_bytes_per_s or server.overhead_s):
        return Trigger("drain")  # nothing ever waits for a server that updates in no time
    return trigger if trigger is not None and trigger.count > 1 else None


def _gathered(
    servers: Servers, key: Key, pushes: Sequence[int], trigger: Trigger
) -> tuple[int, Sequence[int]]:
    """Add what a server does with the pushes of *key*; return its update, and each worker's reply."""
    builder, added = servers.star.builder, servers.added(key, pushes)
    name, window = f"ps{key.server}.batch{key.end}", servers.options.window
    batch = builder.batch(name, added, window=window, **asdict(trigger))
    update = servers.serve("apply", key, servers.update_s(key), [])
    replies = [servers.reply(key, worker, []) for worker in servers.pushers]
    builder.answer(batch, update, dict(zip(added, replies, strict=True)))
    return update, replies


def at_own_pace(setting: Setting, rounds: int, released: Release, **facts: Any) -> Program:
    """Return a program in which a server applies each push on its own, as it comes.

    Args:
        rounds: iterations of every worker.
        facts: what else reports must know.
        released: given the servers, a key and its applies by pusher, returns what the replies wait for.
    """
    servers, starts = _begun(setting, rounds)
    applies: list[int] = []

    def apply(key: Key, pushes: Sequence[int], turn: int) -> Sequence[int]:
        seconds = servers.add_and_update_s(key)
        done = [
            servers.serve("apply", key, seconds, [push], worker, turn)
            for worker, push in zip(servers.pushers, pushes, strict=True)
        ]
        applies.extend(done)
        return released(servers, key, done) if turn < 0 else done

    servers.lay(apply)
    return _ended(servers, starts, applies, **facts)


def _begun(setting: Setting, rounds: int) -> tuple[Servers, list[tuple[int, int, float]]]:
    """Return a program begun, and for each pusher but the first: the task that starts it, who, how late."""
    servers = Servers(setting, rounds)
    builder, pushers = servers.star.builder, servers.pushers
    starts: list[tuple[int, int, float]] = []
    if setting.scenario.run.stagger == "even":
        for place, worker in enumerate(pushers[1:], start=1):
            start = builder.gather(f"w{worker}.start", [], Op("start", worker=worker))
            builder.edge(start, start, distance=1)
            starts.append((start, worker, servers.cycles.alone_s(worker) * place / len(pushers)))
    return servers, starts


def _ended(
    servers: Servers, starts: list[tuple[int, int, float]], updates: Sequence[int], **facts: Any
) -> Program:
    """Return the program, with every worker begun at its time."""
    for start, worker, wait in starts:
        for other in range(worker, worker + servers.share):
            servers.star.builder.edge(start, servers.begin[other], lag=wait)
    return servers.program("async", updates, stagger=servers.setting.scenario.run.stagger, **facts)


def iterations(setting: Setting, slowed: float = 1.0) -> int:
    """Return how often each worker goes round, so that the fastest still runs when the slowest is warm.

    Figures are taken from the last worker's apply of iteration ``warmup`` to the first worker's last: one
    that is twice as fast as the slowest has done twice the warm-up by then.

    Args:
        setting: what is compiled.
        slowed: how many times as long as by its speed a worker may take.
    """
    run, speeds = setting.scenario.run, paces(setting)
    # One round more than the warm-up and the step after it, for a start that is put off by a whole cycle; and
    # as many steps of the slowest as were asked for.
    rounds = run.warmup + 1 + run.steps
    colocated = getattr(setting.strategy.options, "colocate", False)
    uneven = Servers(setting, 1).cycles.longest_over_shortest() if colocated else 1.0
    uneven *= slowed
    return math.ceil((rounds + 1) * max(speeds) / min(speeds) * uneven) - 1


def paces(setting: Setting) -> list[float]:
    """Return the speed of all that go their own pace: of a worker, or of a machine that merges first."""
    options, speeds = setting.strategy.options, setting.cluster.speeds
    share = setting.cluster.devices_per_node if getattr(options, "local_merge", False) else 1
    return [min(speeds[first : first + share]) for first in range(0, len(speeds), share)]
