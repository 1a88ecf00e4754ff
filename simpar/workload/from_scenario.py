"""The workload that a scenario describes: a preset, a shape, a measured profile, or layers written inline.

Profiles and inline layers give times and activations for one batch, FLOPs for one sample. Times stay
as measured, together with the batch they belong to; activations are divided by it. In a model with
measured times a layer without any takes none. A sample of a transformer preset is a sequence of
``model.seq`` tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simpar.errors import InputError, Problem
from simpar.workload.builder import BACKWARD_PER_FORWARD
from simpar.workload.families import known
from simpar.workload.layers import DTYPE_BYTES, Layer, Tensor, Workload
from simpar.workload.presets import ModelPreset

if TYPE_CHECKING:
    from simpar.scenario import LayerSpec, Scenario


def build(scenario: Scenario) -> Workload:
    """Return the workload of *scenario*.

    The batch is ``model.batch``, or the largest share of ``model.global_batch`` that a worker has, or a slice
    (``data.slice_len``, ``data.num_slices``), or else the batch that a profile was measured with.

    Raises:
        InputError: the global batch does not divide by workers that must have as many, the element type is
            not the one that a profile was measured with, a sequence is longer than the model's positions, or
            two tensors have the same name.
    """
    problems = [*_batch_problems(scenario), *_dtype_problems(scenario), *_seq_problems(scenario)]
    if problems:
        raise InputError(problems)
    batch = _batch(scenario)
    preset = known(scenario.model)
    if preset is not None:
        return _preset(scenario, preset, batch)
    workload = _described(scenario, batch)
    names = Counter(tensor.name for layer in workload.layers for tensor in layer.tensors)
    path = "model.layers" if scenario.profile is None else "model.profile"
    twice = [
        scenario.problem(path, f"{count} tensors are called {name!r}", "rename a layer or a tensor")
        for name, count in names.items()
        if count > 1
    ]
    if twice:
        raise InputError(twice)
    return workload


def _batch_problems(scenario: Scenario) -> list[Problem]:
    from simpar.scenario.options import UNEVEN  # here: what runs workloads needs nothing of scenarios

    whole, workers = scenario.model.global_batch, scenario.cluster.workers
    uneven = all(
        one.kind in UNEVEN
        and getattr(one.options, "push_every", 1) == 1
        and getattr(one.options, "backup_workers", 0) == 0
        and getattr(one.options, "payload", "") != "data"
        and getattr(one.options, "placement", "") != "replicated"
        for one in scenario.strategies
    )
    if whole is None or whole % workers == 0 or uneven:
        return []
    below = whole - whole % workers
    nearest = f"{below} or {below + workers}" if below else f"{workers}"
    message = f"{whole} samples do not divide by {workers} workers"
    return [scenario.problem("model.global_batch", message, f"write {nearest}")]


def _dtype_problems(scenario: Scenario) -> list[Problem]:
    model, profile = scenario.model, scenario.profile
    if profile is None or "dtype" not in model.model_fields_set or model.dtype == profile.dtype:
        return []
    message = f"the profile was measured with {profile.dtype}; its times do not hold for {model.dtype}"
    return [
        scenario.problem("model.dtype", message, f"remove it, or use a profile measured with {model.dtype}")
    ]


def _seq_problems(scenario: Scenario) -> list[Problem]:
    model = scenario.model
    preset = known(model)
    longest = None if preset is None else preset.longest
    if model.seq is None or longest is None or model.seq <= longest:
        return []
    message = f"{model.seq} tokens are more than the {longest} positions of {model.preset}"
    other = "" if model.shape is None else f", or 'positions: {model.seq}' in the shape"
    return [scenario.problem("model.seq", message, f"write {longest} or less{other}")]


def _batch(scenario: Scenario) -> int:
    """Return the samples that one worker's step trains on."""
    model = scenario.model
    if model.global_batch is not None:
        return -(-model.global_batch // scenario.cluster.workers)
    if model.batch is not None:
        return model.batch
    data = scenario.data
    if data.slice_len is not None:
        return data.slice_len
    if data.num_slices is not None and data.records is not None:
        own = -(-data.records // scenario.cluster.workers)
        return -(-own // data.num_slices)
    assert scenario.profile is not None, "a model without a batch is a profile"
    return scenario.profile.batch


def _preset(scenario: Scenario, preset: ModelPreset, batch: int) -> Workload:
    model = scenario.model
    return Workload(
        name=model.name or preset.name,
        unit=model.unit if "unit" in model.model_fields_set else preset.unit,
        layers=preset.layers(DTYPE_BYTES[model.dtype], model.seq),
        batch=batch,
        dtype=model.dtype,
    )


def _described(scenario: Scenario, batch: int) -> Workload:
    """Return the workload whose layers the scenario or its profile lists."""
    model, profile = scenario.model, scenario.profile
    specs = (model.layers or ()) if profile is None else profile.layers
    described_batch = batch if profile is None else profile.batch
    measured = any(spec.timed for spec in specs)
    unit = model.unit
    if profile is not None and "unit" not in model.model_fields_set:
        unit = profile.unit
    return Workload(
        name=model.name or ("model" if profile is None else profile.name),
        unit=unit,
        layers=_layers(specs, described_batch, measured),
        batch=batch,
        dtype=model.dtype if profile is None else profile.dtype,
        measured_batch=described_batch if measured else None,
    )


def _layers(specs: Sequence[LayerSpec], batch: int, measured: bool) -> tuple[Layer, ...]:
    """Return the layers of *specs*, whose times and activations are those of *batch* samples."""
    position = {spec.name: i for i, spec in enumerate(specs)}
    layers = []
    for i, spec in enumerate(specs):
        if spec.inputs is None:
            inputs = {i - 1} if i else set()
        else:
            inputs = {position[name] for name in spec.inputs}
        flops = spec.flops or 0.0
        layers.append(
            Layer(
                name=spec.name,
                kind=spec.kind,
                forward_flops=flops,
                backward_flops=(
                    BACKWARD_PER_FORWARD * flops if spec.backward_flops is None else spec.backward_flops
                ),
                tensors=tuple(Tensor(name, elements) for name, elements in spec.tensors),
                activation_bytes=spec.activation / batch,
                inputs=tuple(sorted(inputs)),
                forward_s=(spec.forward or 0.0) if measured else None,
                backward_s=(spec.backward or 0.0) if measured else None,
            )
        )
    return tuple(layers)
