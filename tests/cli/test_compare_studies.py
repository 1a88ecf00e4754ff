"""``simpar compare --scale``, ``--devices``, ``--csv`` and ``--by``: output, files, and bad input."""

import csv
import io
import json

import click
import pytest
from commands import ROOT, simpar

from simpar.cli import app
from simpar.study import points
from simpar.study.compare import compare_each

WORKERS, DEVICE = "scenarios/how-many-workers.yaml", "scenarios/which-device.yaml"


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


WRONG = {
    "unknown axis": (
        ["--scale", "wrkers=1:4"],
        "--scale: 'wrkers' cannot be scaled; did you mean 'workers'?",
    ),
    "no workers": (["--scale", "workers=0:8"], "--scale: 0 is less than 1"),
    "page of devices": (
        ["--devices", "v100,h100", "--html", "x.html"],
        "--html: a report shows one comparison, and --devices makes several; write --plot for a figure of "
        "all, or --set cluster.device=v100 --html for one",
    ),
    "page of instances": (
        ["--devices", "p4d.24xlarge", "--html", "x.html"],
        "--html: a report shows one comparison, and --devices makes several; write --plot for a figure of "
        "all, or --set cluster.instance=p4d.24xlarge --html for one",
    ),
    "timeline of a scale": (
        ["--scale", "nodes=1..4", "--trace", "x.json"],
        "--trace: a timeline shows one comparison, and --scale makes several; write --plot for a figure of "
        "all, or --set cluster.nodes=8 --trace for one",
    ),
    "endless": (["--scale", "workers=1:64:x1"], "--scale: 1:64:x1 never ends"),
    "downwards": (["--scale", "workers=8:1"], "--scale: 8:1 goes down"),
    "no whole number": (["--scale", "workers=1:1e9:1"], "--scale: '1:1e9:1' is not a range of whole numbers"),
    "too many": (["--scale", "workers=1:1000000000:1"], "--scale: 1:1000000000:1 has too many values"),
    "more workers than allowed": (["--scale", "workers=200000"], "cluster.workers: 200000 is more than"),
    "no values": (["--scale", "workers="], "--scale: has an empty value"),
    "no range": (["--scale", "workers"], "--scale: 'workers' has no values"),
    "empty": (["--scale", ""], "--scale: names no axis"),
    "two questions": (["--scale", "workers=1:2", "--devices", "v100"], "--devices: is another question than"),
    "no device": (["--devices", ""], "--devices: names no device"),
    "unknown device": (["--devices", "h10"], "--devices: unknown device 'h10'; did you mean 'h100'?"),
    "twice": (["--devices", "v100,v100"], "--devices: 'v100' is given twice"),
    "plot": (["--scale", "workers=1:2", "--plot", "x.bmp"], "--plot: x.bmp has no ending that says"),
    "csv": (["--csv", "x.txt"], "--csv: x.txt has no ending that says"),
    "timeline": (["--scale", "workers=1:2", "--trace", "t.json"], "--trace: a timeline shows one comparison"),
    "measure": (["--by", "weight", "--plot", "x.svg"], "--by: 'weight' is nothing to measure by"),
    "measure of nothing": (["--by", "money"], "--by: does nothing without --plot"),
    "measure of a study": (["--by", "money", "--devices", "v100"], "--by: does nothing beside --devices"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_line_and_exit_status_2(case):
    words, said = WRONG[case]
    done = simpar("compare", WORKERS, *words)

    lines = [line for line in done.stderr.splitlines() if not line.endswith(" in --scale")]
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(lines) == 1
    assert said in lines[0]


def test_everything_that_is_wrong_is_said_at_once():
    done = simpar("compare", WORKERS, "--scale", "wrkers=8:1", "--plot", "x.bmp", "--set", "run.steps=0")

    assert done.returncode == 2
    said = [line.split(": ")[0] for line in done.stderr.splitlines()]
    assert said[:3] == ["--plot", "--scale", "--scale"]
    assert "run.steps" in done.stderr


def test_scale_prints_json_alone_and_writes_csv_and_plot(tmp_path):
    out, figure = tmp_path / "scale.csv", tmp_path / "scale.svg"
    words = ("compare", WORKERS, "--scale", "workers=1,2", "--steps", 3)
    done = simpar(*words, "--json", "--csv", out, "--plot", figure)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["axis"] == {"path": "cluster.workers", "values": [1, 2]}
    assert found["stops_paying"].keys() == {"allreduce", "allreduce-2", "ps-sync"}
    lines = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [line["cluster.workers"] for line in lines] == ["1"] * 3 + ["2"] * 3
    assert figure.read_bytes().startswith(b"<?xml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale.csv", "scale.svg"]


def test_devices_print_json_alone_and_write_csv_and_plot(tmp_path):
    out, figure = tmp_path / "devices.csv", tmp_path / "devices.png"
    words = ("compare", DEVICE, "--devices", "v100, h100", "--steps", 3)
    done = simpar(*words, "--json", "--csv", out, "--plot", figure)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["axis"] == {"path": "cluster.device", "values": ["v100", "h100"]}
    assert len(list(csv.DictReader(io.StringIO(out.read_text())))) == 4
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_csv_of_a_plain_comparison_has_a_line_a_strategy(tmp_path):
    out = tmp_path / "table.csv"
    done = simpar("compare", WORKERS, "--no-advice", "--csv", out, "--steps", 2)

    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [line["name"] for line in lines] == ["allreduce", "allreduce-2", "ps-sync"]
    assert "wrote" in done.stderr


def test_bars_may_measure_money(tmp_path):
    words = ("compare", WORKERS, "--no-advice", "--steps", 2, "--plot")
    for by in ("time", "money"):
        done = simpar(*words, tmp_path / f"{by}.svg", "--by", by)
        assert done.returncode == 0, done.stderr
    simpar(*words, tmp_path / "default.svg")

    assert (tmp_path / "time.svg").read_bytes() == (tmp_path / "default.svg").read_bytes()
    assert (tmp_path / "money.svg").read_bytes() != (tmp_path / "default.svg").read_bytes()


def test_same_seed_same_bytes_under_any_hash_seed(tmp_path):
    outputs = set()
    for seed in ("0", "1"):
        env = {"PYTHONHASHSEED": seed, "PATH": ""}
        figures = [tmp_path / f"{question}-{seed}.svg" for question in ("scale", "devices")]
        scale = simpar(
            "compare", WORKERS, "--scale", "workers=1,2", "--steps", 2, "--plot", figures[0], env=env
        )
        devices = simpar(
            "compare", DEVICE, "--devices", "t4,v100", "--steps", 2, "--plot", figures[1], env=env
        )
        assert (scale.returncode, devices.returncode) == (0, 0), scale.stderr + devices.stderr
        outputs.add((scale.stdout, devices.stdout, *(figure.read_bytes() for figure in figures)))
    assert len(outputs) == 1


def test_exit_status_is_1_where_nothing_fits_anywhere(tmp_path):
    figure, out = tmp_path / "x.svg", tmp_path / "x.csv"
    model = "{preset: llama-2-70b, batch: 1, dtype: float16}"
    done = simpar(
        "compare", DEVICE, "--set", f"model={model}", "--devices", "t4,v100", "--plot", figure, "--csv", out
    )

    assert done.returncode == 1
    assert "does not fit" in done.stdout
    assert not figure.exists()
    assert {line["fits"] for line in csv.DictReader(io.StringIO(out.read_text()))} == {"False"}


def test_an_interrupt_leaves_no_file_behind(tmp_path, monkeypatch, capsys):
    done = []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(compare_each(*arguments))
        return done[-1]

    monkeypatch.setattr(points, "compare_each", interrupted)
    words = ["compare", WORKERS, "--scale", "workers=1..4", "--steps", "2"]
    files = ["--plot", str(tmp_path / "x.svg"), "--csv", str(tmp_path / "x.csv")]
    with pytest.raises((KeyboardInterrupt, click.Abort)):
        app.main([*words, *files], standalone_mode=False)

    assert len(done) == 2
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.iterdir())
