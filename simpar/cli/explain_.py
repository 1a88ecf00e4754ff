"""``simpar explain``: one step of one strategy."""

from __future__ import annotations

import click

from simpar.cli.common import SCENARIO, Progress, examples, print_json, set_option


@click.command(
    "explain",
    epilog=examples(
        "simpar explain scenarios/quickstart.yaml ps-sync",
        "simpar explain scenarios/quickstart.yaml allreduce-2 --json",
    ),
)
@SCENARIO
@click.argument("name", metavar="STRATEGY")
@set_option
@click.option("--json", "as_json", is_flag=True, help="print the critical path as JSON")
def command(scenario: str, name: str, overrides: list[tuple[str, str]], as_json: bool) -> int:
    """Show where one strategy's step goes, and its critical path

    Takes the step of median length, works backwards from its end to whatever made it wait, and adds up.
    """
    from simpar.scenario import load
    from simpar.study.compare import explain

    loaded = load(scenario, set=overrides)
    progress = Progress()
    try:
        found = explain(loaded, name, progress=progress)
    finally:
        progress.clear()
    if as_json:
        print_json(found.to_dict())
    else:
        from simpar.show.table import explanation

        click.echo(explanation(found))
    return 0
