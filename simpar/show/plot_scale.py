"""The figure of a scaling study: speedup against workers, both doubling, a line a strategy.

A line ends in its name; the names stand one below the other at the right, so that none lies on another.
The dotted line is ideal: as many times as fast as there are workers. A band with whiskers reaches from the
5th to the 95th percentile, where a strategy ran several times; a ring marks where it stops paying.

Start with :func:`scaling`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.show import marks
from simpar.show.scales import LEAD, Name, Scale, frame, names
from simpar.show.sheet import (
    FOOT,
    GAP,
    GREY,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Key,
    Sheet,
    circumstances,
    footnote,
    inches,
    picture,
    printable,
    wrapped,
)
from simpar.study.scale import Scaling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_HEIGHT = 3.1
_MOST_LABEL = 2.3
_FEW = 10
"""Points up to which all have a number at the axis, not only the powers of two."""


@dataclass(frozen=True)
class Curve:
    """One strategy on the figure."""

    number: int
    """Its place in the file, which says what it looks like."""
    name: str
    lines: list[str]
    """Its label, as it is written."""
    workers: list[int]
    speedups: list[float]
    band: list[tuple[float, float, float]]
    """Workers, and the 5th and 95th percentile of the speedup, where there are any."""
    stops_at: int | None
    """Workers where it stops paying."""


def scaling(result: Scaling, format: str = "svg") -> bytes:
    """Return *result* as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    return picture(lambda: _figure(result), format, result.scenario)


def curves(result: Scaling) -> list[Curve]:
    """Return the strategies that have figures anywhere, in the order of the file."""
    drawn = []
    stops = result.stops_paying
    for number, (name, label) in enumerate(result.labels.items()):
        found = [(result.workers(value), row) for value, row in result.curve(name)]
        at = stops[name]
        if not found:
            continue
        drawn.append(
            Curve(
                number=number,
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
            )
        )
    return drawn


def _figure(result: Scaling) -> Figure:
    """Lay the picture out: head, axes as high as the names need, names, and what has no line."""
    drawn = curves(result)
    missing = [result.labels[name] for name in result.labels if name not in {one.name for one in drawn}]
    below = footnote("without figures anywhere: " + ", ".join(missing), 3) if missing else []
    head = Head(_title(result), [batch(result), *circumstances(result.facts, result.seed)], _keys(drawn))
    label_width = max((inches(line, TEXT) for one in drawn for line in one.lines), default=0.0)
    tall = max(_LEAST_HEIGHT, sum(0.15 * len(one.lines) + 0.06 for one in drawn))
    y_scale = _speedups(drawn, tall)
    left = MARGIN + 0.3 + y_scale.width
    width = WIDTH - MARGIN - left - (LEAD + GAP + label_width if drawn else 0.0)
    x_scale = _workers(drawn, width)
    top = head.height + 0.08
    sheet = Sheet(WIDTH, top + tall + 0.55 + (FOOT * len(below) if below else 0.0))
    head.draw(sheet)
    axes = sheet.axes(left, top, width, tall)
    frame(axes, x_scale, y_scale)
    ends = [x_scale.low, x_scale.high]
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    for curve in drawn:
        _draw(axes, curve)
    places = [
        Name(
            curve.lines,
            *marks.line(curve.number)[:2],
            left + width * x_scale.share(curve.workers[-1]),
            top + tall * (1 - y_scale.share(curve.speedups[-1])),
        )
        for curve in drawn
    ]
    names(sheet, places, top, top + tall, left + width)
    sheet.axis_names("workers", "speedup over one device", left, top, width, tall)
    sheet.foot(below, top + tall + 0.6)
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


def _keys(drawn: list[Curve]) -> list[Key]:
    keys = [Key("ideal", _dots)]
    keys += [marks.band_key()] if any(one.band for one in drawn) else []
    if any(one.stops_at is not None for one in drawn):
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


def _speedups(drawn: list[Curve], tall: float) -> Scale:
    """Return the scale of speedups on *tall* inches, powers of two, as far as the ideal."""
    workers = [count for one in drawn for count in one.workers] or [1]
    reached = [value for one in drawn for value in (*one.speedups, *(p for _, *b in one.band for p in b))]
    least = min([*(value for value in reached if value > 0), float(min(workers))])
    low = 2 ** math.floor(math.log2(least) + 1e-9) / 2**0.25
    high = max(*reached, max(workers), 1.0) * 2**0.25
    # No closer than a line.
    step = max(1, math.ceil(0.22 * math.log2(high / low) / tall))
    octaves = range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)
    ticks = [2.0**octave for octave in octaves if octave % step == 0]
    return Scale(low, high, True, tuple(ticks), tuple(f"{tick:.6g}" for tick in ticks))


def _workers(drawn: list[Curve], width: float) -> Scale:
    """Return the scale of workers on *width* inches."""
    workers = sorted({count for one in drawn for count in one.workers}) or [1]
    low, high = workers[0] / 2**0.25, workers[-1] * 2**0.25
    shown = _apart(workers, width / math.log2(high / low))
    return Scale(low, high, True, tuple(map(float, shown)), tuple(map(str, shown)))


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


def _draw(axes: Axes, curve: Curve) -> None:
    """Draw the line of one strategy, where it lies in nine of ten runs, and a ring where it stops paying."""
    color, marker, dashes = marks.line(curve.number)
    if curve.band:
        marks.band(axes, curve.band, curve.number)
    how: Any = {"markersize": 4.5, "markeredgewidth": 0, "linewidth": 1.6}
    axes.plot(curve.workers, curve.speedups, color=color, marker=marker, linestyle=dashes, zorder=3, **how)
    if curve.stops_at is not None:
        at = curve.workers.index(curve.stops_at)
        how = {"markersize": 9.5, "markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 0.9}
        axes.plot([curve.workers[at]], [curve.speedups[at]], marker="o", zorder=4, **how)
