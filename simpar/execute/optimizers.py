"""How gradients change parameters: gradient descent, with momentum, Adam.

An optimizer keeps the state of one slice of parameters, any run of elements. All that it does is element by
element: slices updated apart are, to the last bit, the slices of the whole updated at once. Gradients are
those of the mean loss: who updates has divided the sums by the number of samples.

Start with :func:`maker`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from simpar.execute.arrays import Array, apply, namespace


class Optimizer(Protocol):
    """The state of one slice of parameters."""

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the *parameters* after one more step: a new array, or *out*, which may be *parameters*."""


@dataclass
class Sgd:
    """Gradient descent: ``p - rate g``."""

    rate: float

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the *parameters* after one more step."""
        return apply(namespace(parameters).subtract, parameters, self.rate * gradient, out=out)


@dataclass
class Momentum:
    """Gradient descent with momentum: ``v = beta v + g``, ``p - rate v``.

    Source: Polyak, 1964; as in Sutskever et al., ICML 2013, with the rate outside, as frameworks have it.
    """

    rate: float
    momentum: float = 0.9
    _speed: Array = field(default=None, init=False, repr=False)

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the *parameters* after one more step."""
        xp = namespace(parameters)
        if self._speed is None:
            self._speed = xp.zeros_like(gradient)
        self._speed = apply(xp.multiply, self._speed, self.momentum, out=self._speed)
        self._speed = apply(xp.add, self._speed, gradient, out=self._speed)
        return apply(xp.subtract, parameters, self.rate * self._speed, out=out)


@dataclass
class Adam:
    """Adaptive moments: ``m`` and ``v`` follow the gradient and its square, both freed of their start at 0.

    Source: Kingma and Ba, arXiv:1412.6980, Algorithm 1.
    """

    rate: float
    first: float = 0.9
    """How much of the mean gradient stays: beta 1."""
    second: float = 0.999
    """How much of the mean squared gradient stays: beta 2."""
    epsilon: float = 1e-8
    _steps: int = field(default=0, init=False, repr=False)
    _mean: Array = field(default=None, init=False, repr=False)
    _square: Array = field(default=None, init=False, repr=False)

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the *parameters* after one more step."""
        xp = namespace(parameters)
        if self._mean is None:
            self._mean, self._square = xp.zeros_like(gradient), xp.zeros_like(gradient)
        self._steps += 1
        for state, beta, value in (
            (self._mean, self.first, gradient),
            (self._square, self.second, gradient * gradient),
        ):
            apply(xp.multiply, state, beta, out=state)
            apply(xp.add, state, (1.0 - beta) * value, out=state)
        mean = self._mean / (1.0 - self.first**self._steps)
        root = xp.sqrt(self._square / (1.0 - self.second**self._steps))
        return apply(xp.subtract, parameters, self.rate * mean / (root + self.epsilon), out=out)


KINDS: dict[str, Callable[[float], Optimizer]] = {"sgd": Sgd, "momentum": Momentum, "adam": Adam}
"""Optimizers by the name that ``model.optimizer`` takes."""


def maker(kind: str, rate: float) -> Callable[[], Optimizer]:
    """Return what makes one optimizer a slice, with a learning *rate*.

    Raises:
        ValueError: nobody knows the *kind*, or the rate is not a positive number.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown optimizer {kind!r}; one of {', '.join(KINDS)}")
    if not 0 < rate < math.inf:
        raise ValueError(f"a learning rate of {rate} is not a positive number")
    return lambda: KINDS[kind](rate)
