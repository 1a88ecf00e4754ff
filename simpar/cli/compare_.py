"""``simpar compare``: the main job."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from simpar.cli.common import (
    SCENARIO,
    Progress,
    examples,
    not_the_input,
    print_json,
    set_option,
)
from simpar.errors import InputError, Problem, one_line
from simpar.units import shown

if TYPE_CHECKING:
    from simpar.cli.answers import Answer

PLOT_ENDINGS = (".svg", ".png", ".pdf")
TRACE_ENDINGS = (".json.gz", ".json")
CSV_ENDINGS = (".csv",)
HTML_ENDINGS = (".html", ".htm")


@click.command(
    "compare",
    epilog=examples(
        "simpar compare scenarios/quickstart.yaml",
        "simpar compare scenarios/quickstart.yaml --set network.bandwidth='100 Gbit/s'",
        "simpar compare scenarios/quickstart.yaml --plot quickstart.svg --trace quickstart.json.gz",
        "simpar compare scenarios/quickstart.yaml --plot step.svg --figure gantt --of ps-sync",
        "simpar compare scenarios/how-many-workers.yaml --scale workers=1:64:x2 --plot scaling.svg",
        "simpar compare scenarios/which-device.yaml --devices v100,a100-80,h100 --plot devices.svg",
        "simpar compare before.json after.json --plot change.svg",
    ),
)
@SCENARIO
@click.argument("after", metavar="[AFTER.json]", required=False)
@set_option
@click.option("--steps", type=int, metavar="N", help="steps to measure after the warm-up (run.steps)")
@click.option("--seed", type=int, metavar="N", help="seed of everything drawn at random (run.seed)")
@click.option(
    "--json", "as_json", is_flag=True, help="print the full result as JSON; units are in the key names"
)
@click.option(
    "--scale",
    metavar="AXIS=RANGE",
    help="compare at workers=1,2,4 or 1..8 or 1:33:4 or 1:64:x2, or so many machines: nodes=1..4",
)
@click.option("--devices", metavar="NAMES", help="compare on each of several devices: v100,a100-80,h100")
@click.option("--plot", metavar="FILE", help="write a figure: .svg, .png or .pdf")
@click.option(
    "--figure", metavar="NAME", help="what --plot draws: bars, gantt, use, staleness or cost  [default: bars]"
)
@click.option(
    "--of", metavar="STRATEGY", help="the strategy of --figure gantt or use  [default: the fastest]"
)
@click.option("--by", metavar="time|money", help="what the bars of --plot measure  [default: time]")
@click.option("--csv", metavar="FILE", help="write the figures as .csv; units are in the header")
@click.option("--trace", metavar="FILE", help="write a timeline for ui.perfetto.dev: .json.gz or .json")
@click.option("--html", metavar="FILE", help="write a report: one page that needs no network")
@click.option("--no-advice", is_flag=True, help="do not look for settings that would help")
def command(
    scenario: str,
    after: str | None,
    overrides: list[tuple[str, str]],
    steps: int | None,
    seed: int | None,
    as_json: bool,
    scale: str | None,
    devices: str | None,
    plot: str | None,
    figure: str | None,
    of: str | None,
    by: str | None,
    csv: str | None,
    trace: str | None,
    html: str | None,
    no_advice: bool,
) -> int:
    """Rank a scenario's strategies: step time, speedup, what holds each back

    Times are simulated; nothing is trained. With --scale every strategy is compared at each number of
    workers or machines, and the table says where it stops paying; with --devices on each device, in time
    and money. Two files that --json printed are put side by side: what changed, strategy by strategy.
    Exit status 1 when no strategy fits in memory, 2 when the input is wrong.
    """
    from simpar.scenario import load
    from simpar.show.files import check_writable
    from simpar.study.machines import name_problems, read_names
    from simpar.study.scale import read_axis

    if after is not None:
        given = {
            "--set": bool(overrides),
            "--steps": steps is not None,
            "--seed": seed is not None,
            "--scale": scale is not None,
            "--devices": devices is not None,
            "--figure": figure is not None,
            "--of": of is not None,
            "--by": by is not None,
            "--trace": trace is not None,
            "--html": html is not None,
            "--no-advice": no_advice,
        }
        return _two(scenario, after, [option for option, there in given.items() if there], as_json, plot, csv)
    outputs = (
        ("--plot", plot, PLOT_ENDINGS),
        ("--csv", csv, CSV_ENDINGS),
        ("--trace", trace, TRACE_ENDINGS),
        ("--html", html, HTML_ENDINGS),
    )
    wrong = _clashes(scale, devices, plot, by, trace, html)
    wrong += _figure_clashes(figure or "bars", figure is not None, of, by, plot, scale, devices)
    for option, path, endings in outputs:
        if path is not None:
            found = (check_writable(path, endings, option), not_the_input(scenario, path, option))
            wrong += [problem for problem in found if problem]
    names = read_names(devices) if devices is not None else []
    wrong += name_problems(names) if devices is not None else []
    axis: tuple[str, list[int]] | None = None
    try:
        axis = read_axis(scale) if scale is not None else None
    except InputError as error:
        wrong += error.problems
    settings = list(overrides)
    settings += [("run.steps", str(steps))] if steps is not None else []
    settings += [("run.seed", str(seed))] if seed is not None else []
    try:
        loaded = load(scenario, set=settings)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    wrong += _no_strategy(of, [one.name for one in loaded.strategies])
    if wrong:
        raise InputError(wrong)

    from simpar.cli import answers

    picture = answers.Picture(figure or "bars", of, by or "time")
    options = (["--scale", scale] if scale is not None else []) + (["--no-advice"] if no_advice else [])
    page = answers.Page(html is not None, not no_advice, tuple(options))
    progress = Progress()
    try:
        if axis is not None:
            answer = answers.scaling(loaded, *axis, page, picture, progress)
        elif devices is not None:
            answer = answers.devices(loaded, names, picture, progress)
        else:
            answer = answers.comparison(loaded, page, picture, progress)
    finally:
        progress.clear()
    return _give(answer, as_json, plot, csv, trace, html)


def _clashes(
    scale: str | None,
    devices: str | None,
    plot: str | None,
    by: str | None,
    trace: str | None,
    html: str | None,
) -> list[Problem]:
    """Return the options that do not go together, or say nothing."""
    problems = []
    study = "--scale" if scale is not None else "--devices" if devices is not None else ""
    if scale is not None and devices is not None:
        problems.append(
            Problem("", 0, 0, "--devices", "is another question than --scale", "ask one at a time")
        )
    for option, path, what, one in (
        ("--trace", trace, "a timeline", study),
        ("--html", html, "a report", study if devices is not None else ""),
    ):
        if one and path is not None:
            said = f"{what} shows one comparison, and {study} makes several"
            problems.append(Problem("", 0, 0, option, said, _one_of_several(scale, devices, option)))
    if by is not None and by not in ("time", "money"):
        problems.append(Problem("", 0, 0, "--by", f"{by!r} is nothing to measure by", "write time or money"))
    elif by is not None and (study or plot is None):
        said = f"does nothing beside {study}" if study else "does nothing without --plot"
        fix = f"leave {study} or --by out" if study else "add --plot FILE.svg"
        problems.append(Problem("", 0, 0, "--by", said, fix))
    return problems


def _one_of_several(scale: str | None, devices: str | None, option: str) -> str:
    """Return what to write instead: a figure of all, or what *option* says of one."""
    if devices is not None:
        from simpar.study.machines import read_names, settings_of

        found = settings_of(next(iter(read_names(devices)), ""))
        path, value = next(((path, name) for path, name in found.items() if name), ("cluster.device", "v100"))
    else:
        axis = (scale or "").partition("=")[0]
        path, value = f"cluster.{'nodes' if axis == 'nodes' else 'workers'}", "8"
    return f"write --plot for a figure of all, or --set {shlex.quote(f'{path}={value}')} {option} for one"


def _figure_clashes(
    figure: str,
    asked: bool,
    of: str | None,
    by: str | None,
    plot: str | None,
    scale: str | None,
    devices: str | None,
) -> list[Problem]:
    """Return what is wrong with ``--figure`` and ``--of``."""
    from simpar.scenario.words import did_you_mean
    from simpar.show.figures import FIGURES, OF_ONE

    def problem(option: str, said: str, fix: str) -> Problem:
        return Problem("", 0, 0, option, said, fix)

    if figure not in FIGURES:
        return [problem("--figure", f"unknown figure {shown(figure)}", did_you_mean(figure, tuple(FIGURES)))]
    problems = []
    study = "--scale" if scale is not None else "--devices" if devices is not None else ""
    if asked and plot is None:
        problems.append(problem("--figure", "does nothing without --plot", "add --plot FILE.svg"))
    elif asked and study and figure != "cost":
        said = f"{figure} shows one comparison, and {study} makes several"
        problems.append(problem("--figure", said, f"leave {study} or --figure out, or write --figure cost"))
    if asked and by is not None and figure != "bars" and not study:
        problems.append(problem("--by", f"does nothing beside --figure {figure}", "leave one of them out"))
    if of is not None and figure not in OF_ONE:
        said = f"does nothing beside --figure {figure}" if asked else "does nothing without --figure"
        problems.append(problem("--of", said, f"write --figure {' or '.join(OF_ONE)}"))
    return problems


def _no_strategy(of: str | None, names: list[str]) -> list[Problem]:
    """Return the problem of a strategy that the scenario does not have."""
    from simpar.scenario.words import did_you_mean

    if of is None or of in names:
        return []
    return [Problem("", 0, 0, "--of", f"unknown strategy {shown(of)}", did_you_mean(of, tuple(names)))]


def _two(before: str, after: str, beside: list[str], as_json: bool, plot: str | None, csv: str | None) -> int:
    """Put two saved results side by side.

    Args:
        beside: options that say nothing here.
    """
    from simpar.cli import answers
    from simpar.show.files import check_writable

    wrong = [
        Problem("", 0, 0, option, "does nothing beside two results", "leave it out") for option in beside
    ]
    for option, path, endings in (("--plot", plot, PLOT_ENDINGS), ("--csv", csv, CSV_ENDINGS)):
        if path is not None:
            found = [check_writable(path, endings, option)]
            found += [not_the_input(given, path, option) for given in (before, after)]
            wrong += [problem for problem in found if problem]
    try:
        answer = answers.two(before, after)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    if wrong:
        raise InputError(wrong)
    return _give(answer, as_json, plot, csv, None, None)


def _give(
    answer: Answer, as_json: bool, plot: str | None, csv: str | None, trace: str | None, html: str | None
) -> int:
    """Print the answer, write what was asked for, all of it made before, and return the exit status."""
    from simpar.show.files import write_atomically

    files: list[tuple[str, bytes]] = []
    if plot is not None and answer.fits:
        files.append((plot, answer.plot(plot.rpartition(".")[2].lower())))
    if csv is not None:
        files.append((csv, answer.csv().encode()))
    if trace is not None and answer.trace is not None and answer.fits:
        files.append((trace, answer.trace(trace.lower().endswith(".gz"))))
    if html is not None and answer.html is not None:
        files.append((html, answer.html().encode()))
    if as_json:
        print_json(answer.json())
    else:
        click.echo(answer.table())
    sys.stdout.flush()
    for path, data in files:
        write_atomically(path, data)
        click.echo(f"wrote {one_line(path)}", err=True)
    if not answer.fits and (plot is not None or trace is not None):
        click.echo("nothing fits in memory: no plot and no timeline were written", err=True)
    return 0 if answer.fits else 1
