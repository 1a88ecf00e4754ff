"""Times that vary: a program with its compute, its messages and its servers' work drawn at random.

A strategy compiles with nominal times; :func:`vary` lays the draws of one replication over its program. What
is drawn belongs to a worker and a batch or an iteration, not to a task: a worker's compute takes one factor
longer of each batch, and in each iteration every byte takes another that it sends to servers, gets from them
or passes on. So every strategy of a scenario meets the same luck (common random numbers), and their
difference is theirs.

A worker that is slow for ever is no draw: it is in the cluster's speeds. Latency does not vary, and nor does
the overhead of a message, or what servers send to each other. A collective in closed form takes as long as
its slowest worker's link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simpar.cost.distributions import Distribution, pareto_shape, whole_picoseconds
from simpar.program import Program
from simpar.scenario import Scenario
from simpar.scenario.variation import DistributionSpec
from simpar.strategies.common import Setting, batch_seconds
from simpar.trace import SERVER_OPS

COMPUTE, LINK, SERVER, SPELL = range(4)
"""What a stream of random numbers is for."""

DEFAULT_REPLICATIONS = 21
"""An odd number, so that one run is the median; of 21, the second is the 5th percentile."""

Factors = NDArray[np.float64]
"""One factor an iteration: float64[iterations]."""


def is_random(scenario: Scenario) -> bool:
    """Say whether anything in *scenario* is drawn at random, and comes out other than it would not be."""
    variation = scenario.variation
    drawn = [one for one in (variation.compute, variation.link, variation.server) if one is not None]
    spells = [one for one in variation.stragglers or () if one.probability is not None and one.factor != 1]
    return any(_varies(one) for one in drawn) or bool(spells)


def _varies(spec: DistributionSpec) -> bool:
    """Say whether what is drawn from *spec* differs from draw to draw."""
    same = spec.kind == "constant" or spec.cv == 0 or (spec.low is not None and spec.low == spec.high)
    return not (same or (spec.kind == "two-point" and spec.factor == 1))


def is_nominal(spec: DistributionSpec) -> bool:
    """Say whether all that *spec* describes takes the nominal time: a factor of 1 that does not vary."""
    if _varies(spec):
        return False
    factor = spec.low if spec.mean is None else spec.mean
    seconds = spec.mean is not None and spec.mean.in_seconds
    return not seconds and (factor is None or factor == 1)


def replications(scenario: Scenario) -> int:
    """Return how many runs with draws of their own *scenario* asks for; 1 where nothing is drawn."""
    if not is_random(scenario):
        return 1
    return scenario.variation.replications or DEFAULT_REPLICATIONS


def vary(program: Program, setting: Setting, replication: int = 0) -> Program:
    """Return *program* with the times of one replication; itself where nothing varies."""
    variation = setting.scenario.variation
    draws = _Draws(setting, program.iterations, batches(program), replication)
    durations, stretch, lags = dict(program.durations), dict(program.stretch), dict(program.lags)
    spelled = any(one.probability is not None for one in variation.stragglers or ())
    if variation.compute is not None or spelled:
        durations |= _computes(program, setting, draws)
    if variation.server is not None:
        durations |= _servers(program, draws)
    if variation.link is not None:
        slower, stretched, later = _messages(program, draws)
        durations |= slower
        stretch |= stretched
        lags |= later
    if not (durations or stretch or lags):
        return program
    meta = {**program.meta, "replication": replication}
    return replace(program, durations=durations, stretch=stretch, lags=lags, meta=meta)


def batches(program: Program) -> int:
    """Return how many batches of its own a worker computes in an iteration, one after another."""
    return int(program.meta.get("push_every", 1) * program.meta.get("pull_every", 1))


def expected_compute(setting: Setting, worker: int, batch_s: float) -> float:
    """Return the expected seconds of a batch that nominally takes *worker* *batch_s* to compute."""
    compute, expected = setting.scenario.variation.compute, batch_s
    if compute is not None:
        expected *= distribution_of(setting, "compute", compute).mean
    for one in setting.scenario.variation.stragglers or ():
        if one.probability is not None and one.worker in (None, worker):
            slow = 1.0 - (1.0 - one.probability) ** (one.steps or 1)
            expected *= 1.0 + slow * (one.factor - 1.0)
    return expected


def distribution_of(setting: Setting, key: str, spec: DistributionSpec) -> Distribution:
    """Return the distribution that *spec*, at *key* of the section ``variation``, describes.

    A mean that is a time becomes a factor of the batch's nominal compute on a worker of speed 1.
    """
    mean = 1.0 if spec.mean is None else float(spec.mean)
    if spec.mean is not None and spec.mean.in_seconds:
        mean /= batch_seconds(setting, 0, setting.workload.batch) * setting.cluster.speeds[0]
    cv, shape = spec.cv, spec.shape
    if spec.kind == "uniform" and spec.low is not None and spec.high is not None:
        mean = 0.5 * (spec.low + spec.high)
        cv = (spec.high - spec.low) / (2.0 * np.sqrt(3.0) * mean)
    if spec.kind == "pareto" and shape is None:
        assert cv is not None, "the scenario was checked"
        shape = pareto_shape(cv)
    factor, probability = spec.factor or 1.0, spec.probability or 0.0
    if spec.kind == "two-point" and spec.mean is None:
        mean = 1.0 + probability * (factor - 1.0)
    return Distribution(
        spec.kind,
        mean,
        cv=(1.0 if spec.kind == "exponential" else 0.0) if cv is None else float(cv),
        shape=float("inf") if shape is None else shape,
        factor=factor,
        probability=probability,
        values=setting.scenario.times.get(key, ()),
    )


class _Draws:
    """The factors of one replication, by worker, each drawn when it is first asked for."""

    def __init__(self, setting: Setting, iterations: int, batches: int, replication: int) -> None:
        self._setting, self._iterations, self._replication = setting, iterations, replication
        self._batches = batches * iterations
        self._known: dict[tuple[int, int], Factors] = {}

    def _generator(self, purpose: int, *index: int) -> np.random.Generator:
        key = (self._replication, purpose, *index)
        seed = np.random.SeedSequence(self._setting.scenario.run.seed, spawn_key=key)
        return np.random.Generator(np.random.PCG64(seed))

    def _of(self, purpose: int, key: str, spec: DistributionSpec, index: int) -> Factors:
        if (purpose, index) not in self._known:
            distribution = distribution_of(self._setting, key, spec)
            count = self._batches if purpose == COMPUTE else self._iterations
            self._known[purpose, index] = distribution.draw(self._generator(purpose, index), count)
        return self._known[purpose, index]

    def compute(self, worker: int, luck: int) -> Factors:
        """Return the factors of *worker*'s compute by batch; *luck* is whose random numbers it meets."""
        variation = self._setting.scenario.variation
        factors = np.ones(self._batches)
        if variation.compute is not None:
            factors = self._of(COMPUTE, "compute", variation.compute, luck)
        for number, one in enumerate(variation.stragglers or ()):
            if one.probability is None or one.worker not in (None, worker):
                continue
            # Spells that began before the run still last: slow while any of the last so many batches began
            # one. So every batch is as likely to be slow as any other.
            lasts = one.steps or 1
            begins = self._generator(SPELL, number, luck).random(lasts - 1 + self._batches)
            count = np.concatenate([[0], np.cumsum(begins < one.probability)])
            slow = count[lasts:] > count[:-lasts]
            factors = np.where(slow, factors * one.factor, factors)
        return factors

    def link(self, worker: int) -> Factors:
        """Return the factors of the messages of *worker*; of the slowest one's where it is -1."""
        spec = self._setting.scenario.variation.link
        assert spec is not None
        if worker >= 0:
            return self._of(LINK, "link", spec, worker)
        slowest: Factors = np.max(
            [self._of(LINK, "link", spec, one) for one in range(self._setting.cluster.workers)], axis=0
        )
        return slowest

    def server(self, server: int, worker: int, key: int, count: int) -> Factors:
        """Return *count* factors of what *server* does with *key*: add a worker's push, or update (-1)."""
        spec = self._setting.scenario.variation.server
        assert spec is not None
        distribution = distribution_of(self._setting, "server", spec)
        generator = self._generator(SERVER, server, worker + 1, key + 1)
        return distribution.draw(generator, count)


def _computes(program: Program, setting: Setting, draws: _Draws) -> dict[int, Factors]:
    """Return the drawn durations of the forward and backward passes."""
    alone = setting.strategy.kind == "single"  # one device, on the batches of all
    found, each = {}, batches(program)
    for task, op in enumerate(program.ops):
        if op.kind in ("forward", "backward") and program.resource[task] >= 0:
            factors = draws.compute(op.worker, op.part if alone else op.worker)
            if each > 1:
                factors = factors[op.part % each :: each]
            factors = _by_run(program, task, factors)
            found[task] = whole_picoseconds(_nominal(program, task) * factors)
    return found


def _servers(program: Program, draws: _Draws) -> dict[int, Factors]:
    """Return the drawn durations of what the servers' CPUs do."""
    found = {}
    for task, op in enumerate(program.ops):
        if op.kind in SERVER_OPS and program.resource[task] >= 0:
            factors = draws.server(op.server, op.worker, op.key, program.most_runs(task))
            found[task] = whole_picoseconds(_nominal(program, task) * factors)
    return found


def _messages(
    program: Program, draws: _Draws
) -> tuple[dict[int, Factors], dict[int, Factors], Mapping[int, Factors]]:
    """Return the drawn durations on links of their own, stretches on shared ones, and lags between hops."""
    durations, stretch, lags = {}, {}, {}
    for task, op in enumerate(program.ops):
        r = int(program.resource[task])
        if r < 0 or not (program.message[task] >= 0 or program.resources[r].kind == "collective"):
            continue
        if op.worker < 0 <= op.server:  # between servers, who draw nothing
            continue
        factors = _by_run(program, task, draws.link(op.worker))
        if program.is_flow(task):
            stretch[task] = factors
            continue
        fixed = _overhead_of(program, task)
        durations[task] = whole_picoseconds(fixed + (_nominal(program, task) - fixed) * factors)
    for edge, (u, v, _, lag, at_start) in enumerate(program.edges()):
        if at_start and u in durations and v in durations and program.message[u] == program.message[v] >= 0:
            # Cut-through: the next hop lags by how much longer the bytes take on the hop before.
            bytes_s = [program.seconds[task] - _overhead_of(program, task) for task in (u, v)]
            more = max(0.0, float(bytes_s[0] - bytes_s[1]))
            factors = _by_run(program, v, draws.link(program.ops[u].worker))
            lags[edge] = np.maximum(0.0, lag - more) + more * factors
    return durations, stretch, lags


def _by_run(program: Program, task: int, factors: Factors) -> Factors:
    """Return one factor a run of *task*: where slices are handed out, their iteration's for each of them."""
    return np.repeat(factors, program.most_runs(task) // program.iterations)


def _nominal(program: Program, task: int) -> Factors | np.float64:
    """Return the seconds of *task*, float64[iterations] where they differ already."""
    found: Factors | np.float64 = program.durations.get(task, program.seconds[task])
    return found


def _overhead_of(program: Program, task: int) -> float:
    """Return the seconds of *task*, a hop of a message, that are no bytes."""
    r = int(program.resource[task])
    if program.resources[r].kind != "link":
        return 0.0
    rate = program.links[program.resources[r].route[0]].bytes_per_s
    return max(0.0, float(program.seconds[task] - program.bytes[task] / rate))
