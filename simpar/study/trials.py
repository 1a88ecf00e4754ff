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
from simpar.scenario import RunSpec
from simpar.simulate import simulate
from simpar.strategies import Setting
from simpar.strategies.variation import is_random, vary
from simpar.study.advice import TRIAL_STEPS, TRIAL_WARMUP, size, written_down

MOST_INSTANCES = 1_000_000
"""Task instances that the trials of one question may have together: a second's worth."""

MOST_BY_REFERENCE = 120_000
"""The same for the reference engine."""

Report = Callable[[str, int, int, int, int], None]
"""Called with (what is tried, its number from 1, trials expected, instances done, instances in all)."""


class TooLargeError(SimparError):
    """The budget of a question is spent."""


def most_instances(measured: Measured) -> int:
    """Return how many task instances the trials of one question about a run may have together."""
    return MOST_BY_REFERENCE if measured.trace.engine == "reference" else MOST_INSTANCES


class Trials:
    """The simulations of one question."""

    def __init__(
        self,
        measured: Measured,
        expected: int,
        progress: Report | None = None,
        *,
        short: bool = False,
        share: float = 1.0,
    ) -> None:
        """Take the run that is asked about.

        Args:
            measured: its draws and its length are those of every trial.
            expected: trials that the question takes, or a little more.
            share: of the task instances that all trials of a question may have together, what this one may.
            short: simulate only a few steps where they are alike, even if there is time for all.
        """
        program = measured.program
        most = int(share * most_instances(measured))
        self.replication: int = program.meta.get("replication", 0)
        self.warmup, self.steps = measured.warmup, program.iterations - measured.warmup
        self.left = most
        self.short = short or expected * size(program) > most
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
        run: RunSpec = setting.scenario.run.model_copy(update={"warmup": warmup, "steps": steps})
        setting = replace(setting, scenario=replace(setting.scenario, run=run))
        program = written_down(setting, self.left)
        if program is None:
            raise TooLargeError("too much to simulate")
        limit = setting.cluster.device.memory_bytes
        if limit is not None and program.meta["memory_bytes"] > limit:
            raise FitError(f"{said} does not fit in memory")
        self.left -= size(program)
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
