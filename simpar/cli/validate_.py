"""``simpar validate``: run what was predicted, and say how far off it was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from simpar.cli.common import SCENARIO, Progress, examples, not_the_input, print_json, set_option
from simpar.errors import InputError, Problem, one_line

if TYPE_CHECKING:
    from simpar.study.validation import Validation

PLOT_ENDINGS = (".svg", ".png", ".pdf")


@click.command(
    "validate",
    epilog=examples(
        "simpar validate scenarios/run-for-real.yaml",
        "simpar validate scenarios/run-for-real.yaml --strategy ps-async --repeats 10 --phases",
        "simpar validate scenarios/run-for-real.yaml --plot real.svg",
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
@click.option("--plot", metavar="FILE", help="write both timelines as a figure: .svg, .png or .pdf")
@click.option("--of", metavar="NAME", help="whose timelines; by default of the strategy that is most off")
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
    plot: str | None,
    of: str | None,
) -> int:
    """Run each strategy for real on this machine and compare with its prediction

    A process a device and a server, real arithmetic, real messages. Machines that are not these are stood
    for: tasks and messages take as long as the scenario says. Exit status 1 when a prediction is outside the
    bound or something else is learned, 2 when the input is wrong.
    """
    from simpar.scenario import load
    from simpar.show.files import check_writable

    wrong = []
    if plot is not None:
        checked = (check_writable(plot, PLOT_ENDINGS, "--plot"), not_the_input(scenario, plot, "--plot"))
        wrong += [problem for problem in checked if problem]
    if of is not None and plot is None:
        wrong.append(Problem("", 0, 0, "--of", "there is no figure to draw it in", "add --plot FILE"))
    settings = list(overrides)
    settings += [("cluster.profile", profile)] if profile is not None else []
    settings += [("validate.bound", repr(bound))] if bound is not None else []
    settings += [("validate.repeats", str(repeats))] if repeats is not None else []
    try:
        loaded = load(scenario, set=settings)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    asked = [("--strategy", name) for name in dict.fromkeys(names)]
    for option, name in [*asked, *([("--of", of)] if of is not None else [])]:
        try:
            loaded.strategy(name)
        except InputError as error:
            wrong += [Problem("", 0, 0, option, one.message, one.fix) for one in error.problems]
    if of is not None and names and of not in names:
        wrong.append(Problem("", 0, 0, "--of", f"{of} is not run", f"write one of: {', '.join(names)}"))
    if wrong:
        raise InputError(wrong)

    from simpar.study.validate import validate

    progress = Progress("running")
    try:
        found = validate(loaded, backend, strategies=list(dict.fromkeys(names)), progress=progress)
    finally:
        progress.clear()
    return _give(found, phases, as_json, plot, of)


def _give(found: Validation, phases: bool, as_json: bool, plot: str | None, of: str | None) -> int:
    """Print what was found, and write the figure."""
    from simpar.show.files import write_atomically
    from simpar.show.table_validate import validation as table

    drawn = b""
    if plot is not None:
        from simpar.show.plot_validate import validation as figure

        drawn = figure(found, of, plot.rpartition(".")[2].lower())
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(table(found, phases))
    sys.stdout.flush()
    if plot is not None:
        write_atomically(plot, drawn)
        click.echo(f"wrote {one_line(plot)}", err=True)
    return 0 if found.ok else 1
