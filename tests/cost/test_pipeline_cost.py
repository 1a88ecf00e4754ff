import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.cost import pipeline


def _gpipe_by_events(forward, backward, microbatches):
    """Play GPipe cell by cell: all forwards, then all backwards in the same order."""
    stages = len(forward)
    free, arrived = [0.0] * stages, [0.0] * microbatches
    for times, order in ((forward, range(stages)), (backward, reversed(range(stages)))):
        for stage in order:
            for m in range(microbatches):
                free[stage] = arrived[m] = max(free[stage], arrived[m]) + times[stage]
    return max(free)


def test_one_stage_is_the_whole_minibatch():
    assert pipeline.gpipe_step(1, 8, 1.0, 2.0) == 24.0


def test_one_microbatch_passes_every_stage_alone():
    assert pipeline.gpipe_step(4, 1, 1.0, 2.0) == 12.0


@given(st.integers(1, 6), st.integers(1, 9))
def test_equal_stages_take_what_their_events_take(stages, microbatches):
    played = _gpipe_by_events([1.0] * stages, [2.0] * stages, microbatches)
    assert pipeline.gpipe_step(stages, microbatches, 1.0, 2.0) == played


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6), st.integers(1, 9))
def test_unequal_stages_take_what_their_events_take(times, microbatches):
    forward, backward = [float(f) for f, _ in times], [float(b) for _, b in times]
    exact = pipeline.gpipe_unequal_step(forward, backward, microbatches)
    assert exact == _gpipe_by_events(forward, backward, microbatches)
    bound = pipeline.unequal_lower_bound([f + b for f, b in times], microbatches)
    assert bound <= exact


def test_lower_bound_is_exact_for_forward_alone():
    """Stages of 1, 3 and 2 s, five microbatches: 5 x 3 + 1 + 2 = 18 s."""
    assert pipeline.unequal_lower_bound([1.0, 3.0, 2.0], 5) == 18.0
    assert _gpipe_by_events([1.0, 3.0, 2.0], [0.0] * 3, 5) == 18.0


def test_bubble_is_what_the_step_adds_to_the_work():
    step, work = pipeline.gpipe_step(4, 9, 1.0, 1.0), 9 * 2.0
    assert pipeline.bubble_fraction(4, 9) == (step - work) / step == 0.25
    assert pipeline.bubble_over_ideal(4, 9) == pytest.approx((step - work) / work)


def test_one_stage_has_no_bubble():
    assert pipeline.bubble_fraction(1, 3) == pipeline.bubble_over_ideal(1, 3) == 0.0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: pipeline.gpipe_step(0, 1, 1.0, 1.0), "stages"),
        (lambda: pipeline.gpipe_step(1, 0, 1.0, 1.0), "microbatches"),
        (lambda: pipeline.gpipe_step(1, 1, -1.0, 1.0), "forward_s"),
        (lambda: pipeline.bubble_fraction(0, 1), "stages"),
        (lambda: pipeline.bubble_over_ideal(1, 0), "microbatches"),
        (lambda: pipeline.gpipe_unequal_step([1.0], [1.0, 2.0], 1), "1 stages and backward_s 2"),
        (lambda: pipeline.unequal_lower_bound([], 1), "stage_s"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
