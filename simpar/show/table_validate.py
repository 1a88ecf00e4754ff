"""Predicted against measured, as plain text for a terminal."""

from __future__ import annotations

from simpar.show import words
from simpar.show.table import columns
from simpar.study.validation import Case, Validation


def validation(result: Validation, tasks: bool = False) -> str:
    """Return a row a strategy, what was learned, and how many are outside the bound.

    Args:
        tasks: whether every phase is shown below its strategy.
    """
    header = ["", "predicted", "measured", "95 % interval", "error", "runs differ", ""]
    table = [header]
    for case in result.cases:
        table.append(_row(case, result.bound))
        if tasks:
            table += [_phase(case, number) for number in range(len(case.phases))]
    first = f"{result.scenario}: run for real, {_where(result)}"
    said = [*result.notes, *(f"{case.strategy}: {note}" for case in result.cases for note in case.notes)]
    lines = [first, "", *columns(table, 1), "", *(_learned(case) for case in result.cases)]
    return "\n".join([*lines, *(f"note: {one}" for one in said), _verdict(result)])


def _where(result: Validation) -> str:
    found = result.environment
    return f"{result.backend} on {found['cpu']}, {words.counted(found['cores'], 'core')}"


def _row(case: Case, bound: float) -> list[str]:
    low, high = words.duration(case.low_s), words.duration(case.high_s)
    verdict = "ok"
    if abs(case.error_frac) > bound:
        verdict = f"outside {words.percent(bound)}"
    elif not case.ok:
        verdict = "learned something else"
    return [
        f"{case.label}" + (f" ({case.strategy})" if case.strategy != case.kind else ""),
        words.duration(case.predicted_s),
        words.duration(case.measured_s),
        f"{low} to {high}",
        f"{100 * case.error_frac:+.1f} %",
        f"{100 * case.repeat_spread_frac:.1f} %",
        verdict,
    ]


def _phase(case: Case, number: int) -> list[str]:
    phase = case.phases[number]
    off = f"{100 * (phase.predicted_s / phase.measured_s - 1):+.1f} %" if phase.measured_s > 0 else ""
    return [
        f"  {phase.name}",
        words.duration(phase.predicted_s),
        words.duration(phase.measured_s),
        "",
        off,
        "",
        "",
    ]


def _learned(case: Case) -> str:
    """Return one sentence of what a strategy's processes learned."""
    found = case.numerics
    in_what = "in the order that was measured" if found.reference == "measured order" else ""
    whom = " ".join(["one process", in_what]).strip()
    if found.bitwise:
        said = f"the same as {whom}, to the last bit"
    else:
        said = f"as {whom}, but for {found.max_abs_diff:.1e}"
    if case.staleness is not None:
        told, seen = case.staleness
        said += f"; stale by {seen:.2f} updates (predicted {told:.2f})"
    told, seen = case.bytes
    if told or seen:
        said += f"; {words.grouped(seen)} bytes sent (predicted {words.grouped(told)})"
    return f"{case.strategy} learned {said}."


def _verdict(result: Validation) -> str:
    wrong = [case for case in result.cases if not case.ok]
    count = words.counted(len(result.cases), "prediction")
    if not wrong:
        return f"{count} within the bound of {words.percent(result.bound)}."
    return f"{len(wrong)} of {count} outside the bound of {words.percent(result.bound)}."
