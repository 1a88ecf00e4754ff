"""Messages on channels that share links fairly, by hand."""

import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

PUSH = Op("push", worker=0, server=0)


@pytest.fixture
def builder():
    return ProgramBuilder("by hand", 1, sharing="fair")


def send(builder, name, channel, n_bytes, links=(("link", 100.0),), **options):
    source, target = channel
    options.setdefault("latency", 0.0)
    return builder.message(name, PUSH, source, target, links, n_bytes, **options)[1]


def times(trace, name):
    row = trace.row(trace.program.task(name), 0)
    return [float(column[row]) for column in (trace.ready_s, trace.start_s, trace.end_s)]


def test_an_idle_message_takes_latency_and_its_bytes_over_the_slowest_link(builder):
    send(builder, "m", "ab", 300.0, [("wide", 400.0), ("narrow", 100.0)], latency=0.5)
    assert times(simulate(builder.build()), "m") == [0.0, 0.0, 3.5]


def test_flows_share_a_link_and_take_what_others_leave(builder):
    """100 and 300 bytes at 50 a second each; after two seconds 200 bytes are left, at 100 a second."""
    send(builder, "short", "ab", 100.0)
    send(builder, "long", "cb", 300.0)
    trace = simulate(builder.build())
    assert times(trace, "short")[2] == 2.0
    assert times(trace, "long")[2] == 4.0


def test_a_flow_that_starts_later_slows_the_one_before(builder):
    cpu = builder.resource("cpu", "device")
    wait = builder.task("wait", Op("forward"), cpu, 1.0)
    send(builder, "early", "ab", 200.0)
    send(builder, "late", "cb", 200.0, after=[wait])
    trace = simulate(builder.build())
    assert times(trace, "early")[2] == 3.0  # 100 alone, 100 at half rate
    assert times(trace, "late") == [1.0, 1.0, 4.0]  # 100 at half rate, 100 alone


def test_messages_of_one_channel_go_one_after_another_and_leave_it_at_the_last_byte(builder):
    """The second transmits while the first is still on its way: latency occupies nothing."""
    send(builder, "first", "ab", 100.0, latency=5.0)
    send(builder, "second", "ab", 100.0, latency=5.0)
    trace = simulate(builder.build())
    assert times(trace, "first") == [0.0, 0.0, 6.0]
    assert times(trace, "second") == [0.0, 1.0, 7.0]
    assert trace.free_s.tolist() == [1.0, 2.0]


def test_messages_of_one_channel_go_in_the_order_in_which_they_are_ready(builder):
    cpu = builder.resource("cpu", "device")
    wait = builder.task("wait", Op("forward"), cpu, 0.5)
    send(builder, "busy", "ab", 100.0)
    send(builder, "later", "ab", 100.0, after=[wait])
    send(builder, "sooner", "ab", 100.0)
    trace = simulate(builder.build())
    assert [times(trace, name)[1] for name in ("busy", "sooner", "later")] == [0.0, 1.0, 2.0]


def test_streams_between_the_same_two_share_instead_of_queueing(builder):
    send(builder, "first", "ab", 100.0)
    send(builder, "second", "ab", 100.0, stream=1)
    trace = simulate(builder.build())
    assert [times(trace, name) for name in ("first", "second")] == [[0.0, 0.0, 2.0]] * 2


def test_overhead_occupies_the_channel_and_leaves_the_link_to_others(builder):
    """For a second 'plain' has the link alone, then both have 100 bytes left and share."""
    send(builder, "slow start", "ab", 100.0, overhead=1.0)
    send(builder, "queued", "ab", 50.0)
    send(builder, "plain", "cb", 200.0)
    trace = simulate(builder.build())
    assert times(trace, "slow start") == [0.0, 0.0, 3.0]
    assert times(trace, "plain") == [0.0, 0.0, 3.0]
    assert times(trace, "queued") == [0.0, 3.0, 3.5]


def test_a_message_without_bytes_takes_its_overhead_and_latency(builder):
    send(builder, "empty", "ab", 0.0, overhead=1.0, latency=0.25)
    after = send(builder, "next", "ab", 100.0)
    assert after == 1
    trace = simulate(builder.build())
    assert times(trace, "empty") == [0.0, 0.0, 1.25]
    assert times(trace, "next") == [0.0, 1.0, 2.0]


def test_what_waits_for_a_message_without_bytes_is_served_in_its_turn(builder):
    """Both tasks are ready at 1 s on the same device: the lower rank goes first."""
    cpus = [builder.resource(name, "device") for name in ("cpu", "other")]
    empty = send(builder, "empty", "ab", 0.0, overhead=1.0)
    other = builder.task("other", Op("forward"), cpus[1], 1.0)
    builder.task("lower", Op("forward"), cpus[0], 1.0, after=[empty])
    builder.task("higher", Op("forward"), cpus[0], 1.0, after=[other])
    trace = simulate(builder.build())
    assert times(trace, "lower") == [1.0, 1.0, 2.0]
    assert times(trace, "higher") == [1.0, 2.0, 3.0]


def test_a_message_without_bytes_and_overhead_takes_no_channel(builder):
    first = send(builder, "empty", "ab", 0.0, latency=0.25)
    cpu = builder.resource("cpu", "device")
    builder.task("next", Op("forward"), cpu, 1.0, after=[first])
    program = builder.build()
    assert program.resource[first] == -1
    assert times(simulate(program), "next") == [0.25, 0.25, 1.25]


def test_completions_that_differ_in_the_last_digit_are_one_instant_served_by_rank(builder):
    """2.1 / 0.3 and 0.7 / 0.1 are both 7 but for rounding, which would let the second go first."""
    assert 0.7 / 0.1 < 2.1 / 0.3
    cpu = builder.resource("cpu", "device")
    one = send(builder, "one", "ab", 2.1, [("third", 0.3)])
    two = send(builder, "two", "cd", 0.7, [("tenth", 0.1)])
    builder.task("after one", Op("forward"), cpu, 1.0, after=[one])
    last = builder.task("after two", Op("forward"), cpu, 1.0, after=[two])
    send(builder, "over both", "ef", 1.0, [("third", 0.3), ("tenth", 0.1)], after=[last])
    trace = simulate(builder.build())
    instant = 0.7 / 0.1
    assert times(trace, "one")[2] == times(trace, "two")[2] == instant
    assert times(trace, "after one") == [instant, instant, instant + 1]
    assert times(trace, "after two")[1] == instant + 1


def test_a_channel_that_shares_no_link_sends_at_the_rate_of_its_slowest_link(builder):
    """One addition a message, as on a device: overhead + bytes / rate, not a share that is solved for."""
    links = [("wide", 0.7), ("narrow", 0.3)]
    send(builder, "one", "ab", 2.1, links, overhead=0.1)
    send(builder, "two", "ab", 0.8, links, latency=0.05)
    program = builder.build()
    assert program.lone_rate == [0.3]
    trace = simulate(program)
    first = 0.1 + 2.1 / 0.3
    assert times(trace, "one") == [0.0, 0.0, first]
    assert times(trace, "two") == [0.0, first, first + 0.8 / 0.3 + 0.05]


def test_a_channel_is_alone_only_where_no_other_crosses_any_of_its_links(builder):
    send(builder, "one", "ab", 1.0, [("x", 1.0), ("y", 2.0)])
    send(builder, "two", "cb", 1.0, [("z", 4.0), ("y", 2.0)])
    send(builder, "three", "de", 1.0, [("v", 3.0)])
    builder.message("urgent", PUSH, "f", "g", [("w", 3.0)], 1.0, latency=0.0, priority=1)
    assert builder.build().lone_rate == [0.0, 0.0, 3.0, 0.0]


def test_no_flow_ends_in_an_instant_whose_grants_are_made(builder):
    """At 7 s the flow has so little left that rounding would end it there and then.

    It ends after that instant instead, so that no device can have passed over what waits for it.
    """
    device, cpu = builder.resource("device", "device"), builder.resource("cpu", "device")
    trigger = builder.task("trigger", Op("forward"), device, 7.0)
    flow = send(builder, "flow", "ab", 2.1, [("third", 0.3)])
    send(builder, "other", "cd", 1.0, after=[trigger])
    builder.task("lower", Op("forward"), cpu, 1.0, after=[flow])
    builder.task("higher", Op("forward"), cpu, 1.0, after=[trigger])
    trace = simulate(builder.build())
    served = sorted((times(trace, name), name) for name in ("lower", "higher"))
    assert [name for _, name in served] == ["higher", "lower"]
    assert times(trace, "lower")[0] > 7.0
    assert times(trace, "lower")[0] == pytest.approx(7.0, rel=1e-12)


def test_a_start_edge_leaves_when_the_message_becomes_the_head_of_its_channel(builder):
    cpu = builder.resource("cpu", "device")
    send(builder, "first", "ab", 100.0)
    second = send(builder, "second", "ab", 100.0)
    told = builder.task("told", Op("forward"), cpu, 1.0)
    builder.edge(second, told, at_start=True, lag=0.25)
    assert times(simulate(builder.build()), "told") == [1.25, 1.25, 2.25]


def test_a_send_and_a_receive_of_one_machine_do_not_share(builder):
    """Full duplex: out and in are two links."""
    send(builder, "there", "ab", 100.0, [("a.out", 100.0), ("b.in", 100.0)])
    send(builder, "back", "ba", 100.0, [("b.out", 100.0), ("a.in", 100.0)])
    trace = simulate(builder.build())
    assert [times(trace, name)[2] for name in ("there", "back")] == [1.0, 1.0]


@pytest.mark.parametrize("senders", [1, 2, 3, 7])
def test_an_incast_ends_for_all_at_once(senders):
    builder = ProgramBuilder("incast", 1)
    for n in range(senders):
        send(builder, f"m{n}", (f"w{n}", "ps"), 100.0, [(f"w{n}.out", 100.0), ("ps.in", 100.0)], latency=0.5)
    trace = simulate(builder.build())
    assert trace.end_s.tolist() == pytest.approx([0.5 + senders] * senders, rel=1e-12)
    assert len(set(trace.end_s.tolist())) == 1
