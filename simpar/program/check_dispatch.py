"""The rules of dispatch nodes: slices come, go through the lane of one device, and are answered.

Part of :mod:`simpar.program.check`, which says why there are rules.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from simpar.program.check_nodes import Say
from simpar.program.graph import NODE_DISPATCH, NODE_TASK, Program
from simpar.program.parts import Dispatch


def check_dispatches(program: Program, say: Say) -> None:
    """Say what is wrong with the dispatch nodes of *program*, whose columns line up."""
    marked = set(np.flatnonzero(program.node == NODE_DISPATCH).tolist())
    for task in sorted(marked ^ set(program.dispatches)):
        name = program.tasks[task] if 0 <= task < len(program) else f"dispatch {task}"
        said = "is a dispatch that says nothing" if task in marked else "is no node of the kind dispatch"
        say(name, said, f"the tasks with node {NODE_DISPATCH} and the dispatch table must be the same")
    taken = Counter(
        task
        for one in program.dispatches.values()
        for task in (*(task for lane in one.lanes for task in lane), *(r for r in one.replies if r >= 0))
    )
    for node in sorted(marked & set(program.dispatches)):
        dispatch = program.dispatches[node]
        numbers = sorted({task for lane in dispatch.lanes for task in lane} | set(dispatch.replies) - {-1})
        wrong = [task for task in numbers if not 0 <= task < len(program)]
        if wrong:
            say(program.tasks[node], f"hands out to tasks that do not exist: {wrong[0]}")
            continue
        for task in numbers:
            if taken[task] > 1:
                say(program.tasks[node], f"shares {program.tasks[task]} with another lane or sender")
            elif program.node[task] != NODE_TASK:
                say(program.tasks[task], "is handed slices, or answers them, and is a node", "a plain task")
        _check_ends(program, node, dispatch, say)
        for lane in dispatch.lanes:
            _check_lane(program, node, lane, say)


def _check_ends(program: Program, node: int, dispatch: Dispatch, say: Say) -> None:
    """Say what is wrong with where slices come from, and who is answered."""
    name = program.tasks[node]
    into = program.target == node
    if tuple(sorted(program.source[into].tolist())) != dispatch.senders or not dispatch.senders:
        say(name, "its senders are not the sources of its edges, each once, ascending")
    if (program.distance[into] != 0).any() or program.at_start[into].any():
        say(name, "hands out what is no end of the same iteration", "edges of distance 0 from ends")
    if (program.source == node).any():
        say(name, "is a dispatch and has edges out of it", "a dispatch has lanes only")
    if program.resource[node] >= 0:
        say(name, "is a dispatch and occupies something", "no resource")
    if len(dispatch.replies) != len(dispatch.senders):
        say(name, f"has {len(dispatch.replies)} replies for {len(dispatch.senders)} senders")
    last = max((lane[-1] for lane in dispatch.lanes if lane), default=node)
    if any(-1 < reply <= last for reply in dispatch.replies):
        say(name, "ranks fall from its lanes to its replies", "add them in this order")
    if not dispatch.lanes:
        say(name, "hands out to nobody", "one lane or more")


def _check_lane(program: Program, node: int, lane: tuple[int, ...], say: Say) -> None:
    """Say why a slice could not go through *lane*, or would not come to its end."""
    name = program.tasks[node]
    if not lane or list(lane) != sorted(set(lane)) or lane[0] <= node:
        say(name, "a lane is empty, or its ranks do not rise from the dispatch on", "tasks, ascending")
        return
    inside = np.isin(np.arange(len(program)), lane)
    starts, ends = inside[program.source], inside[program.target]
    crossing = np.flatnonzero((starts != ends) & (program.target != node))
    if len(crossing):
        edge = int(crossing[0])
        arrow = f"{program.tasks[program.source[edge]]} -> {program.tasks[program.target[edge]]}"
        say(arrow, "enters or leaves a lane", "the dispatch begins it, and replies follow")
    within = starts & ends
    if (program.distance[within] != 0).any():
        say(program.tasks[lane[0]], "its lane has an edge to another slice", "distance 0")
    begun, led = set(program.target[within].tolist()), set(program.source[within].tolist())
    if set(lane[1:]) != begun or set(lane[:-1]) != led:
        say(program.tasks[lane[0]], "its lane is not one way from the first task to the last")
    if (program.resource[list(lane)] < 0).all():
        say(program.tasks[lane[0]], "its lane takes no time", "a task on a resource")
