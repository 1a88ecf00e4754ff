"""What tests ask of every figure: text that can be read, bars, and the same bytes in any process."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from simpar.show import sheet

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

LONG = "a name of a strategy that goes on for more than sixty characters, number"


def color(bar):
    """Return the colour of a bar as the figures write it."""
    return to_hex(bar.get_facecolor()).upper()


def bars(axes):
    """Return every bar of *axes* but those that keep the grid from running through words."""
    return [bar for bar in axes.patches if color(bar) != "#FFFFFF"]


def check_text(draw, on_bars=True):
    """Draw a figure, and check that no text leaves the sheet or lies on another.

    Args:
        on_bars: whether text may not lie on a bar, either.
    """
    with sheet.own_settings():
        figure = draw()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        written = [*figure.texts]
        for axes in figure.axes:
            written += [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in written if t.get_text()]
        drawn = [bar for axes in figure.axes for bar in bars(axes) if bar.get_width()] if on_bars else []
        bar_boxes = [bar.get_window_extent(renderer) for bar in drawn]

    assert boxes
    edge = 0.03 * figure.dpi  # inches that stay white
    for text, box in boxes:
        assert box.x0 >= edge, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width - edge, text
        assert box.y1 <= figure.bbox.height, text
        assert not any(_overlap(box, bar) for bar in bar_boxes), text
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not _overlap(box, other_box), (text, other)


def _overlap(a, b, slack=3.0):
    """Say whether two boxes overlap by more than *slack* pixels both ways; runs of one line touch."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack


def check_bytes(code):
    """Run *code*, which prints digests, under two hash seeds, and check that it prints the same."""
    head = f"import hashlib, os, sys\nsys.path[:0] = [{str(HERE)!r}]\nos.chdir({str(ROOT)!r})\n"
    said = {
        subprocess.run(
            [sys.executable, "-c", head + code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert said != {""}
