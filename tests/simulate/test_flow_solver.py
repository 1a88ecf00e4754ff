"""The solver of shared links: the same bits plain and compiled, and rates that are max-min fair."""

import math
import subprocess
import sys
from fractions import Fraction

import loads
import numpy as np
import pytest
import random_programs

from simpar.simulate import ReferenceEngine, flows, network
from simpar.simulate.flow_state import DENSE
from simpar.simulate.jit import compiled_flows
from simpar.simulate.network import FairNetwork

DRAW = {"any routes": loads.draw_network, "star": loads.draw_star}


class Solver:
    """The functions over a state, plain or compiled, as a network that a load can run on."""

    def __init__(self, capacity, routes, *, dense, jit=False):
        self.state = flows.network(capacity, routes, dense)
        functions = vars(flows)
        if jit:
            self.state, functions = flows.arrays(self.state), compiled_flows()
        self._start, self._settle, self._complete = (functions[n] for n in ("start", "settle", "complete"))
        self.seen_tight = self.seen_core = 0

    def start(self, channel, n_bytes):
        self._start(self.state, channel, n_bytes)

    def settle(self, now):
        wait = self._settle(self.state, now)
        self.seen_tight += any(ceiling > 0 for ceiling in self.state.ceiling)
        self.seen_core += any(self.state.cores)
        return wait

    def complete(self):
        return [int(channel) for channel in self.state.done[: self._complete(self.state)]]


@pytest.mark.parametrize("kind", DRAW)
@pytest.mark.parametrize("dense", [0, 10**6], ids=["sparse", "dense"])
def test_plain_and_compiled_functions_give_the_same_bits(kind, dense):
    for seed in range(40):
        capacity, routes = DRAW[kind](seed, ties=seed % 2 == 0)
        plain, compiled = (
            loads.closed(Solver(capacity, routes, dense=dense, jit=jit), len(routes), seed, seed % 2 == 0)
            for jit in (False, True)
        )
        assert plain == compiled, seed


@pytest.mark.parametrize("kind", DRAW)
def test_tight_links_end_flows_when_filling_all_of_them_does(kind):
    """With ties, flows that end together in one do so in the other: the instants are compared, too."""
    seen_tight = seen_core = 0
    for seed in range(60):
        ties = seed % 2 == 0
        capacity, routes = DRAW[kind](seed, ties)
        sparse = Solver(capacity, routes, dense=0)
        found = loads.closed(sparse, len(routes), seed, ties)
        wanted = loads.closed(Solver(capacity, routes, dense=10**6), len(routes), seed, ties)
        assert [channels for _, channels in found] == [channels for _, channels in wanted], seed
        assert [time for time, _ in found] == pytest.approx([time for time, _ in wanted], rel=1e-10), seed
        seen_tight += sparse.seen_tight > 10
        seen_core += sparse.seen_core > 10
    assert min(seen_tight, seen_core) >= 20


@pytest.mark.slow
def test_two_thousand_flows_over_a_two_level_tree_get_their_bytes_through():
    """8 racks of 8, uplinks of half the rack's bandwidth; rates between any two events are filled anew."""
    rng = np.random.default_rng(7)
    source = rng.integers(0, 64, 2000)
    target = (source // 8 * 8 + 8 + rng.integers(0, 56, 2000)) % 64
    routes = [
        (a, 128 + a // 8, 136 + b // 8, 64 + b) for a, b in zip(source.tolist(), target.tolist(), strict=True)
    ]
    capacity = [1.0] * 128 + [4.0] * 16
    sizes = np.exp(rng.uniform(0.0, 4.0, 2000))
    starts = np.cumsum(rng.exponential(sizes.mean() / 28, 2000))
    solver = Solver(capacity, routes, dense=DENSE, jit=True)
    ends = loads.open_load(solver, starts, sizes)
    assert loads.sent_bytes(capacity, routes, starts, ends) == pytest.approx(sizes, rel=1e-9)


@pytest.mark.parametrize("dense", [0, 10**6], ids=["sparse", "dense"])
@pytest.mark.parametrize("servers", [1, 3])
def test_every_byte_of_a_shuffle_gets_through(dense, servers):
    """Workers start at random, then servers are the narrow links, then workers again."""
    rng = np.random.default_rng(5)
    workers = 40
    routes = [(w, workers + p) for w in range(workers) for p in range(servers)]
    capacity = [1.0] * (workers + servers)
    starts, sizes = rng.random(len(routes)) * 30.0, rng.uniform(0.5, 1.5, len(routes))
    ends = loads.open_load(Solver(capacity, routes, dense=dense), starts, sizes)
    assert loads.sent_bytes(capacity, routes, starts, ends) == pytest.approx(sizes, rel=1e-9)


def processor_sharing(starts, sizes):
    """Return when each of the flows over one link of rate 1 ends, in fractions."""
    left, end, now = {}, [None] * len(starts), Fraction(0)
    coming = sorted((start, flow) for flow, start in enumerate(starts))
    while coming or left:
        ends = now + min(left.values()) * len(left) if left else None
        then = ends if not coming or (ends is not None and ends <= coming[0][0]) else coming[0][0]
        left = {flow: rest - (then - now) / len(left) for flow, rest in left.items()}
        now = then
        for flow in [flow for flow, rest in left.items() if rest == 0]:
            end[flow] = now
            del left[flow]
        while coming and coming[0][0] == now:
            flow = coming.pop(0)[1]
            left[flow] = sizes[flow]
    return end


@pytest.mark.parametrize("dense", [0, 10**6], ids=["sparse", "dense"])
@pytest.mark.parametrize("n", [1, 2, 30, 200])
def test_an_incast_is_processor_sharing_in_exact_fractions(dense, n):
    rng = np.random.default_rng(n)
    starts = [Fraction(int(k), 64) for k in rng.integers(0, 40 * n, n)]
    sizes = [Fraction(int(k), 64) for k in rng.integers(1, 200, n)]
    routes = [(sender, n) for sender in range(n)]
    solver = Solver([1.0] * (n + 1), routes, dense=dense)
    ends = loads.open_load(solver, np.array(starts, dtype=float), np.array(sizes, dtype=float))
    assert ends == pytest.approx([float(end) for end in processor_sharing(starts, sizes)], rel=1e-9)


def test_equal_flows_of_a_large_network_end_in_one_instant_in_the_order_of_channels():
    routes = [(w, 600 + p) for w in range(600) for p in range(2)]
    solver = Solver([1.0] * 602, routes, dense=DENSE)
    for channel in reversed(range(1200)):
        solver.start(channel, 0.1)
    assert solver.settle(1.0) == pytest.approx(60.0, rel=1e-12)
    assert solver.complete() == list(range(1200))
    assert solver.settle(61.0) == math.inf


def test_a_flow_with_next_to_nothing_left_ends_after_the_instant_at_hand():
    """2.1 bytes at 0.3 a second: at 7 s rounding leaves less than the clock can tell."""
    for dense in (0, 10):
        solver = Solver([0.3, 1.0], [(0,), (1,)], dense=dense)
        solver.start(0, 2.1)
        solver.settle(0.0)
        solver.start(1, 1.0)
        wait = solver.settle(7.0)
        assert 7.0 < 7.0 + wait <= math.nextafter(7.0, math.inf)
        assert solver.complete() == [0]


def test_what_transmits_far_apart_is_not_settled_together():
    """Two pairs of links that no route joins are two parts; an end in one leaves the other's core alone."""
    solver = Solver([1.0, 1.0, 1.0, 1.0], [(0, 1), (2, 3)], dense=0)
    solver.start(0, 1.0)
    solver.start(1, 3.0)
    assert solver.settle(0.0) == 1.0
    assert solver.complete() == [0]
    assert solver.settle(1.0) == 2.0
    assert [float(now) for now in solver.state.now] == [1.0, 0.0]


def test_the_network_of_an_engine_gives_the_same_trace_compiled(monkeypatch):
    programs = [random_programs.draw_messages(seed, ties=seed % 2 == 0, sharing="fair") for seed in range(20)]
    plain = [ReferenceEngine(program).run().digest() for program in programs]
    monkeypatch.setattr(network, "COMPILED_FROM", 0)
    assert [ReferenceEngine(program).run().digest() for program in programs] == plain


def test_without_a_compiler_large_networks_run_plain(monkeypatch):
    monkeypatch.setattr(network, "COMPILED_FROM", 0)
    monkeypatch.setattr(network, "can_compile", lambda: False)
    monkeypatch.setattr(network, "compiled_flows", None)
    plain = FairNetwork([1.0], [(0,)])
    plain.start(0, 3.0)
    assert plain.settle(0.0) == 3.0


def test_small_networks_do_not_load_the_compiler():
    code = (
        "import sys; from simpar.simulate.network import FairNetwork; n = FairNetwork([1.0], [(0,)]); "
        "n.start(0, 1.0); print(n.settle(0.0), 'numba' in sys.modules, 'numpy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split()[:2] == ["1.0", "False"]
