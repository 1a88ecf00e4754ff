"""What a message had sent by some moment, by hand."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from simpar.program import Op, ProgramBuilder
from simpar.result.flows import sent_share, stretch_of
from simpar.simulate import simulate
from simpar.simulate.network import max_min_rates

PUSH = Op("push", worker=0, server=0)


@pytest.fixture
def two_flows():
    """200 bytes from 0 s and 200 from 1 s over 100 bytes a second: alone, shared, alone."""
    builder = ProgramBuilder("by hand", 1)
    wait = builder.task("wait", Op("forward"), builder.resource("cpu", "device"), 1.0)
    builder.message("early", PUSH, "a", "b", [("link", 100.0)], 200.0, latency=5.0)
    builder.message("late", PUSH, "c", "b", [("link", 100.0)], 200.0, latency=5.0, after=[wait])
    return simulate(builder.build())


@pytest.mark.parametrize(
    ("at_s", "wait", "early", "late"),
    [
        (0.0, 0.0, 0.0, 0.0),
        (0.5, 0.5, 0.25, 0.0),
        (1.0, 1.0, 0.5, 0.0),
        (2.0, 1.0, 0.75, 0.25),
        (3.0, 1.0, 1.0, 0.5),
        (3.5, 1.0, 1.0, 0.75),
        (4.0, 1.0, 1.0, 1.0),
        (99.0, 1.0, 1.0, 1.0),
    ],
)
def test_flows_send_what_their_links_gave_them_by_then(two_flows, at_s, wait, early, late):
    assert sent_share(two_flows, at_s).tolist() == pytest.approx([wait, early, late], rel=1e-12)


def test_nothing_is_sent_during_the_overhead():
    builder = ProgramBuilder("by hand", 1)
    builder.message("m", PUSH, "a", "b", [("link", 100.0)], 200.0, latency=0.0, overhead=1.0)
    trace = simulate(builder.build())
    assert [float(sent_share(trace, at)[0]) for at in (0.5, 1.0, 2.0, 3.0)] == [0.0, 0.0, 0.5, 1.0]


def test_a_message_alone_on_its_links_sends_evenly():
    builder = ProgramBuilder("by hand", 1, "fifo")
    builder.message("m", PUSH, "a", "b", [("x", 100.0), ("y", 50.0)], 200.0, latency=0.5)
    trace = simulate(builder.build())
    assert sent_share(trace, 1.0).tolist() == pytest.approx([0.5, 0.125])


def traffic(seed, ends):
    """Return a trace of messages between *ends* ends each way, at random times, some stretched."""
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder("traffic", 2)
    rates = rng.uniform(50.0, 400.0, (2, ends))
    for number, (a, b) in enumerate(itertools.product(range(ends), range(ends))):
        after = builder.task(
            f"wait{number}",
            Op("forward"),
            builder.resource(f"cpu{number}", "device"),
            rng.uniform(1, 60, 2).tolist(),
        )
        links = [(f"out{a}", float(rates[0, a])), (f"in{b}", float(rates[1, b]))]
        n_bytes = float(rng.uniform(100, 900))
        builder.message(
            f"m{number}", PUSH, f"a{a}", f"b{b}", links, n_bytes, latency=1.0, overhead=0.1, after=[after]
        )
    program = builder.build()
    flows = [task for task in range(len(program)) if program.is_flow(task)]
    return simulate(replace(program, stretch={task: rng.uniform(0.5, 2.0, 2) for task in flows[::3]}))


def sent_by(trace, at_s):
    """Return the share of each row that is sent by *at_s*: rates between all moments at which one changes."""
    program, share = trace.program, np.zeros(len(trace))
    capacity = [link.bytes_per_s for link in program.links]
    begin = trace.start_s + program.overhead[trace.task]
    is_flow = np.array([program.is_flow(task) for task in trace.task.tolist()])
    share[~is_flow] = np.clip((at_s - trace.start_s) / (trace.end_s - trace.start_s), 0, 1)[~is_flow]
    moments = np.unique(np.concatenate([begin[is_flow], trace.free_s[is_flow], [at_s]]))
    for left, right in itertools.pairwise(moments[moments <= at_s]):
        active = np.flatnonzero(is_flow & (begin <= left) & (trace.free_s > left))
        routes = [program.resources[trace.resource[row]].route for row in active.tolist()]
        share[active] += np.array(max_min_rates(routes, capacity)) * (right - left)
    total = np.where(is_flow, program.bytes[trace.task] * stretch_of(trace), 1.0)
    return share / total


@pytest.mark.parametrize(("seed", "ends"), [(1, 5), (2, 8), (3, 23)])
def test_messages_in_the_midst_of_others_have_sent_what_their_rates_add_up_to(seed, ends):
    """529 channels, too, which is more than are always solved all together."""
    trace = traffic(seed, ends)
    for at_s in (12.0, 45.0, 78.0):
        assert sent_share(trace, at_s) == pytest.approx(sent_by(trace, at_s), abs=1e-9)


def test_what_is_stretched_takes_its_iterations_factor():
    trace = traffic(4, 3)
    rows = {(int(trace.task[row]), int(trace.iteration[row])): row for row in range(len(trace))}
    found = stretch_of(trace)
    for (task, iteration), row in rows.items():
        wanted = trace.program.stretch[task][iteration] if task in trace.program.stretch else 1.0
        assert found[row] == wanted
