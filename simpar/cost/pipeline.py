"""Time taken by a pipeline of stages that each hold part of a model.

Times are seconds. A minibatch is cut into *m* microbatches; each passes *p* stages forward, then backward.
GPipe: every stage runs all its forwards, then all its backwards, and the step ends when all have ended.
Not modelled here: sending activations between stages, recomputing them, updating the parameters.

Start with :func:`gpipe_step`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from simpar.cost import checks


def gpipe_step(stages: int, microbatches: int, forward_s: float, backward_s: float) -> float:
    """Return the seconds of one GPipe step with equal stages: ``(m + p - 1) (t_f + t_b)``.

    Args:
        stages: devices in a row, *p*.
        microbatches: pieces of the minibatch, *m*.
        forward_s: forward of one microbatch on one stage, *t_f*.
        backward_s: backward of one microbatch on one stage, *t_b*.

    Raises:
        ValueError: a count is below 1, or a time is negative.

    Source: Huang et al., GPipe, NeurIPS 2019. One-forward-one-backward takes as long with equal stages.
    Stops being true when stages differ (:func:`gpipe_unequal_step`) or sending takes time.

    >>> gpipe_step(stages=4, microbatches=8, forward_s=1.0, backward_s=2.0)
    33.0
    """
    checks.count(stages=stages, microbatches=microbatches)
    checks.not_negative(forward_s=forward_s, backward_s=backward_s)
    return (microbatches + stages - 1) * (forward_s + backward_s)


def bubble_fraction(stages: int, microbatches: int) -> float:
    """Return the share of a step that each equal stage spends idle: ``(p - 1) / (m + p - 1)``.

    Raises:
        ValueError: a count is below 1.

    Source: Huang et al., GPipe, NeurIPS 2019. Same limits as :func:`gpipe_step`.

    >>> bubble_fraction(stages=4, microbatches=9)
    0.25
    """
    checks.count(stages=stages, microbatches=microbatches)
    return (stages - 1) / (microbatches + stages - 1)


def bubble_over_ideal(stages: int, microbatches: int) -> float:
    """Return idle time over busy time of each equal stage: ``(p - 1) / m``.

    Raises:
        ValueError: a count is below 1.

    Source: Narayanan et al., SC 2021, section 2.2. Same limits as :func:`gpipe_step`.

    >>> bubble_over_ideal(stages=4, microbatches=8)
    0.375
    """
    checks.count(stages=stages, microbatches=microbatches)
    return (stages - 1) / microbatches


def gpipe_unequal_step(forward_s: Iterable[float], backward_s: Iterable[float], microbatches: int) -> float:
    """Return the seconds of one GPipe step whose stages differ.

    ``sum t_f + (m - 1) max t_f + sum t_b + (m - 1) max t_b``: the first microbatch passes every stage, the
    others follow at the pace of the slowest; the backward pass begins when the last forward has ended.

    Args:
        forward_s: forward of one microbatch on each stage.
        backward_s: backward of one microbatch on each stage, in the same order.
        microbatches: pieces of the minibatch, *m*.

    Raises:
        ValueError: the lists are empty or differ in length, a time is negative, or *microbatches* is below 1.

    Source: a flow shop with equal jobs, twice. Exact for GPipe without sending time; too long for
    schedules that mix forwards and backwards.

    >>> gpipe_unequal_step([1.0, 2.0], [1.0, 2.0], microbatches=4)
    18.0
    """
    checks.count(microbatches=microbatches)
    forward = checks.each_not_negative("forward_s", forward_s)
    backward = checks.each_not_negative("backward_s", backward_s)
    if len(forward) != len(backward):
        raise ValueError(
            f"forward_s has {len(forward)} stages and backward_s {len(backward)}; they must agree"
        )
    slowest = max(forward) + max(backward)
    return math.fsum(forward) + math.fsum(backward) + (microbatches - 1) * slowest


def unequal_lower_bound(stage_s: Iterable[float], microbatches: int) -> float:
    """Return seconds that no GPipe step with these stages can beat: ``m max t + sum of the other t``.

    Args:
        stage_s: forward plus backward of one microbatch on each stage. Forward alone gives the exact
            time of a forward-only pipeline.
        microbatches: pieces of the minibatch, *m*.

    Raises:
        ValueError: *stage_s* is empty or has a negative value, or *microbatches* is below 1.

    Source: the slowest stage's work, before and after which one microbatch passes all other stages. Stops
    being a bound for one-forward-one-backward, which can hide the stages behind the slowest one; ``m max t``
    then still holds.

    >>> unequal_lower_bound([2.0, 4.0], microbatches=4)
    18.0
    """
    checks.count(microbatches=microbatches)
    stages = checks.each_not_negative("stage_s", stage_s)
    return math.fsum(stages) + (microbatches - 1) * max(stages)
