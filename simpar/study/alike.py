"""Strategies that a setting does not concern, simulated once for all points at which they are alike.

Many points of a study differ in the options of one strategy, and what comes out for the others is the same at
all of them. The figures of a strategy follow from what its scenario says, but for the options of the other
strategies, and from the model and the machines, into which go the files that it names: links in a ring pass
every strategy's servers. All of these are compared, so nothing that is found again is stale.

Left out: strategies that cannot be compiled, which takes no time.
Start with :class:`Alike`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from simpar.program import Program
from simpar.result import Row
from simpar.strategies import Setting

MOST_TASKS = 100_000
"""Tasks of all programs that are kept, some 100 MB; beyond, those that were not asked for longest go."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What came out for one strategy."""

    setting: Setting
    program: Program
    row: Row


class Alike:
    """What came out for single strategies at the points so far."""

    def __init__(self, most_tasks: int = MOST_TASKS) -> None:
        self._most_tasks = most_tasks
        self._kept: dict[str, _Kept] = {}  # the one that was asked for last is the last

    def find(self, setting: Setting) -> tuple[Program, Row] | None:
        """Return what came out where all was as in *setting*, None where it has not been simulated."""
        said = _said(setting)
        found = self._kept.pop(said, None)
        if found is None or not _is_same(found.setting, setting):
            return None
        self._kept[said] = found
        return found.program, found.row

    def keep(self, setting: Setting, program: Program, row: Row) -> None:
        """Keep what came out with *setting*."""
        self._kept[_said(setting)] = _Kept(setting, program, row)
        tasks = sum(len(kept.program) for kept in self._kept.values())
        for said, kept in list(self._kept.items()):
            if tasks <= self._most_tasks:
                break
            del self._kept[said]
            tasks -= len(kept.program)


def _said(setting: Setting) -> str:
    """Return what the scenario says, without the options of other strategies."""
    written, strategy = setting.scenario.written, setting.strategy
    own = written.data["strategies"][strategy.index]
    changed = [path for path, _ in written.overrides]  # what is wrong with them is said by their number
    return json.dumps([strategy.index, strategy.name, {**written.data, "strategies": [own]}, changed])


def _is_same(one: Setting, other: Setting) -> bool:
    """Say whether the model, the machines and the times that were measured are the same."""
    return (
        one.workload == other.workload
        and one.cluster == other.cluster
        and one.scenario.times == other.scenario.times
    )
