"""Predictions held against real runs: the very program that was simulated is executed on this machine.

Each strategy is predicted first. Then its processes run it so often, after a run that nobody counts, and the
same figures are read from their traces. Where the scenario's machines are not these, a task takes as long as
the program says (it sleeps when its arithmetic is through), and a network takes as long as it would have
messages on their way; with a calibrated profile nothing is held back.

``error`` is predicted / measured - 1, the measured figure the median of the runs. Its interval holds the
true median with 95 % (order statistics). The *spread* is what two halves of the same runs, every second one,
differ by: no prediction can be held to less.

Start with :func:`validate`.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simpar.errors import EngineError, FitError, InputError, ProgramError
from simpar.execute.homes import Homes
from simpar.execute.numpy_backend import Crew, Executed, Job
from simpar.execute.replay import Replayed
from simpar.execute.replay import replay as perform
from simpar.program import Program
from simpar.result.labels import label
from simpar.result.measure import Measured
from simpar.scenario import AnyScenario, Scenario, Strategy
from simpar.simulate import simulate
from simpar.strategies import Setting, nominal, prepare
from simpar.strategies.variation import vary
from simpar.study.compare import as_scenario
from simpar.study.here import cores, environment, free_bytes
from simpar.study.training import Task, task_or_stand_in
from simpar.study.validation import Case, Numerics, Phase, TaskTimes, Validation
from simpar.trace import Trace

BACKENDS = ("numpy",)

PROCESS_BYTES = 60e6
"""What a process of Python with NumPy takes before it holds any parameters."""

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 5e-2}
"""By type, the largest difference of parameters that counts as none, as a share of the largest parameter."""

PHASES = {
    "load": "load",
    "forward": "forward",
    "backward": "backward",
    "update": "update",
    "push": "push",
    "pull": "pull",
    "merge": "merge",
    "hand": "merge",
    "add": "server",
    "apply": "server",
    "publish": "server",
    "predict": "server",
    "output": "output",
    "activation": "activations",
    "gradient": "activations",
}
"""By op, what its time counts as; of collectives ``all-reduce``. Others take none."""

ORDER = (
    *("load", "forward", "backward", "activations", "push", "server", "pull", "merge"),
    *("all-reduce", "output", "update"),
)
"""Of phases, as a step goes."""

Progress = Callable[[str, int, int, int, int], None]
"""Called with (strategy, its number from 1, strategies, runs done, runs in all)."""


def validate(
    scenario: AnyScenario,
    backend: str = "numpy",
    *,
    profile: str | None = None,
    bound: float | None = None,
    repeats: int | None = None,
    strategies: Sequence[str] | None = None,
    set: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Validation:
    """Predict the strategies of *scenario*, run each for real, and return how far off the predictions were.

    Args:
        scenario: a scenario, the path of a file, or a mapping with what a file would say.
        backend: ``numpy``, processes on this machine.
        profile: path of a calibrated profile to take in place of the scenario's machines.
        bound: largest error that passes, as a share; by default ``validate.bound``.
        repeats: measured runs of each strategy; by default ``validate.repeats``.
        strategies: names of those to run; by default all.
        set: settings to change first, by path.

    Raises:
        InputError: the scenario is wrong, or a strategy cannot be executed.
        FitError: this machine has too little memory for all the processes.
        ExecutionError: a process died.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
    changed = dict(set or {})
    if profile is not None:
        changed["cluster.profile"] = profile
    scenario = as_scenario(scenario, changed or None)
    chosen = [scenario.strategy(name) for name in strategies] if strategies else list(scenario.strategies)
    spec = scenario.validation
    limit, runs = spec.bound if bound is None else bound, spec.repeats if repeats is None else repeats
    scenario = replace(scenario, run=scenario.run.model_copy(update={"collectives": "messages"}))
    planned = [_plan(scenario, strategy) for strategy in chosen]
    cases = []
    for number, plan in enumerate(planned, 1):

        def report(done: int, name: str = plan.setting.strategy.name, number: int = number) -> None:
            if progress:
                progress(name, number, len(planned), done, runs + 1)

        with threadpool_limits(limits=1):
            cases.append(_case(plan, limit, runs, report))
    given = getattr(scenario.cluster, "profile", None)
    return Validation(
        scenario.name,
        backend,
        limit,
        None if given is None else str(given),
        environment(),
        cases,
        tuple(_notes(scenario, planned)),
    )


@dataclass(frozen=True)
class _Plan:
    """One strategy that is going to be executed."""

    setting: Setting
    program: Program
    homes: Homes
    task: Task
    predicted: Measured
    paced: bool
    throttled: bool


def _plan(scenario: Scenario, strategy: Strategy) -> _Plan:
    """Predict a strategy, and refuse it where it cannot be executed or does not fit."""
    setting = prepare(scenario, strategy)
    program = vary(nominal(setting), setting, 0).expanded()
    where = f"strategies[{strategy.index}]"
    try:
        homes = Homes(program)
        predicted = Measured(simulate(program, scenario.run.engine))
        predicted.until_s  # noqa: B018  # whether there is a step to measure at all
    except ProgramError as error:
        raise InputError([scenario.problem(where, str(error))]) from None
    except EngineError as error:
        raise InputError([scenario.problem("run.steps", str(error))]) from None
    profiled = getattr(scenario.cluster, "profile", None) is not None
    throttled = bool(program.links) and (not profiled or scenario.network is not None)
    plan = _Plan(setting, program, homes, task_or_stand_in(setting), predicted, not profiled, throttled)
    _check_memory(plan)
    return plan


def _check_memory(plan: _Plan) -> None:
    """Refuse what this machine has no room for, with the sum."""
    meta, homes = plan.program.meta, plan.homes
    servers = sum(meta.get("server_memory_bytes", ()))
    devices = len(homes.workers) * float(meta["memory_bytes"])
    base = PROCESS_BYTES * (len(homes) + plan.throttled)
    needed, free = devices + servers + base, free_bytes()
    if free is not None and needed > free:
        said = (
            f"{len(homes)} processes need {needed / 1e9:.1f} GB ({devices / 1e9:.1f} GB for devices, "
            f"{servers / 1e9:.1f} GB for servers, {base / 1e9:.1f} GB for themselves) and this machine has "
            f"{free / 1e9:.1f} GB free"
        )
        where = f"strategies[{plan.setting.strategy.index}]"
        raise FitError([plan.setting.scenario.problem(where, said, "fewer workers, or a smaller model")])


def _case(plan: _Plan, bound: float, repeats: int, report: Callable[[int], None]) -> Case:
    """Run a strategy, once for nothing and then *repeats* times, and read its figures."""
    task, strategy = plan.task, plan.setting.strategy
    members = task.members if plan.program.meta.get("own_parameters") else None
    job = Job(
        plan.program,
        task.model,
        task.parameters,
        task.source,
        task.optimizer,
        members,
        paced=plan.paced,
        throttled=plan.throttled,
    )
    runs: list[Executed] = []
    with Crew(job) as crew:
        crew.run()
        for done in range(repeats):
            report(done + 1)
            runs.append(crew.run())
    measured = [Measured(run.trace) for run in runs]
    steps = [one.step_s for one in measured]
    low, high = interval(steps)
    middle = steps.index(statistics.median_low(steps))
    predicted = plan.predicted
    stale = None
    if predicted.staleness is not None:
        means = [one.staleness.mean for one in measured if one.staleness is not None]
        stale = predicted.staleness.mean, statistics.median(means)
    return Case(
        strategy=strategy.name,
        kind=strategy.kind,
        label=label(plan.program.meta, strategy.options.model_dump(exclude_unset=True)),
        devices=len(plan.homes.workers),
        pids=runs[0].pids,
        repeats=repeats,
        sleep_kernels=plan.paced,
        throttled_links=plan.throttled,
        predicted_s=predicted.step_s,
        measured_s=statistics.median(steps),
        low_s=low,
        high_s=high,
        repeat_spread_frac=spread(steps),
        bound=bound,
        phases=_phases(predicted, measured),
        tasks=_tasks(predicted.trace, [run.trace for run in runs]),
        numerics=_numerics(plan, runs[middle]),
        staleness=stale,
        bytes=(_sent_bytes(plan.program), statistics.median(sum(run.sent_bytes.values()) for run in runs)),
        measured_steps_s=tuple(steps),
        predicted=predicted.trace,
        measured=runs[middle].trace,
        notes=tuple(_case_notes(plan)),
    )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the narrowest interval of *values* in order that holds the true median with 95 %.

    With fewer than six there is none, and it is all of them. Source: David and Nagaraja, Order Statistics,
    2003, section 7.1: the k-th and the k-th last hold it with 1 - 2 P(Bin(n, 1/2) < k).

    >>> interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (1.0, 6.0)
    """
    ordered, n = sorted(values), len(values)
    tail, best = 0.0, 1
    for k in range(1, n // 2 + 1):
        tail += math.comb(n, k - 1) / 2**n
        if 1 - 2 * tail < 0.95:
            break
        best = k
    return ordered[best - 1], ordered[n - best]


def spread(values: Sequence[float]) -> float:
    """Return what the medians of two halves of the runs, every second one, differ by, as a share."""
    if len(values) < 2:
        return 0.0
    a, b = statistics.median(values[::2]), statistics.median(values[1::2])
    return abs(a - b) / min(a, b)


def _sent_bytes(program: Program) -> float:
    """Return the bytes of all messages of a run between processes that are not the same one."""
    homes = Homes(program)
    sent = sum(
        float(program.bytes[first])
        for first in homes.first.values()
        if homes.begins[first] != homes.ends[first]
    )
    return sent * program.iterations


# -- phases and tasks ------------------------------------------------------------------------------


def _phase_of(program: Program) -> list[str]:
    """Return, by task, what its time counts as; '' where it takes none."""
    collective = ("reduce_scatter", "all_gather", "reduce", "broadcast", "exchange")
    return ["all-reduce" if op.kind in collective else PHASES.get(op.kind, "") for op in program.ops]


def _spent(measured: Measured) -> dict[str, float]:
    """Return the seconds of each phase in a step: of all its tasks, over the workers."""
    trace, program = measured.trace, measured.program
    phases = _phase_of(program)
    counted = trace.iteration >= measured.warmup
    seconds = np.bincount(trace.task[counted], (trace.end_s - trace.start_s)[counted], minlength=len(program))
    seen: set[int] = set()
    found: defaultdict[str, float] = defaultdict(float)
    for task, name in enumerate(phases):
        number = int(program.message[task])
        if not name or number in seen:
            continue  # of a message over several links one counts
        if number >= 0:
            seen.add(number)
        found[name] += float(seconds[task])
    steps = (program.iterations - measured.warmup) * measured.workers
    return {name: total / steps for name, total in found.items()}


def _phases(predicted: Measured, measured: Sequence[Measured]) -> tuple[Phase, ...]:
    told = _spent(predicted)
    seen = [_spent(one) for one in measured]
    return tuple(
        Phase(name, told[name], statistics.median(one.get(name, 0.0) for one in seen))
        for name in ORDER
        if told.get(name, 0.0) > 0 or any(one.get(name, 0.0) > 0 for one in seen)
    )


def _tasks(predicted: Trace, measured: Sequence[Trace]) -> tuple[TaskTimes, ...]:
    """Return the median time of every task that takes any."""
    told = _medians([predicted])
    seen = _medians(measured)
    phases, names = _phase_of(predicted.program), predicted.program.tasks
    return tuple(
        TaskTimes(names[task], told[task], seen[task])
        for task in sorted(told)
        if phases[task] and task in seen and (told[task] > 0 or seen[task] > 0)
    )


def _medians(traces: Sequence[Trace]) -> dict[int, float]:
    by_task: defaultdict[int, list[float]] = defaultdict(list)
    for trace in traces:
        warm = trace.iteration >= trace.program.meta["warmup"]
        lengths = (trace.end_s - trace.start_s)[warm]
        for task, seconds in zip(trace.task[warm].tolist(), lengths.tolist(), strict=True):
            by_task[task].append(seconds)
    return {task: statistics.median(values) for task, values in by_task.items()}


# -- what was learned ------------------------------------------------------------------------------


def _numerics(plan: _Plan, run: Executed) -> Numerics:
    """Hold what a run has learned against the same arithmetic in one process.

    Synchronous training comes to the same in whatever order; of asynchronous training the order that was
    measured decides, and is replayed.
    """
    task, program = plan.task, plan.program
    is_sync = program.meta["clock"] == "sync" and not program.joins
    trace = plan.predicted.trace if is_sync else run.trace
    members = task.members if program.meta.get("own_parameters") else None
    with np.errstate(all="ignore"):
        found = perform(trace, task.model, task.parameters, task.source, task.optimizer, members=members)
    pairs = _pairs(found, run)
    bitwise = all(np.array_equal(one, other) for one, other in pairs)
    largest = max((float(np.max(np.abs(one))) for one, _ in pairs if one.size), default=0.0)
    off = max((float(np.max(np.abs(one - other))) for one, other in pairs if one.size), default=0.0)
    allowed = TOLERANCE.get(plan.setting.workload.dtype, 1e-4) * max(1.0, largest)
    reference = "simulated order" if is_sync else "measured order"
    return Numerics(off, bitwise, bitwise or off <= allowed, reference)


def _pairs(found: Replayed, run: Executed) -> list[tuple[Any, Any]]:
    """Return what is compared: predictions where that is all there is, else parameters."""
    if found.predictions:
        theirs = {one.iteration: one.values for one in run.predictions}
        return [(one.values, theirs[one.iteration]) for one in found.predictions]
    return list(zip(found.parameters, run.parameters, strict=True))


# -- notes -----------------------------------------------------------------------------------------


def _notes(scenario: Scenario, planned: Sequence[_Plan]) -> list[str]:
    """Return what whoever reads the figures should know."""
    found = []
    if any(plan.paced for plan in planned):
        said = "tasks that are through early sleep until the scenario's time is up"
        found.append(f"this machine stands for {scenario_device(scenario)}: {said}")
    if any(plan.throttled for plan in planned):
        found.append("messages are held back for as long as the scenario's network would take")
    return found


def scenario_device(scenario: Scenario) -> str:
    """Return what the scenario calls its devices."""
    device = scenario.cluster.device
    return device if isinstance(device, str) else "the scenario's devices"


def _case_notes(plan: _Plan) -> list[str]:
    """Return what is to be known of one strategy's run."""
    processes = len(plan.homes)
    if not plan.paced and processes > cores():
        return [f"{processes} processes on {cores()} cores: they take turns"]
    return []
