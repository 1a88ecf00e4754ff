"""What every strategy needs: the times of layers, groups of layers, and messages on a star.

A strategy gets a :class:`Setting` and writes its program with a :class:`Star`. Nothing here knows
how anything is printed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simpar.cost import compute
from simpar.cost.memory import Memory, optimizer_state
from simpar.errors import InputError
from simpar.hardware import Cluster, Network
from simpar.hardware.topology import STORE, Graph, Links
from simpar.program import Op, Program, ProgramBuilder
from simpar.scenario import Scenario, Strategy
from simpar.scenario.options import PREDICTING
from simpar.strategies import operations
from simpar.workload import Workload


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that a strategy compiles from."""

    scenario: Scenario
    strategy: Strategy
    workload: Workload
    cluster: Cluster
    shares: tuple[int, ...] = ()
    """Samples of each worker in a step, where they differ."""
    _times: dict[tuple[float, float], tuple[list[float], list[float]]] = field(default_factory=dict)
    _passes: dict[tuple[float, float, tuple[int, int]], tuple[float, float]] = field(default_factory=dict)

    @property
    def iterations(self) -> int:
        """Iterations to run: the warm-up and the steps that are measured."""
        return self.scenario.run.warmup + self.scenario.run.steps

    @property
    def global_batch(self) -> int:
        """Samples of all workers together in a step."""
        return sum(self.shares) if self.shares else self.cluster.workers * self.workload.batch

    def samples(self, worker: int) -> int:
        """Return the samples of *worker* in a step."""
        return self.shares[worker] if self.shares else self.workload.batch

    def optimizer_bytes(self, parameters: int) -> float:
        """Return the bytes that the optimizer keeps for so many *parameters*."""
        return optimizer_state(parameters, self.workload.dtype_bytes, self.scenario.model.optimizer)

    def refuse(self, option: str, message: str, fix: str = "") -> InputError:
        """Return the error that says what is wrong with one of the strategy's options."""
        path = f"strategies[{self.strategy.index}]" + (f".{option}" if option else "")
        return InputError([self.scenario.problem(path, message, fix)])


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that run as one task: one with parameters and those without that follow it."""

    layers: tuple[int, int]
    """Half-open range."""
    tensors: tuple[int, ...]
    """Its parameter tensors, as indices in the model's order."""


def layer_times(setting: Setting, worker: int, samples: float) -> tuple[list[float], list[float]]:
    """Return the seconds of each layer, forward and backward, for *samples* samples on *worker*.

    Measured layers scale with the samples; a device given by its times spreads them over the layers
    by FLOPs; otherwise each layer takes its FLOPs over the device's rate, or what
    :mod:`simpar.strategies.operations` says where launches, small operations or memory count.
    """
    speed = setting.cluster.speeds[worker]
    if not samples:
        return [0.0] * len(setting.workload.layers), [0.0] * len(setting.workload.layers)
    if (speed, samples) not in setting._times:
        setting._times[speed, samples] = _layer_times(setting, speed, samples)
    return setting._times[speed, samples]


def pass_times(setting: Setting, worker: int, samples: float, layers: tuple[int, int]) -> tuple[float, float]:
    """Return the seconds of *layers*, half-open, together: as :func:`layer_times`, but summed."""
    key = setting.cluster.speeds[worker], samples, layers
    known = setting._passes.get(key)
    if known is None:
        forward, backward = (math.fsum(t[slice(*layers)]) for t in layer_times(setting, worker, samples))
        known = setting._passes[key] = forward, backward
    return known


def _layer_times(setting: Setting, speed: float, samples: float) -> tuple[list[float], list[float]]:
    workload, device = setting.workload, setting.cluster.device
    slow = 1.0 / speed
    if workload.measured_batch is not None:
        share = slow * samples / workload.measured_batch
        forward = [(layer.forward_s or 0.0) * share for layer in workload.layers]
        backward = [(layer.backward_s or 0.0) * share for layer in workload.layers]
    elif device.forward_s is not None and device.backward_s is not None:
        share = slow * samples / (device.measured_batch or workload.batch)
        forward = compute.spread(device.forward_s * share, [layer.forward_flops for layer in workload.layers])
        backward = compute.spread(
            device.backward_s * share, [layer.backward_flops for layer in workload.layers]
        )
    elif not device.is_linear:
        forward, backward = operations.layer_times(workload, device, samples)
        forward, backward = [slow * one for one in forward], [slow * one for one in backward]
    else:
        assert device.flops_per_s is not None, "the scenario was checked: a device has times or a rate"
        rate = device.flops_per_s / slow
        forward = [compute.layer_seconds(layer.forward_flops, samples, rate) for layer in workload.layers]
        backward = [compute.layer_seconds(layer.backward_flops, samples, rate) for layer in workload.layers]
    return forward, backward


def is_linear(setting: Setting) -> bool:
    """Return whether twice the samples take twice as long, as measured times are taken to."""
    device = setting.cluster.device
    measured = setting.workload.measured_batch is not None or device.forward_s is not None
    return measured or device.is_linear


def batch_seconds(setting: Setting, worker: int, samples: float) -> float:
    """Return the seconds that *worker* computes for *samples* samples, forward and backward."""
    forward, backward = layer_times(setting, worker, samples)
    return math.fsum(forward) + math.fsum(backward)


def alone_seconds(setting: Setting, worker: int, samples: float) -> float:
    """Return the seconds that *worker* alone needs for what the strategy does with *samples* samples.

    Who predicts goes forward only; who trains, backward too.
    """
    if setting.strategy.kind in PREDICTING:
        return math.fsum(layer_times(setting, worker, samples)[0])
    return batch_seconds(setting, worker, samples)


def fastest(setting: Setting) -> int:
    """Return the fastest worker, the first of equals."""
    speeds = setting.cluster.speeds
    return speeds.index(max(speeds))


def groups(workload: Workload) -> list[Group]:
    """Return the layers as groups of one layer with parameters and those without that follow it.

    Layers without parameters before the first one with any are a group without tensors.
    """
    found: list[Group] = []
    tensor = 0
    for index, layer in enumerate(workload.layers):
        count = len(layer.tensors)
        if count == 0 and found:
            found[-1] = Group((found[-1].layers[0], index + 1), found[-1].tensors)
        else:
            found.append(Group((index, index + 1), tuple(range(tensor, tensor + count))))
        tensor += count
    return found


def tensor_elements(workload: Workload) -> list[tuple[int, int]]:
    """Return (layer, elements) of each parameter tensor, in the model's order."""
    return [
        (index, tensor.elements) for index, layer in enumerate(workload.layers) for tensor in layer.tensors
    ]


INTERLEAVED = ("strided", "literal")
"""Rules of splitting under which a worker's samples are not neighbours."""


class Way(NamedTuple):
    """How a message gets from one end to the other."""

    links: tuple[tuple[str, float], ...]
    """(name, bytes per second) in order; none where nothing has to move."""
    latency_s: float
    overhead_s: float


class Star:
    """A program under construction on machines that a network joins, by default around one switch.

    Every machine and every server has a full-duplex link: ``w3.out``, ``w3.in``, ``ps0.out``, ``ps0.in``.
    Where machines have several devices, they are called ``n0``, ``n1``, their links ``n0.out``, ``n0.in``,
    and ``w3.out``, ``w3.in`` are the links of a device inside its machine. What leaves a machine crosses the
    machine's own link only: the way there from the device is not charged. In a tree, messages cross the
    uplinks of racks, ``rack0.up`` and ``rack1.down``, between those of the two ends; in a ring, and where
    links are listed, they cross the links on their way instead: ``w0>w1``, ``w0>s0``.
    """

    def __init__(self, setting: Setting, iterations: int | None = None) -> None:
        """Begin a program; *iterations* where it is not the warm-up and the measured steps."""
        network = setting.cluster.network
        self.setting, self.network = setting, network
        # Looked up once: a model in slices sends hundreds of messages each way.
        self._ways: dict[tuple[int, int], Way] = {}
        self._server_ways: dict[tuple[int, int, bool], Way] = {}
        self._cpus: dict[int, int] = {}
        self.builder = ProgramBuilder(
            setting.strategy.name,
            setting.iterations if iterations is None else iterations,
            network.sharing if network else "fair",
        )
        self.begins: list[int] = []
        """Of each message of collectives whose ``key`` is no chunk of the whole bucket, in the order of the
        tasks: the first element of its bucket that it carries."""

    def device(self, worker: int) -> int:
        """Return the resource on which *worker* computes."""
        return self.builder.resource(f"w{worker}", "device")

    def server_cpu(self, server: int, by_priority: bool = False) -> int:
        """Return the resource on which *server* adds and updates."""
        known = self._cpus.get(server)
        if known is None:
            threads = self.setting.cluster.server.threads
            discipline = "priority" if by_priority else "fifo"
            name = f"ps{server}.cpu"
            known = self.builder.resource(name, "server", capacity=threads, discipline=discipline)
            self._cpus[server] = known
        return known

    def host_of(self, server: int) -> int | None:
        """Return the machine of workers on which *server* lives, None where it has one of its own."""
        colocated = getattr(self.setting.strategy.options, "colocate", False)
        return server % self.setting.cluster.nodes if colocated else None

    def way(self, source: int, target: int) -> Way:
        """Return the way of a message between two workers."""
        known = self._ways.get((source, target))
        if known is None:
            ends = self.setting.cluster.node_of(source), self.setting.cluster.node_of(target)
            if ends[0] == ends[1]:
                known = self._inside((f"w{source}.out", f"w{target}.in"))
            else:
                known = self._across(self._port(ends[0]), self._port(ends[1]))
            self._ways[source, target] = known
        return known

    def way_to_server(self, worker: int, server: int, *, back: bool = False) -> Way:
        """Return the way of a push, or *back*, of the reply to a pull.

        A server on the worker's own machine is reached over the device's link inside it; where nothing is
        known of such links, at no cost.
        """
        known = self._server_ways.get((worker, server, back))
        if known is None:
            known = self._server_ways[worker, server, back] = self._way_to_server(worker, server, back)
        return known

    def _way_to_server(self, worker: int, server: int, back: bool) -> Way:
        cluster, host = self.setting.cluster, self.host_of(server)
        node = cluster.node_of(worker)
        if host == node:
            inside = f"w{worker}.in" if back else f"w{worker}.out"
            return self._inside((inside,)) if cluster.intra else Way((), 0.0, 0.0)
        there = (f"ps{server}", self._known.server_bytes_per_s) if host is None else self._port(host)
        ends = (self._port(node), there)
        return self._across(*(ends[::-1] if back else ends))

    def from_store(self, worker: int) -> Links:
        """Return the links between that of the store and the machine of *worker*."""
        name, rate = self._port(self.setting.cluster.node_of(worker))
        topology = self._known.topology
        if isinstance(topology, Graph):
            return topology.way(STORE, name)
        inner = topology.between(STORE, name) if topology else ()
        return *inner, (f"{name}.in", rate)

    @property
    def _known(self) -> Network:
        assert self.network is not None, "the scenario was checked: messages need a network"
        return self.network

    def _port(self, node: int) -> tuple[str, float]:
        """Return name and rate of the link that a machine has to the switch."""
        name = f"n{node}" if self.setting.cluster.devices_per_node > 1 else f"w{node}"
        return name, self._known.bytes_per_s

    def _across(self, source: tuple[str, float], target: tuple[str, float]) -> Way:
        network = self._known
        topology = network.topology
        if isinstance(topology, Graph):
            for name, _ in (source, target):
                if name not in topology.nodes:  # more servers than the scenario was checked for
                    said = f"network.topology has no place for {name}"
                    raise self.setting.refuse("servers", said, "write fewer")
            links = topology.way(source[0], target[0])
        else:
            inner = topology.between(source[0], target[0]) if topology else ()
            links = ((f"{source[0]}.out", source[1]), *inner, (f"{target[0]}.in", target[1]))
        return Way(links, network.latency_s, network.overhead_s)

    def _inside(self, links: tuple[str, ...]) -> Way:
        intra = self.setting.cluster.intra
        assert intra is not None, "the scenario was checked: devices of one machine have links"
        return Way(tuple((link, intra.bytes_per_s) for link in links), intra.latency_s, intra.overhead_s)

    def _send(
        self,
        name: str,
        op: Op,
        ends: tuple[str, str],
        way: Way,
        n_bytes: float,
        after: Sequence[int],
        priority: int | None = None,
        after_s: float = 0.0,
    ) -> tuple[int, int]:
        return self.builder.message(
            name,
            op,
            *ends,
            way.links,
            n_bytes,
            latency=way.latency_s,
            overhead=way.overhead_s,
            after=after,
            priority=priority,
            after_s=after_s,
        )

    def push(
        self,
        worker: int,
        server: int,
        n_bytes: float,
        after: Sequence[int],
        key: int = -1,
        priority: int | None = None,
        turn: int = -1,
    ) -> tuple[int, int]:
        """Add a push of a worker's gradients to a server; return its (first, last) task.

        *turn* numbers those of an iteration that has several; -1 is the only one, or the last.
        """
        return self._exchange("push", worker, server, n_bytes, after, key, priority, turn)

    def pull(
        self,
        worker: int,
        server: int,
        n_bytes: float,
        after: Sequence[int],
        key: int = -1,
        priority: int | None = None,
    ) -> tuple[int, int]:
        """Add the reply to a pull, from a server to a worker; return its (first, last) task."""
        return self._exchange("pull", worker, server, n_bytes, after, key, priority)

    def output(self, worker: int, server: int, n_bytes: float, after: Sequence[int]) -> tuple[int, int]:
        """Add a message that brings a worker's outputs to a server; return its (first, last) task."""
        return self._exchange("output", worker, server, n_bytes, after, -1, None)

    def records(self, worker: int, server: int, n_bytes: float, after: Sequence[int]) -> tuple[int, int]:
        """Add a message that brings a worker's records to a server; return its (first, last) task."""
        return self._exchange("records", worker, server, n_bytes, after, -1, None)

    def between_servers(
        self, name: str, op: Op, source: int, target: int, n_bytes: float, after: Sequence[int]
    ) -> tuple[int, int]:
        """Add a message between two servers on machines of their own; return its (first, last) task."""
        ends = f"ps{source}", f"ps{target}"
        rate = self._known.server_bytes_per_s
        way = self._across((ends[0], rate), (ends[1], rate))
        return self._send(name, op, ends, way, n_bytes, after)

    def _exchange(
        self,
        kind: str,
        worker: int,
        server: int,
        n_bytes: float,
        after: Sequence[int],
        key: int,
        priority: int | None,
        turn: int = -1,
    ) -> tuple[int, int]:
        back = kind == "pull"
        ends = (f"ps{server}", f"w{worker}") if back else (f"w{worker}", f"ps{server}")
        name = f"w{worker}.{kind}.ps{server}" + (f".{key}" if key >= 0 else "")
        name += f".turn{turn}" if turn >= 0 else ""
        op = Op(kind, worker=worker, server=server, key=key, step=turn)
        way = self.way_to_server(worker, server, back=back)
        return self._send(name, op, ends, way, n_bytes, after, priority)

    def send(
        self,
        name: str,
        op: Op,
        source: int,
        target: int,
        n_bytes: float,
        after: Sequence[int],
        priority: int | None = None,
        after_s: float = 0.0,
    ) -> tuple[int, int]:
        """Add a message between two workers; return its (first, last) task.

        What waits for it waits *after_s* seconds more.
        """
        ends = (f"w{source}", f"w{target}")
        return self._send(name, op, ends, self.way(source, target), n_bytes, after, priority, after_s)

    def program(
        self,
        *,
        clock: str,
        updates: Sequence[int],
        samples: int,
        workers: int,
        memory: Memory,
        **facts: Any,
    ) -> Program:
        """Return the program, with what reports and those who run it must know of it.

        For those who run it, ``batch`` and ``global_batch`` are the samples of a worker and of all workers
        together in an iteration, ``dtype_bytes`` the bytes of one element, ``begins`` as :class:`Star` has
        them.

        Args:
            clock: ``sync`` where a step ends when the last of *updates* has ended in an iteration,
                ``async`` where every one of them applies one worker's gradients.
            samples: trained on in one iteration by all workers together.
            memory: of the device that needs most.
            facts: whatever else is worth knowing, plain JSON.
        """
        setting = self.setting
        return self.builder.build(
            {
                "strategy": setting.strategy.name,
                "kind": setting.strategy.kind,
                "clock": clock,
                "updates": list(updates),
                "samples": samples,
                "workers": workers,
                "warmup": setting.scenario.run.warmup,
                "memory_bytes": memory.total,
                "memory": memory.to_dict(),
                "sharing": self.builder.sharing,
                "batch": setting.workload.batch,
                "global_batch": setting.global_batch,
                **({"shares": list(setting.shares)} if setting.shares else {}),
                **({"split": split} if (split := setting.scenario.data.split) in INTERLEAVED else {}),
                "dtype_bytes": setting.workload.dtype_bytes,
                **({"begins": self.begins} if self.begins else {}),
                **facts,
            }
        )
