"""The figure of a timeline (Gantt's): what every device, server and link of one strategy does in a step.

A row is a device, a server's CPU, a link or a channel (``w0 > ps0``: the messages from one machine to
another); a bar is the time for which something holds it. The thin line below a bar is the time for which it
queued before. Bars with a frame are on the critical path: what the end of the step waited for.

Start with :func:`gantt`; :func:`lanes` says what is drawn. Lengths are inches, font sizes points.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simpar.result import Comparison, Measured, Row, Window
from simpar.show import words
from simpar.show.scales import scale
from simpar.show.sheet import (
    FOOT,
    GAP,
    GREY,
    GRID,
    INK,
    MARGIN,
    SMALL,
    WIDTH,
    Head,
    Key,
    Sheet,
    box_key,
    inches,
    of_model,
    picture,
    printable,
    wrapped,
)
from simpar.show.timeline_lanes import in_natural_order, lane_name, lanes_of, machine_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 40
"""Rows of a figure; of more, those on the critical path and of each kind those that are busiest."""

WORK = {
    "load": ("load", "#9A9A9A"),
    "forward": ("forward", "#0072B2"),
    "backward": ("backward", "#56B4E9"),
    "merge": ("merge gradients", "#CC79A7"),
    "push": ("push gradients", "#E69F00"),
    "records": ("send records", "#E69F00"),
    "sum": ("sum between servers", "#CC79A7"),
    "share": ("share sums", "#F0E442"),
    "add": ("add gradients", "#D55E00"),
    "apply": ("update", "#A33B00"),
    "update": ("update", "#A33B00"),
    "pull": ("pull parameters", "#009E73"),
    "hand": ("hand parameters on", "#F0E442"),
    "reduce_scatter": ("reduce-scatter", "#E69F00"),
    "all_reduce": ("all-reduce", "#CC79A7"),
    "all_gather": ("all-gather", "#009E73"),
    "activation": ("activations", "#E69F00"),
    "gradient": ("gradients", "#009E73"),
    "output": ("outputs", "#E69F00"),
    "predict": ("combine outputs", "#A33B00"),
}
"""Name and colour of each kind of work, in the order of the legend; no two of one strategy are alike."""

_OTHER = ("other", "#D8D8D8")
LINE = 0.21
_BAR, _QUEUE = 0.115, 0.035
BETWEEN = 0.06
"""Room between two machines."""
_MOST_LABEL = 1.9
_FINE = 0.012
"""Bars narrower than this, of the same work and next to each other, are drawn as one."""
_EDGED = 0.06
"""Bars wider than this have a white edge, which tells neighbours apart; it would hide narrower ones."""


@dataclass(frozen=True)
class Bar:
    """One piece of work, in seconds since the beginning of what is shown."""

    start_s: float
    end_s: float
    ready_s: float
    """When it could have begun: it queued from here to its start."""
    op: str
    """Kind of the operation, one of :data:`WORK`."""
    critical: bool


@dataclass(frozen=True)
class Lane:
    """One row: a resource, or one of several things that it does at a time."""

    machine: str
    name: str
    bars: tuple[Bar, ...]

    @property
    def busy_s(self) -> float:
        """Seconds of its bars together."""
        return sum(bar.end_s - bar.start_s for bar in self.bars)

    @property
    def kind(self) -> str:
        """What it has in common with the same lanes of other machines: ``w compute``, ``w > ps``."""
        said = self.name if " > " in self.name else f"{self.machine} {self.name}"
        return re.sub(r"\d+", "", said)

    @property
    def critical(self) -> bool:
        """Whether anything on it is on the critical path."""
        return any(bar.critical for bar in self.bars)


def gantt(result: Comparison, of: str | None = None, format: str = "svg", steps: int = 1) -> bytes:
    """Return the median step of the strategy called *of*, by default the fastest, as a picture.

    Args:
        format: ``svg``, ``png`` or ``pdf``.
        steps: how many steps are shown, the median one first where as many follow it.

    Raises:
        KeyError: there is no such strategy.
        LookupError: none fits in memory.
        ValueError: there is no such format, *steps* is below 1, or the strategy has no trace.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, not at least 1")
    row = result.best if of is None else result[of]
    if row.measured is None:
        raise ValueError(f"{row.name} has no timeline: it was not simulated here")
    return picture(lambda: _figure(result, row, steps), format, result.scenario)


def windows(run: Measured, steps: int) -> list[Window]:
    """Return the steps that are shown: the median one and those that follow, fewer where there are fewer.

    Of asynchronous training a step is a cycle of one worker.
    """
    worker = run.median_window.label.partition(",")[0] if run.is_async else ""
    found = [one for one in run.windows if not run.is_async or one.label.partition(",")[0] == worker]
    at = found.index(run.median_window)
    at = max(0, min(at, len(found) - steps))
    return found[at : at + steps]


def lanes(run: Measured, steps: int = 1) -> list[Lane]:
    """Return what happens on every resource in the steps that are shown, machine by machine."""
    shown = windows(run, steps)
    since, until = shown[0].start_s, shown[-1].end_s
    trace, program = run.trace, run.program
    critical = {(segment.task, segment.iteration) for window in shown for segment in run.path(window)}
    inside = (trace.free_s > since) & (trace.start_s < until) & (trace.resource >= 0)
    rows = np.flatnonzero(inside & (trace.free_s > trace.start_s))
    rows = rows[np.lexsort((rows, trace.free_s[rows], trace.start_s[rows]))]
    of_resource: defaultdict[int, list[int]] = defaultdict(list)
    for row in rows.tolist():
        of_resource[int(trace.resource[row])].append(row)

    def bar(row: int) -> Bar:
        task, iteration = int(trace.task[row]), int(trace.iteration[row])
        return Bar(
            max(since, float(trace.start_s[row])) - since,
            min(until, float(trace.free_s[row])) - since,
            max(since, float(trace.ready_s[row])) - since,
            program.ops[task].kind,
            (task, iteration) in critical,
        )

    found = []
    for resource in sorted(of_resource, key=lambda r: _place(run, r)):
        several = lanes_of(trace, of_resource[resource])
        for number, lane in enumerate(several, 1):
            name = lane_name(program, resource) + (f" {number}" if len(several) > 1 else "")
            machine = machine_of(program.resources[resource].name)
            found.append(Lane(machine, name, tuple(bar(piece.row) for piece in lane)))
    return found


def _place(run: Measured, resource: int) -> tuple[object, ...]:
    """Return where a resource stands: its machine, then what computes, sends, receives; the other end."""
    found = run.program.resources[resource]
    computes = found.kind in ("device", "server")
    other = in_natural_order(found.name.partition(">")[2].partition("#")[0])
    machine = in_natural_order(machine_of(found.name))
    return machine, not computes, found.name.endswith(".in"), other, resource


def chosen(found: Sequence[Lane], most: int = MOST_ROWS) -> list[Lane]:
    """Return at most *most* lanes in their order: those on the critical path, then of each kind the busiest.

    A kind is what computes on, leaves or enters machines of one role, as a row of each says more than all
    rows of one; the kinds take turns.
    """
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for number in sorted(range(len(found)), key=lambda n: (-found[n].busy_s, n)):
        kinds[found[number].kind].append(number)
    turns = {number: turn for members in kinds.values() for turn, number in enumerate(members)}
    order = sorted(turns, key=lambda n: (not found[n].critical, turns[n], n))
    return [found[number] for number in sorted(order[:most])]


def _figure(result: Comparison, row: Row, steps: int) -> Figure:
    """Lay the picture out: head, a row a lane, the time below, and what is left out."""
    run = row.measured
    assert run is not None
    shown = windows(run, steps)
    length = shown[-1].end_s - shown[0].start_s
    everything = lanes(run, steps)
    found = chosen(everything)
    labels = [lane_label(lane) for lane in found]
    left = MARGIN + max(inches(label, SMALL) for label in labels) + GAP
    width = WIDTH - MARGIN - left - 0.1
    below = []
    if len(found) < len(everything):
        idle = max(lane.busy_s for lane in everything if lane not in found) / length
        below = [
            f"not shown: {len(everything) - len(found)} of {len(everything)} rows, off the critical path "
            f"or in use {words.percent(idle)} of this time at most"
        ]
    gaps = [n for n in range(1, len(found)) if found[n].machine != found[n - 1].machine]
    tops = [LINE * n + BETWEEN * sum(gap <= n for gap in gaps) for n in range(len(found))]
    tall = tops[-1] + LINE
    head = Head(
        _title(words.titles(result.rows)[row.name], run, shown), _below(result, row), work_keys(found)
    )
    sheet = Sheet(WIDTH, head.height + tall + 0.5 + FOOT * len(below))
    head.draw(sheet)
    axes = sheet.axes(left, head.height, width, tall)
    time_frame(axes, length, width, tall, [one.end_s - shown[0].start_s for one in shown[:-1]])
    for lane, top, label in zip(found, tops, labels, strict=True):
        sheet.text(left - GAP, head.height + top + LINE / 2 - 0.02, label, SMALL, INK, ha="right")
        draw_lane(axes, lane, top, length / width)
    what = "step" if len(shown) == 1 else "first step"
    sheet.text(
        left + width / 2, head.height + tall + 0.36, f"time since the {what} began", SMALL, INK, ha="center"
    )
    sheet.foot(below, head.height + tall + 0.55)
    return sheet.figure


def lane_label(lane: Lane) -> str:
    """Return what stands before a row: the machine and what of it; a channel names both its ends."""
    said = lane.name if " > " in lane.name or lane.name == lane.machine else f"{lane.machine} {lane.name}"
    return wrapped(printable(said), SMALL, _MOST_LABEL, 1)[0]


def _title(called: str, run: Measured, shown: Sequence[Window]) -> str:
    which = "the median step" if len(shown) == 1 else f"{len(shown)} steps"
    if run.is_async:
        which = f"{which} of {shown[0].label.partition(',')[0]}"
    return f"{called}: {which}"


def _below(result: Comparison, row: Row) -> list[str]:
    return of_model(result, *([f"step {words.duration(row.step_s)}"] if row.step_s else []))


def _work(op: str) -> tuple[str, str]:
    return WORK.get(op, _OTHER)


def work_keys(found: Sequence[Lane]) -> list[Key]:
    """Return the legend: what there is, in the order of a step."""
    kinds = {bar.op for lane in found for bar in lane.bars}
    listed = dict.fromkeys(work for op, work in WORK.items() if op in kinds)
    keys = [box_key(*work) for work in listed]
    keys += [box_key(*_OTHER)] if kinds - set(WORK) else []
    if any(bar.start_s > bar.ready_s for lane in found for bar in lane.bars):
        keys.append(Key("queued before", lambda sheet, x, y: sheet.box(x, y - 0.018, 0.14, 0.036, GREY)))
    if any(lane.critical for lane in found):
        keys.append(Key("on the critical path", _framed))
    return keys


def _framed(sheet: Sheet, x: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    place = (x / sheet.width, 1 - (y + 0.05) / sheet.height)
    size = 0.14 / sheet.width, 0.1 / sheet.height
    sheet.figure.add_artist(Rectangle(place, *size, facecolor="none", edgecolor=INK, linewidth=1))


def time_frame(axes: Axes, length: float, width: float, tall: float, ends: Sequence[float]) -> None:
    """Set the scale of time, a light grid, and lines where steps end."""
    ticks = scale([0.0, length], width, "duration", zero=True)
    inside = [(tick, said) for tick, said in zip(ticks.ticks, ticks.said, strict=True) if tick <= length]
    axes.set_xlim(0, length)
    axes.set_ylim(tall, 0)
    axes.set_facecolor("none")
    axes.set_yticks([])
    axes.set_xticks([tick for tick, _ in inside], [said for _, said in inside])
    axes.tick_params(axis="x", length=0, pad=4, labelsize=SMALL, labelcolor=GREY)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
        axes.spines[side].set_linewidth(0.8)
    for end in ends:
        axes.axvline(end, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)


def draw_lane(axes: Axes, lane: Lane, top: float, per_inch: float) -> None:
    """Draw one row: bars by colour, frames of what is critical, and queues below.

    Args:
        per_inch: seconds an inch.
    """
    by_color: defaultdict[tuple[str, bool], list[tuple[float, float]]] = defaultdict(list)
    framed = []
    for bar in _together(lane.bars, per_inch * _FINE):
        length = bar.end_s - bar.start_s
        by_color[_work(bar.op)[1], length > per_inch * _EDGED].append((bar.start_s, length))
        if bar.critical:
            framed.append((bar.start_s, bar.end_s))
    y = top + 0.02
    for (color, edged), spans in by_color.items():
        how: Any = (
            {"edgecolor": "white", "linewidth": 0.4} if edged else {"edgecolor": color, "linewidth": 0.0}
        )
        axes.broken_barh(spans, (y, _BAR), facecolor=color, zorder=3, **how)
    if framed:
        around = [(start, end - start) for start, end in _union(framed, per_inch * _FINE)]
        axes.broken_barh(around, (y, _BAR), facecolor="none", edgecolor=INK, linewidth=0.8, zorder=4)
    queued = _union([(bar.ready_s, bar.start_s) for bar in lane.bars if bar.start_s > bar.ready_s])
    if queued:
        spans = [(start, end - start) for start, end in queued]
        axes.broken_barh(spans, (y + _BAR + 0.012, _QUEUE), facecolor=GREY, linewidth=0, zorder=2)


def _together(bars: Sequence[Bar], fine_s: float) -> list[Bar]:
    """Return *bars*, those of them joined that are too narrow to tell apart."""
    found: list[Bar] = []
    for bar in bars:
        last = found[-1] if found else None
        if (
            last is not None
            and (last.op, last.critical) == (bar.op, bar.critical)
            and bar.start_s - last.end_s < fine_s
            and bar.end_s - bar.start_s < fine_s
        ):
            found[-1] = Bar(last.start_s, max(last.end_s, bar.end_s), last.ready_s, bar.op, bar.critical)
        else:
            found.append(bar)
    return found


def _union(spans: Sequence[tuple[float, float]], fine_s: float = 0.0) -> list[tuple[float, float]]:
    """Return *spans* in order, those joined that touch or are no further apart than *fine_s*."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + fine_s:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
