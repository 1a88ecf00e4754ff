"""Many comparisons of one scenario, each with other settings: what a study of an axis is made of.

A point that cannot be simulated, or a strategy that cannot at a point, does not stop the others: it says why.
Start with :func:`simulate_points`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.errors import InputError, Problem
from simpar.result import Comparison, Row
from simpar.result.rows import CSV_HEADER, csv_cells
from simpar.scenario import Scenario, change_each
from simpar.scenario.spans import spell_value
from simpar.study.compare import Progress, compare_each

EQUAL = 1 - 1e-9
"""Share of the most samples per second from which on strategies are equally fast."""


@dataclass(frozen=True, slots=True)
class Point:
    """One comparison: the settings that make it differ from the scenario, and what came out."""

    settings: Mapping[str, Any]
    """By path, as ``--set`` takes them; the first is the one that the study is about."""

    comparison: Comparison | None
    """Of the strategies that can be simulated here, without traces; None where none can."""

    refused: Mapping[str, str]
    """Why the others cannot, by the name of the strategy."""

    def row(self, name: str) -> Row | None:
        """Return the figures of the strategy called *name*; None where it has none here."""
        row = self.comparison.get(name) if self.comparison else None
        return row if row is not None and row.step_s is not None else None

    def fastest(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of *names* has the most samples per second, all of them where several have."""
        rates = {name: row.samples_per_s or 0.0 for name in names if (row := self.row(name))}
        most = max(rates.values(), default=0.0)
        return tuple(name for name, rate in rates.items() if rate >= EQUAL * most)

    def why_not(self, name: str) -> str | None:
        """Return why the strategy called *name* has no figures here, None where it has."""
        row = self.comparison.get(name) if self.comparison else None
        if row is not None and not row.fits:
            return row.notes[0].removeprefix(f"{name} ") if row.notes else "does not fit in memory"
        return self.refused.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Return the point as ``--json`` prints it: its rows are those of ``simpar compare --json``."""
        rows = self.comparison.rows if self.comparison else ()
        return {
            "point": dict(self.settings),
            "strategies": [row.to_dict() for row in rows],
            "refused": dict(self.refused),
        }


def simulate_points(
    scenario: Scenario,
    settings: Sequence[Mapping[str, Any]],
    option: str,
    progress: Progress | None = None,
) -> list[Point]:
    """Compare the strategies of *scenario* with each of *settings*, in order.

    Args:
        settings: values by path, for each point.
        option: what problems with them name: ``--scale``.

    Raises:
        InputError: nothing can be simulated at any point; ``problems`` says why, at each.
    """
    points: list[Point] = []
    problems: list[Problem] = []
    count = len(settings) * len(scenario.strategies)
    for index, changes in enumerate(settings):

        def report(
            name: str, number: int, strategies: int, done: int, total: int, index: int = index
        ) -> None:
            if progress:
                at = next(iter(settings[index].values()))
                progress(f"{name} at {at}", index * strategies + number, count, done, total)

        try:
            changed, unfit = change_each(scenario, changes, option)
            found, wrong = compare_each(changed, report)
            wrong |= unfit
        except InputError as error:
            found, wrong = None, {one.name: list(error.problems) for one in scenario.strategies}
        problems += [problem for each in wrong.values() for problem in each]
        refused = {name: said(each[0]) for name, each in wrong.items()}
        points.append(Point(changes, found, refused))
    if all(point.comparison is None for point in points):
        raise InputError(dict.fromkeys(problems))
    return points


def said(problem: Problem) -> str:
    """Return what is wrong and what to write, without the place."""
    return f"{problem.message}; {problem.fix}" if problem.fix else problem.message


def labels(scenario: Scenario, points: Sequence[Point]) -> dict[str, str]:
    """Return what people read for each strategy: its label, where that is its own and the same everywhere."""
    found: dict[str, set[str]] = {}
    for strategy in scenario.strategies:
        rows = [point.comparison.get(strategy.name) for point in points if point.comparison]
        found[strategy.name] = {row.label for row in rows if row}
    counts = Counter(label for labels in found.values() for label in labels)
    return {
        name: next(iter(labels)) if len(labels) == 1 and all(counts[one] == 1 for one in labels) else name
        for name, labels in found.items()
    }


def common_notes(points: Sequence[Point]) -> list[str]:
    """Return the notes on the scenario as a whole that hold at every point."""
    each = [point.comparison.notes for point in points if point.comparison is not None]
    return [note for note in dict.fromkeys(each[0]) if all(note in notes for notes in each)] if each else []


def points_csv(points: Sequence[Point], *columns: str) -> str:
    """Return all rows of all points as CSV; the first *columns* are the values of the point's settings."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*columns, *CSV_HEADER, "refused"])
    for point in points:
        values = [spell_value(value) for value in point.settings.values()][: len(columns)]
        for row in point.comparison.rows if point.comparison else ():
            writer.writerow([*values, *csv_cells(row), None])
        for name, why in point.refused.items():
            cells = [name if key == "name" else None for key in CSV_HEADER]
            writer.writerow([*values, *cells, why])
    return out.getvalue()
