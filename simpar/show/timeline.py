"""Timelines for ui.perfetto.dev and chrome://tracing: what ran where, and which message set it off.

The file is JSON in Chrome's trace event format. Each strategy is a run of *processes*, one a machine,
in the order of rank; the *threads* of a machine are its lanes:

* its device or its CPU (several lanes where it serves several at once),
* its link directions, where links serve one message at a time,
* its channels to other machines (``w3 > ps0``), where links are shared fairly.

A slice is the time for which an instance holds its resource; that of a message ends at its last byte,
its delivery is in its arguments. Arrows lead from a message to what its receiver does next, counters
show the bytes in flight, and a lane of each strategy shows its steps.

Times in the file are microseconds since the start of the run, counted in whole nanoseconds. The slices
of a lane never overlap, not even by one nanosecond: viewers misplace those that do.

Start with :func:`comparison`.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from simpar.result import Comparison, Measured
from simpar.show.timeline_lanes import Numbers
from simpar.show.timeline_view import View

MOST_EVENTS = 200_000
"""Events in a file, about; viewers get slow beyond a million."""

MOST_ARROWS = 6000
"""Arrows in a file, shared out evenly among the strategies."""


def comparison(
    result: Comparison, steps: int = 4, *, max_events: int = MOST_EVENTS, compressed: bool = True
) -> bytes:
    """Return the timelines of all strategies that fit, in their order of rank.

    Args:
        steps: measured steps of each to show, from the first.
        max_events: about as many events at most; steps are left out, and at last parts of one.
        compressed: gzip, as viewers read it; else plain JSON.

    Raises:
        ValueError: *steps* is below 1.
    """
    return chrome_trace(
        {row.name: row.measured for row in result.rows if row.measured is not None},
        labels={row.name: row.label for row in result.rows},
        about={
            "scenario": result.scenario,
            "seed": result.seed,
            "does_not_fit": [row.name for row in result.rows if row.measured is None],
        },
        steps=steps,
        max_events=max_events,
        compressed=compressed,
    )


def chrome_trace(
    measured: Mapping[str, Measured],
    *,
    labels: Mapping[str, str] | None = None,
    about: Mapping[str, Any] | None = None,
    steps: int = 4,
    max_events: int = MOST_EVENTS,
    compressed: bool = True,
) -> bytes:
    """Return the timelines of *measured*, by name, from top to bottom in its order.

    The same runs give the same bytes. ``otherData`` says what the file shows of each, and what of it
    was left out.

    Args:
        labels: what people read each name as.
        about: facts for ``otherData``, plain JSON.

    Raises:
        ValueError: *steps* is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, not at least 1")
    from simpar import __version__

    numbers = Numbers()
    views = [View(name, run, numbers) for name, run in measured.items()]
    for view, most in zip(views, _allotted([view.wanted(steps) for view in views], max_events), strict=True):
        view.lay(steps, most)
    arrows = _allotted([len(view.arrows) for view in views], MOST_ARROWS)
    events = [event for view, most in zip(views, arrows, strict=True) for event in view.events(most)]
    shown = [{"name": view.name, "label": (labels or {}).get(view.name, view.name)} for view in views]
    for said, view in zip(shown, views, strict=True):
        said |= view.shown()
    other = {
        **(about or {}),
        "simpar": __version__,
        "units": "ts and dur in microseconds; arguments in seconds (_s) and bytes",
        "strategies": shown,
    }
    document = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": other}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _gzipped(text.encode()) if compressed else text.encode() + b"\n"


def _allotted(wanted: Sequence[int], most: int) -> list[int]:
    """Share *most* out: what those who want little leave over goes to the others, evenly.

    >>> _allotted([10, 90, 70], 100)
    [10, 45, 45]
    """
    given = [0] * len(wanted)
    for place, which in enumerate(sorted(range(len(wanted)), key=lambda w: (wanted[w], w))):
        given[which] = min(wanted[which], (most - sum(given)) // (len(wanted) - place))
    return given


def _gzipped(data: bytes) -> bytes:
    """Return *data* as gzip without a name or a time in its head."""
    out = io.BytesIO()
    # Not gzip.compress: what it writes for the operating system differs between Python versions.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as file:
        file.write(data)
    return out.getvalue()
