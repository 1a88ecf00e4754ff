"""The compiled engine against the reference: the same traces to the last bit, as it stands and compiled."""

import sys
from pathlib import Path

import numpy as np
import pytest
import random_programs

import simpar
from simpar.errors import EngineError
from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate
from simpar.simulate.compiled import CompiledEngine
from simpar.strategies import compile as compile_strategy

NAMES_ENGINES = True

SCENARIOS = sorted(Path(__file__).parents[2].glob("scenarios/*.yaml"))

DRAWS = {
    "tasks": random_programs.draw,
    "contradictions": random_programs.draw_contradictions,
    "joins": random_programs.draw_joins,
    "servers": random_programs.draw_servers,
    "messages one at a time": lambda seed, ties: random_programs.draw_messages(seed, ties, "fifo"),
    "messages that share no links": random_programs.draw_lone,
    "rings": random_programs.draw_rings,
    "messages on shared links": lambda seed, ties: random_programs.draw_messages(seed, ties, "fair"),
}


def assert_same(program, what, **options):
    """Compare every column, so that a failure says where; then the digest, which is all of them."""
    wanted, found = simulate(program, "reference"), CompiledEngine(program, **options).run()
    for column in ("task", "iteration", "resource", "ready_s", "start_s", "end_s"):
        one, other = getattr(wanted, column), getattr(found, column)
        assert one.dtype == other.dtype, (what, column)
        assert np.array_equal(one, other), (what, column, np.flatnonzero(one != other)[:3])
    assert found.digest() == wanted.digest(), what
    assert found.engine == "compiled"


def random_programs_agree(draw, seeds, **options):
    for seed in seeds:
        program = DRAWS[draw](seed, ties=seed % 2 == 0)
        assert program.check() == [], seed
        assert_same(program, seed, **options)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("by_events", [False, True])
def test_random_programs_run_alike_in_plain_python(draw, by_events):
    random_programs_agree(draw, range(10_000, 10_200), jit=False, by_events=by_events)


@pytest.mark.parametrize("draw", DRAWS)
def test_random_programs_run_alike_compiled(draw):
    random_programs_agree(draw, range(20_000, 20_200), jit=True)


@pytest.mark.all_programs
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("jit", [False, True])
def test_thousands_of_random_programs_run_alike(draw, jit):
    random_programs_agree(draw, range(2_000), jit=jit)
    random_programs_agree(draw, range(2_000, 3_000), jit=jit, by_events=True)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_every_strategy_of_every_scenario_runs_alike(file):
    """With few steps: what differs would differ from the first on."""
    scenario = simpar.load(file, set={"run.steps": 3})
    for strategy in scenario.strategies:
        program = compile_strategy(scenario, strategy.name)
        if program.only_reference or len(program) * program.iterations > 60_000:
            continue
        assert_same(program, strategy.name)
        assert_same(program, strategy.name, jit=True)


def lopsided(iterations=40):
    """Return a program whose instances run far ahead of each other, and queue up."""
    builder = ProgramBuilder("lopsided", iterations)
    ends = []
    for worker in range(6):
        device = builder.resource(f"w{worker}", "device")
        compute = builder.task(f"w{worker}.compute", Op("forward"), device, 0.01 * (worker + 1))
        ends.append(
            builder.task(f"w{worker}.push", Op("push"), builder.resource("link", "link"), 0.02, [compute])
        )
    builder.task("last", Op("apply"), builder.resource("cpu", "server"), 0.5, ends)
    return builder.build()


@pytest.mark.parametrize("jit", [False, True])
def test_windows_and_lists_that_prove_too_small_grow(jit):
    """The fast worker is done with all iterations before the slow one is with a few."""
    assert_same(lopsided(2000), "lopsided", jit=jit)


@pytest.mark.parametrize("jit", [False, True])
def test_what_overtakes_where_it_should_not_is_run_again_by_events(jit, monkeypatch):
    """Believing that all comes in order gives the right trace, too: it is found out and run again."""
    from simpar.simulate.layout import Layout

    def everything(self, by_events):
        plain = np.ones(len(self.program), dtype=np.int8)
        return self._found(by_events) if by_events else plain

    monkeypatch.setattr(Layout, "_found", Layout._direct, raising=False)
    monkeypatch.setattr(Layout, "_direct", everything)
    assert_same(lopsided(), "lopsided", jit=jit)


@pytest.mark.parametrize("engine", ["reference", "compiled"])
def test_a_trace_keeps_the_last_iterations_or_none_and_the_totals_of_all(engine):
    program = lopsided()
    whole = simulate(program, engine)
    some = simulate(program, engine, keep=3)
    none = simulate(program, engine, keep=0)
    assert len(some) == 3 * len(program)
    assert some.iteration.min() == 37
    assert some.end_s.tolist() == whole.end_s[-len(some) :].tolist()
    assert len(none) == 0
    for trace in (whole, some, none):
        assert trace.totals.instances == 40 * len(program)
        assert trace.totals.end_s == whole.end_s.max()
        assert trace.totals.busy_s[-1] == pytest.approx(40 * 0.5)
        assert trace.totals.busy_s[1] == pytest.approx(40 * 6 * 0.02)


def test_an_interrupt_is_heard_in_the_midst_of_a_run():
    """A second Ctrl-C is not needed: the loop comes back often, and the progress says so."""

    def stop(done, whole):
        assert 0 < done < whole
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(lopsided(100_000), "compiled", progress=stop, keep=0)


def test_a_run_without_a_compiler_is_done_in_python_and_says_so(monkeypatch):
    from simpar.simulate import compiled

    monkeypatch.setitem(sys.modules, "numba", None)  # as if it were not installed
    monkeypatch.setattr(compiled, "compiled_loop", compiled.compiled_loop.__wrapped__)
    monkeypatch.setattr(compiled, "_pays", lambda instances: instances > 100)
    trace = simulate(lopsided(), "compiled")
    assert trace.note.startswith("simulated in plain Python")
    assert "numba" in trace.note
    assert trace.digest() == simulate(lopsided(), "reference").digest()
    assert simulate(lopsided(2), "compiled").note == ""


def test_a_compiler_that_fails_at_the_first_call_is_done_without(monkeypatch):
    """Numba compiles what is called when it is called: a full disk, for one, shows only then."""
    from simpar.simulate import compiled

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiled, "compiled_loop", lambda: full)
    monkeypatch.setattr(compiled, "_pays", lambda instances: True)
    trace = simulate(lopsided(), "compiled")
    assert trace.note.endswith("numba cannot be used ([Errno 28] No space left on device)")
    assert trace.digest() == simulate(lopsided(), "reference").digest()
    with pytest.raises(EngineError, match=r"cannot be compiled here: .*No space left"):
        CompiledEngine(lopsided(), jit=True).run()


def test_what_can_never_run_is_named_with_what_it_lacks():
    builder = ProgramBuilder("stuck", 3)
    device = builder.resource("d", "device")
    first = builder.task("first", Op("forward"), device, 1.0)
    batch = builder.batch("wait", [first], "count", count=1)
    update = builder.task("update", Op("apply"), builder.resource("cpu", "server"), 1.0)
    reply = builder.gather("reply", [])
    other = builder.task("other", Op("forward"), device, 1.0, [reply])
    builder.answer(batch, update, {first: reply})
    builder.edge(other, first, distance=1)
    assert len(simulate(builder.build(), "compiled")) == 5 * 3 - 3


def test_a_run_of_a_million_million_instances_is_refused_at_once():
    from dataclasses import replace

    program = replace(lopsided(), iterations=10**12)
    for engine in ("reference", "compiled"):
        with pytest.raises(EngineError, match=r"1.3e\+13 task instances"):
            simulate(program, engine)
    with pytest.raises(EngineError, match="rows, more than 2e"):
        simulate(replace(lopsided(), iterations=10**8), "compiled")
