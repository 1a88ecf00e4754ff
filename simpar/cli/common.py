"""What the commands share: overrides, progress, and how problems are printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

from simpar.errors import ExecutionError, FitError, InputError, Problem, SimparError

SCENARIO = click.argument("scenario", metavar="SCENARIO", type=str)


def set_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--set KEY=VALUE`` to a command; its parameter is ``overrides``."""
    return click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_pairs,
        help="change one setting, e.g. --set network.bandwidth='10 Gbit/s' (repeatable)",
    )(command)


def _pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> list[tuple[str, str]]:
    pairs, problems = [], []
    for number, text in enumerate(given, 1):
        path, equals, value = text.partition("=")
        if not equals:
            shown = text if len(text) <= 60 and text.isprintable() else repr(text[:60])
            problems.append(Problem("--set", number, 1, shown, "has no value", "write KEY=VALUE"))
        pairs.append((path.strip(), value))
    if problems:
        raise InputError(problems)
    return pairs


def report(error: SimparError) -> int:
    """Print every problem on stderr, a line each; return 1 where a run died or memory lacks, else 2."""
    for problem in error.problems:
        click.echo(str(problem), err=True)
    if isinstance(error, ExecutionError):
        if error.story:
            click.echo(error.story, err=True)
        return 1
    if isinstance(error, FitError):
        return 1
    files = sorted({problem.file for problem in error.problems if problem.line})
    if files:
        count = len(error.problems)
        click.echo(f"{count} problem{'' if count == 1 else 's'} in {', '.join(files)}", err=True)
    return 2


class Progress:
    """One line on stderr that follows the work; silent where stderr is no terminal, or all is quick."""

    AFTER_S = 0.7
    EVERY_S = 0.1

    def __init__(self, doing: str = "simulating") -> None:
        self._doing = doing
        self._begun = self._last = time.monotonic()
        self._shown = False
        self._live = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, name: str, number: int, count: int, done: int, total: int) -> None:
        """Show where the run stands."""
        now = time.monotonic()
        if not self._live or now - self._begun < self.AFTER_S or now - self._last < self.EVERY_S:
            return
        self._last, self._shown = now, True
        text = f"{self._doing} {name} ({number} of {count}): {done / max(total, 1):.0%}"
        sys.stderr.write(f"\r\x1b[2K{text[:100]}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def not_the_input(given: str, path: str | None, option: str) -> Problem | None:
    """Return the problem of an output file that is the input itself."""
    from pathlib import Path

    if path is None:
        return None
    try:
        same = Path(path).samefile(given)
    except (OSError, ValueError):
        return None
    return Problem(option, 0, 0, "", f"{path} is the file that is read", "name another one") if same else None


def print_json(value: dict[str, Any]) -> None:
    """Print JSON alone on stdout: the same bytes for the same value, no NaN."""
    import json

    click.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def examples(*lines: str) -> str:
    """Return the epilog with examples that work as pasted."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
