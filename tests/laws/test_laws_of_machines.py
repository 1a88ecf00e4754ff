"""What holds for every scenario of machines with several devices, tried on small ones at random."""

import math
import random

import pytest

import simpar

SEEDS = range(40)


class Case:
    """A scenario of machines at random, its strategies simulated and measured."""

    def __init__(self, scene, seed):
        rng = random.Random(seed)
        self.nodes, self.per_node = rng.randint(1, 4), rng.randint(1, 4)
        self.workers = self.nodes * self.per_node
        layers = [
            (rng.random(), rng.random(), rng.choice([0, rng.randint(1, 3000)]), rng.uniform(0, 3000))
            for _ in range(rng.randint(1, 4))
        ]
        self.compute_s = math.fsum(forward + backward for forward, backward, *_ in layers)
        self.n_bytes = 4 * sum(parameters for *_, parameters, _ in layers)

        def served():
            return {
                "servers": rng.randint(1, 5),
                "colocate": rng.random() < 0.5,
                "local_merge": rng.random() < 0.5,
                "overlap": rng.random() < 0.5,
                "placement": rng.choice(["sliced", "balanced", "round_robin"]),
            }

        stages = rng.randint(1, min(self.workers, len(layers)))
        self.scenario = scene(
            {"ps-sync": served()},
            {"ps-async": served()},
            {"ps-ssp": served() | {"staleness": rng.randint(0, 2)}},
            {"allreduce": {"algorithm": "hierarchical", "overlap": rng.random() < 0.5}},
            {"allreduce": {"name": "ring", "overlap": rng.random() < 0.5}},
            {"pipeline": {"stages": stages}},
            layers=layers,
            workers=self.workers,
            per_node=self.per_node,
            intra=(10 ** rng.uniform(4, 7), rng.choice([0.0, rng.uniform(0, 0.02)])),
            bandwidth=10 ** rng.uniform(3, 6),
            latency=rng.choice([0.0, rng.uniform(0, 0.2)]),
            overhead=rng.choice([0.0, rng.uniform(0, 0.05)]),
            sharing=rng.choice(["fair", "fifo"]),
            server=rng.choice([None, {"add_rate": 1e4, "update_rate": 2e4}]),
            run={"steps": rng.randint(3, 5), "warmup": rng.randint(1, 2)},
        )
        self.rows = simpar.compare(self.scenario, advise=False)

    def crossed(self, name):
        """Return bytes and rate of each link, by name."""
        program = self.rows[name].measured.program
        return {
            link.name: (n_bytes, link.bytes_per_s)
            for link, n_bytes in zip(program.links, program.link_bytes().tolist(), strict=True)
        }

    def options(self, name):
        """Return the options of a strategy."""
        return self.scenario.strategy(name).options


@pytest.fixture(scope="module")
def cases(scene):
    return {seed: Case(scene, seed) for seed in SEEDS}


@pytest.fixture(params=SEEDS)
def case(cases, request):
    return cases[request.param]


def test_programs_keep_their_rules_and_parts_add_up(case):
    for row in case.rows.values():
        assert row.measured.program.check() == []
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, rel=1e-9), row.name
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources), row.name


def test_the_critical_path_fills_its_window(case):
    for row in case.rows.values():
        measured = row.measured
        window = measured.median_window
        seconds = math.fsum(segment.seconds for segment in measured.path(window))
        assert seconds == pytest.approx(window.end_s - window.start_s, rel=1e-9)


def test_what_leaves_machines_enters_machines(case):
    for name in case.rows:
        crossed = case.crossed(name)
        for ends in (("n", "ps"), ("w",)) if case.per_node > 1 else ():
            if ends == ("w",) and getattr(case.options(name), "colocate", False):
                continue  # a push to a server on the same machine leaves a device and enters none
            way = {
                end: math.fsum(n for link, (n, _) in crossed.items() if link.startswith(ends) and end in link)
                for end in (".out", ".in")
            }
            assert way[".out"] == pytest.approx(way[".in"], rel=1e-12), (name, ends)


def test_each_pusher_pushes_everything_once(case):
    """Whatever the servers: g n bytes a machine, or n where it adds up first, less what stays on it."""
    for name in ("ps-sync", "ps-async", "ps-ssp"):
        row, options = case.rows[name], case.options(name)
        program = row.measured.program
        pushed = [n for op, n in zip(program.ops, program.bytes.tolist(), strict=True) if op.kind == "push"]
        pushers = case.nodes if options.local_merge else case.workers
        whole = pushers * case.n_bytes
        hops = 1 if case.scenario.network.sharing == "fair" else 2
        if not options.colocate:
            assert math.fsum(pushed) == pytest.approx(hops * whole), name
        else:
            assert math.fsum(pushed) <= hops * whole * (1 + 1e-12), name


def test_no_synchronous_step_is_shorter_than_its_compute_or_its_fullest_link(case):
    for name in ("ps-sync", "allreduce", "ring"):
        row = case.rows[name]
        fullest = max((n / rate for n, rate in case.crossed(name).values()), default=0.0)
        assert row.step_s >= max(case.compute_s, fullest) * (1 - 1e-9), name


def test_staleness_is_counted_among_those_who_push(case):
    """Machines that add up first go their own pace as one; alone, nothing is ever old."""
    row = case.rows["ps-async"]
    if not case.n_bytes:
        return
    pushers = case.nodes if case.options("ps-async").local_merge else case.workers
    assert row.measured.pushers == pushers
    if pushers == 1:
        assert row.staleness.mean == 0
