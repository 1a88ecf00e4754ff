"""Two results of the same question side by side: what changed, by how much, what is new and what is gone.

Results are those of ``simpar compare --json``, read back from files. Strategies are matched by name.
Start with :func:`changes`; :func:`read` reads a file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

from simpar.errors import InputError, Problem
from simpar.result.rows import SCHEMA, Comparison, Row

MOST_BYTES = 64 * 2**20
"""Size from which on a file is no result: that of hundreds of strategies on a thousand workers is smaller."""

CSV_HEADER = ("name", "before_step_s", "after_step_s", "change_frac")
"""Columns of a change as CSV."""

_MADE_BY = "name a file that 'simpar compare SCENARIO --json' printed"


@dataclass(frozen=True, slots=True)
class Change:
    """One strategy in both results, or in one of them."""

    name: str
    before: Row | None
    """None where it is new."""
    after: Row | None
    """None where it is gone."""

    @property
    def label(self) -> str:
        """What people read, as the later result has it."""
        row = self.after or self.before
        assert row is not None, "a change is of a row"
        return row.label

    @property
    def steps(self) -> tuple[float | None, float | None]:
        """Seconds of a step before and after; None where there is none."""
        return (
            self.before.step_s if self.before else None,
            self.after.step_s if self.after else None,
        )

    @property
    def change_frac(self) -> float | None:
        """By what share the step is longer (shorter, where it is negative); None without two steps."""
        before, after = self.steps
        return None if not before or after is None else after / before - 1

    @property
    def what(self) -> str:
        """``new`` or ``gone``; ``fits now`` or ``fits no more`` where memory decides it; else ''."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "gone"
        if self.before.fits == self.after.fits:
            return ""
        return "fits now" if self.after.fits else "fits no more"


@dataclass(frozen=True)
class Changes:
    """Two results, strategy by strategy: those of the later one in its order, then those that are gone."""

    before: Comparison
    after: Comparison
    names: tuple[str, str]
    """What people call the two: the names of their files."""

    @property
    def rows(self) -> tuple[Change, ...]:
        """Every strategy of either."""
        found = [Change(row.name, self.before.get(row.name), row) for row in self.after.rows]
        gone = [Change(row.name, row, None) for row in self.before.rows if row.name not in self.after]
        return (*found, *gone)

    @property
    def notes(self) -> list[str]:
        """What a reader should know before believing that the two can be compared."""
        said = []
        for what in ("scenario", "seed"):
            one, other = getattr(self.before, what), getattr(self.after, what)
            if one != other:
                said.append(f"the two have another {what}: {one} and {other}")
        for row in self.rows:
            if row.before and row.after and row.before.label != row.after.label:
                said.append(f"{row.name} was {row.before.label} and is {row.after.label}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar compare A.json B.json --json`` prints it."""
        return {
            "schema": SCHEMA,
            "before": self.names[0],
            "after": self.names[1],
            "strategies": [
                {
                    "name": row.name,
                    "label": row.label,
                    "before_step_s": row.steps[0],
                    "after_step_s": row.steps[1],
                    "change_frac": row.change_frac,
                    "what": row.what or None,
                }
                for row in self.rows
            ],
            "notes": self.notes,
        }

    def to_csv(self) -> str:
        """Return a line for each strategy as CSV."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows([row.name, *row.steps, row.change_frac] for row in self.rows)
        return out.getvalue()


def changes(before: str | os.PathLike[str], after: str | os.PathLike[str]) -> Changes:
    """Return what changed from the result in the file *before* to that in the file *after*.

    Raises:
        InputError: a file cannot be read or is no result; ``problems`` has those of both.
    """
    found: list[Comparison] = []
    problems: list[Problem] = []
    for path in (before, after):
        try:
            found.append(read(path))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Changes(found[0], found[1], (os.fspath(before), os.fspath(after)))


def read(path: str | os.PathLike[str]) -> Comparison:
    """Return the result in the file *path*.

    Raises:
        InputError: the file cannot be read, is not JSON, no result, or one of another version.
    """
    name = os.fspath(path)

    def wrong(message: str, fix: str = _MADE_BY, line: int = 0, col: int = 0) -> InputError:
        return InputError([Problem(name, line, col, "", message, fix)])

    try:
        mode = os.stat(name)
        if not stat.S_ISREG(mode.st_mode):
            raise wrong("is not an ordinary file")
        if mode.st_size > MOST_BYTES:
            raise wrong(f"is larger than {MOST_BYTES // 2**20} MiB, and so no result")
        with open(name, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        document = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_once_each
        )
    except OSError as error:
        raise wrong(error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise wrong("is not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise wrong(f"is not JSON: {error.msg}", _MADE_BY, error.lineno, error.colno) from None
    except RecursionError:
        raise wrong("is nested too deeply for a result") from None
    except ValueError as error:  # a constant, a key twice, digits by the thousand, or a name with a zero byte
        known = str(error) if isinstance(error, _RefusedError) else "is no result"
        raise wrong(known) from None
    try:
        return Comparison.from_dict(document)
    except InputError as error:
        raise InputError(
            [Problem(name, 0, 0, one.path, one.message, one.fix) for one in error.problems]
        ) from None


class _RefusedError(ValueError):
    """Something that JSON or Python takes, and no result has."""


def _refuse_constant(word: str) -> NoReturn:
    raise _RefusedError(f"is not JSON: {word} is no number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return *pairs* as a mapping; a key twice is refused, as one of its values would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise _RefusedError(f"has the key {twice[:60]!r} twice in one place")
    return found
