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
from simpar.show import plot, words
from simpar.show.sheet import ALARM, GREY, GRID, INK

MOST_NAMED = 12
"""Strategies that the text in place of a figure lists; the tables beside it list all."""

_COLOURS = {INK: "--ink", GREY: "--soft", GRID: "--line", ALARM: "--alarm", "#FFFFFF": "--paper"}
_DROPPED = ("metadata", "style", "script", "foreignObject", "title", "desc")
_COLOUR = re.compile(r"#[0-9a-f]{6}", re.IGNORECASE)
_NAMED = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure for a page."""

    title: str
    """A few words that stand above it."""
    alt: str
    """What it shows, in words, for whoever does not see it."""
    svg: bytes
    """The picture, an SVG file."""


def figures(result: Comparison) -> list[Figure]:
    """Return the figures of a comparison: its steps, and where prices are known what they cost.

    Where nothing fits in memory there are none.
    """
    fitting = [row for row in result.rows if row.step_s is not None]
    if not fitting:
        return []
    steps = [f"{row.label} {words.duration(row.step_s or 0.0)}" for row in fitting[:MOST_NAMED]]
    found = [
        Figure(
            "A step of each strategy, by what it is spent on",
            f"Bars, one a strategy, the fastest on top: {'; '.join(steps)}.{_more(fitting)}",
            plot.comparison(result, "svg"),
        )
    ]
    priced = [row for row in fitting if row.usd_per_million_samples is not None]
    if priced:
        priced.sort(key=lambda row: row.usd_per_million_samples or 0.0)
        unit = result.facts.get("unit", "samples")
        costs = [f"{row.label} {words.usd(row.usd_per_million_samples)} USD" for row in priced[:MOST_NAMED]]
        listed = f"a million {unit} cost, cheapest first: {'; '.join(costs)}.{_more(priced)}"
        found.append(
            Figure(
                "What training costs",
                f"Bars, one a strategy; {listed}",
                plot.comparison(result, "svg", "money"),
            )
        )
    return found


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
