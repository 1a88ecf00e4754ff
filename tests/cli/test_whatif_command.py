"""``simpar whatif``: its answers, its files, and one line for each mistake."""

import json
import subprocess
import sys

import pytest

QUICKSTART = "scenarios/quickstart.yaml"
QUICK = ["--set", "run.steps=2", "--set", "strategies=[allreduce]"]


def run(*words, cache):
    return subprocess.run(
        [sys.executable, "-m", "simpar", "whatif", QUICKSTART, *words],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_CACHE_HOME": str(cache), "PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )


def test_json_is_alone_on_stdout_and_repeats_from_the_store(tmp_path):
    words = ["--vary", "network.bandwidth=10 Gbit/s,25 Gbit/s", *QUICK, "--json"]
    first, again = run(*words, cache=tmp_path), run(*words, cache=tmp_path)

    assert (first.returncode, first.stderr) == (0, "")
    assert again.stdout == first.stdout
    assert (tmp_path / "simpar" / "whatif.sqlite").exists()
    found = json.loads(first.stdout)
    assert found["axes"] == [{"path": "network.bandwidth", "values": ["10 Gbit/s", "25 Gbit/s"]}]
    assert [one["name"] for one in found["runs"][0]["strategies"]] == ["allreduce"]


def test_csv_is_written_and_nothing_is_kept_where_nothing_shall_be(tmp_path):
    file = tmp_path / "runs.csv"
    done = run("--vary", "cluster.workers=2,4", *QUICK, "--no-cache", "--csv", str(file), cache=tmp_path)

    assert done.returncode == 0
    assert done.stderr == f"wrote {file}\n"
    assert file.read_text().startswith("cluster.workers,rank,name,")
    assert not (tmp_path / "simpar").exists()


def test_a_folder_that_takes_no_store_costs_the_keeping_only(tmp_path):
    (tmp_path / "simpar").write_text("in the way")
    done = run("--vary", "cluster.workers=2,4", *QUICK, cache=tmp_path)

    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line == (
        f"warning: runs are not kept: {tmp_path / 'simpar'}: File exists; name a file: --store FILE"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--vary: is missing: nothing is varied"),
        (["--vary", "network.bandwidth"], "--vary: 'network.bandwidth' has no values"),
        (["--vary", "network.bandwith=1 Gbit/s"], "did you mean 'bandwidth'?"),
        (["--vary", "network.bandwidth=25 Gb"], "write '25 Gbit/s' (bits) or '25 GB/s' (bytes)"),
        (["--vary", "cluster.workers=1:8:x1"], "'1:8:x1' never ends"),
        (["--vary", "cluster.workers=2", "--vary", "cluster.workers=4"], "is varied twice"),
        (["--vary", "cluster.workers=2,4", "--set", "cluster.workers=3"], "is varied, too"),
        (["--vary", "cluster.workers=2,4", "--zip", "--vary", "run.steps=1"], "--zip: needs as many values"),
        (["--vary", "cluster.workers=2,4", "--zip", "--sample", "3"], "leave --zip or --sample out"),
        (["--vary", "cluster.workers=2,4", "--sample", "0"], "--sample: 0 is no number of points"),
        (["--vary", "cluster.workers=2,4", "--jobs", "0"], "--jobs: 0 is less than 1"),
        (["--vary", "cluster.workers=2,4", "--store", QUICKSTART], "is not a store of simpar"),
        (["--vary", "cluster.workers=2,4", "--store", "/no/where"], "the folder /no does not exist"),
        (["--vary", "cluster.workers=2,4", "--store", "a", "--no-cache"], "leave one of them out"),
        (["--vary", "cluster.workers=2,4", "--cluster", "host"], "write dask://HOST:PORT"),
        (["--vary", "cluster.workers=2,4", "--csv", "a.txt"], "write FILE.csv"),
    ],
)
def test_a_mistake_costs_one_line(tmp_path, words, said):
    done = run(*words, cache=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert said in line
