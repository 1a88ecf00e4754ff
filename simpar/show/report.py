"""A comparison as one HTML page that needs nothing else: no server, no network, no other file.

The page holds its figures, its script and its data, and says in a content security policy that it may load
nothing. Every text is escaped by the template; only figures, which :mod:`simpar.show.report_figures` cleans,
and the page's own style and script go in as they are. Nothing of the day or the machine is in it, so the
same comparison gives the same bytes.

Start with :func:`html`. Tables are made in :mod:`simpar.show.report_tables`, timelines in
:mod:`simpar.show.report_lanes`.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from simpar.errors import one_line
from simpar.result import Comparison, Row
from simpar.scenario import Scenario
from simpar.show import report_lanes, report_tables, words
from simpar.show.plot_scale import batch
from simpar.show.report_figures import PLACES, Figure, figures, inlined
from simpar.show.table import assumptions
from simpar.strategies import Setting, prepare
from simpar.study.provenance import UsedFigure, used
from simpar.study.scale import Scaling
from simpar.units import spell

MOST_ROWS = 50
"""Strategies on a page, the fastest ones; a page is to stay below two megabytes."""

MOST_TEXT = 200_000
"""Characters of the scenario's file on a page."""

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def html(
    result: Comparison,
    scenario: Scenario,
    drawn: Sequence[Figure] | None = None,
    *,
    scaling: Scaling | None = None,
    options: Sequence[str] = (),
) -> str:
    """Return the page that shows *result*, the comparison of *scenario*.

    Args:
        drawn: the figures to show, by default those of :func:`simpar.show.report_figures.figures`.
        scaling: the same scenario at several numbers of workers, which has a part of its own then.
        options: words of the command line besides the scenario's settings that make this page, as in
            ``["--no-advice"]``: the command that makes it again has them, too.

    Raises:
        ValueError: a figure is not SVG.
    """
    import jinja2
    from markupsafe import Markup

    rows = result.rows[:MOST_ROWS]
    if drawn is None:
        drawn = figures(_of(result, rows), scaling)
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {
        "sort_keys": True,
        "separators": (",", ":"),
        "allow_nan": False,
    }
    pictures: dict[str, list[tuple[str, str]]] = {place: [] for place in PLACES}
    for number, figure in enumerate(drawn, 1):
        pictures[figure.place].append((figure.title, Markup(inlined(figure, number))))  # cleaned by inlined
    return environment.from_string(_template("report.html.jinja")).render(
        _context(result, scenario, rows, options),
        figures=pictures,
        scaled=None if scaling is None else report_tables.scaling(scaling),
        batch=None if scaling is None else batch(scaling),
        style=Markup(_template("report.css")),  # our own
        script=Markup(_template("report.js")),  # our own
    )


def _template(name: str) -> str:
    return resources.files("simpar.show").joinpath("templates", name).read_text(encoding="utf-8")


def _of(result: Comparison, rows: Sequence[Row]) -> Comparison:
    """Return *result* with only *rows*."""
    return Comparison(
        result.scenario,
        result.seed,
        result.engine,
        list(rows),
        result.facts,
        list(result.notes),
        result.engine_why,
    )


def _context(
    result: Comparison, scenario: Scenario, rows: Sequence[Row], options: Sequence[str]
) -> dict[str, Any]:
    """Return what the template fills in."""
    setting = prepare(scenario, scenario.strategies[0])
    ranked = report_tables.ranked(result, rows)
    timelines = report_lanes.timelines(rows)
    colours = report_lanes.colours()
    seen = {cause for timeline in timelines for cause in timeline["causes"]}
    return {
        "name": result.scenario,
        "head": _head(result, setting),
        "answer": _answer(result),
        "left_out": len(result.rows) - len(rows),
        "whole": len(result.rows),
        "ranked": ranked,
        "breakdown": report_tables.breakdown(rows),
        "bottlenecks": _bottlenecks(rows),
        "staleness": report_tables.staleness(rows),
        "memory": report_tables.memory(rows),
        "money": report_tables.money(result, rows),
        "spread": report_tables.spread(result, rows),
        "timelines": timelines,
        "causes": {cause: colours[cause] for cause in colours if cause in seen},
        "notes": [note for row in rows for note in row.notes] + list(result.notes),
        "assumed": _assumed(rows, setting),
        "sources": [(figure, _address(figure)) for figure in used(scenario, setting.workload)],
        "overrides": scenario.written.overrides,
        "file": _file(scenario),
        "text": scenario.written.text[:MOST_TEXT],
        "cut": max(0, len(scenario.written.text) - MOST_TEXT),
        "commands": _commands(scenario, rows, options),
        "version": _version(),
    }


def _version() -> str:
    from simpar import __version__

    return str(__version__)


def _head(result: Comparison, setting: Setting) -> list[tuple[str, str]]:
    """Return what was simulated, as names and values."""
    facts, cluster, work = result.facts, setting.cluster, setting.workload
    machines = words.counted(cluster.workers, "worker")
    if cluster.devices_per_node > 1:
        machines += f" on {words.counted(cluster.nodes, 'machine')} of {cluster.devices_per_node} devices"
    device = cluster.device
    how = (
        "measured times"
        if device.name == "measured"
        else "a rate given by hand"
        if device.name == "custom"
        else device.name
    )
    said = [
        ("Model", f"{work.name}, {words.grouped(work.parameters)} parameters in {work.dtype}"),
        ("Batch", f"{work.batch} {work.unit} on each worker"),
        ("Machines", f"{machines}; device: {how}"),
    ]
    network = cluster.network
    if network is not None:
        links = f"{spell(network.bytes_per_s, 'rate')}, {spell(network.latency_s, 'duration')} latency"
        links += f", {facts['topology']}" if facts.get("topology") else ""
        if cluster.intra is not None:
            links += f"; inside a machine {spell(cluster.intra.bytes_per_s, 'rate')}"
        said.append(("Network", f"{links}, {network.sharing} sharing"))
    steps = f"{words.counted(facts['steps'], 'step')} after {facts['warmup']} of warm-up"
    if facts.get("replications", 1) > 1:
        steps += f", {facts['replications']} runs with other draws"
    engine = result.engine + (f" ({result.engine_why})" if result.engine_why else "")
    return [
        *said,
        ("Measured", f"{steps}; seed {result.seed}"),
        ("Engine", f"{engine}, simpar {_version()}"),
    ]


def _answer(result: Comparison) -> list[str]:
    """Return the answer: a sentence, and a second one where parallel training does not pay."""
    fitting = [row for row in result.rows if row.fits]
    if not fitting:
        return ["No strategy fits in memory."]
    best = fitting[0]
    assert best.step_s is not None
    assert best.samples_per_s is not None
    if len(fitting) > 1:
        said = words.fastest(fitting)
    else:
        said = f"{best.label[:1].upper()}{best.label[1:]} takes {words.duration(best.step_s)} a step."
    figures = (
        f"{words.rate(best.samples_per_s)} {result.facts['unit']}/s, {words.duration(best.step_s)} a step."
    )
    if len(fitting) == 1:
        figures = f"That is {words.rate(best.samples_per_s)} {result.facts['unit']}/s."
    pays = words.does_not_pay(fitting)
    return [said, figures, *([pays] if pays else [])]


def _bottlenecks(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return what holds each strategy back, in a sentence, and what would help."""
    found = []
    for row in rows:
        one = {"label": row.label, "name": row.name, "said": "does not fit in memory"}
        one |= {"helps": "", "setting": "", "step": "", "more": ""}
        if row.bottleneck is not None:
            one["said"] = words.waits_for(row, row.bottleneck)
            tried = row.bottleneck.suggestion
            if tried is not None:
                one["helps"] = words.would_help(tried)
                one["setting"] = words.setting(tried.path, tried.value)
                one["step"] = "" if tried.step_s is None else words.duration(tried.step_s)
            if row.bottleneck.skipped:
                one["more"] = f"{'Others' if tried else 'Settings that may help'} {words.NOT_TRIED}"
        found.append(one)
    return found


def _assumed(rows: Sequence[Row], setting: Setting) -> list[tuple[str, list[str]]]:
    """Return what the figures take for granted: first what all do, then what only some strategies do."""
    each = {
        row.label: assumptions(row.measured.program.meta, setting.cluster)
        for row in rows
        if row.measured is not None
    }
    common = [one for one in next(iter(each.values()), []) if all(one in said for said in each.values())]
    by_few: dict[str, list[str]] = {}
    for label, said in each.items():
        for one in said:
            if one not in common:
                by_few.setdefault(one, []).append(label)
    return [*((one, []) for one in common), *by_few.items()]


def _address(figure: UsedFigure) -> str:
    """Return where a figure is published, '' where that is not on the web."""
    if figure.url.startswith("https://"):
        return figure.url
    paper = _ARXIV.search(figure.source)
    return f"https://arxiv.org/abs/{paper[1]}" if paper else ""


def _file(scenario: Scenario) -> str:
    """Return the name of the scenario's file, without its folder."""
    return one_line(Path(os.fspath(scenario.written.path)).name)


def _commands(scenario: Scenario, rows: Sequence[Row], options: Sequence[str]) -> list[str]:
    """Return the commands that make this page again, and that look at its strategies one by one."""
    file = shlex.quote(_file(scenario))
    changes = "".join(
        f" --set {shlex.quote(f'{path}={value}')}" for path, value in scenario.written.overrides
    )
    first = next((row for row in rows if row.fits), None)
    again = shlex.join([*options, "--html", "report.html"])
    commands = [f"simpar compare {file}{changes} {again}"]
    if first is not None:
        commands.append(f"simpar compare {file}{changes} --trace timeline.json.gz")
        commands.append(f"simpar explain {file} {shlex.quote(first.name)}{changes}")
    return commands
