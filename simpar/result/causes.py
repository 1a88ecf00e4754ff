"""Where one step goes by cause, along its critical path, and on which resource each cause is spent.

The causes are those of :data:`simpar.trace.CAUSES`, seen from the step's own worker:

========= =================================================================================
compute   a device computes
wire      bytes of a message are on their way
latency   a message that has been sent has not arrived
queue     waiting while a link works for somebody else
server    a parameter server adds, updates, waits for more pushes, or works for somebody else
straggler somebody else computes: all of it for asynchronous training, and for synchronous training what
          goes beyond the (lower) median of the devices in the same iteration
bubble    in a pipeline, another stage than the busiest computes; or a start that was put off on purpose
========= =================================================================================

Times are seconds. Start with :func:`spent_by_cause`.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simpar.result.measure import Measured, Window
from simpar.trace import COMPUTE_OPS, Segment

CAUSES = ("compute", "wire", "latency", "queue", "server", "straggler", "bubble")
"""In the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The seconds of one cause."""

    cause: str
    """One of :data:`CAUSES`."""
    seconds: float
    resources: Mapping[str, float]
    """Seconds by resource, longest first; a message's is the fullest link that it crosses."""


def spent_by_cause(measured: Measured, window: Window, path: Sequence[Segment]) -> list[Spent]:
    """Return the seconds of each cause on *path*, which explains *window*; they sum to its length.

    Causes without any are left out. The order is that of :data:`CAUSES`.
    """
    own_share = _own_share(measured, window)
    parts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for segment in path:
        name = _resource(measured, segment)
        if segment.cause != "compute":
            parts[_cause(measured, segment), name].append(segment.seconds)
            continue
        own, other = own_share(segment)
        parts["compute", name].append(own * segment.seconds)
        parts[other, name].append((1.0 - own) * segment.seconds)
    sums = {key: math.fsum(seconds) for key, seconds in parts.items()}
    found = []
    for cause in CAUSES:
        by_name = {name: seconds for (one, name), seconds in sums.items() if one == cause and seconds > 0}
        if by_name:
            longest = sorted(by_name, key=lambda name: -by_name[name])
            named = {name: by_name[name] for name in longest if name}
            found.append(Spent(cause, math.fsum(by_name.values()), named))
    return found


def _cause(measured: Measured, segment: Segment) -> str:
    """Return the cause of a segment in which nobody computes."""
    if segment.cause in ("idle", "stagger"):
        return "bubble"
    resource = int(measured.program.resource[segment.task])
    at_server = resource >= 0 and measured.program.resources[resource].kind == "server"
    return "server" if segment.cause == "queue" and at_server else segment.cause


def _resource(measured: Measured, segment: Segment) -> str:
    """Return the name of what the segment is spent on; '' for nothing."""
    program = measured.program
    if program.message[segment.task] >= 0:
        names = [program.links[link].name for link in program.route(segment.task)]
        busiest = measured.busiest(names=names)
        return busiest.name if busiest else ""
    resource = int(program.resource[segment.task])
    if resource < 0 or segment.cause == "latency":
        return ""
    return program.resources[resource].name


def _own_share(measured: Measured, window: Window) -> Callable[[Segment], tuple[float, str]]:
    """Return a function from a segment that computes to the share of it that is the step's own compute.

    With the share it says what the rest is.
    """
    program = measured.program
    if program.meta["kind"] == "pipeline":
        return lambda segment: (float(program.resource[segment.task] in measured.accounted), "bubble")
    if measured.is_async:
        mine = window.worker // measured.share
        return lambda segment: (
            float(program.ops[segment.task].worker // measured.share == mine),
            "straggler",
        )
    computed: dict[int, dict[int, float]] = {}

    def of_median(segment: Segment) -> tuple[float, str]:
        if segment.iteration not in computed:
            computed[segment.iteration] = _computed_s(measured, segment.iteration)
        by_device = computed[segment.iteration]
        whole = by_device[int(program.resource[segment.task])]
        return min(1.0, statistics.median_low(by_device.values()) / whole), "straggler"

    return of_median


def _computed_s(measured: Measured, iteration: int) -> dict[int, float]:
    """Return the seconds that each device computes in *iteration*, by the index of its resource."""
    trace, program = measured.trace, measured.program
    computes = np.array([op.kind in COMPUTE_OPS for op in program.ops])
    rows = np.flatnonzero((trace.iteration == iteration) & (trace.resource >= 0) & computes[trace.task])
    found: defaultdict[int, list[float]] = defaultdict(list)
    for row in rows.tolist():
        found[int(trace.resource[row])].append(float(trace.end_s[row] - trace.start_s[row]))
    return {resource: math.fsum(seconds) for resource, seconds in found.items()}
