"""How times vary: the section ``variation``, and the files of measured times that it names.

A factor of 1 is the time that the rest of the scenario gives. Which settings belong to which kind of
distribution is checked in :func:`check_variation`, with line and column.
"""

from __future__ import annotations

import math
import os
import re
from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from simpar import units
from simpar.errors import Problem, one_line
from simpar.scenario.fields import (
    LEAST,
    AtLeastZero,
    Checked,
    Choice,
    Quantity,
    Share,
    Strict,
    Whole,
    complaint,
)
from simpar.scenario.report import Report
from simpar.scenario.words import Path
from simpar.units import shown

MOST_VALUES = 1_000_000
"""Times that one file may hold."""

MOST_PROBLEMS = 20
"""Lines of such a file that are said to be wrong, one by one."""

LARGEST_BYTES = 50_000_000
"""Largest file of times that is read."""

_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)


class Mean(float):
    """A factor of the nominal time, or with ``in_seconds`` a time of its own."""

    in_seconds: bool = False

    @classmethod
    def of_seconds(cls, seconds: float) -> Mean:
        """Return a mean that is a time."""
        made = cls(seconds)
        made.in_seconds = True
        return made


class _MeanField(Checked):
    """A plain number above zero, or a duration with its unit."""

    _factor = Share(1e6, 1e-3)
    _duration = Quantity("duration", "1e-9 s", "1e6 s")

    def read(self, value: Any) -> Mean:
        """Return *value*; raise what is wrong with it otherwise."""
        if not isinstance(value, str):
            return Mean(self._factor.read(value))
        try:
            units.parse(value, "duration")
        except units.UnitError:
            fix = "write 1 for the nominal time, another factor, or a time like '180 ms'"
            raise complaint(f"{shown(value)} is neither a factor nor a time", fix) from None
        return Mean.of_seconds(self._duration.read(value))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6}
        return {"anyOf": [number, {"type": "string", "examples": ["180 ms"]}]}


_SPELLINGS = (("log-normal", "lognormal"), ("log_normal", "lognormal"), ("two_point", "two-point"))


class DistributionSpec(Strict):
    """How a factor of times is distributed."""

    kind: Annotated[
        Literal[
            "constant",
            "normal",
            "lognormal",
            "exponential",
            "uniform",
            "pareto",
            "two-point",
            "empirical",
        ],
        Choice("distribution", spellings=_SPELLINGS),
    ]
    """Its family."""

    mean: Annotated[Mean, _MeanField()] | None = None
    """Its mean: 1 for the nominal time, another factor of it, or (of compute) a time like '180 ms'."""

    cv: Annotated[float, AtLeastZero(100.0)] | None = None
    """Its coefficient of variation, standard deviation over mean."""

    low: Annotated[float, Share(1e6)] | None = None
    """Least factor of a uniform one."""

    high: Annotated[float, Share(1e6)] | None = None
    """Greatest factor of a uniform one."""

    shape: Annotated[float, Share(1000.0)] | None = None
    """Exponent of a Pareto one's tail, above 1; the smaller, the heavier."""

    factor: Annotated[float, Share(1e6, 1e-3)] | None = None
    """Of a two-point one: how many times as long slow ones take."""

    probability: Annotated[float, Share(1.0)] | None = None
    """Of a two-point one: how often times are slow."""

    file: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Of an empirical one: a file with one measured time a line; only their proportions count."""


class StragglerSpec(Strict):
    """A worker that is slow for ever, or workers that are slow now and then."""

    worker: Annotated[int, Whole(0, 99_999)] | None = None
    """Which worker, from 0; by default every one."""

    factor: Annotated[float, Share(1e4, 1e-3)]
    """How many times as long it takes to compute."""

    probability: Annotated[float, Share(1.0)] | None = None
    """Chance that a slow spell begins in an iteration; without it the worker is slow for ever."""

    steps: Annotated[int, Whole(1, 1_000_000)] | None = None
    """Iterations that a slow spell lasts, 1 by default."""


class VariationSpec(Strict):
    """What makes one step different from the next."""

    compute: DistributionSpec | None = None
    """Of the compute of each worker in each iteration."""

    link: DistributionSpec | None = None
    """Of the time that messages of each worker are on their links, in each iteration."""

    server: DistributionSpec | None = None
    """Of the time of each addition and update at the parameter servers."""

    stragglers: Annotated[tuple[StragglerSpec, ...], Field(min_length=1, max_length=20)] | None = None
    """Workers that are slow, for ever or now and then."""

    replications: Annotated[int, Whole(1, 10_000)] | None = None
    """Runs with draws of their own; 21 by default where anything is drawn at random."""


DISTRIBUTED = ("compute", "link", "server")
"""Keys of the section that hold a distribution."""

_SETTINGS: dict[str, tuple[tuple[str, ...], ...]] = {
    "constant": (("mean",),),
    "normal": (("mean", "cv"),),
    "lognormal": (("mean", "cv"),),
    "exponential": (("mean",), ("mean", "cv")),
    "uniform": (("mean", "cv"), ("low", "high")),
    "pareto": (("mean", "shape"), ("mean", "cv")),
    "two-point": (("factor", "probability"), ("mean", "factor", "probability")),
    "empirical": (("file",), ("mean", "file")),
}
"""Settings beside ``kind``, by kind: one of these sets, whole."""

_EXAMPLES = {
    "mean": "1",
    "cv": "0.1",
    "shape": "3",
    "file": "times.txt",
    "factor": "5",
    "probability": "0.02",
}
_EXAMPLES |= {"low": "0.9", "high": "1.1"}

_MOST_CV = {"normal": 1 / 3, "exponential": 1.0, "uniform": 1 / math.sqrt(3)}


def check_variation(section: dict[str, Any], workers: Any, report: Report) -> None:
    """Note in *report* what does not go together in the raw *section*; *workers* is what the cluster says."""
    here: Path = ("variation",)
    for key in DISTRIBUTED:
        given = section.get(key)
        if isinstance(given, dict) and report.clean((*here, key, "kind")):
            _check_distribution(given, (*here, key), report)
    stragglers = section.get("stragglers")
    for index, one in enumerate(stragglers if isinstance(stragglers, list) else ()):
        if isinstance(one, dict):
            _check_straggler(one, (*here, "stragglers", index), workers, report)


def _check_distribution(given: dict[str, Any], here: Path, report: Report) -> None:
    kind = given.get("kind")
    kind = dict(_SPELLINGS).get(kind, kind) if isinstance(kind, str) else None
    if kind not in _SETTINGS:
        return  # said already
    sets = _SETTINGS[kind]
    settings = [key for key in given if key != "kind" and given[key] is not None]
    allowed = {key for one in sets for key in one}
    for key in settings:
        if key in _EXAMPLES and key not in allowed:
            said = f"{key!r} is no setting of {_a(kind)} distribution"
            report.add((*here, key), said, f"it takes {_either(sets)}", key=True)
    mine = [key for key in settings if key in allowed]
    if not any(set(mine) == set(one) for one in sets):
        # The set that most of what is written belongs to; the first of equals.
        best = max(sets, key=lambda one: len(set(mine) & set(one)) - len(set(mine) - set(one)))
        for key in [key for key in mine if key not in best]:
            report.add((*here, key), f"{key!r} does not go with the rest", f"write {_either(sets)}", key=True)
        missing = [key for key in best if key not in mine]
        if missing:
            needs = " and ".join(f"'{key}: {_EXAMPLES[key]}'" for key in missing)
            no_mean = "a distribution without a mean" if missing == ["mean"] else f"{_a(kind)} distribution"
            report.add(here, f"{no_mean} needs {' and '.join(missing)}", f"write {needs}")
    _check_numbers(given, kind, here, report)
    mean = given.get("mean")
    if here[-1] != "compute" and isinstance(mean, str) and report.clean((*here, "mean")):
        said = f"{shown(mean)} is a time, and {here[-1]} times differ from message to message"
        report.add((*here, "mean"), said, "write a factor: 1 for the nominal time")


def _check_numbers(given: dict[str, Any], kind: str, here: Path, report: Report) -> None:
    """Note figures that no distribution of this kind can have."""
    cv, shape = given.get("cv"), given.get("shape")
    if isinstance(cv, (int, float)) and report.clean((*here, "cv")):
        most = _MOST_CV.get(kind)
        if most is not None and cv > most:
            fix = "write lognormal, which is never negative" if kind != "exponential" else "write lognormal"
            report.add((*here, "cv"), f"{_a(kind)} time has a cv of {most:.3g} at most", fix)
        if kind == "pareto" and cv == 0:
            report.add((*here, "cv"), "a pareto distribution varies", "write constant, or a cv above 0")
    if kind == "pareto" and isinstance(shape, (int, float)) and shape <= 1 and report.clean((*here, "shape")):
        said = f"a pareto distribution of shape {shape:g} has no mean"
        report.add((*here, "shape"), said, "write a shape above 1")
    low, high = given.get("low"), given.get("high")
    if (
        isinstance(low, (int, float))
        and isinstance(high, (int, float))
        and report.clean((*here, "low"), (*here, "high"))
        and low > high
    ):
        report.add((*here, "low"), f"low {low:g} is above high {high:g}", "exchange them")


def _a(kind: str) -> str:
    """Return a kind of distribution with its article."""
    return f"{'an' if kind[0] == 'e' else 'a'} {kind}"


def _either(sets: tuple[tuple[str, ...], ...]) -> str:
    return ", or ".join(" and ".join(one) for one in sets)


def _check_straggler(one: dict[str, Any], here: Path, workers: Any, report: Report) -> None:
    worker = one.get("worker")
    if worker is None and one.get("probability") is None and report.clean(here):
        fix = "write 'worker: 3', or 'probability: 0.02'"
        report.add(here, "every worker slow for ever is a slower device", fix)
    if one.get("steps") is not None and one.get("probability") is None and report.clean(here):
        fix = "add 'probability: 0.02' or remove it"
        report.add((*here, "steps"), "'steps' does nothing without 'probability'", fix, key=True)
    if (
        isinstance(worker, int)
        and isinstance(workers, int)
        and report.clean((*here, "worker"), ("cluster", "workers"))
        and worker >= workers > 0
    ):
        said = f"there is no worker {worker}"
        report.add((*here, "worker"), said, f"write 0 to {workers - 1}" if workers > 1 else "write 0")


def read_times(folder: str, name: str, report: Report, path: Path) -> tuple[float, ...] | None:
    """Return the times in the file *name*, None where it is wrong; all its problems are noted.

    One positive number a line, all of them plain or each with a unit; '#' begins a comment.
    """
    file = os.path.join(folder, name)
    try:
        if not os.path.isfile(file):
            raise FileNotFoundError
        if os.path.getsize(file) > LARGEST_BYTES:
            said = f"{shown(name)} has more than {LARGEST_BYTES // 10**6} MB"
            report.add(path, said, f"{MOST_VALUES:,} times are enough")
            return None
        with open(file, encoding="utf-8-sig") as opened:  # some editors begin with a mark
            text = opened.read()
    except UnicodeDecodeError:
        report.add(path, f"{shown(name)} is not text", "write one time a line")
        return None
    except (OSError, ValueError):
        report.add(path, f"{shown(name)} is not a file", "give its path from the folder of this file")
        return None
    return _times(text, name, file, report, path)


def _times(text: str, name: str, file: str, report: Report, path: Path) -> tuple[float, ...] | None:
    """Return the times in *text*, None where it is wrong.

    Args:
        name: the file as the scenario names it.
        file: the same file as one opens it from here; it is what problems with a line name.
    """
    values: list[float] = []
    problems = last = 0
    with_unit: bool | None = None
    for number, line in enumerate(text.splitlines(), 1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        if len(values) >= MOST_VALUES:
            report.add(path, f"{shown(name)} holds more than {MOST_VALUES:,} times", "keep a sample of them")
            return None
        wrong, value, has_unit = _time(written)
        if not wrong and with_unit is not None and has_unit != with_unit:
            wrong = "has a unit, and others have none" if has_unit else "has no unit, and others have one"
        if wrong:
            problems += 1
            if problems <= MOST_PROBLEMS:
                said = f"{shown(one_line(written[:60]))} {wrong}"
                fix = "write one time above zero a line"
                report.problems.append(Problem(one_line(file), number, 1, "", said, fix))
                report.spoil(path)
            last = number
            continue
        with_unit = has_unit
        values.append(value)
    if problems > MOST_PROBLEMS:
        more = f"{problems - MOST_PROBLEMS} more lines are wrong, the last of them this one"
        report.problems.append(Problem(one_line(file), last, 1, "", more, "mend all of them"))
    if problems:
        return None
    if not values:
        report.add(path, f"{shown(name)} holds no times", "write one time above zero a line")
        return None
    return tuple(values)


def _time(written: str) -> tuple[str, float, bool]:
    """Return (what is wrong, value, whether it has a unit) of one line."""
    has_unit = _NUMBER.fullmatch(written) is None
    if has_unit:
        try:
            value = units.parse(written, "duration")
        except units.UnitError:
            return "is not a time", 0.0, True
    else:
        value = float(written)
    if not (math.isfinite(value) and 0 < value < 1e12):
        return "is not above zero and finite", value, has_unit
    if value < LEAST:
        return f"is less than {LEAST:g}, next to nothing", value, has_unit
    return "", value, has_unit
