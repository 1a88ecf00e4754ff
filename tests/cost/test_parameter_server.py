import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpar.cost import parameter_server as ps

RESNET_50_BYTES = 102_228_128


def test_sync_step_waits_for_the_workers_link_when_servers_are_many():
    assert ps.sync_step(100.0, 2, 4, 10.0, 10.0, latency=0.5) == 2 * (0.5 + 10.0)


def test_sync_step_waits_for_the_servers_link_when_servers_are_few():
    assert ps.sync_step(100.0, 8, 2, 10.0, 10.0, latency=0.5, compute_s=3.0) == 3.0 + 2 * (0.5 + 40.0)


def test_sync_step_of_resnet_50_on_25_gbit():
    """180 ms + 2 x (5 us + 8 x 102.2 MB / (2 x 3.125 GB/s)) = 441.7 ms."""
    step = ps.sync_step(RESNET_50_BYTES, 8, 2, 3.125e9, 3.125e9, latency=5e-6, compute_s=0.18)
    assert step == pytest.approx(0.18 + 1e-5 + 2 * 0.13085200384, rel=1e-9)


def test_one_slice_is_push_then_pull():
    assert ps.sliced_step(100.0, 1, 10.0, overhead=0.0) == 20.0


def test_endless_slicing_without_overhead_halves_the_time():
    assert ps.sliced_step(100.0, 10**9, 10.0, overhead=0.0) == pytest.approx(10.0, rel=1e-8)


def test_best_slices_is_least_among_whole_numbers():
    """n / B = 16 s and overhead 1 s: four slices, T = (4 + 1)^2 = 25 s."""
    assert ps.best_slices(160.0, 10.0, overhead=1.0) == 4.0
    assert ps.best_sliced_step(160.0, 10.0, overhead=1.0) == 25.0
    times = {k: ps.sliced_step(160.0, k, 10.0, overhead=1.0) for k in range(1, 50)}
    assert min(times, key=times.__getitem__) == 4
    assert times[4] == 25.0


def test_best_slices_without_overhead_is_endless():
    assert ps.best_slices(160.0, 10.0, overhead=0.0) == math.inf
    assert ps.best_sliced_step(160.0, 10.0, overhead=0.0) == 16.0


@given(st.floats(1.0, 1e12), st.integers(1, 10_000), st.floats(1e3, 1e12), st.floats(0.0, 1.0))
def test_no_number_of_slices_beats_the_best(n_bytes, slices, bandwidth, overhead):
    best = ps.best_sliced_step(n_bytes, bandwidth, overhead)
    assert ps.sliced_step(n_bytes, slices, bandwidth, overhead) >= best * (1 - 1e-12)


@given(st.floats(0.0, 1e12), st.integers(1, 500), st.integers(1, 64), st.floats(0.0, 10.0))
def test_sync_step_never_beats_its_bound(n_bytes, workers, servers, compute_s):
    bound = ps.sync_lower_bound(n_bytes, workers, servers, 1e9, 2e9, compute_s)
    assert ps.sync_step(n_bytes, workers, servers, 1e9, 2e9, 0.0, compute_s) >= bound


def test_bound_is_the_longest_of_compute_and_either_link():
    assert ps.sync_lower_bound(100.0, 2, 4, 10.0, 10.0) == 10.0
    assert ps.sync_lower_bound(100.0, 8, 2, 10.0, 10.0) == 40.0
    assert ps.sync_lower_bound(100.0, 8, 2, 10.0, 10.0, compute_s=50.0) == 50.0


def test_hot_shard_holds_everybody_up():
    assert ps.hot_shard_lower_bound([70.0, 10.0, 20.0], 4, 10.0, 10.0) == 28.0
    assert ps.hot_shard_lower_bound([70.0, 10.0, 20.0], 1, 10.0, 10.0) == 10.0


@given(st.floats(1.0, 1e12), st.integers(1, 64), st.integers(1, 64))
def test_equal_shards_are_no_hot_shard(n_bytes, workers, servers):
    hot = ps.hot_shard_lower_bound([n_bytes / servers] * servers, workers, 1e9, 2e9)
    assert hot == pytest.approx(ps.sync_lower_bound(n_bytes, workers, servers, 1e9, 2e9), rel=1e-12)


def test_load_imbalance_is_greatest_over_mean():
    assert ps.load_imbalance([30.0, 10.0, 20.0]) == 1.5
    assert ps.load_imbalance([7.0] * 5) == 1.0


def test_aggregating_first_updates_once_whatever_the_workers():
    loads = [60.0, 40.0]
    assert ps.server_cpu(loads, 8, add_rate=100.0, update_rate=10.0) == pytest.approx(4.8 + 6.0)
    assert ps.server_cpu(loads, 8, 100.0, 10.0, aggregate=False) == pytest.approx(4.8 + 48.0)


def test_rates_not_stated_take_no_time():
    assert ps.server_cpu([60.0], 8, None, None) == 0.0
    assert ps.server_cpu([60.0], 8, None, 10.0) == 6.0


def test_uncontended_cycle_adds_its_parts():
    """1 + 2 x (0.5 + 0.25 + max(100/10, 60/4)) + 60/30 + 60/20 = 37.5."""
    cycle = ps.uncontended_cycle(
        1.0, [60.0, 40.0], 10.0, 4.0, latency=0.5, overhead=0.25, add_rate=30.0, update_rate=20.0
    )
    assert cycle == pytest.approx(1.0 + 2 * (0.5 + 0.25 + 15.0) + 2.0 + 3.0)


def test_uncontended_cycle_of_resnet_50_on_25_gbit():
    """180 ms + 2 x (5 us + 102.2 MB / 3.125 GB/s) = 245.4 ms."""
    cycle = ps.uncontended_cycle(0.18, [RESNET_50_BYTES / 2] * 2, 3.125e9, 3.125e9, latency=5e-6)
    assert cycle == pytest.approx(0.18 + 1e-5 + 2 * 0.03271300096, rel=1e-9)


def test_cycle_without_bytes_is_compute_alone():
    assert ps.uncontended_cycle(1.5, [0.0, 0.0], 10.0, 10.0, latency=0.5) == 1.5


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: ps.sync_step(1.0, 0, 1, 1.0, 1.0, 0.0), "workers"),
        (lambda: ps.sync_step(1.0, 1, 0, 1.0, 1.0, 0.0), "servers"),
        (lambda: ps.sync_step(1.0, 1, 1, 0.0, 1.0, 0.0), "worker_bandwidth"),
        (lambda: ps.sync_step(1.0, 1, 1, 1.0, 0.0, 0.0), "server_bandwidth"),
        (lambda: ps.sync_step(1.0, 1, 1, 1.0, 1.0, -1.0), "latency"),
        (lambda: ps.sliced_step(1.0, 0, 1.0, 0.0), "slices"),
        (lambda: ps.best_slices(-1.0, 1.0, 0.0), "n_bytes"),
        (lambda: ps.best_sliced_step(1.0, 1.0, -1.0), "overhead"),
        (lambda: ps.sync_lower_bound(1.0, 1, 1, 1.0, 1.0, -1.0), "compute_s"),
        (lambda: ps.hot_shard_lower_bound([], 1, 1.0, 1.0), "loads"),
        (lambda: ps.load_imbalance([0.0]), "loads"),
        (lambda: ps.server_cpu([1.0, -1.0], 1, 1.0, 1.0), r"loads\[1\]"),
        (lambda: ps.server_cpu([1.0], 1, 0.0, 1.0), "add_rate"),
        (lambda: ps.server_cpu([1.0], 1, 1.0, 0.0), "update_rate"),
        (lambda: ps.uncontended_cycle(-1.0, [1.0], 1.0, 1.0, 0.0), "compute_s"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
