"""What would help, enough servers, break-even bandwidth and batch, against formulas.

One layer of N bytes on W workers with S servers, each with one link, and compute Z:

* parameter servers: Z + 2 (alpha + max(N / B_w, W N / (S B_s))), N / S in whole elements
* ring: Z + 2 (W - 1) (alpha + N / (W B_w))
"""

import math

import pytest

import simpar
from simpar.study.break_even import PRECISION, batch_for, break_even
from simpar.study.sensitivity import NEAR, enough_servers, what_would_help

Z = 3.0
"""Seconds of compute of the layer below."""
N = 4000.0
"""Bytes of its gradients."""
B, ALPHA = 1000.0, 0.1
FASTER = 1 - 1 / 1.1
"""Share of its time that a resource saves which is 10 % faster."""


def ps_sync(workers, servers, bandwidth=B, of_servers=None, alpha=ALPHA):
    there = bandwidth if of_servers is None else of_servers
    return Z + 2 * (alpha + max(N / bandwidth, workers * 4 * math.ceil(N / 4 / servers) / there))


def ring(workers, bandwidth=B, alpha=ALPHA):
    return Z + 2 * (workers - 1) * (alpha + N / (workers * bandwidth))


@pytest.fixture
def asked(scene):
    """Return a function from a scenario to the setting and the figures of its first strategy."""

    def ask(*strategies, **numbers):
        scenario = scene(*strategies, **({"latency": ALPHA} | numbers))
        found = simpar.explain(scenario, scenario.strategies[0].name)
        return found.setting, found.row.measured

    return ask


def saved(helps):
    """Return the seconds saved, by the setting that saves them."""
    return {one.path: one.step_s / (1 - one.gain_frac) - one.step_s for one in helps}


# -- what would help -------------------------------------------------------------------------------


def test_faster_links_of_full_servers_save_a_share_of_their_transfers(asked):
    """The example of the module: 2 W N / (S B) of the step is theirs."""
    helps, left_out = what_would_help(*asked({"ps-sync": {"servers": 2}}, workers=8))
    found = saved(helps)
    assert left_out == []
    assert found["network.server_bandwidth"] == pytest.approx(2 * 8 * N / (2 * B) * FASTER, rel=1e-9)
    assert found["network.bandwidth"] == pytest.approx(0.0, abs=1e-9)
    assert found["network"] == pytest.approx(found["network.server_bandwidth"], rel=1e-9)
    assert found["cluster.speed"] == pytest.approx(Z * FASTER, rel=1e-9)
    assert found["network.latency"] == pytest.approx(2 * ALPHA * FASTER, rel=1e-9)


def test_the_most_helpful_comes_first(asked):
    helps, _ = what_would_help(*asked({"ps-sync": {"servers": 2}}, workers=8))
    assert [one.path for one in helps] == [
        "network.server_bandwidth",
        "network",
        "cluster.speed",
        "network.latency",
        "network.bandwidth",
    ]
    assert [one.has_effect for one in helps] == [True, True, True, True, False]


def test_workers_links_help_where_servers_have_links_to_spare(asked):
    helps, _ = what_would_help(*asked({"ps-sync": {"servers": 2}}, workers=2, server_bandwidth=4 * B))
    found = saved(helps)
    assert found["network.bandwidth"] == pytest.approx(2 * N / B * FASTER, rel=1e-9)
    assert found["network.server_bandwidth"] == pytest.approx(0.0, abs=1e-9)


def test_links_that_are_equally_full_help_only_together(asked):
    """As many servers as workers: both ends of every transfer take N / B."""
    found = saved(what_would_help(*asked({"ps-sync": {"servers": 4}}, workers=4))[0])
    assert found["network.bandwidth"] == pytest.approx(0.0, abs=1e-9)
    assert found["network.server_bandwidth"] == pytest.approx(0.0, abs=1e-9)
    assert found["network"] == pytest.approx(2 * N / B * FASTER, rel=1e-9)


def test_a_ring_gains_from_latency_and_bandwidth_what_it_spends_on_them(asked):
    found = saved(what_would_help(*asked("allreduce", workers=4))[0])
    assert found == {
        "cluster.speed": pytest.approx(Z * FASTER, rel=1e-9),
        "network.bandwidth": pytest.approx(2 * 3 * N / (4 * B) * FASTER, rel=1e-9),
        "network.latency": pytest.approx(2 * 3 * ALPHA * FASTER, rel=1e-9),
    }


def test_faster_server_cpus_save_a_share_of_their_adding(asked):
    """One worker, one server: the push is added in N / r, and the update takes N / u."""
    asked_of = asked("ps-sync", workers=1, server={"add_rate": 500.0, "update_rate": 2000.0})
    found = saved(what_would_help(*asked_of)[0])
    assert found["cluster.server"] == pytest.approx((N / 500 + N / 2000) * FASTER, rel=1e-9)


def test_a_store_that_sets_the_pace_is_what_helps(asked):
    """Reading W records of 1000 bytes at 100 bytes a second takes longer than anything else."""
    helps, _ = what_would_help(
        *asked("allreduce", workers=2, data=(1000.0, 100.0, 2), run={"steps": 8, "warmup": 2})
    )
    assert helps[0].path == "data.store_bandwidth"
    assert saved(helps)["data.store_bandwidth"] > 0.5 * 2 * 1000 / 100 * FASTER


def test_one_device_alone_needs_no_network(asked):
    helps, _ = what_would_help(*asked("single", workers=1))
    assert [one.path for one in helps if one.has_effect] == ["cluster.speed"]
    assert saved(helps)["cluster.speed"] == pytest.approx(Z * FASTER, rel=1e-9)


# -- enough servers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "bandwidth", "of_servers"), [(8, B, B), (6, B, 2 * B), (5, B, 10 * B), (3, 100.0, 40.0)]
)
def test_enough_servers_are_the_fewest_within_2_percent(asked, workers, bandwidth, of_servers):
    asked_of = asked("ps-sync", workers=workers, bandwidth=bandwidth, server_bandwidth=of_servers)
    steps = {n: ps_sync(workers, n, bandwidth, of_servers) for n in range(1, 4 * workers + 1)}
    wanted = min(n for n in steps if steps[n] <= (1 + NEAR) * min(steps.values()))
    found, complete = enough_servers(*asked_of)
    assert complete
    assert found.most == 4 * workers
    assert found.servers == wanted
    assert found.servers <= math.ceil(workers * bandwidth / of_servers)
    assert found.step_s == pytest.approx(steps[wanted], rel=1e-9)


def test_a_transfer_that_dwarfs_compute_needs_all_the_servers_of_the_formula(asked):
    """ceil(W B_w / B_s), where a step is nothing but transfers."""
    asked_of = asked("ps-sync", workers=8, bandwidth=1.0, server_bandwidth=3.0, latency=0.0)
    found, _ = enough_servers(*asked_of)
    assert found.servers == math.ceil(8 * 1 / 3)


def test_strategies_without_servers_have_no_number_of_them(asked):
    assert enough_servers(*asked("allreduce")) == (None, True)


def test_servers_on_the_workers_machines_are_at_most_as_many(asked):
    found, _ = enough_servers(*asked({"ps-sync": {"colocate": True}}, workers=4))
    assert found.most == 4


# -- break-even ------------------------------------------------------------------------------------


def test_ring_and_servers_break_even_where_their_formulas_meet(asked):
    """With S = W: 2 (alpha + N / B) = 2 (W - 1) (alpha + N / (W B)), so B = N / (W (W - 2) alpha)."""
    workers = 8
    wanted = N / (workers * (workers - 2) * ALPHA)
    assert ring(workers, wanted) == pytest.approx(ps_sync(workers, workers, wanted), rel=1e-12)
    asked_of = asked("allreduce", {"ps-sync": {"servers": workers}}, workers=workers)
    found, why = break_even(*asked_of)
    assert why == ""
    assert found.bandwidth_bytes_per_s == pytest.approx(wanted, rel=2 * PRECISION)
    assert found.against == "ps-sync"
    assert not found.faster_above  # the ring sends less and waits for latency more often


def test_both_see_the_same_break_even(asked):
    both = ("allreduce", {"ps-sync": {"servers": 8}})
    one, _ = break_even(*asked(*both, workers=8))
    other, _ = break_even(*asked(*both[::-1], workers=8))
    assert other.bandwidth_bytes_per_s == pytest.approx(one.bandwidth_bytes_per_s, rel=2 * PRECISION)
    assert (one.against, other.against) == ("ps-sync", "allreduce")
    assert other.faster_above is not one.faster_above


def test_the_scenarios_own_bandwidth_can_be_the_break_even(asked):
    workers = 8
    wanted = N / (workers * (workers - 2) * ALPHA)
    both = ("allreduce", {"ps-sync": {"servers": workers}})
    found, _ = break_even(*asked(*both, workers=workers, bandwidth=wanted))
    assert found.bandwidth_bytes_per_s == pytest.approx(wanted, rel=2 * PRECISION)


def test_two_that_never_change_places_have_no_break_even(asked):
    """Without latency a ring is faster than one server for all at any bandwidth."""
    found, why = break_even(*asked("allreduce", "ps-sync", workers=8, latency=0.0))
    assert found is None
    assert "faster" in why


def test_two_of_a_kind_are_equally_fast(asked):
    found, why = break_even(*asked("allreduce", {"allreduce": {"name": "again"}}))
    assert found is None
    assert "as fast as" in why


def test_a_strategy_alone_has_nothing_to_break_even_with(asked):
    assert break_even(*asked("allreduce")) == (None, "there is no other strategy")


# -- the batch that pays ---------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "workers"), [(1, 4), (2, 8), (64, 4), (1000, 4)])
def test_ninety_percent_is_reached_where_compute_is_nine_times_the_rest(asked, batch, workers):
    """Z is the time of the scenario's own batch, and grows in proportion: Z b / batch >= 9 comm."""
    comm = ring(workers) - Z
    asked_of = asked("allreduce", workers=workers, batch=batch)
    assert batch_for(*asked_of).batch == math.ceil(9 * comm * batch / Z - 1e-9)


def test_a_device_by_its_rate_needs_the_same_batch_as_one_by_its_times(asked):
    """3 x 1e9 FLOP a sample at 1 GFLOP/s are 3 seconds."""
    layers = [{"name": "l", "flops": "1 GFLOP", "parameters": 1000}]
    asked_of = asked(
        "allreduce", workers=4, model={"layers": layers}, device={"flops": "1 GFLOP/s", "efficiency": 1}
    )
    assert batch_for(*asked_of).batch == math.ceil(9 * (ring(4) - Z) / Z)


def test_one_alone_is_efficient_with_any_batch(asked):
    assert batch_for(*asked("single", workers=1, batch=16)).batch == 1


def test_a_batch_does_not_make_up_for_a_slow_worker(asked):
    """Half of the speed of the others: at most half the efficiency."""
    found = batch_for(*asked("allreduce", workers=2, speed=(1.0, 0.5)))
    assert found.batch is None
    assert "50.0 %" in found.why


def test_a_batch_that_does_not_fit_is_not_an_answer(asked):
    asked_of = asked("allreduce", workers=4, layers=((1.0, 2.0, 1000, 1000.0),), device={"memory": "20 kB"})
    assert batch_for(*asked_of).batch is None
    assert "memory" in batch_for(*asked_of).why


def test_a_batch_that_just_fits_is_found_between_one_too_small_and_one_too_large(asked):
    """A batch of 20 is needed; 32, the first power of two that is enough, would not fit."""
    needed = math.ceil(9 * (ring(4) - Z) / Z)
    layers = ((1.0, 2.0, 1000, 1000.0),)
    memory = 5 * N + 1000 * needed  # parameters, gradients, momentum, and buffers of at most two copies
    assert memory < 3 * N + 1000 * 32
    asked_of = asked("allreduce", workers=4, layers=layers, device={"memory": f"{memory} B"})
    assert batch_for(*asked_of).batch == needed
