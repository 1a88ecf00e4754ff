import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.cost import compute


def test_layer_seconds_is_work_over_rate():
    assert compute.layer_seconds(5.0, batch=4, flops_per_s=10.0) == 2.0


def test_roofline_is_the_longer_of_computing_and_moving():
    assert compute.roofline(100.0, 10.0, flops_per_s=10.0, bytes_per_s=10.0) == 10.0
    assert compute.roofline(100.0, 500.0, flops_per_s=10.0, bytes_per_s=10.0) == 50.0


def test_half_the_rate_is_reached_at_half_flops():
    """Hockney: e(f) = e_max f / (f + f_half)."""
    for flops, share in ((100.0, 0.5), (300.0, 0.75), (900.0, 0.9)):
        taken = compute.operation_seconds(flops, 0.0, 10.0, half_flops=100.0)
        assert flops / taken == pytest.approx(10.0 * share, rel=1e-12)


def test_a_launch_comes_before_computing_or_moving():
    with_memory = {"bytes_per_s": 10.0, "launch_s": 0.5}
    assert compute.operation_seconds(100.0, 10.0, 10.0, **with_memory) == 10.5
    assert compute.operation_seconds(100.0, 500.0, 10.0, **with_memory) == 50.5
    assert compute.operation_seconds(0.0, 0.0, 10.0, launch_s=0.5) == 0.5


def test_an_operation_without_flops_starts_up_in_no_time():
    assert compute.operation_seconds(0.0, 500.0, 10.0, half_flops=100.0, bytes_per_s=10.0) == 50.0


def test_without_figures_an_operation_is_work_over_rate():
    assert compute.operation_seconds(40.0, 1e9, 10.0) == compute.layer_seconds(10.0, 4, 10.0)


def test_spread_is_in_proportion():
    assert compute.spread(12.0, [1.0, 0.0, 2.0, 1.0]) == [3.0, 0.0, 6.0, 3.0]


def test_spread_over_zero_weights_is_even():
    assert compute.spread(12.0, [0.0] * 4) == [3.0] * 4


@given(
    st.floats(1e-12, 1e9),
    st.lists(st.floats(0.0, 1e308), min_size=1, max_size=400),
)
def test_parts_add_up_to_the_whole(total_s, weights):
    parts = compute.spread(total_s, weights)
    assert len(parts) == len(weights)
    assert min(parts) >= 0.0
    assert abs(math.fsum(parts) - total_s) <= 1e-15 * total_s


@given(st.floats(1e-9, 1e6), st.lists(st.integers(1, 10**12), min_size=2, max_size=50))
def test_a_greater_weight_never_gets_less(total_s, weights):
    pairs = sorted(zip(weights, compute.spread(total_s, weights), strict=True))
    for (_, less), (_, more) in itertools.pairwise(pairs):
        assert more >= less * (1 - 1e-14)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: compute.layer_seconds(-1.0, 1, 1.0), "flops_per_sample"),
        (lambda: compute.layer_seconds(1.0, 1, 0.0), "flops_per_s"),
        (lambda: compute.roofline(1.0, 1.0, 1.0, 0.0), "bytes_per_s"),
        (lambda: compute.operation_seconds(1.0, 1.0, 0.0), "flops_per_s"),
        (lambda: compute.operation_seconds(1.0, 1.0, 1.0, bytes_per_s=0.0), "bytes_per_s"),
        (lambda: compute.operation_seconds(1.0, 1.0, 1.0, half_flops=-1.0), "half_flops"),
        (lambda: compute.operation_seconds(1.0, 1.0, 1.0, launch_s=-1.0), "launch_s"),
        (lambda: compute.spread(-1.0, [1.0]), "total_s"),
        (lambda: compute.spread(1.0, []), "weights"),
        (lambda: compute.spread(1.0, [1.0, -1.0]), r"weights\[1\]"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
