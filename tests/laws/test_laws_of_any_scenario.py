"""What holds for every scenario, tried on small ones at random: every kind, both ways of sharing."""

import json
import math
from collections import defaultdict
from itertools import pairwise

import any_scenario
import pytest

import simpar

SEEDS = range(85)


class Case:
    """A scenario at random, its strategies simulated and measured."""

    def __init__(self, scene, seed, **changes):
        drawn = any_scenario.draw(seed) | changes
        self.strategies = drawn.pop("strategies")
        self.drawn, self.scenario = drawn, scene(*self.strategies, **drawn)
        self.workers, self.batch = drawn["workers"], drawn["batch"]
        self.speed = drawn["speed"] or [1.0] * self.workers
        self.rows = simpar.compare(self.scenario, advise=False)
        self.compute_s = sum(forward + backward for forward, backward, *_ in drawn["layers"])
        self.n_bytes = 4 * sum(parameters for *_, parameters, _ in drawn["layers"])


@pytest.fixture(scope="session")
def cases(scene):
    return {seed: Case(scene, seed) for seed in SEEDS}


@pytest.fixture(params=SEEDS)
def case(cases, request):
    return cases[request.param]


def by_end(program):
    """Return the bytes that leave and enter each machine in an iteration, by (machine, 'out' or 'in')."""
    ends = {}
    for link, n_bytes in zip(program.links, program.link_bytes().tolist(), strict=True):
        machine, _, way = link.name.rpartition(".")
        ends[machine, way] = n_bytes
    return ends


def total(ends, way):
    return math.fsum(n_bytes for (_, one), n_bytes in ends.items() if one == way)


# Bytes


def test_what_is_sent_is_received(case):
    for row in case.rows.values():
        ends = by_end(row.measured.program)
        assert total(ends, "out") == pytest.approx(total(ends, "in"), rel=1e-12), row.name


@pytest.mark.parametrize("kind", ["ps-sync", "ps-async"])
def test_every_worker_pushes_and_pulls_all_parameters(case, kind):
    """2 n W bytes a step; a server gets and gives what it holds, once a worker, or gets it several times."""
    program = case.rows[kind].measured.program
    ends, pushes = by_end(program), program.meta.get("pull_every", 1)
    for way, back, times_ in (("out", "in", pushes), ("in", "out", 1)):
        for worker in range(case.workers):
            assert ends.get((f"w{worker}", way), 0) == times_ * case.n_bytes
        for server, load in enumerate(program.meta["server_loads_bytes"]):
            assert ends.get((f"ps{server}", back), 0) == times_ * case.workers * load
    assert sum(program.meta["server_loads_bytes"]) == case.n_bytes
    assert total(ends, "out") == (1 + pushes) * case.n_bytes * case.workers


def test_a_ring_sends_all_but_one_share_twice(case):
    """2 (W - 1) n bytes over all workers."""
    ends = by_end(case.rows["allreduce"].measured.program)
    assert total(ends, "out") == 2 * (case.workers - 1) * case.n_bytes


def test_a_pipeline_sends_each_cut_there_and_back(case):
    """Layers form a chain here, so a cut is crossed by the output of the layer before it."""
    row = case.rows["pipeline"]
    meta = row.measured.program.meta
    outputs = [output for *_, output in case.drawn["layers"]]
    cuts = sum(outputs[begin - 1] * case.workers for begin, _ in meta["cuts"][1:])
    assert total(by_end(row.measured.program), "out") == pytest.approx(2 * cuts, rel=1e-9)


def test_a_device_alone_sends_nothing(case):
    assert case.rows["single"].measured.program.links == ()


def test_every_instance_runs_once(case):
    for row in case.rows.values():
        trace, program = row.measured.trace, row.measured.program
        ran = set(zip(trace.task.tolist(), trace.iteration.tolist(), strict=True))
        assert len(ran) == len(trace) == len(program) * program.iterations


# Resources


def test_nothing_is_used_by_two_at_once(case):
    """But for servers with several threads, where no more run at once than there are."""
    for row in case.rows.values():
        trace, program = row.measured.trace, row.measured.program
        served = defaultdict(list)
        for place in range(len(trace)):
            if trace.resource[place] >= 0:
                served[int(trace.resource[place])].append(
                    (float(trace.start_s[place]), float(trace.free_s[place]))
                )
        for resource, times in served.items():
            capacity = program.resources[resource].capacity
            times.sort()
            for place in range(capacity, len(times)):
                running = sum(free > times[place][0] * (1 + 1e-12) for _, free in times[:place])
                assert running < capacity, (row.name, program.resources[resource].name)


def test_no_resource_is_used_more_than_it_can_be(case):
    for row in case.rows.values():
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources), row.name


def test_a_device_is_busy_for_what_it_computes_and_no_more(case):
    """Forward and backward of a batch a step, at its speed."""
    row = case.rows["allreduce"]
    busy = {use.name: use.busy_frac for use in row.resources if use.kind == "device"}
    for worker, speed in enumerate(case.speed):
        assert 0 <= busy[f"w{worker}"] * row.step_s <= case.compute_s / speed * (1 + 1e-9)


# Time


def test_the_parts_of_a_step_add_up_to_it(case):
    for row in case.rows.values():
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, rel=1e-9), row.name
        assert min(row.breakdown.values()) >= -1e-12 * row.step_s, row.name


def test_the_critical_path_has_no_gaps_and_fills_its_window(case):
    for row in case.rows.values():
        explained = simpar.explain(case.scenario, row.name)
        path, window = explained.path, explained.window
        assert all(before.end_s == after.start_s for before, after in pairwise(path))
        assert all(segment.end_s > segment.start_s for segment in path)
        assert path[0].start_s == window.start_s
        assert path[-1].end_s == window.end_s
        assert math.fsum(segment.seconds for segment in path) == pytest.approx(explained.step_s, rel=1e-9)
        assert all(segment.cause != "idle" for segment in path)


def slack(row):
    """Return the share by which asynchronous figures may pass a bound: they count events in a short time.

    Of G gradients applied in the measured time, each worker's last may owe its compute and its bytes to the
    time before.
    """
    if row.measured.is_async:
        return max(0.0, 1 - row.measured.workers / row.measured.gradients)
    return 1 - 1e-9


def batches(row):
    """Return the batches of a worker in an iteration."""
    meta = row.measured.program.meta
    return meta.get("push_every", 1) * meta.get("pull_every", 1)


def late(row):
    """Return the share of the measured time by which a window lets updates be late at its beginning only."""
    program = row.measured.program
    return (program.meta.get("window", 1) - 1) / (program.iterations - program.meta["warmup"])


def measured_from_an_update(case):
    """With run.warmup 0 the first step has no pull before it and begins with the run."""
    return case.drawn["run"]["warmup"] > 0


def test_no_step_is_shorter_than_its_compute(case):
    if not measured_from_an_update(case):
        return
    rows, slowest, fastest = case.rows, case.compute_s / min(case.speed), case.compute_s / max(case.speed)
    stages = rows["pipeline"].measured.program.meta["stages"]
    bounds = {
        "single": case.workers * fastest,
        "ps-sync": slowest,
        "allreduce": slowest,
        "ps-async": case.workers * case.compute_s / sum(case.speed),
        "pipeline": case.workers * fastest / stages,
    }
    for kind, bound in bounds.items():
        row = rows[kind]
        assert row.step_s >= batches(row) * bound * (1 - late(row)) * slack(row), kind


def test_no_step_is_shorter_than_its_bytes_on_the_fullest_link(case):
    if not measured_from_an_update(case):
        return
    bandwidth = case.drawn["bandwidth"]
    server_bandwidth = case.drawn["server_bandwidth"] or bandwidth
    for kind in ("ps-sync", "ps-async"):
        row = case.rows[kind]
        fullest = max(row.measured.program.meta["server_loads_bytes"])
        pushes = row.measured.program.meta.get("pull_every", 1)
        bound = pushes * max(case.n_bytes / bandwidth, case.workers * fullest / server_bandwidth)
        assert row.step_s >= bound * (1 - late(row)) * slack(row), kind
    share = 2 * (case.workers - 1) / case.workers
    assert case.rows["allreduce"].step_s >= share * case.n_bytes / bandwidth * (1 - 1e-9)
    cuts = case.rows["pipeline"].measured.program.meta["cut_bytes"]
    assert case.rows["pipeline"].step_s >= max(cuts, default=0.0) / bandwidth * (1 - 1e-9)


def test_workers_are_worth_no_more_than_as_many_of_the_fastest(case):
    if not measured_from_an_update(case):
        return
    for row in case.rows.values():
        assert row.speedup * slack(row) * (1 - late(row)) <= case.workers * (1 + 1e-9), row.name
        assert row.efficiency == pytest.approx(row.speedup / row.workers, rel=1e-12)


def test_rows_that_are_compared_do_the_same_samples_a_step(case):
    """But for those that add up several batches before they push."""
    for row in case.rows.values():
        samples = case.workers * case.batch * batches(row)
        assert row.samples_per_s * row.step_s == pytest.approx(samples, rel=1e-9)
        assert row.samples_per_s_per_worker * row.workers == pytest.approx(row.samples_per_s, rel=1e-12)


def test_rows_are_ranked_by_samples_a_second(case):
    speeds = [row.samples_per_s for row in case.rows.values()]
    assert speeds == sorted(speeds, reverse=True)
    assert [row.rank for row in case.rows.values()] == list(range(1, len(speeds) + 1))


# The same again


@pytest.mark.parametrize("seed", SEEDS[:20:4])
def test_the_same_scenario_gives_the_same_bytes(cases, scene, seed):
    first, again = cases[seed], Case(scene, seed)
    assert json.dumps(again.rows.to_dict()) == json.dumps(first.rows.to_dict())
    for name, row in again.rows.items():
        assert row.measured.trace.digest() == first.rows[name].measured.trace.digest()


def times(drawn, factor):
    """Return the changes that make everything take *factor* times as long."""

    def slower(rate):
        return None if rate is None else rate / factor

    server = drawn["server"]
    return {
        "layers": [(f * factor, b * factor, n, output) for f, b, n, output in drawn["layers"]],
        "latency": drawn["latency"] * factor,
        "overhead": drawn["overhead"] * factor,
        "bandwidth": slower(drawn["bandwidth"]),
        "server_bandwidth": slower(drawn["server_bandwidth"]),
        "server": server and {k: v if k == "threads" else slower(v) for k, v in server.items()},
    }


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_twice_the_times_and_half_the_rates_make_twice_the_step(cases, scene, seed):
    slower = Case(scene, seed, **times(cases[seed].drawn, 2.0))
    for name, row in slower.rows.items():
        assert row.step_s == pytest.approx(2 * cases[seed].rows[name].step_s, rel=1e-9), name


@pytest.mark.parametrize("seed", SEEDS[:30])
def test_more_bandwidth_never_slows_a_fixed_schedule(scene, seed):
    """A ring, and shared links without overlap: nobody can choose another order."""
    changes = {
        "strategies": [{"ps-sync": {"servers": 1 + seed % 4}}, "allreduce"],
        "sharing": "fair",
        "server_bandwidth": None,
    }
    drawn = any_scenario.draw(seed)
    steps = [
        Case(scene, seed, **changes, bandwidth=drawn["bandwidth"] * factor).rows for factor in (1.0, 1.3, 4.0)
    ]
    for slower, faster in pairwise(steps):
        for name, row in faster.items():
            assert row.step_s <= slower[name].step_s * (1 + 1e-9), name


# No network to speak of


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_a_network_that_costs_nothing_takes_no_time(scene, seed):
    free = {"bandwidth": 1e18, "server_bandwidth": None, "latency": 0.0, "overhead": 0.0, "server": None}
    case = Case(scene, seed, **free)
    for row in case.rows.values():
        spent = [row.breakdown[part] for part in ("exposed_comm_s", "latency_s", "queue_s", "server_s")]
        assert sum(spent) <= 1e-9 * row.step_s, row.name
    slowest = case.compute_s / min(case.speed)
    if measured_from_an_update(case):
        row = case.rows["ps-sync"]
        assert row.step_s == pytest.approx(batches(row) * slowest, rel=1e-9)
    assert case.rows["allreduce"].step_s == pytest.approx(slowest, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_one_worker_has_nobody_to_talk_to(scene, seed):
    """Without servers, all ways of training are one device's compute."""
    alone = {"workers": 1, "speed": None, "strategies": ["single", "allreduce", {"pipeline": {}}]}
    case = Case(scene, seed, **alone)
    for row in case.rows.values():
        assert (row.measured.program.message < 0).all()
        assert row.step_s == pytest.approx(case.compute_s, rel=1e-9)
        assert row.speedup == pytest.approx(1.0, rel=1e-9)
        assert row.breakdown["compute_s"] == pytest.approx(row.step_s, rel=1e-9)


# Found by these laws


def test_no_link_is_used_beyond_its_capacity_in_a_short_run(scene):
    """Where measuring begins or ends within a message, what it had sent by then depends on who shared."""
    scenario = scene(
        "ps-async",
        layers=[(1.0, 0.5, 500, 0.0)],
        workers=3,
        bandwidth=4000.0,
        server_bandwidth=1000.0,
        run={"steps": 2, "warmup": 1},
    )
    rows = simpar.compare(scenario, advise=False)
    assert all(use.busy_frac <= 1 + 1e-9 for use in rows["ps-async"].resources)


def test_one_slow_worker_leaves_something_to_measure(scene):
    """Workers of 3 s and 30 s a batch apply 11 gradients in 30 s, so a step of two takes 5.5 s."""
    layers = [(1.0, 2.0, 250, 0.0)]
    options = {"workers": 2, "speed": [1.0, 0.1], "layers": layers, "bandwidth": 1e12}
    rows = simpar.compare(scene("ps-async", **options, run={"steps": 5}), advise=False)
    assert rows["ps-async"].step_s == pytest.approx(2 * 30 / 11, rel=0.3)


def test_a_step_from_the_beginning_of_the_run_holds_its_compute(scene):
    """The first layer has nothing to push, so the update does not wait for its 10 s of backward pass."""
    scenario = scene(
        {"ps-sync": {"overlap": True}},
        layers=[(0.0, 10.0, 0, 0.0), (1.0, 1.0, 250, 0.0)],
        workers=1,
        run={"steps": 1, "warmup": 0},
    )
    assert simpar.compare(scenario, advise=False)["ps-sync"].step_s >= 12.0
