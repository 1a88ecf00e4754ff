"""A comparison in a notebook: a small table, escaped."""

from simpar.result import Comparison, Interval, Row


def row(name, **figures):
    return Row(
        name=name,
        kind="allreduce",
        label="allreduce ring",
        rank=1,
        fits=bool(figures),
        workers=4,
        memory_bytes=2e6,
        memory_limit_bytes=None,
        **figures,
    )


def test_a_comparison_shows_itself_as_a_table():
    shown = Comparison("mine", 0, "none", [row("a", step_s=0.5, samples_per_s=200.0, speedup=3.0)], {}, [])
    text = shown._repr_html_()
    for cell in ("mine", "500 ms", "200", "3.00", "75.0%", "2 MB", "samples/s"):
        assert f">{cell}<" in text


def test_names_are_escaped_and_what_does_not_fit_says_so():
    text = Comparison("<script>", 0, "none", [row("<b>")], {"unit": "<i>"}, [])._repr_html_()
    assert "<script>" not in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;" in text
    assert "does not fit in memory" in text


def test_where_runs_vary_it_says_between_what_the_step_lies():
    figures = {"step_s": 0.2, "samples_per_s": 200.0, "speedup": 3.0}
    varying = row("ring", **figures, intervals={"step_s": Interval(0.1, 0.2, 0.3)})
    shown = Comparison("mine", 0, "none", [varying, row("none")], {}, [])

    assert ">100 ms to 300 ms<" in shown._repr_html_()
    assert "p5 to p95" not in Comparison("mine", 0, "none", [row("ring", **figures)], {}, [])._repr_html_()
