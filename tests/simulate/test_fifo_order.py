"""Who is served when, on resources that serve one instance after another."""

import numpy as np
import pytest

from simpar.errors import EngineError, ProgramError
from simpar.program import Op, ProgramBuilder
from simpar.simulate import ReferenceEngine, simulate

WORK = Op("forward", worker=0)


@pytest.fixture
def builder():
    return ProgramBuilder("by hand", 1)


@pytest.fixture
def cpu(builder):
    return builder.resource("cpu", "device")


def times(trace, name, iteration=0):
    row = trace.row(trace.program.task(name), iteration)
    return [float(column[row]) for column in (trace.ready_s, trace.start_s, trace.end_s)]


def starts(trace, *names):
    return [times(trace, name)[1] for name in names]


def test_a_task_starts_when_ready_and_ends_its_seconds_later(builder, cpu):
    first = builder.task("first", WORK, cpu, 2.0)
    builder.task("then", WORK, cpu, 3.0, after=[first])
    trace = simulate(builder.build())
    assert times(trace, "first") == [0.0, 0.0, 2.0]
    assert times(trace, "then") == [2.0, 2.0, 5.0]


def test_of_tasks_ready_at_once_the_lower_rank_goes_first(builder, cpu):
    """Although the event that made the higher rank ready happens first."""
    other = [builder.resource(name, "device") for name in ("a", "b")]
    low, high = builder.task("low", WORK, cpu, 1.0), builder.task("high", WORK, cpu, 1.0)
    builder.edge(builder.task("before high", WORK, other[0], 2.0), high)
    builder.edge(builder.task("before low", WORK, other[1], 2.0), low)
    assert starts(simulate(builder.build()), "low", "high") == [2.0, 3.0]


def test_who_is_ready_first_goes_first_whatever_its_rank(builder, cpu):
    busy = builder.task("busy", WORK, cpu, 4.0)
    low, high = builder.task("low", WORK, cpu, 1.0), builder.task("high", WORK, cpu, 1.0)
    builder.edge(busy, low, at_start=True, lag=2.0)
    builder.edge(busy, high, at_start=True, lag=1.0)
    assert starts(simulate(builder.build()), "high", "low") == [4.0, 5.0]


def test_iterations_of_a_task_go_in_order():
    builder = ProgramBuilder("by hand", 3)
    builder.task("t", WORK, builder.resource("cpu", "device"), 2.0)
    trace = simulate(builder.build())
    assert [times(trace, "t", m) for m in range(3)] == [[0.0, 0.0, 2.0], [0.0, 2.0, 4.0], [0.0, 4.0, 6.0]]


def test_two_places_serve_two_at_once(builder):
    pair = builder.resource("pair", "server", capacity=2)
    for name, seconds in (("a", 3.0), ("b", 1.0), ("c", 1.0), ("d", 1.0)):
        builder.task(name, WORK, pair, seconds)
    assert starts(simulate(builder.build()), "a", "b", "c", "d") == [0.0, 0.0, 1.0, 2.0]


def test_priorities_are_compared_when_a_place_gets_free(builder):
    queue = builder.resource("queue", "server", discipline="priority")
    builder.task("first", WORK, queue, 2.0, priority=0)
    builder.task("late", WORK, queue, 1.0, priority=2)
    builder.task("soon", WORK, queue, 1.0, priority=1)
    assert starts(simulate(builder.build()), "first", "soon", "late") == [0.0, 2.0, 3.0]


def test_priorities_are_compared_when_all_of_an_instant_is_there(builder):
    """What becomes ready through another resource's grant at the same instant still counts."""
    queue = builder.resource("queue", "server", discipline="priority")
    gate = builder.resource("gate", "device")
    builder.task("urgent later", WORK, queue, 1.0, priority=5)
    first = builder.task("first", WORK, gate, 1.0)
    urgent = builder.task("urgent", WORK, queue, 1.0, priority=1)
    builder.edge(first, urgent, at_start=True)
    assert starts(simulate(builder.build()), "urgent", "urgent later") == [0.0, 1.0]


def test_equal_priorities_go_by_ready_time_then_rank(builder):
    queue = builder.resource("queue", "server", discipline="priority")
    busy = builder.task("busy", WORK, queue, 4.0)
    for name, lag in (("a", 2.0), ("b", 1.0), ("c", 2.0)):
        builder.edge(busy, builder.task(name, WORK, queue, 1.0), at_start=True, lag=lag)
    assert starts(simulate(builder.build()), "b", "a", "c") == [4.0, 5.0, 6.0]


def test_a_start_edge_without_lag_reaches_higher_ranks_before_they_are_granted(builder):
    """Ready at the same instant, rank 1 goes before rank 2 although a grant made it ready."""
    gate, cpu = builder.resource("gate", "device"), builder.resource("cpu", "device")
    first = builder.task("first", WORK, gate, 5.0)
    second = builder.task("second", WORK, cpu, 1.0)
    builder.task("third", WORK, cpu, 1.0)
    builder.edge(first, second, at_start=True)
    assert starts(simulate(builder.build()), "second", "third") == [0.0, 1.0]


def test_a_lag_delays_what_waits_and_occupies_nothing(builder, cpu):
    first, second = builder.task("first", WORK, cpu, 1.0), builder.task("second", WORK, cpu, 1.0)
    other = builder.task("other", WORK, cpu, 1.0)
    builder.edge(first, second, lag=5.0)
    builder.edge(first, other)
    assert starts(simulate(builder.build()), "other", "second") == [1.0, 6.0]


def test_an_edge_of_distance_two_waits_for_the_iteration_before_last():
    builder = ProgramBuilder("by hand", 4)
    slow, quick = (builder.resource(name, "device") for name in ("slow", "quick"))
    a, b = builder.task("a", WORK, slow, 10.0), builder.task("b", WORK, quick, 1.0)
    builder.edge(a, b, distance=2)
    trace = simulate(builder.build())
    assert [times(trace, "b", m)[0] for m in range(4)] == [0.0, 0.0, 10.0, 20.0]


def test_what_differs_by_iteration_is_taken_by_the_iteration_of_the_target():
    from dataclasses import replace

    builder = ProgramBuilder("by hand", 3)
    task = builder.task("t", WORK, builder.resource("cpu", "device"), [1.0, 2.0, 4.0])
    builder.edge(task, task, distance=1)
    program = replace(builder.build(), lags={0: np.array([100.0, 0.5, 0.25])})
    trace = simulate(program)
    assert [times(trace, "t", m) for m in range(3)] == [[0.0, 0.0, 1.0], [1.5, 1.5, 3.5], [3.75, 3.75, 7.75]]


def test_a_gather_waits_for_all_and_takes_nothing(builder):
    ends = [builder.task(f"t{n}", WORK, builder.resource(f"r{n}", "device"), float(n)) for n in (1, 3, 2)]
    builder.gather("all", ends)
    assert times(simulate(builder.build()), "all") == [3.0, 3.0, 3.0]


def test_a_task_without_edges_is_ready_at_once_in_every_iteration():
    builder = ProgramBuilder("by hand", 2)
    builder.gather("free", [])
    trace = simulate(builder.build())
    assert [times(trace, "free", m) for m in range(2)] == [[0.0] * 3] * 2


def test_rows_of_a_trace_go_by_iteration_then_task():
    builder = ProgramBuilder("by hand", 2)
    cpu = builder.resource("cpu", "device")
    second = builder.task("second", WORK, cpu, 1.0)
    builder.edge(builder.task("first", WORK, cpu, 1.0), second)
    trace = simulate(builder.build())
    assert list(zip(trace.iteration.tolist(), trace.task.tolist(), strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert trace.resource.tolist() == [0] * 4


def test_a_deadlock_names_what_waits_and_what_ran_last(builder, cpu):
    """No valid program gets there, so the engine is started without the check."""
    ran = builder.task("ran", WORK, cpu, 1.0)
    hen, egg = builder.task("hen", WORK, cpu, 1.0, after=[ran]), builder.task("egg", WORK, cpu, 1.0)
    builder.edge(hen, egg)
    builder.edge(egg, hen)
    program = builder.build()
    with pytest.raises(EngineError) as caught:
        ReferenceEngine(program).run()
    said = str(caught.value)
    assert "deadlock in by hand" in said
    assert "hen of iteration 0 (lacks 1 of 2 tokens)" in said
    assert "ran of iteration 0 at 1 s" in said


def test_the_front_door_refuses_a_program_that_breaks_a_rule(builder, cpu):
    task = builder.task("alone", WORK, cpu, 1.0)
    builder.edge(task, task)
    with pytest.raises(ProgramError, match="wait for each other"):
        simulate(builder.build())


def test_an_unknown_engine_is_refused_with_those_there_are(builder):
    with pytest.raises(EngineError, match=r"'steam'.*auto, reference"):
        simulate(builder.build(), engine="steam")


def test_progress_ends_with_everything_done(builder, cpu):
    builder.task("t", WORK, cpu, 1.0)
    said = []
    simulate(builder.build(), progress=lambda done, of: said.append((done, of)))
    assert said[-1] == (1, 1)


def test_processes_of_ones_own_run_among_the_tasks(builder, cpu):
    builder.task("t", WORK, cpu, 3.0)
    engine = ReferenceEngine(builder.build())
    seen = []

    def clock():
        while engine.env.now < 3:
            seen.append(engine.env.now)
            yield engine.env.timeout(1)

    engine.env.process(clock())
    assert times(engine.run(), "t") == [0.0, 0.0, 3.0]
    assert seen == [0, 1, 2]


def test_a_program_without_tasks_has_an_empty_trace(builder):
    assert len(simulate(builder.build())) == 0
