"""What the figures share: a sheet to write on, text that fits, the head with its legend, settings of our own.

The same figure gives the same bytes, in any process: nothing is taken from the user's matplotlib settings or
from the clock, and nothing of theirs is changed. Lengths in here are inches, font sizes points (72 an inch).

Start with :func:`picture`, which turns a figure into a file; :class:`Head` and :class:`Sheet` lay one out.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from simpar.show.svg import compact
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simpar.result import Comparison

FORMATS = ("svg", "png", "pdf")
"""What :func:`picture` can write."""

COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#9A9A9A")
"""Colours that people who see few colours tell apart: those of Okabe and Ito (Wong, *Nature Methods* 8, 2011)
without the yellow, too pale for a line, and with grey in place of black."""

WIDTH = 7.6
MARGIN = 0.14
GAP = 0.08
BAR = 0.19
FONT = "DejaVu Sans"
TITLE, TEXT, SMALL = 11.0, 9.0, 8.5
INK, GREY, GRID, ALARM = "#1A1A1A", "#595959", "#DDDDDD", "#A33B00"
FOOT = 0.18
"""Height of a line below a figure."""
MARK = 0.14
"""Width of the mark before a name in a legend."""
_DPI = 200

# Settings that have a say in a figure; the others (backend, key bindings) are left as they are.
_OURS: tuple[str, ...] = ("agg.", "axes.", "figure.", "font.", "grid.", "hatch.", "image.", "lines.")
_OURS += ("mathtext.", "patch.", "path.", "pdf.", "savefig.", "svg.", "text.")
_OURS += ("xaxis.", "xtick.", "yaxis.", "ytick.")


def picture(build: Callable[[], Figure], format: str, title: str) -> bytes:
    """Return the figure that *build* makes as a file.

    Args:
        format: ``svg``, ``png`` or ``pdf``.
        title: what the file says of itself.

    Raises:
        ValueError: there is no such format.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}, not one of: {', '.join(FORMATS)}")
    with own_settings():
        out = io.BytesIO()
        build().savefig(out, format=format, dpi=_DPI, metadata=_metadata(format, printable(title)))
    return compact(out.getvalue().decode()).encode() if format == "svg" else out.getvalue()


def own_settings() -> AbstractContextManager[None]:
    """Return a context with matplotlib's own defaults, whatever the user's are, and ours."""
    import matplotlib

    settings: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key.startswith(_OURS)}
    settings |= {
        "font.family": [FONT],
        # Hinted text is up to 3 % longer in a PNG than :func:`inches` says, and would leave the sheet.
        "text.hinting": "none",
        "svg.hashsalt": "simpar",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
    return matplotlib.rc_context(settings)


def _metadata(format: str, title: str) -> dict[str, Any]:
    """Return what the file says of itself: nothing of the day, the machine or versions."""
    if format == "png":
        return {"Software": None}
    if format == "pdf":
        return {"Title": title, "Creator": "simpar", "Producer": "simpar", "CreationDate": None}
    return {"Title": title, "Creator": "simpar", "Date": None}


# -- text ----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def inches(text: str, size: float, bold: bool = False) -> float:
    """Return how long *text* is."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    """Return the characters that the font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def printable(text: str) -> str:
    """Return *text* in one line, an empty box for each character that the font lacks."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return "".join(c if ord(c) in _drawable() else "\u25a1" for c in " ".join(clean.split()))


def wrapped(text: str, size: float, width: float, most: int, bold: bool = False) -> list[str]:
    """Return *text* in at most *most* lines, none longer than *width*.

    Lines break at spaces, else after '-', '_', '/', '.' or ',', else anywhere. Where there are too
    many, the middle is left out: beginnings and ends are what tell names apart.
    """
    lines: list[str] = []
    rest = text
    while rest:
        if inches(rest, size, bold) <= width:
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
    room = width - inches("\u2026", size, bold)
    tail = text[-_fitting(text[::-1], size, room, bold) :].lstrip(" -_/.,")
    return [*lines[: most - 1], f"\u2026{tail}"]


def _fitting(text: str, size: float, width: float, bold: bool) -> int:
    """Return how many characters of *text*, at least one, are no longer than *width*."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if inches(text[:middle], size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def footnote(text: str, most: int = 2) -> list[str]:
    """Return *text* in lines for the foot of a sheet, at most *most*; none where there is no text."""
    return wrapped(printable(text), SMALL, WIDTH - 2 * MARGIN, most) if text else []


def circumstances(facts: Mapping[str, Any], seed: int) -> list[str]:
    """Return network, steps and seed, as far as *facts* know them: what stands below a title."""
    said = []
    if facts.get("bytes_per_s") is not None:
        network = spell(facts["bytes_per_s"], "rate")
        if facts.get("latency_s") is not None:
            network += f", {spell(facts['latency_s'], 'duration')} latency"
        network += f", {facts['topology']}" if facts.get("topology") else ""
        said.append(network)
    if facts.get("steps") is not None:
        said.append(f"{facts['steps']} step" + ("" if facts["steps"] == 1 else "s"))
    return [*said, f"seed {seed}"]


def batch_on(facts: Mapping[str, Any]) -> list[str]:
    """Return the batch and the workers in a few words, as far as *facts* know them.

    >>> batch_on({"batch": 64, "workers": 8}), batch_on({"batch": 64}), batch_on({"workers": 1})
    (['batch 64 on each of 8 workers'], ['batch 64 on each worker'], ['1 worker'])
    """
    batch, workers = facts.get("batch"), facts.get("workers")
    one = workers == 1
    if batch is None:
        return [] if workers is None else ["1 worker" if one else f"{workers} workers"]
    if facts.get("shares"):
        return [f"batch {sum(facts['shares'])} on {workers} workers together"]
    on = "1 worker" if one else "each worker" if workers is None else f"each of {workers} workers"
    return [f"batch {batch} on {on}"]


def of_model(result: Comparison, *more: str) -> list[str]:
    """Return the model, *more*, then network, steps and seed: what stands below a title that lacks them."""
    model = str(result.facts.get("model") or result.scenario)
    return [model, *more, *circumstances(result.facts, result.seed)]


# -- the sheet -----------------------------------------------------------------------------------


class Sheet:
    """A figure that is written on from the top down, in inches."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")
        self.width, self.height = width, height

    def text(self, x: float, y: float, text: str, size: float, color: str, **how: Any) -> None:
        """Write one line whose middle is *y* below the top; '$' and '_' mean nothing."""
        how = {"va": "center_baseline", "parse_math": False, "fontsize": size, "color": color} | how
        self.figure.text(x / self.width, 1 - y / self.height, text, None, **how)

    def foot(self, lines: Sequence[str], y: float) -> None:
        """Write small grey *lines* at the left, the middle of the first *y* below the top."""
        for at, line in enumerate(lines):
            self.text(MARGIN, y + FOOT * at, line, SMALL, GREY)

    def axis_names(self, x: str, y: str, left: float, top: float, width: float, tall: float) -> None:
        """Write what stands at the axes of a plot whose upper left corner is (*left*, *top*)."""
        text = wrapped(printable(x), SMALL, self.width - 2 * MARGIN, 1)[0]
        middle = max(left + width / 2, MARGIN + inches(text, SMALL) / 2)
        self.text(middle, top + tall + 0.35, text, SMALL, INK, ha="center")
        self.upright(y, top + tall / 2, tall + 0.3)

    def upright(self, text: str, y: float, room: float) -> None:
        """Write *text* at the left margin from below to above, its middle *y* below the top."""
        said = wrapped(printable(text), SMALL, room, 1)[0]
        self.text(MARGIN + 0.06, y, said, SMALL, INK, ha="center", va="center", rotation=90)

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


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    name: str
    draw: Callable[[Sheet, float, float], None]
    """Draws its mark, :data:`MARK` wide, on a sheet: its left end and its middle are given."""

    @property
    def width(self) -> float:
        """Inches that it takes."""
        return 0.06 + MARK + inches(self.name, SMALL) + 0.22


def box_key(name: str, color: str) -> Key:
    """Return an entry whose mark is a filled box."""
    return Key(name, lambda sheet, x, y: sheet.box(x, y - 0.05, MARK, 0.1, color))


class Head:
    """Title, a line below it, and the legend: as many lines as they need."""

    def __init__(self, title: str, below: Sequence[str], keys: Sequence[Key]) -> None:
        room = WIDTH - 2 * MARGIN
        self._titles = wrapped(printable(title), TITLE, room, 2, bold=True)
        self._belows = wrapped(printable(" \u00b7 ".join(below)), SMALL, room, 2)
        self._legend = _lines(keys, room)
        self._top = 0.12 + 0.21 * len(self._titles) + 0.18 * len(self._belows) + 0.08
        self.height = self._top + 0.22 * len(self._legend) + 0.06

    def draw(self, sheet: Sheet) -> None:
        """Write it at the top of *sheet*."""
        y = 0.12 + 0.105
        for line in self._titles:
            sheet.text(MARGIN, y, line, TITLE, INK, weight="bold")
            y += 0.21
        for line in self._belows:
            sheet.text(MARGIN, y - 0.01, line, SMALL, GREY)
            y += 0.18
        for number, keys in enumerate(self._legend):
            x, y = MARGIN, self._top + 0.22 * number + 0.08
            for key in keys:
                key.draw(sheet, x, y)
                sheet.text(x + MARK + 0.06, y, key.name, SMALL, INK)
                x += key.width


def _lines(keys: Sequence[Key], width: float) -> list[list[Key]]:
    """Return *keys* in lines no longer than *width*."""
    lines: list[list[Key]] = []
    room = 0.0
    for key in keys:
        if not lines or key.width > room:
            lines.append([])
            room = width
        lines[-1].append(key)
        room -= key.width
    return lines


def bar_frame(axes: Axes, longest: float) -> None:
    """Draw a light grid as far as the longest bar, a line where bars begin, and no box."""
    from matplotlib.ticker import MaxNLocator

    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(GREY)
    axes.spines["left"].set_linewidth(0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.set_yticks([])
    ticks = MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(0, longest) if longest else []
    shown = [float(tick) for tick in ticks if tick <= longest * (1 + 1e-9)]
    axes.set_xticks(shown, [f"{tick:.12g}" for tick in shown])
    axes.tick_params(axis="x", length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
