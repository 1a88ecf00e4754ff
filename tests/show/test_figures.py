"""The figures of a comparison besides its bars, two results side by side, and studies of settings."""

import itertools
from dataclasses import dataclass

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import simpar
from simpar.result import BREAKDOWN, Bottleneck, Comparison, Row, Staleness, Use
from simpar.result.changes import Changes
from simpar.show import (
    plot_cost,
    plot_gantt,
    plot_staleness,
    plot_two,
    plot_use,
    plot_whatif,
    sheet,
)
from simpar.study.points import Point

LONG = "a name of a strategy that goes on for more than sixty characters, number"
FACTS = {"model": "ResNet-50", "unit": "images", "bytes_per_s": 3.125e9, "latency_s": 5e-6, "steps": 20}
FORMATS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def row(name, step_s=0.2, rank=1, **more):
    figures = {}
    if step_s is not None:
        parts = dict.fromkeys(BREAKDOWN, 0.0) | {"compute_s": step_s}
        figures = {"step_s": step_s, "samples_per_s": 512 / step_s, "speedup": 4.0, "breakdown": parts}
    return Row(
        **{"name": name, "kind": "ps-async", "label": name, "rank": rank, "fits": step_s is not None},
        **{"workers": 8, "memory_bytes": 1e9, "memory_limit_bytes": None},
        **(figures | more),
    )


def of(*rows, scenario="mine"):
    return Comparison(scenario, 0, "reference", list(rows), FACTS, [])


def stale(name, histogram):
    values = [value for value, count in histogram.items() for _ in range(count)]
    return row(name, staleness=Staleness.of(values))


def uses(workers, servers=2, limit="ps0.in"):
    found = [Use(f"w{n}", "device", 0.4, 0.0) for n in range(workers)]
    found += [Use(f"ps{n}.cpu", "server", 0.01 * n, 0.0) for n in range(servers)]
    found += [Use(f"ps{n}.in", "link", 0.9, 4e8) for n in range(servers)]
    found += [Use(f"w{n}.out", "link", 0.1, 1e8) for n in range(workers)]
    bottleneck = Bottleneck(limit, "network", None, 0.6)
    return row("ps-sync", resources=tuple(found), bottleneck=bottleneck)


def uneven(count):
    found = tuple(Use(f"w{n}.out", "link", n / count, n * 1e7) for n in range(count))
    return row(LONG, resources=found, bottleneck=Bottleneck("w3.out", "network", None, 0.6))


@dataclass
class Axis:
    path: str
    values: tuple
    numbers: tuple | None = None


@dataclass
class Study:
    axes: tuple
    points: tuple
    labels: dict
    zipped: bool = False
    scenario: str = "mine"
    seed: int = 0


def study(step_s, *axes, names=("ring", "ps"), zipped=False):
    """Return the study whose steps are step_s(number of the strategy, *numbers of the values)."""
    places = [range(len(axis.values)) for axis in axes]
    points = []
    for place in zip(*places, strict=True) if zipped else itertools.product(*places):
        rows = [row(name, step_s(number, *place)) for number, name in enumerate(names)]
        rows.sort(key=lambda one: one.step_s or float("inf"))
        settings = {axis.path: axis.values[at] for axis, at in zip(axes, place, strict=True)}
        points.append(Point(settings, of(*rows) if any(one.fits for one in rows) else None, {}))
    return Study(axes, tuple(points), {name: name for name in names}, zipped)


def rates(count):
    return Axis(
        "network.bandwidth", tuple(f"{n} Gbit/s" for n in range(1, count + 1)), tuple(range(1, count + 1))
    )


def times(count):
    return Axis(
        "network.latency", tuple(f"{10**n} us" for n in range(count)), tuple(10**n for n in range(count))
    )


WORDS = Axis("cluster.device", ("a100-80", "an-unusually-long-name-of-some-device-or-other", "t4"))
TWELVE = tuple(f"{LONG} {number}" for number in range(12))


def falling(number, *place):
    """Return a step that every axis changes; the winner changes, too, and some points have no figures."""
    if number == 1 and place[0] == 2:
        return None
    return 0.1 * (1 + number) / (1 + place[0]) + 0.03 * number**0.5 + 0.02 * sum(place[1:]) / (1 + number)


STUDIES = {
    "one": study(falling, rates(5), names=("ring",)),
    "curves": study(falling, rates(7)),
    "twelve curves": study(falling, rates(9), names=TWELVE),
    "words": study(falling, WORDS),
    "twelve words": study(falling, WORDS, names=TWELVE),
    "one point": study(falling, Axis("network.sharing", ("fair",))),
    "map": study(falling, rates(7), times(4)),
    "map of words": study(falling, WORDS, rates(3), names=TWELVE),
    "large map": study(falling, rates(40), Axis("x", tuple(range(30)), tuple(range(30)))),
    "maps": study(falling, rates(4), times(3), WORDS, names=TWELVE),
    "many maps": study(falling, rates(16), times(3), Axis("strategies[ps].servers", tuple(range(15)))),
    "four axes": study(falling, rates(3), times(2), WORDS, Axis("seed", (1, 2), (1, 2))),
    "zipped": study(falling, rates(3), times(3), WORDS, names=TWELVE, zipped=True),
    "with a constant": study(falling, rates(3), Axis("network.latency", ("5 us",), (5e-6,))),
}
QUICKSTART = simpar.compare("scenarios/quickstart.yaml", set={"run.steps": 3}, advise=False)
PRICED = of(
    *(row(n, 0.1 + 0.01 * k, usd_per_hour=30.0 - 2 * k) for k, n in enumerate(TWELVE)), row("none", None)
)
SAME = of(*(row(name, 0.2, usd_per_hour=3.0) for name in TWELVE))
OTHER = of(row("ring", 0.1), row(LONG, 0.3), row("big", None), row("new", 1.9))
BEFORE = of(row("ring", 0.2), row(LONG, 0.3), row("big", 0.3), row("gone", 0.01), scenario="other")
TWO = Changes(BEFORE, OTHER, (f"/tmp/{LONG}.json", "b.json"))
STALE = {"ps-async": {7: 99, 8: 1}, "drain": {n: 1 + n % 3 for n in range(300)}, LONG: {0: 5}}
FIGURES = {
    "use": lambda: plot_use._figure(of(uses(8)), uses(8)),
    "use of many": lambda: plot_use._figure(of(uses(300, 12)), uses(300, 12)),
    "uneven use": lambda: plot_use._figure(of(uneven(90)), uneven(90)),
    "staleness": lambda: plot_staleness._figure(of(stale("ps-async", {7: 10}), row("ring"))),
    "three staleness": lambda: plot_staleness._figure(of(*(stale(n, h) for n, h in STALE.items()))),
    "twelve staleness": lambda: plot_staleness._figure(of(*(stale(n, {3: 1, 7: 2}) for n in TWELVE))),
    "cost": lambda: plot_cost._figure(of(row("ring", usd_per_hour=3.0))),
    "twelve costs": lambda: plot_cost._figure(PRICED),
    "twelve equal costs": lambda: plot_cost._figure(SAME),
    "two": lambda: plot_two._figure(TWO),
    "two of nothing": lambda: plot_two._figure(Changes(of(row("a", None)), of(row("a", None)), ("a", "b"))),
    "gantt": lambda: plot_gantt._figure(QUICKSTART, QUICKSTART["ps-sync"], 1),
    "gantt of two steps": lambda: plot_gantt._figure(QUICKSTART, QUICKSTART["ps-async"], 2),
    **{name: (lambda one=one: plot_whatif._figure(one)) for name, one in STUDIES.items()},
    "map of one": lambda: plot_whatif._figure(STUDIES["map"], "ps"),
    "maps of one": lambda: plot_whatif._figure(STUDIES["maps"], TWELVE[1]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_or_lies_on_another(name):
    with sheet.own_settings():
        figure = FIGURES[name]()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        written = [*figure.texts]
        for axes in figure.axes:
            written += [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in written if t.get_text()]

    assert boxes
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not _overlap(box, other_box), (text, other)


def _overlap(a, b, slack=3.0):
    """Say whether two boxes overlap by more than *slack* pixels both ways."""
    return min(a.x1, b.x1) - max(a.x0, b.x0) > slack and min(a.y1, b.y1) - max(a.y0, b.y0) > slack
