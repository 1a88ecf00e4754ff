"""The rules of rings: their channels are theirs alone, and their lanes fit together.

Part of :mod:`simpar.program.check`, which says why there are rules.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from simpar.program.check_nodes import Say
from simpar.program.graph import NODE_RING, Program
from simpar.program.parts import Ring


def are_alone(program: Program) -> bool:
    """Say whether the messages of rings share neither a link nor a channel with anything else."""
    exits = list({task for ring in program.rings for task in ring.exits})
    channels = np.zeros(len(program.resources) + 1, dtype=np.bool_)  # the last is of tasks on nothing
    channels[program.resource[exits]] = True
    if any(not program.lone_rate[channel] for channel in np.flatnonzero(channels[:-1]).tolist()):
        return False
    return int(channels[program.resource].sum()) == len(exits)


def check_rings(program: Program, say: Say) -> None:
    """Say what is wrong with the rings of *program*, whose columns line up."""
    is_last = program.node == NODE_RING
    marked = set(np.flatnonzero(is_last).tolist())
    named = Counter(task for ring in program.rings for task in ring.exits)
    if not marked and not named:
        return
    for task in sorted(marked ^ set(named)):
        name = program.tasks[task] if 0 <= task < len(program) else f"task {task}"
        say(name, "is a message of no ring, or of a ring and not marked so", f"node {NODE_RING}")
    if marked != set(named):
        return
    for ring in program.rings:
        _check_ring(program, ring, say)
    for task, count in sorted(named.items()):
        if count > 1:
            say(program.tasks[task], f"is the last message of {count} lanes", "one lane a message")
    for v in np.unique(program.target[is_last[program.target]]).tolist():
        say(program.tasks[v], "is a message of a ring and waits for something else", "let an entry wait")
    for u in np.unique(program.source[program.at_start & is_last[program.source]]).tolist():
        say(program.tasks[u], "is a message of a ring whose start others wait for", "its end")
    if not are_alone(program):
        say("rings", "a message of a ring shares a link or a channel", "Program.expanded()")
    lane_of: dict[int, tuple[int, int]] = {}
    for ring in program.rings:
        first = int(program.resource[ring.exits[0]])
        for lane, task in enumerate(ring.exits):
            channel = int(program.resource[task])
            if lane_of.setdefault(channel, (first, lane)) != (first, lane):
                name = program.resources[channel].name
                say(name, "is a channel of two rings in other lanes", "the same channels, lane by lane")


def _check_ring(program: Program, ring: Ring, say: Say) -> None:
    """Say what is wrong with one ring."""
    lanes, name = len(ring.exits), program.tasks[ring.exits[0]]
    tables = (ring.entries, ring.chunks, ring.summed_s, ring.copied_s)
    if lanes < 2 or any(len(table) != lanes for table in tables):
        say(
            name,
            f"has {lanes} lanes, and other numbers of entries, chunks or delays",
            "one a lane, 2 or more",
        )
        return
    if list(ring.exits) != list(range(ring.exits[0], ring.exits[0] + lanes)):
        say(name, "the last messages of its lanes do not follow each other")
    if ring.rounds != 2 * (lanes - 1):
        say(name, f"goes {ring.rounds} rounds", f"{2 * (lanes - 1)}: 2 (N - 1)")
    if len(set(program.resource[list(ring.exits)].tolist())) < lanes:
        say(name, "has lanes that share a channel", "a channel a lane")
    if not 0 <= ring.edge <= len(program.source):
        say(name, f"comes after {ring.edge} edges of {len(program.source)}")
    times = (*ring.summed_s, *ring.copied_s)
    if not all(math.isfinite(one) and one >= 0 for one in times):
        say(name, "a delay is negative, infinite or not a number", "a finite number, not negative")
    if not all(math.isfinite(one) and one > 0 for one in ring.chunks):
        say(name, "a chunk is empty, infinite or not a number", "bytes above 0")
    batched = set(program.batches) | set(program.batch_of_update)
    for entry in ring.entries:
        if not 0 <= entry < ring.exits[0]:
            say(name, f"is entered by task {entry}", "a task before it")
        elif entry in batched:
            say(program.tasks[entry], "enters a ring and does not run once an iteration", "a plain task")
