"""Updates of parameters: plain SGD, with momentum, and Adam, as the state of one slice.

Every number is updated from its own gradient and its own state. So parameters that are cut into slices, each
with an optimizer of its own, come to what they would as a whole, to the last bit; one :class:`Optimizer` a
slice is all that a parameter server needs.

Gradients are means over samples here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from array_api_compat import array_namespace

from simpar.execute.kernels import Array, into


class Optimizer(Protocol):
    """The state of one slice of parameters."""

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the parameters after one more step.

        A new array, as others may still read the old; or *out*, which may be the old one.
        """


@dataclass(slots=True)
class Sgd:
    """``w - rate g``."""

    rate: float

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the parameters after one more step."""
        return into(array_namespace(parameters).subtract, parameters, self.rate * gradient, out=out)


@dataclass(slots=True)
class Momentum:
    """``v = momentum v + g; w - rate v``, as PyTorch has it (no dampening, not Nesterov's).

    Source: Polyak, 1964; Sutskever et al., ICML 2013, with the rate outside the velocity.
    """

    rate: float
    momentum: float = 0.9
    velocity: Array | None = None

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the parameters after one more step."""
        # A new array each time: whoever gave the gradient may use its memory again.
        self.velocity = self.momentum * (0.0 if self.velocity is None else self.velocity) + gradient
        return into(array_namespace(parameters).subtract, parameters, self.rate * self.velocity, out=out)


@dataclass(slots=True)
class Adam:
    """Steps as long as the rate, in the direction of mean over root mean square of the gradients so far.

    Source: Kingma and Ba, arXiv:1412.6980, Algorithm 1.
    """

    rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    steps: int = field(default=0, init=False)
    mean: Array = field(default=0.0, init=False)
    square: Array = field(default=0.0, init=False)

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> Array:
        """Return the parameters after one more step."""
        xp = array_namespace(parameters)
        self.steps += 1
        self.mean = self.beta1 * self.mean + (1 - self.beta1) * gradient
        self.square = self.beta2 * self.square + (1 - self.beta2) * gradient * gradient
        mean = self.mean / (1 - self.beta1**self.steps)
        square = self.square / (1 - self.beta2**self.steps)
        step = self.rate * mean / (xp.sqrt(square) + self.epsilon)
        return into(xp.subtract, parameters, step, out=out)


OPTIMIZERS: dict[str, type[Sgd] | type[Momentum] | type[Adam]] = {
    "sgd": Sgd,
    "momentum": Momentum,
    "adam": Adam,
}
"""By the name that a scenario gives them in ``model.optimizer``; each takes a learning rate."""
