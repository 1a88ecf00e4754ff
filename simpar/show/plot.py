"""Figures for papers and slides: the steps of a comparison as bars, with what they are made of.

The same result gives the same bytes, in any process: nothing is taken from the user's matplotlib
settings or from the clock, and nothing of theirs is changed. Lengths in here are inches, font sizes
points (72 an inch).

Start with :func:`comparison`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from simpar.result import BREAKDOWN, Comparison, Interval, Row
from simpar.show import words
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
"""What :func:`comparison` can write."""

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

_UNLISTED = "#D8D8D8"
_WIDTH = 7.6
_MARGIN = 0.14
_MOST_LABEL = 2.55
_MOST_LINES = 3
_GAP = 0.08
_WHISKER = "p5 to p95"
_BAR = 0.19
_FONT = "DejaVu Sans"
_TITLE, _TEXT, _SMALL = 11.0, 9.0, 8.5
_INK, _GREY, _GRID, _ALARM = "#1A1A1A", "#595959", "#DDDDDD", "#A33B00"
_DPI = 200

# Settings that have a say in a figure; the others (backend, key bindings) are left as they are.
_OURS: tuple[str, ...] = ("agg.", "axes.", "figure.", "font.", "grid.", "hatch.", "image.", "lines.")
_OURS += ("mathtext.", "patch.", "path.", "pdf.", "savefig.", "svg.", "text.")
_OURS += ("xaxis.", "xtick.", "yaxis.", "ytick.")


def comparison(result: Comparison, format: str = "svg") -> bytes:
    """Return *result* as a picture: one horizontal bar a strategy, the fastest on top.

    A bar is the step, in the colours of its breakdown; at its end stand the step, the efficiency and,
    for asynchronous training, how stale the gradients are. What does not fit in memory has no bar and
    says so.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}, not one of: {', '.join(FORMATS)}")
    with _own_settings():
        figure = _figure(result)
        out = io.BytesIO()
        figure.savefig(out, format=format, dpi=_DPI, metadata=_metadata(format, result))
    return out.getvalue()


# -- settings ------------------------------------------------------------------------------------


def _own_settings() -> AbstractContextManager[None]:
    """Return a context with matplotlib's own defaults, whatever the user's are, and ours."""
    import matplotlib

    settings: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key.startswith(_OURS)}
    settings |= {
        "font.family": [_FONT],
        "svg.hashsalt": "simpar",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
    return matplotlib.rc_context(settings)


def _metadata(format: str, result: Comparison) -> dict[str, Any]:
    """Return what the file says of itself: nothing of the day, the machine or versions."""
    if format == "png":
        return {"Software": None}
    title = _printable(result.scenario)
    if format == "pdf":
        return {"Title": title, "Creator": "simpar", "Producer": "simpar", "CreationDate": None}
    return {"Title": title, "Creator": "simpar", "Date": None}


# -- text ----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _inches(text: str, size: float, bold: bool = False) -> float:
    """Return how long *text* is."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    """Return the characters that the font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=_FONT))).get_charmap())


def _printable(text: str) -> str:
    """Return *text* in one line, an empty box for each character that the font lacks."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return "".join(c if ord(c) in _drawable() else "\u25a1" for c in " ".join(clean.split()))


def _wrapped(text: str, size: float, width: float, most: int, bold: bool = False) -> list[str]:
    """Return *text* in at most *most* lines, none longer than *width*.

    Lines break at spaces, else after '-', '_', '/', '.' or ',', else anywhere. Where there are too
    many, the middle is left out: beginnings and ends are what tell names apart.
    """
    lines: list[str] = []
    rest = text
    while rest:
        if _inches(rest, size, bold) <= width:
            lines.append(rest)
            break
        fit = _fitting(rest, size, width, bold)
        cut = rest.rfind(" ", 1, fit + 1)
        if cut < fit // 2:
            cut = max((rest.rfind(c, 0, fit) for c in "-_/.,"), default=-1) + 1
        if cut < fit // 2:
            cut = fit
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if len(lines) <= most:
        return lines or [""]
    room = width - _inches("\u2026", size, bold)
    tail = text[-_fitting(text[::-1], size, room, bold) :].lstrip(" -_/.,")
    return [*lines[: most - 1], f"\u2026{tail}"]


def _fitting(text: str, size: float, width: float, bold: bool) -> int:
    """Return how many characters of *text*, at least one, are no longer than *width*."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _inches(text[:middle], size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def _step_time(seconds: float, scale: float, unit: str, digits: int) -> str:
    """Return a step as it stands at its bar; in a unit of its own where the column's leaves no figures."""
    if seconds * scale * 10**digits < 100:
        return spell(seconds, "duration", digits=3)
    return f"{words.grouped(seconds * scale, digits)} {unit}"


def _unit(longest_s: float) -> tuple[float, str, int]:
    """Return (units a second, unit, decimals) for steps up to *longest_s*."""
    if longest_s >= 10:
        scale, unit = 1.0, "s"
    elif longest_s >= 1e-3:
        scale, unit = 1e3, "ms"
    else:
        scale, unit = 1e6, "us"
    longest = longest_s * scale
    return scale, unit, 1 if longest >= 100 else 2 if longest >= 10 else 3


def _heading(result: Comparison) -> tuple[str, str]:
    """Return the title and the line below it, of what *result* knows."""
    facts = result.facts
    title = str(facts.get("model") or result.scenario)
    if facts.get("batch") is not None and facts.get("workers") is not None:
        one = facts["workers"] == 1
        on = "1 worker" if one else f"each of {facts['workers']} workers"
        title += f", batch {facts['batch']} on {on}"
    said = []
    if facts.get("bytes_per_s") is not None:
        network = spell(facts["bytes_per_s"], "rate")
        if facts.get("latency_s") is not None:
            network += f", {spell(facts['latency_s'], 'duration')} latency"
        said.append(network)
    if facts.get("steps") is not None:
        said.append(f"{facts['steps']} step" + ("" if facts["steps"] == 1 else "s"))
    said.append(f"seed {result.seed}")
    return _printable(title), _printable(" \u00b7 ".join(said))


# -- the figure ----------------------------------------------------------------------------------


class _Sheet:
    """A figure that is written on from the top down, in inches."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")
        self.width, self.height = width, height

    def text(self, x: float, y: float, text: str, size: float, color: str, **how: Any) -> None:
        """Write one line whose middle is *y* below the top; '$' and '_' mean nothing."""
        how = {"va": "center_baseline", "parse_math": False, "fontsize": size, "color": color} | how
        self.figure.text(x / self.width, 1 - y / self.height, text, None, **how)

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        """Draw a filled box whose upper left corner is (x, y)."""
        from matplotlib.patches import Rectangle

        place = (x / self.width, 1 - (y + height) / self.height)
        size = (width / self.width, height / self.height)
        self.figure.add_artist(Rectangle(place, *size, facecolor=color, edgecolor="none", linewidth=0))

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes whose upper left corner is (x, y)."""
        place = (x / self.width, 1 - (y + height) / self.height)
        return self.figure.add_axes((*place, width / self.width, height / self.height))


def _figure(result: Comparison) -> Figure:
    """Lay the picture out: title, legend, and one line a strategy, as high as they need."""
    rows = result.rows
    longest = max((_far_s(row) for row in rows), default=0.0)
    scale, unit, digits = _unit(longest)

    labels = [_wrapped(_printable(row.label), _TEXT, _MOST_LABEL, _MOST_LINES) for row in rows]
    label_width = max((_inches(line, _TEXT) for lines in labels for line in lines), default=0.0)
    least = 0.32 if len(rows) <= 12 else 0.27
    heights = [max(least, 0.15 * len(lines) + 0.12) for lines in labels]
    middles = [sum(heights[:number]) + height / 2 for number, height in enumerate(heights)]
    tall = max(least, sum(heights))
    left = _MARGIN + label_width + _GAP
    width = _WIDTH - _MARGIN - left

    title, below = _heading(result)
    titles = _wrapped(title, _TITLE, _WIDTH - 2 * _MARGIN, 2, bold=True)
    belows = _wrapped(below, _SMALL, _WIDTH - 2 * _MARGIN, 2)
    whiskers = [_WHISKER] if any(_steps(row) for row in rows) else []
    legend = _legend_lines(_listed(rows) + whiskers, _WIDTH - 2 * _MARGIN)
    top = 0.12 + 0.21 * len(titles) + 0.18 * len(belows) + 0.08
    bars = top + 0.22 * len(legend) + 0.06
    sheet = _Sheet(_WIDTH, bars + tall + (0.47 if longest else 0.12))

    y = 0.12 + 0.105
    for line in titles:
        sheet.text(_MARGIN, y, line, _TITLE, _INK, weight="bold")
        y += 0.21
    for line in belows:
        sheet.text(_MARGIN, y - 0.01, line, _SMALL, _GREY)
        y += 0.18
    for number, entries in enumerate(legend):
        x, y = _MARGIN, top + 0.22 * number + 0.08
        for part in entries:
            name, color = PARTS.get(part, (part, _INK))
            if part == _WHISKER:
                sheet.box(x, y - 0.005, 0.14, 0.01, color)
                sheet.box(x, y - 0.04, 0.01, 0.08, color)
                sheet.box(x + 0.13, y - 0.04, 0.01, 0.08, color)
            else:
                sheet.box(x, y - 0.05, 0.14, 0.1, color)
            sheet.text(x + 0.2, y, name, _SMALL, _INK)
            x += _entry_width(part)
    for middle, lines in zip(middles, labels, strict=True):
        for at, line in enumerate(lines):
            y = bars + middle + 0.15 * (at - (len(lines) - 1) / 2)
            sheet.text(left - _GAP, y, line, _TEXT, _INK, ha="right")

    ends = [_end(row, scale, unit, digits) for row in rows]
    lengths = [sum(_inches(text, _TEXT) for text, _ in end) for end in ends]
    # Inches a unit of time, so that the longest of (bar, its text) just fits.
    per_unit = min(
        (
            (width - _GAP - length) / (_far_s(row) * scale)
            for row, length in zip(rows, lengths, strict=True)
            if row.step_s
        ),
        default=1.0,
    )
    axes = sheet.axes(left, bars, width, tall)
    axes.set_xlim(0, width / per_unit)
    axes.set_ylim(tall, 0)
    _frame(axes, longest * scale)
    listed = set(_listed(rows))
    for row, middle, end, length in zip(rows, middles, ends, lengths, strict=True):
        x = max(_bar(axes, row, middle, scale, listed), _far_s(row) * scale) + _GAP / per_unit
        # The grid does not run through the words.
        axes.barh(middle, (length + 0.04) / per_unit, _BAR, left=x - 0.02 / per_unit, color="white", zorder=1)
        for text, color in end:
            how: Any = {"fontsize": _TEXT, "color": color, "va": "center_baseline", "parse_math": False}
            axes.text(x, middle, text, None, **how)
            x += _inches(text, _TEXT) / per_unit
    if longest:
        foot = bars + tall + 0.33
        sheet.text(left, foot, f"time of one step ({unit})", _SMALL, _INK)
        note = "at each bar: step, efficiency (speedup per worker)"
        sheet.text(_WIDTH - _MARGIN, foot, note, _SMALL - 1, _GREY, ha="right")
    return sheet.figure


def _steps(row: Row) -> Interval | None:
    """Return between what the step of *row* lies, None where it ran only once or does not fit."""
    return row.intervals.get("step_s") if row.step_s and row.intervals else None


def _far_s(row: Row) -> float:
    """Return where bar and whisker of *row* end, in seconds."""
    steps = _steps(row)
    return max(row.step_s or 0.0, steps.p95 if steps else 0.0)


def _listed(rows: Sequence[Row]) -> list[str]:
    """Return the parts that the legend names."""
    return [
        part
        for part in BREAKDOWN
        if any(row.breakdown and row.step_s and row.breakdown[part] > LISTED * row.step_s for row in rows)
    ]


def _entry_width(part: str) -> float:
    return 0.2 + _inches(PARTS.get(part, (part,))[0], _SMALL) + 0.22


def _legend_lines(parts: Sequence[str], width: float) -> list[list[str]]:
    """Return *parts* in lines no longer than *width*."""
    lines: list[list[str]] = []
    room = 0.0
    for part in parts:
        needs = _entry_width(part)
        if not lines or needs > room:
            lines.append([])
            room = width
        lines[-1].append(part)
        room -= needs
    return lines


def _end(row: Row, scale: float, unit: str, digits: int) -> list[tuple[str, str]]:
    """Return what stands at the end of a bar, as texts with their colours."""
    if row.step_s is None:
        said = f"does not fit in memory: needs {spell(row.memory_bytes, 'size')}"
        if row.memory_limit_bytes is not None:
            said += f" of {spell(row.memory_limit_bytes, 'size')}"
        return [(said, _ALARM)]
    said = _step_time(row.step_s, scale, unit, digits)
    rest = f", {words.percent(row.efficiency)}" if row.efficiency is not None else ""
    if row.staleness is not None:
        rest += f", {row.staleness.mean:.1f} updates stale"
    return [(said, _INK), (rest, _GREY)] if rest else [(said, _INK)]


def _frame(axes: Axes, longest: float) -> None:
    """Draw a light grid as far as the longest bar, a line where bars begin, and no box."""
    from matplotlib.ticker import MaxNLocator

    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(_GREY)
    axes.spines["left"].set_linewidth(0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.set_yticks([])
    ticks = MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(0, longest) if longest else []
    shown = [float(tick) for tick in ticks if tick <= longest * (1 + 1e-9)]
    axes.set_xticks(shown, [f"{tick:.12g}" for tick in shown])
    axes.tick_params(axis="x", length=0, pad=4, labelsize=_SMALL, labelcolor=_GREY)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)


def _bar(axes: Axes, row: Row, y: float, scale: float, listed: set[str]) -> float:
    """Draw the bar of *row* and return where it ends."""
    at = 0.0
    for part in BREAKDOWN:
        length = (row.breakdown or {}).get(part, 0.0) * scale
        if length > 0:
            color = PARTS[part][1] if part in listed else _UNLISTED
            axes.barh(y, length, _BAR, left=at, color=color, linewidth=0, zorder=2)
            at += length
    steps = _steps(row)
    if steps:
        low, high = steps.p5 * scale, steps.p95 * scale
        axes.plot([low, high], [y, y], color=_INK, linewidth=0.8, solid_capstyle="butt", zorder=3)
        axes.plot([low, high], [y, y], "|", color=_INK, markersize=5, markeredgewidth=0.8, zorder=3)
    return at
