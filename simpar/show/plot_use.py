"""The figure of who is busy: how much of the time every device, server and link of one strategy is in use.

A bar is a share of the time in which steps were measured; of a link, a share of its capacity. Those that
are alike share a bar (``w0 to w7``). What holds the strategy back is marked.

Start with :func:`use`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from simpar.result import Comparison, Row, Use
from simpar.show import words
from simpar.show.sheet import (
    ALARM,
    BAR,
    FOOT,
    GAP,
    GREY,
    GRID,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Sheet,
    box_key,
    inches,
    of_model,
    picture,
    printable,
    wrapped,
)
from simpar.show.timeline_lanes import in_natural_order
from simpar.units import spell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_BARS = 40
"""Bars of a figure, about; of more, those in use least are left out."""

_KINDS = {
    "device": ("devices", "#0072B2"),
    "server": ("servers' CPUs", "#009E73"),
    "link": ("links", "#E69F00"),
    "collective": ("the network, where collectives go by a formula", "#CC79A7"),
}
"""Name and colour of each kind, of those that people who see few colours tell apart."""
_LINE = 0.24
_BETWEEN = 0.1
_MOST_LABEL = 2.4
_ALIKE = 5e-4
"""Shares of the time that differ by less share a bar."""


@dataclass(frozen=True)
class Bar:
    """Resources of one kind that are in use alike."""

    names: tuple[str, ...]
    kind: str
    busy_frac: float
    """Of the one in use most."""
    bytes: float
    """That cross each in a step."""
    limits: bool
    """Whether what holds the strategy back is among them."""


def use(result: Comparison, of: str | None = None, format: str = "svg") -> bytes:
    """Return the use of every resource of the strategy called *of*, by default the fastest, as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        KeyError: there is no such strategy.
        LookupError: none fits in memory.
        ValueError: there is no such format, or nothing was measured of the strategy.
    """
    row = result.best if of is None else result[of]
    if not row.resources:
        raise ValueError(f"{row.name} has no figures to draw")
    return picture(lambda: _figure(result, row), format, result.scenario)


def bars(row: Row) -> list[list[Bar]]:
    """Return what is drawn of *row*: groups of one kind each, workers before servers before machines."""
    limit = row.bottleneck.resource if row.bottleneck else ""
    groups: dict[tuple[str, str, str], list[Bar]] = {}
    for key, uses in groupby(sorted(row.resources, key=_place), key=_group):
        alike: dict[tuple[int, int], list[Use]] = {}
        for one in uses:
            alike.setdefault((round(one.busy_frac / _ALIKE / 2), round(one.bytes)), []).append(one)
        groups[key] = [
            Bar(
                tuple(one.name for one in found),
                key[0],
                max(one.busy_frac for one in found),
                max(one.bytes for one in found),
                limit in {one.name for one in found},
            )
            for found in alike.values()
        ]
    return list(groups.values())


def _group(use: Use) -> tuple[str, str, str]:
    """Return what one group has in common: kind, whose, and the direction of a link."""
    return _kind(use), words.role_of(use.name), use.name.rpartition(".")[2] if _kind(use) == "link" else ""


def _kind(use: Use) -> str:
    """Return the kind of a resource, which results that were saved know by its name only."""
    if use.kind:
        return use.kind
    if use.name == "fabric":
        return "collective"
    return "server" if use.name.endswith(".cpu") else "link" if "." in use.name else "device"


def _place(use: Use) -> tuple[int, int, str, str, list[tuple[int, str]]]:
    kind, whose, direction = _group(use)
    role, natural = in_natural_order(use.name.partition(".")[0])
    return list(_KINDS).index(kind), role, whose, direction, natural


def _shown(groups: Sequence[Sequence[Bar]]) -> tuple[list[list[Bar]], str]:
    """Return the bars that there is room for, and what is said of the others."""
    everything = [bar for group in groups for bar in group]
    if len(everything) <= MOST_BARS:
        return [list(group) for group in groups], ""
    order = sorted(
        range(len(everything)), key=lambda n: (not everything[n].limits, -everything[n].busy_frac, n)
    )
    kept = {id(everything[number]) for number in order[:MOST_BARS]}
    left = [bar for bar in everything if id(bar) not in kept]
    count = sum(len(bar.names) for bar in left)
    said = f"not shown: {count} others, in use {words.percent(max(bar.busy_frac for bar in left))} at most"
    return [kept_ones for group in groups if (kept_ones := [bar for bar in group if id(bar) in kept])], said


def _figure(result: Comparison, row: Row) -> Figure:
    """Lay the picture out: what it is of, one line a bar, gaps between the groups."""
    groups, left_out = _shown(bars(row))
    flat = [bar for group in groups for bar in group]
    labels = {
        id(bar): wrapped(printable(words.run(list(bar.names))), TEXT, _MOST_LABEL, 1)[0] for bar in flat
    }
    left = MARGIN + max(inches(label, TEXT) for label in labels.values()) + GAP
    ends = {id(bar): _end(row, bar) for bar in flat}
    room = max(sum(inches(text, SMALL) for text, _ in end) for end in ends.values())
    width = WIDTH - MARGIN - left - GAP - room
    kinds = [kind for kind in _KINDS if any(bar.kind == kind for bar in flat)]
    keys = [box_key(*_KINDS[kind]) for kind in kinds]
    keys += [box_key("holds it back", ALARM)] if any(bar.limits for bar in flat) else []
    head = Head(f"Who is busy: {words.titles(result.rows)[row.name]}", _below(result, row), keys)
    tall = _LINE * len(flat) + _BETWEEN * len(groups)
    sheet = Sheet(WIDTH, head.height + tall + 0.5 + FOOT * bool(left_out))
    head.draw(sheet)
    axes = sheet.axes(left, head.height, width, tall)
    axes.set_xlim(0, 1)
    axes.set_ylim(tall, 0)
    axes.set_facecolor("none")
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(GREY)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    ticks = [0, 0.25, 0.5, 0.75, 1] if width > 2 else [0, 0.5, 1]
    axes.set_xticks(ticks, [f"{tick:.0%}".replace("%", " %") for tick in ticks])
    axes.tick_params(axis="x", length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    y = 0.0
    for group in groups:
        y += _BETWEEN / 2
        for bar in group:
            middle = y + _LINE / 2
            color = ALARM if bar.limits else _KINDS[bar.kind][1]
            axes.barh(middle, bar.busy_frac, BAR * 0.85, color=color, linewidth=0, zorder=2)
            sheet.text(left - GAP, head.height + middle, labels[id(bar)], TEXT, INK, ha="right")
            x = left + width + GAP
            for text, ink in ends[id(bar)]:
                sheet.text(x, head.height + middle, text, SMALL, ink)
                x += inches(text, SMALL)
            y += _LINE
        y += _BETWEEN / 2
    sheet.text(
        left, head.height + tall + 0.36, "share of the time in use (of a link: of its capacity)", SMALL, INK
    )
    sheet.foot([left_out] if left_out else [], head.height + tall + 0.54)
    return sheet.figure


def _end(row: Row, bar: Bar) -> list[tuple[str, str]]:
    """Return what stands behind a bar, as texts with their colours."""
    said: list[tuple[str, str]] = [(words.percent(bar.busy_frac), ALARM if bar.limits else INK)]
    if bar.kind == "link":
        said.append((f", {spell(bar.bytes, 'size', digits=3)} a step", GREY))
    return said


def _below(result: Comparison, row: Row) -> list[str]:
    """Return what stands below the title: the model, the step, and what it waits for."""
    said = [f"step {words.duration(row.step_s)}"] if row.step_s else []
    said += [words.waits_for(row, row.bottleneck)] if row.bottleneck else []
    return of_model(result, *said)
