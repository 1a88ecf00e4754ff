"""Refuse numbers that no formula means: negative bytes, a bandwidth of zero, half a rank.

Each function raises ``ValueError`` with the argument's name and what was given. Infinite and NaN are refused
everywhere, because they would travel silently into a step time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def not_negative(**values: float) -> None:
    """Refuse what is below zero, infinite or NaN.

    >>> not_negative(latency=-1.0)
    Traceback (most recent call last):
    ...
    ValueError: latency is -1.0; it must be zero or more, and finite
    """
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value!r}; it must be zero or more, and finite")


def positive(**values: float) -> None:
    """Refuse what is not above zero, infinite or NaN.

    >>> positive(bandwidth=0.0)
    Traceback (most recent call last):
    ...
    ValueError: bandwidth is 0.0; it must be above zero, and finite
    """
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}; it must be above zero, and finite")


def count(**values: int) -> None:
    """Refuse what is not a whole number of at least one.

    >>> count(ranks=0)
    Traceback (most recent call last):
    ...
    ValueError: ranks is 0; it must be a whole number, 1 or more
    """
    for name, value in values.items():
        if not (isinstance(value, int) or float(value).is_integer()) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number, 1 or more")


def share(**values: float) -> None:
    """Refuse what is not between 0 and 1, both included.

    >>> share(serial=1.5)
    Traceback (most recent call last):
    ...
    ValueError: serial is 1.5; it must be from 0 to 1
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}; it must be from 0 to 1")


def each_not_negative(name: str, values: Iterable[float]) -> list[float]:
    """Return *values* as a list; refuse an empty one and any value that is negative, infinite or NaN.

    >>> each_not_negative("loads", [1.0, -2.0])
    Traceback (most recent call last):
    ...
    ValueError: loads[1] is -2.0; it must be zero or more, and finite
    """
    listed = list(values)
    if not listed:
        raise ValueError(f"{name} is empty; it needs at least one value")
    for index, value in enumerate(listed):
        if not 0 <= value < math.inf:
            not_negative(**{f"{name}[{index}]": value})
    return listed
