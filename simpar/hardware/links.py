"""Link presets: rate, efficiency and latency of common networks and buses, each number with its source.

The numbers are data, in ``links.yaml`` beside this module. A rate is nominal and of one direction: what a
large message reaches is the rate times the efficiency, which is what ``network.bandwidth`` in a scenario
means. Figures are held in SI: bytes per second, seconds, plain shares.

Start with :func:`load_links`; :func:`read_links` does the same for any text.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from simpar.hardware.figures import (
    Figure,
    FigureKind,
    FigureReader,
    FigureRow,
    figure_rows,
    read_entries,
    shipped,
)

_FIGURES: dict[str, FigureKind] = {"rate": "rate", "efficiency": "share", "latency": "duration"}


@dataclass(frozen=True, slots=True)
class LinkPreset:
    """One direction of one kind of link."""

    key: str
    """What people write: ``ethernet-25``."""

    name: str
    """What people read: ``25 Gbit/s Ethernet``."""

    rate: Figure
    """Nominal bytes per second, one direction."""

    efficiency: Figure
    """Share of the rate that large messages reach."""

    latency: Figure
    """Seconds until an empty message arrives, software included."""

    @property
    def bytes_per_s(self) -> float:
        """Bytes per second that large messages reach."""
        return self.rate.value * self.efficiency.value

    def figures(self) -> list[tuple[str, Figure]]:
        """Return every number with its name, in a fixed order."""
        return [("rate", self.rate), ("efficiency", self.efficiency), ("latency", self.latency)]


@functools.cache
def load_links() -> dict[str, LinkPreset]:
    """Return the presets that simpar ships, by name.

    Raises:
        InputError: the table is damaged.

    >>> load_links()["ethernet-25"].rate.text
    '25 Gbit/s'
    """
    return read_links(shipped("links.yaml"), "links.yaml")


def link_table() -> list[FigureRow]:
    """Return one row for every number of every preset that simpar ships, with its source.

    >>> [(row.figure, row.text) for row in link_table() if row.preset == "nvlink-3"][0]
    ('rate', '300 GB/s')
    """
    return figure_rows(load_links().values())


def read_links(text: str, file: str) -> dict[str, LinkPreset]:
    """Return the presets of a table written as YAML *text*, which problems call *file*.

    Raises:
        InputError: with all problems at once: a number without source, url or date, an unknown key, a
            missing number, a quantity that cannot be read, an efficiency that is not a share.
    """
    return read_entries(text, file, "links", _link)


def _link(reader: FigureReader, path: tuple[str, ...], key: str, data: Any) -> LinkPreset | None:
    """Return the preset of one entry, None after a problem that leaves it incomplete."""
    entry = reader.mapping(path, data, {"name", *_FIGURES})
    name = reader.word(path, entry, "name")
    figures = {one: reader.figure((*path, one), entry.get(one), kind) for one, kind in _FIGURES.items()}
    rate, efficiency, latency = (figures[one] for one in _FIGURES)
    if name is None or rate is None or efficiency is None or latency is None:
        return None
    return LinkPreset(key, name, rate, efficiency, latency)
