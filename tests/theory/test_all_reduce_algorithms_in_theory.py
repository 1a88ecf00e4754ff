"""All-reduce algorithms message by message against their closed forms (Thakur et al. 2005)."""

import math

import pytest

from simpar.strategies.rounds import direct, halving_doubling, recursive_doubling, tree

BANDWIDTH, LATENCY = 1000.0, 0.25
ELEMENTS = 5040  # of 4 bytes; divides by every number of workers here
N = 4.0 * ELEMENTS

TIMES = {
    "tree": lambda w: 2 * math.ceil(math.log2(w)) * (LATENCY + N / BANDWIDTH),
    "recursive-doubling": lambda w: math.log2(w) * (LATENCY + N / BANDWIDTH),
    "halving-doubling": lambda w: 2 * math.log2(w) * LATENCY + 2 * (w - 1) / w * N / BANDWIDTH,
    "direct": lambda w: 2 * (LATENCY + (w - 1) / w * N / BANDWIDTH),
    "ring": lambda w: 2 * (w - 1) * (LATENCY + N / w / BANDWIDTH),
}


def step(scene, measure, algorithm, workers, sharing="fair", **run):
    scenario = scene(
        {"allreduce": {"algorithm": algorithm}},
        layers=[(1.0, 2.0, ELEMENTS, 0.0)],
        workers=workers,
        bandwidth=BANDWIDTH,
        latency=LATENCY,
        sharing=sharing,
        run=run,
    )
    return measure(scenario).step_s - 3.0


@pytest.mark.parametrize("algorithm", TIMES)
@pytest.mark.parametrize("workers", [2, 4, 8, 16])
def test_messages_take_the_closed_form(scene, measure, algorithm, workers):
    """Oracles A3 to A6, and the direct exchange, whose 2 (W - 1) chunks share a link fairly."""
    assert step(scene, measure, algorithm, workers) == pytest.approx(TIMES[algorithm](workers), rel=1e-9)


@pytest.mark.parametrize("algorithm", TIMES)
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_one_task_and_its_messages_agree(scene, measure, algorithm, workers):
    one = step(scene, measure, algorithm, workers, collectives="closed_form")
    assert one == pytest.approx(step(scene, measure, algorithm, workers), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("algorithm", ["recursive-doubling", "halving-doubling"])
@pytest.mark.parametrize("workers", [3, 5, 6, 7, 12])
def test_a_surplus_of_workers_is_folded_in_and_told_after(scene, measure, algorithm, workers):
    """At most two messages more than their power of two; less where some need not wait for the surplus."""
    core = 1 << (workers.bit_length() - 1)
    found = step(scene, measure, algorithm, workers)
    assert found <= (TIMES[algorithm](core) + 2 * (LATENCY + N / BANDWIDTH)) * (1 + 1e-9)
    assert found >= max(2 * (workers - 1) / workers * N / BANDWIDTH, math.ceil(math.log2(workers)) * LATENCY)


@pytest.mark.parametrize("workers", [3, 5, 6, 7, 12])
def test_a_tree_of_any_size_takes_no_more_than_its_depth(scene, measure, workers):
    """Less, where a worker without partner in a round goes on to the next; never below the bounds (A9)."""
    found = step(scene, measure, "tree", workers)
    assert found <= TIMES["tree"](workers) * (1 + 1e-9)
    assert found >= max(2 * (workers - 1) / workers * N / BANDWIDTH, math.ceil(math.log2(workers)) * LATENCY)


@pytest.mark.parametrize("workers", [2, 3, 4, 6, 8])
def test_the_direct_exchange_is_bound_by_links_served_in_turn(scene, measure, workers):
    """First in, first out, the chunks follow each other; nobody gets below the bandwidth bound."""
    bound = 2 * (workers - 1) / workers * N / BANDWIDTH
    assert step(scene, measure, "direct", workers, sharing="fifo") >= bound * (1 - 1e-12)


@pytest.mark.parametrize("algorithm", [tree, recursive_doubling, halving_doubling, direct])
@pytest.mark.parametrize("workers", [2, 3, 4, 5, 7, 8, 13])
def test_rounds_leave_every_worker_with_every_sum(algorithm, workers):
    """Played with real numbers: who sends what he has, at the end of the round before, ends with all sums."""
    elements = 29
    parts = [[1 << worker] * elements for worker in range(workers)]
    for kind, sent in algorithm(workers, elements):
        before = [list(part) for part in parts]
        for sender, receiver, (begin, end) in sent:
            assert 0 <= begin <= end <= elements
            for i in range(begin, end):
                if kind in ("broadcast", "all_gather"):
                    parts[receiver][i] = before[sender][i]
                else:
                    parts[receiver][i] += before[sender][i]
    assert parts == [[(1 << workers) - 1] * elements] * workers


def test_goldens_of_eight_workers(scene, measure):
    """8 workers, 100 MB, 5 us, 12.5 GB/s: tree 48.03 ms, recursive doubling 24.015 ms, halving 14.03 ms."""
    expected = {
        "tree": 48.03e-3,
        "recursive-doubling": 24.015e-3,
        "halving-doubling": 14.03e-3,
        "ring": 14.07e-3,
    }
    for algorithm, seconds in expected.items():
        scenario = scene(
            {"allreduce": {"algorithm": algorithm}},
            layers=[(1.0, 2.0, 25_000_000, 0.0)],
            workers=8,
            bandwidth=12.5e9,
            latency=5e-6,
        )
        assert measure(scenario).step_s - 3.0 == pytest.approx(seconds, rel=1e-6)
