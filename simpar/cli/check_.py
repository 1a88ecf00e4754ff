"""``simpar check``: every problem of a scenario, before anything runs."""

from __future__ import annotations

import click

from simpar.cli.common import SCENARIO, examples, print_json, report, set_option
from simpar.errors import InputError


@click.command(
    "check",
    epilog=examples(
        "simpar check scenarios/quickstart.yaml",
        "simpar check scenarios/quickstart.yaml --json",
    ),
)
@SCENARIO
@set_option
@click.option("--json", "as_json", is_flag=True, help="print the problems as JSON")
def command(scenario: str, overrides: list[tuple[str, str]], as_json: bool) -> int:
    """Check a scenario and list every problem with its line and column

    Reads the file, resolves its presets and compiles every strategy, without simulating. Exit status 2 when
    there is a problem.
    """
    from simpar.scenario import load
    from simpar.study.compare import compile_all
    from simpar.study.notes import of_scenario

    try:
        loaded = load(scenario, set=overrides)
        compiled = compile_all(loaded)
    except InputError as error:
        if as_json:
            print_json({"schema": 1, "problems": [problem.to_dict() for problem in error.problems]})
            return 2
        return report(error)
    if as_json:
        print_json({"schema": 1, "problems": [], "notes": of_scenario(loaded, compiled)})
    else:
        for note in of_scenario(loaded, compiled):
            click.echo(f"note: {note}")
        count = len(compiled)
        click.echo(f"{scenario} is fine: {count} strateg{'y' if count == 1 else 'ies'}")
    return 0
