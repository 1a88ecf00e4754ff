"""How many workers until it stops paying: every strategy at each number of workers.

Scaling is *weak* where every worker has a batch of its own (``model.batch``), so that more workers do more
samples a step; it is *strong* where all share one (``model.global_batch``). Servers, and everything else,
stay as the scenario has them.

What a worker is worth is one device alone, without communication: a speedup of 1. From W to W' workers the
*marginal efficiency* is (speedup(W') - speedup(W)) / (W' - W). A strategy *stops paying* at the smallest
number of workers from which on every next point has a marginal efficiency below :data:`HALF`: what is added
does less than half of what it is worth.

Start with :func:`scale`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.errors import InputError, Problem
from simpar.result import SCHEMA, Row, notebook
from simpar.result.rows import write_csv
from simpar.scenario import AnyScenario, ClusterSpec, Scenario
from simpar.scenario.ranges import whole_range
from simpar.scenario.words import did_you_mean
from simpar.study.compare import Progress, as_scenario
from simpar.study.points import Point, common_notes, labels, points_csv, simulate_points
from simpar.units import shown

OPTION = "--scale"
"""What problems with the axis name."""

HALF = 0.5
"""Marginal efficiency below which more workers do not pay."""

AXES = {"workers": "cluster.workers", "nodes": "cluster.nodes"}
"""What can be scaled, and the setting that does it."""


@dataclass(frozen=True)
class Scaling:
    """Every strategy of a scenario at each number of workers."""

    scenario: str
    seed: int
    axis: str
    """What is scaled: ``workers``."""
    path: str
    """The setting: ``cluster.workers``."""
    values: tuple[int, ...]
    strong: bool
    """Whether all workers share one batch, however many they are."""
    batch: int | None
    """Samples of each worker's step, of all together where *strong*; None where a profile says it."""
    points: tuple[Point, ...]
    """One a value."""
    labels: Mapping[str, str]
    """What people read, by the name of each strategy, in the order of the file."""

    def __repr__(self) -> str:
        """Return what was scaled, in one line."""
        values = ", ".join(map(str, self.values))
        return f"<Scaling of {self.scenario!r}: {len(self.labels)} strategies at {self.axis} {values}>"

    def _repr_html_(self) -> str:
        """Return samples per second as a small table, as notebooks show it."""
        header = ["strategy", *(f"{self.axis} {value}" for value in self.values), "stops paying"]
        rows = []
        for name, value in self.stops_paying.items():
            stops = "" if value is None else f"at {value} {self.axis}"
            rows.append(
                [self.labels[name], *(notebook.rate(point.row(name)) for point in self.points), stops]
            )
        return notebook.table(f"{self.scenario}: {self.facts['unit']}/s", header, rows)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the head of a table says, of the first point that could be simulated."""
        return next(point.comparison.facts for point in self.points if point.comparison)

    def curve(self, name: str) -> list[tuple[int, Row]]:
        """Return the strategy called *name* as (value, its figures), where it has any."""
        pairs = zip(self.values, self.points, strict=True)
        return [(value, row) for value, point in pairs if (row := point.row(name)) is not None]

    def workers(self, value: int) -> int:
        """Return the workers of the cluster at *value*."""
        comparison = self.points[self.values.index(value)].comparison
        return value if comparison is None else int(comparison.facts["workers"])

    @property
    def stops_paying(self) -> dict[str, int | None]:
        """By strategy, the value from which on every next one adds less than half of what it is worth.

        None where the last step still pays, or there is only one point.
        """
        return {name: self._stops_paying(name) for name in self.labels}

    def _stops_paying(self, name: str) -> int | None:
        found = None
        for (before, less), (after, more) in reversed([*itertools.pairwise(self.curve(name))]):
            assert less.speedup is not None
            assert more.speedup is not None
            added = self.workers(after) - self.workers(before)
            if more.speedup - less.speedup >= HALF * added:
                break
            found = before
        return found

    @property
    def fastest(self) -> tuple[int, Row] | None:
        """The value and the strategy with the most samples per second; None where nothing fits."""
        return max(self._all(), key=lambda one: one[1].samples_per_s or 0.0, default=None)

    @property
    def cheapest(self) -> tuple[int, Row] | None:
        """The value and the strategy with the least USD a sample; None without prices."""
        priced = [one for one in self._all() if one[1].usd_per_million_samples is not None]
        return min(priced, key=lambda one: one[1].usd_per_million_samples or 0.0, default=None)

    def _all(self) -> list[tuple[int, Row]]:
        return [one for name in self.labels for one in self.curve(name)]

    @property
    def notes(self) -> list[str]:
        """What a reader should know, of each strategy where it has most workers."""
        said = []
        for name in self.labels:
            curve = self.curve(name)
            said += [f"at {curve[-1][0]} {self.axis}: {note}" for note in curve[-1][1].notes] if curve else []
        return said + common_notes(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar compare --scale --json`` prints it."""
        cheapest = self.cheapest and {
            "value": self.cheapest[0],
            "strategy": self.cheapest[1].name,
            "usd_per_million_samples": self.cheapest[1].usd_per_million_samples,
        }
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "seed": self.seed,
            "axis": {"path": self.path, "values": list(self.values)},
            "scaling": "strong" if self.strong else "weak",
            "runs": [point.to_dict() for point in self.points],
            "stops_paying": self.stops_paying,
            "cheapest": cheapest,
            "notes": self.notes,
        }

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a line for each strategy at each value as CSV, and write it to *path* if one is given."""
        text = points_csv(self.points, self.path)
        if path is not None:
            write_csv(path, text)
        return text


def scale(
    scenario: AnyScenario,
    axis: str = "workers",
    values: str | int | Sequence[int] = "1:64:x2",
    *,
    set: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Scaling:
    """Simulate every strategy of *scenario* at each number of workers.

    Args:
        axis: ``workers``, or ``nodes``, machines of ``cluster.devices_per_node`` workers; either takes the
            place of the other where the scenario has that.
        values: a whole number, or several that rise, or a range like ``1:64:x2`` or ``1..8``.
        set: settings to change first, by path.

    Raises:
        InputError: the scenario, the axis or its values are wrong, or nothing can be simulated at any.
    """
    scenario = as_scenario(scenario, set)
    text = str(values) if isinstance(values, (str, int)) else ",".join(map(str, values))
    numbers = whole_range(text, OPTION)
    path = axis_path(axis)
    _check_speeds(scenario, path, numbers)
    points = simulate_points(scenario, [{path: number} for number in numbers], OPTION, progress)
    model = scenario.model
    return Scaling(
        scenario=scenario.name,
        seed=scenario.run.seed,
        axis=axis,
        path=path,
        values=tuple(numbers),
        strong=model.global_batch is not None,
        batch=model.batch if model.global_batch is None else model.global_batch,
        points=tuple(points),
        labels=labels(scenario, points),
    )


def read_axis(text: str) -> tuple[str, list[int]]:
    """Return the axis and the values of ``workers=1:64:x2``.

    Raises:
        InputError: there is no such axis, or the values are no range; ``problems`` has both.
    """
    axis, equals, values = text.partition("=")
    axis = axis.strip()
    problems: list[Problem] = []
    numbers: list[int] = []
    if not equals:
        said = f"{shown(text)} has no values" if text.strip() else "names no axis"
        raise InputError([Problem("", 0, 0, OPTION, said, "write workers=1:64:x2")])
    try:
        axis_path(axis)
    except InputError as error:
        problems += error.problems
    try:
        numbers = whole_range(values, OPTION)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return axis, numbers


def axis_path(axis: str) -> str:
    """Return the setting that *axis* stands for.

    Raises:
        InputError: there is no such axis.
    """
    known = {name: path for name, path in AXES.items() if path.split(".")[1] in ClusterSpec.model_fields}
    if axis not in known:
        said = f"{shown(axis)} cannot be scaled"
        raise InputError([Problem("", 0, 0, OPTION, said, did_you_mean(axis, tuple(known)))])
    return known[axis]


def _check_speeds(scenario: Scenario, path: str, numbers: Sequence[int]) -> None:
    """Refuse one speed a worker where the workers are not as many."""
    speeds = scenario.cluster.speed
    if speeds is None or path != AXES["workers"] or list(numbers) == [len(speeds)]:
        return
    said = f"gives {len(speeds)} speeds, and {OPTION} goes from {numbers[0]} to {numbers[-1]} workers"
    raise InputError([scenario.problem("cluster.speed", said, "remove it: there is one speed a worker")])
