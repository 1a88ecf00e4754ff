"""Draws laid over a program: whose they are, what they leave alone, and that strategies share them."""

import math

import numpy as np
import pytest

import simpar
from simpar.result import Measured
from simpar.scenario import load


@pytest.fixture
def varied(scene):
    """Return a function that loads a scene of some strategies whose times vary."""

    def write(*strategies, variation, seed=0, **settings):
        run = {"steps": 6, "seed": seed} | settings.pop("run", {})
        settings = {"layers": [(1.0, 2.0, 1000, 0.0), (0.5, 1.5, 400, 0.0)], "workers": 3} | settings
        scenario = scene(*strategies, run=run, **settings)
        return load(scenario.source.file, set={"variation": variation})

    return write


LOGNORMAL = {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.3}}


def compute_by_worker(program):
    """Return seconds of compute by (worker, iteration)."""
    found = {}
    for task, op in enumerate(program.ops):
        if op.kind in ("forward", "backward"):
            seconds = program.durations.get(task, np.full(program.iterations, program.seconds[task]))
            for iteration, value in enumerate(seconds.tolist()):
                found[op.worker, iteration] = found.get((op.worker, iteration), 0.0) + value
    return found


def test_strategies_meet_the_same_luck(varied):
    """Worker by worker and iteration by iteration, to the picosecond a task."""
    scenario = varied(
        {"ps-sync": {"servers": 2}},
        {"ps-async": {"servers": 1}},
        {"allreduce": {"overlap": True}},
        variation=LOGNORMAL,
    )
    sync, free, ring = (compute_by_worker(simpar.compile(scenario, one.name)) for one in scenario.strategies)
    assert len(sync) == 3 * 8
    for instance, seconds in sync.items():
        assert free[instance] == pytest.approx(seconds, abs=1e-11)
        assert ring[instance] == pytest.approx(seconds, abs=1e-11)


def test_one_device_alone_meets_the_luck_of_the_batches_it_takes_over(varied):
    scenario = varied("single", "allreduce", variation=LOGNORMAL)
    alone, shared = (compute_by_worker(simpar.compile(scenario, name)) for name in ("single", "allreduce"))
    for iteration in range(8):
        whole = math.fsum(shared[worker, iteration] for worker in range(3))
        assert alone[0, iteration] == pytest.approx(whole, abs=1e-10)


def test_seeds_and_replications_draw_anew_and_the_same_ones_draw_again(varied):
    one, other = (varied("ps-sync", variation=LOGNORMAL, seed=seed) for seed in (0, 1))
    digests = [simpar.compile(one, "ps-sync", replication=r).digest() for r in (0, 1, 0)]
    assert digests[0] == digests[2] != digests[1]
    assert simpar.compile(other, "ps-sync").digest() not in digests


def test_nothing_drawn_leaves_the_program_alone(varied):
    plain, empty = varied("ps-sync", variation={}), varied("ps-sync", variation={"replications": 5})
    assert simpar.compile(plain, "ps-sync").digest() == simpar.compile(empty, "ps-sync").digest()


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
@pytest.mark.parametrize("strategy", ["ps-sync", "ps-async", "allreduce", "pipeline"])
def test_links_that_take_a_constant_factor_longer_are_slower_links(varied, strategy, sharing):
    """Bytes that take twice as long, and a network of half the bandwidth: the same steps."""
    settings = {"sharing": sharing, "latency": 0.01, "bandwidth": 1000.0}
    settings["run"] = {"stagger": "none"}  # else workers start spread over what a cycle nominally takes
    settings["layers"] = [(1.0, 2.0, 1000, 70.0), (0.5, 1.5, 400, 30.0), (1.0, 1.0, 10, 5.0)]
    twice = varied(strategy, variation={"link": {"kind": "constant", "mean": 2}}, **settings)
    half = varied(strategy, variation={}, **(settings | {"bandwidth": 500.0}))
    figures = [Measured(simpar.simulate(simpar.compile(scenario, strategy))) for scenario in (twice, half)]
    assert figures[0].step_s == pytest.approx(figures[1].step_s, rel=1e-9)
    for mine, other in zip(figures[0].uses, figures[1].uses, strict=True):
        assert mine.busy_frac == pytest.approx(other.busy_frac, rel=1e-6), mine.name
        assert mine.bytes == pytest.approx(other.bytes, rel=1e-6), mine.name


@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_quicker_links_are_never_used_beyond_their_capacity(varied, sharing):
    variation = {"link": {"kind": "two-point", "factor": 0.1, "probability": 0.5}}
    scenario = varied("allreduce", {"ps-async": {"servers": 2}}, variation=variation, sharing=sharing)
    for row in simpar.compare(scenario, advise=False).rows:
        assert all(0 <= use.busy_frac <= 1 + 1e-9 for use in row.resources)


def test_a_collective_in_closed_form_takes_as_long_as_its_slowest_link(varied):
    variation = {"link": {"kind": "uniform", "low": 1, "high": 3}}
    scenario = varied("allreduce", variation=variation, run={"collectives": "closed_form"})
    program = simpar.compile(scenario, "allreduce")
    nominal = simpar.compile(
        varied("allreduce", variation={}, run={"collectives": "closed_form"}), "allreduce"
    )
    messages = simpar.compile(varied("allreduce", variation=variation), "allreduce")
    (task,) = [task for task, op in enumerate(program.ops) if op.kind == "all_reduce"]
    links = {messages.ops[one].worker: factors for one, factors in messages.stretch.items()}
    slowest = np.max(list(links.values()), axis=0)
    assert len(links) == 3
    assert program.durations[task] == pytest.approx(nominal.seconds[task] * slowest, abs=1e-12)


def test_a_worker_that_is_slow_for_ever_is_a_slower_worker(varied):
    straggler = varied("ps-async", variation={"stragglers": [{"worker": 1, "factor": 4}]})
    slower = varied("ps-async", variation={}, speed=[1.0, 0.25, 1.0])
    assert simpar.compile(straggler, "ps-async").digest() == simpar.compile(slower, "ps-async").digest()


def test_a_slow_spell_lasts_as_long_as_it_says(varied):
    """Runs of slow iterations have the asked length, or more where spells overlap; others are as usual."""
    spells = {"stragglers": [{"worker": 2, "factor": 3, "probability": 0.05, "steps": 4}]}
    program = simpar.compile(varied("allreduce", variation=spells, run={"steps": 2000}), "allreduce")
    found = compute_by_worker(program)
    for worker in (0, 1):
        assert {found[worker, iteration] for iteration in range(2002)} == {5.0}
    slow = [found[2, iteration] == pytest.approx(15.0) for iteration in range(2002)]
    lengths = [len(run) for run in "".join("x" if one else "." for one in slow).split(".") if run]
    assert min(lengths[:-1]) == 4
    # A worker is slow where one of four iterations began a spell: 1 - 0.95^4 of the time.
    assert sum(slow) / len(slow) == pytest.approx(1 - 0.95**4, abs=0.04)


def test_drawn_times_are_whole_picoseconds(varied):
    variation = LOGNORMAL | {"server": {"kind": "exponential", "mean": 1}}
    program = simpar.compile(
        varied({"ps-sync": {"servers": 2}}, variation=variation, server={"update_rate": 700.0}), "ps-sync"
    )
    assert {program.ops[task].kind for task in program.durations} == {"forward", "backward", "apply"}
    for seconds in program.durations.values():
        assert (seconds == np.rint(seconds * 1e12) / 1e12).all()


def test_a_mean_that_is_a_time_is_the_mean_of_a_whole_batch(varied):
    """The nominal batch takes 5 s; a mean of 10 s doubles forward and backward alike, slow workers more."""
    variation = {"compute": {"kind": "constant", "mean": "10 s"}}
    found = compute_by_worker(
        simpar.compile(varied("ps-sync", variation=variation, speed=[1, 0.5, 1]), "ps-sync")
    )
    assert found[0, 0] == pytest.approx(10.0, rel=1e-7)
    assert found[1, 0] == pytest.approx(20.0, rel=1e-7)


def test_the_table_is_of_the_median_run_and_its_spread_of_all(varied):
    """With an odd number of runs, the median of the interval is the row's own figure; and the order holds."""
    scenario = varied("ps-sync", "ps-async", variation=LOGNORMAL | {"replications": 5})
    result = simpar.compare(scenario, advise=False)
    for row in result.rows:
        steps = [
            Measured(simpar.simulate(simpar.compile(scenario, row.name, replication=r))).step_s
            for r in range(5)
        ]
        interval = row.intervals["step_s"]
        assert row.step_s == sorted(steps)[2] == interval.p50
        assert interval.p5 == pytest.approx(np.percentile(steps, 5), rel=1e-12)
        assert min(steps) < interval.p5 < interval.p50 < interval.p95 < max(steps)
        assert row.intervals["samples_per_s"].p50 == pytest.approx(row.samples_per_s, rel=1e-12)
        assert math.fsum(row.breakdown.values()) == pytest.approx(row.step_s, abs=1e-9)
    assert set(result["ps-async"].intervals) - set(result["ps-sync"].intervals) == {"staleness_mean"}


def test_what_is_not_random_runs_once(varied):
    scenario = varied("ps-sync", variation={"compute": {"kind": "constant", "mean": 2}, "replications": 9})
    result = simpar.compare(scenario, advise=False)
    assert result["ps-sync"].intervals is None
    assert "variation.replications had no effect: nothing is drawn at random" in result.notes


def test_draws_that_meet_nothing_are_reported(varied):
    variation = LOGNORMAL | {"server": {"kind": "exponential", "mean": 1}}
    said = simpar.compare(varied("ps-sync", variation=variation), advise=False).notes
    assert "variation.server had no effect: no server takes time to add or to update" in said
    said = simpar.compare(varied("single", variation={"link": {"kind": "exponential", "mean": 1}})).notes
    assert "variation.link had no effect: no message crosses a link" in said


def test_an_unlucky_worker_makes_the_run_longer_instead_of_ending_the_comparison(varied):
    """Ten steps of heavy-tailed compute: in some run the quickest is done before the slowest is warm."""
    tail = {"compute": {"kind": "pareto", "mean": 1, "shape": 1.2}, "replications": 9}
    scenario = varied("ps-async", variation=tail, workers=8, run={"steps": 3}, bandwidth=1e6)
    too_short = 0
    for replication in range(9):
        program = simpar.compile(scenario, "ps-async", replication=replication)
        found = Measured(simpar.simulate(program))
        too_short += bool(found.update_s[-1].min() <= found.since_s)
    row = simpar.compare(scenario, advise=False)["ps-async"]
    assert too_short > 0
    assert row.measured.program.iterations > simpar.compile(scenario, "ps-async").iterations
    assert row.intervals["step_s"].p5 > 0


def test_of_an_even_number_of_runs_the_median_is_the_run_that_is_shown(varied):
    result = simpar.compare(varied("ps-async", variation=LOGNORMAL | {"replications": 4}), advise=False)
    (row,) = result.rows
    assert row.step_s == row.intervals["step_s"].p50
    for figure in ("samples_per_s", "speedup", "efficiency"):
        assert getattr(row, figure) == row.intervals[figure].p50
        assert row.intervals[figure].p5 < row.intervals[figure].p50 < row.intervals[figure].p95


@pytest.mark.parametrize(
    "compute",
    [
        {"kind": "lognormal", "mean": 1, "cv": 0},
        {"kind": "uniform", "low": 1, "high": 1},
        {"kind": "two-point", "factor": 1, "probability": 0.5},
    ],
)
def test_draws_that_are_all_the_same_run_once_and_change_nothing(varied, compute):
    spell = [{"probability": 0.5, "factor": 1, "steps": 2}]
    result = simpar.compare(varied("ps-sync", variation={"compute": compute, "stragglers": spell}))
    row, plain = result["ps-sync"], simpar.compare(varied("ps-sync", variation={}))["ps-sync"]
    assert row.intervals is None
    assert row.step_s == pytest.approx(plain.step_s, rel=1e-9)
    assert (
        "variation.compute had no effect: a factor of 1 that does not vary is the nominal time"
        in result.notes
    )
    assert "variation.stragglers[0] had no effect: a factor of 1 is the nominal time" in result.notes
