"""The figures of a comparison besides its bars, two results side by side, and studies of settings."""

import itertools
from dataclasses import dataclass, replace

import pytest
from drawn import LONG, bars, check_bytes, check_text, color
from matplotlib.colors import to_hex

import simpar
from simpar.result import BREAKDOWN, Bottleneck, Comparison, Interval, Row, Staleness, Use
from simpar.result.changes import Changes
from simpar.show import (
    figures,
    plot_cost,
    plot_gantt,
    plot_maps,
    plot_staleness,
    plot_two,
    plot_use,
    plot_whatif,
    scales,
    sheet,
)
from simpar.study.points import Point

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
    "map of two words": study(falling, WORDS, Axis("network.sharing", ("fair", "fifo"))),
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
SPREAD = replace(row("ring", 0.2), intervals={"step_s": Interval(0.15, 0.2, 0.4)})
LUCK = Changes(of(SPREAD, row(LONG, 0.3, 2)), of(SPREAD, row(LONG, 0.3, 2)), ("a.json", "b.json"))
TWELVES = [
    of(
        *(
            replace(row(name, step), intervals={"step_s": Interval(step / 2, step, 2 * step)})
            for name in TWELVE
        )
    )
    for step in (0.2, 0.4)
]
"""Twelve strategies in two results, all of whose times vary."""
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
    "two with whiskers": lambda: plot_two._figure(LUCK),
    "two of twelve with whiskers": lambda: plot_two._figure(Changes(*TWELVES, ("a.json", "b.json"))),
    "two of nothing": lambda: plot_two._figure(Changes(of(row("a", None)), of(row("a", None)), ("a", "b"))),
    "gantt": lambda: plot_gantt._figure(QUICKSTART, QUICKSTART["ps-sync"], 1),
    "gantt of two steps": lambda: plot_gantt._figure(QUICKSTART, QUICKSTART["ps-async"], 2),
    **{name: (lambda one=one: plot_whatif._figure(one)) for name, one in STUDIES.items()},
    "map of one": lambda: plot_whatif._figure(STUDIES["map"], "ps"),
    "maps of one": lambda: plot_whatif._figure(STUDIES["maps"], TWELVE[1]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_or_lies_on_another(name):
    check_text(FIGURES[name], on_bars=False)


def lengths(axes):
    """Return colour, beginning and length of every bar."""
    return [(color(one), one.get_x(), one.get_width()) for one in bars(axes)]


# -- who is busy -----------------------------------------------------------------------------------


def test_resources_that_are_alike_share_a_bar_and_what_limits_is_marked():
    found = [[(bar.names, bar.busy_frac, bar.limits) for bar in group] for group in plot_use.bars(uses(8, 1))]

    assert found == [
        [(tuple(f"w{n}" for n in range(8)), 0.4, False)],
        [(("ps0.cpu",), 0.0, False)],
        [(tuple(f"w{n}.out" for n in range(8)), 0.1, False)],
        [(("ps0.in",), 0.9, True)],
    ]


def test_a_bar_is_as_long_as_its_share_of_the_time():
    (axes,) = plot_use._figure(of(uses(8, 1)), uses(8, 1)).axes

    assert [length for _, _, length in lengths(axes)] == [0.4, 0.0, 0.1, 0.9]
    assert lengths(axes)[3][0] == sheet.ALARM


def test_of_many_bars_the_busiest_and_what_limits_are_kept_and_the_rest_is_counted():
    figure = plot_use._figure(of(uneven(90)), uneven(90))
    (axes,) = figure.axes

    # 90 links in use n/90: w3 limits, and of the others the 39 busiest are w51 to w89.
    assert sorted(length for _, _, length in lengths(axes)) == [n / 90 for n in (3, *range(51, 90))]
    assert "not shown: 50 others, in use 55.6 % at most" in [text.get_text() for text in figure.texts]


def test_a_result_read_back_has_the_same_groups():
    fresh = QUICKSTART["ps-sync"]
    again = Comparison.from_dict(QUICKSTART.to_dict())["ps-sync"]

    assert plot_use.bars(again) == plot_use.bars(fresh)


def test_the_network_of_closed_forms_is_a_kind_of_its_own():
    closed = simpar.compare(
        "scenarios/quickstart.yaml",
        set={"run.steps": 3, "run.collectives": "closed_form", "strategies": ["allreduce"]},
        advise=False,
    )
    for result in (closed, Comparison.from_dict(closed.to_dict())):
        devices, network = plot_use.bars(result["allreduce"])
        assert [bar.kind for bar in (*devices, *network)] == ["device", "collective"]
        assert plot_use.use(result).startswith(b"<?xml")


# -- staleness -------------------------------------------------------------------------------------


def test_a_histogram_adds_up_to_all_gradients_and_many_values_share_bars():
    found = plot_staleness.bins(dict.fromkeys(range(100), 1), 99)

    assert sum(share for _, _, share in found) == pytest.approx(1)
    assert found[0] == (-0.5, 2.5, pytest.approx(0.03))  # 100 values on at most 40 bars: three each
    assert plot_staleness.bins({7: 3, 8: 1}, 8) == [(6.5, 7.5, 0.75), (7.5, 8.5, 0.25)]


def test_mean_and_law_stand_where_they_are():
    (axes,) = plot_staleness._figure(of(stale("ps-async", {6: 1, 9: 1}))).axes

    assert sorted(line.get_xdata()[0] for line in axes.lines) == [7, 7.5]  # W - 1 of 8 workers, and the mean


def test_only_asynchronous_strategies_have_staleness():
    assert [one.name for one in plot_staleness.stale_rows(QUICKSTART)] == ["ps-async"]
    with pytest.raises(ValueError, match="no strategy trains asynchronously"):
        plot_staleness.staleness(of(row("ring")))


# -- cost ------------------------------------------------------------------------------------------


def test_a_dot_is_the_time_and_the_money_of_a_million_samples():
    (dot,) = plot_cost.dots(of(row("ring", 0.2, usd_per_hour=36.0), row("free", 0.1)))

    seconds = 1e6 * 0.2 / 512
    assert (dot.seconds, dot.usd) == (pytest.approx(seconds), pytest.approx(seconds * 0.01))


def test_an_epoch_is_as_long_as_what_it_costs_at_the_price_of_an_hour():
    (dot,) = plot_cost.dots(of(row("ring", usd_per_hour=36.0, usd_per_epoch=18.0)))

    assert (dot.seconds, dot.usd) == (1800, 18)


def test_nothing_on_the_front_is_beaten_and_equals_are_all_on_it():
    found = [
        plot_cost.Dot(n, str(n), *at)
        for n, at in enumerate([(1, 9), (2, 5), (2, 5), (3, 6), (4, 1), (1, 10)])
    ]

    assert [dot.strategy for dot in plot_cost.front(found)] == [0, 1, 2, 4]


def test_time_and_money_of_nine_of_ten_runs_are_in_proportion():
    """Half the samples per second is twice the time at twice the cost."""
    rates = Interval(256 / 0.2, 512 / 0.2, 1024 / 0.2)
    (dot,) = plot_cost.dots(of(row("ring", 0.2, usd_per_hour=36.0, intervals={"samples_per_s": rates})))

    assert dot.spread == pytest.approx((0.5, 2.0))


def test_every_point_of_a_study_is_a_dot():
    priced = study(lambda number, *place: 0.2, rates(3))
    points = tuple(
        replace(point, comparison=of(*(replace(one, usd_per_hour=36.0) for one in point.comparison.rows)))
        for point in priced.points
    )
    found = plot_cost.dots(replace(priced, points=points))
    assert [(dot.label, dot.at) for dot in found][:3] == [
        ("ring", "bandwidth 1 Gbit/s"),
        ("ps", "bandwidth 1 Gbit/s"),
        ("ring", "bandwidth 2 Gbit/s"),
    ]
    assert len(found) == 6
    assert plot_cost.cost(replace(priced, points=points)).startswith(b"<?xml")


# -- gantt -----------------------------------------------------------------------------------------


def test_lanes_show_the_median_step_of_the_quickstart():
    """ps-sync: 8 workers compute 60 + 120 ms; each of 2 servers sends and takes 8 x 51.11 MB at 25 Gbit/s."""
    lanes = {(lane.machine, lane.name): lane for lane in plot_gantt.lanes(QUICKSTART["ps-sync"].measured)}
    message = 8 * (102_228_128 / 2) / 3.125e9

    assert len(lanes) == 8 + 16 + 16
    forward, backward = lanes["w3", "compute"].bars
    assert (forward.op, backward.op) == ("forward", "backward")
    assert forward.end_s - forward.start_s == pytest.approx(0.060)
    assert backward.end_s - backward.start_s == pytest.approx(0.120)
    (push,) = lanes["w3", "w3 > ps0"].bars
    assert push.end_s - push.start_s == pytest.approx(message, rel=1e-3)


def test_the_critical_path_is_framed_from_the_pull_to_the_push():
    lanes = plot_gantt.lanes(QUICKSTART["ps-sync"].measured)
    found = [bar for lane in lanes for bar in lane.bars if bar.critical]

    assert sorted(bar.op for bar in found) == ["backward", "forward", "pull", "push"]
    assert sum(bar.end_s - bar.start_s for bar in found) == pytest.approx(
        QUICKSTART["ps-sync"].step_s, rel=1e-3
    )


def test_of_many_lanes_the_critical_and_the_busiest_are_kept_in_their_order():
    bar = plot_gantt.Bar(0, 1, 0, "push", False)
    lanes = [plot_gantt.Lane(f"w{n}", "out", (replace(bar, end_s=n + 1),)) for n in range(5)]
    lanes[0] = replace(lanes[0], bars=(replace(bar, critical=True),))

    assert [lane.machine for lane in plot_gantt.chosen(lanes, 3)] == ["w0", "w3", "w4"]


def test_kinds_of_lanes_take_turns_where_there_are_too_many():
    bar = plot_gantt.Bar(0, 1, 0, "push", False)
    names = [("w", "compute"), ("w", "w > ps"), ("ps", "ps > w")]
    lanes = [plot_gantt.Lane(f"{m}{n}", name, (bar,)) for m, name in names for n in range(9)]

    assert [one.name for one in plot_gantt.chosen(lanes, 6)] == [name for _, name in names for _ in range(2)]


def test_more_steps_than_there_are_show_all():
    run = QUICKSTART["ps-sync"].measured

    assert plot_gantt.windows(run, 99) == run.windows
    assert plot_gantt.windows(run, 1) == [run.median_window]


def test_a_saved_result_has_no_timeline_and_says_so():
    again = Comparison.from_dict(QUICKSTART.to_dict())
    with pytest.raises(ValueError, match="has no timeline"):
        plot_gantt.gantt(again)


# -- two results -----------------------------------------------------------------------------------


def test_pairs_of_bars_are_as_long_as_the_steps_before_and_after():
    (axes,) = plot_two._figure(TWO).axes
    found = [(color, pytest.approx(length)) for color, _, length in lengths(axes)]

    # In ms: ring 200 and 100, LONG 300 and 300, big only before, new only after, gone only before.
    b, a = plot_two.BEFORE.upper(), plot_two.AFTER.upper()
    assert found == [(b, 200), (a, 100), (b, 300), (a, 300), (b, 300), (a, 1900), (b, 10)]


def test_whiskers_say_between_what_each_of_the_two_lies():
    """In ms: both steps of ring lie between 150 and 400; the other has no interval."""
    (axes,) = plot_two._figure(LUCK).axes
    whiskers = [tuple(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "-"]
    assert whiskers == [pytest.approx((150, 400))] * 2
    end = next(text for text in axes.texts if text.get_text() == "200.0 ms")
    assert end.get_position()[0] > 400

    assert "p5 to p95" in [text.get_text() for text in plot_two._figure(LUCK).texts]
    assert "p5 to p95" not in [text.get_text() for text in plot_two._figure(TWO).texts]


def test_changes_are_said_in_per_cent_or_in_words():
    said = [text.get_text() for text in plot_two._figure(TWO).texts]

    assert {"-50.0 %", "same", "fits no more", "new", "gone"} <= set(said)


# -- studies ---------------------------------------------------------------------------------------


def curve(line):
    return list(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_a_curve_goes_through_the_step_at_each_value_and_breaks_where_there_is_none():
    (axes,) = plot_whatif._figure(study(falling, rates(5))).axes
    ring, ps = (curve(line) for line in axes.lines)

    assert ring == [(n + 1, pytest.approx(0.1 / (n + 1))) for n in range(5)]
    assert [x for x, y in ps if y != y] == [3]  # not a number: falling() gives no step there


def test_values_beyond_a_decade_stand_on_a_logarithmic_scale():
    assert scales.scale([1.0, 11.0], 3).log
    assert not scales.scale([1.0, 9.0], 3).log
    assert not scales.scale([0.0, 100.0], 3).log


def test_a_map_has_the_colour_of_the_winner_in_each_cell_and_lines_where_it_changes():
    """ring takes 1 s; ps takes as long as the two numbers together, beginning at 0.5 s."""
    plane = study(lambda n, *place: 1.0 if n == 0 else 0.5 + sum(place), rates(3), times(2))
    left, right = plot_whatif._figure(plane).axes
    ring, ps = sheet.COLORS[:2]
    colors = {one.get_xy(): to_hex(one.get_facecolor()).upper() for one in left.patches}

    assert colors == {(x, y): ps if x + y == 0 else ring for x in range(3) for y in range(2)}
    for axes in (left, right):
        edges = {tuple(curve(line)) for line in axes.lines}
        assert edges == {((1, 0), (1, 1)), ((0, 1), (1, 1))}
    texts = {text.get_text() for text in right.texts}
    assert texts == {"500 ms", "1 s"}


def test_a_point_where_nothing_fits_has_no_winner():
    plane = study(lambda n, *place: 1.0, rates(2), times(2))
    unfit = Point({}, of(row("ring", None), row("ps", None)), {})
    figure = plot_whatif._figure(replace(plane, points=(unfit, *plane.points[1:])))

    left, right = figure.axes
    assert len(left.patches) == len(right.patches) == 3
    assert "no figures" in [text.get_text() for text in figure.texts]


def test_one_unit_of_all_values_stands_at_the_axis_and_several_at_each():
    assert plot_whatif.in_unit(rates(2)) == ([1.0, 2.0], ["1", "2"], "network.bandwidth (Gbit/s)")
    mixed = Axis("network.latency", ("5 us", "1 ms"), (5e-6, 1e-3))
    assert plot_whatif.in_unit(mixed) == ([5e-6, 1e-3], ["5 us", "1 ms"], "network.latency")
    assert plot_whatif.in_unit(Axis("cluster.workers", (2, 4), (2.0, 4.0))) == (
        [2.0, 4.0],
        ["2", "4"],
        "cluster.workers",
    )
    assert plot_whatif.in_unit(WORDS)[0] is None


def test_where_runs_vary_a_curve_has_a_band_and_a_row_of_words_whiskers():
    def spread(one):
        rows = [replace(r, intervals={"step_s": Interval(0.9, 1.0, 1.2)}) for r in one.comparison.rows]
        return replace(one, comparison=of(*rows))

    for axis in (rates(3), WORDS):
        plain = study(lambda n, *place: 1.0, axis, names=("ring",))
        figure = plot_whatif._figure(replace(plain, points=tuple(map(spread, plain.points))))
        (axes,) = figure.axes
        assert "p5 to p95" in [text.get_text() for text in figure.texts]
        ends = [line for line in axes.lines if line.get_marker() in ("_", "|")]
        found = {value for line in ends for value in (*line.get_xdata(), *line.get_ydata())}
        assert {0.9, 1.2} <= found


def test_a_curve_that_breaks_off_is_named_below():
    said = [text.get_text() for text in plot_whatif._figure(study(falling, rates(5))).texts]

    assert "without figures at some points: ps" in said


def test_of_equally_fast_strategies_the_first_of_the_file_wins():
    plane = study(lambda n, *place: 1.0 if n == 0 else 1.0 - 1e-13, rates(2))

    assert [plot_maps.winner(plane, number) for number in range(2)] == ["ring", "ring"]


def test_three_axes_make_a_map_for_each_value_of_the_shortest():
    assert len(plot_whatif._figure(STUDIES["maps"]).axes) == 3
    assert len(plot_whatif._figure(STUDIES["many maps"]).axes) == 3


def test_axes_that_vary_together_have_a_panel_each():
    figure = plot_whatif._figure(study(falling, rates(3), times(3), zipped=True))
    found = [[curve(line) for line in axes.lines] for axes in figure.axes]

    assert [x for x, _ in found[0][0]] == [1, 2, 3]
    assert [x for x, _ in found[1][0]] == [1, 10, 100]
    assert [y for _, y in found[0][0]] == [y for _, y in found[1][0]]


def test_a_study_without_figures_or_such_a_strategy_is_refused():
    with pytest.raises(ValueError, match="nothing has figures"):
        plot_whatif.whatif(study(lambda *_: None, rates(2)))
    with pytest.raises(KeyError, match="no strategy 'x'"):
        plot_whatif.whatif(STUDIES["map"], of="x")


# -- files -----------------------------------------------------------------------------------------

FILES = {
    **{
        f"compare {name}": (lambda f, name=name: figures.draw(QUICKSTART, name, f))
        for name in ("gantt", "use")
    },
    "compare staleness": lambda f: figures.draw(QUICKSTART, "staleness", f),
    "compare cost": lambda f: figures.draw(PRICED, "cost", f),
    "two": lambda f: plot_two.two(TWO, f),
    **{
        f"study {name}": (lambda f, name=name: plot_whatif.whatif(STUDIES[name], f))
        for name in ("map", "zipped")
    },
}


@pytest.mark.parametrize("name", FILES)
def test_formats(name):
    for format, begins in FORMATS.items():
        assert FILES[name](format).startswith(begins)
    with pytest.raises(ValueError, match="svg, png, pdf"):
        FILES[name]("gif")


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="bars, gantt, use, staleness, cost"):
        figures.draw(QUICKSTART, "pie")


PROGRAM = """
import test_figures as t
for name in sorted(t.FILES):
    for format in ("svg", "png", "pdf"):
        print(hashlib.sha256(t.FILES[name](format)).hexdigest())
"""


def test_the_same_bytes_in_any_process():
    check_bytes(PROGRAM)
