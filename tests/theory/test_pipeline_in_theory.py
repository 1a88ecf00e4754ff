"""GPipe: (m + p - 1) (t_f + t_b) for p equal stages and m microbatches."""

import pytest

import simpar
from simpar.simulate import simulate


def gpipe(scene, stages, microbatches, output=0.0, forward=1.0, backward=2.0, **options):
    """Return a scenario of equal stages whose microbatches are whole samples."""
    return scene(
        {"pipeline": {"microbatches": microbatches}},
        layers=[(forward, backward, 0, output)] * stages,
        workers=stages,
        batch=microbatches,
        **options,
    )


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
@pytest.mark.parametrize("microbatches", [1, 2, 4, 9])
@pytest.mark.parametrize("output", [0.0, 4.0])
def test_equal_stages_fill_and_drain(scene, measure, stages, microbatches, output):
    """The step, and all of the bubble, for messages that cost nothing or do not exist."""
    scenario = gpipe(scene, stages, microbatches, output, bandwidth=1e15)
    found = measure(scenario)
    # Each stage computes the whole minibatch of stages x batch samples: 3 s a batch.
    forward, backward = stages * 1.0 / microbatches, stages * 2.0 / microbatches
    step = (microbatches + stages - 1) * (forward + backward)
    assert found.step_s == pytest.approx(step, rel=1e-9)
    assert found.breakdown["bubble_s"] == pytest.approx(
        (stages - 1) * (forward + backward), rel=1e-9, abs=1e-12
    )
    assert found.breakdown["compute_s"] == pytest.approx(microbatches * (forward + backward), rel=1e-9)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("stages", [2, 4])
@pytest.mark.parametrize("microbatches", [1, 4])
def test_messages_are_paid_where_the_pipeline_fills_and_drains(scene, measure, stages, microbatches, sharing):
    """Links that are quicker than a stage add (p - 1) messages each way, whatever m is."""
    latency, output, bandwidth = 0.01, 40.0, 1000.0
    scenario = gpipe(
        scene, stages, microbatches, output, latency=latency, bandwidth=bandwidth, sharing=sharing
    )
    forward, backward = stages * 1.0 / microbatches, stages * 2.0 / microbatches
    message = latency + output * stages / microbatches / bandwidth
    step = (microbatches + stages - 1) * (forward + backward) + 2 * (stages - 1) * message
    assert message < forward
    assert measure(scenario).step_s == pytest.approx(step, rel=1e-9)


@pytest.mark.parametrize("times", [(1.0, 3.0), (3.0, 1.0), (1.0, 2.0, 1.0), (2.0, 1.0, 2.0, 3.0)])
def test_unequal_stages_take_the_slowest_and_once_the_others(scene, measure, times):
    """For the forward passes alone: m max t + the other stages once."""
    stages, microbatches = len(times), 4
    scenario = scene(
        {"pipeline": {"microbatches": microbatches, "stages": stages}},
        layers=[(time, 0.0, 0, 0.0) for time in times],
        workers=stages,
        batch=microbatches,
    )
    each = [time * stages / microbatches for time in times]
    step = microbatches * max(each) + sum(each) - max(each)
    assert measure(scenario).step_s == pytest.approx(step, rel=1e-9)


def test_more_microbatches_shrink_the_bubble(scene, measure):
    steps = [measure(gpipe(scene, 4, m, bandwidth=1e15)).step_s / (4 * 3.0) for m in (1, 2, 4, 8, 16)]
    assert steps == pytest.approx([(m + 3) / m for m in (1, 2, 4, 8, 16)], rel=1e-9)


def test_one_microbatch_makes_stages_take_turns(scene, measure):
    """No overlap at all: the step of one device that does everything."""
    alone = measure(scene("single", layers=[(1.0, 2.0, 0, 0.0)] * 3, workers=3)).step_s
    assert measure(gpipe(scene, 3, 1)).step_s == pytest.approx(alone, rel=1e-9)


def test_all_forwards_come_first_and_backwards_in_reverse_order(scene):
    scenario = gpipe(scene, 3, 4)
    trace = simulate(simpar.compile(scenario, "pipeline"))
    ops = trace.program.ops
    for stage in range(3):
        begins = [
            (float(trace.start_s[row]), ops[trace.task[row]].kind, ops[trace.task[row]].part)
            for row in range(len(trace))
            if trace.iteration[row] == 0
            and ops[trace.task[row]].worker == stage
            and ops[trace.task[row]].kind in ("forward", "backward")
        ]
        order = [(kind, part) for _, kind, part in sorted(begins)]
        forwards = [("forward", part) for part in (0, 1, 2, 3)]
        assert order == forwards + [("backward", part) for part in (3, 2, 1, 0)]
