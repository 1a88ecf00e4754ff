"""Bytes that each kind of machine must hold while it trains, and for what.

A plain sum: parameters, gradients, the optimizer's state, the activations kept for the backward pass, and
buffers of messages. Sizes are bytes; *parameter_bytes* is one copy of the parameters that this machine is
responsible for. Gradients have the parameters' element type.

The optimizer's state (:func:`optimizer_state`) is float32 at least, and a model of 16-bit elements keeps a
float32 copy of its parameters, the master weights, beside it (Micikevicius et al., ICLR 2018): with Adam 16
bytes a parameter in all, 2 + 2 + 12 (Rajbhandari et al., ZeRO, SC 2020, section 3.1).

Left out everywhere: workspace of convolutions and matrix products, fragmentation, the framework's and
driver's own context (half a gigabyte and more on a GPU), the input batch. So a result is a lower bound: what
does not fit here, never fits.

Start with :func:`all_reduce_worker`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from simpar.cost import checks

OPTIMIZERS = {"sgd": 0, "momentum": 1, "adam": 2}
"""Copies of the parameters that each optimizer keeps as its state."""

FLOAT32_BYTES = 4
"""Bytes of an element of the optimizer's state, at least, and of the master weights."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The bytes of one machine, by what they are for."""

    parameters: float
    gradients: float
    optimizer: float
    """The optimizer's state, with master weights where there are any."""
    activations: float = 0.0
    """Outputs of layers that the backward pass needs."""
    buffers: float = 0.0
    """Of messages that are received or sent."""

    @property
    def total(self) -> float:
        """All of them together."""
        return math.fsum(getattr(self, field.name) for field in fields(self))

    def to_dict(self) -> dict[str, float]:
        """Return the bytes by name, ``parameters_bytes`` and so on, in the order above."""
        return {f"{name}_bytes": float(n_bytes) for name, n_bytes in asdict(self).items()}


def optimizer_state(parameters: float, dtype_bytes: int, optimizer: str = "momentum") -> float:
    """Return the bytes that *optimizer* keeps for so many *parameters*, master weights included.

    Args:
        parameters: number of elements.
        dtype_bytes: bytes of one element of the model; below 4 there are master weights of 4.
        optimizer: ``sgd`` (no state), ``momentum`` (one copy) or ``adam`` (two).

    Raises:
        ValueError: *parameters* is negative, or *optimizer* unknown.

    Source: Rajbhandari et al., ZeRO, SC 2020, section 3.1, K = 12 for Adam. Stops being true for states of
    8 bits, and for training whose weights are 16-bit throughout.

    >>> optimizer_state(1e9, dtype_bytes=4), optimizer_state(1e9, dtype_bytes=2, optimizer="adam")
    (4000000000.0, 12000000000.0)
    """
    checks.not_negative(parameters=parameters)
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer is {optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}")
    master = FLOAT32_BYTES if dtype_bytes < FLOAT32_BYTES else 0
    return (OPTIMIZERS[optimizer] * max(dtype_bytes, FLOAT32_BYTES) + master) * parameters


def all_reduce_worker(
    parameter_bytes: float, activation_bytes: float, optimizer_bytes: float, buffer_bytes: float = 0.0
) -> Memory:
    """Return the memory of a data-parallel worker that runs the optimizer itself.

    Args:
        parameter_bytes: the whole model's parameters.
        activation_bytes: all layers' outputs for the worker's whole batch.
        optimizer_bytes: the whole model's optimizer state.
        buffer_bytes: gradients that are copied together to be reduced at once, see :func:`bucket_buffers`.

    Raises:
        ValueError: an argument is negative.

    Left out: workspace, fragmentation, framework context. Stops being true when states are sharded over
    workers or activations recomputed.

    >>> all_reduce_worker(100e6, 5e9, 100e6).total
    5300000000.0
    """
    checks.not_negative(
        parameter_bytes=parameter_bytes,
        activation_bytes=activation_bytes,
        optimizer_bytes=optimizer_bytes,
        buffer_bytes=buffer_bytes,
    )
    return Memory(parameter_bytes, parameter_bytes, optimizer_bytes, activation_bytes, buffer_bytes)


def bucket_buffers(largest_bucket_bytes: float, buckets: int, overlap: bool) -> float:
    """Return the bytes of the buffers into which an all-reduce copies gradients that it reduces at once.

    One of the largest bucket; with *overlap* and several buckets two, one filling while one is reduced.

    Raises:
        ValueError: an argument is negative.

    Source: fusion buffers, Sergeev and Del Balso, Horovod, arXiv:1802.05799. Stops being true where gradients
    are written into their buckets at once (PyTorch's ``gradient_as_bucket_view``): then there are none.

    >>> bucket_buffers(25e6, buckets=4, overlap=True)
    50000000.0
    """
    checks.not_negative(largest_bucket_bytes=largest_bucket_bytes, buckets=buckets)
    return largest_bucket_bytes * min(buckets, 2 if overlap else 1)


def server_fed_worker(parameter_bytes: float, activation_bytes: float, window: int = 1) -> Memory:
    """Return the memory of a worker whose optimizer runs at parameter servers.

    Gradients are sent from where they are, parameters received into their place: no buffers. With a window
    of several iterations on their way, each further one has gradients that still go and parameters that come
    before they are wanted.

    Args:
        parameter_bytes: the whole model's parameters.
        activation_bytes: all layers' outputs for the worker's whole batch.
        window: iterations on their way at once.

    Raises:
        ValueError: an argument is negative.

    Left out: workspace, fragmentation, framework context. Stops being true when the worker keeps a second
    copy of the parameters for any other reason.

    >>> server_fed_worker(100e6, 5e9).total, server_fed_worker(100e6, 5e9, window=2).total
    (5200000000.0, 5400000000.0)
    """
    checks.count(window=window)
    under_way = 2 * (window - 1) * parameter_bytes
    return all_reduce_worker(parameter_bytes, activation_bytes, 0.0, under_way)


def predictor(parameter_bytes: float, activation_bytes: float) -> Memory:
    """Return the memory of a device that predicts and learns nothing: no gradients, no optimizer.

    Args:
        parameter_bytes: the whole model's parameters.
        activation_bytes: the most of the layers' outputs that a forward pass holds at once, for all records
            that it takes together.

    Raises:
        ValueError: an argument is negative.

    Left out: workspace, fragmentation, framework context. Stops being true where outputs are kept until the
    pass ends, as frameworks do unless they are told that there is no way back.

    >>> predictor(100e6, 20e6).total
    120000000.0
    """
    checks.not_negative(parameter_bytes=parameter_bytes, activation_bytes=activation_bytes)
    return Memory(parameter_bytes, 0.0, 0.0, activation_bytes)


def pipeline_stage(
    parameter_bytes: float,
    microbatch_activation_bytes: float,
    in_flight: int,
    optimizer_bytes: float,
    input_bytes: float = 0.0,
    gradient_bytes: float = 0.0,
    recompute: bool = False,
) -> Memory:
    """Return the memory of one stage of a pipeline.

    Parameters, gradients and the optimizer's state of its own layers, and their activations for every
    microbatch that is in flight: of *m* microbatches all *m* in GPipe, at most ``min(m, p - r)`` at stage *r*
    of *p* (from 0) with one forward and one backward in turn. Its buffers hold what the stage before sent,
    for as long as the microbatch is in flight, and one microbatch's gradients from the stage behind. With
    *recompute* it holds the activations of one microbatch only, the one that goes back.

    Args:
        parameter_bytes: parameters of this stage's layers.
        microbatch_activation_bytes: outputs of this stage's layers for one microbatch.
        in_flight: microbatches whose activations it holds at once.
        optimizer_bytes: optimizer state of this stage's layers.
        input_bytes: what it receives from the stage before for one microbatch.
        gradient_bytes: what it receives from the stage behind for one microbatch.
        recompute: whether activations are computed once more on the way back, from the stage's inputs.

    Raises:
        ValueError: *in_flight* is below 1, or another argument is negative.

    Left out: workspace, fragmentation, framework context. Stops being true where layers inside a stage are
    recomputed one by one.

    Source: Huang et al., GPipe, NeurIPS 2019; Narayanan et al., PipeDream, SOSP 2019.

    >>> pipeline_stage(25e6, 100e6, in_flight=8, optimizer_bytes=25e6).total
    875000000.0
    """
    checks.count(in_flight=in_flight)
    checks.not_negative(
        microbatch_activation_bytes=microbatch_activation_bytes,
        input_bytes=input_bytes,
        gradient_bytes=gradient_bytes,
    )
    return all_reduce_worker(
        parameter_bytes,
        (1 if recompute else in_flight) * microbatch_activation_bytes,
        optimizer_bytes,
        in_flight * input_bytes + gradient_bytes,
    )


def parameter_server(
    parameter_bytes: float, optimizer_bytes: float, largest_key_bytes: float = 0.0, at_once: int = 1
) -> Memory:
    """Return the memory of one parameter server.

    Parameters and the optimizer's state of its shard, gradients as one sum, and a buffer of the largest
    message for each that it works on at once.

    Args:
        parameter_bytes: parameters of this server's shard.
        optimizer_bytes: optimizer state of its shard.
        largest_key_bytes: the largest message that it receives.
        at_once: messages that it works on at once.

    Raises:
        ValueError: *at_once* is below 1, or another argument is negative.

    Left out: fragmentation, framework context. Stops being true when many workers' pushes wait at once: each
    may need a buffer of its own.

    >>> parameter_server(50e6, 50e6, largest_key_bytes=50e6).total
    200000000.0
    """
    checks.not_negative(largest_key_bytes=largest_key_bytes)
    checks.count(at_once=at_once)
    return all_reduce_worker(parameter_bytes, 0.0, optimizer_bytes, at_once * largest_key_bytes)
