"""The figures of a comparison, by name: what ``simpar compare --plot FILE --figure NAME`` draws.

Nothing is imported before it is drawn. Start with :func:`draw`; :func:`why_not` says first what it lacks.
"""

from __future__ import annotations

from simpar.result import Comparison

FIGURES = {
    "bars": "every strategy's step and what it is made of",
    "gantt": "one step as a timeline: what each device, server and link does",
    "use": "how busy each device, server and link is",
    "staleness": "how many updates the gradients of asynchronous strategies miss",
    "cost": "money against time, with what nothing else beats in both",
}
"""Names, and what each shows."""

OF_ONE = ("gantt", "use")
"""Those that show one strategy."""


def why_not(result: Comparison, figure: str, of: str | None = None) -> str:
    """Return why *figure* cannot be drawn of *result*, whose strategies fit at least in part; else ''."""
    if figure in OF_ONE and of is not None and not result[of].fits:
        return f"{of} does not fit in memory, so that there is nothing to draw"
    if figure == "staleness" and all(row.staleness is None for row in result.rows):
        return "no strategy trains asynchronously, so that no gradient is stale"
    if figure == "cost" and all(row.usd_per_hour is None for row in result.rows if row.fits):
        return "nothing has a price"
    return ""


def draw(
    result: Comparison, figure: str = "bars", format: str = "svg", *, of: str | None = None, by: str = "time"
) -> bytes:
    """Return one figure of *result*.

    Args:
        figure: one of :data:`FIGURES`.
        format: ``svg``, ``png`` or ``pdf``.
        of: the strategy that ``gantt`` and ``use`` show; by default the fastest.
        by: ``time`` or ``money``: what ``bars`` measure.

    Raises:
        KeyError: there is no strategy called *of*.
        ValueError: there is no such figure or format, or there is nothing to draw.
    """
    if figure == "bars":
        from simpar.show.plot import comparison

        return comparison(result, format, by)
    if figure == "gantt":
        from simpar.show.plot_gantt import gantt

        return gantt(result, of, format)
    if figure == "use":
        from simpar.show.plot_use import use

        return use(result, of, format)
    if figure == "staleness":
        from simpar.show.plot_staleness import staleness

        return staleness(result, format)
    if figure == "cost":
        from simpar.show.plot_cost import cost

        return cost(result, format)
    raise ValueError(f"figure is {figure!r}, not one of: {', '.join(FIGURES)}")
