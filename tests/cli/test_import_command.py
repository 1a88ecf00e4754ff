"""``simpar import pipedream``: files in, a profile out, nothing half-written."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GRAPH = "tests/data/pipedream/alexnet.graph.txt"


def simpar(*words):
    return subprocess.run(
        [sys.executable, "-m", "simpar", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_imported_profile_can_be_compared(tmp_path):
    out = tmp_path / "alexnet.yaml"
    done = simpar("import", "pipedream", GRAPH, "--out", out)
    assert done.returncode == 0, done.stderr
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(
        "name: mine\nmodel: {profile: alexnet.yaml}\ncluster: {workers: 2}\n"
        "network: {bandwidth: 10 Gbit/s}\nstrategies: [allreduce, {pipeline: {microbatches: 4}}]\n"
    )
    assert simpar("compare", scenario).returncode == 0


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    out = tmp_path / "alexnet.yaml"
    out.write_text("mine")
    done = simpar("import", "pipedream", GRAPH, "--out", out)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert out.read_text() == "mine"
    assert simpar("import", "pipedream", GRAPH, "--out", out, "--force").returncode == 0
    assert out.read_text() != "mine"


def test_a_broken_graph_is_refused_and_nothing_is_written(tmp_path):
    graph, out = tmp_path / "broken.txt", tmp_path / "out.yaml"
    graph.write_text("node1 -- Linear(2, 2) -- forward_compute_time=oops\n")
    done = simpar("import", "pipedream", graph, "--out", out)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{graph}:1:")
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_without_out_the_profile_goes_to_stdout():
    done = simpar("import", "pipedream", GRAPH)
    assert done.returncode == 0
    assert "layers:" in done.stdout
