"""The rules of joins and batches: what they wait for can come, and what they set off is there.

Part of :mod:`simpar.program.check`, which says why there are rules.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Protocol

import numpy as np

from simpar.program.graph import BATCH_MODES, NODE_BATCH, NODE_JOIN, NODE_TASK, Program
from simpar.program.parts import Batch


class Say(Protocol):
    """Note one problem."""

    def __call__(self, path: str, message: str, fix: str = "") -> None:
        """Note that *message* is wrong with what *path* names."""


def check_nodes(program: Program, say: Say) -> None:
    """Say what is wrong with the joins and batches of *program*, whose columns line up."""
    into, out = _edges_of_nodes(program)
    for table, node, what in ((program.joins, NODE_JOIN, "join"), (program.batches, NODE_BATCH, "batch")):
        marked = set(np.flatnonzero(program.node == node).tolist())
        for task in sorted(marked ^ set(table)):
            name = program.tasks[task] if 0 <= task < len(program) else f"{what} {task}"
            said = f"is no node of the kind {what}" if task in table else f"is a {what} that says nothing"
            say(name, said, f"the tasks with node {node} and the {what} table must be the same")
        for task in sorted(marked & set(table)):
            if program.resource[task] >= 0:
                say(program.tasks[task], f"is a {what} and occupies something", "no resource")
    for task, k in sorted(program.joins.items()):
        if program.node[task] == NODE_JOIN and not 1 <= k <= len(into[task]):
            say(program.tasks[task], f"waits for {k} of {len(into[task])} tokens", "1 up to all of them")
    _check_cancels(program, say)
    taken = Counter(batch.update for batch in program.batches.values())
    taken.update(reply for batch in program.batches.values() for reply in batch.replies if reply >= 0)
    for task, batch in sorted(program.batches.items()):
        if program.node[task] != NODE_BATCH:
            continue
        _check_gathering(program, task, batch, into[task], say)
        _check_update(program, task, batch, into, out, say)
        for number in (batch.update, *batch.replies):
            if taken[number] > 1 and number >= 0:
                say(program.tasks[task], f"shares {_name(program, number)} with another sender or batch")
        if out[task]:
            say(program.tasks[task], "is a batch and has edges out of it", "a batch has an update only")


def _check_cancels(program: Program, say: Say) -> None:
    """Say which join cannot cancel: what it stops would count elsewhere, or is more than a plain task."""
    for join in program.cancels:
        if join not in program.joins:
            name = program.tasks[join] if 0 <= join < len(program) else f"task {join}"
            say(name, "cancels and is no join", "the index of a join")
    if not all(join in program.joins for join in program.cancels):
        return
    for join, feeders in program.feeders.items():
        stops = np.isin(np.arange(len(program)), feeders)
        for task in np.flatnonzero(stops & (program.node != NODE_TASK)).tolist():
            say(program.tasks[task], f"is a node, and {program.tasks[join]} would cancel it", "a plain task")
        for task in sorted(program.numbered & set(feeders)):
            said = f"has no iterations of its own, and {program.tasks[join]} would cancel it"
            say(program.tasks[task], said)
        leaves = stops[program.source] & (program.distance == 0) & ~stops[program.target]
        for edge in np.flatnonzero(leaves & (program.target != join)).tolist():
            u, v = program.tasks[program.source[edge]], program.tasks[program.target[edge]]
            say(f"{u} -> {v}", f"{program.tasks[join]} cancels the one, and the other counts on it")


def _edges_of_nodes(program: Program) -> tuple[dict[int, list[tuple[int, int, bool]]], dict[int, int]]:
    """Return the edges into joins, batches and updates, and how many leave each; none for other tasks."""
    into: defaultdict[int, list[tuple[int, int, bool]]] = defaultdict(list)
    out: defaultdict[int, int] = defaultdict(int)
    tasks = {*program.joins, *program.batches, *(batch.update for batch in program.batches.values())}
    nodes = np.array(sorted(tasks), dtype=np.int64)
    edges = np.flatnonzero(np.isin(program.target, nodes))
    columns = (program.source, program.target, program.distance, program.at_start)
    for u, v, distance, at_start in zip(*(column[edges].tolist() for column in columns), strict=True):
        into[v].append((u, distance, at_start))
    for u in program.source[np.isin(program.source, nodes)].tolist():
        out[u] += 1
    return into, out


def _check_gathering(
    program: Program, task: int, batch: Batch, edges: list[tuple[int, int, bool]], say: Say
) -> None:
    """Say why *batch*, at node *task*, could not be filled."""
    name = program.tasks[task]
    if batch.mode not in BATCH_MODES:
        say(name, f"unknown mode {batch.mode!r}", f"one of {', '.join(BATCH_MODES)}")
    if sorted(source for source, _, _ in edges) != list(batch.senders) or not edges:
        say(name, "its senders are not the sources of its edges, each once, ascending")
    if any(distance or at_start for _, distance, at_start in edges):
        say(name, "gathers what is no end of the same iteration", "edges of distance 0 from ends")
    if batch.mode == "timeout" and not (math.isfinite(batch.timeout_s) and batch.timeout_s > 0):
        say(name, f"closes {batch.timeout_s} s after its first token", "a finite time above 0")
    if batch.at_once and batch.mode != "count":
        say(name, f"answers at once in mode {batch.mode!r}", "mode 'count'")
    unanswered = len(batch.senders) * batch.window
    if batch.mode != "drain" and batch.count < 1:
        say(name, f"closes at {batch.count} tokens", "1 or more")
    elif batch.mode != "drain" and not batch.at_once and batch.count > unanswered:
        said = f"closes at {batch.count} tokens, but only {unanswered} can be without a reply"
        say(name, said, f"at most {unanswered} ({len(batch.senders)} senders x window {batch.window})")


def _check_update(
    program: Program,
    task: int,
    batch: Batch,
    into: dict[int, list[tuple[int, int, bool]]],
    out: dict[int, int],
    say: Say,
) -> None:
    """Say what is wrong with what *batch*, at node *task*, sets off."""
    name, update = program.tasks[task], batch.update
    if not 0 <= update < len(program):
        say(name, "is a batch without an update", "the index of a task")
    elif program.node[update] != NODE_TASK or program.is_flow(update):
        say(program.tasks[update], f"updates {name}, and is a node or a message", "a plain task")
    elif into.get(update) or out.get(update):
        say(program.tasks[update], f"updates {name}, and has edges", "replies instead")
    elif batch.mode == "drain" and program.resource[update] < 0:
        say(program.tasks[update], f"drains {name} in no time", "a resource, so that something can gather")
    if len(batch.replies) != len(batch.senders):
        say(name, f"has {len(batch.replies)} replies for {len(batch.senders)} senders")
    for reply in batch.replies:
        if reply >= 0 and (reply >= len(program) or program.node[reply] != NODE_TASK):
            say(name, f"replies with {_name(program, reply)}, which is no plain task")
        elif reply < -1:
            say(name, f"replies with {reply}", "a task, or -1 for none")


def _name(program: Program, task: int) -> str:
    return program.tasks[task] if 0 <= task < len(program) else f"task {task}"
