"""Comma-separated text as cells that know their line and column.

RFC 4180: cells between double quotes may hold commas, line ends and doubled quotes. Lines end in LF, CRLF
or CR; lines of empty cells are skipped. Python's own reader does not say where a cell stands, hence this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CELL = re.compile(r'[ \t]*"(?P<quoted>[^"]*(?:""[^"]*)*)"[ \t]*(?=[,\r\n]|\Z)|(?P<plain>[^,\r\n]*)')
MOST_CELLS = 1000
"""Cells of a line that are looked at."""

_REST = re.compile(r"[^\r\n]*")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell."""

    text: str
    """What it holds, without quotes and without blanks around it."""

    place: tuple[int, int]
    """Line and column, from 1."""

    broken: bool = False
    """Whether it begins with a quote that is not closed before the next comma or line end."""


def rows(text: str) -> Iterator[list[Cell]]:
    """Yield the cells of each line of *text* that holds any."""
    at, line, start = 0, 1, 0
    row: list[Cell] = []
    while at <= len(text):
        match = _CELL.match(text, at)
        assert match is not None, "the pattern matches nothing, too"
        quoted = match["quoted"]
        said = match["plain"].strip() if quoted is None else quoted.replace('""', '"').strip()
        row.append(Cell(said, (line, at - start + 1), broken=quoted is None and said.startswith('"')))
        for end in _LINE_END.finditer(match[0]):
            line, start = line + 1, at + end.end()
        at = match.end()
        if text[at : at + 1] == "," and len(row) < MOST_CELLS:
            at += 1
            continue
        rest = _REST.match(text, at)
        assert rest is not None, "the pattern matches nothing, too"
        at = rest.end()
        if any(cell.text for cell in row):
            yield row
        row = []
        ending = _LINE_END.match(text, at)
        if ending is None:
            return
        at = start = ending.end()
        line += 1
