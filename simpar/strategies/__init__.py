"""Ways of training, each compiled into a program: one file a strategy.

:func:`compile` is the way in. A strategy is a function from a
:class:`~simpar.strategies.common.Setting` (the model, the machines, its options) to a
:class:`~simpar.program.Program`; it never formats or prints.
"""

from __future__ import annotations

from collections.abc import Callable

from simpar import hardware, workload
from simpar.errors import InputError, ProgramError
from simpar.program import MOST_TASKS, Program
from simpar.program.collecting import uncollected
from simpar.scenario import AnyScenario, Scenario, Strategy, load
from simpar.strategies import (
    allreduce,
    ensemble,
    hosted,
    parameter_server,
    pipeline,
    ps_async,
    ps_ssp,
    ps_sync,
    replicated,
    single,
    tensor,
)
from simpar.strategies.common import Setting
from simpar.strategies.variation import vary
from simpar.workload import splitting

KINDS: dict[str, Callable[[Setting], Program]] = {
    "single": single.build,
    "hosted": hosted.build,
    "ps-sync": ps_sync.build,
    "ps-async": ps_async.build,
    "ps-ssp": ps_ssp.build,
    "allreduce": allreduce.build,
    "pipeline": pipeline.build,
    "replicated": replicated.build,
    "ensemble": ensemble.build,
    "tensor": tensor.build,
}
"""What ``strategies:`` may name, and who compiles it."""

LEAST_TASKS: dict[str, Callable[[Setting], int]] = {
    "ps-sync": ps_sync.least_tasks,
    "ps-async": parameter_server.least_tasks,
    "ps-ssp": parameter_server.least_tasks,
    "allreduce": allreduce.least_tasks,
    "tensor": tensor.least_tasks,
}
"""How many tasks an iteration has at least, for kinds that can have millions: so that these are not written
down, which takes long, only to be refused."""

MOST_INSTANCES = 20_000_000
"""Task instances beyond which a run and its figures would take minutes, and more memory than a laptop has."""

MOST_BY_REFERENCE = 5_000_000
"""The same for the reference engine, which needs some 10 us for each."""

MOST_FOLDED = 50_000_000_000
"""Messages of rings that are not written out, beyond which a run would take minutes."""

__all__ = ["KINDS", "Setting", "compile", "most_instances", "nominal", "prepare"]


def most_instances(scenario: Scenario) -> int:
    """Return how many task instances one comparison of *scenario* may have."""
    return MOST_BY_REFERENCE if scenario.run.engine == "reference" else MOST_INSTANCES


def prepare(scenario: Scenario, strategy: Strategy | str) -> Setting:
    """Return what *strategy*, or the strategy of that name, compiles from.

    Raises:
        InputError: the scenario has no such strategy, or its model or device cannot be built.
    """
    chosen = scenario.strategy(strategy) if isinstance(strategy, str) else strategy
    work = workload.build(scenario)
    whole, workers = scenario.model.global_batch, scenario.cluster.workers
    uneven = whole is not None and whole % workers
    shares = tuple(splitting.shares(whole, workers, scenario.data.split)) if whole and uneven else ()
    return Setting(scenario, chosen, work, hardware.build(scenario, work), shares)


def compile(scenario: AnyScenario, strategy: Strategy | str, replication: int = 0) -> Program:
    """Compile one strategy of *scenario*, which may be the path of its file or a mapping, into a program.

    Args:
        replication: whose draws it runs with, where times vary; the same number, seed and iteration mean the
            same luck for every strategy.

    Raises:
        InputError: what the scenario asks for is impossible; every problem has its place in the file.
    """
    scenario = scenario if isinstance(scenario, Scenario) else load(scenario)
    setting = prepare(scenario, strategy)
    return vary(nominal(setting), setting, replication)


def nominal(setting: Setting) -> Program:
    """Return the program of a strategy with the times that everything is expected to take.

    Raises:
        InputError: what the scenario asks for is impossible; every problem has its place in the file.
    """
    scenario = setting.scenario
    most = most_instances(scenario)
    where = f"strategies[{setting.strategy.index}]"
    fewer = "fewer workers or servers, speeds more alike, no overlap, or run.collectives: closed_form"

    def refuse_many(tasks: int, iterations: int, least: str = "") -> None:
        if tasks * iterations > most:
            said = f"{least}{tasks:,} tasks x {iterations:,} iterations are too many to simulate"
            fix = f"at most {most:,}: fewer run.steps, {fewer}"
            raise InputError([scenario.problem(where, said, fix)])

    if setting.strategy.kind in LEAST_TASKS:
        least = LEAST_TASKS[setting.strategy.kind](setting)
        refuse_many(least, setting.iterations, "at least ")
        if least > MOST_TASKS:  # as the builder would say, a million tasks later
            said = f"{setting.strategy.name} has more than {MOST_TASKS:,} tasks in one iteration"
            raise InputError([scenario.problem(where, said, f"try {fewer}")])
    try:
        with uncollected():
            program = KINDS[setting.strategy.kind](setting)
    except ProgramError as error:
        raise InputError([scenario.problem(where, str(error), f"try {fewer}")]) from None
    refuse_many(len(program), program.iterations)
    if program.only_reference and setting.scenario.run.engine == "compiled":
        said = f"the compiled engine does not know {program.only_reference}, as {setting.strategy.name} has"
        raise InputError([scenario.problem("run.engine", said, "write auto or reference")])
    if program.only_reference:
        most = min(most, MOST_BY_REFERENCE)
        refuse_many(round(program.turns.sum()), program.iterations)
    if program.folded * program.iterations > MOST_FOLDED:
        said = f"{program.folded:,} messages x {program.iterations:,} iterations are too many to simulate"
        raise InputError(
            [scenario.problem(where, said, f"at most {MOST_FOLDED:,}: fewer run.steps, {fewer}")]
        )
    return program
