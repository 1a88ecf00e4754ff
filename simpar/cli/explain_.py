"""``simpar explain``: one step of one strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from simpar.cli.common import SCENARIO, Progress, examples, print_json, set_option
from simpar.errors import InputError, Problem

if TYPE_CHECKING:
    from simpar.study.compare import Explanation
    from simpar.study.more import More


@click.command(
    "explain",
    epilog=examples(
        "simpar explain scenarios/quickstart.yaml ps-sync",
        "simpar explain scenarios/quickstart.yaml allreduce-2 --json",
        "simpar explain scenarios/quickstart.yaml ps-sync --more",
    ),
)
@SCENARIO
@click.argument("name", metavar="STRATEGY", default="")
@set_option
@click.option(
    "--more", "further", is_flag=True, help="also causes, loads, and what would help; simulates it many times"
)
@click.option("--json", "as_json", is_flag=True, help="print the critical path as JSON")
def command(scenario: str, name: str, overrides: list[tuple[str, str]], further: bool, as_json: bool) -> int:
    """Show where one strategy's step goes, and its critical path

    Takes the step of median length, of the median run where times vary, works backwards from its end to
    whatever made it wait, and adds up.
    """
    from simpar.scenario import load
    from simpar.study.compare import explain

    loaded = load(scenario, set=overrides)
    if not name:
        names = ", ".join(one.name for one in loaded.strategies)
        raise InputError([Problem("", 0, 0, "STRATEGY", "is missing", f"write one of: {names}")])
    progress = Progress()
    try:
        found = explain(loaded, name, progress=progress)
        more = _more(found, progress) if further else None
    finally:
        progress.clear()
    if as_json:
        print_json(found.to_dict() if more is None else more.to_dict())
    elif more is None:
        from simpar.show.table import explanation

        click.echo(explanation(found))
    else:
        from simpar.show import table_more

        click.echo(table_more.more(more))
    return 0


def _more(found: Explanation, progress: Progress) -> More:
    from simpar.study.more import look_further

    return look_further(found, progress)
