"""More about one strategy than its critical path: causes, loads, what would help, and where verdicts turn.

:func:`look_further` is the way in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simpar.result import Use
from simpar.result.causes import Spent, spent_by_cause
from simpar.result.traffic import Traffic, account, as_heavy
from simpar.study.break_even import Batch, BreakEven, batch_for, break_even
from simpar.study.compare import Explanation, Progress
from simpar.study.sensitivity import Help, Servers, enough_servers, what_would_help

EFFICIENCY = 0.9
"""Efficiency for which a batch is looked for."""


@dataclass(frozen=True)
class More:
    """What :class:`~simpar.study.compare.Explanation` leaves open."""

    explanation: Explanation
    causes: list[Spent]
    """Of the explained step; they sum to it."""
    loads: list[Use]
    """What every link and every server did, in the order of the program."""
    fullest: str | None
    """The one in use for the greatest share of the time, the first of equals; None where none is."""
    server_parameters_bytes: list[float] | None
    """Bytes of the parameters that each server holds; None without servers."""
    traffic: Traffic
    """What all messages of a step carry."""
    records_as_heavy: float | None
    """Batch from which records would be more to send than gradients; None where their size is not known."""
    helps: list[Help]
    """The most helpful first."""
    not_tried: list[str]
    """Settings that might help and were not tried."""
    servers: Servers | None
    servers_complete: bool
    """Whether all numbers of servers were tried that might be needed."""
    break_even: BreakEven | None
    why_no_break_even: str
    batch: Batch

    @property
    def epoch(self) -> Traffic | None:
        """The traffic of an epoch, None where the scenario does not say how many records there are."""
        records = self.explanation.setting.scenario.data.records
        return None if records is None else self.traffic.per_epoch(records)

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar explain --more --json`` prints it, the explanation included."""
        return self.explanation.to_dict() | {
            "causes": [
                {
                    "cause": one.cause,
                    "time_s": one.seconds,
                    "resources": [
                        {"name": name, "time_s": seconds} for name, seconds in one.resources.items()
                    ],
                }
                for one in self.causes
            ],
            "loads": [
                {"name": use.name, "kind": use.kind, "bytes": use.bytes, "busy_frac": use.busy_frac}
                for use in self.loads
            ],
            "fullest": self.fullest,
            "server_parameters_bytes": self.server_parameters_bytes,
            "traffic": self.traffic.to_dict(),
            "traffic_per_epoch": None if self.epoch is None else self.epoch.to_dict(),
            "batch_as_heavy_as_gradients": self.records_as_heavy,
            "what_would_help": [one.to_dict() for one in self.helps],
            "not_tried": self.not_tried,
            "enough_servers": self.servers and self.servers.to_dict(),
            "break_even": self.break_even and self.break_even.to_dict(),
            "why_no_break_even": self.why_no_break_even or None,
            "batch_for_90_percent": self.batch.batch,
            "why_no_batch": self.batch.why or None,
            "efficiency_rises_with_batch": self.batch.monotone,
        }


def look_further(found: Explanation, progress: Progress | None = None) -> More:
    """Return what the step of *found* is made of and how it depends on the machines.

    Everything beyond the step itself is simulated: the scenario with settings changed, and the draws
    of the run that is explained. A question that would take too much to simulate stays open, and says so.
    """
    setting, measured = found.setting, found.row.measured
    assert measured is not None, "what is explained was simulated"

    def report(said: str, number: int, count: int, done: int, total: int) -> None:
        if progress:
            progress(f"{setting.strategy.name}, {said}", number, count, done, total)

    loads = [use for use in measured.uses if use.kind != "device"]
    busiest = measured.busiest(names=[use.name for use in loads])
    held = measured.program.meta.get("server_loads_bytes")
    helps, not_tried = what_would_help(setting, measured, report)
    servers, complete = enough_servers(setting, measured, report)
    record_bytes = setting.scenario.data.record_bytes
    even, why = break_even(setting, measured, report)
    return More(
        explanation=found,
        causes=spent_by_cause(measured, found.window, found.path),
        loads=loads,
        fullest=busiest.name if busiest is not None and busiest.busy_frac > 0 else None,
        server_parameters_bytes=None if held is None else [float(one) for one in held],
        traffic=account(measured.program),
        records_as_heavy=as_heavy(setting.workload.parameter_bytes, record_bytes) if record_bytes else None,
        helps=helps,
        not_tried=not_tried,
        servers=servers,
        servers_complete=complete,
        break_even=even,
        why_no_break_even=why,
        batch=batch_for(setting, measured, EFFICIENCY, report),
    )
