"""The result of a comparison: what every table, plot, report and trace file reads.

:class:`Comparison` is a mapping from a strategy's name to its :class:`Row`. ``to_dict`` gives the JSON
of ``simpar compare --json``: units in the key names, no NaN, the same bytes for the same file and seed.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from simpar.result.measure import BREAKDOWN, Measured, Use
from simpar.result.staleness import Staleness
from simpar.units import spell

SCHEMA = 1
"""Version of the JSON."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A setting that makes the step shorter; it has been simulated, not guessed."""

    path: str
    """As ``--set`` takes it: ``strategies[ps-sync].servers``."""
    value: Any
    step_s: float | None
    """The step with it; None where it was read back from JSON, which does not have it."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What holds a strategy back most."""

    resource: str
    """``ps0.in``, ``w3``."""
    cause: str
    """``compute``, ``network``, ``data``, ``latency``, ``queue``, ``server``, ``straggler`` or ``bubble``."""
    suggestion: Suggestion | None
    share: float = 0.0
    """Share of the step that the cause takes."""
    skipped: bool = False
    """Whether a setting that might help was not tried, because the trial would have been too large."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        tried = self.suggestion and {"path": self.suggestion.path, "value": self.suggestion.value}
        return {"resource": self.resource, "cause": self.cause, "try": tried}


INTERVALS = ("step_s", "samples_per_s", "speedup", "efficiency", "staleness_mean")
"""Figures that vary between runs with other draws, as :attr:`Row.intervals` names them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure lies in nine of ten runs that differ only in what was drawn at random."""

    p5: float
    """5th percentile."""
    p50: float
    """The median; of an even number of runs that of the run that is shown, whose step is the shorter one."""
    p95: float
    """95th percentile."""

    def to_dict(self) -> dict[str, float]:
        """Return it as JSON has it."""
        return {"p5": self.p5, "p50": self.p50, "p95": self.p95}


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy. What does not fit in memory has no figures: they are None."""

    name: str
    kind: str
    label: str
    """What people read: ``ps-sync, 2 servers``."""
    rank: int
    """From 1, by samples per second; what does not fit comes last."""
    fits: bool
    workers: int
    memory_bytes: float
    """Of the device that needs most."""
    memory_limit_bytes: float | None
    step_s: float | None = None
    samples_per_s: float | None = None
    speedup: float | None = None
    """Samples per second over those of one fastest device alone, without communication."""
    breakdown: dict[str, float] | None = None
    """Seconds of a step by cause; they sum to ``step_s``."""
    bottleneck: Bottleneck | None = None
    staleness: Staleness | None = None
    resources: Sequence[Use] = ()
    usd_per_hour: float | None = None
    """Of all its workers and servers together; None where a price is missing."""
    epoch_s: float | None = None
    """Seconds of going once through all records; None where the scenario does not say how many there are."""
    usd_per_epoch: float | None = None
    """None, too, where the scenario does not say how many records an epoch has."""
    intervals: Mapping[str, Interval] | None = None
    """By the name of a figure, one of :data:`INTERVALS`, in its unit; None where it ran only once."""
    engine: str = ""
    """Who simulated it; empty where nobody did."""
    engine_why: str = ""
    """Why that engine, in few words."""
    notes: tuple[str, ...] = ()
    """What a reader should know before believing the figures."""
    memory: Mapping[str, float] = field(default_factory=dict)
    """What ``memory_bytes`` is the sum of, by use: ``parameters_bytes`` and so on."""
    measured: Measured | None = field(default=None, repr=False, compare=False)
    """The trace and what was read off it."""

    @property
    def samples_per_s_per_worker(self) -> float | None:
        """Samples per second of each worker."""
        return None if self.samples_per_s is None else self.samples_per_s / self.workers

    @property
    def efficiency(self) -> float | None:
        """Speedup per worker."""
        return None if self.speedup is None else self.speedup / self.workers

    @property
    def usd_per_step(self) -> float | None:
        """USD of one step."""
        if self.usd_per_hour is None or self.step_s is None:
            return None
        return self.usd_per_hour * self.step_s / 3600

    @property
    def usd_per_million_samples(self) -> float | None:
        """USD of a million samples."""
        if self.usd_per_hour is None or not self.samples_per_s:
            return None
        return self.usd_per_hour / 3600 / self.samples_per_s * 1e6

    @property
    def waiting_s(self) -> float | None:
        """Seconds of a step in which no typical device computes."""
        if self.step_s is None or self.breakdown is None:
            return None
        return sum(self.breakdown[part] for part in BREAKDOWN if part != "compute_s")

    @classmethod
    def from_dict(cls, data: object) -> Row:
        """Return the row that :meth:`to_dict` gave *data* of; what JSON does not have is missing.

        Raises:
            InputError: *data* is something else.
        """
        from simpar.result import saved

        return saved.row(data)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as ``--json`` prints it."""
        staleness = self.staleness and {
            "mean": self.staleness.mean,
            "max": self.staleness.max,
            "histogram": {str(stale): count for stale, count in self.staleness.histogram.items()},
        }
        return {
            "name": self.name,
            "kind": self.kind,
            "label": self.label,
            "rank": self.rank,
            "fits": self.fits,
            "workers": self.workers,
            "step_s": self.step_s,
            "samples_per_s": self.samples_per_s,
            "samples_per_s_per_worker": self.samples_per_s_per_worker,
            "speedup": self.speedup,
            "efficiency": self.efficiency,
            "breakdown": dict.fromkeys(BREAKDOWN) if self.breakdown is None else dict(self.breakdown),
            "bottleneck": {"resource": None, "cause": "memory", "try": None}
            if self.bottleneck is None
            else self.bottleneck.to_dict(),
            "staleness": staleness,
            "resources": [
                {"name": use.name, "busy_frac": use.busy_frac, "bytes": use.bytes} for use in self.resources
            ],
            "memory_bytes": self.memory_bytes,
            "memory": dict(self.memory),
            "epoch_s": self.epoch_s,
            "usd_per_hour": self.usd_per_hour,
            "usd_per_epoch": self.usd_per_epoch,
            "usd_per_step": self.usd_per_step,
            "usd_per_million_samples": self.usd_per_million_samples,
            "intervals": self.intervals and {name: one.to_dict() for name, one in self.intervals.items()},
            "notes": list(self.notes),
        }


_FIGURES = ("step_s", "samples_per_s", "samples_per_s_per_worker", "speedup", "efficiency")
_MONEY = ("usd_per_hour", "usd_per_epoch", "usd_per_million_samples")
_PERCENTILES = ("p5", "p50", "p95")

CSV_HEADER = (
    *("rank", "name", "kind", "label", "fits", "workers"),
    *_FIGURES,
    *BREAKDOWN,
    *("staleness_mean", "memory_bytes", "epoch_s"),
    *_MONEY,
    *(f"step_s_{one}" for one in _PERCENTILES),
)
"""Columns of a row as CSV, with units in their names."""


def csv_cells(row: Row) -> list[Any]:
    """Return *row* in the columns of :data:`CSV_HEADER`; None is an empty cell."""
    parts = row.breakdown or {}
    steps = row.intervals.get("step_s") if row.intervals else None
    return [
        *(row.rank, row.name, row.kind, row.label, row.fits, row.workers),
        *(getattr(row, figure) for figure in _FIGURES),
        *(parts.get(part) for part in BREAKDOWN),
        row.staleness.mean if row.staleness else None,
        row.memory_bytes,
        row.epoch_s,
        *(getattr(row, figure) for figure in _MONEY),
        *(getattr(steps, one, None) for one in _PERCENTILES),
    ]


def write_csv(path: str | os.PathLike[str], text: str) -> None:
    """Write *text* to *path*: all of it or nothing.

    Raises:
        OSError: it cannot be written; it names *path*.
    """
    part = Path(f"{os.fspath(path)}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None  # nobody knows the part
    finally:
        part.unlink(missing_ok=True)


def in_notebook(title: str, rows: Sequence[Row], unit: str) -> str:
    """Return *rows* as an HTML table, every text escaped.

    Args:
        unit: what a sample is called in the plural.
    """
    varies = any(row.intervals for row in rows)
    header = ["strategy", "name", "step", f"{unit}/s", "speedup", "efficiency", "memory"]
    header[3:3] = ["p5 to p95"] if varies else []
    lines = [f"<table><caption>{escape(title)}</caption>", "<thead><tr>"]
    lines += [f'<th scope="col">{escape(one)}</th>' for one in header]
    lines.append("</tr></thead><tbody>")
    for row in rows:
        figures = ["does not fit in memory", *[""] * 3]
        steps = row.intervals.get("step_s") if row.intervals else None
        if row.step_s is not None and row.samples_per_s is not None:
            figures = [spell(row.step_s, "duration"), f"{row.samples_per_s:.4g}"]
            figures += ["" if row.speedup is None else f"{row.speedup:.2f}"]
            figures += ["" if row.efficiency is None else f"{row.efficiency:.1%}"]
        if varies:
            between = f"{spell(steps.p5, 'duration')} to {spell(steps.p95, 'duration')}" if steps else ""
            figures.insert(1, between)
        cells = [*figures, spell(row.memory_bytes, "size")]
        shown = "".join(f'<td style="white-space: nowrap">{escape(cell)}</td>' for cell in cells)
        names = f'<th scope="row">{escape(row.label)}</th><td>{escape(row.name)}</td>'
        lines.append(f"<tr>{names}{shown}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


class Comparison(Mapping[str, Row]):
    """The strategies of one scenario, ranked by samples per second."""

    def __init__(
        self,
        scenario: str,
        seed: int,
        engine: str,
        rows: list[Row],
        facts: Mapping[str, Any],
        notes: list[str],
        engine_why: str = "",
    ) -> None:
        """Take the rows in their order of rank.

        Args:
            facts: what the header of a table says: model, batch, machines, network, steps.
            notes: what concerns the scenario as a whole.
            engine_why: why *engine* ran; empty where nobody knows.
        """
        self.scenario, self.seed, self.engine, self.engine_why = scenario, seed, engine, engine_why
        self.rows, self.facts, self.notes = tuple(rows), dict(facts), tuple(notes)
        self._by_name = {row.name: row for row in rows}

    def __getitem__(self, name: str) -> Row:
        """Return the row of the strategy called *name*."""
        try:
            return self._by_name[name]
        except KeyError:
            raise KeyError(f"no strategy {name!r}; there are: {', '.join(self._by_name)}") from None

    def __iter__(self) -> Iterator[str]:
        """Return the names in the order of rank."""
        return iter(self._by_name)

    def __len__(self) -> int:
        """Return the number of strategies."""
        return len(self._by_name)

    def __repr__(self) -> str:
        """Return one line a strategy."""
        lines = [
            f"  {row.rank}. {row.label}: "
            + (f"{row.step_s * 1e3:.4g} ms" if row.step_s is not None else "does not fit")
            for row in self.rows
        ]
        return "\n".join([f"<Comparison of {self.scenario!r}", *lines]) + ">"

    def _repr_html_(self) -> str:
        """Return a small table, as notebooks show it."""
        return in_notebook(self.scenario, self.rows, str(self.facts.get("unit", "samples")))

    @property
    def best(self) -> Row:
        """The fastest strategy that fits.

        Raises:
            LookupError: none fits.
        """
        for row in self.rows:
            if row.fits:
                return row
        raise LookupError(f"no strategy of {self.scenario!r} fits in memory")

    @classmethod
    def from_dict(cls, data: object) -> Comparison:
        """Return the comparison that :meth:`to_dict` gave *data* of; what JSON does not have is missing.

        So ``facts`` are empty, and no row has a trace (``measured``).

        Raises:
            InputError: *data* is something else, or of another version.
        """
        from simpar.result import saved

        return saved.comparison(data)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as ``simpar compare --json`` prints it."""
        why = {"engine_why": self.engine_why} if self.engine_why else {}
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "seed": self.seed,
            "engine": self.engine,
            **why,
            "strategies": [row.to_dict() for row in self.rows],
            "notes": list(self.notes),
        }

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the table as CSV with units in its header, and write it to *path* if one is given."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(csv_cells(row) for row in self.rows)
        if path is not None:
            write_csv(path, out.getvalue())
        return out.getvalue()
