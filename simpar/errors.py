"""What can go wrong, and how it is said.

::

    SimparError                    everything that simpar raises on purpose
     ├─ InputError                 what a person wrote is wrong: exit status 2
     ├─ FitError                   nothing fits in memory: exit status 1
     ├─ ProgramError               a program breaks its own rules (``Program.check``)
     ├─ EngineError                a simulation could not go on: deadlock, overflowing time
     └─ ExecutionError             a real run could not: a process died, or there is no room for it

Every error carries ``problems``, a tuple of :class:`Problem`: all of them, not the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def one_line(text: str) -> str:
    """Return *text* with everything that would move the cursor or hide letters replaced by ``?``.

    >>> one_line("a\\nb")
    'a?b'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it stands, and one way out."""

    file: str
    """Name of the file as the user gave it; ``--set`` for an override on the command line; may be ''."""

    line: int
    """Line, from 1; 0 where there is none."""

    col: int
    """Column, from 1; 0 where there is none."""

    path: str
    """Path of the setting, ``network.bandwidth`` or ``strategies[2].algorithm``; may be ''."""

    message: str
    """What is wrong."""

    fix: str
    """What to write instead; may be ''."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        said = f"{self.message}; {self.fix}" if self.fix else self.message
        whole = ": ".join(part for part in (place, self.path, said) if part)
        return one_line(whole)

    def to_dict(self) -> dict[str, str | int]:
        """Return the problem as ``simpar check --json`` prints it."""
        return {
            "file": self.file,
            "line": self.line,
            "col": self.col,
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
        }


class SimparError(Exception):
    """Base of every error that simpar raises on purpose."""

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        if isinstance(problems, str):
            problems = (Problem("", 0, 0, "", problems, ""),)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(SimparError):
    """What a person wrote is wrong. The command line ends with exit status 2."""


class FitError(SimparError):
    """What was asked for does not fit in memory. The command line ends with exit status 1."""


class ProgramError(SimparError):
    """A program breaks its own rules; ``problems`` names the tasks."""


class EngineError(SimparError):
    """A simulation could not go on. The message names the tasks that were stuck."""


class ExecutionError(SimparError):
    """A real run could not go on; the message names the process, its last task and what happened."""

    def __init__(self, message: str, story: str = "") -> None:
        """Say *message*; *story* is the traceback of the process, if there is one."""
        super().__init__(message)
        self.story = story
