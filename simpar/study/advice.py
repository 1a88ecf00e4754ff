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
from simpar.errors import FitError, SimparError
from simpar.hardware import nominal_bandwidth
from simpar.program import Program
from simpar.result import Bottleneck, Measured, Suggestion
from simpar.scenario import NetworkSpec, Scenario, Strategy
from simpar.simulate import Progress, simulate
from simpar.strategies import KINDS, LEAST_TASKS, Setting, prepare
from simpar.strategies.data import STORE
from simpar.strategies.variation import is_random, vary

NEGLIGIBLE = 0.02
"""Share of a step below which what is not compute is not worth a word."""

WORTHWHILE = 0.01
"""Least gain in samples per second for which a setting is suggested."""

PACE = 0.8
"""Share of a step that the slowest stage of a pipeline computes from which on it is what to mend."""

TRIAL_WARMUP, TRIAL_STEPS = 1, 3
"""Iterations of a trial; where steps are not alike, asynchronous or drawn, it has its full length."""

MOST_TRIED = 250_000
"""Task instances that any trial may have, less than half a second's worth; in a larger run, half as many as
it has itself."""

MOST_BY_REFERENCE = 20_000
"""The same for the reference engine."""

FOLDED = 100
"""Messages of rings that take as long as one task instance."""

MOST_TRIALS = 3
"""Trials so large that are tried for one strategy, or more of smaller ones."""

CAUSE_OF_PART = {
    "exposed_comm_s": "network",
    "latency_s": "latency",
    "queue_s": "queue",
    "server_s": "server",
    "straggler_s": "straggler",
    "bubble_s": "bubble",
}

PART_OF_CAUSE = {"compute": "compute_s"} | {cause: part for part, cause in CAUSE_OF_PART.items()}


_NETWORK = ("network", "latency", "queue")
"""Causes that may be those of reading data."""


class _TooLargeError(Exception):
    """A trial would take longer than the question deserves."""


def bottleneck(
    setting: Setting, measured: Measured, advise: bool = True, progress: Progress | None = None
) -> Bottleneck:
    """Return what holds the measured strategy back most, with a setting to try if one helps."""
    cause = main_cause(measured)
    resource = _resource(measured, cause)
    if cause in _NETWORK and _waits_for_data(measured):
        cause, resource = "data", STORE
    suggestion, skipped = None, False
    if advise and (cause != "compute" or "microbatches" in measured.program.meta):
        suggestion, skipped = _suggest(setting, measured, cause, progress)
    whole = ("exposed_comm_s", "latency_s", "queue_s")  # what a table calls waiting on the network
    parts = whole if cause in ("network", "queue", "data") else (PART_OF_CAUSE[cause],)
    share = math.fsum(measured.breakdown[part] for part in parts) / measured.step_s
    return Bottleneck(resource, cause, suggestion, share, skipped)


def main_cause(measured: Measured) -> str:
    """Return the largest part of a step that is not compute, or ``compute`` where all are negligible."""
    parts = {part: seconds for part, seconds in measured.breakdown.items() if part in CAUSE_OF_PART}
    if math.fsum(parts.values()) < NEGLIGIBLE * measured.step_s:
        return "compute"
    is_pipeline = measured.program.meta["kind"] == "pipeline"
    if is_pipeline and measured.breakdown["compute_s"] > PACE * measured.step_s:
        return "compute"  # of the slowest stage, which sets the pace
    return CAUSE_OF_PART[max(parts, key=lambda part: parts[part])]


def _waits_for_data(measured: Measured) -> bool:
    """Return whether most waiting is for training data, and for its store rather than a worker's own link."""
    ops = measured.program.ops
    loading = [op.kind == "load" for op in ops]
    if not any(loading):
        return False
    waited = [0.0, 0.0]  # for other messages, and for data
    for segment in measured.waits:
        if segment.cause in ("wire", "latency", "queue"):
            waited[loading[segment.task]] += segment.seconds
    crossed = {link for task in range(len(ops)) if loading[task] for link in measured.program.route(task)}
    busiest = measured.busiest([measured.program.links[link].name for link in sorted(crossed)])
    return waited[1] > waited[0] and busiest is not None and busiest.name == STORE


def _resource(measured: Measured, cause: str) -> str:
    """Name the resource that the cause points at."""
    if cause in ("queue", "server"):
        queued = measured.longest_queue(at_server=cause == "server")
        if queued:
            return queued
        cause = "network"
    if cause in ("network", "latency"):
        limiting = measured.limiting_link()
        if limiting:
            return limiting
        found = measured.busiest(kind="collective") or measured.busiest(kind="server")
    else:
        found = measured.busiest(kind="device")
    found = found or measured.busiest()
    return found.name if found else ""


# -- suggestions -----------------------------------------------------------------------------------


def _suggest(
    setting: Setting, measured: Measured, cause: str, progress: Progress | None
) -> tuple[Suggestion | None, bool]:
    """Return the first candidate that helps, and whether one was too large to try."""
    skipped = False
    any_run = MOST_BY_REFERENCE if measured.trace.engine == "reference" else MOST_TRIED
    most = max(any_run, len(measured.trace) // 2)
    left = MOST_TRIALS * most
    for path, value in _candidates(setting, measured.program, cause):
        try:
            replication = measured.program.meta.get("replication", 0)
            found = _trial(setting, path, value, min(most, left), progress, replication)
        except _TooLargeError:
            skipped = True
            continue
        except SimparError:  # not possible here: too many stages, say, or too little memory
            continue
        left -= size(found.program)
        if found.samples_per_s > (1 + WORTHWHILE) * measured.samples_per_s and found.step_s < measured.step_s:
            return Suggestion(path, value, found.step_s), skipped
    return None, skipped


def _candidates(setting: Setting, program: Program, cause: str) -> Iterator[tuple[str, Any]]:
    """Yield settings that may help against *cause*, the cheapest to apply first."""
    meta, cluster, network = program.meta, setting.cluster, setting.cluster.network
    if cause == "data":
        data = setting.scenario.data
        assert data.store_bandwidth is not None, "what waits for a store has one"
        if data.prefetch == 1:
            yield "data.prefetch", 2
        yield "data.store_bandwidth", units.spell(2 * data.store_bandwidth, "rate", digits=6)
        if network is None:
            return
    own = f"strategies[{setting.strategy.name}]."
    assert network is not None, "what waits for a network has one"
    if cause == "straggler" and setting.strategy.kind == "ps-sync":
        backups = getattr(setting.strategy.options, "backup_workers", 0)
        if backups + 1 < meta.get("pushers", cluster.workers):
            yield own + "backup_workers", backups + 1
    if "servers" in meta:
        loads = meta["server_loads_bytes"]
        total, fullest = sum(loads), max(loads)
        copied = meta["placement"] == "replicated" and len(loads) > 1
        if copied or (meta["placement"] != "sliced" and fullest * len(loads) > 1.05 * total):
            yield own + "placement", "sliced"
        # As many servers as their links need to carry what the machines' links bring.
        enough = math.ceil(cluster.nodes * network.bytes_per_s / network.server_bytes_per_s)
        if meta.get("colocate"):
            enough = cluster.nodes
        if cause == "server":
            enough = max(enough, 2 * meta["servers"])
        if enough > meta["servers"]:
            yield own + "servers", enough
        if cluster.devices_per_node > 1 and not meta.get("local_merge") and cause in ("network", "queue"):
            yield own + "local_merge", True
    if "microbatches" in meta and cause != "latency":
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
    several = cluster.devices_per_node > 1 and cluster.nodes > 1
    if several and meta.get("algorithm") not in (None, "hierarchical"):
        yield own + "algorithm", "hierarchical"
    if cause == "latency" and meta.get("algorithm") == "ring":
        yield own + "algorithm", "halving-doubling"
    if cause in ("network", "queue"):
        yield from _faster_uplinks(setting.scenario)
        rate = nominal_bandwidth(setting.scenario)
        assert rate is not None, "a network has a rate"
        yield "network.bandwidth", units.spell(2 * rate, "rate", digits=6)


def _faster_uplinks(scenario: Scenario) -> Iterator[tuple[str, Any]]:
    """Yield uplinks of racks that are twice as fast, or as fast as all machines of a rack together."""
    topology = scenario.network.topology if scenario.network else None
    if topology is not None and topology.uplink is not None:
        yield "network.topology.uplink", units.spell(2 * topology.uplink, "rate", digits=6)
    elif topology is not None and topology.oversubscription is not None and topology.oversubscription > 1:
        half = max(1.0, topology.oversubscription / 2)
        yield "network.topology.oversubscription", int(half) if half.is_integer() else half


def changed(scenario: Scenario, strategy: Strategy, path: str, value: Any) -> tuple[Scenario, Strategy]:
    """Return the scenario and the strategy with one of the settings that are suggested here."""
    if path == "network.bandwidth":
        spec = scenario.network or NetworkSpec()
        network = spec.model_copy(update={"bandwidth": units.parse(value, "rate")})
        return replace(scenario, network=network), strategy
    section, _, option = path.rpartition(".")
    if section == "network.topology":
        assert scenario.network is not None, "its topology is to change"
        value = units.parse(value, "rate") if option == "uplink" else value
        topology = scenario.network.topology.model_copy(update={option: value})
        return replace(scenario, network=scenario.network.model_copy(update={"topology": topology})), strategy
    if section == "data":
        value = units.parse(value, "rate") if option == "store_bandwidth" else value
        return replace(scenario, data=scenario.data.model_copy(update={option: value})), strategy
    if option == "bucket":
        value = units.parse(value, "size")
    return scenario, replace(strategy, options=strategy.options.model_copy(update={option: value}))


def _trial(
    setting: Setting, path: str, value: Any, most: int, progress: Progress | None, replication: int
) -> Measured:
    """Return the figures with one setting changed, and the draws of the same replication.

    Raises:
        _TooLargeError: it would have more than *most* task instances.
        SimparError: it cannot be run, or does not fit in memory.
    """
    scenario, strategy = changed(setting.scenario, setting.strategy, path, value)
    if setting.strategy.kind not in ("ps-async", "ps-ssp") and not is_random(scenario):
        run = scenario.run.model_copy(update={"warmup": TRIAL_WARMUP, "steps": TRIAL_STEPS})
        scenario = replace(scenario, run=run)
    trial = prepare(scenario, strategy)
    program = written_down(trial, most)
    if program is None:
        raise _TooLargeError
    limit = trial.cluster.device.memory_bytes
    if limit is not None and program.meta["memory_bytes"] > limit:
        raise FitError(f"{path}={value} does not fit in memory")
    measured = Measured(simulate(vary(program, trial, replication), scenario.run.engine, progress))
    measured.until_s  # noqa: B018  # whether there is a step to measure at all
    return measured


def written_down(setting: Setting, most: int) -> Program | None:
    """Return the program of a trial; None, and soon, where it has more than *most* task instances.

    So many messages of a ring that is written down once count as one, as they take no longer.
    """
    kind = setting.strategy.kind
    if kind in LEAST_TASKS and LEAST_TASKS[kind](setting) * setting.iterations > most:
        return None
    program = KINDS[kind](setting)
    return program if size(program) <= most else None


def size(program: Program) -> int:
    """Return how many task instances a run of *program* counts as."""
    return (len(program) + program.folded // FOLDED) * program.iterations
