"""Joins of k of n and batches, by hand: who is counted, when a batch closes, who is answered."""

import numpy as np
import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate
from simpar.trace import critical_path

WORK = Op("forward", worker=0)


class Bench:
    """Senders that end at given times, and a node that they feed."""

    def __init__(self, iterations=1):
        self.builder = ProgramBuilder("by hand", iterations)

    def senders(self, *ends):
        """Add a sender for each time at which one ends."""
        return [
            self.builder.task(f"s{n}", Op("push", worker=n), self.builder.resource(f"w{n}", "device"), end)
            for n, end in enumerate(ends)
        ]

    def served(self, senders, mode, seconds=1.0, **options):
        """Add a batch of *senders* with an update of *seconds* and a reply each; run it.

        Returns the trace, and the members of each update as senders with its ready, start and end.
        """
        batch = self.builder.batch("batch", senders, mode, **options)
        cpu = self.builder.resource("ps0.cpu", "server")
        update = self.builder.task("update", Op("apply", server=0), cpu, seconds)
        replies = {s: self.builder.gather(f"reply{n}", []) for n, s in enumerate(senders)}
        self.builder.answer(batch, update, replies)
        program = self.builder.build()
        assert program.check() == []
        trace = simulate(program)
        found = []
        for (task, number), members in sorted(trace.nodes.members_of.items()):
            row = trace.row(task, number)
            times = [float(column[row]) for column in (trace.ready_s, trace.start_s, trace.end_s)]
            found.append(([sender for sender, _ in members], *times))
        return trace, found

    def replies(self, trace):
        """Return when each reply of the first iteration leaves."""
        tasks = [task for task in trace.program.tasks if task.startswith("reply")]
        return [float(trace.end_s[trace.row(trace.program.task(task), 0)]) for task in tasks]


@pytest.fixture
def bench():
    return Bench()


# -- joins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "fires"), [(1, 1.0), (2, 2.0), (3, 4.0)])
def test_a_join_fires_at_its_kth_token(bench, k, fires):
    join = bench.builder.join("join", bench.senders(4.0, 1.0, 2.0), k)
    trace = simulate(bench.builder.build())
    assert trace.end_s[trace.row(join, 0)] == fires
    late = [sender for *_, sender in trace.nodes.dropped.tolist()]
    assert late == [1, 2, 0][k:]


def test_of_tokens_at_one_time_the_lower_rank_comes_first(bench):
    join = bench.builder.join("join", bench.senders(2.0, 2.0, 2.0)[::-1], 2)
    trace = simulate(bench.builder.build())
    assert trace.nodes.dropped.tolist() == [[join, 0, 2]]


def test_a_late_token_counts_for_no_later_iteration():
    """Sender 1 takes 3 s an iteration, sender 0 one: the join fires at 1, 2 and 3, never at 0's expense."""
    bench = Bench(iterations=3)
    senders = bench.senders(1.0, 3.0)
    for sender in senders:
        bench.builder.edge(sender, sender, distance=1)
    join = bench.builder.join("join", senders, 1)
    trace = simulate(bench.builder.build())
    assert trace.end_s[trace.rows_of([join])].tolist() == [1.0, 2.0, 3.0]
    assert trace.nodes.dropped.tolist() == [[join, m, 1] for m in range(3)]


# -- batches ----------------------------------------------------------------------------------------


def test_count_closes_at_the_cth_token_and_answers_after_the_update(bench):
    trace, found = bench.served(bench.senders(1.0, 5.0, 2.0, 5.0), "count", count=2)
    assert found == [([0, 2], 2.0, 2.0, 3.0), ([1, 3], 5.0, 5.0, 6.0)]
    assert bench.replies(trace) == [3.0, 6.0, 3.0, 6.0]
    assert len(trace.nodes.flushed) == 0


def test_answered_at_once_only_the_one_that_fills_the_batch_waits(bench):
    trace, found = bench.served(bench.senders(1.0, 2.0, 3.0), "count", count=3, at_once=True)
    assert found == [([0, 1, 2], 3.0, 3.0, 4.0)]
    assert bench.replies(trace) == [1.0, 2.0, 4.0]


def test_what_is_left_at_the_end_is_closed_short_and_marked(bench):
    """At 3 s the last sender has ended and its batch of two will not fill."""
    trace, found = bench.served(bench.senders(1.0, 2.0, 3.0), "count", count=2)
    assert found == [([0, 1], 2.0, 2.0, 3.0), ([2], 3.0, 3.0, 4.0)]
    update = trace.program.task("update")
    assert trace.nodes.flushed.tolist() == [[update, 1]]
    assert bench.replies(trace) == [3.0, 3.0, 4.0]


def test_all_that_is_left_over_is_closed_at_the_last_thing_that_happens(bench):
    """One batch is left with a token of 9 s, the other too: nothing comes after, so both close then."""
    one, two, three = bench.senders(1.0, 2.0, 3.0)
    builder = bench.builder
    cpus = [builder.resource(f"ps{n}.cpu", "server") for n in range(2)]
    for n, (first, second, last) in enumerate([(one, two, three), (one, three, two)]):
        lag = {first: 0.0, second: 3.0, last: 6.0}
        held = [builder.gather(f"held{n}.{sender}", []) for sender in (one, two, three)]
        for sender, gate in zip((one, two, three), held, strict=True):
            builder.edge(sender, gate, lag=lag[sender])
        batch = builder.batch(f"batch{n}", held, count=2)
        builder.answer(batch, builder.task(f"update{n}", Op("apply", server=n), cpus[n], 1.0))
    trace = simulate(builder.build())
    short = [(trace.program.tasks[update], number) for update, number in trace.nodes.flushed.tolist()]
    assert short == [("update0", 1), ("update1", 1)]
    assert trace.ready_s[trace.row(trace.program.task("update0"), 1)] == 9.0
    assert trace.ready_s[trace.row(trace.program.task("update1"), 1)] == 9.0


def test_a_timer_closes_after_its_time_and_a_full_batch_before_it(bench):
    senders = bench.senders(1.0, 1.5, 4.0, 4.25, 4.5)
    trace, found = bench.served(senders, "timeout", count=3, timeout_s=2.0)
    assert found == [([0, 1], 3.0, 3.0, 4.0), ([2, 3, 4], 4.5, 4.5, 5.5)]
    assert len(trace.nodes.flushed) == 0


def test_a_token_at_the_time_of_the_timer_is_still_taken_in(bench):
    _, found = bench.served(bench.senders(1.0, 3.0, 3.5), "timeout", count=3, timeout_s=2.0)
    assert [members for members, *_ in found] == [[0, 1], [2]]


def test_drain_takes_in_what_comes_until_its_update_starts(bench):
    """The first starts alone; while it runs, until 3.0 and at it, three more come and go together."""
    trace, found = bench.served(bench.senders(1.0, 1.5, 2.0, 3.0, 3.25), "drain", seconds=2.0)
    assert found == [([0], 1.0, 1.0, 3.0), ([1, 2, 3], 1.5, 3.0, 5.0), ([4], 3.25, 5.0, 7.0)]
    assert bench.replies(trace) == [3.0, 5.0, 5.0, 5.0, 7.0]


def test_members_keep_their_own_iterations_and_the_update_has_its_number():
    """Sender 0 pushes at 1, 2, 3; sender 1 at 2.5 only: the second update has iterations 2 and 0."""
    bench = Bench(iterations=3)
    senders = bench.senders(1.0, 2.5)
    bench.builder.edge(senders[0], senders[0], distance=1)
    bench.builder.edge(senders[1], senders[1], distance=1, lag=10.0)
    trace, _ = bench.served(senders, "count", count=2, window=3)
    update = trace.program.task("update")
    assert trace.nodes.members_of[update, 0] == [(0, 0), (0, 1)]
    assert trace.nodes.members_of[update, 1] == [(1, 0), (0, 2)]


def test_an_update_takes_the_time_of_its_number():
    bench = Bench(iterations=2)
    senders = bench.senders(1.0, 1.0)
    for sender in senders:
        bench.builder.edge(sender, sender, distance=1, lag=5.0)
    batch = bench.builder.batch("batch", senders, count=1)
    cpu = bench.builder.resource("ps0.cpu", "server")
    update = bench.builder.task("update", Op("apply", server=0), cpu, [1.0, 2.0, 4.0, 8.0])
    bench.builder.answer(batch, update)
    trace = simulate(bench.builder.build())
    rows = trace.rows_of([update])
    assert np.subtract(trace.end_s[rows], trace.start_s[rows]).tolist() == [1.0, 2.0, 4.0, 8.0]


def test_the_digest_of_a_trace_holds_who_was_served_with_whom():
    """Two runs with the same times, whose pushes change places between two batches."""

    def digest(first, second):
        bench = Bench()
        senders = bench.senders(1.0, 1.0, 1.0, 1.0)
        gates = [bench.builder.gather(f"gate{n}", []) for n in range(4)]
        for sender, gate in zip(senders, gates, strict=True):
            bench.builder.edge(sender, gate, lag=float(sender in first) + 1.0)
        trace, _ = bench.served(gates, "count", count=2)
        assert set(trace.end_s[trace.rows_of(senders)].tolist()) == {1.0}
        return trace.nodes.members.tolist(), trace.digest()

    assert digest({0, 1}, {2, 3})[0] != digest({0, 2}, {1, 3})[0]
    assert digest({0, 1}, {2, 3})[1] != digest({0, 2}, {1, 3})[1]


# -- the way back through them ----------------------------------------------------------------------


def path(trace, name, iteration=0):
    row = trace.row(trace.program.task(name), iteration)
    found = critical_path(trace, row)
    return [(trace.program.tasks[s.task], s.cause, s.start_s, s.end_s) for s in found]


def test_a_join_was_made_ready_by_its_kth_token(bench):
    join = bench.builder.join("join", bench.senders(4.0, 1.0, 2.0), 2)
    bench.builder.task("after", WORK, bench.builder.resource("w9", "device"), 1.0, [join])
    trace = simulate(bench.builder.build())
    assert path(trace, "after") == [("s2", "wire", 0.0, 2.0), ("after", "compute", 2.0, 3.0)]


def test_a_reply_waited_for_its_update_and_that_for_the_token_that_closed_it(bench):
    trace, _ = bench.served(bench.senders(1.0, 3.0), "count", count=2)
    assert path(trace, "reply0") == [("s1", "wire", 0.0, 3.0), ("update", "server", 3.0, 4.0)]


def test_who_was_answered_at_once_waited_for_nobody(bench):
    trace, _ = bench.served(bench.senders(1.0, 3.0), "count", count=2, at_once=True)
    assert path(trace, "reply0") == [("s0", "wire", 0.0, 1.0)]
    assert path(trace, "reply1") == [("s1", "wire", 0.0, 3.0), ("update", "server", 3.0, 4.0)]


def test_a_timer_is_the_servers_time(bench):
    trace, _ = bench.served(bench.senders(1.0, 9.0), "timeout", count=2, timeout_s=2.0)
    assert path(trace, "reply0") == [
        ("s0", "wire", 0.0, 1.0),
        ("update", "server", 1.0, 3.0),
        ("update", "server", 3.0, 4.0),
    ]


def test_an_update_that_drains_was_asked_for_by_its_first_token(bench):
    trace, _ = bench.served(bench.senders(1.0, 1.5, 2.0), "drain", seconds=2.0)
    assert path(trace, "reply2") == [
        ("s0", "wire", 0.0, 1.0),
        ("update", "server", 1.0, 3.0),
        ("update", "server", 3.0, 5.0),
    ]
