"""The format of scenario files as a JSON Schema, for completion and hover help in editors.

Made from the same models that check the files, so the two cannot differ in keys, types or bounds of
single settings; settings that depend on one another are checked by :func:`simpar.scenario.load` only.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from simpar.scenario.fields import Strict
from simpar.scenario.loading import MOST_STRATEGIES, REQUIRED, SECTIONS, TOP_KEYS
from simpar.scenario.options import KINDS
from simpar.scenario.presets import DEVICE_PRESETS, LINK_PRESETS

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file, always in the same order."""
    models: list[type[Strict]] = list(dict.fromkeys([*SECTIONS.values(), *KINDS.values()]))
    _, made = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    definitions = {name: _tidy(made["$defs"][name]) for name in sorted(made["$defs"])}
    cluster, network = definitions["ClusterSpec"], definitions["NetworkSpec"]
    cluster["properties"]["device"]["anyOf"] = _named("DeviceSpec", DEVICE_PRESETS, {"type": "null"})
    network["properties"]["intra"]["anyOf"] = _named("IntraSpec", LINK_PRESETS, {"type": "null"})
    network["properties"]["topology"] = network["properties"]["topology"] | {
        "anyOf": [{"enum": ["star", "ring"]}, {"$ref": "#/$defs/TopologySpec"}]
    }
    network["properties"]["topology"].pop("$ref", None)
    trigger = definitions["PsAsyncOptions"]["properties"]["trigger"]
    trigger["anyOf"] = [{"enum": ["drain"]}, {"$ref": "#/$defs/TriggerSpec"}, {"type": "null"}]
    del cluster["required"]
    cluster["anyOf"] = [{"required": [key]} for key in ("workers", "nodes", "instance")]
    cluster["not"] = {"required": ["workers", "nodes"]}
    properties: dict[str, Any] = {
        "name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Title of the tables."},
        **{key: {"$ref": f"#/$defs/{model.__name__}"} for key, model in SECTIONS.items()},
        "network": {"anyOf": _named("NetworkSpec", LINK_PRESETS)},
        "strategies": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_STRATEGIES,
            "description": "The ways of training to compare: 'KIND' or 'KIND: {options}'.",
            "items": {"anyOf": [{"enum": list(KINDS)}, _one_kind()]},
        },
    }
    return {
        "$schema": DRAFT,
        "title": "simpar scenario",
        "description": "A model, a cluster and the ways of training to compare on it.",
        "type": "object",
        "properties": {key: properties[key] for key in TOP_KEYS},
        "required": list(REQUIRED),
        "additionalProperties": False,
        "$defs": definitions,
    }


def _named(section: str, presets: tuple[str, ...], *others: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of a *section* that the name of one of *presets* may stand for."""
    return [{"enum": list(presets)}, {"$ref": f"#/$defs/{section}"}, *others]


def _one_kind() -> dict[str, Any]:
    """Return the schema of ``KIND: {options}``."""
    return {
        "type": "object",
        "properties": {
            kind: {
                "description": " ".join((model.__doc__ or "").split()),
                "anyOf": [{"$ref": f"#/$defs/{model.__name__}"}, {"type": "null"}],
            }
            for kind, model in KINDS.items()
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def _tidy(schema: Any) -> Any:
    """Return *schema* without the titles that pydantic makes of the keys."""
    if isinstance(schema, dict):
        return {
            key: _tidy(value)
            for key, value in schema.items()
            if not (key == "title" and isinstance(value, str))
        }
    if isinstance(schema, list):
        return [_tidy(value) for value in schema]
    return schema
