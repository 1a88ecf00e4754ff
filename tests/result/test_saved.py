"""Comparisons read back from JSON: exactly what was written, and nothing else."""

import copy
import json

import pytest

import simpar
from simpar.errors import InputError
from simpar.result import Comparison, Row


def text(value):
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)


@pytest.fixture(scope="module")
def written():
    """What JSON has of the quickstart, which has staleness, suggestions and no intervals."""
    return simpar.compare("scenarios/quickstart.yaml", set={"run.steps": 2}).to_dict()


def test_what_is_read_back_writes_the_same_bytes(written):
    again = Comparison.from_dict(json.loads(text(written)))

    assert text(again.to_dict()) == text(written)
    assert again["ps-async"].staleness.mean == written["strategies"][2]["staleness"]["mean"]
    assert again.best.measured is None
    assert again.best.waiting_s is not None


def test_what_was_written_before_it_said_why_an_engine_ran_is_read(written):
    old = {key: value for key, value in written.items() if key != "engine_why"}
    assert text(Comparison.from_dict(json.loads(text(old))).to_dict()) == text(old)
    assert Comparison.from_dict(written).engine_why == written["engine_why"] != ""


def test_intervals_and_prices_come_back(scene):
    scenario = scene(
        "ps-async", run={"seed": 3}, variation={"compute": {"kind": "lognormal", "mean": 1, "cv": 0.2}}
    )
    found = simpar.compare(scenario, advise=False).to_dict()

    again = Comparison.from_dict(json.loads(text(found)))
    assert text(again.to_dict()) == text(found)
    assert again["ps-async"].intervals["step_s"].p5 == found["strategies"][0]["intervals"]["step_s"]["p5"]


def test_what_does_not_fit_comes_back_without_figures(scene):
    device = {"flops": "1 TFLOP/s", "memory": "1 kB"}
    found = simpar.compare(scene("allreduce", device=device, model={"preset": "resnet-50"})).to_dict()

    (row,) = Comparison.from_dict(json.loads(text(found))).rows
    assert (row.fits, row.step_s, row.bottleneck) == (False, None, None)
    assert text(row.to_dict()) == text(found["strategies"][0])


def test_a_row_alone_comes_back(written):
    for one in written["strategies"]:
        assert text(Row.from_dict(json.loads(text(one))).to_dict()) == text(one)


@pytest.mark.parametrize("data", [None, [], "text", 3, {}, {"schema": 1}, {"schema": 1, "runs": []}])
def test_what_is_no_comparison_is_said_to_be_none(data):
    with pytest.raises(InputError, match=r"is no result of simpar compare --json"):
        Comparison.from_dict(data)


@pytest.mark.parametrize("schema", [0, 2, "1", None, True, 1e300])
def test_another_version_is_refused(written, schema):
    with pytest.raises(InputError, match=r"schema: .* is a version that this simpar does not read"):
        Comparison.from_dict(written | {"schema": schema})


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("seed",), "0", "seed: '0' is not a whole number"),
        (("seed",), True, "seed: true is not a whole number"),
        (("notes",), "a", "notes: 'a' is not a list"),
        (("engine_why",), 3, "engine_why: 3 is not text"),
        (("extra",), 1, "extra: is no key of this version"),
        (("strategies", 0), 7, r"strategies\[0\]: 7 is no mapping"),
        (("strategies", 0, "workers"), 0, r"strategies\[0\]\.workers: 0 is less than 1"),
        (("strategies", 0, "step_s"), "fast", r"strategies\[0\]\.step_s: 'fast' is not a number"),
        (("strategies", 0, "step_s"), float("nan"), r"strategies\[0\]\.step_s: nan is not a finite number"),
        (("strategies", 0, "step_s"), None, r"strategies\[0\]\.step_s: is there only where"),
        (("strategies", 0, "efficiency"), 0.25, r"strategies\[0\]\.efficiency: 0.25 does not go with"),
        (("strategies", 0, "faster"), 1, r"strategies\[0\]\.faster: is no key of this version"),
        (("strategies", 2, "staleness", "histogram"), {"x": 1}, "'x' is not a whole number"),
        (("strategies", 0, "breakdown", "compute_s"), None, "breakdown"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(written, path, value, said):
    data = copy.deepcopy(written)
    here = data
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    with pytest.raises(InputError, match=said) as refused:
        Comparison.from_dict(data)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["scenario", "engine", "notes"])
def test_a_missing_key_is_named(written, key):
    with pytest.raises(InputError, match=f"{key}: is missing"):
        Comparison.from_dict({name: value for name, value in written.items() if name != key})


def test_two_rows_of_one_name_are_refused(written):
    with pytest.raises(InputError, match="two of the same name"):
        Comparison.from_dict(written | {"strategies": written["strategies"][:1] * 2})
