"""How much of each message had been sent at one point in time.

A trace says when a message began and when its last byte left. In between, a shared link gives it now
more, now less; what it had sent by some moment follows from who else was sending.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simpar.simulate import flows
from simpar.trace import Trace


def sent_share(trace: Trace, at_s: float) -> NDArray[np.float64]:
    """Return the share of each row's service that was done by *at_s*: float64[rows], 0 to 1.

    Of a message on links that others may share that is the share of its bytes; of anything else, of its time.
    """
    program = trace.program
    overhead = np.where(program.are_flows, program.overhead, 0.0)
    begin, end = trace.start_s + overhead[trace.task], trace.free_s
    service = end - begin
    share = np.divide(
        at_s - begin, service, out=(end <= at_s).astype(np.float64), where=service > 0, dtype=np.float64
    )
    np.clip(share, 0.0, 1.0, out=share)
    if trace.nodes is not None:
        share[trace.stopped_rows] *= trace.nodes.done_frac
    half = np.flatnonzero(_is_shared(trace) & (begin < at_s) & (at_s < end))
    if len(half):
        share[half] = _sent(trace, begin, half, at_s)
    return share


def stretch_of(trace: Trace) -> NDArray[np.float64]:
    """Return by what factor the bytes of each row took longer than nominal: float64[rows]."""
    program = trace.program
    by_task = dict(program.stretch)
    for task, seconds in program.durations.items():
        if program.route(task) and program.bytes[task] > 0:
            (link,) = program.route(task)  # a hop of its own: messages on channels have no durations
            bytes_s = float(program.bytes[task] / program.links[link].bytes_per_s)
            overhead = program.seconds[task] - bytes_s
            by_task[task] = (seconds - overhead) / bytes_s
    most = max([program.iterations, *(program.most_runs(task) for task in by_task)])
    factors = np.ones((len(by_task) + 1, most))  # the last is of tasks as they are
    place = np.full(len(program), len(by_task))
    for number, (task, each) in enumerate(by_task.items()):
        runs = program.most_runs(task)
        place[task], factors[number, :runs] = number, each[:runs]
    last = most - 1  # there may be more updates, which are no messages
    stretched: NDArray[np.float64] = factors[place[trace.task], np.minimum(trace.iteration, last)]
    return stretched


def _is_shared(trace: Trace) -> NDArray[np.bool_]:
    """Say by row whether it transmits over a link that it may share with others."""
    shared = np.array([*(bool(route) for route in trace.program.shared_routes), False])
    found: NDArray[np.bool_] = shared[trace.resource]  # the last is of rows that occupy nothing
    return found


def _sent(
    trace: Trace, begin: NDArray[np.float64], half: NDArray[np.int64], at_s: float
) -> NDArray[np.float64]:
    """Return the share of the rows *half* that is sent by *at_s*.

    All that was sent from the earliest begin of theirs on is sent again, each message from when it began to
    when it ended. What began before takes part with all its bytes: how many it had left does not matter to
    the others.
    """
    program = trace.program
    state = flows.network([link.bytes_per_s for link in program.links], program.shared_routes)
    total = program.bytes[trace.task] * stretch_of(trace)
    since = float(begin[half].min())
    around = np.flatnonzero(_is_shared(trace) & (begin < at_s) & (trace.free_s > np.maximum(begin, since)))
    ending = around[trace.free_s[around] <= at_s]
    happens = [(max(float(begin[row]), since), 1, row) for row in around.tolist()]
    happens += [(float(trace.free_s[row]), 0, row) for row in ending.tolist()]
    happens.sort()  # of one moment, ends before begins: a channel has room for one
    for number, (time, begins, row) in enumerate(happens):
        channel = int(trace.resource[row])
        if begins:
            flows.start(state, channel, float(total[row]))
        else:
            flows.end(state, channel)
        if number + 1 == len(happens) or happens[number + 1][0] > time:
            flows.settle(state, time)
    left = [flows.left_at(state, int(trace.resource[row]), at_s) for row in half.tolist()]
    return np.clip(1.0 - np.array(left) / total[half], 0.0, 1.0)
