"""Ways of training, each compiled into a program: one file a strategy.

:func:`compile` is the way in. A strategy is a function from a
:class:`~simpar.strategies.common.Setting` (the model, the machines, its options) to a
:class:`~simpar.program.Program`; it never formats or prints.
"""

from __future__ import annotations

from collections.abc import Callable

from simpar import hardware, workload
from simpar.errors import InputError, ProgramError
from simpar.program import Program
from simpar.scenario import AnyScenario, Scenario, Strategy, load
from simpar.strategies import allreduce, pipeline, ps_async, ps_ssp, ps_sync, single
from simpar.strategies.common import Setting
from simpar.strategies.variation import vary

KINDS: dict[str, Callable[[Setting], Program]] = {
    "single": single.build,
    "ps-sync": ps_sync.build,
    "ps-async": ps_async.build,
    "ps-ssp": ps_ssp.build,
    "allreduce": allreduce.build,
    "pipeline": pipeline.build,
}
"""What ``strategies:`` may name, and who compiles it."""

MOST_INSTANCES = 5_000_000
"""Task instances beyond which a run would take hours and more memory than a laptop has."""

__all__ = ["KINDS", "MOST_INSTANCES", "Setting", "compile", "nominal", "prepare"]


def prepare(scenario: Scenario, strategy: Strategy | str) -> Setting:
    """Return what *strategy*, or the strategy of that name, compiles from.

    Raises:
        InputError: the scenario has no such strategy, or its model or device cannot be built.
    """
    chosen = scenario.strategy(strategy) if isinstance(strategy, str) else strategy
    work = workload.build(scenario)
    return Setting(scenario, chosen, work, hardware.build(scenario, work))


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
    where = f"strategies[{setting.strategy.index}]"
    fewer = "fewer workers or servers, speeds more alike, no overlap, or run.collectives: closed_form"
    try:
        program = KINDS[setting.strategy.kind](setting)
    except ProgramError as error:
        raise InputError([scenario.problem(where, str(error), f"try {fewer}")]) from None
    instances = len(program) * program.iterations
    if instances > MOST_INSTANCES:
        said = f"{len(program):,} tasks x {program.iterations:,} iterations are too many to simulate"
        raise InputError(
            [scenario.problem(where, said, f"at most {MOST_INSTANCES:,}: fewer run.steps, {fewer}")]
        )
    return program
