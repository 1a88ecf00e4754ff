"""What strategies really learn, and when: their simulated traces, trained through.

Every strategy trains the same model on the same samples in the same order, for so many epochs; it is
compiled for as many steps as that takes, simulated once, and its trace replayed. Synchronous strategies then
differ in time only; what asynchronous ones learn depends on who came when.

Start with :func:`replay`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simpar.errors import EngineError, FitError, InputError, ProgramError
from simpar.execute.replay import Point, Replayed
from simpar.execute.replay import replay as train
from simpar.program import Program
from simpar.result.labels import label
from simpar.scenario import AnyScenario, Scenario, Strategy
from simpar.scenario.options import PREDICTING
from simpar.simulate import simulate
from simpar.strategies import MOST_INSTANCES, Setting, nominal, prepare
from simpar.strategies.variation import vary
from simpar.study.compare import as_scenario
from simpar.study.notes import of_memory
from simpar.study.training import Task, task_of
from simpar.trace import Trace

POINTS_AN_EPOCH = 3
"""Tests an epoch, where a step is not longer than that."""

MOST_POINTS = 400
"""Tests of a whole run beyond which they are further apart."""

MOST_LONGER = 6
"""How often a run is made longer whose fastest workers are through too early."""

Progress = Callable[[str, int, int, int, int], None]
"""Called with (strategy, its number from 1, strategies, done, in all)."""


@dataclass(frozen=True, slots=True)
class Staleness:
    """How many updates gradients missed, as the servers observed."""

    mean: float
    max: int


@dataclass(frozen=True, slots=True)
class Learned:
    """One strategy, and what it learned."""

    name: str
    kind: str
    label: str
    workers: int
    points: tuple[Point, ...]
    updates: int
    """Updates of the parameters."""
    samples: float
    """Samples that they have learned from."""
    time_s: float
    """Simulated time that this took."""
    staleness: Staleness | None
    """None where the parameters that a gradient was computed on are always those that it updates."""

    @property
    def loss(self) -> float:
        """Mean loss of the test at the end."""
        return self.points[-1].loss

    @property
    def accuracy(self) -> float | None:
        """Share of the test that is right at the end; None where nothing is classified."""
        return self.points[-1].accuracy

    def reaches_s(self, accuracy: float) -> float | None:
        """Return the simulated time of the first test with this *accuracy* or more; None if there is none."""
        return next(
            (p.time_s for p in self.points if p.accuracy is not None and p.accuracy >= accuracy), None
        )


@dataclass(frozen=True)
class Learning:
    """What the strategies of a scenario learned."""

    scenario: str
    seed: int
    rows: list[Learned]
    """In the order of the file."""
    facts: Mapping[str, Any]
    """What was trained: model, data, batch, optimizer and so on."""

    def __repr__(self) -> str:
        """Return the strategies in one line."""
        return f"<Learning of {self.scenario!r}: {', '.join(row.name for row in self.rows)}>"

    def __getitem__(self, name: str) -> Learned:
        """Return the strategy called *name*.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def steps(self, point: Point) -> float:
        """Return the steps until *point*: the samples learned from, over those of all workers in a step."""
        return point.samples / float(self.facts["global_batch"])

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar replay --json`` prints it."""
        return {
            "schema": 1,
            "scenario": self.scenario,
            "seed": self.seed,
            **self.facts,
            "strategies": [self._row(row) for row in self.rows],
        }

    def _row(self, row: Learned) -> dict[str, Any]:
        return {
            "name": row.name,
            "kind": row.kind,
            "label": row.label,
            "workers": row.workers,
            "time_s": row.time_s,
            "updates": row.updates,
            "samples": row.samples,
            "staleness": asdict(row.staleness) if row.staleness else None,
            "loss": row.loss,
            "accuracy_frac": row.accuracy,
            "points": [
                {
                    "time_s": point.time_s,
                    "step": self.steps(point),
                    "epoch": point.samples / self.facts["records"],
                    "training_loss": point.training_loss,
                    "loss": point.loss,
                    "accuracy_frac": point.accuracy,
                }
                for point in row.points
            ],
        }

    def to_csv(self) -> str:
        """Return a row a point, with the units in the header."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        columns = ("time_s", "step", "epoch", "training_loss", "loss", "accuracy_frac")
        writer.writerow(("strategy", *columns))
        for row in self.to_dict()["strategies"]:
            for point in row["points"]:
                values = (point[name] for name in columns)
                writer.writerow((row["name"], *("" if value is None else repr(value) for value in values)))
        return out.getvalue()


def replay(
    scenario: AnyScenario,
    strategies: Sequence[str] | None = None,
    *,
    epochs: int | None = None,
    set: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Learning:
    """Train the model of *scenario* as its strategies would, and return what they learn when.

    Args:
        scenario: a scenario, the path of a file, or a mapping with what a file would say.
        strategies: names of those to train; by default all.
        epochs: times that all the data is trained on; by default ``run.epochs``.
        set: settings to change first, by path.

    Raises:
        InputError: the scenario is wrong, says nothing to train on, or what it trains diverges; the message
            names the step and the task.
        FitError: a strategy does not fit in the memory of its devices.
    """
    scenario = as_scenario(scenario, set)
    chosen = [scenario.strategy(name) for name in strategies] if strategies else list(scenario.strategies)
    passes = scenario.run.epochs if epochs is None else epochs
    _refuse_predicting(scenario, chosen)
    task = task_of(prepare(scenario, chosen[0]))
    rows = []
    for number, strategy in enumerate(chosen, 1):

        def report(done: int, total: int, name: str = strategy.name, number: int = number) -> None:
            if progress:
                progress(name, number, len(chosen), done, total)

        # Small matrices gain nothing from more threads, and sums are the same however many cores there are.
        with threadpool_limits(limits=1):
            rows.append(_learned(scenario, strategy, task, passes, report))
    return Learning(scenario.name, scenario.run.seed, rows, _facts(scenario, task, passes))


def _refuse_predicting(scenario: Scenario, chosen: Sequence[Strategy]) -> None:
    """Refuse strategies that train nothing."""
    fix = "name those that train (--strategy); simpar.predict gives what it predicts"
    problems = [
        scenario.problem(f"strategies[{one.index}]", f"{one.name} predicts and learns nothing", fix)
        for one in chosen
        if one.kind in PREDICTING
    ]
    if problems:
        raise InputError(problems)


def _facts(scenario: Scenario, task: Task, epochs: int) -> dict[str, Any]:
    """Return what the head of a table says."""
    setting = prepare(scenario, scenario.strategies[0])
    batch, workers = setting.workload.batch, setting.cluster.workers
    return {
        "model": setting.workload.name,
        "data": task.name,
        "records": task.records,
        "test_records": len(task.test[1]),
        "epochs": epochs,
        "batch": batch,
        "workers": workers,
        "global_batch": batch * workers,
        "optimizer": scenario.model.optimizer,
        "learning_rate": scenario.model.learning_rate,
        "parameters": setting.workload.parameters,
    }


def _learned(
    scenario: Scenario, strategy: Strategy, task: Task, epochs: int, progress: Callable[[int, int], None]
) -> Learned:
    """Train as one strategy would."""
    samples = epochs * task.records
    trace = trace_of(scenario, strategy, samples)
    where = f"strategies[{strategy.index}]"
    try:
        found = train(
            trace,
            task.model,
            task.parameters,
            task.source,
            task.optimizer,
            test=task.test,
            samples=samples,
            every=_between(samples, task.records),
            progress=progress,
        )
    except ProgramError as error:
        raise InputError([scenario.problem(where, str(error))]) from None
    except EngineError as error:
        said = f"{strategy.name}: {error}"
        fix = "try a smaller one" if scenario.model.learning_rate else ""
        raise InputError([scenario.problem("model.learning_rate", said, fix)]) from None
    meta = trace.program.meta
    return Learned(
        name=strategy.name,
        kind=strategy.kind,
        label=label(meta, strategy.options.model_dump(exclude_unset=True)),
        workers=meta["workers"],
        points=tuple(found.points),
        updates=found.updates,
        samples=found.samples,
        time_s=found.end_s,
        staleness=_staleness(found, meta["clock"]),
    )


def _between(samples: int, records: int) -> int:
    """Return the samples between two tests."""
    return max(1, records // POINTS_AN_EPOCH, samples // MOST_POINTS)


def _staleness(found: Replayed, clock: str) -> Staleness | None:
    """Return the staleness of all gradients but each worker's first, which nobody read."""
    seen: set[tuple[int, int, int]] = set()
    stale = []
    for gradient in found.gradients:
        key = gradient.worker, gradient.server, gradient.key
        if key in seen:
            stale.append(gradient.staleness)
        seen.add(key)
    if clock == "sync" or not stale:
        return None
    return Staleness(math.fsum(stale) / len(stale), max(stale))


def trace_of(scenario: Scenario, strategy: Strategy, samples: int) -> Trace:
    """Return a run of *strategy* that is long enough to train on so many *samples*, or to predict them.

    Raises:
        InputError: that is too much to simulate.
        FitError: it does not fit in the memory of its devices.
    """
    step = _program(scenario, strategy, 1)
    _check_fits(prepare(scenario, strategy), step)
    steps = math.ceil(samples / step.meta["samples"])
    if len(step) * steps > MOST_INSTANCES:
        said = f"{samples:,} samples are {steps:,} steps of {len(step):,} tasks, too many to simulate"
        where, fix = f"strategies[{strategy.index}]", f"at most {MOST_INSTANCES:,}: fewer epochs"
        raise InputError([scenario.problem(where, said, fix)])
    for _ in range(MOST_LONGER):
        trace = simulate(_program(scenario, strategy, steps), scenario.run.engine)
        missing = 0 if step.meta["clock"] == "sync" else _missing(trace, samples)
        if missing <= 0:
            break
        steps += max(1, math.ceil(steps * missing / samples))
    return trace


def _check_fits(setting: Setting, program: Program) -> None:
    """Refuse what would not fit in memory, as its machines could not run it either."""
    limit = setting.cluster.device.memory_bytes
    if limit is not None and program.meta["memory_bytes"] > limit:
        where = f"strategies[{setting.strategy.index}]"
        raise FitError([setting.scenario.problem(where, of_memory(setting, program)[0])])


def _program(scenario: Scenario, strategy: Strategy, steps: int) -> Program:
    """Return the program of a strategy for so many *steps*."""
    run = scenario.run.model_copy(update={"steps": steps, "warmup": 0})
    setting = prepare(replace(scenario, run=run), strategy)
    return vary(nominal(setting), setting, 0)


def _missing(trace: Trace, samples: int) -> int:
    """Return how many of *samples* are trained on only after the first worker has run out of iterations.

    From then on the others would train without it, which is not what the strategy does.
    """
    program = trace.program
    last = {op.worker: task for task, op in enumerate(program.ops) if op.kind == "backward"}
    first_s = min(float(trace.end_s[trace.row(task, program.iterations - 1)]) for task in last.values())
    done = np.isin(trace.task, list(last.values())) & (trace.end_s <= first_s)
    # Those whose gradients are on their way have not been learned from.
    return samples - (int(done.sum()) - len(last)) * int(program.meta["batch"])
