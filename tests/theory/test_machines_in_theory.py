"""Machines with several devices: links that are shared, servers that live with workers, sums made first.

n: bytes of the gradient, M: machines, g: devices of each, alpha_e and B_e: latency and bytes per second of a
machine's link, alpha_i and B_i: of a device's link inside it. Compute Z is 3 s throughout.
"""

from collections import defaultdict
from itertools import pairwise

import pytest

from simpar.cost import collectives, parameter_server
from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

N_BYTES = 4800.0
INSIDE, ACROSS = (64_000.0, 0.015625), (1000.0, 0.125)
"""Bytes per second and latency."""


@pytest.fixture
def machines(scene):
    """Return a function from machines, devices of each and a strategy to a scenario with 4800 bytes."""

    def make(nodes, per_node, *strategies, **changes):
        given = {
            "layers": [(1.0, 2.0, 1200, 0.0)],
            "bandwidth": ACROSS[0],
            "latency": ACROSS[1],
            "intra": INSIDE if per_node > 1 else None,
        }
        return scene(*strategies, workers=nodes * per_node, per_node=per_node, **(given | changes))

    return make


def crossed(program):
    """Return the bytes that cross each link in an iteration."""
    return dict(zip((link.name for link in program.links), program.link_bytes().tolist(), strict=True))


# B4: servers on the workers' machines


@pytest.mark.parametrize("workers", [2, 3, 4, 6])
def test_a_server_on_every_machine_costs_what_a_ring_costs(machines, measure, workers):
    found = measure(machines(workers, 1, {"ps-sync": {"servers": workers, "colocate": True}}))
    ring = 2 * (workers - 1) * N_BYTES / (workers * 1000.0)
    assert found.step_s == pytest.approx(3.0 + 2 * 0.125 + ring, rel=1e-9)
    assert parameter_server.colocated_lower_bound(N_BYTES, workers, workers, 1000.0) == pytest.approx(ring)
    assert collectives.ring_all_reduce(N_BYTES, workers, 1000.0, 0.0) == pytest.approx(ring)


@pytest.mark.parametrize(("workers", "servers"), [(2, 1), (3, 2), (4, 1), (4, 2), (6, 4), (6, 5)])
def test_fewer_servers_than_machines_fill_the_links_of_theirs(machines, measure, workers, servers):
    found = measure(machines(workers, 1, {"ps-sync": {"servers": servers, "colocate": True}}))
    each_way = max(N_BYTES, (workers - 1) * N_BYTES / servers) / 1000.0
    assert found.step_s == pytest.approx(3.0 + 2 * (0.125 + each_way), rel=1e-9)
    assert each_way == parameter_server.colocated_one_way(N_BYTES, workers, servers, 1000.0)
    # what leaves: a server's machine its pushes to the others and its replies, the rest all of it
    leaving = crossed(found.program)
    hosting = N_BYTES * (servers - 1) / servers + (workers - 1) * N_BYTES / servers
    for worker in range(workers):
        assert leaving[f"w{worker}.out"] == pytest.approx(hosting if worker < servers else N_BYTES)
    bound = parameter_server.colocated_lower_bound(N_BYTES, workers, servers, 1000.0)
    assert bound == pytest.approx(max(hosting, N_BYTES) / 1000.0)
    assert found.step_s - 3.0 >= bound


def test_servers_beyond_the_machines_go_round_again(machines, measure):
    """Four servers on two machines: ps0 and ps2 on the first, so half of everything stays inside."""
    found = measure(machines(2, 1, {"ps-sync": {"servers": 4, "colocate": True}}))
    assert found.step_s == pytest.approx(3.0 + 2 * (0.125 + N_BYTES / 2 / 1000.0), rel=1e-9)


def test_one_machine_with_its_own_server_waits_for_nothing(machines, measure):
    found = measure(machines(1, 1, {"ps-sync": {"colocate": True}}))
    assert found.step_s == pytest.approx(3.0, rel=1e-12)
    assert found.program.links == ()


@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (3, 4), (4, 2)])
def test_devices_push_to_the_server_of_their_own_machine_over_their_own_links(
    machines, measure, nodes, per_node
):
    found = measure(machines(nodes, per_node, {"ps-sync": {"servers": nodes, "colocate": True}}))
    across = per_node * N_BYTES * (nodes - 1) / nodes
    assert found.step_s == pytest.approx(3.0 + 2 * (0.125 + across / 1000.0), rel=1e-9)
    carried = crossed(found.program)
    for worker in range(nodes * per_node):
        assert carried[f"w{worker}.out"] == carried[f"w{worker}.in"] == pytest.approx(N_BYTES / nodes)
    for node in range(nodes):
        assert carried[f"n{node}.out"] == pytest.approx(2 * across)


def test_who_lives_with_the_server_goes_its_own_fast_pace(machines, measure):
    """One server on w0's machine: w0 is answered at once, w1 waits for its bytes both ways."""
    found = measure(machines(2, 1, {"ps-async": {"colocate": True}}, run={"steps": 30}))
    near, far = 3.0, 3.0 + 2 * (0.125 + N_BYTES / 1000.0)
    assert found.step_s == pytest.approx(2 / (1 / near + 1 / far), rel=0.03)
    # the slow one misses what the fast one does in a cycle of its own, and the other way round
    assert found.staleness.max == pytest.approx(far / near, abs=1)


# A link that the devices of a machine share


@pytest.mark.parametrize("per_node", [1, 2, 3, 8])
def test_the_devices_of_a_machine_share_its_link(machines, measure, per_node):
    """Incast at both ends: g n bytes leave by one link, whatever the server could take."""
    found = measure(machines(1, per_node, "ps-sync", server_bandwidth=1e6))
    assert found.step_s == pytest.approx(3.0 + 2 * (0.125 + per_node * N_BYTES / 1000.0), rel=1e-9)


@pytest.mark.parametrize(("nodes", "per_node"), [(1, 4), (2, 2), (2, 4), (3, 4)])
def test_a_ring_through_shared_links_goes_at_the_pace_of_the_hop_that_leaves(
    machines, measure, nodes, per_node
):
    """Without latency: 2 (N - 1) messages of n / N, each over the slowest link on the way round.

    The first step: those who are through with it early begin the next one before the others.
    """
    workers = nodes * per_node
    scenario = machines(nodes, per_node, "allreduce", latency=0.0, intra=(64_000.0, 0.0))
    slowest = 1000.0 if nodes > 1 else 64_000.0
    wanted = 3.0 + 2 * (workers - 1) * N_BYTES / (workers * slowest)
    found = measure(scenario)
    assert found.update_s[0] == pytest.approx(wanted, rel=1e-9)
    for node in range(nodes if nodes > 1 else 0):
        assert crossed(found.program)[f"n{node}.out"] == pytest.approx(2 * (workers - 1) / workers * N_BYTES)


def ring_by_recurrence(workers, hops, chunk):
    """Return when the last message of a ring is there: a hop sends one at a time, and what it has received.

    hops: (bytes per second, latency) from each worker to the next.
    """
    arrived, free = [0.0] * workers, [0.0] * workers
    for _ in range(2 * (workers - 1)):
        starts = [max(arrived[w], free[w]) for w in range(workers)]
        free = [start + chunk / hops[w][0] for w, start in enumerate(starts)]
        arrived = [free[w - 1] + hops[w - 1][1] for w in range(workers)]
    return max(arrived)


@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (2, 4), (3, 2), (4, 3)])
def test_a_ring_with_different_latencies_follows_its_recurrence(machines, measure, nodes, per_node):
    workers = nodes * per_node
    hops = [ACROSS if (w + 1) % per_node == 0 else INSIDE for w in range(workers)]
    found = measure(machines(nodes, per_node, "allreduce"))
    wanted = 3.0 + ring_by_recurrence(workers, hops, N_BYTES / workers)
    assert found.update_s[0] == pytest.approx(wanted, rel=1e-9)


# Gradients that a machine adds up first


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize(("nodes", "per_node"), [(1, 2), (2, 2), (2, 4), (4, 3)])
def test_a_local_merge_pushes_once_a_machine(machines, measure, nodes, per_node, servers):
    found = measure(machines(nodes, per_node, {"ps-sync": {"servers": servers, "local_merge": True}}))
    inside = 0.015625 + (per_node - 1) * N_BYTES / 64_000.0
    across = 0.125 + max(N_BYTES, nodes * N_BYTES / servers) / 1000.0
    assert found.step_s == pytest.approx(3.0 + 2 * (inside + across), rel=1e-9)
    assert found.program.meta["samples"] == nodes * per_node


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("per_node", [2, 4, 8])
def test_a_local_merge_divides_what_leaves_a_machine_by_its_devices(machines, measure, per_node, overlap):
    def leaving(merge):
        options = {"servers": 2, "local_merge": merge, "overlap": overlap}
        return crossed(measure(machines(2, per_node, {"ps-sync": options})).program)["n0.out"]

    assert leaving(False) == per_node * leaving(True) == per_node * N_BYTES


def test_a_merge_of_slices_overlaps_the_backward_pass(machines, measure):
    """Two layers, overlapped: the upper one's gradients are on their way while the lower one computes.

    The lower layer's bytes are what nothing hides; the upper layer's push takes 2.4 s of the lower backward's
    4 s, and its pull is over before the next forward needs it.
    """
    scenario = machines(
        2,
        2,
        {"ps-sync": {"servers": 2, "local_merge": True, "overlap": True}},
        layers=[(1.0, 4.0, 600, 0.0), (1.0, 1.0, 600, 0.0)],
    )
    half = N_BYTES / 2
    shown = 2 * (0.015625 + half / 64_000.0 / 2 + 0.125 + half / 1000.0)
    # both slices of the lower layer merge one after the other, the first is pushed while the second merges
    found = measure(scenario)
    assert 7.0 + 2 * (0.125 + half / 1000.0) < found.step_s
    assert found.step_s == pytest.approx(7.0 + shown, rel=0.02)


@pytest.mark.parametrize("stagger", ["even", "none"])
@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (3, 4), (5, 2)])
def test_staleness_is_that_of_machines_where_they_merge(machines, measure, nodes, per_node, stagger):
    scenario = machines(
        nodes,
        per_node,
        {"ps-async": {"local_merge": True}},
        bandwidth=1e6,
        run={"steps": 12, "stagger": stagger},
    )
    found = measure(scenario)
    assert found.staleness.mean == pytest.approx(nodes - 1, abs=1e-12)


@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (3, 4)])
def test_an_asynchronous_machine_counts_for_all_its_devices(machines, measure, nodes, per_node):
    """Uncontended, a cycle is Z + 2 (merge + push), and every cycle trains on g batches a machine."""
    found = measure(
        machines(
            nodes, per_node, {"ps-async": {"servers": 4, "local_merge": True}}, server_bandwidth=1e9, batch=5
        )
    )
    cycle = 3.0 + 2 * (0.015625 + (per_node - 1) * N_BYTES / 64_000.0 + 0.125 + N_BYTES / 1000.0)
    assert found.step_s == pytest.approx(cycle, rel=1e-9)
    assert found.samples_per_s == pytest.approx(nodes * per_node * 5 / cycle, rel=1e-9)
    assert sum(found.breakdown.values()) == pytest.approx(found.step_s, rel=1e-9)


def test_a_machine_that_merges_goes_at_the_pace_of_its_slowest_device(machines, measure):
    scenario = machines(
        2,
        2,
        {"ps-async": {"local_merge": True}},
        bandwidth=1e9,
        latency=0.0,
        intra=(1e9, 0.0),
        speed=[1.0, 0.5, 1.0, 1.0],
        run={"steps": 40},
    )
    found = measure(scenario)
    # 1/6 and 1/3 merged pushes a second, each of two batches: a step is 4 gradients
    assert found.step_s == pytest.approx(4 / (2 / 6 + 2 / 3), rel=0.03)


def test_bounded_staleness_with_a_merge_is_as_fast_as_the_slowest_machine(machines, measure):
    strategy = {"ps-ssp": {"staleness": 1, "local_merge": True}}
    found = measure(
        machines(2, 2, strategy, bandwidth=1e9, latency=0.0, intra=(1e9, 0.0), speed=[1, 0.5, 1, 1])
    )
    assert found.step_s == pytest.approx(6.0, rel=1e-3)


# A8: rings inside, rings across


def hierarchical(n_bytes, per_node, nodes):
    inside = 2 * (per_node - 1) * (INSIDE[1] + n_bytes / (per_node * INSIDE[0]))
    return inside + 2 * (nodes - 1) * (ACROSS[1] + n_bytes / (nodes * ACROSS[0]))


@pytest.mark.parametrize("collectives_as", ["messages", "closed_form"])
@pytest.mark.parametrize(
    ("nodes", "per_node"), [(1, 1), (1, 4), (4, 1), (2, 2), (2, 4), (3, 2), (5, 3), (4, 8)]
)
def test_a_hierarchical_all_reduce_takes_its_rings(machines, measure, nodes, per_node, collectives_as):
    elements = 480  # divides by every nodes x per_node here
    scenario = machines(
        nodes,
        per_node,
        {"allreduce": {"algorithm": "hierarchical"}},
        layers=[(1.0, 2.0, elements, 0.0)],
        run={"collectives": collectives_as},
    )
    wanted = hierarchical(4 * elements, per_node, nodes)
    assert measure(scenario).step_s == pytest.approx(3.0 + wanted, rel=1e-9)
    cost = collectives.hierarchical_all_reduce(4 * elements, per_node, nodes, INSIDE, ACROSS)
    assert cost == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (3, 4)])
def test_a_size_that_does_not_divide_lies_between_the_whole_chunks(
    machines, measure, nodes, per_node, sharing
):
    strategy = {"allreduce": {"algorithm": "hierarchical"}}
    given = {"layers": [(1.0, 2.0, 1009, 0.0)], "latency": 0.0, "intra": (64_000.0, 0.0)}
    found = measure(machines(nodes, per_node, strategy, sharing=sharing, **given))
    parts = nodes * per_node

    def bytes_s(elements):
        inside = 2 * (per_node - 1) * 4 * elements / (per_node * 64_000.0)
        return inside + 2 * (nodes - 1) * 4 * elements / (nodes * 1000.0)

    first = found.update_s[0] - 3.0
    assert bytes_s(1009 // parts * parts) <= first <= bytes_s(-(-1009 // parts) * parts) * (1 + 1e-12)
    carried = crossed(found.program)
    total = sum(carried[f"n{node}.out"] for node in range(nodes))
    assert total == pytest.approx(2 * (nodes - 1) * 4 * 1009)
    within = sum(carried[f"w{worker}.out"] for worker in range(parts))
    assert within == pytest.approx(nodes * 2 * (per_node - 1) * 4 * 1009)


@pytest.mark.parametrize(("nodes", "per_node"), [(2, 2), (3, 4), (4, 3), (1, 3), (3, 1)])
def test_everyone_ends_with_everybodys_gradients(machines, measure, nodes, per_node):
    """Play the messages: a reduce-scatter adds what it brings, each part once; an all-gather replaces."""
    workers = nodes * per_node
    program = measure(machines(nodes, per_node, {"allreduce": {"algorithm": "hierarchical"}})).program
    has = {
        (w, shard, piece): frozenset([w])
        for w in range(workers)
        for shard in range(per_node)
        for piece in range(nodes)
    }
    steps = defaultdict(list)
    for op in program.ops:
        if op.kind in ("reduce_scatter", "all_gather"):
            steps[op.step].append(op)
    for step in sorted(steps):
        before = dict(has)
        for op in steps[step]:
            if op.worker // per_node == op.peer // per_node:
                parts = [(op.key, piece) for piece in range(nodes)]
            else:
                parts = [((op.worker % per_node + 1) % per_node, op.key)]
            for part in parts:
                brought, there = before[op.worker, *part], before[op.peer, *part]
                if op.kind == "reduce_scatter":
                    assert not brought & there
                    has[op.peer, *part] = brought | there
                else:
                    assert brought == frozenset(range(workers))
                    has[op.peer, *part] = brought
    assert set(has.values()) == {frozenset(range(workers))}


def test_a_closed_form_across_shared_links_is_refused_where_there_is_none(machines, measure):
    from simpar import InputError

    with pytest.raises(
        InputError, match=r"no closed form for tree across machines .*, which allreduce asks for"
    ):
        measure(machines(2, 2, {"allreduce": {"algorithm": "tree"}}, run={"collectives": "closed_form"}))


@pytest.mark.parametrize("algorithm", ["ring", "tree", "recursive-doubling", "halving-doubling", "direct"])
def test_on_one_machine_every_algorithm_has_its_closed_form_inside(machines, measure, algorithm):
    steps = [
        measure(machines(1, 4, {"allreduce": {"algorithm": algorithm}}, run={"collectives": how})).step_s
        for how in ("messages", "closed_form")
    ]
    assert steps[0] == pytest.approx(steps[1], rel=1e-9)
    assert steps[0] < 4.0  # over the links inside; one message of n across takes 4.8 s


# A7: a chain of ranks, in segments


def chain(ranks, segments, *, wait):
    """Return when the last segment is there; with *wait* each is sent when the one before has arrived."""
    builder = ProgramBuilder("chain", 1)
    there: dict[tuple[int, int], int] = {}
    for segment in range(segments):
        for rank in range(1, ranks):
            after = [there[rank - 1, segment]] if rank > 1 else []
            after += [there[rank, segment - 1]] if wait and segment else []
            _, there[rank, segment] = builder.message(
                f"m{rank}.{segment}",
                Op("broadcast", worker=rank - 1, peer=rank, step=segment),
                f"w{rank - 1}",
                f"w{rank}",
                [(f"w{rank - 1}.out", 1000.0), (f"w{rank}.in", 1000.0)],
                N_BYTES / segments,
                latency=0.125,
                after=after,
            )
    builder.gather("all", list(there.values()))
    return float(simulate(builder.build()).end_s.max())


@pytest.mark.parametrize("segments", [1, 2, 4, 8, 24])
@pytest.mark.parametrize("ranks", [2, 3, 5, 8])
def test_a_pipelined_chain_broadcast_takes_its_rounds(ranks, segments):
    wanted = (ranks - 2 + segments) * (0.125 + N_BYTES / (segments * 1000.0))
    assert chain(ranks, segments, wait=True) == pytest.approx(wanted, rel=1e-9)
    assert collectives.chain_broadcast(N_BYTES, ranks, segments, 1000.0, 0.125) == pytest.approx(wanted)
    eager = (ranks - 1) * 0.125 + (ranks - 2 + segments) * N_BYTES / (segments * 1000.0)
    assert chain(ranks, segments, wait=False) == pytest.approx(eager, rel=1e-9)


def test_the_best_number_of_segments_is_where_the_chain_is_fastest():
    """sqrt((8 - 2) 4800 / (0.125 x 1000)) = 15.2."""
    best = collectives.best_segments(N_BYTES, 8, 1000.0, 0.125)
    assert best == pytest.approx(15.179, abs=1e-3)
    times = {k: collectives.chain_broadcast(N_BYTES, 8, k, 1000.0, 0.125) for k in range(1, 60)}
    assert min(times, key=times.get) in (15, 16)
    falling = [after < before for before, after in pairwise(times.values())]
    assert falling == sorted(falling, reverse=True)
