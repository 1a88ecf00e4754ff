"""What a study varies: settings with their values, and the points that these make.

The points are the cross product of the values, the last axis fastest; or, *zipped*, the first values of all,
then the second; or a *sample*, by Latin hypercube: of N points exactly one lies in each N-th of every axis,
drawn with the seed of the scenario. Start with :func:`plan`.

Source of the sample: McKay, Beckman and Conover, Technometrics 21(2), 1979.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simpar.errors import InputError, Problem
from simpar.scenario import Scenario
from simpar.scenario.overrides import locate
from simpar.scenario.spans import Span, expand, number_of, read_values, size

OPTION = "--vary"
"""What problems with an axis name."""

MOST_POINTS = 100_000
"""Points that one study may have."""

Vary = Mapping[str, str | Sequence[Any]] | Sequence[tuple[str, str]]
"""Values by path: text as the command line takes it, or a list of plain values."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting and the values that it takes."""

    path: str
    values: tuple[Any, ...]
    """As written: numbers, true or false, or text with a unit. Of a zipped or sampled study one a point."""

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The values in SI units; None where they are not all numbers."""
        found = [number_of(value) for value in self.values]
        return None if any(one is None for one in found) else tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The axes of a study and how their values make points: ``grid``, ``zip`` or ``sample``."""

    axes: tuple[Axis, ...]
    layout: str

    @property
    def settings(self) -> list[dict[str, Any]]:
        """What each point sets, by path; row-major, the last axis fastest."""
        paths = [axis.path for axis in self.axes]
        values = [axis.values for axis in self.axes]
        rows = itertools.product(*values) if self.layout == "grid" else zip(*values, strict=True)
        return [dict(zip(paths, row, strict=True)) for row in rows]


def plan(scenario: Scenario, vary: Vary, zipped: bool = False, sample: int | None = None) -> Plan:
    """Return the axes of a study of *scenario*.

    Args:
        zipped: the values of all axes in step, instead of every combination.
        sample: draw so many points; a range stands for all that lies between its ends.

    Raises:
        InputError: an axis is wrong or given twice, a zip is uneven, or there are too many points.
    """
    pairs = list(vary.items()) if isinstance(vary, Mapping) else list(vary)
    if not pairs:
        raise _wrong(
            "", "nothing is varied", "write PATH=VALUES, as in network.bandwidth='10 Gbit/s,25 Gbit/s'"
        )
    if zipped and sample is not None:
        raise InputError(
            [Problem("", 0, 0, "--sample", "draws each axis by itself", "leave --zip or --sample out")]
        )
    if sample is not None and not 1 <= sample <= MOST_POINTS:
        fix = f"write 1 to {MOST_POINTS}"
        raise InputError([Problem("", 0, 0, "--sample", f"{sample} is no number of points", fix)])
    _check_paths(scenario, [path for path, _ in pairs])
    problems: list[Problem] = []
    given: list[tuple[str, list[Any]]] = []
    for path, values in pairs:
        try:
            given.append((path, _items(path, values)))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if sample is not None:
        return Plan(_sampled(given, sample, scenario.run.seed), "sample")
    if not zipped:
        _check_size(given)
    instead = "" if zipped else ", or --sample N"
    axes = tuple(Axis(path, tuple(expand(items, path, OPTION, instead))) for path, items in given)
    if zipped and len({len(axis.values) for axis in axes}) > 1:
        counts = ", ".join(f"{axis.path} has {len(axis.values)}" for axis in axes)
        raise InputError([Problem("", 0, 0, "--zip", f"needs as many values on each axis: {counts}", "")])
    return Plan(axes, "zip" if zipped else "grid")


def _wrong(path: str, message: str, fix: str = "") -> InputError:
    return InputError([Problem(OPTION, 0, 0, path, message, fix)])


def _items(path: str, values: str | Sequence[Any]) -> list[Any]:
    """Return the values of one axis, ranges not written out."""
    if isinstance(values, str):
        return read_values(values, path, OPTION)
    items = list(values)
    if not items:
        raise _wrong(path, "has no values")
    return items


def _check_paths(scenario: Scenario, paths: Sequence[str]) -> None:
    """Refuse paths that lead nowhere, that are given twice, and one that another would overwrite."""
    problems: list[Problem] = []
    found: list[tuple[str, tuple[str | int, ...]]] = []
    for path in paths:
        try:
            here = locate(scenario.written.data, path)
        except InputError as error:
            problems += [Problem(OPTION, 0, 0, one.path, one.message, one.fix) for one in error.problems]
            continue
        for other, there in found:
            if here == there:
                problems += _wrong(path, f"is the same as {other}", "write all its values at once").problems
            elif there[: len(here)] == here:
                problems += _wrong(path, f"would overwrite {other}", f"write {path} first").problems
        found.append((path, here))
    if problems:
        raise InputError(dict.fromkeys(problems))


def _check_size(given: Sequence[tuple[str, Sequence[Any]]]) -> None:
    counts = [size(items) for _, items in given]
    if len(counts) > 1 and math.prod(counts) > MOST_POINTS:
        factors = " x ".join(f"{count:,}" for count in counts)
        said = f"{factors} makes {math.prod(counts):,} points"
        fix = f"at most {MOST_POINTS:,}: fewer values, or --sample N for N points among them"
        raise InputError([Problem("", 0, 0, OPTION, said, fix)])


def _sampled(given: Sequence[tuple[str, Sequence[Any]]], count: int, seed: int) -> tuple[Axis, ...]:
    """Return axes of *count* values that are a Latin hypercube."""
    rng = np.random.default_rng(seed)
    axes = []
    for path, items in given:
        shares = (rng.permutation(count) + rng.random(count)) / count
        span = items[0] if len(items) == 1 else None
        if isinstance(span, Span):
            values = [span.at(float(share)) for share in shares]
        else:
            listed = expand(items, path, OPTION)
            values = [listed[int(share * len(listed))] for share in shares]
        axes.append(Axis(path, tuple(values)))
    return tuple(axes)
