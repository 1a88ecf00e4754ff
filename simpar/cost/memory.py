"""Bytes that each kind of machine must hold while it trains.

A plain sum: weights, gradients, the optimizer's state, and the activations kept for the backward pass.
Sizes are bytes; *parameter_bytes* is one copy of the parameters that this machine is responsible for.
``optimizer_copies`` counts the optimizer's state in copies of the parameters: 1 for SGD with momentum (the
default), 0 for plain SGD, 2 for Adam.

Left out everywhere: workspace of convolutions and matrix products, fragmentation, the framework's and
driver's own context (half a gigabyte and more on a GPU), buffers of the communication library, the input
batch, master weights in a second element type. So a result is a lower bound: what does not fit here, never
fits.

Start with :func:`all_reduce_worker`.
"""

from __future__ import annotations

from simpar.cost import checks


def all_reduce_worker(parameter_bytes: float, activation_bytes: float, optimizer_copies: float = 1) -> float:
    """Return the bytes of a data-parallel worker that runs the optimizer itself.

    Weights, gradients, the optimizer's state and the activations of its batch.

    Args:
        parameter_bytes: the whole model's parameters.
        activation_bytes: all layers' outputs for the worker's whole batch.
        optimizer_copies: copies of the parameters that the optimizer keeps.

    Raises:
        ValueError: an argument is negative.

    Left out: workspace, fragmentation, framework context, buckets of an all-reduce. Stops being true when
    states are sharded over workers or activations recomputed.

    >>> all_reduce_worker(100e6, 5e9)
    5300000000.0
    """
    checks.not_negative(
        parameter_bytes=parameter_bytes, activation_bytes=activation_bytes, optimizer_copies=optimizer_copies
    )
    return (2 + optimizer_copies) * parameter_bytes + activation_bytes


def server_fed_worker(parameter_bytes: float, activation_bytes: float) -> float:
    """Return the bytes of a worker whose optimizer runs at parameter servers.

    Weights, gradients and the activations of its batch.

    Args:
        parameter_bytes: the whole model's parameters.
        activation_bytes: all layers' outputs for the worker's whole batch.

    Raises:
        ValueError: an argument is negative.

    Left out: workspace, fragmentation, framework context, buffers of messages on their way. Stops being true
    when the worker keeps a second copy of the parameters, to pull into while it still computes.

    >>> server_fed_worker(100e6, 5e9)
    5200000000.0
    """
    return all_reduce_worker(parameter_bytes, activation_bytes, optimizer_copies=0)


def pipeline_stage(
    parameter_bytes: float, microbatch_activation_bytes: float, in_flight: int, optimizer_copies: float = 1
) -> float:
    """Return the bytes of one stage of a pipeline.

    Weights, gradients and the optimizer's state of its own layers, and their activations for every microbatch
    that is in flight: of *m* microbatches all *m* in GPipe, at most ``min(m, p - r)`` at stage *r* of *p*
    (from 0) with one forward and one backward in turn.

    Args:
        parameter_bytes: parameters of this stage's layers.
        microbatch_activation_bytes: outputs of this stage's layers for one microbatch.
        in_flight: microbatches whose activations it holds at once.
        optimizer_copies: copies of the parameters that the optimizer keeps.

    Raises:
        ValueError: *in_flight* is below 1, or another argument is negative.

    Left out: workspace, fragmentation, framework context, activations received from the stage before. Stops
    being true with recomputation, which keeps only a stage's inputs.

    Source: Huang et al., GPipe, NeurIPS 2019; Narayanan et al., PipeDream, SOSP 2019.

    >>> pipeline_stage(25e6, 100e6, in_flight=8)
    875000000.0
    """
    checks.count(in_flight=in_flight)
    checks.not_negative(microbatch_activation_bytes=microbatch_activation_bytes)
    return all_reduce_worker(parameter_bytes, in_flight * microbatch_activation_bytes, optimizer_copies)


def parameter_server(parameter_bytes: float, optimizer_copies: float = 1) -> float:
    """Return the bytes of one parameter server.

    Weights and the optimizer's state of its shard, and one buffer in which gradients are added up.

    Args:
        parameter_bytes: parameters of this server's shard.
        optimizer_copies: copies of the shard that the optimizer keeps.

    Raises:
        ValueError: an argument is negative.

    Left out: fragmentation, framework context, messages received and not yet added. Stops being true
    when many workers' pushes wait at once: each may need a buffer of its own.

    >>> parameter_server(50e6)
    150000000.0
    """
    checks.not_negative(parameter_bytes=parameter_bytes, optimizer_copies=optimizer_copies)
    weights, sum_buffer = 1, 1
    return (weights + optimizer_copies + sum_buffer) * parameter_bytes
