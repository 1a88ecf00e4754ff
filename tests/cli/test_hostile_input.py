"""What a person may type by accident or on purpose: one line for each problem, and nothing lost."""

import json
import os
import subprocess
import sys

import commands
import pytest
from commands import QUICKSTART, ROOT


def simpar(*words, env=None, **how):
    """Run it with the environment *env* alone."""
    return commands.simpar(*words, timeout=60, env=None if env is None else {"PATH": "", **env}, **how)


def refused(done, *said, lines=None):
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert all(one in done.stderr for one in said), done.stderr
    if lines is not None:
        assert len(done.stderr.splitlines()) == lines


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.preset=null", "model: "),
        ("model.batch=null", "model: "),
        ("cluster.device={forward: null, backward: null}", "cluster"),
        ("cluster.device={preset: null}", "cluster"),
        ("cluster.device={flops: ~}", "cluster"),
        ("network.efficiency=5e-324", "network.efficiency: "),
        ("cluster.device={flops: 1 TFLOP/s, efficiency: 1e-320}", "cluster.device.efficiency: "),
        ("cluster.device={forward: 1e-300 s, backward: 1 s}", "cluster.device.forward: "),
        ("strategies=[{ps-sync: {servers: 100000}}]", "servers: cuts the model into"),
        ("strategies=[{ps-sync: {slice_bytes: 4 B}}]", "slice_bytes: cuts the model into"),
        ("run.steps=1000000", "too many to simulate"),
        ("cluster.speed=[0.001, 1, 1, 1, 1, 1, 1, 1000]", "speeds more alike"),
    ],
)
def test_values_that_pass_for_plausible_are_refused_before_they_break_something(setting, said):
    refused(simpar("compare", QUICKSTART, "--set", setting), said)


def test_a_pipeline_too_large_to_write_down_is_refused_at_once():
    refused(
        simpar(
            "check",
            QUICKSTART,
            "--set",
            "model.batch=1000000000",
            "--set",
            "strategies=[{pipeline: {stages: 2, microbatches: 1000000000}}]",
        ),
        "too much to write down",
    )


def test_an_explicit_null_is_as_good_as_not_there():
    plain = simpar("compare", QUICKSTART, "--json", "--no-advice", "--steps", 2)
    null = [
        "--set",
        "network.server_bandwidth=null",
        "--set",
        "cluster.speed=null",
        "--set",
        "model.layers=null",
    ]
    assert simpar("compare", QUICKSTART, "--json", "--no-advice", "--steps", 2, *null).stdout == plain.stdout


def test_asynchronous_figures_of_few_steps_stay_below_the_bound_or_say_how_uncertain_they_are():
    words = ["--set", "run.warmup=0", "--set", "run.stagger=none", "--steps", "2", "--json", "--no-advice"]
    rows = json.loads(simpar("compare", "scenarios/slow-worker.yaml", *words).stdout)["strategies"]
    row = next(row for row in rows if row["kind"] == "ps-async")
    # Seven workers of speed 1 and one of 0.5 cannot do more than 7.5 / 8 of eight.
    assert row["efficiency"] <= 7.5 / 8 or any("uncertain" in note for note in row["notes"])
    assert row["efficiency"] <= 1.0


def test_one_step_of_uneven_workers_can_be_measured():
    assert simpar("compare", "scenarios/slow-worker.yaml", "--steps", 1).returncode == 0
    assert simpar("compare", "scenarios/own-layers.yaml", "--steps", 1).returncode == 0


def test_a_timeline_of_very_long_steps_is_written(tmp_path):
    slow = ["--set", "cluster.device={flops: 1 MFLOP/s}", "--no-advice", "--steps", "1"]
    done = simpar("compare", QUICKSTART, *slow, "--trace", tmp_path / "t.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


@pytest.mark.parametrize("option", ["--plot", "--trace"])
def test_the_input_is_never_overwritten(option, tmp_path):
    ending = {"--plot": ".svg", "--trace": ".json"}[option]
    file = tmp_path / f"scenario{ending}"
    file.write_text((ROOT / QUICKSTART).read_text())
    refused(simpar("compare", file, option, file), "is the file that is read")
    assert file.read_text() == (ROOT / QUICKSTART).read_text()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("words", [("check",), ("import", "pipedream"), ("import", "csv"), ("import", "hf")])
def test_a_named_pipe_is_refused_and_not_waited_for(words, tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    extra = {"csv": ["--batch", "1"], "hf": ["--seq", "8", "--batch", "1"]}.get(words[-1], [])
    done = simpar(*words, pipe, *extra)
    refused(done)


def test_an_endless_device_is_refused():
    refused(simpar("import", "pipedream", "/dev/zero"))


def test_closed_streams_and_narrow_encodings_do_not_matter(tmp_path):
    closed = subprocess.run(
        f"{sys.executable} -m simpar check {QUICKSTART} >&- 2>&-", shell=True, cwd=ROOT, check=False
    )
    assert closed.returncode == 0
    assert simpar("schema", env={"PYTHONIOENCODING": "ascii"}).returncode == 0
    named = ["--set", "strategies=[{ps-sync: {name: größer}}, {ps-sync: {name: ☃}}]", "--no-advice"]
    narrow = simpar("compare", QUICKSTART, *named, env={"PYTHONIOENCODING": "latin-1"}, encoding="latin-1")
    assert narrow.returncode == 0
    assert "größer" in narrow.stdout


def test_control_characters_never_reach_the_terminal():
    done = simpar("compare", QUICKSTART, "--plot", "a\nb/\x1b[31mx.svg")
    refused(done)
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_option_is_one_line():
    done = simpar("compare", QUICKSTART, "--steps", "1.5")
    refused(done, "--help", lines=1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_to_a_full_disk_is_one_line_that_says_what_is_full():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "simpar", "schema"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"simpar: standard output, or a temporary file: No space left on device\n"
