"""Factors drawn at random: their moments, their forms, and what makes machines agree on them."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from simpar.cost.distributions import (
    GRID,
    KINDS,
    Distribution,
    pareto_shape,
    whole_picoseconds,
)

MANY = 400_000

CASES = [
    (Distribution("constant", 1.7), 1.7, 0.0),
    (Distribution("normal", 1.0, cv=0.2), 1.0, 0.2),
    (Distribution("lognormal", 2.0, cv=0.5), 2.0, 0.5),
    (Distribution("exponential", 1.5, cv=1.0), 1.5, 1.0),
    (Distribution("exponential", 1.0, cv=0.3), 1.0, 0.3),
    (Distribution("uniform", 1.0, cv=0.25), 1.0, 0.25),
    (Distribution("pareto", 1.0, shape=6.0), 1.0, 1 / math.sqrt(6 * 4)),
    # values 1 and 4 with chances 0.9 and 0.1: mean 1.3, variance 0.09 x 9 = 0.81
    (Distribution("two-point", 1.3, factor=4.0, probability=0.1), 1.3, 0.9 / 1.3),
    # values 1, 2, 3: mean 2, variance 2/3
    (Distribution("empirical", 2.0, values=(1.0, 2.0, 3.0)), 2.0, math.sqrt(2 / 3) / 2),
]


def generator(seed=1):
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize(("distribution", "mean", "cv"), CASES, ids=lambda case: getattr(case, "kind", None))
def test_the_mean_and_the_spread_are_those_that_were_asked_for(distribution, mean, cv):
    """Within five standard errors of the mean, and the spread within two per cent."""
    drawn = distribution.draw(generator(), MANY)
    assert abs(drawn.mean() - mean) <= 5 * cv * mean / math.sqrt(MANY) + GRID
    assert drawn.std() == pytest.approx(cv * mean, rel=0.02, abs=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("empirical", "constant")])
def test_draws_follow_the_distribution_function(kind):
    """The share of draws below x is F(x), within four standard errors, at nine points."""
    sigma = math.sqrt(math.log1p(0.3**2))
    normal = NormalDist()
    cases = {
        "normal": (Distribution(kind, cv=0.3), lambda x: normal.cdf((x - 1) / 0.3)),
        "lognormal": (
            Distribution(kind, cv=0.3),
            lambda x: normal.cdf((math.log(x) + sigma**2 / 2) / sigma),
        ),
        "exponential": (
            Distribution(kind, cv=0.5),
            lambda x: 0.0 if x < 0.5 else 1 - math.exp(-(x - 0.5) / 0.5),
        ),
        "uniform": (
            Distribution(kind, cv=0.5 / math.sqrt(3)),
            lambda x: min(1.0, max(0.0, x - 0.5)),
        ),
        "pareto": (
            Distribution(kind, shape=3.0),
            lambda x: 0.0 if x < 2 / 3 else 1 - (2 / 3 / x) ** 3,
        ),
        "two-point": (
            Distribution(kind, 1.02, factor=1.2, probability=0.1),
            lambda x: 0.0 if x < 1 else 0.9 if x < 1.2 else 1.0,
        ),
    }
    distribution, cumulative = cases[kind]
    drawn = distribution.draw(generator(7), MANY)
    for x in (0.55, 0.7, 0.81, 0.9, 1.01, 1.1, 1.3, 1.45, 2.0):
        share, expected = float((drawn <= x).mean()), cumulative(x)
        assert abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / MANY) + 1e-6, x


def test_an_empirical_one_draws_its_values_equally_often():
    drawn = Distribution("empirical", values=(3.0, 1.0, 2.0)).draw(generator(), MANY)
    values, counts = np.unique(drawn, return_counts=True)
    assert values == pytest.approx([0.5, 1.0, 1.5], abs=GRID)  # scaled to a mean of 1
    assert counts / MANY == pytest.approx([1 / 3] * 3, abs=4 * math.sqrt(2 / 9 / MANY))


@pytest.mark.parametrize(("distribution", "mean", "cv"), CASES, ids=lambda case: getattr(case, "kind", None))
def test_the_first_draws_are_the_same_however_many_follow(distribution, mean, cv):
    few, many = distribution.draw(generator(3), 10), distribution.draw(generator(3), 1000)
    assert few.tolist() == many[:10].tolist()


@pytest.mark.parametrize("distribution", [case for case, *_ in CASES if case.kind != "constant"])
def test_drawn_factors_are_above_zero_and_whole_multiples_of_the_grid(distribution):
    drawn = distribution.draw(generator(5), 10_000)
    assert (drawn > 0).all()
    assert (drawn / GRID == np.rint(drawn / GRID)).all()


def test_drawn_times_are_whole_picoseconds_and_one_at_least():
    drawn = whole_picoseconds(np.array([1e-15, 2.4999e-12, 2.5001e-12, 0.18]))
    assert drawn.tolist() == [1e-12, 2e-12, 3e-12, 0.18]


@pytest.mark.parametrize("shape", [2.1, 3.0, 10.0])
def test_the_shape_of_a_pareto_one_follows_from_its_spread(shape):
    assert pareto_shape(1 / math.sqrt(shape * (shape - 2))) == pytest.approx(shape, rel=1e-12)


def test_a_pareto_one_that_does_not_vary_has_no_shape():
    with pytest.raises(ValueError, match="cv is 0"):
        pareto_shape(0.0)
