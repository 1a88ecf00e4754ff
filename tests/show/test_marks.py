"""What a strategy looks like: the same in every figure, and unlike all others."""

import pytest
from drawn import color
from matplotlib.backends.backend_agg import FigureCanvasAgg

from simpar.result import Comparison, Row
from simpar.show import marks, plot_cost, sheet, words


def row(name, rank, label=None, rate=100.0):
    return Row(
        **{"name": name, "kind": "allreduce", "label": label or name, "rank": rank, "fits": True},
        **{"workers": 8, "memory_bytes": 1e9, "memory_limit_bytes": None, "step_s": 1.0},
        **{"samples_per_s": rate, "usd_per_hour": 36.0},
    )


def of(*rows, **facts):
    return Comparison("mine", 0, "reference", list(rows), facts, [])


def test_strategies_are_numbered_as_in_the_file_whatever_their_rank():
    ranked = of(row("c", 1), row("a", 2), strategies=["a", "b", "c"])

    assert marks.numbers(ranked) == {"c": 2, "a": 0}


def test_a_saved_result_is_numbered_by_rank():
    assert marks.numbers(of(row("c", 1), row("a", 2))) == {"c": 0, "a": 1}


def test_the_dots_of_a_comparison_have_the_colours_of_its_strategies():
    ranked = of(row("c", 1, rate=200.0), row("a", 2), strategies=["a", "b", "c"])
    (axes,) = plot_cost._figure(ranked).axes
    dots = [line for line in axes.lines if line.get_marker() != "None"]

    assert [dot.get_color() for dot in dots] == [sheet.COLORS[2], sheet.COLORS[0]]


def test_the_first_28_are_told_apart_by_lines_and_by_bars():
    assert len({str(marks.line(number)) for number in range(28)}) == 28
    assert len({str(marks.fill(number)) for number in range(28)}) == 28


def test_strategies_with_the_same_label_are_told_apart_by_name():
    rows = [row("ring", 1), row("late", 2, "ps-sync, backup 1"), row("early", 3, "ps-sync, backup 1")]

    assert words.titles(rows) == {
        "ring": "ring",
        "late": "ps-sync, backup 1 (late)",
        "early": "ps-sync, backup 1 (early)",
    }


@pytest.mark.parametrize("size", [sheet.SMALL, sheet.TEXT, sheet.TITLE])
def test_text_is_as_long_in_a_png_as_the_layout_takes_it_to_be(size):
    said = (
        "waits for the workers' links (w0.out to w7.out), 24.2 % of the step \u00b7 25 Gbit/s, 5 us latency"
    )
    with sheet.own_settings():
        one = sheet.Sheet(20.0, 1.0)
        one.text(0.0, 0.5, said, size, sheet.INK)
        one.figure.set_dpi(200)
        renderer = FigureCanvasAgg(one.figure).get_renderer()
        drawn = one.figure.texts[0].get_window_extent(renderer).width / 200

    assert drawn == pytest.approx(sheet.inches(said, size), rel=2e-3)


def test_a_bar_is_filled_in_the_colour_of_its_number():
    with sheet.own_settings():
        one = sheet.Sheet(2.0, 1.0)
        marks.fill_key("ring", 8).draw(one, 0.1, 0.5)
        (box,) = one.figure.patches[-1:] or one.figure.artists[-1:]

    assert color(box) == sheet.COLORS[1]
    assert box.get_hatch()
