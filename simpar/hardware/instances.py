"""Machines of cloud providers: their devices, their links and what an hour of one costs.

The numbers are data, in ``instances.yaml`` beside this module. A price is the one on demand in one region,
as published on the day under ``stated``: prices change, so look them up before you decide. Networks are
stated for the whole machine, all of its adapters together and in one direction.

Start with :func:`load_instances`; :func:`read_instances` does the same for any text.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from simpar.hardware.devices import load_devices
from simpar.hardware.figures import (
    Figure,
    FigureKind,
    FigureReader,
    FigureRow,
    figure_rows,
    read_entries,
    shipped,
)
from simpar.hardware.links import load_links

_FIGURES: dict[str, FigureKind] = {"devices": "count", "network": "rate", "price": "price"}
_OF_PRICE = frozenset({"region", "stated"})


@dataclass(frozen=True, slots=True)
class InstancePreset:
    """One machine that a cloud provider rents out by the hour."""

    key: str
    """What people write, as the provider spells it: ``p3.16xlarge``."""

    name: str
    """What people read: ``AWS p3.16xlarge``."""

    device: str
    """Its device, a name of :func:`simpar.hardware.load_devices`."""

    devices: Figure
    """How many of them."""

    network: Figure
    """Nominal bytes per second out of the machine, one direction, all adapters together."""

    inter: str
    """Kind of that network, a name of :func:`simpar.hardware.load_links`, for efficiency and latency."""

    intra: str | None
    """Link between its devices, likewise; None where there is only one."""

    price: Figure
    """USD per hour on demand."""

    region: str
    """Where that is the price."""

    stated: str
    """Day on which it was the price, ``2026-09-24``."""

    @property
    def usd_per_device_hour(self) -> float:
        """Price of one device for an hour."""
        return self.price.value / self.devices.value

    def figures(self) -> list[tuple[str, Figure]]:
        """Return every number with its name, in a fixed order."""
        return [("devices", self.devices), ("network", self.network), ("price", self.price)]


@functools.cache
def load_instances() -> dict[str, InstancePreset]:
    """Return the presets that simpar ships, by name.

    Raises:
        InputError: the table is damaged.

    >>> load_instances()["p3.16xlarge"].device
    'v100'
    """
    return read_instances(shipped("instances.yaml"), "instances.yaml")


def instance_table() -> list[FigureRow]:
    """Return one row for every number of every preset that simpar ships, with its source.

    >>> [(row.figure, row.text) for row in instance_table() if row.preset == "p3.16xlarge"][-1]
    ('price', '24.48 USD/h')
    """
    return figure_rows(load_instances().values())


def read_instances(text: str, file: str) -> dict[str, InstancePreset]:
    """Return the presets of a table written as YAML *text*, which problems call *file*.

    Raises:
        InputError: with all problems at once: a number without source, url or date, a price without
            region or day, an unknown key, device or link, a quantity that cannot be read, several devices
            without a link between them or one device with a link.
    """
    return read_entries(text, file, "instances", _instance)


def _instance(reader: FigureReader, path: tuple[str, ...], key: str, data: Any) -> InstancePreset | None:
    """Return the preset of one entry, None after a problem that leaves it incomplete."""
    entry = reader.mapping(path, data, {"name", "device", "inter", "intra", *_FIGURES})
    name = reader.word(path, entry, "name")
    device = reader.one_of(path, entry, "device", "device", load_devices())
    inter = reader.one_of(path, entry, "inter", "link", load_links())
    intra = reader.one_of(path, entry, "intra", "link", load_links()) if "intra" in entry else None
    figures = {
        one: reader.figure((*path, one), entry.get(one), kind, _OF_PRICE if one == "price" else frozenset())
        for one, kind in _FIGURES.items()
    }
    devices, network, price = (figures[one] for one in _FIGURES)
    if devices is not None and devices.value > 1 and "intra" not in entry:
        reader.refuse(path, "has no intra", "name the link between its devices")
    if devices is not None and devices.value == 1 and "intra" in entry:
        reader.refuse((*path, "intra"), "has no device to link to", "remove it")
    told = entry.get("price")
    region = stated = None
    if isinstance(told, dict):
        region = reader.word((*path, "price"), told, "region")
        stated = reader.day((*path, "price"), told, "stated")
    if name is None or device is None or inter is None or region is None or stated is None:
        return None
    if devices is None or network is None or price is None:
        return None
    return InstancePreset(key, name, device, devices, network, inter, intra, price, region, stated)
