"""Results as small HTML tables, as notebooks show them; every text escaped.

Start with :func:`comparison`; :func:`table` is what all of them are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from simpar.units import spell

if TYPE_CHECKING:
    from simpar.result.rows import Row

MOST_ROWS = 50
"""Rows of a table, at most; the last line says how many more there are."""


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return an HTML table whose first column names its rows.

    Args:
        left: columns of text; the others hold figures, which no line break parts.
    """
    lines = [f"<table><caption>{escape(title)}</caption>", "<thead><tr>"]
    lines += [f'<th scope="col">{escape(one)}</th>' for one in header]
    lines.append("</tr></thead><tbody>")
    for row in rows[:MOST_ROWS]:
        first, *texts = (escape(cell) for cell in row)
        cells = [f'<th scope="row">{first}</th>', *(f"<td>{cell}</td>" for cell in texts[: left - 1])]
        cells += [f'<td style="white-space: nowrap">{cell}</td>' for cell in texts[left - 1 :]]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    if len(rows) > MOST_ROWS:
        lines.append(f'<tr><td colspan="{len(header)}">and {len(rows) - MOST_ROWS} more</td></tr>')
    return "\n".join([*lines, "</tbody></table>"])


def comparison(title: str, rows: Sequence[Row], unit: str) -> str:
    """Return the table of a comparison.

    Args:
        unit: what a sample is called in the plural.
    """
    varies = any(row.intervals for row in rows)
    header = ["strategy", "name", "step", f"{unit}/s", "speedup", "efficiency", "memory"]
    header[3:3] = ["p5 to p95"] if varies else []
    found = []
    for row in rows:
        figures = ["does not fit in memory", *[""] * 3]
        if row.step_s is not None:
            figures = [spell(row.step_s, "duration"), rate(row)]
            figures += ["" if row.speedup is None else f"{row.speedup:.2f}", efficiency(row)]
        if varies:
            steps = row.intervals.get("step_s") if row.intervals else None
            between = f"{spell(steps.p5, 'duration')} to {spell(steps.p95, 'duration')}" if steps else ""
            figures.insert(1, between)
        found.append([row.label, row.name, *figures, spell(row.memory_bytes, "size")])
    return table(title, header, found, left=2)


def rate(row: Row | None) -> str:
    """Return samples per second; a dash where there are none."""
    return "\u2013" if row is None or row.samples_per_s is None else f"{row.samples_per_s:.4g}"


def efficiency(row: Row) -> str:
    """Return the speedup divided by the workers, in per cent."""
    return "" if row.efficiency is None else f"{row.efficiency:.1%}"
