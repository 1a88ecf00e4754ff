"""Steps that end with the first W - b pushes, against order statistics and the recursion of late workers."""

import math
from dataclasses import replace

import numpy as np
import pytest

import simpar
from simpar.result import Measured
from simpar.simulate import simulate

FAST = 1e15
"""Bytes per second at which a network takes no time worth a word."""


def compiled(scene, workers, backups, steps, speed=None):
    options = {"backup_workers": backups} if backups else {}
    scenario = scene(
        {"ps-sync": options},
        layers=[(0.5, 0.5, 1000, 0.0)],
        workers=workers,
        speed=speed,
        bandwidth=FAST,
        run={"steps": steps, "warmup": 0},
    )
    return simpar.compile(scenario, "ps-sync")


def with_compute(program, draws):
    """Return *program* where worker w computes draws[w, m] seconds in iteration m, half of them forward."""
    durations = {
        task: np.maximum(draws[op.worker] / 2, 1e-12)
        for task, op in enumerate(program.ops)
        if op.kind in ("forward", "backward")
    }
    return replace(program, durations=durations)


def updates_s(program, draws):
    return Measured(simulate(with_compute(program, draws))).update_s


def recursion(draws, backups):
    """Return when each update is: r' = max(r, u) + Z by worker, and u the (W - b)-th smallest r."""
    workers, steps = draws.shape
    through, updates = np.zeros(workers), []
    for step in range(steps):
        through = np.maximum(through, updates[-1] if updates else 0.0) + draws[:, step]
        updates.append(np.sort(through)[workers - backups - 1])
    return np.array(updates)


def harmonic(n):
    return sum(1 / k for k in range(1, n + 1))


@pytest.mark.parametrize(("workers", "backups"), [(4, 1), (5, 2), (6, 1), (3, 2), (8, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_updates_follow_the_recursion_of_workers_that_finish_late(scene, workers, backups, seed):
    draws = np.random.default_rng(seed).exponential(1.0, (workers, 40))
    found = updates_s(compiled(scene, workers, backups, 40), draws)
    assert found == pytest.approx(recursion(draws, backups), rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_backups_are_never_slower_for_the_same_draws(scene, seed):
    """N workers wait for their slowest; with b more of them, the N-th of N + b is never later."""
    rng = np.random.default_rng(seed)
    needed, backups = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    draws = rng.lognormal(0.0, 0.8, (needed + backups, 25))
    alone = updates_s(compiled(scene, needed, 0, 25), draws[:needed])
    helped = updates_s(compiled(scene, needed + backups, backups, 25), draws)
    assert (helped <= alone + 1e-8).all()
    assert helped[-1] < alone[-1]


@pytest.mark.parametrize(("workers", "backups"), [(4, 0), (4, 1), (6, 2)])
def test_a_step_that_all_begin_together_is_an_order_statistic(scene, workers, backups):
    """Exponential times: (H_W - H_b) / mu. Only the first step begins so; later ones find workers late."""
    program, rng, mu = compiled(scene, workers, backups, 1), np.random.default_rng(5), 2.0
    lengths = [updates_s(program, rng.exponential(1 / mu, (workers, 1)))[0] for _ in range(400)]
    law = (harmonic(workers) - harmonic(backups)) / mu
    half = 2.576 * np.std(lengths, ddof=1) / math.sqrt(len(lengths))  # two-sided 99 %
    assert half < 0.1 * law
    assert abs(np.mean(lengths) - law) <= half


def test_without_backups_every_step_is_the_slowest_of_all(scene):
    """H_W / mu, exponential times."""
    workers, steps, mu = 5, 600, 1.0
    draws = np.random.default_rng(6).exponential(1 / mu, (workers, steps))
    lengths = np.diff(updates_s(compiled(scene, workers, 0, steps), draws), prepend=0.0)
    half = 2.576 * np.std(lengths, ddof=1) / math.sqrt(steps)
    assert abs(lengths.mean() - harmonic(workers) / mu) <= half


@pytest.mark.parametrize("overlap", [False, True])
def test_a_worker_that_is_always_slow_is_left_behind(scene, overlap):
    """The step is the others'; of each push that comes too late one is dropped, a key and an iteration."""
    scenario = scene(
        {"ps-sync": {"backup_workers": 1, "servers": 2, "overlap": overlap}},
        layers=[(0.5, 0.5, 1000, 0.0)] * 2,
        workers=4,
        speed=[1.0, 1.0, 1.0, 0.4],
        bandwidth=FAST,
        batch=3,
    )
    found = Measured(simulate(simpar.compile(scenario, "ps-sync")))
    assert found.step_s == pytest.approx(2.0, rel=1e-9)
    assert found.samples_per_s == pytest.approx(3 * 3 / 2.0, rel=1e-9)
    dropped = found.trace.nodes.dropped
    assert {found.program.ops[sender].worker for sender in dropped[:, 2].tolist()} == {3}
    assert len(dropped) == len(found.updates) * found.program.iterations
    assert math.fsum(found.breakdown.values()) == pytest.approx(found.step_s, abs=1e-9)


def test_a_layer_without_parameters_at_the_front_waits_for_no_more_workers(scene):
    """A step ends after the last backward pass, of the first W - b workers too."""
    scenario = scene(
        {"ps-sync": {"backup_workers": 1, "overlap": True}},
        layers=[(1.0, 1.0, 0, 0.0), (1.0, 1.0, 1000, 0.0)],
        workers=3,
        speed=[1.0, 1.0, 0.25],
        bandwidth=FAST,
    )
    found = Measured(simulate(simpar.compile(scenario, "ps-sync")))
    assert found.step_s == pytest.approx(4.0, rel=1e-9)
