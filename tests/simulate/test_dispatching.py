"""Dispatch nodes by hand: which slice goes where, when, under which number, and who is answered."""

from dataclasses import replace

import numpy as np
import pytest

from simpar.errors import EngineError
from simpar.program import Dispatch, Op, Program, ProgramBuilder
from simpar.simulate import simulate
from simpar.trace import critical_path

NAMES_ENGINES = True
"""The compiled engine knows no dispatch nodes."""


def bench(slices, devices, iterations=1):
    """Return a program of slices that are ready at given times and devices that take given seconds."""
    builder = ProgramBuilder("by hand", iterations)
    source = [
        builder.task(f"s{n}", Op("load", worker=n), builder.resource(f"source{n}", "device"), at)
        for n, at in enumerate(slices)
    ]
    node = builder.dispatch("dispatch", source)
    lanes = []
    for n, seconds in enumerate(devices):
        op, device = Op("forward", worker=n), builder.resource(f"w{n}", "device")
        first = builder.task(f"w{n}.first", op, device, seconds / 2)
        lanes.append([first, builder.task(f"w{n}.last", op, device, seconds / 2, [first])])
    replies = [builder.gather(f"reply{n}", []) for n in range(len(source))]
    builder.lanes(node, lanes, dict(zip(source, replies, strict=True)))
    return builder, source, replies


def checked(builder):
    program = builder.build()
    assert program.check() == []
    return program


def sent(trace):
    """Return (device, number, slice, its iteration, ready) of all that was handed out, by number."""
    program = trace.program
    found = [
        (
            int(program.tasks[first][1:].split(".")[0]),
            number,
            sender,
            iteration,
            float(trace.ready_s[trace.row(first, number)]),
        )
        for first, number, sender, iteration in trace.nodes.members.tolist()
    ]
    return sorted(found, key=lambda one: one[1])


def test_slices_go_in_the_order_in_which_they_are_ready_to_the_device_idle_longest():
    """Device 1 is idle from 3 s on, device 0 from 4 s: slice 3, of 6 s, goes to device 1."""
    builder, *_ = bench([1.0, 2.0, 0.5, 6.0], [3.0, 1.0])
    found = sent(simulate(checked(builder)))
    # 2 to device 0 (both idle since 0, lower rank) until 3.5; 0 to 1 until 2, 1 to 1 until 3; 3 to 1.
    assert found == [(0, 0, 2, 0, 0.5), (1, 1, 0, 0, 1.0), (1, 2, 1, 0, 2.0), (1, 3, 3, 0, 6.0)]


def test_of_slices_and_devices_at_one_time_the_lower_ranks_come_first():
    builder, *_ = bench([1.0] * 5, [2.0, 2.0])
    found = sent(simulate(checked(builder)))
    assert [one[:3] for one in found] == [(0, 0, 0), (1, 1, 1), (0, 2, 2), (1, 3, 3), (0, 4, 4)]
    assert [one[4] for one in found] == [1.0, 1.0, 3.0, 3.0, 5.0]


def test_a_reply_leaves_when_its_slice_is_through_in_the_slices_own_iteration():
    builder, source, replies = bench([1.0, 1.0], [4.0], iterations=2)
    for slice_, reply in zip(source, replies, strict=True):
        builder.edge(reply, slice_, distance=1)
    trace = simulate(checked(builder))
    # 0 until 5, 1 until 9; of the next iteration 0 is ready at 6 and 1 at 10.
    assert [float(trace.end_s[trace.row(replies[n], m)]) for m in range(2) for n in range(2)] == [
        5,
        9,
        13,
        17,
    ]
    assert [one[1:4] for one in sent(trace)] == [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)]
    assert trace.iteration_within[trace.rows_of([2 + 1, 2 + 2])].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_the_path_goes_back_through_the_slice_before_on_the_device():
    builder, _, replies = bench([1.0, 1.0, 1.0], [2.0])
    trace = simulate(checked(builder))
    path = critical_path(trace, trace.row(replies[2], 0))
    names = [trace.program.tasks[one.task] for one in path]
    assert names == ["s0", *["w0.first", "w0.last"] * 3]
    assert [one.start_s for one in path[1:]] == [one.end_s for one in path[:-1]]
    assert (path[0].start_s, path[-1].end_s) == (0.0, 7.0)


def test_durations_are_by_the_number_of_the_slice():
    builder, _, replies = bench([1.0, 1.0, 1.0], [2.0, 2.0])
    program = checked(builder)
    durations = {program.task(f"w{n}.first"): np.array([1.0, 5.0, 3.0]) for n in range(2)}
    trace = simulate(replace(program, durations=durations))
    # 0 to w0 from 1 to 3, 1 to w1 from 1 to 7, 2 to w0 from 3 to 7.
    assert [float(trace.end_s[trace.row(reply, 0)]) for reply in replies] == [3.0, 7.0, 7.0]
    short = replace(program, durations={program.task("w0.first"): np.array([1.0])})
    assert "1 durations for 3 updates" in str(short.check()[0])


def test_the_compiled_engine_says_that_it_cannot_and_auto_takes_the_reference():
    program = checked(bench([1.0], [1.0])[0])
    with pytest.raises(
        EngineError, match="slices that go to whoever is free; write engine: auto or reference"
    ):
        simulate(program, engine="compiled")
    trace = simulate(program)
    assert (trace.engine, "whoever is free" in trace.engine_why) == ("reference", True)


def test_a_saved_program_still_dispatches(tmp_path):
    program = checked(bench([1.0, 2.0], [1.0, 3.0])[0])
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert loaded.digest() == program.digest()
    assert loaded.dispatches == program.dispatches
    assert simulate(loaded).digest() == simulate(program).digest()


def changed(program, **fields):
    ((node, dispatch),) = program.dispatches.items()
    return replace(program, dispatches={node: replace(dispatch, **fields)})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"senders": (0,)}, "its senders are not the sources of its edges"),
        ({"lanes": ()}, "hands out to nobody"),
        ({"lanes": ((3, 4), (4, 5))}, "shares w0.last with another lane or sender"),
        ({"lanes": ((3, 99),)}, "hands out to tasks that do not exist: 99"),
        ({"lanes": ((3,), (5, 6))}, "enters or leaves a lane"),
        ({"lanes": ((4, 3), (5, 6))}, "ranks do not rise from the dispatch on"),
        ({"lanes": ((3, 4, 5, 6),)}, "not one way from the first task to the last"),
        ({"lanes": ((7,), (5, 6)), "replies": (-1, 8)}, "takes no time"),
        ({"replies": (7,)}, "has 1 replies for 2 senders"),
        ({"replies": (-1, 1)}, "ranks fall from its lanes to its replies"),
        ({"replies": (-2, 7)}, "tasks that do not exist: -2"),
        ({"replies": (2, 8)}, "is handed slices, or answers them, and is a node"),
    ],
)
def test_what_cannot_be_handed_out_is_a_problem(fields, said):
    program = checked(bench([1.0, 2.0], [1.0, 3.0])[0])
    assert program.tasks[2:9] == (
        "dispatch", "w0.first", "w0.last", "w1.first", "w1.last", "reply0", "reply1",
    )  # fmt: skip
    assert said in "\n".join(str(problem) for problem in changed(program, **fields).check())


def test_a_node_and_what_it_hands_out_belong_together():
    program = checked(bench([1.0], [1.0])[0])
    assert "is a dispatch that says nothing" in str(replace(program, dispatches={}).check()[0])
    more = program.dispatches | {0: Dispatch((0,), ((2, 3),), (-1,))}
    assert "is no node of the kind dispatch" in str(replace(program, dispatches=more).check()[0])
