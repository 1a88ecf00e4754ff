"""``simpar explain --more``: one object on stdout, the same bytes each time, and problems as ever."""

import json
import os
import subprocess
import sys

import pytest

SMALL = """
name: small
model: {layers: [{name: l, forward: 1 s, backward: 2 s, parameters: 1000}], batch: 8}
cluster: {workers: 4, device: {memory: MEMORY}}
network: {bandwidth: 1 kB/s, latency: 100 ms}
strategies: [ps-sync, allreduce]
run: {steps: 3}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace("MEMORY", "1 GB"))
    return path


def explain(*words, seed="0"):
    return subprocess.run(
        [sys.executable, "-m", "simpar", "explain", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": seed},
    )


def test_more_adds_keys_and_changes_none(small):
    plain = json.loads(explain(small, "ps-sync", "--json").stdout)
    further = json.loads(explain(small, "ps-sync", "--more", "--json").stdout)
    assert {key: further[key] for key in plain} == plain
    assert set(further) - set(plain) == {
        "causes",
        "loads",
        "fullest",
        "server_parameters_bytes",
        "traffic",
        "traffic_per_epoch",
        "batch_as_heavy_as_gradients",
        "what_would_help",
        "not_tried",
        "enough_servers",
        "break_even",
        "why_no_break_even",
        "batch_for_90_percent",
        "why_no_batch",
        "efficiency_rises_with_batch",
    }
    assert set(further["what_would_help"][0]) == {"path", "factor", "step_s", "gain_frac"}
    assert {"servers", "step_s"} <= set(further["enough_servers"])


def test_more_is_the_same_bytes_each_time_and_silent_on_stderr(small):
    once, again = (explain(small, "ps-sync", "--more", "--json", seed=seed) for seed in ("1", "2"))
    assert once.stdout == again.stdout
    assert once.stderr == again.stderr == ""
    assert once.returncode == 0


def test_more_text_goes_on_where_the_explanation_ends(small):
    plain, further = explain(small, "allreduce"), explain(small, "allreduce", "--more")
    assert further.stdout.startswith(plain.stdout)
    assert "What would help" not in plain.stdout
    assert "What would help" in further.stdout


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    path = tmp_path / "full.yaml"
    path.write_text(SMALL.replace("MEMORY", "1 kB"))
    done = explain(path, "ps-sync", "--more")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "ps-sync does not fit" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_strategy_all_are_named(small):
    done = explain(small)
    assert done.returncode == 2
    assert done.stderr == "STRATEGY: is missing; write one of: ps-sync, allreduce\n"


def test_an_unknown_strategy_is_refused_as_ever(small):
    done = explain(small, "ps-snyc", "--more")
    assert done.returncode == 2
    assert "did you mean 'ps-sync'?" in done.stderr
