"""Lanes of a timeline: whole nanoseconds, the machine and lane of a resource, slices that never overlap.

Used by :mod:`simpar.show.timeline_view`, which puts them together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from simpar.program import Program
from simpar.result import Measured
from simpar.trace import Trace

KINDS = {"device": "compute", "server": "cpu"}
"""What the lane of a resource of each kind is called."""


# -- numbers -------------------------------------------------------------------------------------


class Numbers:
    """Numbers of processes and threads, and of arrows: no two alike in one file."""

    def __init__(self) -> None:
        self._last = 0
        self._arrow = 0

    def track(self) -> int:
        """Return the next number of a process or thread. They share one row: a viewer takes a thread
        with its process's number for the main one."""
        self._last += 1
        return self._last

    def arrow(self) -> int:
        """Return the next number of an arrow."""
        self._arrow += 1
        return self._arrow


def whole_ns(seconds: float) -> int:
    """Return *seconds* in whole nanoseconds."""
    return round(seconds * 1e9)


def in_us(ns: int) -> float | int:
    """Return nanoseconds as microseconds with at most three decimals."""
    return ns // 1000 if ns % 1000 == 0 else ns / 1000


def as_read(ns: int) -> int:
    """Return what Perfetto reads where *ns* is written: it multiplies by 1000 and cuts off."""
    return int(float(in_us(ns)) * 1000.0)


def plain_number(number: float) -> float | int:
    """Return *number* as JSON shows it best: whole ones without a point."""
    return int(number) if number == int(number) else number


# -- machines and lanes --------------------------------------------------------------------------


def machine_of(resource: str) -> str:
    """Return the machine that a resource belongs to: ``w3``, ``w3.out`` and ``w3>ps0`` are w3's."""
    return re.split(r"[.>]", resource, maxsplit=1)[0] or resource


def receiver_of(program: Program, task: int) -> str:
    """Return the machine at the end of *task*'s last link; '' where there is none."""
    route = program.route(task)
    return machine_of(program.links[route[-1]].name) if route else ""


def lane_name(program: Program, resource: int) -> str:
    """Return what a resource's lane is called on its machine."""
    found = program.resources[resource]
    if found.kind == "channel":
        ends, _, stream = found.name.partition("#")
        return ends.replace(">", " > ") + (f", stream {stream}" if stream else "")
    if found.kind in KINDS:
        return KINDS[found.kind]
    return found.name.partition(".")[2] or found.name


def in_natural_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Return a key that puts workers before servers before machines before others, and w9 before w10."""
    roles = (r"w\d+", r"ps\d+", r"n\d+")
    role = next((place for place, pattern in enumerate(roles) if re.fullmatch(pattern, name)), len(roles))
    return role, [(int(part or -1), word) for word, part in re.findall(r"(\D*)(\d*)", name)]


@dataclass(slots=True)
class Slice:
    """One instance on its lane, in nanoseconds."""

    row: int
    pid: int
    tid: int
    start: int
    end: int


def step_ends(run: Measured) -> list[float]:
    """Return when each measured step ends, with the beginning of the first in front.

    A step of asynchronous training is as many gradients applied as there are workers.
    """
    if not run.is_async:
        ends = np.maximum.accumulate(np.maximum(run.update_s[run.warmup :], run.since_s))
        return [run.since_s, *ends.tolist()]
    applied = np.sort(run.update_s[(run.update_s > run.since_s) & (run.update_s <= run.until_s)])
    ends = applied[run.pushers - 1 :: run.pushers]
    return [run.since_s, *(ends.tolist() or [run.until_s])]


def lanes_of(trace: Trace, rows: list[int]) -> list[list[Slice]]:
    """Return *rows*, of one resource and by start, on as few lanes as hold them without overlap."""
    lanes: list[list[Slice]] = []
    for row in rows:
        start, end = whole_ns(float(trace.start_s[row])), whole_ns(float(trace.free_s[row]))
        piece = Slice(row, 0, 0, start, max(start, end))
        # A sum of floats may end a hair behind the next one's start; that is no overlap.
        hair = 2 + (start >> 48)
        for lane in lanes:
            if lane[-1].end <= start + hair:
                before = lane[-1]
                before.end = before.start + shortened(before.start, min(before.end, start), start)
                lane.append(piece)
                break
        else:
            lanes.append([piece])
    return lanes


def shortened(start: int, end: int, follows: int) -> int:
    """Return the length of a slice, at most 2 ns less where a viewer would see it run into the next."""
    length = max(0, end - start)
    over = as_read(start) + as_read(length) - as_read(follows)
    return max(0, length - over) if over > 0 else length
