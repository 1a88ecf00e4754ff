"""Scales of figures: linear or logarithmic, ticks with room between them, and names that end lines.

Values that span more than a decade stand on a logarithmic scale, as the eye compares ratios there.
Start with :func:`scale`; :func:`names` writes a column of names at the right. Lengths in here are inches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.show.sheet import GAP, GREY, GRID, INK, SMALL, TEXT, Sheet, inches
from simpar.units import Kind, spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECADE = 10.0
"""Ratio of the largest to the smallest value from which on a scale is logarithmic."""

LEAD = 0.42
"""Room for the thin lines from where a curve or a point is to its name."""

_LINE = 0.15

_TIMES = tuple(
    number * unit
    for unit, numbers in (
        (1e-9, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1e-6, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1e-3, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1.0, (1, 2, 5, 10, 20, 30)),
        (60.0, (1, 2, 5, 10, 20, 30)),
        (3600.0, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)),
    )
    for number in numbers
)
"""Round times, in seconds."""

_FROM = 2.0
"""How many of a unit a linear scale of times is long, at least, to be counted in it."""


@dataclass(frozen=True)
class Scale:
    """One axis: where it begins and ends, and what stands at it."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]
    said: tuple[str, ...]

    @property
    def width(self) -> float:
        """Inches of the longest tick."""
        return max((inches(said, SMALL) for said in self.said), default=0.0)

    def share(self, value: float) -> float:
        """Return where *value* is: 0 at the beginning, 1 at the end."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def scale(
    values: Sequence[float],
    length: float,
    unit: Kind | None = None,
    zero: bool = False,
    exact: Sequence[tuple[float, str]] = (),
    high: bool = False,
) -> Scale:
    """Return the scale on which *values* stand on *length* inches.

    Args:
        unit: what :func:`simpar.units.spell` spells ticks as: ``duration``; plain numbers where it is None.
        zero: whether a linear scale begins at 0.
        exact: values and how they are written, which are ticks where there is room for them.
        high: whether the axis stands upright, where ticks need less room.
    """
    known = [value for value in values if math.isfinite(value)] or [1.0]
    least, most = min(known), max(known)
    log = least > 0 and most > DECADE * least
    if log:
        spread = (most / least) ** 0.06
        low, top = least / spread, most * spread
    else:
        low, top = _linear(least, most, zero)
    if exact:
        wanted = [(value, said) for value, said in exact if value in known]
    else:
        ticks = _times(low, top, log, length, high) if unit == "duration" else None
        ticks = _ticks(low, top, log, length, high) if ticks is None else ticks
        wanted = [(tick, _said(tick, unit)) for tick in ticks]
    found = Scale(low, top, log, (), ())
    shown = _apart(wanted, found, length, high)
    return Scale(low, top, log, tuple(v for v, _ in shown), tuple(said for _, said in shown))


def _linear(least: float, most: float, zero: bool) -> tuple[float, float]:
    """Return the ends of a linear scale: a little beyond the values."""
    room = 0.06 * (most - least) or 0.06 * abs(most) or 1.0
    if zero and least >= 0:
        return 0.0, most * 1.06 or 1.0
    return least - room, most + room


def _ticks(low: float, high: float, log: bool, length: float, upright: bool) -> list[float]:
    """Return round numbers from *low* to *high*."""
    from matplotlib.ticker import MaxNLocator

    if not log:
        count = max(2, int(length / (0.4 if upright else 0.8)))
        found = MaxNLocator(min(count, 8), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(f"{tick:.12g}") for tick in found if low <= tick <= high]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 3 else (1,)
    every = max(1, math.ceil(decades * (0.25 if upright else 0.7) / length))
    found = [
        step * 10.0**power
        for power in range(first, last + 1)
        if len(steps) > 1 or power % every == 0
        for step in steps
    ]
    return [float(f"{tick:.12g}") for tick in found if low <= tick <= high]


def _times(low: float, high: float, log: bool, length: float, upright: bool) -> list[float] | None:
    """Return round times from *low* to *high*; None where a logarithmic scale has none between its ends."""
    if log:
        found = [time for time in _TIMES if low <= time <= high]
        return found if len(found) >= 2 else None
    unit = next((unit for unit in (3600.0, 60.0, 1.0, 1e-3, 1e-6) if high >= _FROM * unit), 1e-9)
    return [tick * unit for tick in _ticks(low / unit, high / unit, log, length, upright)]


def _said(value: float, unit: Kind | None) -> str:
    if value == 0 or not unit:
        return f"{value:.6g}"
    return spell(value, unit, digits=4)


def _apart(
    wanted: Sequence[tuple[float, str]], scale: Scale, length: float, upright: bool
) -> list[tuple[float, str]]:
    """Return those of *wanted* that do not touch: the last, the first, and what fits between."""
    shown: list[tuple[float, float, tuple[float, str]]] = []
    for one in [*wanted[-1:], *wanted[:-1]]:
        middle = scale.share(one[0]) * length
        half = 0.1 if upright else inches(one[1], SMALL) / 2 + 0.06
        if all(abs(middle - other) > half + room for other, room, _ in shown):
            shown.append((middle, half, one))
    return [one for _, _, one in sorted(shown)]


def frame(axes: Axes, x: Scale, y: Scale) -> None:
    """Set both scales of *axes*, with a light grid and lines at the left and below."""
    from matplotlib.ticker import NullLocator

    for scale, name, axis in ((x, "x", axes.xaxis), (y, "y", axes.yaxis)):
        if scale.log:
            getattr(axes, f"set_{name}scale")("log")
        axis.set_minor_locator(NullLocator())
        getattr(axes, f"set_{name}lim")(scale.low, scale.high)
        getattr(axes, f"set_{name}ticks")(scale.ticks, scale.said)
        for label in axis.get_ticklabels():
            label.set_parse_math(False)
    axes.tick_params(length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
        axes.spines[side].set_linewidth(0.8)


# -- names at the right ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """What is written at the right of the axes, and where the line to it comes from."""

    lines: Sequence[str]
    color: str
    marker: str
    x: float
    """Inches from the left of the sheet."""
    y: float
    """Inches from its top."""
    below: str = ""
    """A smaller line under the name."""
    ink: str = INK

    @property
    def height(self) -> float:
        """Inches that it takes."""
        return _LINE * (len(self.lines) + bool(self.below)) + 0.06

    @property
    def width(self) -> float:
        """Inches of its longest line."""
        return max(*(inches(line, TEXT) for line in self.lines), inches(self.below, SMALL))


def names(sheet: Sheet, found: Sequence[Name], top: float, bottom: float, right: float) -> None:
    """Write every name as near to its point as the others let it, and join the two by a thin line.

    Args:
        right: where the axes end; the names begin :data:`LEAD` and a mark behind.
    """
    from matplotlib.lines import Line2D

    order = sorted(range(len(found)), key=lambda number: (found[number].y, number))
    middles = spread([found[n].y for n in order], [found[n].height for n in order], top, bottom)
    for number, middle in zip(order, middles, strict=True):
        one = found[number]
        x = right + LEAD
        how: Any = {"color": one.color, "linewidth": 0.6, "alpha": 0.75}
        ends = [one.x / sheet.width, (x - 0.1) / sheet.width]
        lead = Line2D(ends, [1 - one.y / sheet.height, 1 - middle / sheet.height], **how)
        mark = Line2D(
            [(x - 0.02) / sheet.width],
            [1 - middle / sheet.height],
            marker=one.marker,
            markersize=4.5,
            color=one.color,
            markeredgewidth=0,
        )
        sheet.figure.add_artist(lead)
        sheet.figure.add_artist(mark)
        count = len(one.lines) + bool(one.below)
        for at, line in enumerate(one.lines):
            sheet.text(x + GAP, middle + _LINE * (at - (count - 1) / 2), line, TEXT, one.ink)
        if one.below:
            sheet.text(x + GAP, middle + _LINE * (count - 1) / 2, one.below, SMALL, GREY)


def spread(wanted: Sequence[float], heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Return middles near *wanted*, which rise, so that boxes of *heights* do not overlap within the bounds.

    The boxes fit: together they are no higher than from *top* to *bottom*.

    >>> spread([1.0, 1.0], [0.5, 0.5], 0.0, 2.0)
    [1.0, 1.5]
    """
    middles: list[float] = []
    edge = top
    for middle, height in zip(wanted, heights, strict=True):
        middles.append(max(middle, edge + height / 2))
        edge = middles[-1] + height / 2
    edge = bottom
    for number in reversed(range(len(middles))):
        middles[number] = min(middles[number], edge - heights[number] / 2)
        edge = middles[number] - heights[number] / 2
    return middles
