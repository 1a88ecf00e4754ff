"""Values for any setting, as people write them: ``10 Gbit/s,25 Gbit/s`` or ``1 Gbit/s:100 Gbit/s:x10``.

A list is separated by commas, outside of brackets and quotes; each of its items is a value as ``--set`` takes
it, or a range: ``LOW:HIGH:STEP``, ``LOW:HIGH:xFACTOR``, and of whole numbers ``LOW:HIGH`` or ``LOW..HIGH``,
with one unit or none. A range goes as far as HIGH, and is computed exactly. Start with :func:`read_values`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from simpar.errors import InputError, Problem, one_line
from simpar.scenario.ranges import MOST_VALUES
from simpar.scenario.reader import read_text
from simpar.units import NUMBER, UNITS, UnitError, parse, shown

HOW = "write 1,2,4,8 or 1..8 or 1:64:x2 or 10 Gbit/s,25 Gbit/s or 1 Gbit/s:100 Gbit/s:x10"

_UNIT = r"[ ]*([A-Za-z\u00b5\u03bc][A-Za-z/\u00b5\u03bc]*)?"
_SPAN = re.compile(
    rf"({NUMBER}){_UNIT}[ ]*(?:\.\.|:)[ ]*({NUMBER}){_UNIT}(?:[ ]*:[ ]*(x?)[ ]*({NUMBER}){_UNIT})?"
)
_LONGEST = 40
_DIGITS = 4


class _WrongError(Exception):
    """Why a text holds no values."""

    def __init__(self, message: str, fix: str = HOW) -> None:
        self.message, self.fix = message, fix
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers, all of one unit, that goes up by steps or by a factor."""

    text: str
    low: Fraction
    """In *unit*."""
    high: Fraction
    by: Fraction
    """The step in *unit*, or the factor."""
    multiplied: bool
    unit: str
    """As written; empty for bare numbers."""

    @property
    def count(self) -> int:
        """How many values it has; where there are far too many, about so many."""
        if not self.multiplied:
            return int((self.high - self.low) / self.by) + 1
        ratio = self.high / self.low
        logarithm = math.log(ratio.numerator) - math.log(ratio.denominator)
        about = logarithm / math.log1p(float(self.by - 1))
        if about > 2 * MOST_VALUES:  # too many anyway, and their powers have many digits
            return int(about) + 1
        found, power = 1, self.by
        while power <= ratio:
            power *= self.by
            found += 1
        return found

    def values(self) -> list[Any]:
        """Return every value: numbers, or text with the unit."""
        steps = range(self.count)
        if self.multiplied:
            return [self._spelt(self.low * self.by**step) for step in steps]
        return [self._spelt(self.low + self.by * step) for step in steps]

    def at(self, share: float) -> Any:
        """Return the value *share* of the way from LOW to HIGH, from 0 to 1; of a factor, on a log scale.

        A range of whole numbers gives whole numbers, each as likely as its part of the way.
        """
        low, high = float(self.low), float(self.high)
        whole = not self.unit and all(one.denominator == 1 for one in (self.low, self.high, self.by))
        if whole:  # [low, high + 1) rounded down, so that both ends are as likely as the others
            high += 1
        value = low * (high / low) ** share if self.multiplied else low + (high - low) * share
        if whole:
            return min(int(value), int(self.high))
        rounded = Fraction(f"{value:.{_DIGITS}g}")
        return self._spelt(min(max(rounded, self.low), self.high))

    def _spelt(self, number: Fraction) -> Any:
        plain: int | float = int(number) if number.denominator == 1 else float(number)
        return f"{plain} {self.unit}" if self.unit else plain


def read_values(text: str, path: str, option: str = "--vary") -> list[Any]:
    """Return the values that *text* lists: a :class:`Span` for each range, else plain values or text.

    Raises:
        InputError: there is none, or one that is no value; the problem names *option* and *path*.

    >>> read_values("10 Gbit/s, true, 3", "a")
    ['10 Gbit/s', True, 3]
    >>> read_values("1:8:x2", "a")[0].values(), read_values("10 us:30 us:10 us", "a")[0].values()
    ([1, 2, 4, 8], ['10 us', '20 us', '30 us'])
    """
    here = one_line(path[:200])
    try:
        if not text.strip():
            raise _WrongError("has no values")
        return [_item(item) for item in _split(text)]
    except _WrongError as refused:
        raise InputError([Problem(option, 0, 0, here, refused.message, refused.fix)]) from None
    except InputError as error:
        raise InputError(
            [Problem(option, 0, 0, here, one.message, one.fix) for one in error.problems]
        ) from None


def expand(items: Sequence[Any], path: str, option: str = "--vary", instead: str = "") -> list[Any]:
    """Return the values of *items* as :func:`read_values` gives them, ranges written out.

    Args:
        instead: what to do, besides fewer values, where there are too many.

    Raises:
        InputError: there are more than :data:`MOST_VALUES`, or one is given twice.
    """
    count = size(items)
    if count > MOST_VALUES:
        spans = [item.text for item in items if isinstance(item, Span)]
        said = (
            f"{', '.join(spans[:3])} has more than {MOST_VALUES:,} values"
            if spans
            else f"has {count:,} values"
        )
        fix = f"at most {MOST_VALUES:,}: a larger step or x2{instead}"
        raise InputError([Problem(option, 0, 0, path, said, fix)])
    values = [value for item in items for value in (item.values() if isinstance(item, Span) else [item])]
    seen: list[str] = [spell_value(value) for value in values]
    if len(set(seen)) < len(seen):
        twice = next(one for index, one in enumerate(seen) if one in seen[:index])
        raise InputError(
            [Problem(option, 0, 0, path, f"{shown(twice)} is given twice", "remove one of them")]
        )
    return values


def size(items: Sequence[Any]) -> int:
    """Return how many values *items* have, none of them written out."""
    return sum(item.count if isinstance(item, Span) else 1 for item in items)


def spell_value(value: Any) -> str:
    """Return *value* as people write it.

    >>> spell_value(True), spell_value("10 us"), spell_value({"a": [1, None]})
    ('true', '10 us', '{a: [1, null]}')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {spell_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(spell_value, value)) + "]"
    return one_line(str(value))


def number_of(value: Any) -> float | None:
    """Return the number that *value* is, a quantity in SI units; None where it is neither.

    >>> number_of("1 Gbit/s"), number_of(3), number_of("v100"), number_of(True)
    (125000000.0, 3.0, None, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else None
    if not isinstance(value, str):
        return None
    for kind in UNITS:
        try:
            return parse(value, kind)
        except UnitError:
            continue
    return None


def _split(text: str) -> list[str]:
    """Return the items of a list: *text* cut at commas outside of brackets and quotes."""
    items, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"" and not items[-1].strip():
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and depth <= 0:
            items.append("")
            continue
        items[-1] += letter
    return [item.strip() for item in items]


def _item(text: str) -> Any:
    if not text:
        raise _WrongError("has an empty value")
    match = _SPAN.fullmatch(text)
    if match is not None:
        return _span(text, match)
    if re.match(rf"{NUMBER}[^:{{\[]*:", text):
        raise _WrongError(f"{shown(text)} is not a range", HOW)
    document = read_text(text, "--vary")
    if document.flaws:
        raise _WrongError(document.flaws[0][2], document.flaws[0][3])
    # Text stays as written, quotes included: it will be read as YAML once more, where it is set.
    return text if isinstance(document.data, str) else document.data


def _span(text: str, match: re.Match[str]) -> Span:
    """Return the range that *match* read from *text*."""
    low_text, low_unit, high_text, high_unit, times, by_text, by_unit = match.groups(default="")
    said = shown(text)
    if any(len(part) > _LONGEST or abs(_exponent(part)) > 30 for part in (low_text, high_text, by_text)):
        raise _WrongError(f"{said} has a number that is too long")
    low, high = Fraction(low_text), Fraction(high_text)
    units = [low_unit, high_unit, *([by_unit] if by_text and not times else [])]
    if not any(units):
        scale = [Fraction(1)] * len(units)
    elif not all(units):
        unit = next(filter(None, units))
        raise _WrongError(
            f"{said} has a number without a unit", f"write it at each, like '1 {unit}:8 {unit}:x2'"
        )
    else:
        scale = _same_kind(said, units)
    if times and by_unit:
        raise _WrongError(f"{said} has a factor with a unit", f"write x{by_text}")
    high = high * scale[1] / scale[0]
    if by_text:
        by = Fraction(by_text) * (1 if times else scale[-1] / scale[0])
    elif any(units) or low.denominator != 1 or high.denominator != 1:
        raise _WrongError(f"{said} has no step", f"write {text}:x2, or a step behind it")
    else:
        by = Fraction(1)
    if times and (by <= 1 or low <= 0):
        raise _WrongError(f"{said} never ends", "write a factor above 1, from more than 0: 1:64:x2")
    if by <= 0:
        raise _WrongError(f"{said} never ends", "write a step above 0")
    if low > high:
        raise _WrongError(f"{said} goes down", "write the smaller number first")
    return Span(text, low, high, by, bool(times), low_unit)


def _same_kind(said: str, units: Sequence[str]) -> list[Fraction]:
    """Return the factors to SI of *units*, which must measure the same."""
    for kind in UNITS.values():
        if all(unit in kind for unit in units):
            return [kind[unit] for unit in units]
    known = {unit for kind in UNITS.values() for unit in kind}
    for unit in units:
        if unit not in known:
            for kind_name in ("rate", *UNITS):
                try:
                    parse(f"1 {unit}", kind_name)
                except UnitError as error:
                    if "did you mean" in error.fix or "bits" in error.fix:
                        raise _WrongError(f"{said}: {error.message}", error.fix) from None
            raise _WrongError(f"{said} has an unknown unit {shown(unit)}")
    raise _WrongError(f"{said} mixes units of different kinds", "write the same unit at each number")


def _exponent(number: str) -> int:
    """Return the power of ten that *number* is written with, so that no huge one is ever made."""
    power = number.lower().partition("e")[2]
    return min(int(power or 0), 1000) if len(power) < 6 else 1000
