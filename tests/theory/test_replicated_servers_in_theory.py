"""Servers that hold a copy each: what a step takes, and what its messages weigh."""

import pytest

import simpar
from simpar.result.traffic import account

N = 4800.0
LAYERS = ((1.0, 2.0, 1200, 0.0),)
EVEN = [(1, 1), (2, 2), (4, 2), (6, 3), (8, 4), (9, 3)]
"""Workers and servers of which each has as many workers."""


def copies(servers, **options):
    return {"ps-sync": {"servers": servers, "placement": "replicated"} | options}


@pytest.mark.parametrize("server_bandwidth", [250.0, 1000.0, 4000.0])
@pytest.mark.parametrize(("workers", "servers"), EVEN)
def test_b9_a_step_is_a_push_a_ring_of_servers_and_a_pull(
    scene, measure, agree, workers, servers, server_bandwidth
):
    """Z + 2 (a + max(n / B_w, (W / K) n / B_s)) + 2 (K - 1) (a + n / (K B_s))."""
    scenario = scene(
        copies(servers), layers=LAYERS, workers=workers, latency=0.125, server_bandwidth=server_bandwidth
    )
    each = max(N / 1000.0, workers / servers * N / server_bandwidth)
    ring = 2 * (servers - 1) * (0.125 + N / servers / server_bandwidth)
    agree("step, s", measure(scenario).step_s, 3.0 + 2 * (0.125 + each) + ring)


@pytest.mark.parametrize("server_bandwidth", [250.0, 1000.0, 4000.0])
@pytest.mark.parametrize(("workers", "servers"), EVEN)
def test_b9_pulling_every_copy_takes_as_many_times_as_long(
    scene, measure, agree, workers, servers, server_bandwidth
):
    """A worker takes in K n, a server sends W n: n K / B_w or W n / B_s, whichever is more."""
    scenario = scene(
        copies(servers, pull_from="all"),
        layers=LAYERS,
        workers=workers,
        latency=0.125,
        server_bandwidth=server_bandwidth,
    )
    push = max(N / 1000.0, workers / servers * N / server_bandwidth)
    pull = servers * push
    ring = 2 * (servers - 1) * (0.125 + N / servers / server_bandwidth)
    agree("step, s", measure(scenario).step_s, 3.0 + 2 * 0.125 + push + pull + ring)


@pytest.mark.parametrize(("workers", "servers"), [*EVEN, (7, 3), (5, 4)])
def test_b9_copies_cost_what_servers_send_each_other_and_no_more(scene, agree, workers, servers):
    """All servers together send 2 (K - 1) n among themselves."""
    home, every = (
        account(simpar.compile(scene(copies(servers, **one), layers=LAYERS, workers=workers), "ps-sync"))
        for one in ({}, {"pull_from": "all"})
    )
    between = 2 * (servers - 1) * N
    agree("from home, B", home.parameters_bytes, 2 * workers * N + between)
    agree("from all, B", every.parameters_bytes, (1 + servers) * workers * N + between)


@pytest.mark.parametrize(("workers", "servers"), EVEN)
def test_servers_add_what_their_workers_send_and_what_comes_round(scene, measure, agree, workers, servers):
    """W / K adds of n at R_a, K - 1 of n / K, and one update: a server has one thread."""
    server = {"add_rate": 2000.0, "update_rate": 800.0, "overhead": 0.25}
    scenario = scene(copies(servers), layers=LAYERS, workers=workers, server=server)
    shared = workers // servers
    adding = shared * (0.25 + N / 2000.0) + (servers - 1) * (0.25 + N / servers / 2000.0)
    ring = 2 * (servers - 1) * N / servers / 1000.0
    whole = 3.0 + 2 * shared * N / 1000.0 + ring + adding + 0.25 + N / 800.0
    agree("step, s", measure(scenario).step_s, whole)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("workers", "servers"), EVEN)
def test_servers_that_get_records_compute_one_batch_after_another(
    scene, measure, agree, workers, servers, batch
):
    """(W / K) Z, after all records have come at once: those of equal workers share the link."""
    scenario = scene(
        copies(servers, payload="data"),
        layers=((1.0, 2.0, 1200, 0.0),),
        workers=workers,
        batch=batch,
        data=(50.0,),
        latency=0.125,
    )
    shared = workers // servers
    come = shared * 50.0 * batch / 1000.0
    ring = 2 * (servers - 1) * (0.125 + N / servers / 1000.0)
    whole = 0.125 + come + shared * 3.0 + ring + 0.125 + shared * N / 1000.0
    agree("step, s", measure(scenario).step_s, whole)


def test_a_server_s_device_has_the_speed_of_one_and_not_that_of_its_workers(scene, measure, agree):
    scenario = scene(copies(1, payload="data"), layers=((1.0, 2.0, 0, 0.0),), speed=[0.5, 4.0], data=(50.0,))
    agree("step, s", measure(scenario).step_s, 0.1 + 2 * 3.0)


def test_what_workers_take_to_average_models_is_what_they_take_for_gradients(scene, measure, agree):
    """The same bytes, the same steps of the servers."""
    numbers = {"layers": LAYERS, "workers": 4, "server": {"add_rate": 3000.0, "update_rate": 500.0}}
    one, other = (
        measure(scene({"ps-sync": {"servers": 2, "payload": what}}, **numbers)).step_s
        for what in ("gradient", "model")
    )
    agree("step, s", other, one, rel=1e-12)
