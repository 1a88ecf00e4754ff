"""Quantities written with a unit, '25 Gbit/s' or '5 us', turned into SI floats and spelt back.

A spelling may be guessed at, in the error, but never a factor: a lone lower-case ``b`` (bits or
bytes?) and ``KB`` (1000 or 1024?) are refused, and the error offers both forms with the number
that was given. Decimal and binary prefixes are never mixed: ``GB`` is 10^9 bytes, ``GiB`` 2^30.

Held as: duration in seconds, size in bytes, rate in bytes per second, flops in FLOP, flop_rate in
FLOP per second; prices, which SI does not know, in USD per hour, and no other currency.
Start with :func:`parse`; :func:`spell` is its inverse.
"""

from __future__ import annotations

import difflib
import math
import re
from fractions import Fraction
from typing import Literal

Kind = Literal["duration", "size", "rate", "flop_rate", "flops", "price"]
"""What a quantity measures."""

_DECIMAL = {p: Fraction(10) ** (3 * i) for i, p in enumerate(("", "k", "M", "G", "T", "P", "E"))}
_BINARY = {p: Fraction(2) ** (10 * i) for i, p in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)}
_BYTES = {p: f for p, f in {**_DECIMAL, **_BINARY}.items() if p != "E"}

UNITS: dict[Kind, dict[str, Fraction]] = {
    "duration": {
        "ns": Fraction(1, 10**9),
        "us": Fraction(1, 10**6),
        "\u00b5s": Fraction(1, 10**6),  # micro sign
        "\u03bcs": Fraction(1, 10**6),  # Greek mu, what other keyboards give
        "ms": Fraction(1, 1000),
        "s": Fraction(1),
        "min": Fraction(60),
        "h": Fraction(3600),
    },
    "size": {f"{p}B": f for p, f in _BYTES.items()},
    "rate": {
        **{f"{p}bit/s": f / 8 for p, f in _BYTES.items()},
        **{f"{p}B/s": f for p, f in _BYTES.items()},
    },
    "flop_rate": {f"{p}FLOP/s": f for p, f in _DECIMAL.items()},
    "flops": {f"{p}FLOP": f for p, f in _DECIMAL.items()},
    "price": {"USD/h": Fraction(1)},
}
"""Accepted units of each kind with their exact factor to SI."""

EXAMPLES: dict[Kind, str] = {
    "duration": "5 us",
    "size": "80 GiB",
    "rate": "25 Gbit/s",
    "flop_rate": "312 TFLOP/s",
    "flops": "4.1 GFLOP",
    "price": "2.50 USD/h",
}
"""One right spelling of each kind, for errors and help."""

NOUNS: dict[Kind, str] = {
    "duration": "a duration",
    "size": "a size",
    "rate": "a rate",
    "flop_rate": "a FLOP rate",
    "flops": "a number of FLOPs",
    "price": "a price",
}
"""How each kind is called in a sentence."""

NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
"""Regular expression of the number before a unit."""

_QUANTITY = re.compile(rf"({NUMBER})[ \t]*([^\s0-9.](?:.*\S)?)?", re.DOTALL)
_LONE_B = re.compile(r"([kKmMgGtTpP][iI]?)?b(ps|/s|/sec)?")
_LONGEST = 100  # characters; nobody writes a longer quantity

_SPELT_OUT = {  # words that no spelling distance finds, and 'm', which two units answer to
    "m": ("ms", "min"),
    "sec": ("s",),
    "secs": ("s",),
    "second": ("s",),
    "seconds": ("s",),
    "usec": ("us",),
    "msec": ("ms",),
    "nsec": ("ns",),
    "nanoseconds": ("ns",),
    "microseconds": ("us",),
    "milliseconds": ("ms",),
    "minute": ("min",),
    "minutes": ("min",),
    "mins": ("min",),
    "hr": ("h",),
    "hrs": ("h",),
    "hour": ("h",),
    "hours": ("h",),
    "byte": ("B",),
    "bytes": ("B",),
    "usd/hr": ("USD/h",),
    "usd/hour": ("USD/h",),
}

_SPELL: dict[Kind, tuple[str, ...]] = {
    "duration": ("ns", "us", "ms", "s", "min", "h"),
    "size": ("B", "kB", "MB", "GB", "TB", "PB"),
    "rate": ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s"),
    "flop_rate": tuple(f"{p}FLOP/s" for p in _DECIMAL),
    "flops": tuple(f"{p}FLOP" for p in _DECIMAL),
    "price": ("USD/h",),
}


class UnitError(ValueError):
    """A quantity that cannot be read: ``message`` says what is wrong, ``fix`` what to write."""

    def __init__(self, message: str, fix: str) -> None:
        self.message = message
        self.fix = fix
        super().__init__(f"{message}; {fix}")


def shown(value: object, limit: int = 60) -> str:
    """Return *value* as an error may echo it: quoted, in one line, at most about *limit* characters.

    Control characters come out escaped. Mappings and lists are named, not printed.

    >>> shown("25 Gb")
    "'25 Gb'"
    >>> shown({"a": 1})
    'a mapping'
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str):
        said = repr(value[: limit + 1])
        return said if len(said) <= limit + 2 else said[: limit - 3] + "...'"
    try:
        said = repr(value)
    except ValueError:  # an integer of more digits than Python agrees to print
        return "a huge number"
    said = "".join(c if c.isprintable() else "?" for c in said[: limit + 1])
    return said if len(said) <= limit else said[: limit - 3] + "..."


def parse(text: str | int | float, kind: Kind) -> float:
    """Return the quantity *text* in SI units, correctly rounded; a bare 0 is 0 of every kind.

    Signs are read: bounds, and whether a quantity may be negative, are the caller's.

    Raises:
        UnitError: no number, no unit, a unit of another kind, an unknown or ambiguous unit, or a
            number that no finite float holds.

    >>> parse("25 Gbit/s", "rate")
    3125000000.0
    >>> parse("25 Gb", "rate")
    Traceback (most recent call last):
    simpar.units.UnitError: '25 Gb' is not a rate; write '25 Gbit/s' (bits) or '25 GB/s' (bytes)
    """
    example = f"write it like {EXAMPLES[kind]!r}"
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise UnitError(f"{shown(text)} is not {NOUNS[kind]}", example)
    if not isinstance(text, str):
        if text == 0:
            return 0.0
        if isinstance(text, float) and not math.isfinite(text):
            raise UnitError(f"{shown(text)} is not a finite number", example)
        raise _no_unit(shown(text), kind)
    stripped = text.strip(" \t\r\n")
    if not stripped:
        raise UnitError(f"{shown(text)} is empty", example)
    if len(stripped) > _LONGEST:
        raise UnitError(f"{shown(text)} is too long for {NOUNS[kind]}", example)
    match = _QUANTITY.fullmatch(stripped)
    if match is None:
        raise UnitError(f"{shown(text)} is not {NOUNS[kind]}", example)
    number, unit = match[1], match[2]
    rough = float(number)
    if unit is None:
        if rough == 0.0:
            return 0.0
        raise _no_unit(stripped, kind)
    factor = UNITS[kind].get(unit)
    if factor is None:
        raise _wrong_unit(stripped, number, unit, kind)
    if rough == 0.0 and not re.search("[1-9]", re.split("[eE]", number)[0]):
        return 0.0
    if math.isinf(rough):
        raise UnitError(f"{shown(text)} is too large a number", example)
    try:
        value = float(Fraction(number) * factor) if rough else 0.0
    except OverflowError:
        raise UnitError(f"{shown(text)} is too large a number", example) from None
    if value == 0.0:
        raise UnitError(f"{shown(text)} is too small a number", "write 0 where you mean zero")
    return value


def spell(value: float, kind: Kind, *, digits: int = 4) -> str:
    """Return *value* (SI) in a short form that :func:`parse` reads back, to *digits* significant digits.

    Rates are spelt in bits per second, sizes with decimal prefixes.

    Raises:
        ValueError: *value* is NaN or infinite, or *digits* is below 1.

    >>> spell(0.0654, "duration"), spell(3.125e9, "rate"), spell(102228128, "size")
    ('65.4 ms', '25 Gbit/s', '102.2 MB')
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} has no spelling")
    if digits < 1:
        raise ValueError(f"digits is {digits}, not at least 1")
    units = _SPELL[kind]
    if value == 0:
        return f"0 {'s' if kind == 'duration' else units[0]}"
    for here in units[:-1]:
        # Rounded first: 999.96 ms is '1 s', not '1000 ms'. Seconds and minutes last to 120 of them.
        if abs(float(f"{_in(value, here, kind):.{digits}g}")) < (120 if here in ("s", "min") else 1000):
            return f"{_plain(_in(value, here, kind), digits)} {here}"
    return f"{_plain(_in(value, units[-1], kind), digits)} {units[-1]}"


def _in(value: float, unit: str, kind: Kind) -> float:
    """Return *value* counted in *unit*."""
    return float(Fraction(value) / UNITS[kind][unit])


def _plain(number: float, digits: int) -> str:
    """Return *number* to *digits* significant digits, without an exponent where that stays short."""
    said = f"{number:.{digits}g}"
    if "e" in said and 1 <= abs(number) < 1e15:
        said = f"{float(said):.0f}"
    return said


def _no_unit(number: str, kind: Kind) -> UnitError:
    example = EXAMPLES[kind]
    same = example.split()[0] == number
    return UnitError(f"{shown(number)} has no unit", f"write {'' if same else 'it like '}{example!r}")


def _wrong_unit(text: str, number: str, unit: str, kind: Kind) -> UnitError:
    """Return the error for a *unit* that *kind* does not have."""
    example = f"write it like {EXAMPLES[kind]!r}"
    said = shown(text)
    lone_b = _LONE_B.fullmatch(unit)
    if lone_b:
        return _bits_or_bytes(said, number, lone_b[1] or "", lone_b[2] or "", kind)
    if re.match(r"[,_'][0-9]", unit):
        return UnitError(
            f"{said} is not {NOUNS[kind]}", f"write digits without separators, like {EXAMPLES[kind]!r}"
        )
    for other, units in UNITS.items():
        if unit in units:
            return UnitError(f"{said} is {NOUNS[other]}, not {NOUNS[kind]}", example)
    near = _near(unit, kind)
    if near:
        offer = " or ".join(repr(f"{number} {one}") for one in near)
        fix = f"did you mean {offer}?" if len(near) == 1 else f"write {offer}"
    else:
        fix = example
    return UnitError(f"{said} has an unknown unit {shown(unit)}", fix)


def _bits_or_bytes(said: str, number: str, prefix: str, per: str, kind: Kind) -> UnitError:
    """Return the error for a lone lower-case ``b``, offering bits and bytes where *kind* has them."""
    prefix = prefix[:1].upper() + prefix[1:].lower()
    if prefix == "K":
        prefix = "k"
    if kind == "rate":
        message = f"{said} may mean bits or bytes" if per else f"{said} is not a rate"
        return UnitError(message, f"write '{number} {prefix}bit/s' (bits) or '{number} {prefix}B/s' (bytes)")
    if kind == "size" and not per:
        eighth = float(number) / 8
        as_bytes = f"{eighth:.15g} {prefix}B" if math.isfinite(eighth) else EXAMPLES["size"]
        return UnitError(
            f"{said} may mean bits or bytes",
            f"write '{as_bytes}' (that many bits) or '{number} {prefix}B' (bytes)",
        )
    return UnitError(f"{said} is not {NOUNS[kind]}", f"write it like {EXAMPLES[kind]!r}")


def _near(unit: str, kind: Kind) -> tuple[str, ...]:
    """Return the units of *kind* that *unit* may be a misspelling of; more than one differ by a factor."""
    units = UNITS[kind]
    if unit[:1] == "K" and {"k" + unit[1:], "Ki" + unit[1:]} <= units.keys():
        return "k" + unit[1:], "Ki" + unit[1:]
    folded = unit.casefold()
    alike = tuple(one for one in units if one.casefold() == folded)
    if alike:
        return alike[:1]
    spelt = tuple(one for one in _SPELT_OUT.get(folded, ()) if one in units)
    if spelt:
        return spelt
    if kind == "price":  # 'USD/s' and 'AUD/h' are near in spelling only
        return ()
    tidy = folded.replace("ps", "/s") if kind in ("rate", "flop_rate") else folded
    by_fold = {one.casefold(): one for one in units}
    return tuple(by_fold[one] for one in difflib.get_close_matches(tidy, by_fold, 1, 0.7))
