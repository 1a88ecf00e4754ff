"""The figure of a replay: what strategies learn against time, and against steps.

At the left is the simulated time, which says who learns fastest; at the right the steps, which say what a
step is worth: synchronous strategies lie on one line there. Above is the accuracy of the test, where
something is classified; below is its loss.

Start with :func:`learning`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from simpar.show import marks, words
from simpar.show.scales import DECADE, Scale, frame, scale
from simpar.show.sheet import INK, MARGIN, SMALL, WIDTH, Head, Key, Sheet, picture
from simpar.study.replay import Learned, Learning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TALL = 1.75
_BETWEEN = 0.2
_ASIDE = 0.3
_MARKS = 5
"""Marks along a line, about; each strategy's stand elsewhere, so that lines on one another are told apart."""

_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def learning(result: Learning, format: str = "svg") -> bytes:
    """Return what strategies learned as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    return picture(lambda: _figure(result), format, result.scenario)


def _figure(result: Learning) -> Figure:
    """Lay the picture out: a row for the accuracy and one for the loss, time at the left and steps right."""
    classes = any(row.accuracy is not None for row in result.rows)
    tall = _TALL if classes else 1.6 * _TALL
    values = [point.loss for row in result.rows for point in row.points]
    heights = [_accuracies()] if classes else []
    heights.append(scale([value for value in values if value > 0] or [1.0], tall, zero=True, high=True))
    names = ["accuracy of the test", "loss of the test"][-len(heights) :]
    head = Head(_title(result), _below(result), _keys(result))
    left = MARGIN + 0.3 + max(one.width for one in heights)
    width = (WIDTH - MARGIN - left - _ASIDE - 0.1) / 2
    along = [_times(result, width), _steps(result, width)]
    top = head.height + 0.1
    sheet = Sheet(WIDTH, top + len(heights) * tall + (len(heights) - 1) * _BETWEEN + 0.55)
    head.draw(sheet)
    for number, (name, y_scale) in enumerate(zip(names, heights, strict=True)):
        y = top + number * (tall + _BETWEEN)
        sheet.upright(name, y + tall / 2, tall + 0.2)
        for column, x_scale in enumerate(along):
            axes = sheet.axes(left + column * (width + _ASIDE), y, width, tall)
            is_last = number == len(heights) - 1
            frame(axes, x_scale if is_last else _bare(x_scale), _bare(y_scale) if column else y_scale)
            for place, row in enumerate(result.rows):
                _draw(axes, result, row, place, by_time=column == 0, loss=is_last)
    bottom = top + len(heights) * tall + (len(heights) - 1) * _BETWEEN
    for column, said in enumerate(("simulated time", f"steps of {_samples(result)}")):
        middle = left + column * (width + _ASIDE) + width / 2
        sheet.text(middle, bottom + 0.36, said, SMALL, INK, ha="center")
    return sheet.figure


def _samples(result: Learning) -> str:
    return f"{words.grouped(result.facts['global_batch'])} samples"


def _title(result: Learning) -> str:
    return f"What is learned: {result.facts['model']} on {result.facts['data']}"


def _below(result: Learning) -> list[str]:
    facts = result.facts
    on = f"each of {facts['workers']} workers" if facts["workers"] != 1 else "one worker"
    said = [f"batch {facts['batch']} on {on}", f"{facts['optimizer']} at {facts['learning_rate']:g}"]
    return [*said, words.counted(facts["epochs"], "epoch"), f"seed {result.seed}"]


def _keys(result: Learning) -> list[Key]:
    counts = Counter(row.label for row in result.rows)
    return [
        marks.mark_key(row.label if counts[row.label] == 1 else f"{row.label} ({row.name})", number)
        for number, row in enumerate(result.rows)
    ]


def _bare(one: Scale) -> Scale:
    """Return a scale without figures at its ticks: those of its neighbour hold for it."""
    return Scale(one.low, one.high, one.log, one.ticks, tuple("" for _ in one.ticks))


def _accuracies() -> Scale:
    return Scale(0.0, 1.03, False, _SHARES, tuple(f"{100 * share:.0f} %" for share in _SHARES))


def _times(result: Learning, width: float) -> Scale:
    """Return the scale of times: where ends differ much a logarithmic one, without the beginning."""
    ends = [row.time_s for row in result.rows if row.time_s > 0] or [1.0]
    if max(ends) > DECADE * min(ends):
        times = [point.time_s for row in result.rows for point in row.points if point.time_s > 0]
        return scale(times, width, "duration")
    return scale([0.0, *ends], width, "duration", zero=True)


def _steps(result: Learning, width: float) -> Scale:
    steps = [result.steps(row.points[-1]) for row in result.rows]
    return scale([0.0, *steps], width, zero=True)


def _draw(axes: Axes, result: Learning, row: Learned, number: int, *, by_time: bool, loss: bool) -> None:
    """Draw what one strategy learned, its marks apart from those of the others."""
    low = axes.get_xlim()[0]
    drawn: list[tuple[float, float]] = []
    for point in row.points:
        x = point.time_s if by_time else result.steps(point)
        value = point.loss if loss else point.accuracy
        if value is not None and x >= low:
            drawn.append((x, value))
    color, marker, dashes = marks.line(number)
    step = max(1, len(drawn) // _MARKS)
    shift = number * step // max(1, len(result.rows)) % step
    how: Any = {"markersize": 4.5, "markeredgewidth": 0, "linewidth": 1.4, "markevery": (shift, step)}
    places = [x for x, _ in drawn], [y for _, y in drawn]
    axes.plot(*places, color=color, marker=marker, linestyle=dashes, zorder=3, **how)
