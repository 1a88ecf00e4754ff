"""Seconds of each layer where launches, small operations or memory count: one operation a layer a direction.

An operation takes ``launch + max((f + f_half) / rate, bytes / bandwidth)``, see
:func:`simpar.cost.compute.operation_seconds`. The bytes of a forward pass are the layer's parameters, once a
batch, and what it reads and writes, once a sample; a backward pass moves twice as much, for the gradients of
the inputs and those of the parameters. Every microbatch pays the launch and moves the parameters again.

What is left out: reading the data, caches and fused operations (both move less), a weight that is tied to
another layer's; a look-up is taken to read its whole table, once a batch.
"""

from __future__ import annotations

from dataclasses import replace

from simpar.cost import compute
from simpar.hardware import Device
from simpar.workload import Workload

BACKWARD_PER_FORWARD_BYTES = 2.0
"""Bytes that a backward pass moves over those of the forward pass."""


def layer_times(workload: Workload, device: Device, samples: float) -> tuple[list[float], list[float]]:
    """Return the seconds of each layer, forward and backward, on a device that is given by its rate."""
    assert device.flops_per_s is not None, "the scenario was checked: a device has times or a rate"
    rate, bandwidth = device.flops_per_s, device.memory_bytes_per_s if device.roofline else None

    def seconds(flops: float, n_bytes: float) -> float:
        return compute.operation_seconds(
            flops * samples,
            n_bytes,
            rate,
            half_flops=device.half_flops,
            bytes_per_s=bandwidth,
            launch_s=device.launch_s,
        )

    moved = moved_bytes(workload, samples)
    layers = list(zip(workload.layers, moved, strict=True))
    forward = [seconds(layer.forward_flops, n_bytes) for layer, n_bytes in layers]
    backward = [
        seconds(layer.backward_flops, BACKWARD_PER_FORWARD_BYTES * n_bytes) for layer, n_bytes in layers
    ]
    return forward, backward


def moved_bytes(workload: Workload, samples: float) -> list[float]:
    """Return the bytes that each layer moves in a forward pass over *samples* samples."""
    return [
        layer.parameters * workload.dtype_bytes
        + samples
        * (layer.activation_bytes + sum(workload.layers[index].activation_bytes for index in layer.inputs))
        for layer in workload.layers
    ]


def memory_bound(workload: Workload, device: Device, samples: float) -> bool:
    """Return whether any layer takes longer because of the bytes that it moves."""
    alone = replace(device, roofline=False)
    return layer_times(workload, device, samples) != layer_times(workload, alone, samples)
