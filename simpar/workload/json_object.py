"""A JSON object whose keys know where they stand; hostile text costs one line, not a traceback.

Values below the first level are plain data. Start with :func:`read_object`.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, NoReturn

from simpar.workload.import_file import Problems

_BLANK = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of the object."""

    value: Any
    """As JSON has it."""

    place: tuple[int, int]
    """Line and column of the value, from 1."""


def read_object(text: str, problems: Problems) -> dict[str, Entry]:
    """Return the entries of the object that *text* is; keys given twice become *problems*.

    Raises:
        InputError: *text* is not JSON, is no object, or is nested too deeply.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    entries: dict[str, Entry] = {}
    starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(at: int) -> tuple[int, int]:
        line = bisect_right(starts, at)
        return line, at - starts[line - 1] + 1

    at = _skip(text, 0)
    try:
        if text[at : at + 1] != "{":
            decoder.raw_decode(text, at)
            problems.add(place(at), "", "is no JSON object", "write '{' and keys in quotes")
            problems.raise_if_any()
        at = _skip(text, at + 1)
        while text[at : at + 1] != "}":
            if text[at : at + 1] != '"':
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
            key_at = at
            key, at = decoder.raw_decode(text, at)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
            at = _skip(text, at + 1)
            value_at = at
            value, at = decoder.raw_decode(text, at)
            if key in entries:
                line = entries[key].place[0]
                said = f"{key[:60]!r} is given on line {line}, too"
                problems.add(place(key_at), "", said, "keep one of them")
            entries.setdefault(key, Entry(value, place(value_at)))
            at = _skip(text, at)
            if text[at : at + 1] == "}":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _skip(text, at + 1)
            if text[at : at + 1] == "}":
                raise json.JSONDecodeError("Illegal trailing comma before end of object", text, at)
        if (end := _skip(text, at + 1)) < len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except json.JSONDecodeError as error:
        problems.add((error.lineno, error.colno), "", f"not JSON: {error.msg}", "mend it there")
    except RecursionError:
        problems.stop("is nested too deeply", "name a configuration, config.json")
    except ValueError as error:  # a constant such as NaN, or an integer of thousands of digits
        said = str(error) if str(error).endswith("is no JSON number") else "a number has too many digits"
        problems.add(place(at), "", f"not JSON: {said}", "mend it there")
    problems.raise_if_any()
    return entries


def _skip(text: str, at: int) -> int:
    """Return the first position from *at* that is not blank."""
    match = _BLANK.match(text, at)
    assert match is not None, "the pattern matches nothing, too"
    return match.end()


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")
