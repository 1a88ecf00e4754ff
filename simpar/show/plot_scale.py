"""The figure of a scaling study: speedup against workers, both doubling, a line a strategy.

A line ends in its name; the names stand one below the other at the right, so that none lies on another.
The dotted line is ideal: as many times as fast as there are workers. A band reaches from the 5th to the 95th
percentile, where a strategy ran several times; a ring marks where it stops paying.

Start with :func:`scaling`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.show.sheet import (
    COLORS,
    GAP,
    GREY,
    GRID,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Key,
    Sheet,
    circumstances,
    inches,
    picture,
    printable,
    wrapped,
)
from simpar.study.scale import Scaling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_LEAST_HEIGHT = 3.1
_MOST_LABEL = 2.3
_LEAD = 0.42
"""Room for the thin lines from the end of a curve to its name."""
_LINE = 0.15
_FEW = 10
"""Points up to which all have a number at the axis, not only the powers of two."""


@dataclass(frozen=True)
class _Curve:
    """One strategy on the figure."""

    name: str
    lines: list[str]
    """Its label, as it is written."""
    workers: list[int]
    speedups: list[float]
    band: list[tuple[int, float, float]]
    """Workers, and the 5th and 95th percentile of the speedup, where there are any."""
    stops_at: int | None
    """Workers where it stops paying."""
    color: str
    marker: str
    dashes: Any

    @property
    def height(self) -> float:
        """Inches that its name takes."""
        return _LINE * len(self.lines) + 0.06


def scaling(result: Scaling, format: str = "svg") -> bytes:
    """Return *result* as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    return picture(lambda: _figure(result), format, result.scenario)


def _curves(result: Scaling) -> list[_Curve]:
    """Return the strategies that have figures anywhere, in the order of the file."""
    curves = []
    stops = result.stops_paying
    for number, (name, label) in enumerate(result.labels.items()):
        found = [(result.workers(value), row) for value, row in result.curve(name)]
        at = stops[name]
        if not found:
            continue
        curves.append(
            _Curve(
                name=name,
                lines=wrapped(printable(label), TEXT, _MOST_LABEL, 3),
                workers=[workers for workers, _ in found],
                speedups=[row.speedup or 0.0 for _, row in found],
                band=[
                    (workers, interval.p5, interval.p95)
                    for workers, row in found
                    if row.intervals and (interval := row.intervals.get("speedup"))
                ],
                stops_at=None if at is None else result.workers(at),
                color=COLORS[number % len(COLORS)],
                marker=_MARKERS[(number + number // len(COLORS)) % len(_MARKERS)],
                dashes=_DASHES[number // len(COLORS) % len(_DASHES)],
            )
        )
    return curves


def _figure(result: Scaling) -> Figure:
    """Lay the picture out: head, axes as high as the names need, names, and what has no line."""
    curves = _curves(result)
    missing = [result.labels[name] for name in result.labels if name not in {one.name for one in curves}]
    below = wrapped(
        printable("without figures anywhere: " + ", ".join(missing)) if missing else "",
        SMALL,
        WIDTH - 2 * MARGIN,
        3,
    )
    head = Head(_title(result), [batch(result), *circumstances(result.facts, result.seed)], _keys(curves))
    label_width = max((inches(line, TEXT) for one in curves for line in one.lines), default=0.0)
    tall = max(_LEAST_HEIGHT, sum(one.height for one in curves))
    limits = _limits(curves)
    powers = _powers(limits, tall)
    left = MARGIN + 0.3 + max((inches(said, SMALL) for _, said in powers), default=0.0)
    width = WIDTH - MARGIN - left - (_LEAD + GAP + label_width if curves else 0.0)
    foot = 0.55 + 0.17 * len(below) * bool(missing)
    sheet = Sheet(WIDTH, head.height + 0.08 + tall + foot)
    head.draw(sheet)
    top = head.height + 0.08
    axes = sheet.axes(left, top, width, tall)
    axes.set_facecolor("none")
    _frame(axes, curves, limits, powers, width)
    for curve in curves:
        _draw(axes, curve)
    _names(sheet, curves, limits, top, tall, left + width)
    sheet.text(left + width / 2, top + tall + 0.34, "workers", SMALL, INK, ha="center")
    sheet.text(MARGIN + 0.06, top + tall / 2, "speedup", SMALL, INK, ha="center", rotation=90, va="center")
    for number, line in enumerate(below if missing else []):
        sheet.text(MARGIN, top + tall + 0.6 + 0.17 * number, line, SMALL, GREY)
    return sheet.figure


def _title(result: Scaling) -> str:
    first, last = result.workers(result.values[0]), result.workers(result.values[-1])
    model = str(result.facts.get("model") or result.scenario)
    if first == last:
        return f"{model} on {first} worker" + ("" if first == 1 else "s")
    return f"{model} on {first} to {last} workers"


def batch(result: Scaling) -> str:
    """Return what the batch is, and so what the scaling: ``batch 64 on each worker (weak scaling)``."""
    if result.strong:
        return f"batch {result.batch} on all workers together (strong scaling)"
    return f"batch {result.batch or result.facts['batch']} on each worker (weak scaling)"


def _keys(curves: list[_Curve]) -> list[Key]:
    keys = [Key("ideal", lambda sheet, x, y: _dots(sheet, x, y))]
    if any(one.band for one in curves):
        keys.append(Key("p5 to p95", lambda sheet, x, y: sheet.box(x, y - 0.05, 0.14, 0.1, GRID)))
    if any(one.stops_at is not None for one in curves):
        keys.append(Key("stops paying: from here on, more workers do less than half of their worth", _ring))
    return keys


def _dots(sheet: Sheet, x: float, y: float) -> None:
    for number in range(3):
        sheet.box(x + 0.055 * number, y - 0.008, 0.03, 0.016, GREY)


def _ring(sheet: Sheet, x: float, y: float) -> None:
    from matplotlib.patches import Ellipse

    middle = ((x + 0.07) / sheet.width, 1 - y / sheet.height)
    ring = Ellipse(middle, 0.13 / sheet.width, 0.13 / sheet.height, facecolor="none", edgecolor=INK)
    sheet.figure.add_artist(ring)


def _limits(curves: list[_Curve]) -> tuple[float, float]:
    """Return the least and the greatest speedup that are shown; the ideal of most workers is, too."""
    workers = [count for one in curves for count in one.workers] or [1]
    reached = [value for one in curves for value in (*one.speedups, *(p for _, *b in one.band for p in b))]
    least = min([*(value for value in reached if value > 0), float(min(workers))])
    low = 2 ** math.floor(math.log2(least) + 1e-9) / 2**0.25
    return low, max(*reached, max(workers), 1.0) * 2**0.25


def _powers(limits: tuple[float, float], tall: float) -> list[tuple[float, str]]:
    """Return the powers of two that stand at the speedup's axis, no closer than a line, and how they read."""
    low, high = (math.log2(limit) for limit in limits)
    step = max(1, math.ceil(0.22 * (high - low) / tall))
    octaves = range(math.ceil(low), math.floor(high) + 1)
    return [(2.0**octave, f"{2.0**octave:.6g}") for octave in octaves if octave % step == 0]


def _frame(
    axes: Axes,
    curves: list[_Curve],
    limits: tuple[float, float],
    powers: list[tuple[float, str]],
    width: float,
) -> None:
    """Draw axes that double, the grid and the ideal line."""
    workers = sorted({count for one in curves for count in one.workers}) or [1]
    left, right = workers[0] / 2**0.25, workers[-1] * 2**0.25
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlim(left, right)
    axes.set_ylim(*limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(_nowhere())
    per_octave = width / math.log2(right / left)
    shown = _apart(workers, per_octave)
    axes.set_xticks(shown, [str(tick) for tick in shown])
    axes.set_yticks([tick for tick, _ in powers], [said for _, said in powers])
    axes.tick_params(length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
        axes.spines[side].set_linewidth(0.8)
    axes.plot([left, right], [left, right], color=GREY, linewidth=1, linestyle=(0, (1, 2)), zorder=1)


def _nowhere() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _apart(workers: list[int], per_octave: float) -> list[int]:
    """Return those of *workers* whose numbers do not touch: the last, the first, and what fits between."""
    shown = [workers[-1]]
    powers = [count for count in workers if count & (count - 1) == 0]
    order = [workers[0], *powers, *(workers if len(workers) <= _FEW else ())]
    for count in order:
        if all(
            abs(math.log2(count / other)) * per_octave
            > (inches(str(count), SMALL) + inches(str(other), SMALL)) / 2 + 0.12
            for other in shown
        ):
            shown.append(count)
    return sorted(shown)


def _draw(axes: Axes, curve: _Curve) -> None:
    """Draw the line of one strategy, its band, a ring where it stops paying, and the way to its name."""
    right = axes.get_xlim()[1]
    if curve.band:
        counts, lows, highs = zip(*curve.band, strict=True)
        axes.fill_between(counts, lows, highs, color=curve.color, alpha=0.2, linewidth=0, zorder=2)
    axes.plot(
        curve.workers,
        curve.speedups,
        color=curve.color,
        linestyle=curve.dashes,
        linewidth=1.6,
        marker=curve.marker,
        markersize=4.5,
        markeredgewidth=0,
        zorder=3,
    )
    end = curve.workers[-1], curve.speedups[-1]
    axes.plot(
        [end[0], right], [end[1]] * 2, color=curve.color, linewidth=0.7, linestyle=(0, (3, 3)), zorder=2
    )
    if curve.stops_at is not None:
        at = curve.workers.index(curve.stops_at)
        axes.plot(
            [curve.workers[at]],
            [curve.speedups[at]],
            marker="o",
            markersize=9.5,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=0.9,
            zorder=4,
        )


def _names(
    sheet: Sheet,
    curves: list[_Curve],
    limits: tuple[float, float],
    top: float,
    tall: float,
    right: float,
) -> None:
    """Write each strategy's name as near to the end of its line as the others let it, and join the two."""
    from matplotlib.lines import Line2D

    octaves = math.log2(limits[1] / limits[0])
    ends = [top + tall * math.log2(limits[1] / one.speedups[-1]) / octaves for one in curves]
    order = sorted(range(len(curves)), key=lambda number: (ends[number], number))
    middles = _spread([ends[n] for n in order], [curves[n].height for n in order], top, top + tall)
    for number, middle in zip(order, middles, strict=True):
        curve = curves[number]
        x = right + _LEAD
        lead = Line2D(
            [right / sheet.width, (x - 0.1) / sheet.width],
            [1 - ends[number] / sheet.height, 1 - middle / sheet.height],
            color=curve.color,
            linewidth=0.7,
        )
        mark = Line2D(
            [(x - 0.02) / sheet.width],
            [1 - middle / sheet.height],
            marker=curve.marker,
            markersize=4.5,
            color=curve.color,
            markeredgewidth=0,
        )
        sheet.figure.add_artist(lead)
        sheet.figure.add_artist(mark)
        for at, line in enumerate(curve.lines):
            y = middle + _LINE * (at - (len(curve.lines) - 1) / 2)
            sheet.text(x + GAP, y, line, TEXT, INK)


def _spread(wanted: list[float], heights: list[float], top: float, bottom: float) -> list[float]:
    """Return middles near *wanted*, which rise, so that boxes of *heights* do not overlap within the bounds.

    The boxes fit: together they are no higher than from *top* to *bottom*.
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
