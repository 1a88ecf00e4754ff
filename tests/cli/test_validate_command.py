"""``simpar validate``: a table, JSON alone on stdout, a figure, and exit status 1 outside the bound."""

import json

import pytest
from commands import simpar

SMALL = """
name: small
model: {preset: mlp, shape: {sizes: [10, 8, 1]}, batch: 6, learning_rate: 0.05}
data: {set: regression}
cluster: {workers: 2, device: {forward: 6 ms, backward: 12 ms}}
network: {bandwidth: 1 Mbit/s, latency: 1 ms}
strategies: [ps-sync, allreduce]
run: {steps: 6, warmup: 2}
validate: {bound: 0.5, repeats: 2}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.mark.slow
def test_it_prints_a_row_a_strategy_and_draws_them(small, tmp_path):
    plot = tmp_path / "real.svg"
    done = simpar("validate", small, "--phases", "--plot", plot)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert rows[0].startswith("small: run for real, numpy on ")
    assert rows[2].split()[:2] == ["predicted", "measured"]
    assert "2 predictions within the bound of 50.0 %." in done.stdout
    assert "    push" in done.stdout
    assert done.stderr.strip() == f"wrote {plot}"
    assert plot.read_text(encoding="utf-8").count("<path") > 100


@pytest.mark.slow
def test_outside_the_bound_the_exit_status_is_1(small):
    done = simpar("validate", small, "--bound", "1e-9", "--strategy", "ps-sync", "--json")
    assert done.returncode == 1
    data = json.loads(done.stdout)
    assert not data["ok"]
    assert data["schema"] == 1
    assert [case["strategy"] for case in data["cases"]] == ["ps-sync"]
    assert "outside" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--strategy", "ps-synk"], "no strategy is called 'ps-synk'"),
        (["--bound", "-1"], "validate.bound"),
        (["--repeats", "0"], "validate.repeats"),
        (["--plot", "real.gif"], "real.gif"),
        (["--of", "ps-sync"], "add --plot FILE"),
    ],
)
def test_bad_input_is_one_line_each_and_exit_status_2(small, arguments, said):
    done = simpar("validate", small, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
