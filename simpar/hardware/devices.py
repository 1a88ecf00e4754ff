"""Device presets: a table of numbers, each with its source, the source's address and the day of checking.

The numbers are data, in ``devices.yaml`` beside this module; a new device is an entry there and its name in
``simpar.scenario.presets``. A number that does not say where it comes from is refused, so none can be
shipped. Figures are held in SI: FLOP/s, bytes, bytes per second, plain shares.

Nothing is read before a preset is asked for: a scenario that gives its own times needs no table.
Start with :func:`load_devices`; :func:`read_devices` does the same for any text.
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
from simpar.workload import DTYPE_BYTES

_PLAIN: dict[str, FigureKind] = {"memory": "size", "memory_bandwidth": "rate"}
_BY_DTYPE: dict[str, FigureKind] = {"peak": "flop_rate", "efficiency": "share"}


@dataclass(frozen=True, slots=True)
class DevicePreset:
    """One device that a scenario may name."""

    key: str
    """What a scenario writes: ``v100``."""

    name: str
    """What people read: ``V100 SXM2 16 GB``."""

    memory: Figure
    """Bytes."""

    memory_bandwidth: Figure
    """Bytes per second."""

    peak: dict[str, Figure]
    """FLOP/s by element type; an absent type is one that the device has no rate for."""

    efficiency: dict[str, Figure]
    """Share of the peak that training reaches, by element type."""

    def figures(self) -> list[tuple[str, Figure]]:
        """Return every number with its path, ``peak.float32``, in a fixed order."""
        return [
            *((f"peak.{dtype}", figure) for dtype, figure in self.peak.items()),
            *((f"efficiency.{dtype}", figure) for dtype, figure in self.efficiency.items()),
            ("memory", self.memory),
            ("memory_bandwidth", self.memory_bandwidth),
        ]


@functools.cache
def load_devices() -> dict[str, DevicePreset]:
    """Return the presets that simpar ships, by name.

    Raises:
        InputError: the table is damaged.

    >>> load_devices()["v100"].peak["float32"].text
    '15.7 TFLOP/s'
    """
    return read_devices(shipped("devices.yaml"), "devices.yaml")


def device_table() -> list[FigureRow]:
    """Return one row for every number of every preset that simpar ships, with its source.

    >>> [(row.figure, row.text) for row in device_table() if row.preset == "v100"][-1]
    ('memory_bandwidth', '900 GB/s')
    """
    return figure_rows(load_devices().values())


def read_devices(text: str, file: str) -> dict[str, DevicePreset]:
    """Return the presets of a table written as YAML *text*, which problems call *file*.

    Raises:
        InputError: with all problems at once: a number without source, url or date, an unknown key, a
            quantity that cannot be read, an efficiency that is not a share or has no peak.
    """
    return read_entries(text, file, "devices", _device)


def _device(reader: FigureReader, path: tuple[str, ...], key: str, data: Any) -> DevicePreset | None:
    """Return the preset of one entry, None after a problem that leaves it incomplete."""
    entry = reader.mapping(path, data, {"name", *_PLAIN, *_BY_DTYPE})
    name = reader.word(path, entry, "name")
    plain = {one: reader.figure((*path, one), entry.get(one), kind) for one, kind in _PLAIN.items()}
    by_dtype: dict[str, dict[str, Figure]] = {}
    for one, kind in _BY_DTYPE.items():
        figures = reader.mapping((*path, one), entry.get(one), set(DTYPE_BYTES))
        read = {dtype: reader.figure((*path, one, dtype), data, kind) for dtype, data in figures.items()}
        by_dtype[one] = {dtype: figure for dtype, figure in read.items() if figure is not None}
    peaks = entry.get("peak")
    for dtype in by_dtype["efficiency"]:
        if isinstance(peaks, dict) and dtype not in peaks:
            reader.refuse((*path, "efficiency", dtype), "has no peak that it is a share of", "give the peak")
    memory, bandwidth = plain["memory"], plain["memory_bandwidth"]
    if name is None or memory is None or bandwidth is None:
        return None
    return DevicePreset(key, name, memory, bandwidth, by_dtype["peak"], by_dtype["efficiency"])
