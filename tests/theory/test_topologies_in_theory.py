"""Racks, rings and listed links against closed forms: what the narrowest link has to carry, over its rate."""

import itertools

import pytest

import simpar
from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

SHARINGS = ["fair", "fifo"]


def tree(rack, oversubscription, **more):
    return {"topology": {"kind": "tree", "rack": rack, "oversubscription": oversubscription, **more}}


def listed(*links):
    return {"topology": {"kind": "links", "links": [{"between": list(ends)} for ends in links]}}


def transfer_s(measure, scenario):
    """Return the seconds of a step beyond the 3 s of computing."""
    return measure(scenario).step_s - 3.0


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 4.0, 8.0])
def test_an_incast_through_an_oversubscribed_uplink_takes_the_uplinks_time(
    scene, measure, sharing, oversubscription
):
    """4 workers of one rack push n bytes each to a server in a rack of its own, and pull as many.

    The server's link needs 4 n / B, an uplink of 4 B / o needs o n / B: the larger of the two each way. Under
    ``fifo`` those who are served first go on while others wait, and a way and the way back overlap.
    """
    scenario = scene(
        {"ps-sync": {"servers": 1}},
        workers=4,
        sharing=sharing,
        network=tree(4, oversubscription, servers="apart"),
    )
    one_way = max(4.0, oversubscription) * 4000 / 1000
    if sharing == "fair":
        assert transfer_s(measure, scenario) == pytest.approx(2 * one_way, rel=1e-9)
    else:
        assert one_way <= transfer_s(measure, scenario) <= 2 * one_way


def test_uplinks_of_enough_bandwidth_leave_a_star(scene, measure):
    """At 1:1 no rack sends more than its uplink carries."""
    for strategy in ({"allreduce": {"algorithm": "direct"}}, {"ps-sync": {"servers": 2}}):
        star, racks = (
            measure(scene(strategy, workers=8, network=network)).step_s for network in ({}, tree(4, 1.0))
        )
        assert racks == pytest.approx(star, rel=1e-9)


@pytest.mark.parametrize("oversubscription", [2.0, 4.0, 8.0])
def test_a_direct_all_reduce_over_racks_takes_what_leaves_a_rack(scene, measure, oversubscription):
    """2 racks of 4: each of 4 workers sends n / 8 to each of 4 abroad, twice, over an uplink of 4 B / o."""
    scenario = scene({"allreduce": {"algorithm": "direct"}}, workers=8, network=tree(4, oversubscription))
    n, rate = 4000.0, 1000.0
    wanted = 2 * max(16 * n / 8 / (4 * rate / oversubscription), 7 * n / 8 / rate)
    assert transfer_s(measure, scenario) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("workers", [2, 3, 8])
def test_a_ring_all_reduce_on_a_ring_is_one_on_a_star(scene, measure, workers, sharing):
    """Neighbours are adjacent: 2 (N - 1) (alpha + n / (N B)) on both."""
    layers = [(1.0, 2.0, 840, 0.0)]
    star, ring = (
        measure(
            scene(
                "allreduce",
                layers=layers,
                workers=workers,
                latency=0.01,
                sharing=sharing,
                network={"topology": kind},
            )
        ).step_s
        for kind in ("star", "ring")
    )
    assert ring == pytest.approx(star, rel=1e-12)
    assert ring == pytest.approx(3.0 + 2 * (workers - 1) * (0.01 + 4 * 840 / (workers * 1000)), rel=1e-9)


def hops_on_a_ring(workers):
    """Return the links that one message crosses, summed over all ordered pairs."""
    return workers * sum(min(apart, workers - apart) for apart in range(1, workers))


@pytest.mark.slow
def test_a_direct_all_reduce_over_a_ring_of_64_keeps_to_its_bandwidth(scene, measure):
    """64 MiB: two rounds of chunks of n / N between all pairs, over 2 N directed links: never faster."""
    workers, n, rate = 64, 64 * 2**20, 1.25e9
    scenario = scene(
        {"allreduce": {"algorithm": "direct"}},
        layers=[(1.0, 2.0, n // 4, 0.0)],
        workers=workers,
        bandwidth=rate,
        network={"topology": "ring"},
        run={"steps": 1, "warmup": 0},
    )
    found = transfer_s(measure, scenario)
    bound = 2 * (n / workers) * hops_on_a_ring(workers) / (2 * workers * rate)
    assert bound * (1 - 1e-9) <= found <= 2 * bound


def test_opposite_machines_of_a_ring_take_the_way_of_the_first_names(scene):
    program = simpar.compile(
        scene({"allreduce": {"algorithm": "direct"}}, workers=4, network={"topology": "ring"}), "allreduce"
    )
    ways = {
        resource.name: [program.links[link].name for link in resource.route]
        for resource in program.resources
        if resource.kind == "channel"
    }
    assert ways["w0>w2"] == ["w0>w1", "w1>w2"]
    assert ways["w3>w1"] == ["w3>w0", "w0>w1"]
    assert ways["w3>w0"] == ["w3>w0"]


def test_the_shortest_way_wins_and_names_count_as_numbers(scene):
    """From w0 to w1 by s2 or s10, two links each, or by three over t0 and t1."""
    links = [
        ("w0", "s10"),
        ("s10", "w1"),
        ("w0", "s2"),
        ("s2", "w1"),
        ("w0", "t0"),
        ("t0", "t1"),
        ("t1", "w1"),
    ]
    program = simpar.compile(scene("allreduce", workers=2, network=listed(*links)), "allreduce")
    assert {link.name for link in program.links} == {"w0>s2", "s2>w1", "w1>s2", "s2>w0"}


@pytest.mark.parametrize("sharing", SHARINGS)
def test_listed_links_make_a_star_when_all_lead_to_one_switch(scene, measure, sharing):
    ends = ["w0", "w1", "w2", "ps0", "ps1"]
    strategy = {"ps-sync": {"servers": 2}}
    star, links = (
        measure(scene(strategy, workers=3, sharing=sharing, network=network)).step_s
        for network in ({}, listed(*((end, "s") for end in ends)))
    )
    assert links == star


def test_advice_does_not_ask_for_servers_that_have_no_link(scene):
    """With a server for each worker a step would be shorter, but nobody has listed their links."""
    network = listed(("w0", "s"), ("w1", "s"), ("ps0", "s"))
    for topology in (network, {"topology": "ring"}):
        row = simpar.compare(scene({"ps-sync": {"servers": 1}}, network=topology))["ps-sync"]
        tried = row.bottleneck.suggestion
        assert tried is None or not tried.path.endswith("servers")


def test_faster_uplinks_are_advised_where_they_are_the_narrow_links(scene):
    """8 workers of one rack and 8 servers of another: at 8:1 the uplink takes 8 times as long as any link."""
    strategy = {"ps-sync": {"servers": 8}}
    network = tree(8, 8.0, servers="apart")
    row = simpar.compare(scene(strategy, workers=8, network=network))["ps-sync"]
    assert row.bottleneck.resource.startswith("rack")
    assert row.bottleneck.suggestion.path == "network.topology.oversubscription"
    assert row.bottleneck.suggestion.value == 4.0
    network["topology"] = {"kind": "tree", "rack": 8, "uplink": "1000 B/s", "servers": "apart"}
    row = simpar.compare(scene(strategy, workers=8, network=network))["ps-sync"]
    assert (row.bottleneck.suggestion.path, row.bottleneck.suggestion.value) == (
        "network.topology.uplink",
        "16 kbit/s",
    )


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("background", [0.0, 0.3, 0.5])
def test_other_traffic_takes_its_share_of_every_link(scene, measure, sharing, background):
    """A step is 2 n / (N B (1 - b)) longer than computing, with 2 workers in a ring."""
    scenario = scene("allreduce", sharing=sharing, network={"background": background})
    assert transfer_s(measure, scenario) == pytest.approx(4.0 / (1 - background), rel=1e-9)


def test_other_traffic_may_be_on_uplinks_or_one_link_alone(scene, measure):
    """The uplink of one worker carries 2 n / N each way at B / 2 (1 - 0.5); the link at B (1 - 0.75)."""
    racks = scene("allreduce", network=tree(1, 2.0, background=0.5))
    assert transfer_s(measure, racks) == pytest.approx(4.0 * 4, rel=1e-9)
    links = [{"between": ["w0", "s0"]}, {"between": ["w1", "s0"], "background": 0.75}]
    one = scene("allreduce", network={"topology": {"kind": "links", "links": links}})
    assert transfer_s(measure, one) == pytest.approx(4.0 * 4, rel=1e-9)


def test_reading_data_crosses_the_uplink_of_the_rack(scene, measure):
    """4 workers of a rack read 1000 B each over an uplink of 4 B / 8 = 500 B/s: 8 s, and compute for 3."""
    reading = {"workers": 4, "data": (1000.0, 1e6, 2), "run": {"steps": 8}}
    star = measure(scene("allreduce", layers=[(1.0, 2.0, 1, 0.0)], **reading)).step_s
    racks = measure(scene("allreduce", layers=[(1.0, 2.0, 1, 0.0)], network=tree(4, 8.0), **reading)).step_s
    assert star < 4.0
    assert racks == pytest.approx(8.0, rel=1e-2)


@pytest.mark.parametrize("rates", list(itertools.product([50.0, 100.0, 200.0], repeat=4)))
@pytest.mark.parametrize("sharing", SHARINGS)
def test_an_idle_path_takes_its_bytes_over_the_slowest_link(sharing, rates):
    builder = ProgramBuilder("path", 1, sharing=sharing)
    links = [(f"l{index}", rate) for index, rate in enumerate(rates)]
    _, last = builder.message("m", Op("push", worker=0), "a", "b", links, 400.0, latency=0.25)
    trace = simulate(builder.build())
    assert trace.end_s[trace.row(last, 0)] == pytest.approx(0.25 + 400.0 / min(rates), rel=1e-12)
