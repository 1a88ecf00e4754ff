"""``simpar compare``: the main job."""

from __future__ import annotations

import sys

import click

from simpar.cli.common import (
    SCENARIO,
    Progress,
    examples,
    not_the_input,
    print_json,
    set_option,
)
from simpar.errors import InputError, one_line

PLOT_ENDINGS = (".svg", ".png", ".pdf")
TRACE_ENDINGS = (".json.gz", ".json")


@click.command(
    "compare",
    epilog=examples(
        "simpar compare scenarios/quickstart.yaml",
        "simpar compare scenarios/quickstart.yaml --set network.bandwidth='100 Gbit/s'",
        "simpar compare scenarios/quickstart.yaml --plot quickstart.svg --trace quickstart.json.gz",
    ),
)
@SCENARIO
@set_option
@click.option("--steps", type=int, metavar="N", help="steps to measure after the warm-up (run.steps)")
@click.option("--seed", type=int, metavar="N", help="seed of everything drawn at random (run.seed)")
@click.option(
    "--json", "as_json", is_flag=True, help="print the full result as JSON; units are in the key names"
)
@click.option("--plot", metavar="FILE", help="write bars with their breakdown: .svg, .png or .pdf")
@click.option("--trace", metavar="FILE", help="write a timeline for ui.perfetto.dev: .json.gz or .json")
@click.option("--no-advice", is_flag=True, help="do not look for settings that would help")
def command(
    scenario: str,
    overrides: list[tuple[str, str]],
    steps: int | None,
    seed: int | None,
    as_json: bool,
    plot: str | None,
    trace: str | None,
    no_advice: bool,
) -> int:
    """Rank a scenario's strategies: step time, speedup, what holds each back

    Times are simulated; nothing is trained. Exit status 1 when no strategy fits in memory, 2 when the input
    is wrong.
    """
    from simpar.scenario import load
    from simpar.show.files import check_writable, write_atomically
    from simpar.study.compare import compare

    problems = []
    if plot is not None:
        problems.append(check_writable(plot, PLOT_ENDINGS, "--plot"))
    if trace is not None:
        problems.append(check_writable(trace, TRACE_ENDINGS, "--trace"))
    problems += [
        not_the_input(scenario, path, option) for path, option in ((plot, "--plot"), (trace, "--trace"))
    ]
    wrong = [problem for problem in problems if problem]
    settings = list(overrides)
    settings += [("run.steps", str(steps))] if steps is not None else []
    settings += [("run.seed", str(seed))] if seed is not None else []
    try:
        loaded = load(scenario, set=settings)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    if wrong:
        raise InputError(wrong)
    progress = Progress()
    try:
        result = compare(loaded, advise=not no_advice, progress=progress)
    finally:
        progress.clear()
    fits = any(row.fits for row in result.rows)
    files: list[tuple[str, bytes]] = []
    if plot is not None and fits:
        from simpar.show.plot import comparison as draw

        files.append((plot, draw(result, plot.rpartition(".")[2].lower())))
    if trace is not None and fits:
        from simpar.show.timeline import comparison as timeline

        files.append((trace, timeline(result, compressed=trace.lower().endswith(".gz"))))
    if as_json:
        print_json(result.to_dict())
    else:
        from simpar.show.table import comparison as table

        click.echo(table(result))
    sys.stdout.flush()
    for path, data in files:
        write_atomically(path, data)
        click.echo(f"wrote {one_line(path)}", err=True)
    if not fits and (plot is not None or trace is not None):
        click.echo("nothing fits in memory: no plot and no timeline were written", err=True)
    return 0 if fits else 1
