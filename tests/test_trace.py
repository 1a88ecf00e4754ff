"""What a trace says of itself, and the way back along what made an end wait."""

from dataclasses import replace

import numpy as np
import pytest

from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate
from simpar.trace import Trace, cause_of, critical_path, owner


def work(worker, kind="forward"):
    return Op(kind, worker=worker)


class Bench:
    """A program by hand and the path to the end of one of its tasks, as (task, cause, start, end)."""

    def __init__(self, iterations=1, sharing="fair"):
        self.builder = ProgramBuilder("by hand", iterations, sharing)

    def task(self, name, seconds, on, worker=0, after=(), kind="forward"):
        resource = self.builder.resource(on, "device")
        return self.builder.task(name, work(worker, kind), resource, seconds, after)

    def message(self, name, n_bytes, links, worker=0, after=(), ends="ab", **options):
        options = {"latency": 0.0} | options
        return self.builder.message(name, work(worker, "push"), *ends, links, n_bytes, after=after, **options)

    def path(self, name, iteration=0, since_s=0.0):
        program = self.builder.build()
        trace = simulate(program)
        row = trace.row(program.task(name), iteration)
        return [
            (program.tasks[s.task], s.cause, s.start_s, s.end_s) for s in critical_path(trace, row, since_s)
        ]


@pytest.fixture
def bench():
    return Bench()


# -- the way back ----------------------------------------------------------------------------------


def test_a_chain_is_its_own_path(bench):
    first = bench.task("first", 1.0, "w0")
    bench.task("then", 2.0, "w0", after=[first])
    assert bench.path("then") == [("first", "compute", 0.0, 1.0), ("then", "compute", 1.0, 3.0)]


def test_the_path_goes_to_the_token_that_came_last(bench):
    early, late = bench.task("early", 1.0, "w0"), bench.task("late", 2.0, "w1", worker=1)
    bench.task("join", 1.0, "w2", worker=2, after=[early, late])
    assert bench.path("join") == [("late", "compute", 0.0, 2.0), ("join", "compute", 2.0, 3.0)]


def test_of_tokens_that_came_last_together_the_lowest_rank_is_followed(bench):
    """Whatever the order in which the edges were written down."""
    ends = [bench.task(f"t{n}", 2.0, f"w{n}", worker=n) for n in range(3)]
    bench.task("join", 1.0, "w3", worker=3, after=ends[::-1])
    assert bench.path("join")[0] == ("t0", "compute", 0.0, 2.0)


def test_a_lag_makes_an_earlier_end_the_last_to_arrive(bench):
    early, late = bench.task("early", 1.0, "w0"), bench.task("late", 2.0, "w1", worker=1)
    join = bench.task("join", 1.0, "w2", worker=2, after=[late])
    bench.builder.edge(early, join, lag=3.0)
    assert bench.path("join") == [
        ("early", "compute", 0.0, 1.0),
        ("join", "latency", 1.0, 4.0),
        ("join", "compute", 4.0, 5.0),
    ]


def test_lags_that_differ_by_iteration_are_followed_by_iteration():
    bench = Bench(iterations=2)
    early, late = bench.task("early", 1.0, "w0"), bench.task("late", 2.0, "w1", worker=1)
    join = bench.task("join", 1.0, "w2", worker=2, after=[late])
    bench.builder.edge(early, join, distance=1)
    program = replace(bench.builder.build(), lags={1: np.array([0.0, 9.0])})
    trace = simulate(program)
    path = critical_path(trace, trace.row(join, 1))
    assert [(program.tasks[s.task], s.iteration, s.cause) for s in path] == [
        ("early", 0, "compute"),
        ("join", 1, "latency"),
        ("join", 1, "compute"),
    ]
    assert path[-1].end_s == 1.0 + 9.0 + 1.0


def test_waiting_for_somebody_elses_work_is_a_queue(bench):
    bench.task("theirs", 3.0, "shared", worker=1)
    before = bench.task("before", 1.0, "w0")
    bench.task("mine", 1.0, "shared", after=[before])
    assert bench.path("mine") == [
        ("before", "compute", 0.0, 1.0),
        ("mine", "queue", 1.0, 3.0),
        ("mine", "compute", 3.0, 4.0),
    ]


def test_waiting_for_ones_own_work_is_that_work(bench):
    bench.task("own", 3.0, "shared")
    before = bench.task("before", 1.0, "w0")
    bench.task("mine", 1.0, "shared", after=[before])
    assert bench.path("mine") == [("own", "compute", 0.0, 3.0), ("mine", "compute", 3.0, 4.0)]


def test_behind_ones_own_work_others_may_have_been_in_the_way(bench):
    """Back through the own task to its own wait."""
    bench.task("theirs", 2.0, "shared", worker=1)
    bench.task("own", 1.0, "shared")
    bench.task("mine", 1.0, "shared")
    assert bench.path("mine") == [
        ("own", "queue", 0.0, 2.0),
        ("own", "compute", 2.0, 3.0),
        ("mine", "compute", 3.0, 4.0),
    ]


def test_a_wait_for_one_of_several_places_is_a_queue(bench):
    pair = bench.builder.resource("pair", "server", capacity=2)
    for name in ("a", "b", "c"):
        bench.builder.task(name, work(0, "apply"), pair, 2.0)
    assert bench.path("c") == [("c", "queue", 0.0, 2.0), ("c", "server", 2.0, 4.0)]


def test_a_message_on_a_shared_link_is_its_bytes_then_its_latency(bench):
    bench.message("m", 300.0, [("out", 100.0), ("in", 100.0)], latency=0.5)
    assert bench.path("m") == [("m", "wire", 0.0, 3.0), ("m", "latency", 3.0, 3.5)]


def test_the_way_through_a_channel_leaves_out_the_latency_of_the_message_before(bench):
    """The second waits for the first one's last byte to leave, not to arrive."""
    for name in ("first", "second"):
        bench.message(name, 100.0, [("out", 100.0)], latency=5.0)
    assert bench.path("second") == [
        ("first", "wire", 0.0, 1.0),
        ("second", "wire", 1.0, 2.0),
        ("second", "latency", 2.0, 7.0),
    ]


def test_a_message_without_a_channel_is_all_latency(bench):
    _, last = bench.message("m", 0.0, [("out", 100.0)], latency=5.0)
    bench.task("next", 1.0, "w0", after=[last])
    assert bench.path("next") == [("next", "latency", 0.0, 5.0), ("next", "compute", 5.0, 6.0)]


@pytest.mark.parametrize(
    ("rates", "seconds"), [((100.0, 100.0), 3.0), ((100.0, 300.0), 3.0), ((300.0, 100.0), 3.0)]
)
def test_a_message_cut_through_two_links_is_its_bytes_once_and_its_latency_once(rates, seconds):
    bench = Bench(sharing="fifo")
    _, last = bench.message("m", 300.0, [("out", rates[0]), ("in", rates[1])], latency=0.5)
    bench.builder.gather("there", [last])
    path = bench.path("there")
    spent = {cause: sum(end - start for _, c, start, end in path if c == cause) for _, cause, *_ in path}
    assert spent == pytest.approx({"wire": seconds, "latency": 0.5})
    assert path[0][2] == 0.0
    assert path[-1][3] == 3.5


def test_a_queue_at_the_second_link_is_seen():
    """Another sender has the receiver's link until 3.5 s; the own message comes there at 0.5 s."""
    bench = Bench(sharing="fifo")
    bench.message("theirs", 300.0, [("w1.out", 100.0), ("in", 100.0)], worker=1, latency=0.5, ends="cb")
    _, last = bench.message("mine", 300.0, [("w0.out", 100.0), ("in", 100.0)], latency=0.5)
    bench.builder.gather("there", [last])
    assert bench.path("there") == [
        ("mine@in", "latency", 0.0, 0.5),
        ("mine@in", "queue", 0.5, 3.5),
        ("mine@in", "wire", 3.5, 6.5),
    ]


def test_a_message_over_one_link_has_its_latency_behind_it():
    bench = Bench(sharing="fifo")
    _, last = bench.message("m", 300.0, [("out", 100.0)], latency=0.5)
    bench.task("next", 1.0, "w0", after=[last])
    assert bench.path("next") == [
        ("m@out", "wire", 0.0, 3.0),
        ("next", "latency", 3.0, 3.5),
        ("next", "compute", 3.5, 4.5),
    ]


def test_a_start_edge_leads_to_what_came_before_the_start(bench):
    before = bench.task("before", 1.0, "w0")
    long = bench.task("long", 9.0, "w0", after=[before])
    told = bench.task("told", 1.0, "w1", worker=1)
    bench.builder.edge(long, told, at_start=True, lag=0.5)
    assert bench.path("told") == [
        ("before", "compute", 0.0, 1.0),
        ("told", "latency", 1.0, 1.5),
        ("told", "compute", 1.5, 2.5),
    ]


def test_a_start_put_off_on_purpose_is_called_so(bench):
    begin = bench.builder.gather("begin", [], Op("start", worker=0))
    bench.builder.edge(begin, bench.task("t", 1.0, "w0"), lag=2.0)
    assert bench.path("t") == [("t", "stagger", 0.0, 2.0), ("t", "compute", 2.0, 3.0)]


def test_the_path_crosses_iterations_and_is_cut_at_its_beginning():
    bench = Bench(iterations=3)
    task = bench.task("t", 2.0, "w0")
    bench.builder.edge(task, task, distance=1, lag=1.0)
    whole = [("t", "compute", 0.0, 2.0), ("t", "latency", 2.0, 3.0), ("t", "compute", 3.0, 5.0)]
    whole += [("t", "latency", 5.0, 6.0), ("t", "compute", 6.0, 8.0)]
    assert bench.path("t", iteration=2) == whole
    assert bench.path("t", iteration=2, since_s=3.0) == whole[2:]
    assert bench.path("t", iteration=2, since_s=4.5) == [("t", "compute", 4.5, 5.0), *whole[3:]]
    assert bench.path("t", iteration=2, since_s=8.0) == []


def test_what_the_trace_does_not_know_is_idle(bench):
    bench.task("t", 1.0, "w0")
    program = bench.builder.build()
    found = simulate(program)
    late = replace(found, ready_s=found.ready_s + 4, start_s=found.start_s + 4, end_s=found.end_s + 4)
    path = critical_path(late, 0)
    assert [(s.cause, s.start_s, s.end_s) for s in path] == [("idle", 0.0, 4.0), ("compute", 4.0, 5.0)]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("forward", "compute"),
        ("backward", "compute"),
        ("update", "compute"),
        ("add", "server"),
        ("apply", "server"),
        ("push", "wire"),
        ("pull", "wire"),
        ("all_reduce", "wire"),
        ("activation", "wire"),
    ],
)
def test_what_a_task_does_names_the_cause_of_its_time(bench, kind, cause):
    task = bench.task("t", 1.0, "x", kind=kind)
    assert cause_of(bench.builder.build(), task) == cause


def test_work_belongs_to_a_worker_or_else_to_a_server(bench):
    cpu = bench.builder.resource("ps1.cpu", "server")
    bench.builder.task("add", Op("add", worker=2, server=1), cpu, 1.0)
    bench.builder.task("apply", Op("apply", server=1), cpu, 1.0)
    program = bench.builder.build()
    assert owner(program, 0) == ("worker", 2)
    assert owner(program, 1) == ("server", 1)


# -- columns ---------------------------------------------------------------------------------------


@pytest.fixture
def trace():
    bench = Bench(iterations=2)
    work = bench.task("work", 1.0, "w0")
    bench.message("m", 200.0, [("out", 100.0)], latency=0.5, after=[work])
    return simulate(bench.builder.build())


def test_rows_are_found_by_task_and_iteration(trace):
    assert [trace.row(task, iteration) for iteration in (0, 1) for task in (0, 1)] == [0, 1, 2, 3]
    assert trace.rows_of([1]).tolist() == [1, 3]
    assert trace.rows_of([]).tolist() == []


@pytest.mark.parametrize(("task", "iteration"), [(0, 2), (2, 1), (5, 9)])
def test_a_row_that_is_not_there_is_a_key_error(trace, task, iteration):
    with pytest.raises(KeyError):
        trace.row(task, iteration)


def test_a_channel_is_free_one_latency_before_the_message_is_there(trace):
    """Two messages of 2 s back to back; tasks keep what they occupy until they end."""
    assert trace.end_s.tolist() == [1.0, 3.5, 2.0, 5.5]
    assert trace.free_s.tolist() == [1.0, 3.0, 2.0, 5.0]


def test_the_row_before_on_a_resource_is_what_it_served_before(trace):
    assert trace.before_on_resource.tolist() == [-1, -1, 0, 1]


def test_the_digest_covers_every_column(trace):
    columns = ("task", "iteration", "resource", "ready_s", "start_s", "end_s")
    digests = {trace.digest()}
    for name in columns:
        values = getattr(trace, name).copy()
        values[1] += 1
        digests.add(replace(trace, **{name: values}).digest())
    assert len(digests) == 1 + len(columns)


def test_the_digest_does_not_depend_on_who_ran_it(trace):
    assert replace(trace, engine="somebody else").digest() == trace.digest()


def test_the_last_digit_changes_the_digest(trace):
    end = trace.end_s.copy()
    end[0] = np.nextafter(end[0], 9)
    assert replace(trace, end_s=end).digest() != trace.digest()


def test_a_trace_says_what_it_is_in_one_line(trace):
    assert len(trace) == 4
    assert repr(trace) == "<Trace of 'by hand' by compiled: 4 instances, 5.5 s>"
    empty = Trace(trace.program, "none", *[np.array([])] * 6)
    assert repr(empty) == "<Trace of 'by hand' by none: 0 instances, 0 s>"
