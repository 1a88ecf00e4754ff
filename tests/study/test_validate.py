"""Predictions held against real runs: what is compared, what counts as wrong, and who cannot be run."""

import math
import statistics

import numpy as np
import pytest

import simpar
from simpar.errors import FitError, InputError
from simpar.study import validate as study
from simpar.study.validate import interval, spread

FILE = {
    "name": "small",
    "model": {
        "preset": "mlp",
        "shape": {"sizes": [10, 8, 1]},
        "batch": 6,
        "dtype": "float64",
        "learning_rate": 0.05,
    },
    "data": {"set": "regression"},
    "cluster": {"workers": 2, "device": {"forward": "6 ms", "backward": "12 ms"}},
    "network": {"bandwidth": "1 Mbit/s", "latency": "1 ms"},
    "strategies": ["ps-sync", "ps-async", {"pipeline": {"microbatches": 2}}],
    "run": {"steps": 8, "warmup": 2},
    "validate": {"bound": 0.5, "repeats": 3},
}


@pytest.fixture(scope="module")
def found():
    return simpar.validate(FILE)


@pytest.mark.slow
def test_every_strategy_is_predicted_and_measured(found):
    assert [case.strategy for case in found.cases] == ["ps-sync", "ps-async", "pipeline"]
    assert found.ok
    for case in found.cases:
        assert case.measured_s == statistics.median(case.measured_steps_s)
        assert case.error_frac == case.predicted_s / case.measured_s - 1
        assert case.low_s <= case.measured_s <= case.high_s
        assert case.devices == 2
        assert case.repeats == len(case.measured_steps_s) == 3
        assert (case.sleep_kernels, case.throttled_links) == (True, True)
        # Two devices stand still for 18 ms a step (a pipeline's each for its stage): no run is shorter.
        assert min(case.measured_steps_s) >= 0.018


@pytest.mark.slow
def test_the_prediction_is_that_of_compare(found):
    told = simpar.compare(FILE)
    for case in found.cases:
        assert case.predicted_s == told[case.strategy].step_s


@pytest.mark.slow
def test_what_was_learned_is_the_same_to_the_last_bit_and_bytes_are_counted(found):
    for case in found.cases:
        assert case.numerics.bitwise
        assert case.numerics.ok
        assert case.numerics.max_abs_diff == 0.0
        assert case.bytes[0] == case.bytes[1] > 0
    assert found["ps-sync"].numerics.reference == "simulated order"
    assert found["ps-async"].numerics.reference == "measured order"
    assert found["ps-sync"].staleness is None
    # Two workers: each gradient misses one update of the other on average.
    assert found["ps-async"].staleness[1] == pytest.approx(1.0, abs=0.15)


@pytest.mark.slow
def test_phases_are_those_of_the_strategy_and_tasks_last_as_long_as_said(found):
    phases = {phase.name: phase for phase in found["ps-sync"].phases}
    assert {"forward", "backward", "push", "pull"} <= set(phases)
    assert phases["forward"].predicted_s == pytest.approx(0.006)
    assert phases["forward"].measured_s >= 0.006
    assert "activations" in {phase.name for phase in found["pipeline"].phases}
    tasks = {one.task: one for one in found["ps-sync"].tasks}
    assert tasks["w1.backward"].predicted_s == pytest.approx(0.012)
    assert tasks["w1.backward"].measured_s >= 0.012


@pytest.mark.slow
def test_json_has_what_the_contract_names(found):
    data = found.to_dict()
    assert {"backend", "bound_frac", "ok", "environment", "profile", "cases"} <= set(data)
    names = "strategy devices pids repeats sleep_kernels throttled_links predicted_s measured_s low_s high_s "
    names += "repeat_spread_frac error_frac ok phases numerics staleness bytes"
    for case in data["cases"]:
        assert set(names.split()) <= set(case)
        workers = {name: pid for name, pid in case["pids"].items() if name.startswith("w")}
        assert len(set(workers.values())) == len(workers) == case["devices"]
        assert all(math.isfinite(case[name]) for name in ("predicted_s", "measured_s", "error_frac"))


@pytest.mark.slow
def test_a_prediction_that_is_outside_the_bound_is_not_ok():
    """Held to a bound of nothing, a real run, which is never quicker than told, is outside."""
    found = simpar.validate(FILE, strategies=["ps-sync"], bound=1e-9, repeats=2)
    assert not found.ok
    assert [case.strategy for case in found.cases] == ["ps-sync"]


@pytest.mark.slow
def test_a_model_without_data_runs_on_random_numbers():
    file = {key: value for key, value in FILE.items() if key != "data"}
    found = simpar.validate(file, strategies=["ps-sync"], repeats=1)
    assert found["ps-sync"].numerics.bitwise


def test_the_interval_of_a_median_is_that_of_order_statistics():
    """Of 30 values the 10th and the 21st: 1 - 2 P(Bin(30, 1/2) <= 9) = 0.957, and without the 10th 0.90."""
    tail = sum(math.comb(30, k) for k in range(10)) / 2**30
    assert 1 - 2 * tail >= 0.95 > 1 - 2 * (tail + math.comb(30, 10) / 2**30)
    values = np.random.default_rng(0).permutation(30).astype(float).tolist()
    assert interval(values) == (9.0, 20.0)
    assert interval([3.0]) == (3.0, 3.0)


def test_the_spread_is_what_every_second_run_differs_by():
    assert spread([1.0, 2.0, 1.0, 2.0, 1.0]) == 1.0
    assert spread([1.0]) == 0.0


def test_what_has_no_room_is_refused_with_the_sum(monkeypatch):
    monkeypatch.setattr(study, "free_bytes", lambda: 100e6)
    with pytest.raises(FitError) as caught:
        simpar.validate(FILE, strategies=["ps-sync"])
    # Two devices, a server and a network.
    assert "3 processes need 0.2 GB" in str(caught.value)
    assert "0.1 GB free" in str(caught.value)


def test_a_model_that_nobody_can_compute_is_refused():
    file = FILE | {"model": {"preset": "resnet-50", "batch": 2, "dtype": "bfloat16"}}
    with pytest.raises(InputError, match="no bfloat16 in NumPy"):
        simpar.validate({key: value for key, value in file.items() if key != "data"})


def test_there_is_no_such_backend():
    with pytest.raises(ValueError, match="numpy"):
        simpar.validate(FILE, "abacus")
