"""The figure of staleness: for each asynchronous strategy, how many updates its gradients missed.

A panel is a histogram over the gradients applied while steps were measured. The mean is marked, and W - 1:
what the mean tends to where W workers go their own pace and every push is an update of its own.

Start with :func:`staleness`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simpar.result import Comparison, Row
from simpar.show import marks, words
from simpar.show.scales import Scale, frame
from simpar.show.sheet import (
    ALARM,
    FOOT,
    GREY,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Key,
    Sheet,
    footnote,
    inches,
    of_model,
    picture,
    printable,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_BINS = 40
"""Bars of a panel; more values than that share bars evenly."""
_TALL = 1.35
_BETWEEN = 0.34
_TITLE_LINE = 0.155
_MEAN, _LAW = INK, ALARM


def staleness(result: Comparison, format: str = "svg") -> bytes:
    """Return the staleness of every asynchronous strategy as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format, or no strategy has staleness.
    """
    if not stale_rows(result):
        raise ValueError("no strategy trains asynchronously, so that no gradient is stale")
    return picture(lambda: _figure(result), format, result.scenario)


def stale_rows(result: Comparison) -> list[Row]:
    """Return the strategies that have staleness, in order of rank."""
    return [row for row in result.rows if row.staleness is not None and row.staleness.histogram]


def law(row: Row) -> int:
    """Return W - 1, where W pushers go their own pace: workers, or machines that push for theirs."""
    return (row.measured.pushers if row.measured else row.workers) - 1


def bins(histogram: dict[int, int], most: int) -> list[tuple[float, float, float]]:
    """Return the bars of a panel that ends at *most*, as (from, to, share of the gradients).

    A bar is a whole number of updates wide; ``k`` updates stand from k - 1/2 to k + 1/2.

    >>> bins({0: 1, 2: 3}, 2)
    [(-0.5, 0.5, 0.25), (1.5, 2.5, 0.75)]
    """
    width = math.ceil((most + 1) / _MOST_BINS)
    counts: dict[int, int] = {}
    for stale, count in histogram.items():
        counts[stale // width] = counts.get(stale // width, 0) + count
    whole = sum(histogram.values())
    ascending = sorted(counts)
    return [(n * width - 0.5, (n + 1) * width - 0.5, counts[n] / whole) for n in ascending]


def _figure(result: Comparison) -> Figure:
    """Lay the picture out: a panel a strategy, all on the same scale."""
    rows = stale_rows(result)
    most = max(max(row.staleness.max, law(row)) for row in rows if row.staleness)
    across = 1 if len(rows) == 1 else 2 if len(rows) <= 6 else 3
    left = MARGIN + 0.72
    width = (WIDTH - MARGIN - left - 0.5 * (across - 1)) / across
    called, order = words.titles(result.rows), marks.numbers(result)
    titles = [wrapped(printable(called[row.name]), TEXT, width, 3 if across == 3 else 2) for row in rows]
    lines = [rows[at : at + across] for at in range(0, len(rows), across)]
    heads = [
        _TITLE_LINE * (max(len(title) for title in titles[at : at + across]) + 1) + 0.08
        for at in range(0, len(rows), across)
    ]
    below = footnote(_others(result))
    keys = [
        Key("mean", lambda sheet, x, y: sheet.box(x + 0.06, y - 0.07, 0.02, 0.14, _MEAN)),
        Key("W - 1: what W workers tend to where every push is an update", _dashed),
    ]
    head = Head("How stale gradients are", of_model(result), keys)
    tops = [head.height + sum(heads[:n]) + (_TALL + _BETWEEN) * n for n in range(len(lines))]
    height = tops[-1] + heads[-1] + _TALL + 0.55 + FOOT * len(below)
    sheet = Sheet(WIDTH, height)
    head.draw(sheet)
    x_scale, y_scale = _whole(most, width), _shares(rows, most)
    for number, row in enumerate(rows):
        line, column = divmod(number, across)
        x, y = left + column * (width + 0.5), tops[line]
        for at, text in enumerate(titles[number]):
            sheet.text(x, y + _TITLE_LINE * (at + 0.5), text, TEXT, INK)
        sheet.text(x, y + _TITLE_LINE * (len(titles[number]) + 0.5), _figures(row), SMALL, GREY)
        axes = sheet.axes(x, y + heads[line], width, _TALL)
        _draw(axes, row, order[row.name], most, x_scale, y_scale)
    sheet.text(left, tops[-1] + heads[-1] + _TALL + 0.36, "updates that a gradient missed", SMALL, INK)
    middle = (tops[0] + heads[0] + tops[-1] + heads[-1] + _TALL) / 2
    sheet.upright("share of gradients", middle, 1.5)
    sheet.foot(below, tops[-1] + heads[-1] + _TALL + 0.56)
    return sheet.figure


def _dashed(sheet: Sheet, x: float, y: float) -> None:
    for part in range(3):
        sheet.box(x + 0.06, y - 0.075 + 0.055 * part, 0.02, 0.035, _LAW)


def _figures(row: Row) -> str:
    assert row.staleness is not None
    return f"mean {row.staleness.mean:.1f}, W - 1 = {law(row)}, at most {row.staleness.max}"


def _others(result: Comparison) -> str:
    """Return which strategies are not here, as they are synchronous."""
    others = [row.label for row in result.rows if row.fits and row.staleness is None]
    return f"without staleness: {'; '.join(others)}" if others else ""


def _whole(most: int, width: float) -> Scale:
    """Return a scale from 0 to *most* updates with ticks at whole numbers."""
    room = inches(str(most), SMALL) + 0.14
    step = next(
        step
        for power in range(12)
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if (most + 1) / step * room <= width
    )
    ticks = range(0, most + 1, step)
    return Scale(-0.6, most + 0.6, False, tuple(map(float, ticks)), tuple(map(str, ticks)))


def _shares(rows: Sequence[Row], most: int) -> Scale:
    """Return a scale that reaches as far as the highest bar of all."""
    highest = max(
        share for row in rows if row.staleness for _, _, share in bins(row.staleness.histogram, most)
    )
    top = next(top for top in (0.02, 0.04, 0.1, 0.2, 0.4, 1.0) if highest <= top)
    ticks = tuple(top * n / 4 for n in range(5))
    return Scale(0, 1.04 * top, False, ticks, tuple(f"{100 * tick:.3g} %" for tick in ticks))


def _draw(axes: Axes, row: Row, number: int, most: int, x_scale: Scale, y_scale: Scale) -> None:
    """Draw the histogram of the strategy with this *number*, its mean and the law."""
    color = marks.line(number)[0]
    assert row.staleness is not None
    frame(axes, x_scale, y_scale)
    axes.grid(visible=False, axis="x")
    found: Sequence[tuple[float, float, float]] = bins(row.staleness.histogram, most)
    for low, high, share in found:
        gap = 0.08 * (high - low) if most < _MOST_BINS else 0.0
        axes.bar((low + high) / 2, share, high - low - gap, color=color, linewidth=0, zorder=2)
    axes.axvline(law(row), color=_LAW, linewidth=1.4, linestyle=(0, (3, 2)), zorder=4)
    axes.axvline(row.staleness.mean, color=_MEAN, linewidth=1.2, zorder=3)
