"""What ``simpar compare`` can be asked: for each question its table, its JSON and its files.

Nothing is drawn or spelt before it is asked for. Start with :class:`Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpar.cli.common import Progress
from simpar.errors import InputError, Problem
from simpar.scenario import Scenario

if TYPE_CHECKING:
    from simpar.study.machines import Machines
    from simpar.study.scale import Scaling


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


@dataclass(frozen=True)
class Picture:
    """What ``--figure``, ``--of`` and ``--by`` say is to be drawn."""

    figure: str = "bars"
    of: str | None = None
    by: str = "time"


@dataclass(frozen=True)
class Page:
    """What ``--html`` is to show, and how to make it again."""

    wanted: bool = False
    advise: bool = True
    options: tuple[str, ...] = ()
    """Words of the command line, besides settings, that change the page."""


def comparison(scenario: Scenario, page: Page, picture: Picture, progress: Progress) -> Answer:
    """Rank the strategies."""
    from simpar.study.compare import compare

    result = compare(scenario, advise=page.advise, progress=progress)

    def table() -> str:
        from simpar.show.table import comparison

        return comparison(result)

    def plot(format: str) -> bytes:
        from simpar.show.figures import draw, why_not

        _refuse(why_not(result, picture.figure, picture.of))
        return draw(result, picture.figure, format, of=picture.of, by=picture.by)

    def trace(compressed: bool) -> bytes:
        from simpar.show.timeline import comparison

        return comparison(result, compressed=compressed)

    def html() -> str:
        from simpar.show.report import html

        return html(result, scenario, options=page.options)

    fits = any(row.fits for row in result.rows)
    return Answer(fits, table, result.to_dict, result.to_csv, plot, trace, html)


def scaling(
    scenario: Scenario, axis: str, values: Sequence[int], page: Page, picture: Picture, progress: Progress
) -> Answer:
    """Compare at each number of workers; a page shows the scenario as it is written, too."""
    from simpar.study.compare import compare
    from simpar.study.scale import scale

    result = scale(scenario, axis, values, progress=progress)
    written = compare(scenario, advise=page.advise, progress=progress) if page.wanted else None

    def table() -> str:
        from simpar.show.table_points import scaling

        return scaling(result)

    def plot(format: str) -> bytes:
        if picture.figure == "cost":
            return _cost(result, format)
        from simpar.show.plot_scale import scaling

        return scaling(result, format)

    def html() -> str:
        from simpar.show.report import html

        assert written is not None, "a page was not wanted"
        return html(written, scenario, scaling=result, options=page.options)

    page_of = None if written is None else html
    return Answer(result.fastest is not None, table, result.to_dict, result.to_csv, plot, html=page_of)


def devices(scenario: Scenario, names: Sequence[str], picture: Picture, progress: Progress) -> Answer:
    """Compare on one device after another."""
    from simpar.study.machines import machines

    result = machines(scenario, names, progress=progress)

    def table() -> str:
        from simpar.show.table_points import machines

        return machines(result)

    def plot(format: str) -> bytes:
        if picture.figure == "cost":
            return _cost(result, format)
        from simpar.show.plot_machines import machines

        return machines(result, format)

    return Answer(result.fastest is not None, table, result.to_dict, result.to_csv, plot)


def two(before: str, after: str) -> Answer:
    """Say what changed between two results that were saved."""
    from simpar.result.changes import changes

    result = changes(before, after)

    def table() -> str:
        from simpar.show.table_two import two

        return two(result)

    def plot(format: str) -> bytes:
        from simpar.show.plot_two import two

        return two(result, format)

    return Answer(True, table, result.to_dict, result.to_csv, plot)


def _cost(result: Scaling | Machines, format: str) -> bytes:
    """Draw money against time at all points of a study."""
    from simpar.show.plot_cost import cost, dots

    _refuse("" if dots(result) else "nothing has a price")
    return cost(result, format)


def _refuse(why: str) -> None:
    """Raise *why* a figure cannot be drawn, if there is a reason."""
    if why:
        raise InputError([Problem("", 0, 0, "--figure", why, "draw another")])
