"""``simpar replay``: really train as the strategies would."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from simpar.cli.common import SCENARIO, Progress, examples, not_the_input, print_json, set_option
from simpar.errors import InputError, Problem, one_line

if TYPE_CHECKING:
    from simpar.study.replay import Learning

PLOT_ENDINGS = (".svg", ".png", ".pdf")
TARGET = 95.0
"""Accuracy whose time is shown unless another is asked for."""


@click.command(
    "replay",
    epilog=examples(
        "simpar replay scenarios/digits.yaml",
        "simpar replay scenarios/digits.yaml --strategy ps-async --set cluster.workers=64",
        "simpar replay scenarios/digits.yaml --epochs 5 --plot learning.svg --csv learning.csv",
    ),
)
@SCENARIO
@set_option
@click.option(
    "--strategy", "names", metavar="NAME", multiple=True, help="train as this one only (repeatable)"
)
@click.option("--epochs", type=int, metavar="N", help="times to train on all the data (run.epochs)")
@click.option("--seed", type=int, metavar="N", help="seed of parameters, samples and times (run.seed)")
@click.option(
    "--target", type=float, default=TARGET, metavar="PERCENT", help="accuracy to reach  [default: 95]"
)
@click.option("--json", "as_json", is_flag=True, help="print every test as JSON; units are in the key names")
@click.option("--csv", metavar="FILE", help="write every test as .csv; units are in the header")
@click.option("--plot", metavar="FILE", help="write a figure: .svg, .png or .pdf")
def command(
    scenario: str,
    overrides: list[tuple[str, str]],
    names: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    target: float,
    as_json: bool,
    csv: str | None,
    plot: str | None,
) -> int:
    """Train for real in the order of a simulated run: what each strategy learns, and when

    The model of the scenario, a small one, is trained in this process on data.set: every push, update and
    message of the simulated run is carried out in its order, with its versions of the parameters, for as many
    steps as run.epochs take. Exit status 1 when a strategy does not fit in memory, 2 when the input is wrong
    or what is trained diverges.
    """
    from simpar.scenario import load
    from simpar.show.files import check_writable

    wrong = []
    for option, path, endings in (("--csv", csv, (".csv",)), ("--plot", plot, PLOT_ENDINGS)):
        if path is not None:
            checked = (check_writable(path, endings, option), not_the_input(scenario, path, option))
            wrong += [problem for problem in checked if problem]
    if not 0 < target <= 100:
        wrong.append(Problem("", 0, 0, "--target", f"{target:g} is no share", "write 1 to 100, in percent"))
    settings = list(overrides)
    settings += [("run.epochs", str(epochs))] if epochs is not None else []
    settings += [("run.seed", str(seed))] if seed is not None else []
    try:
        loaded = load(scenario, set=settings)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    for name in dict.fromkeys(names):
        try:
            loaded.strategy(name)
        except InputError as error:
            wrong += [Problem("", 0, 0, "--strategy", one.message, one.fix) for one in error.problems]
    if wrong:
        raise InputError(wrong)

    from simpar.study.replay import replay

    progress = Progress("training")
    try:
        found = replay(loaded, list(dict.fromkeys(names)), progress=progress)
    finally:
        progress.clear()
    return _give(found, target / 100, as_json, csv, plot)


def _give(found: Learning, target: float, as_json: bool, csv: str | None, plot: str | None) -> int:
    """Print what was learned, and write what was asked for: all of it made before anything is written."""
    from simpar.show.files import write_atomically
    from simpar.show.table_replay import learning as table

    files: list[tuple[str, bytes]] = []
    if plot is not None:
        from simpar.show.plot_replay import learning as figure

        files.append((plot, figure(found, plot.rpartition(".")[2].lower())))
    if csv is not None:
        files.append((csv, found.to_csv().encode()))
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo(table(found, target))
    sys.stdout.flush()
    for path, data in files:
        write_atomically(path, data)
        click.echo(f"wrote {one_line(path)}", err=True)
    return 0
