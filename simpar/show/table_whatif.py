"""A what-if study as plain text for a terminal: its points, where the winner changes, what axes are worth.

Start with :func:`study`.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence

from simpar.result import Row
from simpar.scenario.spans import spell_value
from simpar.show import words
from simpar.show.table import columns
from simpar.study.points import EQUAL, Point
from simpar.study.whatif import Study, Switch

MOST_COLUMNS = 6
"""Strategies that stand side by side; more begin anew below."""

MOST_POINTS = 60
"""Points that are shown; files have the others, too."""

MOST_SWITCHES = 12
"""Changes of the winner that are shown."""

MOST_EQUALS = 3
"""Equally fast strategies that are all named."""

_SAME = 1e-9
_LONGEST = 30


def study(result: Study) -> str:
    """Return what was varied, the points with their winners, the sensitivities and the notes."""
    facts, names = result.facts, list(result.labels)
    steps = f"{facts['steps']} step" + ("" if facts["steps"] == 1 else "s")
    count = len(result.points)
    points = f"{words.grouped(count)} point" + ("" if count == 1 else "s")
    lines = [f"{facts['model']}, {points}, {steps}, seed {result.seed}"]
    for first in range(0, len(names), MOST_COLUMNS):
        lines += ["", *_points(result, names[first : first + MOST_COLUMNS])]
    if count > MOST_POINTS:
        lines.append(f"  and {words.grouped(count - MOST_POINTS)} more: --csv FILE or --json has them all")
    lines += _section(_legend(result))
    lines += _section(_missing(result))
    lines += ["", *_winners(result)]
    lines += _section(_sensitivities(result))
    lines += _section([f"note: {note}" for note in result.notes])
    return "\n".join(lines)


def _section(lines: Sequence[str]) -> list[str]:
    return ["", *lines] if lines else []


def _short(value: object) -> str:
    said = spell_value(value)
    return said if len(said) <= _LONGEST else said[: _LONGEST - 3] + "..."


def _at(point: Point) -> str:
    return ", ".join(f"{path}={spell_value(value)}" for path, value in point.settings.items())


def _figure(result: Study) -> tuple[str, Callable[[Row], str]]:
    """Return what the cells say: steps, or samples per second where a step is not the same everywhere."""
    rows = [row for point in result.points for name in result.labels if (row := point.row(name))]
    per_step = [(row.step_s or 0.0) * (row.samples_per_s or 0.0) for row in rows]
    if per_step and max(per_step) <= min(per_step) * (1 + _SAME):
        scale, unit = words.time_unit(max(row.step_s or 0.0 for row in rows))
        return f"step in {unit}", lambda row: words.grouped((row.step_s or 0.0) * scale, 1)
    return f"{result.facts['unit']}/s", lambda row: words.rate(row.samples_per_s or 0.0)


def _points(result: Study, names: Sequence[str]) -> list[str]:
    head, said = _figure(result)
    table = [[*(axis.path for axis in result.axes), *names, "fastest"]]
    for point in result.points[:MOST_POINTS]:
        cells = [_short(value) for value in point.settings.values()]
        for name in names:
            row = point.row(name)
            cells.append("-" if row is None else said(row))
        table.append([*cells, _equals(point.fastest(result.labels)) or "-"])
    return [f"  {head}", *columns(table, left=len(result.axes))]


def _legend(result: Study) -> list[str]:
    """Return what each name means, where its label says more and is the same everywhere."""
    table = [[name, label] for name, label in result.labels.items() if name != label]
    return columns(table, left=2) if table else []


def _missing(result: Study) -> list[str]:
    """Return a line for each strategy that has no figures somewhere: where first, and why there."""
    lines = []
    for name in result.labels:
        found = [(point, why) for point in result.points if (why := point.why_not(name)) is not None]
        if found:
            also = f" (and {words.grouped(len(found) - 1)} more)" if len(found) > 1 else ""
            lines.append(f"{name}: no figures at {_at(found[0][0])}{also}: {found[0][1]}")
    return lines


def _winners(result: Study) -> list[str]:
    """Return which strategy is fastest where, the fastest point, and where the winner changes."""
    fastest = result.fastest
    counts = Counter(name for names in fastest for name in names)
    if not counts:
        return ["Nothing fits in memory at any point."]
    of = words.grouped(len(result.points))
    won = ", ".join(
        f"{name} at {words.grouped(counts[name])} of {of} points" for name in result.labels if counts[name]
    )
    shared = sum(len(names) > 1 for names in fastest)
    rates = [
        point.comparison.best.samples_per_s or 0.0 if names and point.comparison else 0.0
        for point, names in zip(result.points, fastest, strict=True)
    ]
    most = max(rates)
    best = next(number for number, rate in enumerate(rates) if rate >= EQUAL * most)
    lines = [
        f"Fastest: {won}{f'; equally fast at {words.grouped(shared)}' if shared else ''}.",
        f"Most {result.facts['unit']}/s: {words.rate(rates[best])} with {_equals(fastest[best])} "
        f"at {_at(result.points[best])}.",
    ]
    switches = result.switches
    lines += [_switch(result, switch, fastest) for switch in switches[:MOST_SWITCHES]]
    if len(switches) > MOST_SWITCHES:
        lines.append(f"  and {words.grouped(len(switches) - MOST_SWITCHES)} more changes of the winner")
    return lines


def _equals(names: Sequence[str]) -> str:
    """Return the names of those that are equally fast, the first few of many.

    >>> _equals(["a"]), _equals(["a", "b"]), _equals(["a", "b", "c", "d"])
    ('a', 'a, b', 'a, b and 2 more')
    """
    return (
        ", ".join(names) if len(names) <= MOST_EQUALS else f"{', '.join(names[:2])} and {len(names) - 2} more"
    )


def _switch(result: Study, switch: Switch, fastest: Sequence[Sequence[str]]) -> str:
    before, after = result.points[switch.before], result.points[switch.after]
    along = [path for path, value in before.settings.items() if after.settings[path] != value]
    low = ", ".join(spell_value(before.settings[path]) for path in along)
    high = ", ".join(spell_value(after.settings[path]) for path in along)
    rest = [f"{path}={spell_value(value)}" for path, value in before.settings.items() if path not in along]
    at = f" (at {', '.join(rest)})" if rest else ""
    old, new = fastest[switch.before], fastest[switch.after]
    gives = "gives" if len(old) == 1 else "give"
    return f"  {switch.path} from {low} to {high}: {_equals(old)} {gives} way to {_equals(new)}{at}"


def _sensitivities(result: Study) -> list[str]:
    """Return, for each axis of numbers, the elasticity of each strategy: the median point, and the range."""
    known = [one for one in result.sensitivities if one.known]
    if not known:
        return []
    paths = list(dict.fromkeys(one.path for one in known))
    table = [["", *result.labels]]
    for path in paths:
        by_name = {one.strategy: one.known for one in known if one.path == path}
        table.append([path, *(_range(by_name.get(name, [])) for name in result.labels)])
    what = "fitted to all points" if result.layout == "sample" else "median point, least to most"
    return [f"Change of the step in % for 1 % more ({what}):", *columns(table)]


def _range(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle, least, most = (_two(one) for one in (statistics.median(values), values[0], values[-1]))
    return middle if least == most else f"{middle} ({least} to {most})"


def _two(value: float) -> str:
    """Return an elasticity in two decimals, without a minus before zero.

    >>> _two(-0.5), _two(-0.0001)
    ('-0.50', '0.00')
    """
    assert math.isfinite(value), value
    return f"{value:.2f}".replace("-0.00", "0.00")
