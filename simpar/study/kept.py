"""What came out at one point, as bytes: what a store holds, read again without its bulk.

Most of a result is what every device and link did in each strategy, and most studies never ask. So that part
is packed strategy by strategy, and unpacked when it is looked at; a study of 10,000 points stays small.
The bytes are trusted to be as :func:`pack` made them: a store checks that before it gives them back.

    4 bytes, the length of the head; the head, JSON compressed by zlib; the same for the uses of each strategy

Start with :func:`pack`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from simpar.errors import InputError
from simpar.result import Comparison, Use
from simpar.result.saved import trusted

LEVEL = 1
"""Of zlib: a third larger than at its best, and several times as quick."""

_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out at one point."""

    comparison: Comparison | None
    """Of the strategies that could be simulated, with the facts of its head; None where none could."""
    refused: Mapping[str, str]
    """Why the others could not, by name."""
    problems: Sequence[Mapping[str, Any]]
    """All that is wrong, where there is no comparison."""
    broken: bool
    """Whether a fault of simpar itself is among the reasons."""


class PackedUses(Sequence[Use]):
    """What each device and link of a strategy did, unpacked whenever it is looked at."""

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def _all(self) -> list[Use]:
        names, busy, crossed = json.loads(zlib.decompress(self._packed))
        return [Use(name, "", *figures) for name, *figures in zip(names, busy, crossed, strict=True)]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all())

    def __iter__(self) -> Iterator[Use]:
        """Return them in order, all unpacked at once."""
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Use: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Use]: ...

    def __getitem__(self, index: int | slice) -> Use | Sequence[Use]:
        """Return one, or some."""
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        """Return whether *other* has the same uses."""
        return isinstance(other, (PackedUses, list, tuple)) and self._all() == list(other)

    __hash__ = None  # type: ignore[assignment]


def pack(result: Mapping[str, Any]) -> bytes:
    """Return the bytes of what :func:`simpar.study.runs.simulate_point` gives."""
    comparison: dict[str, Any] | None = result["comparison"]
    uses = []
    if comparison is not None:
        uses = [row["resources"] for row in comparison["strategies"]]
        rows = [{**row, "resources": None} for row in comparison["strategies"]]
        comparison = {**comparison, "strategies": rows}
    columns = [[[use[key] for use in each] for key in ("name", "busy_frac", "bytes")] for each in uses]
    parts = [_packed(part) for part in (dict(result, comparison=comparison), *columns)]
    return b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


def _packed(value: object) -> bytes:
    return zlib.compress(json.dumps(value, allow_nan=False, separators=(",", ":")).encode(), LEVEL)


def unpack(data: bytes) -> Outcome:
    """Return what *data*, of :func:`pack`, says.

    Raises:
        ValueError: it is something else.
    """
    try:
        head, *uses = _parts(data)
        result = json.loads(zlib.decompress(head))
        found = result["comparison"] and trusted(result["comparison"], [PackedUses(one) for one in uses])
        if found is not None:
            found.facts.update(result["facts"])
        return Outcome(found, dict(result["refused"]), list(result["problems"]), bool(result["broken"]))
    except (zlib.error, KeyError, TypeError, AttributeError, ValueError, InputError) as error:
        raise ValueError("is no result of a point") from error


def _parts(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        begin = at + _LENGTH
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data):
            raise ValueError("ends early")
        yield data[begin:at]
