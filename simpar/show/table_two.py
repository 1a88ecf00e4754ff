"""Two results side by side as plain text for a terminal.

Start with :func:`two`.
"""

from __future__ import annotations

from simpar.errors import one_line
from simpar.result.changes import Change, Changes
from simpar.show import words
from simpar.show.table import columns


def two(result: Changes) -> str:
    """Return the steps of both, the change, and what is new or gone."""
    rows = result.rows
    scale, unit = words.time_unit(max((step for row in rows for step in row.steps if step), default=0.0))
    named = any(row.label != row.name for row in rows)
    header = ["strategy", *(["name"] if named else []), "before", "after", "change"]
    table = [header]
    for row in rows:
        steps = [f"{words.grouped(step * scale, 1)} {unit}" if step else "-" for step in row.steps]
        table.append([row.label, *([row.name] if named else []), *steps, words.change(row)])
    lines = [
        f"{one_line(name)} ({when})" for name, when in zip(result.names, ("before", "after"), strict=True)
    ]
    lines += ["", *columns(table, left=2 if named else 1), "", _fastest(result)]
    notes = result.notes
    return "\n".join([*lines, *([""] if notes else []), *(f"note: {one_line(note)}" for note in notes)])


def _fastest(result: Changes) -> str:
    """Say which strategy is fastest now, and what was."""
    firsts = [next((row for row in one.rows if row.step_s), None) for one in (result.before, result.after)]
    before, after = firsts
    if before is None or after is None:
        return "Nothing fits in memory in one of the two."
    if before.name == after.name:
        said = words.change(Change(after.name, before, after))
        return f"Fastest: {after.label}, as before ({said})."
    return f"Fastest: {after.label}; before it was {before.label}."
