"""Seconds that a device computes: from FLOPs, from bytes moved, or from a time that somebody measured.

FLOP counts a multiply-add as two. Rates are what the device reaches, not its peak: peak times efficiency.
Not modelled here: launching kernels, shapes that fill a device badly, two things running at once.

Start with :func:`layer_seconds`.
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
