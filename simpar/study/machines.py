"""Which machines: the strategies of a scenario on one device after another, in time and money.

Each device takes the place of ``cluster.device`` as its preset says it: rate, efficiency and memory. Figures
that the scenario gives of its own device are left behind with it, and times measured layer by layer belong to
no other device at all. Prices are the scenario's, by the name of the device. Where the scenario has an
instance, a device is put into machines with as many devices and the same links, whose price is not known.

Start with :func:`machines`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simpar.errors import InputError, Problem
from simpar.hardware import load_instances
from simpar.result import SCHEMA, Row, notebook
from simpar.result.rows import write_csv
from simpar.scenario import DEVICE_PRESETS, AnyScenario, ClusterSpec, Scenario
from simpar.scenario.presets import INSTANCE_PRESETS
from simpar.scenario.words import did_you_mean
from simpar.study.compare import Progress, as_scenario
from simpar.study.points import Point, common_notes, labels, points_csv, simulate_points
from simpar.units import shown, spell

OPTION = "--devices"
"""What problems with the devices name."""

PATHS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("cluster.device", DEVICE_PRESETS),
    ("cluster.instance", INSTANCE_PRESETS),
)
"""Settings that name a machine, each with the names that it takes."""


@dataclass(frozen=True)
class Machines:
    """Every strategy of a scenario on each of several devices."""

    scenario: str
    seed: int
    devices: tuple[str, ...]
    """As they were asked for."""
    points: tuple[Point, ...]
    """One a device."""
    labels: Mapping[str, str]
    """What people read, by the name of each strategy, in the order of the file."""
    replaced: tuple[str, ...]
    """Settings of the scenario's own device, which no other takes over."""
    housed: str | None = None
    """The instance in whose machines devices stand, where the scenario has one and a device is asked for."""

    def __repr__(self) -> str:
        """Return what was compared, in one line."""
        devices = ", ".join(self.devices)
        return f"<Machines of {self.scenario!r}: {len(self.labels)} strategies on {devices}>"

    def _repr_html_(self) -> str:
        """Return what :attr:`ranked` says as a small table, as notebooks show it."""
        unit = self.facts["unit"]
        header = ["device", "strategy", "step", f"{unit}/s", "efficiency", "memory", f"USD/million {unit}"]
        rows = []
        for device, row in self.ranked:
            much = row.usd_per_million_samples
            cells = [device, self.labels[row.name], spell(row.step_s or 0.0, "duration"), notebook.rate(row)]
            cells += [notebook.efficiency(row), spell(row.memory_bytes, "size")]
            rows.append([*cells, "no price" if much is None else f"{much:.4g}"])
        for device, name, _ in self.without:
            rows.append([device, self.labels[name], "no figures", *[""] * 4])
        return notebook.table(self.scenario, header, rows, left=2)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the head of a table says; None for what is not the same on every machine."""
        each = [point.comparison.facts for point in self.points if point.comparison]
        return {
            key: value if all(facts[key] == value for facts in each) else None
            for key, value in each[0].items()
        }

    @property
    def ranked(self) -> list[tuple[str, Row]]:
        """Every (device, strategy) with figures, by samples per second, equals in the order asked for."""
        rows = [
            (device, row)
            for device, point in zip(self.devices, self.points, strict=True)
            for name in self.labels
            if (row := point.row(name)) is not None
        ]
        return sorted(rows, key=lambda one: -(one[1].samples_per_s or 0.0))

    @property
    def without(self) -> list[tuple[str, str, str]]:
        """Every (device, name of a strategy, why) without figures."""
        return [
            (device, name, why)
            for device, point in zip(self.devices, self.points, strict=True)
            for name in self.labels
            if (why := point.why_not(name)) is not None
        ]

    @property
    def fastest(self) -> tuple[str, Row] | None:
        """The device and the strategy with the most samples per second; None where nothing fits."""
        return next(iter(self.ranked), None)

    @property
    def cheapest(self) -> tuple[str, Row] | None:
        """The device and the strategy with the least USD a sample; None without prices."""
        priced = [one for one in self.ranked if one[1].usd_per_million_samples is not None]
        return min(priced, key=lambda one: one[1].usd_per_million_samples or 0.0, default=None)

    @property
    def notes(self) -> list[str]:
        """What a reader should know before believing the figures."""
        said = []
        if self.replaced:
            settings = ", ".join(self.replaced)
            said.append(f"{settings} had no effect: every machine here is as its preset says")
        if self.housed is not None:
            said.append(
                f"devices are put into machines like a {self.housed}: as many in each, and on its links; its "
                f"price is not theirs"
            )
        return said + common_notes(self.points)

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``simpar compare --devices --json`` prints it."""
        paths = {next(iter(point.settings)) for point in self.points}
        return {
            "schema": SCHEMA,
            "scenario": self.scenario,
            "seed": self.seed,
            "axis": {"path": paths.pop() if len(paths) == 1 else None, "values": list(self.devices)},
            "runs": [point.to_dict() for point in self.points],
            "fastest": _named(self.fastest),
            "cheapest": _named(self.cheapest),
            "notes": self.notes,
        }

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a line for each strategy on each device as CSV, and write it to *path* if one is given."""
        text = points_csv(self.points, "device")
        if path is not None:
            write_csv(path, text)
        return text


def machines(
    scenario: AnyScenario,
    devices: str | Sequence[str],
    *,
    set: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Machines:
    """Simulate every strategy of *scenario* on each of *devices*.

    Args:
        devices: names of presets; or as one text, separated by commas.
        set: settings to change first, by path.

    Raises:
        InputError: the scenario or a name is wrong, the model's layers were measured on one device, or
            nothing can be simulated on any; ``problems`` has all of it.
    """
    scenario = as_scenario(scenario, set)
    devices = read_names(devices) if isinstance(devices, str) else devices
    problems = [*name_problems(devices), *_measured_problems(scenario)]
    if problems:
        raise InputError(problems)
    homes = [_machine_of(scenario, name) for name in devices]
    settings = [settings_of(name) | home for name, home in zip(devices, homes, strict=True)]
    points = simulate_points(scenario, settings, OPTION, progress)
    return Machines(
        scenario=scenario.name,
        seed=scenario.run.seed,
        devices=tuple(devices),
        points=tuple(points),
        labels=labels(scenario, points),
        replaced=_own_figures(scenario),
        housed=scenario.cluster.instance if any(homes) else None,
    )


def read_names(text: str) -> list[str]:
    """Return the names in *text*, which commas separate."""
    return [name.strip() for name in text.split(",")]


def settings_of(name: str) -> dict[str, Any]:
    """Return the settings that put the machine called *name* into a scenario, its own path first.

    Any other way in which the scenario names a machine is taken out.
    """
    chosen = {path: name for path, names in _known() if name in names}
    return chosen | {path: None for path, _ in _known() if path not in chosen}


def _machine_of(scenario: Scenario, name: str) -> dict[str, Any]:
    """Return the settings of the machine that the device called *name* is put into.

    Where the scenario has an instance they are what follows from it, as if it were written out; else nothing.
    """
    cluster, network = scenario.cluster, scenario.network
    if cluster.instance is None or name not in DEVICE_PRESETS:
        return {}
    instance = load_instances()[cluster.instance]
    found: dict[str, Any] = {"cluster.devices_per_node": cluster.per_node}
    if cluster.nodes is None:
        found["cluster.workers"] = cluster.workers
    if network is None or network.preset is None:
        found["network.preset"] = instance.inter
        if network is None or network.bandwidth is None:
            found["network.bandwidth"] = f"{instance.network.value!r} B/s"
    intra = None if network is None else network.intra
    if cluster.per_node > 1 and instance.intra is not None and (intra is None or intra.preset is None):
        found["network.intra.preset"] = instance.intra
    return found


def _known() -> list[tuple[str, tuple[str, ...]]]:
    """Return the settings of this version that name a machine, with what they take."""
    return [(path, names) for path, names in PATHS if path.split(".")[1] in ClusterSpec.model_fields]


def name_problems(devices: Sequence[str]) -> list[Problem]:
    """Return what is wrong with the names *devices*: unknown, given twice, or none at all."""
    known = tuple(name for _, names in _known() for name in names)
    if not any(devices):
        return [Problem("", 0, 0, OPTION, "names no device", f"write some of: {', '.join(known)}")]
    problems = []
    for number, name in enumerate(devices):
        if name in devices[:number]:
            problems.append(Problem("", 0, 0, OPTION, f"{shown(name)} is given twice", "remove one of them"))
        elif not name:
            problems.append(Problem("", 0, 0, OPTION, "has an empty name", "separate names by single commas"))
        elif name not in known:
            said, parts = f"unknown device {shown(name)}", name.split()
            several = len(parts) > 1 and all(part in known for part in parts)
            fix = f"write {','.join(parts)}" if several else did_you_mean(name, known)
            problems.append(Problem("", 0, 0, OPTION, said, fix))
    return list(dict.fromkeys(problems))


def _measured_problems(scenario: Scenario) -> list[Problem]:
    """Return the problem of a model whose layers were measured on one device."""
    profile = scenario.profile
    specs = (scenario.model.layers or ()) if profile is None else profile.layers
    if not any(layer.timed for layer in specs):
        return []
    path = "model.layers" if profile is None else "model.profile"
    said = "its layers were timed on one device, and times do not carry over to another"
    return [scenario.problem(path, said, f"give the layers FLOPs, or a preset, to use {OPTION}")]


def _own_figures(scenario: Scenario) -> tuple[str, ...]:
    """Return the settings of the scenario's device beside its preset."""
    device = scenario.cluster.device
    given = sorted(device.model_fields_set - {"preset"}) if device is not None else []
    return tuple(f"cluster.device.{key}" for key in given)


def _named(found: tuple[str, Row] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    device, row = found
    return {
        "device": device,
        "strategy": row.name,
        "samples_per_s": row.samples_per_s,
        "usd_per_million_samples": row.usd_per_million_samples,
    }
