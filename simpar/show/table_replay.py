"""What strategies learned, as plain text for a terminal."""

from __future__ import annotations

from simpar.show import words
from simpar.show.table import columns
from simpar.study.replay import Learned, Learning


def learning(result: Learning, target: float) -> str:
    """Return a row a strategy and who learned best.

    Args:
        target: the accuracy whose time stands in the last column.
    """
    rows = result.rows
    classes = any(row.accuracy is not None for row in rows)
    named = len({row.kind for row in rows}) < len(rows)
    stale = any(row.staleness is not None for row in rows)
    header = ["strategy", *(["name"] if named else []), "updates", *(["staleness"] if stale else []), "time"]
    header += ["loss", *(["accuracy", f"{words.percent(target)} after"] if classes else [])]
    table = [header]
    for row in rows:
        age = "-" if row.staleness is None else f"{row.staleness.mean:.1f} updates"
        cells = [row.label, *([row.name] if named else []), words.grouped(row.updates)]
        cells += [*([age] if stale else []), words.duration(row.time_s), f"{row.loss:.3g}"]
        if classes:
            reached = row.reaches_s(target)
            cells.append("-" if row.accuracy is None else words.percent(row.accuracy))
            cells.append("-" if reached is None else words.duration(reached))
        table.append(cells)
    lines = columns(table, 2 if named else 1)
    rest = f"seed {result.seed}"
    first = head(result)
    room = max(0, max(map(len, lines)) - len(first) - 2)
    return "\n".join([f"{first}  {rest:>{room}}", "", *lines, "", *_findings(result, target)])


def head(result: Learning) -> str:
    """Return what was trained, on what and how long."""
    facts = result.facts
    many = facts["workers"] != 1
    on = f"each of {facts['workers']} workers" if many else "one worker"
    epochs = words.counted(facts["epochs"], "epoch")
    return (
        f"{facts['model']} on {facts['data']} ({words.grouped(facts['records'])} to train on, "
        f"{words.grouped(facts['test_records'])} to test), batch {facts['batch']} on {on}, "
        f"{facts['optimizer']} at {facts['learning_rate']:g}, {epochs}"
    )


def _findings(result: Learning, target: float) -> list[str]:
    """Return who learned best, and who got to *target* first."""
    known = [row for row in result.rows if row.accuracy is not None]
    if not known:
        best = min(result.rows, key=lambda row: row.loss)
        return [f"Least loss: {_called(result, best)}, {best.loss:.3g}."]
    best = max(known, key=lambda row: row.accuracy or 0.0)
    lines = [f"Most accurate: {_called(result, best)}, {words.percent(best.accuracy or 0.0)}."]
    there = [(at, row) for row in known if (at := row.reaches_s(target)) is not None]
    if there:
        at, first = min(there, key=lambda one: one[0])
        who = f"{_called(result, first)}, after {words.duration(at)}"
        lines.append(f"First to {words.percent(target)}: {who}.")
    else:
        lines.append(f"None gets to {words.percent(target)}.")
    return lines + _never(known, target)


def _called(result: Learning, row: Learned) -> str:
    """Return the label of a strategy, with its name where others have the same label."""
    alone = [other.label for other in result.rows].count(row.label) == 1
    return row.label if alone else f"{row.label} ({row.name})"


def _never(rows: list[Learned], target: float) -> list[str]:
    """Return which strategies did not get to *target*, where others did."""
    names = [row.name for row in rows if row.reaches_s(target) is None]
    if not names or len(names) == len(rows):
        return []
    return [f"Not to {words.percent(target)}: {', '.join(names)}."]
