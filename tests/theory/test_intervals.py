"""The intervals by which random runs are judged are themselves right."""

import math
import random

import intervals
import pytest


@pytest.mark.parametrize(
    ("probability", "freedom", "wanted"),
    [
        (0.975, 1, 12.706),
        (0.995, 1, 63.657),
        (0.995, 2, 9.925),
        (0.995, 9, 3.250),
        (0.995, 19, 2.861),
        (0.995, 20, 2.845),
        (0.95, 30, 1.697),
        (0.9995, 60, 3.460),
    ],
)
def test_quantiles_of_t_are_those_of_the_table(probability, freedom, wanted):
    """Abramowitz and Stegun, table 26.10."""
    assert intervals.t_quantile(probability, freedom) == pytest.approx(wanted, abs=6e-4)


def test_an_interval_of_the_mean_misses_as_often_as_it_says():
    """1 in 100: of 4,000, 40 on average with a standard deviation of 6.3; four of them are 25."""
    rng = random.Random(7)
    found = [intervals.of_mean([rng.gauss(3.0, 2.0) for _ in range(8)]) for _ in range(4000)]
    assert abs(intervals.missed(found, 3.0) - 40) <= 25


def test_tolerated_misses_are_those_of_the_binomial_distribution():
    """P(more than 2 of 20 at 1 %) is 0.0010; more than 1, 0.0169."""
    assert intervals.tolerated(20, 0.01, alarm=2e-3) == 2
    assert intervals.tolerated(20, 0.01, alarm=2e-2) == 1
    assert intervals.tolerated(20, 0.01, alarm=0.2) == 0


def test_batches_are_means_in_order():
    assert intervals.batches([1.0, 3.0, 5.0, 7.0, 9.0], 2) == [2.0, 6.0]


def test_the_largest_of_exponential_times_is_a_harmonic_number():
    assert intervals.largest_of(lambda x: 1 - math.exp(-x), 3, 60.0) == pytest.approx(11 / 6, rel=1e-6)
