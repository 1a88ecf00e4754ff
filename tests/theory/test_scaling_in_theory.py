"""Scaling against closed forms: efficiency, saturation, where it stops paying, and money."""

import itertools
import json
import math

import pytest

import simpar

Z = 3.0  # seconds of compute of one batch
B = 1000.0  # bytes per second of every link
WORKERS = [1, 2, 4, 8, 16]


def layers(n_bytes):
    return ((1.0, 2.0, n_bytes // 4, 0.0),)


def first_that_never_pays_again(speedup):
    """Return the first of WORKERS from which on every next one adds less than half of its worth."""
    pays = [
        (speedup(after) - speedup(before)) / (after - before) >= 0.5
        for before, after in itertools.pairwise(WORKERS)
    ]
    return next((WORKERS[at] for at in range(len(pays)) if not any(pays[at:])), None)


@pytest.mark.parametrize("n", [1600, 4000])
def test_weak_scaling_of_a_ring_has_the_efficiency_of_its_formula(scene, n):
    """A ring sends 2 (W - 1) / W n bytes a worker: Z / (Z + 2 (W - 1) / W n / B)."""
    result = simpar.scale(scene("allreduce", layers=layers(n)), "workers", [1, 2, 4, 5, 8])

    for workers, row in result.curve("allreduce"):
        expected = Z / (Z + 2 * (workers - 1) / workers * n / B)
        assert row.efficiency == pytest.approx(expected, rel=1e-9)
        assert row.samples_per_s == pytest.approx(workers * expected / Z, rel=1e-9)
    assert [workers for workers, _ in result.curve("allreduce")] == [1, 2, 4, 5, 8]


@pytest.mark.parametrize(("n", "stops"), [(100, 8), (400, 2), (2000, 1), (4, None)])
def test_synchronous_servers_stop_paying_where_the_formula_says(scene, n, stops):
    """One server receives W n bytes, then sends them: a speedup of W Z / (Z + 2 W n / B).

    By hand, for n / B = 0.1: from W to 2 W it gains Z^2 / ((Z + 0.2 W) (Z + 0.4 W)) of a worker each,
    0.52 from 4 to 8 and 0.32 from 8 to 16.
    """

    def speedup(workers):
        return workers * Z / (Z + 2 * workers * n / B)

    result = simpar.scale(scene("ps-sync", layers=layers(n)), "workers", WORKERS)

    for workers, row in result.curve("ps-sync"):
        assert row.speedup == pytest.approx(speedup(workers), rel=1e-9)
    assert first_that_never_pays_again(speedup) == stops
    assert result.stops_paying == {"ps-sync": stops}


def in_closed_network(workers, think_s, demands_s):
    """Return the rate of a closed network by mean value analysis (Reiser and Lavenberg, JACM 27, 1980)."""
    queues, rate = [0.0] * len(demands_s), 0.0
    for customers in range(1, workers + 1):
        waits = [demand * (1 + queue) for demand, queue in zip(demands_s, queues, strict=True)]
        rate = customers / (think_s + sum(waits))
        queues = [rate * wait for wait in waits]
    return rate


def test_asynchronous_servers_saturate_at_what_their_links_carry_one_way(scene):
    """S servers receive S B bytes a second, n a batch: no more than S B / n batches, however many workers.

    Alone, a worker computes, sends n bytes and receives n. Many are a closed network: they think for Z and
    visit the link in and the link out, which both take n / B of them.
    """
    n, run = 1000, {"steps": 30, "warmup": 5}
    scenario = scene("ps-async", layers=layers(n), run=run)
    result = simpar.scale(scenario, "workers", [1, 4, 16, 32])

    rates = {workers: row.samples_per_s for workers, row in result.curve("ps-async")}
    assert rates[1] == pytest.approx(1 / (Z + 2 * n / B), rel=1e-9)
    assert rates[16] == pytest.approx(in_closed_network(16, Z, [n / B, n / B]), rel=0.03)
    assert max(rates.values()) <= B / n * (1 + 1e-9)
    # From 4 workers on at most B / n x Z of a speedup is left to gain, far less than half of 12 workers.
    assert result.stops_paying["ps-async"] in (1, 4)


def test_money_is_the_price_of_all_machines_over_what_they_train(tmp_path):
    """By hand: 2 USD/h a worker, 0.50 USD/h a server; a batch of 10 takes 1 s to compute, nothing to send."""
    file = tmp_path / "money.yaml"
    layer = {"name": "a", "flops": "1 GFLOP", "backward_flops": "1 GFLOP"}
    scenario = {
        "name": "money",
        "model": {"batch": 10, "layers": [layer]},
        "cluster": {"workers": 1, "device": {"flops": "20 GFLOP/s"}},
        "network": {"bandwidth": "10 Gbit/s"},
        "strategies": [{"ps-sync": {"servers": 3}}],
        "prices": {"device": "2 USD/h", "server": "0.50 USD/h"},
        "run": {"steps": 2},
    }
    file.write_text(json.dumps(scenario))
    result = simpar.scale(file, "workers", [1, 2, 4])

    for workers, row in result.curve("ps-sync"):
        assert row.samples_per_s == pytest.approx(10 * workers)
        usd_per_s = (2 * workers + 3 * 0.5) / 3600
        assert row.usd_per_million_samples == pytest.approx(usd_per_s / (10 * workers) * 1e6)
    value, row = result.cheapest  # the servers are shared by most workers
    assert value == 4
    assert row.usd_per_million_samples == pytest.approx(9.5 / 3600 / 40 * 1e6)


def test_strong_scaling_splits_one_batch(tmp_path):
    """12 samples of 0.1 s each: W workers compute as long as the largest share, and a ring sends as ever."""
    file = tmp_path / "strong.yaml"
    layer = {"name": "a", "flops": "1 GFLOP", "backward_flops": "1 GFLOP", "parameters": 1000}
    scenario = {
        "name": "strong",
        "model": {"global_batch": 12, "layers": [layer]},
        "cluster": {"workers": 1, "device": {"flops": "20 GFLOP/s"}},
        "network": {"bandwidth": "10000 B/s"},
        "strategies": ["allreduce"],
        "run": {"steps": 2},
    }
    file.write_text(json.dumps(scenario))
    result = simpar.scale(file, "workers", [1, 2, 4, 5])

    assert result.strong
    for workers, row in result.curve("allreduce"):
        largest = math.ceil(12 / workers)
        assert row.step_s == pytest.approx(0.1 * largest + 2 * (workers - 1) / workers * 4000 / 10000)
    assert [workers for workers, _ in result.curve("allreduce")] == [1, 2, 4, 5]


def test_asynchronous_workers_do_not_share_a_batch_unevenly(tmp_path):
    """Every push counts as much: 12 samples are no batch of 5 workers."""
    file = tmp_path / "strong.yaml"
    scenario = {
        "name": "strong",
        "model": {"global_batch": 12, "layers": [{"name": "a", "flops": "1 GFLOP", "parameters": 1000}]},
        "cluster": {"workers": 1, "device": {"flops": "20 GFLOP/s"}},
        "network": {"bandwidth": "10000 B/s"},
        "strategies": ["ps-async"],
    }
    file.write_text(json.dumps(scenario))
    result = simpar.scale(file, "workers", [1, 2, 5])
    assert [workers for workers, _ in result.curve("ps-async")] == [1, 2]
    assert result.points[-1].why_not("ps-async").startswith("12 samples do not divide by 5 workers")


def test_a_machine_twice_as_fast_computes_in_half_the_time(tmp_path):
    """The step is FLOPs / (peak x efficiency) of each preset, where nothing is sent."""
    from simpar.hardware.devices import load_devices

    file = tmp_path / "devices.yaml"
    layer = {"name": "a", "flops": "1 TFLOP", "backward_flops": "1 TFLOP"}
    scenario = {
        "name": "devices",
        "model": {"batch": 10, "layers": [layer]},
        "cluster": {"workers": 1, "device": "v100"},
        "strategies": ["single"],
        "prices": {"v100": "3 USD/h", "a100-80": "5 USD/h"},
        "run": {"steps": 2},
    }
    file.write_text(json.dumps(scenario))
    result = simpar.machines(file, ["k80", "v100", "a100-80"])

    rates = {}
    for device, row in result.ranked:
        preset = load_devices()[device]
        rates[device] = preset.peak["float32"].value * preset.efficiency["float32"].value
        assert row.step_s == pytest.approx(10 * 2e12 / rates[device])
    assert [device for device, _ in result.ranked] == sorted(rates, key=lambda one: -rates[one])
    costs = {device: price / rates[device] for device, price in (("v100", 3), ("a100-80", 5))}
    assert result.cheapest[0] == min(costs, key=lambda one: costs[one])
    assert result.cheapest[1].usd_per_million_samples == pytest.approx(
        costs[result.cheapest[0]] / 3600 * 2e12 * 1e6
    )
