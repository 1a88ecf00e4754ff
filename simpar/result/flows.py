"""How much of each message had been sent at one point in time.

A trace says when a message began and when its last byte left. In between, a shared link gives it now
more, now less; what it had sent by some moment follows from who else was sending.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simpar.simulate.network import max_min_rates
from simpar.trace import Trace


def sent_share(trace: Trace, at_s: float) -> NDArray[np.float64]:
    """Return the share of each row's service that was done by *at_s*: float64[rows], 0 to 1.

    Of a message on a shared channel that is the share of its bytes; of anything else, of its time.
    """
    program = trace.program
    overhead = np.where(program.are_flows, program.overhead, 0.0)
    begin, end = trace.start_s + overhead[trace.task], trace.free_s
    service = end - begin
    share = np.divide(
        at_s - begin, service, out=(end <= at_s).astype(np.float64), where=service > 0, dtype=np.float64
    )
    np.clip(share, 0.0, 1.0, out=share)
    half = np.flatnonzero(program.are_flows[trace.task] & (begin < at_s) & (at_s < end))
    if len(half):
        share[half] = _sent(trace, begin, half, at_s)
    return share


def stretch_of(trace: Trace) -> NDArray[np.float64]:
    """Return by what factor the bytes of each row took longer than nominal: float64[rows]."""
    program, stretch = trace.program, np.ones(len(trace))
    by_task = dict(program.stretch)
    for task, seconds in program.durations.items():
        if program.route(task) and program.bytes[task] > 0:
            (link,) = program.route(task)  # a hop of its own: messages on channels have no durations
            bytes_s = float(program.bytes[task] / program.links[link].bytes_per_s)
            overhead = program.seconds[task] - bytes_s
            by_task[task] = (seconds - overhead) / bytes_s
    for task, factors in by_task.items():
        rows = trace.rows_of([task])
        stretch[rows] = factors[trace.iteration[rows]]
    return stretch


def _sent(
    trace: Trace, begin: NDArray[np.float64], half: NDArray[np.int64], at_s: float
) -> NDArray[np.float64]:
    """Return the share of the rows *half* that is sent by *at_s*: their rates added up from their begin."""
    program = trace.program
    capacity = [link.bytes_per_s for link in program.links]
    since = float(begin[half].min())
    around = np.flatnonzero(
        np.isin(trace.resource, [r for r, found in enumerate(program.resources) if found.kind == "channel"])
        & (begin < at_s)
        & (trace.free_s > since)
    )
    times = np.concatenate([begin[around], trace.free_s[around], [since, at_s]])
    times = np.unique(times[(times >= since) & (times <= at_s)])
    sent = dict.fromkeys(half.tolist(), 0.0)
    for left, right in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        active = around[(begin[around] <= left) & (trace.free_s[around] > left)].tolist()
        routes = [program.resources[int(trace.resource[row])].route for row in active]
        for row, rate in zip(active, max_min_rates(routes, capacity), strict=True):
            if row in sent:
                sent[row] += rate * (right - left)
    total = program.bytes[trace.task[half]] * stretch_of(trace)[half]
    done = np.array([sent[row] for row in half.tolist()])
    share: NDArray[np.float64] = np.divide(done, total, out=np.ones_like(done), where=total > 0)
    return np.clip(share, 0.0, 1.0)
