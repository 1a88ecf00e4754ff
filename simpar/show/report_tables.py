"""The tables of a report, as columns and cells; what they look like is the template's.

Every cell is a text for people and, where it can be sorted by a number, that number in SI (money in USD).
Start with :class:`Table`; :func:`ranked` is the one that everything else explains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simpar.result import BREAKDOWN, Comparison, Interval, Row
from simpar.show import words
from simpar.show.plot import PARTS
from simpar.study.scale import Scaling
from simpar.units import spell

MOST_BINS = 16
"""Rows of the table of how stale gradients are."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place of a table."""

    text: str
    value: float | str | None = None
    """What a column is sorted by; None comes last."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    columns: tuple[str, ...]
    """Headers; those behind the first are of numbers."""
    rows: tuple[tuple[Cell, ...], ...]
    names: tuple[str, ...] = ()
    """What stands small below the first cell of each row: what ``--set`` and ``explain`` call it."""


NOTHING = Cell("\u2013")

Column = tuple[str, Callable[[Row], Cell]]


def _table(caption: str, rows: Sequence[Row], columns: Sequence[Column]) -> Table:
    """Return a table with a row for each of *rows*."""
    return Table(
        caption,
        ("strategy", *(title for title, _ in columns)),
        tuple((Cell(row.label, row.label), *(cell(row) for _, cell in columns)) for row in rows),
        tuple(row.name for row in rows),
    )


def _number(value: float | None, said: Callable[[float], str]) -> Cell:
    return NOTHING if value is None else Cell(said(value), value)


def _share(value: float) -> str:
    return words.percent(value)


def _waiting(row: Row) -> float | None:
    if row.breakdown is None:
        return None
    return sum(row.breakdown[part] for part in ("exposed_comm_s", "latency_s", "queue_s"))


def _step(row: Row) -> Cell:
    if row.step_s is None:
        return Cell("does not fit in memory")
    return Cell(words.duration(row.step_s), row.step_s)


def _between(interval: Interval | None, said: Callable[[float], str]) -> Cell:
    if interval is None:
        return NOTHING
    return Cell(f"{said(interval.p5)} to {said(interval.p95)}", interval.p50)


def ranked(result: Comparison, rows: Sequence[Row]) -> Table:
    """Return the strategies with their main figures, the fastest first."""
    unit = str(result.facts["unit"])
    columns: list[Column] = [
        ("rank", lambda row: Cell(str(row.rank), row.rank)),
        ("step", _step),
        (f"{unit}/s", lambda row: _number(row.samples_per_s, words.rate)),
        ("speedup", lambda row: _number(row.speedup, lambda value: f"{value:.2f}")),
        ("efficiency", lambda row: _number(row.efficiency, _share)),
        ("waiting on network", lambda row: _number(_waiting(row), words.duration)),
    ]
    if any(row.intervals for row in rows):
        columns.insert(
            2, ("p5 to p95", lambda row: _between((row.intervals or {}).get("step_s"), words.duration))
        )
    if any(row.staleness for row in rows):
        columns.append(("staleness", lambda row: _number(_stale(row), lambda mean: f"{mean:.1f} updates")))
    if any(row.usd_per_million_samples is not None for row in rows):
        columns.append((f"USD/million {unit}", lambda row: _number(row.usd_per_million_samples, words.usd)))
    return _table("Strategies, by samples per second", rows, columns)


def _stale(row: Row) -> float | None:
    return None if row.staleness is None else row.staleness.mean


def _stalest(row: Row) -> float | None:
    return None if row.staleness is None else row.staleness.max


def breakdown(rows: Sequence[Row]) -> Table:
    """Return what the average step of each strategy is spent on; parts that none has are left out."""
    fitting = [row for row in rows if row.breakdown is not None]
    listed = [part for part in BREAKDOWN if any((row.breakdown or {}).get(part) for row in fitting)]

    def column(part: str) -> Column:
        return PARTS[part][0], lambda row: _number((row.breakdown or {}).get(part), words.duration)

    return _table(
        "Time of an average step, by what it is spent on",
        fitting,
        [("step", _step), *(column(part) for part in listed)],
    )


def staleness(rows: Sequence[Row]) -> Table | None:
    """Return how old gradients are, None where no strategy lets them grow old."""
    stale = [row for row in rows if row.staleness is not None]
    if not stale:
        return None
    columns: list[Column] = [
        ("mean", lambda row: _number(_stale(row), lambda mean: f"{mean:.1f} updates")),
        (
            "most",
            lambda row: _number(_stalest(row), lambda most: f"{most:.0f} updates"),
        ),
        ("gradients by updates missed", _histogram),
    ]
    return _table("Updates by others that a gradient missed", stale, columns)


def _histogram(row: Row) -> Cell:
    """Return the histogram in words: ``0 to 3: 12.5 %, 4 to 7: 87.5 %``."""
    assert row.staleness is not None
    counts = row.staleness.histogram
    low, high, whole = min(counts), max(counts), sum(counts.values())
    wide = -(-(high - low + 1) // MOST_BINS)
    said = []
    for first in range(low, high + 1, wide):
        last = min(high, first + wide - 1)
        count = sum(number for stale, number in counts.items() if first <= stale <= last)
        if count:
            said.append(f"{first if first == last else f'{first} to {last}'}: {words.percent(count / whole)}")
    return Cell(", ".join(said), row.staleness.mean)


def memory(rows: Sequence[Row]) -> Table:
    """Return what the fullest device of each strategy holds."""

    def size(n_bytes: float) -> str:
        return spell(n_bytes, "size", digits=4)

    def part(name: str) -> Column:
        return name.removesuffix("_bytes"), lambda row: _number(row.memory.get(name), size)

    limited = any(row.memory_limit_bytes is not None for row in rows)
    used = dict.fromkeys(name for row in rows for name, n_bytes in row.memory.items() if n_bytes)
    columns: list[Column] = [("needs", lambda row: _number(row.memory_bytes, size))]
    if limited:
        columns += [
            ("device has", lambda row: _number(row.memory_limit_bytes, size)),
            ("fits", lambda row: Cell("yes", 1) if row.fits else Cell("no", 0)),
        ]
    return _table("Memory of the device that needs most", rows, columns + [part(name) for name in used])


def money(result: Comparison, rows: Sequence[Row]) -> Table | None:
    """Return what training costs, None where nothing has a price."""
    priced = [row for row in rows if row.usd_per_hour is not None]
    if not priced:
        return None
    columns: list[Column] = [
        ("USD/h", lambda row: _number(row.usd_per_hour, words.usd)),
        ("USD/step", lambda row: _number(row.usd_per_step, words.usd)),
        (
            f"USD/million {result.facts['unit']}",
            lambda row: _number(row.usd_per_million_samples, words.usd),
        ),
    ]
    if any(row.usd_per_epoch is not None for row in priced):
        columns.append(("USD/epoch", lambda row: _number(row.usd_per_epoch, words.usd)))
    return _table("Cost of workers and servers together", priced, columns)


def spread(result: Comparison, rows: Sequence[Row]) -> Table | None:
    """Return between what the figures lie in nine of ten runs, None where each ran once."""
    varying = [row for row in rows if row.intervals]
    if not varying:
        return None
    said: dict[str, tuple[str, Callable[[float], str]]] = {
        "step_s": ("step", words.duration),
        "samples_per_s": (f"{result.facts['unit']}/s", words.rate),
        "speedup": ("speedup", lambda value: f"{value:.2f}"),
        "efficiency": ("efficiency", _share),
        "staleness_mean": ("mean staleness", lambda value: f"{value:.1f}"),
    }

    def column(figure: str) -> Column:
        title, spelt = said[figure]
        return title, lambda row: _between((row.intervals or {}).get(figure), spelt)

    listed = [figure for figure in said if any(figure in (row.intervals or {}) for row in varying)]
    runs = result.facts.get("replications", 1)
    return _table(
        f"5th to 95th percentile of {runs} runs with other draws", varying, [column(one) for one in listed]
    )


def scaling(result: Scaling) -> Table:
    """Return the speedup of each strategy at each number of workers, and where it stops paying."""
    stops = result.stops_paying
    rows = []
    for name, label in result.labels.items():
        there = dict(result.curve(name))
        found = [there[value].speedup if value in there else None for value in result.values]
        cells = [_number(speedup, lambda value: f"{value:.2f}") for speedup in found]
        at = stops[name]
        if at is not None:
            paying = Cell(f"at {words.counted(result.workers(at), 'worker')}", result.workers(at))
        else:
            paying = Cell("still pays") if there else NOTHING
        rows.append((Cell(label, label), *cells, paying))
    counts = [words.counted(result.workers(value), "worker") for value in result.values]
    columns = ("strategy", *counts, "stops paying")
    caption = "Speedup over one device alone, by number of workers"
    return Table(caption, columns, tuple(rows), tuple(result.labels))
