"""What a strategy really predicts: its simulated trace, with every forward pass and message carried out.

The parameters are those that training would begin with, drawn from ``run.seed``: one set that the host sends
to all (``replicated``), or one for replica j drawn from the seed and j (``ensemble``).

Start with :func:`predict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simpar.errors import InputError
from simpar.execute.replay import replay
from simpar.scenario import AnyScenario
from simpar.scenario.options import PREDICTING
from simpar.strategies import prepare
from simpar.study.compare import as_scenario
from simpar.study.replay import trace_of
from simpar.study.training import task_of


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one strategy predicts of the records that ``simpar.replay`` trains on."""

    name: str
    kind: str
    combine: str
    workers: int
    values: Any
    """Outputs of the records in their order, [records, outputs]; of a vote their classes, int64[records]."""
    targets: Any
    """What is true of them, as the data set has it."""
    time_s: float
    """Simulated time until the last of them was predicted."""

    def __repr__(self) -> str:
        """Return what was predicted, in one line."""
        return f"<Predicted by {self.name!r}: {len(self.values)} records>"

    @property
    def accuracy(self) -> float | None:
        """Share of the records whose class is right; None where nothing is classified."""
        if self.targets.dtype.kind not in "iu":
            return None
        classes = self.values if self.combine == "vote" else self.values.argmax(axis=-1)
        return float((classes == self.targets).mean())


def predict(
    scenario: AnyScenario, strategy: str | None = None, *, set: Mapping[str, object] | None = None
) -> Predicted:
    """Predict all records of *scenario* once, as one of its strategies would.

    Args:
        scenario: a scenario, the path of a file, or a mapping with what a file would say.
        strategy: its name; by default the first that predicts.
        set: settings to change first, by path.

    Raises:
        InputError: the scenario is wrong, says nothing to predict, or the strategy trains instead.
        FitError: the strategy does not fit in the memory of its devices.
    """
    scenario = as_scenario(scenario, set)
    able = [one for one in scenario.strategies if one.kind in PREDICTING]
    if strategy is not None:
        able = [one for one in [scenario.strategy(strategy)] if one.kind in PREDICTING]
    if not able:
        said = "no strategy predicts" if strategy is None else f"{strategy} trains and predicts nothing"
        fix = f"write one of: {', '.join(sorted(PREDICTING))}"
        raise InputError([scenario.problem("strategies", said, fix)])
    chosen = able[0]
    task = task_of(prepare(scenario, chosen))
    trace = trace_of(scenario, chosen, task.records)
    with threadpool_limits(limits=1):  # the same sums however many cores there are
        found = replay(
            trace,
            task.model,
            task.parameters,
            task.source,
            task.optimizer,
            members=task.members if chosen.kind == "ensemble" else None,
        )
    values = np.concatenate([one.values for one in found.predictions])[: task.records]
    meta = trace.program.meta
    return Predicted(
        name=chosen.name,
        kind=chosen.kind,
        combine=meta["combine"],
        workers=meta["workers"],
        values=values,
        targets=task.source(0, task.records)[1],
        time_s=found.end_s,
    )
