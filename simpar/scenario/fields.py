"""Types of the settings: quantities with bounds, words from a list, names.

A type here does three jobs: it checks what was written, says what to write instead, and describes
itself for the JSON Schema. Quantities become SI floats (seconds, bytes, bytes per second, FLOP).

Start with :data:`Duration` and :class:`Strict`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from simpar import units
from simpar.scenario.words import did_you_mean
from simpar.units import shown

COMPLAINT = "simpar"
"""Type of the pydantic errors raised here; their context holds ``said`` and ``fix``."""


class Strict(BaseModel):
    """A section of a file: unknown keys, conversions, NaN and infinity are refused; never changes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        populate_by_name=False,
    )


def complaint(said: str, fix: str = "") -> PydanticCustomError:
    """Return the error that a validator raises: what is wrong and what to write."""
    return PydanticCustomError(COMPLAINT, "{said}", {"said": said, "fix": fix})


class Checked:
    """What a type says of a setting, as pydantic asks for it: :meth:`read` checks what was written."""

    __slots__ = ()

    def read(self, value: Any) -> Any:
        """Return *value* as it is held; raise what is wrong with it otherwise."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)


LEAST = 1e-12
"""Least quantity but zero, in SI units: a picosecond is the finest that anything here resolves."""


@dataclass(frozen=True, slots=True)
class Quantity(Checked):
    """A number with a unit of *kind*, between *low* and *high*; zero only where *zero* says so."""

    kind: units.Kind
    low: str
    high: str
    zero: bool = False

    def read(self, value: Any) -> float:
        """Return *value* in SI units; raise what is wrong with it otherwise."""
        try:
            number = units.parse(value, self.kind)
        except units.UnitError as error:
            raise complaint(error.message, error.fix) from None
        fix = f"write {units.NOUNS[self.kind]} from {self.low} to {self.high}"
        if number < 0:
            raise complaint(f"{shown(value)} is negative", fix)
        if number == 0 and not self.zero:
            raise complaint(f"{shown(value)} is zero, and may not be", fix)
        low, high = _bounds(self)
        if number != 0 and number < low:
            raise complaint(f"{shown(value)} is less than {self.low}", fix)
        if 0 < number < LEAST:
            raise complaint(f"{shown(value)} is next to nothing", "write 0, or a value that matters")
        if number > high:
            raise complaint(f"{shown(value)} is more than {self.high}", fix)
        return number

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        known = "|".join(re.escape(unit).replace(r"\/", "/") for unit in units.UNITS[self.kind])
        number = units.NUMBER.removeprefix("[-+]?")
        zero = r"|[-+]?(?:0+(?:\.0*)?|\.0+)(?:[eE][-+]?[0-9]+)?" if self.zero else ""
        bare = {"minimum": 0, "maximum": 0} if self.zero else {"exclusiveMinimum": 0, "maximum": 0}
        return {
            "type": ["string", "number"],
            "pattern": rf"^\s*(?:[-+]?{number}[ \t]*(?:{known}){zero})\s*$",
            "examples": [units.EXAMPLES[self.kind]],
            **bare,
        }


@functools.cache
def _bounds(quantity: Quantity) -> tuple[float, float]:
    """Return the bounds of *quantity* in SI units."""
    return units.parse(quantity.low, quantity.kind), units.parse(quantity.high, quantity.kind)


Duration = Annotated[float, Quantity("duration", "0 s", "1e9 s", zero=True)]
"""Seconds; may be zero."""

PositiveDuration = Annotated[float, Quantity("duration", "1e-12 s", "1e9 s")]
"""Seconds, more than zero."""

Size = Annotated[float, Quantity("size", "0 B", "1e21 B", zero=True)]
"""Bytes; may be zero."""

PositiveSize = Annotated[float, Quantity("size", "1 B", "1e21 B")]
"""Bytes, at least one."""

Rate = Annotated[float, Quantity("rate", "1 B/s", "1e18 B/s")]
"""Bytes per second."""

FlopRate = Annotated[float, Quantity("flop_rate", "1 FLOP/s", "1e24 FLOP/s")]
"""FLOP per second."""

Price = Annotated[float, Quantity("price", "0 USD/h", "1e6 USD/h", zero=True)]
"""USD per hour; may be zero."""

Flops = Annotated[float, Quantity("flops", "0 FLOP", "1e24 FLOP", zero=True)]
"""FLOP; may be zero."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the words of a ``Literal``.

    *later* are words that this version does not model yet, *spellings* other ways to write those it does,
    *senseless* words of other kinds that make no sense here, with why and what to write.
    """

    what: str
    later: tuple[str, ...] = ()
    spellings: tuple[tuple[str, str], ...] = ()
    senseless: tuple[tuple[str, str, str], ...] = ()

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        known: tuple[str, ...] = get_args(source)

        def read(value: Any) -> str:
            plain = dict(self.spellings).get(value, value) if isinstance(value, str) else value
            for word, why, fix in self.senseless:
                if plain == word:
                    raise complaint(f"{self.what} {shown(word)} makes no sense here: {why}", fix)
            return read_word(plain, self.what, known, self.later)

        return core_schema.no_info_plain_validator_function(read, metadata={"known": known})

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        metadata: Mapping[str, Any] = schema.get("metadata") or {}
        return {"type": "string", "enum": list(metadata["known"])}


def read_word(value: Any, what: str, known: tuple[str, ...], later: tuple[str, ...] = ()) -> str:
    """Return *value* where it is one of *known*; raise what to write otherwise."""
    if isinstance(value, str) and value in known:
        return value
    if isinstance(value, str) and value in later:
        one_of = f"write one of: {', '.join(known)}" if known else "remove it"
        raise complaint(f"{what} {shown(value)} is not modelled by this version", one_of)
    raise complaint(f"unknown {what} {shown(value)}", did_you_mean(value, known))


@dataclass(frozen=True, slots=True)
class Preset(Checked):
    """The name of one of the presets *names*."""

    names: tuple[str, ...]
    what: str

    def read(self, value: Any) -> str:
        """Return *value*; raise the nearest name and all the others otherwise."""
        if isinstance(value, str) and value in self.names:
            return value
        near = did_you_mean(value, self.names)
        others = " ('simpar presets' lists all)" if near.startswith("did") else ""
        raise complaint(f"unknown {self.what} preset {shown(value)}", near + others)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": list(self.names)}


@dataclass(frozen=True, slots=True)
class Whole(Checked):
    """A whole number from *low* to *high*."""

    low: int
    high: int

    def read(self, value: Any) -> int:
        """Return *value*; raise what is wrong with it otherwise."""
        fix = f"write a whole number from {self.low} to {self.high}"
        if isinstance(value, float) and value.is_integer() and abs(value) <= self.high:
            raise complaint(f"{shown(value)} is not a whole number", f"write {int(value)}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise complaint(f"{shown(value)} is not a whole number", fix)
        if value < self.low:
            said = "is zero, and may not be" if value == 0 else f"is less than {self.low}"
            raise complaint(f"{shown(value)} {said}", fix)
        if value > self.high:
            raise complaint(f"{shown(value)} is more than {self.high}", fix)
        return value

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Share(Checked):
    """A plain number above 0 and at least *low*, up to *high*."""

    high: float = 1.0
    low: float = 0.0

    def read(self, value: Any) -> float:
        """Return *value*; raise what is wrong with it otherwise."""
        fix = f"write a number {f'from {self.low:g}' if self.low else 'above 0,'} up to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise complaint(f"{shown(value)} is not a number", fix)
        if isinstance(value, float) and not math.isfinite(value):
            raise complaint(f"{shown(value)} is not a finite number", fix)
        if value <= 0:
            raise complaint(f"{shown(value)} is not above 0", fix)
        if value < self.low:
            raise complaint(f"{shown(value)} is less than {self.low:g}", fix)
        if value > self.high:
            raise complaint(f"{shown(value)} is more than {self.high:g}", fix)
        return float(value)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        low = {"minimum": self.low} if self.low else {"exclusiveMinimum": 0}
        return {"type": "number", **low, "maximum": self.high}


class AtLeastZero(Share):
    """A plain number from zero up to *high*."""

    def read(self, value: Any) -> float:
        """Return *value*; raise what is wrong with it otherwise."""
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
            return 0.0
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
            raise complaint(f"{shown(value)} is negative", f"write a number from 0 to {self.high:g}")
        if isinstance(value, float) and 0 < value < 1e-6:
            raise complaint(f"{shown(value)} is next to nothing", "write 0, or a value that matters")
        return Share.read(self, value)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "number", "minimum": 0, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Text(Checked):
    """Printable text of *low* to *high* characters, without any of *without*."""

    what: str
    high: int = 200
    low: int = 1
    without: str = ""

    def read(self, value: Any) -> str:
        """Return *value*; raise what is wrong with it otherwise."""
        fix = f"write {self.what} of {self.low} to {self.high} printable characters"
        if not isinstance(value, str):
            if isinstance(value, (bool, int, float)):
                fix = "put it in quotes"
            raise complaint(f"{shown(value)} is not text", fix)
        if not self.low <= len(value) <= self.high:
            raise complaint(f"{shown(value)} is {'too long' if value else 'empty'}", fix)
        if not value.isprintable():
            raise complaint(f"{shown(value)} has characters that do not print", fix)
        found = next((c for c in value if c in self.without), "")
        if found:
            raise complaint(f"{shown(value)} has a {found!r} in it", f"leave out {found!r}")
        if self.without and value.isdigit():
            raise complaint(f"{shown(value)} reads as an index", "add a letter to it")
        return value

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "minLength": self.low, "maxLength": self.high}


Name = Annotated[str, Text("a name")]
"""What a thing is called."""

StrategyName = Annotated[str, Text("a name", without="[]")]
"""What a strategy is called; stands in paths, so it has no brackets and is not a number."""

Count = Annotated[int, Whole(0, 10**15)]
"""A number of elements."""

Workers = Annotated[int, Whole(1, 100_000)]
"""A number of machines."""

Batch = Annotated[int, Whole(1, 10**9)]
"""A number of samples."""

Fraction = Annotated[float, Share(1.0, 1e-6)]
"""A share, from a millionth to 1."""

Speed = Annotated[float, Share(1e3, 1e-3)]
"""A speed relative to another."""
