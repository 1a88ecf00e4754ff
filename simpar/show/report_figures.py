"""Figures inside a page: SVG files made part of it, in its colours.

An SVG that stands inside HTML shares its names and styles with the page, so that its names get a prefix of
their own, and its head, comments and style sheet go. The greys of the figures become the page's, light or
dark. Start with :func:`inlined`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from simpar.result import Comparison, Row
from simpar.show import plot, plot_cost, plot_scale, plot_staleness, plot_use, words
from simpar.show.sheet import ALARM, GREY, GRID, INK
from simpar.study.scale import Scaling

MOST_NAMED = 12
"""Strategies that the text in place of a figure lists; the tables beside it list all."""

_COLOURS = {INK: "--ink", GREY: "--soft", GRID: "--line", ALARM: "--alarm", "#FFFFFF": "--paper"}
_DROPPED = ("metadata", "style", "script", "foreignObject", "title", "desc")
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_NAMED = re.compile(r"url\(#([^)]+)\)")


PLACES = ("time", "busy", "scaling", "staleness", "money")
"""Parts of the page that figures stand in."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure for a page."""

    title: str
    """A few words that stand above it."""
    alt: str
    """What it shows, in words, for whoever does not see it."""
    svg: bytes
    """The picture, an SVG file."""
    place: str = "time"
    """The part of the page that it stands in: one of :data:`PLACES`."""


def figures(result: Comparison, scaling: Scaling | None = None) -> list[Figure]:
    """Return the figures that apply to a comparison.

    Its steps, and who is busy; where prices are known what training costs; where gradients are old how old
    they are; where it was *scaled* the speedup. Where nothing fits in memory there is only that.
    """
    fitting = [row for row in result.rows if row.step_s is not None]
    found = []
    if fitting:
        found.append(_steps(result, fitting))
        found += [_busy(result)] if result.best.resources else []
    if scaling is not None and scaling.fastest is not None:
        found.append(_speedup(scaling))
    if plot_staleness.stale_rows(result):
        found.append(_staleness(result))
    if plot_cost.dots(result):
        found += _money(result, fitting)
    return found


def _steps(result: Comparison, fitting: Sequence[Row]) -> Figure:
    steps = [f"{row.label} {words.duration(row.step_s or 0.0)}" for row in fitting[:MOST_NAMED]]
    return Figure(
        "A step of each strategy, by what it is spent on",
        f"Bars, one a strategy, the fastest on top: {'; '.join(steps)}.{_more(fitting)}",
        plot.comparison(result, "svg"),
    )


def _busy(result: Comparison) -> Figure:
    best = result.best
    bars = sorted((bar for group in plot_use.bars(best) for bar in group), key=lambda bar: -bar.busy_frac)
    said = [f"{words.run(list(bar.names))} {words.percent(bar.busy_frac)}" for bar in bars[:MOST_NAMED]]
    return Figure(
        "How busy each part of the fastest is",
        f"Bars, one a device, server or link, or several that are alike; busiest first: {'; '.join(said)}.",
        plot_use.use(result, None, "svg"),
        "busy",
    )


def _speedup(scaling: Scaling) -> Figure:
    ends = []
    for name, label in [*scaling.labels.items()][:MOST_NAMED]:
        curve = scaling.curve(name)
        if curve:
            value, row = curve[-1]
            ends.append(
                f"{label} {row.speedup or 0.0:.2f} on {words.counted(scaling.workers(value), 'worker')}"
            )
    return Figure(
        "Speedup against workers",
        f"Curves, one a strategy, beside the ideal; they end at: {'; '.join(ends)}. The table has all.",
        plot_scale.scaling(scaling, "svg"),
        "scaling",
    )


def _staleness(result: Comparison) -> Figure:
    rows = plot_staleness.stale_rows(result)
    means = [f"{row.label} {row.staleness.mean:.1f}" for row in rows[:MOST_NAMED] if row.staleness]
    return Figure(
        "Gradients by the updates that they missed",
        f"Histograms, one a strategy; updates missed on average: {'; '.join(means)}.{_more(rows)}",
        plot_staleness.staleness(result, "svg"),
        "staleness",
    )


def _money(result: Comparison, fitting: Sequence[Row]) -> list[Figure]:
    priced = [row for row in fitting if row.usd_per_million_samples is not None]
    priced.sort(key=lambda row: row.usd_per_million_samples or 0.0)
    unit = result.facts.get("unit", "samples")
    costs = [f"{row.label} {words.usd(row.usd_per_million_samples)} USD" for row in priced[:MOST_NAMED]]
    listed = f"a million {unit} cost, cheapest first: {'; '.join(costs)}.{_more(priced)}"
    best = [f"{dot.label} {words.usd(dot.usd)} USD" for dot in plot_cost.front(plot_cost.dots(result))]
    return [
        Figure(
            "What training costs",
            f"Bars, one a strategy; {listed}",
            plot.comparison(result, "svg", "money"),
            "money",
        ),
        Figure(
            "Cost against time",
            f"Dots, one a strategy; nothing is both faster and cheaper than: {'; '.join(best[:MOST_NAMED])}.",
            plot_cost.cost(result, "svg"),
            "money",
        ),
    ]


def _more(rows: Sequence[Row]) -> str:
    return f" {len(rows) - MOST_NAMED} more are in the table." if len(rows) > MOST_NAMED else ""


def inlined(figure: Figure, number: int) -> str:
    """Return *figure* as an ``svg`` element for a page, where it is the figure *number*.

    Raises:
        ValueError: it is not SVG.
    """
    try:
        root = ET.fromstring(figure.svg)
    except ET.ParseError as error:
        raise ValueError(f"the figure {figure.title!r} is not SVG: {error}") from None
    if _local(root.tag) != "svg":
        raise ValueError(f"the figure {figure.title!r} is not SVG but {_local(root.tag)!r}")
    _clean(root, f"f{number}-")
    box = root.get("viewBox", "0 0 1 1")
    for key in [*root.attrib]:
        del root.attrib[key]
    root.attrib |= {"viewBox": box, "role": "img", "aria-labelledby": f"figure-{number}"}
    title = ET.Element("title", {"id": f"figure-{number}"})
    title.text = figure.alt
    root.insert(0, title)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _local(name: str) -> str:
    """Return a name without its namespace, which HTML knows by itself."""
    return name.rpartition("}")[2]


def _clean(element: ET.Element, prefix: str) -> None:
    """Drop what has no place in a page from *element*, and give its names the *prefix*."""
    element.tag = _local(element.tag)
    attributes = {_local(key): value for key, value in element.attrib.items()}
    element.attrib.clear()
    for key, value in attributes.items():
        if key.startswith("on") or (key == "href" and not value.startswith("#")):
            continue
        if key == "id":
            value = prefix + value
        elif key == "href":
            value = f"#{prefix}{value[1:]}"
        element.set(key, _COLOUR.sub(_themed, _NAMED.sub(rf"url(#{prefix}\1)", value)))
    for child in list(element):
        if not isinstance(child.tag, str) or _local(child.tag) in _DROPPED:
            element.remove(child)
        else:
            _clean(child, prefix)


def _themed(found: re.Match[str]) -> str:
    """Return a colour of the figures as the page has it."""
    name = _COLOURS.get(found[0].upper())
    return found[0] if name is None else f"var({name})"
