"""What came of holding predictions against real runs: a case a strategy, with its phases and tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from simpar.trace import Trace


@dataclass(frozen=True, slots=True)
class Phase:
    """The seconds of one kind of task, of all that a worker or its servers do for it in a step."""

    name: str
    predicted_s: float
    measured_s: float


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """One task: the median of its instances after the warm-up."""

    task: str
    predicted_s: float
    measured_s: float


@dataclass(frozen=True, slots=True)
class Numerics:
    """How far what was learned is from the same arithmetic in one process."""

    max_abs_diff: float
    bitwise: bool
    ok: bool
    reference: str
    """``simulated order``, of synchronous training; ``measured order``, where the order decides."""


@dataclass(frozen=True)
class Case:
    """One strategy, predicted and measured."""

    strategy: str
    kind: str
    label: str
    devices: int
    pids: Mapping[str, int]
    repeats: int
    sleep_kernels: bool
    """Whether tasks that are through early wait until the program's time is up."""
    throttled_links: bool
    """Whether messages are held back for as long as the scenario's network would take."""
    predicted_s: float
    measured_s: float
    low_s: float
    high_s: float
    repeat_spread_frac: float
    bound: float
    phases: tuple[Phase, ...]
    tasks: tuple[TaskTimes, ...]
    numerics: Numerics
    staleness: tuple[float, float] | None
    """Predicted and measured mean; None of synchronous training."""
    bytes: tuple[float, float]
    """Predicted and measured, of all messages of a run."""
    measured_steps_s: tuple[float, ...]
    """The step of each run, in the order in which they ran."""
    predicted: Trace = field(repr=False, compare=False)
    measured: Trace = field(repr=False, compare=False)
    """Of the run whose step is the median."""
    notes: tuple[str, ...] = ()

    @property
    def error_frac(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_s / self.measured_s - 1.0

    @property
    def ok(self) -> bool:
        """Whether the error is within the bound, and what was learned is what should be."""
        return abs(self.error_frac) <= self.bound and self.numerics.ok

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar validate --json`` prints it."""
        numerics = asdict(self.numerics)
        return {
            "strategy": self.strategy,
            "kind": self.kind,
            "label": self.label,
            "devices": self.devices,
            "pids": dict(self.pids),
            "repeats": self.repeats,
            "sleep_kernels": self.sleep_kernels,
            "throttled_links": self.throttled_links,
            "predicted_s": self.predicted_s,
            "measured_s": self.measured_s,
            "low_s": self.low_s,
            "high_s": self.high_s,
            "repeat_spread_frac": self.repeat_spread_frac,
            "error_frac": self.error_frac,
            "ok": self.ok,
            "phases": [asdict(phase) for phase in self.phases],
            "tasks": [asdict(task) for task in self.tasks],
            "numerics": numerics | {"max_abs_diff": _finite(self.numerics.max_abs_diff)},
            "staleness": _two(self.staleness),
            "bytes": _two(self.bytes),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Validation:
    """The strategies of a scenario, predicted and measured."""

    scenario: str
    backend: str
    bound: float
    profile: str | None
    environment: Mapping[str, Any]
    cases: list[Case]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return the errors in one line."""
        errors = ", ".join(f"{case.strategy} {case.error_frac:+.1%}" for case in self.cases)
        return f"<Validation of {self.scenario!r}: {errors}>"

    @property
    def ok(self) -> bool:
        """Whether all cases are."""
        return all(case.ok for case in self.cases)

    def __getitem__(self, name: str) -> Case:
        """Return the case of the strategy called *name*.

        Raises:
            KeyError: there is none.
        """
        for case in self.cases:
            if case.strategy == name:
                return case
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar validate --json`` prints it."""
        return {
            "schema": 1,
            "scenario": self.scenario,
            "backend": self.backend,
            "bound_frac": self.bound,
            "ok": self.ok,
            "environment": dict(self.environment),
            "profile": self.profile,
            "notes": list(self.notes),
            "cases": [case.to_dict() for case in self.cases],
        }


def _two(pair: tuple[float, float] | None) -> dict[str, float] | None:
    return None if pair is None else {"predicted": pair[0], "measured": pair[1]}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
