"""The figure of two results side by side: two bars a strategy, before and after, and the change in per cent.

Where times vary, a whisker says between what each step lies: bars whose whiskers overlap may be luck.

Start with :func:`two`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from simpar.result.changes import Change, Changes
from simpar.show import marks, words
from simpar.show.plot import axis_of_time, far_s, step_time, steps
from simpar.show.sheet import (
    ALARM,
    COLORS,
    FOOT,
    GAP,
    GREY,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Sheet,
    bar_frame,
    box_key,
    footnote,
    inches,
    picture,
    printable,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEFORE, AFTER = "#9A9A9A", COLORS[0]
"""Colours of the two; no reader takes grey for blue."""

FASTER, SLOWER = "#00664B", ALARM
"""Colours of a change for the better and for the worse; the sign says it, too."""

_BAR = 0.13
_LINE = 0.165
_BETWEEN = 0.13
_MOST_LABEL = 2.3


def two(result: Changes, format: str = "svg") -> bytes:
    """Return *result* as a picture: a pair of bars a strategy, in the order of the later result.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    return picture(lambda: _figure(result), format, result.after.scenario)


def _figure(result: Changes) -> Figure:
    """Lay the picture out: head, two bars a strategy, the change at the right."""
    rows = result.rows
    labels = [wrapped(printable(row.label), TEXT, _MOST_LABEL, 3) for row in rows]
    sides = [(row.before, row.after) for row in rows]
    longest = max((far_s(side) for pair in sides for side in pair if side), default=0.0)
    scale, unit, digits = axis_of_time(longest)
    left = MARGIN + max((inches(line, TEXT) for lines in labels for line in lines), default=0.0) + GAP
    room = max((inches(words.change(row), TEXT, bold=True) for row in rows), default=0.0)
    width = WIDTH - MARGIN - left - room - 2 * GAP
    heights = [max(2 * _LINE, 0.15 * len(lines)) + _BETWEEN for lines in labels]
    tops = [sum(heights[:number]) for number in range(len(rows) + 1)]
    tall = max(tops[-1], _LINE)
    keys = [
        box_key(wrapped(printable(f"{when}: {os.path.basename(name)}"), SMALL, WIDTH - 0.8, 1)[0], color)
        for when, name, color in zip(("before", "after"), result.names, (BEFORE, AFTER), strict=True)
    ]
    if any(side and steps(side) for pair in sides for side in pair):
        keys.append(marks.whisker_key())
    head = Head(f"Before and after: {result.after.scenario}", [_summary(result)], keys)
    notes = footnote("; ".join(result.notes), 3)
    sheet = Sheet(WIDTH, head.height + tall + 0.5 + FOOT * len(notes))
    head.draw(sheet)
    ends = [[_end(step, scale, unit, digits) for step in row.steps] for row in rows]
    per_unit = min(
        (
            (width - GAP - inches(end, SMALL)) / (far_s(side) * scale)
            for pair, said in zip(sides, ends, strict=True)
            for side, end in zip(pair, said, strict=True)
            if side and side.step_s
        ),
        default=1.0,
    )
    axes = sheet.axes(left, head.height, width, tall)
    axes.set_xlim(0, width / per_unit)
    axes.set_ylim(tall, 0)
    bar_frame(axes, longest * scale)
    for number, row in enumerate(rows):
        middle = (tops[number] + tops[number + 1]) / 2
        for at, line in enumerate(labels[number]):
            y = head.height + middle + 0.15 * (at - (len(labels[number]) - 1) / 2)
            sheet.text(left - GAP, y, line, TEXT, INK, ha="right")
        for at, (side, end, color) in enumerate(
            zip(sides[number], ends[number], (BEFORE, AFTER), strict=True)
        ):
            y = middle + _LINE * (at - 0.5)
            step = side.step_s if side else None
            if step:
                axes.barh(y, step * scale, _BAR, color=color, linewidth=0, zorder=2)
            between = steps(side) if side else None
            if between:
                marks.whisker(axes, between.p5 * scale, between.p95 * scale, y, 4)
            x = (far_s(side) if side else 0.0) * scale + GAP / per_unit
            under = (inches(end, SMALL) + 0.04) / per_unit
            axes.barh(y, under, _BAR, left=x - 0.02 / per_unit, color="white", zorder=1)
            ink = INK if step else GREY
            how: Any = {"fontsize": SMALL, "color": ink, "va": "center_baseline", "parse_math": False}
            axes.text(x, y, end, None, **how)
        bold = {"weight": "bold", "ha": "right"}
        sheet.text(WIDTH - MARGIN, head.height + middle, words.change(row), TEXT, _ink(row), **bold)
    sheet.text(left, head.height + tall + 0.34, f"time of one step ({unit})", SMALL, INK)
    sheet.text(WIDTH - MARGIN, head.height + tall + 0.34, "change", SMALL, INK, ha="right")
    sheet.foot(notes, head.height + tall + 0.56)
    return sheet.figure


def _end(step: float | None, scale: float, unit: str, digits: int) -> str:
    """Return what stands at the end of a bar."""
    return "no figures" if not step else step_time(step, scale, unit, digits)


def _ink(row: Change) -> str:
    """Return the colour of what is said of a change."""
    if row.what in ("gone", "fits no more"):
        return SLOWER
    if row.what == "fits now":
        return FASTER
    if row.change_frac is None or words.change(row) == "same":
        return GREY
    return FASTER if row.change_frac < 0 else SLOWER


def _summary(result: Changes) -> str:
    """Return in a line which is fastest, and how its step compares."""
    fitting = [[row for row in one.rows if row.step_s] for one in (result.before, result.after)]
    if not all(fitting):
        return "nothing fits in memory in one of the two"
    (first, *_), (last, *_) = fitting
    assert first.step_s is not None
    assert last.step_s is not None
    said = f"fastest before: {first.label}, {words.duration(first.step_s)}"
    return f"{said}; after: {last.label}, {words.duration(last.step_s)}"
