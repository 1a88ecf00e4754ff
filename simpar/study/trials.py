"""Simulations that answer one question about a strategy: other settings, the same draws, a budget.

A question may cost so many task instances in all, not so many seconds, so that its answer is the same on
every machine. Where trials of full length would cost more, and the steps of a strategy are all alike, only a
few are simulated. Start with :class:`Trials`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simpar.errors import FitError, SimparError
from simpar.result import Measured
from simpar.scenario import AllreduceOptions, RunSpec
from simpar.simulate import simulate
from simpar.strategies import KINDS, Setting
from simpar.strategies.variation import is_random, vary
from simpar.study.advice import TRIAL_STEPS, TRIAL_WARMUP, least_messages

MOST_INSTANCES = 120_000
"""Task instances that the trials of one question may have together."""

Report = Callable[[str, int, int, int, int], None]
"""Called with (what is tried, its number from 1, trials expected, instances done, instances in all)."""


class TooLargeError(SimparError):
    """The budget of a question is spent."""


class Trials:
    """The simulations of one question."""

    def __init__(
        self,
        measured: Measured,
        expected: int,
        progress: Report | None = None,
        *,
        short: bool = False,
        most: int = MOST_INSTANCES,
    ) -> None:
        """Take the run that is asked about.

        Args:
            measured: its draws and its length are those of every trial.
            expected: trials that the question takes, or a little more.
            most: task instances of all trials together.
            short: simulate only a few steps where they are alike, even if there is time for all.
        """
        program = measured.program
        self.replication: int = program.meta.get("replication", 0)
        self.warmup, self.steps = measured.warmup, program.iterations - measured.warmup
        self.left = most
        self.short = short or expected * len(measured.trace) > most
        self._expected, self._progress, self._number = expected, progress, 0

    def run(self, setting: Setting, said: str) -> Measured:
        """Simulate *setting* and return its figures; *said* names the trial.

        Raises:
            TooLargeError: the budget does not suffice.
            SimparError: it cannot be simulated, has no step to measure, or does not fit in memory.
        """
        warmup, steps = self.warmup, self.steps
        if self.short and steps_alike(setting):
            warmup, steps = min(warmup, TRIAL_WARMUP), min(steps, TRIAL_STEPS)
        iterations = warmup + steps
        run: RunSpec = setting.scenario.run.model_copy(update={"warmup": warmup, "steps": steps})
        setting = replace(setting, scenario=replace(setting.scenario, run=run))
        if _least_tasks(setting) * iterations > self.left:
            raise TooLargeError("too much to simulate")
        program = KINDS[setting.strategy.kind](setting)
        instances = len(program) * iterations
        if instances > self.left:
            raise TooLargeError("too much to simulate")
        limit = setting.cluster.device.memory_bytes
        if limit is not None and program.meta["memory_bytes"] > limit:
            raise FitError(f"{said} does not fit in memory")
        self.left -= instances
        self._number += 1
        number, expected = self._number, max(self._expected, self._number)

        def report(done: int, total: int) -> None:
            if self._progress:
                self._progress(said, number, expected, done, total)

        measured = Measured(simulate(vary(program, setting, self.replication), run.engine, report))
        measured.until_s  # noqa: B018  # whether there is a step to measure at all
        return measured


def steps_alike(setting: Setting) -> bool:
    """Say whether all steps but the first are the same, so that a few of them tell as much as many."""
    asynchronous = setting.strategy.kind in ("ps-async", "ps-ssp")
    has_store = setting.scenario.data.store_bandwidth is not None  # no later batch holds up the last steps
    return not (asynchronous or has_store or is_random(setting.scenario))


def _least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least, before its program is written down."""
    options, workers = setting.strategy.options, setting.cluster.workers
    if isinstance(options, AllreduceOptions):
        by_message = setting.scenario.run.collectives == "messages"
        return workers * (workers if by_message and options.algorithm in ("ring", "direct") else 1)
    merged = setting.cluster.devices_per_node if getattr(options, "local_merge", False) else 1
    return least_messages(setting) // merged
