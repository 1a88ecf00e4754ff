"""The machines: devices, servers and the network between them, as plain numbers.

Everything is SI: seconds, bytes, bytes per second, FLOP/s. ``None`` means "not stated", never zero.
:func:`simpar.hardware.build` makes a :class:`Cluster` from what a person wrote.
"""

from __future__ import annotations

from dataclasses import dataclass

from simpar.hardware.topology import Graph, Tree


@dataclass(frozen=True, slots=True)
class Device:
    """What one worker computes with. Either its times were measured or its rate is known."""

    name: str
    """As people write it: ``V100 SXM2 16 GB``; ``measured`` for a device given by times."""

    forward_s: float | None
    """Measured seconds of one forward pass over ``measured_batch`` samples."""

    backward_s: float | None
    """Measured seconds of one backward pass, likewise."""

    measured_batch: int | None
    """Batch of those times; None where they belong to the scenario's own batch."""

    flops_per_s: float | None
    """FLOP/s that it reaches on this model's dtype: peak times efficiency."""

    memory_bytes: float | None
    """Memory; None where nothing is known, and then everything fits."""

    memory_bytes_per_s: float | None
    """Bandwidth of that memory."""

    half_flops: float = 0.0
    """FLOPs of an operation that reaches half of ``flops_per_s``; 0: all reach it."""

    launch_s: float = 0.0
    """Seconds to launch one operation."""

    roofline: bool = False
    """Whether an operation takes no less than its bytes over the memory's bandwidth."""

    @property
    def is_linear(self) -> bool:
        """Whether twice the samples take twice as long."""
        return not (self.half_flops or self.launch_s or self.roofline)


@dataclass(frozen=True, slots=True)
class Server:
    """What one parameter server does with what it receives."""

    add_bytes_per_s: float | None
    """Rate at which one key's received gradients are added up; None: no time."""

    update_bytes_per_s: float | None
    """Rate at which one key's parameters are updated; None: no time."""

    threads: int
    """Keys that it works on at once."""

    overhead_s: float = 0.0
    """Seconds each time that it takes up a key, before the bytes."""

    @property
    def takes_time(self) -> bool:
        """Whether anything that it does takes time."""
        return bool(self.add_bytes_per_s or self.update_bytes_per_s or self.overhead_s)


@dataclass(frozen=True, slots=True)
class Intra:
    """The links between the devices of one machine: one full-duplex link a device, nothing blocks between."""

    bytes_per_s: float
    """Payload rate of one direction of a device's link."""

    latency_s: float
    """Seconds from sender to receiver, once a message."""

    overhead_s: float
    """Seconds that each message occupies its channel before its bytes."""


@dataclass(frozen=True, slots=True)
class Network:
    """The links between machines and servers; rates are what other traffic leaves of them."""

    bytes_per_s: float
    """Payload rate of one direction of a machine's link, which all its devices share."""

    server_bytes_per_s: float
    """The same of a server's link."""

    latency_s: float
    """Seconds from sender to receiver, once a message, over the whole path."""

    overhead_s: float
    """Seconds that each message occupies its channel before its bytes."""

    sharing: str
    """``fair`` (max-min among channels) or ``fifo`` (one message at a time a link)."""

    topology: Tree | Graph | None = None
    """How links are joined. None is a star: one full-duplex link each to a switch that never blocks."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that a strategy needs to know of the machines."""

    workers: int
    """One a device."""

    device: Device
    speeds: tuple[float, ...]
    """Relative speed of each worker; 1.0 is the device as described, 0.5 takes twice as long."""

    server: Server
    network: Network | None
    """None where the scenario describes none; only strategies without messages can run then."""

    devices_per_node: int = 1
    """Devices, and so workers, of each machine: workers 0 to D - 1 live on machine 0."""

    intra: Intra | None = None
    """Links between the devices of a machine; None where each machine has one device."""

    @property
    def nodes(self) -> int:
        """Number of machines with devices."""
        return self.workers // self.devices_per_node

    def node_of(self, worker: int) -> int:
        """Return the machine on which *worker* lives."""
        return worker // self.devices_per_node

    def links_between(self, worker: int, other: int) -> Intra | Network | None:
        """Return what a message between two workers crosses: links inside a machine, or the network."""
        inside = self.node_of(worker) == self.node_of(other)
        return self.intra if inside and self.intra is not None else self.network
