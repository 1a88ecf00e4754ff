"""Numbers for an axis, as people write them: ``1,2,4,8``, ``1..8``, ``1:33:4`` or ``1:64:x2``.

``A..B`` and ``A:B`` are every whole number from A to B, both included; ``A:B:STEP`` goes up by STEP and
``A:B:xFACTOR`` is multiplied by FACTOR, as far as B. Ranges and numbers may be listed, separated by commas;
they must rise. Start with :func:`whole_range`.
"""

from __future__ import annotations

import itertools
import re

from simpar.errors import InputError, Problem
from simpar.units import shown

MOST_VALUES = 10_000
"""Values that one axis may have."""

_HOW = "write 1,2,4,8 or 1..8 or 1:33:4 or 1:64:x2"
_RANGE = re.compile(r"(?P<low>\d+)(?:\.\.|:)(?P<high>\d+)(?::(?P<by>x?)(?P<step>\d+))?")
_DIGITS = 15


class _WrongError(Exception):
    """Why a text is no range."""

    def __init__(self, message: str, fix: str) -> None:
        self.message, self.fix = message, fix
        super().__init__(message)


def whole_range(text: str, path: str, least: int = 1) -> list[int]:
    """Return the whole numbers that *text* stands for, each above the one before.

    Args:
        path: what problems name, ``--scale``.
        least: the smallest number allowed.

    Raises:
        InputError: it is no range, never ends, goes down, or has more than :data:`MOST_VALUES` values.

    >>> whole_range("1:64:x2", "--scale"), whole_range("1:9:4,16", "--scale")
    ([1, 2, 4, 8, 16, 32, 64], [1, 5, 9, 16])
    """
    try:
        values: list[int] = []
        for item in text.split(","):
            values += _item(item.strip(), MOST_VALUES - len(values))
        _check(values, least)
    except _WrongError as refused:
        raise InputError([Problem("", 0, 0, path, refused.message, refused.fix)]) from None
    return values


def _item(text: str, room: int) -> list[int]:
    """Return the numbers of one item, at most *room*."""
    if not text:
        raise _WrongError("has an empty value", _HOW)
    if re.fullmatch(rf"[0-9]{{1,{_DIGITS}}}", text):
        return [int(text)]
    match = _RANGE.fullmatch(text) if text.isascii() else None
    if match is None or any(len(part or "") > _DIGITS for part in match.groups()):
        raise _WrongError(f"{shown(text)} is not a range of whole numbers", _HOW)
    low, high = int(match["low"]), int(match["high"])
    if low > high:
        raise _WrongError(f"{text} goes down", f"write the smaller number first: {high}..{low}")
    if match["by"]:
        return _multiplied(text, low, high, int(match["step"]))
    step = int(match["step"] or 1)
    if step == 0:
        raise _WrongError(f"{text} never ends", "write a step of 1 or more")
    if (high - low) // step >= room:
        raise _WrongError(f"{text} has too many values", f"at most {MOST_VALUES:,}: a larger step, or x2")
    return list(range(low, high + 1, step))


def _multiplied(text: str, low: int, high: int, factor: int) -> list[int]:
    if factor < 2 or low == 0:
        raise _WrongError(f"{text} never ends", "write a factor of 2 or more, from 1 or more: 1:64:x2")
    values = [low]
    while values[-1] * factor <= high:
        values.append(values[-1] * factor)
    return values


def _check(values: list[int], least: int) -> None:
    if len(values) > MOST_VALUES:
        raise _WrongError(f"has {len(values):,} values", f"write at most {MOST_VALUES:,}")
    for value in values:
        if value < least:
            raise _WrongError(f"{value} is less than {least}", f"begin with {least} or more")
    for before, after in itertools.pairwise(values):
        if after == before:
            raise _WrongError(f"{after} is given twice", "remove one of them")
        if after < before:
            rising = ",".join(map(str, sorted(set(values))[:20]))
            raise _WrongError(f"{after} comes after {before}", f"write them rising: {rising}")
