"""A closer look at one strategy: what it is made of, odd scenarios, and what is too much to simulate."""

import json
import math

import pytest

import simpar
from simpar.result import Use
from simpar.result.causes import CAUSES
from simpar.show import table_more
from simpar.study import more, trials
from simpar.study.break_even import batch_for


@pytest.fixture
def look(scene):
    """Return a function from a scenario to what is found out about its first strategy."""

    def run(*strategies, **numbers):
        scenario = scene(*strategies, **numbers)
        return more.look_further(simpar.explain(scenario, scenario.strategies[0].name))

    return run


def by_cause(found):
    return {one.cause: one.seconds for one in found.causes}


ODD = {
    "single": (["single"], {"workers": 1}),
    "one worker": (["allreduce", "ps-sync"], {"workers": 1}),
    "servers on one worker": (["ps-async", "allreduce"], {"workers": 1, "latency": 0.1}),
    "pipeline": (
        [{"pipeline": {"microbatches": 2}}, "allreduce"],
        {"layers": ((1.0, 2.0, 100, 8.0), (1.5, 2.0, 100, 8.0)), "batch": 4},
    ),
    "closed form": (["allreduce", "ps-sync"], {"workers": 4, "run": {"collectives": "closed_form"}}),
    "fifo": (["ps-ssp", "allreduce"], {"workers": 3, "latency": 0.1, "sharing": "fifo"}),
    "several devices": (
        [{"ps-sync": {"local_merge": True}}, {"allreduce": {"algorithm": "hierarchical"}}],
        {"workers": 4, "per_node": 2, "intra": (5000.0, 0.01)},
    ),
    "varying": (
        ["ps-async", "ps-sync"],
        {
            "workers": 3,
            "variation": {"compute": {"kind": "lognormal", "mean": 1, "cv": 0.3}, "replications": 3},
        },
    ),
    "gathering": ([{"ps-async": {"trigger": {"count": 2}}}, "ps-sync"], {"workers": 4}),
    "data": (["allreduce", "ps-sync"], {"data": (100.0, 1000.0, 1)}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_scenarios_have_an_answer_whose_causes_sum_to_the_step(look, name):
    strategies, numbers = ODD[name]
    found = look(*strategies, **numbers)
    step_s = found.explanation.step_s
    assert math.fsum(by_cause(found).values()) == pytest.approx(step_s, abs=1e-9 * step_s)
    assert [one.cause for one in found.causes] == [one for one in CAUSES if one in by_cause(found)]
    for one in found.causes:
        assert math.fsum(one.resources.values()) <= one.seconds * (1 + 1e-12)
    json.dumps(found.to_dict(), allow_nan=False)
    assert "What would help" in table_more.more(found)


@pytest.mark.parametrize("name", ["varying", "pipeline"])
def test_the_same_question_has_the_same_answer(look, name):
    strategies, numbers = ODD[name]
    once, again = (look(*strategies, **numbers).to_dict() for _ in range(2))
    again["scenario"] = once["scenario"]
    assert once == again


def test_what_is_asked_of_a_varying_run_has_the_draws_of_the_median_one(look):
    """Compute is all there is: 10 % faster devices with the same draws save exactly their share."""
    strategies = ["single"]
    found = look(*strategies, workers=1, variation={"compute": {"kind": "lognormal", "mean": 1, "cv": 0.3}})
    assert found.helps[0].path == "cluster.speed"
    assert found.helps[0].gain_frac == pytest.approx(1 - 1 / 1.1, rel=1e-9)


def test_a_slow_worker_is_waited_for(look):
    """The path runs through it: 3 s of compute, as the others have, and 3 s more."""
    found = look("allreduce", workers=4, speed=(1.0, 1.0, 0.5, 1.0))
    assert by_cause(found)["compute"] == pytest.approx(3.0)
    assert by_cause(found)["straggler"] == pytest.approx(3.0)
    straggler = next(one for one in found.causes if one.cause == "straggler")
    assert list(straggler.resources) == ["w2"]


def test_the_bubble_of_a_pipeline_is_what_others_compute(look):
    """Two stages, one microbatch: while one computes, the other waits."""
    layers = ((1.0, 2.0, 0, 0.0), (2.0, 3.0, 10, 0.0))
    found = look({"pipeline": {"microbatches": 1}}, layers=layers, batch=1)
    assert by_cause(found)["compute"] == pytest.approx(2 * (2.0 + 3.0))  # of two batches
    assert by_cause(found)["bubble"] == pytest.approx(2 * (1.0 + 2.0))


def test_loads_are_bytes_a_step_and_parameters_lie_on_servers(look):
    """Eight workers push and pull 4000 bytes, half of them at each server."""
    found = look({"ps-sync": {"servers": 2}}, workers=8)
    loads = {use.name: use.bytes for use in found.loads}
    assert loads["ps0.in"] == loads["ps1.out"] == pytest.approx(8 * 2000)
    assert loads["w3.out"] == loads["w5.in"] == pytest.approx(4000)
    assert found.fullest == "ps0.in"
    assert found.server_parameters_bytes == [2000.0, 2000.0]
    text = table_more.more(found)
    assert "w0..w7.out" in text
    assert "ps0, ps1 hold 2 kB of parameters each" in text


def test_what_is_too_much_to_simulate_is_left_open_and_said(look, monkeypatch):
    monkeypatch.setattr(trials, "MOST_INSTANCES", 10)
    found = look({"ps-sync": {"servers": 2}}, "ps-async", workers=4, latency=0.1)
    assert found.helps == []
    assert "network.bandwidth" in found.not_tried
    assert found.servers is None
    assert found.batch.batch is None
    text = table_more.more(found)
    assert (
        "not tried, too much to simulate here or beyond its bounds: cluster.speed, network.bandwidth" in text
    )
    assert "Enough servers: not tried, too much to simulate here." in text


def test_where_only_a_few_steps_are_simulated_the_answer_is_the_same(look, monkeypatch):
    """All steps are alike: 4 iterations say what 6 do."""
    whole = look({"ps-sync": {"servers": 2}}, workers=4, latency=0.1)
    instances = len(whole.explanation.row.measured.trace)
    monkeypatch.setattr(trials, "MOST_INSTANCES", 6 * instances - 1)
    few = look({"ps-sync": {"servers": 2}}, workers=4, latency=0.1)
    assert len(few.helps) == 5
    for one, other in zip(few.helps, whole.helps, strict=True):
        assert one.path == other.path
        assert one.gain_frac == pytest.approx(other.gain_frac, abs=1e-9)


def test_many_workers_in_closed_form_are_not_too_many_to_simulate(look):
    """256 workers are a few hundred tasks, not 256 x 256 messages."""
    found = look("allreduce", workers=256, run={"collectives": "closed_form"})
    assert found.not_tried == []
    assert found.helps[0].has_effect


def test_a_mean_that_is_a_time_says_nothing_of_other_batches(scene):
    scenario = scene("allreduce", variation={"compute": {"kind": "lognormal", "mean": "3 s", "cv": 0.1}})
    found = simpar.explain(scenario, "allreduce")
    answer = batch_for(found.setting, found.row.measured)
    assert answer.batch is None
    assert "variation.compute" in answer.why


# -- words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["w0.out", "w1.out"], ["w0.out", "w1.out"]),
        (["w2", "w0", "w1"], ["w0..w2"]),
        (["ps0.in", "w9.in", "w10.in", "w11.in"], ["ps0.in", "w9..w11.in"]),
        (["w0.in", "w2.in", "w3.in", "w4.in", "store.out"], ["w0.in", "w2..w4.in", "store.out"]),
    ],
)
def test_resources_that_follow_each_other_are_folded(names, folded):
    assert table_more.fold(names) == folded
    assert all(any(table_more.covers(one, name) for one in folded) for name in names)


def test_many_different_loads_of_one_role_become_one_line():
    uses = [Use(f"w{w}.out", "link", 0.1 * w, 100.0 * w) for w in range(6)]
    assert table_more._alike(uses) == [uses]
    assert table_more._alike(uses[:4]) == [[use] for use in uses[:4]]
