"""The figure of a validation: a step as it was predicted above the same step as it was measured.

Below stands every strategy: its predicted against its measured step, with the interval of the median, and the
band of the bound around the line on which they are equal.

Start with :func:`validation`. Lengths are inches, font sizes points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpar.result import Measured
from simpar.show import marks, words
from simpar.show.plot_gantt import (
    BETWEEN,
    LINE,
    Lane,
    chosen,
    draw_lane,
    lane_label,
    lanes,
    time_frame,
    windows,
    work_keys,
)
from simpar.show.scales import Scale, frame, scale
from simpar.show.sheet import GAP, GREY, INK, MARGIN, SMALL, WIDTH, Head, Key, Sheet, inches, picture
from simpar.study.validation import Case, Validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 14
"""Rows of each timeline."""

_SQUARE = 2.4
_APART = 0.48


def validation(result: Validation, of: str | None = None, format: str = "svg") -> bytes:
    """Return the timelines of the strategy called *of*, by default the one that is most off, as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        KeyError: there is no such strategy.
        ValueError: there is no such format.
    """
    case = max(result.cases, key=lambda one: abs(one.error_frac)) if of is None else result[of]
    return picture(lambda: _figure(result, case), format, result.scenario)


def _figure(result: Validation, case: Case) -> Figure:
    """Lay the picture out: head, two timelines of one scale, and all cases below."""
    runs = [Measured(case.predicted), Measured(case.measured)]
    both = [_shown(run) for run in runs]
    names = {lane_label(lane) for lane in both[0]} | {lane_label(lane) for lane in both[1]}
    left = MARGIN + max(inches(name, SMALL) for name in names) + GAP
    width = WIDTH - MARGIN - left - 0.1
    lengths = [windows(run, 1)[0] for run in runs]
    longest = max(one.end_s - one.start_s for one in lengths)
    talls = [_tall(found) for found in both]
    head = Head(_title(case), _below(result, case), [*work_keys([*both[0], *both[1]]), *_keys(result)])
    bottom = head.height + sum(talls) + 2 * _APART + 0.3
    sheet = Sheet(WIDTH, bottom + _SQUARE + 0.6)
    head.draw(sheet)
    top = head.height
    for name, found, tall, window in zip(("predicted", "measured"), both, talls, lengths, strict=True):
        seconds = window.end_s - window.start_s
        sheet.text(left, top + 0.1, f"{name}: {words.duration(seconds)}", SMALL, INK, weight="bold")
        axes = sheet.axes(left, top + 0.2, width, tall)
        time_frame(axes, longest, width, tall, [seconds] if seconds < longest else [])
        for lane, place in zip(found, _tops(found), strict=True):
            y = top + 0.2 + place + LINE / 2 - 0.02
            sheet.text(left - GAP, y, lane_label(lane), SMALL, INK, ha="right")
            draw_lane(axes, lane, place, longest / width)
        top += tall + _APART
    sheet.text(left + width / 2, top - 0.02, "time since the step began", SMALL, INK, ha="center")
    _cases(sheet, result, bottom)
    return sheet.figure


def _shown(run: Measured) -> list[Lane]:
    return chosen(lanes(run), MOST_ROWS)


def _tops(found: list[Lane]) -> list[float]:
    gaps = [n for n in range(1, len(found)) if found[n].machine != found[n - 1].machine]
    return [LINE * n + BETWEEN * sum(gap <= n for gap in gaps) for n in range(len(found))]


def _tall(found: list[Lane]) -> float:
    return _tops(found)[-1] + LINE


def _title(case: Case) -> str:
    return f"{case.label}: a step predicted, and run for real"


def _below(result: Validation, case: Case) -> list[str]:
    off = f"prediction {100 * case.error_frac:+.1f} %"
    runs = words.counted(case.repeats, "run")
    return [result.environment["cpu"], f"{result.backend}, {runs}", off]


def _keys(result: Validation) -> list[Key]:
    return [marks.mark_key(case.strategy, number) for number, case in enumerate(result.cases)]


def _cases(sheet: Sheet, result: Validation, top: float) -> None:
    """Draw predicted against measured steps."""
    both = [value for case in result.cases for value in (case.predicted_s, case.low_s, case.high_s)]
    low, high = min(both), max(both)
    if high < 1.2 * low:  # one case, or several that are alike
        low, high = 0.8 * low, 1.2 * high
    upright = scale([low, high], _SQUARE, "duration", high=True)
    along = scale([low, high], _SQUARE, "duration")
    left = MARGIN + 0.35 + upright.width
    axes = sheet.axes(left, top, _SQUARE, _SQUARE)
    frame(axes, along, upright)
    ends = _ends(along)
    axes.plot(ends, ends, color=GREY, linewidth=0.8, zorder=1)
    lower, upper = ([end * (1 + sign * result.bound) for end in ends] for sign in (-1, 1))
    axes.fill_between(ends, lower, upper, color=GREY, alpha=0.15, linewidth=0, zorder=0)
    for number, case in enumerate(result.cases):
        color, marker, _ = marks.line(number)
        axes.plot([case.low_s, case.high_s], [case.predicted_s] * 2, color=color, linewidth=1.0, zorder=2)
        axes.plot([case.measured_s], [case.predicted_s], color=color, marker=marker, markersize=5, zorder=3)
    sheet.axis_names("measured step", "", left, top, _SQUARE, _SQUARE)
    sheet.upright("predicted step", top + _SQUARE / 2, _SQUARE)
    beside = left + _SQUARE + 0.4
    for number, case in enumerate(result.cases):
        off, differ = 100 * case.error_frac, 100 * case.repeat_spread_frac
        said = f"{case.strategy}: {off:+.1f} %, runs differ by {differ:.1f} %"
        sheet.text(beside, top + 0.12 + 0.19 * number, said, SMALL, INK)


def _ends(one: Scale) -> list[float]:
    return [one.low, one.high]
