"""The figure of a study of settings: what suits its axes.

One axis of numbers: a curve a strategy. One of words: a row a value, a mark a strategy. Two axes: a map of
which strategy is fastest, and of the step; three: such maps side by side (:mod:`simpar.show.plot_maps`).
Where the axes vary together, or are more than three: a panel an axis, a mark a point. What has one
value is in the head.

Start with :func:`whatif`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from simpar.result import Row
from simpar.show import marks
from simpar.show.scales import LEAD, Name, Scale, frame, names, scale
from simpar.show.sheet import (
    ALARM,
    FOOT,
    GAP,
    GRID,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Key,
    Sheet,
    batch_on,
    circumstances,
    footnote,
    inches,
    picture,
    printable,
    wrapped,
)
from simpar.study.points import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TALL = 3.0
_MOST_LABEL = 2.3
_MOST_PANELS = 8
"""Panels of a study whose axes vary together; of more axes the first."""
_PANEL = 1.7
_WORD = 0.95
"""Longest word at an axis of words, in inches."""
_STEP = "time of one step"
_EXACT = 10
"""Values up to which those that vary together stand at their axis; of more, round ones do."""


class AxisLike(Protocol):
    """One setting that varies."""

    @property
    def path(self) -> str:
        """As ``--set`` takes it."""

    @property
    def values(self) -> tuple[Any, ...]:
        """As written; where the axes vary together, one a point."""

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The same in SI units; None where they are not all numbers."""


class StudyLike(Protocol):
    """Every strategy of a scenario at each point."""

    @property
    def scenario(self) -> str:
        """Its name."""

    @property
    def seed(self) -> int:
        """Of everything drawn at random."""

    @property
    def axes(self) -> Sequence[AxisLike]:
        """What varies."""

    @property
    def points(self) -> Sequence[Point]:
        """Row-major over the axes, the last fastest; where they vary together, as their values."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What people read, by the name of each strategy."""

    @property
    def zipped(self) -> bool:
        """Whether the axes vary together, each with one value a point."""


def whatif(study: StudyLike, format: str = "svg", of: str | None = None) -> bytes:
    """Return *study* as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.
        of: the strategy whose step the maps of two or three axes show; by default the fastest of each point.

    Raises:
        KeyError: there is no strategy called *of*.
        ValueError: there is no such format, or nothing has figures at any point.
    """
    if of is not None and of not in study.labels:
        raise KeyError(f"no strategy {of!r}; there are: {', '.join(study.labels)}")
    if not any(row for name in study.labels for _, row in steps(study, name)):
        raise ValueError("nothing has figures at any point")
    return picture(lambda: _figure(study, of), format, study.scenario)


def _figure(study: StudyLike, of: str | None = None) -> Figure:
    """Choose the figure that suits the axes."""
    live = varying(study)
    if len(live) > 3 or (study.zipped and len(live) > 1):
        return _together(study, live)
    if len(live) >= 2:
        from simpar.show.plot_maps import maps

        return maps(study, live, of)
    axis = study.axes[live[0] if live else 0]
    return _curves(study, axis) if axis.numbers is not None and live else _rows(study, axis)


# -- what a study has ------------------------------------------------------------------------------


def varying(study: StudyLike) -> list[int]:
    """Return the numbers of the axes that have more than one value."""
    return [number for number, axis in enumerate(study.axes) if len(set(map(str, axis.values))) > 1]


def steps(study: StudyLike, name: str) -> list[tuple[int, Row | None]]:
    """Return (number, figures) of the strategy called *name* at every point; None where it has none."""
    return [(number, point.row(name)) for number, point in enumerate(study.points)]


def places(study: StudyLike) -> list[tuple[int, ...]]:
    """Return for every point the number of its value on each axis."""
    if study.zipped:
        return [(number,) * len(study.axes) for number in range(len(study.points))]
    return list(itertools.product(*(range(len(axis.values)) for axis in study.axes)))


def said(value: Any) -> str:
    """Return a value as a scenario writes it."""
    return printable(str(value).lower() if isinstance(value, bool) else str(value))


def heading(study: StudyLike, live: Sequence[int], keys: Sequence[Key], more: Sequence[str] = ()) -> Head:
    """Return the head of the figure: the model, what varies, what does not, and the legend."""
    facts = common_facts(study)
    paths = [study.axes[number].path for number in live] or [study.axes[0].path]
    what = ", ".join(paths[:-1]) + (" and " if len(paths) > 1 else "") + paths[-1]
    title = f"{facts.get('model') or study.scenario}: the step by {what}"
    fixed = [
        f"{axis.path} {said(axis.values[0])}"
        for number, axis in enumerate(study.axes)
        if number not in live and axis.path not in paths
    ]
    count = len(study.points)
    told = [f"{count} point" + ("" if count == 1 else "s")]
    told[0] += ", settings varied together" if study.zipped and len(live) > 1 else ""
    told += batch_on(facts)
    return Head(title, [*told, *fixed, *circumstances(facts, study.seed), *more], keys)


def common_facts(study: StudyLike) -> dict[str, Any]:
    """Return the facts that are the same at all points that have any."""
    each = [one.comparison.facts for one in study.points if one.comparison]
    first: Mapping[str, Any] = each[0] if each else {}
    return {key: value for key, value in first.items() if all(one.get(key) == value for one in each)}


def mark_keys(study: StudyLike) -> list[Key]:
    """Return a legend of all strategies by their marks."""
    return [marks.mark_key(label, number) for number, label in enumerate(study.labels.values())]


def in_unit(axis: AxisLike) -> tuple[list[float] | None, list[str], str]:
    """Return the values of *axis* as it is labelled: numbers, how they are written, and what stands beside.

    Where all values have one unit, it stands beside the axis, and numbers are in it; else they are the
    axis's own, and units stand at each. Numbers are None where the values are words.
    """
    texts = [said(value) for value in axis.values]
    if axis.numbers is None:
        return None, texts, axis.path
    parts = [_NUMBER.fullmatch(text) for text in texts]
    units = {part[2] for part in parts if part}
    if len(units) != 1 or not all(parts) or not (unit := units.pop()):
        return list(axis.numbers), texts, axis.path
    found = [part[1] for part in parts if part]
    return [float(one) for one in found], found, f"{axis.path} ({unit})"


_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z/%]*)")


def _missing(study: StudyLike) -> list[str]:
    """Return in lines which strategies have no figures anywhere, and which have none at some points."""
    without: dict[str, list[str]] = {"anywhere": [], "at some points": []}
    for name, label in study.labels.items():
        there = [row is not None for _, row in steps(study, name)]
        if not all(there):
            without["at some points" if any(there) else "anywhere"].append(label)
    said = [f"without figures {where}: {'; '.join(labels)}" for where, labels in without.items() if labels]
    return [line for one in said for line in footnote(one)]


def _all_steps(study: StudyLike) -> list[float]:
    rows = [row for name in study.labels for _, row in steps(study, name) if row]
    ends = [end for row in rows if (one := spread(row)) for end in one]
    return [step for step in [*(row.step_s for row in rows), *ends] if step]


def spread(row: Row) -> tuple[float, float] | None:
    """Return between what the step of *row* lies in nine of ten runs, None where there was only one."""
    found = row.intervals.get("step_s") if row.intervals else None
    return None if found is None else (found.p5, found.p95)


def _varies(study: StudyLike) -> bool:
    return any(row and spread(row) for name in study.labels for _, row in steps(study, name))


# -- one axis of numbers ---------------------------------------------------------------------------


def _curves(study: StudyLike, axis: AxisLike) -> Figure:
    """Draw a line a strategy, its name at its end; it is broken where there are no figures."""
    values, texts, beside = in_unit(axis)
    numbers = values or []
    order = sorted(range(len(numbers)), key=lambda n: (numbers[n], n))
    curves: list[tuple[int, str, list[tuple[float, Row | None]]]] = []
    for number, (name, label) in enumerate(study.labels.items()):
        found = dict(steps(study, name))
        if any(found.values()):
            curves.append((number, label, [(numbers[n], found[n]) for n in order]))
    written = [wrapped(printable(label), TEXT, _MOST_LABEL, 3) for _, label, _ in curves]
    room = max(inches(line, TEXT) for lines in written for line in lines)
    head = heading(study, varying(study), [marks.band_key()] if _varies(study) else [])
    tall = max(_TALL, sum(0.15 * len(lines) + 0.06 for lines in written))
    y_scale = scale(_all_steps(study), tall, "duration", zero=True, high=True)
    left = MARGIN + 0.32 + y_scale.width
    width = WIDTH - MARGIN - left - LEAD - GAP - room
    spelt = {numbers[n]: wrapped(texts[n], SMALL, _WORD, 1)[0] for n in order}
    x_scale = scale(numbers, width, exact=list(spelt.items()))
    below = _missing(study)
    top = head.height + 0.08
    sheet = Sheet(WIDTH, top + tall + 0.52 + FOOT * len(below))
    head.draw(sheet)
    axes = sheet.axes(left, top, width, tall)
    frame(axes, x_scale, y_scale)
    ends = []
    for (number, _, curve), lines in zip(curves, written, strict=True):
        color, marker, dashes = marks.line(number)
        y = [row.step_s if row and row.step_s else math.nan for _, row in curve]
        band = [(x, *between) for x, row in curve if row and (between := spread(row))]
        if band:
            marks.band(axes, band, number)
        how: Any = {"markersize": 4.5 if len(curve) <= 40 else 0, "markeredgewidth": 0, "linewidth": 1.6}
        axes.plot([x for x, _ in curve], y, color=color, marker=marker, linestyle=dashes, zorder=3, **how)
        last = [(x, row.step_s) for x, row in curve if row and row.step_s][-1]
        at = left + width * x_scale.share(last[0]), top + tall * (1 - y_scale.share(last[1]))
        ends.append(Name(lines, color, marker, *at))
    names(sheet, ends, top, top + tall, left + width)
    sheet.axis_names(beside, _STEP, left, top, width, tall)
    sheet.foot(below, top + tall + 0.56)
    return sheet.figure


# -- one axis of words -----------------------------------------------------------------------------


def _rows(study: StudyLike, axis: AxisLike) -> Figure:
    """Draw a row a value, and in it a mark a strategy, one below the other."""
    keys = mark_keys(study) + ([marks.whisker_key()] if _varies(study) else [])
    head = heading(study, varying(study), keys)
    count = len(study.labels)
    height = max(0.32, 0.095 * count + 0.12)
    labels = [wrapped(said(value), TEXT, _MOST_LABEL, 2) for value in axis.values]
    left = MARGIN + max(inches(line, TEXT) for lines in labels for line in lines) + GAP
    width = WIDTH - MARGIN - left - 0.15
    x_scale = scale(_all_steps(study), width, "duration", zero=True)
    tall = height * len(labels)
    below = _missing(study)
    sheet = Sheet(WIDTH, head.height + tall + 0.52 + FOOT * len(below))
    head.draw(sheet)
    axes = sheet.axes(left, head.height, width, tall)
    frame(axes, x_scale, Scale(tall, 0, False, (), ()))
    axes.grid(visible=False, axis="y")
    for at, lines in enumerate(labels):
        middle = height * (at + 0.5)
        for n, line in enumerate(lines):
            y = head.height + middle + 0.15 * (n - (len(lines) - 1) / 2)
            sheet.text(left - GAP, y, line, TEXT, INK, ha="right")
        if at:
            axes.axhline(height * at, color=GRID, linewidth=0.6, zorder=1)
        if all(study.points[at].row(name) is None for name in study.labels):
            sheet.text(left + GAP, head.height + middle, "no figures", SMALL, ALARM)
    for number, name in enumerate(study.labels):
        color, marker, _ = marks.line(number)
        shift = 0.095 * (number - (count - 1) / 2)
        found = [(row.step_s or 0.0, height * (at + 0.5) + shift) for at, row in steps(study, name) if row]
        how: Any = {"markersize": 5.5, "markeredgewidth": 0, "linestyle": "", "zorder": 3}
        axes.plot([x for x, _ in found], [y for _, y in found], color=color, marker=marker, **how)
        for at, row in steps(study, name):
            if row and (between := spread(row)):
                marks.whisker(axes, *between, height * (at + 0.5) + shift, 4)
    sheet.text(left + width / 2, head.height + tall + 0.35, _STEP, SMALL, INK, ha="center")
    sheet.foot(below, head.height + tall + 0.56)
    return sheet.figure


# -- axes that vary together -----------------------------------------------------------------------


def _together(study: StudyLike, live: Sequence[int]) -> Figure:
    """Draw a panel an axis: the step of every strategy at every point against the value of that axis."""
    shown = list(live)[:_MOST_PANELS]
    more = [f"not drawn: {', '.join(study.axes[n].path for n in live[_MOST_PANELS:])}"]
    head = heading(study, shown, mark_keys(study), more if len(live) > len(shown) else ())
    y_scale = scale(_all_steps(study), _PANEL, "duration", zero=True, high=True)
    left = MARGIN + 0.32 + y_scale.width
    between = 0.5
    width = (WIDTH - MARGIN - 0.2 - left - between) / 2
    lines = math.ceil(len(shown) / 2)
    below = _missing(study)
    each = _PANEL + 0.62
    sheet = Sheet(WIDTH, head.height + 0.06 + each * lines + FOOT * len(below))
    head.draw(sheet)
    where = places(study)
    for at, axis_number in enumerate(shown):
        line, column = divmod(at, 2)
        x, top = left + column * (width + between), head.height + 0.06 + each * line
        values, ticks, beside = _coordinates(study.axes[axis_number])
        x_scale = scale(values, width, exact=ticks)
        axes = sheet.axes(x, top, width, _PANEL)
        frame(axes, x_scale, y_scale if column == 0 else _bare(y_scale))
        _marks(axes, study, [values[place[axis_number]] for place in where])
        text = wrapped(printable(beside), SMALL, width, 1)[0]
        sheet.text(x + width / 2, top + _PANEL + 0.33, text, SMALL, INK, ha="center")
        if column == 0:
            sheet.upright(_STEP, top + _PANEL / 2, _PANEL)
    sheet.foot(below, sheet.height - 0.12 - FOOT * (len(below) - 1))
    return sheet.figure


def _coordinates(axis: AxisLike) -> tuple[list[float], list[tuple[float, str]], str]:
    """Return where each value of *axis* stands, what may stand there, and what beside; words are in a row."""
    values, texts, beside = in_unit(axis)
    shown = [wrapped(text, SMALL, _WORD, 1)[0] for text in texts]
    if values is not None:
        found = dict(zip(values, shown, strict=True))
        return values, sorted(found.items()) if len(found) <= _EXACT or beside == axis.path else [], beside
    order = {text: float(number) for number, text in enumerate(dict.fromkeys(texts))}
    # Far from 0, so that words never stand on a logarithmic scale.
    places = [1000 + order[text] for text in texts]
    return places, sorted(dict(zip(places, shown, strict=True)).items()), beside


def _bare(scale: Scale) -> Scale:
    """Return *scale* without texts."""
    return Scale(scale.low, scale.high, scale.log, scale.ticks, ("",) * len(scale.ticks))


def _marks(axes: Axes, study: StudyLike, x: Sequence[float]) -> None:
    """Draw every point of every strategy."""
    faint = 1.0 if len(study.points) <= 50 else 0.6
    for number, name in enumerate(study.labels):
        color, marker, _ = marks.line(number)
        found = [(x[at], row.step_s or 0.0) for at, row in steps(study, name) if row]
        how: Any = {"markersize": 4.5, "markeredgewidth": 0, "linestyle": "", "alpha": faint, "zorder": 3}
        axes.plot([one for one, _ in found], [step for _, step in found], color=color, marker=marker, **how)
