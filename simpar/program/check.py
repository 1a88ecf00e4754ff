"""The rules that a program must keep before anyone runs it.

Each rule names the tasks that break it. They are what makes every engine give the same trace:
without them the order in which an engine happens to look at things would show.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simpar.errors import Problem
from simpar.program.check_dispatch import check_dispatches
from simpar.program.check_nodes import Say, check_nodes
from simpar.program.check_rings import check_rings
from simpar.program.graph import (
    NODE_BATCH,
    NODE_DISPATCH,
    NODE_JOIN,
    NODE_RING,
    NODE_TASK,
    SHORTEST_S,
    Program,
)

NODES = (NODE_TASK, NODE_JOIN, NODE_BATCH, NODE_RING, NODE_DISPATCH)
"""Kinds of nodes."""

MOST_NAMED = 8
"""Tasks named in one problem; a cycle of thousands is not more helpful than its beginning."""


def check(program: Program) -> list[Problem]:
    """Return what is wrong with *program*; see :meth:`simpar.program.Program.check`."""
    found: list[Problem] = []

    def say(path: str, message: str, fix: str = "") -> None:
        found.append(Problem(program.name, 0, 0, path, message, fix))

    tasks, edges = len(program.tasks), len(program.source)
    if program.iterations < 1:
        say("iterations", f"{program.iterations} iterations", "at least 1")
    by_task = ("resource", "seconds", "bytes", "overhead", "latency", "message", "priority", "node")
    for name in by_task:
        if len(getattr(program, name)) != tasks:
            say(name, f"{len(getattr(program, name))} rows for {tasks} tasks")
    if len(program.ops) != tasks:
        say("ops", f"{len(program.ops)} rows for {tasks} tasks")
    for name in ("target", "distance", "lag", "at_start"):
        if len(getattr(program, name)) != edges:
            say(name, f"{len(getattr(program, name))} rows for {edges} edges")
    if not found:
        _check_indices(program, say)
    if found:
        return found  # the columns do not line up, or name what is not there: nothing below would make sense

    check_dispatches(program, say)
    if found:
        return found  # how often a task runs may depend on tasks that do not exist
    _check_names(program, say)
    _check_numbers(program, say)
    if found:
        return found
    _check_resources(program, say)
    check_nodes(program, say)
    check_rings(program, say)
    if found and (program.joins or program.batches or program.rings):
        return found  # a batch or a ring may name tasks that do not exist
    if not found:
        _check_sums(program, say)
    _check_order(program, say)
    _check_messages(program, say)
    return found


def _check_names(program: Program, say: Say) -> None:
    if len(set(program.tasks)) < len(program.tasks):
        seen: set[str] = set()
        for name in program.tasks:
            if name in seen:
                say(name, "two tasks have this name")
            seen.add(name)
    names = Counter([resource.name for resource in program.resources])
    for name in sorted(name for name, count in names.items() if count > 1):
        say(name, "two resources have this name")


def _check_indices(program: Program, say: Say) -> None:
    on = program.resource
    for task in np.flatnonzero((on < -1) | (on >= len(program.resources)))[:MOST_NAMED]:
        say(program.tasks[task], f"there is no resource {on[task]}")
    for resource in program.resources:
        route = resource.route
        if route and not 0 <= min(route) <= max(route) < len(program.links):
            say(resource.name, "its route names a link that does not exist")
    ends = np.concatenate([program.source, program.target])
    if ((ends < 0) | (ends >= len(program.tasks))).any():
        say("edges", "an edge names a task that does not exist")


def _check_numbers(program: Program, say: Say) -> None:
    for column in ("seconds", "bytes", "overhead", "latency"):
        values = getattr(program, column)
        for task in np.flatnonzero(~(np.isfinite(values) & (values >= 0)))[:MOST_NAMED]:
            say(program.tasks[task], f"{column} is {values[task]}", "a finite number, not negative")
    for task, values in program.durations.items():
        if not 0 <= task < len(program.tasks):
            say(f"durations[{task}]", "there is no such task")
        elif len(values) < program.most_runs(task):
            runs = program.most_runs(task)
            what = "iterations" if runs == program.iterations else "updates that there may be"
            say(program.tasks[task], f"{len(values)} durations for {runs} {what}")
        elif not (np.isfinite(values) & (values >= SHORTEST_S)).all():
            say(program.tasks[task], "a duration is shorter than 1 ps, infinite or not a number")
    for edge in np.flatnonzero(~(np.isfinite(program.lag) & (program.lag >= 0)))[:MOST_NAMED]:
        say(_arrow(program, edge), f"lag is {program.lag[edge]}", "a finite number, not negative")
    for index, values in program.lags.items():
        if not 0 <= index < len(program.source):
            say(f"lags[{index}]", "there is no such edge")
        elif (
            len(values) < program.most_runs(int(program.target[index]))
            or not (np.isfinite(values) & (values >= 0)).all()
        ):
            say(_arrow(program, index), "its lags are too few, negative, infinite or not numbers")
    for task, values in program.stretch.items():
        if not 0 <= task < len(program.tasks):
            say(f"stretch[{task}]", "there is no such task")
        elif len(values) < program.most_runs(task) or not (np.isfinite(values) & (values > 0)).all():
            say(program.tasks[task], "its stretches are too few, not above 0, infinite or not numbers")
        elif not program.is_flow(task):
            say(program.tasks[task], "is stretched and no message on a channel", "durations by iteration")
    for edge in np.flatnonzero(program.distance < 0)[:MOST_NAMED]:
        say(_arrow(program, edge), f"distance is {program.distance[edge]}", "0 or more")
    for link in program.links:
        if not 0 < link.bytes_per_s < math.inf:
            say(link.name, f"rate is {link.bytes_per_s} bytes per second", "a finite number above 0")


def _check_resources(program: Program, say: Say) -> None:
    for resource in program.resources:
        if resource.capacity < 1:
            say(resource.name, f"capacity is {resource.capacity}", "1 or more")
        if resource.discipline not in ("fifo", "priority"):
            say(resource.name, f"unknown discipline {resource.discipline!r}", "fifo or priority")
        route = resource.route
        if len(set(route)) < len(route):
            say(resource.name, "its route crosses a link twice")
        if resource.kind == "channel" and (not route or resource.capacity != 1):
            say(resource.name, "a channel has a route of one link or more, and capacity 1")
    for task in _suspects(program).tolist():
        name, r = program.tasks[task], int(program.resource[task])
        if program.node[task] not in NODES:
            say(name, f"nodes of kind {program.node[task]} are not known")
        if r < 0:
            if program.seconds[task] > 0 or task in program.durations:
                say(name, "takes time but occupies nothing", "give it a resource, or let its edges lag")
        elif program.resources[r].kind == "channel":
            if program.seconds[task] > 0:
                say(name, "is a message on a channel and has a duration of its own", "0 seconds")
            if program.bytes[task] <= 0 and program.overhead[task] <= 0:
                say(name, "occupies a channel for no time", "no resource, and the latency as a lag")
        elif task not in program.durations and program.seconds[task] < SHORTEST_S:
            say(name, f"occupies {program.resources[r].name} for no time", "no resource, or 1 ps and more")


def _check_sums(program: Program, say: Say) -> None:
    """Say which task or edge could let the run's times, or its bytes, grow beyond what a float can hold.

    A run takes no longer than all that it does one after the other, all messages over the slowest link, whose
    rate all channels share.
    """
    steps = len(program) + program.folded + len(program.source)
    slowest = min((link.bytes_per_s for link in program.links), default=1.0)
    longest_s, lag_s = program.seconds + program.overhead + program.latency, program.lag.copy()
    for column, varying in ((longest_s, program.durations), (lag_s, program.lags)):
        for index, values in varying.items():
            column[index] = max(column[index], values.max())
    for ring in program.rings:
        longest_s[ring.exits[0]] += max(ring.summed_s) + max(ring.copied_s)
    for node, batch in program.batches.items():
        longest_s[node] += batch.timeout_s
    with np.errstate(over="ignore"):
        sent = program.sent_bytes.copy()
        for task, values in program.stretch.items():
            sent[task] *= max(1.0, values.max())
        longest_s += np.maximum(sent, sent * len(program.resources) / slowest)
        most = longest_s.max(initial=0.0) + lag_s.max(initial=0.0)
        whole = most * min(steps * program.iterations, 10**18)
    if np.isfinite(whole):
        return
    named = program.tasks[longest_s.argmax()]
    if lag_s.max(initial=0.0) > longest_s.max(initial=0.0):
        named = _arrow(program, int(lag_s.argmax()))
    say(named, "takes so long, or sends so much, that the times of the run could overflow", "far less")


def _suspects(program: Program) -> NDArray[np.int64]:
    """Return the tasks that break a rule of resources, ascending."""
    on, seconds = program.resource, program.seconds
    has_times = np.zeros(len(program), dtype=np.bool_)
    has_times[list(program.durations)] = True
    on_channel = _by_task(program, [resource.kind == "channel" for resource in program.resources])
    is_empty = (program.bytes <= 0) & (program.overhead <= 0)
    return np.flatnonzero(
        ~np.isin(program.node, NODES)
        | ((on < 0) & ((seconds > 0) | has_times))
        | (on_channel & ((seconds > 0) | is_empty))
        | ((on >= 0) & ~on_channel & ~has_times & (seconds < SHORTEST_S))
    )


def _by_task(program: Program, flags: Sequence[bool]) -> NDArray[np.bool_]:
    """Return by task the flag of its resource, False where it has none."""
    found: NDArray[np.bool_] = np.array([*flags, False])[program.resource]  # the last is of those at -1
    return found


def _check_order(program: Program, say: Say) -> None:
    least_lag = program.lag.copy()
    for edge, lags in program.lags.items():
        least_lag[edge] = lags.min()
    u, v, at_start = program.source, program.target, program.at_start
    now, without_lag = program.distance == 0, least_lag == 0
    # The token may leave at the instant at which u became ready.
    instant = at_start | (program.resource[u] < 0)
    by_priority = _by_task(program, [one.discipline == "priority" for one in program.resources])[u]
    falls = now & instant & without_lag & (u >= v)
    begins = ~now & at_start & without_lag
    leaves = at_start & without_lag & by_priority
    for edge in np.flatnonzero(falls | begins | leaves).tolist():
        if falls[edge]:
            say(
                _arrow(program, edge),
                "ranks fall along a path without delay",
                "add the tasks in the order of time",
            )
        if begins[edge]:
            say(
                _arrow(program, edge),
                "starts an iteration without any delay",
                "a lag above 0, or from the end",
            )
        if leaves[edge]:
            say(
                _arrow(program, edge),
                "leaves the start of a task on a priority resource without delay",
                "a lag above 0",
            )
    steps = [
        step
        for node, batch in program.batches.items()
        for step in [(node, batch.update), *((batch.update, reply) for reply in batch.replies if reply >= 0)]
    ]
    for before, after in steps:
        if before >= after:
            arrow = f"{program.tasks[before]} -> {program.tasks[after]}"
            say(arrow, "ranks fall from a batch to its update to its replies", "add them in this order")
    if (now & (u >= v)).any() or any(before >= after for before, after in steps):
        _check_cycles(program, steps, say)  # where all ranks rise, there is none


def _check_cycles(program: Program, steps: Sequence[tuple[int, int]], say: Say) -> None:
    """Name a cycle among tasks of one iteration, which *steps* of batches join besides edges."""
    following: dict[int, list[int]] = defaultdict(list)
    awaited = np.zeros(len(program.tasks), dtype=np.int64)
    now = program.distance == 0
    pairs = [*zip(program.source[now].tolist(), program.target[now].tolist(), strict=True), *steps]
    for ring in program.rings:
        # All lanes wait for all entries; one after the other says the same with fewer steps.
        pairs += [*((entry, ring.exits[0]) for entry in ring.entries), *pairwise(ring.exits)]
    for u, v in pairs:
        following[u].append(v)
        awaited[v] += 1
    ready = [task for task in range(len(program.tasks)) if awaited[task] == 0]
    done = 0
    while ready:
        task = ready.pop()
        done += 1
        for after in following[task]:
            awaited[after] -= 1
            if awaited[after] == 0:
                ready.append(after)
    if done < len(program.tasks):
        stuck = [int(task) for task in np.flatnonzero(awaited > 0)]
        say(_cycle(program, following, set(stuck)), "wait for each other in the same iteration")


def _cycle(program: Program, following: dict[int, list[int]], stuck: set[int]) -> str:
    """Name one cycle among the tasks that never became ready."""
    # Walk backwards: every stuck task waits for another stuck one, so this must come round.
    before = {
        after: task for task in sorted(stuck, reverse=True) for after in following[task] if after in stuck
    }
    path, task = [], min(stuck)
    while task not in path:
        path.append(task)
        task = before[task]
    cycle = path[path.index(task) :][::-1]
    shown = [program.tasks[t] for t in cycle[:MOST_NAMED]]
    return " -> ".join([*shown, "..."] if len(cycle) > MOST_NAMED else [*shown, shown[0]])


def _check_messages(program: Program, say: Say) -> None:
    hops = np.flatnonzero(program.message >= 0)
    _, first, message = np.unique(program.message[hops], return_index=True, return_inverse=True)
    first_hop = hops[first][message]
    for hop in np.flatnonzero(program.bytes[hops] != program.bytes[first_hop]).tolist():
        task, other = hops[hop], first_hop[hop]
        sent = f"{program.tasks[other]} of the same message {program.bytes[other]:.0f}"
        say(program.tasks[task], f"carries {program.bytes[task]:.0f} bytes, but {sent}")


def _arrow(program: Program, edge: int) -> str:
    return f"{program.tasks[program.source[edge]]} -> {program.tasks[program.target[edge]]}"
