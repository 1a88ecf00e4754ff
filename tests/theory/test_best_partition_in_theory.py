"""B8: how the model is best shared out over machines that train and machines with servers only (BytePS)."""

import math
import random

import pytest

from simpar.cost import parameter_server
from simpar.program import Op, ProgramBuilder
from simpar.simulate import simulate

M, B = 600.0, 10.0
SIZES = [(n, k) for n in (2, 3, 5, 8) for k in range(n + 1)]
"""Machines that train, and machines beside them."""


def slowest(apart, shared, workers):
    """Return the seconds of the fullest link's bytes in, whatever each machine holds."""
    into_apart = [workers * held for held in apart]
    into_shared = [(workers - 1) * held + (M - held) for held in shared]
    return max([*into_apart, *into_shared]) / B


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_b8_all_links_are_as_full_and_everything_is_held_once(agree, n, k):
    apart, shared = parameter_server.best_partition(M, n, k)
    agree("held, B", k * apart + n * shared, M)
    step_s = parameter_server.best_partition_step(M, n, k, B)
    agree("t, s", step_s, 2 * n * (n - 1) * M / ((n * n + k * n - 2 * k) * B))
    if k:
        agree("of a machine of its own, s", n * apart / B, step_s)
    agree("of a machine that trains, s", (M + (n - 2) * shared) / B, step_s)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_b8_without_machines_beside_it_is_a_ring_and_with_as_many_the_model_once(agree, n):
    agree("k = 0, s", parameter_server.best_partition_step(M, n, 0, B), 2 * (n - 1) / n * M / B)
    agree("k = n, s", parameter_server.best_partition_step(M, n, n, B), M / B)


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_b8_no_partition_is_shorter(agree, n, k):
    """A grid over the one number that is free where equal machines hold as much, and 500 others at random."""
    least = parameter_server.best_partition_step(M, n, k, B)
    grid = [M / k * step / 1000 if k else 0.0 for step in range(1001)]
    times = [slowest([apart] * k, [(M - k * apart) / n] * n, n) for apart in grid]
    assert min(times) >= least * (1 - 1e-12)
    width = M / k / 1000 if k else 0.0  # a step of the grid: the fullest link changes by n of them at most
    assert min(times) <= least + n * width / B + 1e-9
    rng = random.Random(n * 100 + k)
    for _ in range(500):
        drawn = [rng.random() for _ in range(n + k)]
        held = [M * one / sum(drawn) for one in drawn]
        assert slowest(held[:k], held[k:], n) >= least * (1 - 1e-12)


def simulated(n, k, slices):
    """Return the seconds of a step in which each of *slices* is pulled while the next is pushed."""
    apart, shared = parameter_server.best_partition(M, n, k)
    held = [shared] * n + [apart] * k
    builder = ProgramBuilder("partition", 1, "fair")

    def send(name, op, source, target, n_bytes, after):
        links = [(f"m{source}.out", B), (f"m{target}.in", B)]
        return builder.message(
            name, op, f"m{source}", f"m{target}", links, n_bytes, latency=0.0, after=after
        )[1]

    # Messages of equal size, as fair sharing gives each the same rate: so many at once for each server.
    unit = math.gcd(2 * (n - 1), n - k)
    at_once = [(n - k) // unit] * n + [2 * (n - 1) // unit] * k
    before = {}  # by kind, worker, server and number, the message of the slice before
    for s in range(slices):
        for server, load in enumerate(held):
            others = [worker for worker in range(n) if worker != server]
            for number in range(at_once[server]):
                for kind in ("push", "pull"):
                    summed = [before["push", one, server, number] for one in others] if kind == "pull" else []
                    for worker in others:
                        ends = (worker, server) if kind == "push" else (server, worker)
                        mine = kind, worker, server, number
                        before[mine] = send(
                            f"{kind}{worker}.{server}.{number}.{s}",
                            Op(kind, worker, server),
                            *ends,
                            load / at_once[server] / slices,
                            [*summed, *([before[mine]] if s else [])],
                        )
    trace = simulate(builder.build())
    return float(trace.end_s.max())


@pytest.mark.parametrize(("n", "k"), [(2, 0), (2, 1), (3, 1), (2, 2), (4, 4)])
def test_b8_simulated_it_comes_down_to_the_formula_as_slices_grow(n, k):
    """Of S slices one is pushed, or pulled, with nothing beside it: t <= T <= (1 + 1 / S) t."""
    least = parameter_server.best_partition_step(M, n, k, B)
    for slices in (1, 4, 16):
        assert least * (1 - 1e-9) <= simulated(n, k, slices) <= least * (1 + 1 / slices) * (1 + 1e-9)


@pytest.mark.parametrize(("n", "k"), [(4, 2), (6, 2)])
def test_b8_simulated_it_is_never_beaten_where_messages_to_two_kinds_of_machines_mix(n, k):
    """Fair sharing then leaves links without work at times: T falls with S, and stays between t and 2 t."""
    least = parameter_server.best_partition_step(M, n, k, B)
    found = [simulated(n, k, slices) for slices in (1, 4, 16)]
    assert found == sorted(found, reverse=True)
    assert least * (1 - 1e-9) <= found[-1] < found[0] <= 2 * least


@pytest.mark.parametrize(
    ("n", "k", "named"), [(1, 0, "machines"), (3, 4, "cpu_machines"), (3, -1, "cpu_machines")]
)
def test_b8_what_makes_no_sense_is_refused(n, k, named):
    with pytest.raises(ValueError, match=named):
        parameter_server.best_partition(M, n, k)
