"""The main job: every strategy of a scenario compiled, simulated, measured and ranked.

:func:`compare` is the way in; :func:`explain` looks at one step of one strategy.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simpar import units
from simpar.errors import EngineError, FitError, InputError, Problem
from simpar.program import Program
from simpar.result import Comparison, Interval, Measured, Row, Window, notebook
from simpar.result.labels import label
from simpar.result.rows import INTERVALS
from simpar.scenario import AnyScenario, Scenario, load
from simpar.simulate import simulate
from simpar.strategies import Setting, most_instances, nominal, prepare
from simpar.strategies.common import alone_seconds, fastest
from simpar.strategies.variation import expected_compute, is_random, replications, vary
from simpar.study import money, notes
from simpar.study.advice import bottleneck
from simpar.study.alike import Alike
from simpar.trace import Segment

MOST_DOUBLED = 3
"""Times that the steps of an asynchronous run are doubled where its draws leave nothing to measure."""

REPLICATED = 4
"""Times as many task instances as of one run that all replications together may have: no trace of theirs is
kept."""

Progress = Callable[[str, int, int, int, int], None]
"""Called with (strategy, its number from 1, strategies in all, instances done, instances in all)."""


def as_scenario(scenario: AnyScenario, set: Mapping[str, object] | None = None) -> Scenario:
    """Return *scenario*, loaded if it is a path or a mapping.

    Raises:
        InputError: the file is wrong, or *set* is given with a scenario that is loaded already.
    """
    if isinstance(scenario, Scenario):
        if set:
            raise InputError("give 'set' to simpar.load: this scenario is loaded already")
        return scenario
    return load(scenario, set=set or {})


def compile_all(scenario: Scenario) -> list[tuple[Setting, Program]]:
    """Compile every strategy, with nominal times.

    Raises:
        InputError: with the problems of all of them.
    """
    compiled: list[tuple[Setting, Program]] = []
    problems: list[Problem] = []
    instances, runs, most = 0, replications(scenario), most_instances(scenario)
    for strategy in scenario.strategies:
        try:
            setting = prepare(scenario, strategy)
            program = nominal(setting)
            compiled.append((setting, program))
            instances += len(program) * program.iterations
            if instances * runs > REPLICATED * most:
                said = f"up to here there are {instances:,} task instances in each of {runs:,} runs"
                allowed = f"at most {REPLICATED * most:,} in all"
                fix = f"{allowed}: fewer variation.replications, strategies or steps"
                problems.append(scenario.problem(f"strategies[{strategy.index}]", said, fix))
                break
            if instances > most:
                said = f"all strategies up to here have {instances:,} task instances"
                fix = f"at most {most:,} in one comparison: fewer strategies, steps or workers"
                problems.append(scenario.problem(f"strategies[{strategy.index}]", said, fix))
                break
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise InputError(problems)
    return compiled


def compare(
    scenario: AnyScenario,
    *,
    set: Mapping[str, object] | None = None,
    advise: bool = True,
    progress: Progress | None = None,
) -> Comparison:
    """Simulate every strategy of *scenario* and rank them by samples per second.

    Args:
        scenario: a scenario, the path of its file, or what that would say as a mapping.
        set: settings to change first, by path: ``{"network.bandwidth": "100 Gbit/s"}``.
        advise: look for a setting that would help each strategy, by simulating a few steps with it.

    Raises:
        InputError: the scenario is wrong; ``problems`` has every one with its place.
    """
    scenario = as_scenario(scenario, set)
    compiled = compile_all(scenario)
    rows = []
    for number, (setting, program) in enumerate(compiled, 1):

        def report(done: int, total: int, name: str = setting.strategy.name, number: int = number) -> None:
            if progress:
                progress(name, number, len(compiled), done, total)

        rows.append(_row(setting, program, advise, report))
    return _ranked(scenario, compiled, rows)


def compare_each(
    scenario: Scenario, progress: Progress | None = None, alike: Alike | None = None
) -> tuple[Comparison | None, dict[str, list[Problem]]]:
    """Compare as :func:`compare` does, but let no strategy that cannot be compiled stop the others.

    Returns the comparison of those that can, None where there is none, and the problems of the others by
    name. No advice is looked for, and no trace is kept, so that many comparisons fit in memory.

    Args:
        alike: what came out at other points, which is taken where it is the same, and kept.
    """
    compiled: list[tuple[Setting, Program]] = []
    rows: list[Row] = []
    refused: dict[str, list[Problem]] = {}
    for number, strategy in enumerate(scenario.strategies, 1):

        def report(done: int, total: int, name: str = strategy.name, number: int = number) -> None:
            if progress:
                progress(name, number, len(scenario.strategies), done, total)

        try:
            setting = prepare(scenario, strategy)
            found = alike.find(setting) if alike else None
            if found is None:
                program = nominal(setting)
                found = program, replace(_row(setting, program, False, report), measured=None)
                if alike:
                    alike.keep(setting, *found)
            compiled.append((setting, found[0]))
            rows.append(found[1])
        except InputError as error:
            refused[strategy.name] = list(error.problems)
    return (_ranked(scenario, compiled, rows) if rows else None), refused


def _ranked(scenario: Scenario, compiled: list[tuple[Setting, Program]], rows: list[Row]) -> Comparison:
    """Return *rows*, one a compiled strategy, in the order of their rank."""
    order = sorted(
        rows,
        key=lambda row: (not row.fits, -(row.samples_per_s or 0.0), [r.name for r in rows].index(row.name)),
    )
    ranked = [replace(row, rank=rank) for rank, row in enumerate(order, 1)]
    engines = {row.engine for row in ranked if row.engine} or {"none"}
    whys = {row.engine_why for row in ranked if row.engine_why}
    return Comparison(
        scenario.name,
        scenario.run.seed,
        " and ".join(sorted(engines)),
        ranked,
        _facts(compiled[0][0]),
        notes.of_scenario(scenario, compiled) + notes.of_engine(rows),
        " and ".join(sorted(whys)),
    )


def _row(setting: Setting, program: Program, advise: bool, progress: Callable[[int, int], None]) -> Row:
    """Simulate one strategy, if it fits, and read its figures."""
    meta, strategy, limit = program.meta, setting.strategy, setting.cluster.device.memory_bytes
    row = Row(
        name=strategy.name,
        kind=strategy.kind,
        label=label(meta, strategy.options.model_dump(exclude_unset=True)),
        rank=0,
        fits=limit is None or meta["memory_bytes"] <= limit,
        workers=meta["workers"],
        memory_bytes=float(meta["memory_bytes"]),
        memory_limit_bytes=limit,
        memory=meta["memory"],
    )
    if not row.fits:
        return replace(row, notes=tuple(notes.of_memory(setting, program)))
    best, batch = fastest(setting), setting.workload.batch
    alone_per_s = batch / expected_compute(setting, best, alone_seconds(setting, best, batch))
    measured, intervals = _runs(setting, program, alone_per_s, progress)
    records = setting.scenario.data.records
    per_hour = money.usd_per_hour(setting.scenario, meta)
    return replace(
        row,
        epoch_s=None if records is None else records / measured.samples_per_s,
        usd_per_hour=per_hour,
        usd_per_epoch=money.usd_per_epoch(setting.scenario, per_hour, measured.samples_per_s),
        step_s=measured.step_s,
        samples_per_s=measured.samples_per_s,
        speedup=measured.samples_per_s / alone_per_s,
        breakdown=measured.breakdown,
        bottleneck=bottleneck(setting, measured, advise, progress),
        staleness=measured.staleness,
        resources=tuple(measured.uses),
        intervals=intervals,
        engine=measured.trace.engine,
        engine_why=measured.trace.engine_why,
        notes=tuple(notes.of_strategy(setting, measured)),
        measured=measured,
    )


def _runs(
    setting: Setting, program: Program, alone_per_s: float, progress: Callable[[int, int], None]
) -> tuple[Measured, Mapping[str, Interval] | None]:
    """Simulate one strategy with the draws of each replication.

    Returns the figures of the run whose step is the median, of an even number the shorter of the two in the
    middle, and how those of all are spread. Where a
    worker is so unlucky that asynchronous training has no step to measure, all run longer.

    Raises:
        InputError: a run has no step to measure.
    """
    for _ in range(MOST_DOUBLED if is_random(setting.scenario) else 0):
        try:
            return _runs_of(setting, program, alone_per_s, progress)
        except EngineError:
            run = setting.scenario.run
            longer = run.model_copy(update={"steps": 2 * run.steps})
            setting = replace(setting, scenario=replace(setting.scenario, run=longer))
            program = nominal(setting)
    try:
        return _runs_of(setting, program, alone_per_s, progress)
    except EngineError as error:
        raise InputError([setting.scenario.problem("run.steps", str(error))]) from None


def _runs_of(
    setting: Setting, program: Program, alone_per_s: float, progress: Callable[[int, int], None]
) -> tuple[Measured, Mapping[str, Interval] | None]:
    """Simulate as :func:`_runs` does; raise EngineError where a run has no step to measure."""
    count, engine = replications(setting.scenario), setting.scenario.run.engine
    figures: dict[str, list[float]] = {name: [] for name in INTERVALS}

    def run(replication: int, turn: int) -> Measured:
        total = count + 1 if count > 1 else 1  # the median runs once more

        def report(done: int, whole: int) -> None:
            progress(turn * whole + done, total * whole)

        measured = Measured(simulate(vary(program, setting, replication), engine, report))
        measured.until_s  # noqa: B018  # whether there is a step to measure at all
        return measured

    if count == 1:
        return run(0, 0), None
    for replication in range(count):
        measured = run(replication, replication)
        speedup = measured.samples_per_s / alone_per_s
        figures["step_s"].append(measured.step_s)
        figures["samples_per_s"].append(measured.samples_per_s)
        figures["speedup"].append(speedup)
        figures["efficiency"].append(speedup / measured.workers)
        if measured.staleness is not None:
            figures["staleness_mean"].append(measured.staleness.mean)
    steps = figures["step_s"]
    median = sorted(range(count), key=lambda replication: (steps[replication], replication))[(count - 1) // 2]
    return run(median, count), {name: _interval(name, values) for name, values in figures.items() if values}


def _interval(name: str, values: Sequence[float]) -> Interval:
    """Return the percentiles of *values*, the figures called *name*, interpolated between neighbours.

    Of an even number the median is not interpolated: it is that of the run that is shown. The shorter of two
    steps is the higher of two rates.
    """
    p5, p95 = (float(np.percentile(values, percent)) for percent in (5, 95))
    is_rate = name in ("samples_per_s", "speedup", "efficiency")
    return Interval(p5, statistics.median_high(values) if is_rate else statistics.median_low(values), p95)


def _topology(scenario: Scenario) -> str:
    """Return how the links are joined, in few words; '' for a star."""
    if scenario.network is None:
        return ""
    topology = scenario.network.topology
    if topology.kind == "tree":
        if topology.uplink is not None:
            return f"racks of {topology.rack} with uplinks of {units.spell(topology.uplink, 'rate')}"
        return f"racks of {topology.rack} at {topology.oversubscription:g}:1"
    return {"ring": "in a ring", "links": "linked as listed"}.get(topology.kind, "")


def _facts(setting: Setting) -> dict[str, Any]:
    """Return what the head of a table says."""
    scenario, network = setting.scenario, setting.cluster.network
    return {
        "model": setting.workload.name,
        "unit": setting.workload.unit,
        "batch": setting.workload.batch,
        **({"shares": list(setting.shares)} if setting.shares else {}),
        "workers": setting.cluster.workers,
        "devices_per_node": setting.cluster.devices_per_node,
        "device": setting.cluster.device.name,
        "bytes_per_s": network.bytes_per_s if network else None,
        "latency_s": network.latency_s if network else None,
        "topology": _topology(scenario),
        "steps": scenario.run.steps,
        "warmup": scenario.run.warmup,
        "replications": replications(scenario),
        "seed": scenario.run.seed,
        "parameters": setting.workload.parameters,
        "parameter_bytes": setting.workload.parameter_bytes,
        "strategies": [strategy.name for strategy in scenario.strategies],
    }


@dataclass(frozen=True)
class Explanation:
    """One step of one strategy: the median one, along its critical path."""

    setting: Setting
    row: Row
    window: Window
    path: list[Segment]

    def __repr__(self) -> str:
        """Return what is explained, in one line."""
        return f"<Explanation of {self.row.name!r}: {self.window.label}, {self.step_s * 1e3:.4g} ms>"

    def _repr_html_(self) -> str:
        """Return the critical path as a small table, as notebooks show it."""
        path = self.to_dict()["critical_path"]
        rows = [
            [
                one["task"],
                one["resource"] or "",
                one["cause"],
                units.spell(one["end_s"] - one["start_s"], "duration"),
            ]
            for one in path
        ]
        title = f"{self.row.label}: {self.window.label}, {units.spell(self.step_s, 'duration')}"
        return notebook.table(title, ["critical path", "on", "cause", "time"], rows, left=3)

    @property
    def step_s(self) -> float:
        """Length of the window."""
        return self.window.end_s - self.window.start_s

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar explain --json`` prints it."""
        assert self.row.measured is not None
        program = self.row.measured.program
        return {
            "schema": 1,
            "scenario": self.setting.scenario.name,
            "strategy": self.row.name,
            "step_s": self.step_s,
            "critical_path": [
                {
                    "task": program.tasks[segment.task],
                    "resource": resource_name(program, segment.task),
                    "cause": segment.cause,
                    "start_s": segment.start_s,
                    "end_s": segment.end_s,
                }
                for segment in self.path
            ],
        }


def resource_name(program: Program, task: int) -> str | None:
    """Return the name of what *task* occupies, None for nothing."""
    index = int(program.resource[task])
    return program.resources[index].name if index >= 0 else None


def explain(
    scenario: AnyScenario,
    strategy: str,
    *,
    set: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Return the median step of one strategy, by name or number, and what its end waited for.

    Raises:
        InputError: the scenario is wrong or has no such strategy.
        FitError: the strategy does not fit in memory.
    """
    scenario = as_scenario(scenario, set)
    named = {one.name for one in scenario.strategies}
    by_number = strategy.isdecimal() and strategy not in named and int(strategy) < len(scenario.strategies)
    chosen = scenario.strategies[int(strategy)] if by_number else scenario.strategy(strategy)
    setting = prepare(scenario, chosen)
    program = nominal(setting)
    row = _row(setting, program, True, lambda done, of: progress and progress(chosen.name, 1, 1, done, of))
    if row.measured is None:
        raise FitError([scenario.problem(f"strategies[{chosen.index}]", row.notes[0])])
    window = row.measured.median_window
    path = row.measured.path(window)
    return Explanation(
        setting, replace(row, rank=1, notes=(*row.notes, *notes.of_engine([row]))), window, path
    )
