"""The cluster that a scenario describes: what it says, completed from presets, as plain numbers.

What a person writes by hand always wins over a preset, and a preset over the instance. A rate is a peak
times an efficiency, a bandwidth likewise. Assumed here: one device a worker, machines with one full-duplex
link each around a switch, servers with links as fast as the machines' unless the scenario says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simpar.errors import InputError, Problem
from simpar.hardware.cluster import Cluster, Device, Intra, Network, Server
from simpar.hardware.devices import DevicePreset, load_devices
from simpar.hardware.instances import InstancePreset, load_instances
from simpar.hardware.links import LinkPreset, load_links
from simpar.hardware.topology import Graph, Tree, ring
from simpar.workload import DTYPE_BYTES, Workload

if TYPE_CHECKING:
    from simpar.scenario.schema import DeviceSpec, IntraSpec, NetworkSpec, Scenario


def build(scenario: Scenario, workload: Workload) -> Cluster:
    """Return the machines of *scenario*, with the rate that its device reaches on *workload*'s element type.

    ``flops_per_s`` is the peak (``cluster.device.flops``, else the preset's for the element type) times the
    efficiency (``cluster.device.efficiency``, else the preset's for the element type, else 1). It is None
    where neither is stated, and where times were measured: then nothing asks for it. A link's payload rate
    is ``network.bandwidth`` times ``network.efficiency``. ``cluster.instance`` gives the device, the devices
    of a machine and the links where the scenario leaves them out.

    Raises:
        InputError: the preset has no rate for the element type, or no efficiency for it while the scenario
            gives neither a rate nor an efficiency; ``cluster.speed`` names another number of workers.
    """
    problems: list[Problem] = []
    cluster = scenario.cluster
    device = _device(scenario, workload, problems)
    speeds = (1.0,) * cluster.workers if cluster.speed is None else tuple(cluster.speed)
    if len(speeds) != cluster.workers:
        problems.append(
            scenario.problem(
                "cluster.speed",
                f"gives {len(speeds)} speeds for {cluster.workers} workers",
                "write one number a worker",
            )
        )
    if problems:
        raise InputError(problems)
    slow = [one for one in scenario.variation.stragglers or () if one.probability is None]
    for one in slow:  # for ever: a slower worker, to everyone who reckons with speeds
        if one.worker is not None and one.worker < len(speeds):
            index = one.worker
            speeds = (*speeds[:index], speeds[index] / one.factor, *speeds[index + 1 :])
    return Cluster(
        cluster.workers,
        device,
        speeds,
        _server(scenario),
        _network(scenario),
        cluster.per_node,
        _intra(scenario) if cluster.per_node > 1 else None,
    )


def nominal_bandwidth(scenario: Scenario) -> float | None:
    """Return the bytes per second that ``network.bandwidth`` says or stands for, before its efficiency."""
    spec, instance = scenario.network, _instance(scenario)
    if spec is not None and spec.bandwidth is not None:
        return spec.bandwidth
    if spec is not None and spec.preset is not None:
        return load_links()[spec.preset].rate.value
    return None if instance is None else instance.network.value


def nominal_intra_bandwidth(scenario: Scenario) -> float:
    """Return the bytes per second of a link inside a machine, before its efficiency.

    The scenario has machines of several devices, and so such links: they are checked when it is loaded.
    """
    network, instance = scenario.network, _instance(scenario)
    spec = network.intra if network is not None else None
    if spec is not None and spec.bandwidth is not None:
        return spec.bandwidth
    link = _link(spec, None if instance is None else instance.intra)
    assert link is not None, "the scenario was checked: machines of several devices have links inside"
    return link.rate.value


def _instance(scenario: Scenario) -> InstancePreset | None:
    name = scenario.cluster.instance
    return None if name is None else load_instances()[name]


def _device(scenario: Scenario, workload: Workload, problems: list[Problem]) -> Device:
    spec, instance = scenario.cluster.device, _instance(scenario)
    if spec is None:
        return Device("measured", None, None, None, None, None, None)
    key = instance.device if spec.preset is None and instance is not None else spec.preset
    preset = None if key is None else load_devices()[key]
    measured = spec.forward is not None and spec.backward is not None
    memory, memory_bandwidth = spec.memory, spec.memory_bandwidth
    if preset is not None:
        memory = preset.memory.value if memory is None else memory
        memory_bandwidth = preset.memory_bandwidth.value if memory_bandwidth is None else memory_bandwidth
    return Device(
        name=_name(spec, preset, measured),
        forward_s=spec.forward,
        backward_s=spec.backward,
        measured_batch=spec.batch,
        flops_per_s=None
        if measured or workload.measured_batch is not None
        else _rate(scenario, spec, preset, workload.dtype, problems),
        memory_bytes=memory,
        memory_bytes_per_s=memory_bandwidth,
        half_flops=spec.half_flops or 0.0,
        launch_s=spec.launch,
        roofline=spec.roofline,
    )


def _name(spec: DeviceSpec, preset: DevicePreset | None, measured: bool) -> str:
    """Return what people call the device: its preset, or how the scenario knows it."""
    if preset is not None:
        return preset.name
    return "measured" if measured or spec.flops is None else "custom"


def _rate(
    scenario: Scenario,
    spec: DeviceSpec,
    preset: DevicePreset | None,
    dtype: str,
    problems: list[Problem],
) -> float | None:
    """Return the FLOP/s that the device reaches on *dtype*; None where nothing is stated."""
    if spec.flops is None and preset is None:
        return None
    peaks = {} if preset is None else {one: figure.value for one, figure in preset.peak.items()}
    shares = {} if preset is None else {one: figure.value for one, figure in preset.efficiency.items()}
    name = "" if preset is None else preset.key
    peak = peaks.get(dtype) if spec.flops is None else spec.flops
    if peak is None:
        known = [one for one in DTYPE_BYTES if one in peaks]
        problems.append(
            scenario.problem(
                "model.dtype",
                f"device {name} has no rate for {dtype}",
                f"write one of: {', '.join(known)}; or give cluster.device.flops",
            )
        )
        return None
    share = spec.efficiency
    if share is None:
        share = shares.get(dtype, None if spec.flops is None else 1.0)
    if share is None:
        problems.append(
            scenario.problem(
                "cluster.device",
                f"nobody has measured what {name} reaches of its peak on {dtype}",
                "write cluster.device.efficiency, for instance 0.5",
            )
        )
        return None
    return peak * share


def _server(scenario: Scenario) -> Server:
    """Return the server; threads that share a key make it faster, and fewer keys are worked on at once."""
    spec = scenario.cluster.server
    together = spec.threads_per_key
    return Server(
        add_bytes_per_s=None if spec.add_rate is None else spec.add_rate * together,
        update_bytes_per_s=None if spec.update_rate is None else spec.update_rate * together,
        threads=spec.threads // together,
        overhead_s=spec.overhead,
    )


def _network(scenario: Scenario) -> Network | None:
    spec, instance = scenario.network, _instance(scenario)
    bandwidth = nominal_bandwidth(scenario)
    if bandwidth is None:
        return None
    link = _link(spec, None if instance is None else instance.inter)
    if spec is None:
        assert link is not None, "an instance names its link"
        rate = bandwidth * link.efficiency.value
        return Network(rate, rate, link.latency.value, 0.0, "fair")
    server_bandwidth = bandwidth if spec.server_bandwidth is None else spec.server_bandwidth
    efficiency = _efficiency(spec, link)
    left = 1.0 - spec.background
    return Network(
        bytes_per_s=bandwidth * efficiency * left,
        server_bytes_per_s=server_bandwidth * efficiency * left,
        latency_s=_latency(spec, link),
        overhead_s=spec.overhead,
        sharing=spec.sharing,
        topology=_topology(scenario, spec, bandwidth * efficiency, efficiency),
    )


def _topology(
    scenario: Scenario, network: NetworkSpec, bytes_per_s: float, efficiency: float
) -> Tree | Graph | None:
    """Return how links are joined, None for a star.

    Args:
        bytes_per_s: of a machine's link, before other traffic takes its share.
        efficiency: of all links.
    """
    spec, cluster = network.topology, scenario.cluster

    def left(background: float | None) -> float:
        return 1.0 - (network.background if background is None else background)

    machines = cluster.workers // cluster.per_node
    if spec.kind == "tree":
        assert spec.rack is not None, "the scenario was checked: a tree has racks"
        if spec.uplink is not None:
            uplink = spec.uplink * efficiency
        else:
            assert spec.oversubscription is not None, "the scenario was checked: uplinks have a rate"
            uplink = spec.rack * bytes_per_s / spec.oversubscription
        return Tree(machines, spec.rack, uplink * left(spec.background), spec.servers)
    if spec.kind == "ring":
        servers = [
            getattr(one.options, "servers", 0)
            for one in scenario.strategies
            if not getattr(one.options, "colocate", False)
        ]
        names = [f"{'n' if cluster.per_node > 1 else 'w'}{machine}" for machine in range(machines)]
        names += [f"ps{server}" for server in range(max(servers, default=0))]
        return ring(names, bytes_per_s * left(None))
    if spec.kind == "links":
        assert spec.links is not None, "the scenario was checked: links are listed"
        return Graph(
            (
                link.between[0],
                link.between[1],
                (bytes_per_s if link.bandwidth is None else link.bandwidth * efficiency)
                * left(link.background),
            )
            for link in spec.links
        )
    return None


def _intra(scenario: Scenario) -> Intra:
    """Return the links between the devices of a machine."""
    network, instance = scenario.network, _instance(scenario)
    spec = network.intra if network is not None else None
    link = _link(spec, None if instance is None else instance.intra)
    if spec is None:
        assert link is not None, "the scenario was checked: machines of several devices have links inside"
        return Intra(link.bytes_per_s, link.latency.value, 0.0)
    bandwidth = nominal_intra_bandwidth(scenario)
    return Intra(bandwidth * _efficiency(spec, link), _latency(spec, link), spec.overhead)


def _link(spec: NetworkSpec | IntraSpec | None, of_instance: str | None) -> LinkPreset | None:
    """Return the preset that the scenario names, or else that of its instance; None without either."""
    name = of_instance if spec is None or spec.preset is None else spec.preset
    return None if name is None else load_links()[name]


def _efficiency(spec: NetworkSpec | IntraSpec, link: LinkPreset | None) -> float:
    if spec.efficiency is not None:
        return spec.efficiency
    return 1.0 if link is None else link.efficiency.value


def _latency(spec: NetworkSpec | IntraSpec, link: LinkPreset | None) -> float:
    if spec.latency is not None:
        return spec.latency
    return 0.0 if link is None else link.latency.value
