"""A model of 100 bytes of parameters and 40 bytes of activations for the whole batch."""

import pytest

from simpar.cost import memory


def test_all_reduce_worker_holds_weights_gradients_momentum_and_activations():
    assert memory.all_reduce_worker(100, 40) == 340
    assert memory.all_reduce_worker(100, 40, optimizer_copies=0) == 240
    assert memory.all_reduce_worker(100, 40, optimizer_copies=2) == 440


def test_server_fed_worker_holds_no_optimizer_state():
    assert memory.server_fed_worker(100, 40) == 240


def test_parameter_server_holds_weights_momentum_and_one_sum():
    assert memory.parameter_server(50) == 150
    assert memory.parameter_server(50, optimizer_copies=2) == 200


def test_pipeline_stages_together_hold_one_model_and_the_whole_minibatch():
    """Two stages, 70 and 30 bytes of parameters, 6 and 4 bytes of activations a microbatch, four of them."""
    stages = [memory.pipeline_stage(70, 6, 4), memory.pipeline_stage(30, 4, 4)]
    assert stages == [234, 106]
    assert sum(stages) == memory.all_reduce_worker(100, 40)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: memory.all_reduce_worker(-1, 0), "parameter_bytes"),
        (lambda: memory.all_reduce_worker(1, -1), "activation_bytes"),
        (lambda: memory.server_fed_worker(1, -1), "activation_bytes"),
        (lambda: memory.pipeline_stage(1, -1, 1), "microbatch_activation_bytes"),
        (lambda: memory.pipeline_stage(1, 1, 0), "in_flight"),
        (lambda: memory.parameter_server(1, -1), "optimizer_copies"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
