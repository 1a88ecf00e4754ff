"""Seconds that a device computes: from FLOPs, from bytes moved, or from a time that somebody measured.

FLOP counts a multiply-add as two. Rates are what the device reaches, not its peak: peak times efficiency.
Not modelled here: shapes that fill a device badly, two things running at once.

Start with :func:`layer_seconds`; :func:`operation_seconds` knows small operations, launches and memory, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from simpar.cost import checks


def layer_seconds(flops_per_sample: float, batch: float, flops_per_s: float) -> float:
    """Return the seconds that a layer's FLOPs take for a whole batch.

    Args:
        flops_per_sample: FLOPs of one sample, forward or backward.
        batch: samples.
        flops_per_s: FLOP/s that the device reaches.

    Raises:
        ValueError: *flops_per_s* is not above zero, or another argument is negative.

    Source: work over rate. Stops being true for layers that wait for memory (:func:`roofline`) and for
    batches too small to fill the device.

    >>> layer_seconds(8e9, batch=64, flops_per_s=10e12)
    0.0512
    """
    checks.not_negative(flops_per_sample=flops_per_sample, batch=batch)
    checks.positive(flops_per_s=flops_per_s)
    return flops_per_sample * batch / flops_per_s


def roofline(flops: float, n_bytes: float, flops_per_s: float, bytes_per_s: float) -> float:
    """Return the seconds of work that computes and moves bytes at once, whichever takes longer.

    Args:
        flops: FLOPs of the work.
        n_bytes: bytes it reads from and writes to the device's memory.
        flops_per_s: FLOP/s that the device reaches.
        bytes_per_s: bandwidth of the device's memory.

    Raises:
        ValueError: a rate is not above zero, or another argument is negative.

    Source: Williams, Waterman and Patterson, CACM 52(4), 2009. A lower bound where computing and moving do
    not overlap; data that stays in a cache moves fewer bytes.

    >>> roofline(1e12, 1e9, flops_per_s=10e12, bytes_per_s=900e9)
    0.1
    """
    checks.not_negative(flops=flops, n_bytes=n_bytes)
    checks.positive(flops_per_s=flops_per_s, bytes_per_s=bytes_per_s)
    return max(flops / flops_per_s, n_bytes / bytes_per_s)


def operation_seconds(
    flops: float,
    n_bytes: float,
    flops_per_s: float,
    *,
    half_flops: float = 0.0,
    bytes_per_s: float | None = None,
    launch_s: float = 0.0,
) -> float:
    """Return the seconds of one operation: its launch, then computing or moving bytes, whichever is longer.

    ``launch + max(f / (e(f) peak), bytes / bandwidth)`` with the efficiency
    ``e(f) = e_max f / (f + f_half)``, so that computing takes ``(f + f_half) / (e_max peak)``: a device
    reaches half its rate on an operation of ``f_half`` FLOPs, and a fixed start-up time of
    ``f_half / (e_max peak)`` says the same.

    Args:
        flops: FLOPs of the operation for the whole batch, *f*. One without any computes in no time.
        n_bytes: bytes it reads from and writes to the device's memory.
        flops_per_s: FLOP/s that large operations reach, *e_max peak*.
        half_flops: FLOPs at which half of that is reached, *f_half*.
        bytes_per_s: bandwidth of the device's memory; None: bytes move in no time.
        launch_s: seconds before the device begins, in which it does nothing else.

    Raises:
        ValueError: a rate is not above zero, or another argument is negative.

    Source: Hockney and Jesshope, Parallel Computers 2, 1988, r_inf and n_1/2, with FLOPs for the length of
    a vector; :func:`roofline` for the rest. Stops being true for shapes that fill a device badly at any size,
    for efficiency that rises in steps (waves of thread blocks), and where the host launches ahead, so that
    only operations shorter than a launch pay for it.

    >>> operation_seconds(1e9, 0, flops_per_s=10e12, half_flops=1e9)
    0.0002
    >>> operation_seconds(0, 90e6, flops_per_s=10e12, bytes_per_s=900e9, launch_s=5e-6)
    0.000105
    """
    checks.not_negative(flops=flops, n_bytes=n_bytes, half_flops=half_flops, launch_s=launch_s)
    checks.positive(flops_per_s=flops_per_s)
    computing = (flops + half_flops) / flops_per_s if flops else 0.0
    if bytes_per_s is None:
        return launch_s + computing
    checks.positive(bytes_per_s=bytes_per_s)
    return launch_s + max(computing, n_bytes / bytes_per_s)


def spread(total_s: float, weights: Iterable[float]) -> list[float]:
    """Return *total_s* cut into one part a weight, in proportion; equal parts where all weights are zero.

    The parts add up (``math.fsum``) to *total_s* within 1e-15 of it: what rounding leaves over goes to the
    largest part. A weight of zero beside others gets exactly zero.

    Args:
        total_s: seconds, for instance of a measured forward pass.
        weights: what the parts are in proportion to, for instance each layer's FLOPs.

    Raises:
        ValueError: *weights* is empty or has a negative value, or *total_s* is negative.

    Source: proportion. As an account of where a measured time went it stops being true for layers
    that wait for memory: they take more of it than their FLOPs say.

    >>> spread(0.06, [1, 2, 3])
    [0.01, 0.02, 0.03]
    >>> spread(1.0, [0, 0])
    [0.5, 0.5]
    """
    checks.not_negative(total_s=total_s)
    shares = checks.each_not_negative("weights", weights)
    if not any(shares):
        shares = [1.0] * len(shares)
    # Scaled to at most 1, by a power of two and so exactly: neither the sum nor a product can overflow.
    _, exponent = math.frexp(max(shares))
    shares = [math.ldexp(share, -exponent) for share in shares]
    whole = math.fsum(shares)
    parts = [total_s * share / whole for share in shares]
    parts[shares.index(max(shares))] += total_s - math.fsum(parts)
    return parts
