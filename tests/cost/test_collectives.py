"""Golden figures: 8 ranks, 100 MB, 5 us, 12.5 GB/s, so that 100 MB take 8 ms on one link."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.cost import collectives

N_BYTES, BANDWIDTH, LATENCY = 100e6, 12.5e9, 5e-6
ALL_REDUCES = [
    collectives.ring_all_reduce,
    collectives.tree_all_reduce,
    collectives.recursive_doubling,
    collectives.halving_doubling,
]
COLLECTIVES = [*ALL_REDUCES, collectives.reduce_scatter, collectives.all_gather]


def test_message_is_latency_and_bytes_over_bandwidth():
    assert collectives.message(250.0, bandwidth=100.0, latency=0.5) == 3.0


def test_empty_message_takes_the_latency():
    assert collectives.message(0, bandwidth=100.0, latency=0.5) == 0.5


def test_equal_flows_on_one_link_end_together_as_one_message_of_all_their_bytes():
    assert collectives.fair_share(100.0, flows=3, bandwidth=100.0, latency=0.5) == 3.5


@pytest.mark.parametrize(
    ("collective", "seconds"),
    [
        (collectives.ring_all_reduce, 14.070e-3),  # 14 x (5 us + 1 ms)
        (collectives.reduce_scatter, 7.035e-3),
        (collectives.all_gather, 7.035e-3),
        (collectives.tree_all_reduce, 48.030e-3),  # 6 x (5 us + 8 ms)
        (collectives.recursive_doubling, 24.015e-3),  # 3 x (5 us + 8 ms)
        (collectives.halving_doubling, 14.030e-3),  # 6 x 5 us + 14 x 1 ms
        (collectives.all_reduce_lower_bound, 14e-3),
    ],
)
def test_eight_ranks_golden(collective, seconds):
    assert collective(N_BYTES, 8, BANDWIDTH, LATENCY) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("collective", [*COLLECTIVES, collectives.all_reduce_lower_bound])
def test_one_rank_takes_no_time(collective):
    assert collective(N_BYTES, 1, BANDWIDTH, LATENCY) == 0.0


def test_two_ranks_ring_sends_what_halving_doubling_sends():
    ring = collectives.ring_all_reduce(N_BYTES, 2, BANDWIDTH, LATENCY)
    assert ring == pytest.approx(2 * (5e-6 + 4e-3), rel=1e-12)
    assert collectives.halving_doubling(N_BYTES, 2, BANDWIDTH, LATENCY) == pytest.approx(ring, rel=1e-12)


def test_ring_beats_tree_for_large_messages_and_loses_for_small_ones():
    for n_bytes, ring_wins in [(100e6, True), (1e3, False)]:
        ring = collectives.ring_all_reduce(n_bytes, 64, BANDWIDTH, LATENCY)
        tree = collectives.tree_all_reduce(n_bytes, 64, BANDWIDTH, LATENCY)
        assert (ring < tree) is ring_wins


@pytest.mark.parametrize(
    ("collective", "seconds"),
    [
        (collectives.tree_all_reduce, 2 * 3 * 11.0),  # ceil(log2 6) = 3 levels of 1 + 10 s, twice
        (collectives.recursive_doubling, (2 + 2) * 11.0),  # 4 ranks double, 2 fold in and out
        (collectives.halving_doubling, 2 * 2 * 1.0 + 2 * 3 / 4 * 10.0 + 2 * 11.0),
    ],
)
def test_six_ranks_are_four_and_two_that_fold_in(collective, seconds):
    assert collective(1000.0, 6, 100.0, 1.0) == pytest.approx(seconds, rel=1e-12)


@given(
    n_bytes=st.just(0.0) | st.floats(1e-3, 1e12),
    ranks=st.integers(1, 5000),
    bandwidth=st.floats(1e3, 1e13),
    latency=st.just(0.0) | st.floats(1e-12, 1.0),
)
def test_no_all_reduce_beats_the_lower_bound(n_bytes, ranks, bandwidth, latency):
    bound = collectives.all_reduce_lower_bound(n_bytes, ranks, bandwidth, latency)
    for all_reduce in ALL_REDUCES:
        assert all_reduce(n_bytes, ranks, bandwidth, latency) >= bound * (1 - 1e-12)


@given(exponent=st.integers(0, 40))
def test_levels_are_exact_around_powers_of_two(exponent):
    """A floating-point logarithm would be one level off for some of these."""
    ranks = 2**exponent
    levels = collectives.tree_all_reduce(0, ranks, 1.0, 1.0) / 2
    assert levels == exponent
    assert collectives.tree_all_reduce(0, ranks + 1, 1.0, 1.0) / 2 == exponent + 1


@pytest.mark.parametrize("collective", [*COLLECTIVES, collectives.fair_share])
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((-1.0, 8, 1.0, 0.0), "n_bytes"),
        ((math.nan, 8, 1.0, 0.0), "n_bytes"),
        ((1.0, 0, 1.0, 0.0), "ranks|flows"),
        ((1.0, 2.5, 1.0, 0.0), "ranks|flows"),
        ((1.0, 8, 0.0, 0.0), "bandwidth"),
        ((1.0, 8, math.inf, 0.0), "bandwidth"),
        ((1.0, 8, 1.0, -1e-6), "latency"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(collective, values, named):
    with pytest.raises(ValueError, match=named):
        collective(*values)
