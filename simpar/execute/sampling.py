"""Which records a batch holds: the same stream of samples whatever the strategy.

The stream is one shuffle of the data after another. Iteration ``m`` of all workers together takes the
``m``-th stretch of it, worker ``w`` the ``w``-th part of that; so W workers of batch b train on the same
samples as one device with a batch of W b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Stream:
    """Records in random order or in their own, epoch after epoch, without end."""

    def __init__(self, records: int, seed: int | None) -> None:
        """Shuffle *records* by *seed*, every epoch anew; with None leave them in their order.

        Raises:
            ValueError: there are no records.
        """
        if records < 1:
            raise ValueError("a stream of samples needs at least one record")
        self.records, self.seed = records, seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def rows(self, first: int, count: int) -> NDArray[np.int64]:
        """Return the records of *count* samples from the *first* on: int64[count]."""
        parts = []
        while count > 0:
            epoch, place = divmod(first, self.records)
            part = self._order(epoch)[place : place + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the records in the order of *epoch*."""
        if epoch not in self._epochs:
            while len(self._epochs) >= 8:  # workers are never many epochs apart
                del self._epochs[next(iter(self._epochs))]
            if self.seed is None:
                self._epochs[epoch] = np.arange(self.records, dtype=np.int64)
            else:
                self._epochs[epoch] = np.random.default_rng([self.seed, epoch]).permutation(self.records)
        return self._epochs[epoch]


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs and targets of a stream of samples."""

    inputs: Any
    targets: Any
    stream: Stream

    def __call__(self, first: int, count: int) -> tuple[Any, Any]:
        """Return inputs and targets of *count* samples from the *first* on."""
        rows = self.stream.rows(first, count)
        return self.inputs[rows], self.targets[rows]
