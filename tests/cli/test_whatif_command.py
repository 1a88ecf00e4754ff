"""``simpar whatif``: its answers, its files, and one line for each mistake."""

import csv
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

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


def test_a_range_of_wrong_values_costs_a_few_lines(tmp_path):
    done = run("--vary", "network.bandwidth=1:9000", *QUICK, cache=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        *(f"--vary: network.bandwidth: '{n}' has no unit; write it like '25 Gbit/s'" for n in (1, 2, 3)),
        "--vary: network.bandwidth: 8,997 more values not looked at; mend these first",
    ]


@pytest.mark.parametrize("option", ["--csv", "--plot"])
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_is_said_with_its_name(tmp_path, option):
    """A limit on the size of files, which each process can set for itself, does what a full disk does."""
    file = tmp_path / {"--csv": "a.csv", "--plot": "a.svg"}[option]
    file.write_text("old")
    words = ["simpar", "whatif", QUICKSTART, *QUICK, "--vary", "cluster.workers=2,4", "--no-cache"]
    code = (
        "import resource, sys\nfrom simpar.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        f"sys.argv = {[*words, option, str(file)]!r}\nmain()"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (2, f"simpar: {file}: File too large\n")
    assert [file.read_text(), [one.name for one in tmp_path.iterdir()]] == ["old", [file.name]]


def test_a_store_that_takes_no_more_costs_the_keeping_only(tmp_path):
    store = tmp_path / "runs.sqlite"
    words = ["simpar", "whatif", QUICKSTART, *QUICK, "--vary", "cluster.workers=1..20", "--jobs", "1"]
    code = (
        "import resource, sys\nfrom simpar.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        f"sys.argv = {[*words, '--store', str(store)]!r}\nmain()"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False)
    again = run(*words[3:], "--store", str(store), cache=tmp_path)

    assert done.returncode == 0
    assert re.fullmatch(rf"warning: {store}: .*; [0-9]+ runs not kept\n", done.stderr)
    assert (again.returncode, again.stderr, again.stdout) == (0, "", done.stdout)


SCRIPT = "<script>alert(1)</script>"


def test_a_name_that_is_a_script_stays_a_name(tmp_path):
    words = [
        "--set", f"name={SCRIPT}", "--set", f'strategies=[{{allreduce: {{name: "{SCRIPT}"}}}}, ps-sync]',
        "--set", "run.steps=2", "--vary", "cluster.workers=2,4",
        "--csv", str(tmp_path / "a.csv"), "--plot", str(tmp_path / "a.svg"), "--no-cache",
    ]  # fmt: skip
    done = run(*words, cache=tmp_path / "cache")

    assert done.returncode == 0
    assert sorted(one.name for one in tmp_path.glob("*.*")) == ["a.csv", "a.svg"]
    tree = ElementTree.parse(tmp_path / "a.svg")
    assert not [one.tag for one in tree.iter() if one.tag.endswith("script")]
    assert SCRIPT in "".join(tree.getroot().itertext())
    with open(tmp_path / "a.csv", newline="") as lines:
        assert [row["name"] for row in csv.DictReader(lines)].count(SCRIPT) == 2
    found = json.loads(run(*words, "--json", cache=tmp_path / "cache").stdout)
    assert found["scenario"] == SCRIPT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--vary: is missing: nothing is varied"),
        (["--vary", "network.bandwidth"], "--vary: 'network.bandwidth' has no values"),
        (["--vary", "network.bandwith=1 Gbit/s"], "did you mean 'bandwidth'?"),
        (["--vary", "network.bandwidth=25 Gb"], "write '25 Gbit/s' (bits) or '25 GB/s' (bytes)"),
        (
            ["--vary", "nework.bandwidth=1 Gbit/s"],
            "--vary: nework: unknown key 'nework'; did you mean 'network'?",
        ),
        (["--vary", "strategies[ps-snc].servers=1"], "did you mean 'ps-sync'?"),
        (["--vary", "cluster.workers=1:8:x1"], "'1:8:x1' never ends"),
        (["--vary", "cluster.workers=1:8:+0"], "'1:8:+0' never ends"),
        (["--vary", "cluster.workers=8:1"], "'8:1' goes down"),
        (["--vary", "cluster.workers=nan"], "'nan' is not a whole number"),
        (["--vary", "cluster.workers=1:inf:x2"], "'1:inf:x2' is not a range"),
        (["--vary", "network.latency=nan s"], "network.latency: 'nan s' is not a duration"),
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
