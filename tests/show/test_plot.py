from dataclasses import replace

import matplotlib
import pytest
from drawn import bars, check_bytes, check_text, color

from simpar.result import BREAKDOWN, Comparison, Interval, Row, Staleness
from simpar.show import plot, sheet

FACTS = {
    "model": "ResNet-50",
    "batch": 64,
    "workers": 8,
    "bytes_per_s": 3.125e9,
    "latency_s": 5e-6,
    "steps": 20,
    "seed": 0,
}
LONG = (
    "a name that goes on for more than sixty characters, round robin, 16 servers, slices of 4 MB, overlapped"
)
WITHOUT_SPACES = "no_space_anywhere/in-this.name_" * 5


def row(label="ps-sync, 2 servers", rank=1, parts=(0.18, 0.26, 0, 0, 0, 0, 0), stale=None, efficiency=0.408):
    step_s = sum(parts)
    return Row(
        name=f"s{rank}",
        kind="ps-sync",
        label=label,
        rank=rank,
        fits=True,
        workers=8,
        memory_bytes=1e9,
        memory_limit_bytes=None,
        step_s=step_s,
        samples_per_s=512 / step_s,
        speedup=8 * efficiency,
        breakdown=dict(zip(BREAKDOWN, parts, strict=True)),
        staleness=None if stale is None else Staleness(stale, 9, {7: 3}),
    )


def varying(label, rank, p5, p95):
    return replace(row(label, rank), intervals={"step_s": Interval(p5, 0.44, p95)})


def too_big(label="ps-sync", rank=1):
    return Row(label, "ps-sync", label, rank, False, 8, 20e9, 16e9)


def of(*rows, facts=FACTS):
    return Comparison("mine", 0, "reference", list(rows), facts, [])


def texts(result):
    figure = plot._figure(result)
    return [text.get_text() for axes in (figure, *figure.axes) for text in axes.texts]


MANY = [
    row(("ps-async, 3 servers", LONG, WITHOUT_SPACES, "allreduce ring")[n % 4] + f" {n}", n + 1, parts, stale)
    for n, (parts, stale) in enumerate(
        ((0.18, 0.01 * n, 0.02, 0.1 / (n + 1), 0.0, 0.003 * n, 0.001), 7.0 if n % 4 == 0 else None)
        for n in range(39)
    )
]


@pytest.mark.parametrize(("format", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_formats(format, begins):
    assert plot.comparison(of(row()), format).startswith(begins)


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="svg, png, pdf"):
        plot.comparison(of(row()), "gif")


def test_a_bar_is_as_long_as_its_step_and_starts_where_the_part_before_ends():
    (axes,) = plot._figure(of(row(parts=(0.1, 0.2, 0.03, 0, 0, 0.004, 0)))).axes
    drawn = bars(axes)

    assert [color(bar) for bar in drawn] == [
        plot.PARTS[part][1] for part in ("compute_s", "exposed_comm_s", "latency_s", "straggler_s")
    ]
    assert [bar.get_x() for bar in drawn] == pytest.approx([0, 100, 300, 330])
    assert [bar.get_width() for bar in drawn] == pytest.approx([100, 200, 30, 4])


def test_a_whisker_reaches_from_p5_to_p95_and_only_where_there_is_one():
    (axes,) = plot._figure(of(row("once", 1), varying("often", 2, 0.40, 0.62))).axes

    assert {tuple(line.get_xdata()) for line in axes.lines} == {(400, 620)}
    assert "p5 to p95" in texts(of(row("once", 1), varying("often", 2, 0.40, 0.62)))
    assert "p5 to p95" not in texts(of(row()))


def test_the_fastest_is_on_top():
    figure = plot._figure(of(row("first", 1), row("second", 2)))
    height = {text.get_text(): text.get_position()[1] for text in figure.texts}

    assert height["first"] > height["second"]


def test_at_the_bar_stand_step_efficiency_and_staleness():
    said = texts(of(row(parts=(0.18, 0.2617, 0, 0, 0, 0, 0)), row("async", 2, stale=7.04)))

    assert "441.7 ms" in said
    assert ", 40.8 %" in said
    assert ", 40.8 %, 7.0 updates stale" in said


@pytest.mark.parametrize(
    ("step_s", "said", "axis"),
    [
        (0.4417, "441.7 ms", "time of one step (ms)"),
        (12.5, "12.50 s", "time of one step (s)"),
        (2.5e-5, "25.00 us", "time of one step (us)"),
        (1.5, "1 500.0 ms", "time of one step (ms)"),
    ],
)
def test_the_unit_follows_the_longest_step(step_s, said, axis):
    found = texts(of(row(parts=(step_s, 0, 0, 0, 0, 0, 0))))

    assert said in found
    assert axis in found


def test_a_step_too_short_for_the_column_has_a_unit_of_its_own():
    assert "250 ns" in texts(
        of(row(parts=(2.5e-7, 0, 0, 0, 0, 0, 0)), row("slow", 2, (30, 0, 0, 0, 0, 0, 0)))
    )


def test_the_legend_names_only_parts_that_occur():
    said = texts(of(row(parts=(0.1, 0.2, 0.001, 0, 0, 0, 0)), row("b", 2, (0.1, 0, 0, 0, 0, 0.01, 0))))

    assert {name for name, _ in plot.PARTS.values()} & set(said) == {
        "compute",
        "network (exposed)",
        "straggler wait",
    }


def test_what_does_not_fit_says_so_and_has_no_bar():
    said = texts(of(row(), too_big("huge", 2)))

    assert "does not fit in memory: needs 20 GB of 16 GB" in said
    (axes,) = plot._figure(of(too_big())).axes
    assert len(axes.patches) == 1  # the white ground of its text


def test_heading_says_model_batch_workers_network_steps_and_seed():
    said = texts(of(row()))

    assert "ResNet-50, batch 64 on each of 8 workers" in said
    assert "25 Gbit/s, 5 us latency \u00b7 20 steps \u00b7 seed 0" in said
    assert "mine" in texts(of(row(), facts={}))


@pytest.mark.parametrize("by", plot.BY)
@pytest.mark.parametrize(
    "result",
    [
        of(row()),
        of(too_big()),
        of(too_big(LONG, 1), too_big("b", 2)),
        of(*MANY[:4]),
        of(row("once", 1), varying("ps-sync", 2, 0.40, 0.62), varying(LONG, 3, 0.439, 0.441)),
        of(*MANY[:12], facts={**FACTS, "model": LONG * 2}),
        of(
            *(replace(one, usd_per_hour=n * 10.0 or None) for n, one in enumerate(MANY[:12])),
            too_big(LONG, 40),
        ),
        of(*MANY, too_big(LONG, 40)),
        of(
            row(parts=(1e6, 1e5, 1e4, 1e4, 1e4, 1e4, 1e4), stale=123456.7),
            row("b", 2, (1e-9, 0, 0, 0, 0, 0, 0)),
        ),
    ],
    ids=["one", "too big", "two too big", "four", "varying", "twelve", "priced", "forty", "extreme"],
)
def test_no_text_is_cut_or_lies_on_another_or_on_a_bar(result, by):
    check_text(lambda: plot._figure(result, by))


def test_a_name_too_long_loses_its_middle():
    lines = sheet.wrapped("begin " + "middle " * 60 + "end", 9, 2.0, 3)

    assert len(lines) == 3
    assert lines[0].startswith("begin")
    assert lines[2].startswith("\u2026")
    assert lines[2].endswith("end")


def test_special_characters_are_shown_literally():
    name = "50% $x_1$ <b> & 'q' \"z\" \\alpha äöü →"

    assert any(name[:12] in said for said in texts(of(row(name))))
    for format in plot.FORMATS:
        plot.comparison(of(row(name), facts={**FACTS, "model": "$\\frac{1}$ ${_}$"}), format)


def test_a_character_that_the_font_lacks_is_a_box_and_no_warning():
    assert "\u25a1\u25a1 a" in texts(of(row("\u4e2d\u6587\na")))
    plot.comparison(of(row("\u4e2d\u6587")), "png")


def test_settings_of_the_user_change_nothing_and_are_not_changed():
    plain = plot.comparison(of(row()), "svg")
    theirs = {"font.size": 30.0, "axes.facecolor": "red", "savefig.bbox": "tight", "text.usetex": True}
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams.copy())

        assert plot.comparison(of(row()), "svg") == plain
        assert dict(matplotlib.rcParams.copy()) == before


PROGRAM = """
import simpar.show.plot as plot
assert "matplotlib" not in sys.modules
import test_plot as t
result = t.of(*t.MANY[:6], t.row("ps-sync, 2", 7), t.too_big("x $y$", 8))
for format in plot.FORMATS:
    print(hashlib.sha256(plot.comparison(result, format)).hexdigest())
assert "matplotlib.pyplot" not in sys.modules
"""


def test_the_same_bytes_in_any_process():
    check_bytes(PROGRAM)


# -- in money --------------------------------------------------------------------------------------


def priced(label, rank, per_hour, epoch=None):
    return replace(row(label, rank), usd_per_hour=per_hour, usd_per_epoch=epoch)


def test_by_money_a_bar_is_what_a_million_samples_cost_in_the_parts_of_its_step():
    """512 samples in 0.18 + 0.26 s at 36 USD/h: 0.01 USD/s x 0.44 s / 512 x 10^6."""
    result = of(priced("a", 1, 36.0))
    (axes,) = plot._figure(result, "money").axes
    whole = 0.01 * 0.44 / 512 * 1e6

    first, second = ((bar.get_x(), bar.get_width()) for bar in bars(axes))
    assert first == pytest.approx((0, whole * 0.18 / 0.44))
    assert second == pytest.approx((whole * 0.18 / 0.44, whole * 0.26 / 0.44))
    said = [text.get_text() for text in (*axes.texts, *axes.figure.texts)]
    assert "8.59 USD" in said
    assert "cost of a million samples (USD)" in said


def test_by_money_the_cheapest_is_on_top_and_what_has_no_price_says_so():
    figure = plot._figure(of(row("free", 1), priced("dear", 2, 1, 9.0), priced("cheap", 3, 1, 2.0)), "money")
    height = {text.get_text(): text.get_position()[1] for text in figure.texts}

    assert height["cheap"] > height["dear"] > height["free"]
    assert "cost of an epoch (USD)" in height
    assert [text.get_text() for text in figure.axes[0].texts].count("no price") == 1


def test_there_are_no_bars_by_anything_else():
    with pytest.raises(ValueError, match="time, money"):
        plot.comparison(of(row()), "svg", "weight")
