"""Every shipped scenario opens with its question, runs, and gives advice that helps."""

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

import simpar
from simpar.scenario import json_schema

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))
COMPARED = {}


def compared(path):
    """Compare once for all tests of a scenario."""
    if path not in COMPARED:
        COMPARED[path] = simpar.compare(path)
    return COMPARED[path]


def test_there_are_enough_of_them():
    assert len(SCENARIOS) >= 5


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_opens_with_its_question(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith("?")
    assert path.stem.split("-")[0] in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_valid_under_the_schema_and_named_after_its_file(path):
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.validate(data, json_schema())
    assert data["name"] == path.stem


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_runs_and_its_figures_hold_together(path):
    result = compared(path)
    strategies = simpar.load(path).strategies
    backups = {one.name: getattr(one.options, "backup_workers", 0) for one in strategies}
    several = {one.name: getattr(one.options, "push_every", 1) for one in strategies}
    json.dumps(result.to_dict(), allow_nan=False)
    for row in result.values():
        assert row.fits
        assert sum(row.breakdown.values()) == pytest.approx(row.step_s, abs=1e-9)
        assert row.speedup <= row.workers * (1 + 1e-9)
        assert all(use.busy_frac <= 1 + 1e-9 for use in row.resources)
    samples = {
        # A step that does without some workers drops the samples of those; some have several batches.
        round(row.samples_per_s * row.step_s, 6)
        * row.workers
        / (row.workers - backups.get(row.name, 0))
        / several.get(row.name, 1)
        for row in result.values()
    }
    assert len(samples) == 1, "rows that are compared do the same samples a step"


def advice(path):
    return [
        (row.name, row.bottleneck.suggestion.path, row.bottleneck.suggestion.value)
        for row in compared(path).values()
        if row.bottleneck.suggestion
    ]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_what_is_suggested_shortens_the_step_when_applied(path):
    given = advice(path)
    for name, setting, value in given:
        after = simpar.compare(path, set={setting: value}, advise=False)
        before = compared(path)[name]
        assert after[name].step_s < before.step_s, (name, setting, value)
        # and the step that was promised is the step that comes, up to the shorter trial run
        assert after[name].step_s == pytest.approx(before.bottleneck.suggestion.step_s, rel=0.02)


def test_most_scenarios_get_advice():
    assert sum(bool(advice(path)) for path in SCENARIOS) >= 5


# -- what single scenarios are there to show ------------------------------------------------------------


def scenario(name):
    return compared(ROOT / "scenarios" / f"{name}.yaml")


def test_round_robin_is_set_by_the_server_with_the_largest_tensor():
    """Oracle B6: both ways, four workers' shares of the fullest server, which holds fc6.weight and more."""
    result = scenario("vgg16-placement")
    row = result["round-robin"]
    largest = 25088 * 4096 * 4  # bytes of fc6.weight
    fullest = max(row.measured.program.meta["server_loads_bytes"])
    assert fullest >= largest
    compute = row.breakdown["compute_s"]
    assert row.step_s == pytest.approx(compute + 2 * (4 * fullest / 3.125e9 + 10e-6), rel=1e-6)
    assert row.step_s >= compute + 2 * 4 * largest / 3.125e9
    said = " ".join(row.notes)
    assert "fc6.weight" in said
    assert "placement: sliced" in said
    assert row.bottleneck.suggestion.path == "strategies[round-robin].placement"
    # sliced: a quarter of the model a server, so the workers' own links are as busy as the servers'
    total = 138_357_544 * 4
    assert result["sliced"].step_s == pytest.approx(compute + 2 * (total / 3.125e9 + 10e-6), rel=1e-6)


def test_alexnet_gains_from_a_pipeline_and_resnet50_loses():
    """As PipeDream published (SOSP 2019, Table 1): against data parallelism on 10 Gbit/s."""
    alexnet, resnet = scenario("pipedream-alexnet"), scenario("pipedream-resnet50")
    assert alexnet["pipeline"].step_s < min(alexnet[name].step_s for name in alexnet if name != "pipeline")
    assert resnet["pipeline"].step_s > max(resnet[name].step_s for name in resnet if name != "pipeline")


def test_vgg16_reports_the_cut_that_limits_its_pipeline():
    (note,) = scenario("pipedream-vgg16")["pipeline"].notes
    assert "the cut between" in note
    assert "MB a step each way" in note


def test_one_slow_worker_holds_synchronous_training_back_and_asynchronous_less():
    result = scenario("slow-worker")
    for name in ("ps-sync", "allreduce"):
        # Seven workers compute 180 ms a step and wait for the eighth, which computes 360 ms; it may begin
        # to do so a few microseconds before the step does, while others still receive.
        assert result[name].breakdown["straggler_s"] == pytest.approx(0.18, rel=1e-4)
        assert result[name].bottleneck.cause == "straggler"
        assert result[name].bottleneck.resource == "w7"
    assert result.best.name == "ps-async"


def test_a_server_with_slow_cpus_is_named_as_the_bottleneck():
    result = scenario("server-cpu")
    assert result["ps-sync"].bottleneck.resource == "ps0.cpu"
    # Each server adds four workers' halves of the model, and updates its half once (oracle B7).
    half = 138_357_544 * 4 / 2
    busy = next(use for use in result["ps-sync"].resources if use.name == "ps0.cpu").busy_frac
    assert busy * result["ps-sync"].step_s == pytest.approx(4 * half / 4e9 + half / 2e9, rel=1e-9)


def test_a_store_that_sixteen_workers_share_sets_the_pace():
    """16 workers x 64 records of 110 kB through 10 Gbit/s: 90.1 ms, longer than computing and reducing."""
    result = scenario("data-loading")
    loading = 16 * 64 * 110e3 / 1.25e9
    for name in ("allreduce", "allreduce-2"):
        assert result[name].step_s == pytest.approx(loading, rel=0.002)
        assert (result[name].bottleneck.cause, result[name].bottleneck.resource) == ("data", "store.out")
        assert result[name].bottleneck.suggestion.path == "data.store_bandwidth"
    assert result["ps-sync"].step_s > 1.1 * loading
    assert result["ps-sync"].bottleneck.cause == "network"


def test_bert_large_spends_its_steps_on_ten_gigabits():
    """335,141,888 parameters of 2 bytes by the ring: 2 x 7 messages of an eighth, 20 us each."""
    row = scenario("bert-large-10g")["allreduce"]
    n_bytes = 335_141_888 * 2
    reducing = 2 * 7 * (20e-6 + n_bytes / 8 / 1.25e9)
    assert row.breakdown["exposed_comm_s"] + row.breakdown["latency_s"] == pytest.approx(reducing, rel=1e-6)
    assert row.breakdown["compute_s"] < reducing
    # Adam in 16 bits: 16 bytes a parameter, and one bucket of all gradients
    states = sum(row.memory[f"{part}_bytes"] for part in ("parameters", "gradients", "optimizer"))
    assert (states, row.memory["buffers_bytes"]) == (16 * 335_141_888, n_bytes)


def test_a_fully_connected_net_on_a_slow_network_is_best_cut_over_eight_machines():
    """C / k + (k - 1) (M alpha + N / (k B)), least at 7.1: M and N are the messages and bytes of a turn."""
    sizes, samples, bandwidth, latency = (440, 2304, 2304, 2304, 2304, 8192), 128, 125e6, 300e-6
    compute = 6 * samples * sum(a * b for a, b in pairwise(sizes)) / 80e9
    n_bytes = 4 * samples * (sum(sizes[1:]) + 2 * sum(sizes[1:-1]))  # all outputs, and sums for all inputs
    messages = 5 + 2 * 4
    assert 7 < ((compute - n_bytes / bandwidth) / (messages * latency)) ** 0.5 < 7.2
    steps = {}
    for k in (2, 4, 8, 16, 32):
        steps[k] = scenario("tensor-parallel")[f"cut-over-{k}"].step_s
        wanted = compute / k + (k - 1) * (messages * latency + n_bytes / k / bandwidth)
        assert steps[k] == pytest.approx(wanted, rel=1e-9)
    assert steps[2] > steps[4] > steps[8] < steps[16] < steps[32]
    assert scenario("tensor-parallel").best.name == "cut-over-8"
