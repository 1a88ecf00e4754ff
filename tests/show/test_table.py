"""What an explanation says beside the times of a step."""

import re

import pytest

import simpar
from simpar.show.table import explanation


@pytest.fixture
def said(scene):
    """Return a function from a scene to what stands beside forward, by the time that it takes in ms."""

    def lines(*strategies, **around):
        text = explanation(simpar.explain(scene(*strategies, **around), "0"))
        found = re.search(r"^  forward +([\d .]+) ms   (.*)$", text, re.MULTILINE)
        assert found is not None, text
        return float(found[1].replace(" ", "")), found[2], text

    return lines


def test_times_of_equal_workers_are_as_measured(said):
    time_ms, why, text = said("ps-sync")
    assert (time_ms, why) == (1000.0, "measured by layer at batch 1")
    assert "median run" not in text


def test_times_that_a_straggler_takes_are_not_called_measured_only(said):
    stragglers = {"stragglers": [{"worker": 1, "factor": 2}]}
    time_ms, why, _ = said("ps-sync", variation=stragglers)
    assert time_ms == 2000.0
    assert why == "measured by layer at batch 1; w1 a straggler, 2 times as long"


def test_times_of_a_slow_worker_name_its_speed_and_what_else_slows_it(said):
    variation = {"compute": {"kind": "constant", "mean": 3}}
    time_ms, why, _ = said("ps-sync", speed=[1, 0.5], variation=variation)
    assert time_ms == 6000.0
    assert why == "measured by layer at batch 1; w1 at speed 0.5, 3 times as long by variation"


def test_what_is_drawn_is_said_and_whose_run_it_is(said):
    variation = {"stragglers": [{"probability": 1, "factor": 4}], "replications": 3}
    time_ms, why, text = said("ps-sync", variation=variation)
    assert time_ms == 4000.0
    assert re.fullmatch("measured by layer at batch 1; w[01] 4 times as long by variation", why)
    assert "\nThis is the median step of the median run, of 3 with other draws.\n" in text


def test_the_latency_of_a_closed_form_is_no_message_of_zero_seconds(scene):
    scenario = scene("allreduce", latency=0.1, run={"collectives": "closed_form"})
    text = explanation(simpar.explain(scenario, "allreduce"))
    # A ring of two passes on twice: 2 (W - 1) = 2 messages.
    assert re.search(r"^  latency +200\.0 ms   of the messages that its formula counts$", text, re.MULTILINE)
