"""The timelines of a report: one median step of each strategy, as data that its script draws.

A *bar* is the time for which an instance holds its resource, cut to the step; bars stand on lanes, lanes
belong to machines, as in :mod:`simpar.show.timeline`. A page holds only so many bars: the lanes of the
critical path come first, then whole machines in their order, and what is left out is counted.

Start with :func:`timelines`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simpar.result import Measured, Row
from simpar.show.table import PHASES
from simpar.show.timeline_lanes import in_natural_order, lane_name, lanes_of, machine_of, whole_ns
from simpar.trace import cause_of

MOST_BARS = 2000
"""Bars of one strategy."""

MOST_BARS_IN_ALL = 14_000
"""Bars of a page, shared out evenly among its strategies; one takes about 50 bytes."""

Lane = tuple[str, str, list[tuple[int, int, int]]]
"""Machine, name, and (row of the trace, start, end) in whole nanoseconds of each bar."""


def timelines(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a timeline for each of *rows* that has a trace, in their order, as plain JSON.

    Of each: ``name``, ``label``, ``what`` (which step it is), ``start_s`` and ``span_ns`` of the step,
    ``lanes`` as (machine, lane), ``tasks`` and ``phases`` (their names), ``left_out`` (a sentence, or '')
    and ``bars`` as (lane, start in nanoseconds of the step, length in nanoseconds, task, phase, cause as an
    index into ``causes``, bytes, 1 on the critical path).
    """
    drawn = [row for row in rows if row.measured is not None]
    most = min(MOST_BARS, MOST_BARS_IN_ALL // max(1, len(drawn)))
    return [_timeline(row, row.measured, most) for row in drawn if row.measured is not None]


def _timeline(row: Row, run: Measured, most: int) -> dict[str, Any]:
    window = run.median_window
    since, until = whole_ns(window.start_s), whole_ns(window.end_s)
    critical = _critical(run)
    lanes = _lanes(run, since, until)
    chosen, left_out = _chosen(lanes, critical, most)
    program, trace = run.program, run.trace
    tasks: dict[str, int] = {}
    phases: dict[str, int] = {}
    causes: dict[str, int] = {}
    bars = []
    for number, (_, _, pieces) in enumerate(chosen):
        for at, start, end in pieces:
            task = int(trace.task[at])
            kind = program.ops[task].kind
            bars.append(
                [
                    number,
                    max(start, since) - since,
                    min(end, until) - max(start, since),
                    tasks.setdefault(program.tasks[task], len(tasks)),
                    phases.setdefault(PHASES.get(kind, kind), len(phases)),
                    causes.setdefault(_colour(kind, cause_of(program, task)), len(causes)),
                    round(float(program.bytes[task])) if program.message[task] >= 0 else 0,
                    int(at in critical),
                ]
            )
    return {
        "name": row.name,
        "label": row.label,
        "what": window.label,
        "start_s": window.start_s,
        "span_ns": max(1, until - since),
        "lanes": [[machine, name] for machine, name, _ in chosen],
        "tasks": list(tasks),
        "phases": list(phases),
        "causes": list(causes),
        "bars": bars,
        "left_out": left_out,
    }


def _colour(kind: str, cause: str) -> str:
    """Return what a bar is coloured as: the two passes are told apart, all other work by its cause."""
    return kind if kind in ("forward", "backward") else cause


def _critical(run: Measured) -> set[int]:
    """Return the rows of the trace on the critical path of the median step."""
    path = run.path(run.median_window)
    busy = [segment for segment in path if segment.cause in ("compute", "wire", "server")]
    return {run.trace.row(segment.task, segment.iteration) for segment in busy}


def _lanes(run: Measured, since: int, until: int) -> list[Lane]:
    """Return all lanes with a bar in the step, by machine."""
    trace, program = run.trace, run.program
    window = run.median_window
    inside = (trace.free_s > window.start_s) & (trace.start_s < window.end_s) & (trace.resource >= 0)
    rows = np.flatnonzero(inside)
    by_resource: defaultdict[int, list[int]] = defaultdict(list)
    for at in rows[np.lexsort((rows, trace.free_s[rows], trace.start_s[rows]))].tolist():
        by_resource[int(trace.resource[at])].append(at)
    found: list[Lane] = []
    for resource in sorted(by_resource):
        name = lane_name(program, resource)
        machine = machine_of(program.resources[resource].name)
        lanes = lanes_of(trace, by_resource[resource])
        for number, lane in enumerate(lanes, 1):
            pieces = [(one.row, one.start, one.end) for one in lane if one.end > since and one.start < until]
            if pieces:
                found.append((machine, f"{name} {number}" if len(lanes) > 1 else name, pieces))
    return sorted(found, key=lambda lane: in_natural_order(lane[0]))


def _chosen(lanes: Sequence[Lane], critical: set[int], most: int) -> tuple[list[Lane], str]:
    """Return the lanes for which *most* bars are enough, and what is left out."""
    whole = sum(len(pieces) for _, _, pieces in lanes)
    if whole <= most:
        return list(lanes), ""
    urgent = [any(at in critical for at, _, _ in pieces) for _, _, pieces in lanes]
    kept: dict[int, Lane] = {}
    room = most
    for number in sorted(range(len(lanes)), key=lambda number: (not urgent[number], number)):
        machine, name, pieces = lanes[number]
        if len(pieces) > room and (kept or room == 0):
            continue
        # A single lane may be too long: what is longest is what can be seen.
        longest = sorted(pieces, key=lambda piece: (piece[1] - piece[2], piece[1]))[:room]
        kept[number] = (machine, name, sorted(longest, key=lambda piece: piece[1:]))
        room -= len(longest)
    chosen = [kept[number] for number in sorted(kept)]
    bars, many = whole - sum(len(pieces) for _, _, pieces in chosen), len(lanes) - len(chosen)
    said = f"{bars} of {whole} bars are left out, with {many} of {len(lanes)} lanes"
    return chosen, said + "; --trace FILE writes all of them"


def colours() -> Mapping[str, tuple[str, str]]:
    """Return the name and the colour of each cause that a bar may have, those of the figures."""
    from simpar.show.plot import PARTS
    from simpar.show.plot_gantt import WORK

    return {
        "forward": WORK["forward"],
        "backward": WORK["backward"],
        "compute": ("other compute", "#7A5195"),
        "wire": ("network", PARTS["exposed_comm_s"][1]),
        "server": ("server", PARTS["server_s"][1]),
    }
