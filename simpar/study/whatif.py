"""What if: every strategy of a scenario at many settings, and what these settings are worth.

The *elasticity* of a step time *s* with respect to a number *v* is d ln s / d ln v: -1 where twice the
bandwidth halves the step, 0 where it changes nothing. On a grid it is the difference quotient between the
neighbouring values of the axis, one below and one above (at the ends: the value itself and its neighbour),
all other axes equal. Of a sample it is one number an axis: the least-squares fit of ln s to the logarithms.

Start with :func:`whatif`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simpar.errors import InputError, Problem
from simpar.result import SCHEMA, notebook
from simpar.result.rows import write_csv
from simpar.scenario import Scenario, change
from simpar.scenario.spans import spell_value
from simpar.study.axes import OPTION, Axis, Plan, Vary, plan
from simpar.study.compare import as_scenario
from simpar.study.points import Point, common_notes, labels, points_csv
from simpar.study.runs import Kept, RunProgress, simulate_all
from simpar.study.store import Store

MOST_WRONG = 3
"""Wrong values of one axis that are shown."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one axis does to the step of one strategy."""

    path: str
    strategy: str
    elasticity: tuple[float | None, ...]
    """d ln step / d ln value: of a grid one a point, None where it has none; of a sample only one."""

    @property
    def known(self) -> list[float]:
        """Those that there are, ascending."""
        return sorted(one for one in self.elasticity if one is not None)


@dataclass(frozen=True, slots=True)
class Switch:
    """Two neighbouring points with different winners."""

    path: str
    """The axis along which they are neighbours."""
    before: int
    after: int
    """Numbers of the points."""


@dataclass(frozen=True)
class Study:
    """Every strategy of a scenario at each point."""

    scenario: str
    seed: int
    axes: tuple[Axis, ...]
    layout: str
    """``grid``: every combination, row-major, the last axis fastest; ``zip``: in step; ``sample``."""
    points: tuple[Point, ...]
    labels: Mapping[str, str]
    """What people read, by the name of each strategy, in the order of the file."""

    def __repr__(self) -> str:
        """Return what was varied, in one line."""
        paths = ", ".join(axis.path for axis in self.axes)
        count = len(self.points)
        return f"<Study of {self.scenario!r}: {len(self.labels)} strategies at {count} points of {paths}>"

    def _repr_html_(self) -> str:
        """Return samples per second at each point as a small table, as notebooks show it."""
        header = [*(axis.path for axis in self.axes), *self.labels, "fastest"]
        rows = [
            [
                *map(spell_value, point.settings.values()),
                *(notebook.rate(point.row(name)) for name in self.labels),
                ", ".join(names),
            ]
            for point, names in zip(self.points, self.fastest, strict=True)
        ]
        return notebook.table(f"{self.scenario}: {self.facts['unit']}/s", header, rows, left=len(self.axes))

    @property
    def zipped(self) -> bool:
        """Whether each axis has one value a point, as in a zip and in a sample."""
        return self.layout != "grid"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the head of a table says, of the first point that could be simulated."""
        return next(point.comparison.facts for point in self.points if point.comparison)

    @property
    def fastest(self) -> list[tuple[str, ...]]:
        """The fastest strategy at each point, several where they are as fast; () where none has figures."""
        return [point.fastest(self.labels) for point in self.points]

    @property
    def winners(self) -> list[str | None]:
        """The first of the fastest strategies at each point; None where none has figures."""
        return [names[0] if names else None for names in self.fastest]

    @property
    def switches(self) -> list[Switch]:
        """Where the winner changes along an axis, all others equal; in the order of the points."""
        if self.layout == "sample":
            return []
        winners = self.winners
        return [
            Switch(path, before, after)
            for path, before, after in sorted(self._neighbours(), key=lambda one: one[1:])
            if winners[before] is not None
            and winners[after] is not None
            and winners[before] != winners[after]
        ]

    def _strides(self) -> list[int]:
        """Return, of each axis of a grid, how far apart in the points its neighbouring values are."""
        counts = [len(axis.values) for axis in self.axes]
        return [math.prod(counts[index + 1 :]) for index in range(len(counts))]

    def _neighbours(self) -> Iterator[tuple[str, int, int]]:
        """Return (path, point, point) of every two neighbours along an axis."""
        if self.layout == "zip":
            path = ", ".join(axis.path for axis in self.axes)
            yield from ((path, number, number + 1) for number in range(len(self.points) - 1))
            return
        for axis, stride in zip(self.axes, self._strides(), strict=True):
            for number in range(len(self.points)):
                if number // stride % len(axis.values) < len(axis.values) - 1:
                    yield axis.path, number, number + stride

    @property
    def sensitivities(self) -> list[Sensitivity]:
        """The elasticities of every strategy along every axis of numbers; of a zip only if it is one axis."""
        if self.layout == "sample":
            return _fitted(self)
        if self.layout == "zip" and len(self.axes) > 1:
            return []
        strides = [1] if self.layout == "zip" else self._strides()
        found = []
        for axis, stride in zip(self.axes, strides, strict=True):
            numbers = axis.numbers  # once: reading them takes longer than all the rest
            if numbers is None or len(numbers) < 2:
                continue
            for name in self.labels:
                each = tuple(self._elasticity(name, numbers, stride, n) for n in range(len(self.points)))
                found.append(Sensitivity(axis.path, name, each))
        return found

    def _elasticity(self, name: str, numbers: Sequence[float], stride: int, number: int) -> float | None:
        """Return the difference quotient at one point; None where a figure is missing."""
        here = number // stride % len(numbers)
        low, high = max(here - 1, 0), min(here + 1, len(numbers) - 1)
        ends = [(self.points[number + (one - here) * stride].row(name), one) for one in (low, high)]
        logs = [_logs(row.step_s if row else None, numbers[one]) for row, one in ends]
        if logs[0] is None or logs[1] is None or self.points[number].row(name) is None:
            return None
        (s0, v0), (s1, v1) = logs[0], logs[1]
        return None if v0 == v1 else (s1 - s0) / (v1 - v0)

    @property
    def notes(self) -> list[str]:
        """What a reader should know of all points, and which axes change no figure."""
        return [*self._without_effect(), *common_notes(self.points)]

    def _without_effect(self) -> list[str]:
        if self.layout != "grid":
            return []
        changed = {
            path
            for path, before, after in self._neighbours()
            if self._figures(before) != self._figures(after)
        }
        return [
            f"{axis.path} had no effect: the figures are the same at each of its values"
            for axis in self.axes
            if len(axis.values) > 1 and axis.path not in changed
        ]

    def _figures(self, number: int) -> list[Any]:
        point = self.points[number]
        rows = sorted(point.comparison.rows if point.comparison else (), key=lambda row: row.name)
        return [(row.name, row.step_s, row.samples_per_s, row.memory_bytes, row.usd_per_hour) for row in rows]

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar whatif --json`` prints it."""
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "seed": self.seed,
            "layout": self.layout,
            "axes": [{"path": axis.path, "values": list(axis.values)} for axis in self.axes],
            "runs": [point.to_dict() for point in self.points],
            "sensitivities": [
                {"path": one.path, "strategy": one.strategy, "elasticity": list(one.elasticity)}
                for one in self.sensitivities
            ],
            "notes": self.notes,
        }

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a line for each strategy at each point as CSV, and write it to *path* if one is given."""
        text = points_csv(self.points, *(axis.path for axis in self.axes))
        if path is not None:
            write_csv(path, text)
        return text


def _logs(step_s: float | None, number: float) -> tuple[float, float] | None:
    """Return the logarithms of a step and of a value; None where one of them has none."""
    return (math.log(step_s), math.log(number)) if step_s and step_s > 0 and number > 0 else None


def _fitted(study: Study) -> list[Sensitivity]:
    """Return the elasticities of a sample: ln step fitted to the logarithms of all axes of numbers."""
    axes = [
        axis for axis in study.axes if axis.numbers and min(axis.numbers) > 0 < len(set(axis.numbers)) - 1
    ]
    found = []
    for name in study.labels if axes else ():
        steps = [(n, row.step_s) for n, point in enumerate(study.points) if (row := point.row(name))]
        rows = [n for n, _ in steps]
        columns = [[math.log(axis.numbers[n]) for n in rows] for axis in axes if axis.numbers]
        matrix = np.array([*columns, [1.0] * len(rows)]).T
        fit: list[float | None] = [None] * len(axes)
        if len(rows) > len(axes) and np.linalg.matrix_rank(matrix) == len(axes) + 1:
            logs = np.array([math.log(step) for _, step in steps if step])
            fit = [float(one) for one in np.linalg.lstsq(matrix, logs, rcond=None)[0][:-1]]
        found += [Sensitivity(axis.path, name, (one,)) for axis, one in zip(axes, fit, strict=True)]
    order = [axis.path for axis in axes]
    return sorted(found, key=lambda one: order.index(one.path))


def whatif(
    scenario: Scenario | str | os.PathLike[str],
    vary: Vary,
    *,
    set: Mapping[str, object] | None = None,
    zip: bool = False,
    sample: int | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    progress: RunProgress | None = None,
) -> Study:
    """Simulate every strategy of *scenario* at each combination of settings.

    Args:
        vary: values by path: a list, or text such as ``10 Gbit/s,25 Gbit/s`` or ``1:64:x2``.
        set: settings to change first, by path.
        zip: take the values of all axes in step instead of combining them.
        sample: draw so many points by Latin hypercube instead.
        jobs: processes; None is one a core.
        cluster: a Dask scheduler to run on instead, ``dask://HOST:PORT``.
        store: the file in which finished runs are kept, and found again; None keeps none.

    Raises:
        InputError: the scenario, an axis, the store or the cluster is wrong, or nothing can be simulated.
    """
    scenario = as_scenario(scenario, set)
    if jobs is not None and jobs < 1:
        raise InputError([Problem("", 0, 0, "--jobs", f"{jobs} is less than 1", "write 1 or more")])
    if cluster is not None:
        from simpar.study.cluster import check

        check(cluster)
    planned = plan(scenario, vary, zip, sample)
    settings = planned.settings
    opened = store if isinstance(store, Store) or store is None else Store.open(store)
    try:
        kept = Kept({}, {})
        kept.look_up(scenario, settings, opened, _firsts(planned))
        _check_values(scenario, planned, settings, kept.outcomes)
        points = simulate_all(
            scenario, settings, jobs=jobs, cluster=cluster, store=opened, kept=kept, progress=progress
        )
    finally:
        if opened is not None and opened is not store:
            opened.close()
    return Study(
        scenario=scenario.name,
        seed=scenario.run.seed,
        axes=planned.axes,
        layout=planned.layout,
        points=tuple(points),
        labels=labels(scenario, points),
    )


def _check_values(
    scenario: Scenario, planned: Plan, settings: Sequence[Mapping[str, Any]], known: Container[int]
) -> None:
    """Refuse values that are wrong in themselves, wherever the other axes stand, before anything runs.

    One that is wrong alone, but not beside those of the first point that has it, is no mistake. Nor is one
    whose first point is *known* to be right. Of one axis a few are shown: where one value of a range is
    wrong, often all are.
    """
    problems: list[Problem] = []
    for number, axis in enumerate(planned.axes, 1):
        wrong: list[Problem] = []
        for index, value in enumerate(axis.values):
            first = index if planned.layout != "grid" else _first_with(planned, axis, index)
            if first in known or not _wrong_at(scenario, {axis.path: value}, 1):
                continue
            wrong += _wrong_at(scenario, settings[first], number)
            left = len(axis.values) - index - 1
            if len(wrong) >= MOST_WRONG and left:
                said = f"{left:,} more value{'' if left == 1 else 's'} not looked at"
                wrong.append(Problem("", 0, 0, axis.path, said, "mend these first"))
                break
        problems += wrong
    if problems:
        unplaced = [Problem(OPTION, 0, 0, one.path, one.message, one.fix) for one in problems]
        raise InputError(dict.fromkeys(unplaced))


def _firsts(planned: Plan) -> set[int]:
    """Return the numbers of all points that are the first with some value."""
    if planned.layout != "grid":
        return set(range(len(planned.axes[0].values)))
    return {_first_with(planned, axis, index) for axis in planned.axes for index in range(len(axis.values))}


def _first_with(planned: Plan, axis: Axis, index: int) -> int:
    """Return the number of the first point of a grid at which *axis* has its value *index*."""
    after = planned.axes[planned.axes.index(axis) + 1 :]
    return index * math.prod(len(one.values) for one in after)


def _wrong_at(scenario: Scenario, changes: Mapping[str, Any], number: int) -> list[Problem]:
    """Return the problems with *changes* that are placed at the one with *number*."""
    try:
        change(scenario, changes, OPTION)
    except InputError as error:
        return [one for one in error.problems if (one.file, one.line) == (OPTION, number)]
    return []
