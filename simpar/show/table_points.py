"""Studies as plain text for a terminal: strategies at numbers of workers, and machines side by side.

Start with :func:`scaling` or :func:`machines`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simpar.result import Row
from simpar.show import words
from simpar.show.table import columns
from simpar.study.machines import Machines
from simpar.study.scale import Scaling
from simpar.units import spell

MOST_COLUMNS = 10
"""Numbers of workers that stand side by side; more begin anew below."""


def scaling(result: Scaling) -> str:
    """Return a block of figures after another, where each strategy stops paying, and the notes."""
    facts = result.facts
    if result.strong:
        batch = f"batch {result.batch} on all workers together (strong scaling)"
    else:
        batch = f"batch {result.batch or facts['batch']} on each worker (weak scaling)"
    blocks: list[str] = []
    for first in range(0, len(result.values), MOST_COLUMNS):
        blocks += ["", *_blocks(result, result.values[first : first + MOST_COLUMNS])]
    lines = [_head(f"{facts['model']}, {batch}", facts, blocks), *blocks]
    missing = _missing(result)
    lines += ["", *missing] if missing else []
    lines += ["", *_verdicts(result)]
    lines += ["", *(f"note: {note}" for note in result.notes)] if result.notes else []
    return "\n".join(lines)


def _head(said: str, facts: Mapping[str, Any], below: Sequence[str]) -> str:
    """Return what was simulated, and at the end of the lines *below*, if there is room, how."""
    if facts["bytes_per_s"] is not None:
        said += f", {spell(facts['bytes_per_s'], 'rate')}"
        if facts["latency_s"] is not None:
            said += f", {spell(facts['latency_s'], 'duration')}"
    steps = f"{facts['steps']} step" + ("" if facts["steps"] == 1 else "s")
    rest = f"{steps}, seed {facts['seed']}"
    width = max(map(len, below), default=0)
    return f"{said}  {rest:>{max(0, width - len(said) - 2)}}"


def _figures(result: Scaling) -> list[tuple[str, Callable[[Row], str]]]:
    """Return the figures that get a block each: its head, and how a row says it."""
    unit = result.facts["unit"]
    figures: list[tuple[str, Callable[[Row], str]]] = [
        (f"{unit}/s", lambda row: words.rate(row.samples_per_s or 0.0)),
        ("speedup", lambda row: words.grouped(row.speedup or 0.0, 2)),
        ("efficiency", lambda row: words.percent(row.efficiency or 0.0)),
    ]
    rows = [row for name in result.labels for _, row in result.curve(name)]
    if any(row.usd_per_epoch is not None for row in rows):
        figures.append(("USD/epoch", lambda row: words.usd(row.usd_per_epoch)))
    elif any(row.usd_per_million_samples is not None for row in rows):
        figures.append((f"USD/million {unit}", lambda row: words.usd(row.usd_per_million_samples)))
    return figures


def _blocks(result: Scaling, values: Sequence[int]) -> list[str]:
    table = [[result.axis, *map(str, values)]]
    for head, said in _figures(result):
        table.append([head, *("" for _ in values)])
        for name, label in result.labels.items():
            rows = dict(result.curve(name))
            cells = [said(rows[value]) if value in rows else "-" for value in values]
            table.append([f"  {label}", *cells])
    return columns(table)


def _missing(result: Scaling) -> list[str]:
    """Return a line for each strategy that has no figures somewhere: where, and why there first."""
    lines = []
    for name, label in result.labels.items():
        pairs = zip(result.values, result.points, strict=True)
        found = [(value, why) for value, point in pairs if (why := point.why_not(name)) is not None]
        if found:
            (first, why), rest = found[0], found[1:]
            also = f" (and {words.run([str(value) for value, _ in rest])})" if rest else ""
            lines.append(f"{label}: no figures at {first}{also} {result.axis}: {why}")
    return lines


def _verdicts(result: Scaling) -> list[str]:
    """Return where each strategy stops paying, which is fastest, and which cheapest."""
    lines = []
    if len(result.values) > 1:
        table = []
        for name, value in result.stops_paying.items():
            curve = result.curve(name)
            if not curve:
                continue
            if value is None:
                said = f"still pays at {curve[-1][0]} {result.axis}" if len(curve) > 1 else "one point only"
            else:
                few = " or fewer" if value == curve[0][0] and value > 1 else ""
                said = f"at {_count(value, result.axis)}{few}"
            table.append([result.labels[name], said])
        lines += [
            "Stops paying (from there on, each next step adds less than half of what its workers are worth):"
        ]
        lines += [*columns(table, left=2), ""]
    unit = result.facts["unit"]
    if result.fastest:
        value, row = result.fastest
        rate = words.rate(row.samples_per_s or 0.0)
        lines.append(f"Fastest: {result.labels[row.name]} on {_count(value, result.axis)}, {rate} {unit}/s.")
    if result.cheapest:
        value, row = result.cheapest
        cost = _cost(row, unit)
        lines.append(f"Cheapest: {result.labels[row.name]} on {_count(value, result.axis)}, {cost}.")
    return lines


def _cost(row: Row, unit: str) -> str:
    if row.usd_per_epoch is not None:
        return f"{words.usd(row.usd_per_epoch)} USD an epoch"
    return f"{words.usd(row.usd_per_million_samples)} USD a million {unit}"


def _count(value: int, axis: str) -> str:
    return f"{value} {axis.removesuffix('s') if value == 1 else axis}"


# -- machines --------------------------------------------------------------------------------------


def machines(result: Machines) -> str:
    """Return a line for each strategy on each device, the fastest first, the verdicts and the notes."""
    facts, ranked = result.facts, result.ranked
    on = {1: "one worker", None: "each worker"}.get(facts["workers"], f"each of {facts['workers']} workers")
    table = ["", *_ranked(result)] if ranked else []
    batch = "" if facts["batch"] is None else f", batch {facts['batch']} on {on}"
    lines = [_head(f"{facts['model']}{batch}", facts, table), *table]
    grouped: dict[tuple[str, str], list[str]] = {}
    for device, name, why in result.without:
        grouped.setdefault((device, why), []).append(name)
    if grouped:
        lines.append("")
    for (device, why), names in grouped.items():
        whom = "" if len(names) == len(result.labels) else f", {words.run([result.labels[n] for n in names])}"
        lines.append(f"  {device}{whom}: {why}")
    verdicts = _verdict_lines(result)
    lines += ["", *verdicts] if verdicts else []
    lines += ["", *(f"note: {note}" for note in result.notes)] if result.notes else []
    return "\n".join(lines)


def _ranked(result: Machines) -> list[str]:
    rows = [row for _, row in result.ranked]
    scale, unit = words.time_unit(max(row.step_s or 0.0 for row in rows))
    samples = result.facts["unit"]
    priced = any(row.usd_per_hour is not None for row in rows)
    by_epoch = any(row.usd_per_epoch is not None for row in rows)
    several = len(result.labels) > 1
    header = ["device", *(["strategy"] if several else []), "step", f"{samples}/s", "efficiency", "memory"]
    header += ["USD/h", "USD/epoch" if by_epoch else f"USD/million {samples}"] if priced else []
    table = [header]
    for device, row in result.ranked:
        cells = [
            device,
            *([result.labels[row.name]] if several else []),
            f"{words.grouped((row.step_s or 0.0) * scale, 1)} {unit}",
            words.rate(row.samples_per_s or 0.0),
            words.percent(row.efficiency or 0.0),
            words.memory(row),
        ]
        if priced:
            much = row.usd_per_epoch if by_epoch else row.usd_per_million_samples
            cells += ["no price", "-"] if much is None else [words.usd(row.usd_per_hour), words.usd(much)]
        table.append(cells)
    return columns(table, left=2 if several else 1)


def _verdict_lines(result: Machines) -> list[str]:
    """Return which machine is fastest, and which is cheapest."""
    lines, unit = [], result.facts["unit"]
    if result.fastest:
        device, row = result.fastest
        label, rate = result.labels[row.name], words.rate(row.samples_per_s or 0.0)
        lines.append(f"Fastest: {device} with {label}, {rate} {unit}/s.")
    if result.cheapest:
        device, row = result.cheapest
        cost = _cost(row, unit)
        lines.append(f"Cheapest: {device} with {result.labels[row.name]}, {cost}.")
        unpriced = [one for one in result.devices if not _has_price(result, one)]
        if unpriced:
            lines.append(f"No price: {', '.join(unpriced)} (write prices: {{{unpriced[0]}: 2.50 USD/h}}).")
    return lines


def _has_price(result: Machines, device: str) -> bool:
    rows = [row for one, row in result.ranked if one == device]
    return not rows or any(row.usd_per_hour is not None for row in rows)
