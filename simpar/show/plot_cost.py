"""The figure of money against time: a mark a strategy, and the front that nothing beats in both.

Time is that of a million samples, or of an epoch where the scenario says how many records it has; money is
what that time costs. On the front (Pareto's) nothing else is both faster and cheaper. Of many points, each
with other settings, only those on the front have names.

Start with :func:`cost`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from simpar.result import Comparison, Row
from simpar.show import marks, words
from simpar.show.scales import LEAD, Name, frame, names, scale
from simpar.show.sheet import (
    FOOT,
    GAP,
    GREY,
    INK,
    MARGIN,
    MARK,
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
from simpar.study.points import Point
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_HEIGHT = 2.9
_MOST_LABEL = 2.3
_MOST_NAMED = 16
"""Names beside the axes; of more only those on the front have one."""


class Points(Protocol):
    """A study: many comparisons of one scenario."""

    @property
    def scenario(self) -> str:
        """Its name."""

    @property
    def seed(self) -> int:
        """Of everything drawn at random."""

    @property
    def points(self) -> tuple[Point, ...]:
        """One a setting."""

    @property
    def labels(self) -> Mapping[str, str]:
        """What people read, by the name of each strategy."""


@dataclass(frozen=True)
class Dot:
    """One strategy with one set of settings."""

    strategy: int
    """Its number in the legend."""
    label: str
    seconds: float
    """Of an epoch, or of a million samples."""
    usd: float
    """Of the same."""
    at: str = ""
    """The settings that tell it from other dots of its strategy."""
    spread: tuple[float, float] | None = None
    """Between how many times its time, and so its money, nine of ten runs lie; None where it ran once."""


def cost(result: Comparison | Points, format: str = "svg") -> bytes:
    """Return money against time as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format, or nothing has a price.
    """
    if not dots(result):
        raise ValueError("nothing here has a price")
    return picture(lambda: _figure(result), format, result.scenario)


def dots(result: Comparison | Points) -> list[Dot]:
    """Return every strategy that has a price, at each point of a study."""
    epoch = _by_epoch(result)
    found = []
    for row, number, label, at in _rows(result):
        usd = row.usd_per_epoch if epoch else row.usd_per_million_samples
        if usd is not None and row.samples_per_s and row.usd_per_hour:
            # Of an epoch the samples are not known, but what they cost is: hours are USD over USD an hour.
            found.append(Dot(number, label, usd / row.usd_per_hour * 3600, usd, at, _spread(row)))
    return found


def _spread(row: Row) -> tuple[float, float] | None:
    rates = row.intervals.get("samples_per_s") if row.intervals else None
    if rates is None or not row.samples_per_s or rates.p5 <= 0:
        return None
    return row.samples_per_s / rates.p95, row.samples_per_s / rates.p5


def front(found: Sequence[Dot]) -> list[Dot]:
    """Return those that nothing beats in time and in money, the fastest first."""
    kept: list[Dot] = []
    for dot in sorted(found, key=lambda dot: (dot.seconds, dot.usd)):
        if not kept or dot.usd < kept[-1].usd or (dot.seconds, dot.usd) == (kept[-1].seconds, kept[-1].usd):
            kept.append(dot)
    return kept


def _rows(result: Comparison | Points) -> list[tuple[Row, int, str, str]]:
    """Return every row, the number of its strategy, what it is called, and what is set there."""
    if isinstance(result, Comparison):
        order, titles = marks.numbers(result), words.titles(result.rows)
        return [(row, order[row.name], titles[row.name], "") for row in result.rows]
    found = []
    values: dict[str, set[str]] = {}
    for point in result.points:
        for path, value in point.settings.items():
            values.setdefault(path, set()).add(str(value))
    for point in result.points:
        told = [
            f"{path.rpartition('.')[2]} {value}"
            for path, value in point.settings.items()
            if len(values[path]) > 1 and value is not None
        ]
        for number, (name, label) in enumerate(result.labels.items()):
            row = point.row(name)
            if row is not None:
                found.append((row, number, label, ", ".join(told)))
    return found


def _by_epoch(result: Comparison | Points) -> bool:
    return any(row.usd_per_epoch is not None for row, *_ in _rows(result))


def _facts(result: Comparison | Points) -> Mapping[str, Any]:
    if isinstance(result, Comparison):
        return result.facts
    return next((point.comparison.facts for point in result.points if point.comparison), {})


def _figure(result: Comparison | Points) -> Figure:
    """Lay the picture out: head, axes, the names at their right, and what has no price."""
    found = dots(result)
    best = front(found)
    named = found if len(found) <= _MOST_NAMED else best
    facts = _facts(result)
    what = "an epoch" if _by_epoch(result) else f"a million {facts.get('unit', 'samples')}"
    many = not isinstance(result, Comparison) and len(found) > len(named)
    labels = {} if isinstance(result, Comparison) else dict(enumerate(result.labels.values()))
    keys = [Key("nothing is both faster and cheaper (Pareto front)", _front_key)]
    keys += [Key(marks.WHISKER, _spread_key)] if any(dot.spread for dot in found) else []
    keys += [marks.mark_key(label, number) for number, label in (labels.items() if many else ())]
    title = f"What {what} costs, and how long it takes"
    model = str(facts.get("model") or result.scenario)
    head = Head(title, [model, *circumstances(facts, result.seed)], keys)
    written = [wrapped(printable(dot.label), TEXT, _MOST_LABEL, 3) for dot in named]
    says = [_says(dot) for dot in named]
    room = max(inches(line, TEXT) for lines in written for line in lines)
    room = max(room, *(inches(said, SMALL) for said in says))
    tall = max(_LEAST_HEIGHT, sum(0.15 * (len(lines) + 1) + 0.06 for lines in written))
    ends = [(dot, times) for dot in found for times in (1.0, *(dot.spread or ()))]
    y_scale = scale([dot.usd * times for dot, times in ends], tall, high=True)
    left = MARGIN + 0.3 + y_scale.width
    width = WIDTH - MARGIN - left - LEAD - GAP - room
    x_scale = scale([dot.seconds * times for dot, times in ends], width, "duration")
    below = footnote(_missing(result))
    top = head.height + 0.1
    sheet = Sheet(WIDTH, top + tall + 0.52 + FOOT * len(below))
    head.draw(sheet)
    axes = sheet.axes(left, top, width, tall)
    frame(axes, x_scale, y_scale)
    _draw(axes, found, best)
    places = [
        Name(
            written[number],
            *marks.line(dot.strategy)[:2],
            left + width * x_scale.share(dot.seconds),
            top + tall * (1 - y_scale.share(dot.usd)),
            says[number],
            INK if dot in best else GREY,
        )
        for number, dot in enumerate(named)
    ]
    names(sheet, places, top, top + tall, left + width)
    sheet.axis_names(f"time of {what}", f"cost of {what} (USD)", left, top, width, tall)
    sheet.foot(below, top + tall + 0.56)
    return sheet.figure


def _says(dot: Dot) -> str:
    """Return the smaller line under a name: the settings there, time and money."""
    figures = f"{spell(dot.seconds, 'duration', digits=3)}, {words.usd(dot.usd)} USD"
    room = _MOST_LABEL - inches(f": {figures}", SMALL)
    return f"{wrapped(printable(dot.at), SMALL, room, 1)[0]}: {figures}" if dot.at else figures


def _front_key(sheet: Sheet, x: float, y: float) -> None:
    sheet.box(x, y - 0.01, MARK, 0.02, GREY)


def _spread_key(sheet: Sheet, x: float, y: float) -> None:
    from matplotlib.lines import Line2D

    ends = [x / sheet.width, (x + MARK) / sheet.width], [1 - (y + d) / sheet.height for d in (0.05, -0.05)]
    sheet.figure.add_artist(Line2D(*ends, color=GREY, linewidth=2.5, alpha=0.5))


def _missing(result: Comparison | Points) -> str:
    """Return which strategies of a comparison are not drawn."""
    if not isinstance(result, Comparison):
        return ""
    drawn, order = {dot.strategy for dot in dots(result)}, marks.numbers(result)
    groups = {
        "does not fit in memory": [row.label for row in result.rows if not row.fits],
        "without a price": [row.label for row in result.rows if row.fits and order[row.name] not in drawn],
    }
    return "; ".join(f"{why}: {', '.join(labels)}" for why, labels in groups.items() if labels)


def _draw(axes: Axes, found: Sequence[Dot], best: Sequence[Dot]) -> None:
    """Draw the marks, between what their runs lie, and the front as a line of steps."""
    for dot in found:
        color, marker, _ = marks.line(dot.strategy)
        faint = 1.0 if dot in best or len(found) <= _MOST_NAMED else 0.45
        if dot.spread:
            x, y = ([of * times for times in dot.spread] for of in (dot.seconds, dot.usd))
            axes.plot(x, y, color=color, linewidth=2.5, alpha=0.5 * faint, zorder=2)
        axes.plot(
            [dot.seconds],
            [dot.usd],
            color=color,
            marker=marker,
            markersize=7,
            markeredgewidth=0.6,
            markeredgecolor="white",
            linestyle="",
            alpha=faint,
            zorder=3,
        )
    x = [dot.seconds for dot in best]
    y = [dot.usd for dot in best]
    top, right = axes.get_ylim()[1], axes.get_xlim()[1]
    axes.step([x[0], *x, right], [top, *y, y[-1]], where="post", color=GREY, linewidth=1.1, zorder=2)
