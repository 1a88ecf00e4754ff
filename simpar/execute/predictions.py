"""What devices that predict answer, and what their host makes of it.

Sums are taken in the order of the workers, whoever came first, so that the same outputs give the same
prediction to the last bit. Start with :func:`combined`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simpar.errors import ProgramError

Array = Any
"""An array of NumPy or CuPy."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one worker's model made of some records, on its way to the host."""

    worker: int
    runs: tuple[tuple[int, int, int], ...]
    """Which records of the stream: (first, count, step) of each run of them."""
    values: Array
    """[records, outputs], of sequences [records, tokens, outputs]."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the host made of the outputs of one iteration."""

    iteration: int
    first: int
    """The first record of the stream; the others follow in their order."""
    values: Array
    """Outputs of the records, [records, outputs]; of a vote their classes, int64[records]."""


def combined(outputs: Sequence[Output], how: str) -> Array:
    """Return what the host makes of *outputs*.

    Args:
        how: ``concat`` puts those of different records one after another, in the order of the records; of
            outputs of the same records ``mean`` and ``sum`` are taken element by element, and ``vote`` gives
            the class that most workers put first, of several the lowest.

    Raises:
        ProgramError: nobody knows how to combine outputs in this way.
    """
    if how == "concat":
        records = [
            first + turn * step for one in outputs for first, count, step in one.runs for turn in range(count)
        ]
        return np.concatenate([one.values for one in outputs])[np.argsort(records)]
    rows = [one.values for one in sorted(outputs, key=lambda one: one.worker)]
    if how == "vote":
        classes = np.arange(rows[0].shape[-1])
        votes = sum((row.argmax(axis=-1)[..., np.newaxis] == classes).astype(np.int64) for row in rows)
        return np.argmax(votes, axis=-1)
    if how not in ("mean", "sum"):
        raise ProgramError(f"outputs cannot be combined by {how!r}; nobody knows how")
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total / len(rows) if how == "mean" else total
