"""S6: a record is predicted by the device that owns its part, and it does not matter which that is."""

import numpy as np
import pytest
from plain_training import Sgd
from replay_lab import LAB

import simpar
from simpar.execute.replay import replay
from simpar.simulate import simulate

RECORDS = 48
"""Records that every case predicts: 2 steps of 8 workers, 16 of one."""


def whole_numbers():
    """Return parameters and records whose sums are exact in float32: whole numbers, none of them large."""
    rng = np.random.default_rng(3)
    parameters = [rng.integers(-3, 4, one.shape).astype("f4") for one in LAB.parameters]
    inputs = rng.integers(-9, 10, (50, LAB.SIZES[0])).astype("f4")
    return parameters, lambda first, count: (inputs[np.arange(first, first + count) % 50], None)


def fractions():
    """Return parameters and records of any numbers, in float32."""
    return (
        [one.astype("f4") for one in LAB.parameters],
        lambda first, count: (LAB.source(first, count)[0].astype("f4"), None),
    )


def predicted(strategy, workers, parameters, source, members=None):
    """Return what a strategy predicts of the first records."""
    steps = -(-RECORDS // (workers * LAB.BATCH))
    scenario = LAB.scenario(strategy, workers=workers, steps=steps)
    trace = simulate(simpar.compile(scenario, scenario.strategies[0].name))
    found = replay(trace, LAB.model, parameters, source, lambda: Sgd(0.1), members=members)
    return np.concatenate([one.values for one in found.predictions])[:RECORDS]


def alone(parameters, source):
    """Return what one model makes of the same records, all at once."""
    return LAB.model.forward(parameters, source(0, RECORDS)[0])[0]


@pytest.mark.parametrize("workers", [1, 3, 4, 8])
def test_s6a_predictions_in_record_order_are_one_devices(agree, workers):
    exact, near = whole_numbers(), fractions()
    assert (predicted("replicated", workers, *exact) == alone(*exact)).all()
    wanted = alone(*near)
    off = np.abs(predicted("replicated", workers, *near) - wanted).max() / np.abs(wanted).max()
    agree("largest relative difference in float32", off, 0.0, abs=1e-6)


@pytest.mark.parametrize("workers", [1, 3, 4, 8])
def test_s6a_record_l_is_predicted_by_the_owner_of_its_part(workers):
    """m records on k devices: with n = m // k and r = m mod k, the first r devices own n + 1, the rest n."""
    program = simpar.compile(LAB.scenario("replicated", workers=workers), "replicated")
    m = workers * LAB.BATCH
    n, r = divmod(m, workers)
    wanted = [one // (n + 1) if one < r * (n + 1) else r + (one - r * (n + 1)) // n for one in range(m)]
    forwards = sorted((op.part, op.worker) for op in program.ops if op.kind == "forward")
    owner = [worker for part, worker in forwards for _ in range(program.meta["parts"][part])]
    assert owner == wanted


@pytest.mark.parametrize("strategy", ["replicated", {"ensemble": {"combine": "vote"}}])
@pytest.mark.parametrize("workers", [2, 5])
def test_s6b_the_same_records_sent_to_two_replicas_give_the_same_outputs(agree, strategy, workers):
    """Every device gets the same three records; of an ensemble whose members are alike, all agree."""
    parameters, source = fractions()

    def repeated(first, count):
        return source(0, LAB.BATCH)[0][np.arange(first, first + count) % LAB.BATCH], None

    found = predicted(strategy, workers, parameters, repeated, lambda worker: parameters)
    rows = found.reshape(RECORDS // LAB.BATCH, LAB.BATCH, *found.shape[1:])
    agree("largest difference between replicas", np.abs(rows - rows[0]).max(), 0.0)
    wanted = LAB.model.forward(parameters, source(0, LAB.BATCH)[0])[0]
    if strategy != "replicated":
        assert (rows[0] == wanted.argmax(axis=-1)).all()


@pytest.mark.parametrize("workers", range(1, 9))
def test_s6c_the_number_of_devices_does_not_change_the_result(agree, workers):
    exact, near = whole_numbers(), fractions()
    assert (predicted("replicated", workers, *exact) == predicted("replicated", 1, *exact)).all()
    one = predicted("replicated", 1, *near)
    off = np.abs(predicted("replicated", workers, *near) - one).max() / np.abs(one).max()
    agree("largest relative difference from one device", off, 0.0, abs=1e-6)
