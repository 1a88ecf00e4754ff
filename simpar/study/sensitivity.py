"""What would help a strategy: every kind of resource a little faster, and more parameter servers.

Nothing is derived: each answer is a simulation of the scenario with settings changed, with the draws of the
run that is explained. Start with :func:`what_would_help` or :func:`enough_servers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from simpar.errors import SimparError
from simpar.hardware import nominal_bandwidth, nominal_intra_bandwidth
from simpar.result import Measured
from simpar.scenario import Scenario, change
from simpar.strategies import Setting, prepare
from simpar.study.advice import changed
from simpar.study.trials import Report, TooLargeError, Trials, steps_alike

FACTOR = 1.1
"""How much faster each kind of resource is made."""

SAME = 1e-9
"""Share of a step below which a difference is rounding."""

NEAR = 0.02
"""Share of a step by which it may be longer than with very many servers, and these still be enough."""

SERVERS_PER_WORKER = 4
"""Servers a worker that count as very many."""


@dataclass(frozen=True, slots=True)
class Lever:
    """A kind of resource that can be made faster."""

    path: str
    """The setting that says how fast it is; ``cluster.server`` stands for all its rates, ``network`` for the
    bandwidths of the workers' and of the servers' links together."""
    settings: Mapping[str, object]
    """What to change, by path. A setting that would follow *path* is pinned where it is."""


@dataclass(frozen=True, slots=True)
class Help:
    """What a kind of resource that is faster would bring."""

    path: str
    factor: float
    step_s: float
    """The step with it."""
    gain_frac: float
    """Share of the step that it saves; below zero where the step gets longer."""

    @property
    def has_effect(self) -> bool:
        """Whether the step changes at all."""
        return abs(self.gain_frac) > SAME

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "path": self.path,
            "factor": self.factor,
            "step_s": self.step_s,
            "gain_frac": self.gain_frac,
        }


@dataclass(frozen=True, slots=True)
class Servers:
    """How many parameter servers are enough."""

    servers: int
    step_s: float
    """The step with so many."""
    most: int
    """Up to how many were tried."""

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {"servers": self.servers, "step_s": self.step_s, "tried_up_to": self.most}


def what_would_help(
    setting: Setting, measured: Measured, progress: Report | None = None
) -> tuple[list[Help], list[str]]:
    """Return what each kind of resource made 10 % faster would bring, the most helpful first.

    Returns with it the paths of those that were not tried: too much to simulate, or a setting that
    the change would take out of its bounds.
    """
    levers = list(_levers(setting, measured))
    trials = Trials(measured, len(levers) + 1, progress)
    try:
        shorter = trials.short and steps_alike(setting)
        before = trials.run(setting, "as it is").step_s if shorter else measured.step_s
    except TooLargeError:
        return [], [lever.path for lever in levers]
    found, left_out = [], []
    for lever in levers:
        try:
            scenario = change(setting.scenario, lever.settings, lever.path)
            said = f"{lever.path} {FACTOR - 1:+.0%}"
            step_s = trials.run(prepare(scenario, setting.strategy), said).step_s
        except SimparError:
            left_out.append(lever.path)
            continue
        found.append(Help(lever.path, FACTOR, step_s, 1.0 - step_s / before))
    # What is equal but for rounding stays in the order of the settings.
    return sorted(found, key=lambda one: -round(one.gain_frac, 9)), left_out


def _levers(setting: Setting, measured: Measured) -> Iterator[Lever]:
    """Yield every kind of resource that the scenario gives a strategy of this kind."""
    scenario, cluster = setting.scenario, setting.cluster
    speeds = scenario.cluster.speed or (1.0,) * cluster.workers
    yield Lever("cluster.speed", {"cluster.speed": [speed * FACTOR for speed in speeds]})
    network, meta = cluster.network, measured.program.meta
    apart = "servers" in meta and not meta.get("colocate")
    if network is not None:
        rate = nominal_bandwidth(scenario)
        assert rate is not None, "a network has a rate"
        spec = scenario.network
        of_servers = rate if spec is None or spec.server_bandwidth is None else spec.server_bandwidth
        pinned = {"network.server_bandwidth": _rate(of_servers)} if apart else {}
        yield Lever("network.bandwidth", {"network.bandwidth": _rate(rate * FACTOR), **pinned})
        if apart:
            faster = _rate(of_servers * FACTOR)
            yield Lever("network.server_bandwidth", {"network.server_bandwidth": faster})
            # Where both are as full, neither helps without the other.
            both = {"network.bandwidth": _rate(rate * FACTOR), "network.server_bandwidth": faster}
            yield Lever("network", both)
        topology = None if spec is None else spec.topology
        if topology is not None and topology.uplink is not None:
            yield Lever(
                "network.topology.uplink", {"network.topology.uplink": _rate(topology.uplink * FACTOR)}
            )
        elif topology is not None and topology.oversubscription is not None:
            path = "network.topology.oversubscription"
            yield Lever(path, {path: topology.oversubscription / FACTOR})
        yield from _delays("network", network.latency_s, network.overhead_s)
    if cluster.intra is not None:
        faster = _rate(nominal_intra_bandwidth(scenario) * FACTOR)
        yield Lever("network.intra.bandwidth", {"network.intra.bandwidth": faster})
        yield from _delays("network.intra", cluster.intra.latency_s, cluster.intra.overhead_s)
    if "servers" in meta and cluster.server.takes_time:
        yield Lever("cluster.server", _faster_server(scenario))
    if scenario.data.store_bandwidth is not None:
        faster = _rate(scenario.data.store_bandwidth * FACTOR)
        yield Lever("data.store_bandwidth", {"data.store_bandwidth": faster})


def _delays(section: str, latency_s: float, overhead_s: float) -> Iterator[Lever]:
    for key, seconds in (("latency", latency_s), ("overhead", overhead_s)):
        if seconds > 0:
            path = f"{section}.{key}"
            yield Lever(path, {path: f"{seconds / FACTOR!r} s"})


def _faster_server(scenario: Scenario) -> dict[str, object]:
    """Return the settings of servers whose CPUs do everything faster."""
    server = scenario.cluster.server
    settings: dict[str, object] = {}
    if server.add_rate is not None:
        settings["cluster.server.add_rate"] = _rate(server.add_rate * FACTOR)
    if server.update_rate is not None:
        settings["cluster.server.update_rate"] = _rate(server.update_rate * FACTOR)
    if server.overhead > 0:
        settings["cluster.server.overhead"] = f"{server.overhead / FACTOR!r} s"
    return settings


def _rate(bytes_per_s: float) -> str:
    return f"{bytes_per_s!r} B/s"


def enough_servers(
    setting: Setting, measured: Measured, progress: Report | None = None
) -> tuple[Servers | None, bool]:
    """Return the least number of parameter servers that is enough, and whether all were tried.

    Enough is a step at most 2 % longer than the shortest with 1, 2, 4, ... servers, up to four a worker (or
    one a machine, where they live there); between the last power of two that is too few and the first
    that is enough, it is found by bisection. None where there are no servers, or hardly any could be tried.
    """
    meta, cluster = measured.program.meta, setting.cluster
    if "servers" not in meta:
        return None, True
    limit = cluster.nodes if meta.get("colocate") else SERVERS_PER_WORKER * cluster.workers
    if "copies" in meta:  # each has workers of its own
        limit = cluster.workers
    powers = [1 << bit for bit in range(limit.bit_length()) if 1 << bit < limit] + [limit]
    trials = Trials(measured, 2 * len(powers), progress)
    steps: dict[int, float] = {}

    def step_with(servers: int) -> float:
        path = f"strategies[{setting.strategy.name}].servers"
        scenario, strategy = changed(setting.scenario, setting.strategy, path, servers)
        steps[servers] = trials.run(prepare(scenario, strategy), f"{servers} servers").step_s
        return steps[servers]

    complete = True
    for servers in powers:
        try:
            step_with(servers)
        except SimparError:
            complete = False
            break
    if len(steps) < 2 and limit > 1:
        return None, complete
    most = max(steps)
    bound = (1.0 + NEAR) * min(steps.values())
    enough = min(servers for servers, step_s in steps.items() if step_s <= bound)
    too_few = max((servers for servers in steps if servers < enough), default=0)
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        try:
            fits = step_with(middle) <= bound
        except SimparError:
            complete = False
            break
        enough, too_few = (middle, too_few) if fits else (enough, middle)
    return Servers(enough, steps[enough], most), complete
