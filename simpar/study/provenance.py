"""Where the numbers of a scenario come from that its file does not give: every preset figure that it uses.

A figure that the scenario overrides is not used, and not listed. Start with :func:`used`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simpar.hardware import load_devices, load_instances, load_links
from simpar.hardware.figures import Figure
from simpar.scenario import IntraSpec, NetworkSpec, Scenario
from simpar.study.money import machine_price
from simpar.workload import Workload
from simpar.workload.families import FAMILIES
from simpar.workload.presets import MODELS


@dataclass(frozen=True, slots=True)
class UsedFigure:
    """One number of a preset."""

    preset: str
    """What the scenario calls the preset: ``v100``."""
    name: str
    """What people call it: ``V100 SXM2 16 GB``."""
    figure: str
    """What the number is: ``peak.float32``."""
    text: str
    """The number with its unit: ``15.7 TFLOP/s``."""
    source: str
    """Who says so."""
    url: str = ""
    """Where they say it; empty where the source is a paper that is cited, not an address."""
    checked: str = ""
    """Day on which the two were last compared; empty where tests compare them."""
    note: str = ""
    """How it was derived."""


def used(scenario: Scenario, workload: Workload) -> list[UsedFigure]:
    """Return every number that *scenario* takes from a preset: of the model, the machines and the links."""
    return [
        *_model(scenario, workload),
        *_device(scenario, workload),
        *_network(scenario),
        *_instance(scenario),
    ]


def _model(scenario: Scenario, workload: Workload) -> Iterator[UsedFigure]:
    key, shaped = scenario.model.preset, scenario.model.shape is not None
    if key is None:
        return
    source = FAMILIES[key].source if shaped else MODELS[key].source
    yield UsedFigure(key, workload.name, "parameters", f"{workload.parameters:,}".replace(",", " "), source)


def _device(scenario: Scenario, workload: Workload) -> Iterator[UsedFigure]:
    spec, instance = scenario.cluster.device, scenario.cluster.instance
    if spec is None:
        return
    key = load_instances()[instance].device if spec.preset is None and instance is not None else spec.preset
    if key is None:
        return
    preset, dtype = load_devices()[key], workload.dtype
    timed = workload.measured_batch is not None or spec.forward is not None
    wanted = {
        f"peak.{dtype}": not timed and spec.flops is None,
        f"efficiency.{dtype}": not timed and spec.efficiency is None,
        "memory": spec.memory is None,
        "memory_bandwidth": not timed and spec.roofline and spec.memory_bandwidth is None,
    }
    for figure, number in preset.figures():
        if wanted.get(figure):
            yield _of(key, preset.name, figure, number)


def _network(scenario: Scenario) -> Iterator[UsedFigure]:
    """Yield the numbers of the links between machines, then of those inside one."""
    network, name = scenario.network, scenario.cluster.instance
    instance = None if name is None else load_instances()[name]
    between = None if instance is None else instance.inter
    yield from _link(network, between, by_instance=instance is not None)
    if scenario.cluster.per_node > 1:
        intra = None if network is None else network.intra
        yield from _link(intra, None if instance is None else instance.intra, by_instance=False)


def _link(
    spec: NetworkSpec | IntraSpec | None, of_instance: str | None, *, by_instance: bool
) -> Iterator[UsedFigure]:
    """Yield what is taken from the preset that *spec* names, or else from that of the instance.

    Args:
        by_instance: whether the instance states the rate itself.
    """
    named = spec is not None and spec.preset is not None
    key = spec.preset if spec is not None and named else of_instance
    if key is None:
        return
    wanted = {
        "rate": (named or not by_instance) and (spec is None or spec.bandwidth is None),
        "efficiency": spec is None or spec.efficiency is None,
        "latency": spec is None or spec.latency is None,
    }
    preset = load_links()[key]
    for figure, number in preset.figures():
        if wanted[figure]:
            yield _of(key, preset.name, figure, number)


def _instance(scenario: Scenario) -> Iterator[UsedFigure]:
    key, network = scenario.cluster.instance, scenario.network
    if key is None:
        return
    preset = load_instances()[key]
    by_hand = network is not None and (network.bandwidth is not None or network.preset is not None)
    wanted = {
        "devices": scenario.cluster.devices_per_node is None,
        "network": not by_hand,
        "price": key not in scenario.prices and machine_price(scenario) is not None,
    }
    for figure, number in preset.figures():
        if wanted[figure]:
            yield _of(key, preset.name, figure, number)


def _of(key: str, name: str, figure: str, number: Figure) -> UsedFigure:
    return UsedFigure(key, name, figure, number.text, number.source, number.url, number.checked, number.note)
