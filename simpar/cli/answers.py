"""What ``simpar compare`` can be asked: for each question its table, its JSON and its files.

Nothing is drawn or spelt before it is asked for. Start with :class:`Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.cli.common import Progress
from simpar.scenario import Scenario


@dataclass(frozen=True)
class Answer:
    """A study that is done."""

    fits: bool
    """Whether any strategy fits in memory, so that there is something to draw."""
    table: Callable[[], str]
    json: Callable[[], dict[str, Any]]
    csv: Callable[[], str]
    plot: Callable[[str], bytes]
    """Takes the format."""
    trace: Callable[[bool], bytes] | None = None
    """Takes whether it is compressed; None where there is no timeline."""
    html: Callable[[], str] | None = None
    """The page; None where there is none."""


def comparison(scenario: Scenario, advise: bool, by: str, progress: Progress) -> Answer:
    """Rank the strategies."""
    from simpar.study.compare import compare

    result = compare(scenario, advise=advise, progress=progress)

    def table() -> str:
        from simpar.show.table import comparison

        return comparison(result)

    def plot(format: str) -> bytes:
        from simpar.show.plot import comparison

        return comparison(result, format, by)

    def trace(compressed: bool) -> bytes:
        from simpar.show.timeline import comparison

        return comparison(result, compressed=compressed)

    def html() -> str:
        from simpar.show.report import html

        return html(result, scenario)

    fits = any(row.fits for row in result.rows)
    return Answer(fits, table, result.to_dict, result.to_csv, plot, trace, html)


def scaling(scenario: Scenario, axis: str, values: Sequence[int], progress: Progress) -> Answer:
    """Compare at each number of workers."""
    from simpar.study.scale import scale

    result = scale(scenario, axis, values, progress=progress)

    def table() -> str:
        from simpar.show.table_points import scaling

        return scaling(result)

    def plot(format: str) -> bytes:
        from simpar.show.plot_scale import scaling

        return scaling(result, format)

    return Answer(result.fastest is not None, table, result.to_dict, result.to_csv, plot)


def devices(scenario: Scenario, names: Sequence[str], progress: Progress) -> Answer:
    """Compare on one device after another."""
    from simpar.study.machines import machines

    result = machines(scenario, names, progress=progress)

    def table() -> str:
        from simpar.show.table_points import machines

        return machines(result)

    def plot(format: str) -> bytes:
        from simpar.show.plot_machines import machines

        return machines(result, format)

    return Answer(result.fastest is not None, table, result.to_dict, result.to_csv, plot)
