"""Factors drawn at random, by which times are longer or shorter than nominal.

A factor multiplies a time; its mean is stated, never implied. Draws come from uniform or normal numbers in
a fixed way, so that strategies which are handed the same generator see the same luck. A factor is rounded to
:data:`GRID`, and a drawn time to a whole picosecond: exponentials and logarithms may differ in
their last digit from machine to machine, the rounded figures do not.

Start with :class:`Distribution`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = 2.0**-24
"""Drawn factors are whole multiples of this."""

LEAST = 2.0**-10
"""No factor is less than this share of the mean: a normal one would be negative now and then."""

PICOSECONDS = 1e12
"""In a second."""

KINDS = (
    "constant",
    "normal",
    "lognormal",
    "exponential",
    "uniform",
    "pareto",
    "two-point",
    "empirical",
)
"""What :attr:`Distribution.kind` may be."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a factor is distributed.

    ``cv`` is the coefficient of variation, standard deviation over mean. An exponential one with a cv
    below 1 is shifted: a constant 1 - cv of the mean, and an exponential rest.

    Source of the forms: Johnson, Kotz and Balakrishnan, *Continuous Univariate Distributions*, 1994.
    """

    kind: str
    """One of :data:`KINDS`."""

    mean: float = 1.0
    """Expected factor."""

    cv: float = 0.0
    """Of a normal, lognormal, exponential or uniform one."""

    shape: float = math.inf
    """Of a Pareto one, the exponent of its tail, above 1: below that it has no mean."""

    factor: float = 1.0
    """Of a two-point one: what the slow times are of the usual ones."""

    probability: float = 0.0
    """Of a two-point one: how often times are slow."""

    values: tuple[float, ...] = ()
    """Of an empirical one: drawn with equal chances, after scaling them to the mean."""

    def draw(self, generator: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Return *count* factors, float64[count], each a multiple of :data:`GRID` above zero.

        The first few are the same whatever *count* is. A constant is not drawn, nor rounded.
        """
        if self.kind == "constant":
            return np.full(count, self.mean)
        if self.kind in ("normal", "lognormal"):
            drawn = self._from_normal(generator.standard_normal(count))
        else:
            drawn = self._from_uniform(generator.random(count))
        rounded = np.rint(np.maximum(drawn, LEAST * self.mean) / GRID) * GRID
        factors: NDArray[np.float64] = np.maximum(rounded, GRID)
        return factors

    def _from_normal(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.kind == "normal":
            return self.mean * (1.0 + self.cv * z)
        sigma = math.sqrt(math.log1p(self.cv**2))
        drawn: NDArray[np.float64] = self.mean * np.exp(sigma * z - 0.5 * sigma**2)
        return drawn

    def _from_uniform(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return factors of uniform numbers in [0, 1)."""
        mean = self.mean
        if self.kind == "exponential":
            return mean * ((1.0 - self.cv) - self.cv * np.log1p(-u))
        if self.kind == "uniform":
            return mean * (1.0 + math.sqrt(3.0) * self.cv * (2.0 * u - 1.0))
        if self.kind == "pareto":
            drawn: NDArray[np.float64] = (
                mean * (self.shape - 1.0) / self.shape * np.exp(-np.log1p(-u) / self.shape)
            )
            return drawn
        if self.kind == "two-point":
            usual = mean / (1.0 + self.probability * (self.factor - 1.0))
            return np.where(u < self.probability, usual * self.factor, usual)
        if self.kind == "empirical":
            values = np.array(self.values)
            chosen = values[(u * len(values)).astype(np.int64)]
            scaled: NDArray[np.float64] = chosen * (mean / (math.fsum(self.values) / len(values)))
            return scaled
        raise ValueError(f"kind is {self.kind!r}, not one of: {', '.join(KINDS)}")


def pareto_shape(cv: float) -> float:
    """Return the exponent of the Pareto distribution with this coefficient of variation.

    Args:
        cv: standard deviation over mean, above zero.

    Formula: cv^2 = 1 / (a (a - 2)), so a = 1 + sqrt(1 + 1 / cv^2); always above 2.

    >>> pareto_shape(1 / math.sqrt(3))
    3.0
    """
    if not cv > 0:
        raise ValueError(f"cv is {cv}, not above zero")
    return 1.0 + math.sqrt(1.0 + 1.0 / (cv * cv))


def whole_picoseconds(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return *seconds* rounded to whole picoseconds, one at least: float64 of the same shape.

    >>> whole_picoseconds(np.array([0.0, 1.2345678901234e-6])).tolist()
    [1e-12, 1.234568e-06]
    """
    rounded: NDArray[np.float64] = np.maximum(np.rint(seconds * PICOSECONDS), 1.0) / PICOSECONDS
    return rounded
