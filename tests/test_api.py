"""The Python interface: what ``import simpar`` offers, whoever imported what before."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simpar

QUICKSTART = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import simpar.simulate",
        "import simpar.study.compare",
        "from simpar import simulate, compile, compare",
    ],
)
def test_names_mean_the_same_in_any_order_of_imports(before):
    code = f"""
{before}
import simpar
scenario = simpar.load({str(QUICKSTART)!r}, set={{"run.steps": 1}})
program = simpar.compile(scenario, "ps-sync")
assert program.check() == []
first, second = simpar.simulate(program), simpar.simulate(program, engine="reference")
assert first.digest() == second.digest()
assert simpar.compare(scenario)["ps-sync"].kind == "ps-sync"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    assert all(getattr(simpar, name) is not None for name in simpar.__all__)
    assert set(simpar.__all__) <= set(dir(simpar))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        simpar.nonsense  # noqa: B018


def test_a_trace_has_its_columns():
    program = simpar.compile(simpar.load(QUICKSTART, set={"run.steps": 2}), "allreduce")
    trace = simpar.simulate(program)
    columns = [
        getattr(trace, name) for name in ("task", "iteration", "resource", "ready_s", "start_s", "end_s")
    ]
    assert all(isinstance(column, np.ndarray) for column in columns)
    assert {len(column) for column in columns} == {len(program) * program.iterations}
    assert (trace.ready_s <= trace.start_s).all()
    assert (trace.start_s <= trace.end_s).all()


def test_a_comparison_is_a_mapping_by_name_and_knows_its_best():
    result = simpar.compare(QUICKSTART, set={"network.bandwidth": "100 Gbit/s", "run.steps": 2})
    assert list(result) == [row.name for row in result.rows]
    assert result.best is result["allreduce-2"]
    # 180 ms and the ring of the last bucket
    assert result.best.step_s == pytest.approx(0.1825, rel=1e-3)
    assert result["ps-sync"].breakdown["exposed_comm_s"] == pytest.approx(
        2 * 8 * 102228128 / 2 / 12.5e9, rel=1e-9
    )
    with pytest.raises(KeyError, match="there are: "):
        result["nonsense"]


def test_a_table_goes_to_csv_with_units_in_its_header(tmp_path):
    result = simpar.compare(QUICKSTART, set={"run.steps": 1}, advise=False)
    text = result.to_csv(tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == text
    header, *rows = text.splitlines()
    assert "step_s" in header.split(",")
    assert len(rows) == 4


def test_problems_are_all_there_in_the_exception(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: bad\nmodel: {preset: nope, batch: 0}\ncluster: {workers: -1}\nstrategies: [pssync]\n"
    )
    with pytest.raises(simpar.SimparError) as caught:
        simpar.load(file)
    paths = [problem.path for problem in caught.value.problems]
    assert {"model.preset", "model.batch", "cluster.workers", "strategies[0]"} <= set(paths)


def test_an_unknown_engine_is_refused():
    program = simpar.compile(simpar.load(QUICKSTART, set={"run.steps": 1}), "ps-sync")
    with pytest.raises(simpar.EngineError, match="unknown engine 'warp'"):
        simpar.simulate(program, engine="warp")


def test_set_with_a_loaded_scenario_is_refused():
    scenario = simpar.load(QUICKSTART)
    with pytest.raises(simpar.InputError, match=r"simpar\.load"):
        simpar.compare(scenario, set={"run.steps": 1})


MAPPING = {
    "model": {"preset": "resnet-50", "batch": 64},
    "cluster": {"workers": 2, "device": {"forward": "60 ms", "backward": "120 ms"}},
    "network": {"bandwidth": "25 Gbit/s", "latency": "5 us"},
    "strategies": ["ps-sync", {"allreduce": {"overlap": True}}],
    "run": {"steps": 2},
}


def test_a_mapping_is_as_good_as_a_file_that_says_the_same(tmp_path):
    file = tmp_path / "same.yaml"
    file.write_text(json.dumps(MAPPING))
    changed = {"network.bandwidth": "10 Gbit/s"}
    by_mapping, by_file = simpar.compare(MAPPING, set=changed), simpar.compare(file, set=changed)
    assert by_mapping.to_dict()["strategies"] == by_file.to_dict()["strategies"]
    assert MAPPING["strategies"][0] == "ps-sync"  # and it is left alone
    assert simpar.compile(MAPPING, "ps-sync").digest() == simpar.compile(file, "ps-sync").digest()
    assert simpar.scale(MAPPING, "workers", [1, 2]).values == (1, 2)
    assert simpar.explain(MAPPING, "ps-sync").step_s == simpar.explain(file, "ps-sync").step_s


def test_problems_of_a_mapping_are_said_all_at_once_without_a_line():
    wrong = MAPPING | {"network": {"bandwidth": "25 Gb"}, "strategies": [{"ps-sync": {"sevrers": 1}}]}
    with pytest.raises(simpar.InputError) as caught:
        simpar.compare(wrong)
    assert [str(problem) for problem in caught.value.problems] == [
        "<dict>: network.bandwidth: '25 Gb' is not a rate; write '25 Gbit/s' (bits) or '25 GB/s' (bytes)",
        "<dict>: strategies[0].sevrers: unknown key 'sevrers'; did you mean 'servers'?",
    ]


@pytest.mark.parametrize("given", [None, 3, ["ps-sync"], {1: 2}, MAPPING | {"run": {"steps": object()}}])
def test_what_is_no_scenario_is_refused_in_our_words(given):
    with pytest.raises(simpar.InputError):
        simpar.compare(given)


@pytest.mark.parametrize("settings", ["run.steps=2", ["run.steps=2"], [("run.steps", 2, 3)]])
def test_settings_that_are_no_pairs_are_refused_in_our_words(settings):
    with pytest.raises(simpar.InputError, match="settings are values by path"):
        simpar.compare(MAPPING, set=settings)


def test_one_number_and_one_text_are_as_good_as_a_list():
    assert simpar.scale(MAPPING, "workers", 2).values == (2,)
    assert simpar.machines(MAPPING, "v100, h100").devices == ("v100", "h100")


def test_what_a_study_found_is_shown_in_one_line():
    explained = simpar.explain(MAPPING, "ps-sync")
    assert repr(explained) == (
        f"<Explanation of 'ps-sync': {explained.window.label}, {explained.step_s * 1e3:.4g} ms>"
    )
    assert repr(simpar.scale(MAPPING, "workers", [1, 2])) == (
        "<Scaling of '<dict>': 2 strategies at workers 1, 2>"
    )
    assert repr(simpar.machines(MAPPING, ["v100"])) == "<Machines of '<dict>': 2 strategies on v100>"
