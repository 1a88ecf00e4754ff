"""What a scenario trains on, really: its model with parameters, its data, its optimizer.

Start with :func:`task_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.execute.parties import Array, Optimizer, Source, Trained
from simpar.strategies.common import Setting


@dataclass(frozen=True)
class Task:
    """Everything that a replay needs besides a trace."""

    name: str
    """Of the data: ``digits``."""
    records: int
    """Samples to train on."""
    test: tuple[Any, Any]
    """Inputs and targets that are held back."""
    model: Trained
    parameters: Sequence[Array]
    """The initial ones."""
    source: Source
    optimizer: Callable[[], Optimizer]


def task_of(setting: Setting) -> Task:
    raise NotImplementedError
