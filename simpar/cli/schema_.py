"""``simpar schema``: help for editors."""

from __future__ import annotations

import click

from simpar.cli.common import examples, print_json


@click.command("schema", epilog=examples("simpar schema > scenarios/schema.json"))
def command() -> int:
    """Print the JSON Schema of scenario files, for editors

    With the line '# yaml-language-server: $schema=./schema.json' at its top, a scenario gets completion and
    hover help in editors that speak the YAML language server.
    """
    from simpar.scenario import json_schema

    print_json(json_schema())
    return 0
