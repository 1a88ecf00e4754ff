"""``simpar replay``: a table, JSON alone on stdout, files all or nothing, and problems as ever."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from commands import ROOT, simpar

LINE = """
name: line
model: {preset: mlp, shape: {sizes: [10, 1]}, batch: 5, optimizer: sgd, learning_rate: 0.05}
data: {set: regression}
cluster: {workers: 3, device: {flops: 1 MFLOP/s}}
network: {bandwidth: 1 MB/s, latency: 10 us}
strategies: [ps-sync, ps-async]
run: {epochs: 2}
"""


@pytest.fixture
def line(tmp_path):
    path = tmp_path / "line.yaml"
    path.write_text(LINE)
    return path


def test_it_prints_a_row_a_strategy(line):
    done = simpar("replay", line)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    rows = done.stdout.splitlines()
    assert rows[2].split()[:3] == ["strategy", "updates", "staleness"]
    assert [row.split(",")[0].strip() for row in rows[3:5]] == ["ps-sync", "ps-async"]
    assert rows[-1].startswith("Least loss: ")


def test_json_is_alone_on_stdout_and_the_same_bytes_under_any_hash_seed(line):
    said = [
        simpar("replay", line, "--json", env=os.environ | {"PYTHONHASHSEED": seed}) for seed in ("1", "2")
    ]
    assert said[0].stdout == said[1].stdout
    assert said[0].stderr == ""
    assert [row["name"] for row in json.loads(said[0].stdout)["strategies"]] == ["ps-sync", "ps-async"]


def test_strategies_epochs_and_seed_are_options(line):
    done = simpar("replay", line, "--strategy", "ps-async", "--epochs", 1, "--seed", 4, "--json")
    found = json.loads(done.stdout)
    assert [row["name"] for row in found["strategies"]] == ["ps-async"]
    assert (found["epochs"], found["seed"]) == (1, 4)


def test_files_are_written_and_said(line, tmp_path):
    plot, csv = tmp_path / "learning.png", tmp_path / "learning.csv"
    done = simpar("replay", line, "--plot", plot, "--csv", csv)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [f"wrote {plot}", f"wrote {csv}"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert csv.read_text().startswith("strategy,time_s,")


def refused(done, *said, lines):
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert all(one in done.stderr for one in said), done.stderr
    assert len(done.stderr.splitlines()) == lines


def test_problems_of_options_and_of_the_file_come_at_once(line, tmp_path):
    done = simpar(
        "replay", line, "--strategy", "ps-asinc", "--plot", tmp_path / "no" / "plot.svg", "--target", "120"
    )
    refused(done, "did you mean 'ps-async'", "--plot: the folder", "--target: 120 is no share", lines=3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "data.set=null"], "data: "),
        (["--set", "data.set=digit"], "did you mean 'digits'"),
        (["--set", "model.learning_rate=0"], "model.learning_rate: 0 is not above 0"),
        (["--set", "model.shape.sizes=[9, 1]"], "model"),
        (["--set", "model.learning_rate=1000", "--epochs", "20"], "training diverges; try a smaller one"),
        (["--epochs", "0"], "run.epochs: "),
        (["--plot", "learning.gif"], "--plot: "),
    ],
)
def test_bad_input_is_one_line(line, words, said):
    done = simpar("replay", line, *words)
    problems = [one for one in done.stderr.splitlines() if not one.startswith("1 problem in ")]
    assert len(problems) == 1, done.stderr
    refused(done, said, lines=len(done.stderr.splitlines()))


def test_without_the_extra_the_install_line_is_said(line, tmp_path):
    hidden = "from importlib import util\nfind = util.find_spec\n"
    hidden += "util.find_spec = lambda name, *more: None if name == 'sklearn' else find(name, *more)\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = simpar("replay", "scenarios/digits.yaml", env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 2
    assert "pip install '.[data]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_behind(line, tmp_path):
    plot = tmp_path / "learning.svg"
    words = [sys.executable, "-m", "simpar", "replay", str(line), "--epochs", "2000", "--plot", str(plot)]
    before = sorted(tmp_path.iterdir())
    running = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "interrupted"
    assert sorted(tmp_path.iterdir()) == before
