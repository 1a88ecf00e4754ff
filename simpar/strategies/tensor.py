"""Tensor parallelism: every device holds a share of the columns of each linear layer, and computes with it.

All devices train on the same minibatch of workers x batch samples. A linear layer is cut by its outputs
(*column parallel*): each of k devices holds 1/k of the weight's rows and of the bias, and computes 1/k of the
outputs in 1/k of the time. A ring all-gather brings everybody all outputs. On the way back each device gets
from its own columns a part of the gradient of the layer's input, and a ring all-reduce adds the parts up;
a layer that reads the data needs none. Nothing overlaps, and weights are those of synchronous training.

Cut are layers of the kind *linear* with parameters of their own. Every device computes all others, and holds
their parameters: convolutions, norms, embeddings, attention between its projections, activations, the loss.
Outputs must divide by the devices. Every device reads the whole minibatch, so that a store serves k times the
records. With *devices* fewer than workers, the rest stand idle.

Formula: Z_o + Z_c / k, and for each cut layer (k - 1) (alpha + a / (k B)) and, unless it reads the data,
2 (k - 1) (alpha + x / (k B)), for compute Z_c in cut layers and Z_o in others, outputs of a bytes and inputs
of x bytes for the minibatch, links of B bytes per second, latency alpha. Where those come to (k - 1)
(M alpha + N / (k B)), the best k is sqrt((Z_c - N / B) / (M alpha)).
Source: Dean et al., Large Scale Distributed Deep Networks (DistBelief), NIPS 2012; Shoeybi et al.,
Megatron-LM, arXiv:1909.08053, section 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from simpar.cost import collectives, memory
from simpar.errors import InputError
from simpar.program import Op, Program
from simpar.scenario.options import TensorOptions
from simpar.strategies import data, rings
from simpar.strategies.common import Setting, Star, is_linear, layer_times
from simpar.workload.layers import Layer, Workload

OUTPUT, INPUT_GRADIENT = "output", "input_gradient"
"""What is exchanged: gathered on the way forward, summed on the way back."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One collective of a cut layer."""

    layer: int
    what: str
    """:data:`OUTPUT` or :data:`INPUT_GRADIENT`."""
    elements: int
    """Of the whole minibatch."""


def build(setting: Setting) -> Program:
    """Return the program of tensor parallelism."""
    star, workload, cluster = Star(setting), setting.workload, setting.cluster
    samples, devices = setting.global_batch, device_count(setting)
    cut = cut_layers(workload) if devices > 1 else []
    laid = _Layers(star, samples, cut, devices)
    feeds = [data.Feed(star, worker, samples) for worker in range(devices)]
    first, forward = laid.forward([feed.arrived for feed in feeds])
    for feed, end in zip(feeds, forward, strict=True):
        data.reuse(star, [feed], [end])
    updates = []
    for worker, after in enumerate(laid.backward()):
        update = star.builder.task(f"w{worker}.update", Op("update", worker=worker), after=after)
        star.builder.edge(update, first[worker], distance=1)
        updates.append(update)
    held = _held_parameters(workload, cut, devices)
    summed = max((one.elements for one in laid.exchanges if one.what == INPUT_GRADIENT), default=0)
    return star.program(
        clock="sync",
        updates=updates,
        samples=samples,
        workers=cluster.workers,
        parts=[samples],
        devices=devices,
        columns=cut,
        exchanges=[[one.layer, one.what, one.elements] for one in laid.exchanges],
        held_parameters=held,
        memory=memory.all_reduce_worker(
            held * workload.dtype_bytes,
            workload.activation_bytes * samples,
            setting.optimizer_bytes(held),
            float(summed * workload.dtype_bytes),
        ),
        **({"collectives": setting.scenario.run.collectives} if laid.exchanges else {}),
    )


class _Layers:
    """The tasks of all devices, layer after layer, and what they exchange between."""

    def __init__(self, star: Star, samples: int, cut: list[int], devices: int) -> None:
        self.star, self.samples, self.cut = star, samples, cut
        self.exchanges: list[Exchange] = []
        setting = star.setting
        self._times = [_times(setting, worker, samples, cut, devices) for worker in range(devices)]
        self._has: list[list[int]] = []  # by device, what its next task waits for

    def forward(self, after: list[list[int]]) -> tuple[list[int], list[int]]:
        """Add the forward pass, after the tasks of *after*, and return the first and last tasks by device.

        The last is behind the exchange of a last layer that is cut, without time, where the loss is known.
        """
        self._has = after
        bounds = [0, *(layer + 1 for layer in self.cut), len(self.star.setting.workload.layers)]
        spans = list(pairwise(bounds))
        done: list[list[int]] = []
        for number, layers in enumerate(spans):
            done.append(self._compute("forward", layers))
            if number < len(self.cut):
                self._exchange(self.cut[number], OUTPUT)
        return done[0], done[-1]

    def backward(self) -> list[list[int]]:
        """Add the backward pass and return, by device, what its update waits for."""
        layers = self.star.setting.workload.layers
        for first, last in pairwise([len(layers), *reversed(self.cut), 0]):
            if last < first:
                self._compute("backward", (last, first))
            if last in self.cut and layers[last].inputs:
                self._exchange(last, INPUT_GRADIENT)
        return self._has

    def _compute(self, what: str, layers: tuple[int, int]) -> list[int]:
        """Let all devices compute *layers*."""
        star, way = self.star, 0 if what == "forward" else 1
        tasks = [
            star.builder.task(
                f"w{worker}.{what}.l{layers[0]}",
                Op(what, worker=worker, layers=layers, part=0),
                star.device(worker),
                math.fsum(self._times[worker][way][slice(*layers)]),
                after,
            )
            for worker, after in enumerate(self._has)
        ]
        self._has = [[task] for task in tasks]
        return tasks

    def _exchange(self, layer: int, what: str) -> None:
        """Let all devices exchange what they have just made of *layer*, if that is anything."""
        elements = _exchanged_elements(self.star.setting.workload, layer, what, self.samples)
        if elements == 0:
            return
        self.exchanges.append(Exchange(layer, what, elements))
        arrived = _collective(self.star, len(self.exchanges) - 1, self.exchanges[-1], self._has)
        self._has = [own + others for own, others in zip(self._has, arrived, strict=True)]


def least_tasks(setting: Setting) -> int:
    """Return how many tasks an iteration has at least, counted without writing any down."""
    devices, workload = device_count(setting), setting.workload
    if devices == 1:
        return 3
    cut = cut_layers(workload)
    each = 1 if setting.scenario.run.collectives == "closed_form" else (devices - 1) * devices
    turns = sum(3 if workload.layers[layer].inputs else 1 for layer in cut)
    return devices * (2 * len(cut) + 1) + each * turns


def device_count(setting: Setting) -> int:
    """Return over how many devices layers are cut.

    Raises:
        InputError: there are fewer workers, nothing to cut, or a layer that they cannot share equally.
    """
    options, workload, workers = setting.strategy.options, setting.workload, setting.cluster.workers
    assert isinstance(options, TensorOptions)
    devices = workers if options.devices is None else options.devices
    path = "" if options.devices is None else "devices"
    if devices > workers:
        raise setting.refuse(path, f"{devices} devices of {workers} workers", f"write {workers} or fewer")
    if devices == 1:
        return 1
    cut = cut_layers(workload)
    if not cut:
        said = f"{workload.name} has no linear layer with parameters, and nothing else is cut"
        raise setting.refuse(path, said, "write devices: 1, or 'kind: linear' at layers that are")
    widths = {layer: _shared(workload, workload.layers[layer]) for layer in cut}
    for layer, counts in widths.items():
        for count, what in counts:
            if count % devices:
                every = [one for found in widths.values() for one, _ in found]
                fits = [k for k in range(1, workers + 1) if all(one % k == 0 for one in every)]
                near = [max(k for k in fits if k < devices), *(k for k in fits if k > devices)][:2]
                said = f"{count} {what} of {workload.layers[layer].name} do not divide by {devices} devices"
                raise setting.refuse(path, said, f"write devices: {' or '.join(map(str, near))}")
    return devices


def cut_layers(workload: Workload) -> list[int]:
    """Return the layers that are cut, as indices."""
    return [
        index for index, layer in enumerate(workload.layers) if layer.kind == "linear" and layer.parameters
    ]


def _shared(workload: Workload, layer: Layer) -> list[tuple[int, str]]:
    """Return the numbers that must divide by the devices, with what they count."""
    if layer.form is None:  # of a measured layer nothing is known but its sizes
        outputs = round(layer.activation_bytes / workload.dtype_bytes)
        return [(outputs, "outputs"), *((tensor.elements, "parameters") for tensor in layer.tensors)]
    inside = layer.form.inputs[0][-1]
    return [
        (tensor.elements // inside, "outputs") for tensor in layer.tensors if tensor.name.endswith("weight")
    ]


def _exchanged_elements(workload: Workload, layer: int, what: str, samples: int) -> int:
    """Return the elements that devices exchange of a cut layer for *samples* samples."""
    here = workload.layers[layer]
    if what == OUTPUT:
        n_bytes = here.activation_bytes
    elif here.form is not None:
        return math.prod(here.form.inputs[0]) * samples
    else:
        n_bytes = math.fsum(workload.layers[index].activation_bytes for index in here.inputs)
    return round(n_bytes * samples / workload.dtype_bytes)


def _held_parameters(workload: Workload, cut: list[int], devices: int) -> int:
    """Return the parameters that each device holds."""
    return sum(
        layer.parameters // devices if index in cut else layer.parameters
        for index, layer in enumerate(workload.layers)
    )


def _times(
    setting: Setting, worker: int, samples: int, cut: list[int], devices: int
) -> tuple[list[float], list[float]]:
    """Return the seconds of each layer on *worker*, forward and backward, where those of *cut* are shared.

    Where launches, small operations or memory count, a share has its FLOPs and its parameters, and reads the
    whole input and writes what becomes the whole output.
    """
    if is_linear(setting):
        forward, backward = (
            [seconds / devices if index in cut else seconds for index, seconds in enumerate(way)]
            for way in layer_times(setting, worker, samples)
        )
        return forward, backward
    layers = tuple(
        _share(layer, devices) if index in cut else layer
        for index, layer in enumerate(setting.workload.layers)
    )
    shared = replace(setting.workload, layers=layers)
    return layer_times(replace(setting, workload=shared, _times={}, _passes={}), worker, samples)


def _share(layer: Layer, devices: int) -> Layer:
    """Return one device's share of a cut layer."""
    return replace(
        layer,
        forward_flops=layer.forward_flops / devices,
        backward_flops=layer.backward_flops / devices,
        tensors=tuple(replace(tensor, elements=tensor.elements // devices) for tensor in layer.tensors),
    )


def _collective(star: Star, number: int, exchange: Exchange, done: list[list[int]]) -> list[list[int]]:
    """Add what brings everybody the whole of *exchange*; return, by device, what its end waits for."""
    gathers = exchange.what == OUTPUT
    if star.setting.scenario.run.collectives != "closed_form":
        ring = rings.all_gather if gathers else rings.all_reduce
        return ring(star, number, exchange.elements, done)
    cluster, devices = star.setting.cluster, len(done)
    if cluster.node_of(devices - 1) > 0 and cluster.devices_per_node > 1:
        raise InputError(
            [
                star.setting.scenario.problem(
                    "run.collectives",
                    "there is no closed form for rings across machines of several devices, "
                    f"which {star.setting.strategy.name} asks for",
                    "write messages",
                )
            ]
        )
    between = cluster.links_between(0, devices - 1)
    assert between is not None, "the scenario was checked: messages need a network"
    form = collectives.all_gather if gathers else collectives.ring_all_reduce
    n_bytes = devices * max(rings.chunk_bytes(star, exchange.elements, devices))
    carried_s, whole_s = (
        form(n_bytes, devices, between.bytes_per_s, late_s)
        for late_s in (0.0, between.latency_s + between.overhead_s)
    )
    return rings.one_task(star, "all_gather" if gathers else "all_reduce", number, carried_s, whole_s, done)
