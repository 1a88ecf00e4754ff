"""Where each setting stands: the file's line and column, or the number of a ``--set`` option.

Paths here are the public ones, in which the kind of a strategy is no part:
``('strategies', 2, 'algorithm')``. Start with :meth:`Source.problem`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from simpar.errors import Problem, one_line
from simpar.scenario.reader import Document
from simpar.scenario.words import Path, spell_path

Place = tuple[str, int, int]
"""File, line and column."""

_SEGMENT = re.compile(r"([^.\[\]]+)((?:\[[^\[\]]+\])*)(\.|\Z)")
_DEEPEST = 20


@dataclass(slots=True)
class Source:
    """Places of the settings of one file, overrides included."""

    file: str
    """Name of the file as it was given."""

    values: dict[Path, Place] = field(default_factory=dict)
    """Where each value stands."""

    keys: dict[Path, Place] = field(default_factory=dict)
    """Where the key of each value stands."""

    @classmethod
    def of(cls, document: Document) -> Source:
        """Return the places that reading *document* found."""
        source = cls(document.file)
        for path, place in document.values.items():  # an entry of strategies comes before its options
            source.values.setdefault(public_path(path), (document.file, *place))
        for path, place in document.keys.items():
            source.keys.setdefault(public_path(path), (document.file, *place))
        return source

    def copy(self) -> Source:
        """Return a copy that overrides may change."""
        return Source(self.file, dict(self.values), dict(self.keys))

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where the value at *path*, or its *key*, stands; else the nearest setting above it."""
        if key and path in self.keys:
            return self.keys[path]
        while path:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.values.get((), (self.file, 1, 1))

    def problem(
        self, path: Path, message: str, fix: str = "", *, key: bool = False, said_path: str | None = None
    ) -> Problem:
        """Return a problem at *path*; it names the path *said_path* where that is given."""
        said = spell_path(path) if said_path is None else one_line(said_path)
        return Problem(*self.place(path, key=key), said, message, fix)

    def override(self, path: Path, place: Place) -> None:
        """Note that everything at and below *path* now comes from *place*."""
        for places in (self.values, self.keys):
            for below in [one for one in places if one[: len(path)] == path]:
                del places[below]
            places[path] = place


def public_path(path: Path) -> Path:
    """Return *path* without the kind that stands between a strategy's index and its options."""
    if len(path) > 2 and path[0] == "strategies" and isinstance(path[1], int):
        return path[:2] + path[3:]
    return path


def split_path(text: str) -> list[tuple[str | int, bool]] | None:
    """Return the parts of the path *text*, each with whether it stood in brackets; None if malformed.

    >>> split_path("strategies[ps-sync].servers")
    [('strategies', False), ('ps-sync', True), ('servers', False)]
    >>> split_path("a..b") is None
    True
    """
    parts: list[tuple[str | int, bool]] = []
    at = 0
    while at < len(text):
        match = _SEGMENT.match(text, at)
        if match is None or match[1] != match[1].strip():
            return None
        parts.append((match[1], False))
        for inside in re.findall(r"\[([^\[\]]+)\]", match[2]):
            index = re.fullmatch("[0-9]{1,9}", inside)
            parts.append((int(inside) if index else inside, True))
        at = match.end()
        if len(parts) > _DEEPEST or (match[3] and at == len(text)):
            return None
    return parts or None
