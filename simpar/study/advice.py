"""What holds a strategy back, and one setting that helps.

A suggestion is never guessed: the candidates that make sense for a cause are simulated in turn, for a
few steps, and the first that makes training at least 1 % faster is the one that is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from simpar import units
from simpar.errors import InputError, ProgramError
from simpar.program import Program
from simpar.result import Bottleneck, Measured, Suggestion
from simpar.scenario import Scenario, Strategy
from simpar.simulate import Progress, simulate
from simpar.strategies import KINDS, Setting, prepare

NEGLIGIBLE = 0.02
"""Share of a step below which what is not compute is not worth a word."""

WORTHWHILE = 0.01
"""Least gain in samples per second for which a setting is suggested."""

TRIAL_WARMUP, TRIAL_STEPS = 1, 3
"""Iterations of a synchronous trial; asynchronous steps are not alike and are tried at full length."""

MOST_TRIED = 20_000
"""Task instances that a trial may have: advice must not take longer than the question."""

CAUSE_OF_PART = {
    "exposed_comm_s": "network",
    "latency_s": "latency",
    "queue_s": "queue",
    "server_s": "server",
    "straggler_s": "straggler",
    "bubble_s": "bubble",
}


def bottleneck(setting: Setting, measured: Measured, progress: Progress | None = None) -> Bottleneck:
    """Return what holds the measured strategy back most, with a setting to try if one helps."""
    cause = main_cause(measured)
    resource = _resource(measured, cause)
    suggestion = None
    if cause not in ("compute", "straggler"):
        suggestion = _suggest(setting, measured, cause, progress)
    return Bottleneck(resource, cause, suggestion)


def main_cause(measured: Measured) -> str:
    """Return the largest part of a step that is not compute, or ``compute`` where all are negligible."""
    parts = {part: seconds for part, seconds in measured.breakdown.items() if part in CAUSE_OF_PART}
    if math.fsum(parts.values()) < NEGLIGIBLE * measured.step_s:
        return "compute"
    return CAUSE_OF_PART[max(parts, key=lambda part: parts[part])]


def _resource(measured: Measured, cause: str) -> str:
    """Name the resource that the cause points at."""
    if cause == "queue":
        return measured.longest_queue()
    if cause in ("network", "latency"):
        limiting = measured.limiting_link()
        if limiting:
            return limiting
        found = measured.busiest(kind="collective") or measured.busiest(kind="server")
    else:
        found = measured.busiest(kind="server" if cause == "server" else "device")
    found = found or measured.busiest()
    return found.name if found else ""


# -- suggestions -----------------------------------------------------------------------------------


def _suggest(
    setting: Setting, measured: Measured, cause: str, progress: Progress | None
) -> Suggestion | None:
    for path, value in _candidates(setting, measured.program, cause):
        step = _trial(setting, path, value, progress)
        if step is None:
            continue
        step_s, samples_per_s = step
        if samples_per_s > (1 + WORTHWHILE) * measured.samples_per_s and step_s < measured.step_s:
            return Suggestion(path, value, step_s)
    return None


def _candidates(setting: Setting, program: Program, cause: str) -> Iterator[tuple[str, Any]]:
    """Yield settings that may help against *cause*, the cheapest to apply first."""
    meta, cluster, network = program.meta, setting.cluster, setting.cluster.network
    own = f"strategies[{setting.strategy.name}]."
    assert network is not None, "what waits for a network has one"
    if "servers" in meta:
        loads, workers = meta["server_loads_bytes"], cluster.workers
        total, fullest = sum(loads), max(loads)
        if meta["placement"] != "sliced" and fullest * len(loads) > 1.05 * total:
            yield own + "placement", "sliced"
        enough = math.ceil(workers * network.bytes_per_s / network.server_bytes_per_s)
        if cause == "server":
            enough = max(enough, 2 * meta["servers"])
        if enough > meta["servers"]:
            yield own + "servers", enough
    if cause == "bubble" or (meta["kind"] == "pipeline" and cause != "latency"):
        for factor in (2, 4):
            if factor * meta["microbatches"] <= meta["samples"]:
                yield own + "microbatches", factor * meta["microbatches"]
    if "overlap" in meta and not meta["overlap"]:
        yield own + "overlap", True
    if meta.get("overlap") and "bucket_bytes" in meta and len(meta["bucket_bytes"]) > 0:
        largest = max(meta["bucket_bytes"])
        for size in (8, 2):
            if size * 2**20 < largest:
                yield own + "bucket", f"{size} MiB"
    if cause in ("network", "queue"):
        rate = setting.scenario.network.bandwidth if setting.scenario.network else 0.0
        yield "network.bandwidth", units.spell(2 * rate, "rate", digits=6)


def changed(scenario: Scenario, strategy: Strategy, path: str, value: Any) -> tuple[Scenario, Strategy]:
    """Return the scenario and the strategy with one of the settings that are suggested here."""
    if path == "network.bandwidth":
        assert scenario.network is not None
        network = scenario.network.model_copy(update={"bandwidth": units.parse(value, "rate")})
        return replace(scenario, network=network), strategy
    option = path.rpartition(".")[2]
    if option == "bucket":
        value = units.parse(value, "size")
    return scenario, replace(strategy, options=strategy.options.model_copy(update={option: value}))


def _trial(setting: Setting, path: str, value: Any, progress: Progress | None) -> tuple[float, float] | None:
    """Return (step, samples per second) with one setting changed; None where that cannot be run soon."""
    scenario, strategy = changed(setting.scenario, setting.strategy, path, value)
    if setting.strategy.kind != "ps-async":
        run = scenario.run.model_copy(update={"warmup": TRIAL_WARMUP, "steps": TRIAL_STEPS})
        scenario = replace(scenario, run=run)
    try:
        trial = prepare(scenario, strategy)
        if _too_large(trial):
            return None
        program = KINDS[strategy.kind](trial)
    except (InputError, ProgramError):
        return None
    if len(program) * program.iterations > MOST_TRIED:
        return None
    limit = trial.cluster.device.memory_bytes
    if limit is not None and program.meta["memory_bytes"] > limit:
        return None
    measured = Measured(simulate(program, scenario.run.engine, progress))
    return measured.step_s, measured.samples_per_s


def _too_large(setting: Setting) -> bool:
    """Say whether a program would certainly be too large to try, before it is written down."""
    options, workers = setting.strategy.options, setting.cluster.workers
    servers = getattr(options, "servers", 1)
    messages = workers * (workers if setting.strategy.kind == "allreduce" else servers)
    if getattr(options, "overlap", False) and hasattr(options, "servers"):
        messages *= sum(len(layer.tensors) for layer in setting.workload.layers)
    return messages * (TRIAL_WARMUP + TRIAL_STEPS) > MOST_TRIED
