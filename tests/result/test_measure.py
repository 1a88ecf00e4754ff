"""Figures read off traces that are written down by hand."""

import numpy as np
import pytest

from simpar.errors import EngineError
from simpar.program import Op, ProgramBuilder
from simpar.result import BREAKDOWN, Measured
from simpar.trace import Trace


def by_hand(ends, clock, warmup=0, workers=None):
    """Return the figures of updates that end at *ends* (a row an iteration, a column an update task)."""
    ends = np.array(ends, dtype=np.float64)
    iterations, tasks = ends.shape
    workers = tasks if workers is None else workers
    builder = ProgramBuilder("by hand", iterations)
    for worker in range(tasks):
        builder.gather(f"apply.w{worker}", [], Op("apply", worker=worker, server=0))
    facts = {"workers": workers, "warmup": warmup, "clock": clock, "samples": 60, "kind": "by hand"}
    program = builder.build(facts | {"updates": list(range(tasks))})
    at = ends.ravel()
    task = np.tile(np.arange(tasks, dtype=np.int32), iterations)
    iteration = np.repeat(np.arange(iterations, dtype=np.int32), tasks)
    return Measured(Trace(program, "by hand", task, iteration, np.full(len(at), -1, np.int32), at, at, at))


# -- synchronous: between successive updates -------------------------------------------------------


@pytest.fixture
def five_updates():
    return by_hand([[1.0], [3.0], [4.0], [9.0], [12.0]], "sync", warmup=1)


def test_a_step_is_the_mean_time_between_updates_after_the_warm_up(five_updates):
    assert (five_updates.since_s, five_updates.until_s) == (1.0, 12.0)
    assert five_updates.steps == 4
    assert five_updates.step_s == 2.75
    assert five_updates.samples_per_s == 60 / 2.75


def test_without_warm_up_the_first_step_begins_with_the_run():
    found = by_hand([[1.0], [3.0]], "sync")
    assert found.step_s == 1.5
    assert [(w.start_s, w.end_s) for w in found.windows] == [(0.0, 1.0), (1.0, 3.0)]


def test_every_measured_step_has_its_window(five_updates):
    windows = [(w.start_s, w.end_s, w.label) for w in five_updates.windows]
    assert windows == [
        (1.0, 3.0, "iteration 1"),
        (3.0, 4.0, "iteration 2"),
        (4.0, 9.0, "iteration 3"),
        (9.0, 12.0, "iteration 4"),
    ]


def test_of_an_even_number_of_steps_the_median_is_the_lower_one(five_updates):
    """Lengths 2, 1, 5 and 3: the lower median is 2."""
    assert five_updates.median_window.label == "iteration 1"


def test_of_equal_steps_the_median_is_the_first():
    found = by_hand([[1.0], [3.0], [5.0], [7.0]], "sync", warmup=1)
    assert found.median_window.label == "iteration 1"


def test_a_step_ends_with_the_last_of_its_updates():
    """The row that ends it is the last one's, of equals the lowest rank's."""
    found = by_hand([[1.0, 2.0, 2.0], [6.0, 5.0, 6.0]], "sync")
    assert found.update_s.tolist() == [2.0, 6.0]
    assert [window.row for window in found.windows] == [1, 3]


# -- asynchronous: gradients applied in (t0, t1] ---------------------------------------------------

THREE_WORKERS = [[1.0, 1.0, 2.0], [2.0, 3.0, 3.0], [3.0, 4.0, 5.0]]
"""Applied in the order 0 1 | 0 2 | 0 1 2 | 1 | 2, where bars part the times 1 to 5."""


def test_staleness_counts_the_updates_by_others_since_the_own_one():
    """At equal times the lower rank applies first; first gradients were computed on nobody's update."""
    found = by_hand(THREE_WORKERS, "async")
    stale = {
        (f"w{found.trace.task[row]}", int(found.trace.iteration[row])): missed
        for row, _, missed in found.stale_gradients()
    }
    assert stale == {
        ("w0", 1): 1,
        ("w0", 2): 1,
        ("w1", 1): 3,
        ("w2", 1): 2,
        ("w1", 2): 1,
        ("w2", 2): 1,
    }


def test_gradients_count_after_the_last_first_apply_up_to_the_first_last_one():
    """t0 = 2 and t1 = 3: three gradients in (2, 3], w0's of time 2 not among them."""
    found = by_hand(THREE_WORKERS, "async")
    assert (found.since_s, found.until_s) == (2.0, 3.0)
    assert found.gradients == 3
    assert found.step_s == 3 * (3.0 - 2.0) / 3
    assert found.samples_per_s == 60.0
    assert (found.staleness.mean, found.staleness.max) == (2.0, 3)
    assert found.staleness.histogram == {1: 1, 2: 1, 3: 1}


def test_a_step_of_workers_of_different_speed_is_as_many_gradients_as_workers():
    """In (4, 8] the fast one applies 4 and the slow one 1: two gradients take 2 x 4 / 5 s."""
    found = by_hand([[1.0, 4.0], [2.0, 8.0], *[[m, 4.0 * m] for m in range(3, 9)]], "async")
    assert (found.since_s, found.until_s) == (4.0, 8.0)
    assert found.gradients == 5
    assert found.step_s == 2 * 4.0 / 5


def test_windows_of_asynchronous_training_are_a_workers_cycles():
    found = by_hand(THREE_WORKERS, "async")
    assert [(w.start_s, w.end_s, w.label) for w in found.windows] == [
        (1.0, 3.0, "w1, iteration 1"),
        (2.0, 3.0, "w2, iteration 1"),
        (2.0, 3.0, "w0, iteration 2"),
    ]
    assert found.median_window.label == "w2, iteration 1"


def test_nothing_to_measure_is_an_error_and_not_a_figure():
    """The fast worker has applied its last gradient before the slow one applied its first."""
    with pytest.raises(EngineError, match=r"run\.steps"):
        _ = by_hand([[1.0, 9.0], [2.0, 18.0]], "async").step_s


# -- through a scenario ----------------------------------------------------------------------------


def rounded(breakdown):
    return {part: seconds for part, seconds in breakdown.items() if abs(seconds) > 1e-9}


def test_a_worker_and_a_server_take_turns(scene, measure):
    """Compute 3 s, 4000 bytes each way at 1000 a second, 0.25 s under way, add 8 s, update 16 s."""
    scenario = scene("ps-sync", workers=1, latency=0.25, server={"add_rate": 500.0, "update_rate": 250.0})
    found = measure(scenario)
    assert list(found.breakdown) == list(BREAKDOWN)
    assert rounded(found.breakdown) == pytest.approx(
        {"compute_s": 3.0, "exposed_comm_s": 8.0, "latency_s": 0.5, "server_s": 24.0}
    )
    program, window = found.program, found.median_window
    told = [(program.tasks[s.task], s.cause, s.end_s - s.start_s) for s in found.path(window)]
    assert told == [
        ("w0.pull.ps0", "wire", pytest.approx(4.0)),
        ("w0.pull.ps0", "latency", pytest.approx(0.25)),
        ("w0.forward", "compute", pytest.approx(1.0)),
        ("w0.backward", "compute", pytest.approx(2.0)),
        ("w0.push.ps0", "wire", pytest.approx(4.0)),
        ("w0.push.ps0", "latency", pytest.approx(0.25)),
        ("ps0.add.w0", "server", pytest.approx(8.0)),
        ("ps0.apply", "server", pytest.approx(16.0)),
    ]


def test_adding_up_for_others_is_the_servers_time(scene, measure):
    """Four pushes arrive together; before the last one's add of 8 s, three others are added."""
    found = measure(scene("ps-sync", workers=4, server={"add_rate": 500.0}))
    assert rounded(found.breakdown) == pytest.approx(
        {"compute_s": 3.0, "exposed_comm_s": 32.0, "server_s": 32.0}
    )


@pytest.mark.parametrize("kind", ["ps-sync", "allreduce"])
def test_waiting_for_the_one_slow_worker_of_three_is_called_a_straggler(scene, measure, kind):
    """The usual worker computes 3 s, the slow one 7.5 s; what they exchange takes no time to speak of."""
    scenario = scene(
        kind, layers=[(1.0, 2.0, 3, 0.0)], workers=3, speed=[1, 0.4, 1], bandwidth=1e15, latency=0.0
    )
    assert rounded(measure(scenario).breakdown) == pytest.approx({"compute_s": 3.0, "straggler_s": 4.5})


def test_one_fast_worker_of_three_makes_nobody_a_straggler(scene, measure):
    scenario = scene("allreduce", layers=[(1.0, 2.0, 0, 0.0)], workers=3, speed=[1, 4, 1])
    assert rounded(measure(scenario).breakdown) == pytest.approx({"compute_s": 3.0})


def test_filling_and_draining_a_pipeline_is_a_bubble(scene, measure):
    """Two stages of 1 + 2 s a microbatch, two microbatches: 9 s, in 6 of which a stage computes."""
    scenario = scene({"pipeline": {"microbatches": 2}}, layers=[(1.0, 2.0, 0, 0.0)] * 2, workers=2, batch=1)
    assert rounded(measure(scenario).breakdown) == pytest.approx({"compute_s": 6.0, "bubble_s": 3.0})


def test_use_is_counted_over_the_measured_time(scene, measure):
    """A step of 3 + 2 x 8 s: the server's link in is busy for 8, a worker's out for 4 of 19 s."""
    found = measure(scene("ps-sync", workers=2))
    uses = {use.name: use for use in found.uses}
    assert found.step_s == pytest.approx(19.0)
    assert uses["ps0.in"].busy_frac == pytest.approx(8 / 19)
    assert uses["ps0.in"].bytes == pytest.approx(8000)
    assert uses["w1.out"].busy_frac == pytest.approx(4 / 19)
    assert uses["w1.out"].bytes == pytest.approx(4000)
    assert uses["w0"].busy_frac == pytest.approx(3 / 19)
    assert (uses["w0"].kind, uses["w0"].bytes) == ("device", 0.0)
    assert found.busiest().name == "ps0.in"
    assert found.busiest(kind="device").name == "w0"
    assert found.busiest(kind="collective") is None


def test_the_use_of_several_threads_is_a_share_of_all_of_them(scene, measure):
    """Four adds of 8 s on two threads take 16 of 3 + 2 x 16 + 16 s; the server could have done 32 more."""
    found = measure(scene("ps-sync", workers=4, server={"add_rate": 500.0, "threads": 2}))
    (cpu,) = [use for use in found.uses if use.kind == "server"]
    assert found.step_s == pytest.approx(51.0)
    assert cpu.busy_frac == pytest.approx(32 / (2 * 51))


@pytest.mark.parametrize("servers", [1, 2])
def test_equal_workers_have_no_straggler_however_links_serve_them(scene, measure, servers):
    """Served one after another they compute at different times, and wait for links, not for slow workers."""
    found = measure(scene({"ps-sync": {"servers": servers}}, workers=4, sharing="fifo"))
    assert found.breakdown["straggler_s"] == pytest.approx(0.0, abs=1e-9)
    assert found.breakdown["compute_s"] == pytest.approx(3.0, rel=1e-6)
    assert sum(found.breakdown.values()) == pytest.approx(found.step_s, abs=1e-9)


def test_a_collective_in_one_task_has_the_latency_of_its_messages(scene, measure):
    """A ring of 4 sends 6 messages of 0.5 s latency one after another, whether each is a task or not."""
    for collectives in ("messages", "closed_form"):
        scenario = scene("allreduce", workers=4, latency=0.5, run={"collectives": collectives})
        assert measure(scenario).breakdown["latency_s"] == pytest.approx(3.0, rel=1e-6)
