"""What importers of text files share: a file read within a limit, and problems kept until all are found.

Start with :func:`read_text`; :class:`Problems` collects.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from simpar.errors import InputError, Problem, one_line

LARGEST_BYTES = 10_000_000
"""Largest file that is read."""

MOST_PROBLEMS = 100
"""Problems of one file that are listed; the rest is counted."""

_MOST_KEPT = 10_000
"""Problems that are kept to be sorted; hostile files have millions."""


class Problems:
    """What is wrong with one file."""

    def __init__(self, file: str) -> None:
        self._file = one_line(file)
        self._found: list[Problem] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, place: tuple[int, int], path: str, message: str, fix: str) -> None:
        """Keep a problem at line and column *place*; (0, 0) concerns the whole file."""
        if len(self._found) < _MOST_KEPT:
            self._found.append(Problem(self._file, *place, one_line(path), one_line(message), one_line(fix)))
        else:
            self._more += 1

    def option(self, name: str, message: str, fix: str) -> None:
        """Keep a problem with the option *name*, which stands in no file."""
        self._found.append(Problem("", 0, 0, name, one_line(message), fix))

    def stop(self, message: str, fix: str) -> NoReturn:
        """Raise everything kept, and a problem of the whole file."""
        self.add((0, 0), "", message, fix)
        self.raise_if_any()
        raise AssertionError("a problem was just added")

    def raise_if_any(self) -> None:
        """Raise what is kept, by line and column.

        Raises:
            InputError: there is at least one problem.
        """
        if not self._found:
            return
        found = sorted(self._found, key=lambda problem: (problem.line, problem.col))
        more = len(found) + self._more - MOST_PROBLEMS
        if more > 0:
            said = f"{more} more problems are not listed"
            found = [*found[:MOST_PROBLEMS], Problem(self._file, 0, 0, "", said, "mend these first")]
        raise InputError(found)


def read_text(path: str | os.PathLike[str], problems: Problems, what: str) -> str:
    """Return the text of the file at *path*, without a byte order mark.

    Args:
        what: what the file should be, as a fix says it: ``a CSV file``.

    Raises:
        InputError: the file cannot be read, is larger than 10 MB, is not UTF-8 text or is empty.
    """
    try:
        if not Path(path).is_file() and Path(path).exists():
            problems.stop("is not a file", f"name {what}")
        with open(path, "rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.stop(f"cannot be read: {reason}", f"name {what}")
    if len(raw) > LARGEST_BYTES:
        problems.stop(f"is larger than {LARGEST_BYTES // 10**6} MB", f"name {what}")
    if b"\0" in raw:
        problems.stop("is binary, not text", f"name {what} in UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.stop(f"is not UTF-8 text: byte {error.start}", "save it as UTF-8")
    if not text.strip():
        problems.stop("is empty", f"name {what}")
    return text
