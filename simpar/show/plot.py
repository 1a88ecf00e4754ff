"""Figures for papers and slides: a comparison as bars, with what the steps are made of, in time or in money.

Start with :func:`comparison`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.result import BREAKDOWN, Comparison, Interval, Row
from simpar.show import marks, words
from simpar.show.sheet import (
    ALARM,
    BAR,
    FORMATS,
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
    bar_frame,
    batch_on,
    box_key,
    circumstances,
    inches,
    picture,
    printable,
    wrapped,
)
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "PARTS", "comparison"]

PARTS = {
    "compute_s": ("compute", "#0072B2"),
    "exposed_comm_s": ("network (exposed)", "#E69F00"),
    "latency_s": ("latency", "#F0E442"),
    "queue_s": ("queueing", "#D55E00"),
    "server_s": ("server", "#009E73"),
    "straggler_s": ("straggler wait", "#CC79A7"),
    "bubble_s": ("bubble", "#9A9A9A"),
}
"""Name and colour of each part of a step. The colours are those of Okabe and Ito, which people who see
few colours tell apart (Wong, *Nature Methods* 8, 2011), with grey in place of black."""

LISTED = 5e-3
"""Share of some step from which on a part is named in the legend; a smaller one is drawn in pale grey."""

BY = ("time", "money")
"""What :func:`comparison` can measure bars in."""

_UNLISTED = "#D8D8D8"
_MOST_LABEL = 2.55
_MOST_LINES = 3


def comparison(result: Comparison, format: str = "svg", by: str = "time") -> bytes:
    """Return *result* as a picture: one horizontal bar a strategy, the fastest or cheapest on top.

    A bar is the step, in the colours of its breakdown; at its end stand the step, the efficiency and,
    for asynchronous training, how stale the gradients are. What does not fit in memory has no bar and
    says so. By money a bar is what an epoch costs, or a million samples where nobody said how many records
    an epoch has, in the same colours; what has no price says so.

    Args:
        format: ``svg``, ``png`` or ``pdf``.
        by: ``time`` or ``money``.

    Raises:
        ValueError: there is no such format, or nothing to measure by.
    """
    if by not in BY:
        raise ValueError(f"by is {by!r}, not one of: {', '.join(BY)}")
    return picture(lambda: _figure(result, by), format, result.scenario)


# -- what a bar measures -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Measure:
    """What the length of a bar means."""

    rows: Sequence[Row]
    """From the top down."""
    per_s: dict[str, float]
    """Units that a second of the step is worth, by the name of a row; rows without a bar are not here."""
    ends: dict[str, list[tuple[str, str]]]
    """What stands at the end of a bar, by name: texts with their colours."""
    axis: str
    note: str

    def far(self, row: Row) -> float:
        """Return where bar and whisker of *row* end."""
        return far_s(row) * self.per_s.get(row.name, 0.0)


def _in_time(result: Comparison) -> _Measure:
    rows = result.rows
    scale, unit, digits = axis_of_time(max(map(far_s, rows), default=0.0))
    return _Measure(
        rows,
        {row.name: scale for row in rows if row.step_s},
        {row.name: _end(row, scale, unit, digits) for row in rows},
        f"time of one step ({unit})",
        "at each bar: step, efficiency (speedup per worker)",
    )


def _in_money(result: Comparison) -> _Measure:
    by_epoch = any(row.usd_per_epoch is not None for row in result.rows)
    costs = {row.name: row.usd_per_epoch if by_epoch else row.usd_per_million_samples for row in result.rows}
    rows = sorted(result.rows, key=lambda row: (costs[row.name] is None, costs[row.name] or 0.0))
    per_s, ends = {}, {}
    for row in rows:
        cost = costs[row.name]
        if not row.step_s:
            ends[row.name] = _end(row, 1.0, "s", 1)
        elif cost is None:
            ends[row.name] = [("no price", ALARM)]
        else:
            per_s[row.name] = cost / row.step_s
            ends[row.name] = [(f"{words.usd(cost)} USD", INK), (f", step {words.duration(row.step_s)}", GREY)]
    what = "an epoch" if by_epoch else f"a million {result.facts.get('unit', 'samples')}"
    return _Measure(rows, per_s, ends, f"cost of {what} (USD)", "at each bar: cost, step")


def step_time(seconds: float, scale: float, unit: str, digits: int) -> str:
    """Return a step as it stands at its bar; in a unit of its own where the column's leaves no figures."""
    if seconds * scale * 10**digits < 100:
        return spell(seconds, "duration", digits=3)
    return f"{words.grouped(seconds * scale, digits)} {unit}"


def axis_of_time(longest_s: float) -> tuple[float, str, int]:
    """Return (units a second, unit, decimals) for steps up to *longest_s*."""
    if longest_s >= 10:
        scale, unit = 1.0, "s"
    elif longest_s >= 1e-3:
        scale, unit = 1e3, "ms"
    else:
        scale, unit = 1e6, "us"
    longest = longest_s * scale
    return scale, unit, 1 if longest >= 100 else 2 if longest >= 10 else 3


def _heading(result: Comparison) -> str:
    """Return the title, of what *result* knows."""
    title = str(result.facts.get("model") or result.scenario)
    known = result.facts.get("batch") is not None and result.facts.get("workers") is not None
    return ", ".join([title, *(batch_on(result.facts) if known else [])])


# -- the figure ----------------------------------------------------------------------------------


def _figure(result: Comparison, by: str = "time") -> Figure:
    """Lay the picture out: title, legend, and one line a strategy, as high as they need."""
    measure = _in_money(result) if by == "money" else _in_time(result)
    rows = measure.rows
    titles = words.titles(rows)
    labels = [wrapped(printable(titles[row.name]), TEXT, _MOST_LABEL, _MOST_LINES) for row in rows]
    label_width = max((inches(line, TEXT) for lines in labels for line in lines), default=0.0)
    least = 0.32 if len(rows) <= 12 else 0.27
    heights = [max(least, 0.15 * len(lines) + 0.12) for lines in labels]
    middles = [sum(heights[:number]) + height / 2 for number, height in enumerate(heights)]
    tall = max(least, sum(heights))
    left = MARGIN + label_width + GAP
    width = WIDTH - MARGIN - left

    drawn = [row for row in rows if row.name in measure.per_s]
    listed = _listed(drawn)
    head = Head(_heading(result), circumstances(result.facts, result.seed), _keys(drawn, listed))
    bars = head.height
    longest = max((measure.far(row) for row in rows), default=0.0)
    sheet = Sheet(WIDTH, bars + tall + (0.47 if longest else 0.12))
    head.draw(sheet)
    for middle, lines in zip(middles, labels, strict=True):
        for at, line in enumerate(lines):
            y = bars + middle + 0.15 * (at - (len(lines) - 1) / 2)
            sheet.text(left - GAP, y, line, TEXT, INK, ha="right")

    lengths = [sum(inches(text, TEXT) for text, _ in measure.ends[row.name]) for row in rows]
    # Inches a unit, so that the longest of (bar, its text) just fits.
    per_unit = min(
        (
            (width - GAP - length) / measure.far(row)
            for row, length in zip(rows, lengths, strict=True)
            if measure.far(row)
        ),
        default=1.0,
    )
    axes = sheet.axes(left, bars, width, tall)
    axes.set_xlim(0, width / per_unit)
    axes.set_ylim(tall, 0)
    bar_frame(axes, longest)
    for row, middle, length in zip(rows, middles, lengths, strict=True):
        per_s = measure.per_s.get(row.name, 0.0)
        x = max(_bar(axes, row, middle, per_s, listed), measure.far(row)) + GAP / per_unit
        # The grid does not run through the words.
        axes.barh(middle, (length + 0.04) / per_unit, BAR, left=x - 0.02 / per_unit, color="white", zorder=1)
        for text, color in measure.ends[row.name]:
            how: Any = {"fontsize": TEXT, "color": color, "va": "center_baseline", "parse_math": False}
            axes.text(x, middle, text, None, **how)
            x += inches(text, TEXT) / per_unit
    if longest:
        foot = bars + tall + 0.33
        sheet.text(left, foot, measure.axis, SMALL, INK)
        sheet.text(WIDTH - MARGIN, foot, measure.note, SMALL - 1, GREY, ha="right")
    return sheet.figure


def _keys(rows: Sequence[Row], listed: Sequence[str]) -> list[Key]:
    """Return the entries of the legend."""
    keys = [box_key(*PARTS[part]) for part in listed]
    return [*keys, marks.whisker_key()] if any(steps(row) for row in rows) else keys


def steps(row: Row) -> Interval | None:
    """Return between what the step of *row* lies, None where it ran only once or does not fit."""
    return row.intervals.get("step_s") if row.step_s and row.intervals else None


def far_s(row: Row) -> float:
    """Return the seconds at which bar and whisker of *row* end."""
    between = steps(row)
    return max(row.step_s or 0.0, between.p95 if between else 0.0)


def _listed(rows: Sequence[Row]) -> list[str]:
    """Return the parts that the legend names."""
    return [
        part
        for part in BREAKDOWN
        if any(row.breakdown and row.step_s and row.breakdown[part] > LISTED * row.step_s for row in rows)
    ]


def _end(row: Row, scale: float, unit: str, digits: int) -> list[tuple[str, str]]:
    """Return what stands at the end of a bar, as texts with their colours."""
    if row.step_s is None:
        said = f"does not fit in memory: needs {spell(row.memory_bytes, 'size')}"
        if row.memory_limit_bytes is not None:
            said += f" of {spell(row.memory_limit_bytes, 'size')}"
        return [(said, ALARM)]
    said = step_time(row.step_s, scale, unit, digits)
    rest = f", {words.percent(row.efficiency)}" if row.efficiency is not None else ""
    if row.staleness is not None:
        rest += f", {row.staleness.mean:.1f} updates stale"
    return [(said, INK), (rest, GREY)] if rest else [(said, INK)]


def _bar(axes: Axes, row: Row, y: float, scale: float, listed: Sequence[str]) -> float:
    """Draw the bar of *row*, whose seconds are *scale* units long, and return where it ends."""
    at = 0.0
    for part in BREAKDOWN:
        length = (row.breakdown or {}).get(part, 0.0) * scale
        if length > 0:
            color = PARTS[part][1] if part in listed else _UNLISTED
            axes.barh(y, length, BAR, left=at, color=color, linewidth=0, zorder=2)
            at += length
    between = steps(row)
    if between and scale:
        marks.whisker(axes, between.p5 * scale, between.p95 * scale, y)
    return at
