"""A network of packets, in virtual time, against closed forms."""

import pytest

import simpar
from simpar.execute.homes import Homes
from simpar.execute.packets import MOST_PACKETS, Packets
from simpar.program import Op, ProgramBuilder

RATE = 1e8
SIZE = 1e6
LATENCY = 1e-3


def network(ways, sharing="fair", sizes=None, **how):
    """Return packets and the tasks of messages that go *ways*, as (source, target, links)."""
    builder = ProgramBuilder("network", 4, sharing)
    tasks = []
    for number, (source, target, links) in enumerate(ways):
        op = Op("push", worker=int(source[1:]), server=int(target[2:]))
        size = SIZE if sizes is None else sizes[number]
        given = {"latency": LATENCY} | {key: value[number] for key, value in how.items()}
        first, _ = builder.message(f"m{number}", op, source, target, links, size, **given)
        tasks.append(first)
    program = builder.build({})
    return Packets(program, Homes(program)), tasks


def arrivals(packets, entered):
    """Let messages enter as (task, iteration, at) and return when each is there."""
    found = {}
    for task, iteration, at_s in sorted(entered, key=lambda one: one[2]):
        for one in packets.advance(at_s):
            found[one.task, one.iteration] = one.due_s
        packets.enter(task, iteration, at_s)
    for one in packets.advance(1e9):
        found[one.task, one.iteration] = one.due_s
    return found


def to_server(worker, rate=RATE):
    return (f"w{worker}", "ps0", [(f"w{worker}.out", rate), ("ps0.in", rate)])


def test_one_message_takes_its_bytes_and_its_latency():
    packets, (task,) = network([to_server(0)])
    assert arrivals(packets, [(task, 0, 2.0)]) == {(task, 0): pytest.approx(2.0 + SIZE / RATE + LATENCY)}


@pytest.mark.parametrize("senders", [2, 3, 5])
def test_what_is_sent_to_one_server_shares_its_link(senders):
    """All are there after all bytes; who is first is so by one packet of each other at most."""
    packets, tasks = network([to_server(worker) for worker in range(senders)])
    there = sorted(arrivals(packets, [(task, 0, 0.0) for task in tasks]).values())
    whole = senders * SIZE / RATE
    assert there[-1] == pytest.approx(whole + LATENCY)
    assert there[0] >= (whole + LATENCY) * (1 - 1.5 * senders / MOST_PACKETS)


def test_a_message_that_comes_later_gets_its_share():
    """One begins half a message later: the first is there after 1.5 messages, the second after 2."""
    packets, (one, other) = network([to_server(0), to_server(1)])
    lone = SIZE / RATE
    there = arrivals(packets, [(one, 0, 0.0), (other, 0, lone / 2)])
    assert there[one, 0] == pytest.approx(1.5 * lone + LATENCY, rel=0.03)
    assert there[other, 0] == pytest.approx(2 * lone + LATENCY, rel=0.001)


def test_taken_in_turn_the_first_is_through_first():
    packets, tasks = network([to_server(0), to_server(1)], sharing="fifo")
    there = arrivals(packets, [(tasks[0], 0, 0.0), (tasks[1], 0, 1e-5)])
    lone = SIZE / RATE
    assert there[tasks[0], 0] == pytest.approx(lone + LATENCY)
    assert there[tasks[1], 0] == pytest.approx(2 * lone + LATENCY)


def test_messages_of_one_channel_go_one_after_another():
    packets, (task,) = network([to_server(0)])
    there = arrivals(packets, [(task, 0, 0.0), (task, 1, 0.0)])
    lone = SIZE / RATE
    assert there[task, 0] == pytest.approx(lone + LATENCY)
    assert there[task, 1] == pytest.approx(2 * lone + LATENCY)


@pytest.mark.parametrize(("first", "second"), [(1.0, 4.0), (4.0, 1.0)])
def test_the_slower_of_two_links_counts(first, second):
    links = [("w0.out", first * RATE), ("ps0.in", second * RATE)]
    packets, (task,) = network([("w0", "ps0", links)])
    assert arrivals(packets, [(task, 0, 0.0)])[task, 0] == pytest.approx(SIZE / RATE + LATENCY, rel=0.001)


def test_an_overhead_goes_before_the_bytes():
    packets, (task,) = network([to_server(0)], overhead=[0.25])
    assert arrivals(packets, [(task, 0, 0.0)])[task, 0] == pytest.approx(0.25 + SIZE / RATE + LATENCY)


def test_what_is_urgent_goes_first():
    """Three messages of two channels to one server: the urgent one overtakes the one that waits."""
    builder = ProgramBuilder("urgent", 1)
    tasks = []
    for number, priority in enumerate((0, 2, 1)):
        op = Op("push", worker=0, server=0, key=number)
        links = to_server(0)[2]
        first, _ = builder.message(
            f"m{number}", op, "w0", "ps0", links, SIZE, latency=LATENCY, priority=priority
        )
        tasks.append(first)
    program = builder.build({})
    there = arrivals(Packets(program, Homes(program)), [(task, 0, 0.0) for task in tasks])
    assert [there[task, 0] for task in tasks] == [
        pytest.approx(turn * SIZE / RATE + LATENCY) for turn in (1, 3, 2)
    ]


def test_what_is_heard_of_late_takes_nobodys_place():
    """A message whose word comes after others were sent cannot use time that the link has given away."""
    packets, tasks = network([to_server(0), to_server(1)])
    packets.enter(tasks[0], 0, 0.0)
    lone = SIZE / RATE
    assert [one.due_s for one in packets.advance(1.5 * lone)] == [pytest.approx(lone + LATENCY)]
    packets.enter(tasks[1], 0, 0.5 * lone)
    assert [one.due_s for one in packets.advance(9.0)] == [pytest.approx(2 * lone + LATENCY)]


def test_the_simulator_foresees_what_packets_do(scene):
    """Three workers push to two servers and pull back: each step of fair flows, within 2 percent."""
    scenario = scene({"ps-sync": {"servers": 2}}, workers=3)
    program = simpar.compile(scenario, "ps-sync")
    trace = simpar.simulate(program)
    packets = Packets(program, Homes(program))
    sent = [
        (task, m, float(trace.ready_s[trace.row(task, m)]))
        for task in range(len(program))
        if program.message[task] >= 0
        for m in range(program.iterations)
    ]
    there = arrivals(packets, sent)
    steps = {m: max(due for (_, n), due in there.items() if n == m) for m in range(program.iterations)}
    for m in range(1, program.iterations):
        ends = [trace.end_s[trace.row(task, m)] for task, n, _ in sent if n == m]
        begins = [trace.ready_s[trace.row(task, m)] for task, n, _ in sent if n == m]
        assert steps[m] - min(begins) == pytest.approx(max(ends) - min(begins), rel=0.02)
