"""Backup workers that are cancelled: every step is an order statistic of the compute times (E1)."""

import math
from dataclasses import replace

import numpy as np
import pytest

import simpar
from simpar.result import Measured

NAMES_ENGINES = True
"""The compiled engine knows no joins that cancel."""

FAST = 1e15
STEPS, MU = 600, 2.0


def steps_of(scene, workers, backups, draws):
    """Return the length of each step where worker w computes draws[w, m] seconds in iteration m."""
    options = {"backup_workers": backups, "late": "cancel"}
    scenario = scene(
        {"ps-sync": options},
        layers=[(0.5, 0.5, 1000, 0.0)],
        workers=workers,
        bandwidth=FAST,
        run={"steps": draws.shape[1], "warmup": 0},
    )
    program = simpar.compile(scenario, "ps-sync")
    durations = {
        task: np.maximum(draws[op.worker] / 2, 1e-12)
        for task, op in enumerate(program.ops)
        if op.kind in ("forward", "backward")
    }
    trace = simpar.simulate(replace(program, durations=durations))
    assert len(trace.nodes.dropped) == backups * draws.shape[1]
    return np.diff(Measured(trace).update_s, prepend=0.0)


def harmonic(n):
    return sum(1 / k for k in range(1, n + 1))


@pytest.mark.parametrize(("workers", "backups"), [(4, 1), (6, 2), (8, 3)])
def test_exponential_times_make_every_step_a_difference_of_harmonic_numbers(scene, workers, backups):
    """(H_W - H_b) / mu of W workers of whom b are backups, in the long run and not in the first step only."""
    draws = np.random.default_rng(workers).exponential(1 / MU, (workers, STEPS))
    lengths = steps_of(scene, workers, backups, draws)
    law = (harmonic(workers) - harmonic(backups)) / MU
    half = 2.576 * np.std(lengths, ddof=1) / math.sqrt(STEPS)  # two-sided 99 %
    assert half < 0.1 * law
    assert abs(lengths.mean() - law) <= half


@pytest.mark.parametrize("seed", range(3))
def test_every_step_is_the_order_statistic_of_its_own_draws(scene, seed):
    draws = np.random.default_rng(seed).lognormal(0.0, 1.0, (5, 30))
    lengths = steps_of(scene, 5, 2, draws)
    assert lengths == pytest.approx(np.sort(draws, axis=0)[2], rel=1e-6)
