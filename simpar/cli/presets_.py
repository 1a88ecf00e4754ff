"""``simpar presets``: what a scenario can name, and where the numbers come from."""

from __future__ import annotations

from typing import Any

import click

from simpar.cli.common import examples, print_json

KINDS = ("models", "devices", "links", "instances")


@click.command(
    "presets",
    epilog=examples(
        "simpar presets",
        "simpar presets devices",
        "simpar presets models resnet-50",
        "simpar presets gpt",
        "simpar presets a100-80",
    ),
)
@click.argument("kind", required=False, metavar="[models|devices|links|instances]")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="print the table as JSON")
def command(kind: str | None, name: str | None, as_json: bool) -> int:
    """List models, devices, links and instances, every number with its source

    Without a kind, the names of all. With the NAME of a model, its layers: FLOPs, parameters and activation
    bytes of one sample, in float32; a sample of a model of text is a sequence, of as many tokens as the list
    says. With the name of a family of models, which a scenario gives a shape, the keys of that shape. With
    the name of anything else, its numbers. A scenario takes the names as model.preset, cluster.device,
    network (or network.intra) and cluster.instance.
    """
    if kind is not None and kind not in KINDS:
        kind, name = _kind_of(kind), kind
    tables: dict[str, list[dict[str, Any]]] = {}
    for one in KINDS if kind is None else (kind,):
        if one == "models":
            tables[one] = _models() if name is None else _layers(name)
            if kind is not None and name is None:
                tables["families"] = _families()
        else:
            tables[one] = _figures(one, name)
    if as_json:
        print_json({"schema": 1, **tables})
    elif kind is None:
        for one, rows in tables.items():
            names = list(dict.fromkeys(row["name"] for row in rows))
            click.echo(click.wrap_text(", ".join(names), 100, f"{one + ':':<11}", " " * 11))
        click.echo("\nsimpar presets KIND tells more, simpar presets NAME everything of one.")
    else:
        for number, (one, rows) in enumerate(tables.items()):
            click.echo(("\n" if number else "") + (one if name is None else f"{one}: {name}"))
            _print(rows)
    return 0


def _kind_of(name: str) -> str:
    """Return the kind of the preset called *name*."""
    from simpar.scenario import presets

    names = {
        "models": presets.MODEL_NAMES,
        "devices": presets.DEVICE_PRESETS,
        "links": presets.LINK_PRESETS,
        "instances": presets.INSTANCE_PRESETS,
    }
    for kind, known in names.items():
        if name in known:
            return kind
    raise click.UsageError(
        _unknown("preset", name, [*KINDS, *(one for known in names.values() for one in known)])
    )


def _models() -> list[dict[str, Any]]:
    from simpar.workload.presets import MODELS

    rows = []
    for name, preset in MODELS.items():
        layers = preset.layers(4)
        rows.append(
            {
                "name": name,
                "model": preset.name,
                "sample": "1 image" if preset.seq is None else f"{preset.seq} tokens",
                "layers": len(layers),
                "parameters": sum(layer.parameters for layer in layers),
                "forward_flops": sum(layer.forward_flops for layer in layers),
                "activation_bytes": sum(layer.activation_bytes for layer in layers),
                "source": preset.source,
            }
        )
    return rows


def _layers(name: str) -> list[dict[str, Any]]:
    from simpar.scenario.presets import MODEL_FAMILIES, MODEL_NAMES
    from simpar.workload.presets import MODELS

    if name in MODEL_FAMILIES and name not in MODELS:
        return _keys(name)
    if name not in MODELS:
        raise click.UsageError(_unknown("model", name, list(MODEL_NAMES)))
    return [
        {
            "layer": layer.name,
            "kind": layer.kind,
            "parameters": layer.parameters,
            "forward_flops": layer.forward_flops,
            "backward_flops": layer.backward_flops,
            "activation_bytes": layer.activation_bytes,
        }
        for layer in MODELS[name].layers(4)
    ]


def _families() -> list[dict[str, Any]]:
    """Return the models that ``model.shape`` makes, with the keys that a shape must and may have."""
    from simpar.scenario.presets import MODEL_FAMILIES
    from simpar.workload.families import FAMILIES

    return [
        {
            "name": name,
            "model": FAMILIES[name].name,
            "needs": ", ".join(needed),
            "takes": ", ".join(optional) or "nothing else",
            "source": FAMILIES[name].source,
        }
        for name, (needed, optional) in MODEL_FAMILIES.items()
    ]


def _keys(family: str) -> list[dict[str, Any]]:
    """Return the keys of a family's shape."""
    from simpar.scenario.model import ShapeSpec
    from simpar.scenario.presets import MODEL_FAMILIES
    from simpar.workload.families import FAMILIES

    needed, optional = MODEL_FAMILIES[family]
    defaults = {"ffn": "4 x hidden", "kv_heads": "heads"} | dict(FAMILIES[family].defaults)
    return [
        {
            "key": f"shape.{key}",
            "default": "needed" if key in needed else str(defaults.get(key, "-")).lower(),
            "what": (ShapeSpec.model_fields[key].description or "").partition(";")[0].removesuffix("."),
        }
        for key in (*needed, *optional)
    ]


def _figures(kind: str, name: str | None) -> list[dict[str, Any]]:
    from simpar import hardware

    tables = {
        "devices": hardware.device_table,
        "links": hardware.link_table,
        "instances": hardware.instance_table,
    }
    found = tables[kind]()
    rows = [
        {
            "name": row.preset,
            kind.removesuffix("s"): row.name,
            "figure": row.figure,
            "value": row.text,
            "checked": row.checked,
            "source": row.source,
            "url": row.url,
            "note": row.note,
        }
        for row in found
        if name in (None, row.preset)
    ]
    if not rows:
        names = list(dict.fromkeys(row.preset for row in found))
        raise click.UsageError(_unknown(kind.removesuffix("s"), str(name), names))
    return rows


def _unknown(what: str, name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    listed = f"write one of: {', '.join(known)}" if len(known) <= 12 else "'simpar presets' lists all"
    hint = f"did you mean {near[0]!r}?" if near else listed
    return f"no {what} {name!r}; {hint}"


def _print(rows: list[dict[str, Any]]) -> None:
    from simpar.show.table import columns
    from simpar.show.words import grouped
    from simpar.units import spell

    def said(key: str, value: Any) -> str:
        if key.endswith("_flops"):
            return spell(value, "flops")
        if key.endswith("_bytes"):
            return spell(value, "size")
        return grouped(value) if isinstance(value, int | float) else str(value)

    # Long texts stand on lines of their own below the table: a table that wraps cannot be read.
    long = ("source", "url", "note")
    short = [key for key in rows[0] if key not in long]
    words = sum(isinstance(rows[0][key], str) for key in short)
    table = [[key.removesuffix("_bytes").removesuffix("_flops").replace("_", " ") for key in short]]
    for key in short:
        if key.endswith("_flops"):
            table[0][short.index(key)] += " FLOPs"
    table += [[said(key, row[key]) for key in short] for row in rows]
    for line in columns(table, left=words if words == len(short) else 1 + (words > 1)):
        click.echo(line)
    if len({row.get("name") for row in rows}) > 1 and "figure" in rows[0]:
        click.echo("\nsimpar presets NAME tells where the numbers come from.")
        return
    for row in rows:
        if row.get("source"):
            told = "; ".join(str(row[key]) for key in long if row.get(key))
            click.echo(f"  {row.get('figure') or row['name']}: {told}")
