"""How much faster more machines can make it: the laws that bound every speedup.

Times are seconds, speedups and efficiencies plain ratios, *workers* and *devices* counts.
Not modelled here: what causes the serial part or the communication; these laws take both as given.

Start with :func:`weak_scaling_efficiency`, which is the usual case of data parallelism.
"""

from __future__ import annotations

from simpar.cost import checks


def amdahl(serial: float, workers: int) -> float:
    """Return the speedup of a fixed job on *workers*: ``1 / (s + (1 - s) / W)``.

    Args:
        serial: share of one worker's time that cannot be divided, *s*, from 0 to 1.
        workers: machines that share the rest, *W*.

    Raises:
        ValueError: *serial* is outside 0 to 1, or *workers* is below 1.

    Source: Amdahl, AFIPS 1967. Stops being true when the serial share changes with *W*, as
    communication does.

    >>> round(amdahl(0.05, workers=20), 2)
    10.26
    """
    checks.share(serial=serial)
    checks.count(workers=workers)
    return 1 / (serial + (1 - serial) / workers)


def gustafson(serial: float, workers: int) -> float:
    """Return the speedup of a job that grows with *workers*: ``s + (1 - s) W``.

    Args:
        serial: share of the parallel run's time that is not divided, *s*, from 0 to 1.
        workers: machines, *W*.

    Raises:
        ValueError: *serial* is outside 0 to 1, or *workers* is below 1.

    Source: Gustafson, CACM 31(5), 1988. Note that its *s* is measured on the parallel run, Amdahl's on one
    worker.

    >>> gustafson(0.25, workers=8)
    6.25
    """
    checks.share(serial=serial)
    checks.count(workers=workers)
    return serial + (1 - serial) * workers


def weak_scaling_efficiency(compute_s: float, communication_s: float) -> float:
    """Return the share of a step spent computing when each worker keeps its batch: ``Z / (Z + C)``.

    Args:
        compute_s: forward and backward of one worker's batch, *Z*.
        communication_s: communication that is not hidden behind it, *C*.

    Raises:
        ValueError: *compute_s* is not above zero, or *communication_s* is negative.

    Source: the definition, for equal workers. Times *W* it is the speedup in samples per second.

    >>> weak_scaling_efficiency(0.18, 0.06)
    0.75
    """
    checks.positive(compute_s=compute_s)
    checks.not_negative(communication_s=communication_s)
    return compute_s / (compute_s + communication_s)


def strong_scaling_step(compute_s: float, workers: int, communication_s: float) -> float:
    """Return the seconds of a step whose batch is divided over *workers*: ``Z / W + C``.

    Args:
        compute_s: forward and backward of the whole batch on one worker, *Z*.
        workers: machines that share the batch, *W*.
        communication_s: communication that is not hidden behind it, *C*.

    Raises:
        ValueError: *workers* is below 1, or a time is negative.

    Source: the definition, for equal workers. Stops being true when a worker's piece is too small to
    fill its device.

    >>> strong_scaling_step(0.8, workers=8, communication_s=0.1)
    0.2
    """
    checks.count(workers=workers)
    checks.not_negative(compute_s=compute_s, communication_s=communication_s)
    return compute_s / workers + communication_s


def shard_speedup_bound(records: int, devices: int) -> float:
    """Return the most that *devices* can speed up *records* that cannot be cut: ``m / ceil(m / k)``.

    Some device has to take ``ceil(m / k)`` of them, and the others wait for it.

    Raises:
        ValueError: a count is below 1.

    Source: counting. Holds for records of equal cost and devices of equal speed.

    >>> shard_speedup_bound(records=7, devices=4)
    3.5
    """
    checks.count(records=records, devices=devices)
    return records / -(-records // devices)
