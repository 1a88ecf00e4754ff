"""What a strategy looks like: its colour, marker, dashes and hatch, the same in every figure.

Strategies are numbered in the order of the scenario's file. Seven colours go round; with the eighth strategy
markers, dashes and hatches change, so that no two of the first 28 look alike.

Start with :func:`line` and :func:`fill`; :func:`numbers` numbers the strategies of a comparison.
"""

from __future__ import annotations

from typing import Any

from simpar.result import Comparison
from simpar.show.sheet import COLORS, GREY, INK, MARK, SMALL, WIDTH, Key, Sheet, printable, wrapped

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Marks of the first seven lines; with the colours of the sheet no two of 49 lines are alike."""

_DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
_HATCHES = ("", "////", "....", "xxxx")

WHISKER = "p5 to p95"
"""What a whisker and a band are: where nine of ten runs with other draws lie."""


def numbers(result: Comparison) -> dict[str, int]:
    """Return the number of each strategy of *result*, by name: its place in the file, from 0.

    A result that was saved does not know the file; its strategies are numbered by rank.
    """
    order = {name: number for number, name in enumerate(result.facts.get("strategies", ()))}
    if not all(row.name in order for row in result.rows):
        return {row.name: number for number, row in enumerate(result.rows)}
    return {row.name: order[row.name] for row in result.rows}


def line(number: int) -> tuple[str, str, Any]:
    """Return colour, marker and dashes of the strategy with this number."""
    turn = number // len(COLORS)
    return COLORS[number % len(COLORS)], MARKERS[(number + turn) % len(MARKERS)], _DASHES[turn % len(_DASHES)]


def fill(number: int) -> dict[str, Any]:
    """Return how a bar or a cell of the strategy with this number is filled, as matplotlib takes it."""
    hatch = _HATCHES[number // len(COLORS) % len(_HATCHES)]
    return {
        "facecolor": COLORS[number % len(COLORS)],
        "hatch": hatch,
        "edgecolor": "white" if hatch else "none",
        "linewidth": 0,
    }


# -- in a legend ---------------------------------------------------------------------------------


def mark_key(label: str, number: int) -> Key:
    """Return the entry of the strategy with this number where strategies are marks."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        from matplotlib.lines import Line2D

        color, marker, _ = line(number)
        how: Any = {"color": color, "marker": marker, "markersize": 5, "markeredgewidth": 0}
        at = [(x + MARK / 2) / sheet.width], [1 - y / sheet.height]
        sheet.figure.add_artist(Line2D(*at, linestyle="", **how))

    return Key(_short(label), draw)


def fill_key(label: str, number: int) -> Key:
    """Return the entry of the strategy with this number where strategies are bars or cells."""
    return patch_key(_short(label), fill(number))


def patch_key(name: str, how: dict[str, Any]) -> Key:
    """Return an entry whose mark is a box in this style."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        from matplotlib.patches import Rectangle

        place = x / sheet.width, 1 - (y + 0.05) / sheet.height
        sheet.figure.add_artist(Rectangle(place, MARK / sheet.width, 0.1 / sheet.height, **how))

    return Key(name, draw)


def whisker_key() -> Key:
    """Return the entry of whiskers: lines that end in bars."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        sheet.box(x, y - 0.005, MARK, 0.01, INK)
        sheet.box(x, y - 0.04, 0.01, 0.08, INK)
        sheet.box(x + MARK - 0.01, y - 0.04, 0.01, 0.08, INK)

    return Key(WHISKER, draw)


def band_key() -> Key:
    """Return the entry of bands along curves, whose whiskers stand upright."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        sheet.box(x, y - 0.06, MARK, 0.12, "#D0D0D0")
        sheet.box(x + MARK / 2 - 0.006, y - 0.06, 0.012, 0.12, GREY)
        sheet.box(x + MARK / 2 - 0.035, y - 0.066, 0.07, 0.012, GREY)
        sheet.box(x + MARK / 2 - 0.035, y + 0.054, 0.07, 0.012, GREY)

    return Key(WHISKER, draw)


def _short(label: str) -> str:
    return wrapped(printable(label), SMALL, WIDTH - 0.8, 1)[0]


# -- intervals -----------------------------------------------------------------------------------


def whisker(axes: Any, low: float, high: float, y: float, size: float = 5) -> None:
    """Draw a lying whisker from *low* to *high*."""
    axes.plot([low, high], [y, y], color=INK, linewidth=0.8, solid_capstyle="butt", zorder=3)
    axes.plot([low, high], [y, y], "|", color=INK, markersize=size, markeredgewidth=0.8, zorder=3)


def band(axes: Any, places: list[tuple[float, float, float]], number: int) -> None:
    """Draw where a curve lies in nine of ten runs: a pale band, and an upright whisker at each point.

    The bars at their ends are wider than the marks of the curve, so that short ones are seen, too.

    Args:
        places: (x, 5th percentile, 95th percentile) of each point, in order.
    """
    color = line(number)[0]
    x, lows, highs = (list(one) for one in zip(*places, strict=True))
    axes.fill_between(x, lows, highs, color=color, alpha=0.18, linewidth=0, zorder=2)
    axes.vlines(x, lows, highs, color=color, linewidth=1, zorder=3)
    for ends in (lows, highs):
        axes.plot(x, ends, "_", color=color, markersize=9, markeredgewidth=1, zorder=3)
