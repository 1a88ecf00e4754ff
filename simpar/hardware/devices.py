"""Device presets: a table of numbers, each with its source, the source's address and the day of checking.

The numbers are data, in ``devices.yaml`` beside this module; a new device is an entry there and its name in
``simpar.scenario.presets``. A number that does not say where it comes from is refused, so none can be
shipped. Figures are held in SI: FLOP/s, bytes, bytes per second, plain shares.

Nothing is read before a preset is asked for: a scenario that gives its own times needs no table.
Start with :func:`load_devices`; :func:`read_devices` does the same for any text.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from simpar.errors import InputError, Problem
from simpar.units import Kind, UnitError, parse, shown
from simpar.workload import DTYPE_BYTES

PROVENANCE = ("source", "url", "checked")
"""What every number must say beside its value."""

_SI: dict[Kind, str] = {"flop_rate": "FLOP/s", "size": "B", "rate": "B/s"}
_PLAIN: dict[str, Kind] = {"memory": "size", "memory_bandwidth": "rate"}
_BY_DTYPE: dict[str, Kind | None] = {"peak": "flop_rate", "efficiency": None}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and where it comes from."""

    value: float
    """In SI."""

    unit: str
    """``FLOP/s``, ``B`` or ``B/s``; empty for a plain share."""

    text: str
    """As the table writes it: ``15.7 TFLOP/s``."""

    source: str
    """Who says so."""

    url: str
    """Where they say it."""

    checked: str
    """Day on which somebody last compared the two, ``2026-11-23``."""

    note: str = ""
    """How it was derived, and what it leaves out; may be ''."""


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


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One number of one preset, as a table shows it."""

    preset: str
    """``v100``."""

    name: str
    """``V100 SXM2 16 GB``."""

    figure: str
    """``peak.float32``."""

    text: str
    """``15.7 TFLOP/s``."""

    value: float
    """In SI."""

    unit: str
    """``FLOP/s``, ``B`` or ``B/s``; empty for a plain share."""

    source: str
    """Who says so."""

    url: str
    """Where they say it."""

    checked: str
    """Day of the last comparison."""

    note: str
    """How it was derived; may be ''."""


@functools.cache
def load_devices() -> dict[str, DevicePreset]:
    """Return the presets that simpar ships, by name.

    Raises:
        InputError: the table is damaged.

    >>> load_devices()["v100"].peak["float32"].text
    '15.7 TFLOP/s'
    """
    table = resources.files("simpar.hardware").joinpath("devices.yaml")
    return read_devices(table.read_text(encoding="utf-8"), "devices.yaml")


def device_table() -> list[DeviceRow]:
    """Return one row for every number of every preset that simpar ships, with its source.

    >>> [(row.figure, row.text) for row in device_table() if row.preset == "v100"][-1]
    ('memory_bandwidth', '900 GB/s')
    """
    return [
        DeviceRow(
            preset=preset.key,
            name=preset.name,
            figure=path,
            text=figure.text,
            value=figure.value,
            unit=figure.unit,
            source=figure.source,
            url=figure.url,
            checked=figure.checked,
            note=figure.note,
        )
        for preset in load_devices().values()
        for path, figure in preset.figures()
    ]


def read_devices(text: str, file: str) -> dict[str, DevicePreset]:
    """Return the presets of a table written as YAML *text*, which problems call *file*.

    Raises:
        InputError: with all problems at once: a number without source, url or date, an unknown key, a
            quantity that cannot be read, an efficiency that is not a share or has no peak.
    """
    # Here, not above: the scenario room brings pydantic with it, and a bare machine that replays a
    # program needs no presets.
    from simpar.scenario.reader import read_text
    from simpar.scenario.source import Source

    document = read_text(text, file)
    source = Source.of(document)
    problems = [
        Problem(document.file, *place, ".".join(map(str, path)), message, fix)
        for path, place, message, fix in document.flaws
    ]

    def refuse(path: tuple[str, ...], message: str, fix: str) -> None:
        problems.append(source.problem(path, message, fix, key=True))

    table = _Table(refuse)
    top = table.mapping((), document.data, {"devices"})
    devices = table.mapping(("devices",), top.get("devices"), None)
    presets = {key: table.device(("devices", key), key, entry) for key, entry in devices.items()}
    if problems:
        raise InputError(problems)
    return {key: preset for key, preset in presets.items() if preset is not None}


class _Table:
    """Reads entries of a table and reports each problem to *refuse*, then goes on."""

    def __init__(self, refuse: Callable[[tuple[str, ...], str, str], None]) -> None:
        self.refuse = refuse

    def mapping(self, path: tuple[str, ...], data: Any, known: set[str] | None) -> dict[str, Any]:
        """Return *data* if it is a mapping, without the keys that are not *known*; else an empty one."""
        if not isinstance(data, dict):
            self.refuse(path, f"{shown(data)} is not a mapping", "write 'key: value' lines")
            return {}
        if known is not None:
            for key in data:
                if key not in known:
                    self.refuse((*path, key), "unknown key", f"write one of: {', '.join(sorted(known))}")
        return {key: value for key, value in data.items() if known is None or key in known}

    def device(self, path: tuple[str, ...], key: str, data: Any) -> DevicePreset | None:
        """Return the preset of one entry, None after a problem that leaves it incomplete."""
        entry = self.mapping(path, data, {"name", *_PLAIN, *_BY_DTYPE})
        name = self.word(path, entry, "name")
        plain = {one: self.figure((*path, one), entry.get(one), kind) for one, kind in _PLAIN.items()}
        by_dtype: dict[str, dict[str, Figure]] = {}
        for one, kind in _BY_DTYPE.items():
            figures = self.mapping((*path, one), entry.get(one), set(DTYPE_BYTES))
            read = {dtype: self.figure((*path, one, dtype), data, kind) for dtype, data in figures.items()}
            by_dtype[one] = {dtype: figure for dtype, figure in read.items() if figure is not None}
        peaks = entry.get("peak")
        for dtype in by_dtype["efficiency"]:
            if isinstance(peaks, dict) and dtype not in peaks:
                self.refuse(
                    (*path, "efficiency", dtype), "has no peak that it is a share of", "give the peak"
                )
        memory, bandwidth = plain["memory"], plain["memory_bandwidth"]
        if name is None or memory is None or bandwidth is None:
            return None
        return DevicePreset(key, name, memory, bandwidth, by_dtype["peak"], by_dtype["efficiency"])

    def figure(self, path: tuple[str, ...], data: Any, kind: Kind | None) -> Figure | None:
        """Return one number with its provenance; *kind* None is a share above 0 and at most 1."""
        entry = self.mapping(path, data, {"value", "note", *PROVENANCE})
        value = self.value((*path, "value"), entry.get("value"), kind)
        source, url, checked = (self.word(path, entry, one) for one in PROVENANCE)
        if url is not None and not url.startswith("https://"):
            self.refuse((*path, "url"), f"{shown(url)} is not an address", "write 'https://...'")
        if checked is not None and not _is_day(checked):
            self.refuse((*path, "checked"), f"{shown(checked)} is not a day", "write it like 2026-11-23")
        note = entry.get("note", "")
        if not isinstance(note, str):
            self.refuse((*path, "note"), f"{shown(note)} is not text", "write a sentence")
        if value is None or source is None or url is None or checked is None:
            return None
        unit = "" if kind is None else _SI[kind]
        return Figure(value, unit, str(entry["value"]), source, url, checked, str(note))

    def value(self, path: tuple[str, ...], data: Any, kind: Kind | None) -> float | None:
        """Return the SI value of *data*, None after a problem."""
        if kind is None:
            if isinstance(data, int | float) and not isinstance(data, bool) and 0 < data <= 1:
                return float(data)
            self.refuse(path, f"{shown(data)} is not a share", "write a number above 0 and at most 1")
            return None
        try:
            value = parse(data, kind)
        except UnitError as error:
            self.refuse(path, error.message, error.fix)
            return None
        if value <= 0:
            self.refuse(path, f"{shown(data)} is not above zero", "leave out what is not known")
            return None
        return value

    def word(self, path: tuple[str, ...], entry: dict[str, Any], key: str) -> str | None:
        """Return the text under *key*, None after saying that it is missing."""
        text = entry.get(key)
        if isinstance(text, str) and text.strip():
            return text.strip()
        self.refuse(path, f"has no {key}", f"write {key}: every number says where it comes from")
        return None


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
