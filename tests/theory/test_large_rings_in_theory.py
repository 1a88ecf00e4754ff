"""Rings of very many messages: each is simulated, none is written down, and the times are those of a formula.

The workloads are those that ASTRA-sim's analytical back end is measured with: links of 53.6870912 bytes/ns,
500 ns a hop, 10 ns at an endpoint, 50 bytes/ns of local memory, which adding a chunk reads and writes and
storing one writes. With chunks of m = S / N bytes that is

    T = 2 (N - 1) (500 + m / 53.6870912 + 10) + 3 (N - 1) m / 50 + 10 ns

where ASTRA-sim rounds both quotients down to whole nanoseconds.
"""

import numpy as np
import pytest

import simpar
from simpar.show.table import explanation
from simpar.simulate import simulate
from simpar.strategies import allreduce

NAMES_ENGINES = True

MIB = 2**20
RATE, HOP_NS, ENDPOINT_NS, MEMORY = 53.6870912, 500, 10, 50
"""Bytes per ns, and ns."""


def one_ring_ns(ranks, n_bytes, floor=lambda value: value):
    chunk = n_bytes // ranks
    sent = 2 * (ranks - 1) * (floor(HOP_NS + chunk / RATE) + ENDPOINT_NS)
    return sent + 3 * (ranks - 1) * floor(chunk / MEMORY) + ENDPOINT_NS


def scenario(ranks, layers, n_bytes, forward_ns, backward_ns, slow=None, **options):
    """Return *layers* of *n_bytes* of gradients each, on a ring; *slow* is (its first rank, bytes per ns)."""
    network = {"latency": f"{HOP_NS} ns", "overhead": f"{ENDPOINT_NS} ns", "bandwidth": f"{RATE!r} GB/s"}
    network["topology"] = {"kind": "ring"}
    if slow is not None:
        rates = [slow[1] if rank == slow[0] else RATE for rank in range(ranks)]
        ends = [[f"w{rank}", f"w{(rank + 1) % ranks}"] for rank in range(ranks)]
        links = [
            {"between": two, "bandwidth": f"{rate!r} GB/s"} for two, rate in zip(ends, rates, strict=True)
        ]
        network["topology"] = {"kind": "links", "links": links}
    return simpar.load(
        {
            "name": "ring",
            "model": {
                "layers": [
                    {
                        "name": f"l{index}",
                        "forward": f"{forward_ns if index == 0 else 0} ns",
                        "backward": f"{backward_ns} ns",
                        "parameters": n_bytes // 4,
                        "activation": "1 B",
                    }
                    for index in range(layers)
                ],
                "batch": 1,
                "dtype": "float32",
            },
            "cluster": {"workers": ranks},
            "network": network,
            "strategies": [{"allreduce": {"add_rate": "25 GB/s", "copy_rate": "50 GB/s", **options}}],
            "run": {"steps": 1, "warmup": 0},
        }
    )


def recurrence_ns(rates, n_bytes, entered_ns):
    """Return when each rank has the last chunk, by what a ring is: one maximum and three additions a step."""
    ranks = len(rates)
    chunk = n_bytes / ranks
    ready, free = np.full(ranks, float(entered_ns)), np.zeros(ranks)
    for step in range(2 * (ranks - 1)):
        free = np.maximum(ready, free) + ENDPOINT_NS + chunk / rates
        worked = (2 if step < ranks - 1 else 1) * chunk / MEMORY
        ready = np.roll(free + HOP_NS + worked, 1)
    return ready


@pytest.mark.parametrize(
    ("ranks", "golden_ns"), [(8, 5_717_862), (64, 6_488_695), (256, 6_760_060), (1024, 7_559_980)]
)
def test_the_formula_is_that_of_the_published_figures(ranks, golden_ns):
    assert one_ring_ns(ranks, 64 * MIB, np.floor) == golden_ns


@pytest.mark.parametrize("ranks", [2, 8, 64, 256, 1024])
def test_one_ring_takes_as_long_as_the_formula_says(ranks):
    program = simpar.compile(scenario(ranks, 1, 64 * MIB, 5, 5), "allreduce")
    found = simulate(program, "compiled", keep=0).totals
    assert found.end_s * 1e9 == pytest.approx(one_ring_ns(ranks, 64 * MIB), rel=1e-9)
    # Every message, and of each rank forward, backward, being ready and the update.
    assert found.instances == 2 * (ranks - 1) * ranks + 4 * ranks


@pytest.mark.parametrize("slow", [137, 1023])
def test_a_slow_link_delays_a_ring_as_a_recurrence_of_its_own_says(slow):
    """2.1 million messages; the slow link takes 40 times as long as the others."""
    ranks = 1024
    program = simpar.compile(scenario(ranks, 1, 64 * MIB, 5, 5, slow=(slow, RATE / 40)), "allreduce")
    assert program.instances == 2_095_104 + 4 * ranks
    rates = np.full(ranks, RATE)
    rates[slow] /= 40
    wanted = recurrence_ns(rates, 64 * MIB, 10)
    trace = simulate(program, "compiled")
    found = [trace.end_s[trace.row(program.task(f"w{w}.update"), 0)] for w in range(ranks)]
    assert np.array(found) * 1e9 == pytest.approx(wanted, rel=1e-9)
    assert max(wanted) > 2 * one_ring_ns(ranks, 64 * MIB)


@pytest.mark.parametrize("ranks", [64, 256])
def test_rings_that_overlap_the_backward_pass_follow_each_other(ranks):
    """50 layers of 100 us and 4 MiB: the first ring begins after one of them, and each lasts longer.

    The last 10 ns of each ring are charged before all of them.
    """
    loaded = scenario(ranks, 50, 4 * MIB, 50 * ENDPOINT_NS, 100_000, overlap=True, bucket="4 MiB")
    program = simpar.compile(loaded, "allreduce")
    assert len(program.rings) == 50
    found = simulate(program, "compiled", keep=0).totals
    wanted = 100_000 + 50 * one_ring_ns(ranks, 4 * MIB)
    golden = {64: 23_379_000, 256: 33_390_750}[ranks]
    assert 100_000 + 50 * one_ring_ns(ranks, 4 * MIB, np.floor) == golden
    assert found.end_s * 1e9 == pytest.approx(wanted, rel=1e-9)


UNEVEN = {"compute": {"kind": "normal", "cv": 0.3, "mean": 1}, "replications": 3}

FIGURES = (
    {},
    {"cluster.workers": 5},
    {"cluster.workers": 3, "cluster.speed": [1, 0.5, 2]},
    {
        "cluster.workers": 6,
        "variation": {"compute": {"kind": "normal", "cv": 0.3, "mean": 1}, "replications": 3},
    },
    {"network.overhead": "300 us", "network.latency": "2 ms"},
    {"cluster.workers": 9, "network.topology": {"kind": "ring"}},
    {"network.topology": {"kind": "tree", "rack": 4, "oversubscription": 4}},
    {"strategies[allreduce].add_rate": "3 GB/s", "strategies[allreduce].copy_rate": "7 GB/s"},
)


@pytest.mark.parametrize("changes", FIGURES)
def test_figures_do_not_depend_on_whether_messages_are_written_down(monkeypatch, changes):
    """All of a row but which of several equal links is named."""
    rows = []
    for most in (10**9, 0):
        monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", most)
        compared = simpar.compare("scenarios/quickstart.yaml", set=changes, advise=False)
        rows.append([compared[name] for name in ("allreduce", "allreduce-2")])
        assert all(bool(row.measured.program.rings) == (most == 0) for row in rows[-1])
    for written, folded in zip(*rows, strict=True):
        assert folded.step_s == pytest.approx(written.step_s, rel=1e-12)
        assert folded.breakdown == pytest.approx(written.breakdown, rel=1e-9, abs=1e-12)
        assert folded.bottleneck.cause == written.bottleneck.cause
        for one, other in zip(folded.resources, written.resources, strict=True):
            assert (one.name, one.kind) == (other.name, other.kind)
            assert (one.busy_frac, one.bytes) == pytest.approx((other.busy_frac, other.bytes), rel=1e-9)


@pytest.mark.parametrize("changes", FIGURES)
@pytest.mark.parametrize("name", ["allreduce", "allreduce-2"])
def test_a_ring_stands_for_the_program_in_which_each_message_is_a_task(monkeypatch, changes, name):
    loaded = simpar.load("scenarios/quickstart.yaml", set=changes)
    written = simpar.compile(loaded, name)
    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 0)
    folded = simpar.compile(loaded, name)
    assert folded.rings
    assert not written.rings
    assert folded.instances == written.instances == len(written) * written.iterations
    assert folded.expanded().digest() == written.digest()
    assert folded.link_bytes() == pytest.approx(written.link_bytes(), rel=1e-12)


@pytest.mark.parametrize("rate", ["add_rate", "copy_rate"])
@pytest.mark.parametrize("collectives", ["messages", "closed_form"])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_what_is_done_with_chunks_takes_its_time(scene, measure, rate, collectives, sharing):
    """(N - 1) / N n / rate more: 3/4 of 4000 bytes at 500 bytes a second."""
    run = {"collectives": collectives}
    steps = [
        measure(scene({"allreduce": options}, workers=4, run=run, sharing=sharing)).step_s
        for options in ({}, {rate: "500 B/s"})
    ]
    assert steps[1] - steps[0] == pytest.approx(0.75 * 4000 / 500, rel=1e-12)


def test_a_ring_that_shares_a_link_is_written_out(scene, monkeypatch):
    """Records come over the links into the workers, and so do the ring's messages."""
    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 0)
    alone = simpar.compile(scene("allreduce", workers=4), "allreduce")
    fed = simpar.compile(scene("allreduce", workers=4, data=(10.0, 1e4, 2)), "allreduce")
    assert alone.rings
    assert not fed.rings
    assert sum(op.kind in ("reduce_scatter", "all_gather") for op in fed.ops) == 24


def test_messages_whose_time_is_drawn_are_written_out(scene, monkeypatch):
    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 0)
    variation = {"link": {"kind": "normal", "cv": 0.3, "mean": 1}}
    assert not simpar.compile(scene("allreduce", workers=4, variation=variation), "allreduce").rings


def test_a_comparison_says_what_a_timeline_leaves_out(scene, monkeypatch):
    monkeypatch.setattr(allreduce, "MOST_WRITTEN_OUT", 0)
    row = simpar.compare(scene("allreduce", workers=4))["allreduce"]
    assert (
        "allreduce sends 24 messages a step: all are simulated, and of each ring timelines show"
        in row.notes[-1]
    )


def test_an_explanation_counts_the_messages_of_a_ring():
    """102,228,128 bytes in 256 chunks, 2 x 255 rounds at 3.125 GB/s: 65.2 ms."""
    explained = simpar.explain("scenarios/quickstart.yaml", "allreduce", set={"cluster.workers": 256})
    text = explanation(explained)
    assert "65.2 ms   510 messages x 399.3 kB through links at 3.125 GB/s" in text
    assert "2.6 ms   510 messages x 5 us" in text
    assert sum(segment.seconds for segment in explained.path) == pytest.approx(explained.step_s, rel=1e-9)
