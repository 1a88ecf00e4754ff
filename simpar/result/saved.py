"""Rows and comparisons rebuilt from the JSON that ``to_dict`` gives.

What is read must be exactly what would be written: after a value of each key is checked, the whole is
written again and compared, so that a key too many, or one that contradicts another, is found, too. Not in
the JSON, and so not here: traces, the memory limit, how large a bottleneck is and what its remedy achieves,
and what the head of a table says.

Start with :func:`comparison`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from simpar.errors import InputError, Problem
from simpar.result.measure import BREAKDOWN, Use
from simpar.result.rows import SCHEMA, Bottleneck, Comparison, Interval, Row, Suggestion
from simpar.result.staleness import Staleness
from simpar.units import shown

Read = TypeVar("Read")

_KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_AGAIN = "write it anew: simpar compare SCENARIO --json"
_NOTHING = {"resource": None, "cause": "memory", "try": None}


def comparison(data: object) -> Comparison:
    """Return the comparison that *data*, as :meth:`Comparison.to_dict` gives it, was made from.

    Raises:
        InputError: *data* is something else, or of another version.
    """
    if not isinstance(data, Mapping) or "strategies" not in data:
        raise _wrong("", "is no result of simpar compare --json", _AGAIN)
    if data.get("schema") != SCHEMA or isinstance(data["schema"], bool):
        said = f"{shown(data.get('schema'))} is a version that this simpar does not read"
        raise _wrong("schema", said, f"{_AGAIN} (version {SCHEMA})")
    whole = _Fields(data, "")
    rows = [row(one, f"strategies[{number}]") for number, one in enumerate(whole.items("strategies"))]
    found = _comparison(whole, rows)
    if len(found) != len(found.rows):
        raise _wrong("strategies", "has two of the same name", _AGAIN)
    _check_same(found.to_dict(), data, "")
    return found


def trusted(data: object, resources: Sequence[Sequence[Use]]) -> Comparison:
    """Return the comparison that *data* was made from, nobody having touched it: far quicker.

    Args:
        data: as :meth:`Comparison.to_dict` gives it, but for the resources.
        resources: those of each strategy.

    Raises:
        InputError: *data* has other fields or types.
        ValueError: there are more or fewer *resources* than strategies.
    """
    whole = _Fields(data, "")
    pairs = zip(whole.items("strategies"), resources, strict=True)
    return _comparison(whole, [_row(_Fields(one, ""), uses) for one, uses in pairs])


def _comparison(whole: _Fields, rows: list[Row]) -> Comparison:
    return Comparison(
        scenario=whole.value("scenario", str),
        seed=whole.value("seed", int),
        engine=whole.value("engine", str),
        rows=rows,
        facts={},
        notes=[whole.checked(note, str, "notes") for note in whole.items("notes")],
        # Results that were written before it was said have none, and nor have those in which nothing ran.
        engine_why=whole.value("engine_why", str) if "engine_why" in whole.data else "",
    )


def row(data: object, path: str = "") -> Row:
    """Return the row that *data*, as :meth:`Row.to_dict` gives it, was made from; problems begin with *path*.

    Raises:
        InputError: *data* is something else.
    """
    one = _Fields(data, path)
    found = _row(one, tuple(_uses(one)))
    if found.workers < 1:
        raise _wrong(one.at("workers"), f"{found.workers} is less than 1", _AGAIN)
    if found.fits != (found.step_s is not None):
        raise _wrong(one.at("step_s"), "is there only where a strategy fits in memory", _AGAIN)
    assert isinstance(data, Mapping), "the fields of what is no mapping are refused above"
    _check_same(found.to_dict(), data, path)
    return found


def _row(one: _Fields, resources: Sequence[Use]) -> Row:
    """Return the row with these fields; what it says is not compared with what they say."""
    return Row(
        name=one.value("name", str),
        kind=one.value("kind", str),
        label=one.value("label", str),
        rank=one.value("rank", int),
        fits=one.value("fits", bool),
        workers=one.value("workers", int),
        memory_bytes=one.value("memory_bytes", float),
        memory_limit_bytes=None,
        step_s=one.maybe("step_s", float),
        samples_per_s=one.maybe("samples_per_s", float),
        speedup=one.maybe("speedup", float),
        breakdown=_breakdown(one.inner("breakdown")),
        bottleneck=_bottleneck(one.inner("bottleneck")),
        staleness=one.maybe_inner("staleness", _staleness),
        resources=resources,
        epoch_s=one.maybe("epoch_s", float),
        usd_per_hour=one.maybe("usd_per_hour", float),
        usd_per_epoch=one.maybe("usd_per_epoch", float),
        intervals=one.maybe_inner("intervals", _intervals),
        memory=one.inner("memory").numbers(),
        notes=tuple(one.checked(note, str, "notes") for note in one.items("notes")),
    )


def _wrong(path: str, message: str, fix: str) -> InputError:
    return InputError([Problem("", 0, 0, path, message, fix)])


class _Fields:
    """The values of a JSON object, each checked when it is asked for."""

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, Mapping):
            raise _wrong(path, f"{shown(data)} is no mapping", _AGAIN)
        self.data, self.path = data, path

    def at(self, key: str) -> str:
        """Return the path of *key*."""
        return f"{self.path}.{key}" if self.path else key

    def given(self, key: str) -> Any:
        """Return the value of *key*, of any type."""
        if key not in self.data:
            raise _wrong(self.at(key), "is missing", _AGAIN)
        return self.data[key]

    def checked(self, value: Any, kind: type[Read], key: str) -> Read:
        """Return *value* if it is of *kind*; numbers are finite, and a whole one does for a float."""
        right = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not right or isinstance(value, bool) != (kind is bool):
            raise _wrong(self.at(key), f"{shown(value)} is not {_KINDS[kind]}", _AGAIN)
        if isinstance(value, float) and not math.isfinite(value):
            raise _wrong(self.at(key), f"{value} is not a finite number", _AGAIN)
        checked: Read = value  # an int for a float, as in all of Python
        return checked

    def value(self, key: str, kind: type[Read]) -> Read:
        """Return the value of *key*, which must be of *kind*."""
        return self.checked(self.given(key), kind, key)

    def maybe(self, key: str, kind: type[Read]) -> Read | None:
        """Return the value of *key*, or None where it is null."""
        return None if self.given(key) is None else self.value(key, kind)

    def items(self, key: str) -> list[Any]:
        """Return the list at *key*."""
        items = self.given(key)
        if not isinstance(items, list):
            raise _wrong(self.at(key), f"{shown(items)} is not a list", _AGAIN)
        return items

    def inner(self, key: str) -> _Fields:
        """Return the object at *key*."""
        return _Fields(self.given(key), self.at(key))

    def maybe_inner(self, key: str, read: Callable[[_Fields], Read]) -> Read | None:
        """Return what *read* makes of the object at *key*, or None where it is null."""
        return None if self.given(key) is None else read(self.inner(key))

    def numbers(self) -> dict[str, float]:
        """Return all of the object, whose values must be numbers."""
        return {str(key): self.value(key, float) for key in self.data}


def _breakdown(parts: _Fields) -> dict[str, float] | None:
    found = {part: parts.maybe(part, float) for part in BREAKDOWN}
    known = {part: seconds for part, seconds in found.items() if seconds is not None}
    return known or None


def _bottleneck(one: _Fields) -> Bottleneck | None:
    if one.data == _NOTHING:
        return None
    return Bottleneck(
        one.value("resource", str), one.value("cause", str), one.maybe_inner("try", _suggestion)
    )


def _suggestion(one: _Fields) -> Suggestion:
    return Suggestion(one.value("path", str), one.given("value"), None)


def _staleness(one: _Fields) -> Staleness:
    counts = one.inner("histogram")
    histogram = {}
    for stale in counts.data:
        if not isinstance(stale, str) or not stale.isascii() or not stale.isdecimal():
            raise _wrong(counts.path, f"{shown(stale)} is not a whole number", _AGAIN)
        histogram[int(stale)] = counts.value(stale, int)
    return Staleness(one.value("mean", float), one.value("max", int), histogram)


def _uses(one: _Fields) -> list[Use]:
    uses = [_Fields(use, one.at(f"resources[{n}]")) for n, use in enumerate(one.items("resources"))]
    return [
        Use(use.value("name", str), "", use.value("busy_frac", float), use.value("bytes", float))
        for use in uses
    ]


def _intervals(one: _Fields) -> dict[str, Interval]:
    inner = {name: one.inner(name) for name in one.data}
    return {
        name: Interval(*(each.value(p, float) for p in ("p5", "p50", "p95"))) for name, each in inner.items()
    }


def _check_same(written: Any, given: Any, path: str) -> None:
    """Refuse what is *given* where it is not what is *written* again, naming the first difference."""
    if isinstance(written, Mapping) and isinstance(given, Mapping):
        for key in given:
            here = f"{path}.{key}" if path else str(key)
            if key not in written:
                raise _wrong(here, "is no key of this version", _AGAIN)
            _check_same(written[key], given[key], here)
        for key in written:
            if key not in given:
                raise _wrong(f"{path}.{key}" if path else key, "is missing", _AGAIN)
    elif isinstance(written, list) and isinstance(given, list) and len(written) == len(given):
        for number, pair in enumerate(zip(written, given, strict=True)):
            _check_same(*pair, f"{path}[{number}]")
    elif written != given:
        raise _wrong(path, f"{shown(given)} does not go with the rest: {shown(written)}", _AGAIN)
