"""The order of a replay: every instance once, as they ended, none before what it waited for."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simpar.errors import EngineError
from simpar.execute.order import Order
from simpar.program import NODE_BATCH, Op, ProgramBuilder
from simpar.simulate import simulate

sys.path.append(str(Path(__file__).parents[1] / "simulate"))
import random_programs

DRAWS = {
    "tasks": random_programs.draw,
    "joins": random_programs.draw_joins,
    "servers": random_programs.draw_servers,
    "messages, shared": lambda seed, ties: random_programs.draw_messages(seed, ties, "fair"),
    "messages, one at a time": lambda seed, ties: random_programs.draw_messages(seed, ties, "fifo"),
    "rings": random_programs.draw_rings,
}


class Log:
    """What a replay was told, step by step."""

    def __init__(self, trace):
        self.begun, self.finished, self.tokens = {}, {}, {}
        self.order, self.trace = [], trace

    def begin(self, task, iteration, tokens):
        self.begun[task, iteration] = len(self.order)
        self.tokens[task, iteration] = [(one.task, one.iteration) for one in tokens]
        assert all(one.load == ("from", one.task, one.iteration) for one in tokens)
        return "from", task, iteration

    def finish(self, task, iteration, held):
        assert held == ("from", task, iteration)
        self.finished[task, iteration] = len(self.order)
        self.order.append((task, iteration))
        return held


def logged(trace):
    log = Log(trace)
    assert Order(trace).run(log.begin, log.finish) == len(trace)
    return log


@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("ties", [False, True])
def test_every_instance_once_as_they_ended_and_after_what_it_waited_for(kind, ties):
    for seed in range(80):
        trace = simulate(DRAWS[kind](seed, ties))
        program = trace.program
        into_joins = [(u, v) for u, v, *_ in program.edges() if v in program.joins]
        if len(into_joins) > len(set(into_joins)):
            continue  # one task over two edges: what is dropped is known by task only
        log = logged(trace)
        instances = set(zip(trace.task.tolist(), trace.iteration.tolist(), strict=True))
        assert set(log.order) == instances
        assert len(log.order) == len(instances)
        ends = [float(trace.end_s[trace.row(*one)]) for one in log.order]
        assert ends == sorted(ends)
        dropped = set() if trace.nodes is None else {tuple(one) for one in trace.nodes.dropped.tolist()}
        for source, target, distance, _, at_start in program.edges():
            if program.node[target] == NODE_BATCH:
                continue
            for iteration in range(distance, program.iterations):
                sender = source, iteration - distance
                if (target, iteration, source) in dropped:
                    assert sender not in log.tokens[target, iteration]
                    continue
                assert sender in log.tokens[target, iteration]
                if not at_start:
                    assert log.finished[sender] < log.begun[target, iteration]


@pytest.mark.parametrize("ties", [False, True])
def test_an_update_gets_the_tokens_of_its_members_and_gives_their_replies_one(ties):
    answered = early = 0
    for seed in range(60):
        trace = simulate(random_programs.draw_servers(seed, ties))
        if not trace.program.batches:
            continue
        log = logged(trace)
        for (update, number), members in trace.nodes.members_of.items():
            batch = trace.program.batches[trace.program.batch_of_update[update]]
            assert sorted(log.tokens[update, number]) == sorted(members)
            reply_of = dict(zip(batch.senders, batch.replies, strict=True))
            for place, (sender, iteration) in enumerate(members):
                if reply_of[sender] < 0:
                    continue
                at_once = batch.at_once and (
                    place < len(members) - 1 or (update, number) in trace.nodes.short
                )
                tokens = log.tokens[reply_of[sender], iteration]
                assert ((update, number) in tokens) == (not at_once)
                answered, early = answered + 1, early + at_once
    assert early > 20, "nobody was answered early, so that nothing was tested"
    assert answered > 2 * early


def chain():
    builder = ProgramBuilder("chain", 3)
    device = builder.resource("w0", "device")
    first = builder.task("first", Op("forward"), device, 1.0)
    builder.task("second", Op("backward"), device, 1.0, [first])
    return simulate(builder.build())


def test_a_trace_that_lacks_rows_is_refused_by_name():
    whole = chain()
    keep = ~((whole.task == 1) & (whole.iteration == 2))
    columns = ("task", "iteration", "resource", "ready_s", "start_s", "end_s")
    part = replace(whole, **{name: getattr(whole, name)[keep] for name in columns})
    with pytest.raises(EngineError, match=r"no second of iteration 2.*all rows"):
        Order(part).run(lambda *_: None, lambda *_: None)


def test_a_trace_with_rows_of_nothing_is_refused():
    whole = chain()
    more = replace(
        whole,
        **{
            name: np.append(getattr(whole, name), getattr(whole, name)[-1]) for name in ("ready_s", "start_s")
        },
        task=np.append(whole.task, np.int32(1)),
        iteration=np.append(whole.iteration, np.int32(3)),
        resource=np.append(whole.resource, np.int32(0)),
        end_s=np.append(whole.end_s, 9.0),
    )
    with pytest.raises(EngineError, match="second of iteration 3 waits for what the trace"):
        Order(more).run(lambda *_: None, lambda *_: None)


def test_it_stops_when_it_is_told_to():
    log = Log(chain())
    assert Order(log.trace).run(log.begin, log.finish, lambda: len(log.order) >= 4) == 4
