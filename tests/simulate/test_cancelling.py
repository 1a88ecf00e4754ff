"""Joins that stop what feeds them when they fire, by hand: what ends when, and who gets the resource then."""

import numpy as np
import pytest

from simpar.errors import EngineError
from simpar.program import Op, Program, ProgramBuilder
from simpar.simulate import simulate

NAMES_ENGINES = True
"""The compiled engine knows no such joins."""


def ends(trace, name):
    task = trace.program.task(name)
    return [(float(trace.start_s[row]), float(trace.end_s[row])) for row in trace.rows_of([task]).tolist()]


def stopped(trace):
    """Return the share done of what was stopped, by name and iteration."""
    names = trace.program.tasks
    return {
        (names[task], iteration): share
        for (task, iteration), share in zip(
            trace.nodes.cancelled.tolist(), trace.nodes.done_frac.tolist(), strict=True
        )
    }


def bench(*seconds, iterations=1, k=1, after=0.0):
    """Return a builder with a worker for each of *seconds* and a join of their *k* first that cancels."""
    builder = ProgramBuilder("by hand", iterations)
    work = [
        builder.task(f"work{n}", Op("forward", worker=n), builder.resource(f"w{n}", "device"), one)
        for n, one in enumerate(seconds)
    ]
    last = work
    if after:
        last = [
            builder.task(
                f"after{n}", Op("backward", worker=n), builder.resource(f"w{n}", "device"), after, [w]
            )
            for n, w in enumerate(work)
        ]
    return builder, work, builder.join("join", last, k, cancels=True)


def checked(builder):
    program = builder.build()
    assert program.check() == []
    return program


def test_what_runs_ends_when_the_join_fires_and_what_comes_after_it_takes_no_time():
    builder, _, join = bench(1.0, 4.0, after=1.0)
    trace = simulate(checked(builder))
    assert ends(trace, "join") == [(2.0, 2.0)]
    assert ends(trace, "work1") == [(0.0, 2.0)]
    assert ends(trace, "after1") == [(2.0, 2.0)]
    assert stopped(trace) == {("work1", 0): 0.5, ("after1", 0): 0.0}
    assert trace.nodes.dropped.tolist() == [[join, 0, trace.program.task("after1")]]


def test_the_resource_is_free_for_the_next_iteration_at_once():
    """Both begin every iteration when the join has fired: at 0, 1 and 2 s."""
    builder, work, join = bench(1.0, 5.0, iterations=3)
    for one in work:
        builder.edge(join, one, distance=1)
        builder.edge(one, one, distance=1)
    trace = simulate(checked(builder))
    assert ends(trace, "work1") == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    assert set(stopped(trace).values()) == {0.2}


def test_what_waits_for_its_turn_leaves_the_queue():
    """Two tasks of one device feed the join, which the first fires; a third task then has the device."""
    builder = ProgramBuilder("by hand", 1)
    device = builder.resource("w0", "device")
    first, second = (builder.task(f"t{n}", Op("forward", worker=0), device, 2.0) for n in range(2))
    builder.join("join", [first, second], 1, cancels=True)
    builder.task("other", Op("forward", worker=0), device, 1.0)
    trace = simulate(checked(builder))
    # The second was granted the device in the instant in which the first ended, or not at all.
    assert ends(trace, "t1") == [(2.0, 2.0)]
    assert ends(trace, "other") == [(2.0, 3.0)]


def test_who_ends_in_the_instant_in_which_the_join_fires_is_not_stopped():
    builder, work, join = bench(2.0, 2.0, 3.0)
    trace = simulate(checked(builder))
    assert stopped(trace) == {("work2", 0): pytest.approx(2 / 3)}
    assert sorted(sender for *_, sender in trace.nodes.dropped.tolist()) == work[1:]
    assert [one[:2] for one in trace.nodes.dropped.tolist()] == [[join, 0]] * 2


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_message_gives_its_link_back_with_part_of_its_bytes_sent(sharing):
    """Two messages of 100 B share a link of 100 B/s when a worker is through at 0.5 s: 50 B are sent by then.

    Shared fairly each has sent a quarter; in turn, the first has sent half. A third has the link then.
    """
    builder = ProgramBuilder("by hand", 1, sharing)
    quick = builder.task("quick", Op("forward", worker=9), builder.resource("w9", "device"), 0.5)
    link = [("w.out", 1e9), ("ps0.in", 100.0)]
    sent = [
        builder.message(f"m{n}", Op("push", worker=n), f"w{n}", "ps0", link, 100.0, latency=0.0)[1]
        for n in range(2)
    ]
    join = builder.join("join", [quick, *sent], 1, cancels=True)
    _, last = builder.message(
        "next", Op("push", worker=5), "w5", "ps0", link, 100.0, latency=0.0, after=[join]
    )
    trace = simulate(checked(builder))
    shares = stopped(trace)
    done = [shares[name, 0] for name in trace.program.tasks if (name, 0) in shares and "out" not in name]
    assert done == pytest.approx([0.25, 0.25] if sharing == "fair" else [0.5, 0.0], abs=1e-6)
    assert float(trace.end_s[trace.row(last, 0)]) == pytest.approx(1.5)


def test_a_message_whose_last_byte_has_left_arrives():
    builder = ProgramBuilder("by hand", 1)
    quick = builder.task("quick", Op("forward", worker=9), builder.resource("w9", "device"), 1.5)
    _, sent = builder.message("m", Op("push", worker=0), "w0", "ps0", [("l", 100.0)], 100.0, latency=1.0)
    builder.join("join", [quick, sent], 1, cancels=True)
    trace = simulate(checked(builder))
    assert ends(trace, "m") == [(0.0, 2.0)]
    assert stopped(trace) == {}
    assert trace.nodes.dropped[:, 2].tolist() == [sent]


def test_what_a_join_stops_may_feed_nothing_else():
    builder, work, _ = bench(1.0, 2.0)
    builder.gather("other", work[:1])
    (problem,) = builder.build().check()
    assert "join cancels the one, and the other counts on it" in str(problem)


def test_the_compiled_engine_says_that_it_cannot_and_auto_takes_the_reference():
    program = checked(bench(1.0, 2.0)[0])
    with pytest.raises(EngineError, match="joins that cancel what is late; write engine: auto or reference"):
        simulate(program, engine="compiled")
    trace = simulate(program)
    assert trace.engine == "reference"
    assert trace.engine_why == "the compiled engine does not know joins that cancel what is late"


def test_the_last_iterations_can_be_kept_alone():
    builder, work, join = bench(1.0, 5.0, iterations=4)
    for one in work:
        builder.edge(join, one, distance=1)
    program = checked(builder)
    whole, last = simulate(program), simulate(program, keep=2)
    assert last.iteration.min() == 2
    assert last.nodes.cancelled[:, 1].tolist() == [2, 3]
    assert len(last.stopped_rows) == 2
    np.testing.assert_array_equal(last.end_s, whole.end_s[whole.iteration >= 2])


def test_a_saved_program_still_cancels(tmp_path):
    program = checked(bench(1.0, 2.0)[0])
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert loaded.digest() == program.digest()
    assert simulate(loaded).digest() == simulate(program).digest()
