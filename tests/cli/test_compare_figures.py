"""``simpar compare --figure`` and two saved results: what is written, and bad input."""

import json

import pytest
from commands import QUICKSTART, simpar

from simpar.result import changes


def quick(*words):
    return simpar("compare", QUICKSTART, "--steps", "2", "--no-advice", *words)


WRONG = {
    "unknown figure": (
        ["--plot", "x.svg", "--figure", "gant"],
        "--figure: unknown figure 'gant'; did you mean 'gantt'?",
    ),
    "no file": (["--figure", "use"], "--figure: does nothing without --plot; add --plot FILE.svg"),
    "of nothing": (["--of", "ps-sync"], "--of: does nothing without --figure; write --figure gantt or use"),
    "of all": (
        ["--plot", "x.svg", "--figure", "cost", "--of", "ps-sync"],
        "--of: does nothing beside --figure cost",
    ),
    "unknown strategy": (
        ["--plot", "x.svg", "--figure", "use", "--of", "ps-snyc"],
        "--of: unknown strategy 'ps-snyc'; did you mean 'ps-sync'?",
    ),
    "by": (["--plot", "x.svg", "--figure", "use", "--by", "money"], "--by: does nothing beside --figure use"),
    "study": (
        ["--plot", "x.svg", "--figure", "gantt", "--scale", "workers=1:2"],
        "--figure: gantt shows one comparison, and --scale makes several",
    ),
    "no price": (["--plot", "x.svg", "--figure", "cost"], "--figure: nothing has a price"),
    "no price in a study": (
        ["--plot", "x.svg", "--figure", "cost", "--scale", "workers=1:2"],
        "--figure: nothing has a price",
    ),
    "nothing stale": (
        ["--plot", "x.svg", "--figure", "staleness", "--set", "strategies=[allreduce]"],
        "--figure: no strategy trains asynchronously",
    ),
    "a scenario is no result": ([QUICKSTART], "scenarios/quickstart.yaml:1:1: is not JSON"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_said_and_exit_status_2(case):
    words, said = WRONG[case]
    done = quick(*words)

    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("figure", ["gantt", "use", "staleness"])
def test_a_figure_is_written(figure, tmp_path):
    file = tmp_path / "figure.svg"
    done = quick("--plot", file, "--figure", figure)

    assert (done.returncode, done.stderr) == (0, f"wrote {file}\n")
    assert file.read_bytes().startswith(b"<?xml")


def test_the_cost_of_a_study_is_drawn(tmp_path):
    file = tmp_path / "cost.png"
    words = ("--scale", "workers=1,2", "--steps", "2", "--plot", file, "--figure", "cost")
    done = simpar("compare", "scenarios/how-many-workers.yaml", *words)

    assert (done.returncode, done.stderr) == (0, f"wrote {file}\n")
    assert file.read_bytes().startswith(b"\x89PNG")


# -- two results -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two results: in the second allreduce-2 is gone, and ps-sync takes half as long."""
    folder = tmp_path_factory.mktemp("saved")
    before = json.loads(quick("--json").stdout)
    after = json.loads(json.dumps(before))
    after["strategies"] = [one for one in after["strategies"] if one["name"] != "allreduce-2"]
    (ps,) = (one for one in after["strategies"] if one["name"] == "ps-sync")
    for key in ("step_s", "usd_per_step"):
        ps[key] = ps[key] and ps[key] / 2
    files = folder / "before.json", folder / "after.json"
    for file, one in zip(files, (before, after), strict=True):
        file.write_text(json.dumps(one))
    return files


def test_a_table_has_both_steps_and_what_changed(saved):
    done = simpar("compare", *saved)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line}

    assert (done.returncode, done.stderr) == (0, "")
    assert "same" in lines["ps-async,"]
    assert "-50.0 %" in lines["ps-sync,"]
    assert "gone" in done.stdout
    assert "Fastest: " in done.stdout


def test_the_same_file_twice_has_not_changed(saved):
    done = simpar("compare", saved[0], saved[0])

    assert done.returncode == 0
    assert done.stdout.count("   same") == 4
    assert "as before (same)" in done.stdout


def test_json_csv_and_plot_have_the_same_change(saved, tmp_path):
    done = simpar("compare", *saved, "--json", "--plot", tmp_path / "two.svg", "--csv", tmp_path / "two.csv")
    found = {one["name"]: one for one in json.loads(done.stdout)["strategies"]}

    assert found["ps-sync"]["change_frac"] == -0.5
    assert found["allreduce-2"]["what"] == "gone"
    assert found["allreduce-2"]["after_step_s"] is None
    assert (tmp_path / "two.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "two.csv").read_text().splitlines()[0] == "name,before_step_s,after_step_s,change_frac"


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "run.seed=1"),
        ("--steps", "3"),
        ("--figure", "bars"),
        ("--by", "time"),
        ("--scale", "workers=1"),
    ],
)
def test_options_of_a_simulation_are_refused_beside_two_results(saved, words):
    done = simpar("compare", *saved, *words)

    assert done.returncode == 2
    assert done.stderr == f"{words[0]}: does nothing beside two results; leave it out\n"


def test_a_result_is_never_overwritten(saved):
    csv = saved[0].with_suffix(".csv")
    csv.write_text(saved[0].read_text())
    done = simpar("compare", csv, saved[1], "--csv", csv)

    assert done.returncode == 2
    assert "is the file that is read" in done.stderr
    assert json.loads(csv.read_text())


HOSTILE = {
    "no JSON": (b"nonsense", "is not JSON: Expecting value"),
    "half": (b'{"schema": 1, "strategies": [', "is not JSON: Expecting value"),
    "empty": (b"", "is not JSON: Expecting value"),
    "something else": (b'{"points": []}', "is no result of simpar compare --json"),
    "a list": (b"[]", "is no result of simpar compare --json"),
    "another version": (b'{"schema": 99, "strategies": []}', "is a version that this simpar does not read"),
    "no text": (b"\xff\xfe\x00", "is not text in UTF-8"),
    "NaN": (b'{"schema": NaN}', "NaN is no number"),
    "twice": (b'{"schema": 1, "schema": 2}', "has the key 'schema' twice in one place"),
    "deep": (b"[" * 200_000, "is nested too deeply"),
    "digits": (b'{"schema": ' + b"1" * 5000 + b"}", "is no result"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_result_is_one_line(case, saved, tmp_path):
    data, said = HOSTILE[case]
    file = tmp_path / "bad.json"
    file.write_bytes(data)
    done = simpar("compare", saved[0], file)

    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("1 problem in ")]
    assert len(lines) == 1
    assert str(file) in lines[0]
    assert said in lines[0]


def test_a_huge_file_a_folder_and_no_file_are_one_line_each(saved, tmp_path):
    file = tmp_path / "huge.json"
    with open(file, "wb") as huge:
        huge.truncate(changes.MOST_BYTES + 1)

    for path, said in ((file, "is larger than 64 MiB"), (tmp_path, "is not an ordinary file")):
        done = simpar("compare", path, saved[0])
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert "No such file" in simpar("compare", saved[0], tmp_path / "none.json").stderr
