"""``simpar whatif``: every strategy at many settings."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from simpar.cli.common import SCENARIO, examples, not_the_input, print_json, set_option
from simpar.errors import InputError, Problem, one_line

if TYPE_CHECKING:
    from simpar.study.store import Store
    from simpar.study.whatif import Study

PLOT_ENDINGS = (".svg", ".png", ".pdf")


@click.command(
    "whatif",
    epilog=examples(
        "simpar whatif scenarios/quickstart.yaml --vary network.bandwidth='10 Gbit/s,25 Gbit/s,100 Gbit/s'",
        "simpar whatif scenarios/quickstart.yaml --vary 'strategies[ps-sync].servers=1:8:x2' "
        "--vary cluster.workers=4,8",
        "simpar whatif scenarios/quickstart.yaml --vary network.latency='1 us:100 us:x10' --csv latency.csv",
        "simpar whatif scenarios/quickstart.yaml --vary network.bandwidth='1 Gbit/s:100 Gbit/s:x2' "
        "--vary cluster.workers=1..32 --sample 20",
    ),
)
@SCENARIO
@click.option(
    "--vary",
    metavar="PATH=VALUES",
    multiple=True,
    help="a setting and the values to try: 1,2,4 or 1..8, in steps '10 us:50 us:10 us', by a factor 1:64:x2; "
    "of several --vary, every combination is tried",
)
@set_option
@click.option(
    "--zip",
    "zipped",
    is_flag=True,
    help="try the first values of all --vary, then the second: no combinations",
)
@click.option(
    "--sample",
    type=int,
    metavar="N",
    help="instead of every combination, try N that are spread evenly over all ranges (Latin hypercube)",
)
@click.option("--json", "as_json", is_flag=True, help="print every run as JSON; units are in the key names")
@click.option("--csv", metavar="FILE", help="write every run as .csv; units are in the header")
@click.option("--plot", metavar="FILE", help="write a figure: .svg, .png or .pdf")
@click.option("--jobs", type=int, metavar="N", help="processes to simulate in  [default: one a core]")
@click.option("--cluster", metavar="dask://HOST:PORT", help="run on a Dask cluster instead")
@click.option(
    "--store",
    metavar="FILE",
    help="where finished runs are kept and found again  [default: ~/.cache/simpar/whatif.sqlite]",
)
@click.option("--no-cache", is_flag=True, help="simulate everything anew, and keep nothing")
def command(
    scenario: str,
    vary: Sequence[str],
    overrides: list[tuple[str, str]],
    zipped: bool,
    sample: int | None,
    as_json: bool,
    csv: str | None,
    plot: str | None,
    jobs: int | None,
    cluster: str | None,
    store: str | None,
    no_cache: bool,
) -> int:
    """Compare a scenario's strategies at many settings: which wins where, what each is worth

    Any setting of the scenario can be varied. Each run is kept when it is finished: the same command again
    answers at once, and after Ctrl-C or a crash it goes on where it stood. Exit status 1 when nothing fits in
    memory anywhere, 2 when the input is wrong.
    """
    from simpar.scenario import load
    from simpar.show.files import check_writable

    wrong = _clashes(store, no_cache, jobs, cluster)
    for option, path, endings in (("--csv", csv, (".csv",)), ("--plot", plot, PLOT_ENDINGS)):
        if path is not None:
            found = (check_writable(path, endings, option), not_the_input(scenario, path, option))
            wrong += [problem for problem in found if problem]
    pairs, malformed = _pairs(vary)
    wrong += malformed
    wrong += [
        Problem("", 0, 0, "--set", f"{one_line(path)} is varied, too", "leave --set or --vary out")
        for path, _ in overrides
        if path in dict(pairs)
    ]
    try:
        loaded = load(scenario, set=overrides)
    except InputError as error:
        raise InputError([*wrong, *error.problems]) from None
    if wrong:
        raise InputError(wrong)

    from simpar.study.whatif import whatif

    kept = None if no_cache else _open(store)
    progress = _Progress()
    try:
        study = whatif(
            loaded,
            pairs,
            zip=zipped,
            sample=sample,
            jobs=jobs,
            cluster=cluster,
            store=kept,
            progress=progress,
        )
    except KeyboardInterrupt:
        progress.clear()
        click.echo(f"interrupted {progress.stands(kept)}", err=True)
        return 130
    finally:
        progress.clear()
        if kept is not None:
            if kept.lost:
                count = f"{kept.lost} run{'' if kept.lost == 1 else 's'}"
                click.echo(f"warning: {one_line(kept.trouble)}; {count} not kept", err=True)
            kept.close()
    return _give(study, as_json, csv, plot)


def _clashes(store: str | None, no_cache: bool, jobs: int | None, cluster: str | None) -> list[Problem]:
    """Return the options that do not go together, or say nothing."""
    problems = []
    if store is not None and no_cache:
        said = "keeps nothing, and --store says where"
        problems.append(Problem("", 0, 0, "--no-cache", said, "leave one of them out"))
    if store == "":
        problems.append(Problem("", 0, 0, "--store", "the name of the file is empty", "write a name"))
    if jobs is not None and cluster is not None:
        said = "does nothing beside --cluster, whose workers are as many as they are"
        problems.append(Problem("", 0, 0, "--jobs", said, "leave it out"))
    return problems


def _pairs(vary: Sequence[str]) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Return (path, values) of each axis, and what is wrong with the others."""
    pairs: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for text in vary:
        path, equals, values = text.partition("=")
        path = path.strip()
        if not equals or not path:
            said = f"{one_line(text[:60])!r} has no values" if path else "names no setting"
            problems.append(Problem("", 0, 0, "--vary", said, "write PATH=VALUES"))
        elif path in dict(pairs):
            said = f"{one_line(path[:200])} is varied twice"
            problems.append(Problem("", 0, 0, "--vary", said, "write all its values at once"))
        else:
            pairs.append((path, values))
    if not vary:
        fix = "write --vary PATH=VALUES, as in --vary network.bandwidth='10 Gbit/s,25 Gbit/s'"
        problems.append(Problem("", 0, 0, "--vary", "is missing: nothing is varied", fix))
    return pairs, problems


def _open(path: str | None) -> Store | None:
    """Return the store; of this user, where none is named, unless that is out of order."""
    from simpar.study.store import Store, default_path

    if path is not None:
        return Store.open(path)
    try:
        file = default_path()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _warn(f"{one_line(str(file.parent))}: {error.strerror}", "name a file: --store FILE")
            return None
        found = Store.open(file, renew=True)
    except InputError as error:
        _warn(error.problems[0].message, error.problems[0].fix)
        return None
    found.shrink()
    return found


def _warn(message: str, fix: str) -> None:
    click.echo(f"warning: runs are not kept: {message}; {fix}", err=True)


def _what_is_kept(store: Store | None) -> str:
    if store is None:
        return "nothing was kept"
    if store.lost:
        return f"{store.lost} of them could not be kept"
    return f"they are kept in {one_line(str(store.path))}: the same command goes on from there"


class _Progress:
    """One line on stderr: how many runs are done, and how long the others will take."""

    EVERY_S = 0.2

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()
        self._shown = False
        self._live = sys.stderr is not None and sys.stderr.isatty()
        self._done = self._total = self._before = 0

    def stands(self, kept: Store | None) -> str:
        """Say how many runs are done, those that were kept but not yet reported among them."""
        if not self._total:
            return "before the first run"
        done = max(self._done, self._before + (kept.kept if kept else 0))
        return f"with {done} of {self._total} runs done; {_what_is_kept(kept)}"

    def __call__(self, done: int, total: int, before: int) -> None:
        """Show where the study stands; *before* runs were kept already."""
        self._done, self._total, self._before = done, total, before
        now = time.monotonic()
        if not self._live or now - self._last < self.EVERY_S:
            return
        self._last, self._shown = now, True
        text = f"{done} of {total} runs ({done / total:.0%})"
        if done > before:
            text += f", about {_left((now - self._begun) / (done - before) * (total - done))} left"
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False


def _left(seconds: float) -> str:
    """Return a time that is guessed anyway.

    >>> _left(3.2), _left(200), _left(10000)
    ('4 s', '4 min', '2.8 h')
    """
    if seconds < 100:
        return f"{int(seconds) + 1} s"
    return f"{int(seconds / 60) + 1} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _give(study: Study, as_json: bool, csv: str | None, plot: str | None) -> int:
    """Print the study, write what was asked for, all of it made before, and return the exit status."""
    from simpar.show.files import write_atomically
    from simpar.show.table_whatif import study as table

    fits = any(winner is not None for winner in study.winners)
    files: list[tuple[str, bytes]] = []
    if plot is not None and fits:
        figure = import_module("simpar.show.plot_whatif").whatif
        files.append((plot, figure(study, plot.rpartition(".")[2].lower())))
    if csv is not None:
        files.append((csv, study.to_csv().encode()))
    if as_json:
        print_json(study.to_dict())
    else:
        click.echo(table(study))
    sys.stdout.flush()
    for path, data in files:
        write_atomically(path, data)
        click.echo(f"wrote {one_line(path)}", err=True)
    if not fits and plot is not None:
        click.echo("nothing fits in memory: no plot was written", err=True)
    return 0 if fits else 1
