"""What people write: scenario files, read and checked, with line and column for every problem.

Quantities come out in SI units (seconds, bytes, bytes per second, FLOP). Start with :func:`load`;
:class:`Scenario` says what a file may hold, :func:`json_schema` says the same to an editor.
"""

from simpar.scenario.json_schema import json_schema
from simpar.scenario.loading import AnyScenario, change, change_each, load, load_profile
from simpar.scenario.model import LayerSpec, ModelSpec, ProfileFile
from simpar.scenario.options import (
    KINDS,
    AllreduceOptions,
    PipelineOptions,
    PsOptions,
    SingleOptions,
    SspOptions,
    Strategy,
)
from simpar.scenario.overrides import locate
from simpar.scenario.presets import DEVICE_PRESETS, MODEL_PRESETS
from simpar.scenario.schema import (
    ClusterSpec,
    DataSpec,
    DeviceSpec,
    IntraSpec,
    NetworkSpec,
    RunSpec,
    Scenario,
    ServerSpec,
    ValidateSpec,
)
from simpar.scenario.source import Source

__all__ = [
    "DEVICE_PRESETS",
    "KINDS",
    "MODEL_PRESETS",
    "AllreduceOptions",
    "AnyScenario",
    "ClusterSpec",
    "DataSpec",
    "DeviceSpec",
    "IntraSpec",
    "LayerSpec",
    "ModelSpec",
    "NetworkSpec",
    "PipelineOptions",
    "ProfileFile",
    "PsOptions",
    "RunSpec",
    "Scenario",
    "ServerSpec",
    "SingleOptions",
    "Source",
    "SspOptions",
    "Strategy",
    "ValidateSpec",
    "change",
    "change_each",
    "json_schema",
    "load",
    "load_profile",
    "locate",
]
