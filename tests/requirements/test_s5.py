"""S5, synchronisation: replicas agree afterwards, their mean stays, symmetric weights and biases as said."""

import numpy as np
import pytest
from plain_training import Perceptron, Sgd
from replay_lab import LAB, RATE

import simpar
from simpar.cost.parameter_server import sufficient_factor_bytes, sufficient_factor_crossover
from simpar.errors import InputError
from simpar.execute.replay import replay
from simpar.execute.sampling import Stream

WORKERS = 3


def trained(strategy, rate=RATE, members=None, workers=WORKERS):
    trace = LAB.trace(LAB.scenario(strategy, workers=workers))
    return replay(trace, LAB.model, LAB.parameters, LAB.source, lambda: Sgd(rate), members=members)


def apart(worker):
    rng = np.random.default_rng([7, worker])
    return [one + rng.normal(size=one.shape) for one in LAB.parameters]


@pytest.mark.parametrize(
    "strategy", [{"allreduce": {}}, {"ps-sync": {"servers": 2}}, {"ps-sync": {"update": {"elastic": 1.0}}}]
)
def test_s5a_after_synchronisation_all_replicas_are_the_same(strategy):
    """Averaged gradients on equal parameters, and parameters that are averaged themselves."""
    averages = "update" in strategy.get("ps-sync", {})
    found = trained(strategy, rate=0.0 if averages else RATE, members=apart if averages else None)
    for worker in range(1, WORKERS):
        for one, other in zip(found.replicas[worker], found.replicas[0], strict=True):
            largest = np.max(np.abs(one - other))
            assert largest <= (1e-14 if averages else 0.0)


def test_s5b_averaging_keeps_the_mean():
    """The sum of the replicas before is k times their value after."""
    found = trained({"ps-sync": {"update": {"elastic": 1.0}}}, rate=0.0, members=apart)
    for tensor in range(len(LAB.parameters)):
        before = sum(apart(worker)[tensor] for worker in range(WORKERS))
        np.testing.assert_allclose(before, WORKERS * found.parameters[tensor], rtol=1e-12, atol=1e-13)


def square(strategy, symmetric):
    """Train a perceptron of one square matrix, tied symmetric or not."""
    model = Perceptron((6, 6))
    parameters = model.init(3)
    rng = np.random.default_rng(5)
    data = rng.normal(size=(40, 6)), rng.integers(0, 6, 40)
    stream = Stream(40, 1)

    def source(first, count):
        rows = stream.rows(first, count)
        return data[0][rows], data[1][rows]

    kind, options = next(iter(strategy.items()))
    options = options | {"update": {"symmetric": symmetric}}
    file = LAB.scenario(
        {kind: options},
        workers=3,
        model={"preset": "mlp", "shape": {"sizes": [6, 6]}, "batch": 2, "dtype": "float64"},
    )
    return replay(LAB.trace(file), model, parameters, source, lambda: Sgd(RATE)), parameters


@pytest.mark.parametrize("strategy", [{"ps-sync": {"servers": 4}}, {"ps-async": {}}])
def test_s5c_symmetric_weights_stay_so_to_the_last_bit(strategy):
    found, _ = square(strategy, True)
    weight = found.parameters[0]
    np.testing.assert_array_equal(weight, weight.T)
    other, begun = square(strategy, False)
    assert (other.parameters[0] != other.parameters[0].T).any()
    assert (weight != (begun[0] + begun[0].T) / 2).any()


def test_s5c_a_matrix_that_is_not_square_is_refused():
    scenario = LAB.scenario({"ps-sync": {"update": {"symmetric": True}}})
    with pytest.raises(
        InputError, match=r"a matrix of 9 x 7, which has no symmetric part; make it 7 x 7 or 9 x 9"
    ):
        simpar.compile(scenario, "ps-sync")


def quadratic(rate):
    """Return the mean squared error of each step of linear regression, with all data in each step."""
    model = Perceptron((7, 5), squared=True)
    rng = np.random.default_rng(9)
    inputs = rng.normal(size=(12, 7))
    targets = inputs @ rng.normal(size=(7, 5))
    file = LAB.scenario(
        {"ps-sync": {}},
        workers=3,
        steps=8,
        model={"preset": "mlp", "shape": {"sizes": [7, 5]}, "batch": 4, "dtype": "float64"},
    )

    def source(first, count):
        rows = np.arange(first, first + count) % 12
        return inputs[rows], targets[rows]

    return replay(LAB.trace(file), model, model.init(1), source, lambda: Sgd(rate)).loss_by_iteration()


def test_s5d_a_convex_loss_falls_and_with_the_literal_sign_it_rises():
    down, up = quadratic(0.1), quadratic(-0.1)
    assert (np.diff(down) < 0).all()
    assert (np.diff(up) > 0).all()


def test_s5e_sufficient_factors_weigh_less_up_to_their_crossover():
    """K (M + N) against M N elements, equal at K = M N / (M + N)."""
    for outputs, inputs in ((4096, 4096), (1000, 4096), (10, 64)):
        crossover = sufficient_factor_crossover(outputs, inputs)
        assert crossover == outputs * inputs / (outputs + inputs)
        whole = outputs * inputs * 4
        assert sufficient_factor_bytes(crossover, outputs, inputs, 4) == pytest.approx(whole)
        assert sufficient_factor_bytes(0.9 * crossover, outputs, inputs, 4) < whole
        assert sufficient_factor_bytes(1.1 * crossover, outputs, inputs, 4) > whole


def test_s5e_the_gradient_of_a_batch_is_the_sum_of_its_outer_products():
    """What is sent as factors is the same gradient: dW = sum over samples of dy x^T."""
    rng = np.random.default_rng(2)
    dy, x = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    whole = sum(np.outer(one, other) for one, other in zip(dy, x, strict=True))
    np.testing.assert_allclose(dy.T @ x, whole, rtol=1e-12)
    assert dy.size + x.size == sufficient_factor_bytes(5, 3, 4, 1)


def test_s5_biases_decay_and_weights_do_not():
    """db = -lr (mu + decay b), without gradients (1 - lr decay)^steps b."""
    decay = 0.5
    file = LAB.scenario({"ps-sync": {"servers": 2, "update": {"weight_decay": decay}}}, workers=WORKERS)
    plain = LAB.scenario({"ps-sync": {"servers": 2}}, workers=WORKERS, steps=1)
    once = LAB.scenario(
        {"ps-sync": {"servers": 2, "update": {"weight_decay": decay}}}, workers=WORKERS, steps=1
    )
    with_it, without = (
        replay(LAB.trace(one), LAB.model, LAB.parameters, LAB.source, lambda: Sgd(RATE))
        for one in (once, plain)
    )
    for place, (one, other) in enumerate(zip(with_it.parameters, without.parameters, strict=True)):
        if place % 2:  # a bias
            np.testing.assert_allclose(
                other - one, RATE * decay * LAB.parameters[place], rtol=1e-9, atol=1e-15
            )
        else:
            np.testing.assert_array_equal(one, other)
    assert file.strategies[0].options.update.weight_decay == decay
