"""What people write, section by section, checked and in SI units.

Every section is a frozen pydantic model; a key that is not listed is an error. Settings that depend
on one another are checked in :mod:`simpar.scenario.checks`, with line and column.
Start with :class:`Scenario`, at the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import BeforeValidator, Field, create_model, model_validator

from simpar.errors import InputError, Problem
from simpar.scenario.fields import (
    Batch,
    Choice,
    Duration,
    FlopRate,
    Flops,
    Fraction,
    PositiveDuration,
    PositiveSize,
    Preset,
    Price,
    Rate,
    Share,
    Speed,
    Strict,
    Whole,
    Workers,
    complaint,
)
from simpar.scenario.model import ModelSpec, ProfileFile
from simpar.scenario.options import Strategy
from simpar.scenario.presets import (
    DEVICE_PRESETS,
    INSTANCE_DEVICES,
    INSTANCE_PRESETS,
    LINK_PRESETS,
)
from simpar.scenario.source import Source, split_path
from simpar.scenario.topology import TREE, Background, TopologySpec
from simpar.scenario.variation import VariationSpec
from simpar.scenario.words import Path, did_you_mean
from simpar.units import shown


class DataSpec(Strict):
    """The training data."""

    set: Annotated[Literal["digits", "characters", "regression"], Choice("data set")] | None = None
    """What 'simpar replay' really trains on."""

    records: Annotated[int, Whole(1, 10**15)] | None = None
    """Samples in an epoch; with a set by default all that it has."""

    split: Annotated[Literal["balanced", "block", "strided", "literal"], Choice("split")] = "balanced"
    """Which worker gets which samples of a step: how many, where they do not divide, and which ones."""

    slice_len: Batch | None = None
    """In place of model.batch: samples of a slice, a worker's step."""

    num_slices: Annotated[int, Whole(1, 10**15)] | None = None
    """In place of model.batch: slices that a worker's share of data.records is cut into."""

    record_bytes: PositiveSize | None = None
    """Size of one sample, '110 kB', as it is read from a store or sent as payload."""

    store_bandwidth: Rate | None = None
    """Rate of the store that all workers read from, '10 Gbit/s'; by default data is there at once."""

    prefetch: Annotated[int, Whole(1, 1000)] = 2
    """Batches that a worker has room for: 2 or more are read while it computes."""


class DeviceSpec(Strict):
    """What one worker computes with: measured times, or a preset, or a rate."""

    preset: Annotated[str, Preset(DEVICE_PRESETS, "device")] | None = None
    """A device that simpar knows; memory, efficiency and flops may be stated beside it."""

    forward: PositiveDuration | None = None
    """Measured time of the model's forward pass over one batch, '60 ms'."""

    backward: PositiveDuration | None = None
    """Measured time of the model's backward pass over one batch, '120 ms'."""

    batch: Batch | None = None
    """Batch that those times belong to; by default the scenario's own."""

    flops: FlopRate | None = None
    """Peak rate on the model's dtype, '312 TFLOP/s'."""

    efficiency: Fraction | None = None
    """Share of the peak rate that training reaches, above 0 and at most 1."""

    memory: PositiveSize | None = None
    """Memory, '80 GiB'; without it everything fits."""

    memory_bandwidth: Rate | None = None
    """Bandwidth of that memory, '900 GB/s'."""

    roofline: bool = False
    """Whether a layer takes no less than the bytes it moves over that bandwidth."""

    half_flops: Flops | None = None
    """FLOPs of an operation that reaches half the efficiency, '2 GFLOP'; by default all reach all of it."""

    launch: Duration = 0.0
    """Time to launch one operation, '5 us': one a layer in each direction, for every microbatch."""


class ServerSpec(Strict):
    """What one parameter server does with what it receives."""

    add_rate: Rate | None = None
    """Bytes of gradients that a thread adds up a second, '10 GB/s'; by default adding takes no time."""

    update_rate: Rate | None = None
    """Bytes of parameters that a thread updates a second, '10 GB/s'; by default updating takes no time."""

    threads: Workers = 1
    """Threads; each works on a tensor or slice of its own."""

    threads_per_key: Workers = 1
    """Threads that work on one tensor or slice together, each on its part."""

    overhead: Duration = 0.0
    """Time each time that it takes up a tensor or slice, to add or to update, before the bytes; '20 us'."""


def _named(value: Any) -> Any:
    """Write out the name of a preset that stands for a section."""
    return {"preset": value} if isinstance(value, str) else value


def devices_per_node(cluster: Mapping[str, Any]) -> int | None:
    """Return the devices of each machine of a raw section ``cluster``, None where they are wrong."""
    instance = cluster.get("instance")
    per_node = cluster.get("devices_per_node")
    if per_node is None:
        per_node = 1 if instance is None else INSTANCE_DEVICES.get(str(instance))
    return per_node if _is_count(per_node) else None


def count_workers(cluster: Mapping[str, Any]) -> int | None:
    """Return the workers of a raw section ``cluster``, one a device; None where they are wrong or missing."""
    workers, nodes, per_node = cluster.get("workers"), cluster.get("nodes"), devices_per_node(cluster)
    if nodes is None and cluster.get("instance") is not None:
        nodes = 1
    if workers is None and _is_count(nodes) and per_node is not None:
        return nodes * per_node
    return workers if _is_count(workers) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class ClusterSpec(Strict):
    """The machines: workers, or nodes with so many devices each."""

    workers: Workers
    """Number of workers, one a device; parameter servers are counted apart."""

    nodes: Workers | None = None
    """Number of machines, instead of workers."""

    devices_per_node: Workers | None = None
    """Devices of each machine; by default one, or as many as the instance has."""

    instance: Annotated[str, Preset(INSTANCE_PRESETS, "instance")] | None = None
    """A cloud machine that simpar knows: its devices, links and price, unless they are written by hand."""

    device: Annotated[DeviceSpec, BeforeValidator(_named)] | None = None
    """What each worker computes with: the name of a preset, or its figures."""

    speed: Annotated[tuple[Speed, ...], Field(min_length=1, max_length=100_000)] | None = None
    """Relative speed of each worker, one number a worker; 0.5 takes twice as long."""

    server: ServerSpec = ServerSpec()
    """Figures of each parameter server."""

    @property
    def per_node(self) -> int:
        """Devices of each machine."""
        if self.devices_per_node is not None:
            return self.devices_per_node
        return 1 if self.instance is None else INSTANCE_DEVICES[self.instance]

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Count the workers where machines are given instead, and let every instance have a device.

        What is wrong with the machines is said where they stand.
        """
        if not isinstance(data, dict):
            return data
        data = dict(data)
        machines = data.get("nodes") is not None or data.get("instance") is not None
        if data.get("workers") is None and machines:
            data["workers"] = count_workers(data) or 1
        if data.get("instance") is not None:
            data.setdefault("device", {})
        return data


class IntraSpec(Strict):
    """The links between the devices of one machine, one full-duplex link a device."""

    preset: Annotated[str, Preset(LINK_PRESETS, "link")] | None = None
    """A link that simpar knows; what is written beside it wins."""

    bandwidth: Rate | None = None
    """Payload rate of one direction of a device's link, '300 GB/s'."""

    latency: Duration | None = None
    """Time for an empty message to arrive, '2 us'; by default the preset's, or none."""

    overhead: Duration = 0.0
    """Time that each message occupies its channel before its bytes, '1 us'."""

    efficiency: Fraction | None = None
    """Share of the bandwidth that messages reach; by default the preset's, or 1."""


def _topology(value: Any) -> Any:
    """Write out the kind that stands for a topology without settings."""
    if isinstance(value, dict) and "kind" not in value:
        raise complaint("needs a 'kind'", f"write 'topology: {TREE}'")
    return {"kind": value} if isinstance(value, str) else value


class NetworkSpec(Strict):
    """The network between machines; by default a star, one full-duplex link each to one switch."""

    preset: Annotated[str, Preset(LINK_PRESETS, "link")] | None = None
    """A link that simpar knows; what is written beside it wins."""

    bandwidth: Rate | None = None
    """Payload rate of one direction of a link, '25 Gbit/s' or '3.1 GB/s'."""

    latency: Duration | None = None
    """Time for an empty message to arrive, '5 us'; by default the preset's, or none."""

    overhead: Duration = 0.0
    """Time that each message occupies its channel before its bytes, '1 us'."""

    efficiency: Fraction | None = None
    """Share of the bandwidth that messages reach; by default the preset's, or 1."""

    intra: Annotated[IntraSpec, BeforeValidator(_named)] | None = None
    """The links between the devices of one machine: the name of a preset, or their figures."""

    sharing: Annotated[Literal["fair", "fifo"], Choice("sharing")] = "fair"
    """How messages share a link: all at once in equal parts, or one after another."""

    server_bandwidth: Rate | None = None
    """The same as bandwidth for the links of parameter servers; by default equal to it."""

    topology: Annotated[TopologySpec, BeforeValidator(_topology)] = TopologySpec(kind="star")
    """How the links are joined: star, ring, or a tree or links with their settings."""

    background: Background = 0.0
    """Share of each link that other traffic takes, from 0 to below 1."""

    @model_validator(mode="before")
    @classmethod
    def _write_out(cls, data: Any) -> Any:
        """Take the name of a preset for the whole section."""
        return _named(data)


class RunSpec(Strict):
    """How long and how to simulate."""

    steps: Annotated[int, Whole(1, 1_000_000)] = 20
    """Steps that are counted."""

    warmup: Annotated[int, Whole(0, 100_000)] = 2
    """Steps before them that are not."""

    epochs: Annotated[int, Whole(1, 100_000)] = 10
    """Times that 'simpar replay' trains on all the data."""

    seed: Annotated[int, Whole(0, 2**63 - 1)] = 0
    """Seed of everything random."""

    engine: Annotated[Literal["auto", "reference", "compiled"], Choice("engine")] = "auto"
    """Which simulator runs: the fastest that can, SimPy, or the compiled loop. Their answers are the same."""

    stagger: Annotated[Literal["even", "none"], Choice("stagger")] = "even"
    """Whether asynchronous workers start evenly spread over their first step, or all at once."""

    collectives: Annotated[Literal["messages", "closed_form"], Choice("collectives")] = "messages"
    """Whether a collective is simulated message by message or as one formula."""


class ValidateSpec(Strict):
    """How predictions are held against measurements."""

    bound: Annotated[float, Share(10.0)] = 0.1
    """Largest error that passes, as a share of the measured time."""

    repeats: Annotated[int, Whole(1, 10_000)] = 30
    """Measurements of each case."""


class _Prices(Strict):
    """What an hour of each machine costs."""

    device: Price | None = None
    """Of one worker's device, whatever it is; its preset's own price comes first."""

    server: Price | None = None
    """Of one parameter server; by default nothing."""


PricesSpec: type[_Prices] = create_model(  # type: ignore[call-overload]  # names are data here
    "PricesSpec",
    __base__=_Prices,
    __doc__=_Prices.__doc__,
    **{
        name.replace("-", "_").replace(".", "_"): (
            Price | None,
            Field(None, alias=name, description=f"Of one {name}, '2.50 USD/h'."),
        )
        for name in (*DEVICE_PRESETS, *INSTANCE_PRESETS)
    },
)
"""A price for each device and instance preset, beside those of :class:`_Prices`."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, its overrides included, before anything was checked: what a change starts from."""

    path: str | os.PathLike[str]
    """The file."""

    data: dict[str, Any]
    """Its contents as plain data. Copied before it is changed."""

    blank: frozenset[Path]
    """Paths of the keys without a value."""

    source: Source
    """Where each setting stands."""

    text: str = ""
    """The text of the file, without the overrides."""

    overrides: tuple[tuple[str, str], ...] = ()
    """Settings that were changed from outside it, by path, with the values as ``--set`` takes them."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario file, checked."""

    name: str
    model: ModelSpec
    data: DataSpec
    cluster: ClusterSpec
    network: NetworkSpec | None
    strategies: tuple[Strategy, ...]
    run: RunSpec
    validation: ValidateSpec
    """The section ``validate`` of the file."""

    prices: Mapping[str, float]
    """USD per hour by device or instance preset, ``device`` or ``server``; only those that are given."""

    profile: ProfileFile | None
    """The contents of the file that ``model.profile`` names."""

    variation: VariationSpec
    """What makes one step different from the next."""

    times: Mapping[str, tuple[float, ...]]
    """Measured times by the key of ``variation`` whose file holds them."""

    source: Source = field(repr=False, compare=False)
    """Where each setting stands."""

    written: Written = field(repr=False, compare=False)
    """What it was made from."""

    def strategy(self, name: str) -> Strategy:
        """Return the strategy called *name*.

        Raises:
            InputError: there is none; the nearest name is offered.
        """
        for one in self.strategies:
            if one.name == name:
                return one
        names = [one.name for one in self.strategies]
        message = f"no strategy is called {shown(name)}"
        raise InputError([self.source.problem(("strategies",), message, did_you_mean(name, names))])

    def problem(self, path: str, message: str, fix: str = "") -> Problem:
        """Return a problem with the setting at *path*, placed there or at the nearest setting above it.

        *path* is as people write it: ``cluster.device``, ``strategies[2].algorithm`` or
        ``strategies[ps-sync].servers``. One that cannot be read is placed at the top of the file.
        """
        names = {one.name: one.index for one in self.strategies}
        found: list[str | int] = []
        for part, selects in split_path(path) or ():
            by_name = selects and isinstance(part, str)
            if by_name and found == ["strategies"]:
                found.append(names.get(str(part), 0))
            else:
                found.append(part)
        return self.source.problem(tuple(found), message, fix, said_path=path)
