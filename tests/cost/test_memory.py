"""A model of 100 bytes of parameters and 40 bytes of activations for the whole batch."""

import pytest

from simpar.cost import memory


def test_all_reduce_worker_holds_parameters_gradients_state_activations_and_buffers():
    found = memory.all_reduce_worker(100, 40, 200, 30)
    assert found == memory.Memory(100, 100, 200, 40, 30)
    assert found.total == 470
    assert memory.all_reduce_worker(100, 40, 100).total == 340


def test_the_parts_have_their_unit_in_their_names_and_add_up():
    parts = memory.all_reduce_worker(100, 40, 200, 30).to_dict()
    assert list(parts) == [
        f"{part}_bytes" for part in ("parameters", "gradients", "optimizer", "activations", "buffers")
    ]
    assert sum(parts.values()) == 470


@pytest.mark.parametrize(
    ("dtype_bytes", "optimizer", "each"),
    [
        (4, "sgd", 0),
        (4, "momentum", 4),
        (4, "adam", 8),
        (8, "momentum", 8),
        (2, "sgd", 4),  # master weights
        (2, "momentum", 4 + 4),
        (2, "adam", 4 + 8),
    ],
)
def test_optimizer_state_is_float32_with_master_weights_for_half_precision(dtype_bytes, optimizer, each):
    assert memory.optimizer_state(25, dtype_bytes, optimizer) == 25 * each


def test_mixed_precision_adam_takes_the_published_16_bytes_a_parameter():
    """Rajbhandari et al., ZeRO, SC 2020: 1.5 billion take at least 24 GB, 7.5 billion take 120 GB."""
    for parameters, published in ((1.5e9, 24e9), (7.5e9, 120e9)):
        state = memory.optimizer_state(parameters, 2, "adam")
        assert memory.all_reduce_worker(2 * parameters, 0, state).total == published


def test_server_fed_worker_holds_no_optimizer_state_and_no_buffers():
    assert memory.server_fed_worker(100, 40) == memory.Memory(100, 100, 0, 40, 0)


def test_parameter_server_holds_one_sum_and_a_buffer_for_each_message_at_once():
    assert memory.parameter_server(50, 50).total == 150
    assert memory.parameter_server(50, 100, largest_key_bytes=20, at_once=3).total == 50 + 50 + 100 + 60


def test_a_bucket_fills_while_another_is_reduced():
    assert memory.bucket_buffers(25, buckets=4, overlap=False) == 25
    assert memory.bucket_buffers(25, buckets=4, overlap=True) == 50
    assert memory.bucket_buffers(25, buckets=1, overlap=True) == 25
    assert memory.bucket_buffers(0, buckets=0, overlap=True) == 0


def test_pipeline_stages_together_hold_one_model_and_the_whole_minibatch():
    """Two stages, 70 and 30 bytes of parameters, 6 and 4 bytes of activations a microbatch, four of them."""
    stages = [memory.pipeline_stage(70, 6, 4, 70).total, memory.pipeline_stage(30, 4, 4, 30).total]
    assert stages == [234, 106]
    assert sum(stages) == memory.all_reduce_worker(100, 40, 100).total


def test_a_stage_keeps_its_inputs_while_they_are_in_flight_and_one_gradient():
    found = memory.pipeline_stage(70, 6, 4, 70, input_bytes=5, gradient_bytes=3)
    assert (found.activations, found.buffers) == (24, 4 * 5 + 3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: memory.all_reduce_worker(-1, 0, 0), "parameter_bytes"),
        (lambda: memory.all_reduce_worker(1, -1, 0), "activation_bytes"),
        (lambda: memory.all_reduce_worker(1, 0, -1), "optimizer_bytes"),
        (lambda: memory.all_reduce_worker(1, 0, 0, -1), "buffer_bytes"),
        (lambda: memory.server_fed_worker(1, -1), "activation_bytes"),
        (lambda: memory.pipeline_stage(1, -1, 1, 0), "microbatch_activation_bytes"),
        (lambda: memory.pipeline_stage(1, 1, 0, 0), "in_flight"),
        (lambda: memory.pipeline_stage(1, 1, 1, 0, input_bytes=-1), "input_bytes"),
        (lambda: memory.parameter_server(1, -1), "optimizer_bytes"),
        (lambda: memory.parameter_server(1, 1, 1, 0), "at_once"),
        (lambda: memory.bucket_buffers(-1, 1, False), "largest_bucket_bytes"),
        (lambda: memory.optimizer_state(-1, 4), "parameters"),
        (lambda: memory.optimizer_state(1, 4, "lamb"), "optimizer"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
