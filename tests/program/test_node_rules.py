"""Every rule for joins and batches, each broken alone."""

from dataclasses import replace

import numpy as np
import pytest

from simpar.program import NODE_BATCH, NODE_JOIN, Batch, Op, Program, ProgramBuilder

WORK = Op("forward", worker=0)


def made(mode="count", update_s=1.0, **options):
    """Return two senders, a join of one of them, and a batch of both with its update and replies."""
    builder = ProgramBuilder("by hand", 2)
    cpu = builder.resource("cpu", "server")
    senders = [builder.task(name, WORK, cpu, 1.0) for name in "ab"]
    builder.join("join", senders, 1)
    batch = builder.batch("batch", senders, mode, **options)
    update = builder.task("update", Op("apply"), cpu, update_s)
    replies = [builder.gather(f"reply {name}", []) for name in "ab"]
    builder.answer(batch, update, dict(zip(senders, replies, strict=True)))
    return builder.build()


def batch(program, **changes):
    (node,) = program.batches
    return replace(program, batches={node: replace(program.batches[node], **changes)})


def node(program, task, kind):
    column = program.node.copy()
    column[program.task(task)] = kind
    return replace(program, node=column)


def with_edge(program, source, target, distance=0, at_start=False, lag=0.0):
    added = {
        "source": program.task(source),
        "target": program.task(target),
        "distance": distance,
        "lag": lag,
        "at_start": at_start,
    }
    columns = {}
    for name, value in added.items():
        old = getattr(program, name)
        columns[name] = np.append(old, np.array([value], dtype=old.dtype))
    return replace(program, **columns)


@pytest.mark.parametrize(
    "options",
    [
        {"count": 2},
        {"mode": "drain"},
        {"mode": "timeout", "timeout_s": 0.1, "count": 2},
        {"count": 5, "at_once": True},
        {"count": 4, "window": 2},
        {"update_s": 0.0},
    ],
)
def test_what_can_fill_update_and_reply_is_right(options):
    assert made(**options).check() == []


def without_join(program):
    return replace(program, joins={})


UPDATE, BATCH = 4, 3
BROKEN = [
    (lambda: replace(made(), joins={2: 3}), "join", "waits for 3 of 2 tokens"),
    (lambda: replace(made(), joins={2: 0}), "join", "waits for 0 of 2 tokens"),
    (lambda: without_join(made()), "join", "is a join that says nothing"),
    (lambda: replace(made(), joins={2: 1, 5: 1}), "reply a", "is no node of the kind join"),
    (lambda: node(made(), "reply a", NODE_JOIN), "reply a", "is a join that says nothing"),
    (lambda: replace(made(), batches={}), "batch", "is a batch that says nothing"),
    (lambda: node(made(), "a", 7), "a", "nodes of kind 7"),
    (lambda: node(made(), "a", NODE_BATCH), "a", "is a batch that says nothing"),
    (lambda: made(mode="sometimes"), "batch", "unknown mode 'sometimes'"),
    (lambda: made(count=0), "batch", "closes at 0 tokens"),
    (lambda: made(count=3), "batch", "closes at 3 tokens, but only 2 can be without a reply"),
    (lambda: made(mode="timeout", count=3, timeout_s=1.0), "batch", "only 2 can be without a reply"),
    (lambda: made(mode="timeout"), "batch", "closes 0.0 s after its first token"),
    (lambda: made(mode="timeout", timeout_s=float("nan")), "batch", "closes nan s after"),
    (lambda: made(mode="drain", at_once=True), "batch", "answers at once in mode 'drain'"),
    (lambda: made(mode="drain", update_s=0.0), "update", "drains batch in no time"),
    (lambda: batch(made(), update=-1), "batch", "is a batch without an update"),
    (lambda: batch(made(), update=99), "batch", "is a batch without an update"),
    (lambda: batch(made(), senders=(0,), replies=(5,)), "batch", "its senders are not the sources"),
    (lambda: batch(made(), replies=(5,)), "batch", "has 1 replies for 2 senders"),
    (lambda: batch(made(), replies=(5, 5)), "batch", "shares reply a with another"),
    (lambda: batch(made(), replies=(5, 99)), "batch", "replies with task 99, which is no plain task"),
    (lambda: batch(made(), replies=(5, -2)), "batch", "replies with -2"),
    (lambda: with_edge(made(), "a", "update"), "update", "updates batch, and has edges"),
    (lambda: with_edge(made(), "update", "reply a"), "update", "updates batch, and has edges"),
    (lambda: with_edge(made(), "batch", "reply a"), "batch", "has edges out of it"),
    (lambda: with_edge(made(), "a", "batch"), "batch", "its senders are not the sources"),
    (lambda: batch(made(), update=1, senders=(0, 1)), "b", "updates batch, and has edges"),
]


@pytest.mark.parametrize(("program", "path", "said"), BROKEN)
def test_what_breaks_a_rule_is_named(program, path, said):
    found = program().check()
    assert any(problem.path == path and said in problem.message for problem in found), found


def test_a_token_of_another_iteration_or_of_a_start_is_refused():
    for options in ({"distance": 1}, {"at_start": True, "lag": 0.5}):
        builder = ProgramBuilder("by hand", 2)
        cpu = builder.resource("cpu", "server")
        sender = builder.task("a", WORK, cpu, 1.0)
        gathered = builder.batch("batch", [sender])
        builder._edges.clear()
        builder.edge(sender, gathered, **options)
        builder.answer(gathered, builder.task("update", Op("apply"), cpu, 1.0))
        (problem,) = builder.build().check()
        assert problem.path == "batch"
        assert "gathers what is no end of the same iteration" in problem.message


def test_ranks_rise_from_a_batch_to_its_update_to_its_replies():
    builder = ProgramBuilder("by hand", 1)
    cpu = builder.resource("cpu", "server")
    update = builder.task("update", Op("apply"), cpu, 1.0)
    sender = builder.task("a", WORK, cpu, 1.0)
    builder.answer(builder.batch("batch", [sender]), update)
    (problem,) = builder.build().check()
    assert problem.path == "batch -> update"


def test_an_update_has_a_duration_for_each_push_that_there_may_be():
    program = made()
    few = replace(program, durations={UPDATE: np.ones(3)})
    (problem,) = few.check()
    assert problem.message == "3 durations for 4 updates that there may be"
    assert replace(program, durations={UPDATE: np.ones(4)}).check() == []


def test_nodes_are_saved_loaded_and_part_of_the_digest(tmp_path):
    program = made(mode="timeout", timeout_s=0.25, count=2)
    program.save(tmp_path / "p.npz")
    loaded = Program.load(tmp_path / "p.npz")
    assert loaded.joins == {2: 1}
    assert loaded.batches == {BATCH: Batch("timeout", UPDATE, (0, 1), (5, 6), 2, 0.25)}
    assert loaded.digest() == program.digest()
    others = [batch(program, count=1), batch(program, timeout_s=0.5), replace(program, joins={2: 2})]
    assert len({program.digest(), *(other.digest() for other in others)}) == 4
