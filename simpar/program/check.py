"""The rules that a program must keep before anyone runs it.

Each rule names the tasks that break it. They are what makes every engine give the same trace:
without them the order in which an engine happens to look at things would show.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np

from simpar.errors import Problem
from simpar.program.check_nodes import Say, check_nodes
from simpar.program.check_rings import check_rings
from simpar.program.graph import NODE_BATCH, NODE_JOIN, NODE_RING, NODE_TASK, SHORTEST_S, Program

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
    if found:
        return found  # the columns do not line up: nothing below would make sense

    seen: set[str] = set()
    for name in program.tasks:
        if name in seen:
            say(name, "two tasks have this name")
        seen.add(name)
    names = [resource.name for resource in program.resources]
    for name in (
        sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else ()
    ):
        say(name, "two resources have this name")

    _check_numbers(program, say)
    if found:
        return found
    _check_resources(program, say)
    check_nodes(program, say)
    check_rings(program, say)
    if found and (program.joins or program.batches or program.rings):
        return found  # a batch or a ring may name tasks that do not exist
    _check_order(program, say)
    _check_messages(program, say)
    return found


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
        elif len(values) < program.iterations or not (np.isfinite(values) & (values >= 0)).all():
            say(_arrow(program, index), "its lags are too few, negative, infinite or not numbers")
    for task, values in program.stretch.items():
        if not 0 <= task < len(program.tasks):
            say(f"stretch[{task}]", "there is no such task")
        elif len(values) < program.iterations or not (np.isfinite(values) & (values > 0)).all():
            say(program.tasks[task], "its stretches are too few, not above 0, infinite or not numbers")
        elif not program.is_flow(task):
            say(program.tasks[task], "is stretched and no message on a channel", "durations by iteration")
    ends = np.concatenate([program.source, program.target])
    if ((ends < 0) | (ends >= len(program.tasks))).any():
        say("edges", "an edge names a task that does not exist")
        return
    for edge in np.flatnonzero(program.distance < 0)[:MOST_NAMED]:
        say(_arrow(program, edge), f"distance is {program.distance[edge]}", "0 or more")
    for link in program.links:
        if not (np.isfinite(link.bytes_per_s) and link.bytes_per_s > 0):
            say(link.name, f"rate is {link.bytes_per_s} bytes per second", "a finite number above 0")


def _check_resources(program: Program, say: Say) -> None:
    for resource in program.resources:
        if resource.capacity < 1:
            say(resource.name, f"capacity is {resource.capacity}", "1 or more")
        if resource.discipline not in ("fifo", "priority"):
            say(resource.name, f"unknown discipline {resource.discipline!r}", "fifo or priority")
        if any(not 0 <= link < len(program.links) for link in resource.route):
            say(resource.name, "its route names a link that does not exist")
        elif len(set(resource.route)) < len(resource.route):
            say(resource.name, "its route crosses a link twice")
        if resource.kind == "channel" and (not resource.route or resource.capacity != 1):
            say(resource.name, "a channel has a route of one link or more, and capacity 1")
    for task, name in enumerate(program.tasks):
        r = int(program.resource[task])
        if program.node[task] not in (NODE_TASK, NODE_JOIN, NODE_BATCH, NODE_RING):
            say(name, f"nodes of kind {program.node[task]} are not known")
        if not -1 <= r < len(program.resources):
            say(name, f"there is no resource {r}")
        elif r < 0:
            if program.seconds[task] > 0 or task in program.durations:
                say(name, "takes time but occupies nothing", "give it a resource, or let its edges lag")
        elif program.resources[r].kind == "channel":
            if program.seconds[task] > 0:
                say(name, "is a message on a channel and has a duration of its own", "0 seconds")
            if program.bytes[task] <= 0 and program.overhead[task] <= 0:
                say(name, "occupies a channel for no time", "no resource, and the latency as a lag")
        elif task not in program.durations and program.seconds[task] < SHORTEST_S:
            say(name, f"occupies {program.resources[r].name} for no time", "no resource, or 1 ps and more")


def _check_order(program: Program, say: Say) -> None:
    following: dict[int, list[int]] = defaultdict(list)
    awaited = np.zeros(len(program.tasks), dtype=np.int64)
    least_lag: list[float] = program.lag.tolist()
    for edge, lags in program.lags.items():
        least_lag[edge] = float(lags.min())
    for edge, lag in enumerate(least_lag):
        u, v = int(program.source[edge]), int(program.target[edge])
        at_start = bool(program.at_start[edge])
        r = int(program.resource[u])
        if program.distance[edge] == 0:
            following[u].append(v)
            awaited[v] += 1
            instant = at_start or r < 0  # the token may leave at the instant at which u became ready
            if instant and lag == 0 and u >= v:
                say(
                    _arrow(program, edge),
                    "ranks fall along a path without delay",
                    "add the tasks in the order of time",
                )
        elif at_start and lag == 0:
            say(
                _arrow(program, edge),
                "starts an iteration without any delay",
                "a lag above 0, or from the end",
            )
        if at_start and lag == 0 and r >= 0 and program.resources[r].discipline == "priority":
            say(
                _arrow(program, edge),
                "leaves the start of a task on a priority resource without delay",
                "a lag above 0",
            )
    for node, batch in program.batches.items():
        steps = [(node, batch.update), *((batch.update, reply) for reply in batch.replies if reply >= 0)]
        for u, v in steps:
            following[u].append(v)
            awaited[v] += 1
            if u >= v:
                arrow = f"{program.tasks[u]} -> {program.tasks[v]}"
                say(arrow, "ranks fall from a batch to its update to its replies", "add them in this order")
    for ring in program.rings:
        # All lanes wait for all entries; one after the other says the same with fewer steps.
        for u, v in [*((entry, ring.exits[0]) for entry in ring.entries), *pairwise(ring.exits)]:
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
    carried: dict[int, tuple[float, str]] = {}
    for task, name in enumerate(program.tasks):
        number = int(program.message[task])
        if number < 0:
            continue
        first = carried.setdefault(number, (float(program.bytes[task]), name))
        if first[0] != program.bytes[task]:
            say(
                name,
                f"carries {program.bytes[task]:.0f} bytes, but {first[1]} of the same message {first[0]:.0f}",
            )


def _arrow(program: Program, edge: int) -> str:
    return f"{program.tasks[program.source[edge]]} -> {program.tasks[program.target[edge]]}"
