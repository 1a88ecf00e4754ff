"""Programs that no engine runs: refused, before the run where that can be known, with the tasks named."""

from dataclasses import replace

import numpy as np
import pytest

from simpar.errors import EngineError, ProgramError
from simpar.program import Op, ProgramBuilder
from simpar.simulate import CompiledEngine, ReferenceEngine, simulate

WORK = Op("forward", worker=0)
HUGE = 1e308


def pair(seconds=1.0, iterations=3, edges=()):
    """Return a program of tasks a, b and c on one device, b after a and a after b of the iteration before."""
    builder = ProgramBuilder("by hand", iterations)
    device = builder.resource("device", "device")
    a, b, c = (builder.task(name, WORK, device, seconds) for name in "abc")
    builder.edge(a, b)
    builder.edge(b, a, distance=1)
    for before, after, options in edges:
        builder.edge((a, b, c)[before], (a, b, c)[after], **options)
    return builder.build()


def messages(n_bytes=1.0, bytes_per_s=1.0, latency=0.0, overhead=0.0):
    """Return a program of two messages that share a link."""
    builder = ProgramBuilder("messages", 2)
    for end in "ab":
        builder.message(
            end, Op("push"), end, "c", [("l", bytes_per_s)], n_bytes, latency=latency, overhead=overhead
        )
    return builder.build()


def ring(copied_s):
    builder = ProgramBuilder("ring", 2)
    entries = [builder.gather(f"ready{lane}", []) for lane in range(2)]
    ways = [([(f"l{lane}", 1.0)], 0.0, 0.0) for lane in range(2)]
    builder.ring(0, entries, ways, [1.0, 1.0], summed_s=[0.0, 0.0], copied_s=[copied_s, 0.0])
    return builder.build()


def column(program, name, task, value):
    values = getattr(program, name).copy()
    values[task] = value
    return replace(program, **{name: values})


def on_nothing():
    builder = ProgramBuilder("timeless", 1)
    builder.task("a", WORK, builder.resource("device", "device"), 1.0)
    return column(builder.build(), "seconds", 0, 0.0)


REFUSED = {
    "a cycle at distance 0": (pair(edges=[(1, 2, {}), (2, 0, {})]), "c -> a"),
    "a task that waits for itself": (pair(edges=[(2, 2, {})]), "c -> c: wait for each other"),
    "a resource that is not there": (column(pair(), "resource", 1, 7), "b: there is no resource 7"),
    "a resource below none": (column(pair(), "resource", 2, -2), "c: there is no resource -2"),
    "a resource that is not there, whose start others wait for": (
        column(pair(edges=[(1, 2, {"at_start": True})]), "resource", 1, 7),
        "b: there is no resource 7",
    ),
    "no time on a FIFO resource": (on_nothing(), "a: occupies device for no time"),
    "ranks that fall without delay": (
        pair(edges=[(2, 0, {"at_start": True})]),
        "c -> a: ranks fall along a path without delay",
    ),
    "an iteration that starts another at once": (
        pair(edges=[(0, 2, {"at_start": True, "distance": 1})]),
        "a -> c: starts an iteration without any delay",
    ),
    "a duration that is no number": (column(pair(), "seconds", 1, np.nan), "b: seconds is nan"),
    "bytes that are no number": (column(messages(), "bytes", 1, np.nan), "b: bytes is nan"),
    "an endless lag": (pair(edges=[(0, 2, {"lag": np.inf})]), "a -> c: lag is inf"),
    "a duration in one iteration that is no number": (
        replace(pair(), durations={2: np.array([1.0, np.nan, 1.0])}),
        "c: a duration is shorter than 1 ps, infinite or not a number",
    ),
    "times that overflow together": (pair(HUGE), "a: takes so long"),
    "times that overflow in one iteration": (
        replace(pair(), durations={1: np.array([1.0, HUGE, 1.0])}),
        "b: takes so long",
    ),
    "lags that overflow": (pair(edges=[(0, 2, {"lag": HUGE})]), "a -> c: takes so long"),
    "lags that overflow in one iteration": (
        replace(pair(), lags={1: np.array([0.0, HUGE, 0.0])}),
        "b -> a: takes so long",
    ),
    "a latency that overflows": (messages(latency=HUGE), "a: takes so long"),
    "an overhead that overflows": (messages(overhead=HUGE), "a: takes so long"),
    "bytes for which a link is too slow": (messages(1e200, 1e-200), "a: takes so long"),
    "bytes that overflow on any link": (messages(HUGE, 1e300), "a: takes so long"),
    "bytes that take longer in one iteration": (
        replace(messages(1e200), stretch={1: np.array([1.0, 1e200])}),
        "b: takes so long",
    ),
    "sums that take too long to store": (ring(HUGE), "w0.all_gather.b0.s1: takes so long"),
}


@pytest.mark.parametrize(("program", "said"), REFUSED.values(), ids=REFUSED)
def test_a_program_that_breaks_a_rule_is_refused_before_it_runs_and_the_tasks_are_named(program, said):
    with pytest.raises(ProgramError) as caught:
        simulate(program)
    assert said in str(caught.value)


@pytest.mark.parametrize("iterations", [10**12, 10**30, 10**400])
def test_too_many_instances_are_refused_before_anything_is_laid_out(iterations):
    with pytest.raises(EngineError, match=r"by hand has .* task instances .* run fewer iterations"):
        simulate(pair(iterations=iterations), keep=0)


def test_long_times_that_stay_far_from_overflowing_are_run():
    """Nobody's patience, but a number: 3 iterations of three tasks, one after the other, 1e290 s each."""
    trace = simulate(pair(1e290))
    assert trace.end_s.max() == pytest.approx(9e290)


def stuck():
    """Return two tasks that wait for nothing but each other."""
    builder = ProgramBuilder("by hand", 2)
    device = builder.resource("device", "device")
    builder.task("free", WORK, device, 1.0)
    hen = builder.task("hen", WORK, device, 1.0)
    egg = builder.task("egg", WORK, device, 1.0, [hen])
    builder.edge(egg, hen)
    return builder.build()


def test_a_deadlock_names_the_tasks_that_wait(engine):
    """No valid program gets there, so the engines are started without the check."""
    made = ReferenceEngine(stuck()) if engine == "reference" else CompiledEngine(stuck())
    with pytest.raises(EngineError, match=r"deadlock in by hand: 2 instances ran, waiting are .*hen"):
        made.run()
