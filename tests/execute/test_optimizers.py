"""Optimizers against their recurrences, worked out with plain numbers."""

import math

import numpy as np
import pytest

from simpar.execute.optimizers import Adam, Momentum, Sgd

GRADIENTS = [0.5, -1.0, 2.0]


def run(optimizer):
    w = np.array([3.0])
    for gradient in GRADIENTS:
        before = w
        w = optimizer.step(w, np.array([gradient]))
        assert w is not before
    return w.item()


def test_sgd_goes_the_rate_times_the_gradient():
    assert run(Sgd(0.1)) == pytest.approx(3.0 - 0.1 * (0.5 - 1.0 + 2.0))


def test_momentum_remembers_a_share_of_the_last_step():
    """v: 0.5, then 0.9 x 0.5 - 1 = -0.55, then 0.9 x -0.55 + 2 = 1.505."""
    assert run(Momentum(0.1)) == pytest.approx(3.0 - 0.1 * (0.5 - 0.55 + 1.505))


@pytest.mark.parametrize("optimizer", [Momentum, Adam])
def test_memory_of_a_gradient_may_be_used_again(optimizer):
    found = []
    for reused in (True, False):
        state, w, gradient = optimizer(0.1), np.array([3.0]), np.zeros(1)
        for value in GRADIENTS:
            if reused:
                gradient[:] = value
            w = state.step(w, gradient if reused else np.array([value]))
        found.append(w.item())
    assert found[0] == found[1]


def test_adam_follows_its_algorithm():
    w, m, v = 3.0, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert run(Adam(0.1)) == pytest.approx(w, rel=1e-12)


def test_adams_first_step_is_as_long_as_the_rate_whatever_the_gradient():
    for gradient in (1e-3, 1.0, -1e6):
        w = Adam(0.1).step(np.array([3.0]), np.array([gradient]))
        assert w.item() == pytest.approx(3.0 - math.copysign(0.1, gradient), rel=1e-4)
