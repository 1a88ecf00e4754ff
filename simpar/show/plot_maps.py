"""Maps over two axes of a study: which strategy is fastest where, and how long the step takes.

A cell is a point, all cells are equally large. Lines run where the winner changes. Of two axes there are two
maps, the winner and the step; of three there is a map for each value of the axis that has fewest.

Used by :mod:`simpar.show.plot_whatif`; start with :func:`maps`. Lengths in here are inches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.show import marks
from simpar.show.plot_whatif import AxisLike, StudyLike, heading, in_unit, places, said
from simpar.show.sheet import (
    GAP,
    GREY,
    INK,
    MARGIN,
    MARK,
    SMALL,
    WIDTH,
    Key,
    Sheet,
    inches,
    printable,
    wrapped,
)
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MAPS = 12
"""Maps of a study of three axes; of more values the first and the last, and evenly between."""

_BETWEEN = 0.25
_WORD = 1.2
_TEXT = 7.0
_NOTHING = "#F2F2F2"


@dataclass(frozen=True)
class Map:
    """The points of one map, by (column, line)."""

    title: str
    winners: dict[tuple[int, int], int]
    """Number of the fastest strategy; missing where nothing has figures."""
    steps: dict[tuple[int, int], float]
    """Seconds, of the fastest or of one strategy."""


def maps(study: StudyLike, live: Sequence[int], of: str | None) -> Figure:
    """Return the figure of a study of two or three axes, the numbers of which are *live*."""
    third = min(live, key=lambda n: (len(study.axes[n].values), -n)) if len(live) == 3 else None
    plane = [number for number in live if number != third]
    # Words stand upright, where they have room; else the axis with more values lies down.
    down, across = sorted(
        plane, key=lambda n: (study.axes[n].numbers is not None, len(study.axes[n].values), -n)
    )
    values = [None] if third is None else _evenly(len(study.axes[third].values), MOST_MAPS)
    found = [_map(study, across, down, third, value, of) for value in values]
    whose = "the step of the fastest" if of is None else f"the step of {study.labels[of]}"
    both = third is None or of is not None
    more = [] if third is None else _left_out(study.axes[third], len(found))
    more += [] if both else ["colours: the fastest strategy; figures: its step"]
    keys = _keys(study, found)
    head = heading(study, live, keys, more)
    x, y = _Side(study.axes[across]), _Side(study.axes[down])
    left = MARGIN + max(0.26 + y.room, x.room / 2)
    count = 2 if third is None else min(len(found), 2 if len(found) <= 4 else 3)
    # What stands at the first and the last cell may be wider than the cell.
    room = x.room if x.axis.numbers is not None else 0.0
    beyond = max(0.0, room - (WIDTH - MARGIN - left - _BETWEEN * count) / count / len(x.texts)) / 2
    between = max(_BETWEEN, 2 * beyond + 0.1)
    width = (WIDTH - MARGIN - max(0.1, beyond) - left - between * (count - 1)) / count
    tall = max(0.24 * len(y.texts), min(1.9, 0.5 * len(y.texts)), 0.9) if len(y.texts) <= 20 else 4.0
    x.shorten(width)
    lines = math.ceil((2 if third is None else len(found)) / count)
    title = 0.26
    each = title + tall + 0.3
    every = [step for one in found for step in one.steps.values()]
    scale_room = 0.32 if both else 0.0
    top = head.height + 0.02
    sheet = Sheet(WIDTH, top + each * lines + 0.3 + scale_room)
    head.draw(sheet)
    color = _colors(every)
    draws: list[tuple[str, Map, bool]] = (
        [("fastest strategy", found[0], False), (whose, found[0], True)]
        if third is None
        else [(one.title, one, of is not None) for one in found]
    )
    for at, (name, one, by_step) in enumerate(draws):
        line, column = divmod(at, count)
        corner = left + column * (width + between), top + each * line
        text = wrapped(printable(name), SMALL, width, 1)[0]
        sheet.text(corner[0], corner[1] + title / 2, text, SMALL, INK)
        axes = sheet.axes(corner[0], corner[1] + title, width, tall)
        _frame(axes, x, y, width, tall, column == 0)
        _draw(axes, one, x, y, color if by_step else None)
        if by_step or third is not None:
            _write(axes, one, x, y, width, tall, color if by_step else None)
        if column == 0:
            middle = corner[1] + title + tall / 2
            sheet.upright(y.beside, middle, tall + title + 0.2)
    bottom = top + each * lines
    path = wrapped(printable(x.beside), SMALL, WIDTH - left - MARGIN, 1)[0]
    sheet.text((left + WIDTH - MARGIN) / 2, bottom + 0.08, path, SMALL, INK, ha="center")
    if both:
        _strip(sheet, left, bottom + 0.34, WIDTH - MARGIN - 0.3 - left, every, color, whose)
    return sheet.figure


class _Side:
    """One axis of the maps: its values in the order in which they are drawn."""

    def __init__(self, axis: AxisLike) -> None:
        self.axis = axis
        numbers = axis.numbers
        order = range(len(axis.values))
        self.order = list(order) if numbers is None else sorted(order, key=lambda n: (numbers[n], n))
        _, texts, self.beside = in_unit(axis)
        self.texts = [wrapped(texts[n], SMALL, _WORD, 1)[0] for n in self.order]
        self.place = {value: place for place, value in enumerate(self.order)}

    @property
    def room(self) -> float:
        """Inches of its longest text."""
        return max(inches(text, SMALL) for text in self.texts)

    def shorten(self, length: float) -> None:
        """Cut words to what has room at each of the cells on *length* inches; numbers can be left out."""
        each = length / len(self.texts) - 0.1
        if self.axis.numbers is None and each > 0.3:
            self.texts = [wrapped(text, SMALL, each, 1)[0] for text in self.texts]

    def ticks(self, length: float, room: Callable[[str], float]) -> list[int]:
        """Return the places whose texts do not touch on *length* inches: evenly, from the first on."""
        each = length / len(self.texts)
        every = max(1, math.ceil(max(room(text) for text in self.texts) / each))
        return list(range(0, len(self.texts), every))


def winner(study: StudyLike, number: int) -> str | None:
    """Return the fastest strategy at a point, the first of equals; None where nothing has figures."""
    return next(iter(study.points[number].fastest(study.labels)), None)


def _map(
    study: StudyLike, across: int, down: int, third: int | None, value: int | None, of: str | None
) -> Map:
    """Return the map over the axes *across* and *down*, where axis *third* has its value number *value*."""
    order = {name: number for number, name in enumerate(study.labels)}
    winners: dict[tuple[int, int], int] = {}
    steps: dict[tuple[int, int], float] = {}
    for number, place in enumerate(places(study)):
        if third is not None and place[third] != value:
            continue
        best = winner(study, number)
        cell = place[across], place[down]
        if best is not None:
            winners[cell] = order[best]
        whose = of or best
        row = study.points[number].row(whose) if whose else None
        if row is not None and row.step_s:
            steps[cell] = row.step_s
    axis = None if third is None else study.axes[third]
    title = "" if axis is None or value is None else f"{axis.path} {said(axis.values[value])}"
    return Map(title, winners, steps)


def _evenly(count: int, most: int) -> list[int | None]:
    """Return at most *most* of *count* places, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(n * (count - 1) / (most - 1)) for n in range(most)]


def _left_out(axis: AxisLike, shown: int) -> list[str]:
    left = len(axis.values) - shown
    return [f"{left} of {len(axis.values)} values of {axis.path} not drawn"] if left else []


# -- drawing ---------------------------------------------------------------------------------------


def _keys(study: StudyLike, found: Sequence[Map]) -> list[Key]:
    """Return the legend: who wins anywhere, the line between them, and cells without figures."""
    labels = list(study.labels.values())
    won = sorted({number for one in found for number in one.winners.values()})
    keys = [marks.fill_key(labels[number], number) for number in won]
    if len(won) > 1:
        keys.append(Key("the winner changes", lambda sheet, x, y: sheet.box(x, y - 0.012, MARK, 0.024, INK)))
    cells = len(found) * max(len(one.winners) for one in found)
    counts = [len(one.steps) for one in found] + [len(one.winners) for one in found]
    total = math.prod(len(axis.values) for axis in study.axes)
    if min(counts) * len(found) < cells or sum(len(one.winners) for one in found) < total:
        nothing = {"facecolor": _NOTHING, "edgecolor": GREY, "linewidth": 0.5}
        keys.append(marks.patch_key("no figures", nothing))
    return keys


def _frame(axes: Axes, x: _Side, y: _Side, width: float, tall: float, first: bool) -> None:
    """Set the axes: cells one long, the first line of the study's numbers at the bottom."""
    axes.set_xlim(0, len(x.texts))
    axes.set_ylim(0, len(y.texts))
    across = x.ticks(width, lambda text: inches(text, SMALL) + 0.12)
    up = y.ticks(tall, lambda text: 0.17)
    axes.set_xticks([at + 0.5 for at in across], [x.texts[at] for at in across])
    axes.set_yticks([at + 0.5 for at in up], [y.texts[at] if first else "" for at in up])
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axes.tick_params(length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.set_facecolor(_NOTHING)
    for spine in axes.spines.values():
        spine.set_color(GREY)
        spine.set_linewidth(0.8)


def _draw(axes: Axes, one: Map, x: _Side, y: _Side, color: Callable[[float], Any] | None) -> None:
    """Draw the cells, by their step where *color* is given, else by the winner; and where that changes."""
    from matplotlib.patches import Rectangle

    at = {cell: (x.place[cell[0]], y.place[cell[1]]) for cell in {*one.winners, *one.steps}}
    for cell in sorted(at, key=lambda cell: at[cell]):
        if color is not None and cell in one.steps:
            # Of the cell's own colour is its edge, too: no light shines between two.
            shade = color(one.steps[cell])
            axes.add_patch(Rectangle(at[cell], 1, 1, facecolor=shade, edgecolor=shade, linewidth=0.3))
        elif color is None and cell in one.winners:
            how = marks.fill(one.winners[cell])
            plain = how | {"hatch": "", "edgecolor": how["facecolor"], "linewidth": 0.3}
            axes.add_patch(Rectangle(at[cell], 1, 1, **plain))
            if how["hatch"]:
                axes.add_patch(Rectangle(at[cell], 1, 1, **how))
    by_place = {at[cell]: number for cell, number in one.winners.items()}
    lines: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for (column, line), number in sorted(by_place.items()):
        if by_place.get((column + 1, line), number) != number:
            lines.append(((column + 1, line), (column + 1, line + 1)))
        if by_place.get((column, line + 1), number) != number:
            lines.append(((column, line + 1), (column + 1, line + 1)))
    for begin, end in lines:
        ends = (begin[0], end[0]), (begin[1], end[1])
        for color_of, width, order in (("white", 2.8, 4), (INK, 1.6, 5)):
            axes.plot(*ends, color=color_of, linewidth=width, solid_capstyle="projecting", zorder=order)


def _write(
    axes: Axes,
    one: Map,
    x: _Side,
    y: _Side,
    width: float,
    tall: float,
    color: Callable[[float], Any] | None,
) -> None:
    """Write the step into each cell, where all of them have room."""
    texts = {cell: spell(step, "duration", digits=3) for cell, step in one.steps.items()}
    widest = max((inches(text, _TEXT) for text in texts.values()), default=0.0)
    if widest + 0.06 > width / len(x.texts) or tall / len(y.texts) < 0.16:
        return
    for cell, text in texts.items():
        shade = color(one.steps[cell]) if color else None
        ink = (
            INK if shade is None or sum(w * s for w, s in zip(_LIGHT, shade, strict=False)) > 0.5 else "white"
        )
        place = x.place[cell[0]] + 0.5, y.place[cell[1]] + 0.5
        how: Any = {"fontsize": _TEXT, "color": ink, "ha": "center", "va": "center", "parse_math": False}
        if shade is None:
            how["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
        axes.text(*place, text, None, **how)


_LIGHT = (0.2126, 0.7152, 0.0722)
"""How much red, green and blue make a colour light (ITU-R BT.709)."""


def _colors(every: Sequence[float]) -> Callable[[float], Any]:
    """Return the colour of a step: dark is short; equal ratios are equal differences beyond a decade."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    least, most = min(every), max(every)
    norm = (
        LogNorm(least, most) if most > 10 * least else Normalize(least, most if most > least else least + 1)
    )
    palette = colormaps["cividis"]
    return lambda step: palette(float(norm(step)))


def _strip(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    every: Sequence[float],
    color: Callable[[float], Any],
    whose: str,
) -> None:
    """Draw the scale of colours: what it is of, the shortest step, the strip, the longest."""
    least, most = min(every), max(every)
    ends = [spell(step, "duration", digits=3) for step in (least, most)]
    room = width - inches(ends[0], SMALL) - inches(ends[1], SMALL) - 3 * GAP
    text = wrapped(printable(whose), SMALL, max(1.0, room - 1.6), 1)[0]
    sheet.text(x, y, text, SMALL, INK)
    at = x + inches(text, SMALL) + 2 * GAP
    sheet.text(at, y, ends[0], SMALL, GREY)
    at += inches(ends[0], SMALL) + GAP
    parts = 48
    for number in range(parts):
        share = (number + 0.5) / parts
        step = least * (most / least) ** share if most > 10 * least else least + share * (most - least)
        # As far as the end, so that no light shines between two.
        begin = 1.4 * number / parts
        sheet.box(at + begin, y - 0.06, 1.4 - begin, 0.12, color(step))
    sheet.text(at + 1.4 + GAP, y, ends[1], SMALL, GREY)
