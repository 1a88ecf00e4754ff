"""One number and where it comes from, and the reader of tables of such numbers.

The tables of devices, links and instances are YAML files beside this module. In each of them a number
stands with its source, the address of the source and the day on which the two were last compared; one
that lacks any of the three is refused, so none can be shipped. Figures are held in SI; a price, which SI
does not know, in USD per hour.

Start with :class:`FigureReader`; :func:`read_entries` walks a whole file with it and tells all problems.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, Protocol, TypeVar

from simpar.errors import InputError, Problem
from simpar.units import Kind, UnitError, parse, shown

PROVENANCE = ("source", "url", "checked")
"""What every number must say beside its value."""

FigureKind = Kind | Literal["share", "count"]
"""What a number measures: a quantity with a unit, a share above 0 and at most 1, or a whole number from 1."""

_SI: dict[FigureKind, str] = {
    "flop_rate": "FLOP/s",
    "size": "B",
    "rate": "B/s",
    "duration": "s",
    "price": "USD/h",
    "share": "",
    "count": "",
}
_CHOICE = {"share": "write a number above 0 and at most 1", "count": "write a whole number from 1"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and where it comes from."""

    value: float
    """In SI; a price in USD per hour."""

    unit: str
    """``FLOP/s``, ``B``, ``B/s``, ``s`` or ``USD/h``; empty for a plain number."""

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


class Preset(Protocol):
    """An entry of one of the tables."""

    @property
    def key(self) -> str:
        """What a scenario writes."""

    @property
    def name(self) -> str:
        """What people read."""

    def figures(self) -> list[tuple[str, Figure]]:
        """Return every number with its path in the entry."""


@dataclass(frozen=True, slots=True)
class FigureRow:
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
    """In SI; a price in USD per hour."""

    unit: str
    """``FLOP/s``, ``B``, ``B/s``, ``s`` or ``USD/h``; empty for a plain number."""

    source: str
    """Who says so."""

    url: str
    """Where they say it."""

    checked: str
    """Day of the last comparison."""

    note: str
    """How it was derived; may be ''."""


def figure_rows(presets: Iterable[Preset]) -> list[FigureRow]:
    """Return one row for every number of *presets*, with its source, in their order."""
    return [
        FigureRow(
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
        for preset in presets
        for path, figure in preset.figures()
    ]


class FigureReader:
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

    def figure(
        self, path: tuple[str, ...], data: Any, kind: FigureKind, also: frozenset[str] = frozenset()
    ) -> Figure | None:
        """Return one number with its provenance, None after a problem; keys in *also* are the caller's."""
        entry = self.mapping(path, data, {"value", "note", *PROVENANCE, *also})
        value = self.value((*path, "value"), entry.get("value"), kind)
        source, url = (self.word(path, entry, one) for one in ("source", "url"))
        checked = self.day(path, entry, "checked")
        if url is not None and not url.startswith("https://"):
            self.refuse((*path, "url"), f"{shown(url)} is not an address", "write 'https://...'")
        note = entry.get("note", "")
        if not isinstance(note, str):
            self.refuse((*path, "note"), f"{shown(note)} is not text", "write a sentence")
        if value is None or source is None or url is None or checked is None:
            return None
        return Figure(value, _SI[kind], str(entry["value"]), source, url, checked, str(note))

    def value(self, path: tuple[str, ...], data: Any, kind: FigureKind) -> float | None:
        """Return the SI value of *data*, None after a problem."""
        if kind == "share" or kind == "count":
            number = isinstance(data, int | float) and not isinstance(data, bool)
            if number and (0 < data <= 1 if kind == "share" else isinstance(data, int) and data >= 1):
                return float(data)
            self.refuse(path, f"{shown(data)} is not a {kind}", _CHOICE[kind])
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

    def day(self, path: tuple[str, ...], entry: dict[str, Any], key: str) -> str | None:
        """Return the day under *key*, ``2026-11-23``; None after saying that it is missing."""
        text = self.word(path, entry, key)
        if text is not None and not _is_day(text):
            self.refuse((*path, key), f"{shown(text)} is not a day", "write it like 2026-11-23")
        return text

    def one_of(
        self, path: tuple[str, ...], entry: dict[str, Any], key: str, what: str, known: Iterable[str]
    ) -> str | None:
        """Return the name under *key* if it is one of *known*, None after a problem."""
        from simpar.scenario.words import did_you_mean

        name = self.word(path, entry, key)
        names = tuple(known)
        if name is None or name in names:
            return name
        self.refuse((*path, key), f"unknown {what} {shown(name)}", did_you_mean(name, names))
        return None


T = TypeVar("T")


def read_entries(
    text: str,
    file: str,
    title: str,
    read: Callable[[FigureReader, tuple[str, ...], str, Any], T | None],
) -> dict[str, T]:
    """Return the entries under the key *title* of YAML *text*, each made by *read*, by name.

    Raises:
        InputError: with all problems at once; they call the text *file*.
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

    reader = FigureReader(refuse)
    top = reader.mapping((), document.data, {title})
    entries = reader.mapping((title,), top.get(title), None)
    presets = {key: read(reader, (title, key), key, entry) for key, entry in entries.items()}
    if problems:
        raise InputError(problems)
    return {key: preset for key, preset in presets.items() if preset is not None}


def shipped(file: str) -> str:
    """Return the text of a table that simpar ships beside this module."""
    return resources.files("simpar.hardware").joinpath(file).read_text(encoding="utf-8")


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
