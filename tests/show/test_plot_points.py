"""The figures of studies: lines and bars where they belong, and no text cut off or on another."""

from dataclasses import replace

import pytest
from drawn import LONG, bars, check_bytes, check_text, color

from simpar.result import BREAKDOWN, Comparison, Interval, Row
from simpar.show import marks, plot_machines, plot_scale, sheet
from simpar.study.machines import Machines
from simpar.study.points import Point
from simpar.study.scale import Scaling

FACTS = {
    "model": "ResNet-50",
    "unit": "images",
    "batch": 64,
    "bytes_per_s": 3.125e9,
    "latency_s": 5e-6,
    "steps": 20,
    "seed": 0,
}


def row(name, workers, speedup, price=None):
    if speedup is None:
        return Row(name, "ps-sync", name, 1, False, workers, 20e9, 16e9)
    step_s = 0.18 * workers / speedup
    return Row(
        name=name,
        kind="ps-sync",
        label=name,
        rank=1,
        fits=True,
        workers=workers,
        memory_bytes=1e9,
        memory_limit_bytes=None,
        step_s=step_s,
        samples_per_s=64 * workers / step_s,
        speedup=speedup,
        breakdown=dict.fromkeys(BREAKDOWN, 0.0) | {"compute_s": step_s},
        usd_per_hour=price,
    )


def scaling(curves, workers=(1, 2, 4, 8, 16), change=lambda row: row):
    """Return a scaling whose strategies have the speedups in *curves*; None does not fit."""
    points = [
        Point(
            {"cluster.workers": count},
            Comparison(
                "mine",
                0,
                "reference",
                [change(row(name, count, speedups[at])) for name, speedups in curves.items()],
                FACTS | {"workers": count},
                [],
            ),
            {},
        )
        for at, count in enumerate(workers)
    ]
    labels = {name: name for name in curves}
    return Scaling("mine", 0, "workers", "cluster.workers", tuple(workers), False, 64, tuple(points), labels)


def machines(devices, prices=None, refused=None):
    """Return machines whose strategies have the speedups in *devices*; those in *refused* have none."""
    points, labels = [], {}
    for device, speedups in devices.items():
        price = (prices or {}).get(device)
        rows = [row(name, 8, speedup, price) for name, speedup in speedups.items()]
        labels |= {name: name for name in speedups}
        found = Comparison("mine", 0, "reference", rows, FACTS | {"workers": 8}, []) if rows else None
        points.append(Point({"cluster.device": device}, found, {}))
    for device, why in (refused or {}).items():
        points.append(Point({"cluster.device": device}, None, dict.fromkeys(labels, why)))
    return Machines("mine", 0, (*devices, *(refused or {})), tuple(points), labels, ())


def falling(number):
    return tuple(count / (1 + 0.05 * number * count) for count in (1, 2, 4, 8, 16))


ONE = scaling({"ring": (1, 1.9, 3.6, 7, 13)})
TWELVE = {f"{LONG} {n}": falling(n % 5) for n in range(12)}
VARYING = scaling(
    {"ring": (1, 1.9, 3.6, 7, 13), "ps": falling(3)},
    change=lambda row: (
        replace(row, intervals={"speedup": Interval(row.speedup * 0.8, row.speedup, row.speedup * 1.3)})
        if row.name == "ps"
        else row
    ),
)
SCALINGS = {
    "one": ONE,
    "four": scaling({f"s{n}": falling(n) for n in range(4)}),
    "twelve": scaling(TWELVE),
    "forty": scaling({f"{LONG} {n}": falling(n % 7) for n in range(40)}),
    "equal": scaling({f"s{n}": falling(1) for n in range(12)}),
    "varying": VARYING,
    "too large": scaling({"ring": (1, 1.9, None, None, None), "never": (None,) * 5, LONG: falling(2)}),
    "one point": scaling({"ring": (3.0,)}, workers=(8,)),
    "dense": scaling({"ring": tuple(range(1, 101))}, workers=tuple(range(1, 101))),
    "wide": scaling({"ring": (1e-4, 1e5)}, workers=(1, 100_000)),
}
SPEEDS = {"ring": 7.5, "ps": 3.0, "pipeline": 0.01, "more": 7.1}
MACHINES = {
    "one": machines({"v100": {"ring": 7.5}}),
    "four": machines({"v100": SPEEDS, "a100-80": SPEEDS, "core-i7-1165g7": SPEEDS}, {"v100": 24.0}),
    "priced": machines({"v100": SPEEDS, "h100": SPEEDS}, {"v100": 24.0, "h100": 9999.0}),
    "twelve": machines(
        {
            device: {f"{LONG} {n}": 7.5 - n / 2 if n != 3 else None for n in range(12)}
            for device in ("v100", "h100")
        },
        {"h100": 1e-3},
        {"k80": "device k80 has no rate for float16; write one of: float64, float32; or give FLOPs"},
    ),
    "nothing": machines({"v100": {"ring": None, "ps": None}}),
}
FIGURES = [
    *((f"scale {name}", plot_scale._figure, result) for name, result in SCALINGS.items()),
    *((f"machines {name}", plot_machines._figure, result) for name, result in MACHINES.items()),
]


@pytest.mark.parametrize(("draw", "result"), [one[1:] for one in FIGURES], ids=[one[0] for one in FIGURES])
def test_no_text_is_cut_or_lies_on_another_or_on_a_bar(draw, result):
    check_text(lambda: draw(result))


def lines(figure):
    """Return the points of every line with markers, by colour."""
    (axes,) = figure.axes
    return [
        list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
        if line.get_marker() not in ("None", "_") and line.get_markerfacecolor() != "none"
    ]


def rings(figure):
    (axes,) = figure.axes
    return [
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if line.get_markerfacecolor() == "none"
    ]


def test_a_line_goes_through_the_speedup_at_each_number_of_workers():
    figure = plot_scale._figure(ONE)

    assert lines(figure) == [[(1, 1), (2, 1.9), (4, 3.6), (8, 7), (16, 13)]]
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_what_does_not_fit_ends_its_line_and_what_never_fits_is_named():
    figure = plot_scale._figure(SCALINGS["too large"])

    assert [len(points) for points in lines(figure)] == [2, 5]
    assert "without figures anywhere: never" in [text.get_text() for text in figure.texts]


def test_a_ring_marks_where_it_stops_paying():
    result = scaling({"ring": (1, 2, 4, 8, 16), "ps": (1, 2, 4, 5, 5.5)})

    assert rings(plot_scale._figure(result)) == [(4, 4)]


def test_a_band_is_drawn_only_for_a_strategy_with_intervals():
    (axes,) = plot_scale._figure(VARYING).axes
    band, whiskers = axes.collections

    (low, high) = (falling(3)[0] * 0.8, falling(3)[0] * 1.3)
    at_one = [y for x, y in band.get_paths()[0].vertices if x == 1]
    assert (min(at_one), max(at_one)) == pytest.approx((low, high))
    first = whiskers.get_segments()[0]
    assert [y for _, y in first] == pytest.approx((low, high))
    ends = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "_"]
    assert ends == pytest.approx([low, high])
    assert not plot_scale._figure(ONE).axes[0].collections


def test_strategies_differ_in_colour_marker_or_dashes():
    styles = [str(marks.line(one.number)) for one in plot_scale.curves(SCALINGS["twelve"])]

    assert len(set(styles)) == 12


def test_there_are_two_panels_only_where_something_has_a_price():
    assert len(plot_machines._figure(MACHINES["one"]).axes) == 1
    assert len(plot_machines._figure(MACHINES["four"]).axes) == 2


def test_a_bar_is_as_long_as_its_figure_in_the_colour_of_its_strategy():
    figure = plot_machines._figure(machines({"v100": {"a": 4.0, "b": 2.0}}, {"v100": 36.0}))
    found = [[(color(bar), bar.get_width()) for bar in bars(axes)] for axes in figure.axes]
    rates = [speedup / 0.18 * 64 for speedup in (4.0, 2.0)]  # of one device: a batch of 64 in 0.18 s
    for panel, values in zip(found, (rates, [36 / 3600 / rate * 1e6 for rate in rates]), strict=True):
        assert [color for color, _ in panel] == list(sheet.COLORS[:2])
        assert [width for _, width in panel] == pytest.approx(values)


def test_a_device_without_a_price_and_one_without_figures_say_so_once():
    figure = plot_machines._figure(MACHINES["twelve"])
    time, money = ([text.get_text() for text in axes.texts] for axes in figure.axes)

    assert money.count("no price") == 1
    assert sum("device k80 has no rate for float16" in text for text in time) == 1
    assert sum(text.endswith("3: does not fit in memory") for text in time) == 2  # with whose bar it is


@pytest.mark.parametrize(("format", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_formats(format, begins):
    assert plot_scale.scaling(ONE, format).startswith(begins)
    assert plot_machines.machines(MACHINES["four"], format).startswith(begins)


def test_an_unknown_format_is_refused():
    for draw, result in ((plot_scale.scaling, ONE), (plot_machines.machines, MACHINES["one"])):
        with pytest.raises(ValueError, match="svg, png, pdf"):
            draw(result, "gif")


PROGRAM = """
import simpar.show.plot_machines as m
import simpar.show.plot_scale as s
assert "matplotlib" not in sys.modules
import test_plot_points as t
for format in ("svg", "png", "pdf"):
    print(hashlib.sha256(s.scaling(t.VARYING, format)).hexdigest())
    print(hashlib.sha256(m.machines(t.MACHINES["twelve"], format)).hexdigest())
assert "matplotlib.pyplot" not in sys.modules
"""


def test_the_same_bytes_in_any_process():
    check_bytes(PROGRAM)
