"""How parameters of replicas are updated, beside the plain step of an optimizer.

Of a replica with parameters w, the mean gradient mu of its T batches, the centre c of all replicas, and noise
xi, an update is

    dw = -elastic (w - c) - lr mu + xi

With ``elastic`` 0, noise 0 and T = 1 that is SGD; with T > 1 Downpour SGD (``push_every``); with an
``elastic`` EASGD, whose replicas explore on their own and are drawn to their centre; with noise of the
standard deviation sqrt(2 lr temperature) SGLD. A bias b has ``weight_decay`` b added to its gradient.
Gradients of matrices that are tied symmetric are projected: G becomes (G + G^T) / 2.

The centre is the mean of all replicas where they wait for one another; each that comes alone moves it by
elastic (w - c). Noise is drawn anew for each slice of parameters and version from the seed and these, so that
it does not depend on who comes first.

Sources: Dean et al., NIPS 2012 (Downpour SGD); Zhang, Choromanska and LeCun, Deep Learning with Elastic
Averaging SGD, NIPS 2015, Algorithm 1; Welling and Teh, Bayesian Learning via Stochastic Gradient Langevin
Dynamics, ICML 2011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simpar.execute.optimizers import Momentum, Optimizer

Array = Any


@dataclass(frozen=True, slots=True)
class Update:
    """What a program says of the updates of its parameters."""

    elastic: float = 0.0
    noise_std: float = 0.0
    momentum: float | None = None
    symmetric: bool = False
    weight_decay: float = 0.0
    seed: int = 0
    together: bool = True
    """Whether all replicas wait for one another, so that their mean is the centre."""

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Update:
        """Return what the *meta* of a program says."""
        given = {name: value for name, value in meta.get("update", {}).items() if name != "chain"}
        return cls(together=meta.get("clock") != "async", **given)

    def rule(self, optimizer: Optimizer) -> Optimizer:
        """Return the rule of one slice: *optimizer*, or one of its rate with this momentum."""
        if self.momentum is None:
            return optimizer
        return Momentum(float(getattr(optimizer, "rate")), self.momentum)  # noqa: B009  # of a protocol

    def noise(self, size: int, dtype: Any, *where: int) -> Array:
        """Return *size* draws from N(0, noise_std^2): the same for the same seed and place."""
        rng = np.random.default_rng([self.seed, *where])
        return (self.noise_std * rng.standard_normal(size)).astype(dtype)

    def decayed(self, gradient: Array, values: Array, biases: Array | None) -> Array:
        """Return the mean *gradient* with the decay of *values* where *biases* says so."""
        if not self.weight_decay or biases is None:
            return gradient
        return gradient + self.weight_decay * np.where(biases, values, 0).astype(values.dtype)


def symmetric_part(gradient: Array) -> Array:
    """Return (G + G^T) / 2, which is symmetric to the last bit.

    Raises:
        ValueError: *gradient* is not square.

    >>> symmetric_part(np.array([[1.0, 4.0], [2.0, 3.0]])).tolist()
    [[1.0, 3.0], [3.0, 3.0]]
    """
    if gradient.ndim != 2 or gradient.shape[0] != gradient.shape[1]:
        raise ValueError(f"a matrix of {' x '.join(map(str, gradient.shape))} has no symmetric part")
    return (gradient + gradient.T) / 2


def mean_of(replicas: Sequence[Array]) -> Array:
    """Return the mean of *replicas*, summed in their order."""
    total = replicas[0]
    for one in replicas[1:]:
        total = total + one
    return total / len(replicas)


def drawn_to(values: Array, centre: Array, elastic: float) -> Array:
    """Return *values* after a step towards *centre*: (1 - elastic) of the distance remains.

    >>> drawn_to(np.array([4.0]), np.array([2.0]), 0.5).tolist()
    [3.0]
    """
    return values - elastic * (values - centre)
