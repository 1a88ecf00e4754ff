"""Every rule for rings, each broken alone."""

from dataclasses import replace

import pytest

from simpar.program import NODE_TASK, Op, Program, ProgramBuilder

LANES = 3


def made():
    """Return three workers that compute, sum round a ring, and wait for it."""
    builder = ProgramBuilder("by hand", 2)
    devices = [builder.resource(f"w{lane}", "device") for lane in range(LANES)]
    computes = [builder.task(f"c{lane}", Op("forward"), on, 1.0) for lane, on in enumerate(devices)]
    ways = [([(f"l{lane}", 10.0)], 0.5, 0.0) for lane in range(LANES)]
    nothing = [0.0] * LANES
    exits = builder.ring(0, computes, ways, [5.0, 5.0, 5.0], summed_s=nothing, copied_s=nothing)
    for lane in range(LANES):
        end = builder.gather(f"end{lane}", [exits[lane - 1]])
        builder.edge(end, computes[lane], distance=1)
    return builder.build()


def ring(program, **changes):
    return replace(program, rings=(replace(program.rings[0], **changes),))


def column(program, name, task, value):
    changed = getattr(program, name).copy()
    changed[program.task(task)] = value
    return replace(program, **{name: changed})


def edge(program, which, **changes):
    columns = {name: getattr(program, name).copy() for name in changes}
    for name, value in changes.items():
        columns[name][which] = value
    return replace(program, **columns)


LAST = "w0.all_gather.b0.s3"


def test_a_ring_by_hand_breaks_no_rule_and_survives_a_file(tmp_path):
    program = made()
    assert program.check() == []
    program.save(tmp_path / "ring.npz")
    again = Program.load(tmp_path / "ring.npz")
    assert again.rings == program.rings
    assert again.digest() == program.digest() != program.expanded().digest()
    assert "9 messages in 1 rings" in repr(program)


@pytest.mark.parametrize(
    ("spoil", "path", "message"),
    [
        (lambda p: replace(p, rings=()), LAST, "is a message of no ring"),
        (lambda p: column(p, "node", LAST, NODE_TASK), LAST, "not marked so"),
        (lambda p: ring(p, chunks=(5.0, 5.0)), LAST, "other numbers of entries, chunks or delays"),
        (lambda p: ring(p, rounds=5), LAST, "goes 5 rounds"),
        (lambda p: ring(p, edge=100), LAST, "comes after 100 edges"),
        (lambda p: ring(p, summed_s=(0.0, -1.0, 0.0)), LAST, "a delay is negative"),
        (lambda p: ring(p, copied_s=(0.0, float("nan"), 0.0)), LAST, "a delay is negative"),
        (lambda p: ring(p, chunks=(5.0, 0.0, 5.0)), LAST, "a chunk is empty"),
        (lambda p: ring(p, entries=(0, 1, 99)), LAST, "is entered by task 99"),
        (lambda p: replace(p, rings=p.rings * 2), LAST, "is the last message of 2 lanes"),
        (lambda p: ring(p, exits=p.rings[0].exits[::-1]), "w2.all_gather.b0.s3", "do not follow each other"),
        (lambda p: edge(p, 3, target=p.task(LAST)), LAST, "waits for something else"),
        (lambda p: edge(p, 0, at_start=True), "w2.all_gather.b0.s3", "whose start others wait for"),
        (
            lambda p: column(p, "resource", "c0", p.resource[p.task(LAST)]),
            "rings",
            "shares a link or a channel",
        ),
    ],
)
def test_each_rule_names_what_breaks_it(spoil, path, message):
    problems = spoil(made()).check()
    assert any(problem.path == path and message in problem.message for problem in problems), problems


def test_a_ring_that_waits_for_itself_is_a_cycle():
    program = made()
    distance = program.distance.copy()
    distance[:] = 0
    problems = replace(program, distance=distance).check()
    assert any("wait for each other in the same iteration" in problem.message for problem in problems)
