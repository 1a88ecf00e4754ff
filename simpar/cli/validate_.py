"""``simpar validate``: run what was predicted, and say how far off it was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from simpar.cli.common import SCENARIO, Progress, examples, print_json, set_option
from simpar.errors import InputError, Problem

if TYPE_CHECKING:
    from simpar.study.validate import Validation


@click.command(
    "validate",
    epilog=examples(
        "simpar validate scenarios/validate-here.yaml",
        "simpar validate scenarios/validate-here.yaml --strategy ps-async --repeats 10 --phases",
    ),
)
@SCENARIO
@set_option
@click.option("--backend", type=click.Choice(["numpy"]), default="numpy", help="who runs it")
@click.option("--strategy", "names", metavar="NAME", multiple=True, help="run this one only (repeatable)")
@click.option("--profile", metavar="FILE", help="machines as calibrate measured them (cluster.profile)")
@click.option("--bound", type=float, metavar="SHARE", help="largest error that passes (validate.bound)")
@click.option("--repeats", type=int, metavar="N", help="measured runs of each (validate.repeats)")
@click.option("--phases", is_flag=True, help="show the phases of each strategy, too")
@click.option("--json", "as_json", is_flag=True, help="print all figures as JSON; units are in the key names")
def command(
    scenario: str,
    overrides: list[tuple[str, str]],
    backend: str,
    names: tuple[str, ...],
    profile: str | None,
    bound: float | None,
    repeats: int | None,
    phases: bool,
    as_json: bool,
) -> int:
    """Run each strategy for real on this machine and compare with its prediction

    A process a device and a server, real arithmetic, real messages. Machines that are not these are stood
    for: tasks and messages take as long as the scenario says. Exit status 1 when a prediction is outside the
    bound or something else is learned, 2 when the input is wrong.
    """
    from simpar.scenario import load

    settings = list(overrides)
    settings += [("cluster.profile", profile)] if profile is not None else []
    settings += [("validate.bound", repr(bound))] if bound is not None else []
    settings += [("validate.repeats", str(repeats))] if repeats is not None else []
    loaded = load(scenario, set=settings)
    wrong = []
    for name in dict.fromkeys(names):
        try:
            loaded.strategy(name)
        except InputError as error:
            wrong += [Problem("", 0, 0, "--strategy", one.message, one.fix) for one in error.problems]
    if wrong:
        raise InputError(wrong)

    from simpar.study.validate import validate

    progress = Progress("running")
    try:
        found = validate(loaded, backend, strategies=list(dict.fromkeys(names)), progress=progress)
    finally:
        progress.clear()
    return _give(found, phases, as_json)


def _give(found: Validation, phases: bool, as_json: bool) -> int:
    from simpar.show.table_validate import validation as table

    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(table(found, phases))
    sys.stdout.flush()
    return 0 if found.ok else 1
