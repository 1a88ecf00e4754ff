"""The figure of machines side by side: samples per second of each device, and beside it what they cost.

A group of bars is a device, the fastest on top; a colour is a strategy. Without any price there is one panel.
Start with :func:`machines`. Lengths in here are inches, font sizes points (72 an inch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.result import Row
from simpar.show import marks, words
from simpar.show.sheet import (
    ALARM,
    GAP,
    INK,
    MARGIN,
    SMALL,
    TEXT,
    WIDTH,
    Head,
    Sheet,
    bar_frame,
    batch_on,
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
    inverse: bool = False
    """Whether the value halves where the samples per second double, as money does."""

    def spread(self, row: Row) -> tuple[float, float] | None:
        """Return between what the value lies in nine of ten runs, None where there was only one."""
        value, rates = self.value(row), (row.intervals or {}).get("samples_per_s")
        if value is None or rates is None or not row.samples_per_s or rates.p5 <= 0:
            return None
        low, high = rates.p5 / row.samples_per_s, rates.p95 / row.samples_per_s
        return (value / high, value / low) if self.inverse else (value * low, value * high)


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
        axis = "cost of an epoch (USD)"
        shown.append(_Panel(axis, lambda row: row.usd_per_epoch, words.usd, "no price", False, True))
    elif any(row.usd_per_million_samples is not None for row in rows):
        axis = f"cost of a million {unit} (USD)"
        shown.append(
            _Panel(axis, lambda row: row.usd_per_million_samples, words.usd, "no price", False, True)
        )
    return shown


def _figure(result: Machines) -> Figure:
    """Lay the picture out: head, one group of bars a device, one or two panels."""
    devices = _in_order(result)
    names = list(result.labels)
    keys = [marks.fill_key(result.labels[name], number) for number, name in enumerate(names)]
    keys += [marks.whisker_key()] if any(row.intervals for _, row in result.ranked) else []
    title = f"{result.facts.get('model') or result.scenario} on {_kinds(len(devices))}"
    batch = batch_on(result.facts) if result.facts["batch"] is not None else []
    head = Head(title, [*batch, *circumstances(result.facts, result.seed)], keys)
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
        _draw(axes, panel, devices, result.labels, tops, rows, reasons, width)
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


def _kinds(count: int) -> str:
    return "one kind of device" if count == 1 else f"{count} kinds of device"


def _in_order(result: Machines) -> list[str]:
    """Return the devices, the fastest first, those without figures last."""
    return list(dict.fromkeys([*(device for device, _ in result.ranked), *result.devices]))


def _draw(
    axes: Axes,
    panel: _Panel,
    devices: list[str],
    labels: Mapping[str, str],
    tops: list[float],
    rows: Mapping[tuple[str, str], Row],
    reasons: Mapping[tuple[str, str], str],
    width: float,
) -> None:
    """Draw one panel: a bar and its figure, or why there is none, for each strategy on each device.

    A device reaches from one of *tops* to the next.
    """
    names = list(labels)
    values = {key: value for key, row in rows.items() if (value := panel.value(row)) is not None}
    ends = {key: panel.said(value) for key, value in values.items()}
    spreads = {key: found for key in values if (found := panel.spread(rows[key]))}
    far = {key: max(value, *spreads.get(key, (0.0,))) for key, value in values.items()}
    per_unit = min(
        ((width - GAP - inches(ends[key], SMALL)) / reach for key, reach in far.items() if reach),
        default=1.0,
    )
    axes.set_xlim(0, width / per_unit)
    bar_frame(axes, max(far.values(), default=0.0))
    for number, device in enumerate(devices):
        keys = [(device, name) for name in names]
        middles = [tops[number] + _BETWEEN / 2 + _LINE * (at + 0.5) for at in range(len(names))]
        for at, (key, y) in enumerate(zip(keys, middles, strict=True)):
            if key in values:
                axes.barh(y, values[key], _BAR, zorder=2, **marks.fill(at))
                if key in spreads:
                    marks.whisker(axes, *spreads[key], y, 4)
                _write(axes, far[key], y, ends[key], INK, per_unit)
        lacks = [_lacking(panel, key, rows, reasons) for key in keys]
        said = {why for why in lacks if why}
        if len(said) == 1 and not any(key in values for key in keys):
            middle = (tops[number] + tops[number + 1]) / 2  # once for the whole device
            _write(axes, 0.0, middle, _short(said.pop(), width), ALARM, per_unit)
            continue
        for y, name, why in zip(middles, names, lacks, strict=True):
            if why:
                _write(axes, 0.0, y, _named(labels[name], why, width), ALARM, per_unit)


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
) -> str:
    """Return what stands where *key* has no bar in *panel*, '' where it has one or another panel says it."""
    if key in rows:
        return panel.missing if panel.value(rows[key]) is None else ""
    return _reason(reasons.get(key, "")) if panel.explains else ""


def _reason(why: str) -> str:
    """Return the first part of why there are no figures, without the way out."""
    return "does not fit in memory" if why.startswith("does not fit") else printable(why.partition(";")[0])


def _named(label: str, why: str, width: float) -> str:
    """Return whose bar is missing, and why, in what fits on one line."""
    said = _short(f": {why}", 0.7 * width)
    return wrapped(printable(label), SMALL, width - GAP - inches(said, SMALL), 1)[0] + said


def _short(said: str, width: float) -> str:
    """Return *said*, or its beginning, in what fits on one line."""
    if inches(said, SMALL) <= width - GAP:
        return said
    while said and inches(f"{said}\u2026", SMALL) > width - GAP:
        said = said[:-1]
    return f"{said}\u2026"
