"""What the builder writes down, and what a message takes one link after another."""

import numpy as np
import pytest

from simpar.program import SHORTEST_S, Op, ProgramBuilder
from simpar.simulate import simulate

PUSH = Op("push", worker=0, server=0)


def alone(sharing, rates, n_bytes, latency=0.0, overhead=0.0):
    """Return the trace of one message, and of a task that waits for it."""
    builder = ProgramBuilder("one", 1, sharing)
    links = [(f"l{n}", rate) for n, rate in enumerate(rates)]
    _, last = builder.message("m", PUSH, "a", "b", links, n_bytes, latency=latency, overhead=overhead)
    builder.gather("there", [last])
    program = builder.build()
    assert program.check() == []
    return simulate(program)


def arrival(trace):
    return float(trace.end_s[trace.row(trace.program.task("there"), 0)])


def hops(trace):
    return [
        (float(trace.start_s[row]), float(trace.end_s[row]))
        for row in range(len(trace))
        if trace.program.tasks[trace.task[row]] != "there"
    ]


def test_equal_links_carry_a_message_at_once():
    """The second link starts one latency after the first, not after its end."""
    trace = alone("fifo", [100.0, 100.0], 300.0, latency=0.5)
    assert hops(trace) == [(0.0, 3.0), (0.5, 3.5)]
    assert arrival(trace) == 3.5


def test_a_slow_first_link_makes_the_second_wait_for_the_tail():
    """Three seconds in, the last byte leaves; the second link needs one second and ends 0.5 later."""
    trace = alone("fifo", [100.0, 300.0], 300.0, latency=0.5)
    assert hops(trace) == [(0.0, 3.0), (2.5, 3.5)]


def test_a_slow_second_link_takes_its_own_time():
    trace = alone("fifo", [300.0, 100.0], 300.0, latency=0.5)
    assert hops(trace) == [(0.0, 1.0), (0.5, 3.5)]


def test_latency_is_counted_once_over_three_links():
    trace = alone("fifo", [100.0, 100.0, 100.0], 300.0, latency=0.5)
    assert hops(trace) == [(0.0, 3.0), (0.5, 3.5), (0.5, 3.5)]


def test_one_link_has_its_latency_behind_it():
    """The link is free after the last byte; what waits for the message waits one latency more."""
    trace = alone("fifo", [100.0], 300.0, latency=0.5)
    assert hops(trace) == [(0.0, 3.0)]
    assert arrival(trace) == 3.5


def test_a_start_edge_of_a_message_over_one_link_has_no_latency():
    builder = ProgramBuilder("one", 1, "fifo")
    first, _ = builder.message("m", PUSH, "a", "b", [("l", 100.0)], 300.0, latency=0.5)
    builder.edge(first, builder.gather("left", []), at_start=True)
    trace = simulate(builder.build())
    assert float(trace.end_s[1]) == 0.0


def test_overhead_occupies_the_first_link_before_the_bytes():
    trace = alone("fifo", [100.0, 100.0], 300.0, latency=0.5, overhead=1.0)
    assert hops(trace) == [(0.0, 4.0), (1.5, 4.5)]


def test_overhead_is_not_hidden_by_a_slow_second_link():
    """No byte leaves within the first second, however long the second link takes afterwards."""
    trace = alone("fifo", [300.0, 100.0], 300.0, latency=0.5, overhead=1.0)
    assert hops(trace) == [(0.0, 2.0), (1.5, 4.5)]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(
    "rates", [(100.0,), (100.0, 100.0), (50.0, 200.0), (200.0, 50.0), (80.0, 40.0, 160.0)]
)
@pytest.mark.parametrize("latency", [0.0, 0.5])
@pytest.mark.parametrize("overhead", [0.0, 0.25])
@pytest.mark.parametrize("n_bytes", [0.0, 400.0])
def test_an_idle_message_takes_overhead_latency_and_bytes_over_the_slowest_link(
    sharing, rates, latency, overhead, n_bytes
):
    """One formula for both ways of sharing."""
    trace = alone(sharing, rates, n_bytes, latency, overhead)
    assert arrival(trace) == pytest.approx(overhead + latency + n_bytes / min(rates), rel=1e-12, abs=4e-12)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_message_of_no_bytes_and_no_overhead_occupies_nothing(sharing):
    trace = alone(sharing, [100.0, 100.0], 0.0, latency=0.5)
    assert trace.resource.tolist() == [-1, -1]
    assert arrival(trace) == 0.5


def test_the_second_of_two_messages_waits_at_each_link():
    """Two senders to one receiver: its link serves them in turn."""
    builder = ProgramBuilder("incast", 1, "fifo")
    for n in (0, 1):
        links = [(f"w{n}.out", 100.0), ("ps.in", 100.0)]
        builder.message(f"m{n}", PUSH, f"w{n}", "ps", links, 300.0, latency=0.5)
    trace = simulate(builder.build())
    assert hops(trace) == [(0.0, 3.0), (0.5, 3.5), (0.0, 3.0), (3.5, 6.5)]


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_bytes_are_counted_on_every_link_of_the_way(sharing):
    builder = ProgramBuilder("two", 1, sharing)
    builder.message("m", PUSH, "a", "b", [("x", 1.0), ("y", 1.0)], 30.0, latency=0.0)
    builder.message("n", PUSH, "a", "c", [("x", 1.0), ("z", 1.0)], 4.0, latency=0.0)
    program = builder.build()
    assert dict(zip([link.name for link in program.links], program.link_bytes(), strict=True)) == {
        "x": 34.0,
        "y": 30.0,
        "z": 4.0,
    }


def test_hops_of_a_message_share_its_number():
    builder = ProgramBuilder("two", 1, "fifo")
    for name in "mn":
        builder.message(name, PUSH, "a", "b", [("x", 1.0), ("y", 1.0)], 30.0, latency=0.0)
    builder.gather("g", [])
    assert builder.build().message.tolist() == [0, 0, 1, 1, -1]


def test_a_task_of_no_time_gets_no_resource():
    builder = ProgramBuilder("t", 1)
    cpu = builder.resource("cpu", "device")
    builder.task("none", Op("forward"), cpu, 0.0)
    builder.task("some", Op("forward"), cpu, 1.0)
    assert builder.build().resource.tolist() == [-1, cpu]


def test_what_occupies_a_resource_takes_a_picosecond_at_least():
    """So that a very quick device or link still makes a valid program."""
    builder = ProgramBuilder("quick", 1, "fifo")
    builder.task("t", Op("forward"), builder.resource("cpu", "device"), 1e-15)
    builder.message("m", PUSH, "a", "b", [("x", 1e18), ("y", 1e18)], 4.0, latency=0.0)
    program = builder.build()
    assert program.check() == []
    assert program.seconds.tolist() == [SHORTEST_S] * 3


def test_seconds_may_differ_by_iteration():
    builder = ProgramBuilder("t", 2)
    builder.task("t", Op("forward"), builder.resource("cpu", "device"), [1.0, 3.0])
    np.testing.assert_array_equal(builder.build().durations[0], [1.0, 3.0])


def test_resources_and_links_are_made_on_their_first_mention():
    builder = ProgramBuilder("t", 1)
    assert builder.resource("w1", "device") == 0
    assert builder.resource("w0", "device") == 1
    assert builder.resource("w1", "device") == 0
    assert builder.link("l", 5.0) == 0
    assert builder.link("l", 5.0) == 0


def test_an_unknown_way_of_sharing_is_refused():
    with pytest.raises(ValueError, match="fair or fifo"):
        ProgramBuilder("t", 1, "rude")


def test_a_task_is_found_by_its_name():
    builder = ProgramBuilder("t", 1)
    builder.gather("a", [])
    builder.gather("b", [])
    program = builder.build()
    assert program.task("b") == 1
    with pytest.raises(KeyError):
        program.task("c")
    assert repr(program) == (
        "<Program 't': 2 tasks and 0 edges an iteration, 1 iterations, 0 resources, 0 links>"
    )
