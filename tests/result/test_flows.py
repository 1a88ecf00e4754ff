"""What a message had sent by some moment, by hand."""

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.result.flows import sent_share
from simpar.simulate import simulate

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
