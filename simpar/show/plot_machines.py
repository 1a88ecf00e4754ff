"""The figure of machines side by side: samples per second of each device, and beside it what they cost.

A group of bars is a device, the fastest on top; a colour is a strategy. Without any price there is one panel.
Start with :func:`machines`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.result import Row
from simpar.show import words
from simpar.show.sheet import (
    ALARM,
    COLORS,
    GAP,
    INK,
    MARGIN,
    MARK,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Key,
    Sheet,
    bar_frame,
    circumstances,
    inches,
    picture,
    printable,
    wrapped,
)
from simpar.study.machines import Machines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.13
_LINE = 0.175
_BETWEEN = 0.16
"""Room between the groups of two devices."""
_PANELS = 0.3
"""Room between the two panels."""
_HATCHES = ("", "////", "....")
"""Patterns of the first seven strategies, the next seven, and the rest."""


@dataclass(frozen=True)
class _Panel:
    """One figure of every bar."""

    axis: str
    value: Callable[[Row], float | None]
    said: Callable[[float], str]
    missing: str
    """What stands where a device has figures, and not this one."""
    explains: bool
    """Whether it says, too, why a strategy has no figures at all."""


def machines(result: Machines, format: str = "svg") -> bytes:
    """Return *result* as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.

    Raises:
        ValueError: there is no such format.
    """
    return picture(lambda: _figure(result), format, result.scenario)


def panels(result: Machines) -> list[_Panel]:
    """Return what is drawn: samples per second, and money where anything has a price."""
    unit = result.facts.get("unit", "samples")
    shown = [_Panel(f"{unit}/s", lambda row: row.samples_per_s, words.rate, "", True)]
    rows = [row for _, row in result.ranked]
    if any(row.usd_per_epoch is not None for row in rows):
        shown.append(_Panel("USD of an epoch", lambda row: row.usd_per_epoch, words.usd, "no price", False))
    elif any(row.usd_per_million_samples is not None for row in rows):
        axis = f"USD of a million {unit}"
        shown.append(_Panel(axis, lambda row: row.usd_per_million_samples, words.usd, "no price", False))
    return shown


def _figure(result: Machines) -> Figure:
    """Lay the picture out: head, one group of bars a device, one or two panels."""
    devices = _in_order(result)
    names = list(result.labels)
    labels = {name: wrapped(printable(result.labels[name]), SMALL, WIDTH - 0.8, 1)[0] for name in names}
    keys = [Key(labels[name], _mark(number)) for number, name in enumerate(names)]
    title = f"{result.facts.get('model') or result.scenario} on {_machines(len(devices))}"
    facts = result.facts
    on = {1: "1 worker", None: "each worker"}.get(facts["workers"], f"each of {facts['workers']} workers")
    batch = [] if facts["batch"] is None else [f"batch {facts['batch']} on {on}"]
    head = Head(title, [*batch, *circumstances(facts, result.seed)], keys)
    rows = {(device, row.name): row for device, row in result.ranked}
    reasons = {(device, name): why for device, name, why in result.without}
    lines = [_lines(device, rows, reasons, names) for device in devices]
    tops = [_LINE * sum(lines[:number]) + _BETWEEN * number for number in range(len(devices) + 1)]
    tall = tops[-1]
    left = MARGIN + max(inches(device, TEXT) for device in devices) + GAP
    shown = panels(result)
    width = (WIDTH - MARGIN - left - _PANELS * (len(shown) - 1)) / len(shown)
    sheet = Sheet(WIDTH, head.height + tall + 0.47)
    head.draw(sheet)
    for number, device in enumerate(devices):
        middle = (tops[number] + tops[number + 1]) / 2
        sheet.text(left - GAP, head.height + middle, device, TEXT, INK, ha="right")
    for number, panel in enumerate(shown):
        x = left + number * (width + _PANELS)
        axes = sheet.axes(x, head.height, width, tall)
        axes.set_ylim(tall, 0)
        _draw(axes, panel, devices, names, tops, rows, reasons, width)
        sheet.text(x, head.height + tall + 0.33, panel.axis, SMALL, INK)
    return sheet.figure


def _lines(
    device: str,
    rows: Mapping[tuple[str, str], Row],
    reasons: Mapping[tuple[str, str], str],
    names: list[str],
) -> int:
    """Return how many lines *device* needs: one a strategy, or one for a reason that all share."""
    any_bar = any((device, name) in rows for name in names)
    shared = len({_reason(reasons.get((device, name), "")) for name in names}) == 1
    return 1 if shared and not any_bar else len(names)


def _machines(count: int) -> str:
    return "one machine" if count == 1 else f"{count} machines"


def _in_order(result: Machines) -> list[str]:
    """Return the devices, the fastest first, those without figures last."""
    return list(dict.fromkeys([*(device for device, _ in result.ranked), *result.devices]))


def _style(number: int) -> dict[str, Any]:
    return {
        "facecolor": COLORS[number % len(COLORS)],
        "hatch": _HATCHES[min(number // len(COLORS), len(_HATCHES) - 1)],
        "edgecolor": "white",
        "linewidth": 0,
    }


def _mark(number: int) -> Callable[[Sheet, float, float], None]:
    """Return what draws the mark of the strategy with this number."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        from matplotlib.patches import Rectangle

        corner = (x / sheet.width, 1 - (y + 0.05) / sheet.height)
        sheet.figure.add_artist(Rectangle(corner, MARK / sheet.width, 0.1 / sheet.height, **_style(number)))

    return draw


def _draw(
    axes: Axes,
    panel: _Panel,
    devices: list[str],
    names: list[str],
    tops: list[float],
    rows: Mapping[tuple[str, str], Row],
    reasons: Mapping[tuple[str, str], str],
    width: float,
) -> None:
    """Draw one panel: a bar and its figure, or why there is none, for each strategy on each device.

    A device reaches from one of *tops* to the next.
    """
    values = {key: value for key, row in rows.items() if (value := panel.value(row)) is not None}
    ends = {key: panel.said(value) for key, value in values.items()}
    per_unit = min(
        ((width - GAP - inches(ends[key], SMALL)) / value for key, value in values.items() if value),
        default=1.0,
    )
    axes.set_xlim(0, width / per_unit)
    bar_frame(axes, max(values.values(), default=0.0))
    for number, device in enumerate(devices):
        keys = [(device, name) for name in names]
        middles = [tops[number] + _BETWEEN / 2 + _LINE * (at + 0.5) for at in range(len(names))]
        for at, (key, y) in enumerate(zip(keys, middles, strict=True)):
            if key in values:
                axes.barh(y, values[key], _BAR, zorder=2, **_style(at))
                _write(axes, values[key], y, ends[key], INK, per_unit)
        lacks = [
            (y, _lacking(panel, key, rows, reasons, width)) for key, y in zip(keys, middles, strict=True)
        ]
        said = {text for _, text in lacks if text}
        if len(said) == 1 and not any(key in values for key in keys):
            lacks = [((tops[number] + tops[number + 1]) / 2, said.pop())]  # once for the whole device
        for y, text in lacks:
            if text:
                _write(axes, 0.0, y, text, ALARM, per_unit)


def _write(axes: Axes, length: float, y: float, text: str, color: str, per_unit: float) -> None:
    """Write *text* behind a bar of *length*; the grid does not run through it."""
    x = length + GAP / per_unit
    under = (inches(text, SMALL) + 0.04) / per_unit
    axes.barh(y, under, _BAR, left=x - 0.02 / per_unit, color="white", zorder=1)
    how: Any = {"fontsize": SMALL, "color": color, "va": "center_baseline", "parse_math": False}
    axes.text(x, y, text, None, **how)


def _lacking(
    panel: _Panel,
    key: tuple[str, str],
    rows: Mapping[tuple[str, str], Row],
    reasons: Mapping[tuple[str, str], str],
    width: float,
) -> str:
    """Return what stands where *key* has no bar in *panel*, '' where it has one or another panel says it."""
    if key in rows:
        return panel.missing if panel.value(rows[key]) is None else ""
    return _short(reasons.get(key, ""), width) if panel.explains else ""


def _reason(why: str) -> str:
    """Return the first part of why there are no figures, without the way out."""
    return "does not fit in memory" if why.startswith("does not fit") else printable(why.partition(";")[0])


def _short(why: str, width: float) -> str:
    """Return why there is no bar, in what fits on one line."""
    said = _reason(why)
    if inches(said, SMALL) <= width - GAP:
        return said
    while said and inches(f"{said}\u2026", SMALL) > width - GAP:
        said = said[:-1]
    return f"{said}\u2026"
