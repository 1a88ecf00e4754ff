"""The main command as people and programs call it: JSON, files, exit status, bad input."""

import gzip
import itertools
import json
import math

import pytest
from commands import QUICKSTART, ROOT, simpar


@pytest.fixture(scope="module")
def quickstart():
    done = simpar("compare", QUICKSTART, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_has_the_keys_of_the_contract(quickstart):
    assert quickstart["schema"] == 1
    assert {"scenario", "seed", "engine", "strategies"} <= quickstart.keys()
    for row in quickstart["strategies"]:
        assert {
            "name",
            "kind",
            "label",
            "rank",
            "fits",
            "workers",
            "step_s",
            "samples_per_s",
            "samples_per_s_per_worker",
            "speedup",
            "efficiency",
            "breakdown",
            "bottleneck",
            "staleness",
            "resources",
            "memory_bytes",
            "memory",
            "usd_per_hour",
            "usd_per_epoch",
            "intervals",
        } <= row.keys()
        assert list(row["breakdown"]) == [
            "compute_s",
            "exposed_comm_s",
            "latency_s",
            "queue_s",
            "server_s",
            "straggler_s",
            "bubble_s",
        ]
        assert list(row["memory"]) == [
            "parameters_bytes",
            "gradients_bytes",
            "optimizer_bytes",
            "activations_bytes",
            "buffers_bytes",
        ]
        assert sum(row["memory"].values()) == pytest.approx(row["memory_bytes"], rel=1e-12)
        assert row["bottleneck"].keys() == {"resource", "cause", "try"}
        assert all(use.keys() == {"name", "busy_frac", "bytes"} for use in row["resources"])


def test_rows_are_ranked_by_samples_per_second(quickstart):
    rows = quickstart["strategies"]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    speeds = [row["samples_per_s"] for row in rows]
    assert speeds == sorted(speeds, reverse=True)
    assert [row["name"] for row in rows] == ["allreduce-2", "allreduce", "ps-async", "ps-sync"]


def test_every_breakdown_sums_to_its_step(quickstart):
    for row in quickstart["strategies"]:
        assert math.fsum(row["breakdown"].values()) == pytest.approx(row["step_s"], abs=1e-9)


def test_derived_figures_follow_from_their_definitions(quickstart):
    for row in quickstart["strategies"]:
        # 8 workers x 64 images a step; one device alone does 64 images in 60 + 120 ms.
        assert row["samples_per_s"] == pytest.approx(8 * 64 / row["step_s"], rel=1e-12)
        assert row["speedup"] == pytest.approx(row["samples_per_s"] * 0.18 / 64, rel=1e-12)
        assert row["efficiency"] == pytest.approx(row["speedup"] / 8, rel=1e-12)


def test_same_seed_same_bytes_under_any_hash_seed(tmp_path):
    outputs, files = set(), set()
    for seed in ("0", "1"):
        plot, trace = tmp_path / f"{seed}.svg", tmp_path / f"{seed}.json.gz"
        report = tmp_path / f"{seed}.html"
        done = simpar(
            "compare",
            QUICKSTART,
            "--json",
            "--plot",
            plot,
            "--trace",
            trace,
            "--html",
            report,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        )
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
        files.add((plot.read_bytes(), trace.read_bytes(), report.read_bytes()))
    assert len(outputs) == 1
    assert len(files) == 1


def test_plot_and_trace_are_written_and_can_be_read(tmp_path):
    for plot in ("bars.svg", "bars.png"):
        done = simpar("compare", QUICKSTART, "--plot", tmp_path / plot, "--trace", tmp_path / "t.json.gz")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "bars.svg").read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    events = json.loads(gzip.decompress((tmp_path / "t.json.gz").read_bytes()))["traceEvents"]
    assert events


def test_a_report_is_written_whole_and_says_so(tmp_path):
    report = tmp_path / "report.html"
    done = simpar("compare", QUICKSTART, "--html", report)
    assert done.returncode == 0
    assert done.stderr == f"wrote {report}\n"
    assert report.read_text().startswith("<!doctype html>")
    assert report.read_text().endswith("</html>\n")


def test_a_report_of_a_scaling_can_be_made_again_by_its_command(tmp_path):
    report = tmp_path / "report.html"
    words = ("--scale", "workers=1,2", "--no-advice", "--steps", 2)
    done = simpar("compare", QUICKSTART, *words, "--html", report)
    assert done.returncode == 0, done.stderr
    command = "compare quickstart.yaml --set run.steps=2 --scale workers=1,2 --no-advice --html report.html"
    assert f"simpar {command}\n" in report.read_text()

    first = report.read_bytes()
    (tmp_path / "quickstart.yaml").write_text((ROOT / QUICKSTART).read_text())
    assert simpar(*command.split(), cwd=tmp_path).returncode == 0
    assert report.read_bytes() == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--html", "no/such/report.html"), "--html: the folder no/such does not exist"),
        (("--html", "report.txt"), "--html: report.txt has no ending that says what to write"),
        (("--html", ""), "--html: the name of the file is empty"),
        (("--html", "r.html", "--devices", "v100"), "--html: a report shows one comparison"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_in_a_line(words, said):
    done = simpar("compare", QUICKSTART, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert not (ROOT / "r.html").exists()


def test_steps_and_set_change_the_run():
    done = simpar("compare", QUICKSTART, "--json", "--steps", 3, "--set", "network.bandwidth=100 Gbit/s")
    rows = {row["name"]: row for row in json.loads(done.stdout)["strategies"]}
    # ring: 180 ms + 14 (5 us + n / 8 / 12.5 GB/s)
    assert rows["allreduce"]["step_s"] == pytest.approx(0.18 + 14 * (5e-6 + 102228128 / 8 / 12.5e9), rel=1e-9)


# -- bad input -----------------------------------------------------------------------------------------

WRONG = {
    "unit": ("network: {bandwidth: 25 Gb, latency: 5 us}", "network.bandwidth"),
    "no unit": ("network: {bandwidth: 5, latency: 5 us}", "network.bandwidth"),
    "negative": ("network: {bandwidth: 25 Gbit/s, latency: -5 us}", "network.latency"),
    "nan": ("network: {bandwidth: .nan, latency: 5 us}", "network.bandwidth"),
    "infinite": ("network: {bandwidth: .inf, latency: 5 us}", "network.bandwidth"),
    "absurd": ("network: {bandwidth: 1e40 Gbit/s, latency: 5 us}", "network.bandwidth"),
    "zero": ("network: {bandwidth: 0 Gbit/s, latency: 5 us}", "network.bandwidth"),
    "unknown key": ("network: {bandwidth: 25 Gbit/s, latncy: 5 us}", "network.latncy"),
    "anchor": ("network: &a {bandwidth: 25 Gbit/s, latency: 5 us}", ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_values_are_one_line_and_exit_status_2(case, tmp_path):
    line, path = WRONG[case]
    text = (ROOT / QUICKSTART).read_text()
    old = "network: {bandwidth: 25 Gbit/s, latency: 5 us}"
    assert old in text
    file, plot = tmp_path / "mine.yaml", tmp_path / "old.svg"
    file.write_text(text.replace(old, line))
    plot.write_text("precious")
    done = simpar("compare", file, "--plot", plot, "--trace", tmp_path / "t.json.gz")
    assert done.returncode == 2
    assert done.stdout == ""
    first, *rest = done.stderr.splitlines()
    number = text[: text.index(old)].count("\n") + 1
    assert first.startswith(f"{file}:{number}:")
    assert f": {path}: " in first or not path
    assert rest == [f"1 problem in {file}"]
    assert plot.read_text() == "precious"
    assert not (tmp_path / "t.json.gz").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\n# nothing\n", b"\x00\x01\x02\xff\xfe", b"\xff\xfe\x00a", b"[1, 2]", b"a: b: c"]
)
def test_what_is_no_scenario_is_said_in_a_line(content, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_bytes(content)
    done = simpar("compare", file)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(
        line.startswith(f"{file}:") or line.endswith(f"in {file}") for line in done.stderr.splitlines()
    )


def test_an_unknown_preset_gets_the_nearest_name(tmp_path):
    done = simpar("compare", QUICKSTART, "--set", "model.preset=resnet-5O")
    assert done.returncode == 2
    assert "did you mean 'resnet-50'?" in done.stderr


def test_all_problems_come_at_once_with_those_of_the_output_files(tmp_path):
    done = simpar(
        "compare",
        "tests/data/mistakes.yaml",
        "--plot",
        tmp_path / "no" / "x.svg",
        "--trace",
        tmp_path / "x.txt",
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert sum("--plot" in line for line in lines) == 1
    assert sum("--trace" in line for line in lines) == 1
    assert sum(line.startswith("tests/data/mistakes.yaml:") for line in lines) == 3


def test_a_model_that_does_not_fit_has_no_figures_and_exit_status_1(tmp_path):
    wanted = ["--set", "cluster.device.memory=1 GiB", "--plot", tmp_path / "x.svg"]
    done = simpar("compare", QUICKSTART, "--json", *wanted)
    assert done.returncode == 1, done.stderr
    for row in json.loads(done.stdout)["strategies"]:
        assert row["fits"] is False
        assert row["step_s"] is None
        assert row["samples_per_s"] is None
        assert set(row["breakdown"].values()) == {None}
        assert row["memory_bytes"] > 2**30
    assert not (tmp_path / "x.svg").exists()
    done = simpar("compare", QUICKSTART, *wanted)
    assert done.returncode == 1
    assert done.stdout.count("does not fit in memory") == 4
    assert simpar("explain", QUICKSTART, "ps-sync", *wanted[:2]).returncode == 1


def test_what_does_not_fit_is_ranked_last():
    # A worker of ps-sync holds weights and gradients, one of all-reduce the optimizer's state as well.
    limit = 64 * 111_821_312 + 2.5 * 102_228_128
    done = simpar(
        "compare", QUICKSTART, "--json", "--set", f"cluster.device.memory={limit / 1e9} GB", "--no-advice"
    )
    rows = json.loads(done.stdout)["strategies"]
    assert [row["fits"] for row in rows] == [True, True, False, False]
    assert {row["kind"] for row in rows if not row["fits"]} == {"allreduce"}
    assert done.returncode == 0


# -- explain and check ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ps-sync", "ps-async", "allreduce", "allreduce-2"])
def test_the_critical_path_is_contiguous_and_sums_to_the_step(name):
    done = simpar("explain", QUICKSTART, name, "--json")
    found = json.loads(done.stdout)
    path = found["critical_path"]
    assert all(segment.keys() == {"task", "resource", "cause", "start_s", "end_s"} for segment in path)
    assert all(a["end_s"] == b["start_s"] for a, b in itertools.pairwise(path))
    total = math.fsum(segment["end_s"] - segment["start_s"] for segment in path)
    assert total == pytest.approx(found["step_s"], abs=1e-9)


def test_check_prints_the_problems_as_json():
    done = simpar("check", "tests/data/mistakes.yaml", "--json")
    assert done.returncode == 2
    assert [(p["file"], p["line"], p["col"], p["path"]) for p in json.loads(done.stdout)["problems"]] == [
        ("tests/data/mistakes.yaml", 7, 22, "network.bandwidth"),
        ("tests/data/mistakes.yaml", 10, 28, "strategies[1].sevrers"),
        ("tests/data/mistakes.yaml", 11, 28, "strategies[2].algorithm"),
    ]
    fine = simpar("check", QUICKSTART, "--json")
    assert fine.returncode == 0
    assert json.loads(fine.stdout)["problems"] == []


def test_an_unknown_strategy_is_refused_with_the_nearest_name():
    done = simpar("explain", QUICKSTART, "ps-snyc")
    assert done.returncode == 2
    assert "did you mean 'ps-sync'?" in done.stderr


def test_impossible_options_are_refused_with_their_place(tmp_path):
    file = tmp_path / "mine.yaml"
    text = (ROOT / QUICKSTART).read_text()
    file.write_text(text + "  - pipeline: {stages: 9}\n  - pipeline: {microbatches: 513}\n")
    done = simpar("check", file)
    assert done.returncode == 2
    assert "strategies[4].stages: 9 stages on 8 workers" in done.stderr
    assert "strategies[5].microbatches: 513 microbatches of 512 samples" in done.stderr
