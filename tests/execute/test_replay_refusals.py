"""What a replay refuses, and what it says: the step, the task, the strategy."""

from dataclasses import replace

import numpy as np
import pytest
from plain_training import Sgd
from replay_lab import LAB

import simpar
from simpar.errors import EngineError, ProgramError
from simpar.execute.replay import replay
from simpar.program import Op


def without(trace, *names, **meta):
    """Return *trace* of a program that says less of itself."""
    left = {name: value for name, value in trace.program.meta.items() if name not in names}
    return replace(trace, program=replace(trace.program, meta=left | meta))


def with_op(trace, kind, other):
    ops = tuple(op._replace(kind=other) if op.kind == kind else op for op in trace.program.ops)
    return replace(trace, program=replace(trace.program, ops=ops))


def test_a_loss_that_is_no_number_stops_it_and_names_step_and_task():
    trace = LAB.trace(LAB.scenario({"ps-sync": {}}, workers=3))
    inputs, targets = LAB.test

    def source(first, count):
        some, wanted = LAB.source(first, count)
        return (some * np.inf if first == 2 * 9 + 3 else some), wanted  # worker 1 in iteration 2

    with pytest.raises(
        EngineError, match=r"the loss of w1\.forward in iteration 2 is nan: training diverges"
    ):
        replay(trace, LAB.model, LAB.parameters, source, lambda: Sgd(0.1), test=(inputs, targets))


def test_a_rate_that_is_far_too_high_is_said_in_one_line():
    trace = LAB.trace(LAB.scenario({"ps-async": {}}, workers=3))
    with pytest.raises(EngineError) as refused:
        replay(trace, LAB.model, LAB.parameters, LAB.source, lambda: Sgd(1e200), test=LAB.test)
    assert "training diverges" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("fact", ["batch", "global_batch", "dtype_bytes", "slices"])
def test_a_program_that_says_too_little_is_refused_by_name(fact):
    trace = without(LAB.trace(LAB.scenario({"ps-sync": {}})), fact)
    with pytest.raises(ProgramError, match=rf"ps-sync cannot be executed: its meta has no '{fact}'"):
        LAB.replay(trace)


def test_a_strategy_whose_ops_nobody_knows_is_refused_by_its_kind():
    trace = with_op(LAB.trace(LAB.scenario({"ps-sync": {}})), "push", "whisper")
    with pytest.raises(ProgramError, match="ps-sync cannot be executed: nobody knows how to perform whisper"):
        LAB.replay(trace)


def test_a_strategy_without_ops_is_refused_by_its_kind():
    trace = LAB.trace(LAB.scenario({"single": {}}))
    ops = tuple(Op("gather") for _ in trace.program.ops)
    bare = replace(trace, program=replace(trace.program, ops=ops))
    with pytest.raises(ProgramError, match="single cannot be executed: its tasks do not say what they do"):
        LAB.replay(bare)


def test_servers_that_hold_another_model_are_refused():
    trace = LAB.trace(LAB.scenario({"ps-sync": {}}))
    slices = trace.program.meta["slices"]
    fewer = {name: column[:-1] for name, column in slices.items()}
    with pytest.raises(ProgramError, match="its servers hold 192 parameters and the model has 197"):
        LAB.replay(without(trace, slices=fewer))


def test_collectives_that_do_not_say_where_messages_begin_are_refused():
    trace = LAB.trace(LAB.scenario({"allreduce": {"algorithm": "tree"}}))
    with pytest.raises(ProgramError, match="it has 6 messages of collectives and says of 5 where they begin"):
        LAB.replay(without(trace, begins=[0] * 5))


def test_a_trace_that_keeps_its_last_iterations_only_is_refused():
    program = simpar.compile(LAB.scenario({"ps-sync": {}}), "ps-sync")
    with pytest.raises(EngineError, match="all rows of a run are needed"):
        LAB.replay(simpar.simulate(program, keep=2))
